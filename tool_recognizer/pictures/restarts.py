"""
Whether a JPEG that brings more bytes than it takes is whole all the same.

Many webcams pad their pictures at the end or before restart markers. The decoder tells of nothing
but the first thing that is odd, so behind such bytes data may be missing, for which it puts grey.
Between two restart markers the first thing is the only one: the data are over. So each stretch is
decoded as a small picture of its own.
"""

from collections.abc import Callable
import re

from tool_recognizer.pictures.header import Header

# What the decoder says of bytes that the picture does not take, with the marker after them.
PADDED, AT_THE_END = 'extraneous bytes before marker', 'extraneous bytes before marker 0xd9'
RESTART = re.compile(rb'\xff[\xd0-\xd7]')
INTERVAL, SCAN, SIZES = 0xDD, 0xDA, (0xC0, 0xC1)
END = b'\xff\xd9'
# Stretches that are looked at; a picture of 1080 rows has 2,000 in the formats of webcams.
MOST = 10_000
WIDEST = 65_500


def is_whole(header: Header, said: str, told: Callable[[bytes], str]) -> bool:
    """
    Return whether a picture's data are all there.

    Parameters
    ----------
    header : of the picture
    said : what the decoder said first of the whole picture, one with ``PADDED``
    told : returns what the decoder says first of a JPEG, or ''

    """
    data, position, interval, sof = header.data, 2, 0, 0
    while (marker := data[position + 1]) != SCAN:
        if marker == INTERVAL:
            interval = int.from_bytes(data[position + 4:position + 6], 'big')
        if marker in SIZES:
            sof = position
        position += 2 + int.from_bytes(data[position + 2:position + 4], 'big')
    if not interval:
        return header.scans == 1 or AT_THE_END in said
    if not sof or header.scans > 1:
        return False
    factors = [(byte >> 4, byte & 15) for byte in data[sof + 11:sof + 10 + 3 * header.channels:3]]
    across, down = (8 * max(f) if len(factors) > 1 else 8 for f in zip(*factors, strict=True))
    left = -(-header.width // across) * -(-header.height // down)
    start = position + 2 + int.from_bytes(data[position + 2:position + 4], 'big')
    scan = data[start:data.rindex(END)]
    stretches, markers = RESTART.split(scan), RESTART.findall(scan)
    if (len(stretches) != -(-left // interval) or len(stretches) > MOST
            or interval * across > WIDEST
            or any(found[1] != 0xD0 + i % 8 for i, found in enumerate(markers))):
        return False
    for stretch in stretches:
        size = down.to_bytes(2, 'big') + (min(interval, left) * across).to_bytes(2, 'big')
        alone = told(data[:sof + 5] + size + data[sof + 9:start] + stretch + END)
        if alone and PADDED not in alone:
            return False
        left -= interval
    return True
