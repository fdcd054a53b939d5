"""
The bet on surprise: a likelihood ratio S, against those that came before under the same label.

    e_n = n S_n / (S_1 + ... + S_n)

Given all later values and in which order the labels came, exchangeable values may have come in
any order, so that S_n is each of the n values with the same probability and e_n has mean 1. This
needs no assumption on the model or on S (V. Vovk, Conformal e-prediction for change detection,
2020). It conditions on what is later: so the mean of a product of such bets over any stretch of
labels is 1, but a forecaster who knows the past could expect more of the next one.
"""

from typing import Any


class Surprises:
    """
    The sums of S, one for each list of labels that are compared with each other.

    Parameters
    ----------
    lists : how many

    """

    def __init__(self, lists: int) -> None:
        self._counts = [0] * lists
        self._sums = [0.0] * lists

    def pay(self, place: int, ratio: float) -> float:
        """
        Take a label in and return what the bet pays on it.

        Parameters
        ----------
        place : of its list
        ratio : S, above 0 and finite

        """
        self._counts[place] += 1
        self._sums[place] += ratio
        return self._counts[place] * ratio / self._sums[place]

    def to_state(self) -> list[Any]:
        """Return all that it knows, as JSON can hold it; floats survive exactly."""
        return [[*self._counts], [*self._sums]]

    @classmethod
    def from_state(cls, state: list[Any]) -> 'Surprises':
        """Return what ``to_state`` described; it goes on bit for bit."""
        self = cls(0)
        self._counts, self._sums = ([*part] for part in state)
        return self
