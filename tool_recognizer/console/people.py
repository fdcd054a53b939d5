"""
The file of those who may use the console: names, roles and hashes of passwords.

It is JSON, ``{"people": {NAME: {"role": ROLE, "password": HASH}}}``, for nobody else to read. A
hash is argon2id's with the second parameters that RFC 9106 recommends: 64 MiB, 3 passes. A change
of the file is noticed without a restart. Left out: who is logged in (``logins``).
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from contextlib import suppress
import fcntl
import json
import os
from pathlib import Path
import stat
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import Any
from typing import NamedTuple

from tool_recognizer.console.rights import ADMIN
from tool_recognizer.console.rights import ENGINEER
from tool_recognizer.console.rights import OPERATOR
from tool_recognizer.core.admission import LONGEST
from tool_recognizer.core.text import hidden
from tool_recognizer.core.text import listed
from tool_recognizer.core.text import quoted
from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError

HUMAN = (OPERATOR, ENGINEER, ADMIN)
MISSING = ('console.users_file needs argon2-cffi: pip install argon2-cffi (Ubuntu: apt install '
           'python3-argon2)')
SHORTEST, LONGEST_PASSWORD = 8, 256
# Bytes of a file of people, and how many of them there may be.
LARGEST_FILE, MOST = 1_000_000, 1000
# RFC 9106, 4.
PASSES, KIBIBYTES, LANES = 3, 65_536, 4
# What a hash in the file may ask for: it is computed at each login.
MOST_KIBIBYTES, MOST_PASSES = 1_048_576, 100
# Seconds between two looks whether the file has changed.
LOOK = 1.0


class PeopleError(ValueError):
    """A file of people, a name or a password that cannot be used, and why."""


class Person(NamedTuple):
    """Somebody who may use the console: a name, a role and the hash of a password."""

    name: str
    role: str
    password: str


def _argon2() -> Any:
    try:
        import argon2
    except ImportError:
        raise PeopleError(MISSING) from None
    return argon2


def hashed(password: str) -> str:
    """
    Return the hash of a password, with a salt of its own.

    Raises
    ------
    PeopleError
        It is too short to keep anybody out, too long, or no text; or the library is not installed.

    """
    if not SHORTEST <= len(password) <= LONGEST_PASSWORD:
        raise PeopleError(f'a password has {SHORTEST} to {LONGEST_PASSWORD} characters, this one '
                          f'has {len(password)}')
    try:
        password.encode()
    except UnicodeEncodeError:
        raise PeopleError('a password is text in UTF-8, and this one is not') from None
    return str(_hasher().hash(password))


def _hasher() -> Any:
    return _argon2().PasswordHasher(time_cost=PASSES, memory_cost=KIBIBYTES, parallelism=LANES)


def check_name(name: str) -> str:
    """
    Return a name as it is kept, without spaces around it.

    Raises
    ------
    PeopleError
        It is empty, too long, or has characters that nobody sees.

    """
    name = name.strip()
    if not name or len(name) > LONGEST['operator'] or hidden(name):
        raise PeopleError(f'a name has 1 to {LONGEST["operator"]} characters, all of them '
                          f'visible, got {quoted(name)}')
    return name


def read_people(path: str | Path) -> dict[str, Person]:
    """
    Read the file.

    Raises
    ------
    PeopleError
        It cannot be read, others may read or write it, or what it holds makes no sense.

    """
    where = f'console.users_file {path}'
    try:
        mode = Path(path).expanduser().stat().st_mode
    except OSError as error:
        raise PeopleError(f'{where}: {error.strerror}; console users add NAME --file {path} makes '
                          'it') from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PeopleError(f'{where}: other users may read or change it (mode {mode & 0o777:o}): '
                          f'chmod 600 {path}')
    try:
        found = json.loads(read_text(path, LARGEST_FILE))
    except TextError as error:
        raise PeopleError(f'console.users_file {error}') from None
    except (ValueError, RecursionError) as error:
        raise PeopleError(f'{where}: it is no JSON ({error})') from None
    entries = found.get('people') if isinstance(found, dict) else None
    if not isinstance(entries, dict) or len(entries) > MOST:
        raise PeopleError(f'{where}: it must be {{"people": {{NAME: ...}}}}, of at most {MOST} '
                          'names')
    return {name: _person(where, name, entry) for name, entry in entries.items()}


def _person(where: str, name: str, entry: Any) -> Person:
    try:
        role, password = entry['role'], entry['password']
        if check_name(name) != name:
            raise PeopleError('spaces stand around it')
        if role not in HUMAN:
            raise PeopleError(f'its role is one of {listed(HUMAN)}, got {quoted(str(role))}')
        known = _argon2().extract_parameters(password)
        if known.memory_cost > MOST_KIBIBYTES or known.time_cost > MOST_PASSES:
            raise PeopleError('its hash takes more than a login may')
    except PeopleError as error:
        raise PeopleError(f'{where}: {quoted(name)}: {error}') from None
    except Exception:  # each version of the library raises others
        raise PeopleError(f'{where}: {quoted(name)} needs a role, and an argon2 hash as its '
                          'password: console users add makes it') from None
    return Person(name, role, password)


def write_people(path: str | Path, people: Mapping[str, Person]) -> None:
    """
    Write the file, whole or not at all, for nobody but its owner to read, who stays the same.

    Raises
    ------
    PeopleError
        It cannot be written.

    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    content = {'people': {one.name: {'role': one.role, 'password': one.password}
                          for one in people.values()}}
    try:
        with NamedTemporaryFile('w', dir=target.parent, prefix=f'.{target.name[:100]}.',
                                encoding='utf-8', delete=False) as file:  # of mode 600
            try:
                json.dump(content, file, indent=1, ensure_ascii=False)
                file.write('\n')
                file.flush()
                os.fsync(file.fileno())
                with suppress(OSError):  # root changes it for the console's user
                    owner = target.stat()
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                os.replace(file.name, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(file.name)
                raise
    except OSError as error:
        raise PeopleError(f'{path}: cannot be written ({error.strerror})') from None


@contextmanager
def changing(path: str | Path) -> Iterator[dict[str, Person]]:
    """
    Change the people of a file: those that are in it when the block ends well are written.

    Of two that change it at once, the second waits. A file that is not there is made.

    Raises
    ------
    PeopleError
        It cannot be read or written.

    """
    folder = Path(os.path.realpath(Path(path).expanduser())).parent
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise PeopleError(f'{folder}: {error.strerror}') from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        people = read_people(path) if Path(path).expanduser().exists() else {}
        yield people
        if len(people) > MOST:
            raise PeopleError(f'{path}: holds {MOST} people at most')
        write_people(path, people)
    finally:
        os.close(lock)


class People:
    """
    Those in a file, read anew when it changes.

    Parameters
    ----------
    path : the file
    log : gets why a changed file cannot be used; then those that were known before stay

    Raises
    ------
    PeopleError
        The file cannot be used, or nobody is in it.

    """

    def __init__(self, path: str | Path, log: Callable[[str], None] = lambda line: None) -> None:
        self._path, self._log = Path(path).expanduser(), log
        self._mark = self._looked()
        self._people = read_people(path)
        if not self._people:
            raise PeopleError(f'console.users_file {path}: nobody is in it: console users add '
                              f'NAME --file {path}')
        self._looked_at = float('-inf')
        # One at a time: each takes 64 MiB.
        self._lock = Lock()
        # An unknown name takes as long as a known one.
        self._nobody = hashed('nobody has this password')

    def find(self, name: str, now: float) -> Person | None:
        """Return a person, or None; ``now`` is in seconds on a steady clock."""
        if now - self._looked_at >= LOOK:
            self._looked_at = now
            mark = self._looked()
            if mark != self._mark:
                self._mark = mark
                try:
                    self._people = read_people(self._path)
                except PeopleError as error:
                    self._log(f'{error}; who was in it before stays')
        return self._people.get(name)

    def check(self, name: str, password: str, now: float) -> Person | None:
        """Return the person of a name if the password is right; it takes its time, either way."""
        person = self.find(name.strip(), now)
        with self._lock:
            try:
                _hasher().verify(self._nobody if person is None else person.password,
                                 password[:LONGEST_PASSWORD + 1])
            except Exception:  # of a wrong password, or of a hash that is none
                return None
        return person

    def _looked(self) -> tuple[int, ...]:
        try:
            about = self._path.stat()
        except OSError:
            return ()
        return about.st_ino, about.st_mtime_ns, about.st_size, about.st_mode
