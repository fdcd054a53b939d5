"""
The recognizer's services, as the console calls them.

A recognizer that ends while it is asked something never responds, and the middleware says nothing
of that. So whoever has asked is told after a while that nobody knows what became of it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger
from tool_recognizer.console.action import ABSENT
from tool_recognizer.console.action import Action
from tool_recognizer.console.action import LOST
from tool_recognizer.console.schema import ACTIONS

# Seconds until a service of a recognizer that runs is found; without it, after which a recognizer
# that was asked something counts as gone; that a response may take; and that it may take where
# models are loaded, each of which may be checked for a minute.
DISCOVERY, GONE, RESPONSE, LOADED = 3.0, 5.0, 60.0, 180.0
LOADING = frozenset({'reload_model', 'promote_shadow'})


@dataclass
class _Call:
    """An action that was called, when, and when its service was there last; steady seconds."""

    action: Action
    client: Any
    future: Any
    since: float
    seen: float


class Actions:
    """
    See the module.

    Parameters
    ----------
    node : that calls them
    recognizer : name of the recognizer's node
    steady : seconds on a clock that only goes forward

    """

    def __init__(self, node: Node, recognizer: str, steady: Callable[[], float] = monotonic
                 ) -> None:
        self._steady = steady
        self._triggers = {name: node.create_client(Trigger, f'{recognizer}/{name}')
                          for name in ACTIONS}
        self._parameters = node.create_client(
            SetParametersAtomically, f'{recognizer}/set_parameters_atomically')
        self._due: deque[tuple[Action, float]] = deque()
        self._called: list[_Call] = []

    def add(self, action: Action) -> None:
        """Have an action done, after those that were added before."""
        self._due.append((action, self._steady()))

    def check(self) -> None:
        """Call what can be called by now, and give up what nobody will respond to."""
        while self._due and self._is_called(*self._due[0]):
            self._due.popleft()
        self._called = [call for call in self._called if self._is_awaited(call)]

    def _is_called(self, action: Action, since: float) -> bool:
        """Call its service, or give it up; or return False: it may be found in a moment."""
        client = self._parameters if action.values else self._triggers[action.name]
        now = self._steady()
        if not client.service_is_ready():
            if now - since < DISCOVERY:
                return False
            action.respond(False, f'no service {client.service_name}: is the recognizer '
                           'configured?', ABSENT)
            return True
        if action.values:
            future = client.call_async(SetParametersAtomically.Request(parameters=[
                Parameter(name, value=value).to_parameter_msg()
                for name, value in action.values.items()]))
            future.add_done_callback(lambda done: action.respond(
                done.result().result.successful, done.result().result.reason))
        else:
            future = client.call_async(Trigger.Request())
            future.add_done_callback(lambda done: action.respond(
                done.result().success, done.result().message))
        self._called.append(_Call(action, client, future, now, now))
        return True

    def _is_awaited(self, call: _Call) -> bool:
        """Return whether a response may still come; if not and none came, say so."""
        if call.future.done():
            return False
        now = self._steady()
        if call.client.service_is_ready():
            call.seen = now
        longest = LOADED if call.action.name in LOADING else RESPONSE
        if now - call.seen < GONE and now - call.since < longest:
            return True
        call.client.remove_pending_request(call.future)  # one that comes later is not heard
        call.action.respond(False, f'{call.client.service_name} has not responded within '
                            f'{now - call.since:.0f} s', LOST)
        return False
