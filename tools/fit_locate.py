"""
Fits what ``core/locate.py`` chooses by, on frames with known boxes, and measures it.

    tools/fit_locate.py FRAMES PHOTOS

FRAMES holds manifest.csv with the columns file, kind, path, frame_box (left,top,right,bottom) and
frames of the kind 'frames'. PHOTOS holds a folder of photographs per label, which the tool fills:
there no small part is right; and what can be cut out of them is laid small on drawn grounds, so
that the choice does not learn the few tools and places of the frames.

Printed are the weights of all frames, and the figures of each half of the frames with the weights
of the other; frames of one burst are never in both.
"""

import argparse
from collections.abc import Iterator
import csv
from pathlib import Path
import re
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from tool_recognizer.core.locate import FEATURES
from tool_recognizer.core.locate import FILLS
from tool_recognizer.core.locate import overlaps
from tool_recognizer.core.locate import parts
from tool_recognizer.core.locate import SAME
from tool_recognizer.core.locate import SIDE
from tool_recognizer.core.locate import small
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.pictures.scene import draw_ground
from tool_recognizer.training.augmentation import cut_out

Array = NDArray[np.float64]

# Photographs that stand further apart in a camera's numbering are not of one burst.
BURST = 3
# What a drawn scene and a photograph count beside a frame, and the strength of the prior.
SCENE, PHOTO, PRIOR = 0.1, 0.02, 3.0
SCENES = 160
# How often the frames are cut into halves.
ROUNDS = 5


class Picture(NamedTuple):
    """Features of a picture's parts, how right each is, and what the picture counts."""

    features: Array
    right: Array
    counts: float


def described(pixels: Pixels, box: tuple[int, ...] | None, counts: float) -> Picture:
    """Describe a picture; ``box`` None: the object fills it, and so does every right part."""
    boxes, features = parts(small(pixels))
    if box is None:
        right = np.asarray(features[:, FEATURES.index('size')] >= np.log(FILLS), np.float64)
    else:
        right = overlaps(np.array(box) * SIDE / max(pixels.shape[:2]), boxes)
    return Picture(features, right, counts)


def frames(folder: Path) -> tuple[list[Picture], NDArray[np.int64]]:
    """Read the frames, and the number of each one's burst."""
    with (folder / 'manifest.csv').open(newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['kind'] == 'frames']
    order = sorted(rows, key=lambda row: (row['source'], taken(row['path'])))
    bursts, last = [0], order[0]
    for row in order[1:]:
        apart = row['source'] != last['source'] or taken(row['path']) - taken(last['path']) > BURST
        bursts.append(bursts[-1] + apart)
        last = row
    return [described(read(folder / row['file']),
                      tuple(int(side) for side in row['frame_box'].split(',')), 1.0)
            for row in order], np.array(bursts)


def taken(path: str) -> int:
    """Return a photograph's number in its camera."""
    return int(re.findall(r'IMG_(\d+)', path)[0])


def read(path: Path) -> Pixels:
    """Read a picture as RGB."""
    return np.ascontiguousarray(np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1])


def scenes(photos: list[Pixels], rng: np.random.Generator) -> Iterator[Picture]:
    """Lay what can be cut out of photographs on drawn grounds, at any place and size."""
    cut = [(pixels, mask) for pixels in photos if (mask := cut_out(pixels)) is not None]
    for _ in range(SCENES):
        pixels, mask = cut[rng.integers(len(cut))]
        rows, columns = mask.nonzero()
        inside = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        pixels, mask = pixels[inside], mask[inside]
        scene = draw_ground(rng, 360, 640)
        long = 360 * np.exp(rng.uniform(np.log(0.12), np.log(0.95)))
        height, width = (max(2, int(side * long / max(mask.shape))) for side in mask.shape)
        size = width, height
        alpha = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)[..., np.newaxis] / 255.0
        top, left = rng.integers(360 - height + 1), rng.integers(640 - width + 1)
        place = scene[top:top + height, left:left + width]
        place[:] = alpha * cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) + (
            1.0 - alpha) * place
        yield described(scene, (left, top, left + width, top + height), SCENE)


def fit(pictures: list[Picture]) -> Array:
    """
    Fit by maximum likelihood, with a normal prior on the weights of the standardised features.

    The likelihood of a picture is the probability of its right answers (of the parts those of an
    overlap of SAME or more, weighted by its square, so that the tighter one is preferred). A
    picture whose object is in no part says nothing.

    Returns
    -------
    (11,) the weights

    """
    every = np.concatenate([picture.features for picture in pictures])
    mean, deviation = every.mean(axis=0), every.std(axis=0)
    used = []
    for features, right, counts in pictures:
        right = np.where(right >= SAME, right ** 2, 0.0)
        if right.any():
            used.append(((features - mean) / deviation, right, counts))

    def cost(w: Array) -> tuple[float, Array]:
        total, slope = PRIOR / 2 * float(w @ w), PRIOR * w
        for x, right, counts in used:
            score = x @ w
            p = np.exp(score - score.max())
            p /= p.sum()
            q = p * right
            total -= counts * float(np.log(q.sum()))
            slope = slope - counts * x.T @ (q / q.sum() - p)
        return total, slope

    w: Array = minimize(cost, np.zeros(len(FEATURES)), jac=True, method='L-BFGS-B').x
    return w / deviation


def main() -> None:
    """Fit, print and measure."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('frames', type=Path)
    parser.add_argument('photos', type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    known, bursts = frames(arguments.frames)
    photos = [read(path) for path in sorted(arguments.photos.glob('*/*.jpg'))]
    beside = [*(described(pixels, None, PHOTO) for pixels in photos), *scenes(photos, rng)]
    overlap = []
    for _ in range(ROUNDS):
        half = rng.permutation(bursts[-1] + 1)[bursts] % 2
        fits = [fit([k for k, h in zip(known, half, strict=True) if h != side] + beside)
                for side in (0, 1)]
        overlap += [k.right[(k.features @ fits[h]).argmax()]
                    for k, h in zip(known, half, strict=True)]
    print(f'{len(known)} frames, each half by the other, {ROUNDS} times: an overlap of {SAME} or '
          f'more in {np.mean(np.array(overlap) >= SAME):.3f}')
    print('WEIGHTS = np.array(', fit(known + beside).round(4).tolist(), ')')


if __name__ == '__main__':
    main()
