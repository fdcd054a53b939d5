"""The rules and the dashboard ask only for what the console tells; promtool agrees, if there."""

import json
from pathlib import Path
import re
import shutil
import subprocess

import pytest
from tool_recognizer.console.board import Status
from tool_recognizer.console.line import Line
from tool_recognizer.console.metrics import GAUGES
from tool_recognizer.console.metrics import Metrics
import yaml

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / 'config' / 'prometheus-rules.yml'
DASHBOARD = ROOT / 'config' / 'grafana-dashboard.json'
PROMTOOL = shutil.which('promtool')
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool is installed (it comes with Debian's prometheus)")


def everything():
    """Return the metrics of a console that has seen everything once."""
    metrics = Metrics()
    metrics.predicted((0.5, 0.5), 0.01)
    metrics.decided('wrench')
    metrics.acknowledged('scored')
    metrics.client('operator', 1)
    metrics.refused('too_many')
    metrics.collect_from(lambda: {
        'alive': True, 'open': 1, 'unacknowledged': 0,
        'requests': {'asked': 2, 'expired': 1},
        'monitor': Status(0, '', dict.fromkeys([*GAUGES, 'scored'], '1.0')),
        'health': {
            'input': Status(0, '', {'received': '2', 'answered': '1', 'dropped_busy': '1',
                                    'invalid_confirmations': '1', 'refused_stamp': '1',
                                    'invalid_notes': '1'}),
            'decisions': Status(1, '', {'share_unknown:frozen': '0.9', 'limit': '0.5'}),
            'inference': Status(0, '', {'latency_p50_ms': '1.0', 'model_digest': 'a',
                                        'callback_errors': '3'}),
            'journal': Status(0, '', {'dropped_predictions': '', 'pictures_lost': '1',
                                      'disk_free_bytes': '1e9'})}})
    return metrics.text()


def asked_for(text):
    return set(re.findall(r'\btool_recognizer_\w+', text))


def test_every_metric_that_a_rule_or_a_panel_asks_for_is_exported():
    exported = set(re.findall(r'^(tool_recognizer_\w+)', everything().decode(), re.MULTILINE))
    rules = yaml.safe_load(RULES.read_text())['groups'][0]['rules']
    panels = json.loads(DASHBOARD.read_text())['panels']
    asked = [rule['expr'] for rule in rules]
    asked += [target['expr'] for panel in panels for target in panel['targets']]
    assert len(asked) > 20
    assert asked_for('\n'.join(asked)) <= exported


def scraped(metrics):
    text = metrics.text().decode()
    return dict(re.findall(r'^(tool_recognizer_\S+) (\S+)$', text, re.MULTILINE))


def test_a_reason_that_is_new_in_diagnostics_shows_up_by_itself():
    metrics = Metrics()
    values = {'dropped_too_large': '3', 'dropped_busy': 'nan', 'dropped_all': '-inf',
              'refused_nesting': '2', 'refused_why': 'it is 3 deep', 'stamps_back': '4'}
    metrics.collect_from(lambda: dict(KNOWN, health={'input': Status(0, '', values)}))
    found = scraped(metrics)
    assert found['tool_recognizer_frames_dropped_total{reason="too_large"}'] == '3.0'
    assert found['tool_recognizer_confirmations_refused_total{reason="nesting"}'] == '2.0'
    assert found['tool_recognizer_frames_stamped_badly_total{fault="back"}'] == '4.0'
    # What is no count is left out, and takes nothing else with it.
    assert len([name for name in found if 'dropped' in name or 'refused_total{' in name]) == 2


KNOWN = {'alive': True, 'open': 0, 'unacknowledged': 0, 'requests': {}, 'monitor': None,
         'health': {}}


def test_what_the_consoles_own_callbacks_raise_is_counted():
    metrics = Metrics()
    metrics.callback_errors = lambda: 3
    metrics.collect_from(lambda: KNOWN)
    assert scraped(metrics)['tool_recognizer_console_callback_errors_total'] == '3.0'


def test_every_metric_names_its_line_and_its_recognizer():
    metrics = Metrics(Line('/left/tool_recognizer', 7, 'hall-4'))
    metrics.decided('wrench')
    metrics.collect_from(lambda: KNOWN)
    found = scraped(metrics)
    assert all('recognizer="/left/tool_recognizer"' in name and 'line="hall-4"' in name
               for name in found if not name.endswith('_created'))
    assert found['tool_recognizer_decisions_total{decision="wrench",line="hall-4",'
                 'recognizer="/left/tool_recognizer"}'] == '1.0'


def test_how_often_no_label_is_given_stands_beside_what_was_promised():
    metrics = Metrics()
    metrics.collect_from(lambda: dict(KNOWN, health={'decisions': Status(1, '', {
        'limit': '0.5', 'share_unknown:not_a_known_tool': '0.12',
        'promised_unknown:not_a_known_tool': '0.05', 'share_unknown:dark': 'nan'})}))
    found = scraped(metrics)
    label = 'decision="unknown:not_a_known_tool"'
    assert found[f'tool_recognizer_decision_share{{{label}}}'] == '0.12'
    assert found[f'tool_recognizer_decision_share_promised{{{label}}}'] == '0.05'
    assert found['tool_recognizer_decision_share_limit'] == '0.5'
    assert found['tool_recognizer_decisions_level'] == '1.0'


@pytest.mark.parametrize('text', ['{n}', 'x' * 200 + '{n}', '\n{n}'])
def test_text_from_outside_makes_a_bounded_number_of_series(text):
    """Over many scrapes, too: Prometheus keeps what it has seen once."""
    metrics, seen, values = Metrics(), set(), {}
    metrics.collect_from(lambda: dict(KNOWN, health={'input': Status(0, '', values)}))
    for n in range(0, 3000, 3):
        said = text.format(n=n)
        metrics.decided(said)
        metrics.acknowledged(said)
        values.clear()
        values.update({f'{kind}_{text.format(n=n + more)}': '1' for more in range(3)
                       for kind in ('dropped', 'refused', 'stamps')})
        if n % 100 == 0:
            seen |= {*scraped(metrics)}
    assert len(seen) < 1000
    counts = [count for name, count in scraped(metrics).items() if '_decisions_total' in name]
    assert sum(map(float, counts)) == 1000.0


def test_no_two_panels_lie_on_one_another():
    places = [panel['gridPos'] for panel in json.loads(DASHBOARD.read_text())['panels']]
    covered = [(x, y) for place in places
               for x in range(place['x'], place['x'] + place['w'])
               for y in range(place['y'], place['y'] + place['h'])]
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24


@needs_promtool
@pytest.mark.parametrize('arguments', [
    ['check', 'rules', str(RULES)],
    ['test', 'rules', str(Path(__file__).parent / 'prometheus-rules-test.yml')]])
def test_promtool_accepts_the_rules_and_they_fire_when_they_should(arguments):
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_finds_no_fault_with_the_metrics():
    done = subprocess.run([PROMTOOL, 'check', 'metrics'], input=everything(),
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
