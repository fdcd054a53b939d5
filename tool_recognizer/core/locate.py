"""
Where in a frame the object lies: the box around it, if one stands out from the ground.

No network: a small copy of the frame, its own ground, the parts that differ from it, and one
choice among them. Each part i is described by a few numbers f_i, and

    p(part i | frame) = exp(w . f_i) / sum_j exp(w . f_j)

(the conditional logit of McFadden, 1974). w is fitted by maximum likelihood on frames with known
boxes, see ``tools/fit_locate.py``. Where nothing stands out, no part is probable, and where the
object fills the frame, the probable part is large. Left out: what the object is.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels

Reals = NDArray[np.float32]
Array = NDArray[np.float64]
Boxes = NDArray[np.int64]

# The longer side of the small copy, pixels.
SIDE = 128
# Ground is of one colour up to this standard deviation, levels of L*a*b*: a sensor's noise.
NOISE = 2.0
# The share of the pixels that is taken for the ground when its spread is measured.
GROUND = 0.75
# Shares of the frame that lie above a threshold, and the gaps that are closed there, pixels: what
# little is above a high threshold may be the two handles of pliers.
THRESHOLDS = ((0.002, 9), (0.005, 9), (0.01, 9), (0.02, 9), (0.04, 9), (0.07, 3), (0.12, 3),
              (0.2, 3), (0.3, 3))
# Parts of fewer pixels are noise.
LEAST = 6
# Parts that overlap by this much are the same object.
SAME = 0.5
# An object of this part of the frame's longer side fills the frame.
FILLS = 0.6
# Below this probability nothing is found.
SURE = 0.6
# A part at least this much as probable as the best one, and apart from it, is an object, too.
EQUAL = 0.5
# The ring around a box with which it is compared, as a part of the box's longer side.
RING = 0.2
FEATURES = ('edges inside', 'edges around', 'difference', 'difference above the threshold',
            'weight', 'sides at the border', 'length over width', 'off the middle',
            'off the middle, squared', 'filled', 'size')
# w, for FEATURES.
WEIGHTS = np.array([0.7183, -0.8861, 1.4803, 3.8903, 0.3072, -1.3365, 0.4429, -5.3027, -3.8499,
                    -2.3916, 0.1765])


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
    probability : of the box, and of the others if there are several
    objects : how many parts of about its weight there are, apart from each other, with itself

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
    The most probable part; None if none stands out, or it fills the frame anyway

    Raises
    ------
    ValueError
        As ``fit_image``.

    """
    height, width = pixels.shape[:2]
    picture = small(pixels, order)
    rows, columns = picture.shape[:2]
    boxes, features = parts(picture)
    if not len(boxes):
        return None
    score = features @ WEIGHTS
    probability = np.exp(score - score.max())
    probability /= probability.sum()
    best = int(score.argmax())
    left, top, right, bottom = boxes[best].tolist()
    objects = _apart(boxes, probability)
    one_of_them = np.max([overlaps(boxes[i], boxes) >= SAME for i in objects], axis=0)
    sure = float(probability[one_of_them].sum())
    if sure < SURE or max(right - left, bottom - top) >= FILLS * SIDE:
        return None
    box = Box(left * width // columns, top * height // rows,
              -(-right * width // columns), -(-bottom * height // rows))
    return Found(box, sure, len(objects))


def small(pixels: Pixels, order: str = 'rgb') -> Pixels:
    """
    Make the small copy of a frame in which the object is looked for.

    Parameters
    ----------
    pixels, order : as ``fit_image`` takes them

    Returns
    -------
    (h, w, 3) uint8 RGB in the frame's proportions, the longer side of ``SIDE`` pixels

    Raises
    ------
    ValueError
        As ``fit_image``.

    """
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width, 1)
    spec = InputSpec(max(1, round(height * scale)), max(1, round(width * scale)), 'stretch')
    return fit_image(pixels, spec, order)


def parts(picture: Pixels) -> tuple[Boxes, Array]:
    """
    Cut out what differs from a picture's ground, at several thresholds, and describe it.

    Parameters
    ----------
    picture : (h, w, 3) uint8 RGB, small

    Returns
    -------
    (n, 4) boxes as left, top, right, bottom; (n, 11) what FEATURES names, each near 0 and of a
    size near 1

    """
    height, width = picture.shape[:2]
    lab = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), np.uint8)
    difference = _difference(lab)
    rising = np.sort(difference[::2, ::2], axis=None)
    found = []
    for share, gap in THRESHOLDS:
        threshold = float(rising[int((1.0 - share) * (rising.size - 1))])
        apart = cv2.threshold(difference, threshold, 1.0, cv2.THRESH_BINARY)[1].astype(np.uint8)
        cv2.morphologyEx(apart, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8), apart)
        # Labels of 16 bits are found in half the time.
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            apart, connectivity=8, ltype=cv2.CV_16U)
        if count > 1:
            part = np.flatnonzero(apart)
            mass = np.bincount(labels.ravel()[part], difference.ravel()[part], count)
            found.append(np.column_stack([stats, mass, np.full(count, threshold)])[1:])
    if not found:
        return np.zeros((0, 4), np.int64), np.zeros((0, len(FEATURES)))
    table = np.concatenate(found)
    left, top, wide, high, area, mass, threshold = table[table[:, 4] >= LEAST].T
    boxes = np.column_stack([left, top, left + wide, top + high]).astype(np.int64)
    edges = np.asarray(cv2.integral(_edges(lab[..., 0])), np.float64)
    ring = np.maximum(2.0, np.round(RING * np.maximum(wide, high))).astype(np.int64)[:, np.newaxis]
    around = np.clip(boxes + ring * (-1, -1, 1, 1), 0, (width, height, width, height))
    inside, outside = _sums(edges, boxes), _sums(edges, around)
    border = _areas(around) - _areas(boxes)
    off = np.hypot((left + wide / 2) / width - 0.5, (top + high / 2) / height - 0.5)
    above = np.maximum(mass - threshold * area, 1e-3)
    return boxes, np.column_stack([
        inside / _areas(boxes),
        np.where(border > 0, (outside - inside) / np.maximum(border, 1), edges[-1, -1]
                 / (width * height)),
        mass / area,
        above / area,
        np.log(above / (width * height)),
        (boxes[:, :2] <= 1).sum(axis=1) + (boxes[:, 2:] >= (width - 1, height - 1)).sum(axis=1),
        np.log(np.maximum(wide, high) / np.minimum(wide, high)),
        off, off ** 2,
        area / _areas(boxes),
        np.log(np.maximum(wide, high) / max(width, height))])


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


