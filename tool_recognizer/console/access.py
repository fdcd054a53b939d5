"""
Who may use the console, and what a browser may do with its pages.

On a loopback address everybody on the machine may, but only under the machine's own names, so that
a foreign page cannot reach the console by letting its name point here (DNS rebinding). On any
other address a token is needed. A browser that shows the token once gets a cookie that proves it;
programs send it as a bearer token. A request that changes something must come from a page of the
console itself, as its Origin shows (RFC 6454).
"""

from collections import OrderedDict
from collections.abc import Mapping
import hashlib
import hmac
from urllib.parse import urlsplit

from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError

LOOPBACK = frozenset({'127.0.0.1', 'localhost', '::1'})
COOKIE = 'tool_recognizer_console'
SHORTEST_TOKEN = 16
# Wrong tokens that one address may try within the window, in seconds.
TRIES, WINDOW = 10, 60.0
ADDRESSES = 1000

# Nothing comes from elsewhere, nothing goes elsewhere, and no page may frame this one.
HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "img-src 'self' blob:; connect-src 'self'; form-action 'self'; "
                               "base-uri 'none'; frame-ancestors 'none'",
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Cache-Control': 'no-store',
}


def read_token(path: str) -> str:
    """
    Read a token from the first line of a file.

    Raises
    ------
    ValueError
        The file cannot be read, or what it holds is too short to keep anybody out.

    """
    try:
        token = read_text(path).partition('\n')[0].strip()
    except TextError as error:
        raise ValueError(f'console.token_file {error}') from None
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ValueError(f'console.token_file {path}: its first line must be a token of at least '
                         f'{SHORTEST_TOKEN} printable ASCII characters; make one with: '
                         f'openssl rand -hex 32 > {path}')
    return token


class Access:
    """
    The rules for who may connect.

    Parameters
    ----------
    host : the address that the console listens on
    token : the secret, or '' for none

    Raises
    ------
    ValueError
        The address is not a loopback address and there is no token.

    """

    def __init__(self, host: str, token: str) -> None:
        self._loopback = host in LOOPBACK
        if not self._loopback and not token:
            raise ValueError(
                f'console.host {host} can be reached from other machines, so a token is needed: '
                'name a file that holds one in console.token_file (openssl rand -hex 32 > FILE), '
                'or set console.host to 127.0.0.1')
        self._token = token
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        # The cookie proves that the token was known, and does not contain it.
        self.cookie = hmac.new(token.encode(), b'console cookie', hashlib.sha256).hexdigest()

    @property
    def is_open(self) -> bool:
        """Whether no token is needed."""
        return not self._token

    def knows_host(self, host: str) -> bool:
        """Return whether a Host header names the console; with a token any name may."""
        return not self.is_open or _name(host) in LOOPBACK

    def same_origin(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request comes from the console's own page, or from no page at all."""
        origin = headers.get('origin')
        return origin is None or (urlsplit(origin).netloc.lower()
                                  == headers.get('host', '').lower() != '')

    def admits(self, headers: Mapping[str, str], cookies: Mapping[str, str], address: str,
               now: float) -> bool:
        """
        Return whether a request shows what it must.

        Parameters
        ----------
        headers, cookies : of the request; names of headers in lower case
        address : of the client, for which wrong tokens are counted
        now : seconds on a steady clock

        """
        if self.is_open:
            return True
        shown = cookies.get(COOKIE)
        if shown is not None and _equal(shown, self.cookie):
            return True
        scheme, _, bearer = headers.get('authorization', '').partition(' ')
        return scheme.lower() == 'bearer' and self.accepts(bearer.strip(), address, now)

    def accepts(self, token: str, address: str, now: float) -> bool:
        """Return whether this is the token; an address that failed too often is never accepted."""
        if self.is_blocked(address, now):
            return False
        if self._token and _equal(token, self._token):
            return True
        failures = self._failures.setdefault(address, [])
        failures.append(now)
        self._failures.move_to_end(address)
        if len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)
        return False

    def is_blocked(self, address: str, now: float) -> bool:
        """Return whether an address has recently tried too many wrong tokens."""
        failures = [moment for moment in self._failures.get(address, ()) if now - moment < WINDOW]
        if failures:
            self._failures[address] = failures
        else:
            self._failures.pop(address, None)
        return len(failures) >= TRIES


def _name(host: str) -> str:
    try:
        return urlsplit(f'//{host}').hostname or ''
    except ValueError:
        return ''


def _equal(shown: str, secret: str) -> bool:
    """Compare in a time that reveals nothing of the secret."""
    return hmac.compare_digest(hashlib.sha256(shown.encode()).digest(),
                               hashlib.sha256(secret.encode()).digest())


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
