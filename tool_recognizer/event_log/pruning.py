"""
What goes from the log: predictions without a confirmation, old snapshots, and what is too old.

It goes a few rows at a time, within the transaction that writes others. Only what came before the
snapshots may go, and no damaged event: the one after it would not fit any more.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
import sqlite3
from typing import NamedTuple

from tool_recognizer.event_log.archive import write_archive
from tool_recognizer.event_log.chain import check
from tool_recognizer.event_log.chain import CHECKED
from tool_recognizer.event_log.chain import digest_at
from tool_recognizer.event_log.chain import NO_DIGEST
from tool_recognizer.event_log.rows import BULK
from tool_recognizer.event_log.rows import Row

# Snapshots that are kept, beside the first one of each run.
SNAPSHOTS = 3
# Events of one archive file, at most.
ARCHIVED = 10_000
# What may be removed once there are too many; of what is left the digests still tell.
_PRUNABLE = ', '.join(repr(kind) for kind in (*BULK, 'asked'))
_UNCONFIRMED = "kind = 'answered' AND outcome IS NULL"
_DAY = 86_400 * 10**9  # ns


class Retention(NamedTuple):
    """
    How much is kept.

    Attributes
    ----------
    predictions : without a confirmation, the newest
    days : events of all kinds that are older go; 0: none goes for its age
    size : bytes of the file beyond which the oldest events of all kinds go; 0: no bound
    archive : folder to which those are written first; None: to none

    """

    predictions: int = 1_000_000
    days: float = 0.0
    size: int = 0
    archive: Path | None = None


class Pruned(NamedTuple):
    """
    How far it has come.

    Attributes
    ----------
    unconfirmed : id up to which predictions without a confirmation were removed
    answered : such predictions that are left; None: not counted yet
    aged : id up to which all that may go was removed for its age or the file's size
    archived : id up to which all is in the archive
    removed : how many events were removed

    """

    unconfirmed: int = 0
    answered: int | None = None
    aged: int = 0
    archived: int = 0
    removed: int = 0


def prune(db: sqlite3.Connection, pruned: Pruned, written: Sequence[Row], retention: Retention
          ) -> Pruned:
    """
    Remove the oldest predictions without a confirmation, a few at a time.

    Parameters
    ----------
    db : the log's file, in a transaction
    pruned : so far
    written : rows that were written in this transaction
    retention : how much is kept

    Returns
    -------
    How far it is now, once the transaction is on disk

    """
    begin, answered, removed = pruned.unconfirmed, pruned.answered, pruned.removed
    if answered is None:
        answered = int(db.execute(f'SELECT count(*) FROM events WHERE {_UNCONFIRMED}'
                                  ).fetchone()[0])
    else:
        answered += sum(map(_is_unconfirmed, written))
    excess = min(answered - retention.predictions, _piece(written))
    if excess > 0:
        last = db.execute(
            'SELECT max(id) FROM (SELECT id FROM events WHERE id > ? AND id < ? AND '
            f'{_UNCONFIRMED} ORDER BY id LIMIT ?)', (begin, _end(db), excess)).fetchone()[0]
        if last is not None:
            gone = _remove(db, _select(
                db, f'id > ? AND id <= ? AND kind IN ({_PRUNABLE}) AND outcome IS NULL',
                (begin, last)))
            begin, answered = last, answered - sum(map(_is_unconfirmed, gone))
            removed += len(gone)
    return pruned._replace(unconfirmed=begin, answered=answered, removed=removed)


def retain(db: sqlite3.Connection, path: Path, pruned: Pruned, written: Sequence[Row],
           retention: Retention) -> Pruned:
    """
    Remove the oldest events of all kinds, confirmations too, a few at a time.

    The events that began a run stay while any other event of it does.

    Parameters
    ----------
    db, pruned, written, retention : as of ``prune``
    path : of the log's file

    Returns
    -------
    How far it is now, once the transaction is on disk

    Raises
    ------
    OSError
        They cannot be archived; nothing was removed.

    """
    # Not the file's own size: what is still in the write-ahead log would not count.
    too_large = 0 < retention.size < used(db)
    if not (too_large or retention.days):
        return pruned
    end = _end(db)
    # One event with a wrong clock makes nothing old.
    newest = db.execute('SELECT min(moment) FROM events WHERE id IN (?, (SELECT max(id) FROM '
                        'events))', (end,)).fetchone()[0]
    horizon = -2**63
    if retention.days and isinstance(newest, int):
        horizon = newest - int(retention.days * _DAY)
    rows = [*takewhile(
        lambda found: (too_large or not isinstance(found[0].moment, int)
                       or found[0].moment < horizon),
        _select(db, 'id > ? AND id < ?', (pruned.aged, end), _piece(written)))]
    if not rows:
        return pruned
    first, last = rows[0][0].id, rows[-1][0].id
    if retention.archive is not None and last > pruned.archived:
        archived = [row for row, _ in _select(db, 'id >= ? AND id < ?', (first, end), ARCHIVED)]
        segments = db.execute('SELECT first, last, digest FROM pruned WHERE first BETWEEN ? AND ?',
                              (first, archived[-1].id)).fetchall()
        write_archive(retention.archive, path.name, archived,
                      digest_at(db, first - 1) or NO_DIGEST, segments)
        pruned = pruned._replace(archived=archived[-1].id)
    gone = _remove(db, (found for found in rows if found[0].kind != 'began'))
    runs = _remove(db, _select(db, "kind = 'began' AND id <= ?", (last,))[:-1])
    # How a run began says nothing of it once events are missing.
    db.execute('DELETE FROM snapshots WHERE event <= ?', (last,))
    answered = pruned.answered
    return pruned._replace(
        aged=last, removed=pruned.removed + len(gone) + len(runs),
        answered=None if answered is None else answered - sum(map(_is_unconfirmed, gone)))


def used(db: sqlite3.Connection) -> int:
    """Return how many bytes of the file are in use; free pages are used again."""
    pages, free, size = (int(db.execute(f'PRAGMA {name}').fetchone()[0])
                         for name in ('page_count', 'freelist_count', 'page_size'))
    return (pages - free) * size


def drop_snapshots(db: sqlite3.Connection) -> None:
    """Remove the snapshots that newer ones replace, within the caller's transaction."""
    db.execute('DELETE FROM snapshots WHERE event <> run AND event NOT IN '
               '(SELECT event FROM snapshots ORDER BY event DESC LIMIT ?)', (SNAPSHOTS,))


