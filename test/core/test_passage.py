"""The frames of one object have one answer: their likelihoods add up, and it is given early."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from tool_recognizer.core.decision import DRIFT
from tool_recognizer.core.decision import NOT_A_KNOWN_TOOL
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.passage import combine
from tool_recognizer.core.passage import COUNTS
from tool_recognizer.core.passage import fit_correlation
from tool_recognizer.core.passage import Passage
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.core.passage import UNDECIDED
from tool_recognizer.core.passage import UNFIT
from tool_recognizer.core.passage import UNLIKE
from tool_recognizer.core.passage import worth
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction

LABELS = ('hammer', 'screwdriver', 'wrench')
RULES = PassageRules(0.97, 2, 0.25)
LOGITS = st.lists(st.floats(-8, 8), min_size=3, max_size=3)
FRAMES = st.lists(LOGITS, min_size=1, max_size=8).map(
    lambda rows: log_softmax(np.array(rows), 1.0))
CORRELATION = st.floats(0, 1)


def predicted(stamp, probabilities, frame_id='bench'):
    with np.errstate(divide='ignore'):
        return Prediction(FrameKey(stamp, frame_id), LABELS, np.log(np.array(probabilities)),
                          NO_FEATURES, 'a')


def seen(*frames, rules=RULES):
    """Show a passage frames: probabilities, and perhaps what they are to it."""
    passage = Passage(1, 0, 'present', LABELS)
    for stamp, (probabilities, *part) in enumerate(frames, 1):
        passage.take(predicted(stamp, probabilities), *(part or [COUNTS]), rules)
    return passage


HAMMER, WRENCH = [0.9, 0.05, 0.05], [0.05, 0.05, 0.9]


@given(FRAMES, CORRELATION)
def test_one_frame_is_its_own_answer_and_the_order_of_frames_does_not_matter(log_p, correlation):
    assert np.allclose(combine(log_p[0], 1, correlation), log_p[0])
    forth, back = (combine(rows.sum(axis=0), len(rows), correlation)
                   for rows in (log_p, log_p[::-1]))
    assert np.allclose(forth, back)
    assert np.exp(forth).sum() == pytest.approx(1.0)


@given(FRAMES, st.lists(st.floats(0.05, 1), min_size=3, max_size=3))
def test_independent_frames_are_multiplied_as_bayes_has_it(log_p, prior):
    prior = np.array(prior) / np.sum(prior)
    # p(y) prod p(x | y), with p(x | y) = p(y | x) p(x) / p(y)
    joint = prior * np.prod(np.exp(log_p) / prior, axis=0)
    got = combine(log_p.sum(axis=0), len(log_p), 0.0, np.log(prior))
    assert np.exp(got) == pytest.approx(joint / joint.sum(), rel=1e-6, abs=1e-12)


@given(FRAMES)
def test_frames_that_are_all_alike_are_worth_their_geometric_mean(log_p):
    mean = log_p.mean(axis=0)
    assert np.allclose(combine(log_p.sum(axis=0), len(log_p), 1.0), log_softmax(mean, 1.0))


@given(LOGITS, CORRELATION, st.integers(1, 1000))
def test_repeating_a_frame_makes_it_no_surer_than_the_correlation_allows(
        logits, correlation, times):
    log_p = log_softmax(np.array(logits), 1.0)
    got = combine(times * log_p, times, correlation)
    odds, single = got.max() - got.min(), log_p.max() - log_p.min()
    limit = times if correlation == 0 else min(times, 1 / correlation)
    assert odds <= single * limit * (1 + 1e-9) + 1e-9


@given(st.integers(1, 10_000), CORRELATION)
def test_each_frame_is_worth_less_the_more_there_are_and_all_are_worth_more(frames, correlation):
    assert 0.0 < worth(frames + 1, correlation) <= worth(frames, correlation) <= 1.0
    assert (frames + 1) * worth(frames + 1, correlation) >= frames * worth(
        frames, correlation) * (1 - 1e-12)


def test_a_label_that_a_frame_ruled_out_stays_so_and_a_contradiction_leaves_the_prior():
    with np.errstate(divide='ignore'):
        total = np.log([0.0, 0.5, 0.5]) + np.log([0.1, 0.9, 0.0])
        nothing = np.log([0.0, 0.5, 0.5]) + np.log([1.0, 0.0, 0.0])
    assert np.exp(combine(total, 2, 0.5)) == pytest.approx([0, 1, 0])
    assert np.exp(combine(nothing, 2, 0.5)) == pytest.approx([1 / 3] * 3)


def test_it_is_decided_as_soon_as_it_is_sure_and_the_answer_stays():
    passage = seen([HAMMER], [HAMMER], [WRENCH], [WRENCH])
    assert passage.verdict.key == FrameKey(2, 'bench')
    assert passage.verdict.decision.class_id == 'hammer'
    assert passage.verdict.decision.score == pytest.approx(
        np.exp(combine(2 * np.log(np.array(HAMMER)), 2, RULES.correlation))[0])
    before = passage.verdict
    passage = seen([HAMMER], [HAMMER], *[[WRENCH]] * 8)
    assert passage.contradictions > 0
    assert passage.end(99, RULES).log_probabilities.tolist() == before.log_probabilities.tolist()
    assert (passage.answer_count, passage.count) == (2, 10)


def test_no_frame_alone_decides_where_two_are_wanted():
    assert seen([[0.999, 0.0005, 0.0005]]).verdict is None


@pytest.mark.parametrize(('frames', 'answer', 'count'), [
    ([], UNDECIDED, 0),
    ([[HAMMER], [WRENCH]], UNDECIDED, 2),
    ([[HAMMER, UNFIT], [HAMMER, UNFIT], [HAMMER]], UNDECIDED, 1),
    ([[HAMMER, UNLIKE], [HAMMER, UNLIKE], [HAMMER]], NOT_A_KNOWN_TOOL, 3),
])
def test_what_is_not_sure_at_the_end_says_why(frames, answer, count):
    verdict = seen(*frames).end(99, RULES)
    assert (verdict.decision.class_id, verdict.decision.score) == (answer, 0.0)
    assert verdict.frames == count
    assert (verdict.log_probabilities is None) == (count == 0)


def test_under_a_drift_alarm_the_answer_is_that_there_is_none_where_a_label_would_be_given():
    alone, alarmed = (Passage(1, 0, 'present', LABELS) for _ in range(2))
    for stamp, probabilities in enumerate([HAMMER, HAMMER, WRENCH, HAMMER], 1):
        alone.take(predicted(stamp, probabilities), COUNTS, RULES)
        alarmed.take(predicted(stamp, probabilities), COUNTS, RULES, drifted=True)
    assert alone.verdict.decision.class_id == 'hammer'
    verdict = alarmed.end(99, RULES)
    assert (verdict.decision.class_id, verdict.decision.score) == (DRIFT, 0.0)
    assert (verdict.key, verdict.frames) == (alone.verdict.key, alone.verdict.frames)
    # What is confirmed is scored on the same answer.
    assert (verdict.log_probabilities == alone.verdict.log_probabilities).all()
    assert alarmed.contradictions == 0


def test_a_passage_that_is_not_sure_under_a_drift_alarm_says_so_at_its_end():
    passage = Passage(1, 0, 'present', LABELS)
    passage.take(predicted(1, HAMMER), COUNTS, RULES, drifted=True)
    assert passage.verdict is None
    assert passage.end(99, RULES).decision.class_id == DRIFT


@pytest.mark.parametrize('key', [(1, 'bench'), (0, 'bench'), (3, 'other')])
def test_a_frame_whose_stamp_does_not_go_on_or_of_another_camera_does_not_count(key):
    passage = Passage(1, 0, 'present', LABELS)
    assert passage.take(predicted(1, HAMMER), COUNTS, RULES)
    assert not passage.take(predicted(key[0], HAMMER, key[1]), COUNTS, RULES)
    assert (passage.count, passage.unfit, passage.verdict) == (1, 1, None)


def test_frames_of_another_camera_in_between_take_nothing_from_a_passage():
    passage = Passage(1, 0, 'present', LABELS)
    for stamp in range(1, 5):
        passage.take(predicted(stamp, HAMMER), COUNTS, RULES)
        passage.take(predicted(stamp, WRENCH, 'other'), COUNTS, RULES)
    assert (passage.frames, passage.count, passage.unfit) == (8, 4, 4)
    assert passage.verdict.decision.class_id == 'hammer'
    assert passage.verdict.key == FrameKey(2, 'bench')
    assert passage.last == FrameKey(4, 'bench')
    assert passage.contradictions == 0


def passages_of(rng, number, frames, shared):
    """Draw passages whose frames' logits share noise of a variance, and have their own."""
    for _ in range(number):
        label = rng.integers(3)
        common = rng.normal(0, np.sqrt(shared), 3)
        logits = np.eye(3)[label] + common + rng.normal(0, np.sqrt(1 - shared), (frames, 3))
        yield np.eye(3)[label], log_softmax(logits, 1.0).sum(axis=0), frames


