"""What the launch files share: how a launch ends with an exit status that says so."""

from collections.abc import Coroutine
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
