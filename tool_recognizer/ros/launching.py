"""What the launch files share: numbers among their arguments, and ends that the status tells."""

from collections.abc import Coroutine
from collections.abc import Mapping
from typing import Any

from launch import Event
from launch import LaunchContext
from launch.event_handler import BaseEventHandler


class LaunchError(RuntimeError):
    """What ends a launch with status 1, in one line."""


class Failed(Event):
    """
    What a coroutine emits to end a launch with status 1.

    An exception out of the coroutine itself is at times not looked at by launch.
    """

    name = 'tool_recognizer.failed'

    def __init__(self, why: str) -> None:
        self.why = why


class OnFailure(BaseEventHandler):
    """The handler of ``Failed``."""

    def __init__(self) -> None:
        super().__init__(matcher=lambda event: isinstance(event, Failed))

    def handle(self, event: Failed, context: LaunchContext) -> None:
        """Raise what launch logs and ends with."""
        super().handle(event, context)
        raise LaunchError(event.why)


def go_on(context: LaunchContext, steps: Coroutine[Any, Any, None]) -> None:
    """
    Take steps while launch does what it does.

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
