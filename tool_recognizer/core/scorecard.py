"""
The figures of a whole recording, and whether another one is better, on the same frames.

The same means as the monitor's window (``means``), over all confirmed frames instead of the last
ones. Left out: the sequential test, which has a time (``drift``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.calibration import brier_scores
from tool_recognizer.core.calibration import WORST_BRIER
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.interval import hall_interval
from tool_recognizer.core.interval import share_interval
from tool_recognizer.core.interval import wilson_interval
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.means import mean_cost
from tool_recognizer.core.means import Means
from tool_recognizer.core.means import means
from tool_recognizer.core.recognition import FrameKey

Array = NDArray[np.float64]

NAN = float('nan')


@dataclass(frozen=True)
class LabelScore:
    """
    One label's part, with 95 % intervals; nan where there is nothing to measure.

    Attributes
    ----------
    count : confirmed frames whose most probable confirmed label it is
    recall : the share of these that the model put first
    precision : the share of the frames that the model put it first on and that it was
    nll : mean over the label's frames, nats
    X_ci_low, X_ci_high : the ends of the interval of X

    """

    count: int
    recall: float
    recall_ci_low: float
    recall_ci_high: float
    precision: float
    precision_ci_low: float
    precision_ci_high: float
    nll: float
    nll_ci_low: float
    nll_ci_high: float


@dataclass(frozen=True, kw_only=True)
class Scorecard(Means):
    """
    The means over confirmed frames, nan where there is nothing to measure, and more.

    Attributes
    ----------
    n : confirmed frames
    brier : mean squared distance of the two distributions
    X_ci_low, X_ci_high : the ends of the 95 % interval of X
    per_label : by label
    confusion : (K, K) counts; row: the most probable confirmed label; column: the answer

    """

    n: int
    accuracy_ci_low: float
    accuracy_ci_high: float
    brier: float
    brier_ci_low: float
    brier_ci_high: float
    per_label: Mapping[str, LabelScore]
    confusion: NDArray[np.int64]


def score(labels: tuple[str, ...], log_probabilities: Array, distributions: Array) -> Scorecard:
    """
    Take the means over N confirmed frames.

    Parameters
    ----------
    labels : K labels
    log_probabilities : (N, K) the answers, nats
    distributions : (N, K) what was confirmed

    Returns
    -------
    Scorecard

    """
    log_p, q = log_probabilities, distributions
    surprise = cross_entropy(q, log_p)
    truth, best = q.argmax(axis=1), log_p.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, best), 1)
    dearest = cost_of_surprise(len(labels))
    per_label = {label: _label_score(k, confusion, surprise[truth == k], dearest)
                 for k, label in enumerate(labels)}
    low, high = share_interval(q[np.arange(len(q)), best], np.arange(len(q)))
    brier, brier_low, brier_high = _mean(brier_scores(log_p, q), WORST_BRIER)
    return Scorecard(n=len(q), **vars(means(log_p, q, surprise, np.ones(len(q)))),
                     accuracy_ci_low=low, accuracy_ci_high=high,
                     brier=brier, brier_ci_low=brier_low,
                     brier_ci_high=brier_high, per_label=per_label, confusion=confusion)


def _label_score(k: int, confusion: NDArray[np.int64], surprise: Array, dearest: float
                 ) -> LabelScore:
    right, count, answered = int(confusion[k, k]), len(surprise), int(confusion[:, k].sum())
    return LabelScore(count, *_share(right, count), *_share(right, answered),
                      *_mean(surprise, dearest))


def _share(right: int, n: int) -> tuple[float, float, float]:
    return (right / n, *wilson_interval(right / n, n)) if n else (NAN, NAN, NAN)


def _mean(costs: Array, dearest: float) -> tuple[float, float, float]:
    return mean_cost(costs, np.ones(len(costs)), dearest) if len(costs) else (NAN, NAN, NAN)


@dataclass(frozen=True)
class Comparison:
    """
    Two runs on the same confirmed frames.

    Attributes
    ----------
    n : frames that both have
    missing : frames that only the old run has
    difference : mean NLL, new less old, nats per frame; nan if no frame is in both
    low, high : its 95 % interval, the frames taken for a sample of all that may come
    worse : the share of the frames on which the new run paid more

    """

    n: int
    missing: int
    difference: float
    low: float
    high: float
    worse: float

    @property
    def identical(self) -> bool:
        """Whether no frame costs more or less than before: there is no interval to tell of."""
        return self.worse == 0.0 and self.difference == 0.0


def compare(new: Mapping[FrameKey, float], old: Mapping[FrameKey, float]) -> Comparison:
    """
    Compare the NLL frame by frame: what both runs share, such as a hard frame, cancels.

    Parameters
    ----------
    new, old : NLL of each confirmed frame, nats

    Returns
    -------
    Comparison; of two infinite costs neither is the worse

    """
    both = [key for key in old if key in new]
    if not both:
        return Comparison(0, len(old), NAN, NAN, NAN, NAN)
    a, b = np.array([new[key] for key in both]), np.array([old[key] for key in both])
    with np.errstate(invalid='ignore'):
        difference = np.where(a == b, 0.0, a - b)
    # A cost that is infinite in the old run only makes everything better by no end.
    low, high = (hall_interval(difference) if np.all(difference > -np.inf)
                 else (-np.inf, np.inf))
    with np.errstate(invalid='ignore'):
        mean = float(difference.mean())
    return Comparison(len(both), len(old) - len(both), mean, low, high,
                      float(np.mean(difference > 0.0)))
