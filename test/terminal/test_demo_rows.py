"""What the demo's table says."""

import pytest
from tool_recognizer.terminal.demo_rows import Light
from tool_recognizer.terminal.demo_rows import rows
from tool_recognizer.terminal.demo_rows import Seen

ALARM = "drift: label hammer, since confirmed label 30 (25 to 31), mostly in 'hammer'"


def said(seen, now=0.0):
    return {row.name: row.said for row in rows(seen, now)}


@pytest.mark.parametrize('values', [{}, dict.fromkeys(
    ('nll', 'nll_ci_low', 'nll_ci_high', 'kl', 'marginal_kl', 'reference_nll', 'evidence'),
    'nan')])
def test_a_figure_that_is_missing_is_named_as_missing(values):
    table = said(Seen('line', level=1, state='not enough confirmed labels yet (0)',
                      values=values))
    assert 'nan' not in str(table)
    assert table['NLL'] == table['KL'] == 'no confirmed label yet'
    assert table['latency'] == 'no prediction yet'
    assert table['decision'] == 'none yet'
    assert table['accuracy'] == 'no frame with a known label yet'


def test_tools_are_spoken_of_with_a_gate_only():
    assert {'passage', 'tools'} & said(Seen('line')).keys() == set()
    table = said(Seen('line', passage='', values={'n': '5'}))
    assert (table['passage'], table['tools']) == ('none yet', 'none decided yet')
    table = said(Seen('line', level=0, passage='passage 2 decided: wrench', values={
        'n': '5', 'evidence': '1', 'threshold': '2000'}, tools=[
            'wrench 99.5%', 'unknown:undecided']))
    assert table['tools'] == 'wrench 99.5%, unknown:undecided'
    assert table['evidence'].endswith('tools confirmed: 5')


@pytest.mark.parametrize('high', ['nan', 'inf'])
def test_one_label_has_a_mean_and_no_interval(high):
    table = said(Seen('line', values={'nll': '0.25', 'nll_ci_low': '0.1', 'nll_ci_high': high}))
    assert table['NLL'] == '0.250 nats, no interval yet, no reference'


def test_a_label_that_the_model_ruled_out_is_shown_as_inf():
    assert said(Seen('line', values={'nll': 'inf'}))['NLL'].startswith('inf nats')


def test_an_alarm_is_red_and_takes_two_rows_that_fit_into_80_columns():
    table = rows(Seen('line', level=2, state=ALARM,
                      values={'n': '55', 'evidence': '150000.4', 'threshold': '2000.0'}), 0.0)
    alarm = [row for row in table if row.colour == 'red']
    assert [row.said for row in alarm] == [
        'drift: label hammer', "since confirmed label 30 (25 to 31), mostly in 'hammer'",
        '150000 of 2000, frames confirmed: 55']
    assert alarm[-1].share >= 1.0
    assert all(12 + 11 + len(row.said) < 80 for row in alarm)


def test_the_light_tells_when_it_is_dimmed_and_how_long_the_alarm_took():
    light = Light(0.03, after=60.0)
    seen = Seen('line', started=100.0, light=light)
    assert said(seen, 120.0)['light'] == 'as drawn; dimmed in 40 s'
    light.dimmed_at = 160.5
    assert said(seen, 170.5)['light'] == 'dimmed to 3% 10 s ago; no alarm yet'
    light.alarm_at = 191.5
    assert said(seen, 200.0)['light'] == 'dimmed to 3%; the alarm came 31 s later'


def test_the_latency_is_shown_from_the_first_prediction_on():
    assert said(Seen('line', latencies=[20.0]))['latency'].startswith('p50 20.0 ms, p95 20.0 ms')
    assert said(Seen('line', latencies=list(map(float, range(101)))))['latency'].startswith(
        'p50 50.0 ms, p95 95.0 ms')
