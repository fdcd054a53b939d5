"""
Whether a frame is fit for an opinion: dark, overexposed, blurred, a dead camera's last one.

Three figures of the picture that the network sees, each held against what the model's own training
pictures measured. All three fall as a picture gets worse. Left out: what is in front of the lens
(that is the model's own 'none of the labels'), and whether a plain surface is in focus, which
nobody can see.
"""

from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple
from zlib import crc32

import cv2
import numpy as np
from tool_recognizer.core.decision import BLURRED
from tool_recognizer.core.decision import DARK
from tool_recognizer.core.decision import OVEREXPOSED
from tool_recognizer.core.preprocessing import PAD
from tool_recognizer.core.preprocessing import Pixels

# A channel at this value or above holds no more light, only the sensor's limit; below 255, since
# compression and resizing blur the limit.
CLIPPED = 250
BRIGHT_SHARE = 0.95
# Steps from pixel to pixel along a line: across, down and along both diagonals.
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
# Only steps this many times stronger than the mean one count (in squares): edges, not noise.
STRONG = 4
# Below this root mean square of the steps there is nothing that could be sharp, grey levels.
PLAIN = 0.5
# Of the training pictures, this share lies below the figure from which a threshold is taken...
SHARE = 0.005
# ... and this part of that figure is the threshold: cameras in use see more than was trained on,
# and a network bears a good deal. A white sheet around a tool is no fault either, so that little
# of what is usually left unclipped is enough.
DARK_PART, OVEREXPOSED_PART, BLURRED_PART = 0.25, 0.135, 0.75
# What is left unclipped is a tool on a white desk if this share of it is one solid part. Of a
# washed out picture edges and shreds are left. Where even less than a third of what the threshold
# asks for is left, nothing can be told from it.
SOLID, LEAST_PART = 0.6, 1 / 3
# Above this unclipped share no picture is overexposed, and solidity is not measured.
MOSTLY = 0.25
FROZEN_AFTER = 30


class Quality(NamedTuple):
    """
    What was measured on one picture.

    Attributes
    ----------
    brightness : 95th percentile of the pixels' brightest channel, grey levels 0 to 255
    unclipped : share of the pixels of which no channel is at its limit, 0 to 1
    sharpness : at the edges, second difference over first, in the direction where this is least
        (a moved camera blurs one direction only); about 1 for a sharp picture, 0.5 for one blurred
        by a Gaussian of 1.2 pixels; inf for a picture without any edge
    solid : of the unclipped pixels, the share that is inside (all eight neighbours unclipped, too)
        the largest connected part of them, 0 to 1; 1 where more than ``MOSTLY`` is unclipped

    """

    brightness: float
    unclipped: float
    sharpness: float
    solid: float = 0.0


class QualityThresholds(NamedTuple):
    """
    The least that a picture must measure, in the units of ``Quality``.

    Attributes
    ----------
    dark : of the brightness
    overexposed : of the unclipped share
    blurred : of the sharpness

    """

    dark: float
    overexposed: float
    blurred: float


class FrozenDetector:
    """
    Notices a camera that delivers the same frame again and again.

    Two frames of a living sensor differ in some pixel, if only by noise. Frames are compared by
    their CRC-32.

    Parameters
    ----------
    after : so many identical frames in a row are frozen

    Raises
    ------
    ValueError
        Fewer than 2.

    """

    def __init__(self, after: int = FROZEN_AFTER) -> None:
        if after < 2:
            raise ValueError(f'one frame is never frozen: after must be at least 2, got {after}')
        self._after = after
        self._digest: int | None = None
        self._count = 0

    @property
    def count(self) -> int:
        """Return how many identical frames came last in a row; 0 before the first."""
        return self._count

    def update(self, digest: int) -> bool:
        """
        Take up a frame.

        Parameters
        ----------
        digest : of its picture, see ``fingerprint``

        Returns
        -------
        Whether the camera is frozen

        """
        self._count = self._count + 1 if digest == self._digest else 1
        self._digest = digest
        return self._count >= self._after


def fingerprint(image: Pixels) -> int:
    """Return the CRC-32 of a picture, uint8 of any shape and contiguous."""
    return crc32(image.data)


def measure(image: Pixels) -> Quality:
    """
    Measure a picture as ``fit_image`` gives it.

    Sharpness: blur takes away more of the second difference than of the first, since it damps
    high frequencies most. (The ratio is a frequency; comparing derivatives of two orders is the
    common ground of the operators in Pertuz, Puig, Garcia, Analysis of focus measure operators for
    shape-from-focus, 2013.)

    Parameters
    ----------
    image : (H, W, 3) uint8 RGB; the bars of a letterbox do not count

    Returns
    -------
    Quality

    """
    red, green, blue = cv2.split(image)
    value = _without_bars(np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8))
    levels = cv2.calcHist([value], [0], None, [256], [0, 256]).ravel().cumsum(dtype=np.float64)
    unclipped = float(levels[CLIPPED - 1] / value.size)
    return Quality(float(np.searchsorted(levels, BRIGHT_SHARE * value.size)), unclipped,
                   _sharpness(value), 1.0 if unclipped > MOSTLY else _solid(value))


