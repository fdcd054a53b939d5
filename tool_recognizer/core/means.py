"""
The means that tell how good the answers to confirmed frames are, in nats per frame.

The one place where they are taken, so that the window of the live monitor, its ranges of time and
the whole of a recording tell the same numbers of the same frames. A frame counts with its weight:
1 / (the probability with which it was asked for), or 1.
"""

from dataclasses import dataclass
import math

import numpy as np
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import entropy
from tool_recognizer.core.information import kl_divergence
from tool_recognizer.core.interval import effective_sample_size
from tool_recognizer.core.interval import hall_interval

NAN = float('nan')
# A share of labels that have nothing to do with the prediction, which no window can rule out: an
# error then costs up to ln(K / share) nats.
SURPRISES = 0.003


@dataclass(frozen=True)
class RangeFigures:
    """
    A range of time in figures; all means in nats per frame, nan if nothing was confirmed in it.

    Attributes
    ----------
    n : confirmed and scored frames
    nll : mean NLL; nll_ci_low, nll_ci_high : its 95 % interval
    entropy, cross_entropy, kl : means; kl = cross_entropy - entropy
    accuracy : mean confirmed probability of the label that the model put first

    """

    n: int = 0
    nll: float = NAN
    nll_ci_low: float = NAN
    nll_ci_high: float = NAN
    entropy: float = NAN
    cross_entropy: float = NAN
    kl: float = NAN
    accuracy: float = NAN


@dataclass(frozen=True)
class Means:
    """
    Means over confirmed frames, nats per frame; nan where there is none.

    Attributes
    ----------
    nll : mean NLL of the confirmed label, which for a soft label is the cross-entropy
    nll_ci_low, nll_ci_high : its 95 % interval
    entropy, cross_entropy, kl : means; kl = cross_entropy - entropy
    kl_ci_low, kl_ci_high : the 95 % interval of kl
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
    kl_ci_low: float = NAN
    kl_ci_high: float = NAN
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
    surprise = cost_of_surprise(log_p.shape[1])
    nll, low, high = mean_cost(costs, weights, surprise)
    divergences = kl_divergence(q, log_p)
    # Of labels that are certain it is the NLL, and its interval need not be computed again.
    kl, least, most = ((nll, low, high) if np.array_equal(divergences, costs)
                       else mean_cost(divergences, weights, surprise))
    best = log_p.argmax(axis=1)[:, np.newaxis]
    with np.errstate(divide='ignore'):
        mean_log_p = np.log(weighted_mean(np.exp(log_p), weights))
    return Means(
        nll=nll, nll_ci_low=low, nll_ci_high=high,
        entropy=float(weighted_mean(entropy(q), weights)), cross_entropy=nll,
        kl=kl, kl_ci_low=least, kl_ci_high=most,
        marginal_kl=float(kl_divergence(weighted_mean(q, weights), mean_log_p)),
        accuracy=float(weighted_mean(np.take_along_axis(q, best, axis=1)[:, 0], weights)),
        ece=expected_calibration_error(log_p, q.argmax(axis=1), row_weights=weights))


def cost_of_surprise(labels: int) -> float:
    """Return ln(K / 0.003): the nats of a label that the prediction has nothing to do with."""
    return math.log(labels / SURPRISES)


def mean_cost(costs: Array, weights: Array, surprise: float) -> tuple[float, float, float]:
    """
    Return a mean cost and its 95 % interval, after Hall and with what the frames cannot show.

    The lower end is at least 0: no frame costs less than nothing. The upper end allows for costs
    that are too rare to be among the frames. One more frame may cost as much as the dearest one
    here. And if n frames show no error, up to -ln(0.025) / n = 3.69 / n of the others may be
    errors (the rule of three: B. D. Jovanovic, P. S. Levy, A look at the rule of three, The
    American Statistician 51, 1997)::

        high = max(Hall's + max(costs) / n, mean + 3.69 / n surprise)

    Parameters
    ----------
    costs : (N,) of each frame, such as its NLL in nats; at least one
    weights : (N,) positive; n is their effective sample size
    surprise : what an error costs that was not seen

    """
    mean = float(weighted_mean(costs, weights))
    low, high = hall_interval(costs, weights=weights)
    n = effective_sample_size(weights)
    return mean, max(low, 0.0), max(high + float(costs.max()) / n,
                                    mean - math.log(0.025) / n * surprise)


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
