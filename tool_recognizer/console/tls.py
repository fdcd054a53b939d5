"""
The certificate and the key: read, tried, and read again when they were renewed.

They are tried as a browser would, in a handshake with themselves in memory, so what is wrong with
them is said at the start, in one line, and not by each browser in words of its own.
"""

from collections.abc import Callable
from pathlib import Path
import ssl
from time import monotonic
from typing import Any

from tool_recognizer.console.access import check_private
from tool_recognizer.input_file import read_whole

# Seconds between two looks at the files; bytes of one.
PERIOD, LARGEST = 10.0, 2**20


class Tls:
    """
    What the server needs for TLS 1.2 and later.

    Parameters
    ----------
    certificate : PEM file with the certificate, and with those that it is signed by
    key : PEM file with its private key, without a passphrase
    warn : gets a line about what is not as it should be, and yet can be used

    Attributes
    ----------
    names : that the certificate is for

    Raises
    ------
    ValueError
        A file cannot be read, the two do not belong together, or others may write the key.

    """

    def __init__(self, certificate: str, key: str, warn: Callable[[str], None]) -> None:
        self._files = [Path(name).expanduser() for name in (certificate, key)]
        self._warn = warn
        self.names: list[str] = []
        self._state = self._look()
        self._context = self._load()
        self._looked = monotonic()

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection, of the newest files that can be used."""
        if monotonic() - self._looked > PERIOD:
            self._looked = monotonic()
            self.renew()
        return self._context

    def renew(self) -> None:
        """Read the files again if they have changed; keep what there is if they are wrong."""
        state = self._look()
        if state == self._state:
            return
        self._state = state
        try:
            self._context = self._load()
        except ValueError as error:
            self._warn(f'{error}; the former certificate stays in use')

    def _look(self) -> list[tuple[int, int, int] | None]:
        """Return what changes with the files."""
        found: list[tuple[int, int, int] | None] = []
        for path in self._files:
            try:
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
            except OSError:
                found.append(None)
        return found

    def _load(self) -> ssl.SSLContext:
        certificate, key = self._files
        for name, path in (('tls_certificate', certificate), ('tls_key', key)):
            try:
                read_whole(path, LARGEST)
            except OSError as error:
                raise ValueError(f'console.{name} {path}: cannot be read '
                                 f'({error.strerror})') from None
        warning = check_private('console.tls_key', key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # An empty passphrase: else OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(certificate, key, password='')
            validity = _shake_hands(context, certificate)
        except ssl.SSLError as error:
            if error.reason == 'KEY_VALUES_MISMATCH':
                why = 'the key belongs to another certificate'
            elif error.reason in ('EE_KEY_TOO_SMALL', 'CA_MD_TOO_WEAK'):
                why = 'it is too weak for OpenSSL: make a new one'
            else:
                why = ('not a PEM certificate and its PEM key without a passphrase '
                       f'({error.reason or error})')
            raise ValueError(f'console.tls_certificate {certificate} and console.tls_key {key} '
                             f'cannot be used: {why}') from None
        if isinstance(validity, str):
            warning = (f'console.tls_certificate {certificate}: {validity}, so browsers will '
                       'refuse it; renew it, the console then takes it without a restart')
        else:
            self.names = [name for kind, name in validity.get('subjectAltName', ())
                          if kind in ('DNS', 'IP Address') and '*' not in name]
        if warning:
            self._warn(warning)
        return context


def _shake_hands(server_context: ssl.SSLContext, certificate: Path) -> dict[str, Any] | str:
    """Return the certificate as a client that trusts it sees it, or what that one objects to."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.load_verify_locations(certificate)
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(there, back, server_side=True)
    client = client_context.wrap_bio(back, there)
    try:
        for _ in range(4):  # each side waits for the other at most so often
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    return client.getpeercert() or {}
