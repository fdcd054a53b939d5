"""
The log's file: its tables, its versions, its lock, and what is said when it cannot be used.

It is an SQLite file in write-ahead mode, so that programs may read while the node writes. Beside
``NAME`` lie ``NAME.lock``, ``NAME.pictures`` and, while it is open or after a crash, SQLite's own
``NAME-wal`` and ``NAME-shm``; they belong together and are only ever moved together.
"""

from contextlib import closing
from contextlib import suppress
import errno
import fcntl
import os
from pathlib import Path
import shutil
import sqlite3
from typing import IO

from tool_recognizer.event_log.takeover import rename_old_tables
from tool_recognizer.event_log.takeover import take_over

# Kept in the file's header, to tell a journal from any other SQLite file: 'tool'.
APPLICATION_ID = 0x746F6F6C
# How long a write waits for another program's, s.
PATIENCE = 2.0
# With less than this left, an unnamed failure of the disk is a full disk; bytes.
HARDLY_ANYTHING = 1 << 17

# Kept in the file's header, too. Files of schema 1 to 3 are taken over, once (``takeover``).
SCHEMA = 4
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
        state BLOB NOT NULL,                -- see ``rows.encode_state``
        seal BLOB NOT NULL                  -- SHA-256 of the event's digest and of the state
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

# What SQLite says, our word for it, and how to mend it.
_TROUBLES = (
    ('is full', 'full', 'the disk is full: make room'),
    ('readonly', 'read-only', 'it is read-only: let this user write it and its folder'),
    ('locked', 'locked', 'another program holds it locked: end that program'),
    ('malformed', 'corrupt', 'it is damaged; the next start mends what it can and says so; for '
     'what it cannot, try: sqlite3 FILE .recover'),
    ('not a database', 'corrupt', 'it is no SQLite file'),
    ('unable to open', 'unopened', 'it cannot be opened: its folder must exist and be writable'),
    ('disk I/O', 'input/output', 'the disk failed to read or write: check it'),
)
# The same from the file system.
_ERRNO = {errno.ENOSPC: 'is full', errno.EDQUOT: 'is full', errno.EROFS: 'readonly',
          errno.EACCES: 'readonly', errno.EPERM: 'readonly'}


class JournalError(Exception):
    """
    The journal cannot be used now; the caller can live on without it.

    Attributes
    ----------
    reason : 'full', 'read-only', 'locked', 'corrupt', 'unopened', 'input/output', 'in use',
        'newer', 'older', 'foreign', 'closed' or 'other'

    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def explain(path: Path, error: Exception) -> JournalError:
    """Say in one line what an error of SQLite or of the file system means for this file."""
    # A message that is no text quotes a damaged file.
    said = 'malformed' if isinstance(error, UnicodeError) else str(error)
    if isinstance(error, OSError):
        said = _ERRNO.get(error.errno or 0, error.strerror or said)
    for words, reason, mend in _TROUBLES:
        if words in said:
            if reason in ('unopened', 'input/output') and _is_full(path):
                reason, _, mend = 'full', '', 'the disk is full: make room'
            elif reason == 'unopened' and not os.access(path.parent, os.W_OK):
                reason, mend = 'read-only', 'its folder is read-only: let this user write there'
            return JournalError(reason, f'journal {path}: {mend}')
    return JournalError('other', f'journal {path}: {said}')


def _is_full(path: Path) -> bool:
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < HARDLY_ANYTHING
    return False


def pictures_folder(path: Path) -> Path:
    """Return the folder of a journal's pictures."""
    return path.with_name(f'{path.name}.pictures')


def lock(path: Path) -> IO[str]:
    """
    Take the sole right to write a journal; it ends with the process, however that ends.

    Parameters
    ----------
    path : the journal's file

    Returns
    -------
    The open lock file: the right lasts until it is closed

    Raises
    ------
    JournalError
        Another process has it, or the lock file cannot be written.

    """
    name = path.with_name(f'{path.name}.lock')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = name.open('a+')
    except OSError as error:
        raise explain(path, error) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read(20).strip() or 'unknown'
        file.close()
        raise JournalError('in use', f'journal {path}: process {owner} writes it already; give '
                           'each node a file of its own') from None
    except OSError as error:
        file.close()
        raise explain(path, error) from None
    # Whose it is serves the message alone, so a full disk is no obstacle.
    with suppress(OSError):
        file.truncate(0)
        file.write(f'{os.getpid()}\n')
        file.flush()
    return file


def open_writable(path: Path) -> tuple[sqlite3.Connection, list[str]]:
    """
    Open or make a journal's file, bring it to this version, and check it.

    Parameters
    ----------
    path : the file; the caller has its ``lock``

    Returns
    -------
    The connection, for one thread at a time, and what there is to say of the opening, a line each

    Raises
    ------
    JournalError
        It cannot be used. A damaged file is no error: it is moved aside and a new one begun.

    """
    notes = []
    log = path.with_name(f'{path.name}-wal')
    with suppress(OSError):
        if log.stat().st_size:
            notes.append(f'journal {path}: the last process ended without closing it; what it '
                         'had acknowledged is taken over')
    try:
        return _open(path, notes), notes
    except JournalError as error:
        if error.reason != 'corrupt':
            raise
    try:
        moved = _move_aside(path)
    except OSError as error:
        raise explain(path, error) from None
    notes.append(f'journal {path} is damaged: moved to {moved} with its pictures, and a new one '
                 f'begun; try: sqlite3 {moved} .recover')
    return _open(path, notes), notes


