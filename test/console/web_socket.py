"""A web socket as a test wants it: one call after another, with any version of websockets."""

import asyncio
from contextlib import contextmanager
import inspect

import websockets

# What the oldest supported version calls otherwise.
HEADERS = ('additional_headers'
           if 'additional_headers' in inspect.signature(websockets.connect).parameters
           else 'extra_headers')


class WebSocket:
    """An open connection. It reads only while it is asked to, so that it can be a slow reader."""

    def __init__(self, loop, connection):
        self._loop = loop
        self._connection = connection

    def send(self, message):
        self._loop.run_until_complete(self._connection.send(message))

    def recv(self, timeout):
        """Return the next message; raise websockets' ConnectionClosed at the end."""
        return self._loop.run_until_complete(
            asyncio.wait_for(self._connection.recv(), timeout))


@contextmanager
def connect(address, headers=None, **options):
    """Open a connection and close it at the end; options go to websockets."""
    loop = asyncio.new_event_loop()

    async def connected():
        return await websockets.connect(
            address, open_timeout=10, compression=None, ping_interval=None,
            **{HEADERS: headers}, **options)
    try:
        connection = loop.run_until_complete(connected())
        try:
            yield WebSocket(loop, connection)
        finally:
            loop.run_until_complete(connection.close())
    finally:
        loop.close()
