"""
The header of a picture, read before anything is decoded: kind, size, and which way is up.

A decoder is handed only what the pixels need: texts and colour profiles of a few bytes may inflate
to gigabytes. Left out: the headers of what Pillow decodes (see ``pillow``).
"""

import re
from typing import NamedTuple
import zlib

import numpy as np
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
# TEM and RST0 to RST7: nothing follows that has a length.
ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
END, START_OF_SCAN, APP1 = 0xD9, 0xDA, 0xE1
# Neither an escaped 0xFF nor one that only fills.
MARKER = re.compile(rb'\xff[^\x00\xff]')
EXIF = b'Exif\0\0'
# Each scan of a JPEG goes over all of its pixels; encoders write ten, or a few more. The largest
# picture that is read may have so many, a smaller one more.
SCANS, MOST_SCANS = 12, 32
# Segments of a JPEG, chunks of a PNG or WebP.
PARTS = 50_000
# Of a PNG: channels by its colour type, a palette with its transparency.
CHANNELS = {0: 1, 2: 3, 3: 4, 4: 4, 6: 4}
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Bytes of a PNG's pixels, compressed, up to which it takes little time whatever they inflate to.
SMALL = 1 << 20
BLOCK = 1 << 18
PNG_NEEDS = (b'IHDR', b'PLTE', b'tRNS', b'IDAT', b'IEND')


