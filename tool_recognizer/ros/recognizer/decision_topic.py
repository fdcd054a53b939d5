"""
The topic ``~/decision``, on which controllers act: no decision outlives its frame.

The camera's thread decides while the executor's thread watches the deadline. A lock guards the
order of what they say.
"""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.decision import refuse
from tool_recognizer.core.refusals import RecentDecisions
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.recognizer.entities import Entities
from vision_msgs.msg import Classification


class DecisionTopic:
    """
    See the module.

    Parameters
    ----------
    node : whose clock stamps what is said without a frame
    entities : with which the topic ends
    qos : of the topic
    paused : tells whether nobody wants a label now, so that what is said then does not count

    Attributes
    ----------
    recent : what was decided lately

    """

    def __init__(self, node: Node, entities: Entities, qos: QoSProfile,
                 paused: Callable[[], bool]) -> None:
        self._clock = node.get_clock()
        self._publisher = entities.publisher(Classification, '~/decision', qos)
        self.recent = RecentDecisions()
        self._paused = paused
        self._lock = Lock()
        self._deadline = 0.0
        self._timer: Any = None
        self._fresh_at = monotonic()
        self._frame_id = ''

    @property
    def silence(self) -> float:
        """Seconds since the last answer to a fresh frame, or since the watch began."""
        return monotonic() - self._fresh_at

    def watch(self, entities: Entities, deadline: float) -> None:
        """Say so whenever no fresh frame was answered for this many seconds."""
        self._deadline, self._fresh_at = deadline, monotonic()
        # A promise to a controller runs on a clock that nothing can stop, simulated time or not.
        self._timer = entities.timer(deadline, self._on_deadline,
                                     clock=Clock(clock_type=ClockType.STEADY_TIME))

    def change_deadline(self, deadline: float) -> None:
        """Watch for another deadline from now on, in seconds."""
        with self._lock:
            self._deadline = deadline
            self._look_in(max(0.0, deadline - self.silence))

    def publish(self, header: Header, made: Decision) -> None:
        """Say what was decided on the frame with this header."""
        with self._lock:
            self._frame_id = header.frame_id
            if made.class_id != NO_FRAME:
                # The timer finds this out: to reset it here would wake the executor each time.
                self._fresh_at = monotonic()
            self._say(header, made)

    def publish_stale(self) -> None:
        """Say that there is no fresh frame."""
        with self._lock:
            self._publish_stale()

    def _publish_stale(self) -> None:
        header = Header(stamp=self._clock.now().to_msg(), frame_id=self._frame_id)
        self._say(header, refuse(NO_FRAME))

    def _say(self, header: Header, made: Decision) -> None:
        if not self._paused():
            self.recent.note(made.class_id)
        self._publisher.publish(to_ros.decision(header, made))

    def _on_deadline(self) -> None:
        with self._lock:
            left = self._deadline - self.silence
            if left <= 0.0:
                self._publish_stale()
                left = self._deadline
            self._look_in(left)

    def _look_in(self, seconds: float) -> None:
        self._timer.timer_period_ns = int(seconds * 1e9) + 1
        self._timer.reset()