@pytest.mark.parametrize('shared', [0.0, 0.3, 1.0])
def test_the_likeliest_correlation_is_the_one_of_the_noise(shared):
    """Of Gaussian logits, LLR = x_label / variance: with variance 1 the formula is exact."""
    drawn = passages_of(np.random.default_rng(1), 4000, 6, shared)
    fit = fit_correlation(*zip(*drawn, strict=True), 0.5)
    assert fit.correlation == pytest.approx(shared, abs=0.07)
    assert fit.passages == 4000
    assert fit.nll <= fit.nll_in_use
    assert fit.nll <= fit.nll_of_frames + 1e-9


def test_the_interval_of_the_correlation_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    fits = [fit_correlation(*zip(*passages_of(rng, 150, 6, 0.3), strict=True), 0.5)
            for _ in range(50)]
    assert np.mean([fit.low <= 0.3 <= fit.high for fit in fits]) > 0.85
    assert all(fit.low <= fit.correlation <= fit.high for fit in fits)
    many = fit_correlation(*zip(*passages_of(rng, 3000, 6, 0.3), strict=True), 0.5)
    assert many.high - many.low < 0.5 * np.mean([fit.high - fit.low for fit in fits])


def test_without_confirmed_passages_nothing_is_fitted():
    assert fit_correlation([], [], [], 0.5).passages == 0
    assert np.isnan(fit_correlation([], [], [], 0.5).correlation)
