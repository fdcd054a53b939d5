"""The store of predictions that wait: found by frame, bounded, and small."""

from dataclasses import replace

import numpy as np
import pytest
from tool_recognizer.core.locate import Box
from tool_recognizer.core.pending import PendingPredictions
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction


def predicted(stamp, frame_id='camera', log_p=(-0.1, -2.4)):
    return Prediction(FrameKey(stamp, frame_id), ('a', 'b'), np.array(log_p),
                      np.ones(1280, np.float32), '')


def test_a_prediction_is_found_by_stamp_and_frame_id():
    pending = PendingPredictions(10)
    pending.add(predicted(1))
    pending.add(predicted(1, 'other', (-5.0, -0.01)))
    assert pending.find(FrameKey(1, 'other')).log_probabilities[0] == -5.0
    assert pending.find(FrameKey(2, 'camera')) is None
    assert len(pending) == 2


def test_the_oldest_answer_leaves_first_and_an_answer_given_anew_is_the_newest():
    pending = PendingPredictions(2)
    for stamp in (1, 2, 1, 3):
        pending.add(predicted(stamp))
    assert [kept.key.stamp for kept in pending] == [1, 3]


def test_a_settled_prediction_keeps_its_place_and_its_confirmation_until_it_leaves():
    pending = PendingPredictions(2)
    pending.add(predicted(1))
    pending.add(predicted(2))
    pending.settle(FrameKey(2, 'camera'), {'a': 1.0})
    assert pending.find(FrameKey(2, 'camera')) is None
    assert pending.settled(FrameKey(2, 'camera')) == {'a': 1.0}
    assert [kept.key.stamp for kept in pending] == [1]
    pending.add(predicted(3))
    assert [kept.key.stamp for kept in pending] == [3]
    pending.add(predicted(4))
    assert pending.settled(FrameKey(2, 'camera')) is None
    assert len(pending) == 2


def test_an_answer_given_anew_waits_whether_the_last_one_was_settled_or_not():
    pending = PendingPredictions(2)
    pending.add(predicted(1))
    pending.settle(FrameKey(1, 'camera'), {'a': 1.0})
    pending.add(predicted(1, log_p=(-0.7, -0.7)))
    assert pending.settled(FrameKey(1, 'camera')) is None
    assert pending.find(FrameKey(1, 'camera')).log_probabilities[0] == -0.7


def test_a_state_knows_where_the_objects_are_and_says_nothing_of_them_without_any():
    pending = PendingPredictions(3)
    pending.add(predicted(1))
    assert 'boxes' not in pending.to_state(2)
    pending.add(replace(predicted(2), box=Box(1, 2, 30, 4)))
    again = PendingPredictions.from_state(pending.to_state(2), ('a', 'b'), '')
    assert [kept.box for kept in again] == [None, Box(1, 2, 30, 4)]


def test_features_are_not_kept_while_waiting():
    pending = PendingPredictions(2)
    pending.add(predicted(1))
    assert pending.find(FrameKey(1, 'camera')).features.size == 0


def test_a_store_for_nothing_is_refused():
    with pytest.raises(ValueError, match='at least 1, got 0'):
        PendingPredictions(0)
