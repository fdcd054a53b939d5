"""A gate says when a passage begins and ends, by the moments that it heard, not by threads."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
import pytest
from tool_recognizer.core.gate import CLOCKS_APART
from tool_recognizer.core.gate import Edge
from tool_recognizer.core.gate import Gate
from tool_recognizer.core.gate import JUMP
from tool_recognizer.core.gate import MOST_WAITING

DEBOUNCE, LONGEST = 5, 100


def make(*heard):
    gate = Gate(DEBOUNCE, LONGEST)
    for moment, present in heard:
        gate.hear(present, moment)
    return gate


def test_a_passage_begins_and_ends_when_that_is_steady():
    gate = make((10, True), (40, False))
    assert [*gate.look(14)] == []
    assert [*gate.look(15)] == [Edge(15, True, 'present')]
    assert [*gate.look(44)] == []
    assert [*gate.look(90)] == [Edge(45, False, 'absent')]
    assert gate.opened is None


def test_what_is_too_short_is_noise():
    gate = make((10, True), (12, False), (20, True), (50, False), (53, True), (80, False))
    assert [*gate.look(200)] == [Edge(25, True, 'present'), Edge(85, False, 'absent')]


def test_where_frames_say_it_one_or_two_of_them_are_noise():
    gate = Gate(DEBOUNCE, 10 * LONGEST, by_stamp=False, least=3)
    for number, shown in enumerate('.##.###..#...'):
        gate.hear(shown == '#', 10 * number)
    assert [*gate.look(59)] == []
    assert [*gate.look(60)] == [Edge(60, True, 'present')]
    assert [*gate.look(200)] == [Edge(120, False, 'absent')]


def test_a_gate_that_sticks_ends_the_passage_and_begins_none_before_it_was_empty():
    gate = make((10, True))
    assert [*gate.look(500)] == [Edge(15, True, 'present'), Edge(115, False, 'too_long')]
    assert gate.stuck
    gate.hear(True, 510)
    assert [*gate.look(600)] == []
    gate.hear(False, 610)
    gate.hear(True, 630)
    assert [*gate.look(640)] == [Edge(635, True, 'present')]
    assert not gate.stuck


CHANGES = st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=30)


@given(CHANGES, st.lists(st.integers(0, 1300), max_size=30))
def test_it_does_not_matter_when_it_is_looked_at(changes, looks):
    heard, moment = [], 0
    for passed, present in changes:
        moment += passed
        heard.append((moment, present))
    end = moment + 2 * LONGEST
    once = [*make(*heard).look(end)]
    gate = Gate(DEBOUNCE, LONGEST)
    often = []
    for at in sorted({*looks, end}):
        while heard and heard[0][0] <= at:
            gate.hear(heard[0][1], heard.pop(0)[0])
        if at <= end:
            often += gate.look(at)
    assert often == once
    # They follow each other, and none is too long.
    assert [edge.begins for edge in once] == [number % 2 == 0 for number in range(len(once))]
    assert all(a.moment <= b.moment for a, b in pairwise(once))
    assert all(b.moment - a.moment <= LONGEST
               for a, b in zip(once[::2], once[1::2], strict=False))


def test_a_frame_from_before_the_object_came_is_not_of_its_passage():
    gate = make((CLOCKS_APART, True))
    [*gate.look(CLOCKS_APART + 5)]
    assert gate.holds(CLOCKS_APART + 6, CLOCKS_APART)
    assert not gate.holds(CLOCKS_APART + 6, CLOCKS_APART - 1)
    assert not gate.holds(CLOCKS_APART + 4, CLOCKS_APART)
    # The camera's clock is another one: nothing can be read from its stamp.
    assert gate.holds(CLOCKS_APART + 6, 4)
    gate.hear(False, CLOCKS_APART + 9)
    [*gate.look(CLOCKS_APART + 10)]
    assert not gate.holds(CLOCKS_APART + 10, CLOCKS_APART + 2)


def test_a_clock_that_jumps_back_ends_the_passage():
    gate = make((JUMP + 10, True))
    assert len([*gate.look(2 * JUMP)]) == 2
    gate = make((JUMP + 10, True))
    assert len([*gate.look(JUMP + 20)]) == 1
    assert [*gate.look(5)] == [Edge(5, False, 'clock_back')]
    assert [*gate.look(50)] == []
    gate.hear(False, 51)
    gate.hear(True, 60)
    assert [*gate.look(70)] == [Edge(65, True, 'present')]


def test_a_switch_that_chatters_while_no_frame_comes_is_bounded_and_its_last_word_counts():
    gate = Gate(DEBOUNCE, 10 ** 9)
    for moment in range(3 * MOST_WAITING + 1):
        gate.hear(moment % 2 == 0, moment)
    assert gate.lost == 2 * MOST_WAITING + 1
    assert [edge.begins for edge in gate.look(10 ** 6)] == [True]


@pytest.mark.parametrize('moment', [3, 0])
def test_a_look_of_another_thread_that_is_a_little_late_changes_nothing(moment):
    gate = make((10, True))
    assert len([*gate.look(20)]) == 1
    assert [*gate.look(moment)] == []
    assert gate.opened == 15
