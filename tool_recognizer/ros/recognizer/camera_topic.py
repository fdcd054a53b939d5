"""The camera's topic: its name, its subscription, and why nothing comes from it."""

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from tool_recognizer.core.text import Said
from tool_recognizer.ros.listener import Apart
from tool_recognizer.ros.listener import Arrival
from tool_recognizer.ros.listener import Listener
from tool_recognizer.ros.recognizer.entities import Entities

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class CameraTopic:
    """
    See the module.

    Parameters
    ----------
    node : that listens
    compressed : whether the frames come as sensor_msgs/CompressedImage
    topic : of the raw frames

    """

    def __init__(self, node: Node, compressed: bool, topic: str = 'image_raw') -> None:
        self._node = node
        self._compressed = compressed
        self._mismatch = Said()
        # A remapping of image_raw moves image_raw/compressed with it only in this way.
        self._raw = node.resolve_topic_name(topic)
        self._packed = f'{self._raw}/compressed'

    @property
    def name(self) -> str:
        """Return the resolved name."""
        return self._packed if self._compressed else self._raw

    def listen(self, entities: Entities, hear: Callable[[Arrival], None]) -> Listener:
        """Subscribe, for as long as the entities are there; ``hear`` is called in a thread."""
        self._mismatch = Said()
        subscription = entities.subscription(
            CompressedImage if self._compressed else Image, self.name, _never, NEWEST,
            callback_group=Apart(),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_mismatch),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())
        return Listener(subscription, self._node.context, hear, 'camera')

    def trouble(self) -> Said:
        """Say why no frame comes, and what mends it."""
        if self._mismatch:
            return self._mismatch
        if self._node.count_publishers(self.name):
            return Said(f'{self.name} has a publisher, but no frame comes: see that the camera is '
                        'switched on and runs; large frames need config/fastdds.xml on its side, '
                        'too', 'silent_publisher')
        other, wanted = ((self._raw, 'raw') if self._compressed else
                         (self._packed, 'compressed'))
        if self._node.count_publishers(other):
            return Said(f'nobody publishes {self.name}, but {other} is there: '
                        f'set image_transport to {wanted}', f'only_{wanted}')
        return Said(f'nobody publishes {self.name}: start the camera, or remap image_raw '
                    '(argument image_topic)', 'no_publisher')

    def rivals(self) -> Said:
        """Say who publishes on the topic, if they are several; or ''."""
        names = [f'{about.node_namespace.rstrip("/")}/{about.node_name}'
                 for about in self._node.get_publishers_info_by_topic(self.name)]
        if len(names) < 2:
            return Said()
        return Said(f'{self.name} has {len(names)} publishers, {" and ".join(sorted(names))}: '
                    'their frames are answered as those of one camera; stop one of them, or remap '
                    'image_raw', 'rivals')

    def _on_mismatch(self, event: Any) -> None:
        policy = event.last_policy_kind.name.lower().removeprefix('rmw_qos_policy_')
        self._mismatch = Said(f"{self.name}: a publisher's {policy} does not match; set "
                              f'qos_overrides.{self.name}.subscription.{policy}', 'qos')
        self._node.get_logger().warning(self._mismatch)


def _never(message: Any) -> None:
    """Stand for the callback of a subscription that no executor takes from."""
