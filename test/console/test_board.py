"""The engineer's figures: over time, by label, and which frames were confused."""

import json
from math import inf
from math import nan

import pytest
from tool_recognizer.console.board import Board
from tool_recognizer.console.board import MOST_BYTES
from tool_recognizer.console.board import SHOWN
from tool_recognizer.console.board import Status
from tool_recognizer.console.history import Point
from tool_recognizer.console.history import ScoredFrame
from tool_recognizer.core.interval import wilson_interval
from tool_recognizer.core.recognition import FrameKey


def status(n, level=0, **values):
    known = {'n': n, 'nll': 0.3, 'nll_ci_low': 0.2, 'nll_ci_high': 0.4, 'entropy': 0.0,
             'kl': 0.3, 'evidence': 1.0 * n, 'change_at': ''} | values
    return Status(level, 'in control', {name: str(value) for name, value in known.items()})


def frame(number, label, guess, nll=0.1, picture=None):
    return ScoredFrame(FrameKey(number, 'camera'), float(number), label, guess, 0.9, nll, picture)


def test_only_a_status_that_says_something_new_becomes_a_point():
    board = Board()
    for moment, n in enumerate((0, 1, 1, 1, 2)):
        board.watch(status(n), float(moment))
    assert board.series(60.0, 5.0)['moment'] == [0.0, 1.0, 4.0]


def test_a_range_holds_its_points_and_the_one_before_so_that_the_line_enters_it():
    board = Board()
    for n in range(100):
        board.watch(status(n), 10.0 * n)
    assert board.series(50.0, 990.0)['moment'] == [930.0, 940.0, 950.0, 960.0, 970.0, 980.0, 990.0]


def test_a_long_range_is_thinned_out_and_keeps_its_newest_point():
    board = Board()
    for n in range(10 * SHOWN):
        board.watch(status(n), float(n))
    moments = board.series(1e5, 10.0 * SHOWN)['moment']
    assert len(moments) <= SHOWN
    assert moments[-1] == 10 * SHOWN - 1


def test_an_infinite_nll_is_shown_and_an_unknown_one_is_not_made_up():
    board = Board()
    board.watch(status(1, nll=inf, evidence=nan), 1.0)
    series = board.series(60.0, 2.0)
    assert series['nll'] == ['inf']
    assert series['evidence'] == [None]


def test_the_change_is_given_as_the_moment_of_the_label_after_it():
    board = Board()
    for n in range(1, 11):
        board.watch(status(n), 100.0 + n)
    board.watch(status(11, level=2, change_at=6, change_first=4, change_last=8), 111.0)
    series = board.series(60.0, 112.0)
    assert [series[f'change_{end}'] for end in ('first', 'moment', 'last')] == [
        105.0, 107.0, 109.0]


def test_after_a_reset_the_change_is_looked_for_in_the_new_run():
    board = Board()
    for run in (100.0, 200.0):
        for n in range(1, 11):
            board.watch(status(n, change_at=6), run + n)
    assert board.series(200.0, 212.0)['change_moment'] == 207.0
    assert [event['kind'] for event in board.events()] == ['reset']


def test_an_alarm_a_reset_and_a_new_model_are_events():
    board = Board()
    board.watch(status(5, model_digest='a' * 64), 1.0)
    board.watch(status(6, level=2, model_digest='a' * 64), 2.0)
    board.watch(status(0, model_digest='b' * 64), 3.0)
    assert {event['kind'] for event in board.events()} == {'alarm', 'monitor', 'reset', 'model'}


def test_the_past_comes_before_what_is_known_already():
    board = Board()
    board.watch(status(3), 30.0)
    board.remember([Point(10.0, 1, 0.5, 0.4, 0.6, 0.0, 0.5, nan),
                    Point(20.0, 2, 0.5, 0.4, 0.6, 0.0, 0.5, nan)], [])
    assert board.series(60.0, 31.0)['moment'] == [10.0, 20.0, 30.0]


def test_the_worst_label_stands_first_and_one_ruled_out_is_infinitely_bad():
    board = Board()
    board.score(frame(1, 'hammer', 'hammer', 0.1))
    board.score(frame(2, 'wrench', 'wrench', 0.2))
    board.score(frame(3, 'wrench', 'hammer', 2.0))
    board.score(frame(4, 'pliers', 'hammer', inf))
    rows = board.classes()
    assert [[row[name] for name in ('label', 'n', 'nll', 'right')] for row in rows] == [
        ['pliers', 1, 'inf', 0.0], ['wrench', 2, 1.1, 0.5], ['hammer', 1, 0.1, 1.0]]
    # Of one frame nobody knows how much others cost.
    assert (rows[0]['nll_ci_high'], rows[2]['nll_ci_high']) == ('inf', 'inf')
    json.dumps(rows, allow_nan=False)


def test_each_figure_of_a_label_has_its_interval():
    board = Board()
    board.labels = ('hammer', 'wrench')
    for number in range(1, 11):
        board.score(frame(number, 'wrench', 'hammer' if number == 10 else 'wrench', 0.1 * number))
    (row,) = board.classes()
    assert (row['right_ci_low'], row['right_ci_high']) == wilson_interval(row['right'], 10)
    assert row['nll'] == pytest.approx(0.55)
    assert 0.0 < row['nll_ci_low'] < row['nll'] < row['nll_ci_high'] < 5.0


def test_confused_frames_are_shown_newest_first_with_their_pictures():
    board = Board()
    board.score(frame(1, 'wrench', 'hammer', picture=b'one'))
    board.score(frame(2, 'wrench', 'wrench', picture=b'two'))
    board.score(frame(10 ** 18 + 3, 'wrench', 'hammer', picture=b'three'))
    found = board.mistakes()
    assert found['pairs'] == [{'label': 'wrench', 'guess': 'hammer', 'n': 2}]
    assert [one['stamp'] for one in found['frames']] == ['1000000000000000003', '1']
    assert board.picture(FrameKey(10 ** 18 + 3, 'camera')) == b'three'
    assert board.picture(FrameKey(99, 'camera')) is None


def test_a_frame_that_the_journal_has_again_is_one_and_keeps_its_picture(tmp_path):
    board = Board()
    board.score(frame(1, 'wrench', 'hammer', picture=b'one'))
    board.remember([], [frame(1, 'wrench', 'hammer')])
    assert board.mistakes()['frames_seen'] == 1
    assert board.picture(FrameKey(1, 'camera')) == b'one'
    board.remember([], [frame(2, 'wrench', 'hammer', picture=tmp_path / 'gone.jpg')])
    assert board.picture(FrameKey(2, 'camera')) is None


def test_pictures_in_memory_are_bounded_by_their_bytes():
    board = Board()
    for number in range(40):
        board.score(frame(number, 'wrench', 'hammer', picture=bytes(2_000_000)))
    held = [number for number in range(40) if board.picture(FrameKey(number, 'camera'))]
    assert held == [*range(40 - MOST_BYTES // 2_000_000, 40)]
