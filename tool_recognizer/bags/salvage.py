"""
What can still be read of a recording that was not ended properly.

MCAP: the records are read from the start for as long as they are whole (the format:
https://mcap.dev/spec). sqlite3: every row that can still be reached. Both read the file twice:
once to learn the topics, then for the messages.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
import re
import sqlite3
from struct import error as StructError
from struct import Struct
import sys
from typing import BinaryIO

from lz4.frame import open as lz4_open

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b'\x89MCAP0\r\n'
SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
FOREVER = (1 << 63) - 1
# Unreadable rows in sequence after which the rest is given up.
GIVE_UP = 20_000
# Bytes; recorders write chunks of a few million.
LARGEST_CHUNK = 2**30

_LENGTH = Struct('<I')
_RECORD = Struct('<BQ')
_MESSAGE = Struct('<HIQQ')
_CHUNK = Struct('<QQQI')
_IDS = Struct('<HH')

Raw = tuple[str, str, int, bytes]


class SalvageError(ValueError):
    """Nothing can be read, and why."""


class SalvagedMcap:
    """
    An MCAP file, read record by record.

    Attributes
    ----------
    topics : (name, type, number of messages that can be read)
    start, end : recorded time of the first message and of the last, ns
    lost : what could not be read, or ''

    Raises
    ------
    SalvageError
        It is no MCAP file, or it holds no topic.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str]] = {}
        self.lost = ''
        counts: Counter[int] = Counter()
        self.start, self.end = FOREVER, 0
        for channel, moment, _ in self._records():
            counts[channel] += 1
            self.start, self.end = min(self.start, moment), max(self.end, moment)
        if not self._channels:
            raise SalvageError(f'it holds no topic; {self.lost}'.removesuffix('; '))
        self.topics = [(topic, kind, counts[channel])
                       for channel, (topic, kind) in self._channels.items()]

    def messages(self, names: Collection[str]) -> Iterator[Raw]:
        """Yield topic, type, recorded time in ns and bytes; in order within each chunk."""
        for channel, moment, raw in self._records():
            topic, kind = self._channels[channel]
            if topic in names:
                yield topic, kind, moment, raw

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def _records(self) -> Iterator[tuple[int, int, bytes]]:
        size = self._path.stat().st_size
        with self._path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise SalvageError('it does not start as an MCAP file does')
            whole = file.tell()
            try:
                for kind, body in _split(file, size):
                    if kind == DATA_END:
                        return
                    if kind == CHUNK:
                        messages = [message for inner, content in _split(*_unpack(body))
                                    for message in self._read(inner, content)]
                        yield from sorted(messages, key=lambda message: message[1])
                    else:
                        yield from self._read(kind, body)
                    whole = file.tell()
            except (_Cut, EOFError, MemoryError, StructError, ValueError, RuntimeError,
                    zstd.ZstdError) as error:
                self.lost = f'the last {size - whole} of {size} bytes are lost ({error})'
                return
            self.lost = 'the end of the recording is missing'

    def _read(self, kind: int, body: bytes) -> Iterator[tuple[int, int, bytes]]:
        if kind == MESSAGE:
            channel, _, moment, _ = _MESSAGE.unpack_from(body)
            if channel in self._channels:
                yield channel, moment, body[_MESSAGE.size:]
        elif kind == SCHEMA:
            self._schemas[int.from_bytes(body[:2], 'little')] = _text(body, 2)[0]
        elif kind == CHANNEL:
            channel, schema = _IDS.unpack_from(body)
            topic, end = _text(body, _IDS.size)
            encoding, _ = _text(body, end)
            if encoding == 'cdr':
                self._channels[channel] = topic, self._schemas.get(schema, '')


