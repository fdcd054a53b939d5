"""
What stands before the application: it looks at every request, and at every response.

Nothing gets past it that the rules of ``access`` do not admit, nothing leaves without the safe
headers, and nothing that goes wrong behind it reaches the server.
"""

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import MutableMapping
from typing import Any
from typing import TypeAlias
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect
from tool_recognizer.console.access import Access
from tool_recognizer.console.access import HEADERS
from tool_recognizer.console.access import Rates
from tool_recognizer.console.connections import has_short_head
from tool_recognizer.console.connections import network
from tool_recognizer.console.rights import of_path
from tool_recognizer.console.rights import of_view

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# The path of the WebSocket.
SOCKET = '/socket'
# The longest form, bytes.
LONGEST_BODY = 4096
# Passwords that are checked, or wait for that, at once.
CHECKED_AT_ONCE = 8
# Pages that one address may open per second, and at once; a page that reconnects is one, too.
OPENED, OPENED_AT_ONCE = 4.0, 60.0
# Reason for closing a WebSocket, RFC 6455 7.4.1.
FAILED = 1011


class Guard:
    """
    Look at every request before the application sees it; put the safe headers on each response.

    Parameters
    ----------
    app : the application behind it
    access : the rules
    steady : seconds on a steady clock
    refusal : writes the response for a status; which words it says, is named by a key
    refused : counts what was refused, by its reason
    failed : gets what the application did not expect

    """

    def __init__(self, app: App, access: Access, steady: Callable[[], float],
                 refusal: Callable[[HTTPConnection, int, str], Response],
                 refused: Callable[[str], None], failed: Callable[[Exception], None]) -> None:
        self._app, self._access = app, access
        self._steady, self._write = steady, refusal
        self._refused, self._failed = refused, failed
        self._opened = Rates(OPENED, OPENED_AT_ONCE)
        self._checked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        begun = False

        async def send_safely(message: Message) -> None:
            nonlocal begun
            begun = True
            if message['type'].endswith('http.response.start'):
                MutableHeaders(raw=message.setdefault('headers', [])).update(HEADERS)
            await send(message)

        try:
            refusal = await self._refusal(scope, receive)
            if refusal is None:
                await self._app(scope, receive, send_safely)
            else:
                await _respond(scope, refusal, send_safely)
        except Exception as error:  # the server and the other pages live on
            if has_gone(error):
                return
            self._refused('fault')
            self._failed(error)
            if not begun:
                await _respond(scope, PlainTextResponse('something went wrong here\n', 500),
                               send_safely)
            elif scope['type'] == 'websocket':
                await send({'type': 'websocket.close', 'code': FAILED})

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        request = HTTPConnection(scope)
        headers: Headers = request.headers
        is_socket = scope['type'] == 'websocket'

        def refuse(status: int, reason: str, told: str = '') -> Response:
            self._refused(reason)
            return self._write(request, status, told or reason)

        if not has_short_head(scope):
            return refuse(431, 'long_head')
        if not self._access.knows_host(headers.get('host', '')):
            return refuse(421, 'unknown_name')
        if not is_socket and _has_long_body(scope['method'], headers):
            return refuse(413, 'long_body')
        changes = is_socket or scope['method'] not in ('GET', 'HEAD')
        if (changes or headers.get('sec-fetch-site') == 'cross-site') and not (
                self._access.same_origin(headers)):
            return refuse(403, 'other_page')
        address = network(request.client.host if request.client else '')
        now = self._steady()
        if scope['path'].startswith('/static/') and scope['path'].endswith('.css'):
            return None  # the page that asks for the token needs it, too
        logs_in = self._access.logins is not None
        visitor = self._access.admits(headers, request.cookies, address, now)
        if visitor is None or (logs_in and _is_form(scope)):
            fields = await _shown(scope, request, receive)
            if self._checked >= CHECKED_AT_ONCE:
                return refuse(429, 'many_logins')
            entry = None
            if fields:
                self._checked += 1
                try:
                    entry = await run_in_threadpool(self._access.enters, fields, address, now)
                finally:
                    self._checked -= 1
            if entry is None:
                if self._access.is_blocked(address, now, fields.get('name', '').strip()):
                    return refuse(429, 'many_logins' if logs_in else 'many_tokens')
                return refuse(401, ('wrong_password' if fields else 'no_login') if logs_in else
                              ('wrong_token' if fields else 'no_token'))
            visitor, scope['entry'] = entry.visitor, entry
        scope['visitor'] = visitor
        view = request.query_params.get('view', 'operator')
        if not visitor.may(of_view(view) if is_socket else of_path(scope['path'])):
            return refuse(403, 'forbidden')
        if is_socket and scope['path'] != SOCKET:
            return refuse(404, 'nowhere')
        if is_socket and not self._opened[address].allows(now):
            return refuse(429, 'many_pages')
        return None


def has_gone(error: Exception) -> bool:
    """Tell whether the client has gone meanwhile; uvicorn has no class for all such cases."""
    if isinstance(error, OSError):
        return error.filename is None  # otherwise it is a file that cannot be read
    return isinstance(error, WebSocketDisconnect) or (
        isinstance(error, RuntimeError) and 'ASGI message' in str(error))


async def _respond(scope: Scope, response: Response, send: Send) -> None:
    """Send a whole response, to a WebSocket's opening handshake, too."""
    kind = 'websocket.http.response' if scope['type'] == 'websocket' else 'http.response'
    await send({'type': f'{kind}.start', 'status': response.status_code,
                'headers': list(response.raw_headers)})
    await send({'type': f'{kind}.body', 'body': b'' if scope.get('method') == 'HEAD'
                else bytes(response.body)})


def _has_long_body(method: str, headers: Headers) -> bool:
    """Return whether a request brings, or may bring, more than our form has."""
    longest = LONGEST_BODY if method == 'POST' else 0
    return 'transfer-encoding' in headers or int(headers.get('content-length', '0')) > longest


def _is_form(scope: Scope) -> bool:
    """Return whether a request is the form by which somebody comes in."""
    return (scope['type'], scope['path'], scope.get('method')) == ('http', '/login', 'POST')


async def _shown(scope: Scope, request: HTTPConnection, receive: Receive) -> dict[str, str]:
    """Return what the form has, or the token from the address line; nothing if there is none."""
    if scope['type'] != 'http':
        return {}
    if scope['path'] != '/login':
        shown = request.query_params.get('token', '')
        return {'token': shown} if shown else {}
    body = b''
    while len(body) < LONGEST_BODY:
        message = await receive()
        body += message.get('body', b'')
        if not message.get('more_body'):
            break
    fields = parse_qs(body[:LONGEST_BODY].decode('utf-8', 'replace'))
    return {name: values[0] for name, values in fields.items()
            if name in ('token', 'name', 'password')}
