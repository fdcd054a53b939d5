"""The routes of the list of models, and how one of them is put in charge."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response
from starlette.routing import Route
from tool_recognizer.console.models import known_models
from tool_recognizer.console.schema import Refused
from tool_recognizer.console.state import Console
from tool_recognizer.model.store import ModelStore
from tool_recognizer.model.store import StoreError

# What it is called in the journal, and who does it where nobody is asked for a name.
CHOOSE, NOBODY = 'choose_model', 'console'


class ModelPages:
    """
    See the module.

    Parameters
    ----------
    console : passes on what is to be done
    journal, store : of the line, as far as they are known

    """

    def __init__(self, console: Console, journal: Path | None, store: ModelStore | None) -> None:
        self._console, self._journal, self._store = console, journal, store
        self.routes = [Route('/models', self._models)]

    async def _models(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(known_models, self._journal, self._store))

    async def choose(self, version: str, person: str, respond: Callable[[bool, str], None]
                     ) -> None:
        """
        Put a version in charge: first in the store, then in the recognizer.

        If the recognizer refuses, or has another model in charge then, the store is as it was.

        Parameters
        ----------
        version : its name
        person : who wants it
        respond : gets whether it was done, and what there is to say about it

        """
        self._console.record(person, CHOOSE, 'asked', version)
        by = person or NOBODY
        try:
            before, digest = await run_in_threadpool(self._choose, version, by)
            done, text = await self._reload()
            if done and digest not in text:
                done, text = False, (
                    f'{text}, and not version {version}: the parameter model_path of the '
                    'recognizer goes before its models.path, or that is another store')
            if not done and before != version:
                await run_in_threadpool(self._store_known().go_back, by)
        except (StoreError, Refused) as error:
            done, text = False, str(error)
        self._console.record(person, CHOOSE, 'done' if done else 'failed', text)
        respond(done, text)

    def _choose(self, version: str, by: str) -> tuple[str, str]:
        """Return the version that was to be in charge before, and the digest of this one."""
        store = self._store_known()
        return store.in_charge(), store.choose(version, by).digest

    def _store_known(self) -> ModelStore:
        if self._store is None:
            raise StoreError('the console knows no store of models: set its parameter models.path')
        return self._store

    async def _reload(self) -> tuple[bool, str]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[bool, str]] = loop.create_future()

        def respond(success: bool, text: str) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(answer.set_result, (success, text))
        self._console.act('reload_model', respond)
        return await answer
