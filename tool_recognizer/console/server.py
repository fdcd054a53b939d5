"""The web server, in a thread beside the thread of ROS."""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import MutableMapping
import errno
import logging
import socket
import ssl
from threading import Thread
from time import monotonic
from time import sleep
from typing import Any

from tool_recognizer.console.access import HEADERS
from tool_recognizer.console.app import MOST_PAGES
from tool_recognizer.console.connections import BACKLOG
from tool_recognizer.console.connections import Connection
from tool_recognizer.console.connections import Door
from tool_recognizer.console.connections import Limits
from tool_recognizer.console.connections import within_ulimit
from tool_recognizer.console.schema import LONGEST_MESSAGE
from tool_recognizer.console.tls import Tls
from tool_recognizer.core.text import told
import uvicorn

# Seconds for the start, on a busy machine too; that open pages have to go when the server ends.
PATIENCE, FAREWELL = 60.0, 1
# Connections beside the open pages that there must be room for.
LEAST_SPARE = 16


class Server:
    """
    Serve an application until it is closed; when the constructor returns, it answers.

    Parameters
    ----------
    app : the ASGI application
    host, port : where to listen; port 0: a free one
    limits : connections at once
    tls : certificate and key; None: plain HTTP
    refused : counts what was turned away, by its reason
    log : gets what went wrong, a line each

    Attributes
    ----------
    address : where it listens, for a person to open

    Raises
    ------
    ValueError
        The address cannot be used, for example because another process listens there, or the
        process may open too few files.

    """

    def __init__(self, app: Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]],
                 host: str, port: int, limits: Limits | None = None, tls: Tls | None = None,
                 refused: Callable[[str], None] = lambda reason: None,
                 log: Callable[[str], None] = lambda line: None) -> None:
        limits = within_ulimit(limits or Limits(), MOST_PAGES + LEAST_SPARE)
        # Bound here, not by uvicorn, which would only log a failure and end.
        self._listener = _listen(host, port)
        self.address = _shown(host, self._listener.getsockname()[1], tls)
        self._log = log
        self._refused = refused
        for name in ('uvicorn.error', 'asyncio'):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [_Lines(log)], False
        config = uvicorn.Config(
            app, lifespan='off', log_config=None, log_level='error', access_log=False,
            http='h11', server_header=False, proxy_headers=False, ws_max_size=LONGEST_MESSAGE,
            ws_per_message_deflate=False, ws_ping_interval=10.0, ws_ping_timeout=20.0,
            timeout_graceful_shutdown=FAREWELL)
        self._server = uvicorn.Server(config)
        config.load()
        self._door = Door(
            self._listener, lambda: Connection(
                self._refuse, config=config, server_state=self._server.server_state,
                app_state={}),
            limits, None if tls is None else tls.context, refused)
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), name='web', daemon=True)
        self._thread.start()
        end = monotonic() + PATIENCE
        while not self._server.started:
            if not self._thread.is_alive() or monotonic() > end:
                raise ValueError(f'the web server did not start on {self.address}')
            sleep(0.01)

    def close(self) -> None:
        """Close the open pages and end."""
        self._server.should_exit = True
        self._thread.join(FAREWELL + 5.0)

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._on_exception)
        door = asyncio.create_task(self._door.serve())
        try:
            await self._server.serve(sockets=[])
        finally:
            door.cancel()
            self._listener.close()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get('exception')
        # A client that went away, or speaks no TLS, is no error here.
        if not isinstance(error, (OSError, ssl.SSLError)):
            self._log(context['message'] + (f': {told(error)}' if error else ''))

    def _refuse(self, reason: str) -> bytes:
        """Count what is no HTTP, and write the response to it."""
        self._refused(reason)
        text = b'this is no HTTP request that can be understood\n'
        head = {'content-type': 'text/plain; charset=utf-8', 'content-length': str(len(text)),
                'connection': 'close', **HEADERS}
        lines = ''.join(f'{name}: {value}\r\n' for name, value in head.items())
        return f'HTTP/1.1 400 Bad Request\r\n{lines}\r\n'.encode() + text


class _Lines(logging.Handler):
    """Pass each record on as one line."""

    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, OSError):
            self._log(' '.join(record.getMessage().split())
                      + (f': {told(error)}' if error else ''))


def _shown(host: str, port: int, tls: Tls | None) -> str:
    """Return an address that a person can open: one that listens to all has none of its own."""
    if host in ('0.0.0.0', '::', ''):
        host = next(iter(tls.names if tls else ()), None) or _own_address()
    shown = f'[{host}]' if ':' in host else host
    return f'{"http" if tls is None else "https"}://{shown}:{port}/'


def _own_address() -> str:
    """Return the address that this machine has in its network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing; the address is one that is reserved for documentation.
            probe.connect(('192.0.2.1', 9))
            return str(probe.getsockname()[0])
        except OSError:
            return '127.0.0.1'


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        listener.setblocking(False)
        return listener
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = ('another program listens there, perhaps another console: end it, or set '
                   'console.port to another number (with a launch file: console_port:=NUMBER), '
                   'or to 0, which finds a free one')
        elif error.errno in (errno.EADDRNOTAVAIL, socket.EAI_NONAME):
            why = 'this machine has no such address: set console.host'
        elif error.errno == errno.EACCES:
            why = ('only root may use a port below 1024: set console.port (with a launch file: '
                   'console_port:=NUMBER)')
        else:
            why = str(error)
        raise ValueError(f'console: {host}:{port} cannot be used: {why}') from None
