"""
One guard around all that a node runs: no exception of a callback ends its process.

What a callback, the reading of a message or a thread raises is counted and logged at most once a
second, and the node goes on. A service's caller gets a response all the same. A process ends when
a callback raises ``Finished``, by a signal, or when ROS itself cannot wait for messages any more.
"""

from collections.abc import Awaitable
from collections.abc import Callable
from functools import partial
import threading
from threading import Lock
from time import monotonic
from time import sleep
from traceback import format_exception
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import await_or_execute
from rclpy.executors import ExternalShutdownException
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.service import Service
from tool_recognizer.core.text import printable
from tool_recognizer.core.text import Said
from tool_recognizer.core.text import told
from tool_recognizer.ros.endings import Finished

ENDS = (Finished, ExternalShutdownException)
# Seconds between two lines in the log; for which an error is spoken of.
SAID_EVERY, RECENT = 1.0, 60.0
# Failures to wait for messages, one right after the other, after which it is no use.
MOST_FAILURES = 20


class Errors:
    """
    What callbacks and threads of this process raised.

    Attributes
    ----------
    count : how many exceptions
    last : where, what and why, of the last one; '' if there was none
    logger : that tells of them

    """

    def __init__(self) -> None:
        self.count, self.last = 0, ''
        self.logger: Any = get_logger('tool_recognizer')
        self._at = self._said_at = float('-inf')
        self._said = 0
        self._lock = Lock()

    def note(self, where: str, error: BaseException) -> None:
        """Count an exception, and log it unless another one was logged just now; never raises."""
        with self._lock:
            self.count += 1
            self.last, self._at = f'{where}: {told(error)}', monotonic()
            if self._at - self._said_at < SAID_EVERY:
                return
            more, self._said = self.count - self._said - 1, self.count
            self._said_at = self._at
        self.logger.error(self.last + (f'; and {more} more since the line before' if more else ''))
        self.logger.debug(printable(''.join(format_exception(error))))

    def note_thread(self, ended: Any) -> None:
        """Count the exception that ended a thread: a ``threading.excepthook``."""
        if ended.exc_type is not SystemExit:
            self.note(f'thread {ended.thread.name if ended.thread else ""}', ended.exc_value)

    def values(self) -> dict[str, object]:
        """Return what there is to say in the diagnostics."""
        return {'callback_errors': self.count, 'last_callback_error': self.last}

    def trouble(self) -> Said:
        """Say what failed in the last minute; '' if nothing did."""
        if monotonic() - self._at >= RECENT:
            return Said()
        return Said(f'a callback failed, {self.count} times since the start: {self.last}',
                    'callback_failed')


ERRORS = Errors()


def watch_threads() -> None:
    """From now on, count what ends a thread."""
    threading.excepthook = ERRORS.note_thread


class WaitingFailures:
    """
    Failures to wait for messages, one right after the other.

    Parameters
    ----------
    where : who waits

    """

    def __init__(self, where: str) -> None:
        self._where, self._count = where, 0

    def clear(self) -> None:
        """Go on after waiting went well."""
        self._count = 0

    def add(self, error: Exception) -> None:
        """
        Count a failure, and pause the longer the more there were.

        Raises
        ------
        Finished
            There were so many that it is no use.

        """
        ERRORS.note(self._where, error)
        self._count += 1
        if self._count > MOST_FAILURES:
            raise Finished(1, f'ROS cannot wait for messages any more: {told(error)}') from error
        sleep(min(0.001 * 2 ** self._count, 0.5))


class GuardedExecutor(SingleThreadedExecutor):
    """
    An executor that goes on after whatever it runs raises; see the module.

    Parameters
    ----------
    context : as in rclpy

    Raises
    ------
    Finished
        From ``spin_once``: a callback raised it, or waiting has failed again and again.

    """

    def __init__(self, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._failures = WaitingFailures('executor')

    def wait_for_ready_callbacks(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for work."""
        ready: Any = super().wait_for_ready_callbacks(*args, **kwargs)
        self._failures.clear()
        return ready

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for one callback, and run it."""
        try:
            super().spin_once(timeout_sec)
        except ENDS:
            raise
        except Exception as error:
            if not self.context.ok():
                return
            self._failures.add(error)

    def _make_handler(self, entity: Any, node: Any, take_from_wait_list: Any) -> Any:
        # rclpy takes a message before the part that it guards itself: an entity whose message
        # cannot be taken would stay busy for ever, and with it all others of its callback group.
        def take(entity: Any) -> Any:
            try:
                call = take_from_wait_list(
                    _Answering(entity, self._note) if isinstance(entity, Service) else entity)
            except Exception as error:
                self._note(entity, error)
                return None
            return call and partial(self._run, entity, call)
        return super()._make_handler(entity, node, take)

    async def _run(self, entity: Any, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except ENDS:
            raise
        except Exception as error:
            self._note(entity, error)

    def _note(self, entity: Any, error: Exception) -> None:
        if self.context.ok():  # or else a signal came in the middle of it
            ERRORS.note(_named(entity), error)


class _Answering:
    """A service, as the executor sees it, that responds whatever its callback raises."""

    def __init__(self, service: Any, note: Callable[[Any, Exception], None]) -> None:
        self.handle, self.srv_type = service.handle, service.srv_type
        self._service, self._note = service, note

    async def callback(self, request: Any, response: Any) -> Any:
        try:
            return await await_or_execute(self._service.callback, request, response)
        except ENDS:
            raise
        except Exception as error:
            self._note(self._service, error)
            return self._refusal(request, error)

    def send_response(self, response: Any, header: Any) -> None:
        try:
            self._service.send_response(response, header)
        except InvalidHandle:
            pass  # the service is gone, and with it whoever it could respond to
        except Exception as error:  # the response cannot be sent
            self._note(self._service, error)
            self._service.send_response(self._refusal(None, error), header)

    def _refusal(self, request: Any, error: Exception) -> Any:
        response, why = self.srv_type.Response(), f'failed: {told(error)}'
        result = SetParametersResult(successful=False, reason=why)
        if self.srv_type is SetParameters:
            response.results = [result] * len(request.parameters if request else ())
        elif self.srv_type is SetParametersAtomically:
            response.result = result
        elif hasattr(response, 'message'):
            response.message = why
        return response


def _named(entity: Any) -> str:
    """Return what an entity is called in the log."""
    name = ''
    for attribute in ('topic_name', 'service_name'):
        try:
            name = name or getattr(entity, attribute, '')
        except InvalidHandle:
            name = 'that is gone'
    return f'{type(entity).__name__.lower()} {name}'.strip()
