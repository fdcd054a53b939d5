"""The monitor's figures over time, in memory that is taken once: it never grows."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import astuple
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.console.history import Point

Array = NDArray[np.float64]

COLUMNS = tuple(field.name for field in fields(Point))
MOMENT, N = COLUMNS.index('moment'), COLUMNS.index('n')


class Curve:
    """
    The newest points, in the order of their moments.

    Parameters
    ----------
    size : how many are kept

    """

    def __init__(self, size: int) -> None:
        self._size = size
        # Twice as many rows, so that the points lie in one piece and none is copied to be read.
        # Filled, so that the memory is there from the beginning.
        self._rows = np.full((2 * size, len(COLUMNS)), np.nan)
        self._begin = self._end = 0

    def append(self, point: Point) -> None:
        """Take in the newest point."""
        if self._end == len(self._rows):
            self._rows[:self._size] = self._rows[self._size:]
            self._end = self._size
        self._rows[self._end] = astuple(point)
        self._end += 1
        self._begin = max(0, self._end - self._size)

    def insert(self, points: Iterable[Point]) -> None:
        """Take in points of any moments."""
        known = [np.array([astuple(point)]) for point in points]
        if not known:
            return
        rows = np.concatenate([*known, self.rows()])
        rows = rows[np.argsort(rows[:, MOMENT], kind='stable')][-self._size:]
        self._begin, self._end = 0, len(rows)
        self._rows[:self._end] = rows

    def rows(self) -> Array:
        """Return the points, oldest first, a row each, as they are now: see ``COLUMNS``."""
        return self._rows[self._begin:self._end]

    def since(self, moment: float) -> Array:
        """Return the points from a moment on, and the one before, from which a line comes in."""
        rows = self.rows()
        return rows[max(0, bisect_left(rows[:, MOMENT], moment) - 1):]

    def moment_after(self, n: float) -> float | None:
        """Return when there were more than n confirmed frames in the last run, or None."""
        rows = self.rows()
        begins = np.flatnonzero(np.diff(rows[:, N]) < 0) + 1
        run = rows[begins[-1] if len(begins) else 0:]
        place = int(np.searchsorted(run[:, N], n + 1))
        return float(run[place, MOMENT]) if place < len(run) else None
