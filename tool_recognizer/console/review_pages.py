"""The routes of the review: what was said, looked at again, corrected and exported."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
import json
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import PlainTextResponse
from starlette.responses import Response
from starlette.responses import StreamingResponse
from starlette.routing import Route
from tool_recognizer.console.connections import network
from tool_recognizer.console.outbox import OutboxError
from tool_recognizer.console.review import answers
from tool_recognizer.console.review import as_csv
from tool_recognizer.console.review import as_zip
from tool_recognizer.console.review import gallery
from tool_recognizer.console.review import is_of
from tool_recognizer.console.review import picture
from tool_recognizer.console.review import Query
from tool_recognizer.console.review import selected
from tool_recognizer.console.schema import is_stamp
from tool_recognizer.console.schema import Message
from tool_recognizer.console.schema import read
from tool_recognizer.console.schema import Refused
from tool_recognizer.console.state import Console
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.event_log.file import JournalError

# Lookups in the journal at once: each may hold thousands of its rows, and more would not be any
# faster.
AT_ONCE = 4
# Exports at once, one each visitor: each holds what it exports until its client has read it all,
# however slowly.
EXPORTS = 4


class ReviewPages:
    """
    See the module.

    Parameters
    ----------
    console : takes corrections in
    journal : the recognizer's, if it is known

    """

    def __init__(self, console: Console, journal: Path | None) -> None:
        self._console, self._journal = console, journal
        self._places = asyncio.Semaphore(AT_ONCE)
        self._exporting: set[str] = set()
        self.routes = [
            Route('/review/frames', self._frames),
            Route('/review/picture', self._picture),
            Route('/review/confirmations.csv', self._export(as_csv, 'text/csv; charset=utf-8')),
            Route('/review/confirmations.zip', self._export(as_zip, 'application/zip')),
            Route('/review/correct', self._correct, methods=['POST']),
            Route('/review/outcome', self._outcome),
            Route('/mine/answers', self._answers),
            Route('/mine/picture', self._picture),
            Route('/mine/correct', self._correct_own, methods=['POST']),
            Route('/mine/outcome', self._outcome)]

    async def _looked_up(self, look: Callable[..., Any], *what: Any) -> Any:
        """Look something up in the journal, in its turn; return or raise what that does."""
        async with self._places:
            return await run_in_threadpool(look, *what)

    async def _frames(self, request: Request) -> Response:
        visitor = request.scope['visitor']
        told: dict[str, Any] = {'person': visitor.name, 'role': visitor.role, 'journal': 'none'}
        begin = request.query_params.get('begin', '')
        if self._journal is not None:
            try:
                told |= {'journal': 'ok', **await self._looked_up(
                    gallery, self._journal, Query.read(request.query_params),
                    int(begin) if is_stamp(begin) else 0)}
            except JournalError:
                told['journal'] = 'unreadable'
        return JSONResponse(told)

    async def _picture(self, request: Request) -> Response:
        stamp = request.query_params.get('stamp', '')
        found = None
        if self._journal is not None and is_stamp(stamp):
            key = FrameKey(Stamp(int(stamp)), request.query_params.get('frame_id', ''))
            try:
                found = await run_in_threadpool(picture, self._journal, key)
            except JournalError:
                found = None
        return Response('' if found is None else found, 404 if found is None else 200,
                        media_type='image/jpeg')

    def _export(self, write: Callable[[Any], Any], kind: str) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Callable[..., Any]:
            if self._journal is None:
                return Response('', 404)
            visitor = request.scope['visitor'].name or network(
                request.client.host if request.client else '')
            if visitor in self._exporting or len(self._exporting) >= EXPORTS:
                self._console.metrics.refused('many_exports')
                return PlainTextResponse('an export of yours is under way, or several of others '
                                         'are: wait until one has ended\n', 429,
                                         {'retry-after': '60'})
            self._exporting.add(visitor)
            end = partial(self._exporting.discard, visitor)
            try:
                found = await self._looked_up(selected, self._journal,
                                              Query.read(request.query_params))
                content = await run_in_threadpool(write, found)
            except JournalError:
                end()
                return Response('', 404)
            except BaseException:
                end()
                raise
            make = Response if isinstance(content, str) else StreamingResponse
            return _Ending(make(content, headers={
                'content-type': kind, 'content-disposition': 'attachment'}), end)
        return respond

    async def _answers(self, request: Request) -> Response:
        """Tell an operator's own last confirmations; who has no name has none."""
        name = request.scope['visitor'].name or request.query_params.get('operator', '')
        told: dict[str, Any] = {'frames': [], 'labels': []}
        if self._journal is not None and name:
            with suppress(JournalError):
                told = await self._looked_up(answers, self._journal, name)
        return JSONResponse(told)

    async def _correct_own(self, request: Request) -> Response:
        """Take in a correction of one's own confirmation, unless somebody else corrected it."""
        try:
            message, number = _read(await request.body())
            name = request.scope['visitor'].name or message['operator'].strip()
            own = self._journal is not None and name != '' and await run_in_threadpool(
                is_of, self._journal, number, name)
        except Refused as error:
            return JSONResponse({'reason': error.reason, 'why': str(error)}, 400)
        except JournalError as error:
            return JSONResponse({'reason': 'journal', 'why': str(error)}, 503)
        if not own:
            return JSONResponse({'reason': 'person', 'why': 'it is not yours to correct'}, 403)
        if not message['label']:
            return JSONResponse({'reason': 'label', 'why': 'an engineer strikes out'}, 403)
        return await self._correct(request)

    async def _correct(self, request: Request) -> Response:
        try:
            message, number = _read(await request.body())
            await run_in_threadpool(self._console.correct, message, number,
                                    request.scope['visitor'].name)
        except Refused as error:
            return JSONResponse({'reason': error.reason, 'why': str(error)}, 400)
        except OutboxError as error:
            return JSONResponse({'reason': error.reason, 'why': str(error)}, 503)
        return JSONResponse({'taken': message['nonce']})

    async def _outcome(self, request: Request) -> Response:
        outcome = await run_in_threadpool(self._console.corrected,
                                          request.query_params.get('nonce', ''))
        return JSONResponse({'outcome': outcome})


class _Ending:
    """A response after which something is done, however it ends."""

    def __init__(self, response: Response, end: Callable[[], None]) -> None:
        self._response, self._end = response, end

    async def __call__(self, *connection: Any) -> None:
        try:
            await self._response(*connection)
        finally:
            self._end()


def _read(body: bytes) -> tuple[Message, int]:
    """Read a correction: a confirmation, and which one it is of."""
    text = body.decode('utf-8', 'replace')
    message = read(text)
    number = json.loads(text).get('of', '')
    if message.kind != 'answer' or not (isinstance(number, str) and is_stamp(number)
                                        and int(number)):
        raise Refused('of must be the number of a confirmation, in digits', None, 'of')
    return message, int(number)
