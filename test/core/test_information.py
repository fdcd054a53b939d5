"""The laws of information theory, with SciPy as the independent oracle."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.special import log_softmax as scipy_log_softmax
from scipy.special import rel_entr
from scipy.stats import entropy as scipy_entropy
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.information import entropy
from tool_recognizer.core.information import kl_divergence
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.information import one_hot


@st.composite
def logits_pair(draw):
    size = draw(st.integers(2, 12))
    row = st.lists(st.floats(-300.0, 300.0), min_size=size, max_size=size)
    return np.array(draw(row)), np.array(draw(row))


def test_worked_example():
    p = np.log([0.7, 0.2, 0.1])
    assert nll(p, 0) == pytest.approx(0.3567, abs=5e-5)
    assert cross_entropy(one_hot(0, 3), p) == pytest.approx(-np.log(0.7), abs=1e-15)
    assert kl_divergence(one_hot(0, 3), p) == pytest.approx(-np.log(0.7), abs=1e-15)


@given(logits_pair(), st.floats(0.05, 20.0))
def test_log_softmax_is_scipys(pair, temperature):
    logits, _ = pair
    np.testing.assert_allclose(log_softmax(logits, temperature),
                               scipy_log_softmax(logits / temperature), rtol=1e-12, atol=1e-12)


def test_log_softmax_keeps_what_float64_rounding_would_lose():
    # p = 1 - exp(-50): its logarithm is -exp(-50), not 0.
    assert log_softmax([50.0, 0.0])[0] == pytest.approx(-np.exp(-50.0), rel=1e-12)
    assert log_softmax([1e300, -1e300]).tolist() == [0.0, -2e300]


def test_log_softmax_may_rule_a_label_out():
    np.testing.assert_array_equal(log_softmax([0.0, -np.inf]), [0.0, -np.inf])


@pytest.mark.parametrize('bad', [[np.nan, 0.0], [np.inf, 0.0], [-np.inf, -np.inf], [], 3.0])
def test_log_softmax_refuses_logits_that_are_no_distribution(bad):
    with pytest.raises(ValueError, match='logits'):
        log_softmax(bad)


@pytest.mark.parametrize('temperature', [0.0, -1.0, np.nan, np.inf])
def test_log_softmax_refuses_a_temperature_that_is_not_positive(temperature):
    with pytest.raises(ValueError, match='temperature'):
        log_softmax([0.0, 1.0], temperature)


@given(logits_pair())
def test_cross_entropy_is_entropy_plus_divergence(pair):
    q, log_p = np.exp(scipy_log_softmax(pair[0])), log_softmax(pair[1])
    q /= q.sum()
    total = cross_entropy(q, log_p)
    assert entropy(q) + kl_divergence(q, log_p) == pytest.approx(total, rel=1e-12, abs=1e-12)


@given(logits_pair())
def test_entropy_and_divergence_are_scipys(pair):
    q, p = np.exp(scipy_log_softmax(pair[0])), np.exp(scipy_log_softmax(pair[1]))
    q, p = q / q.sum(), p / p.sum()
    assert entropy(q) == pytest.approx(scipy_entropy(q), rel=1e-12, abs=1e-13)
    with np.errstate(divide='ignore'):
        log_p = np.log(p)
    assert kl_divergence(q, log_p) == pytest.approx(rel_entr(q, p).sum(), rel=1e-9, abs=1e-13)


@given(logits_pair())
def test_divergence_is_positive_and_zero_only_for_equality(pair):
    log_q, log_p = log_softmax(pair[0]), log_softmax(pair[1])
    divergence = kl_divergence(np.exp(log_q), log_p)
    assert divergence >= 0.0
    assert kl_divergence(np.exp(log_q), log_q) <= 1e-15
    if np.abs(np.exp(log_q) - np.exp(log_p)).max() > 1e-6:
        assert divergence > 0.0


@pytest.mark.parametrize('shift', [1e-3, 1e-6, 1e-9, 1e-12])
def test_divergence_of_near_equals_is_their_squared_distance(shift):
    # KL(q || q + d) = d^2 / (2 q (1 - q)) + O(d^3) for two labels.
    assert kl_divergence([0.5, 0.5], np.log1p([2 * shift, -2 * shift]) - np.log(2.0)) == (
        pytest.approx(2 * shift**2, rel=1e-2))


def test_what_the_model_ruled_out_costs_infinity():
    log_p = log_softmax([0.0, -np.inf, 1.0])
    assert nll(log_p, 1) == np.inf
    assert cross_entropy([0.5, 0.5, 0.0], log_p) == np.inf
    assert kl_divergence([0.5, 0.5, 0.0], log_p) == np.inf
    # And costs nothing where nobody confirmed it.
    assert np.isfinite(kl_divergence([0.5, 0.0, 0.5], log_p))


def test_rows_are_scored_one_by_one():
    log_p = log_softmax(np.arange(12.0).reshape(4, 3) ** 1.3)
    q = np.eye(3)[[0, 1, 2, 0]]
    expected = [float(nll(log_p[i], k)) for i, k in enumerate([0, 1, 2, 0])]
    for scores in (nll(log_p, [0, 1, 2, 0]), cross_entropy(q, log_p), kl_divergence(q, log_p)):
        np.testing.assert_allclose(scores, expected, atol=1e-14)


@pytest.mark.parametrize('label', [3, -1])
def test_a_label_that_the_model_does_not_have_is_an_error_never_a_score(label):
    with pytest.raises(ValueError, match='not one of'):
        nll(np.log([0.7, 0.2, 0.1]), label)
    with pytest.raises(ValueError, match='not one of'):
        one_hot(label, 3)


@pytest.mark.parametrize('q', [[0.5, 0.4], [1.5, -0.5], [np.nan, 1.0], [0.2, 0.3, 0.5]])
def test_what_is_not_a_distribution_over_the_labels_is_refused(q):
    with pytest.raises(ValueError, match=r'probabilities|labels'):
        cross_entropy(q, np.log([0.5, 0.5]))


def test_probabilities_in_place_of_log_probabilities_are_refused():
    with pytest.raises(ValueError, match='log-probabilities'):
        nll([0.7, 0.2, 0.1], 0)
