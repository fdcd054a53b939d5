"""A whole recording in figures, and two recordings of the same frames beside each other."""

from dataclasses import fields

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss
from sklearn.metrics import confusion_matrix
from sklearn.metrics import log_loss
from sklearn.metrics import precision_score
from sklearn.metrics import recall_score
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.means import Means
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.scorecard import compare
from tool_recognizer.core.scorecard import score

LABELS = ('hammer', 'screwdriver', 'wrench')


def sample(seed, n=200):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3))
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_p, rng.integers(3, size=n)


def test_the_figures_are_those_of_scikit_learn():
    log_p, truth = sample(1)
    card = score(LABELS, log_p, np.eye(3)[truth])
    best = log_p.argmax(axis=1)
    assert card.n == 200
    assert card.nll == pytest.approx(log_loss(truth, np.exp(log_p)), abs=1e-12)
    assert card.accuracy == pytest.approx(np.mean(best == truth), abs=1e-12)
    assert (card.accuracy_ci_low, card.accuracy_ci_high) == pytest.approx(
        stats.binomtest(int(np.sum(best == truth)), 200).proportion_ci(method='wilson'))
    assert card.brier == pytest.approx(
        sum(brier_score_loss(truth == k, np.exp(log_p[:, k])) for k in range(3)), abs=1e-12)
    costs = ((np.exp(log_p) - np.eye(3)[truth])**2).sum(axis=1)
    # Skewed a little, and so of about the symmetric interval's size.
    assert (card.brier_ci_low, card.brier_ci_high) == pytest.approx(
        stats.t.interval(0.95, 199, costs.mean(), stats.sem(costs)), abs=0.02)
    assert card.confusion.tolist() == confusion_matrix(truth, best).tolist()
    for k, label in enumerate(LABELS):
        part = card.per_label[label]
        assert part.recall == recall_score(truth, best, average=None)[k]
        assert part.precision == precision_score(truth, best, average=None)[k]
        assert part.nll == pytest.approx(-log_p[truth == k, k].mean(), abs=1e-12)


def test_the_worked_example():
    card = score(('wrench', 'screwdriver', 'hammer'), np.log([[0.7, 0.2, 0.1]]),
                 np.array([[1.0, 0.0, 0.0]]))
    assert card.nll == card.kl == card.cross_entropy == pytest.approx(0.3567, abs=5e-5)
    assert card.accuracy == 1.0


def test_cross_entropy_is_entropy_plus_divergence_for_soft_labels():
    log_p, _ = sample(2)
    q = np.random.default_rng(3).dirichlet([1.0, 1.0, 1.0], size=200)
    card = score(LABELS, log_p, q)
    assert card.cross_entropy == pytest.approx(card.entropy + card.kl, abs=1e-12)
    assert card.nll_ci_low < card.nll < card.nll_ci_high
    assert card.marginal_kl < card.kl


def test_a_label_that_was_ruled_out_costs_inf():
    card = score(('a', 'b'), np.array([[-np.inf, 0.0], [0.0, -np.inf]]), np.eye(2))
    assert card.nll == card.kl == np.inf
    assert card.accuracy == 0.0


def test_without_a_confirmed_frame_nothing_is_known():
    card = score(LABELS, np.zeros((0, 3)), np.zeros((0, 3)))
    assert card.n == 0
    assert np.isnan([card.nll, card.accuracy, card.kl, card.ece, card.brier]).all()
    assert card.per_label['wrench'].count == 0
    assert np.isnan(card.per_label['wrench'].recall)


def test_the_monitors_window_tells_the_very_numbers_of_the_scorecard():
    log_p, _ = sample(5, n=50)
    q = np.random.default_rng(6).dirichlet([1.0, 1.0, 1.0], size=50)
    monitor = Monitor(LABELS, DriftDetector(3), window=50)
    for number, row in enumerate(log_p):
        key = FrameKey(number, 'camera')
        monitor.expect(Prediction(key, LABELS, row, np.zeros(0), ''))
        monitor.confirm(Confirmation(key, dict(zip(LABELS, q[number], strict=True))))
    # The monitor normalises once more what came through a message.
    card, window = score(LABELS, log_p, q / q.sum(axis=1, keepdims=True)), monitor.figures()
    for field in fields(Means):
        assert getattr(card, field.name) == getattr(window, field.name), field.name


def costs(values):
    return {FrameKey(number, 'camera'): value for number, value in enumerate(values)}


def test_what_both_runs_share_cancels():
    hard = np.random.default_rng(4).exponential(size=100)
    found = compare(costs(hard + 0.01), costs(hard))
    assert (found.n, found.missing) == (100, 0)
    assert found.difference == pytest.approx(0.01)
    assert found.worse == 1.0
    slightly = compare(costs(hard + np.tile([0.01, -0.01], 50)), costs(hard))
    assert slightly.low < 0.0 < slightly.high
    assert slightly.high - slightly.low < 0.01


def test_runs_are_identical_only_if_they_are_so_frame_by_frame():
    old = costs([0.5, 1.0, np.inf])
    assert compare(old, old).identical
    assert not compare(costs([1.0, 0.5, np.inf]), old).identical
    assert not compare(costs([0.5, 0.9, np.inf]), old).identical
    assert not compare({}, old).identical


def test_frames_are_paired_by_their_identity_and_missing_ones_are_counted():
    old = costs([1.0, 2.0, 3.0])
    new = {FrameKey(2, 'camera'): 3.5, FrameKey(0, 'camera'): 1.0, FrameKey(1, 'other'): 9.0}
    found = compare(new, old)
    assert (found.n, found.missing) == (2, 1)
    assert found.difference == pytest.approx(0.25)
    nothing = compare({}, old)
    assert (nothing.n, nothing.missing) == (0, 3)
    assert np.isnan(nothing.difference)


def test_infinite_costs_are_compared_as_far_as_they_can_be():
    inf = np.inf
    assert compare(costs([1.0, inf]), costs([1.0, 2.0])).difference == inf
    assert compare(costs([1.0, inf]), costs([2.0, inf])).difference == -0.5
    assert compare(costs([1.0, 2.0]), costs([1.0, inf])).difference == -inf
