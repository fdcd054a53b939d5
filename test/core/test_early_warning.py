"""The early warning: fair bets, one sample an object, and it sees doubt and another mix."""

from itertools import permutations
import json

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from tool_recognizer.core.drift import Reference
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampler
from tool_recognizer.core.information import log_softmax

SECOND = 1_000_000_000


def answers(rng, count, labels=3, sharpness=1.0, mix=None):
    """Answers of a model to `count` tools, some of them hard."""
    shown = rng.choice(labels, size=count, p=mix)
    z = 3.0 * (2.0 * np.eye(labels)[shown] + rng.standard_normal((count, labels)))
    return log_softmax(sharpness * z)


def feed(test, rows):
    for row in rows:
        test.update(row)
    return test


def until_warning(test, rows):
    for at, row in enumerate(rows):
        if test.update(row):
            return at + 1
    return None


def state(test):
    return json.dumps(test.to_state(), default=np.ndarray.tolist)


# --- the bets are fair ------------------------------------------------------------------------

@given(labels=st.integers(2, 9), predicted=st.integers(0, 8), size=st.integers(1, 500))
@settings(max_examples=60, deadline=None)
def test_every_bet_on_doubt_pays_1_on_average(labels, predicted, size):
    test = EarlyWarning(labels)
    pays = [test._pay(predicted % labels, rank, size) for rank in range(size)]
    assert np.mean(pays, axis=0) == pytest.approx(np.ones(len(pays[0])), abs=1e-9)
    assert np.min(pays) > 0.0


def test_the_evidence_of_doubt_grows_by_1_a_sample_on_average():
    """R - t is a martingale: over all orders in which five answers can come, the mean R is 5."""
    rows = log_softmax([[2.0, 0, 0], [0, 3.0, 0], [0, 0, 1.0], [0, 4.0, 0], [1.0, 0, 0]])
    final = [feed(EarlyWarning(3), order).to_state()['doubt'] for order in permutations(rows)]
    assert np.mean(final, axis=0) == pytest.approx(np.full(len(final[0]), 5.0), abs=1e-9)
    assert np.std(final, axis=0)[:6].min() > 0.1


@pytest.mark.parametrize('mix', [[0.34, 0.33, 0.33], [0.9, 0.09, 0.01]])
def test_the_evidence_of_the_mix_grows_by_1_a_sample_on_average(mix):
    final = np.array([
        feed(EarlyWarning(3, seed=run), answers(np.random.default_rng([1, run]), 15, mix=mix)
             ).to_state()['mix'] for run in range(1500)])
    error = final.std() / np.sqrt(len(final))
    assert abs(final.mean() - 15.0) < 4.0 * error
    assert 0.01 < error < 1.0


@pytest.mark.parametrize('reference', [0, 300])
def test_false_warnings_are_as_rare_as_promised(reference):
    """P(warning within n samples) <= n / N, here N = 100 and n = 50."""
    warnings = 0
    for run in range(300):
        rng = np.random.default_rng([2, run])
        known = answers(rng, reference)
        test = EarlyWarning(3, Reference(known, np.eye(3)[known.argmax(axis=1)])
                            if reference else None, run_length=100.0, seed=run)
        warnings += feed(test, answers(rng, 50)).warning
    # 150 would be the promise broken exactly in the mean.
    assert 0 < warnings <= 150


def test_another_mix_is_not_doubt():
    """The entropies are ranked within the predicted label."""
    warnings = 0
    for run in range(20):
        rng = np.random.default_rng([3, run])
        test = feed(EarlyWarning(3, mix=False, seed=run), answers(rng, 400))
        warnings += feed(test, answers(rng, 300, mix=[0.6, 0.3, 0.1])).warning
    assert warnings <= 2


# --- what it sees -----------------------------------------------------------------------------

def test_doubt_is_seen_early():
    delays = []
    for run in range(10):
        rng = np.random.default_rng([4, run])
        test = feed(EarlyWarning(3, seed=run), answers(rng, 400))
        delays.append(until_warning(test, answers(rng, 100, sharpness=0.3)))
        assert test.reason == 'unsure'
    assert max(delays) <= 40


def test_a_model_that_grows_too_sure_is_seen():
    rng = np.random.default_rng(5)
    test = feed(EarlyWarning(3), answers(rng, 400))
    assert until_warning(test, answers(rng, 150, sharpness=3.0)) is not None
    assert test.reason == 'sure'


