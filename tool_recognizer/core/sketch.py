"""
Sketches: the few bits of a frame's features by which nearly the same picture is known again.

Each bit says on which side of a random plane the features lie, so that two sketches differ in a
share of their bits that is, on average, the angle between the features over pi (M. Charikar,
Similarity estimation techniques from rounding algorithms, 2002). The planes are sparse, which
makes them cheap (P. Li, T. Hastie, K. Church, Very sparse random projections, 2006): each feature
has a part in one of them.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.information import Array

# Of a sketch. Fewer features than this have none.
BITS = 256
# Two sketches that differ in at most so many bits are of nearly the same picture: an angle of 35
# degrees. With the default model's features two views of one photograph, a little moved, and with
# other noise and light, lie 24 to 35 degrees apart, two photographs of two tools 50 to 90.
ALIKE = 50

NO_SKETCH = b''


def sketch(features: NDArray[np.float32]) -> bytes:
    """
    Sketch a frame's features.

    Parameters
    ----------
    features : (D,)

    Returns
    -------
    ``BITS`` bits; ``NO_SKETCH`` of features that say too little of a picture: too few, all the
    same, or not finite

    """
    size = len(features)
    if size < BITS or not np.isfinite(features).all():
        return NO_SKETCH
    # From their mean: what all features have in common says nothing.
    centred = features - features.mean(dtype=np.float64)
    if not centred.any():
        return NO_SKETCH
    signed = np.zeros(-(-size // BITS) * BITS)
    signed[:size] = centred * _signs(size)
    return np.packbits(signed.reshape(-1, BITS).sum(axis=0) > 0.0).tobytes()


def alike(one: bytes, other: bytes) -> bool:
    """Tell whether two sketches are of nearly the same picture; never without both."""
    return bool(one and other) and _differing(one, other) <= ALIKE


def angle(one: bytes, other: bytes) -> float:
    r"""
    Estimate the angle between the features of two sketches, degrees; nan without both.

    >>> angle(bytes(32), bytes(16) + b'\xff' * 16)
    90.0

    """
    return 180.0 * _differing(one, other) / BITS if one and other else float('nan')


def _differing(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, 'big') ^ int.from_bytes(other, 'big')).bit_count()


@cache
def _signs(size: int) -> Array:
    # The raw numbers of a bit generator are the same in every version of numpy.
    return np.where(np.random.PCG64(1).random_raw(size) >> np.uint64(63), 1.0, -1.0)
