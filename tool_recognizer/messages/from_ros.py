"""
From ROS messages to core values.

Messages are read by their fields, whatever their class. So the same code reads what rclpy receives
and what a bag reader returns, and reading a bag needs no ROS.

Pixels: the common 8-bit encodings become a view of the message's own bytes, padded rows and all.
Bayer, YUV and 16-bit encodings go through OpenCV. The rest is left to cv_bridge, which is imported
only then, so that a cv_bridge that cannot be loaded stops nothing else. Depth images are refused:
they hold distances, no picture. So is a frame that is larger than it may be, before anything is
allocated for it.
"""

from collections.abc import Callable
import re
from typing import Any
from typing import NamedTuple
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.admission import admit
from tool_recognizer.core.admission import LONGEST
from tool_recognizer.core.admission import read_distribution
from tool_recognizer.core.admission import read_stamp
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.text import listed
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.codec import FROM_CAMERAS
from tool_recognizer.pictures.error import MAX_PIXELS
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.pictures.header import kind_of

Pixels = NDArray[np.uint8]
# Of std_msgs, sensor_msgs, vision_msgs and diagnostic_msgs; their classes carry no types.
Header: TypeAlias = Any
Image: TypeAlias = Any
CompressedImage: TypeAlias = Any
Classification: TypeAlias = Any
DiagnosticStatus: TypeAlias = Any

# Values of a confirmation, those that only its sender knows included.
MOST_VALUES = 20
# Characters of a frame_id: it is kept with each prediction that waits.
LONGEST_FRAME_ID = LONGEST['frame_id']
# Characters of a format or an encoding that are looked at.
LONGEST_FORMAT = 80
# Bytes of the largest raw pixel: four channels of 16 bits.
LARGEST_PIXEL = 8