def test_the_label_that_is_in_doubt_is_named():
    rng = np.random.default_rng(6)
    test = feed(EarlyWarning(3), answers(rng, 400))
    rows = answers(rng, 400)
    rows = np.where((rows.argmax(axis=1) == 1)[:, np.newaxis], log_softmax(0.3 * rows), rows)
    assert until_warning(test, rows) is not None
    assert test.reason == 'unsure:1'


def test_another_mix_is_seen_as_such_and_only_if_wanted():
    rng = np.random.default_rng(7)
    before, after = answers(rng, 400), answers(rng, 200, mix=[0.8, 0.1, 0.1])
    watching, not_watching = (feed(EarlyWarning(3, mix=mix), before) for mix in (True, False))
    assert until_warning(watching, after) <= 100
    assert watching.reason == 'mix'
    assert until_warning(not_watching, after) is None


def test_a_reference_tells_what_is_wrong_from_the_start():
    rng = np.random.default_rng(8)
    reference = Reference(answers(rng, 500), np.eye(3)[rng.integers(3, size=500)])
    spoilt = answers(rng, 200, sharpness=0.3)
    assert until_warning(EarlyWarning(3, reference), spoilt) is not None
    assert until_warning(EarlyWarning(3), spoilt) is None


@pytest.mark.parametrize('labels', [2, 40, 1000])
def test_any_number_of_labels(labels):
    rng = np.random.default_rng(9)
    test = feed(EarlyWarning(labels), answers(rng, 300, labels, sharpness=2.0))
    assert not test.warning
    assert until_warning(test, answers(rng, 300, labels, mix=np.eye(labels)[0])) is not None


# --- restart, reset, what is refused ----------------------------------------------------------

