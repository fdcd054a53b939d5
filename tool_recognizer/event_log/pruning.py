"""What goes from the log: predictions without a confirmation, and old snapshots."""

from collections.abc import Sequence
import sqlite3
from typing import NamedTuple

from tool_recognizer.event_log.restored import digest_before
from tool_recognizer.event_log.rows import BULK
from tool_recognizer.event_log.rows import COLUMNS
from tool_recognizer.event_log.rows import damaged
from tool_recognizer.event_log.rows import Row

# Snapshots that are kept, beside the first one of each run.
SNAPSHOTS = 3
# What may be removed once there are too many; of what is left the digests still tell.
_PRUNABLE = ', '.join(repr(kind) for kind in (*BULK, 'asked'))
_UNCONFIRMED = "kind = 'answered' AND outcome IS NULL"


class Pruned(NamedTuple):
    """
    How far it has come.

    Attributes
    ----------
    segment : first and last id of the events that were removed last, or None
    answered : predictions without a confirmation that are left; None: not counted yet

    """

    segment: tuple[int, int] | None
    answered: int | None = None


def prune(db: sqlite3.Connection, pruned: Pruned, written: Sequence[Row], keep: int) -> Pruned:
    """
    Remove the oldest predictions without a confirmation, a few at a time.

    Only what came before the snapshots may go, and no damaged event: the one after it would not
    fit any more.

    Parameters
    ----------
    db : the log's file, in a transaction
    pruned : so far
    written : rows that were written in this transaction
    keep : how many such predictions are kept

    Returns
    -------
    How far it is now, once the transaction is on disk

    """
    segment, answered = pruned
    if answered is None:
        answered = int(db.execute(f'SELECT count(*) FROM events WHERE {_UNCONFIRMED}'
                                  ).fetchone()[0])
    else:
        answered += sum(row.kind == 'answered' and row.outcome is None for row in written)
    excess = min(answered - keep, 2 * len(written) + 100)
    if excess <= 0:
        return Pruned(segment, answered)
    begin = segment[1] if segment else 0
    end = db.execute('SELECT min(event) FROM (SELECT event FROM snapshots '
                     'ORDER BY event DESC LIMIT ?)', (SNAPSHOTS,)).fetchone()[0] or 0
    found = db.execute(
        f'SELECT id FROM events WHERE id > ? AND id < ? AND {_UNCONFIRMED} ORDER BY id LIMIT ?',
        (begin, end, excess)).fetchall()
    if not found:
        return Pruned(segment, answered)
    for row in map(Row._make, db.execute(
            f'SELECT {COLUMNS} FROM events WHERE id > ? AND id <= ? AND kind IN ({_PRUNABLE}) '
            'AND outcome IS NULL ORDER BY id', (begin, found[-1][0])).fetchall()):
        ((_, wrong),) = damaged([row], digest_before(db, row.id), row.id - 1)
        if wrong:
            continue
        segment = segment[0] if segment and segment[1] == row.id - 1 else row.id, row.id
        db.execute('INSERT OR REPLACE INTO pruned VALUES (?, ?, ?)', (*segment, row.digest))
        db.execute('DELETE FROM events WHERE id = ?', (row.id,))
        answered -= row.kind == 'answered'
    return Pruned(segment, answered)


def drop_snapshots(db: sqlite3.Connection) -> None:
    """Remove the snapshots that newer ones replace, within the caller's transaction."""
    db.execute('DELETE FROM snapshots WHERE event <> run AND event NOT IN '
               '(SELECT event FROM snapshots ORDER BY event DESC LIMIT ?)', (SNAPSHOTS,))
