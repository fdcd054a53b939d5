"""
The model's probabilities as its reference corrects them: a temperature and a share of surprises.

    p~(y | x) = (1 - surprise) softmax(log p(y | x) / temperature) + surprise / K

A surprise is a confirmed label that has nothing to do with the answer: glare, a mislabelled
frame. Its share is what keeps p~ from ruling anything out. Two numbers for any K, so that 200
labels are enough to fit them.
"""

from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import numpy as np
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import is_certain

# log temperature ~ Normal(0, this).
_SPREAD = 0.3
# surprise ~ Beta(these).
_BETA = (1.5, 30.0)
# The share of surprises is never taken to be below this: what it says of events rarer than the
# reference can show would be made up.
_FLOOR = 0.0015
# Where nothing but the share itself says what is usual, it is taken as so many times as much: if
# it is too small, surprises that are nothing new look like drift.
_CAUTION = 2.0
_STEPS = 20


@dataclass(frozen=True)
class Recalibration:
    """A temperature above 0, and the share of surprises in (0, 1)."""

    temperature: float
    surprise: float

    @property
    def cautious(self) -> 'Recalibration':
        """Return it with a larger share of surprises."""
        return replace(self, surprise=min(_CAUTION * self.surprise, 0.5))

    def probabilities(self, log_probabilities: Array) -> Array:
        """Return p~, (..., K), from log p, (..., K)."""
        p = _softmax(log_probabilities / self.temperature)
        return np.asarray((1.0 - self.surprise) * p + self.surprise / p.shape[-1])

    def likelihood_ratio(self, log_probabilities: Array, distribution: Array, more: float
                         ) -> float:
        """
        Return the likelihood ratio of a share of surprises larger by ``more`` to p~.

        Its mean over the labels is 1 under p~. For a soft label it is the mean over the label.
        """
        labels = len(log_probabilities)
        p: Any = _softmax(log_probabilities / self.temperature)
        label = int(distribution.argmax())
        certain = is_certain(distribution)
        if certain:  # then it is all that counts
            p = float(p[label])
        share = min(self.surprise + more, 1.0)
        ratio = (((1.0 - share) * p + share / labels)
                 / ((1.0 - self.surprise) * p + self.surprise / labels))
        return float(ratio if certain else distribution @ ratio)


def recalibrate(log_probabilities: Array, distribution: Array) -> Recalibration:
    """
    Fit temperature and share of surprises by penalised maximum likelihood, cautiously.

    Expectation-maximisation: how likely each label is a surprise, then the share in closed form
    and the inverse temperature by Newton steps.

    Parameters
    ----------
    log_probabilities : (n, K) nats, n >= 1
    distribution : (n, K) the confirmed distributions

    """
    count, labels = log_probabilities.shape
    log_temperature, surprise = 0.0, 0.01
    # -inf times 0 is not a number; a label that was ruled out keeps no probability.
    possible = np.isfinite(log_probabilities)
    log_p = np.where(possible, log_probabilities, -1e300)
    finite = np.where(possible, log_probabilities, 0.0)
    for _ in range(_STEPS):
        p = _softmax(log_p / np.exp(log_temperature))
        from_model, from_surprise = (1.0 - surprise) * p, surprise / labels
        surprised = distribution * (from_surprise / (from_model + from_surprise))
        surprise = ((surprised.sum() + _BETA[0] - 1.0) / (count + sum(_BETA) - 2.0))
        # Newton in t = log temperature on sum_i w_i log softmax(L e^-t)_y - t^2 / (2 spread^2).
        weights = distribution - surprised
        mass = weights.sum(axis=1)
        beta = np.exp(-log_temperature)
        mean = (p * finite).sum(axis=1)
        variance = (p * finite**2).sum(axis=1) - mean**2
        slope = (weights * finite).sum() - (mass * mean).sum()
        first = -beta * slope - log_temperature / _SPREAD**2
        second = beta * slope - beta**2 * (mass * variance).sum() - 1.0 / _SPREAD**2
        step = first / max(-second, 1.0 / _SPREAD**2)
        log_temperature = float(np.clip(log_temperature + np.clip(step, -0.3, 0.3), -2.0, 2.0))
    return Recalibration(float(np.exp(log_temperature)),
                         float(min(max(surprise, _FLOOR), 0.5)))


def _softmax(log_probabilities: Array) -> Array:
    shifted = np.exp(log_probabilities - log_probabilities.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
