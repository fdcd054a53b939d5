"""What a controller is told, and what it can never be told."""

from dataclasses import replace

import numpy as np
import pytest
from tool_recognizer.core.decision import check_labels
from tool_recognizer.core.decision import decide
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import DRIFT
from tool_recognizer.core.decision import FROZEN
from tool_recognizer.core.decision import LOW_CONFIDENCE
from tool_recognizer.core.decision import NOT_A_KNOWN_TOOL
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction

SURE = Prediction(FrameKey(1, 'camera'), ('hammer', 'screwdriver', 'wrench'),
                  np.log([0.7, 0.2, 0.1]), np.zeros(1, np.float32), '')


def test_the_most_probable_label_is_given_with_its_probability():
    made = decide(SURE, min_probability=0.6)
    assert made.class_id == 'hammer'
    assert made.score == pytest.approx(0.7)


def test_below_the_wanted_probability_no_label_is_given():
    assert decide(SURE, min_probability=0.71) == Decision(LOW_CONFIDENCE, 0.0)


def test_the_gravest_doubt_speaks():
    assert decide(SURE, min_probability=0.9, unusable=FROZEN) == Decision(FROZEN, 0.0)
    assert decide(SURE, min_probability=0.9, unusable=FROZEN, drifted=True) == (
        Decision(DRIFT, 0.0))


def test_what_the_model_takes_for_none_of_its_labels_gets_no_label_unless_that_is_wanted():
    stranger = replace(SURE, known=False)
    assert decide(stranger, min_probability=0.6) == Decision(NOT_A_KNOWN_TOOL, 0.0)
    assert decide(stranger, min_probability=0.6, reject_unknown=False).class_id == 'hammer'


@pytest.mark.parametrize(('labels', 'words'), [
    (('wrench',), 'at least 2'), (('wrench', ' '), 'empty'),
    (('wrench', 'unknown:dark'), 'colon'), (('wrench', 'hammer', 'wrench'), 'more than once'),
    (('wrench', 'wrench\u200b'), 'nobody sees'), (('\ufeffwrench', 'hammer'), 'nobody sees'),
    (('wrench', 'ham\xadmer'), r"'ham\\xadmer' holds"), (('wrench', 'a\x1b[31m'), 'nobody sees'),
    (('wrench', 'h\udce4mmer'), 'is no text')])
def test_labels_that_could_be_mistaken_are_refused(labels, words):
    with pytest.raises(ValueError, match=words):
        check_labels(labels)


def test_labels_may_be_of_any_script():
    check_labels(('Hämmer', '扳手', 'پیچ\u200cگوشتی', 'torque wrench 8'))
