"""
Picture files and compressed frames, decoded to 8-bit pixels.

One decoder serves training, live operation and replay, so that all of them see the same pixels.
A picture is refused by its header if it is too large, and if it is cut off or its data end early:
decoders fill what is missing with grey, and a prediction for grey pixels means nothing. JPEGs are
decoded by simplejpeg, whose libjpeg-turbo gives the same pixels as OpenCV's, and which alone tells
of what the decoder warns of.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
import simplejpeg
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.preprocessing import shrinkage
from tool_recognizer.core.recognition import fit_frame
from tool_recognizer.core.recognition import Frame
from tool_recognizer.pictures.error import BYTES_PER_PIXEL
from tool_recognizer.pictures.error import check_size
from tool_recognizer.pictures.error import MAX_PIXELS
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.pictures.header import check_inflated
from tool_recognizer.pictures.header import Header
from tool_recognizer.pictures.header import jpeg_header
from tool_recognizer.pictures.header import kind_of
from tool_recognizer.pictures.header import png_header
from tool_recognizer.pictures.header import SCANS
from tool_recognizer.pictures.header import webp_header
from tool_recognizer.pictures.heif import decode_heif
from tool_recognizer.pictures.heif import missing
from tool_recognizer.pictures.pillow import decode_with_pillow
from tool_recognizer.pictures.restarts import is_whole
from tool_recognizer.pictures.restarts import PADDED
from tool_recognizer.pictures.tiff import orientation

# For each EXIF orientation: whether rows become columns, and then which axes are mirrored.
TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    1: (False, ()), 2: (False, (1,)), 3: (False, (0, 1)), 4: (False, (0,)),
    5: (True, ()), 6: (True, (1,)), 7: (True, (0, 1)), 8: (True, (0,))}
# Kinds that a camera's driver or image_transport sends.
FROM_CAMERAS = ('JPEG', 'PNG', 'WEBP', 'TIFF')
HEADERS = {'JPEG': jpeg_header, 'PNG': png_header, 'WEBP': webp_header}
# Bytes of a compressed picture beside its pixels: a header, texts, a thumbnail.
SLACK = 1 << 20
# The JPEG decoder reduces by these in the frequency domain, which is quicker than any resize and
# means the pixels as well. (It knows other eighths, but has no fast code for them.)
REDUCED = (8, 4, 2)
# Rows that are laid on white together, so that little memory is taken beside the picture's own.
ROWS = 64


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
                   *, as_stored: bool = False, limit: int = MAX_PIXELS, from_camera: bool = False
                   ) -> tuple[Pixels, str]:
    """
    Decode a compressed picture: JPEG, PNG, WebP, what Pillow reads, and HEIC with pillow-heif.

    Parameters
    ----------
    data : the compressed bytes
    spec : what the network takes. A JPEG at least twice as large is then decoded at a half, a
        quarter or an eighth of its size, the least that is not below the network's
    as_stored : the pixels of a JPEG or PNG count one by one, as those of a Bayer mosaic do: none
        is scaled or turned, and what is grey stays 'mono'
    limit : pixels, at most. A decoded picture takes four bytes for each at most, and all that is
        allocated for it stays below twenty
    from_camera : whether only the kinds are read that cameras send: still JPEG, PNG, WebP, TIFF

    Returns
    -------
    (H, W, 3) uint8 pixels or (H, W) for grey, and their order for ``fit_image``, 'bgr' or 'mono'.
    Turned as the EXIF data say, of any kind of picture and wherever it comes from. 16 bits become
    the upper 8; what is transparent is laid on white

    Raises
    ------
    PictureError
        Empty, too large, cut off, not a picture, or of a kind that is not read or has no 8-bit
        meaning (floating point).

    """
    data = data if isinstance(data, bytes) else bytes(data)
    if not data:
        raise PictureError('the picture is empty (0 bytes)', 'empty')
    if len(data) > limit * BYTES_PER_PIXEL + SLACK:
        raise PictureError(f'the picture has {len(data)} bytes, the limit for {limit} pixels is '
                           f'{limit * BYTES_PER_PIXEL + SLACK}', 'too_large')
    kind = kind_of(data)
    if kind is None:
        raise _no_picture(data)
    if from_camera and kind not in FROM_CAMERAS:
        raise PictureError(f'{kind} is not read from a camera; let its driver send '
                           f'{", ".join(FROM_CAMERAS)}, or raw frames', 'encoding')
    cure = missing(kind)
    if cure:
        raise PictureError(f'{kind} is not read here: {cure}', 'encoding')
    try:
        pixels, turn = _decode(kind, data, spec, as_stored, limit, from_camera)
    except MemoryError:
        raise PictureError(f'there is not enough memory to decode the {kind} of {len(data)} '
                           'bytes', 'too_large') from None
    if pixels.dtype == np.uint16:
        deep = pixels
        pixels = np.empty(deep.shape, np.uint8)
        np.right_shift(deep, 8, out=pixels, casting='unsafe')
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
    (H, W, 3) uint8 BGR, turned as the network is shown it, contiguous, and never a view of the
    frame's pixels

    """
    rows, columns = frame.pixels.shape[:2]
    if frame.rotation % 180:
        rows, columns = columns, rows
    size = min(width, columns)
    spec = InputSpec(max(1, round(rows * size / columns)), size, 'stretch')
    rgb = fit_frame(frame, spec)
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


