"""
The web application: two pages, one WebSocket, one picture, the metrics.

The WebSocket carries everything that changes. Each page has one sender, which sends the newest
value of whatever has changed since it last sent. A page that does not read blocks its own sender
and no other.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import MutableMapping
from contextlib import suppress
import json
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.responses import PlainTextResponse
from starlette.responses import RedirectResponse
from starlette.responses import Response
from starlette.routing import Route
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from starlette.websockets import WebSocketDisconnect
from tool_recognizer.console.access import Access
from tool_recognizer.console.access import COOKIE
from tool_recognizer.console.access import HEADERS
from tool_recognizer.console.access import Rate
from tool_recognizer.console.board import RANGES
from tool_recognizer.console.outbox import OutboxError
from tool_recognizer.console.pages import choose_locale
from tool_recognizer.console.pages import page
from tool_recognizer.console.pages import static
from tool_recognizer.console.state import Console
from tool_recognizer.console.state import Refused
from tool_recognizer.console.state import TOPICS
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

VIEWS = {'operator': ('desk',), 'engineer': tuple(topic for topic in TOPICS if topic != 'desk')}
# Open pages at most; messages of one page per second, and at once.
MOST_PAGES, MESSAGES, BURST = 64, 20.0, 60.0
# Charts and tables need not be newer than this; seconds.
CALM = {'series': 2.0, 'frames': 2.0}
# Prometheus' text format.
METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
# Reasons for closing a WebSocket, RFC 6455 7.4.1.
POLICY, TRY_LATER = 1008, 1013


class Application:
    """
    The routes, and the pages that are open.

    Parameters
    ----------
    console : what there is to show and to take in
    access : who may connect
    locale : language of the pages, or 'auto'
    undo : seconds for which a confirmation can be undone

    """

    def __init__(self, console: Console, access: Access, locale: str, undo: float) -> None:
        self._console = console
        self._access = access
        self._locale = locale
        self._undo = undo
        self._pages: set[OpenPage] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        console.listen(self._changed)
        self.asgi = Guard(Starlette(routes=[
            Route('/', self._page('operator')),
            Route('/engineer', self._page('engineer')),
            Route('/login', self._login, methods=['POST']),
            Route('/static/{name}', self._static),
            Route('/picture', self._picture),
            Route('/metrics', self._metrics),
            WebSocketRoute('/socket', self._socket)]), access, console.steady, self._ask_token)

    def _changed(self, topic: str) -> None:
        """Pass a topic on, from any thread, to the loop that serves the pages."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._mark, topic)

    def _mark(self, topic: str) -> None:
        for opened in self._pages:
            opened.mark(topic)

    # -- plain requests -------------------------------------------------------------------------

    def _page(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            if 'token' in request.query_params:  # accepted: take it off the address line
                return self._welcome(request.url.path)
            return HTMLResponse(page(name, self._language(request)))
        return respond

    def _language(self, request: HTTPConnection) -> str:
        return choose_locale(self._locale, request.headers.get('accept-language', ''))

    def _ask_token(self, request: HTTPConnection, status: int) -> Response:
        if request.url.path in ('/', '/engineer', '/login'):
            return HTMLResponse(page('login', self._language(request)), status)
        return PlainTextResponse('a token is needed\n', status)

    def _welcome(self, path: str) -> Response:
        response = RedirectResponse(path, 303)
        if not self._access.is_open:
            response.set_cookie(COOKIE, self._access.cookie, max_age=30 * 86_400, httponly=True,
                                samesite='strict')
        return response

    async def _login(self, request: Request) -> Response:
        """Answer a request that the guard let through: it has checked the token."""
        return self._welcome('/')

    async def _static(self, request: Request) -> Response:
        found = static(request.path_params['name'])
        if found is None:
            return PlainTextResponse('not found\n', 404)
        return Response(found[0], media_type=found[1])

    async def _picture(self, request: Request) -> Response:
        query = request.query_params
        stamp = query.get('stamp', '')
        found = None
        if stamp.isascii() and stamp.isdigit() and len(stamp) < 20:
            key = FrameKey(Stamp(int(stamp)), query.get('frame_id', ''))
            found = await run_in_threadpool(self._console.picture, key)
        if found is None:
            return PlainTextResponse('not found\n', 404)
        return Response(found, media_type='image/jpeg')

    async def _metrics(self, request: Request) -> Response:
        text = await run_in_threadpool(self._console.metrics.text)
        # As a header of our own: old versions of starlette add a second charset to a media type.
        return Response(text, headers={'content-type': METRICS_TYPE})

    # -- the socket -----------------------------------------------------------------------------

    async def _socket(self, socket: WebSocket) -> None:
        await socket.accept()
        if len(self._pages) >= MOST_PAGES:
            await socket.close(TRY_LATER, f'{MOST_PAGES} pages are open already')
            return
        self._loop = asyncio.get_running_loop()
        view = socket.query_params.get('view', 'operator')
        opened = OpenPage(socket, self._console, view if view in VIEWS else 'operator')
        self._pages.add(opened)
        self._console.metrics.client(opened.view, 1)
        tasks = [asyncio.create_task(opened.receive()),
                 asyncio.create_task(opened.send_changes({'kind': 'hello', 'undo': self._undo}))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pages.discard(opened)
            self._console.metrics.client(opened.view, -1)
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                # A page that closed while it was sent to is no error; all else is.
                if isinstance(ended, Exception) and not _went(ended):
                    raise ended


def _went(error: Exception) -> bool:
    """Tell whether the page was closed; uvicorn has no class for that."""
    return isinstance(error, (WebSocketDisconnect, OSError)) or (
        isinstance(error, RuntimeError) and "after sending 'websocket.close'" in str(error))


class OpenPage:
    """One browser's page: what must still be sent to it, and what it sends."""

    def __init__(self, socket: WebSocket, console: Console, view: str) -> None:
        self.view = view
        self._socket = socket
        self._console = console
        self._range = '5m'
        self._dirty = set(VIEWS[view])
        self._wake = asyncio.Event()
        self._wake.set()
        self._sent_at: dict[str, float] = {}
        self._shown: FrameKey | None = None
        self._replies: list[dict[str, Any]] = []

    def mark(self, topic: str) -> None:
        """Note that a topic has changed."""
        if topic in VIEWS[self.view]:
            self._dirty.add(topic)
            self._wake.set()

    async def send_changes(self, greeting: dict[str, Any]) -> None:
        """Send the newest value of whatever has changed, for as long as the page is open."""
        await self._send(greeting)
        while True:
            await self._wake.wait()
            self._wake.clear()
            replies, self._replies = self._replies, []
            for reply in replies:
                await self._send(reply)
            now = self._console.steady()
            ready = {topic for topic in self._dirty
                     if now - self._sent_at.get(topic, 0.0) >= CALM.get(topic, 0.0)}
            later = self._dirty - ready
            self._dirty -= ready
            for topic in sorted(ready):
                self._sent_at[topic] = now
                await self._send_topic(topic)
            if later:
                wait = min(self._sent_at[topic] + CALM[topic] for topic in later) - now
                asyncio.get_running_loop().call_later(max(wait, 0.0), self._wake.set)

    async def _send_topic(self, topic: str) -> None:
        if topic == 'live':
            live = self._console.live()
            if live is not None:
                await self._socket.send_bytes(live)
            return
        if topic == 'desk':
            message, picture = self._console.desk()
            if picture is not None and picture.key != self._shown:
                await self._socket.send_bytes(picture.packed('request'))
            self._shown = None if picture is None else picture.key
            await self._send(message)
            return
        value = self._console.message(topic, self._range)
        if value is not None:
            await self._send(value)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(message, allow_nan=False))

    def _reply(self, message: dict[str, Any]) -> None:
        self._replies.append(message)
        self._wake.set()

    async def receive(self) -> None:
        """Take in what the page sends, until it is closed or breaks the rules."""
        rate = Rate(MESSAGES, BURST)
        with suppress(WebSocketDisconnect):
            while True:
                try:
                    text = await self._socket.receive_text()
                    if not rate.allows(self._console.steady()):
                        raise Refused('too many messages')
                    message = json.loads(text)
                    if not isinstance(message, dict):
                        raise Refused('a message must be an object')
                    await self._take(message)
                except (ValueError, KeyError) as error:
                    await self._socket.close(POLICY, str(error)[:120])
                    return

    async def _take(self, message: dict[str, Any]) -> None:
        kind = message.get('kind')
        nonce = message.get('nonce')
        if kind == 'answer':
            # Written to the disk first, in another thread: the disk may be slow, the loop may not.
            reply = {'kind': 'taken', 'nonce': nonce}
            try:
                await run_in_threadpool(self._console.take, message)
            except (Refused, OutboxError) as error:
                reply = {'kind': 'refused', 'nonce': nonce, 'why': str(error)}
            self._reply(reply)
        elif kind == 'undo':
            try:
                undone = await run_in_threadpool(self._console.take_back, str(nonce))
                self._reply({'kind': 'undone' if undone else 'too_late', 'nonce': nonce})
            except OutboxError as error:
                self._reply({'kind': 'too_late', 'nonce': nonce, 'why': str(error)})
        elif kind == 'range' and message.get('range') in RANGES:
            self._range = message['range']
            self._sent_at.pop('series', None)
            self.mark('series')
        elif kind == 'action':
            self._act(str(message.get('action')))
        else:
            raise Refused(f'kind {kind!r} is not known')

    def _act(self, action: str) -> None:
        loop = asyncio.get_running_loop()

        def respond(success: bool, text: str) -> None:
            reply = {'kind': 'acted', 'action': action, 'success': success, 'message': text}
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._reply, reply)
        self._console.act(action, respond)


