"""Each event is read as it was written, and takes no more room than it needs."""

from dataclasses import replace

import numpy as np
import pytest
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import Noted
from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.locate import Box
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.run import Run
from tool_recognizer.core.sketch import NO_SKETCH
from tool_recognizer.core.sketch import sketch
from tool_recognizer.event_log.rows import decode
from tool_recognizer.event_log.rows import encode
from tool_recognizer.event_log.rows import Row
from tool_recognizer.event_log.rows import UNUSABLE

LABELS, SHADOW_LABELS = ('array', 'wrench'), ('wrench', 'array')
KEY = FrameKey(7, 'カメラ')


def make_run():
    monitors = [Monitor(labels, DriftDetector(2)) for labels in (LABELS, SHADOW_LABELS)]
    return Run('a', monitors[0], EarlyWarning(2), Requests(100), 5,
               Comparison(monitors[1], LABELS, ('a', 'b')))


def predicted(labels, digest, features=None):
    return Prediction(KEY, labels, np.array([-np.inf, 0.0]), NO_FEATURES, digest,
                      sketch=NO_SKETCH if features is None else sketch(features))


@pytest.mark.parametrize('event', [
    FrameAnswered(1, predicted(LABELS, 'a'), 'wrench'),
    FrameAnswered(1, predicted(LABELS, 'a', np.arange(256.0)), 'wrench'),
    FrameAnswered(1, replace(predicted(LABELS, 'a'), box=Box(1, 2, 30, 4)), 'wrench'),
    ShadowAnswered(1, predicted(SHADOW_LABELS, 'b')),
    ShadowAnswered(1, predicted(SHADOW_LABELS, 'b', np.arange(256.0))),
    FrameAsked(1, KEY, Asked(0.25, 0.5)),
    FrameConfirmed(1, Confirmation(KEY, {'array': 1.0}, 'Zoë', '1')),
    SampleTaken(1, Sampling(3, 1, 2, np.ones(4, np.float32)), np.array([-1.0, -0.5])),
    SampleTaken(1, Sampling(1, 1, 2, None), None),
    RunReset(1),
    RunContinued(1, make_run().settings),
    RunContinued(1, make_run().settings, {
        part: make_run().to_state()[part] for part in ('warning', 'sampling_interval',
                                                       'comparison')}),
    Noted(1, 'alarm', {'why': 'Prüfung'}),
], ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event):
    row = Row._make((2, 1, *encode(event, None), b''))
    assert repr(decode(row, make_run())) == repr(event)


def test_features_take_little_more_than_their_bytes():
    features = np.random.default_rng(0).normal(size=1280).astype(np.float32)
    (*_, detail) = encode(SampleTaken(1, Sampling(1, 1, 2, features), None), None)
    assert len(detail) < 1.4 * features.nbytes


@pytest.mark.parametrize('damage', [
    '"sketch": "AAAA"', '"sketch": "no base64"', '"sketch": 7', '"box": [1, 2, 3]', '"box": 7',
    '"box": ["left", 2, 3, 4]'])
def test_a_damaged_sketch_or_box_is_refused(damage):
    row = Row._make((2, 1, *encode(FrameAnswered(1, predicted(LABELS, 'a'), 'wrench'), None), b''))
    detail = f'{{"decision": "wrench", {damage}}}'
    with pytest.raises(UNUSABLE):
        decode(row._replace(detail=detail), make_run())


@pytest.mark.parametrize('event', [
    RunReset(2**63), FrameAsked(1, FrameKey(-2**70, 'x'), Asked(1.0)),
    FrameAsked(1, FrameKey(1, '\ud800'), Asked(1.0)), Noted(1, 'alarm', {'why': np.int64(1)})])
def test_what_cannot_be_stored_is_refused_as_such(event):
    with pytest.raises((TypeError, ValueError)):
        encode(event, None)
