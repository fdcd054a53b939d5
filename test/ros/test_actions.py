"""The recognizer's services, as the console calls them."""

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from std_srvs.srv import Trigger
from tool_recognizer.console.action import ABSENT
from tool_recognizer.console.action import Action
from tool_recognizer.console.action import LOST
from tool_recognizer.ros.actions import Actions
from tool_recognizer.ros.actions import DISCOVERY
from tool_recognizer.ros.actions import GONE
from tool_recognizer.ros.actions import LOADED
from tool_recognizer.ros.actions import RESPONSE

NAME = '/tool_recognizer'


class Asking:
    """The console's side, with a clock that the test sets."""

    def __init__(self, peer):
        self.now, self.told, self._peer = 0.0, [], peer
        self.actions = Actions(peer.node, NAME, lambda: self.now)

    def add(self, name, values):
        self.actions.add(Action(name, lambda *said: self.told.append(said), values))

    def wait(self, condition, why):
        def is_so():
            self.actions.check()
            return condition()
        self._peer.wait(is_so, why)


def hang(peer, name, called):
    """Offer a service that notes its calls and never responds."""
    async def never(request, response):
        called.append(name)
        await Future()
    return peer.node.create_service(Trigger, f'{NAME}/{name}', never,
                                    callback_group=ReentrantCallbackGroup())


def answer(request, response):
    response.success, response.message = True, 'a new run'
    return response


def test_a_response_is_told_once(peer):
    asking = Asking(peer)
    peer.node.create_service(Trigger, f'{NAME}/reset_monitor', answer)
    asking.add('reset_monitor', {})
    asking.wait(lambda: asking.told, 'no response')
    asking.now = 10 * LOADED
    asking.actions.check()
    assert asking.told == [(True, 'a new run')]


def test_where_nobody_is_asked_nothing_was_done_and_that_is_told_soon(peer):
    asking = Asking(peer)
    asking.add('reset_monitor', {})
    asking.add('set_region', {'region.x': 0.5})
    asking.actions.check()
    assert asking.told == []
    asking.now = DISCOVERY
    asking.actions.check()
    assert [(success, reason) for success, _, reason in asking.told] == [(False, ABSENT)] * 2


def test_whoever_asked_is_told_when_no_response_will_come(peer):
    """At once where the service has gone, else after a while; a model may take longer."""
    asking, called = Asking(peer), []
    services = [hang(peer, name, called) for name in ('reset_monitor', 'reload_model')]
    for name in ('reset_monitor', 'reload_model'):
        asking.add(name, {})
    asking.wait(lambda: len(called) == 2, 'nothing is called')
    asking.now = RESPONSE
    asking.actions.check()
    assert [(success, reason) for success, _, reason in asking.told] == [(False, LOST)]
    asking.now += 1.0
    asking.actions.check()
    assert len(asking.told) == 1
    for service in services:
        peer.node.destroy_service(service)
    peer.wait(lambda: not peer.node.count_services(f'{NAME}/reload_model'), 'it is there still')

    def is_gone():
        asking.now += GONE
        return len(asking.told) == 2
    asking.wait(is_gone, 'it waits for ever')
    assert asking.told[1][::2] == (False, LOST)
    assert asking.now < LOADED