class Guard:
    """
    Look at every request before the application sees it; put the safe headers on each response.

    Parameters
    ----------
    app : the application behind it
    access : the rules
    steady : seconds on a steady clock
    ask_token : writes the response that asks for a token

    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], access: Access,
                 steady: Callable[[], float],
                 ask_token: Callable[[HTTPConnection, int], Response]) -> None:
        self._app, self._access = app, access
        self._steady, self._ask_token = steady, ask_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope['type'] not in ('http', 'websocket'):
            await self._app(scope, receive, send)
            return

        async def send_safely(message: MutableMapping[str, Any]) -> None:
            if message['type'] == 'http.response.start':
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = await self._refusal(scope, receive)
        if refusal is None:
            await self._app(scope, receive, send_safely)
        elif scope['type'] == 'http':
            await refusal(scope, receive, send_safely)
        else:
            await receive()  # the request to connect
            await send({'type': 'websocket.close', 'code': POLICY})

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        request = HTTPConnection(scope)
        headers: Headers = request.headers
        if not self._access.knows_host(headers.get('host', '')):
            return PlainTextResponse('this name is not known here; use 127.0.0.1\n', 421)
        changes = scope['type'] == 'websocket' or scope['method'] not in ('GET', 'HEAD')
        if (changes or headers.get('sec-fetch-site') == 'cross-site') and not (
                self._access.same_origin(headers)):
            return PlainTextResponse('this request comes from another page\n', 403)
        address = request.client.host if request.client else ''
        now = self._steady()
        path = request.url.path
        if path.startswith('/static/') and path.endswith('.css'):
            return None  # the page that asks for the token needs it, too
        if self._access.admits(headers, request.cookies, address, now):
            return None
        shown = await self._shown_token(scope, request, receive)
        if shown and self._access.accepts(shown, address, now):
            return None
        blocked = self._access.is_blocked(address, now)
        return self._ask_token(request, 429 if blocked else 401)

    async def _shown_token(self, scope: Scope, request: HTTPConnection, receive: Receive) -> str:
        """Return a token from the address line or the form, or ''."""
        if scope['type'] != 'http':
            return ''
        if request.url.path != '/login':
            return request.query_params.get('token', '')
        body = b''
        while len(body) < 4096:
            message = await receive()
            body += message.get('body', b'')
            if not message.get('more_body'):
                break
        fields = parse_qs(body.decode('utf-8', 'replace'))
        return fields.get('token', [''])[0]
