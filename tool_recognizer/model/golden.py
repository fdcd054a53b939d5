"""
Golden answers: tiny pictures in the metadata, with the logits that a model gave to them.

Whoever loads the model gives them to it again. Other answers show a damaged file, or a provider
that computes something else.
"""

from base64 import b64decode
from base64 import b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import InputSpec

# Golden pictures are this small, and are enlarged by repeating pixels.
GOLDEN_SIDE = 16


def golden_pixels(seed: int, number: int) -> list[NDArray[np.uint8]]:
    """
    Draw tiny pictures for the golden answers: coloured slopes and blocks, never a photograph.

    Parameters
    ----------
    seed : source of the randomness
    number : how many

    Returns
    -------
    (16, 16, 3) uint8 each

    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:GOLDEN_SIDE, 0:GOLDEN_SIDE] / (GOLDEN_SIDE - 1)
    pictures = []
    for _ in range(number):
        slope = rng.uniform(-1, 1, (2, 3))
        picture = 0.5 + 0.5 * (y[..., None] * slope[0] + x[..., None] * slope[1])
        top, left = rng.integers(0, GOLDEN_SIDE - 4, 2)
        height, width = rng.integers(3, GOLDEN_SIDE, 2)
        picture[top:top + height, left:left + width] = rng.uniform(0, 1, 3)
        pictures.append(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    return pictures


def golden_entry(pixels: NDArray[np.uint8], logits: Sequence[float]) -> dict[str, Any]:
    """Write one golden answer for the metadata: the tiny picture and its logits."""
    return {'pixels': b64encode(pixels.tobytes()).decode(),
            'logits': [round(float(value), 6) for value in logits]}


def golden_image(pixels: str, spec: InputSpec) -> NDArray[np.uint8]:
    """
    Read a golden picture, and enlarge it to the network's input.

    Parameters
    ----------
    pixels : base64 of 16 x 16 x 3 bytes, RGB
    spec : size of the network's input

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    ValueError
        Not base64, or not 768 bytes.

    """
    try:
        raw = b64decode(pixels, validate=True)
    except (Base64Error, TypeError) as error:
        raise ValueError(f'pixels are not base64: {error}') from None
    small = np.frombuffer(raw, np.uint8)
    if small.size != GOLDEN_SIDE * GOLDEN_SIDE * 3:
        raise ValueError(f'a golden picture has {GOLDEN_SIDE * GOLDEN_SIDE * 3} bytes, '
                         f'got {small.size}')
    return enlarge(small.reshape(GOLDEN_SIDE, GOLDEN_SIDE, 3), spec.height, spec.width)


def enlarge(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Enlarge a golden picture to (height, width, 3) by repeating pixels, the same everywhere."""
    rows = np.arange(height) * pixels.shape[0] // height
    columns = np.arange(width) * pixels.shape[1] // width
    return np.ascontiguousarray(pixels[rows[:, np.newaxis], columns])
