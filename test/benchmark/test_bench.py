"""``make bench``: its arithmetic, its tables, and the networks of its peers; nothing is timed."""

from dataclasses import asdict
from dataclasses import replace
import json
from math import exp
from math import log

from benchmark import __main__ as bench
from benchmark import table
from benchmark.compare import Change
from benchmark.compare import compare
from benchmark.figures import FIGURES
from benchmark.figures import Goal
from benchmark.figures import goals
from benchmark.figures import Ratio
from benchmark.figures import ratio
from benchmark.figures import side
from benchmark.figures import Turn
import cv2
import numpy as np
import pytest


def turn(factor=1.0, sent=5, processor=0.05, memory=100.0):
    """Return a turn in which four frames were answered."""
    times = [factor * time for time in (10.0, 10.0, 12.0, 20.0)]
    return Turn(sent, [time - 1.0 for time in times], times, processor, memory)


def cases(ours=1.0, peer=3.0):
    sides = {'ours': [turn(ours)] * 2, 'floor': [turn()] * 2, 'bare': [turn()],
             'peer_int8': [turn(peer)], 'peer_float32': [turn(2.0 * peer)]}
    return {'640x480 raw': sides, '1920x1080 jpeg': sides}


def unmet(*args):
    return {goal.name for goal in goals(*args) if not goal.met}


def test_a_side_is_told_by_all_of_its_turns():
    figures = side([turn(), turn(2.0)])
    assert figures['sent'] == 10
    assert figures['answered'] == 8
    assert figures['p50_ms'] == np.median([10, 10, 12, 20, 20, 20, 24, 40])
    assert figures['turns_p50_ms'] == [11.0, 22.0]
    assert figures['processor_ms'] == pytest.approx(100.0 / 8)


def test_a_ratio_is_free_of_a_drift_that_hits_both_sides():
    """The machine gets twice as slow from round to round; ours is always 1.2 times the floor."""
    found = ratio([turn(1.2 * 2 ** n) for n in range(4)], [turn(2.0 ** n) for n in range(4)],
                  FIGURES['p50'])
    assert found.value == pytest.approx(1.2)
    assert found.error == pytest.approx(0.0, abs=1e-9)


def test_the_error_of_a_ratio_is_that_of_the_mean_of_its_rounds_logarithms():
    found = ratio([turn(exp(x)) for x in (0.1, 0.3)], [turn()] * 2, FIGURES['p50'])
    assert found.error == pytest.approx(0.1)
    assert found.rounds == 2


def test_a_ratio_needs_a_turn_of_both_sides_in_two_rounds():
    for ours, floor in ((1, 1), (3, 2)):
        with pytest.raises(ValueError, match='at least two rounds'):
            ratio([turn()] * ours, [turn()] * floor, FIGURES['p50'])


def test_unanswered_frames_count_as_slower():
    assert ratio([turn(sent=8)] * 2, [turn(sent=4)] * 2,
                 FIGURES['frames_per_answer']).value == pytest.approx(2.0)


def test_goals_are_met_by_what_is_as_quick_as_the_floor_and_flat():
    fast = {'ours': [turn()] * 4, 'floor': [turn()] * 4}
    assert unmet(cases(), fast) == set()
    assert len(goals(cases(), fast)) == 2 * 5 + 1 + 3


def test_goals_are_missed_by_what_is_slow_or_grows_or_drops_frames():
    fast = {'ours': [turn(sent=8), turn(1.5, sent=8, memory=110.0)], 'floor': [turn(sent=4)] * 2}
    missed = unmet(cases(ours=1.5, peer=2.7), fast)
    assert {name.split(', ')[1] for name in missed} >= {
        'p50 over the floor', 'p95 over the floor', 'p50 over the end of the bare session.run',
        'p50 of the peer with our model over ours'}
    assert sum(name.startswith('120 Hz') for name in missed) == 3


def test_a_goal_says_whether_it_is_met():
    assert str(Goal('p50', 1.2, 1.15)) == 'p50: 1.20, at most 1.15: NOT MET'
    assert str(Goal('peer', 2.0, 2.0, least=True)) == 'peer: 2.00, at least 2.00: met'


def test_what_became_slower_by_more_than_the_rounds_differ_is_found():
    before = {name: Ratio(1.1, 0.01, 6) for name in ('a', 'b', 'c')}
    now = {'a': Ratio(1.3, 0.01, 6), 'b': Ratio(1.12, 0.01, 6), 'c': Ratio(0.9, 0.01, 6),
           'not stored': Ratio(9.0, 0.0, 6)}
    a, b, c = compare(before, now)
    assert (a.slower, b.slower, c.slower) == (True, False, False)
    assert (a.quicker, b.quicker, c.quicker) == (False, False, True)


