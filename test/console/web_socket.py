"""A web socket as a test wants it: one call after another, with any version of websockets."""

import asyncio
from contextlib import closing
from contextlib import suppress
import inspect
from threading import Thread

import websockets

# What the oldest supported version calls otherwise.
HEADERS = ('additional_headers'
           if 'additional_headers' in inspect.signature(websockets.connect).parameters
           else 'extra_headers')


class WebSocket:
    """An open connection, in a loop of its own: those who drive a browser have one, too."""

    def __init__(self, address, headers=None, **options):
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def connected():
            return await websockets.connect(
                address, open_timeout=60, compression=None, ping_interval=None,
                **{HEADERS: headers}, **options)
        try:
            self._connection = self._run(connected())
        except BaseException:
            self._end()
            raise

    def send(self, message):
        self._run(self._connection.send(message))

    def recv(self, timeout):
        """Return the next message; raise websockets' ConnectionClosed at the end."""
        return self._run(asyncio.wait_for(self._connection.recv(), timeout))

    def close(self):
        with suppress(websockets.ConnectionClosed):  # the other end may have been killed
            self._run(self._connection.close())
        self._end()

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def connect(address, **options):
    """Open a connection that a ``with`` closes; options go to websockets."""
    return closing(WebSocket(address, **options))
