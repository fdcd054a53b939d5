"""The figures over time: what is kept, and in which order."""

import tracemalloc

from tool_recognizer.console.curve import Curve
from tool_recognizer.console.curve import MOMENT
from tool_recognizer.console.curve import N
from tool_recognizer.console.history import Point


def point(n, moment=None):
    return Point(100.0 + n if moment is None else moment, n, 0.3, 0.2, 0.4, 0.0, 0.3, 1.0)


def test_of_too_many_points_the_newest_stay_in_their_order():
    curve = Curve(5)
    for n in range(13):
        curve.append(point(n))
    assert curve.rows()[:, N].tolist() == [8, 9, 10, 11, 12]
    assert curve.since(110.5)[:, N].tolist() == [10, 11, 12]
    assert curve.moment_after(9) == 110.0
    assert curve.moment_after(12) is None


def test_the_past_goes_before_what_came_since_the_start():
    curve = Curve(5)
    for n in (7, 8, 9):
        curve.append(point(n))
    curve.insert([point(n) for n in range(7)])
    curve.append(point(10))
    assert curve.rows()[:, MOMENT].tolist() == [106.0, 107.0, 108.0, 109.0, 110.0]


def test_a_moment_is_looked_for_in_the_last_run_only():
    curve = Curve(10)
    for moment, n in enumerate((1, 2, 3, 1, 2)):
        curve.append(point(n, float(moment)))
    assert curve.moment_after(0) == 3.0
    assert curve.moment_after(2) is None


def test_nothing_of_its_size_is_copied_to_be_read_or_when_there_is_nothing_to_insert():
    curve = Curve(10_000)
    for number in range(25_000):
        curve.append(point(number))
    tracemalloc.start()
    rows = curve.since(25_090.0)
    curve.insert([])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows[:, N].tolist() == [*range(24_989, 25_000)]
    assert len(curve.rows()) == 10_000
    assert peak < 20_000
