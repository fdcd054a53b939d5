"""
The means that tell how good the answers to confirmed frames are, in nats per frame.

The one place where they are taken, so that the window of the live monitor, its ranges of time and
the whole of a recording tell the same numbers of the same frames. A frame counts with its weight:
1 / (the probability with which it was asked for), or 1.
"""

from dataclasses import dataclass

import numpy as np
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import entropy
from tool_recognizer.core.information import kl_divergence
from tool_recognizer.core.interval import hall_interval

NAN = float('nan')


@dataclass(frozen=True)
class Means:
    """
    Means over confirmed frames, nats per frame; nan where there is none.

    Attributes
    ----------
    nll : mean NLL of the confirmed label, which for a soft label is the cross-entropy
    nll_ci_low, nll_ci_high : its 95 % interval
    entropy, cross_entropy, kl : means; kl = cross_entropy - entropy
    marginal_kl : KL(mean of the confirmed distributions || mean prediction)
    accuracy : mean confirmed probability of the label that the model put first
    ece : expected calibration error, against the most probable confirmed label

    """

    nll: float = NAN
    nll_ci_low: float = NAN
    nll_ci_high: float = NAN
    entropy: float = NAN
    cross_entropy: float = NAN
    kl: float = NAN
    marginal_kl: float = NAN
    accuracy: float = NAN
    ece: float = NAN


def means(log_probabilities: Array, distributions: Array, costs: Array, weights: Array) -> Means:
    """
    Take the means over N confirmed frames.

    Parameters
    ----------
    log_probabilities : (N, K) the answers, nats
    distributions : (N, K) what was confirmed
    costs : (N,) the cross-entropies of the two, nats
    weights : (N,) positive

    >>> log_p, q = np.log([[0.7, 0.2, 0.1]]), np.array([[1.0, 0.0, 0.0]])
    >>> found = means(log_p, q, -log_p[:, 0], np.ones(1))
    >>> round(found.nll, 4), found.accuracy
    (0.3567, 1.0)

    """
    log_p, q = log_probabilities, distributions
    if not len(q):
        return Means()
    nll, low, high = mean_nll(costs, weights)
    best = log_p.argmax(axis=1)[:, np.newaxis]
    with np.errstate(divide='ignore'):
        mean_log_p = np.log(weighted_mean(np.exp(log_p), weights))
    return Means(
        nll=nll, nll_ci_low=low, nll_ci_high=high,
        entropy=float(weighted_mean(entropy(q), weights)), cross_entropy=nll,
        kl=float(weighted_mean(kl_divergence(q, log_p), weights)),
        marginal_kl=float(kl_divergence(weighted_mean(q, weights), mean_log_p)),
        accuracy=float(weighted_mean(np.take_along_axis(q, best, axis=1)[:, 0], weights)),
        ece=expected_calibration_error(log_p, q.argmax(axis=1), row_weights=weights))


def mean_nll(costs: Array, weights: Array) -> tuple[float, float, float]:
    """
    Return the mean NLL and its 95 % interval, which ends at 0: no frame costs less than nothing.

    Parameters
    ----------
    costs : (N,) NLL of each frame, nats; at least one
    weights : (N,) positive

    """
    low, high = hall_interval(costs, weights=weights)
    return float(weighted_mean(costs, weights)), max(low, 0.0), high


def weighted_mean(values: Array, weights: Array) -> Array:
    """
    Self-normalised mean over the rows: sum(w x) / sum(w); of equal weights the plain one, exactly.

    Parameters
    ----------
    values : (N, ...) at least one row
    weights : (N,) positive

    """
    if np.all(weights == weights[0]):
        return np.asarray(values.mean(axis=0))
    return np.asarray(np.tensordot(weights / weights.sum(), values, axes=1))
