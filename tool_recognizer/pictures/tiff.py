"""
The directory of a TIFF, which is what EXIF data are, too, read within bounds.

A directory may hold 65,535 entries that each point to the whole file, or to other directories. A
decoder that reads them all takes minutes and gigabytes, so it is handed one that holds only what
the pixels need. Left out: all pictures of a file but the first.
"""

from collections.abc import Collection
from contextlib import suppress
from struct import calcsize
from struct import error as StructError
from struct import pack
from struct import unpack_from
from typing import NamedTuple

from tool_recognizer.pictures.error import check_size
from tool_recognizer.pictures.error import PictureError

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
ORIENTATION, SAMPLES, TILE_WIDTH, TILE_HEIGHT, COLORMAP = 274, 277, 322, 323, 320
SAMPLE_FORMAT = 339
STRIPS, TILES = (273, 279), (324, 325)  # offsets and lengths, bytes
# What the pixels need; the rest are fill order, rows of a strip, planes, fax and JPEG options,
# predictor, extra samples, and how luma and chroma lie.
PIXEL_TAGS = frozenset({
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, 266, *STRIPS, SAMPLES, 278, 284, 292, 293, 317,
    COLORMAP, TILE_WIDTH, TILE_HEIGHT, *TILES, 338, SAMPLE_FORMAT, 347, *range(512, 522),
    *range(529, 533)})
# Bytes of a value, by the kind of an entry; and how a whole number is read.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8,
         17: 8, 18: 8}
NUMBERS = {1: 'B', 3: 'H', 4: 'I', 8: 'h', 9: 'i', 16: 'Q'}
# Bytes of an entry's values, at most: the offsets of 65,536 strips, or the largest palette.
LONGEST = 1 << 19


class Entry(NamedTuple):
    """An entry of a directory: the kind of its values, their number, and their bytes."""

    kind: int
    values: int
    raw: bytes


class Directory(NamedTuple):
    """
    Entries of the first directory by their tags.

    Attributes
    ----------
    order : of the bytes, as ``struct`` has it
    is_big : whether it is a BigTIFF
    entries : those that were asked for

    """

    order: str
    is_big: bool
    entries: dict[int, Entry]

    def numbers(self, tag: int, default: int) -> tuple[int, ...]:
        """Return the whole numbers of a tag; just the default if there are none."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in NUMBERS or not entry.values:
            return (default,)
        return unpack_from(f'{self.order}{entry.values}{NUMBERS[entry.kind]}', entry.raw)

    def number(self, tag: int, default: int) -> int:
        """Return the first number of a tag."""
        return self.numbers(tag, default)[0]


def read_directory(data: bytes, wanted: Collection[int]) -> Directory:
    """
    Read the wanted entries of the first directory.

    Raises
    ------
    PictureError
        It is no TIFF, or damaged, or an entry has more values than a picture needs.

    """
    order, is_big = ('<' if data[:1] == b'I' else '>'), data[2:3] == b'+' or data[3:4] == b'+'
    begin, count, item, place = ('8xQ', 'Q', 'HHQ', 'Q') if is_big else ('4xI', 'H', 'HHI', 'I')
    entries: dict[int, Entry] = {}
    try:
        start, = unpack_from(order + begin, data)
        number, = unpack_from(order + count, data, start)
        start += calcsize(order + count)
        step, inline = calcsize(order + item + place), calcsize(order + place)
        for here in range(start, start + min(number, 65535) * step, step):
            tag, kind, values = unpack_from(order + item, data, here)
            size = SIZES.get(kind, 0) * values
            if tag not in wanted or not size:
                continue
            where = here + step - inline
            if size > LONGEST and kind in NUMBERS:
                raise PictureError(f'the TIFF has {values} values of tag {tag}', 'too_large')
            if size > inline:
                where, = unpack_from(order + place, data, where)
            if where + size > len(data):
                raise PictureError(f'the TIFF is cut off after {len(data)} bytes: tag {tag} ends '
                                   'later')
            entries[tag] = Entry(kind, values, data[where:where + size])
    except (StructError, OverflowError):
        raise PictureError(f'the TIFF is damaged or cut off after {len(data)} bytes') from None
    return Directory(order, is_big, entries)


def bare_tiff(data: bytes, limit: int) -> tuple[Directory, bytes]:
    """
    Check what a TIFF claims, and leave in it only what the pixels of its first picture need.

    Parameters
    ----------
    data : the file
    limit : pixels, at most

    Returns
    -------
    Its first directory, and the file with a new one

    Raises
    ------
    PictureError
        It is damaged, cut off or too large.

    """
    found = read_directory(data, PIXEL_TAGS | {ORIENTATION})
    height, width = found.number(HEIGHT, 0), found.number(WIDTH, 0)
    samples = found.number(SAMPLES, 1)
    pixel = samples * -(-max(found.numbers(BITS, 1)) // 8)
    check_size('TIFF', height, width, pixel, limit)
    if TILE_WIDTH in found.entries or TILE_HEIGHT in found.entries:
        check_size('tile of the TIFF', found.number(TILE_HEIGHT, 0), found.number(TILE_WIDTH, 0),
                   pixel, limit)
    for offsets, lengths in (STRIPS, TILES):
        begins, sizes = found.numbers(offsets, 0), found.numbers(lengths, 0)
        if len(begins) > max(height, width) * samples:
            raise PictureError(f'the TIFF has {len(begins)} parts for {width} x {height} pixels',
                               'too_large')
        if any(begin + size > len(data) for begin, size in zip(begins, sizes, strict=False)):
            raise PictureError(f'the TIFF is cut off after {len(data)} bytes: its end is missing')
    return found, _with_directory(data, found)


def orientation(exif: bytes) -> int:
    """
    Read which way is up from EXIF data.

    Returns
    -------
    1, as stored, to 8; 1 also for data that say nothing, or nothing that can be read

    """
    with suppress(PictureError):
        value = read_directory(exif.removeprefix(b'Exif\0\0'), {ORIENTATION}).number(
            ORIENTATION, 1)
        return value if 1 <= value <= 8 else 1
    return 1


def _with_directory(data: bytes, found: Directory) -> bytes:
    order = found.order
    begin, count, item, place = ('Q', 'Q', 'HHQ', 'Q') if found.is_big else ('I', 'H', 'HHI', 'I')
    inline = calcsize(order + place)
    kept = sorted((tag, entry) for tag, entry in found.entries.items() if tag in PIXEL_TAGS)
    start = len(data) + len(data) % 2
    where = start + calcsize(order + count) + len(kept) * (
        calcsize(order + item) + inline) + calcsize(order + begin)
    items, values = b'', b''
    for tag, entry in kept:
        raw = entry.raw.ljust(inline, b'\0')
        if len(raw) > inline:
            raw = pack(order + place, where + len(values))
            values += entry.raw + bytes(len(entry.raw) % 2)
        items += pack(order + item, tag, entry.kind, entry.values) + raw
    head = (data[:8] if found.is_big else data[:4]) + pack(order + begin, start)
    return b''.join((head, data[len(head):], bytes(len(data) % 2), pack(order + count, len(kept)),
                     items, bytes(calcsize(order + begin)), values))
