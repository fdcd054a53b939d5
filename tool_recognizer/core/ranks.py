"""
Ranks among exchangeable values, with ties broken at random but reproducibly.

If the values seen so far and the next one are exchangeable, the next one's rank among all of them
is uniform on 0..m-1 whatever their distribution is, and independent of all earlier ranks
(V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, 2005, theorem 8.2). The
random numbers that break ties come from a counter, not from a state, so a replay gives the same
ranks.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1


def uniform(seed: int, *counters: int) -> float:
    """
    Return the random number in [0, 1) that belongs to a seed and some counters.

    SplitMix64 (G. Steele, D. Lea, C. Flood, Fast splittable pseudorandom number generators, 2014),
    absorbing one counter after the other.

    >>> uniform(1, 7) == uniform(1, 7), uniform(1, 7) == uniform(1, 8)
    (True, False)

    """
    state = 0
    for counter in (seed, *counters, 0):
        state = (state + 0x9E3779B97F4A7C15 + (counter & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return (state >> 11) * 2.0**-53


def as_lists(rows: Iterable[Any]) -> Iterable[Any]:
    """Return the rows of a saved state as Python's numbers: an array's, or lists as they are."""
    return rows.tolist() if isinstance(rows, np.ndarray) else rows


class Scored(NamedTuple):
    """A value in a list: sorted by its score, then by a random number that breaks ties."""

    score: float  # nats; inf is the highest
    tie: float    # in [0, 1)


class RankList:
    """
    Values in increasing order; it answers a new value's rank and takes it in.

    One insertion costs O(log m) comparisons and a move of at most m pointers.

    Parameters
    ----------
    values : to start from, in any order
    capacity : how many ``forget`` leaves at most

    """

    def __init__(self, values: list[Scored], capacity: int) -> None:
        self.values = sorted(values)
        self.capacity = capacity

    def __len__(self) -> int:
        return len(self.values)

    def to_state(self) -> NDArray[np.float64]:
        """Return its values, (m, 2): score and tie."""
        return np.array(self.values, np.float64).reshape(-1, 2)

    def restore(self, rows: Iterable[Iterable[float | str]]) -> None:
        """Take the values that ``to_state`` returned, or a version before as lists and text."""
        self.values = [Scored(float(score), float(tie)) for score, tie in as_lists(rows)]

    def insert(self, value: Scored) -> int:
        """Take a value in and return its rank from the top: 0 for the highest score."""
        position = bisect_left(self.values, value)
        self.values.insert(position, value)
        return len(self.values) - 1 - position

    def forget(self, chance: float) -> None:
        """
        Drop one value at random if the list is over its capacity.

        The choice does not look at which value came last, so the ranks stay independent: given
        the list before the drop, the last value's rank is uniform whatever is dropped.

        """
        if len(self.values) > self.capacity:
            del self.values[int(chance * len(self.values))]
