"""
Do the probabilities mean what they say: temperature, calibration error, Brier score, ranking.

Temperature scaling: Guo, Pleiss, Sun, Weinberger, On calibration of modern neural networks, 2017.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll

Array = NDArray[np.float64]

BINS = 15
# The range in which a temperature is looked for; at its ends the data did not settle it.
LEAST_TEMPERATURE, GREATEST_TEMPERATURE = 0.05, 20.0
# The Brier score of a label that was ruled out by a prediction that is sure of another.
WORST_BRIER = 2.0


@dataclass(frozen=True)
class ReliabilityBin:
    """
    The answers whose top probability falls into one bin.

    Attributes
    ----------
    lower, upper : the bin, (lower, upper]
    count : answers in it
    confidence : their mean top probability, nan if there are none
    accuracy : the share of them that is right, nan if there are none

    """

    lower: float
    upper: float
    count: int
    confidence: float
    accuracy: float


def fit_temperature(logits: ArrayLike, labels: ArrayLike,
                    row_weights: ArrayLike | None = None, unseen: float = 0.0) -> float:
    """
    Find the temperature of minimum NLL: argmin_T mean_n -log softmax(z_n / T)_{y_n}.

    In 1/T the NLL is convex, so the minimum found is the only one. Where no answer is wrong it
    has none: how sure the head may be is then not in the logits, but in how many they are. With
    ``unseen`` the targets are a little soft, as if so many answers had been wrong (as J. Platt,
    Probabilistic outputs for support vector machines, 1999, has it), and there is a minimum.

    Parameters
    ----------
    logits : (N, K), of pictures on which nothing was fitted
    labels : (N,) indices
    row_weights : (N,) how much each row counts, default equally
    unseen : the share of wrong answers that may have gone unseen, in [0, 1); it counts only where
        no answer is wrong, and is spread evenly over the other labels

    Returns
    -------
    T in [0.05, 20]. If every answer is right, the NLL falls for ever as T goes to 0: then 1.0 is
    returned, if ``unseen`` is 0

    Raises
    ------
    ValueError
        No rows.

    """
    z = np.asarray(logits, np.float64)
    y = np.asarray(labels)
    if len(z) == 0:
        raise ValueError('a temperature needs at least one answer, got none')
    all_right = bool(np.all(z.argmax(axis=1) == y))
    if all_right and not unseen:
        return 1.0
    soft = unseen if all_right else 0.0
    others = z.shape[1] - 1
    weights = np.ones(len(y)) if row_weights is None else np.asarray(row_weights, np.float64)
    weights = weights / weights.sum()

    def mean_nll(log_inverse: float) -> float:
        log_p = log_softmax(z * np.exp(log_inverse))
        own = nll(log_p, y)
        if soft:
            own = (1.0 - soft) * own + soft * (-log_p.sum(axis=1) - own) / others
        return float(weights @ own)

    found = minimize_scalar(mean_nll, method='bounded', options={'xatol': 1e-6},
                            bounds=(-np.log(GREATEST_TEMPERATURE), -np.log(LEAST_TEMPERATURE)))
    return float(np.exp(-found.x))


def reliability(log_probabilities: ArrayLike, labels: ArrayLike,
                bins: int = BINS) -> list[ReliabilityBin]:
    """
    Sort answers by their top probability into equal bins, with each bin's share of right ones.

    Parameters
    ----------
    log_probabilities : (N, K) nats
    labels : (N,) indices
    bins : number of bins of equal width over (0, 1]

    Returns
    -------
    One entry per bin, from low to high

    """
    log_p = np.asarray(log_probabilities, np.float64)
    y = np.asarray(labels)
    top = np.exp(log_p.max(axis=1))
    right = log_p.argmax(axis=1) == y
    place = _bins(top, bins)
    found = []
    for index in range(bins):
        inside = place == index
        count = int(inside.sum())
        found.append(ReliabilityBin(
            index / bins, (index + 1) / bins, count,
            float(top[inside].mean()) if count else float('nan'),
            float(right[inside].mean()) if count else float('nan')))
    return found


def expected_calibration_error(log_probabilities: ArrayLike, labels: ArrayLike,
                               bins: int = BINS, row_weights: ArrayLike | None = None) -> float:
    """
    ECE = sum_b (n_b / N) |accuracy_b - confidence_b|, over bins of the top probability.

    (Naeini, Cooper, Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning,
    2015.) With few answers it is above 0 even for a perfect model.

    Parameters
    ----------
    log_probabilities : (N, K) nats
    labels : (N,) indices
    bins : number of bins of equal width
    row_weights : (N,) how much each row counts, default equally

    Returns
    -------
    In [0, 1]; nan without answers

    """
    log_p = np.asarray(log_probabilities, np.float64)
    y = np.asarray(labels)
    if len(y) == 0:
        return float('nan')
    weights = np.ones(len(y)) if row_weights is None else np.asarray(row_weights, np.float64)
    top = np.exp(log_p.max(axis=1))
    gap = weights * ((log_p.argmax(axis=1) == y) - top)
    return float(np.abs(np.bincount(_bins(top, bins), gap)).sum() / weights.sum())


def brier_scores(log_probabilities: ArrayLike, targets: ArrayLike) -> Array:
    """
    Brier score of each answer: sum_k (p_nk - q_nk)^2, in [0, 2].

    Parameters
    ----------
    log_probabilities : (N, K) nats
    targets : (N,) label indices or (N, K) distributions

    Returns
    -------
    (N,)

    """
    p = np.exp(np.asarray(log_probabilities, np.float64))
    q = np.asarray(targets)
    if q.ndim == 1:
        q = np.eye(p.shape[1])[q]
    return np.asarray(np.sum((p - q) ** 2, axis=1))


def risk_coverage(doubt: ArrayLike, wrong: ArrayLike) -> tuple[Array, Array]:
    """
    Risk if only the least doubtful answers are given, for every share of them.

    (El-Yaniv and Wiener, On the foundations of noise-free selective classification, 2010.)

    Parameters
    ----------
    doubt : (N,) higher for answers that are refused earlier
    wrong : (N,) whether the answer is wrong

    Returns
    -------
    Coverage, rising to 1: the share that is answered; and risk: the share of these that is wrong.
    Answers of equal doubt are given or refused together, so there may be fewer than N points

    >>> coverage, risk = risk_coverage([0.1, 0.2, 0.3, 0.3], [False, False, True, False])
    >>> coverage.tolist(), risk.tolist()
    ([0.25, 0.5, 1.0], [0.0, 0.0, 0.25])

    """
    score = np.asarray(doubt, np.float64)
    order = np.argsort(score, kind='stable')
    ranked = score[order]
    # The last of each group of equals.
    last = np.flatnonzero(np.diff(ranked, append=np.inf) > 0.0)
    errors = np.cumsum(np.asarray(wrong, bool)[order])
    given = np.arange(1, len(ranked) + 1)
    return (given / max(len(ranked), 1))[last], (errors / given)[last]


def auroc(positive: ArrayLike, negative: ArrayLike) -> float:
    """
    P(a positive scores above a negative), ties half: the area under the ROC curve.

    Parameters
    ----------
    positive, negative : scores, higher meaning more positive

    Returns
    -------
    In [0, 1]; nan if one side is empty

    >>> auroc([2.0, 3.0], [1.0, 2.0])
    0.875

    """
    high, low = np.asarray(positive, np.float64), np.sort(np.asarray(negative, np.float64))
    if len(high) == 0 or len(low) == 0:
        return float('nan')
    below = np.searchsorted(low, high, 'left') + np.searchsorted(low, high, 'right')
    return float(below.sum() / (2 * len(high) * len(low)))


def false_positive_rate(positive: ArrayLike, negative: ArrayLike,
                        true_positive_rate: float = 0.95) -> float:
    """
    Share of the negatives accepted by the threshold that accepts this share of the positives.

    Parameters
    ----------
    positive, negative : scores, higher meaning more positive
    true_positive_rate : the share of positives to be accepted at least

    Returns
    -------
    In [0, 1]; nan if one side is empty

    """
    high, low = np.sort(np.asarray(positive, np.float64)), np.asarray(negative, np.float64)
    if len(high) == 0 or len(low) == 0:
        return float('nan')
    accepted = int(np.ceil(true_positive_rate * len(high) - 1e-9))
    return float(np.mean(low >= high[len(high) - max(accepted, 1)]))


def _bins(top: Array, bins: int) -> NDArray[np.int64]:
    return np.clip(np.ceil(top * bins).astype(np.int64) - 1, 0, bins - 1)
