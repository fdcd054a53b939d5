"""What is wrong with a log's file: its pages, its chain of events, its snapshots, its pictures."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import closing
from contextlib import suppress
from pathlib import Path
import sqlite3
from threading import Event
from threading import Thread

from tool_recognizer.event_log.file import explain
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.file import mend
from tool_recognizer.event_log.file import open_readable
from tool_recognizer.event_log.file import TABLES
from tool_recognizer.event_log.restored import describe
from tool_recognizer.event_log.restored import said_before
from tool_recognizer.event_log.rows import COLUMNS
from tool_recognizer.event_log.rows import damaged
from tool_recognizer.event_log.rows import NO_DIGEST
from tool_recognizer.event_log.rows import Row
from tool_recognizer.event_log.rows import seal

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
    for (said,) in db.execute('PRAGMA integrity_check').fetchall():
        if said != 'ok':
            yield f'the file is damaged: {said}'
    with Path(db.execute('PRAGMA database_list').fetchone()[2]).open('rb') as file:
        if file.read(19)[-1] > 2:
            yield 'the file is damaged: its header does not let it be written'
    made = db.execute('SELECT sql FROM sqlite_master WHERE sql IS NOT NULL').fetchall()
    if sorted(sql.strip() for (sql,) in made) != sorted(sql.strip() for sql in TABLES):
        yield 'the file is damaged: its tables are not those that were made'
    pause()
    last, before = 0, NO_DIGEST
    while True:
        db.execute('BEGIN')  # a node may remove events meanwhile: all is as it was at one moment
        rows = [*map(Row._make, db.execute(
            f'SELECT {COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?', (last, STRETCH)))]
        pruned = segments(db, last + 1, rows[-1].id) if rows else segments(db)
        db.execute('COMMIT')
        # In a damaged file ids may run back, and this must end all the same.
        if not rows or rows[-1].id <= last:
            break
        known = {max(first, last + 1): removed for first, removed in pruned.items()}
        for row, why in damaged(rows, before, last, known):
            if why:
                yield f'{describe(row)}: {why}'
        last, before = rows[-1].id, rows[-1].digest
        pause()
    for event, run, state, kept, digest, kind in db.execute(
            'SELECT s.event, s.run, s.state, s.seal, e.digest, b.kind FROM snapshots AS s '
            'LEFT JOIN events AS e ON e.id = s.event LEFT JOIN events AS b ON b.id = s.run'):
        if digest is None:
            yield f'the snapshot of run {run} is one after event {event}, which is missing'
        elif seal(digest, state) != kept:
            yield f'the snapshot after event {event} is damaged'
        elif kind != 'began':
            yield f'the snapshot after event {event} is said to be of run {run}, which is none'
    for first, (end, _) in pruned.items():
        if end < first or first <= last < end:
            yield f'the segment of removed events from {first} to {end} is damaged'
    for *columns, kept in db.execute(
            'SELECT stamp, frame_id, path, bytes, digest, surprise, seal FROM pictures'):
        if seal(*columns) != kept:
            yield f'the row of the picture of frame {columns[0]} {columns[1]!r} is damaged'


def segments(db: sqlite3.Connection, begin: int = 0, end: int = 2**63 - 1
             ) -> dict[int, tuple[int, bytes]]:
    """
    Return the removed segments: first id to last id and the digest of the last event.

    Parameters
    ----------
    db : the file
    begin, end : ids; only those that may lie between them, in their order

    """
    return {first: (last, digest) for first, last, digest in db.execute(
        'SELECT first, last, digest FROM pruned WHERE first <= ? AND first >= coalesce('
        '(SELECT max(first) FROM pruned WHERE first <= ?), 0) ORDER BY first', (end, begin))}


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
                known = said_before(db)
                for problem in problems(db, self._pause):
                    said = f'journal {self._path}: {problem}; see: journal verify'
                    if ' index ' in problem:
                        said = mend(self._path)
                    if said not in known and said not in self.findings:
                        self.findings.append(said)
                    if len(self.findings) == FINDINGS:
                        return
        except (JournalError, sqlite3.Error) as error:
            if not self._ending.is_set():
                self.findings.append(str(error if isinstance(error, JournalError)
                                         else explain(self._path, error)))

    def _pause(self) -> None:
        if self._ending.wait(0.01):
            raise JournalError('closed', f'journal {self._path}: it is closed')
