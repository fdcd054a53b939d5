"""A listener's thread hears the newest message, counts the older ones, and survives all errors."""

from queue import Queue
from threading import Event
from threading import Thread
from time import monotonic
from time import sleep

import pytest
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from std_msgs.msg import String
from tool_recognizer.ros import guard
from tool_recognizer.ros import listener as module
from tool_recognizer.ros.endings import Finished
from tool_recognizer.ros.guard import ERRORS
from tool_recognizer.ros.listener import Apart
from tool_recognizer.ros.listener import Listener
from tool_recognizer.ros.listener import Numbers

PATIENCE = 90.0


@pytest.mark.parametrize(('taken', 'skipped'), [
    ([(1, 1), (2, 1), (5, 1), (6, 1)], [0, 0, 2, 0]),
    # It starts again, and another one takes its place.
    ([(90, 1), (1, 1), (3, 1)], [0, 0, 1]),
    # Of two publishers nobody knows whose number it is, nor of the first after one has gone.
    ([(1, 1), (700, 2), (3, 2), (701, 1), (705, 1)], [0, 0, 0, 0, 3]),
    ([(None, 1), (None, 1), (4, 1), (9, 1)], [0, 0, 0, 4])])
def test_replaced_messages_are_known_by_the_numbers_of_one_publisher(taken, skipped):
    numbers = Numbers()
    assert [numbers.skipped(*each) for each in taken] == skipped


class Heard:
    """A topic with a listener, which hears until it is told to go on."""

    def __init__(self, peer, depth=1):
        self.messages, self.begun, self.go = [], Queue(), Event()
        self.by_executor, self.closing = [], False
        self.subscription = peer.node.create_subscription(
            String, '~/heard', self.by_executor.append,
            QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT),
            callback_group=Apart())
        self.listener = Listener(self.subscription, peer.context, self.hear, 'test')
        self.publisher = peer.publisher(String, '~/heard')
        peer.wait_for_subscriber(self.publisher)
        peer.wait(lambda: self.subscription.get_publisher_count() > 0, 'no publisher')

    def hear(self, arrival):
        self.begun.put(arrival.message.data)
        assert self.go.wait(PATIENCE)
        self.messages.append((arrival.message.data, arrival.replaced))
        if arrival.message.data == 'bad':
            raise RuntimeError('it is bad')

    def close(self):
        if not self.closing:
            self.closing = True
            self.listener.stop()

    def say(self, *words):
        for word in words:
            self.publisher.publish(String(data=word))


@pytest.fixture
def heard(peer):
    made = []

    def make(**options):
        made.append(Heard(peer, **options))
        return made[-1]
    yield make
    for each in made:
        each.go.set()
        each.close()
        peer.node.destroy_subscription(each.subscription)


@pytest.mark.parametrize('depth', [1, 4])
def test_the_newest_is_heard_and_those_that_it_replaced_are_counted(depth, peer, heard):
    topic = heard(depth=depth)
    topic.say('first')
    assert topic.begun.get(timeout=PATIENCE) == 'first'
    topic.say('a', 'b', 'c', 'd', 'e', 'newest')
    sleep(0.5)  # so that they are all there; one that is not is heard by itself
    topic.go.set()
    peer.wait(lambda: topic.messages[-1:] and topic.messages[-1][0] == 'newest', 'the newest')
    assert topic.messages[0] == ('first', 0)
    assert len(topic.messages) < 6
    assert len(topic.messages) + sum(replaced for _, replaced in topic.messages) == 7
    assert topic.by_executor == []  # although it spins the node


def test_what_came_is_heard_up_to_the_message_in_work_and_while_none_is_up_to_now(peer, heard):
    topic = heard()
    started = monotonic()
    peer.wait(lambda: topic.listener.heard_until > started, 'it does not wait')
    topic.say('in work')
    assert topic.begun.get(timeout=PATIENCE) == 'in work'
    begun = topic.listener.heard_until
    assert started < begun < monotonic()
    topic.say('waits')
    sleep(0.2)  # it comes meanwhile, and changes nothing
    assert topic.listener.heard_until == begun
    topic.go.set()
    peer.wait(lambda: len(topic.messages) == 2, 'the second one')
    ended = monotonic()
    peer.wait(lambda: topic.listener.heard_until > ended, 'it does not wait again')


def test_what_hearing_raises_is_counted_and_the_next_message_is_heard(peer, heard):
    topic, before = heard(), ERRORS.count
    topic.go.set()
    for number, word in enumerate(('bad', 'good'), start=1):
        topic.say(word)
        peer.wait(lambda n=number: len(topic.messages) == n, word)
    assert ERRORS.count == before + 1
    assert ERRORS.last.startswith('subscription ~/heard: RuntimeError: it is bad')


def test_stopping_finishes_the_message_in_work_and_hears_no_other(peer, heard):
    topic = heard()
    topic.say('in work')
    assert topic.begun.get(timeout=PATIENCE) == 'in work'
    topic.say('waits')
    stopping = Thread(target=topic.close)
    stopping.start()
    peer.wait(lambda: topic.listener._stopped, 'it is not stopped')
    topic.go.set()
    stopping.join(PATIENCE)
    assert topic.messages == [('in work', 0)]


def test_a_listener_that_cannot_wait_any_more_says_so(peer, heard, monkeypatch):
    def broken(*numbers):
        raise MemoryError

    monkeypatch.setattr(guard, 'sleep', lambda seconds: None)
    topic = heard()
    topic.listener.check()
    monkeypatch.setattr(module, '_rclpy', type('', (), {'WaitSet': broken}))
    topic.listener._wait_set = None

    def finished():
        try:
            topic.listener.check()
        except Finished as error:
            return error
    assert 'MemoryError' in peer.wait(finished, 'it goes on').why
