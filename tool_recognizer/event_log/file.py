"""
The log's file: its versions, its lock, and what is said when it cannot be used.

It is an SQLite file in write-ahead mode, so that programs may read while the node writes. Beside
``NAME`` lie ``NAME.lock``, ``NAME.tail``, ``NAME.pictures`` and, while it is open or after a
crash, SQLite's own ``NAME-wal`` and ``NAME-shm``; they belong together and are only ever moved
together. A symbolic link stands for the file to which it leads. All files are their owner's alone.
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

from tool_recognizer.event_log.mending import mend
from tool_recognizer.event_log.mending import MENDED
from tool_recognizer.event_log.tables import strange
from tool_recognizer.event_log.tables import TABLES
from tool_recognizer.event_log.takeover import rename_old_tables
from tool_recognizer.event_log.takeover import take_over
from tool_recognizer.whole_file import private
from tool_recognizer.whole_file import sync_folder

# Kept in the file's header, to tell a journal from any other SQLite file: 'tool'.
APPLICATION_ID = 0x746F6F6C
# How long a write waits for another program's, and an opening, which is tried again; s.
PATIENCE = 2.0
PATIENCE_TO_OPEN = 0.1
# With less than this left, an unnamed failure of the disk is a full disk; bytes.
HARDLY_ANYTHING = 1 << 17

# Kept in the file's header, too. Files of schema 1 to 3 are taken over, once (``takeover``).
SCHEMA = 4

# What SQLite says, our word for it, and how to mend it.
_TROUBLES = (
    ('is full', 'full', 'the disk is full: make room'),
    ('readonly', 'read-only', 'it is read-only: let this user write it and its folder'),
    ('locked', 'locked', 'another program holds it locked: end that program'),
    ('malformed', 'corrupt', 'it is damaged; the next start mends what it can and says so; for '
     'what it cannot, try: sqlite3 FILE .recover'),
    ('not a database', 'corrupt', 'it is no SQLite file'),
    ('unable to open', 'unopened', 'it cannot be opened: its folder must exist and be writable'),
    ('no file', 'no file', 'there is something that is no file: name another one'),
    ('disk I/O', 'input/output', 'the disk failed to read or write: check it'),
)
# The same from the file system.
_ERRNO = {errno.ENOSPC: 'is full', errno.EDQUOT: 'is full', errno.EROFS: 'readonly',
          errno.EACCES: 'readonly', errno.EPERM: 'readonly', errno.EISDIR: 'no file',
          errno.ENXIO: 'no file', errno.ELOOP: 'no file', errno.ENAMETOOLONG: 'no file'}
# What lasts until another file is named, so that a node refuses to start with it. All else may
# pass, and is tried again.
LASTING = ('foreign', 'newer', 'no file')


class JournalError(Exception):
    """
    The journal cannot be used now; the caller can live on without it.

    Attributes
    ----------
    reason : 'full', 'read-only', 'locked', 'corrupt', 'unopened', 'no file', 'input/output',
        'in use', 'moved', 'newer', 'older', 'foreign', 'closed' or 'other'

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
    for words, reason, cure in _TROUBLES:
        if words in said:
            if reason in ('unopened', 'input/output') and _is_full(path):
                reason, cure = 'full', 'the disk is full: make room'
            elif reason == 'unopened' and not os.access(path.parent, os.W_OK):
                reason, cure = 'read-only', 'its folder is read-only: let this user write there'
            return JournalError(reason, f'journal {path}: {cure}')
    return JournalError('other', f'journal {path}: {said}')


def _is_full(path: Path) -> bool:
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < HARDLY_ANYTHING
    return False


def beside(path: Path, suffix: str) -> Path:
    """Return what lies beside a journal, such as ``NAME.pictures``."""
    whole = Path(os.path.realpath(path))
    return whole.with_name(whole.name + suffix)


def pictures_folder(path: Path) -> Path:
    """Return the folder of a journal's pictures."""
    return beside(path, '.pictures')


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
    name = beside(path, '.lock')
    try:
        name.parent.mkdir(parents=True, exist_ok=True)
        file = open(name, 'a+', opener=private)  # noqa: SIM115
    except OSError as error:
        raise explain(path, error) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read(20).strip() or 'unknown'
        file.close()
        raise _in_use(path, owner) from None
    except OSError as error:
        file.close()
        raise explain(path, error) from None
    # Whose it is serves the message alone, so a full disk is no obstacle.
    with suppress(OSError):
        file.truncate(0)
        file.write(f'{os.getpid()}\n')
        file.flush()
    return file


