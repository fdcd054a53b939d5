"""
Operators' confirmations, kept on the disk until the recognizer has them in its journal.

A confirmation is on the disk before the page calls it confirmed. It can be undone for a while.
Then it is due: it is published, again and again, until it is acknowledged. Settled confirmations
are remembered, too: a browser may send one again after a broken connection.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import os
from pathlib import Path
import sqlite3
from threading import Lock

from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp

# Confirmations that need no more work, kept to recognise a repetition.
REMEMBERED = 10_000
# Seconds until a confirmation that was not acknowledged is published again.
REPEAT_AFTER = 1.5
# Confirmations published at once: what has piled up must not flood the recognizer's queue.
AT_ONCE = 100
# Confirmations that may wait for the recognizer. Nobody is asked while it is away.
MOST_OPEN = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY,     -- in the order of the confirmations
    nonce TEXT NOT NULL UNIQUE,
    stamp INTEGER NOT NULL,     -- ns, from the frame's header
    frame_id TEXT NOT NULL,
    label TEXT NOT NULL,
    operator TEXT NOT NULL,
    outcome TEXT,               -- NULL while open; 'undone'; or the acknowledged outcome
    of INTEGER NOT NULL DEFAULT 0   -- the event that is corrected; 0: it is a confirmation
);
CREATE INDEX IF NOT EXISTS answers_open ON answers (id) WHERE outcome IS NULL;
"""
UNDONE = 'undone'


