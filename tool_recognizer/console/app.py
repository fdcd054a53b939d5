"""
The web application: the pages, one WebSocket, one picture, the metrics.

The WebSocket carries everything that changes. Each page has one sender, which sends the newest
value of whatever has changed since it last sent. A page that does not read blocks its own sender
and no other.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.responses import JSONResponse
from starlette.responses import PlainTextResponse
from starlette.responses import RedirectResponse
from starlette.responses import Response
from starlette.routing import Route
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from starlette.websockets import WebSocketDisconnect
from starlette.websockets import WebSocketState
from tool_recognizer.console.access import Access
from tool_recognizer.console.access import Rate
from tool_recognizer.console.action import Respond
from tool_recognizer.console.candidates import Candidates
from tool_recognizer.console.deeds import read_deeds
from tool_recognizer.console.guard import Guard
from tool_recognizer.console.guard import has_gone
from tool_recognizer.console.guard import SOCKET
from tool_recognizer.console.line import Line
from tool_recognizer.console.line import UNNAMED
from tool_recognizer.console.model_pages import BACK
from tool_recognizer.console.model_pages import CHOOSE
from tool_recognizer.console.model_pages import ModelPages
from tool_recognizer.console.outbox import OutboxError
from tool_recognizer.console.pages import choose_locale
from tool_recognizer.console.pages import leads_to
from tool_recognizer.console.pages import page
from tool_recognizer.console.pages import static
from tool_recognizer.console.pages import words
from tool_recognizer.console.review_pages import ReviewPages
from tool_recognizer.console.rights import ADMIN
from tool_recognizer.console.rights import of_message
from tool_recognizer.console.rights import of_path
from tool_recognizer.console.rights import Visitor
from tool_recognizer.console.schema import is_stamp
from tool_recognizer.console.schema import Message
from tool_recognizer.console.schema import read
from tool_recognizer.console.schema import Refused
from tool_recognizer.console.schema import REGION
from tool_recognizer.console.state import Console
from tool_recognizer.console.state import TOPICS
from tool_recognizer.console.teach_pages import Teach
from tool_recognizer.console.teach_pages import TeachPages
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.event_log.file import JournalError

# What a person opens, and is answered with a page.
PAGES = ('/', '/engineer', '/login', '/logout', '/who', '/review', '/teach')
VIEWS = {'operator': ('desk',), 'engineer': tuple(topic for topic in TOPICS if topic != 'desk'),
         'teach': ('live', 'answer', 'status')}
# Open pages at most; messages of one page per second, and at once.
MOST_PAGES, MESSAGES, BURST = 64, 20.0, 60.0
# Replies that may wait for a page that reads slowly.
MOST_REPLIES = 500
# Charts and tables need not be newer than this; seconds.
CALM = {'series': 2.0, 'frames': 2.0}
# Prometheus' text format.
METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
# Reasons for closing a WebSocket, RFC 6455 7.4.1.
POLICY, TRY_LATER = 1008, 1013
# Ours, from the range that RFC 6455 7.4.2 leaves to applications: the login is over.
LOGGED_OUT = 4401
# Bytes of the text that goes with it.
LONGEST_REASON = 120


class Application:
    """
    The routes, and the pages that are open.

    Parameters
    ----------
    console : what there is to show and to take in
    access : who may connect
    locale : language of the pages, or 'auto'
    undo : seconds for which a confirmation can be undone
    failed : gets each fault of ours, which should not be
    line : what the pages are for
    journal : the recognizer's, if it is known
    candidates : the store of models, if it is known
    teach : what the page Teach works with, if that is known

    """

    def __init__(self, console: Console, access: Access, locale: str, undo: float,
                 failed: Callable[[Exception], None] = lambda error: None,
                 line: Line = UNNAMED, journal: Path | None = None,
                 candidates: Candidates | None = None, teach: Teach | None = None) -> None:
        self._console = console
        self._access = access
        self._locale = locale
        self._undo = undo
        self._line = line
        self._journal = journal
        self._models = ModelPages(console, journal, candidates)
        self._teach = teach
        self._pages: set[OpenPage] = set()
        # What operators say is written by a thread of its own: lookups, which may take all of the
        # others for long, do not hold it up.
        self._writer = ThreadPoolExecutor(1, 'confirmations')
        self._loop: asyncio.AbstractEventLoop | None = None
        console.listen(self._changed)
        self.routes = [
            Route('/', self._page('operator')),
            Route('/engineer', self._page('engineer')),
            Route('/login', self._welcome, methods=['POST']),
            Route('/logout', self._logout, methods=['POST']),
            Route('/who', self._page('who')),
            Route('/deeds', self._deeds),
            Route('/review', self._page('review')),
            *ReviewPages(console, journal).routes,
            *self._models.routes,
            Route('/teach', self._page('teach')),
            *TeachPages(console, teach, journal).routes,
            Route('/end', self._end, methods=['POST']),
            Route('/static/{name}', self._static),
            Route('/picture', self._picture),
            Route('/metrics', self._metrics),
            Route(SOCKET, self._no_socket),
            WebSocketRoute(SOCKET, self._socket)]
        self.asgi = Guard(Starlette(routes=self.routes), access, console.steady, self._refusal,
                          console.metrics.refused, failed)

    def close(self) -> None:
        """End what the pages have under way."""
        self._writer.shutdown()
        if self._teach is not None:
            self._teach.close()

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
                return await self._welcome(request)
            return HTMLResponse(page(name, self._language(request), line=self._line.title))
        return respond

    def _language(self, request: HTTPConnection) -> str:
        return choose_locale(self._locale, request.headers.get('accept-language', ''))

    def _refusal(self, request: HTTPConnection, status: int, told: str) -> Response:
        """Say why a request is refused: to a person on a page, to a program in a line."""
        if request.scope['path'] in PAGES and request.scope['type'] == 'http':
            form = 'login' if self._access.logins is None else 'sign_in'
            response: Response = HTMLResponse(page(
                form if status in (401, 429) else 'refused', self._language(request),
                '' if told in ('no_token', 'no_login') else told, self._line.title,
                leads_to(request.scope['path'], request.query_params)), status)
        else:
            response = PlainTextResponse(words('en')[told] + '\n', status)
        if status == 429:
            response.headers['retry-after'] = '60'
        if status in (413, 431):  # what else it brings is not read
            response.headers['connection'] = 'close'
        return response

    async def _welcome(self, request: Request) -> Response:
        """Lead whom the guard has let in to the wanted page, or to one that the role may see."""
        path = leads_to(request.scope['path'], request.query_params)
        sees = request.scope['visitor'].may(of_path(path))
        response = RedirectResponse(path if sees else '/', 303)
        entry = request.scope.get('entry')
        if entry is not None:
            # A proxy that speaks TLS for us says so; who lies about it only harms his own cookie.
            secure = 'https' in (request.scope['scheme'],
                                 request.headers.get('x-forwarded-proto', ''))
            response.set_cookie(self._access.cookie_name(request.headers), entry.cookie,
                                max_age=entry.seconds, httponly=True, samesite='strict',
                                secure=secure)
            if entry.visitor.name:
                self._console.record(entry.visitor.name, 'sign_in')
        return response

    async def _logout(self, request: Request) -> Response:
        """End the login that a request was made with, and the pages that were opened with it."""
        visitor: Visitor = request.scope['visitor']
        if self._access.logins is not None:
            self._access.logins.end(visitor.login)
            self._console.record(visitor.name, 'sign_out')
            self._wake()
        response = RedirectResponse('/', 303)
        response.delete_cookie(self._access.cookie_name(request.headers))
        return response

    async def _end(self, request: Request) -> Response:
        """End all logins of a person."""
        name = parse_qs((await request.body()).decode('utf-8', 'replace')).get('name', [''])[0]
        if self._access.logins is not None and self._access.logins.end_all(name):
            self._console.record(request.scope['visitor'].name, 'end_logins', why=name)
            self._wake()
        return JSONResponse({})

    async def _deeds(self, request: Request) -> Response:
        """Tell who did what, before an event; and to an admin, who has logged in."""
        visitor: Visitor = request.scope['visitor']
        before = request.query_params.get('before', '0')
        deeds: list[dict[str, Any]] = []
        more, journal = 0, 'none'
        if self._journal is not None:
            try:
                deeds, more = await run_in_threadpool(
                    read_deeds, self._journal, int(before) if is_stamp(before) else 0)
                journal = 'ok'
            except JournalError:  # the thread that follows it logs why
                journal = 'unreadable'
        logins = self._access.logins if visitor.may(ADMIN) else None
        return JSONResponse({
            'person': visitor.name, 'role': visitor.role, 'deeds': deeds, 'more': more,
            'journal': journal,
            'inside': None if logins is None else logins.names(self._console.steady())})

    def _wake(self) -> None:
        """Let each page see whether its login lasts."""
        for opened in self._pages:
            opened.wake()

    async def _no_socket(self, request: Request) -> Response:
        """Answer what is no opening handshake, or not one of a browser."""
        self._console.metrics.refused('no_handshake')
        response = self._refusal(request, 426, 'no_handshake')
        response.headers['upgrade'] = 'websocket'
        return response

    async def _static(self, request: Request) -> Response:
        found = static(request.path_params['name'])
        if found is None:
            return PlainTextResponse('not found\n', 404)
        return Response(found[0], media_type=found[1])

    async def _picture(self, request: Request) -> Response:
        query = request.query_params
        stamp = query.get('stamp', '')
        found = None
        if is_stamp(stamp):
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
            self._console.metrics.refused('full')
            await socket.close(TRY_LATER, f'{MOST_PAGES} pages are open already')
            return
        self._loop = asyncio.get_running_loop()
        view = socket.query_params.get('view', 'operator')
        opened = OpenPage(socket, self._console, view if view in VIEWS else 'operator',
                          self._access, self._models, self._writer)
        self._pages.add(opened)
        self._console.metrics.client(opened.view, 1)
        tasks = [asyncio.create_task(opened.receive()),
                 asyncio.create_task(opened.send_changes({
                     'kind': 'hello', 'undo': self._undo, 'recognizer': self._line.recognizer,
                     'domain': self._line.domain, 'asks': not self._access.is_open,
                     **opened.known}))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pages.discard(opened)
            self._console.metrics.client(opened.view, -1)
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                # A page that closed while it was sent to is no error; all else is.
                if isinstance(ended, Exception) and not has_gone(ended):
                    raise ended


class OpenPage:
    """One browser's page: what must still be sent to it, and what it sends."""

    def __init__(self, socket: WebSocket, console: Console, view: str, access: Access,
                 models: ModelPages, writer: ThreadPoolExecutor) -> None:
        self.view = view
        self._access, self._models = access, models
        self._writer = writer
        self._in_work: set[asyncio.Task[None]] = set()
        self._visitor: Visitor = socket.scope['visitor']
        self._socket = socket
        self._console = console
        self._range = '5m'
        self._dirty = set(VIEWS[view])
        self._wake = asyncio.Event()
        self._wake.set()
        self._sent_at: dict[str, float] = {}
        self._shown: FrameKey | None = None
        self._replies: list[dict[str, Any]] = []

    @property
    def known(self) -> dict[str, str]:
        """Return who has opened it, for the page itself."""
        return {'person': self._visitor.name, 'role': self._visitor.role}

    @property
    def _is_over(self) -> bool:
        """Whether the login that it was opened with has ended."""
        logins, login = self._access.logins, self._visitor.login
        return logins is not None and logins.still(login, self._console.steady()) is None

    async def _leave(self) -> None:
        await self._socket.close(LOGGED_OUT, 'the login is over')

    def wake(self) -> None:
        """Let it see whether there is anything to do."""
        self._wake.set()

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
            if self._is_over:
                await self._leave()
                return
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
                await self._put(self._socket.send_bytes, live)
            return
        if topic == 'desk':
            message, picture = self._console.desk()
            if picture is not None and picture.key != self._shown:
                await self._put(self._socket.send_bytes, picture.packed('request'))
            self._shown = None if picture is None else picture.key
            await self._send(message)
            return
        if (value := self._console.message(topic, self._range)) is not None:
            await self._send(value)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._put(self._socket.send_text, json.dumps(message, allow_nan=False))

    async def _put(self, send: Callable[[Any], Awaitable[None]], data: str | bytes) -> None:
        """Send, unless the other task has just closed the page for what it sent."""
        if self._socket.application_state is WebSocketState.CONNECTED:
            await send(data)

    def _reply(self, message: dict[str, Any]) -> None:
        self._replies.append(message)
        self._wake.set()

    async def receive(self) -> None:
        """Take in what the page sends, until it is closed or breaks the rules."""
        rate = Rate(MESSAGES, BURST)
        with suppress(WebSocketDisconnect):
            while True:
                message = await self._socket.receive()
                if message['type'] == 'websocket.disconnect':
                    return
                try:
                    if not rate.allows(self._console.steady()):
                        raise Refused('too many messages: at most '
                                      f'{MESSAGES:.0f} a second; try again in a moment')
                    if len(self._replies) >= MOST_REPLIES:
                        raise Refused('it does not read what is replied to it')
                    if self._is_over:
                        await self._leave()
                        return
                    text = message.get('text')
                    await self._take(read(message['bytes'] if text is None else text))
                except Refused as error:
                    self._console.metrics.refused('message')
                    if error.nonce is not None:
                        self._reply({'kind': 'refused', 'nonce': error.nonce,
                                     'reason': error.reason, 'why': str(error)})
                        continue
                    why = str(error).encode('ascii', 'backslashreplace')[:LONGEST_REASON].decode()
                    await self._socket.close(POLICY, why)
                    return

    async def _written(self, write: Callable[..., Any], *what: Any) -> Any:
        """Have something written by the thread for that; return or raise what it does."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, write, *what)

    async def _take(self, message: Message) -> None:
        if not self._visitor.may(of_message(message.kind)):
            self._console.metrics.refused('forbidden')
            self._reply({'kind': 'forbidden', 'action': message.fields.get('action', '')})
            return
        if message.kind == 'answer':
            # Written to the disk first, in another thread: the disk may be slow, the loop may not.
            nonce = message['nonce']
            try:
                await self._written(self._console.take, message, self._visitor.name)
            except OutboxError as error:
                raise Refused(str(error), nonce, error.reason) from None
            self._reply({'kind': 'taken', 'nonce': nonce})
        elif message.kind == 'undo':
            nonce = message['nonce']
            try:
                undone = await self._written(self._console.take_back, nonce, self._visitor.name)
                self._reply({'kind': 'undone' if undone else 'too_late', 'nonce': nonce})
            except OutboxError as error:
                self._reply({'kind': 'too_late', 'nonce': nonce, 'why': str(error)})
        elif message.kind == 'range':
            self._range = message['range']
            self._sent_at.pop('series', None)
            self.mark('series')
        elif message.kind == 'region':
            self._act('set_region', {f'region.{name}': float(message[name]) for name in REGION})
        elif message.kind in ('choose', 'back'):
            # It may take long, and the page says other things meanwhile.
            name = self._visitor.name
            task = asyncio.create_task(
                self._models.choose(message['version'], name, self._telling(CHOOSE))
                if message.kind == 'choose' else
                self._models.go_back(message['version'], name, self._telling(BACK)))
            self._in_work.add(task)
            task.add_done_callback(self._in_work.discard)
        else:
            self._act(message['action'], {})

    def _act(self, action: str, values: dict[str, float]) -> None:
        person, tell = self._visitor.name, self._telling(action)
        self._console.record(person, action, 'asked', ', '.join(
            f'{name} {value:g}' for name, value in values.items()))

        def respond(success: bool, text: str, *more: Any) -> None:
            self._console.record(person, action, 'done' if success else 'failed', text)
            tell(success, text, *more)
        self._console.act(action, respond, values)

    def _telling(self, action: str) -> Respond:
        """Return what tells the page, from any thread, what became of an action."""
        loop = asyncio.get_running_loop()

        def tell(success: bool, text: str, reason: str = '', named: Any = None) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._reply, {
                    'kind': 'acted', 'action': action, 'success': success, 'message': text,
                    'reason': reason, 'named': named or {}})
        return tell