def open_readable(path: Path) -> sqlite3.Connection:
    """
    Open a journal's file to read; a node may be writing it meanwhile.

    Raises
    ------
    JournalError
        It is not there, is no journal, or has another version.

    """
    if not path.is_file():
        raise JournalError('unopened', f'{path}: no such file')
    log = path.with_name(f'{path.name}-wal')
    # On a medium that cannot be written SQLite makes no shared memory, and needs none without log.
    alone = not os.access(path.parent, os.W_OK) and not log.exists()
    mode = 'mode=ro&immutable=1' if alone else 'mode=ro'
    try:
        db = sqlite3.connect(f'{path.absolute().as_uri()}?{mode}', uri=True, timeout=PATIENCE,
                             isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise explain(path, error) from None
    db.text_factory = read_text
    try:
        version = _version(path, db)
        if version < SCHEMA:
            raise JournalError('older', f'journal {path}: it has schema {version}, this program '
                               f'reads {SCHEMA}; the node brings it up to date when it opens it')
    except (sqlite3.Error, UnicodeError) as error:
        db.close()
        raise explain(path, error) from None
    except JournalError:
        db.close()
        raise
    return db


def mend(path: Path) -> str:
    """
    Make the indexes anew from the rows: they are what a quick check does not look into.

    Parameters
    ----------
    path : the file; the caller has its ``lock``

    Returns
    -------
    What there is to say of it, in one line

    Raises
    ------
    JournalError
        The damage is not in the indexes alone.

    """
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as db:
            db.execute('REINDEX')
    except sqlite3.Error as error:
        raise explain(path, error) from None
    return (f'journal {path}: its indexes were damaged and were made anew from its rows; check '
            'the disk')


def read_text(content: bytes) -> str:
    """Read a text of a file that may be damaged: what is no UTF-8 is seen to be none."""
    return content.decode(errors='replace')


def _open(path: Path, notes: list[str]) -> sqlite3.Connection:
    try:
        new = not path.exists() or path.stat().st_size == 0
        db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None,
                             check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise explain(path, error) from None
    db.text_factory = read_text
    try:
        version = 0 if new else _version(path, db)
        damage = db.execute('PRAGMA quick_check(1)').fetchone()[0]
        if damage != 'ok':
            raise JournalError('corrupt', f'journal {path}: {damage}')
        if version < SCHEMA:
            if version:
                backup = _back_up(path, db, version)
                notes.append(f'journal {path}: brought from schema {version} to {SCHEMA}; the old '
                             f'one is kept as {backup}')
            notes += [f'journal {path}: {note}' for note in _make(db, version)]
        mode = db.execute('PRAGMA journal_mode = WAL').fetchone()[0]
        if mode != 'wal':
            raise JournalError('other', f'journal {path}: its file system has no shared memory; '
                               'put it on a local disk')
        db.execute('BEGIN IMMEDIATE')  # whether it can be written
        db.execute('COMMIT')
        db.execute('PRAGMA journal_size_limit = 67108864')
        sync_folder(path.parent)
    except (OSError, sqlite3.Error, UnicodeError) as error:
        db.close()
        raise explain(path, error) from None
    except JournalError:
        db.close()
        raise
    return db


def _version(path: Path, db: sqlite3.Connection) -> int:
    owner: int = db.execute('PRAGMA application_id').fetchone()[0]
    version: int = db.execute('PRAGMA user_version').fetchone()[0]
    tables = db.execute('SELECT count(*) FROM sqlite_master').fetchone()[0]
    if tables == 0 and owner == 0:
        return 0
    if owner != APPLICATION_ID:
        raise JournalError('foreign', f'journal {path}: an SQLite file of another program; name '
                           'another file')
    if not 1 <= version <= SCHEMA:
        raise JournalError('newer', f'journal {path}: it has schema {version}, this program knows '
                           f'1 to {SCHEMA}; update tool_recognizer, or name another file')
    return version


def _make(db: sqlite3.Connection, version: int) -> list[str]:
    """Make the tables, and take over those of an older schema, wholly or not at all."""
    notes = []
    db.execute('BEGIN IMMEDIATE')
    try:
        if version:
            rename_old_tables(db)
        for statement in TABLES:
            db.execute(statement)
        if version:
            notes = take_over(db, version)
        db.execute(f'PRAGMA application_id = {APPLICATION_ID}')
        db.execute(f'PRAGMA user_version = {SCHEMA}')
        db.execute('COMMIT')
    except BaseException:
        if db.in_transaction:
            db.execute('ROLLBACK')
        raise
    return notes


def _back_up(path: Path, db: sqlite3.Connection, version: int) -> Path:
    """Copy the file before its schema is changed; return the copy, whole and on disk."""
    copy = _free_name(path, f'schema-{version}')
    partial = copy.with_name(f'{copy.name}.partial')
    partial.unlink(missing_ok=True)
    target = sqlite3.connect(partial)
    try:
        db.backup(target)
    finally:
        target.close()
    partial.replace(copy)
    sync_folder(copy.parent)
    return copy


def _move_aside(path: Path) -> Path:
    moved = _free_name(path, 'damaged')
    for suffix in ('.pictures', '-wal', '-shm', ''):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(moved.with_name(moved.name + suffix))
    sync_folder(path.parent)
    return moved


def _free_name(path: Path, word: str) -> Path:
    number = 1
    while (name := path.with_name(f'{path.name}.{word}-{number}')).exists():
        number += 1
    return name


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """
    Write a file so that under its name there is all of it, on disk, or what was there before.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.

    """
    partial = path.with_name(f'{path.name}.partial')
    try:
        with partial.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
