"""
How many raw frames arrive, and how late, between two processes: with and without our DDS profile.

    python3 benchmark/large_frames.py
    python3 benchmark/large_frames.py --size 640x480 --reliability best_effort --profile ours

Prints one line of JSON for each combination. The frames are numbered and carry the time of
sending; small frames before and after them tell when both sides know each other, and when all is
sent.
"""
import argparse
from collections.abc import Iterator
import itertools
import json
import os
from pathlib import Path
import statistics
import subprocess
import sys
import threading
import time

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

PROFILE = Path(__file__).resolve().parent.parent / 'config' / 'fastdds.xml'
TOPIC = 'large_frames'
HELLO, END = 'hello', 'end'


def qos(options: argparse.Namespace) -> QoSProfile:
    """Return the QoS of both sides; the queues hold every frame, so none is lost there."""
    return QoSProfile(
        depth=options.frames, reliability=ReliabilityPolicy[options.reliability.upper()])


def frame(frame_id: str, width: int = 1, height: int = 1) -> Image:
    """Return a black rgb8 frame."""
    message = Image(width=width, height=height, encoding='rgb8', step=3 * width)
    message.header.frame_id = frame_id
    message.data = bytes(3 * width * height)
    return message


def send(options: argparse.Namespace) -> None:
    """Say hello until a line comes on standard input, send the frames, say end until the next."""
    node = Node('sender')
    publisher = node.create_publisher(Image, TOPIC, qos(options))
    width, height = (int(side) for side in options.size.split('x'))
    message = frame('', width, height)

    def repeat_until_told(frame_id: str) -> None:
        told = threading.Thread(target=sys.stdin.readline, daemon=True)
        told.start()
        while told.is_alive():
            publisher.publish(frame(frame_id))
            told.join(0.1)

    repeat_until_told(HELLO)
    begin = time.monotonic()
    for number in range(options.frames):
        time.sleep(max(0.0, begin + number / options.rate - time.monotonic()))
        message.header.frame_id = str(number)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        publisher.publish(message)
    repeat_until_told(END)


def receive(options: argparse.Namespace) -> None:
    """Say that hello came, receive until end comes, print what arrived as JSON."""
    node = Node('receiver')
    greeted = False
    ended = False
    latencies: dict[str, float] = {}

    def take(message: Image) -> None:
        nonlocal greeted, ended
        now = time.time_ns()
        if message.header.frame_id == HELLO:
            if not greeted:
                print(HELLO, flush=True)
            greeted = True
        elif message.header.frame_id == END:
            ended = True
        else:
            stamp = message.header.stamp
            latencies[message.header.frame_id] = (now - stamp.sec * 10**9 - stamp.nanosec) / 1e6

    node.create_subscription(Image, TOPIC, take, qos(options))
    while not ended:
        rclpy.spin_once(node)
    print(json.dumps({
        'size': options.size, 'reliability': options.reliability, 'profile': options.profile,
        'sent': options.frames, 'received': len(latencies),
        'median_ms': round(statistics.median(latencies.values()), 2) if latencies else None}))


def measure(options: argparse.Namespace, choice: tuple[str, str, str]) -> str:
    """Run both sides for one combination; return the receiver's line of JSON."""
    environment = {name: value for name, value in os.environ.items()
                   if name != 'FASTRTPS_DEFAULT_PROFILES_FILE'}
    if choice[0] == 'ours':
        environment['FASTRTPS_DEFAULT_PROFILES_FILE'] = str(PROFILE)

    def start(side: str) -> 'subprocess.Popen[str]':
        return subprocess.Popen(
            [sys.executable, __file__, '--side', side, '--frames', str(options.frames),
             '--rate', str(options.rate), '--profile', choice[0], '--size', choice[1],
             '--reliability', choice[2]],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    # Leaving the block closes the sender's standard input, which ends it.
    with start('receive') as receiver, start('send') as sender:
        assert receiver.stdout is not None
        assert sender.stdin is not None
        greeting = receiver.stdout.readline()
        if greeting.strip() != HELLO:
            raise SystemExit(f'the receiver said {greeting!r} instead of {HELLO!r}')
        sender.stdin.write('send\n')
        sender.stdin.flush()
        return receiver.stdout.readline().strip()


def choices(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Yield each asked combination of profile, size and reliability."""
    return itertools.product(
        [options.profile] if options.profile else ['ours', 'default'],
        [options.size] if options.size else ['640x480', '1920x1080'],
        [options.reliability] if options.reliability else ['best_effort', 'reliable'])


def main() -> int:
    """Measure each asked combination; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=150)
    parser.add_argument('--rate', type=float, default=30.0, help='frames per second (default 30)')
    parser.add_argument('--size', help='WIDTHxHEIGHT (default: 640x480 and 1920x1080)')
    parser.add_argument('--reliability', choices=['best_effort', 'reliable'])
    parser.add_argument('--profile', choices=['ours', 'default'])
    parser.add_argument('--side', choices=['send', 'receive'], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is None:
        for choice in choices(options):
            print(measure(options, choice), flush=True)
        return 0
    rclpy.init()
    try:
        (send if options.side == 'send' else receive)(options)
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
