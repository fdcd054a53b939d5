"""
Who is connected: how many may be, and how long each may take.

uvicorn takes whoever comes, and waits for ever for a request, for its end, and for a client that
does not read. Here the door is kept before it: connections are accepted only as far as there is
room, and one that keeps the console waiting is ended. When it is full, whoever has waited longest
of the address with the most connections makes room. An open page is not sent away: it has shown
what it must, and has answered pings since.
"""

import asyncio
from base64 import b64decode
import binascii
from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from ipaddress import ip_network
from math import inf
import re
import resource
import socket
import ssl
from typing import Any
from typing import NamedTuple

from uvicorn.protocols.http.h11_impl import H11Protocol

# Seconds for a TLS handshake, for a request's head, and for its body, however slowly they drip;
# seconds in which a client must have read something of what waits for it.
PATIENCE = 10.0
# Seconds for a response, for which it is the client that waits: a model may be loaded for it, or
# pictures packed.
RESPONSE = 300.0
# Bytes that may wait for one client.
MOST_UNSENT = 8_000_000
# Seconds between two looks at all connections.
ROUND = 0.5
# Connections that are accepted before others get their turn; that wait for that in the kernel.
AT_ONCE, BACKLOG = 16, 1024
# File descriptors that everything else in the process may need.
ROOM = 192
# What the WebSocket library reads; its own refusals have none of our headers.
MOST_HEADERS, LONGEST_LINE = 64, 4000
TOKENS = re.compile(rb'[\w-]+(\s*,\s*[\w-]+)*')


class Limits(NamedTuple):
    """Connections at once: in all, and of one address before it has opened a page."""

    in_all: int = 512
    per_address: int = 64


def within_ulimit(limits: Limits, least: int) -> Limits:
    """
    Return limits that leave the process file descriptors for all else.

    Raises
    ------
    ValueError
        It may open too few files for even the least number of connections.

    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return limits
    if files < least + ROOM:
        raise ValueError(f'the console may open only {files} files, it needs {least + ROOM}: '
                         'raise the limit (ulimit -n)')
    return Limits(min(limits.in_all, files - ROOM), limits.per_address)


class Connection(H11Protocol):
    """
    One connection that speaks HTTP; uvicorn's, with its gaps closed.

    Parameters
    ----------
    refuse : returns the whole response to what is no HTTP, given the reason to count it by
    options : uvicorn's own

    """

    def __init__(self, refuse: Callable[[str], bytes], **options: Any) -> None:
        super().__init__(**options)
        self._refuse = refuse

    def _get_upgrade(self) -> bytes | None:
        """Upgrade what the WebSocket library will accept; the application refuses the rest."""
        return b'websocket' if super()._get_upgrade() == b'websocket' and is_handshake(
            self.scope) else None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, whatever has been answered before it."""
        cycle = self.cycle
        if cycle is None or not cycle.response_started or cycle.response_complete:
            self.transport.write(self._refuse('malformed'))
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def shutdown(self) -> None:
        """End, now or after the response that is on its way."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False


def is_handshake(scope: Mapping[str, Any]) -> bool:
    """Return whether a request with an Upgrade is a WebSocket's opening handshake (RFC 6455)."""
    headers = scope['headers']
    values: dict[bytes, bytes] = dict(headers)
    once = Counter(name for name, _ in headers)
    try:
        key = b64decode(values.get(b'sec-websocket-key', b''), validate=True)
    except binascii.Error:
        return False
    return (scope['method'] == 'GET' and scope['http_version'] == '1.1' and len(key) == 16
            and values.get(b'sec-websocket-version') == b'13'
            and TOKENS.fullmatch(values.get(b'connection', b'')) is not None
            and b'sec-websocket-protocol' not in values
            and all(once[name] == 1 for name in (
                b'host', b'upgrade', b'connection', b'sec-websocket-key',
                b'sec-websocket-version'))
            and once[b'origin'] <= 1 and has_short_head(scope))


def has_short_head(scope: Mapping[str, Any]) -> bool:
    """Return whether a request's head is one that a browser would send."""
    headers = scope['headers']
    return (len(headers) <= MOST_HEADERS
            and len(scope['raw_path']) + len(scope['query_string']) < LONGEST_LINE
            and all(len(name) + len(value) < LONGEST_LINE for name, value in headers))


