"""The routes of the list of models, and how one of them is put in charge."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response
from starlette.routing import Route
from tool_recognizer.console.action import Respond
from tool_recognizer.console.candidates import Candidates
from tool_recognizer.console.models import known_models
from tool_recognizer.console.state import Console
from tool_recognizer.console.teaching import TeachError

# What both are called in the journal, and who does it where nobody is asked for a name.
CHOOSE, BACK, NOBODY = 'choose_model', 'teach_back', 'console'


class ModelPages:
    """
    See the module.

    Parameters
    ----------
    console : has noted who did what
    journal, candidates : of the line, as far as they are known

    """

    def __init__(self, console: Console, journal: Path | None, candidates: Candidates | None
                 ) -> None:
        self._console, self._journal, self._candidates = console, journal, candidates
        self.routes = [Route('/models', self._models)]

    async def _models(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._known))

    def _known(self) -> dict[str, Any]:
        if self._candidates is None:
            return {**known_models(self._journal, None), 'before': None}
        return {**known_models(self._journal, self._candidates.store),
                'before': self._candidates.before()}

    async def choose(self, version: str, person: str, respond: Respond) -> None:
        """
        Put a version in charge, see ``Candidates``.

        Parameters
        ----------
        version : its name
        person : who wants it
        respond : gets what became of it

        """
        await self._change(CHOOSE, person, version, lambda candidates: candidates.put_in_charge(
            version, person or NOBODY), respond)

    async def go_back(self, version: str, person: str, respond: Respond) -> None:
        """Put in charge what was before, see ``Candidates``; the rest as of ``choose``."""
        def act(candidates: Candidates) -> str:
            candidates.go_back(person or NOBODY, version)
            return ''
        await self._change(BACK, person, version, act, respond)

    async def _change(self, action: str, person: str, wanted: str,
                      act: Callable[[Candidates], str], respond: Respond) -> None:
        self._console.record(person, action, 'asked', wanted)
        reason, named = '', dict[str, str]()
        try:
            if self._candidates is None:
                raise TeachError('other', 'the console knows no store of models: set its '
                                 'parameter models.path')
            done, text = True, await run_in_threadpool(act, self._candidates)
        except TeachError as error:
            done, text, reason, named = False, str(error), error.reason, error.named
        self._console.record(person, action, 'done' if done else 'failed', text)
        respond(done, text, reason, named)
