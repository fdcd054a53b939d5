"""
The node ``/recorder``: writes what a replay needs into a bag, without rosbag2.

It waits for the topics to appear and subscribes to each with the quality of service that its
publishers offer. Left out: topics of types that a replay does not use; `ros2 bag record` writes
those.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from tool_recognizer.bags.bag import BOOL
from tool_recognizer.bags.bag import IMAGE_TYPES
from tool_recognizer.bags.message_types import STORE
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.ros.endings import Finished

# Beside cameras: the topics that a replay uses end like this.
ENDINGS = ('/confirmed_label', '/confirmation', '/inspection_request', '/classification',
           '/decision', '/drift', '/label_info', '/monitor', '/monitor/nll', '/monitor/kl',
           '/monitor/evidence', '/true_label', '/object_present', '/object', '/object_decision',
           '/passage')
# What says whether an object is there may have any name; who listens to it also has this one.
GATED = '/object_decision'
# Pictures that are made for people; a replay makes them anew.
NOT_RECORDED = ('/annotated/compressed', '/inspection_request/compressed')
# Seconds between two looks for new topics.
LOOK = 0.2
PICTURES, OTHERS = 20, 1000


class RecorderNode(Node):
    """
    Record until the end.

    Parameters
    ----------
    output : the folder of the bag, which must not be there yet
    topics : names; none: cameras, confirmations, and what the recognizer publishes
    seconds : after which it ends; 0: never

    Raises
    ------
    BagError
        The folder is there, or cannot be made.

    """

    def __init__(self, output: Path, topics: list[str], seconds: float, **options: Any) -> None:
        super().__init__('recorder', **options)
        self._wanted = {self.resolve_topic_name(topic) for topic in topics}
        self._recorded: dict[str, int] = {}
        self._writer = BagWriter(output, compress=False, live=True)
        self.create_timer(LOOK, self._look)
        if seconds:
            self.create_timer(seconds, self._finish)
        self.get_logger().info(f'recording into {output}')

    def destroy_node(self) -> None:
        """Complete the bag."""
        try:
            self._writer.finish()
        except OSError as error:
            self.get_logger().error(f'the bag is not complete: {error}')
        for topic, count in sorted(self._recorded.items()):
            self.get_logger().info(f'{count} messages of {topic}')
        if not self._recorded:
            self.get_logger().warning('nothing was recorded: there was no such topic')
        super().destroy_node()

    def _look(self) -> None:
        for topic, kinds in self.get_topic_names_and_types():
            if (topic not in self._recorded and len(kinds) == 1 and kinds[0] in STORE.types
                    and self._is_wanted(topic, kinds[0])):
                self._subscribe(topic, kinds[0])

    def _is_wanted(self, topic: str, kind: str) -> bool:
        if self._wanted:
            return topic in self._wanted
        return ((kind in IMAGE_TYPES and not topic.endswith(NOT_RECORDED))
                or topic.endswith(ENDINGS) or (kind == BOOL and self._opens_a_gate(topic)))

    def _opens_a_gate(self, topic: str) -> bool:
        """Tell whether a recognizer that answers for whole objects listens to a topic."""
        listening = {(ear.node_namespace, ear.node_name)
                     for ear in self.get_subscriptions_info_by_topic(topic)}
        return any((one.node_namespace, one.node_name) in listening
                   for name, _ in self.get_topic_names_and_types() if name.endswith(GATED)
                   for one in self.get_publishers_info_by_topic(name))

    def _subscribe(self, topic: str, kind: str) -> None:
        offered = [about.qos_profile for about in self.get_publishers_info_by_topic(topic)]
        if not offered:
            return
        package, _, name = kind.split('/')
        # A subscription that asks for more than a publisher offers receives nothing from it.
        reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
        latched = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
        if latched:
            self._writer.latched.add(topic)
        self._recorded[topic] = 0
        self.create_subscription(
            getattr(import_module(f'{package}.msg'), name), topic, self._keeping(topic, kind),
            QoSProfile(depth=PICTURES if kind in IMAGE_TYPES else OTHERS,
                       reliability=(ReliabilityPolicy.RELIABLE if reliable
                                    else ReliabilityPolicy.BEST_EFFORT),
                       durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched
                                   else DurabilityPolicy.VOLATILE)), raw=True)
        self.get_logger().info(f'recording {topic}')

    def _keeping(self, topic: str, kind: str) -> Callable[[bytes], None]:
        def keep(raw: bytes) -> None:
            try:
                self._writer.write_raw(topic, kind, self.get_clock().now().nanoseconds, raw)
            except OSError as error:
                raise Finished(2, f'the bag cannot be written: {error}') from None
            self._recorded[topic] += 1
        return keep

    def _finish(self) -> None:
        raise Finished
