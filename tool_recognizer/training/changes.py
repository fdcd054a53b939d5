"""
What a plant does to a picture, one thing at a time: turned, far away, on loud ground, badly lit.

Unlike the augmented views (``augmentation``) each change is the same for every picture, so that
its cost can be measured. ``CHANGES`` has them all, by name.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.pictures.grounds import bold_ground
from tool_recognizer.training.augmentation import cut_out

# A frame in which the photograph is a part.
FRAME = 720, 1280
# Lengths in pixels are for a picture with this longer side, about what a network takes.
LENGTH = 224
LOUD = 230, 30, 160
SEED = 1


def _turned(pixels: Pixels, degrees: float) -> Pixels:
    """Turn a picture; new corners have its border's colour."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    size = np.abs(matrix[:, :2]) @ (width, height)
    matrix[:, 2] = matrix[:, 2] + (size - np.array([width, height])) / 2
    return np.asarray(cv2.warpAffine(
        pixels, matrix, (round(size[0]), round(size[1])), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=_border_colour(pixels)), np.uint8)


def _with_border(pixels: Pixels) -> Pixels:
    """Show a picture at half its size in the middle of its border's colour."""
    height, width = pixels.shape[:2]
    return _in_frame(pixels, 2 * height, 2 * width)


def _shown_in_frame(pixels: Pixels, share: float) -> Pixels:
    """Show a picture in a 1280 x 720 frame; its longer side is a share of the frame's height."""
    scale = share * FRAME[0] / max(pixels.shape[:2])
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _in_frame(small, *FRAME)


def _on_ground(pixels: Pixels, kind: str) -> Pixels | None:
    """Cut the tool out and lay it on a ground; None where it cannot be cut out."""
    mask = cut_out(pixels)
    if mask is None:
        return None
    height, width = pixels.shape[:2]
    if kind == 'plain':
        ground = np.full((height, width, 3), LOUD, np.uint8)
    else:
        scale = LENGTH / max(height, width)
        drawn = bold_ground(kind, np.random.default_rng(SEED), max(1, round(height * scale)),
                            max(1, round(width * scale)))
        ground = np.asarray(cv2.resize(drawn, (width, height)), np.uint8)
    cover = (mask.astype(np.float32) / 255)[..., np.newaxis]
    return np.asarray(pixels * cover + ground * (1 - cover), np.float32).astype(np.uint8)


def _lit(pixels: Pixels, gain: float) -> Pixels:
    """Give a picture this many times its light."""
    return np.asarray(np.clip(pixels.astype(np.float32) * gain, 0, 255), np.float32).astype(
        np.uint8)


def _blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Blur a picture by a Gaussian, pixels of ``LENGTH``."""
    return np.asarray(cv2.GaussianBlur(
        pixels, (0, 0), sigma * max(pixels.shape[:2]) / LENGTH), np.uint8)


def _moved(pixels: Pixels, length: float) -> Pixels:
    """Blur a picture as a camera that moves across, pixels of ``LENGTH``."""
    return np.asarray(cv2.blur(
        pixels, (max(1, round(length * max(pixels.shape[:2]) / LENGTH)), 1)), np.uint8)


def _noisy(pixels: Pixels, deviation: float) -> Pixels:
    """Add a small sensor's noise, grey levels, to a picture of ``LENGTH``."""
    scale = min(1.0, LENGTH / max(pixels.shape[:2]))
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(SEED).normal(0, deviation, small.shape)
    return np.asarray(np.clip(small + noise, 0, 255), np.float64).astype(np.uint8)


def _grey(pixels: Pixels) -> Pixels:
    """Take the colours away."""
    shade: NDArray[np.uint8] = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return np.repeat(shade[..., np.newaxis], 3, axis=2)


# Each takes (H, W, 3) uint8 RGB and gives another, or None where it cannot be made.
CHANGES: dict[str, Callable[[Pixels], Pixels | None]] = {
    'as it is': lambda p: p,
    'turned by 45 degrees': lambda p: _turned(p, 45),
    'turned by 90 degrees': lambda p: _turned(p, 90),
    'turned by 180 degrees': lambda p: _turned(p, 180),
    'half the size, with a border': _with_border,
    '60 % of a 1280 x 720 frame': lambda p: _shown_in_frame(p, 0.6),
    '40 % of a 1280 x 720 frame': lambda p: _shown_in_frame(p, 0.4),
    'on a loud ground': lambda p: _on_ground(p, 'plain'),
    'on checks': lambda p: _on_ground(p, 'checks'),
    'on gravel': lambda p: _on_ground(p, 'gravel'),
    'a third of the light': lambda p: _lit(p, 1 / 3),
    'twice the light': lambda p: _lit(p, 2),
    'out of focus by 1 pixel': lambda p: _blurred(p, 1),
    'moved by 7 pixels': lambda p: _moved(p, 7),
    'noise of 15 grey levels': lambda p: _noisy(p, 15),
    'grey': _grey}


def _border_colour(pixels: Pixels) -> tuple[int, ...]:
    """Take the median colour of a picture's outermost pixels."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(np.median(border, axis=0).astype(int).tolist())


def _in_frame(pixels: Pixels, height: int, width: int) -> Pixels:
    """Lay a picture on the middle of a frame of its border's colour."""
    frame = np.full((height, width, 3), _border_colour(pixels), np.uint8)
    top, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    frame[top:top + pixels.shape[0], left:left + pixels.shape[1]] = pixels
    return frame
