"""The routes of the page ``Teach``: collect, train, try beside, put in charge, go back."""

from collections.abc import Awaitable
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response
from starlette.routing import Route
from tool_recognizer.console.candidates import Candidates
from tool_recognizer.console.review import picture
from tool_recognizer.console.schema import is_stamp
from tool_recognizer.console.state import Console
from tool_recognizer.console.teaching import TeachError
from tool_recognizer.console.teaching import Teaching
from tool_recognizer.console.trainer import Trainer
from tool_recognizer.core.admission import LONGEST
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.text import hidden
from tool_recognizer.event_log.file import JournalError

# Statuses of RFC 9110, 15.5: what was asked for cannot be, or conflicts with what others do.
WRONG, CONFLICT = 400, 409
CONFLICTS = ('others', 'training', 'elsewhere', 'changing', 'gone_back')


@dataclass(frozen=True)
class Teach:
    """
    What teaching is made of.

    Attributes
    ----------
    teaching, trainer, candidates : the parts
    against : returns the file of the model in charge, with which a new one is compared; raises
        TeachError if it is not known

    """

    teaching: Teaching
    trainer: Trainer
    candidates: Candidates
    against: Callable[[], Path]

    def close(self) -> None:
        """End what is under way; what was collected stays."""
        self.trainer.close()
        self.teaching.close()


