"""
HEIC and AVIF photographs, as telephones write them, by libraries that need not be there.

Both are turned as their own transformations say; the orientation in their EXIF data only repeats
these (ISO/IEC 23008-12). Left out: sequences and depth maps; of several pictures the primary one.
"""

from io import BytesIO
import warnings

import numpy as np
from numpy.typing import NDArray

# The first bytes that tell what a file is: the box 'ftyp' with the brands.
HEAD = 64
CURES = {'heic': 'pip install pillow-heif', 'avif': 'pip install "pillow>=11.3"'}


class HeifError(ValueError):
    """A picture that cannot be decoded, and why."""


def heif_kind(head: bytes) -> str:
    """
    Tell HEIC and AVIF from other files.

    Parameters
    ----------
    head : the file's first bytes; 64 are enough

    Returns
    -------
    'heic', 'avif', or '' for any other file

    """
    if head[4:8] != b'ftyp':
        return ''
    length = int.from_bytes(head[:4], 'big')
    brands = {head[8:12], *(head[i:i + 4] for i in range(16, min(length, len(head)), 4))}
    if brands & {b'avif', b'avis'}:
        return 'avif'
    return 'heic' if brands & {b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1',
                               b'msf1'} else ''


def missing(kind: str) -> str:
    """
    Say what has to be installed to read a kind.

    Parameters
    ----------
    kind : 'heic' or 'avif'

    Returns
    -------
    The command, or '' if it can be read

    """
    try:
        if kind == 'heic':
            import pillow_heif  # noqa: F401
            return ''
        from PIL import features
    except ImportError:
        return CURES[kind]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # an older Pillow warns of a feature that it does not know
        return '' if features.check('avif') else CURES[kind]


def decode_heif(data: bytes, kind: str) -> NDArray[np.uint8]:
    """
    Decode a picture.

    Parameters
    ----------
    data : the file's bytes
    kind : as ``heif_kind`` says

    Returns
    -------
    (H, W, 3) BGR, (H, W, 4) with how opaque it is, or (H, W) grey; uint8, turned upright

    Raises
    ------
    HeifError
        It is damaged or cut off, or what reads it is not installed.

    """
    cure = missing(kind)
    if cure:
        raise HeifError(f'a picture in {kind.upper()}, which this machine cannot read: {cure}')
    try:
        return _heic(data) if kind == 'heic' else _avif(data)
    except (EOFError, MemoryError, OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise HeifError(f'the {kind.upper()} is damaged or cut off '
                        f'({" ".join(str(error).split())})') from None


def _heic(data: bytes) -> NDArray[np.uint8]:
    from pillow_heif import open_heif

    return np.asarray(open_heif(data, convert_hdr_to_8bit=True, bgr_mode=True), np.uint8)


def _avif(data: bytes) -> NDArray[np.uint8]:
    from PIL import Image
    from PIL import ImageOps

    with Image.open(BytesIO(data), formats=('AVIF',)) as picture:
        # Pillow hands the picture's own transformations on as an orientation.
        turned = ImageOps.exif_transpose(picture)
        pixels = np.asarray(turned if turned.mode in ('L', 'RGB', 'RGBA') else
                            turned.convert('RGB'), np.uint8)
    if pixels.ndim == 2:
        return pixels
    return np.ascontiguousarray(pixels[..., [2, 1, 0, 3][:pixels.shape[2]]])
