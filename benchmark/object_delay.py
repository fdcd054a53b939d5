"""
How much later than ``~/decision`` of the same frame ``~/object_decision`` is received.

    python3 -m benchmark.object_delay
    python3 -m benchmark.object_delay --rate 15 --seconds 90

A camera shows the drawn line and says by its photo-eye when a tool is there; a recognizer answers.
Both messages of the frame that decides are received by this process, in one thread. An object
that no frame decides is answered when it is gone, with its last frame's stamp: it is counted, not
timed. Run it on a machine that does nothing else.
"""

import argparse
import signal
import subprocess
import sys
from time import perf_counter
from time import sleep
from typing import Any

from benchmark.spun_node import own_graph
from benchmark.spun_node import SpunNode
import numpy as np
from rclpy.qos import QoSProfile
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.messages import from_ros
from vision_msgs.msg import Classification

NAME = '/tool_recognizer'
PROGRAMS = {'recognizer': ('autostart:=true', 'passage.gate:=topic'),
            'camera': ('source:=line', 'rate:={}')}


class Receiver(SpunNode):
    """
    Notes when each decision comes.

    Attributes
    ----------
    delays : of the decisions of objects after those of their frames, s
    undecided : objects that no frame decided

    """

    def __init__(self) -> None:
        super().__init__('object_delay')
        self.delays: list[float] = []
        self.undecided = 0
        self._received: dict[str, dict[FrameKey, float]] = {}
        for topic in ('decision', 'object_decision'):
            self._received[topic] = {}
            self.node.create_subscription(
                Classification, f'{NAME}/{topic}',
                lambda message, topic=topic: self._on_decision(topic, message),
                QoSProfile(depth=100))

    def _on_decision(self, topic: str, message: Any) -> None:
        key = from_ros.key(message.header)
        if topic == 'object_decision' and ':' in message.results[0].class_id:
            self.undecided += 1
            return
        self._received[topic][key] = perf_counter()
        frames, objects = self._received['decision'], self._received['object_decision']
        if key in objects and key in frames:
            self.delays.append(objects[key] - frames[key])


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog='benchmark.object_delay', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rate', type=float, default=15.0, help='frames per second (default: 15)')
    parser.add_argument('--seconds', type=float, default=90.0, help='time measured (default: 90)')
    options = parser.parse_args()
    own_graph()
    receiver = Receiver()
    programs = [subprocess.Popen(
        [sys.executable, '-m', 'tool_recognizer', name, '--ros-args',
         *(word for rule in rules for word in ('-p', rule.format(options.rate)))],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name, rules in PROGRAMS.items()]
    try:
        sleep(options.seconds)
    finally:
        for program in programs:
            program.send_signal(signal.SIGINT)
        for program in programs:
            program.wait()
        receiver.close()
    if not receiver.delays:
        print('no object was decided')
        return 1
    delays = 1e3 * np.array(receiver.delays)
    print(f'{len(delays)} objects decided by a frame, {receiver.undecided} undecided until they '
          'were gone; ms after the decision of their frame: '
          f'median {np.median(delays):.2f}, p95 {np.quantile(delays, 0.95):.2f}, '
          f'greatest {delays.max():.2f}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
