"""
Picture files and compressed frames, decoded to 8-bit pixels.

One decoder serves training, live operation and replay, so that all of them see the same pixels.
A picture that is cut off is refused: decoders fill what is missing with grey, and a prediction for
grey pixels means nothing. Left out: damage in the middle of a JPEG, which its decoder hides.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.preprocessing import shrinkage
from tool_recognizer.core.recognition import Frame
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.pictures.header import jpeg_header
from tool_recognizer.pictures.header import kind_of
from tool_recognizer.pictures.header import png_header
from tool_recognizer.pictures.heif import decode_heif
from tool_recognizer.pictures.heif import missing
from tool_recognizer.pictures.pillow import decode_with_pillow
from tool_recognizer.pictures.pillow import orientation

# For each EXIF orientation: whether rows become columns, and then which axes are mirrored.
TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    1: (False, ()), 2: (False, (1,)), 3: (False, (0, 1)), 4: (False, (0,)),
    5: (True, ()), 6: (True, (1,)), 7: (True, (0, 1)), 8: (True, (0,))}
# Reduced by 8, 4, 2: the JPEG decoder does it in the frequency domain, at a fraction of the time.
REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4),
           (2, cv2.IMREAD_REDUCED_COLOR_2))
# What is left for the resize after a reduced decoding, so that it still does the smoothing.
SPARE = 2.0


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


def decode_picture(data: bytes | memoryview | NDArray[np.uint8], spec: InputSpec | None = None,
                   *, as_stored: bool = False) -> tuple[Pixels, str]:
    """
    Decode a compressed picture: JPEG, PNG, what Pillow reads, and HEIC if pillow-heif is there.

    Parameters
    ----------
    data : the compressed bytes
    spec : what the network takes. A JPEG at least four times as large is then decoded at a
        reduced scale, which leaves at least twice the network's size
    as_stored : the pixels of a JPEG or PNG count one by one, as those of a Bayer mosaic do: none
        is scaled or turned, and what is grey stays 'mono'

    Returns
    -------
    (H, W, 3) uint8 pixels or (H, W) for grey, and their order for ``fit_image``, 'bgr' or 'mono'.
    Turned as the EXIF data say, of any kind of picture and wherever it comes from. 16 bits become
    the upper 8; what is transparent is laid on white

    Raises
    ------
    PictureError
        Empty, cut off, not a picture, or of a kind that has no 8-bit meaning (floating point).

    """
    data = data if isinstance(data, bytes) else bytes(data)
    if not data:
        raise PictureError('the picture is empty (0 bytes)', 'empty')
    kind = kind_of(data)
    if kind is None:
        raise _no_picture(data)
    cure = missing(kind)
    if cure:
        raise PictureError(f'{kind} is not read here: {cure}', 'encoding')
    header = {'JPEG': jpeg_header, 'PNG': png_header}.get(kind, lambda _: None)(data)
    if kind == 'HEIC':
        pixels, turn = decode_heif(data), 1
    elif header is None or header.transparent_grey:
        pixels = decode_with_pillow(data, kind)
        turn = 1
        if pixels.ndim == 3:
            pixels = pixels[..., [2, 1, 0, 3][:pixels.shape[2]]]
    else:
        turn = 1 if as_stored else orientation(header.exif)
        flag = cv2.IMREAD_UNCHANGED
        if kind == 'JPEG' and not as_stored:
            # Turned here, for OpenCV's versions differ in which kinds they turn.
            flag = _jpeg_flag(header.height, header.width, spec) | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = _decode(header.data, flag)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    pixels = _turned(pixels, turn)
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
    # Takes a fifth of the time of a copied [..., ::-1], and starts no threads, as cvtColor does.
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


def _decode(data: bytes, flag: int) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        raise PictureError(f'OpenCV cannot decode it: {error.err or error}') from None
    if pixels is None or pixels.size == 0:
        raise _no_picture(data)
    return np.asarray(pixels)


def _no_picture(data: bytes) -> PictureError:
    return PictureError(f'{len(data)} bytes that are not a picture OpenCV can decode, '
                        f'starting with {data[:8].hex(" ")}')


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    transposed, axes = TURNS[orientation]
    if transposed:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(np.flip(pixels, axes)) if orientation > 1 else pixels


def _on_white(bgra: Pixels) -> Pixels:
    alpha = bgra[:, :, 3:].astype(np.uint16)
    mixed = bgra[:, :, :3] * alpha + 255 * (255 - alpha)
    return np.asarray((mixed + 127) // 255, dtype=np.uint8)