class Visit:
    """
    One connection, from its acceptance to its end.

    Attributes
    ----------
    network : where it comes from, for the limit per address
    transport : None until it is set up, with TLS until the handshake is done

    """

    def __init__(self, connection: socket.socket, network: str, now: float) -> None:
        self.network = network
        self.transport: asyncio.Transport | None = None
        self._socket = connection
        self._phase: object = None
        self._since = now

    @property
    def is_open(self) -> bool:
        """Whether it still holds a file descriptor."""
        return self._socket.fileno() != -1

    @property
    def is_page(self) -> bool:
        """Whether it has become a page's WebSocket."""
        return self.transport is not None and not isinstance(
            self.transport.get_protocol(), Connection)

    def end(self) -> None:
        """End it at once, whatever it does."""
        if self.transport is not None:
            self.transport.abort()
        else:
            with suppress(OSError):  # the handshake sees the end of what it reads
                self._socket.shutdown(socket.SHUT_RDWR)

    def is_late(self, now: float) -> bool:
        """Return whether it has kept the console waiting for too long."""
        phase, patience = self._look()
        if phase != self._phase:
            self._phase, self._since = phase, now
        return now - self._since > patience

    def _look(self) -> tuple[object, float]:
        """Return what it does now, as a value that changes with it, and for how long it may."""
        transport = self.transport
        if transport is None:
            return 'handshake', PATIENCE
        unsent = transport.get_write_buffer_size()
        if unsent > MOST_UNSENT:
            return 'overrun', 0.0
        if unsent or transport.is_closing():
            return ('unsent', unsent), PATIENCE
        protocol = transport.get_protocol()
        if not isinstance(protocol, Connection):
            return 'page', inf
        cycle = protocol.cycle
        if cycle is None or cycle.response_complete:
            return ('request', cycle), PATIENCE
        return (('body', cycle), PATIENCE) if cycle.more_body else (('response', cycle), RESPONSE)


class Door:
    """
    Accept connections within the limits, and end those that keep the console waiting.

    Parameters
    ----------
    listener : a listening socket
    protocol : makes the protocol of one connection
    limits : how many there may be
    tls : returns the context for the next connection; None: plain HTTP
    refused : counts what was turned away or ended, by its reason

    """

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol],
                 limits: Limits, tls: Callable[[], ssl.SSLContext] | None,
                 refused: Callable[[str], None]) -> None:
        self._listener = listener
        self._protocol = protocol
        self._limits = limits
        self._tls = tls
        self._refused = refused
        self._visits: list[Visit] = []  # in the order of their arrival
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Accept connections until this is cancelled."""
        rounds = asyncio.create_task(self._make_rounds())
        try:
            while True:
                for _ in range(AT_ONCE):
                    await self._accept()
                await asyncio.sleep(0)
        finally:
            rounds.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            connection, address = await loop.sock_accept(self._listener)
        except OSError:  # no file descriptor is left, or whoever came is gone
            self._refused('no_descriptor')
            await asyncio.sleep(0.1)
            return
        visit = Visit(connection, network(address[0]), loop.time())
        if not self._has_room(visit.network):
            self._refused('full')
            connection.close()
            return
        self._visits.append(visit)
        task = loop.create_task(self._begin(visit, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _has_room(self, newcomer: str) -> bool:
        """Make room for a newcomer, if there is need; return whether there is some."""
        self._visits = [visit for visit in self._visits if visit.is_open]
        waiting = [visit for visit in self._visits if not visit.is_page]
        crowds = Counter(visit.network for visit in waiting)
        crowd = newcomer
        if crowds[newcomer] < self._limits.per_address:
            if len(self._visits) < self._limits.in_all:
                return True
            if not crowds:
                return False
            crowd = crowds.most_common(1)[0][0]
        oldest = next(visit for visit in waiting if visit.network == crowd)
        self._visits.remove(oldest)
        oldest.end()
        self._refused('crowded')
        return True

    async def _begin(self, visit: Visit, connection: socket.socket) -> None:
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, connection, ssl=None if self._tls is None else self._tls())
        except OSError:  # no TLS, or it is gone
            self._refused('handshake')
            return
        assert isinstance(transport, asyncio.Transport)
        visit.transport = transport

    async def _make_rounds(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ROUND)
            self._visits = [visit for visit in self._visits if visit.is_open]
            for visit in self._visits:
                if visit.is_late(loop.time()):
                    visit.end()
                    self._refused('late')


def network(address: str) -> str:
    """Return what counts as one address: of IPv6 the half that one network hands out freely."""
    try:
        known = ip_address(address.partition('%')[0])
    except ValueError:
        return address
    mapped = getattr(known, 'ipv4_mapped', None)
    if mapped is not None:
        return str(mapped)
    return str(known) if known.version == 4 else str(ip_network((known, 64), strict=False))
