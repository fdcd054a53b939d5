"""
Where in a frame the object lies, by what the same camera sees of the place without one.

For a camera and a ground that stand still: what differs from the ground is the object, however
loud the ground's pattern is. The ground is learned from frames in which nothing moves, the model
takes what it sees for none of its labels, and nothing stands out; it is followed as the light
changes, and pixel by pixel learned anew where something else stays that is no tool. Until it is
known, the object is found as without it (``locate``). Nothing is learned in the dark.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.decision import SEVERAL_TOOLS
from tool_recognizer.core.empty_place import dark
from tool_recognizer.core.empty_place import FOLLOWED
from tool_recognizer.core.empty_place import glance
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
# How bright the frame is, beside the ground, is said by each so many pixels, each way; by those of
# a colour's levels that are large enough, if they are this share of all.
SAMPLED, BRIGHT, ENOUGH = 4, 16.0, 0.05


class KnownGround:
    """
    See the module; frames are looked at in the order of the camera.

    Attributes
    ----------
    is_known : whether the ground has been learned

    """

    def __init__(self) -> None:
        self._ground: Reals | None = None
        self._lesson = Lesson()
        # Whether something stands out, although the ground is not known.
        self._stands_out = False
        # Of each pixel: in how many frames without a tool, one after the other, it differed.
        self._strange: NDArray[np.int32] | None = None
        # Of the frame that was looked at last: its small copy, the ground in its light, and how
        # its pixels differ from that.
        self._seen: Pixels | None = None
        self._lit: Reals | None = None
        self._difference: Reals | None = None

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
        if self._ground is not None and self._ground.shape != seen.shape:
            self._ground = None  # another camera
        if self._ground is None:
            found = find(pixels, order)
            if self._stands_out != (found is not None):
                self._stands_out = found is not None
                self._lesson.restart()
            return found
        self._lit = _in_the_light_of(seen, self._ground)
        self._difference = _difference(seen, self._lit)
        return found_in(np.asarray(np.clip((self._difference - SAME) / OTHER, 0.0, 1.0),
                                   np.float32), pixels.shape[:2], GAP, SURE)

    def learn(self, is_tool: bool, unfit: str | None = None) -> None:
        """
        Learn from the frame in which the object was looked for last.

        Parameters
        ----------
        is_tool : whether the model takes what it was shown of it for one of its labels
        unfit : why it can have no label; if it is not fit to be seen, nothing is learned from it

        """
        if self._seen is None or unfit not in (None, SEVERAL_TOOLS):
            return
        seen, afar = np.asarray(self._seen, np.float32), glance(self._seen)
        self._seen = None
        is_dark = dark(afar)  # nothing is seen of the ground
        if self._ground is None:
            self._lesson.take(afar, seen, is_tool or is_dark)
            if self._lesson.count >= (RELEARNED if self._stands_out else LEARNED):
                self._ground = self._lesson.mean
                self._strange = np.zeros(seen.shape[:2], np.int32)
                self._lesson.restart()
        elif not is_tool and not is_dark:
            self._follow(seen)

    def _follow(self, seen: Reals) -> None:
        """Let the ground go with the light, and take over what stays."""
        assert self._ground is not None
        assert self._lit is not None
        assert self._difference is not None
        assert self._strange is not None
        same = self._difference < SAME
        self._strange = np.where(same, 0, self._strange + 1).astype(np.int32)
        stays = self._strange >= RELEARNED
        # Under an object the ground is not seen, but the light is.
        shown = np.where((same | stays)[..., np.newaxis], seen, self._lit)
        share = np.where(stays, 1.0, FOLLOWED).astype(np.float32)[..., np.newaxis]
        self._ground = np.asarray(self._ground + share * (shown - self._ground), np.float32)


def _in_the_light_of(seen: Pixels, ground: Reals) -> Reals:
    """Return the ground in the light, and with the camera's white balance, of a frame."""
    few, before = seen[::SAMPLED, ::SAMPLED], ground[::SAMPLED, ::SAMPLED]
    gains = np.ones(3, np.float32)
    for colour in range(3):
        bright = before[..., colour] >= BRIGHT
        if bright.mean() >= ENOUGH:
            gains[colour] = np.median(few[..., colour][bright] / before[..., colour][bright])
    return np.asarray(np.minimum(ground * gains, 255.0), np.float32)


def _difference(seen: Pixels, ground: Reals) -> Reals:
    """Return by how many grey levels pixels are outside of what the ground has around them."""
    shown = np.asarray(seen, np.float32)
    kernel = np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8)
    above, below = shown - cv2.dilate(ground, kernel), cv2.erode(ground, kernel) - shown
    red, green, blue = cv2.split(cv2.max(above, below))
    outside = np.maximum(cv2.max(cv2.max(red, green), blue), 0.0)
    return np.asarray(cv2.blur(outside, (2, 2)), np.float32)
