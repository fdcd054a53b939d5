"""
The chain of digests that says whether a row is whole.

The digest of a row is the SHA-256 of the digest of the row before it and of all its other columns,
so that a bit that flips in any of them is found, and a row that is gone is missed.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
import json
import sqlite3
from typing import Any

from tool_recognizer.event_log.rows import COLUMNS
from tool_recognizer.event_log.rows import confirmation
from tool_recognizer.event_log.rows import encode_state
from tool_recognizer.event_log.rows import Row
from tool_recognizer.event_log.rows import UNUSABLE

# Of the first row.
NO_DIGEST = bytes(32)
# Selects rows for ``check``; a condition and an order follow. What came before a row was removed,
# or is there; nothing came before the first one.
_REMOVED = """(SELECT {} FROM (SELECT * FROM pruned WHERE first < e.id ORDER BY first DESC LIMIT 1)
            WHERE last = e.id - 1)"""
CHECKED = f"""
    SELECT {COLUMNS},
        coalesce((SELECT id FROM events AS b WHERE b.id = e.id - 1),
                 {_REMOVED.format('first - 1')}, iif(id = 1, 0, NULL)),
        coalesce((SELECT digest FROM events AS b WHERE b.id = e.id - 1),
                 {_REMOVED.format('digest')}, zeroblob(32))
    FROM events AS e WHERE """


def digest_of(before: bytes, row: Row) -> bytes:
    """
    Compute the digest of a row.

    Parameters
    ----------
    before : of the row before it
    row : its other columns

    Raises
    ------
    UnicodeEncodeError
        A text that is none.

    """
    whole = sha256(before)
    whole.update(repr((*row[:7], row.detail)).encode())
    whole.update(row.log_probabilities or b'')
    return whole.digest()


def seal(*values: Any) -> bytes:
    """Compute the SHA-256 of values that belong together outside of the chain."""
    whole = sha256()
    for value in values:
        part = value if isinstance(value, bytes) else repr(value).encode()
        whole.update(b'%d:' % len(part) + part)
    return whole.digest()


def snapshot_row(event: int, digest: bytes, run: int, state: Mapping[str, Any]
                 ) -> tuple[int, int, bytes, bytes]:
    """Make a row of ``snapshots``: of a run's state after an event that has this digest."""
    content = encode_state(state)
    return event, run, content, seal(digest, run, content)


def check(rows: Iterable[tuple[Any, ...]], last: int | None = None) -> Iterator[tuple[Row, str]]:
    """
    Check rows in their order; yield each with '' or with what is wrong with it.

    Parameters
    ----------
    rows : as ``CHECKED`` selects them
    last : id of the row before the first one, if none in between may be missing

    """
    # What the last row's digest is by its columns, which may be right where its digest is not.
    place, computed = 0, b''
    for *columns, reach, before in rows:
        row, wrong = Row._make(columns), ''
        if reach is None or (last is not None and reach > last):
            begin = row.id - 1 if last is None else last + 1
            end = row.id - 1 if reach is None else reach
            wrong = f'the rows {begin} to {end} before it are missing'
        elif not any(_digest(digest, row) == row.digest
                     for digest in (before, computed if place == row.id - 1 else before)):
            wrong = 'it is damaged, and not to be trusted'
        yield row, wrong
        place, computed = row.id, _digest(before, row)
        last = None if last is None else row.id


def _digest(before: bytes, row: Row) -> bytes:
    try:
        return digest_of(before, row)
    except UNUSABLE:
        return b''


def whole_row(db: sqlite3.Connection, number: int) -> Row:
    """
    Return an event's row, which is whole.

    Raises
    ------
    LookupError
        It is not there.
    ValueError
        It is damaged.

    """
    for row, wrong in check(db.execute(f'{CHECKED} id = ?', (number,))):
        if wrong:
            raise ValueError(f'{describe(row)}: {wrong}')
        return row
    raise LookupError(f'event {number} is missing')


def digest_at(db: sqlite3.Connection, number: int) -> bytes | None:
    """Return the digest of an event, whether it was removed or not; None if it is not known."""
    found = db.execute('SELECT digest FROM events WHERE id = ? UNION ALL '
                       'SELECT digest FROM (SELECT last, digest FROM pruned WHERE first <= ? '
                       'ORDER BY first DESC LIMIT 1) WHERE last = ?',
                       (number, number, number)).fetchone()
    return found and (found[0] if isinstance(found[0], bytes) else b'')


def describe(row: Row) -> str:
    """Name an event."""
    about = '' if row.stamp is None else f', frame {row.stamp} {row.frame_id!r}'
    with suppress(*UNUSABLE):
        said = confirmation(row, json.loads(row.detail))
        about += f', {" or ".join(map(repr, said.distribution))} by {said.operator or "somebody"}'
    return f'event {row.id} ({row.kind}{about})'