def _apart(boxes: Boxes, probability: Array) -> list[int]:
    """Choose the most probable part, and those apart from it that are about as probable."""
    chosen: list[int] = []
    for i in np.argsort(-probability, kind='stable').tolist():
        if chosen and probability[i] < EQUAL * probability[chosen[0]]:
            break
        if all(overlaps(boxes[j], boxes[i:i + 1])[0] == 0.0 for j in chosen):
            chosen.append(i)
    return chosen


def _difference(lab: Pixels) -> Reals:
    """
    Measure how far each pixel is from the ground, on a scale that grows ever slower.

    The Mahalanobis distance from the ground's colours. What belongs to the ground is not known,
    so the three quarters of the pixels that are nearest are taken for it, again and again; the
    frame's border, where objects seldom lie, counts once more.

    Returns
    -------
    (h, w) log(1 + distance), smoothed, less its median

    """
    rim = max(1, min(lab.shape[:2]) // 12)
    sample = np.concatenate([part.reshape(-1, 3) for part in (
        lab[::4, ::4], lab[:rim:2, ::4], lab[-rim::2, ::4], lab[::4, :rim:2], lab[::4, -rim::2])]
    ).astype(np.float64)
    middle, ground, share = np.median(sample, axis=0), sample, int(GROUND * len(sample))
    for _ in range(3):
        about = ground - middle
        spread = about.T @ about / len(ground) + NOISE ** 2 * np.eye(3)
        whiten = np.linalg.cholesky(np.linalg.inv(spread)).T
        distance = np.square((sample - middle) @ whiten.T).sum(axis=1)
        ground = sample[distance <= np.partition(distance, share)[share]]
        middle = ground.mean(axis=0)
    white = cv2.transform(lab.astype(np.float32),
                          np.column_stack([whiten, -whiten @ middle]).astype(np.float32))
    squared = cv2.transform(cv2.multiply(white, white), np.ones((1, 3), np.float32))
    smooth = cv2.GaussianBlur(np.log1p(np.sqrt(squared)), (0, 0), 1.2)
    return np.asarray(smooth - np.median(smooth[::2, ::2]), np.float32)


def _edges(light: Pixels) -> Reals:
    """Return log(1 + gradient), (h, w)."""
    across = cv2.Sobel(light, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(light, cv2.CV_32F, 0, 1)
    return np.asarray(np.log1p(cv2.magnitude(across, down)), np.float32)


def _areas(boxes: Boxes) -> Boxes:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _sums(integral: Array, boxes: Boxes) -> Array:
    """Sum a map within boxes, from its integral (Viola, Jones, 2001)."""
    left, top, right, bottom = boxes.T
    total: Array = (integral[bottom, right] - integral[top, right] - integral[bottom, left]
                    + integral[top, left])
    return total
