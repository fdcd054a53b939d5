"""
The bets on the ranks of the scores, each for one shape of a change.

Every bet has mean exactly 1 over uniform ranks, whatever their number; ``drift`` says what the
test makes of them.
"""

from bisect import bisect_right

import numpy as np
from tool_recognizer.core.information import Array

# Where the bets' densities step, in shares of the ranks from the top (u = 0: the most surprising
# score). Within a step a bet does not distinguish.
_KNOTS = np.array([0.0, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08,
                   0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.98, 1.0])


def _density(top: float, upper: float, high: float, slope: float = 0.0,
             low: tuple[float, ...] = ()) -> Array:
    """
    Return an alternative's distribution function at the knots.

    1 + slope (1 - 2u), plus top for u < 0.01, upper for u < 0.04, high for u < 0.3, and low for
    u > 0.7, 0.85, 0.95, 0.98; then normalised.
    """
    middle = (_KNOTS[1:] + _KNOTS[:-1]) / 2.0
    density = 1.0 + slope * (1.0 - 2.0 * middle)
    density += top * (middle < 0.01) + upper * (middle < 0.04) + high * (middle < 0.3)
    for knot, extra in zip((0.7, 0.85, 0.95, 0.98), low, strict=False):
        density += extra * (middle > knot)
    mass = density * np.diff(_KNOTS)
    return np.concatenate([[0.0], np.cumsum(mass / mass.sum())])


# The shapes of a change, as densities of the rank, in round numbers after what changes do to the
# ranks in the benchmark's worlds: a mild slope, a steep one, a heavier top, more at both ends
# (over-confidence: right labels become surer, wrong ones cost more), more in the middle
# (under-confidence), and what becomes of one label of which a part changes, and of the others
# meanwhile. That the others' top grows a little, too, loses where it shrinks: where some labels
# cost more because others cost less, the mix of frames has changed, not a label.
_NAMES = ('shift', 'shift', 'tail', 'overconfident', 'underconfident')
_SHAPES = np.stack([
    _density(0.0, 0.0, 0.3, slope=0.3),
    _density(0.5, 1.0, 0.8, slope=0.7),
    _density(4.0, 0.4, 0.0),
    _density(6.0, 0.0, 0.0, low=(1.0, 2.5, 3.5, 8.0)),
    _density(-1.5, -1.0, 2.0, low=(-0.6, -0.1)),
    _density(0.3, 0.7, 0.5, slope=0.2),
    _density(0.0, 0.5, 0.0),
])
# The same by knots, each a row, and how far it is to the next one: quick to look up.
_PLACES: list[float] = _KNOTS.tolist()
_AT_KNOTS = np.ascontiguousarray(_SHAPES.T)
_STEPS = np.diff(_AT_KNOTS, axis=0)
_OF_LABEL, _OF_OTHERS = len(_NAMES), len(_NAMES) + 1
# The weights sum to 1, and were found in the benchmark's worlds for choosing, not in those that
# it reports.
_WEIGHTS = (0.28, 0.07, 0.01, 0.07, 0.02)
_LABEL_WEIGHT = 0.15
SURPRISE_WEIGHT = 0.5


class RankBets:
    """
    The bets on the ranks, each with mean exactly 1 over uniform ranks.

    Parameters
    ----------
    own : the labels that have a bet of their own

    """

    def __init__(self, own: tuple[int, ...]) -> None:
        # Where each one's own bet stands among the bets.
        self._own = {label: len(_NAMES) + place for place, label in enumerate(own)}
        self.names = _NAMES + tuple(f'label:{label}' for label in own)
        weights = np.array(_WEIGHTS + (_LABEL_WEIGHT / max(len(own), 1),) * len(own))
        # Together the rank bets weigh what surprise leaves.
        self.weights = weights / weights.sum() * (1.0 - SURPRISE_WEIGHT)

    def pay(self, label: int, rank: int, size: int) -> Array:
        """
        Return what each bet pays.

        Parameters
        ----------
        label : the true label
        rank, size : the score's rank from the top, 0..size-1

        Returns
        -------
        (number of bets,) positive; for each, the mean over the ranks is 1

        """
        cuts = np.rint(_KNOTS * size).tolist()
        above = bisect_right(cuts, rank)
        low, high = cuts[above - 1], cuts[above]
        shapes = (_distribution(high / size) - _distribution(low / size)) * size / (high - low)
        pays = np.empty(len(self.weights))
        pays[:_OF_LABEL] = shapes[:_OF_LABEL]
        pays[_OF_LABEL:] = shapes[_OF_OTHERS]
        if label in self._own:
            pays[self._own[label]] = shapes[_OF_LABEL]
        return pays


def _distribution(u: float) -> Array:
    """Return all shapes' distribution functions at u, linear between the knots."""
    index = min(bisect_right(_PLACES, u) - 1, len(_PLACES) - 2)
    fraction = (u - _PLACES[index]) / (_PLACES[index + 1] - _PLACES[index])
    return np.asarray(_AT_KNOTS[index] + fraction * _STEPS[index])
