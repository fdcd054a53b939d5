"""Grounds on which a bench's tools seldom lie: loud colours, prints, grass, gravel, clutter."""

import cv2
import numpy as np
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.pictures.scene import clouds
from tool_recognizer.pictures.scene import draw_ground
from tool_recognizer.pictures.sprite import Real
from tool_recognizer.pictures.tools import any_colour

Rng = np.random.Generator
KINDS = ('loud', 'stripes', 'checks', 'dots', 'gravel', 'grass', 'clutter')


def any_ground(rng: Rng, height: int, width: int) -> Pixels:
    """
    Draw a bench's ground or, as often, one of these.

    Parameters
    ----------
    rng : source of the randomness
    height, width : size, pixels

    Returns
    -------
    (height, width, 3) uint8 RGB

    """
    if rng.random() < 0.5:
        return draw_ground(rng, height, width)
    return bold_ground(KINDS[rng.integers(len(KINDS))], rng, height, width)


def bold_ground(kind: str, rng: Rng, height: int, width: int) -> Pixels:
    """
    Draw a ground that is anything but plain, so that no network takes a ground for the tool.

    Parameters
    ----------
    kind : one of KINDS
    rng : source of the randomness
    height, width : size, pixels

    Returns
    -------
    (height, width, 3) uint8 RGB

    """
    base, ink = 255 * any_colour(rng), 255 * any_colour(rng)
    if kind == 'loud':
        ground = np.tile(base, (height, width, 1))
        ground += 6 * clouds(rng, height, width, 30)[..., np.newaxis]
    elif kind in ('stripes', 'checks', 'dots'):
        cover = _print(kind, rng, height, width)[..., np.newaxis]
        ground = base * (1 - cover) + ink * cover
        ground += 5 * clouds(rng, height, width, 2)[..., np.newaxis]
    elif kind == 'gravel':
        ground = np.tile(255 * any_colour(rng, 0.35), (height, width, 1))
        for size in (2, int(rng.integers(4, 9)), 25):
            ground += rng.uniform(8, 35) * clouds(rng, height, width, size)[..., np.newaxis]
    elif kind == 'grass':
        blades = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0),
                                  sigmaX=0.8, sigmaY=rng.uniform(2, 6))
        green = rng.uniform(60, 140) * np.array([rng.uniform(0.5, 1.0), 1.0, 0.4])
        ground = green * (1 + 1.2 * blades[..., np.newaxis])
    else:
        ground = np.array(draw_ground(rng, height, width), np.float32, order='C')
        _strew(ground, rng)
    return np.asarray(np.clip(ground, 0, 255), np.float32).astype(np.uint8)


def _print(kind: str, rng: Rng, height: int, width: int) -> Real:
    """How much ink of a printed pattern covers each pixel, 0 to 1, turned by any angle."""
    turn, period = rng.uniform(0, np.pi), rng.uniform(6, 50)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) * np.float32(2 * np.pi / period)
    u, v = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    if kind == 'stripes':
        wave = np.sin(u)
    elif kind == 'checks':
        wave = np.sin(u) * np.sin(v)
    else:
        wave = np.cos(u) + np.cos(v) - np.float32(rng.uniform(0.3, 1.3))
    return np.asarray(np.clip(0.5 + 4 * wave, 0, 1), np.float32)


def _strew(ground: Real, rng: Rng) -> None:
    """Strew sheets, offcuts and cables over a ground, in place."""
    height, width = ground.shape[:2]
    for _ in range(rng.integers(3, 12)):
        colour = (255 * any_colour(rng)).tolist()
        centre = rng.uniform(0, 1, 2) * (width, height)
        if rng.random() < 0.6:
            size = rng.uniform(0.05, 0.45, 2) * (width, height)
            corners = cv2.boxPoints((centre.tolist(), size.tolist(), rng.uniform(0, 180)))
            cv2.fillPoly(ground, [corners.astype(np.int32)], colour, cv2.LINE_AA)
        else:
            bends = centre + np.cumsum(rng.normal(0, 0.15, (8, 2)), axis=0) * (width, height)
            cv2.polylines(ground, [bends.astype(np.int32)], False, colour,
                          int(rng.integers(2, 7)), cv2.LINE_AA)
