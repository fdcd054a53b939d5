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
from tool_recognizer.ros.recognizer.entities import Entities

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class CameraTopic:
    """
    See the module.

    Parameters
    ----------
    node : that listens
    compressed : whether the frames come as sensor_msgs/CompressedImage

    """

    def __init__(self, node: Node, compressed: bool) -> None:
        self._node = node
        self._compressed = compressed
        self._mismatch = ''
        # A remapping of image_raw moves image_raw/compressed with it only in this way.
        topic = node.resolve_topic_name('image_raw')
        self._raw, self._packed = topic, f'{topic}/compressed'

    @property
    def name(self) -> str:
        """Return the resolved name."""
        return self._packed if self._compressed else self._raw

    def subscribe(self, entities: Entities, hear: Callable[[Any], None]) -> None:
        """Listen, for as long as the entities are there."""
        self._mismatch = ''
        entities.subscription(
            CompressedImage if self._compressed else Image, self.name, hear, NEWEST,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_mismatch),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())

    def trouble(self) -> str:
        """Say why no frame comes, and what mends it."""
        if self._mismatch:
            return self._mismatch
        if self._node.count_publishers(self.name):
            return (f'{self.name} has a publisher, but no frame comes: see that the camera is '
                    'switched on and runs; large frames need config/fastdds.xml on its side, too')
        other, wanted = ((self._raw, 'raw') if self._compressed else
                         (self._packed, 'compressed'))
        if self._node.count_publishers(other):
            return (f'nobody publishes {self.name}, but {other} is there: '
                    f'set image_transport to {wanted}')
        return (f'nobody publishes {self.name}: start the camera, or remap image_raw '
                '(argument image_topic)')

    def rivals(self) -> str:
        """Say who publishes on the topic, if they are several; or ''."""
        names = [f'{about.node_namespace.rstrip("/")}/{about.node_name}'
                 for about in self._node.get_publishers_info_by_topic(self.name)]
        if len(names) < 2:
            return ''
        return (f'{self.name} has {len(names)} publishers, {" and ".join(sorted(names))}: their '
                'frames are answered as those of one camera; stop one of them, or remap image_raw')

    def _on_mismatch(self, event: Any) -> None:
        policy = event.last_policy_kind.name.lower().removeprefix('rmw_qos_policy_')
        self._mismatch = (f"{self.name}: a publisher's {policy} does not match; set "
                          f'qos_overrides.{self.name}.subscription.{policy}')
        self._node.get_logger().warning(self._mismatch)
