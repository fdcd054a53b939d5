"""The web server, in a thread beside the thread of ROS."""

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import MutableMapping
import errno
import socket
from threading import Thread
from time import monotonic
from time import sleep
from typing import Any

import uvicorn

# Seconds for the start; seconds that open pages have to go when the server ends.
PATIENCE, FAREWELL = 10.0, 1
# The longest message that a page may send, bytes.
LONGEST_MESSAGE = 16_384


class Server:
    """
    Serve an application until it is closed; when the constructor returns, it answers.

    Parameters
    ----------
    app : the ASGI application
    host, port : where to listen; port 0: a free one

    Attributes
    ----------
    address : where it listens, for a person to open

    Raises
    ------
    ValueError
        The address cannot be used, for example because another process listens there.

    """

    def __init__(self, app: Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]],
                 host: str, port: int) -> None:
        # Bound here, not by uvicorn, which would only log a failure and end.
        listener = _listen(host, port)
        shown = f'[{host}]' if ':' in host else host
        self.address = f'http://{shown}:{listener.getsockname()[1]}/'
        self._server = uvicorn.Server(uvicorn.Config(
            app, lifespan='off', log_config=None, log_level='warning', access_log=False,
            server_header=False, proxy_headers=False, ws_max_size=LONGEST_MESSAGE,
            ws_per_message_deflate=False, ws_ping_interval=10.0, ws_ping_timeout=20.0,
            timeout_graceful_shutdown=FAREWELL))
        self._thread = Thread(target=self._server.run, args=([listener],), name='web',
                              daemon=True)
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


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
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
