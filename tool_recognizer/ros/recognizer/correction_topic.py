"""
Corrections of confirmations: ``~/correction``, acknowledged on ``~/confirmation_ack``.

Each is computed in a thread beside all else, for it reads the journal, and is acknowledged once it
is on disk; until then its sender says it again.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Lock
from threading import Thread
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.health import InputHealth
from tool_recognizer.engine import Engine
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.messages.correction import correction
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.guard import ERRORS
from tool_recognizer.ros.recognizer.entities import Entities

DEEP = QoSProfile(depth=1000)
# Corrections that wait; what is over is said again by its sender.
MOST = 1000


class CorrectionTopic:
    """
    See the module.

    Parameters
    ----------
    node : whose clock counts, and whose log tells of those that cannot be used
    entities : with which the topic ends
    health : counts those that cannot be used
    current : returns the engine in charge, or None
    tell : publishes an acknowledgement, from any thread

    """

    def __init__(self, node: Node, entities: Entities, health: InputHealth,
                 current: Callable[[], Engine | None],
                 tell: Callable[[DiagnosticStatus], None]) -> None:
        self._clock, self._logger = node.get_clock(), node.get_logger()
        self._health, self._current, self._tell = health, current, tell
        self._waiting: deque[Correction] = deque()
        self._lock, self._working = Lock(), False
        entities.subscription(DiagnosticStatus, '~/correction', self._on_correction, DEEP)

    def _on_correction(self, message: Any) -> None:
        try:
            found = correction(message)
        except InvalidConfirmation as error:
            self._refuse({entry.key: entry.value for entry in message.values}, error)
            return
        with self._lock:
            if len(self._waiting) >= MOST or found in self._waiting:
                return
            self._waiting.append(found)
            if not self._working:
                self._working = True
                Thread(target=self._work, name='corrections', daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._working = False
                    return
                found = self._waiting[0]
            try:
                self._correct(found)
            except Exception as error:  # the others must not wait for ever
                ERRORS.note('thread corrections', error)
            with self._lock:
                self._waiting.popleft()

    def _correct(self, found: Correction) -> None:
        engine = self._current()
        if engine is None:
            return
        try:
            became, kept = engine.correct(found, lambda: int(self._clock.now().nanoseconds))
        except InvalidConfirmation as error:
            self._refuse({'stamp': str(found.key.stamp), 'frame_id': found.key.frame_id,
                          'nonce': found.nonce}, error)
            return
        except JournalError as error:
            self._logger.warning(f'correction not taken yet: {error}', throttle_duration_sec=1.0)
            return
        status = to_ros.status('confirmation', found.key.frame_id, DiagnosticStatus.OK, 'kept', {
            'stamp': found.key.stamp, 'frame_id': found.key.frame_id, 'nonce': found.nonce,
            'outcome': became.value})
        if kept is None:
            self._tell(status)
        else:
            kept.add_done_callback(partial(self._told, status))

    def _told(self, status: DiagnosticStatus, kept: Any) -> None:
        if kept.exception() is None:
            self._tell(status)

    def _refuse(self, values: dict[str, str], error: InvalidConfirmation) -> None:
        self._health.refuse(error.reason, str(error))
        self._logger.warning(f'correction refused ({error.reason}): {error}',
                             throttle_duration_sec=1.0)
        self._tell(to_ros.refusal(values, error))
