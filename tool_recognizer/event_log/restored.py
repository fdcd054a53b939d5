"""What the log gives back at a start: the last run, from a snapshot and what came after it."""

from collections.abc import Iterator
from collections.abc import Mapping
import json
import sqlite3
from typing import Any
from typing import NamedTuple

from tool_recognizer.core.run import Run
from tool_recognizer.event_log.chain import check
from tool_recognizer.event_log.chain import CHECKED
from tool_recognizer.event_log.chain import describe
from tool_recognizer.event_log.chain import seal
from tool_recognizer.event_log.chain import whole_row
from tool_recognizer.event_log.rows import began
from tool_recognizer.event_log.rows import decode
from tool_recognizer.event_log.rows import decode_state
from tool_recognizer.event_log.rows import UNUSABLE
from tool_recognizer.event_log.tables import FOR_PEOPLE

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
            header = began(whole_row(db, number))
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
    # The number of the first one's run may be damaged; its seal has the right one.
    for event, state, kept in db.execute(
            'SELECT event, state, seal FROM snapshots WHERE ? IN (run, event) ORDER BY event DESC',
            (number,)):
        try:
            if seal(whole_row(db, event).digest, number, state) != kept:
                raise ValueError('it is damaged')
            if run is None:  # others are read for their damage: they may soon be removed
                older = Run.from_state(decode_state(state))
                notes += [*_go_on(db, older, event, number)]
                run = older
        except UNUSABLE as error:
            notes.append(f'the snapshot after event {event} cannot be used '
                         f'({type(error).__name__}: {error})')
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


def _go_on(db: sqlite3.Connection, run: Run, last: int, number: int) -> Iterator[str]:
    """Apply what came after a snapshot; yield what is damaged, and left out."""
    wrong = 0
    for row, why in check(db.execute(f'{CHECKED} id > ? ORDER BY id', (last,)), last):
        if not why and row.run != number:
            continue
        try:
            if why:
                raise ValueError(why)
            run.apply(decode(row, run))
        except UNUSABLE as error:
            wrong += 1
            if wrong <= NAMED:
                yield f'{describe(row)}: {error}; it is left out, and no figure has it'
    if wrong > NAMED:
        yield f'{wrong - NAMED} more events are damaged and left out'
