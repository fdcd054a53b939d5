"""From a frame to a distribution, with a classifier that can be reasoned about."""

import numpy as np
import pytest
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Inference
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.core.recognition import recognize
from tool_recognizer.core.recognition import values_from_state
from tool_recognizer.core.recognition import values_to_state


class MeanColour:
    """The logits are the mean of each channel, over 10."""

    labels = ('red', 'green', 'blue')
    input = InputSpec(4, 4, 'stretch')  # noqa: A003
    temperature = 2.0
    digest = 'd'
    novelty_threshold = 100.0

    def infer(self, images):
        assert images.shape[1:] == (4, 4, 3)
        mean = images.mean(axis=(1, 2)).astype(np.float32)
        return Inference(mean / 10, mean, mean[:, 1])


def test_a_frame_is_answered_with_its_own_key_and_tempered_softmax():
    key = FrameKey(1_795_000_000_999_999_999, 'left')
    pixels = np.full((6, 9, 3), (10, 20, 60), np.uint8)  # bgr
    answer = recognize(Frame(key, pixels, 'bgr'), MeanColour())
    weights = np.exp([3.0, 1.0, 0.5])
    np.testing.assert_allclose(answer.probabilities, weights / weights.sum(), rtol=1e-6)
    assert answer.key is key
    assert answer.labels[answer.best] == 'red'


def test_what_is_too_novel_is_not_known():
    def known(green):
        pixels = np.full((4, 4, 3), (0, green, 0), np.uint8)
        return recognize(Frame(FrameKey(1, ''), pixels, 'rgb'), MeanColour()).known
    assert known(100)
    assert not known(101)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_never_published(bad):
    class Broken(MeanColour):

        def infer(self, images):
            answer = super().infer(images)
            answer.logits[0, 1] = bad
            return answer

    with pytest.raises(NonFiniteLogits, match='must be finite'):
        recognize(Frame(FrameKey(1, ''), np.zeros((4, 4, 3), np.uint8), 'rgb'), Broken())


@pytest.mark.parametrize('values', [
    {}, {FrameKey(3, 'left'): 'hammer', FrameKey(1, 'right'): '', FrameKey(2, 'left'): 'hammer'},
    {FrameKey(n, 'left'): {'hammer': 1.0 - n % 3 / 7, 'wrench': n % 3 / 7} for n in range(9)}])
def test_a_state_holds_each_value_once_and_gives_each_frame_its_own(values):
    state = values_to_state(values, 'said')
    assert values_from_state(state, 'said') == [*values.items()]
    assert len(state['said']) == len({str(value) for value in values.values()})
    before = {'said': [[*key, value] for key, value in values.items()]}
    assert values_from_state(before, 'said') == [*values.items()]