def judge(quality: Quality, thresholds: QualityThresholds | None) -> str | None:
    """
    Say what is wrong with a picture.

    Parameters
    ----------
    quality : of the picture
    thresholds : of the model; None checks nothing

    Returns
    -------
    'unknown:dark', 'unknown:overexposed' or 'unknown:blurred', the first that holds: without light
    there is no edge to judge; None if nothing is wrong

    """
    if thresholds is None:
        return None
    if quality.brightness < thresholds.dark:
        return DARK
    if quality.unclipped < thresholds.overexposed and (
            quality.solid < SOLID or quality.unclipped < LEAST_PART * thresholds.overexposed):
        return OVEREXPOSED
    if quality.sharpness < thresholds.blurred:
        return BLURRED
    return None


def fault(image: Pixels, thresholds: QualityThresholds | None) -> str | None:
    """
    Measure and judge a picture; without thresholds nothing is measured.

    Parameters
    ----------
    image : (H, W, 3) uint8 RGB, as ``fit_image`` gives it
    thresholds : of the model; None checks nothing

    Returns
    -------
    As ``judge``

    """
    return None if thresholds is None else judge(measure(image), thresholds)


def thresholds_from(pictures: Sequence[Quality]) -> QualityThresholds:
    """
    Take thresholds from what a model's training pictures measured.

    Each is a part (0.25, 0.135, 0.75) of what 0.5 % of the pictures do not reach, so that no more
    than these are refused, and by the margin far fewer.

    Parameters
    ----------
    pictures : at least one

    Raises
    ------
    ValueError
        No pictures.

    """
    if not pictures:
        raise ValueError('thresholds of quality need at least one picture, got none')
    brightness, unclipped, sharpness = np.quantile(
        np.asarray(pictures, np.float64)[:, :3], SHARE, axis=0, method='lower').tolist()
    # A training set without a single edge says nothing of sharpness.
    blurred = BLURRED_PART * sharpness if np.isfinite(sharpness) else 0.0
    return QualityThresholds(DARK_PART * brightness, OVEREXPOSED_PART * unclipped, blurred)


def _without_bars(value: Pixels) -> Pixels:
    """Cut off the rows or columns at two sides that are nothing but a letterbox's grey."""
    if value[0, 0] != PAD:  # each bar begins there, and most pictures have none
        return value
    for axis in (1, 0):
        edge = value[0] if axis else value[:, 0]
        if (edge == PAD).all():
            inside = np.flatnonzero((value != PAD).any(axis=axis))
            if len(inside):
                kept = slice(int(inside[0]), int(inside[-1]) + 1)
                value = value[kept] if axis else value[:, kept]
    return value


def _solid(value: Pixels) -> float:
    """Return the share of the unclipped pixels that is inside their largest part."""
    unclipped = (value < CLIPPED).astype(np.uint8)
    count, parts, areas, _ = cv2.connectedComponentsWithStats(unclipped, connectivity=8)
    if count < 2:
        return 0.0
    largest = (parts == 1 + int(areas[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    inside = cv2.erode(largest, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT,
                       borderValue=0)
    return cv2.countNonZero(inside) / cv2.countNonZero(unclipped)


def _sharpness(value: Pixels) -> float:
    """Return the least ratio; all sums are of whole numbers, and exact."""
    height, width = value.shape
    if height < 3 or width < 3:
        return float('inf')
    least = float('inf')
    # Second differences need a sign and nine bits.
    signed = value.astype(np.int16)
    here, twice = value[1:-1:2, 1:-1], 2 * signed[1:-1:2, 1:-1]
    for down, across in DIRECTIONS:
        # Every other line is enough, and half the work.
        before = np.s_[1 - down:height - 1 - down:2, 1 - across:width - 1 - across]
        after = np.s_[1 + down:height - 1 + down:2, 1 + across:width - 1 + across]
        first = cv2.absdiff(value[after], here)
        total = round(cv2.norm(first, cv2.NORM_L2SQR))
        if total < PLAIN * PLAIN * here.size:
            continue
        # Steps of which the square is above STRONG means; the others become 0.
        _, strong = cv2.threshold(first, isqrt(STRONG * total // here.size), 0, cv2.THRESH_TOZERO)
        steps = cv2.norm(strong, cv2.NORM_L2SQR)
        if not steps:
            continue
        second = cv2.subtract(cv2.add(signed[before], signed[after]), twice)
        bends = cv2.norm(cv2.copyTo(second, strong), cv2.NORM_L2SQR)
        least = min(least, (bends / steps) ** 0.5)
    return least
