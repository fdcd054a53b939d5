"""Cohen's kappa against scikit-learn's, and its interval against a simulation."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from tool_recognizer.core.agreement import cohen_kappa


@pytest.mark.parametrize('seed', range(5))
def test_it_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(4, size=80)
    b = np.where(rng.random(80) < 0.7, a, rng.integers(4, size=80))
    assert cohen_kappa(a.tolist(), b.tolist()).kappa == pytest.approx(cohen_kappa_score(a, b))


def test_its_interval_holds_the_truth_as_often_as_it_says():
    """The truth is that of the line from which the samples are drawn."""
    rng = np.random.default_rng(0)
    share, weights = 0.8, np.array([0.5, 0.3, 0.2])
    chance = weights @ weights
    truth = (share + (1.0 - share) * chance - chance) / (1.0 - chance)
    held = 0
    for _ in range(400):
        a = rng.choice(3, 150, p=weights)
        b = np.where(rng.random(150) < share, a, rng.choice(3, 150, p=weights))
        found = cohen_kappa(a.tolist(), b.tolist())
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_of_too_little_nothing_is_said():
    assert cohen_kappa(['a'], ['a']) is None
    assert cohen_kappa(['a', 'a', 'a'], ['a', 'a', 'a']) is None
    assert cohen_kappa(['a', 'b'], ['a', 'b']) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match='2 and 1'):
        cohen_kappa(['a', 'b'], ['a'])