class BadFrame(ValueError):
    """
    A frame that cannot be answered.

    Attributes
    ----------
    reason : name of the drop counter: 'empty', 'encoding', 'step', 'size', 'corrupt',
        'too_large' or 'frame_id'

    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def key(header: Header) -> FrameKey:
    """Read the identity of a frame from its header, to the nanosecond."""
    return FrameKey(Stamp(header.stamp.sec * 1_000_000_000 + header.stamp.nanosec),
                    header.frame_id)


def frame(message: Any, spec: InputSpec, max_pixels: int = MAX_PIXELS) -> Frame:
    """
    Read a camera frame, raw or compressed.

    Parameters
    ----------
    message : sensor_msgs/Image or sensor_msgs/CompressedImage
    spec : the network's input, so that a large JPEG need not be decoded at full scale
    max_pixels : the largest frame that is read; of a compressed one, with four bytes a pixel

    Returns
    -------
    A frame whose pixels are a view of the message where that is possible

    Raises
    ------
    BadFrame
        The frame is empty, cut short, damaged or too large, or has an encoding that is no picture,
        or a frame_id that is no name.

    """
    if len(message.data) == 0:
        raise BadFrame('empty', 'the frame holds no data')
    if len(message.header.frame_id) > LONGEST_FRAME_ID:
        raise BadFrame('frame_id', f'the frame_id has {len(message.header.frame_id)} characters, '
                       f'up to {LONGEST_FRAME_ID} are read: it names the camera, set it in its '
                       'driver')
    if hasattr(message, 'encoding'):
        pixels, order = _raw(message, max_pixels)
    else:
        pixels, order = _compressed(message, spec, max_pixels)
    return Frame(key(message.header), pixels, order)


def confirmation(message: Classification) -> Confirmation:
    """
    Read an operator's confirmation.

    Parameters
    ----------
    message : vision_msgs/Classification: header of the confirmed frame; one result with score 1,
        or several that sum to 1

    Raises
    ------
    InvalidConfirmation
        See ``core.admission``.

    """
    return admit(key(message.header), ((result.class_id, float(result.score))
                                       for result in message.results))


def confirmation_status(message: DiagnosticStatus) -> Confirmation:
    """
    Read a confirmation with its sender.

    Parameters
    ----------
    message : diagnostic_msgs/DiagnosticStatus with the values stamp (whole nanoseconds), frame_id,
        distribution (a JSON object, label to probability), and, if wanted, operator and nonce

    Raises
    ------
    InvalidConfirmation
        A value is missing or comes twice, or there are too many; or see ``core.admission``.

    """
    if len(message.values) > MOST_VALUES:
        raise InvalidConfirmation('values', f'a confirmation may have {MOST_VALUES} values, it '
                                  f'has {len(message.values)}')
    values = {entry.key: entry.value for entry in message.values}
    if len(values) < len(message.values):
        raise InvalidConfirmation('values', 'a value of the confirmation comes twice, it has '
                                  f'{listed([entry.key for entry in message.values])}')
    missing = [name for name in ('stamp', 'frame_id', 'distribution') if name not in values]
    if missing:
        raise InvalidConfirmation('values', f'a confirmation needs the value {missing[0]}, it has '
                                  f'{listed(sorted(values)) or "none"}')
    return admit(FrameKey(read_stamp(values['stamp']), values['frame_id']),
                 read_distribution(values['distribution']), values.get('operator', ''),
                 values.get('nonce', ''))


class _Layout(NamedTuple):
    dtype: type[np.uint8] | type[np.uint16]
    channels: int
    order: str
    convert: Callable[[NDArray[Any]], NDArray[Any]] | None = None


def _color(code: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def convert(pixels: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.cvtColor(pixels, code))
    return convert


_LAYOUTS = {
    'rgb8': _Layout(np.uint8, 3, 'rgb'),
    'bgr8': _Layout(np.uint8, 3, 'bgr'),
    'rgba8': _Layout(np.uint8, 4, 'rgba'),
    'bgra8': _Layout(np.uint8, 4, 'bgra'),
    'mono8': _Layout(np.uint8, 1, 'mono'),
    # What cv_bridge writes for an OpenCV picture without a given encoding.
    '8UC1': _Layout(np.uint8, 1, 'mono'),
    '8UC3': _Layout(np.uint8, 3, 'bgr'),
    '8UC4': _Layout(np.uint8, 4, 'bgra'),
    'rgb16': _Layout(np.uint16, 3, 'rgb'),
    'bgr16': _Layout(np.uint16, 3, 'bgr'),
    'rgba16': _Layout(np.uint16, 4, 'rgba'),
    'bgra16': _Layout(np.uint16, 4, 'bgra'),
    'mono16': _Layout(np.uint16, 1, 'mono'),
    # OpenCV names a Bayer pattern by its second row and column, ROS by its first.
    **{f'bayer_{pattern}{bits}': _Layout(dtype, 1, 'rgb', _color(code))
       for bits, dtype in ((8, np.uint8), (16, np.uint16))
       for pattern, code in (('rggb', cv2.COLOR_BayerBG2RGB), ('bggr', cv2.COLOR_BayerRG2RGB),
                             ('gbrg', cv2.COLOR_BayerGR2RGB), ('grbg', cv2.COLOR_BayerGB2RGB))},
    **{name: _Layout(np.uint8, 2, 'rgb', _color(cv2.COLOR_YUV2RGB_UYVY))
       for name in ('yuv422', 'uyvy')},
    **{name: _Layout(np.uint8, 2, 'rgb', _color(cv2.COLOR_YUV2RGB_YUY2))
       for name in ('yuv422_yuy2', 'yuyv')},
}
_DEPTH = ('16UC1', '32FC1', '16SC1', '32SC1', '64FC1')
_DEPTH_FORMATS = frozenset(name.lower() for name in _DEPTH)
_FILE_KINDS = ('jpeg', 'jpg', 'png', 'webp', 'tiff', 'tif')


def _raw(message: Image, max_pixels: int) -> tuple[Pixels, str]:
    height, width, encoding = message.height, message.width, message.encoding
    if height == 0 or width == 0:
        raise BadFrame('empty', f'the frame is {width} x {height} pixels')
    if height * width > max_pixels or len(message.data) > max_pixels * LARGEST_PIXEL:
        raise BadFrame('too_large', f'the frame has {width} x {height} pixels and '
                       f'{len(message.data)} bytes, camera.max_pixels is {max_pixels}')
    if encoding in _DEPTH:
        raise BadFrame('encoding', f'encoding {encoding!r} is a depth image, not a picture: '
                       'remap image_raw to the colour camera')
    if encoding in ('nv21', 'nv24'):
        return _planar(message), 'rgb'
    layout = _LAYOUTS.get(encoding)
    if layout is None:
        return _by_cv_bridge(message), 'rgb'
    if encoding.startswith(('yuv422', 'uyvy', 'yuyv')) and width % 2:
        raise BadFrame('size', f'encoding {encoding!r} needs an even width, got {width}')
    dtype = np.dtype(layout.dtype)
    pixels = _view(message, layout.channels, dtype)
    if dtype.itemsize == 1 and layout.convert is None:
        return pixels, layout.order
    if layout.convert is not None:
        pixels = layout.convert(np.ascontiguousarray(pixels))
    if dtype.itemsize == 2:
        # 65535 / 255 = 257
        pixels = cv2.convertScaleAbs(np.ascontiguousarray(pixels), alpha=1.0 / 257.0)
    return pixels, layout.order


def _view(message: Image, channels: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Look at the message's bytes as (H, W, C) or (H, W), without a copy, in native order."""
    height, width, step = message.height, message.width, message.step
    row = width * channels * dtype.itemsize
    _check_rows(message, row, (height - 1) * step + row)
    shape: tuple[int, ...] = (height, width, channels)
    strides: tuple[int, ...] = (step, channels * dtype.itemsize, dtype.itemsize)
    if channels == 1:
        shape, strides = shape[:2], strides[:2]
    order = dtype.newbyteorder('>' if message.is_bigendian else '<')
    view: NDArray[Any] = np.ndarray(shape, order, message.data, strides=strides)
    return view if dtype.itemsize == 1 else view.astype(dtype)