def hold(path: Path) -> int:
    """
    Take the sole right to write the very file, whatever other names it has.

    Parameters
    ----------
    path : the journal's file; an empty one is made if there is none

    Returns
    -------
    A descriptor: the right lasts until it is closed. That must come after the end of all SQLite
    connections of this process to the file, whose own locks it would end

    Raises
    ------
    JournalError
        Another process has it, or it cannot be written.

    """
    if path.exists() and not path.is_file():
        raise explain(path, IsADirectoryError(errno.EISDIR, 'no file'))
    handle = private(str(path), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = _owner(handle)
        os.close(handle)
        raise (_in_use(path, owner) if isinstance(error, BlockingIOError) else
               explain(path, error)) from None
    return handle


def _in_use(path: Path, owner: str) -> JournalError:
    return JournalError('in use', f'journal {path}: process {owner} writes it already; give each '
                        'node a file of its own')


def _owner(handle: int) -> str:
    """Return the process that has a file's lock, as far as the system tells."""
    file = os.fstat(handle)
    place = f'{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}'
    with suppress(OSError):
        for words in map(str.split, Path('/proc/locks').read_text().splitlines()):
            if 'FLOCK' in words and place in words:
                return words[words.index(place) - 1]
    return 'unknown'


def open_writable(path: Path) -> tuple[sqlite3.Connection, int, list[str]]:
    """
    Open or make a journal's file, bring it to this version, and check it.

    Parameters
    ----------
    path : the file; the caller has its ``lock``

    Returns
    -------
    The connection, for one thread at a time; what ``hold`` returned; and what there is to say of
    the opening, a line each

    Raises
    ------
    JournalError
        It cannot be used. A damaged file is no error: it is moved aside and a new one begun.

    """
    notes: list[str] = []
    try:
        return *_open(path, notes), notes
    except JournalError as error:
        if error.reason != 'corrupt':
            raise
    try:
        moved = _move_aside(path)
    except OSError as error:
        raise explain(path, error) from None
    notes.append(f'journal {path} is damaged: moved to {moved} with its pictures, and a new one '
                 f'begun; try: sqlite3 {moved} .recover')
    return *_open(path, notes), notes


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
    log = beside(path, '-wal')
    # On a medium that cannot be written SQLite makes no shared memory, and needs none without log.
    alone = not os.access(log.parent, os.W_OK) and not log.exists()
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


def read_text(content: bytes) -> str:
    """Read a text of a file that may be damaged: what is no UTF-8 is seen to be none."""
    return content.decode(errors='replace')


def _open(path: Path, notes: list[str]) -> tuple[sqlite3.Connection, int]:
    db, handle = None, None
    try:
        handle = hold(path)
        db = sqlite3.connect(path, timeout=PATIENCE_TO_OPEN, isolation_level=None,
                             check_same_thread=False)
        db.text_factory = read_text
        version = _version(path, db) if os.fstat(handle).st_size else 0
        damage = db.execute('PRAGMA quick_check(1)').fetchone()[0]
        if damage != 'ok':
            if not mend(db):
                raise JournalError('corrupt', f'journal {path}: {damage}')
            notes.append(f'journal {path}: {MENDED}')
        if version < SCHEMA:
            if version:
                backup = free_name(path, f'schema-{version}')
                copy(db, backup)
                notes.append(f'journal {path}: brought from schema {version} to {SCHEMA}; the old '
                             f'one is kept as {backup}')
            notes += [f'journal {path}: {note}' for note in _make(db, version)]
        if (found := strange(db)):
            notes.append(f'journal {path}: what is written there may be lost, because of {found}')
            raise JournalError('corrupt', notes[-1])
        mode = db.execute('PRAGMA journal_mode = WAL').fetchone()[0]
        if mode != 'wal':
            raise JournalError('other', f'journal {path}: its file system has no shared memory; '
                               'put it on a local disk')
        db.execute('BEGIN IMMEDIATE')  # whether it can be written
        db.execute('COMMIT')
        db.execute('PRAGMA journal_size_limit = 67108864')
        db.execute(f'PRAGMA busy_timeout = {1000 * PATIENCE:.0f}')
        sync_folder(path.parent)
        mode_bits = os.fstat(handle).st_mode & 0o077
        if mode_bits:
            notes.append(f'journal {path}: others than its owner may open it; if they should not: '
                         f'chmod go= {path}')
        return db, handle
    except (OSError, sqlite3.Error, UnicodeError, JournalError) as error:
        if db is not None:
            db.close()
        if handle is not None:
            os.close(handle)
        raise error if isinstance(error, JournalError) else explain(path, error) from None


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
            rename_old_tables(db, version)
        for statement in TABLES:
            db.execute(statement)
        if version:
            notes = take_over(db)
        db.execute(f'PRAGMA application_id = {APPLICATION_ID}')
        db.execute(f'PRAGMA user_version = {SCHEMA}')
        db.execute('COMMIT')
    except BaseException:
        if db.in_transaction:
            db.execute('ROLLBACK')
        raise
    return notes


def copy(db: sqlite3.Connection, path: Path) -> None:
    """
    Copy a file with SQLite's own means; under its name there is all of it, on disk, or nothing.

    Parameters
    ----------
    db : the file
    path : of the copy

    Raises
    ------
    OSError, sqlite3.Error
        It cannot be copied.

    """
    partial = path.with_name(f'{path.name}.partial')
    partial.unlink(missing_ok=True)
    os.close(private(str(partial), os.O_WRONLY | os.O_CREAT))
    with closing(sqlite3.connect(partial)) as target:
        db.backup(target)
    partial.replace(path)
    sync_folder(path.parent)


def _move_aside(path: Path) -> Path:
    moved = free_name(path, 'damaged')
    for suffix in ('.pictures', '.tail', '-wal', '-shm', ''):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(moved.with_name(moved.name + suffix))
    sync_folder(path.parent)
    return moved


def free_name(path: Path, word: str) -> Path:
    """Return the first of ``NAME.word-1``, ``NAME.word-2`` ... that is not there."""
    number = 1
    while (name := path.with_name(f'{path.name}.{word}-{number}')).exists():
        number += 1
    return name
