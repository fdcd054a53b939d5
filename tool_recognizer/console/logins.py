"""
Who is logged in: in memory only, so that the end of the console logs everybody out.

A login ends by itself after a while, when its person signs out, and when the person's entry in
the file of people changes. The browser keeps a random number; the console only its digest.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
import secrets

from tool_recognizer.console.people import People
from tool_recognizer.console.people import Person
from tool_recognizer.console.rights import Visitor

# Logins at once, in all and of one person; the oldest ends. Else whoever may log in could end all
# others' by logging in again and again, and that is an admin's.
MOST, MOST_EACH = 1000, 100


@dataclass(frozen=True)
class Login:
    """A person as the file had it at the login, and until when it lasts; steady seconds."""

    person: Person
    ends: float


class Logins:
    """
    See the module.

    Parameters
    ----------
    people : those in the file
    length : seconds that a login lasts

    """

    def __init__(self, people: People, length: float) -> None:
        self.length = length
        self._people = people
        self._open: OrderedDict[str, Login] = OrderedDict()

    def begin(self, name: str, password: str, now: float) -> tuple[Visitor, str] | None:
        """Log a person in; return who it is, and what the browser keeps. None: wrong password."""
        person = self._people.check(name, password, now)
        if person is None:
            return None
        for oldest in self._of(person.name)[:1 - MOST_EACH]:
            self.end(oldest)
        kept = secrets.token_urlsafe(32)
        digest = _digest(kept)
        self._open[digest] = Login(person, now + self.length)
        if len(self._open) > MOST:
            self._open.popitem(last=False)
        return Visitor(person.name, person.role, digest), kept

    def find(self, kept: str, now: float) -> Visitor | None:
        """Return who shows what a browser keeps, if that login lasts."""
        return self.still(_digest(kept), now)

    def still(self, digest: str, now: float) -> Visitor | None:
        """Return who is logged in with a login, if it lasts."""
        login = self._open.get(digest)
        if login is None:
            return None
        if now >= login.ends or self._people.find(login.person.name, now) != login.person:
            self._open.pop(digest, None)
            return None
        return Visitor(login.person.name, login.person.role, digest)

    def end(self, digest: str) -> None:
        """Log out."""
        self._open.pop(digest, None)

    def end_all(self, name: str) -> int:
        """End all logins of a person; return how many there were."""
        theirs = self._of(name)
        for digest in theirs:
            self.end(digest)
        return len(theirs)

    def _of(self, name: str) -> list[str]:
        """Return a person's logins, the oldest first."""
        return [digest for digest, login in self._open.copy().items()
                if login.person.name == name]

    def names(self, now: float) -> list[str]:
        """Return who is logged in, each once, in the order of the alphabet."""
        found = (self.still(digest, now) for digest in list(self._open))
        return sorted({visitor.name for visitor in found if visitor is not None})


def _digest(kept: str) -> str:
    return sha256(kept.encode('utf-8', 'replace')).hexdigest()
