"""What a node creates for as long as it is in one state of its lifecycle."""

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.qos import QoSProfile


class Entities:
    """
    Publishers, subscriptions and timers that end together.

    No services: one that has been called must still be there when it has its response.

    Parameters
    ----------
    node : that has them

    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._made: list[tuple[Callable[[Any], object], Any]] = []

    def publisher(self, kind: Any, topic: str, qos: QoSProfile) -> Any:
        """Create a publisher."""
        return self._keep(self._node.destroy_publisher,
                          self._node.create_publisher(kind, topic, qos))

    def subscription(self, kind: Any, topic: str, hear: Callable[..., None], qos: QoSProfile,
                     **options: Any) -> Any:
        """Create a subscription; the options are those of rclpy."""
        return self._keep(self._node.destroy_subscription,
                          self._node.create_subscription(kind, topic, hear, qos, **options))

    def timer(self, period: float, call: Callable[[], None], clock: Clock | None = None) -> Any:
        """Create a timer; the period is in seconds of the clock, default the node's."""
        return self._keep(self._node.destroy_timer,
                          self._node.create_timer(period, call, clock=clock))

    def destroy(self) -> None:
        """End all of them, the newest first."""
        while self._made:
            destroy, entity = self._made.pop()
            destroy(entity)

    def _keep(self, destroy: Callable[[Any], object], entity: Any) -> Any:
        self._made.append((destroy, entity))
        return entity
