"""
Whether a candidate is better than the model in charge, on the same confirmed frames.

The difference of the two NLLs of one frame says it with far fewer labels than the two means,
since what makes a frame hard makes it hard for both.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.interval import hall_interval

# Frames over which the difference is taken, the last ones.
CAPACITY = 10_000


class Difference(NamedTuple):
    """
    The candidate's NLL less that of the model in charge; nats per frame, nan without frames.

    Attributes
    ----------
    n : confirmed frames that both have answered
    mean : of the differences; below 0 the candidate is better
    low, high : its 95 % interval
    nll, nll_in_charge : the two means that it is the difference of

    """

    n: int
    mean: float
    low: float
    high: float
    nll: float
    nll_in_charge: float

    @property
    def verdict(self) -> str:
        """Say what the interval shows: 'better', 'worse' or 'undecided'."""
        return 'better' if self.high < 0.0 else 'worse' if self.low > 0.0 else 'undecided'


class PairedNll:
    """The pairs, and their difference in figures."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[float, float, float]] = deque(maxlen=CAPACITY)

    def add(self, distribution: Array, candidate: Array, in_charge: Array,
            weight: float = 1.0) -> None:
        """
        Add a confirmed frame.

        Parameters
        ----------
        distribution : (K,) what was confirmed
        candidate, in_charge : (K,) the two answers' log-probabilities, nats
        weight : 1 / (the probability with which the frame was asked for)

        """
        self._pairs.append((float(cross_entropy(distribution, candidate)),
                            float(cross_entropy(distribution, in_charge)), weight))

    def to_state(self) -> Array:
        """Return the pairs and their weights: (n, 3) float64."""
        return np.array(self._pairs, np.float64).reshape(-1, 3)

    @classmethod
    def from_state(cls, state: Array) -> 'PairedNll':
        """Return what ``to_state`` described."""
        self = cls()
        self._pairs.extend((new, old, weight) for new, old, weight in state.tolist())
        return self

    def figures(self) -> Difference:
        """Compute the difference; where both rule the truth out they are equal."""
        if not self._pairs:
            return Difference(0, *[float('nan')] * 5)
        new, old, weight = np.array(self._pairs).T
        with np.errstate(invalid='ignore'):
            difference = np.where(new == old, 0.0, new - old)
        share = weight / weight.sum()
        # An interval is for finite values; a candidate that rules out what the other one does not
        # is worse without any statistics, and the other way round.
        if np.all(np.isfinite(difference)):
            low, high = hall_interval(difference, weights=weight)
            mean = float(share @ difference)
        else:
            mean = float(difference.sum())
            low, high = (mean, mean) if not np.isnan(mean) else (-np.inf, np.inf)
        return Difference(len(new), mean, low, high, float(share @ new), float(share @ old))
