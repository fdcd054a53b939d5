"""The sides of a benchmark: other processes, each fed by a camera of its own, and their turns."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
import signal
import subprocess
import sys
from time import monotonic
from time import sleep
from typing import Any

from benchmark.camera import Camera
from benchmark.figures import Turn
from benchmark.process import memory
from benchmark.process import processor_time
from benchmark.spun_node import SpunNode
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from tool_recognizer.messages import from_ros
from vision_msgs.msg import Classification

ROOT = Path(__file__).parent.parent
# The first answers of a process are slower than all later ones, and so are those after a pause.
FIRST, WARM_UP = 15, 5
# Seconds for a process to start or to end, and for the last answers of a turn to come.
PATIENCE, TAIL = 60.0, 1.0


@dataclass(frozen=True)
class Program:
    """
    A side's program.

    Attributes
    ----------
    name : of the side
    arguments : Python's, for a camera
    answers : the topic of its answers, relative to its namespace
    kind : their type: a Classification with the frame's header, or a Header of ``floor.py``
    every : in how many rounds it has one turn

    """

    name: str
    arguments: Callable[[Camera], list[str]]
    answers: str
    kind: type[Any]
    every: int = 1


def programs(decoders: dict[Camera, str], models: dict[str, Path]) -> tuple[Program, ...]:
    """
    Return all sides.

    Parameters
    ----------
    decoders : of the floor, for each camera that sends JPEGs
    models : 'int8' and 'float32', see ``peer_models``

    """
    def recognizer(camera: Camera) -> list[str]:
        transport = 'raw' if camera.transport == 'raw' else 'compressed'
        return ['-m', 'tool_recognizer', 'recognizer', '--ros-args', '--log-level', 'warn',
                '-p', 'autostart:=true', '-p', f'image_transport:={transport}']

    def floor(camera: Camera) -> list[str]:
        return ['-m', 'benchmark.floor', decoders.get(camera, 'nearest'),
                f'{camera.width}x{camera.height}', '--ros-args']

    def bare(camera: Camera) -> list[str]:
        return ['-m', 'benchmark.floor', camera.transport, f'{camera.width}x{camera.height}',
                '--ros-args']

    def peer(name: str) -> Callable[[Camera], list[str]]:
        return lambda camera: ['-m', 'benchmark.peer', str(models[name]), camera.transport,
                               '--ros-args']

    return (Program('ours', recognizer, 'tool_recognizer/classification', Classification),
            Program('floor', floor, 'done', Header),
            Program('decision', recognizer, 'tool_recognizer/decision', Classification, every=2),
            Program('bare', bare, 'done', Header, every=2),
            *(Program(f'peer_{name}', peer(name), 'classification', Classification, every=2)
              for name in models))


class Side:
    """
    A running program with a camera of its own, so that all sides may wait beside one another.

    Parameters
    ----------
    bench : publishes and receives
    program : to start
    camera : what it is fed
    messages : the camera's

    """

    def __init__(self, bench: SpunNode, program: Program, camera: Camera,
                 messages: list[Any]) -> None:
        self._name, self._node, self._messages = program.name, bench.node, messages
        self._done: dict[int, tuple[int, int]] = {}
        self._camera = self._node.create_publisher(
            camera.kind, f'/{program.name}/{camera.topic}', QoSProfile(depth=5))
        self._answers = self._node.create_subscription(
            program.kind, f'/{program.name}/{program.answers}',
            self._on_floor if program.kind is Header else self._on_answer, QoSProfile(depth=100))
        # Last, for what has failed before is not left by a with statement.
        self._process = subprocess.Popen(
            [sys.executable, *program.arguments(camera), '-r', f'__ns:=/{program.name}'], cwd=ROOT)

    def __enter__(self) -> 'Side':
        return self

    def __exit__(self, *error: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._node.destroy_publisher(self._camera)
        self._node.destroy_subscription(self._answers)

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _on_answer(self, message: Any) -> None:
        now = self._now()
        self._done[from_ros.key(message.header).stamp] = (now, now)

    def _on_floor(self, message: Any) -> None:
        self._done[int(message.frame_id)] = (from_ros.key(message).stamp, self._now())

    def _send(self, number: int) -> int:
        """Stamp a frame and publish it; return its stamp."""
        message = self._messages[number % len(self._messages)]
        message.header.stamp = self._node.get_clock().now().to_msg()
        stamp = int(from_ros.key(message.header).stamp)
        self._camera.publish(message)
        return stamp

    def greet(self) -> None:
        """Wait until it answers, and has warmed up; raise RuntimeError if it does not start."""
        end = monotonic() + PATIENCE
        while len(self._done) < FIRST:
            if monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(f'{self._name} did not start: {self._process.args}')
            if self._camera.get_subscription_count():
                self._send(len(self._done))
            sleep(0.03)

    def turn(self, rate: float, seconds: float) -> Turn:
        """Feed it at a rate for a time, after a few frames that do not count."""
        start, count, stamps = monotonic(), round(rate * seconds), []
        used = 0.0
        for number in range(WARM_UP + count):
            sleep(max(0.0, start + number / rate - monotonic()))
            if number == WARM_UP:
                used = processor_time(self._process.pid)
            stamps.append(self._send(number))
        end = monotonic() + TAIL
        while stamps[-1] not in self._done and monotonic() < end:
            sleep(0.01)
        used = processor_time(self._process.pid) - used
        found = [(stamp, *self._done[stamp]) for stamp in stamps[WARM_UP:] if stamp in self._done]
        self._done.clear()
        if not found:
            raise RuntimeError(f'{self._name} answered none of {count} frames')
        return Turn(count, [(done - stamp) / 1e6 for stamp, done, _ in found],
                    [(heard - stamp) / 1e6 for stamp, _, heard in found], used,
                    memory(self._process.pid))
