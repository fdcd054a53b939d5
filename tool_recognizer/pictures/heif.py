"""
HEIC photographs, as telephones write them, read by an optional library.

They are turned as their own transformations say; the orientation in their EXIF data only repeats
these (ISO/IEC 23008-12). Left out: sequences and depth maps; of several pictures the primary one.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tool_recognizer.pictures.error import check_size
from tool_recognizer.pictures.error import PictureError

CURES = {'HEIC': 'pip install pillow-heif', 'AVIF': 'pip install "pillow>=11.3"'}


def missing(kind: str) -> str:
    """
    Say what has to be installed to read a kind of picture.

    Parameters
    ----------
    kind : as ``header.kind_of`` says

    Returns
    -------
    The command, or '' if nothing is missing

    """
    if kind == 'HEIC':
        try:
            import pillow_heif  # noqa: F401
        except ImportError:
            return CURES[kind]
    elif kind == 'AVIF':
        Image.init()
        if kind not in Image.OPEN:
            return CURES[kind]
    return ''


def decode_heif(data: bytes, limit: int) -> NDArray[np.uint8]:
    """
    Decode a HEIC picture, where nothing is missing.

    Parameters
    ----------
    data : the file's bytes
    limit : pixels, at most

    Returns
    -------
    (H, W, 3) BGR, (H, W, 4) with how opaque it is, or (H, W) grey; uint8, turned upright

    Raises
    ------
    PictureError
        It is damaged, cut off or too large.

    """
    from pillow_heif import open_heif

    try:
        picture = open_heif(data, convert_hdr_to_8bit=True, bgr_mode=True)
        check_size('HEIC', picture.size[1], picture.size[0], len(picture.mode), limit)
        return np.array(picture, np.uint8)  # a copy: its own memory may go with it
    except PictureError:
        raise
    except (EOFError, OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise PictureError('the HEIC is damaged or cut off '
                           f'({" ".join(str(error).split())})') from None
