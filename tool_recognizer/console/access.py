"""
Who may use the console, and what a browser may do with its pages.

On a loopback address everybody on the machine may, but only under the machine's own names, so that
a foreign page cannot reach the console by letting its name point here (DNS rebinding). On any
other address a token is needed, or people who log in. A browser that shows the token once gets a
cookie that proves it; programs send it as a bearer token. Where people log in, the token is for
programs alone. A request that changes something must come from a page of the console itself, as
its Origin shows (RFC 6454).
"""

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
import hashlib
import hmac
from pathlib import Path
import stat
from threading import Lock
from typing import NamedTuple
from urllib.parse import urlsplit

from tool_recognizer.console.logins import Logins
from tool_recognizer.console.rights import PROGRAM
from tool_recognizer.console.rights import Visitor
from tool_recognizer.core.admission import LONGEST
from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError

LOOPBACK = frozenset({'127.0.0.1', 'localhost', '::1'})
COOKIE = 'tool_recognizer_console'
SHORTEST_TOKEN = 16
# Wrong tokens or passwords that one address, or one name, may try within the window, in seconds.
TRIES, WINDOW = 10, 60.0
ADDRESSES = 1000
# The cookie lives so long in a browser, in seconds; a login may end before.
MONTH = 30 * 86_400

# Nothing comes from elsewhere, nothing goes elsewhere, and no page may frame this one.
HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "img-src 'self' blob:; connect-src 'self'; form-action 'self'; "
                               "base-uri 'none'; frame-ancestors 'none'",
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    # Not no-referrer: with that a browser sends the form that logs it in as from no page at all.
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Cache-Control': 'no-store',
}


def check_private(name: str, path: str | Path) -> str:
    """
    Check who else may use a file that holds a secret.

    Returns
    -------
    A warning if other users may read it; '' if not, or if there is no such file

    Raises
    ------
    ValueError
        Other users may write it.

    """
    try:
        mode = Path(path).expanduser().stat().st_mode
    except OSError:
        return ''
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(f'{name} {path}: other users may change it (mode {mode & 0o777:o}), so '
                         f'it keeps nobody out: chmod 600 {path}')
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        return (f'{name} {path}: other users may read it (mode {mode & 0o777:o}): '
                f'chmod 600 {path}')
    return ''


def read_token(path: str) -> str:
    """
    Read a token from the first line of a file.

    Raises
    ------
    ValueError
        The file cannot be read, others may write it, or what it holds is too short to keep
        anybody out.

    """
    check_private('console.token_file', path)
    try:
        token = read_text(path).partition('\n')[0].strip()
    except TextError as error:
        raise ValueError(f'console.token_file {error}') from None
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ValueError(f'console.token_file {path}: its first line must be a token of at least '
                         f'{SHORTEST_TOKEN} printable ASCII characters; make one with: '
                         f'openssl rand -hex 32 > {path}')
    return token


class Entry(NamedTuple):
    """Who came in by a token or a password, and the cookie that shows it again for a while."""

    visitor: Visitor
    cookie: str
    seconds: int


