"""
Where in a frame the object lies: the box around it, if one stands out from the ground.

A small network says of each cell of a small copy of the frame, two by two pixels, how probable it
is that it shows an object (``finder_network``); where the empty place is known, each pixel's
difference says it (``known_ground``). Connected cells that are likely make a part, and the part
with the most in it is the object. Left out: what the object is.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.finder_network import belonging
from tool_recognizer.finder_network import STEP

Reals = NDArray[np.float32]
Array = NDArray[np.float64]
Boxes = NDArray[np.int64]

# The longer side of the small copy, pixels.
SIDE = 192
# Cells of this probability or more make parts, and gaps of less than GAP cells are closed.
LIKELY, GAP = 0.2, 3
# Cells below this one are ground.
FAINT = 0.1
# An object of this part of the frame's longer side fills the frame.
FILLS = 0.6
# Below this probability nothing is found.
SURE = 0.72
# A part of at least this much of the heaviest one's weight, and apart from it, is an object, too.
EQUAL = 0.5
# So many are counted.
MANY = 10


class Box(NamedTuple):
    """A rectangle of pixels: left and top are in it, right and bottom are not."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def middle(self) -> tuple[float, float]:
        """Where its middle is, x and y, pixels; the upper left pixel's middle is 0.5, 0.5."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.right - self.left, self.bottom - self.top


class Found(NamedTuple):
    """
    An object that stands out.

    Attributes
    ----------
    box : around it, in the frame's pixels
    probability : of the box, and of the others if there are several: a measure of how sure it is
    objects : how many parts of about its weight there are, apart from each other, with itself;
        MANY at most

    """

    box: Box
    probability: float
    objects: int


def find(pixels: Pixels, order: str = 'rgb') -> Found | None:
    """
    Find the object in a frame.

    Parameters
    ----------
    pixels, order : as ``fit_image`` takes them

    Returns
    -------
    The part with the most in it; None if none stands out, or it fills the frame anyway

    Raises
    ------
    ValueError
        As ``fit_image``.

    """
    return found_in(belonging(small(pixels, order)), pixels.shape[:2])


def found_in(probability: Reals, size: tuple[int, ...], gap: int = GAP, least: float = SURE
             ) -> Found | None:
    """
    Find the object by how probable each cell is to show one.

    Parameters
    ----------
    probability : (h, w) of each cell
    size : height and width of the frame that the cells cover, pixels
    gap : gaps of less than so many cells are closed
    least : below this probability of the whole nothing is found

    Returns
    -------
    As ``find``

    """
    height, width = size
    rows, columns = probability.shape
    boxes, weights, masses = parts(probability, gap)
    if not len(boxes):
        return None
    best = int(weights.argmax())
    left, top, right, bottom = boxes[best].tolist()
    # The share of all that may be an object, by its surest cell.
    several = weights >= EQUAL * weights[best]
    share = masses[several].sum() / probability[probability >= FAINT].sum()
    sure = float(share * probability[top:bottom, left:right].max())
    box = Box(left * width // columns, top * height // rows,
              -(-right * width // columns), -(-bottom * height // rows))
    if sure < least or max(box.size) >= FILLS * max(height, width):
        return None
    return Found(box, sure, _apart(boxes[several], weights[several]))


def small(pixels: Pixels, order: str = 'rgb') -> Pixels:
    """
    Make the small copy of a frame in which the object is looked for.

    Parameters
    ----------
    pixels, order : as ``fit_image`` takes them

    Returns
    -------
    (h, w, 3) uint8 RGB in nearly the frame's proportions: the longer side is ``SIDE`` pixels, the
    other one a multiple of ``STEP``

    Raises
    ------
    ValueError
        As ``fit_image``.

    """
    height, width = pixels.shape[:2]
    scale = SIDE / STEP / max(height, width, 1)
    spec = InputSpec(STEP * max(1, round(height * scale)), STEP * max(1, round(width * scale)),
                     'stretch')
    return fit_image(pixels, spec, order)


def parts(probability: Reals, gap: int = GAP) -> tuple[Boxes, Array, Array]:
    """
    Cut out what probably is an object.

    Parameters
    ----------
    probability : (h, w) of each cell
    gap : gaps of less than so many cells are closed

    Returns
    -------
    (n, 4) boxes as left, top, right, bottom, cells; (n,) the sums of the squared probabilities, so
    that the surer cells count more; (n,) the sums of the probabilities

    """
    likely = (probability >= LIKELY).astype(np.uint8)
    closed = cv2.morphologyEx(likely, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    sums = [np.bincount(labels.ravel(), each.ravel(), count)[1:].astype(np.float64)
            for each in (np.square(probability), probability)]
    left, top, wide, high = stats[1:, :4].T
    boxes = np.column_stack([left, top, left + wide, top + high]).astype(np.int64)
    return boxes, sums[0], sums[1]


def overlaps(box: Boxes, boxes: Boxes) -> Array:
    """
    Compare a box with others.

    Parameters
    ----------
    box : (4,) left, top, right, bottom
    boxes : (n, 4)

    Returns
    -------
    (n,) intersection over union, 0 to 1

    """
    shared = np.maximum(0, np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]))
    common = shared.prod(axis=1)
    together: Array = common / (_areas(box[np.newaxis]) + _areas(boxes) - common)
    return together


def _apart(boxes: Boxes, weights: Array) -> int:
    """Count the parts whose boxes lie apart, of the heaviest MANY."""
    chosen: list[int] = []
    for i in np.argsort(-weights, kind='stable')[:MANY].tolist():
        if all(overlaps(boxes[j], boxes[i:i + 1])[0] == 0.0 for j in chosen):
            chosen.append(i)
    return len(chosen)


def _areas(boxes: Boxes) -> Boxes:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
