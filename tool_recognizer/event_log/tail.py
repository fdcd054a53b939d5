"""
The last acknowledged event, noted beside the log: SQLite drops a damaged ``-wal`` without a word.

``NAME.tail`` is one line: an id, the digest of that event, and the SHA-256 of both. It is written
after the event is on disk, so it never says too much; after a power cut it may be a little old.
"""

from hashlib import sha256
import os
from pathlib import Path
import sqlite3

from tool_recognizer.event_log.chain import digest_at
from tool_recognizer.event_log.file import beside


class Tail:
    """
    The note of one log.

    Parameters
    ----------
    path : the log's file

    Raises
    ------
    OSError
        It cannot be written.

    """

    def __init__(self, path: Path) -> None:
        self._path = beside(path, '.tail')
        self._handle = self._open()

    def note(self, number: int, digest: bytes) -> None:
        """Write that an event is acknowledged, by its id and digest; OSError if that fails."""
        if not self._has_its_name():
            handle = self._open()
            os.close(self._handle)
            self._handle = handle
        os.pwrite(self._handle, _line(number, digest), 0)

    def close(self) -> None:
        """Close it."""
        os.close(self._handle)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)

    def _has_its_name(self) -> bool:
        """Tell whether the file was neither deleted nor moved."""
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._handle))


def acknowledged(path: Path) -> tuple[int, bytes] | None:
    """Return id and digest of the last acknowledged event, if that is known."""
    try:
        line = beside(path, '.tail').read_bytes()
        number, digest = int(line.split()[0]), bytes.fromhex(line.split()[1].decode())
    except (OSError, LookupError, ValueError):
        return None
    return (number, digest) if line == _line(number, digest) else None


def missing(path: Path, db: sqlite3.Connection) -> str:
    """Say in one line which acknowledged events the log does not have; '' if it has all."""
    known = acknowledged(path)
    if known is None:
        return ''
    number, digest = known
    last = db.execute('SELECT max(id) FROM events').fetchone()[0] or 0
    if last < number:
        return (f'{number - last} acknowledged events are missing at its end, from event '
                f'{last + 1} to {number}: its -wal was damaged or removed, or it is an older copy')
    if digest_at(db, number) not in (digest, None):
        return f'event {number} is another one than was acknowledged: it is another file'
    return ''


def _line(number: int, digest: bytes) -> bytes:
    said = f'{number:020d} {digest.hex()}'.encode()
    return said + b' ' + sha256(said).hexdigest().encode() + b'\n'
