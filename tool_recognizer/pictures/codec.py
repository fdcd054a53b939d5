"""
Picture files and compressed frames, decoded to 8-bit pixels.

One decoder serves training, live operation and replay, so that all of them see the same pixels.
A picture that is cut off is refused: decoders fill what is missing with grey, and an opinion on
grey is a made-up answer. Left out: damage in the middle of a JPEG, which its decoder hides.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.preprocessing import shrinkage
from tool_recognizer.core.recognition import Frame
from tool_recognizer.pictures.heif import decode_heif
from tool_recognizer.pictures.heif import HEAD
from tool_recognizer.pictures.heif import heif_kind
from tool_recognizer.pictures.heif import HeifError

JPEG = b'\xff\xd8'
PNG = b'\x89PNG\r\n\x1a\n'
# JPEG markers that announce the size: SOF0 to SOF15 without DHT, JPG and DAC.
SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
START_OF_SCAN = 0xDA
# Reduced by 8, 4, 2: the JPEG decoder does it in the frequency domain, at a fraction of the time.
REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4),
           (2, cv2.IMREAD_REDUCED_COLOR_2))
# What is left for the resize after a reduced decoding, so that it still does the smoothing.
SPARE = 2.0


class PictureError(ValueError):
    """A picture that cannot be used, and why."""


def read_picture(path: str | Path, spec: InputSpec | None = None) -> tuple[Pixels, str]:
    """
    Read and decode a picture file; see ``decode_picture``.

    Raises
    ------
    PictureError
        The file cannot be read or decoded; the message starts with its path.

    """
    try:
        return decode_picture(Path(path).read_bytes(), spec)
    except OSError as error:
        raise PictureError(f'{path}: cannot be read ({error.strerror})') from None
    except PictureError as error:
        raise PictureError(f'{path}: {error}') from None


def decode_picture(data: bytes | memoryview | NDArray[np.uint8],
                   spec: InputSpec | None = None) -> tuple[Pixels, str]:
    """
    Decode a compressed picture (JPEG, PNG, HEIC, AVIF and whatever else OpenCV reads).

    Parameters
    ----------
    data : the compressed bytes
    spec : what the network takes. A JPEG at least four times as large is then decoded at a
        reduced scale, which leaves at least twice the network's size

    Returns
    -------
    (H, W, 3) uint8 pixels or (H, W) for grey, and their order for ``fit_image``, 'bgr' or 'mono'.
    Turned as a JPEG's EXIF data, or a HEIC itself, says. 16 bits become the upper 8; what is
    transparent is laid on white

    Raises
    ------
    PictureError
        Empty, cut off, not a picture, or of a kind that has no 8-bit meaning (floating point).

    """
    buffer = np.frombuffer(data, np.uint8) if not isinstance(data, np.ndarray) else data.ravel()
    if buffer.size == 0:
        raise PictureError('the picture is empty (0 bytes)')
    head = buffer[:8].tobytes()
    if head.startswith(JPEG):
        height, width = _jpeg_size(buffer.tobytes())
        return _decode(buffer, _jpeg_flag(height, width, spec)), 'bgr'
    if head == PNG and b'IEND' not in buffer[-64:].tobytes():
        raise PictureError(f'the PNG is cut off after {buffer.size} bytes: its end is missing')
    kind = heif_kind(buffer[:HEAD].tobytes())
    if kind:
        try:
            pixels = decode_heif(buffer.tobytes(), kind)
        except HeifError as error:
            raise PictureError(str(error)) from None
    else:
        pixels = _decode(buffer, cv2.IMREAD_UNCHANGED)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise PictureError(f'pixels of {pixels.dtype} have no 8-bit meaning; '
                           'convert the picture to 8 or 16 bits per channel')
    if pixels.ndim == 2:
        return pixels, 'mono'
    return (_on_white(pixels) if pixels.shape[2] == 4 else pixels), 'bgr'


def encode_picture(frame: Frame, width: int, quality: int) -> bytes:
    """
    Encode a frame as JPEG, for people.

    Parameters
    ----------
    frame : the camera frame
    width : of the picture in pixels, at most; proportions stay
    quality : 1 to 100

    Raises
    ------
    PictureError
        OpenCV cannot encode it.

    """
    return encode_jpeg(picture_of(frame, width), quality)


def picture_of(frame: Frame, width: int) -> Pixels:
    """
    Bring a frame into a size and an order for people.

    Parameters
    ----------
    frame : the camera frame
    width : of the picture in pixels, at most; proportions stay

    Returns
    -------
    (H, W, 3) uint8 BGR, contiguous, and never a view of the frame's pixels

    """
    rows, columns = frame.pixels.shape[:2]
    size = min(width, columns)
    spec = InputSpec(max(1, round(rows * size / columns)), size, 'stretch')
    rgb = fit_image(frame.pixels, spec, frame.order)
    # A fifth of the time of a copied [..., ::-1], and no threads for it, as cvtColor has.
    bgr = np.empty_like(rgb)
    cv2.mixChannels([rgb], [bgr], [0, 2, 1, 1, 2, 0])
    return bgr


def encode_jpeg(bgr: Pixels, quality: int) -> bytes:
    """
    Encode (H, W, 3) uint8 BGR pixels as JPEG of a quality from 1 to 100.

    Raises
    ------
    PictureError
        OpenCV cannot encode it.

    """
    done, data = cv2.imencode('.jpg', np.ascontiguousarray(bgr),
                              [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise PictureError(f'OpenCV could not encode a picture of shape {bgr.shape}')
    return bytes(data.tobytes())


def _jpeg_flag(height: int, width: int, spec: InputSpec | None) -> int:
    if spec is not None:
        # A turned photograph (EXIF) has its sides swapped, so the less favourable case counts.
        spare = min(shrinkage(height, width, spec), shrinkage(width, height, spec)) / SPARE
        for factor, flag in REDUCED:
            if factor <= spare:
                return int(flag)
    return int(cv2.IMREAD_COLOR)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the segments to the first scan: (height, width), and whether the end is there."""
    position, size = 2, (0, 0)
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise PictureError(f'the JPEG is damaged: no marker at byte {position}')
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in SIZE_MARKERS and position + 9 <= len(data):
            size = (int.from_bytes(data[position + 5:position + 7], 'big'),
                    int.from_bytes(data[position + 7:position + 9], 'big'))
        if marker == START_OF_SCAN:
            # Within a scan 0xFF is always escaped, so this marker is the true end.
            if data.rfind(b'\xff\xd9', position) < 0:
                break
            return size
        position += 2 + int.from_bytes(data[position + 2:position + 4], 'big')
    raise PictureError(f'the JPEG is cut off after {len(data)} bytes: its end is missing')


def _decode(buffer: NDArray[np.uint8], flag: int) -> Pixels:
    try:
        pixels = cv2.imdecode(np.ascontiguousarray(buffer), flag)
    except cv2.error as error:
        raise PictureError(f'OpenCV cannot decode it: {error.err or error}') from None
    if pixels is None or pixels.size == 0:
        raise PictureError(f'{buffer.size} bytes that are not a picture OpenCV can decode, '
                           f'starting with {buffer[:8].tobytes().hex(" ")}')
    return np.asarray(pixels)


def _on_white(bgra: Pixels) -> Pixels:
    alpha = bgra[:, :, 3:].astype(np.uint16)
    mixed = bgra[:, :, :3] * alpha + 255 * (255 - alpha)
    return np.asarray((mixed + 127) // 255, dtype=np.uint8)
