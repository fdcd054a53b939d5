"""The promise of the answer sets, measured where it must hold: on exchangeable frames."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from tool_recognizer.core.conformal import answer_set
from tool_recognizer.core.conformal import conformal_threshold
from tool_recognizer.core.information import log_softmax

seeds = st.integers(0, 2**32 - 1)


def draw(rng, shape, labels, wrong):
    """Answers of a model that is wrong by a factor of ``wrong`` in its logits, and the truth."""
    logits = 1.5 * rng.normal(size=(*shape, labels))
    p = np.exp(log_softmax(logits))
    truth = (p.cumsum(axis=-1) > rng.random((*shape, 1))).argmax(axis=-1)
    return log_softmax(logits * wrong), truth


def paid(log_p, truth):
    return -np.take_along_axis(log_p, truth[..., np.newaxis], -1)[..., 0]


@given(seeds, st.sampled_from([0.6, 0.8, 0.9]), st.sampled_from([0.3, 1.0, 3.0]),
       st.integers(15, 60))
@settings(max_examples=15, deadline=None)
def test_the_true_label_is_covered_as_often_as_promised_however_wrong_the_model(
        seed, coverage, wrong, size):
    rng = np.random.default_rng(seed)
    runs = 3000
    log_p, truth = draw(rng, (runs, size + 1), 4, wrong)
    eye = np.eye(4)
    covered = 0
    for one_p, one_truth in zip(log_p, truth, strict=True):
        threshold = conformal_threshold(one_p[:-1], eye[one_truth[:-1]], coverage)
        covered += paid(one_p[-1:], one_truth[-1:])[0] <= threshold
    # From coverage to coverage + 1 / (n + 1) in the mean; five standard errors of room.
    room = 5 * np.sqrt(0.25 / runs)
    assert coverage - room <= covered / runs <= coverage + 1 / (size + 1) + room


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_the_promise_holds_for_soft_labels(seed):
    rng = np.random.default_rng(seed)
    runs, size, coverage = 2000, 30, 0.8
    log_p, truth = draw(rng, (runs, size + 1), 3, 1.0)
    other = rng.integers(3, size=truth.shape)
    share = rng.uniform(0.5, 1.0, truth.shape)[..., np.newaxis]
    q = share * np.eye(3)[truth] + (1 - share) * np.eye(3)[other]
    inside = [q[r, -1][-log_p[r, -1] <= conformal_threshold(log_p[r, :-1], q[r, :-1], coverage)]
              .sum() for r in range(runs)]
    assert np.mean(inside) >= coverage - 5 * np.sqrt(0.25 / runs)


@given(seeds, st.integers(1, 80), st.sampled_from([0.5, 0.8, 0.9, 0.95]))
@settings(max_examples=60, deadline=None)
def test_it_is_the_rank_that_theory_names(seed, size, coverage):
    rng = np.random.default_rng(seed)
    log_p, truth = draw(rng, (size,), 3, 1.0)
    rank = int(np.ceil((size + 1) * coverage - 1e-9))
    expected = np.sort(paid(log_p, truth))[rank - 1] if rank <= size else np.inf
    assert conformal_threshold(log_p, np.eye(3)[truth], coverage) == expected


def test_too_few_answers_for_the_promise_give_all_of_the_labels():
    log_p = log_softmax([[9.0, 0.0, 0.0]] * 18)
    threshold = conformal_threshold(log_p, np.eye(3)[[0] * 18], 0.95)
    assert threshold == np.inf
    assert answer_set(log_p[0], threshold) == (0, 1, 2)
    assert conformal_threshold(log_p[:0], np.zeros((0, 3)), 0.5) == np.inf
    nineteen = np.vstack([log_p, log_p[:1]])
    assert conformal_threshold(nineteen, np.eye(3)[[0] * 19], 0.95) < np.inf


def test_more_coverage_means_no_smaller_sets():
    rng = np.random.default_rng(0)
    log_p, truth = draw(rng, (200,), 5, 1.0)
    thresholds = [conformal_threshold(log_p, np.eye(5)[truth], c) for c in (0.5, 0.8, 0.9, 0.99)]
    assert thresholds == sorted(thresholds)
    sizes = [sum(len(answer_set(row, t)) for row in log_p) for t in thresholds]
    assert sizes == sorted(sizes)


def test_a_label_that_was_ruled_out_is_in_no_set_but_that_of_everything():
    log_p = np.array([0.0, -np.inf])
    assert answer_set(log_p, 100.0) == (0,)
    assert answer_set(log_p, np.inf) == (0, 1)


def test_the_most_probable_label_is_always_there():
    assert answer_set(np.log([0.4, 0.35, 0.25]), 0.0) == (0,)


@pytest.mark.parametrize(('coverage', 'shape', 'words'), [
    (0.0, (4, 3), 'between 0 and 1, got 0.0'), (1.0, (4, 3), 'between 0 and 1'),
    (0.9, (4, 2), r'got \(4, 3\) and \(4, 2\)')])
def test_a_promise_that_cannot_be_made_is_refused(coverage, shape, words):
    with pytest.raises(ValueError, match=words):
        conformal_threshold(np.zeros((4, 3)), np.zeros(shape), coverage)
