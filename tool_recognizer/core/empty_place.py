"""
Whether an object is before the camera, by the picture alone: the empty place looks otherwise.

The empty place is learned from frames in which nothing moves and the model takes what it sees for
none of its labels. It is followed as the light changes slowly, but not into the dark, where
nothing is seen of it; and learned anew where something else stays that is no tool. Not for a belt,
whose ground moves.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import Pixels

Glance = NDArray[np.float32]

# Cells of a glance, each way; pixels of a frame's side that are looked at, at least.
CELLS, SIDE = 12, 96
# Grey levels: by less than the first two glances differ if nothing moves; by more than the second
# the cells where an object lies differ from the empty place, by less than the third they do not.
STILL, THERE, AWAY = 3.0, 14.0, 9.0
# Of the cells, the most different ones that are looked at: an object covers as many at least.
SHARE = 0.05
# Grey levels: it is dark where all cells but that share are below the first; it is lit where all
# but that share are above the second, which an object that comes into the dark never brings about.
DARK, LIT = 16.0, 24.0
# Frames in a row that teach the empty place; that teach it anew while something is there.
LEARNED, RELEARNED = 10, 300
# How much of each empty frame goes into what is known of it.
FOLLOWED = 0.02


def glance(pixels: Pixels) -> Glance:
    """
    Look at a picture from afar.

    Parameters
    ----------
    pixels : (H, W, C) or (H, W) uint8

    Returns
    -------
    (CELLS, CELLS, C) float32, grey levels

    """
    step = max(1, min(pixels.shape[:2]) // SIDE)
    small = cv2.resize(np.ascontiguousarray(pixels[::step, ::step]), (CELLS, CELLS),
                       interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(CELLS, CELLS, -1)


class Lesson:
    """
    The frames in a row in which nothing moves and no tool is seen: what there is to learn.

    Attributes
    ----------
    count : how many they are

    """

    def __init__(self) -> None:
        self.count = 0
        self._before: Glance | None = None
        self._sum: Glance | None = None

    @property
    def mean(self) -> Glance:
        """Return the mean of their pictures; there is one at least."""
        assert self._sum is not None
        return np.asarray(self._sum / np.float32(self.count))

    def take(self, seen: Glance, picture: Glance, is_tool: bool) -> None:
        """
        Take the next frame.

        Parameters
        ----------
        seen : of the frame, by which a movement is noticed
        picture : of the frame, of which the mean is taken
        is_tool : whether the model takes what it sees for one of its labels

        """
        before, self._before = self._before, seen
        other = self._sum is not None and self._sum.shape != picture.shape
        if is_tool or other or before is None or before.shape != seen.shape or (
                float(np.abs(seen - before).max()) > STILL):
            self.restart()
            return
        self.count += 1
        self._sum = picture if self._sum is None else self._sum + picture

    def restart(self) -> None:
        """Count from the next frame on."""
        self.count, self._sum = 0, None


class EmptyPlace:
    """
    See the module; frames are looked at in the order of the camera.

    Attributes
    ----------
    is_known : whether the empty place has been learned

    """

    def __init__(self) -> None:
        self._place: Glance | None = None
        self._lesson = Lesson()
        self._there = False

    @property
    def is_known(self) -> bool:
        """Whether the empty place has been learned."""
        return self._place is not None

    def look(self, seen: Glance, is_tool: bool) -> bool:
        """
        Take the next frame; tell whether something is there.

        Parameters
        ----------
        seen : of the frame
        is_tool : whether the model takes what it sees for one of its labels

        Returns
        -------
        False as long as the empty place is not known

        """
        self._learn(seen, is_tool)
        if self._place is None:
            return False
        if seen.shape != self._place.shape or (  # another camera, or the light was switched on
                dark(self._place) and _is_lit(seen)):
            self._place, self._there = None, False
            return False
        difference = _difference(seen, self._place)
        self._there = difference > (AWAY if self._there else THERE)
        if not self._there and (dark(self._place) or not dark(seen)):
            self._place = self._place + np.float32(FOLLOWED) * (seen - self._place)
        return self._there

    def _learn(self, seen: Glance, is_tool: bool) -> None:
        self._lesson.take(seen, seen, is_tool)
        if self._lesson.count >= (LEARNED if self._place is None else RELEARNED):
            if self._place is None or self._there:
                self._place, self._there = self._lesson.mean, False
            self._lesson.restart()


def dark(seen: Glance) -> bool:
    """Return whether nothing is seen of a place."""
    return float(np.quantile(seen.max(axis=2), 1.0 - SHARE)) < DARK


def _is_lit(seen: Glance) -> bool:
    """Return whether a place is lit all over."""
    return float(np.quantile(seen.max(axis=2), SHARE)) > LIT


def _difference(seen: Glance, place: Glance) -> float:
    """Return how much the most different cells differ, once both are equally bright."""
    gain = float(np.median(seen)) / max(1.0, float(np.median(place)))
    cells = np.abs(seen - np.float32(gain) * place).max(axis=2).ravel()
    most = max(1, round(SHARE * cells.size))
    return float(np.sort(cells)[-most:].mean())
