"""The monitor's figures over time, in memory that is taken once: it never grows."""

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
        # Filled, so that the memory is there from the beginning.
        self._ring = np.full((size, len(COLUMNS)), np.nan)
        self._laid = 0

    def append(self, point: Point) -> None:
        """Take in the newest point."""
        self._ring[self._laid % len(self._ring)] = astuple(point)
        self._laid += 1

    def insert(self, points: Iterable[Point]) -> None:
        """Take in points of any moments."""
        known = [np.array([astuple(point)]) for point in points]
        rows = np.concatenate([*known, self.rows()])
        rows = rows[np.argsort(rows[:, MOMENT], kind='stable')][-len(self._ring):]
        self._ring[:len(rows)] = rows
        self._laid = len(rows)

    def rows(self) -> Array:
        """Return the points, oldest first, a row each: see ``COLUMNS``."""
        size = len(self._ring)
        if self._laid <= size:
            return self._ring[:self._laid]
        return np.roll(self._ring, -(self._laid % size), axis=0)

    def since(self, moment: float) -> Array:
        """Return the points from a moment on, and the one before, from which a line comes in."""
        rows = self.rows()
        return rows[max(0, int(np.searchsorted(rows[:, MOMENT], moment)) - 1):]

    def moment_after(self, n: float) -> float | None:
        """Return when there were more than n confirmed frames in the last run, or None."""
        rows = self.rows()
        begins = np.flatnonzero(np.diff(rows[:, N]) < 0) + 1
        run = rows[begins[-1] if len(begins) else 0:]
        place = int(np.searchsorted(run[:, N], n + 1))
        return float(run[place, MOMENT]) if place < len(run) else None
