"""Pictures of one drawn tool on a ground, for training."""

import cv2
import numpy as np
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.pictures.sprite import Real
from tool_recognizer.pictures.tools import any_colour
from tool_recognizer.pictures.tools import DRAW
from tool_recognizer.pictures.tools import OTHER
from tool_recognizer.pictures.tools import sprite_of
from tool_recognizer.pictures.tools import TOOLS

Rng = np.random.Generator


def draw_tool(label: str, rng: Rng, height: int, width: int) -> Pixels:
    """
    Draw a picture of a tool on some ground, in any place and at any angle.

    Parameters
    ----------
    label : one of TOOLS, or of OTHER ('nothing' is the bare ground), or 'other' for any of OTHER
    rng : source of the randomness
    height, width : size of the picture, pixels

    Returns
    -------
    (height, width, 3) uint8 RGB

    Raises
    ------
    ValueError
        A label that cannot be drawn.

    """
    if label == 'other':
        label = OTHER[rng.integers(len(OTHER))]
    if label not in DRAW and label != 'nothing':
        raise ValueError(f'{label!r} cannot be drawn; only {[*TOOLS, *OTHER]} can')
    picture = draw_ground(rng, height, width)
    if label != 'nothing':
        # At times several of a kind, as they lie in a drawer or on a product's photograph.
        number = int(rng.integers(2, 4)) if rng.random() < 0.12 else 1
        angle = rng.uniform(0, 360)
        for index in range(number):
            sprite = sprite_of(label, rng)
            shift = (index - (number - 1) / 2) * 0.3
            size = rng.uniform(0.5, 1.0) if number == 1 else rng.uniform(0.5, 0.8)
            sprite.lay_on(picture, rng, angle + rng.normal(0, 4), size, shift)
    light = 1 + rng.normal(0, 0.12) + _slope(rng, height, width, 0.15)
    picture = np.clip(picture * light[..., np.newaxis], 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.9)), np.uint8)
    return picture


def draw_ground(rng: Rng, height: int, width: int) -> Pixels:
    """
    Draw what a tool may lie on: paper, a painted or wooden bench, metal, tiles, cloth, concrete.

    Parameters
    ----------
    rng : source of the randomness
    height, width : size, pixels

    Returns
    -------
    (height, width, 3) uint8 RGB

    """
    kind = rng.choice(['white', 'plain', 'wood', 'metal', 'tiles', 'mottled', 'cloth'],
                      p=[0.22, 0.2, 0.16, 0.12, 0.06, 0.16, 0.08])
    if kind == 'white':
        base = np.full((height, width, 3), rng.choice([255.0, rng.uniform(200, 255)]), np.float32)
    elif kind == 'plain':
        base = np.broadcast_to(any_colour(rng) * 255, (height, width, 3)).astype(np.float32)
    elif kind == 'wood':
        base = _wood(rng, height, width)
    elif kind == 'metal':
        streaks = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0),
                                   sigmaX=rng.uniform(8, 30), sigmaY=0.7)
        base = (rng.uniform(50, 200) + 60 * streaks)[..., np.newaxis] * np.ones(3, np.float32)
    elif kind == 'tiles':
        base = np.full((height, width, 3), rng.uniform(120, 240), np.float32)
        base += 8 * clouds(rng, height, width, 40)[..., np.newaxis]
        step = int(rng.integers(40, 140))
        base[::step] *= 0.8
        base[:, ::step] *= 0.8
    elif kind == 'mottled':
        base = np.full((height, width, 3), any_colour(rng, 0.35) * 255, np.float32)
        for size in (3, 12, 45):
            base += rng.uniform(4, 22) * clouds(rng, height, width, size)[..., np.newaxis]
    else:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        period = rng.uniform(3, 12)
        weave = np.sin(x * 2 * np.pi / period) * np.sin(y * 2 * np.pi / period)
        base = any_colour(rng, 0.6) * 255 + 25 * weave[..., np.newaxis]
        base = base + 10 * clouds(rng, height, width, 20)[..., np.newaxis]
    if rng.random() < 0.6 and kind != 'white':
        base = base * (1 + _slope(rng, height, width, 0.25)[..., np.newaxis])
    if kind == 'metal' and rng.random() < 0.6:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        centre = rng.uniform(0, 1, 2) * (height, width)
        spot = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2)
                      / (2 * (rng.uniform(0.1, 0.3) * width) ** 2))
        base = base + 150 * spot[..., np.newaxis]
    return np.asarray(np.clip(base, 0, 255), np.float32).astype(np.uint8)


def _wood(rng: Rng, height: int, width: int) -> Real:
    tone = np.array([0.7, 0.5, 0.32]) * rng.uniform(0.45, 1.25) * 255
    noise = rng.standard_normal((height, width), np.float32)
    streaks = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigmaX=rng.uniform(15, 40),
                                          sigmaY=rng.uniform(0.7, 2.5)), np.float32)
    streaks = streaks / max(float(streaks.std()), 1e-6)
    wood = tone * (1 + rng.uniform(0.03, 0.14) * streaks[..., np.newaxis])
    board = int(rng.integers(40, 160))
    for y in range(int(rng.integers(board)), height, board):
        wood[y:y + 2] *= 0.6
        wood[y:y + board] *= rng.uniform(0.88, 1.12)
    if rng.random() < 0.5 and height == width:
        wood = wood.transpose(1, 0, 2)
    return np.asarray(wood, np.float32)


def clouds(rng: Rng, height: int, width: int, size: int) -> Real:
    """Smooth noise of unit strength, with spots of this size in pixels."""
    coarse = rng.standard_normal((height // size + 3, width // size + 3), np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC),
                      np.float32)


def _slope(rng: Rng, height: int, width: int, strength: float) -> Real:
    a, b = rng.normal(0, strength, 2)
    return np.asarray(np.linspace(-a, a, height)[:, np.newaxis] + np.linspace(-b, b, width),
                      np.float32)
