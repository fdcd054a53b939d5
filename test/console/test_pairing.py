"""A decision is shown beside the prediction that it was made from, never beside another one."""

from itertools import permutations

import pytest
from tool_recognizer.console.pairing import MOST
from tool_recognizer.console.pairing import Pairing
from tool_recognizer.core.recognition import FrameKey


def key(number):
    return FrameKey(number, 'camera')


@pytest.mark.parametrize('order', list(permutations(('p1', 'd1', 'p2', 'd2'))))
def test_in_whatever_order_the_two_topics_come_a_frame_is_shown_whole(order):
    pairing = Pairing()
    for kind, number in order:
        if kind == 'p':
            pairing.predict(key(int(number)), {'wrench': float(number)})
        else:
            pairing.decide(key(int(number)), f'label {number}', 0.5)
        shown = pairing.newest
        assert shown is None or shown == (
            shown.key, {'wrench': float(shown.key.stamp)}, f'label {shown.key.stamp}', 0.5)
    assert pairing.newest.key == key(int(order[-1][1]))


def test_without_a_frame_the_decision_is_shown_at_once_and_without_bars():
    pairing = Pairing()
    pairing.predict(key(1), {'wrench': 1.0})
    pairing.decide(key(1), 'wrench', 1.0)
    assert pairing.decide(key(2), 'stale:no_frame', 0.0)
    assert pairing.newest == (key(2), {}, 'stale:no_frame', 0.0)


def test_halves_whose_other_half_never_comes_are_bounded():
    pairing = Pairing()
    for number in range(1, 5 * MOST):
        pairing.predict(key(number), {})
        pairing.decide(key(-number), 'wrench', 1.0)
    assert not pairing.decide(key(1), 'wrench', 1.0)
    assert pairing.decide(key(5 * MOST - 1), 'wrench', 1.0)
