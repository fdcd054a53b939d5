"""
Pictures that Pillow decodes: all kinds but JPEG and PNG.

OpenCV decodes some of them wrongly, without an error (it takes the palette of an OS/2 bitmap or of
a TIFF for levels of grey), and its versions differ in which way they turn them. A kind that the
installed Pillow has no decoder for is refused by its name.
"""

from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import __version__
from PIL import Image
from PIL import ImageFile
from PIL import ImageOps
from PIL import UnidentifiedImageError
from tool_recognizer.pictures.error import PictureError

# Tags of a TIFF, which is what EXIF data are, too.
BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, COLORMAP = 258, 259, 262, 274, 320
SAMPLE_FORMAT = 339
STRIPS, TILES = (273, 279), (324, 325)  # offsets and lengths, bytes
WHITE_IS_ZERO = 0
# Compressions of floating point, whatever the sample format says; OpenCV 4.6 writes them.
LOG_LUV = (34676, 34677)
# Sample formats that are no levels of grey or of a colour.
NO_LEVELS = {2: 'int', 3: 'float', 5: 'complex int', 6: 'complex float'}

# They are about odd metadata, which Pillow reads nevertheless.
warnings.filterwarnings('ignore', module=r'PIL\.')


def orientation(exif: bytes) -> int:
    """
    Read which way is up from EXIF data.

    Returns
    -------
    1, as stored, to 8; 1 also for data that say nothing, or nothing that can be read

    """
    value = _tags(exif).get(ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def decode_with_pillow(data: bytes, kind: str) -> NDArray[Any]:
    """
    Decode a picture, of several in one file the first, and turn it as its EXIF data say.

    Parameters
    ----------
    data : the file's bytes
    kind : as Pillow names it; no other decoder is tried

    Returns
    -------
    (H, W) uint8 or uint16 of grey, or (H, W, 3) RGB or (H, W, 4) RGBA uint8

    Raises
    ------
    PictureError
        Damaged, cut off, of a kind that Pillow does not read, or without an 8-bit meaning.

    """
    Image.init()
    if kind not in Image.OPEN:
        raise PictureError(f'{kind} is not read by Pillow {__version__} here; save the picture '
                           'as JPEG or PNG', 'encoding')
    try:
        if kind == 'TIFF':
            _check_tiff(_tags(data), len(data))
        with Image.open(BytesIO(data), formats=[kind]) as image:
            return _pixels(ImageOps.exif_transpose(image), image)
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(f'a kind of {kind} that Pillow {__version__} does not read, or a '
                           'damaged one; save the picture as JPEG or PNG') from None
    except Exception as error:  # Pillow's decoders raise whatever they meet
        raise PictureError(f'the {kind} is damaged or cut off after {len(data)} bytes: '
                           f'{" ".join(str(error).split()) or type(error).__name__}') from None


def _tags(data: bytes) -> Mapping[int, Any]:
    """Read the tags of a TIFF's first picture, or of EXIF data; none if they cannot be read."""
    said = Image.Exif()
    with suppress(Exception):  # of many types: what a camera wrote there may be anything
        said.load(data)
    return dict(said)


def _check_tiff(tags: Mapping[int, Any], size: int) -> None:
    if tags.get(COMPRESSION) in LOG_LUV:
        raise _no_meaning('float32')
    for sample, bits in zip(np.ravel(tags.get(SAMPLE_FORMAT, 1)), np.ravel(tags.get(BITS, 1)),
                            strict=False):
        if sample in NO_LEVELS:
            raise _no_meaning(f'{NO_LEVELS[sample]}{bits}')
    for offsets, lengths in (STRIPS, TILES):
        ends = np.add(tags.get(offsets, 0), tags.get(lengths, 0))
        if np.max(ends) > size:
            raise PictureError(f'the TIFF is cut off after {size} bytes: its end is missing')


def _no_meaning(what: str) -> PictureError:
    return PictureError(f'pixels of {what} have no 8-bit meaning; convert the picture to 8 or 16 '
                        'bits per channel', 'encoding')


def _pixels(image: Image.Image, opened: ImageFile.ImageFile) -> NDArray[Any]:
    tags: Any = getattr(opened, 'tag_v2', {})
    if image.mode.startswith('I;16') or (image.mode == 'I' and opened.format == 'PPM'):
        deep = np.asarray(image).astype(np.uint16)
        return 65535 - deep if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else deep
    if image.mode in ('I', 'F'):
        raise _no_meaning('32-bit integers' if image.mode == 'I' else 'float32')
    levels = tags.get(COLORMAP)
    if image.mode == 'P' and levels and max(levels) < 256:
        # Some writers give a palette 8 bits where the format has 16.
        image.putpalette(bytes(np.reshape(levels, (3, -1)).T.ravel().tolist()))
    if image.has_transparency_data:
        return np.asarray(image.convert('RGBA'))
    return np.asarray(image.convert('L' if image.mode in ('1', 'L') else 'RGB'))
