"""The tables of the log's file, and what does not belong there."""

import re
import sqlite3

# All events but those that a camera makes many of; ``events_for_people`` finds them.
FOR_PEOPLE = "(outcome IS NOT NULL OR kind NOT IN ('answered', 'shadow', 'sample'))"
TABLES = (
    # What happened, in its order; ``rows`` says what the columns hold. Nothing is ever changed.
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        moment INTEGER NOT NULL,            -- ns
        kind TEXT NOT NULL,
        stamp INTEGER,                      -- ns, from the frame's header
        frame_id TEXT,
        outcome TEXT,                       -- what became of a confirmation
        log_probabilities BLOB,             -- little-endian float64, nats, in the labels' order
        detail TEXT NOT NULL,               -- JSON object
        digest BLOB NOT NULL                -- SHA-256 of the digest before and of this row
    )""",
    f'CREATE INDEX events_for_people ON events (kind, stamp, frame_id) WHERE {FOR_PEOPLE}',
    # Segments of events that were removed, with the digest that the last one had.
    """
    CREATE TABLE pruned (
        first INTEGER PRIMARY KEY,
        last INTEGER NOT NULL,
        digest BLOB NOT NULL
    )""",
    # What a run was after an event. Of each run the first one stays, and the newest ones.
    """
    CREATE TABLE snapshots (
        event INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        state BLOB NOT NULL,                -- JSON, see ``rows``
        seal BLOB NOT NULL                  -- SHA-256 of the event's digest, run and state
    )""",
    """
    CREATE TABLE pictures (
        stamp INTEGER NOT NULL,
        frame_id TEXT NOT NULL,
        path TEXT NOT NULL UNIQUE,          -- within NAME.pictures
        bytes INTEGER NOT NULL,
        digest BLOB NOT NULL,               -- SHA-256 of the picture
        surprise REAL NOT NULL,             -- nats; decides which pictures stay
        seal BLOB NOT NULL,                 -- SHA-256 of this row
        PRIMARY KEY (stamp, frame_id)
    ) WITHOUT ROWID""",
    'CREATE INDEX pictures_by_surprise ON pictures (surprise, stamp)',
    # Picture files that no row needs: about to be written, or about to be removed.
    'CREATE TABLE litter (path TEXT PRIMARY KEY) WITHOUT ROWID',
)

# Beside our tables: what runs nothing, and never drops a row.
_HARMLESS = re.compile(r'CREATE (TABLE |VIEW |INDEX \w+ ON \w+ ?\([\w, ]+\)$)', re.IGNORECASE)
_COMMENT = re.compile('--.*')


def strange(db: sqlite3.Connection) -> str:
    """
    Say what in a file may change or drop what is written into it, or hide it; '' if nothing does.

    SQLite runs triggers, and drops rows for some constraints, without a word to who inserts them.
    So our tables must be as we made them, but for comments. Tables and views beside them, and
    indexes of columns, do no harm.
    """
    missing = {_bare(sql) for sql in TABLES}
    for name, sql in db.execute('SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL'):
        if (bare := _bare(sql)) in missing:
            missing.remove(bare)
        elif not _HARMLESS.match(bare):
            return f'{name!r} ({bare[:60]})'
    return f'not {min(missing)[:60]}' if missing else ''


def _bare(sql: str) -> str:
    return ' '.join(_COMMENT.sub('', sql).split())