@given(cut=st.integers(0, 220), reference=st.booleans(), reset=st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_restart_at_any_point_changes_nothing(cut, reference, reset):
    rng = np.random.default_rng(10)
    known = Reference(answers(rng, 50), np.eye(3)[rng.integers(3, size=50)])
    rows = np.concatenate([answers(rng, 150), answers(rng, 70, sharpness=0.3)])
    straight, restarted = (EarlyWarning(3, known if reference else None, run_length=50.0)
                           for _ in range(2))
    for at, row in enumerate(rows):
        if at == cut:
            restarted = EarlyWarning.from_state(json.loads(state(restarted)))
        if reset and at == 100:
            straight.reset()
            restarted.reset()
        assert straight.update(row) == restarted.update(row)
        assert straight.evidence == restarted.evidence
    assert state(straight) == state(restarted)


def test_a_reset_takes_the_present_as_normal():
    rng = np.random.default_rng(11)
    test = feed(EarlyWarning(3), answers(rng, 300))
    feed(test, answers(rng, 100, sharpness=0.3))
    assert test.warning
    test.reset()
    assert (test.warning, test.reason, test.n_samples, test.evidence) == (False, '', 0, 0.0)
    assert not feed(test, answers(rng, 300, sharpness=0.3)).warning


def test_a_warning_stays_and_its_evidence_finite():
    rng = np.random.default_rng(12)
    test = feed(EarlyWarning(3), answers(rng, 300))
    feed(test, np.tile(np.log([0.34, 0.33, 0.33]), (3000, 1)))
    assert test.warning
    assert np.isfinite(test.evidence)
    json.dumps(test.to_state(), allow_nan=False, default=np.ndarray.tolist)


def test_the_lists_stop_growing():
    test = feed(EarlyWarning(2), answers(np.random.default_rng(13), 4000, 2))
    assert all(len(ranked) <= 1500 for ranked in test._lists)


@pytest.mark.parametrize('row', [[-0.7, -0.7], [np.nan] * 3, [0.7, 0.2, 0.1], [-9.0] * 3])
def test_what_is_no_answer_changes_nothing(row):
    test = feed(EarlyWarning(3), answers(np.random.default_rng(14), 20))
    before = state(test)
    with pytest.raises(ValueError, match=r'log-probabilities|sum to 1'):
        test.update(row)
    assert state(test) == before


def test_a_label_that_is_ruled_out_is_an_answer():
    test = EarlyWarning(3)
    test.update([0.0, -np.inf, -np.inf])
    assert EarlyWarning.from_state(json.loads(state(test))).n_samples == 1


@pytest.mark.parametrize(('arguments', 'message'), [
    ({'n_labels': 3, 'run_length': 1.0}, 'run length'),
    ({'n_labels': 1}, 'at least 2 labels'),
    ({'n_labels': 3, 'reference': Reference(np.zeros((5, 2)), np.zeros((5, 2)))}, r'\(n, 3\)'),
])
def test_what_makes_no_test_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        EarlyWarning(**arguments)


# --- samples of a video -----------------------------------------------------------------------

def video(sampler, shown, rate=15.0, start=0, noise=0.05, doubt=None, known=None):
    """Show pictures, one number a frame; return the samples with the frames that they came at."""
    rng = np.random.default_rng(15)
    samples = []
    for at, picture in enumerate(shown):
        features = np.random.default_rng(picture).standard_normal(64)
        features = (features + noise * rng.standard_normal(64)).astype(np.float32)
        row = log_softmax([0.0 if doubt is None else doubt[at], 1.0, 0.0])
        sample = sampler.look(start + round(at / rate * SECOND), row, features,
                              True if known is None else known[at])
        if sample is not None:
            samples.append((at, sample))
    return samples


def test_what_lies_still_is_one_sample():
    assert len(video(Sampler(2 * SECOND), [7] * 3000)) == 1


def test_what_passes_is_one_sample_a_window():
    """A tool every 3 s for 300 s, windows of 5 s to 10 s, 7.5 s on average."""
    samples = [at for at, _ in video(Sampler(5 * SECOND), np.repeat(np.arange(100), 45))]
    gaps = np.diff(samples) / 15.0
    assert 35 <= len(samples) <= 45
    assert gaps.min() >= 5.0
    assert gaps.max() <= 10.1
    assert gaps.std() > 1.0


def test_the_sample_is_the_middle_of_its_window():
    """Of a tool that comes, lies there and leaves, a frame is taken in which it lies there."""
    doubt = np.tile([1.0] * 5 + [-3.0] * 20 + [1.0] * 5, 40)
    samples = video(Sampler(2 * SECOND), np.repeat(np.arange(40), 30), doubt=doubt)
    assert len(samples) > 20
    assert all(row[0] < -3.0 for _, row in samples)


def test_a_frame_of_no_known_tool_is_no_sample():
    shown = np.arange(300)
    assert not video(Sampler(SECOND), shown, known=[False] * 300)
    assert video(Sampler(SECOND), shown)


def test_a_recording_that_starts_again_is_sampled_again():
    sampler = Sampler(SECOND)
    first = video(sampler, np.repeat(np.arange(20), 15))
    again = video(sampler, np.repeat(np.arange(20), 15))
    assert abs(len(first) - len(again)) <= 2


def test_a_picture_without_any_feature_is_one_sample_and_ends_nothing():
    sampler = Sampler(SECOND)
    samples = [at for at in range(12) if sampler.look(
        2 * at * SECOND, np.log([0.7, 0.2, 0.1]), np.float32([at // 4 == 1, 0.0])) is not None]
    assert samples == [1, 5, 9]


@given(cut=st.integers(0, 900))
@settings(max_examples=20, deadline=None)
def test_a_sampler_that_is_resumed_loses_at_most_the_frames_of_its_open_window(cut):
    shown = np.repeat(np.arange(60), 15)
    straight, first, second = (Sampler(3 * SECOND) for _ in range(3))
    expected = [at for at, _ in video(straight, shown)]
    before = [at for at, _ in video(first, shown[:cut])]
    second.resume(first.state())
    after = [cut + at for at, _ in video(second, shown[cut:], start=round(cut / 15 * SECOND))]
    assert set(before + after) <= set(expected)
    assert len(before + after) >= len(expected) - 1


def test_a_long_window_of_a_fast_camera_keeps_few_frames():
    sampler = Sampler(1000 * SECOND)
    video(sampler, [3] * 20_000, rate=120.0)
    assert len(sampler._frames) < 64


@pytest.mark.parametrize('arguments', [(0,), (SECOND, 1.0), (SECOND, 0.0)])
def test_what_makes_no_sampler_is_refused(arguments):
    with pytest.raises(ValueError, match=r'interval|alike'):
        Sampler(*arguments)