class OutboxError(Exception):
    """
    The outbox cannot be used; nothing was taken.

    Attributes
    ----------
    reason : 'waiting' if too many wait already, 'locked', 'full', 'damaged', 'moved' or 'other'

    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Confirmation:
    """
    One operator's confirmation of one frame.

    Attributes
    ----------
    nonce : chosen by the browser, so that the same confirmation is recognised when it comes again
    key : the frame
    label : a label, or a reserved id that begins with ``operator:``
    operator : who confirmed; '' if no name was given
    of : the event of the confirmation that this one corrects, by its number in the journal, and
        then no label strikes it out; 0: it corrects none

    """

    nonce: str
    key: FrameKey
    label: str
    operator: str
    of: int = 0


class Outbox:
    """
    A file of confirmations. Every verb may be called from any thread.

    Parameters
    ----------
    path : an SQLite file; made with its folder if it is not there
    undo : seconds for which a confirmation can be undone, before it is published
    now : seconds on a steady clock. Confirmations that a former process left open can be undone
        for the whole time again: nobody knows how long it was dead, and an operator's chance to
        undo must never vanish

    Raises
    ------
    OutboxError
        The file cannot be used, or another process uses it; from every verb that writes, too.

    """

    def __init__(self, path: Path, undo: float, now: float) -> None:
        self._path = path
        self._undo = undo
        self._lock = Lock()
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            # For nobody else to read; SQLite gives its -wal and -shm the same mode.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            path.chmod(0o600)
            self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None,
                                       check_same_thread=False)
            try:
                # Held by this process until it ends, however it ends.
                self._db.execute('PRAGMA locking_mode = EXCLUSIVE')
                self._db.execute('PRAGMA journal_mode = WAL')
                self._db.execute('PRAGMA synchronous = FULL')
                self._db.executescript(_SCHEMA)
                if 'of' not in [row[1] for row in self._db.execute('PRAGMA table_info(answers)')]:
                    self._db.execute('ALTER TABLE answers ADD COLUMN of INTEGER NOT NULL '
                                     'DEFAULT 0')  # a version before knew no corrections
                self._db.execute('BEGIN IMMEDIATE')
                rows = self._db.execute(
                    'SELECT nonce, stamp, frame_id, label, operator, of FROM answers '
                    'WHERE outcome IS NULL ORDER BY id').fetchall()
                self._db.execute('COMMIT')
            except sqlite3.Error:
                self._db.close()
                raise
        self._files = self._which()
        # Open confirmations, oldest first, and the moment at which each is to be published next.
        self._open: dict[str, tuple[Confirmation, float]] = {
            nonce: (Confirmation(nonce, FrameKey(Stamp(stamp), frame_id), label, operator, of),
                    now + (0.0 if of else undo))
            for nonce, stamp, frame_id, label, operator, of in rows}
        self._published: set[str] = set()

    def __len__(self) -> int:
        """Count the open confirmations, those that can still be undone included."""
        return len(self._open)

    @property
    def unacknowledged(self) -> int:
        """Count the confirmations that were published and not yet acknowledged."""
        return len(self._published)

    def close(self) -> None:
        """Close the file; the next process publishes what is open in it."""
        with self._lock:
            self._db.close()

    def put(self, confirmation: Confirmation, now: float) -> bool:
        """Write a confirmation to the disk; return whether it is a new one, not a repetition."""
        with self._lock, self._explained():
            if len(self._open) >= MOST_OPEN and not self._has(confirmation.nonce):
                raise OutboxError('waiting', f'outbox {self._path}: {MOST_OPEN} confirmations '
                                  'wait already for the recognizer; this one was not taken')
            new = self._db.execute(
                'INSERT OR IGNORE INTO answers (nonce, stamp, frame_id, label, operator, of) '
                'VALUES (?, ?, ?, ?, ?, ?)',
                (confirmation.nonce, *confirmation.key, confirmation.label,
                 confirmation.operator, confirmation.of)).rowcount == 1
            if self._is_elsewhere():
                if new:  # or else it is called a repetition once the file is back
                    self._db.execute('DELETE FROM answers WHERE nonce = ?', (confirmation.nonce,))
                raise OutboxError('moved', f'outbox {self._path}: it was deleted or moved while '
                                  'it is open: put it back, or start the console anew')
            if new:
                # A correction was thought over; it is due at once.
                self._open[confirmation.nonce] = (
                    confirmation, now + (0.0 if confirmation.of else self._undo))
            elif not self._has(confirmation.nonce):
                raise OutboxError('damaged', f'outbox {self._path}: it does not keep what is '
                                  'written to it: move it away')
            return new

    def _has(self, nonce: str) -> bool:
        return self._db.execute('SELECT 1 FROM answers WHERE nonce = ?',
                                (nonce,)).fetchone() is not None

    def _which(self) -> list[tuple[int, int] | None]:
        """Return which files have the names of the outbox and of its write-ahead log now."""
        path, found = os.path.realpath(self._path), list[tuple[int, int] | None]()
        for name in (path, f'{path}-wal'):
            try:
                status = os.stat(name)
            except OSError:
                found.append(None)
            else:
                found.append((status.st_dev, status.st_ino))
        return found

    def _is_elsewhere(self) -> bool:
        """Tell whether what is written goes into a file that has its name no more."""
        return any(before not in (None, now) for before, now in zip(
            self._files, self._which(), strict=True))

    def outcome(self, nonce: str) -> str | None:
        """Return what became of a confirmation or a correction; None while that is open."""
        with self._lock, self._explained():
            row = self._db.execute('SELECT outcome FROM answers WHERE nonce = ?',
                                   (nonce,)).fetchone()
            return None if row is None else row[0]

    def undo(self, nonce: str, operator: str = '') -> Confirmation | None:
        """
        Take a confirmation back.

        Parameters
        ----------
        nonce : of the confirmation
        operator : whose it must be; '': anybody's

        Returns
        -------
        It, or None if it is unknown, published already, or somebody else's

        """
        with self._lock, self._explained():
            if nonce not in self._open or nonce in self._published:
                return None
            if operator and self._open[nonce][0].operator != operator:
                return None
            self._close_confirmation(nonce, UNDONE)
            return self._open.pop(nonce)[0]

    def due(self, now: float) -> list[Confirmation]:
        """Return the confirmations to publish now, oldest first; they are due again in a while."""
        with self._lock:
            due = [confirmation for confirmation, moment in self._open.values()
                   if moment <= now][:AT_ONCE]
            for confirmation in due:
                self._open[confirmation.nonce] = (confirmation, now + REPEAT_AFTER)
                self._published.add(confirmation.nonce)
            return due

    def settle(self, nonce: str, outcome: str) -> Confirmation | None:
        """Note that the recognizer has a confirmation; return it, or None if none was open."""
        with self._lock, self._explained():
            if nonce not in self._open:
                return None
            self._close_confirmation(nonce, outcome)
            self._published.discard(nonce)
            return self._open.pop(nonce)[0]

    def _close_confirmation(self, nonce: str, outcome: str) -> None:
        self._db.execute('UPDATE answers SET outcome = ? WHERE nonce = ?', (outcome, nonce))
        self._db.execute('DELETE FROM answers WHERE outcome IS NOT NULL '
                         'AND id <= (SELECT max(id) FROM answers) - ?', (REMEMBERED,))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason, why = 'other', str(error)
            if 'locked' in why:
                reason, why = 'locked', ('another console uses it: end that one, or name another '
                                         'file')
            elif 'full' in why:
                reason, why = 'full', 'the disk is full: make room'
            elif 'malformed' in why or 'not a database' in why:
                reason, why = 'damaged', ('it is damaged: move it away; the confirmations in it '
                                          'were not acknowledged')
            raise OutboxError(reason, f'outbox {self._path}: {why}') from None