def _piece(written: Sequence[Row]) -> int:
    """Return how many rows may be removed beside those that are written."""
    return 2 * len(written) + 100


def _is_unconfirmed(row: Row) -> bool:
    return row.kind == 'answered' and row.outcome is None


def _end(db: sqlite3.Connection) -> int:
    """Return the event of the oldest of the newest snapshots: from it on all is needed."""
    return db.execute('SELECT min(event) FROM (SELECT event FROM snapshots '
                      'ORDER BY event DESC LIMIT ?)', (SNAPSHOTS,)).fetchone()[0] or 0


def _select(db: sqlite3.Connection, where: str, values: tuple[int, ...], limit: int = -1
            ) -> list[tuple[Row, str]]:
    """Return rows, each with '' or with what is wrong with it."""
    return [*check(db.execute(f'{CHECKED} {where} ORDER BY id LIMIT ?', (*values, limit)))]


def _remove(db: sqlite3.Connection, rows: Iterable[tuple[Row, str]]) -> list[Row]:
    """Remove events, in their order; return those that were not damaged and so are gone."""
    gone = []
    for row, wrong in rows:
        if wrong:
            continue
        first, last, digest = row.id, row.id, row.digest
        for begin, end in db.execute('SELECT first, last FROM pruned WHERE first < ? ORDER BY '
                                     'first DESC LIMIT 1', (row.id,)).fetchall():
            first = begin if end == row.id - 1 else first
        for end, kept in db.execute('SELECT last, digest FROM pruned WHERE first = ?',
                                    (row.id + 1,)).fetchall():
            last, digest = end, kept
            db.execute('DELETE FROM pruned WHERE first = ?', (row.id + 1,))
        db.execute('INSERT OR REPLACE INTO pruned VALUES (?, ?, ?)', (first, last, digest))
        db.execute('DELETE FROM events WHERE id = ?', (row.id,))
        gone.append(row)
    return gone
