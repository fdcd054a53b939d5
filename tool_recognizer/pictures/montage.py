"""One object in one picture: its clearest frame, and two more beside it."""

from collections.abc import Sequence

import cv2
import numpy as np
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.recognition import FrameKey

# Pictures that are shown together; between them, a share of the height of the first.
MOST, GAP = 3, 0.015
# What lies between them is as good as black, and no part of any of them.
GROUND = 16


class ObjectPictures:
    """
    What is held of an object's frames until it is asked for: the clearest, and two more.

    The two are the first and the last of the others, which lie farthest apart.
    """

    def __init__(self) -> None:
        self._object: FrameKey | None = None
        self._held: list[tuple[float, Pixels]] = []

    def add(self, key: FrameKey, picture: Pixels, doubt: float) -> None:
        """
        Hold a picture.

        Parameters
        ----------
        key : of the object's first frame; another object takes the place of the one before
        picture : (H, W, 3) uint8 BGR, not written to afterwards
        doubt : the less, the clearer

        """
        if key != self._object:
            self._object, self._held = key, []
        self._held.append((doubt, picture))
        if len(self._held) > MOST:
            clearest = self._clearest()
            others = [place for place in range(len(self._held)) if place != clearest]
            del self._held[others[len(others) // 2]]

    def show(self, key: FrameKey) -> Pixels | None:
        """Return all of an object's pictures in one, as ``montage``; None if there is none."""
        if key != self._object or not self._held:
            return None
        pictures = [picture for _, picture in self._held]
        return montage([pictures.pop(self._clearest()), *pictures])

    def _clearest(self) -> int:
        return min(range(len(self._held)), key=lambda place: self._held[place][0])


def montage(pictures: Sequence[Pixels]) -> Pixels:
    """
    Lay pictures beside each other: the first as it is, the others smaller, one above the other.

    Parameters
    ----------
    pictures : at least one, (H, W, 3) uint8 BGR each, of any size

    Returns
    -------
    (H, W, 3) uint8 BGR, as high as the first one

    """
    first, *others = pictures
    if not others:
        return first
    height, gap = first.shape[0], max(1, round(GAP * first.shape[0]))
    # As high as they would be if there were always two.
    part = max(1, (height - gap) // (MOST - 1))
    small = [cv2.resize(other, (max(1, round(other.shape[1] * part / other.shape[0])), part),
                        interpolation=cv2.INTER_AREA) for other in others]
    width = first.shape[1] + gap + max(other.shape[1] for other in small)
    made = np.full((height, width, 3), GROUND, np.uint8)
    made[:, :first.shape[1]] = first
    for place, other in enumerate(small):
        top = place * (part + gap)
        rows = min(part, height - top)
        left = first.shape[1] + gap
        made[top:top + rows, left:left + other.shape[1]] = other[:rows]
    return made
