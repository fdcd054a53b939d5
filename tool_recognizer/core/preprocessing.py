"""
From a frame of any size to the picture that the network takes: the only resize in the project.

Training, live operation and replay all come through ``fit_image``, so that a model never meets
pixels of another kind than those that it was fitted on. Normalisation is not done here: it is in
the model's graph.
"""

from dataclasses import dataclass
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

FITS = ('letterbox', 'stretch', 'crop')
# For each order: the number of channels, and how OpenCV makes RGB of them.
ORDERS: dict[str, tuple[int, int | None]] = {
    'rgb': (3, None),
    'bgr': (3, cv2.COLOR_BGR2RGB),
    'rgba': (4, cv2.COLOR_RGBA2RGB),
    'bgra': (4, cv2.COLOR_BGRA2RGB),
    'mono': (1, cv2.COLOR_GRAY2RGB),
}
# The bars of a letterbox: the value that the network's normalisation turns into 0, which is also
# what its convolutions assume beyond the edge of a picture.
PAD = 127
# Up to so many pixels of the input the general area filter costs next to nothing.
TINY = 64 * 64


@dataclass(frozen=True)
class InputSpec:
    """
    The picture that a network takes.

    Attributes
    ----------
    height, width : size in pixels
    fit : how a frame of another shape is fitted to it. 'letterbox' keeps its proportions and
        shows all of it between grey bars; 'stretch' shows all of it and gives up the proportions;
        'crop' keeps the proportions and cuts off what is too much on two sides

    Raises
    ------
    ValueError
        A size below 1 or a fit that is none of the three.

    """

    height: int
    width: int
    fit: str = 'letterbox'

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f'the input must be at least 1 x 1, got {self.height} x {self.width}')
        if self.fit not in FITS:
            raise ValueError(f'fit must be one of {list(FITS)}, got {self.fit!r}')

    @property
    def tiny(self) -> bool:
        """Whether it has so few pixels that each is to be the exact mean of its part."""
        return self.height * self.width <= TINY

    def before(self, rotation: int) -> 'InputSpec':
        """Return what a picture is fitted to that is then turned by 0, 90, 180 or 270 degrees."""
        return replace(self, height=self.width, width=self.height) if rotation % 180 else self


def fit_image(pixels: Pixels, spec: InputSpec, order: str = 'rgb',
              out: Pixels | None = None) -> Pixels:
    """
    Fit a frame to the network's input.

    Parameters
    ----------
    pixels : (H, W, C) uint8, or (H, W) for 'mono'; any size from 1 x 1, and possibly a view into
        a camera's buffer with padded rows. It is not copied at its full size
    spec : what the network takes
    order : the channels: 'rgb', 'bgr', 'rgba', 'bgra' or 'mono'. Alpha is dropped
    out : where the picture is put, (spec.height, spec.width, 3) uint8, contiguous; None: a new
        array

    Returns
    -------
    (spec.height, spec.width, 3) uint8 RGB, contiguous, and never a view of ``pixels``

    Raises
    ------
    ValueError
        An unknown order, a dtype other than uint8, an empty frame, or another number of channels
        than the order says.

    >>> import numpy as np
    >>> fit_image(np.zeros((480, 640), np.uint8), InputSpec(224, 224), 'mono').shape
    (224, 224, 3)

    """
    pixels = _checked(pixels, order)
    height, width = pixels.shape[:2]
    if spec.fit == 'crop':
        pixels = _centre(pixels, spec)
        rows, columns = spec.height, spec.width
    elif spec.fit == 'letterbox':
        scale = min(spec.height / height, spec.width / width)
        rows = min(spec.height, max(1, round(height * scale)))
        columns = min(spec.width, max(1, round(width * scale)))
    else:
        rows, columns = spec.height, spec.width
    picture = np.empty((spec.height, spec.width, 3), np.uint8) if out is None else out
    picture.fill(PAD)
    top, left = (spec.height - rows) // 2, (spec.width - columns) // 2
    content = picture[top:top + rows, left:left + columns]
    conversion = ORDERS[order][1]
    if conversion is None:
        _resize(pixels, content, spec.tiny)
    else:
        small = np.empty((rows, columns, *pixels.shape[2:]), np.uint8)
        _resize(pixels, small, spec.tiny)
        cv2.cvtColor(small, conversion, dst=content)
    return picture


def shrinkage(height: int, width: int, spec: InputSpec) -> float:
    """
    Tell how many pixels of a frame come together in one pixel of the network's input.

    Parameters
    ----------
    height, width : the frame's size, pixels
    spec : what the network takes

    Returns
    -------
    The factor along the axis that shrinks least; below 1 if the frame has to be enlarged

    >>> shrinkage(1080, 1920, InputSpec(224, 224, 'crop'))
    4.821428571428571

    """
    down, across = height / spec.height, width / spec.width
    return max(down, across) if spec.fit == 'letterbox' else min(down, across)


def _checked(pixels: Pixels, order: str) -> Pixels:
    if order not in ORDERS:
        raise ValueError(f'order must be one of {list(ORDERS)}, got {order!r}')
    channels = ORDERS[order][0]
    if pixels.dtype != np.uint8:
        raise ValueError(f'pixels must be uint8, got {pixels.dtype}')
    if pixels.ndim == 3 and pixels.shape[2] == channels == 1:
        pixels = pixels[:, :, 0]
    fits = pixels.ndim == 2 if channels == 1 else pixels.ndim == 3 and pixels.shape[2] == channels
    if not fits:
        raise ValueError(f'{order!r} needs {channels} channel(s), got shape {pixels.shape}')
    if pixels.size == 0:
        raise ValueError(f'the frame is empty: shape {pixels.shape}')
    # OpenCV takes a padded row as it is, but neither mirrored nor interleaved views.
    item = pixels.strides[1] == channels and (channels == 1 or pixels.strides[2] == 1)
    return pixels if item and pixels.strides[0] >= 0 else np.ascontiguousarray(pixels)


def _centre(pixels: Pixels, spec: InputSpec) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(height / spec.height, width / spec.width)
    rows = min(height, max(1, round(spec.height * scale)))
    columns = min(width, max(1, round(spec.width * scale)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top:top + rows, left:left + columns]


def _resize(pixels: Pixels, into: Pixels, tiny: bool) -> None:
    """
    Fill an array with a picture: halve it while it is twice too large, then interpolate.

    OpenCV means two by two pixels many times faster than any other area. What remains is less
    than another half, where linear interpolation is nearly the mean since halving has smoothed the
    picture. A side that cannot be halved is first interpolated at twice its size, so that the
    pixels of small pictures are averaged, too. For a tiny input all are averaged exactly.
    """
    rows, columns = into.shape[:2]
    height, width = pixels.shape[:2]
    least = 4 if tiny else 2
    if not tiny:
        height, width = (2 * small if small < large < 2 * small else large
                         for small, large in ((rows, height), (columns, width)))
    if (height, width) != pixels.shape[:2]:
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR),
                            dtype=np.uint8)
    while height >= least * rows or width >= least * columns:
        down, across = 1 + (height >= least * rows), 1 + (width >= least * columns)
        height, width = height // down, width // across
        # Of an odd number of rows or columns, the last is left out.
        even = pixels[:down * height, :across * width]
        pixels = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA),
                            dtype=np.uint8)
    # A picture of the right size is copied.
    shrinks = height > rows or width > columns
    cv2.resize(pixels, (columns, rows), dst=into,
               interpolation=cv2.INTER_AREA if tiny and shrinks else cv2.INTER_LINEAR)
