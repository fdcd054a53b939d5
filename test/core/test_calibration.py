"""Calibration against scikit-learn and against what it means."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve
from tool_recognizer.core.calibration import auroc
from tool_recognizer.core.calibration import brier_scores
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.calibration import false_positive_rate
from tool_recognizer.core.calibration import fit_temperature
from tool_recognizer.core.calibration import reliability
from tool_recognizer.core.calibration import risk_coverage
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll

seeds = st.integers(0, 2**32 - 1)


def answers(seed, rows=200, labels=3, scale=2.0):
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(rows, labels)), rng.integers(labels, size=rows)


@given(seeds, st.floats(0.3, 4.0))
@settings(max_examples=20, deadline=None)
def test_the_temperature_of_a_model_that_is_too_sure_is_found(seed, temperature):
    logits, _ = answers(seed, 4000)
    rng = np.random.default_rng(seed + 1)
    p = np.exp(log_softmax(logits))
    labels = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.15)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_no_other_temperature_has_a_lower_nll(seed):
    logits, labels = answers(seed)
    best = fit_temperature(logits, labels)
    at = nll(log_softmax(logits, best), labels).mean()
    for other in np.geomspace(0.05, 20, 60):
        assert at <= nll(log_softmax(logits, other), labels).mean() + 1e-6


def test_faultless_answers_do_not_make_the_model_infinitely_sure():
    assert fit_temperature([[3.0, 0.0], [0.0, 2.0]], [0, 1]) == 1.0


def test_right_answers_alone_may_be_as_sure_as_their_number_says():
    """With equal margins m the softened NLL is least where softmax(m / T) is 1 - unseen."""
    logits, labels = np.eye(3) * 0.5, np.arange(3)
    for unseen in (0.2, 0.02, 0.002):
        temperature = fit_temperature(logits, labels, unseen=unseen)
        sure = np.exp(log_softmax(logits[0] / temperature))[0]
        assert sure == pytest.approx(max(1.0 - unseen, 0.0), abs=1e-4)
    # Where an answer is wrong, the data say it themselves.
    assert fit_temperature(logits, [0, 1, 1], unseen=0.3) == fit_temperature(logits, [0, 1, 1])


def test_a_temperature_from_no_answers_is_refused():
    with pytest.raises(ValueError, match='at least one answer'):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, int))


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_calibration_error_is_the_mean_gap_of_the_bins(seed):
    logits, labels = answers(seed)
    log_p = log_softmax(logits)
    top, right = np.exp(log_p).max(axis=1), log_p.argmax(axis=1) == labels
    # Written down again from the definition, bin by bin.
    expected = 0.0
    for lower in np.arange(15) / 15:
        inside = (top > lower) & (top <= lower + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - top[inside].mean())
    assert expected_calibration_error(log_p, labels) == pytest.approx(expected, abs=1e-9)


def test_every_answer_is_in_one_bin():
    logits, labels = answers(1)
    assert sum(b.count for b in reliability(log_softmax(logits), labels)) == len(labels)


def test_sure_answers_fall_into_the_last_bin():
    sure = log_softmax([[800.0, 0.0], [0.0, 900.0]])
    assert reliability(sure, [0, 1])[-1].count == 2


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_brier_and_log_loss_agree_with_independent_implementations(seed):
    logits, labels = answers(seed)
    log_p = log_softmax(logits)
    one_hot = np.eye(3)[labels]
    assert brier_scores(log_p, labels).mean() == pytest.approx(
        sum(((np.exp(log_p[:, k]) - one_hot[:, k])**2).mean() for k in range(3)), abs=1e-12)
    assert nll(log_p, labels).mean() == pytest.approx(
        log_loss(labels, np.exp(log_p), labels=[0, 1, 2]), abs=1e-9)


@given(seeds, st.booleans())
@settings(max_examples=40, deadline=None)
def test_ranking_agrees_with_scikit_learn_with_and_without_ties(seed, coarse):
    rng = np.random.default_rng(seed)
    high, low = rng.normal(0.7, 1, 60), rng.normal(0, 1, 80)
    if coarse:
        high, low = high.round(), low.round()
    truth, scores = np.repeat([1, 0], [60, 80]), np.concatenate([high, low])
    assert auroc(high, low) == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert false_positive_rate(high, low) == pytest.approx(fpr[np.argmax(tpr >= 0.95 - 1e-9)])


def test_without_a_side_there_is_nothing_to_rank():
    assert np.isnan(auroc([1.0], []))
    assert np.isnan(false_positive_rate([], [1.0]))


@given(seeds, st.booleans())
@settings(max_examples=30, deadline=None)
def test_risk_is_the_share_of_wrong_ones_among_those_that_a_threshold_answers(seed, coarse):
    rng = np.random.default_rng(seed)
    doubt = rng.integers(4, size=40) / 4 if coarse else rng.random(40)
    wrong = rng.random(40) < 0.3
    coverage, risk = risk_coverage(doubt, wrong)
    thresholds = np.unique(doubt)
    assert len(coverage) == len(thresholds)
    for c, r, threshold in zip(coverage, risk, thresholds, strict=True):
        assert c == pytest.approx(np.mean(doubt <= threshold))
        assert r == pytest.approx(wrong[doubt <= threshold].mean())


def test_without_answers_there_is_no_risk():
    coverage, risk = risk_coverage([], [])
    assert len(coverage) == len(risk) == 0