def test_the_tolerance_grows_with_the_spread_and_is_at_least_5_percent():
    before = {'a': Ratio(1.0, 0.0, 6)}
    assert compare(before, before)[0].tolerance == pytest.approx(1.05)
    wide = compare(before, {'a': replace(before['a'], value=1.3, error=0.1)})[0]
    assert not wide.slower
    # t of 0.99 with 10 degrees of freedom, from a printed table.
    assert log(wide.tolerance) == pytest.approx(2.764 * 0.1, rel=1e-3)


def test_two_runs_of_one_program_are_seldom_told_apart():
    rng = np.random.default_rng(0)

    def run():
        return {str(name): ratio([turn(exp(x)) for x in rng.normal(0.0, 0.1, 6)], [turn()] * 6,
                                 FIGURES['p50']) for name in range(10)}
    found = sum(any(change.slower for change in compare(run(), run())) for _ in range(40))
    assert found <= 3


def test_runs_without_a_common_figure_are_not_compared():
    with pytest.raises(ValueError, match='no figure in common'):
        compare({'a': Ratio(1.0, 0.0, 2)}, {'b': Ratio(1.0, 0.0, 2)})


@pytest.fixture
def run(monkeypatch):
    """Run ``make bench`` with these ratios instead of a measurement; return its exit status."""
    def run(ratios, *arguments):
        monkeypatch.setattr(bench, 'measure', lambda rounds, seconds: {
            'cores': 2, 'model': 'ab', 'ratios': {
                name: asdict(Ratio(value, 0.01, 6)) for name, value in ratios.items()}})
        return bench.main([str(argument) for argument in arguments])
    monkeypatch.setattr(bench, 'own_graph', lambda: None)
    return run


def test_a_run_is_judged_by_one_that_was_stored(run, tmp_path, capsys):
    stored = tmp_path / 'before.json'
    assert run({'raw: p50': 1.1, 'raw: p95': 1.2}, '--json', stored) == 0
    assert run({'raw: p50': 1.1, 'raw: p95': 1.2}, '--compare', stored) == 0
    assert run({'raw: p50': 1.1, 'raw: p95': 1.8}, '--compare', stored) == 1
    assert capsys.readouterr().out.endswith('slower: raw: p95\n')
    stored.write_text(json.dumps({**json.loads(stored.read_text()), 'cores': 16}))
    assert run({'raw: p50': 0.9, 'raw: p95': 1.2}, '--compare', stored) == 0
    assert f'cores was 16 in {stored}, and is 2 now' in capsys.readouterr().out


@pytest.mark.parametrize('content', ['', '[]', '{"ratios": {}}', '{"ratios": {"a": 1.0}}'])
def test_a_file_that_is_no_run_is_refused_before_anything_is_measured(run, tmp_path, capsys,
                                                                      content):
    path = tmp_path / 'other.json'
    path.write_text(content)
    with pytest.raises(SystemExit, match='2'):
        run({}, '--compare', path)
    assert f'--compare {path}: not the figures of a run' in capsys.readouterr().err


def test_tables_line_up_and_say_what_became_slower():
    rows = list(table.side_rows('640x480 raw', {
        name: side(turns) for name, turns in cases()['640x480 raw'].items()}))
    assert len({len(row) for row in rows}) == 1
    assert len(rows) == 6
    assert rows[2].split()[-3:] == ['1.00'] * 3
    assert list(table.change_rows([Change('a', 1.0, 1.2, 1.1)]))[-1] == 'slower: a'
    assert list(table.change_rows([Change('a', 1.0, 1.0, 1.1)]))[-1] == 'nothing became slower'


def test_the_peers_networks_are_ours(tmp_path, photos):
    pytest.importorskip('onnx', reason='pip install onnx, to write the peers networks')
    from benchmark import peer_models
    import onnxruntime as ort
    from tool_recognizer.model.onnx_model import DEFAULT_MODEL

    peer_models.write_int8(tmp_path / 'int8.onnx')
    peer_models.write_float32(tmp_path / 'float32.onnx')
    ours, int8, float32 = (ort.InferenceSession(path, providers=['CPUExecutionProvider'])
                           for path in (DEFAULT_MODEL, *tmp_path.glob('int8*'),
                                        *tmp_path.glob('float32*')))
    for path, _ in photos[::4]:
        picture = cv2.resize(cv2.imread(str(path)), (224, 224))[np.newaxis]
        floats = ((picture.astype(np.float32) / 255.0 - np.float32(peer_models.MEAN))
                  / np.float32(peer_models.STD)).transpose(0, 3, 1, 2)
        logits = ours.run(['logits'], {'image': picture})[0]
        np.testing.assert_array_equal(int8.run(['logits'], {'image': floats})[0], logits)
        np.testing.assert_allclose(float32.run(['logits'], {'image': floats})[0], logits, atol=1.0)
