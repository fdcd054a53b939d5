"""The paired difference of two models' NLLs, against a recomputation and on what it decides."""

import numpy as np
import pytest
from tool_recognizer.core.paired import PairedNll

SURE, UNSURE = np.log([0.98, 0.01, 0.01]), np.log([0.6, 0.2, 0.2])
FIRST = np.array([1.0, 0.0, 0.0])


def test_the_difference_is_that_of_the_means():
    pairs, rng = PairedNll(), np.random.default_rng(0)
    new, old = np.log(rng.dirichlet([5, 1, 1], 50)), np.log(rng.dirichlet([5, 1, 1], 50))
    for a, b in zip(new, old, strict=True):
        pairs.add(FIRST, a, b)
    found = pairs.figures()
    assert found.n == 50
    assert found.nll == pytest.approx(-new[:, 0].mean())
    assert found.mean == pytest.approx(found.nll - found.nll_in_charge)
    assert found.low < found.mean < found.high


def test_a_better_candidate_is_called_so_with_few_labels_and_a_worse_one_too():
    rng = np.random.default_rng(1)
    better, worse, same = PairedNll(), PairedNll(), PairedNll()
    for _ in range(60):
        hard = np.log(rng.dirichlet([3, 1, 1]))
        eased = np.log(0.8 * np.exp(hard) + 0.2 * FIRST)
        better.add(FIRST, eased, hard)
        worse.add(FIRST, hard, eased)
        same.add(FIRST, hard, hard)
    assert better.figures().verdict == 'better'
    assert worse.figures().verdict == 'worse'
    assert same.figures().verdict == 'undecided'
    assert same.figures().mean == 0.0


def test_a_label_that_the_candidate_rules_out_makes_it_worse():
    pairs = PairedNll()
    for _ in range(30):
        pairs.add(FIRST, SURE, UNSURE)
    with np.errstate(divide='ignore'):
        pairs.add(FIRST, np.log([0.0, 0.5, 0.5]), UNSURE)
    assert pairs.figures().mean == np.inf
    assert pairs.figures().verdict == 'worse'


def test_weights_count():
    pairs = PairedNll()
    pairs.add(FIRST, SURE, UNSURE, 1.0)
    pairs.add(FIRST, UNSURE, SURE, 3.0)
    gain = SURE[0] - UNSURE[0]
    assert pairs.figures().mean == pytest.approx((3 * gain - gain) / 4)


def test_without_pairs_nothing_is_known():
    assert PairedNll().figures().n == 0
    assert PairedNll().figures().verdict == 'undecided'