def _check_rows(message: Image, row: int, needed: int) -> None:
    if message.step < row:
        raise BadFrame('step', f'step {message.step} is shorter than a row of {message.width} '
                       f'{message.encoding} pixels, which takes {row} bytes')
    if len(message.data) < needed:
        raise BadFrame('size', f'{message.width} x {message.height} {message.encoding} with step '
                       f'{message.step} needs {needed} bytes, got {len(message.data)}')


def _planar(message: Image) -> Pixels:
    """Convert a plane of luma and a plane of interleaved chroma to (H, W, 3) RGB."""
    height, width, step = message.height, message.width, message.step
    if height % 2 or width % 2:
        raise BadFrame('size', f'encoding {message.encoding!r} needs an even size, '
                       f'got {width} x {height}')
    chroma_bytes = height * step // 2 if message.encoding == 'nv21' else 2 * height * step
    _check_rows(message, width, height * step + chroma_bytes)
    data = np.frombuffer(message.data, np.uint8)
    luma = data[:height * step].reshape(height, step)[:, :width]
    chroma = data[height * step:height * step + chroma_bytes]
    if message.encoding == 'nv21':
        half, code = chroma.reshape(height // 2, step)[:, :width], cv2.COLOR_YUV2RGB_NV21
    else:
        # OpenCV has no NV24: its chroma is at full size, so it is brought down to NV12's.
        full = chroma.reshape(height, 2 * step)[:, :2 * width].reshape(height, width, 2)
        halved = cv2.resize(full, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        half = np.asarray(halved, np.uint8).reshape(height // 2, width)
        code = cv2.COLOR_YUV2RGB_NV12
    return np.asarray(cv2.cvtColor(np.vstack((luma, half)), code), dtype=np.uint8)


def _by_cv_bridge(message: Image) -> Pixels:
    _check_rows(message, message.width, message.height * message.step)
    try:
        from cv_bridge import CvBridge
        rgb: Pixels = CvBridge().imgmsg_to_cv2(message, 'rgb8')
        if rgb.dtype != np.uint8 or rgb.shape != (message.height, message.width, 3):
            raise ValueError(f'it made {rgb.dtype} pixels of shape {rgb.shape}')
    except Exception as error:  # of many types, and compiled parts that fail to load
        raise BadFrame('encoding', f'encoding {message.encoding[:LONGEST_FORMAT]!r} is not one of '
                       f'{sorted([*_LAYOUTS, "nv21", "nv24"])}, and cv_bridge cannot convert it: '
                       f'{type(error).__name__}: {str(error)[:LONGEST_FORMAT]}') from None
    return rgb


def _compressed(message: CompressedImage, spec: InputSpec, max_pixels: int
                ) -> tuple[Pixels, str]:
    """
    Read a compressed frame by its bytes, and by what its format says of them.

    image_transport writes "ORIGINAL; KIND compressed STORED": the encoding of the camera's
    picture, the kind of file, and, unless the pixels went in as they were, the encoding that they
    were converted to first. Cameras write just the kind, or nothing.
    """
    form = message.format[:LONGEST_FORMAT]
    said = form.lower()
    original = re.split(r'[;\s]', said.strip(), maxsplit=1)[0]
    stored = said.partition('compressed')[2].strip()
    if 'compresseddepth' in said or original in _DEPTH_FORMATS:
        raise BadFrame('encoding', f'format {form!r} is a depth image, not a picture: '
                       'remap image_raw to the colour camera')
    data = bytes(message.data)
    mosaic = original.startswith('bayer_') and stored in ('', original)
    if mosaic and original not in _LAYOUTS:
        raise BadFrame('encoding', f'format {form!r} has a Bayer pattern that is none '
                       f'of {sorted(name for name in _LAYOUTS if name.startswith("bayer_"))}')
    try:
        pixels, order = decode_picture(data, spec, as_stored=mosaic, limit=max_pixels,
                                       from_camera=True)
    except PictureError as error:
        names_a_picture = not said.strip() or any(word in said for word in _FILE_KINDS)
        if kind_of(data) is None and not names_a_picture:
            raise BadFrame('encoding', f'format {form!r} is no kind of picture that '
                           f'is read, which are {", ".join(FROM_CAMERAS)}: {error}') from None
        if error.reason == 'too_large':
            raise BadFrame('too_large', f'{error} (camera.max_pixels is {max_pixels})'
                           ) from None
        raise BadFrame(error.reason, str(error)) from None
    if mosaic and order == 'mono':
        convert = _LAYOUTS[original.replace('16', '8')].convert
        assert convert is not None
        return np.asarray(convert(pixels), np.uint8), 'rgb'
    if kind_of(data) == 'TIFF' and order == 'bgr' and original.startswith('rgb') and not stored:
        # image_transport leaves the camera's channel order in a TIFF, unlike in other kinds.
        return pixels, 'rgb'
    return pixels, order
