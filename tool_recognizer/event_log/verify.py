"""What is wrong with a log's file: its pages, its chain of events, its snapshots, its pictures."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import closing
from contextlib import suppress
from itertools import chain
from pathlib import Path
import sqlite3
from threading import Event
from threading import Thread
from typing import Any

from tool_recognizer.event_log.chain import check
from tool_recognizer.event_log.chain import CHECKED
from tool_recognizer.event_log.chain import describe
from tool_recognizer.event_log.chain import seal
from tool_recognizer.event_log.file import explain
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.file import open_readable
from tool_recognizer.event_log.file import PATIENCE
from tool_recognizer.event_log.mending import mend
from tool_recognizer.event_log.mending import MENDED
from tool_recognizer.event_log.restored import said_before
from tool_recognizer.event_log.tables import TABLES

# Rows that are checked at a stretch.
STRETCH = 1000
# Damage that a check beside a writer names, at most.
FINDINGS = 20


def problems(db: sqlite3.Connection, pause: Callable[[], object] = lambda: None) -> Iterator[str]:
    """
    Yield what is wrong with a file, a line each; nothing if all is well.

    Parameters
    ----------
    db : the file
    pause : is called now and then, by those who have time

    Raises
    ------
    sqlite3.Error
        It cannot be read.

    """
    yield from damaged_pages(db)
    yield from _problems_within(db, pause)


def damaged_pages(db: sqlite3.Connection) -> list[str]:
    """Return what is wrong with the pages of a file, a line each."""
    try:
        found = db.execute('PRAGMA integrity_check').fetchall()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # that is where it ends at an index that cannot be read
        found = db.execute('PRAGMA quick_check').fetchall()
    return [f'the file is damaged: {said}' for (said,) in found if said != 'ok']


def _problems_within(db: sqlite3.Connection, pause: Callable[[], object]) -> Iterator[str]:
    made = db.execute('SELECT sql FROM sqlite_master WHERE sql IS NOT NULL').fetchall()
    if sorted(sql.strip() for (sql,) in made) != sorted(sql.strip() for sql in TABLES):
        yield 'the file is damaged: its tables are not those that were made'
    pause()
    for row, why in check(_all_rows(db, pause), 0):
        if why:
            yield f'{describe(row)}: {why}'
    for event, run, state, kept, digest in db.execute(
            'SELECT s.event, s.run, s.state, s.seal, e.digest FROM snapshots AS s '
            'LEFT JOIN events AS e ON e.id = s.event'):
        if digest is None:
            yield f'the snapshot of run {run} is one after event {event}, which is missing'
        elif seal(digest, run, state) != kept:
            yield f'the snapshot after event {event} is damaged'
    for segment in db.execute(
            'SELECT first, last FROM pruned WHERE last < first OR '
            'EXISTS (SELECT 1 FROM events WHERE id BETWEEN first AND last)'):
        yield 'the segment of removed events from {} to {} is damaged'.format(*segment)
    for *columns, kept in db.execute(
            'SELECT stamp, frame_id, path, bytes, digest, surprise, seal FROM pictures'):
        if seal(*columns) != kept:
            yield f'the row of the picture of frame {columns[0]} {columns[1]!r} is damaged'


def _all_rows(db: sqlite3.Connection, pause: Callable[[], object]) -> Iterator[tuple[Any, ...]]:
    """Yield all rows at stretches, so that a writer is not kept from tidying up its file."""
    last = 0
    while rows := db.execute(f'{CHECKED} id > ? ORDER BY id LIMIT ?', (last, STRETCH)).fetchall():
        yield from rows
        # In a damaged file ids may run back, and this must end all the same.
        if rows[-1][0] <= last:
            return
        last = rows[-1][0]
        pause()


class Check:
    """
    A thread that looks for damage in a file, slowly, beside its writer.

    What a start needs was checked when it was restored.

    Parameters
    ----------
    path : the file

    Attributes
    ----------
    findings : what it has found, one line each

    """

    def __init__(self, path: Path) -> None:
        self.findings: list[str] = []
        self._path = path
        self._ending = Event()
        self._db: sqlite3.Connection | None = None
        self._thread = Thread(target=self._look, name='event log check', daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until it is done, if it was started."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def end(self) -> None:
        """End it before it is done."""
        self._ending.set()
        with suppress(sqlite3.Error):
            if self._db is not None:
                self._db.interrupt()
        self.wait()

    def _look(self) -> None:
        try:
            with closing(open_readable(self._path)) as db:
                self._db = db
                damage = damaged_pages(db)
                if damage and self._mend():
                    self.findings.append(f'journal {self._path}: {MENDED}')
                    damage = []
                known = said_before(db)
                for problem in chain(damage, _problems_within(db, self._pause)):
                    said = f'journal {self._path}: {problem}; see: journal verify'
                    if said not in known and said not in self.findings:
                        self.findings.append(said)
                    if len(self.findings) == FINDINGS:
                        return
        except (JournalError, sqlite3.Error) as error:
            if not self._ending.is_set():
                self.findings.append(str(error if isinstance(error, JournalError)
                                         else explain(self._path, error)))

    def _mend(self) -> bool:
        with closing(sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)) as db:
            return mend(db)

    def _pause(self) -> None:
        if self._ending.wait(0.01):
            raise JournalError('closed', f'journal {self._path}: it is closed')
