"""What the log gives back at a start: the last run, from a snapshot and what came after it."""

from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import suppress
import json
import sqlite3
from typing import Any
from typing import NamedTuple

from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.run import Run
from tool_recognizer.event_log.file import FOR_PEOPLE
from tool_recognizer.event_log.rows import began
from tool_recognizer.event_log.rows import COLUMNS
from tool_recognizer.event_log.rows import confirmation
from tool_recognizer.event_log.rows import damaged
from tool_recognizer.event_log.rows import decode
from tool_recognizer.event_log.rows import decode_state
from tool_recognizer.event_log.rows import NO_DIGEST
from tool_recognizer.event_log.rows import Row
from tool_recognizer.event_log.rows import seal
from tool_recognizer.event_log.rows import UNUSABLE

# Damaged events that are named; more are counted.
NAMED = 5


class Restored(NamedTuple):
    """
    The last run.

    Attributes
    ----------
    number : id of the event that began it
    run : the run; None if it cannot be gone on with
    notes : what is damaged, and what follows from it, a line each

    """

    number: int
    run: Run | None
    notes: tuple[str, ...]


def restore(db: sqlite3.Connection, digest: str, labels: tuple[str, ...],
            parameters: Mapping[str, Any]) -> Restored | None:
    """
    Read the last run, if it is that of this model with these parameters.

    Parameters
    ----------
    db : the log's file
    digest, labels : of the model in charge
    parameters : as the run began with

    Returns
    -------
    None if there is no run, or the last one is another's

    Raises
    ------
    sqlite3.Error
        The file cannot be read.

    """
    notes: list[str] = []
    for (number,) in db.execute(
            'SELECT DISTINCT run FROM snapshots UNION SELECT run FROM events WHERE id = '
            '(SELECT max(id) FROM events) ORDER BY run DESC').fetchall():
        try:
            header = began(row_of(db, number))
            break
        except LookupError as error:
            notes.append(f'{error}, which is said to have begun a run')
        except UNUSABLE as error:
            return Restored(number, None, (*notes, _cannot(error)))
    else:
        return Restored(0, None, (*notes, _cannot('it is not there'))) if notes else None
    if (header.model_digest, header.labels) != (digest, labels) or (
            header.parameters != json.loads(json.dumps(dict(parameters)))):
        return None
    run: Run | None = None
    for event, state, kept in db.execute(
            'SELECT event, state, seal FROM snapshots WHERE run = ? ORDER BY event DESC',
            (number,)):
        try:
            before = row_of(db, event)
            if seal(before.digest, state) != kept:
                raise ValueError('it is damaged')
            if run is not None:
                continue  # it was read for its damage: it may soon be removed
            older = Run.from_state(decode_state(state))
        except UNUSABLE as error:
            notes.append(f'the snapshot after event {event} cannot be used '
                         f'({type(error).__name__}: {error})')
            continue
        try:
            notes += [*_go_on(db, older, before, number)]
            run = older
        except ImpassableError as error:
            notes.append(str(error))
    if run is None:
        notes.append(_cannot('no snapshot of it can be used'))
    known = said_before(db)
    return Restored(number, run, tuple(note for note in notes if note not in known))


def said_before(db: sqlite3.Connection) -> set[object]:
    """Return what the log says of its damage: it is said once."""
    return {why for (why,) in db.execute(
        "SELECT json_extract(detail, '$.why') FROM events WHERE kind = 'damaged' AND "
        f'json_valid(detail) AND {FOR_PEOPLE}')}


def _cannot(why: object) -> str:
    return f'what the journal keeps of the last run cannot be used ({why}); a new one begins'


def _go_on(db: sqlite3.Connection, run: Run, before: Row, number: int) -> Iterator[str]:
    """Apply what came after a snapshot; yield what is damaged, and left out."""
    wrong = 0
    rows = map(Row._make, db.execute(f'SELECT {COLUMNS} FROM events WHERE id > ? ORDER BY id',
                                     (before.id,)))
    for row, why in damaged(rows, before.digest, before.id):
        if not why and row.run != number:
            continue
        try:
            if why:
                raise ValueError(why)
            event = decode(row, run)
            if isinstance(event, RunContinued) and event.anew:
                raise ImpassableError(f'event {row.id} began {" and ".join(event.anew)} anew, '
                                      'which only a later snapshot holds')
            run.apply(event)
        except ImpassableError:
            raise
        except UNUSABLE as error:
            wrong += 1
            if wrong <= NAMED:
                yield f'{describe(row)}: {error}; it is left out, and no figure has it'
    if wrong > NAMED:
        yield f'{wrong - NAMED} more events are damaged and left out'


class ImpassableError(ValueError):
    """An event that an older snapshot cannot go over."""


def row_of(db: sqlite3.Connection, number: int) -> Row:
    """
    Return an event's row, which is whole.

    Raises
    ------
    LookupError
        It is not there.
    ValueError
        It is damaged.

    """
    found = db.execute(f'SELECT {COLUMNS} FROM events WHERE id = ?', (number,)).fetchone()
    if found is None:
        raise LookupError(f'event {number} is missing')
    row = Row._make(found)
    ((_, why),) = damaged([row], digest_before(db, number), number - 1)
    if why:
        raise ValueError(f'{describe(row)}: {why}')
    return row


def digest_before(db: sqlite3.Connection, number: int) -> bytes:
    """Return the digest of the row before a row, whether that one was removed or not."""
    found = db.execute('SELECT digest FROM events WHERE id = ? UNION ALL '
                       'SELECT digest FROM pruned WHERE last = ?', (number - 1, number - 1)
                       ).fetchone()
    return NO_DIGEST if found is None else bytes(found[0])


def describe(row: Row) -> str:
    """Name an event."""
    about = '' if row.stamp is None else f', frame {row.stamp} {row.frame_id!r}'
    with suppress(*UNUSABLE):
        said = confirmation(row, json.loads(row.detail))
        about += f', {" or ".join(map(repr, said.distribution))} by {said.operator or "somebody"}'
    return f'event {row.id} ({row.kind}{about})'
