"""
Confirmations: two topics on which they come, and one on which each is acknowledged.

``~/confirmed_label`` takes a distribution with a frame's header; ``~/confirmation`` takes the same
with an operator and a nonce. ``~/confirmation_ack`` tells the sender what became of it.
"""

from collections.abc import Callable
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.qos import QoSProfile
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.health import InputHealth
from tool_recognizer.messages import from_ros
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.recognizer.entities import Entities
from vision_msgs.msg import Classification

# None may be lost while another one is dealt with.
DEEP = QoSProfile(depth=1000)


class ConfirmationTopics:
    """
    See the module.

    Parameters
    ----------
    node : whose log tells of those that cannot be used
    entities : with which the topics end
    health : counts those that cannot be used
    take : is called with each that can

    """

    def __init__(self, node: Node, entities: Entities, health: InputHealth,
                 take: Callable[[Confirmation], None]) -> None:
        self._context, self._logger = node.context, node.get_logger()
        self._health = health
        self._take = take
        self._acknowledgement = entities.publisher(DiagnosticStatus, '~/confirmation_ack', DEEP)
        entities.subscription(Classification, '~/confirmed_label', self._on_label, DEEP)
        entities.subscription(DiagnosticStatus, '~/confirmation', self._on_status, DEEP)

    def acknowledge(self, confirmation: Confirmation, outcome: Outcome, labels: Sequence[str],
                    kept: Future[int] | None = None) -> None:
        """
        Tell the sender, from any thread; after the node's end nobody is to be told.

        Parameters
        ----------
        confirmation : the operator's
        outcome : what became of it
        labels : those of the model that it met
        kept : done when it is on disk; None if it is not kept. What could not be kept is not
            acknowledged, so that its sender says it again

        """
        if kept is None or kept.exception() is None:
            self.tell(to_ros.acknowledgement(confirmation, outcome, labels,
                                             on_disk=kept is not None))

    def tell(self, acknowledgement: DiagnosticStatus) -> None:
        """Publish an acknowledgement, from any thread; after the node's end nobody hears it."""
        try:
            self._acknowledgement.publish(acknowledgement)
        except RuntimeError as error:  # rclpy's, in the middle of the node's end
            if self._context.ok() and not isinstance(error, InvalidHandle):
                raise

    def _on_label(self, message: Any) -> None:
        try:
            confirmation = from_ros.confirmation(message)
        except InvalidConfirmation as error:
            stamp, frame_id = from_ros.key(message.header)
            self._refuse({'stamp': str(stamp), 'frame_id': frame_id}, error)
        else:
            self._take(confirmation)

    def _on_status(self, message: Any) -> None:
        try:
            confirmation = from_ros.confirmation_status(message)
        except InvalidConfirmation as error:
            self._refuse({entry.key: entry.value for entry in message.values}, error)
        else:
            self._take(confirmation)

    def _refuse(self, values: dict[str, str], error: InvalidConfirmation) -> None:
        self._health.refuse(error.reason, str(error))
        self._logger.warning(f'confirmation refused ({error.reason}): {error}',
                             throttle_duration_sec=1.0)
        self._acknowledgement.publish(to_ros.refusal(values, error))
