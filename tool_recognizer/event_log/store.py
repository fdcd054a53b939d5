"""
The open file of a log: a batch of events in one transaction, under its name and nobody else's.

Whatever happens to the file while it is open, the open handle has all that was written. So if the
file was deleted or replaced, nothing is acknowledged until it is there again, written from that
handle. Where another file has its name, it is written beside it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import closing
from contextlib import suppress
from glob import escape
import os
from pathlib import Path
import sqlite3
from time import monotonic
from typing import Any

from tool_recognizer.event_log import file as log_file
from tool_recognizer.event_log.chain import digest_at
from tool_recognizer.event_log.chain import NO_DIGEST
from tool_recognizer.event_log.entry import Entry
from tool_recognizer.event_log.entry import rows_of
from tool_recognizer.event_log.file import beside
from tool_recognizer.event_log.file import explain
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.pictures import Pictures
from tool_recognizer.event_log.pruning import drop_snapshots
from tool_recognizer.event_log.pruning import prune
from tool_recognizer.event_log.pruning import Pruned
from tool_recognizer.event_log.pruning import retain
from tool_recognizer.event_log.pruning import Retention
from tool_recognizer.event_log.rows import COLUMNS
from tool_recognizer.event_log.rows import Row
from tool_recognizer.event_log.tables import strange
from tool_recognizer.event_log.tail import missing
from tool_recognizer.event_log.tail import Tail
from tool_recognizer.whole_file import sync_folder

# Seconds between attempts to archive.
ARCHIVE_AGAIN = 60.0


class Store:
    """
    See the module; one thread at a time may use it.

    Parameters
    ----------
    path : the file; it and its folder are made if they are not there
    retention : how much is kept
    picture_budget : bytes of pictures that are kept

    Attributes
    ----------
    last : id of the last event
    missing : which acknowledged events the file did not have when it was opened, or ''
    notes : what there is to say of the file, a line each; whoever says it clears them
    since : moment of the oldest event that is left, ns; None without any
    archive_trouble : why nothing can be archived, or ''

    Raises
    ------
    JournalError
        It cannot be used.

    """

    def __init__(self, path: Path, retention: Retention, picture_budget: int) -> None:
        self.path = path
        self.notes: list[str] = []
        self.archive_trouble = self.missing = ''
        self._retention, self._budget = retention, picture_budget
        self._archive_at, self._lost = 0.0, 0
        self._names = [str(beside(path, suffix)) for suffix in ('', '-wal', '-shm', '.lock')]
        self._rescued: Path | None = None
        self._copy: tuple[int, int] | None = None
        self._lock_file = log_file.lock(path)
        try:
            self._adopt()
            crashed = _size(beside(path, '-wal')) > 0
            self._open()
        except (OSError, JournalError) as error:
            self._lock_file.close()
            raise error if isinstance(error, JournalError) else explain(path, error) from None
        try:
            self.missing = missing(path, self.db)
        except sqlite3.Error as error:
            self.close()
            raise explain(path, error) from None
        if self.missing:
            self.missing = f'journal {path}: {self.missing}'
        elif crashed and not self.notes:
            self.notes.append(f'journal {path}: the last process ended without closing it; what '
                              'it had acknowledged is taken over')

    def _open(self) -> None:
        db, handle, notes = log_file.open_writable(self.path)
        try:
            row = db.execute('SELECT id, digest FROM events ORDER BY id DESC LIMIT 1').fetchone()
            end, removed = db.execute('SELECT coalesce(max(last), 0), coalesce(sum('
                                      'last - first + 1), 0) FROM pruned').fetchone()
            since = _oldest(db)
            pictures = Pictures(db, log_file.pictures_folder(self.path), self._budget)
            tail = Tail(self.path)
        except (OSError, sqlite3.Error) as error:
            db.close()
            os.close(handle)
            raise explain(self.path, error) from None
        self.notes += notes
        self.db, self._handle, self._tail, self._pictures = db, handle, tail, pictures
        self.last: int
        self._digest: bytes
        self.last, self._digest = row or (0, NO_DIGEST)
        self._pruned, self.since = Pruned(end, removed=removed), since
        self._found, self._written = self._look()
        self._opened = self._found

    def close(self) -> None:
        """Give the file free."""
        # If another file has the name now, SQLite leaves that one's ``-wal`` alone.
        self.db.close()
        os.close(self._handle)
        self._tail.close()
        self._lock_file.close()

    # -- writing -------------------------------------------------------------------------------

    def write(self, batch: Sequence[Entry]) -> Mapping[Entry, Exception]:
        """
        Write a batch in one transaction, all of it or nothing.

        Returns
        -------
        What cannot be stored for what it is, with the reason

        Raises
        ------
        JournalError, OSError, sqlite3.Error
            It could not be written.

        """
        which, content = self._look()
        if which != self._opened:
            self._put_in_place(which)
        if which[:3] == self._opened[:3] and content != self._written:
            self._look_into_it()
        try:
            return self._write(batch)
        finally:
            self._found, self._written = self._look()

    def _write(self, batch: Sequence[Entry]) -> Mapping[Entry, Exception]:
        db, pictures = self.db, self._pictures
        named = [entry.picture for entry in batch if entry.picture is not None]
        pictures.write_files(named)
        lost = pictures.lost
        durable = any(entry.done is not None for entry in batch)
        db.execute(f'PRAGMA synchronous = {"FULL" if durable else "NORMAL"}')
        db.execute('BEGIN IMMEDIATE')
        try:
            rows, snapshots, refused = rows_of(batch, self.last, self._digest)
            db.executemany(f'INSERT INTO events ({COLUMNS}) VALUES '
                           '(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', rows)
            # A run that has ended meanwhile does not take the place of the next one's first.
            db.executemany('INSERT INTO snapshots VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET '
                           'state = excluded.state, seal = excluded.seal '
                           'WHERE run = excluded.run', snapshots)
            for picture in named:
                pictures.add(picture)
            pruned = self._retain(prune(db, self._pruned, rows, self._retention), rows)
            if snapshots:
                drop_snapshots(db)
            if named:
                pictures.evict()
            db.execute('COMMIT')
        except BaseException:
            pictures.lost = lost
            with suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute('ROLLBACK')
            raise
        if rows:
            self.last, self._digest = rows[-1].id, rows[-1].digest
        changed = pruned.removed != self._pruned.removed
        self._pruned = pruned
        with suppress(OSError, sqlite3.Error):  # the next time will do
            if changed:
                self.since = _oldest(db)
            if named:
                pictures.sweep()
        return refused

    def settle(self) -> None:
        """
        Make sure that what was written is in the file that has the name, and note that it is.

        Raises
        ------
        JournalError
            The file was deleted or replaced: what was written must not be acknowledged. The next
            ``write`` mends that, or says why it cannot.

        """
        if self._found != self._opened:
            raise JournalError('moved', f'journal {self.path}: it was deleted or replaced while '
                               'it is open')
        with suppress(OSError):  # a full disk: then the note is old
            self._tail.note(self.last, self._digest)

    def _retain(self, pruned: Pruned, rows: Sequence[Row]) -> Pruned:
        if monotonic() < self._archive_at:
            return pruned
        try:
            pruned = retain(self.db, self.path, pruned, rows, self._retention)
        except OSError as error:
            self._archive_at = monotonic() + ARCHIVE_AGAIN
            self.archive_trouble = (f'{self._retention.archive}: {error.strerror}; until it can '
                                    'be written nothing is removed, and the journal grows')
        else:
            self.archive_trouble = ''
        return pruned

    @property
    def removed(self) -> int:
        """Count the events that were removed so far."""
        return self._pruned.removed

    @property
    def pictures_lost(self) -> int:
        """Count the pictures that could not be written, or whose folder was removed."""
        return self._lost + self._pictures.lost

    @property
    def size(self) -> int:
        """Return how many bytes the file has."""
        return self._written[0][0] if self._written[0] else 0

    # -- the file's place ----------------------------------------------------------------------

    def _look(self) -> tuple[list[Any], list[Any]]:
        """Return which files have the names now, and what changes when anybody writes them."""
        which: list[Any] = []
        content: list[Any] = []
        for name in self._names:
            try:
                status = os.stat(name)
            except OSError:
                which.append(None)
                content.append(None)
            else:
                which.append((status.st_dev, status.st_ino))
                content.append((status.st_size, status.st_mtime_ns))
        return which, content[:2]  # the index of the write-ahead log is written by readers, too

    def _look_into_it(self) -> None:
        """
        Make sure that the file is whole, after another program has written into it.

        Raises
        ------
        JournalError
            It is not.

        """
        try:
            with closing(log_file.open_readable(self.path)) as db:
                damage = db.execute('PRAGMA quick_check(1)').fetchone()[0]
                if damage == 'ok' and not strange(db) and (
                        digest_at(db, self.last) or NO_DIGEST) == self._digest:
                    return
        except (JournalError, sqlite3.Error):
            pass
        raise JournalError('corrupt', f'journal {self.path}: another program has written into it '
                           'while it is open, and damaged it; start the node anew')

    def _put_in_place(self, now: list[Any]) -> None:
        """
        Write the file again under its name; it has all that was ever written to it.

        Parameters
        ----------
        now : the files that have the names

        Raises
        ------
        JournalError, OSError, sqlite3.Error
            That cannot be done now.

        """
        path, before = self.path, self._opened
        if now[3] != before[3]:
            lock_file = log_file.lock(path)
            self._lock_file.close()
            self._lock_file = lock_file
            self._opened = [*before[:3], self._look()[0][3]]
        if now[:3] != before[:3]:
            if self._rescued is None:
                rescued = log_file.free_name(path, 'rescued')
                log_file.copy(self.db, rescued)
                self._rescued = rescued
            if now[0] not in (None, before[0], self._copy):
                raise JournalError('moved', f'journal {path}: another file has its name now: move '
                                   f'that one away; what was acknowledged is in {self._rescued}')
            rescued, self._rescued = self._rescued, None
            _place(rescued, path, anew=now[0] is None)
            self._copy = self._look()[0][0]
            db, handle, tail = self.db, self._handle, self._tail
            lost = self._pictures.lost
            self._open()
            self._lost += lost
            db.close()
            os.close(handle)
            tail.close()
            self.notes.append(f'journal {path}: it was deleted or moved while it was open, and is '
                              'written again; nothing is lost')

    def _adopt(self) -> None:
        """Take up what was written beside another file, once that one is gone."""
        path = self.path
        left = [file for file in path.parent.glob(f'{escape(path.name)}.rescued-*')
                if not file.name.endswith('.partial')]
        if not left:
            return
        newest = max(left, key=lambda file: file.stat().st_mtime_ns)
        if path.exists():
            self.notes.append(f'journal {path}: what was acknowledged before another file took '
                              f'its name is in {newest}')
        else:
            _place(newest, path, anew=True)
            self.notes.append(f'journal {path}: it was not there; {newest} has taken its place')


def _place(copy: Path, path: Path, anew: bool) -> None:
    """Give a copy the log's name; ``anew``: nothing has it, and nothing must be written over."""
    for suffix in ('-wal', '-shm'):
        beside(path, suffix).unlink(missing_ok=True)
    if anew:
        os.link(copy, path)
        copy.unlink()
    else:
        copy.replace(path)
    sync_folder(path.parent)


def _oldest(db: sqlite3.Connection) -> int | None:
    """Return the moment of the oldest event, but for those that began runs."""
    first: tuple[int] | None = db.execute(
        "SELECT moment FROM events WHERE kind <> 'began' ORDER BY id LIMIT 1").fetchone()
    return first and first[0]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
