"""The early warning on video of the drawn line, seen by the default model."""

import numpy as np
import pytest
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampler
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import recognize
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.line import AssemblyLine

# Every seventh frame of a camera of 15 Hz: all places on the belt come, at half the work.
RATE, STEP = 15, 7
# A tool comes every 2 s and is in view for 2.6 s.
INTERVAL = 3_000_000_000


@pytest.fixture(scope='module')
def model():
    return OnnxModel.load(DEFAULT_MODEL, intra_op_threads=1)


@pytest.fixture(scope='module')
def line():
    return AssemblyLine(4)


def samples(model, line, sampler, seconds, light=1.0, noise=None):
    """Watch the line for a time; a line with noise stands still."""
    first, last = (round(at * RATE) for at in seconds)
    for index in range(first, last, STEP):
        pixels, _ = line.frame(first if noise else index, light)
        if noise:
            pixels = np.clip(pixels + noise.normal(0.0, 8.0, pixels.shape), 0, 255)
        key = FrameKey(Stamp(index * 1_000_000_000 // RATE), 'line')
        seen = recognize(Frame(key, pixels.astype(np.uint8), 'rgb'), model)
        sample = sampler.look(seen.key.stamp, seen.log_probabilities, seen.features, seen.known)
        if sample is not None:
            yield sample


def test_a_line_in_control_is_quiet_and_a_dim_light_is_seen(model, line):
    test, sampler = EarlyWarning(len(model.labels)), Sampler(INTERVAL)
    for sample in samples(model, line, sampler, (0, 1200)):
        assert not test.update(sample)
    assert 200 <= test.n_samples <= 330
    before = test.n_samples
    for sample in samples(model, line, sampler, (1200, 1400), light=0.06):
        if test.update(sample):
            break
    assert test.warning
    assert test.reason.startswith('unsure')
    assert test.n_samples - before <= 30


def test_a_belt_that_stands_still_is_one_sample(model, line):
    sampler = Sampler(INTERVAL)
    assert len(list(samples(model, line, sampler, (2, 120), noise=np.random.default_rng(1)))) <= 1
