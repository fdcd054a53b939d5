"""
A subscription that a thread of its own listens to, and answers in place.

rclpy's executors look at all entities of their nodes anew for each message. This thread waits for
one subscription and for its end, and hears the newest message: while it works on one, the
middleware keeps the newest of those that come, so nothing is handed over and nothing queues.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from threading import Thread
from time import monotonic
from time import sleep
from time import time_ns
from typing import Any
from typing import NamedTuple

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.qos import HistoryPolicy
from tool_recognizer.ros.endings import Finished
from tool_recognizer.ros.guard import ERRORS
from tool_recognizer.ros.guard import WaitingFailures

# Nanoseconds after which the thread looks whether it is to end, whatever woke it or did not.
LOOK = 1_000_000_000
# Messages that are taken at once, where the middleware keeps all, to reach the newest one.
MOST = 1000
# Seconds after a message that cannot be taken: should it still be there, others need the core.
PAUSE = 0.001


class Apart(ReentrantCallbackGroup):
    """
    The callback group of a subscription that a ``Listener`` listens to: no executor looks at it.

    Nor at its events: with Fast DDS they would wake the executor with each message, too.
    """

    def can_execute(self, entity: Any) -> bool:
        """Tell an executor not to wait for an entity."""
        return False


class Arrival(NamedTuple):
    """
    A message that arrived.

    Attributes
    ----------
    message : as rclpy converts it
    moment : when it came, on the steady clock in seconds
    replaced : messages before it that nobody heard, for they came while another one was worked on

    """

    message: Any
    moment: float
    replaced: int = 0


class Numbers:
    """The numbers that a topic's publisher gives its messages, of those that were taken."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._alone = False

    def skipped(self, number: int | None, publishers: int) -> int:
        """
        Take the next number; return how many there are between it and the one before.

        Parameters
        ----------
        number : None if the middleware does not pass it on
        publishers : on the topic now. Each of several counts by itself, and whose number it is
            the middleware does not say, so that nothing is known then

        """
        last, self._last = self._last, number
        before, self._alone = self._alone, publishers == 1
        if last is None or number is None or not (before and self._alone):
            return 0
        return max(0, number - last - 1)  # one that starts again begins at 1


class Listener:
    """
    Listen, in a thread that begins at once; see the module.

    How many messages were replaced is known from the numbers that their publisher gives them,
    where the middleware passes them on, as Fast DDS does. Messages that were lost on their way to
    an idle listener never came.

    Parameters
    ----------
    subscription : in a callback group that is ``Apart``
    context : of its node
    hear : called in the thread with each ``Arrival``; what it raises is counted
    name : of the thread

    """

    def __init__(self, subscription: Any, context: Context, hear: Callable[[Arrival], None],
                 name: str) -> None:
        self._subscription, self._context, self._hear = subscription, context, hear
        self._end = GuardCondition(None, None, context=context)
        self._wait_set: Any = None
        self._stopped = False
        self._finished: Finished | None = None
        self._numbers = Numbers()
        self._looked_at = monotonic()
        # When the last message came; None while it waits for one.
        self._came: float | None = self._looked_at
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def heard_until(self) -> float:
        """
        Return a moment, on the steady clock in s, before which no message came that is in work.

        Nor one that waits for its turn: it came after the one in work.
        """
        now = monotonic()  # read first: what is taken from now on, after waiting, came later
        came = self._came
        return now if came is None else came

    def check(self) -> None:
        """
        See that the thread can listen.

        Raises
        ------
        Finished
            Waiting has failed again and again.

        """
        if self._finished is not None:
            raise self._finished

    def stop(self) -> None:
        """Finish the message in work, hear no other, and end the thread."""
        self._stopped = True
        self._end.trigger()
        self._thread.join()
        self._end.destroy()

    def _run(self) -> None:
        failures, waited = WaitingFailures(f'thread {self._thread.name}'), False
        while not self._stopped and self._context.ok():
            if self._came is None:
                self._came = monotonic()
            if self._guarded(partial(self._answer, waited)):
                waited = False
                continue
            try:
                self._came, waited = None, True
                events = self._wait()
            except Exception as error:
                self._wait_set = None
                try:
                    if self._context.ok():
                        failures.add(error)
                except Finished as finished:
                    self._finished = finished
                    return
            else:
                failures.clear()
                for event, data in events:
                    self._guarded(partial(event.callback, data))

    def _guarded(self, call: Callable[[], object]) -> object:
        """Call; return what it returns, or True after an exception, which is counted."""
        try:
            return call()
        except Exception as error:
            if self._context.ok():  # or else a signal came in the middle of it
                ERRORS.note(f'subscription {self._subscription.topic}', error)
            sleep(PAUSE)
            return True

    def _answer(self, waited: bool) -> bool:
        """Take the newest message and hear it; return whether there was any."""
        arrival = self._take(waited)
        if arrival is not None:
            self._came = arrival.moment
            self._hear(arrival)
        return arrival is not None

    def _take(self, waited: bool) -> Arrival | None:
        """
        Take the newest message; None if there is none.

        Parameters
        ----------
        waited : whether the thread waited for it, so that it came just now

        """
        subscription, taken, replaced = self._subscription, None, 0
        before, self._looked_at = self._looked_at, monotonic()
        handle = subscription.handle
        with handle:
            # One, unless the QoS is overridden: then the last of those that are there.
            qos = subscription.qos_profile
            keeps_all = qos.history == HistoryPolicy.KEEP_ALL
            for _ in range(MOST if keeps_all else max(1, qos.depth)):
                newer = handle.take_message(subscription.msg_type, False)
                if newer is None:
                    break
                skipped = self._numbers.skipped(
                    newer[1]['publication_sequence_number'], handle.get_publisher_count())
                replaced += (taken is not None) + (0 if waited else skipped)
                taken = newer
        if taken is None:
            return None
        message, about = taken
        if waited:
            return Arrival(message, self._looked_at, replaced)
        # It came while another one was worked on, whatever the system's clock says.
        age = (time_ns() - about['received_timestamp']) / 1e9
        return Arrival(message, min(max(before, self._looked_at - age), self._looked_at), replaced)

    def _wait(self) -> list[tuple[Any, Any]]:
        """Wait for a message, an event or the end; return the events and what they tell."""
        context: Any = self._context.handle
        events = self._subscription.event_handlers
        with ExitStack() as used:
            for one in (self._subscription.handle, self._end.handle, *events, context):
                used.enter_context(one)
            if self._wait_set is None:
                self._wait_set = _rclpy.WaitSet(1, 1, 0, 0, 0, len(events), context)
            self._wait_set.clear_entities()
            self._wait_set.add_subscription(self._subscription.handle)
            self._wait_set.add_guard_condition(self._end.handle)
            for event in events:
                event.add_to_wait_set(self._wait_set)
            self._wait_set.wait(LOOK)
            told = [(event, event.take_data()) for event in events
                    if event.is_ready(self._wait_set)]
        return [(event, data) for event, data in told if data is not None]