class Header(NamedTuple):
    """
    The header of a JPEG, PNG or WebP.

    Attributes
    ----------
    height, width : as stored, before the picture is turned, pixels
    channels : of the decoded picture
    exif : the EXIF data, a TIFF structure; empty without
    data : the picture, with nothing but what its pixels need
    depth : bytes of a decoded channel
    scans : of a JPEG; each goes over all pixels
    needs_pillow : whether it is of a rare kind that OpenCV does not read right: a PNG in grey with
        one level that stands for transparent, or a WebP that moves

    """

    height: int
    width: int
    channels: int
    exif: bytes
    data: bytes
    depth: int = 1
    scans: int = 1
    needs_pillow: bool = False


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
    the decoder would refuse the picture.

    Raises
    ------
    PictureError
        The picture is cut off, there is no way on from a segment to the next, or it has more
        scans or segments than a picture needs.

    """
    kept: list[bytes | memoryview] = [JPEG]
    position, sof, exif = len(JPEG), b'', b''
    for _ in range(PARTS):
        found = MARKER.search(data, position)
        if found is None and position < len(data) and len(kept) == 1 and (
                data.find(b'\xff', position) < 0):
            raise PictureError(f'the JPEG is damaged: no marker after byte {position}')
        if found is None or found.end() + 2 > len(data):
            raise _cut_off('JPEG', data)
        start, marker = found.start(), data[found.end() - 1]
        if marker in ALONE:
            position = start + 2
            continue
        if marker == END:
            raise PictureError(f'the JPEG is damaged: it ends at byte {start}, before its picture')
        if marker == START_OF_SCAN:
            # Within a scan 0xFF is always escaped, so this marker is the true end.
            if data.rfind(bytes((0xFF, END)), start) < 0:
                raise _cut_off('JPEG', data)
            scans = _markers(data, START_OF_SCAN, start)
            if scans > MOST_SCANS:
                raise PictureError(f'the JPEG has {scans} scans, up to {MOST_SCANS} are read',
                                   'too_large')
            if len(sof) < 6:
                raise PictureError('the JPEG is damaged: it does not say its size')
            kept.append(memoryview(data)[start:])
            whole = sum(map(len, kept)) == len(data)
            return Header(int.from_bytes(sof[1:3], 'big'), int.from_bytes(sof[3:5], 'big'),
                          sof[5], exif, data if whole else b''.join(kept), scans=scans)
        position = start + 2 + int.from_bytes(data[start + 2:start + 4], 'big')
        body = data[start + 4:position]
        if marker in SIZE_MARKERS:
            if sof:
                raise PictureError('the JPEG is damaged: it says its size twice')
            sof = body
        elif marker == APP1 and body.startswith(EXIF) and not exif:
            exif = body[len(EXIF):]
        kept.append(data[start:position])
    raise _too_many('JPEG')


def _markers(data: bytes, marker: int, start: int) -> int:
    """Count a marker from a place on; ``bytes.count`` takes up to thirty times as long."""
    code = int.from_bytes((0xFF, marker), 'little')
    pairs = (np.frombuffer(data, '<u2', (len(data) - place) // 2, place)
             for place in (start, start + 1))
    return sum(int(np.count_nonzero(found == code)) for found in pairs)


def png_header(data: bytes) -> Header:
    """
    Walk a PNG's chunks to its end; only those that its pixels need are left in ``data``.

    Raises
    ------
    PictureError
        The picture is cut off, does not begin with its size, or has more chunks than a picture
        needs.

    """
    position, kept, exif, transparent = len(PNG), [PNG], b'', False
    if data[12:16] != b'IHDR' or data[8:12] != b'\0\0\0\x0d':
        raise (_cut_off('PNG', data) if len(data) < 16 else
               PictureError('the PNG is damaged: it does not begin with its size'))
    for _ in range(PARTS):
        length = int.from_bytes(data[position:position + 4], 'big')
        name, body, start = data[position + 4:position + 8], position + 8, position
        position = body + length + 4
        if position > len(data) and name != b'IEND':
            raise _cut_off('PNG', data)
        if name == b'IHDR' and len(kept) > 1:
            raise PictureError('the PNG is damaged: it says its size twice')
        if name in PNG_NEEDS:
            kept.append(data[start:position])
        elif name == b'eXIf':
            exif = data[body:body + length]
        transparent = transparent or name == b'tRNS'
        if name == b'IEND':
            height, width = (int.from_bytes(data[i:i + 4], 'big') for i in (20, 16))
            depth, colour = data[24], data[25]
            whole = sum(map(len, kept)) == len(data)
            return Header(height, width, CHANNELS.get(colour, 4) + (colour == 2 and transparent),
                          exif, data if whole else b''.join(kept), 2 if depth == 16 else 1,
                          needs_pillow=colour == 0 and transparent)
    raise _too_many('PNG')


def check_inflated(data: bytes) -> None:
    """
    Refuse a PNG that inflates to far more than its size asks for: decoders go on to its end.

    Parameters
    ----------
    data : as ``png_header`` leaves it; of a size that is checked

    Raises
    ------
    PictureError
        There is more, or it cannot be inflated.

    """
    if len(data) < SMALL:
        return
    width, height = (int.from_bytes(data[i:i + 4], 'big') for i in (16, 20))
    # An interlaced picture has more and shorter rows, so twice is allowed.
    left = 2 * height * (2 + width * data[24] * SAMPLES.get(data[25], 4) // 8) + BLOCK
    position, pump = len(PNG), zlib.decompressobj()
    try:
        while position < len(data) and not pump.eof:
            length = int.from_bytes(data[position:position + 4], 'big')
            if data[position + 4:position + 8] == b'IDAT':
                packed = data[position + 8:position + 8 + length]
                while packed and not pump.eof:
                    left -= len(pump.decompress(packed, BLOCK))
                    if left < 0:
                        raise PictureError('the PNG inflates to far more than its size asks for',
                                           'too_large')
                    packed = pump.unconsumed_tail
            position += length + 12
    except zlib.error as error:
        raise PictureError(f'the PNG is damaged: {error}') from None


def webp_header(data: bytes) -> Header:
    """
    Walk a WebP's chunks to its end; only those that its pixels need are left in ``data``.

    Raises
    ------
    PictureError
        The picture is cut off or damaged, or has more chunks than a picture needs.

    """
    end = 8 + int.from_bytes(data[4:8], 'little')
    if end > len(data):
        raise _cut_off('WEBP', data)
    position, exif, canvas, alpha, picture = 12, b'', b'', b'', b''
    for _ in range(PARTS):
        if position + 8 > end:
            if canvas and not picture:  # its pictures are in chunks of their own
                height, width = (int.from_bytes(canvas[i:i + 3], 'little') + 1 for i in (15, 12))
                return Header(height, width, 4, exif, data, needs_pillow=True)
            return _still(canvas, alpha, picture, exif)
        name, start = data[position:position + 4], position
        length = int.from_bytes(data[position + 4:position + 8], 'little')
        position += 8 + length
        if position > end:
            raise _cut_off('WEBP', data)
        chunk = data[start:position] + bytes(length % 2)
        if name == b'VP8X' and length == 10:
            canvas = canvas or chunk
        elif name == b'ALPH':
            alpha = alpha or chunk
        elif name in (b'VP8 ', b'VP8L'):
            picture = picture or chunk
        elif name == b'EXIF':
            exif = exif or data[start + 8:position]
        position += length % 2
    raise _too_many('WEBP')


def _still(canvas: bytes, alpha: bytes, picture: bytes, exif: bytes) -> Header:
    height = width = 0
    is_opaque = not canvas or not canvas[8] & 16
    if picture[:4] == b'VP8L' and len(picture) >= 13:
        bits = int.from_bytes(picture[9:13], 'little')
        height, width = (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
        is_opaque = not bits >> 28 & 1
    elif len(picture) >= 18:
        height, width = (int.from_bytes(picture[i:i + 2], 'little') & 0x3FFF for i in (16, 14))
    if canvas:
        # Of its flags one is true of what is left: that there is an alpha channel.
        canvas = canvas[:8] + bytes((canvas[8] & 16,)) + canvas[9:]
    body = canvas + (alpha if canvas else b'') + picture
    return Header(height, width, 3 if is_opaque else 4, exif,
                  b'RIFF' + (4 + len(body)).to_bytes(4, 'little') + b'WEBP' + body)


def _cut_off(kind: str, data: bytes) -> PictureError:
    return PictureError(f'the {kind} is cut off after {len(data)} bytes: its end is missing')


def _too_many(kind: str) -> PictureError:
    return PictureError(f'the {kind} has more than {PARTS} parts', 'too_large')