def _decode(kind: str, data: bytes, spec: InputSpec | None, as_stored: bool, limit: int,
            from_camera: bool) -> tuple[NDArray[Any], int]:
    """Return the pixels, BGR, BGRA or grey, and how they must be turned yet."""
    header = HEADERS[kind](data) if kind in HEADERS else None
    if kind == 'HEIC':
        return decode_heif(data, limit), 1
    if header is not None:
        check_size(kind, header.height, header.width, header.channels * header.depth, limit)
        turn = 1 if as_stored else orientation(header.exif)
        if header.scans * header.height * header.width > SCANS * limit:
            raise PictureError(f'the {kind} of {header.width} x {header.height} pixels has '
                               f'{header.scans} scans, too many for its size', 'too_large')
        if kind == 'PNG':
            check_inflated(header.data)
        if kind == 'JPEG':
            return _decode_jpeg(header, None if as_stored else spec, as_stored), turn
        if not header.needs_pillow:
            return _decode_with_opencv(header.data), turn
        if from_camera and kind == 'WEBP':
            raise PictureError('a WEBP that moves is not read from a camera; let its driver send '
                               'still pictures', 'encoding')
    pixels, turn = decode_with_pillow(data if header is None else header.data, kind, limit,
                                      from_camera)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else
                              cv2.COLOR_RGBA2BGRA)
    return pixels, turn if header is None else orientation(header.exif)


def _decode_jpeg(header: Header, spec: InputSpec | None, as_stored: bool) -> Pixels:
    factor = 1
    if spec is not None:
        height, width = header.height, header.width
        # A turned photograph (EXIF) has its sides swapped, so the less favourable case counts.
        spare = min(shrinkage(height, width, spec), shrinkage(width, height, spec))
        spare /= 2.0 if spec.tiny else 1.0  # the exact mean is left to the resize
        factor = next((factor for factor in REDUCED if factor <= spare), 1)
    colours = 'CMYK' if header.channels == 4 else 'GRAY' if (
        as_stored and header.channels == 1) else 'BGR'

    def decode(strict: bool) -> Pixels:
        return np.asarray(simplejpeg.decode_jpeg(
            header.data, colours, min_height=-(-header.height // factor),
            min_width=-(-header.width // factor), strict=strict))

    def told(data: bytes) -> str:
        try:
            simplejpeg.decode_jpeg(data, colours, min_height=1, min_width=1)
        except ValueError as error:
            return str(error)
        return ''

    try:
        try:
            pixels = decode(strict=True)
        except ValueError as error:
            if PADDED not in str(error) or not is_whole(header, str(error), told):
                raise
            pixels = decode(strict=False)
    except ValueError as error:
        raise PictureError(f'the JPEG is damaged or its data end early: {error}') from None
    if colours == 'CMYK':
        # Stored inverted, by Adobe's convention: 255 is no ink.
        ink, black = pixels[..., 2::-1], np.repeat(pixels[..., 3:], 3, axis=2)
        return np.asarray(cv2.multiply(np.ascontiguousarray(ink), black, scale=1.0 / 255.0),
                          np.uint8)
    return pixels[..., 0] if colours == 'GRAY' else pixels


def _decode_with_opencv(data: bytes) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
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
    white = np.empty((*bgra.shape[:2], 3), np.uint8)
    for top in range(0, len(bgra), ROWS):
        rows = bgra[top:top + ROWS]
        alpha = rows[:, :, 3:].astype(np.uint16)
        mixed = rows[:, :, :3] * alpha + 255 * (255 - alpha)
        white[top:top + ROWS] = (mixed + 127) // 255
    return white
