"""
Pictures that Pillow decodes: all kinds but JPEG, PNG and still WebP.

OpenCV decodes some of them wrongly, without an error (it takes the palette of an OS/2 bitmap or of
a TIFF for levels of grey), and its versions differ in which way they turn them. A kind that the
installed Pillow has no decoder for is refused by its name.
"""

from io import BytesIO
from typing import Any
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import __version__
from PIL import Image
from PIL import UnidentifiedImageError
from tool_recognizer.pictures import tiff
from tool_recognizer.pictures.error import check_size
from tool_recognizer.pictures.error import PictureError

WHITE_IS_ZERO = 0
# Compressions of a TIFF that image_transport writes; the decoders of others fill what is missing.
FROM_CAMERAS = {1: 'none', 5: 'lzw', 8: 'deflate', 32773: 'packbits', 32946: 'deflate'}
# Compressions of floating point, whatever the sample format says; OpenCV 4.6 writes them.
LOG_LUV = (34676, 34677)
# Sample formats that are no levels of grey or of a colour.
NO_LEVELS = {2: 'int', 3: 'float', 5: 'complex int', 6: 'complex float'}

# They are about odd metadata, which Pillow reads nevertheless.
warnings.filterwarnings('ignore', module=r'PIL\.')


def decode_with_pillow(data: bytes, kind: str, limit: int, from_camera: bool = False
                       ) -> tuple[NDArray[Any], int]:
    """
    Decode a picture, of several in one file the first.

    Parameters
    ----------
    data : the file's bytes
    kind : as Pillow names it; no other decoder is tried
    limit : pixels, at most
    from_camera : whether a TIFF may be compressed only as image_transport does it

    Returns
    -------
    pixels : (H, W) uint8 or uint16 of grey, or (H, W, 3) RGB or (H, W, 4) RGBA uint8
    orientation : 1, as stored, to 8, as its EXIF data say

    Raises
    ------
    PictureError
        Damaged, cut off, too large, of a kind that Pillow does not read, or without an 8-bit
        meaning.

    """
    Image.init()
    if kind not in Image.OPEN:
        raise PictureError(f'{kind} is not read by Pillow {__version__} here; save the picture '
                           'as JPEG or PNG', 'encoding')
    directory = None
    try:
        if kind == 'TIFF':
            directory, data = tiff.bare_tiff(data, limit)
            _check_meaning(directory, from_camera)
        with Image.open(BytesIO(data), formats=[kind]) as image:
            check_size(kind, image.height, image.width, 1, limit)
            turn = (tiff.orientation(image.info.get('exif', b'')) if directory is None else
                    directory.number(tiff.ORIENTATION, 1))
            return _pixels(image, directory), turn if 1 <= turn <= 8 else 1
    except (PictureError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise PictureError(f'the {kind} claims more than {limit} pixels', 'too_large') from None
    except UnidentifiedImageError:
        raise PictureError(f'a kind of {kind} that Pillow {__version__} does not read, or a '
                           'damaged one; save the picture as JPEG or PNG') from None
    except Exception as error:  # Pillow's decoders raise whatever they meet
        raise PictureError(f'the {kind} is damaged or cut off after {len(data)} bytes: '
                           f'{" ".join(str(error).split()) or type(error).__name__}') from None


def _check_meaning(directory: tiff.Directory, from_camera: bool) -> None:
    compression = directory.number(tiff.COMPRESSION, 1)
    if compression in LOG_LUV:
        raise _no_meaning('float32')
    for sample, bits in zip(directory.numbers(tiff.SAMPLE_FORMAT, 1),
                            directory.numbers(tiff.BITS, 1), strict=False):
        if sample in NO_LEVELS:
            raise _no_meaning(f'{NO_LEVELS[sample]}{bits}')
    if from_camera and compression not in FROM_CAMERAS:
        raise PictureError(f'a TIFF with compression {compression} is not read from a camera; let '
                           'its driver write lzw or none', 'encoding')


def _no_meaning(what: str) -> PictureError:
    return PictureError(f'pixels of {what} have no 8-bit meaning; convert the picture to 8 or 16 '
                        'bits per channel', 'encoding')


def _pixels(image: Image.Image, directory: tiff.Directory | None) -> NDArray[Any]:
    if image.mode.startswith('I;16') or (image.mode == 'I' and image.format == 'PPM'):
        deep = np.asarray(image).astype(np.uint16)
        inverted = directory is not None and (
            directory.number(tiff.PHOTOMETRIC, -1) == WHITE_IS_ZERO)
        return 65535 - deep if inverted else deep
    if image.mode in ('I', 'F'):
        raise _no_meaning('32-bit integers' if image.mode == 'I' else 'float32')
    levels = directory.numbers(tiff.COLORMAP, 256) if directory is not None else (256,)
    if image.mode == 'P' and max(levels) < 256:
        # Some writers give a palette 8 bits where the format has 16.
        image.putpalette(bytes(np.reshape(levels, (3, -1)).T.ravel().tolist()))
    if image.has_transparency_data:
        return np.asarray(image.convert('RGBA'))
    return np.asarray(image.convert('L' if image.mode in ('1', 'L') else 'RGB'))
