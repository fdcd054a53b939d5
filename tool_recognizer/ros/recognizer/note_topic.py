"""
What people did, on its way into the journal: ``~/note``.

A service of ROS cannot say who calls it; so whoever lets people press its buttons notes here who
did. It is kept as it comes, and changes nothing else. Nothing waits for it, so it is not
acknowledged; what cannot be kept is logged and counted.
"""

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from tool_recognizer.core.health import InputHealth
from tool_recognizer.engine import Engine
from tool_recognizer.messages.note import InvalidNote
from tool_recognizer.messages.note import note
from tool_recognizer.ros.recognizer.entities import Entities

DEEP = QoSProfile(depth=1000)


class NoteTopic:
    """
    See the module.

    Parameters
    ----------
    node : whose clock counts, and whose log tells of those that cannot be used
    entities : with which the topic ends
    health : counts those that cannot be used
    current : returns the engine in charge, or None

    """

    def __init__(self, node: Node, entities: Entities, health: InputHealth,
                 current: Callable[[], Engine | None]) -> None:
        self._clock, self._logger = node.get_clock(), node.get_logger()
        self._health, self._current = health, current
        entities.subscription(DiagnosticStatus, '~/note', self._on_note, DEEP)

    def _on_note(self, message: Any) -> None:
        engine = self._current()
        try:
            said = note(message)
        except InvalidNote as error:
            self._health.refused_notes += 1
            self._logger.warning(f'note refused: {error}', throttle_duration_sec=1.0)
            return
        if engine is not None:
            engine.record('action', self._clock.now().nanoseconds, said)
