"""
Answer sets with a promise: the true label is among the answers in, say, 95 of 100 frames.

Split conformal prediction (Vovk, Gammerman, Shafer, Algorithmic learning in a random world, 2005;
Angelopoulos and Bates, A gentle introduction to conformal prediction, 2021, section 1). The
promise holds for any model, right or wrong, as long as the frames to come are exchangeable with
the reference: a wrong model pays with large sets. It is one about the average of all frames, not
about each label, and drift breaks it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

Array = NDArray[np.float64]


def conformal_threshold(log_probabilities: ArrayLike, distribution: ArrayLike,
                        coverage: float) -> float:
    """
    Find the greatest NLL that a label may have to be in the answer set.

    It is the ceil((n + 1) coverage)-th smallest NLL of the reference's true labels. A soft label
    counts with its shares: the smallest t for which
    sum_i sum_k q_ik [-log p_ik <= t] >= (n + 1) coverage, which keeps the promise, too
    (Angelopoulos, Bates, Fisch, Lei, Schuster, Conformal risk control, 2022, theorem 1, with the
    share of the label outside of the set as the loss).

    Parameters
    ----------
    log_probabilities : (n, K) nats, answers on which nothing was fitted
    distribution : (n, K) the confirmed distributions, rows that sum to 1
    coverage : the promised share of frames whose set holds the true label, in (0, 1)

    Returns
    -------
    Nats; inf, so that every set is all of the labels, if n is too small for the promise, that is
    below coverage / (1 - coverage)

    Raises
    ------
    ValueError
        A coverage outside of (0, 1), or shapes that do not fit.

    """
    log_p = np.asarray(log_probabilities, np.float64)
    q = np.asarray(distribution, np.float64)
    if not 0.0 < coverage < 1.0:
        raise ValueError(f'the coverage must lie between 0 and 1, got {coverage}')
    if log_p.ndim != 2 or log_p.shape != q.shape:
        raise ValueError('log-probabilities and distributions must both be n x K, got '
                         f'{log_p.shape} and {q.shape}')
    counts = q > 0.0
    paid, share = -log_p[counts], q[counts]
    order = np.argsort(paid, kind='stable')
    covered = np.cumsum(share[order])
    # What rounding takes from a sum of shares must not cost a rank.
    reached = np.flatnonzero(covered >= (len(log_p) + 1) * coverage - 1e-9)
    return float(paid[order[reached[0]]]) if len(reached) else float('inf')


def answer_set(log_probabilities: Sequence[float] | Array, threshold: float) -> tuple[int, ...]:
    """
    Give the labels that cannot be ruled out.

    Parameters
    ----------
    log_probabilities : (K,) nats, of one frame
    threshold : from ``conformal_threshold``, nats

    Returns
    -------
    Indices of the labels whose NLL is at most the threshold, the most probable first. The most
    probable one is always there: an empty set would tell nobody anything, and one label more
    cannot break the promise

    >>> answer_set([-0.1, -5.0, -2.5], 3.0)
    (0, 2)

    """
    log_p = np.asarray(log_probabilities, np.float64)
    order = np.argsort(-log_p, kind='stable')
    return tuple(int(k) for place, k in enumerate(order)
                 if place == 0 or -log_p[k] <= threshold)
