"""
The header of a picture, read before anything is decoded: kind, size, and which way is up.

Left out: the headers of what Pillow decodes, which it reads itself (see ``pillow``).
"""

from typing import NamedTuple

from tool_recognizer.pictures.error import PictureError

JPEG = b'\xff\xd8'
PNG = b'\x89PNG\r\n\x1a\n'
# Kinds by their first bytes, with Pillow's names; HEIC, which it does not know, is below.
KINDS = ((JPEG, 'JPEG'), (PNG, 'PNG'), (b'BM', 'BMP'), (b'GIF8', 'GIF'), (b'II*\0', 'TIFF'),
         (b'MM\0*', 'TIFF'), (b'II+\0', 'TIFF'), (b'MM\0+', 'TIFF'),
         *((b'P%d' % number, 'PPM') for number in range(1, 7)),
         (b'\0\0\0\x0cjP  ', 'JPEG2000'), (b'\xff\x4f\xff\x51', 'JPEG2000'),
         (b'\x59\xa6\x6a\x95', 'SUN'))
# The first that is among a box's brands counts; the last two only say that it is a picture.
BRANDS = {b'avif': 'AVIF', b'avis': 'AVIF', b'heic': 'HEIC', b'heix': 'HEIC', b'heim': 'HEIC',
          b'heis': 'HEIC', b'hevc': 'HEIC', b'hevx': 'HEIC', b'mif1': 'HEIC', b'msf1': 'HEIC'}
# Bytes that tell a picture's kind; of a box with more brands the first ones are enough.
HEAD = 64

# JPEG markers that announce the size: SOF0 to SOF15 without DHT, JPG and DAC.
SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# An escaped 0xFF, TEM and RST0 to RST7: nothing follows that has a length.
ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
END, START_OF_SCAN, APP1 = 0xD9, 0xDA, 0xE1
EXIF = b'Exif\0\0'


class Header(NamedTuple):
    """
    The header of a JPEG or PNG.

    Attributes
    ----------
    height, width : as stored, before the picture is turned, pixels
    exif : the EXIF data, a TIFF structure; empty without
    data : the picture, without stray bytes between its segments
    transparent_grey : whether it is grey with one level that stands for transparent

    """

    height: int
    width: int
    exif: bytes
    data: bytes
    transparent_grey: bool = False


def kind_of(data: bytes) -> str | None:
    """Tell a picture's kind by its first bytes; None for no known one."""
    if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        return 'WEBP'
    if data[4:8] == b'ftyp':
        end = min(HEAD, int.from_bytes(data[:4], 'big'))
        brands = [data[8:12], *(data[i:i + 4] for i in range(16, end, 4))]
        return next((kind for brand, kind in BRANDS.items() if brand in brands), None)
    return next((kind for start, kind in KINDS if data.startswith(start)), None)


def jpeg_header(data: bytes) -> Header:
    """
    Walk a JPEG's segments to the first scan, and look whether its end is there.

    Stray bytes between segments are skipped, as decoders do, and left out of ``data``. Otherwise
    the decoder would write a line about each to the standard error.

    Raises
    ------
    PictureError
        The picture is cut off, or there is no way on from a segment to the next.

    """
    position, kept, size, exif = len(JPEG), [JPEG], (0, 0), b''
    while True:
        start = data.find(b'\xff', position)
        if start < 0 and position < len(data) and len(kept) == 1:
            raise PictureError(f'the JPEG is damaged: no marker after byte {position}')
        while start >= 0 and data[start + 1:start + 2] == b'\xff':
            start += 1  # a fill byte
        if start < 0 or start + 4 > len(data):
            raise _cut_off('JPEG', data)
        marker = data[start + 1]
        if marker in ALONE:
            position = start + 2
            continue
        if marker == END:
            raise PictureError(f'the JPEG is damaged: it ends at byte {start}, before its picture')
        if marker == START_OF_SCAN:
            # Within a scan 0xFF is always escaped, so this marker is the true end.
            if data.rfind(bytes((0xFF, END)), start) < 0:
                raise _cut_off('JPEG', data)
            kept.append(data[start:])
            whole = sum(map(len, kept)) == len(data)
            return Header(*size, exif, data if whole else b''.join(kept))
        position = start + 2 + int.from_bytes(data[start + 2:start + 4], 'big')
        body = data[start + 4:position]
        if marker in SIZE_MARKERS and len(body) >= 5:
            size = int.from_bytes(body[1:3], 'big'), int.from_bytes(body[3:5], 'big')
        elif marker == APP1 and body.startswith(EXIF) and not exif:
            exif = body[len(EXIF):]
        kept.append(data[start:position])


def png_header(data: bytes) -> Header:
    """
    Walk a PNG's chunks to its end.

    Raises
    ------
    PictureError
        The picture is cut off.

    """
    position, size, exif, colour, transparent = len(PNG), (0, 0), b'', -1, False
    while True:
        length = int.from_bytes(data[position:position + 4], 'big')
        name, body = data[position + 4:position + 8], position + 8
        position = body + length + 4
        if name == b'IEND':
            return Header(*size, exif, data, transparent)
        if position > len(data):
            raise _cut_off('PNG', data)
        if name == b'IHDR':
            size = (int.from_bytes(data[body + 4:body + 8], 'big'),
                    int.from_bytes(data[body:body + 4], 'big'))
            colour = data[body + 9] if length > 9 else -1
        elif name == b'eXIf':
            exif = data[body:body + length]
        elif name == b'tRNS':
            transparent = colour == 0


def _cut_off(kind: str, data: bytes) -> PictureError:
    return PictureError(f'the {kind} is cut off after {len(data)} bytes: its end is missing')
