"""The demo's scripted operator, by itself."""

from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.ros.scripted_operator import HESITATION
from tool_recognizer.ros.scripted_operator import ScriptedOperator

LABELS = ('hammer', 'wrench')


def key(number):
    return FrameKey(number, 'camera')


def see(operator, number, truth='hammer', prediction='hammer', moment=0.0):
    operator.predict(key(number), prediction, LABELS, moment)
    operator.show(key(number), truth, LABELS, moment)


def test_a_frame_is_confirmed_once_and_only_after_a_moment():
    operator = ScriptedOperator(1.0, once_per_tool=False)
    see(operator, 1)
    assert operator.confirmations(HESITATION / 2) == []
    assert operator.confirmations(HESITATION) == [(key(1), 'hammer')]
    assert operator.confirmations(2 * HESITATION) == []


def test_a_frame_that_people_are_asked_for_is_never_confirmed_by_the_script():
    operator = ScriptedOperator(1.0, once_per_tool=False)
    see(operator, 1)
    see(operator, 2)
    operator.ask(key(2))
    operator.ask(key(3))
    see(operator, 3)
    assert operator.confirmations(HESITATION) == [(key(1), 'hammer')]
    assert operator.confirmations(100.0) == []


def test_of_one_tool_on_the_line_one_frame_is_confirmed():
    operator = ScriptedOperator(1.0, once_per_tool=True)
    see(operator, 1)
    see(operator, 2)
    operator.show(key(3), '', LABELS, 0.0)
    see(operator, 4, 'wrench')
    assert operator.confirmations(HESITATION) == [(key(1), 'hammer'), (key(4), 'wrench')]


def test_a_picture_that_comes_again_is_no_new_label():
    operator = ScriptedOperator(1.0, once_per_tool=False, pictures=2)
    for number in range(4):
        see(operator, number)
    assert [k.stamp for k, _ in operator.confirmations(HESITATION)] == [0, 1]


def test_the_share_is_kept():
    operator = ScriptedOperator(0.3, once_per_tool=False)
    for number in range(1000):
        see(operator, number)
    assert 250 < len(operator.confirmations(HESITATION)) < 350


def test_a_label_that_the_model_does_not_have_is_neither_scored_nor_confirmed():
    operator = ScriptedOperator(1.0, once_per_tool=False)
    see(operator, 1, 'anvil')
    see(operator, 2, 'wrench', 'hammer')
    assert (operator.right, operator.scored) == (0, 1)
    assert operator.confirmations(HESITATION) == [(key(2), 'wrench')]


def test_prediction_and_truth_may_come_in_either_order():
    operator = ScriptedOperator(1.0, once_per_tool=False)
    operator.show(key(1), 'hammer', LABELS, 0.0)
    operator.predict(key(1), 'hammer', LABELS, 0.0)
    assert operator.right == 1