class Tries:
    """What was tried in vain within the window, by whom; of what is long ago nothing is kept."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, list[float]] = OrderedDict()
        # Passwords are checked in several threads.
        self._lock = Lock()

    def note(self, who: str, now: float) -> None:
        """Note one."""
        with self._lock:
            self._tries.setdefault(who, []).append(now)
            self._tries.move_to_end(who)
            if len(self._tries) > ADDRESSES:
                self._tries.popitem(last=False)

    def forgive(self, who: str, moment: float) -> None:
        """Forget one that was noted at a moment, for it was right."""
        with self._lock:
            if moment in self._tries.get(who, ()):
                self._tries[who].remove(moment)

    def too_many(self, who: str, now: float) -> bool:
        """Return whether there were as many as one may try."""
        with self._lock:
            tries = [moment for moment in self._tries.get(who, ()) if now - moment < WINDOW]
            if tries:
                self._tries[who] = tries
            else:
                self._tries.pop(who, None)
            return len(tries) >= TRIES


class Access:
    """
    The rules for who may connect.

    Parameters
    ----------
    host : the address that the console listens on
    token : the secret, or '' for none
    encrypted : whether what goes to other machines does so with TLS, by whomever
    logins : of people; None: nobody is asked for a name

    Raises
    ------
    ValueError
        The address is not a loopback address, and there is no token and nobody who could log in,
        or no TLS.

    """

    def __init__(self, host: str, token: str, encrypted: bool = True,
                 logins: Logins | None = None) -> None:
        if host not in LOOPBACK:
            reached = f'console.host {host} can be reached from other machines, so '
            if not token and logins is None:
                raise ValueError(
                    f'{reached}a token is needed: name a file that holds one in '
                    'console.token_file (openssl rand -hex 32 > FILE), or a file of people in '
                    'console.users_file (console users add NAME --file FILE), or set console.host '
                    'to 127.0.0.1')
            if not encrypted:
                raise ValueError(
                    f'{reached}TLS is needed: name its files in console.tls_certificate and '
                    'console.tls_key, or set console.plain_http to true if a proxy before it '
                    'does that, or console.host to 127.0.0.1')
        self.logins = logins
        self._token = token
        self._addresses, self._names = Tries(), Tries()
        # The cookie proves that the token was known, and does not contain it.
        self.cookie = hmac.new(token.encode(), b'console cookie', hashlib.sha256).hexdigest()

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked."""
        return not self._token and self.logins is None

    def knows_host(self, host: str) -> bool:
        """Return whether a Host header names the console; where something is asked any may."""
        return not self.is_open or _name(host) in LOOPBACK

    def same_origin(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request comes from the console's own page, or from no page at all."""
        origin = headers.get('origin')
        if origin is None:
            return True
        try:
            return urlsplit(origin).netloc.lower() == headers.get('host', '').lower() != ''
        except ValueError:  # as of http://[
            return False

    def admits(self, headers: Mapping[str, str], cookies: Mapping[str, str], address: str,
               now: float) -> Visitor | None:
        """
        Return who makes a request; None if it does not show what it must.

        Parameters
        ----------
        headers, cookies : of the request; names of headers in lower case
        address : of the client, for which wrong tokens are counted
        now : seconds on a steady clock

        """
        if self.is_open:
            return Visitor()
        shown = cookies.get(self.cookie_name(headers))
        if shown is not None:
            if self.logins is not None:
                if visitor := self.logins.find(shown, now):
                    return visitor
            elif _equal(shown, self.cookie):
                return Visitor()
        scheme, _, bearer = headers.get('authorization', '').partition(' ')
        if scheme.lower() == 'bearer' and self.accepts(bearer.strip(), address, now):
            return Visitor() if self.logins is None else Visitor('', PROGRAM)
        return None

    def cookie_name(self, headers: Mapping[str, str]) -> str:
        """Return what the cookie is called: of a login by the port, which no cookie knows."""
        if self.logins is None:
            return COOKIE
        port = headers.get('host', '').rpartition(':')[2]
        return f'{COOKIE}_{port if port.isascii() and port.isdigit() else "login"}'

    def enters(self, fields: Mapping[str, str], address: str, now: float) -> Entry | None:
        """
        Return who comes in with what a form has; it may take a moment, so not in the loop.

        Parameters
        ----------
        fields : 'token'; where people log in 'name' and 'password'
        address, now : see ``admits``

        """
        if self.logins is None:
            return (Entry(Visitor(), self.cookie, MONTH)
                    if self.accepts(fields.get('token', ''), address, now) else None)
        name = fields.get('name', '').strip()[:LONGEST['operator'] + 1]
        if self.is_blocked(address, now, name):
            return None
        # Noted before it is known, so that not more than that can be tried at once.
        self._addresses.note(address, now)
        self._names.note(name, now)
        begun = self.logins.begin(name, fields.get('password', ''), now)
        if begun is None:
            return None
        self._addresses.forgive(address, now)
        self._names.forgive(name, now)
        return Entry(*begun, int(self.logins.length))

    def accepts(self, token: str, address: str, now: float) -> bool:
        """Return whether this is the token; an address that failed too often is never accepted."""
        if self.is_blocked(address, now):
            return False
        if self._token and _equal(token, self._token):
            return True
        self._addresses.note(address, now)
        return False

    def is_blocked(self, address: str, now: float, name: str = '') -> bool:
        """Return whether an address, or a name, was recently tried too often in vain."""
        return self._addresses.too_many(address, now) or self._names.too_many(name, now)


def _name(host: str) -> str:
    try:
        return urlsplit(f'//{host}').hostname or ''
    except ValueError:
        return ''


def _equal(shown: str, secret: str) -> bool:
    """Compare in a time that reveals nothing of the secret."""
    return hmac.compare_digest(hashlib.sha256(shown.encode()).digest(),
                               hashlib.sha256(secret.encode()).digest())


class Rates:
    """How fast each address may speak; of those that were not heard for long nothing is kept."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._make = partial(Rate, per_second, burst)
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    def __getitem__(self, address: str) -> 'Rate':
        """Return the rate of an address."""
        rate = self._rates.setdefault(address, self._make())
        self._rates.move_to_end(address)
        if len(self._rates) > ADDRESSES:
            self._rates.popitem(last=False)
        return rate


class Rate:
    """
    How fast one client may speak: a bucket that fills steadily.

    Parameters
    ----------
    per_second : messages in the long run
    burst : messages at once

    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second, self._burst = per_second, burst
        self._level, self._at = burst, 0.0

    def allows(self, now: float) -> bool:
        """Take one message in; return whether it is within the rate."""
        self._level = min(self._burst, self._level + (now - self._at) * self._per_second)
        self._at = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True
