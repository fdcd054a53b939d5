"""What the launch files share: numeric arguments, and ends that the exit status shows."""

from collections.abc import Coroutine
from collections.abc import Mapping
from typing import Any

from launch import Event
from launch import LaunchContext
from launch.event_handler import BaseEventHandler


class LaunchError(RuntimeError):
    """Ends a launch with status 1 and this one line."""


class Failed(Event):
    """
    What a coroutine emits to end a launch with status 1.

    launch does not always handle an exception that the coroutine itself raises.
    """

    name = 'tool_recognizer.failed'

    def __init__(self, why: str) -> None:
        self.why = why


class OnFailure(BaseEventHandler):
    """The handler of ``Failed``."""

    def __init__(self) -> None:
        super().__init__(matcher=lambda event: isinstance(event, Failed))

    def handle(self, event: Failed, context: LaunchContext) -> None:
        """Raise the error that launch logs and ends with."""
        super().handle(event, context)
        raise LaunchError(event.why)


def go_on(context: LaunchContext, steps: Coroutine[Any, Any, None]) -> None:
    """
    Run a coroutine beside the launch.

    An OpaqueCoroutine would be cancelled by Ctrl-C, and launch then ends at once and leaves its
    processes behind.
    """
    context.add_completion_future(context.asyncio_loop.create_task(steps))


def number(arguments: Mapping[str, str], name: str) -> float:
    """Return an argument that is a number, or raise LaunchError."""
    try:
        return float(arguments[name])
    except ValueError:
        raise LaunchError(f'{name}:={arguments[name]} is no number') from None


def whole_number(arguments: Mapping[str, str], name: str) -> int:
    """Return an argument that is a whole number from 0 on, or raise LaunchError."""
    if not arguments[name].isdecimal():
        raise LaunchError(f'{name}:={arguments[name]} is no whole number from 0 on')
    return int(arguments[name])
