"""A reserved id is spoken of when many of the last decisions are one, with what mends it."""

import pytest
from tool_recognizer.core import decision
from tool_recognizer.core.refusals import CURES
from tool_recognizer.core.refusals import FEWEST
from tool_recognizer.core.refusals import RECENT
from tool_recognizer.core.refusals import RecentDecisions


def noted(*decisions):
    recent = RecentDecisions()
    for class_id in decisions:
        recent.note(class_id)
    return recent


def test_every_reserved_id_has_a_cure():
    reserved = {value for value in vars(decision).values()
                if isinstance(value, str) and value.count(':') == 1 and ' ' not in value
                and '\n' not in value}
    assert set(CURES) == reserved


@pytest.mark.parametrize('reason', CURES)
def test_a_reserved_id_is_a_trouble_above_the_share_and_none_at_it(reason):
    assert noted(*['wrench'] * 50, *[reason] * 50).troubles(0.5) == []
    [said] = noted(*['wrench'] * 50, *[reason] * 51).troubles(0.5)
    assert said.code == reason
    assert said == f'{reason} in 51 of the last 101 decisions: {CURES[reason]}'


def test_near_the_limit_a_trouble_does_not_come_and_go_with_every_decision():
    recent = noted(*[decision.DARK] * 102, *['wrench'] * (RECENT - 102))
    told = []
    for _ in range(30):  # 102 to 72 of 200
        told.append(bool(recent.troubles(0.5)))
        recent.note('wrench')
    assert told == [True] * 22 + [False] * 8  # at 0.8 of the limit, 80 of 200
    for class_id in [decision.DARK] * 10:
        recent.note(class_id)
    assert recent.troubles(0.5) == []
    # Another limit is kept to from the first.
    assert noted(*[decision.DARK] * RECENT).troubles(0.5)
    recent = noted(*[decision.DARK] * RECENT)
    assert recent.troubles(0.5)
    assert not recent.troubles(1.0)


def test_the_shares_are_of_the_last_decisions_only():
    recent = noted(*[decision.FROZEN] * RECENT, *['wrench'] * (RECENT // 2),
                   *[decision.DARK] * (RECENT // 2))
    assert recent.shares()[decision.DARK] == 0.5
    assert recent.shares()[decision.FROZEN] == 0.0
    assert noted().shares() == dict.fromkeys(CURES, 0.0)


def test_of_a_few_decisions_and_at_a_share_of_one_nothing_is_said():
    assert noted(*[decision.FROZEN] * (FEWEST - 1)).troubles(0.5) == []
    assert noted(*[decision.FROZEN] * RECENT).troubles(1.0) == []
