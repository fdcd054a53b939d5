"""Who is asked for what: with a known probability, not too often, and the same when replayed."""

import numpy as np
import pytest
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Inspector
from tool_recognizer.core.inspection import MINUTE
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.inspection import uniform
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction

FRAME = 66_666_667  # 15 Hz


def predicted(number, probabilities=(0.98, 0.01, 0.01)):
    return Prediction(FrameKey(number * FRAME, 'camera'), ('a', 'b', 'c'),
                      np.log(np.array(probabilities)), np.zeros(1, np.float32), 'digest')


def ask(inspector, count, probabilities=(0.98, 0.01, 0.01)):
    return [inspector.consider(predicted(n, probabilities), n * FRAME) for n in range(count)]


def test_each_frame_is_asked_with_the_probability_that_it_is_told():
    inspector = Inspector(0.01, 0.1, 1e5)
    for probabilities in ((0.98, 0.01, 0.01), (0.5, 0.3, 0.2), (1 / 3, 1 / 3, 1 / 3)):
        asked = [a for a in ask(inspector, 20_000, probabilities) if a]
        told = asked[0].inclusion_probability
        assert [a.inclusion_probability for a in asked] == pytest.approx([told] * len(asked), 0.2)
        assert len(asked) == pytest.approx(20_000 * told, rel=0.15)
    assert told == pytest.approx(0.1)  # knows nothing


def test_weights_bring_back_the_mean_over_all_frames():
    """The doubted frames, asked five times as often, would make the plain mean far too high."""
    inspector = Inspector(0.02, 0.2, 1e6)
    rng = np.random.default_rng(1)
    doubted = rng.random(40_000) < 0.1
    values, weights = [], []
    for number, unsure in enumerate(doubted):
        asked = inspector.consider(
            predicted(number, (0.4, 0.3, 0.3) if unsure else (0.99, 0.005, 0.005)),
            number * FRAME)
        if asked:
            values.append(float(unsure))
            weights.append(1.0 / asked.inclusion_probability)
    assert np.mean(values) > 0.3
    assert np.average(values, weights=weights) == pytest.approx(0.1, abs=0.02)
    assert sum(weights) == pytest.approx(40_000, rel=0.1)


def test_what_goes_into_the_test_is_sampled_evenly():
    inspector = Inspector(0.02, 0.2, 1e6)
    rng = np.random.default_rng(2)
    doubted = rng.random(60_000) < 0.3
    tested = [bool(unsure) for number, unsure in enumerate(doubted)
              if (asked := inspector.consider(
                  predicted(number, (0.4, 0.3, 0.3) if unsure else (0.99, 0.005, 0.005)),
                  number * FRAME)) and asked.tested(FrameKey(number * FRAME, 'camera'))]
    assert np.mean(tested) == pytest.approx(0.3, abs=0.05)


def test_no_more_are_asked_per_minute_than_is_said_and_the_probability_knows_it():
    inspector = Inspector(0.5, 0.5, 12.0)
    asked = ask(inspector, 15 * 60 * 10)
    per_minute = [sum(a is not None for a in asked[start:start + 900])
                  for start in range(0, 9000, 900)]
    assert max(per_minute) <= 15
    assert sum(per_minute) == pytest.approx(120, abs=3)
    weights = [1.0 / a.inclusion_probability for a in asked if a]
    assert sum(weights) == pytest.approx(9000, rel=0.05)


def test_a_slow_line_is_asked_for_every_tool_where_that_is_wanted():
    inspector = Inspector(1.0, 1.0, 12.0)
    asked = [inspector.consider(predicted(n), n * 10 * 1_000_000_000) for n in range(1, 50)]
    assert [a.inclusion_probability for a in asked[1:]] == pytest.approx([1.0] * 48)


def test_no_rhythm_of_the_line_can_lock_in():
    """The belt brings a tool every 50 frames, as often as one frame is asked for."""
    inspector = Inspector(0.02, 0.02, 1e6)
    asked = [n for n, a in enumerate(ask(inspector, 50_000)) if a]
    phases = np.histogram(np.array(asked) % 50, 10, (0, 50))[0]
    assert phases.min() > 60
    assert phases.max() < 140


def test_a_recording_played_again_asks_for_the_same_frames():
    first, second = (Inspector(0.01, 0.1, 60.0) for _ in range(2))
    assert ask(first, 5000) == ask(second, 5000)


def test_requests_are_counted_as_answered_or_expired_never_both():
    requests = Requests(MINUTE)
    keys = [FrameKey(n * FRAME, 'camera') for n in range(4)]
    for n, key in enumerate(keys):
        requests.ask(key, n)
    assert (requests.open, requests.asked) == (4, 4)
    requests.answer(keys[0])
    requests.answer(keys[0])
    requests.expire(MINUTE + 2)
    assert (requests.answered, requests.expired, requests.open) == (1, 1, 2)
    requests.answer(keys[1])
    assert requests.answered == 1
    requests.expire(1)  # a clock that jumps back: how long they wait is not known
    assert (requests.answered, requests.expired, requests.open) == (1, 3, 0)


def test_requests_of_a_state_are_what_they_were():
    first = Requests(MINUTE)
    for n in range(5):
        first.ask(FrameKey(n, 'camera'), 10 * n)
    first.answer(FrameKey(1, 'camera'))
    first.expire(MINUTE + 1)
    second = Requests.from_state(first.to_state())
    for requests in (first, second):
        requests.answer(FrameKey(4, 'camera'))
        requests.expire(MINUTE + 21)
    assert second.to_state() == first.to_state()
    assert (second.asked, second.answered, second.expired, second.open) == (5, 2, 2, 1)


def test_no_time_to_answer_is_refused():
    with pytest.raises(ValueError, match='positive, got 0'):
        Requests(0)


def test_a_clock_that_jumps_back_does_not_stop_the_asking():
    inspector = Inspector(0.05, 0.05, 60.0)
    assert any(ask(inspector, 2000))
    assert any(ask(inspector, 2000))


def test_nobody_is_asked_without_a_floor():
    assert not any(ask(Inspector(0.0, 0.5, 60.0), 1000))


@pytest.mark.parametrize('arguments', [
    (-0.1, 0.1, 1.0), (0.2, 0.1, 1.0), (0.1, 1.1, 1.0), (0.1, 0.1, 0.0)])
def test_impossible_parameters_are_refused(arguments):
    with pytest.raises(ValueError, match=r'needed|positive'):
        Inspector(*arguments)
    with pytest.raises(ValueError, match='inclusion_probability'):
        Asked(0.0)


def test_draws_are_uniform_and_independent_of_each_other():
    keys = [FrameKey(n * FRAME, 'camera') for n in range(20_000)]
    ask, test = (np.array([uniform(key, purpose) for key in keys]) for purpose in ('ask', 'test'))
    for draws in (ask, test):
        counts = np.histogram(draws, 20, (0.0, 1.0))[0]
        assert np.sum((counts - 1000) ** 2 / 1000) < 44  # chi square, 19 degrees, 0.1 %
    assert abs(np.corrcoef(ask, test)[0, 1]) < 0.03
    assert abs(np.corrcoef(ask[1:], ask[:-1])[0, 1]) < 0.03