class TeachPages:
    """
    See the module.

    Parameters
    ----------
    console : has noted who did what
    teach : the parts; None: the console does not know where to collect
    journal : the recognizer's, if it is known

    """

    def __init__(self, console: Console, teach: Teach | None, journal: Path | None) -> None:
        self._console, self._teach, self._journal = console, teach, journal
        self.routes = [
            Route('/teach/state', self._answer(self._state)),
            Route('/teach/photographs', self._answer(self._photographs)),
            Route('/teach/photograph', self._photograph),
            Route('/teach/report', self._report),
            *(Route(f'/teach/{name}', self._change(act), methods=['POST'])
              for name, act in (
                  ('collect', self._collect), ('picture', self._take_picture),
                  ('delete', self._delete), ('relabel', self._relabel), ('train', self._train),
                  ('cancel', self._cancel), ('beside', self._beside), ('charge', self._charge),
                  ('back', self._back)))]

    def _answer(self, read: Callable[[Teach, Any, str], dict[str, Any]]
                ) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            visitor = request.scope['visitor']
            told = {'person': visitor.name, 'role': visitor.role, 'journal': bool(self._journal)}
            if self._teach is None:
                return JSONResponse({**told, 'off': True})
            try:
                return JSONResponse({**told, **await run_in_threadpool(
                    read, self._teach, request.query_params, visitor.name)})
            except TeachError as error:
                return _refused(error)
        return respond

    def _change(self, act: Callable[[Teach, Any, str], dict[str, Any]]
                ) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            try:
                fields = _fields(await request.body())
                person = request.scope['visitor'].name or fields.get('person', '').strip()
                if person:
                    _check_person(person)
                if self._teach is None:
                    raise TeachError('off', 'the console does not know where to collect')
                return JSONResponse(await run_in_threadpool(act, self._teach, fields, person))
            except TeachError as error:
                return _refused(error)
        return respond

    def _state(self, teach: Teach, query: Any, person: str) -> dict[str, Any]:
        page = query.get('page', '')
        teach.teaching.renew(page)
        return {**teach.teaching.state(page), 'training': teach.trainer.state(),
                'store': teach.candidates.state()}

    # -- collecting -----------------------------------------------------------------------------

    def _collect(self, teach: Teach, fields: dict[str, str], person: str) -> dict[str, Any]:
        mode = fields.get('mode', '')
        if mode not in ('one', 'auto', 'stop'):
            raise TeachError('other', "mode must be 'one', 'auto' or 'stop'")
        return teach.teaching.collect(mode, fields.get('label', ''), person,
                                      fields.get('page', ''))

    def _take_picture(self, teach: Teach, fields: dict[str, str], person: str) -> dict[str, Any]:
        stamp, found = fields.get('stamp', ''), None
        if self._journal is not None and is_stamp(stamp):
            key = FrameKey(Stamp(int(stamp)), fields.get('frame_id', ''))
            with suppress(JournalError):
                found = picture(self._journal, key)
        if found is None:
            raise TeachError('gone', 'the journal has no such picture any more')
        return teach.teaching.take_picture(fields.get('label', ''), key, found)

    def _photographs(self, teach: Teach, query: Any, person: str) -> dict[str, Any]:
        begin = query.get('begin', '')
        return teach.teaching.photographs(query.get('label', ''),
                                          int(begin) if is_stamp(begin) else 0)

    async def _photograph(self, request: Request) -> Response:
        query = request.query_params
        return await self._file(lambda teach: teach.teaching.picture(
            query.get('label', ''), query.get('name', '')), 'image/jpeg')

    def _delete(self, teach: Teach, fields: dict[str, str], person: str) -> dict[str, Any]:
        label, name = fields.get('label', ''), fields.get('name', '')
        teach.teaching.delete(label, name)
        self._console.record(person, 'teach_delete', why=f'{label} {name}')
        return {}

    def _relabel(self, teach: Teach, fields: dict[str, str], person: str) -> dict[str, Any]:
        label, name, to = (fields.get(field, '') for field in ('label', 'name', 'to'))
        teach.teaching.relabel(label, name, to)
        self._console.record(person, 'teach_relabel', why=f'{label} {name}: {to}')
        return {}

    # -- training -------------------------------------------------------------------------------

    def _train(self, teach: Teach, fields: dict[str, str], person: str) -> dict[str, Any]:
        _check_person(person)
        data = [teach.teaching.path] if teach.teaching.has_photographs() else []
        if fields.get('journal') == 'yes' and self._journal is not None:
            data.append(self._journal)
        if not data:
            raise TeachError('two', 'there is nothing to train on')
        journal = self._journal
        teach.trainer.start(
            person, data, teach.against(),
            None if journal is None or journal in data or not journal.exists() else journal)
        self._console.record(person, 'teach_train')
        return {}

    def _cancel(self, teach: Teach, fields: dict[str, str], person: str) -> dict[str, Any]:
        is_running = teach.trainer.state()['state'] == 'running'
        teach.trainer.cancel()
        if is_running:
            self._console.record(person, 'teach_cancel')
        return {}

    # -- using ----------------------------------------------------------------------------------

    def _beside(self, teach: Teach, fields: dict[str, str], person: str) -> dict[str, Any]:
        return self._noted('teach_beside', person, fields.get('version', ''),
                           lambda name: teach.candidates.try_beside(name))

    def _charge(self, teach: Teach, fields: dict[str, str], person: str) -> dict[str, Any]:
        return self._noted('teach_charge', person, fields.get('version', ''),
                           lambda name: teach.candidates.put_in_charge(name, person))

    def _back(self, teach: Teach, fields: dict[str, str], person: str) -> dict[str, Any]:
        return self._noted('teach_back', person, fields.get('version', ''),
                           lambda name: teach.candidates.go_back(person, name))

    def _noted(self, action: str, person: str, version: str, act: Callable[[str], object]
               ) -> dict[str, Any]:
        """Do what changes the recognizer, and have it noted in the journal."""
        _check_person(person)
        self._console.record(person, action, 'asked', version)
        try:
            act(version)
        except TeachError as error:
            self._console.record(person, action, 'failed', str(error))
            raise
        self._console.record(person, action)
        return {}

    async def _report(self, request: Request) -> Response:
        version = request.query_params.get('version', '')
        response = await self._file(lambda teach: teach.candidates.report(version), 'text/html')
        # A page of its own, with styles of its own, which the console's pages may not have.
        response.headers['content-disposition'] = 'attachment; filename="report.html"'
        return response

    async def _file(self, read: Callable[[Teach], bytes], kind: str) -> Response:
        found = None
        if self._teach is not None:
            with suppress(TeachError):
                found = await run_in_threadpool(read, self._teach)
        return Response('' if found is None else found, 404 if found is None else 200,
                        media_type=kind)


def _fields(body: bytes) -> dict[str, str]:
    """Read what a page sends: texts by their names."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise TeachError('other', 'a request must be an object of texts')
    return found


def _check_person(person: str) -> None:
    if not person or len(person) > LONGEST['operator'] or hidden(person):
        raise TeachError('person', f'say who does it, in at most {LONGEST["operator"]} visible '
                         'characters')


def _refused(error: TeachError) -> Response:
    return JSONResponse({'reason': error.reason, 'why': str(error), 'named': error.named},
                        CONFLICT if error.reason in CONFLICTS else WRONG)