class SalvagedSqlite:
    """
    An sqlite3 file, read row by row.

    Attributes
    ----------
    topics : (name, type, number of messages that can be read)
    start, end : recorded time of the first message and of the last, ns
    lost : what could not be read, or ''

    Raises
    ------
    SalvageError
        It is no bag's database.

    """

    def __init__(self, path: Path) -> None:
        # Opened for reading only; not as immutable, so that a write-ahead log beside it counts.
        self._database = _read_only(path)
        self.lost = ''
        try:
            # SQLite then takes a file that is shorter than its header says for what it is.
            self._database.execute('PRAGMA writable_schema=ON')
            rows = self._database.execute('SELECT id, name, type FROM topics').fetchall()
        except sqlite3.Error as error:
            self._database.close()
            raise SalvageError(str(error)) from None
        self._topics = {number: (name, kind) for number, name, kind in rows
                        if isinstance(name, str) and isinstance(kind, str)}
        counts: Counter[str] = Counter()
        self.start, self.end = FOREVER, 0
        for topic, _, moment, _ in self._rows():
            counts[topic] += 1
            self.start, self.end = min(self.start, moment), max(self.end, moment)
        self.topics = [(name, kind, counts[name]) for name, kind in self._topics.values()]

    def messages(self, names: Collection[str]) -> Iterator[Raw]:
        """Yield topic, type, recorded time in ns and bytes, in the order of recording."""
        return (row for row in self._rows() if row[0] in names)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _rows(self) -> Iterator[Raw]:
        row, unread, missed = 1, 0, 0
        while unread < GIVE_UP:
            try:
                found = self._database.execute(
                    'SELECT id, topic_id, timestamp, data FROM messages WHERE id >= ? '
                    'ORDER BY id LIMIT 1', (row,)).fetchone()
            except (OverflowError, sqlite3.Error):
                unread, row = unread + 1, row + 1
                continue
            if found is None or not isinstance(found[0], int):
                break
            missed, unread, row = missed + unread, 0, found[0] + 1
            if found[1] in self._topics and is_message(*found[2:]):
                yield (*self._topics[found[1]], found[2], found[3])
        self.lost = (f'{missed} rows and all after row {row - unread - 1} are lost' if unread else
                     f'{missed} rows are lost' if missed else '')


def is_message(moment: object, raw: object) -> bool:
    """Tell whether what a database holds as time and bytes of a message can be these."""
    return (isinstance(moment, int) and 0 <= moment <= FOREVER
            and isinstance(raw, (bytes, memoryview)))


def strange_tables(path: Path) -> str:
    """Say why a database's messages are no stored rows, or ''; to compute them may never end."""
    with closing(_read_only(path)) as database:
        try:
            rows = database.execute(
                'SELECT name, type, sql FROM sqlite_master '
                "WHERE lower(name) IN ('messages', 'topics')").fetchall()
        except sqlite3.Error:
            return ''  # whoever reads it says why it cannot be read
    return next((f'its {name} is no plain table' for name, kind, sql in rows if kind != 'table'
                 or re.search(r'\b(virtual|as)\b', str(sql), re.IGNORECASE)), '')


def unpack(read: Callable[[int], bytes], most: int) -> bytes:
    """Read what is unpacked to its end; ValueError if it has more than so many bytes."""
    content = read(most + 1)
    if len(content) > most:
        raise ValueError(f'it unpacks to more than {most} bytes')
    return content


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f'{path.absolute().as_uri()}?mode=ro', uri=True)


class _Cut(Exception):
    """The bytes end within a record."""


def _split(stream: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of the records up to the size, in bytes, of the stream."""
    while head := stream.read(_RECORD.size):
        if len(head) < _RECORD.size:
            raise _Cut('the file ends within a record')
        kind, length = _RECORD.unpack(head)
        # Checked first: a damaged length must not make us allocate so much memory.
        if length > size - stream.tell():
            raise _Cut('the file ends within a record')
        yield kind, stream.read(length)


def _unpack(chunk: bytes) -> tuple[BytesIO, int]:
    size = _CHUNK.unpack_from(chunk)[2]
    compression, start = _text(chunk, _CHUNK.size)
    packed = chunk[start + 8:]
    if size > LARGEST_CHUNK:
        raise _Cut(f'a chunk says that it has {size} bytes')
    if compression == 'zstd':
        packed = unpack(zstd.open(BytesIO(packed)).read, size)
    elif compression == 'lz4':
        packed = unpack(lz4_open(BytesIO(packed)).read, size)
    elif compression:
        raise _Cut(f'chunks are compressed by {compression!r}')
    if len(packed) != size:
        raise _Cut('a chunk has another size than it says')
    return BytesIO(packed), size


def _text(body: bytes, start: int) -> tuple[str, int]:
    (length,) = _LENGTH.unpack_from(body, start)
    end = start + _LENGTH.size + length
    if end > len(body):
        raise _Cut('a text is longer than its record')
    return body[start + _LENGTH.size:end].decode(), end
