"""
The messages of an indexed MCAP file, each a view of its chunk.

rosbags reads the index and unpacks the chunks, and copies each message twice on its way out of
them, which takes longer than to read it where pictures are not compressed. Here a message is cut
out of its chunk without a copy, in the same order (the format: https://mcap.dev/spec). The chunk
stays in memory for as long as one of its messages is used; where most of it is not wanted, the
messages are copied instead.
"""

from collections.abc import Collection
from collections.abc import Iterator
from heapq import merge
from struct import Struct
from typing import Any
from typing import BinaryIO
from typing import NamedTuple

from rosbags.rosbag2 import storage_mcap
from tool_recognizer.bags.salvage import MESSAGE

# Of a chunk's record: its kind and length, then the bytes before the checksum, and up to the name
# of its compression and the length of what is packed.
_HEAD, _CHECKSUM, _FIXED = 9, 24, 40
_WORD = Struct('<I')
_RECORD = Struct('<BQ')
# Of a message: channel, number, recorded and published time.
_MESSAGE = Struct('<HIQQ')


class _Found(NamedTuple):
    """A message, or that a chunk begins: then without a connection."""

    moment: int
    offset: int
    connection: Any
    raw: memoryview


def can_read(storage: object) -> bool:
    """Tell whether a storage of rosbags is an MCAP file with an index that is read here."""
    return (isinstance(storage, storage_mcap.McapReader) and bool(storage.chunks)
            and hasattr(storage_mcap, 'decompress'))


def messages(storage: Any, connections: Collection[Any], start: int, stop: int
             ) -> Iterator[tuple[Any, int, memoryview]]:
    """
    Yield messages in the order of their recorded time.

    Parameters
    ----------
    storage : of which ``can_read`` is true, and which is open
    connections : of rosbags, whose messages are wanted
    start, stop : recorded time of the first message, and of the first that is left out, ns

    Returns
    -------
    Each message's connection, its recorded time in ns, its bytes

    Raises
    ------
    ValueError, struct.error, ReaderError of rosbags
        The file is damaged.

    """
    chosen = {connection.id: connection for connection in connections}
    chunks = [_read(storage.bio, chunk, chosen, start, stop) for chunk in storage.chunks
              if chunk.message_start_time < stop and start <= chunk.message_end_time
              and any(chunk.channel_count.get(number) for number in chosen)]
    for found in merge(*chunks, key=lambda found: found[:2]):
        if found.connection is not None:
            yield found.connection, found.moment, found.raw


def _read(file: BinaryIO, chunk: Any, chosen: dict[int, Any], start: int, stop: int
          ) -> Iterator[_Found]:
    yield _Found(chunk.message_start_time, 0, None, memoryview(b''))  # not read before its time
    begin = chunk.chunk_start_offset + _HEAD
    file.seek(begin + _CHECKSUM)
    checksum, = _WORD.unpack(file.read(_WORD.size))
    file.seek(begin + _FIXED + len(chunk.compression))
    packed = file.read(chunk.compressed_size)
    if len(packed) != chunk.compressed_size:
        raise ValueError('the file ends within a chunk')
    content = memoryview(storage_mcap.decompress(
        packed, chunk.compression, chunk.uncompressed_size, checksum))
    found, place = [], 0
    while place < len(content):
        kind, length = _RECORD.unpack_from(content, place)
        body, place = place + _RECORD.size, place + _RECORD.size + length
        if place > len(content) or (kind == MESSAGE and length < _MESSAGE.size):
            raise ValueError('a record is longer than its chunk, or too short')
        if kind == MESSAGE:
            number, _, moment, _ = _MESSAGE.unpack_from(content, body)
            if number in chosen and start <= moment < stop:
                found.append(_Found(moment, chunk.chunk_start_offset, chosen[number],
                                    content[body + _MESSAGE.size:place]))
    if 2 * sum(len(one.raw) for one in found) < len(content):  # do not keep the rest for them
        found = [one._replace(raw=memoryview(bytes(one.raw))) for one in found]
    yield from sorted(found, key=lambda one: one.moment)
