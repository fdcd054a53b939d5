"""The softmax head: its optimum against an independent implementation, and when there is one."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.softmax_regression import fit_head
from tool_recognizer.core.softmax_regression import label_weights
from tool_recognizer.core.softmax_regression import objective
from tool_recognizer.core.softmax_regression import separation
from tool_recognizer.core.softmax_regression import SoftmaxHead

seeds = st.integers(0, 2**32 - 1)


def data(seed, rows=60, size=4, labels=3, noise=1.5):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(labels), rng.integers(labels, size=rows - labels)])
    x = rng.normal(size=(labels, size))[y] + noise * rng.normal(size=(rows, size))
    return x, y


def mean_nll(head, x, y):
    return -log_softmax(head.logits(x))[np.arange(len(y)), y].mean()


@given(seeds, st.floats(0.0, 2.0))
@settings(max_examples=25, deadline=None)
def test_the_gradient_is_the_numerical_derivative(seed, strength):
    rng = np.random.default_rng(seed)
    x, q = rng.normal(size=(7, 3)), rng.dirichlet(np.ones(4), 7)
    s, mean = rng.dirichlet(np.ones(7)), rng.normal(size=(3, 4))

    def value(parameters):
        return objective(parameters, x, q, s, strength, mean)[0]

    def gradient(parameters):
        return objective(parameters, x, q, s, strength, mean)[1]

    assert check_grad(value, gradient, rng.normal(size=16)) < 1e-5


@given(seeds, st.sampled_from([0.003, 0.1, 2.0]))
@settings(max_examples=15, deadline=None)
def test_the_optimum_is_not_above_scikit_learns(seed, strength):
    x, y = data(seed)
    ours = fit_head(x, y, strength)
    # scikit-learn minimises sum NLL + ||W||^2 / (2 C).
    theirs = LogisticRegression(C=1 / (strength * len(y)), tol=1e-10, max_iter=10_000).fit(x, y)
    their_head = SoftmaxHead(theirs.coef_.T, theirs.intercept_)

    def penalised(head):
        return mean_nll(head, x, y) + strength / 2 * np.sum(head.weight**2)

    assert penalised(ours) <= penalised(their_head) + 1e-9
    assert mean_nll(ours, x, y) <= mean_nll(their_head, x, y) + 1e-6


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_at_the_optimum_the_mean_prediction_is_the_weighted_label_frequency(seed):
    x, y = data(seed)
    weights = label_weights(y, 3)
    head = fit_head(x, y, 0.05, row_weights=weights)
    predicted = weights @ np.exp(log_softmax(head.logits(x)))
    assert np.allclose(predicted, 1 / 3, atol=1e-5)


def test_a_strong_prior_leaves_its_mean_and_a_weak_one_leaves_the_data():
    x, y = data(0)
    believed = np.random.default_rng(1).normal(size=(4, 3))
    assert np.allclose(fit_head(x, y, 1e6, prior_mean=believed).weight, believed, atol=1e-5)
    weak = fit_head(x, y, 1e-8, prior_mean=believed)
    plain = fit_head(x, y, 0.0)
    assert mean_nll(weak, x, y) == pytest.approx(mean_nll(plain, x, y), abs=1e-5)


def test_a_row_counts_as_often_as_its_weight_says():
    x, y = data(2, rows=20)
    twice = fit_head(np.concatenate([x, x[:5]]), np.concatenate([y, y[:5]]), 0.1)
    weighted = fit_head(x, y, 0.1, row_weights=np.where(np.arange(20) < 5, 2.0, 1.0))
    assert np.allclose(twice.weight, weighted.weight, atol=1e-4)


def test_soft_targets_are_fitted_as_the_mixture_of_their_labels():
    x = np.random.default_rng(3).normal(size=(15, 3))
    q = np.random.default_rng(4).dirichlet(np.ones(3), 15)
    soft = fit_head(x, q, 0.1)
    hard = fit_head(np.repeat(x, 3, axis=0), np.tile([0, 1, 2], 15), 0.1, row_weights=q.ravel())
    assert np.allclose(soft.weight, hard.weight, atol=1e-4)


def test_large_features_are_fitted_as_well_as_small_ones():
    x, y = data(5)
    head, large = fit_head(x, y, 1.0), fit_head(x * 1e4, y, 1e8)
    assert mean_nll(large, x * 1e4, y) == pytest.approx(mean_nll(head, x, y), abs=1e-6)


def test_sharpening_is_a_division_of_the_logits():
    x, y = data(6)
    head = fit_head(x, y, 0.1)
    assert np.allclose(head.sharpened(1.7).logits(x), head.logits(x) / 1.7)


def test_data_that_planes_separate_have_no_maximum_without_a_prior():
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    with pytest.raises(ValueError, match='use a prior strength above 0'):
        fit_head(x, [0, 0, 1, 1], 0.0)
    assert np.all(np.isfinite(fit_head(x, [0, 0, 1, 1], 0.01).weight))


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_separation_agrees_with_how_far_the_likelihood_goes(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(12, 2)).round(1)
    y = np.concatenate([[0, 1], (x[2:] @ rng.normal(size=2) + rng.normal(size=10) * 0.4 > 0)])
    y = y.astype(int)
    found = separation(x, y)
    # With a vanishing prior the NLL goes to 0 exactly if every row can be got right.
    limit = mean_nll(fit_head(x, y, 1e-9, tolerance=1e-9), x, y)
    assert (found == 'complete') == (limit < 1e-3)


def test_separation_of_three_labels():
    corners = np.array([[0.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    y = np.repeat([0, 1, 2], 3)
    x = corners[y] + np.tile([[0, 0], [0.1, 0], [0, 0.1]], (3, 1))
    assert separation(x, y) == 'complete'
    inside = np.concatenate([x, np.zeros((3, 2))])
    assert separation(inside, np.concatenate([y, [0, 1, 2]])) != 'complete'


def test_a_label_that_never_came_leaves_the_likelihood_without_a_maximum():
    x, y = data(7)
    assert separation(x, y, 4) == 'quasi-complete'


@pytest.mark.parametrize(('features', 'targets', 'words'), [
    ([], [], 'at least one row'),
    ([[np.nan]], [0], 'row 0 is not'),
    ([[1.0], [2.0]], [0], '2 rows, 1 targets'),
    ([[1.0]], [[0.5, 0.4]], 'sum 1'),
    ([[1.0], [2.0]], [0, 0], 'at least 2 labels'),
])
def test_data_that_cannot_be_fitted_are_refused(features, targets, words):
    with pytest.raises(ValueError, match=words):
        fit_head(np.array(features, float), np.array(targets), 0.1)


@given(seeds, st.sampled_from([0.01, 1.0]))
@settings(max_examples=10, deadline=None)
def test_with_more_features_than_rows_the_gradient_is_zero_in_all_directions(seed, strength):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(12, 40)), rng.integers(3, size=12)
    mean = rng.normal(size=(40, 3))
    q, s = np.eye(3)[y], np.full(12, 1 / 12)
    start = SoftmaxHead(rng.normal(size=(40, 3)), np.zeros(3))
    for begin in (None, start):
        head = fit_head(x, q, strength, prior_mean=mean, start=begin)
        found = np.concatenate([head.weight.ravel(), head.bias])
        gradient = objective(found, x, q, s, strength, mean)[1]
        assert np.abs(gradient).max() < 1e-6
