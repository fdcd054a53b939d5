"""A node of a benchmark's own, spun in a thread of the measuring process, and its graph."""

from collections.abc import Callable
from contextlib import suppress
import os
from pathlib import Path
import random
from threading import Thread

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.executors import SingleThreadedExecutor

PROFILE = Path(__file__).parent.parent / 'config' / 'fastdds.xml'


def own_graph() -> None:
    """
    Keep the topics of this process, and of those that it starts, to themselves.

    They stay on this machine, and, in a domain drawn at random, off those of other users; frames
    go through shared memory. To be called before a node is made; what the environment says already
    stays.
    """
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', str(random.randint(1, 100)))
    os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(PROFILE))


def until_signal(spin: Callable[[], None]) -> None:
    """Spin, in a process that ends by SIGINT, and leave ROS."""
    try:
        with suppress(KeyboardInterrupt, ExternalShutdownException):
            spin()
    finally:
        rclpy.try_shutdown()


class SpunNode:
    """
    See the module; make one in a process.

    Parameters
    ----------
    name : of the node

    Attributes
    ----------
    node : rclpy's, to which topics may be added while it is spun

    """

    def __init__(self, name: str) -> None:
        rclpy.init()
        self.node = rclpy.create_node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        """End the node."""
        rclpy.try_shutdown()
        self._thread.join()
