"""
Where in a frame the object lies, by what the same camera sees of the place without one.

For a camera and a ground that stand still: what differs from the ground is the object, however
loud the ground's pattern is. The ground is learned from frames in which nothing moves, the model
takes what it sees for none of its labels, and nothing stands out; it is followed as the light
changes, and learned anew where something else stays that is no tool. Until it is known, the
object is found as without it (``locate``).
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.empty_place import FOLLOWED
from tool_recognizer.core.empty_place import glance
from tool_recognizer.core.empty_place import is_dark
from tool_recognizer.core.empty_place import is_lit
from tool_recognizer.core.empty_place import LEARNED
from tool_recognizer.core.empty_place import Lesson
from tool_recognizer.core.empty_place import RELEARNED
from tool_recognizer.core.locate import find
from tool_recognizer.core.locate import Found
from tool_recognizer.core.locate import found_in
from tool_recognizer.core.locate import small
from tool_recognizer.core.preprocessing import Pixels

Reals = NDArray[np.float32]

# Grey levels by which a pixel may differ from what is within AROUND pixels of its place in the
# ground, so that a camera may shake a little; by so many more it surely shows something else.
SAME, OTHER, AROUND = 8.0, 24.0, 1
# Gaps of less than so many pixels of the small copy are closed.
GAP = 5
# Below this probability nothing is found.
SURE = 0.3
# Only each so many pixels are looked at, each way, for how bright the frame is.
STEP = 4


class KnownGround:
    """
    See the module; frames are looked at in the order of the camera.

    Attributes
    ----------
    is_known : whether the ground has been learned

    """

    def __init__(self) -> None:
        self._ground: Reals | None = None
        self._learned_in_the_dark = False
        self._lesson = Lesson()
        # Of the frame that was looked at last: its small copy, how its pixels differ, and whether
        # something stands out, although the ground is not known.
        self._seen: Pixels | None = None
        self._difference: Reals | None = None
        self._stands_out = False

    @property
    def is_known(self) -> bool:
        """Whether the ground has been learned."""
        return self._ground is not None

    def find(self, pixels: Pixels, order: str = 'rgb') -> Found | None:
        """
        Find the object in the next frame.

        Parameters
        ----------
        pixels, order : as ``fit_image`` takes them

        Returns
        -------
        As ``locate.find``

        Raises
        ------
        ValueError
            As ``fit_image``.

        """
        seen = self._seen = small(pixels, order)
        if self._ground is not None and (self._ground.shape != seen.shape or (
                self._learned_in_the_dark and is_lit(glance(seen)))):
            self._ground = None  # another camera, or the light was switched on
        if self._ground is None:
            self._difference = None
            found = find(pixels, order)
        else:
            self._difference = _difference(seen, self._ground)
            found = found_in(np.asarray(np.clip((self._difference - SAME) / OTHER, 0.0, 1.0),
                                        np.float32), pixels.shape[:2], GAP, SURE)
        self._stands_out = self._ground is None and found is not None
        return found

    def learn(self, is_tool: bool) -> None:
        """
        Learn from the frame in which the object was looked for last.

        Parameters
        ----------
        is_tool : whether the model takes what it was shown of it for one of its labels

        """
        if self._seen is None:
            return
        seen, afar = np.asarray(self._seen, np.float32), glance(self._seen)
        self._seen = None
        self._lesson.take(afar, seen, is_tool)
        new = self._ground is None and not self._stands_out
        if self._lesson.count >= (LEARNED if new else RELEARNED):
            self._ground, self._learned_in_the_dark = self._lesson.mean, is_dark(afar)
            self._lesson.restart()
        elif self._ground is not None and self._difference is not None and (
                self._learned_in_the_dark or not is_dark(afar)):
            same = np.asarray(self._difference < SAME, np.uint8)
            cv2.accumulateWeighted(seen, self._ground, FOLLOWED, same)


def _difference(seen: Pixels, ground: Reals) -> Reals:
    """Return by how many grey levels pixels are outside of what the ground has around them."""
    shown = np.asarray(seen, np.float32)
    few = shown[::STEP, ::STEP] / np.maximum(ground[::STEP, ::STEP], 1.0)
    # The light, and the camera's white balance, may be others now.
    ground = np.minimum(ground * np.median(few, axis=(0, 1)).astype(np.float32), 255.0)
    kernel = np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8)
    above, below = shown - cv2.dilate(ground, kernel), cv2.erode(ground, kernel) - shown
    red, green, blue = cv2.split(cv2.max(above, below))
    outside = np.maximum(cv2.max(cv2.max(red, green), blue), 0.0)
    return np.asarray(cv2.blur(outside, (2, 2)), np.float32)
