"""A shadow model fails by itself."""

import numpy as np
import pytest
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.shadow import ShadowModel


class Failing:
    """A classifier that answers no frame."""

    def __init__(self, error):
        self.input, self._error = InputSpec(8, 8, 'stretch'), error

    def infer(self, images):
        raise self._error


@pytest.mark.parametrize('error', [
    NonFiniteLogits('nan'), ModelError('inference failed: no kernel'), MemoryError()])
def test_a_frame_that_a_shadow_cannot_answer_is_counted_as_its_failure_and_no_others(error):
    shadow = ShadowModel(Failing(error))
    frame = Frame(FrameKey(1, 'bench'), np.zeros((8, 8, 3), np.uint8), 'rgb')
    assert shadow.predict(frame) is None
    assert shadow.failed == 1
