"""
What the console costs: the share of one core that its process takes.

    python3 -m benchmark.console
    python3 -m benchmark.console --pages 3 --rate 15 --seconds 30

A recognizer is played by this process: answers, decisions and a live JPEG picture at the camera's
rate, the monitor at each tenth. The pages are WebSockets that read everything, and so cost this
process, not the console's. Run it on a machine that does nothing else.
"""

import argparse
from array import array
from contextlib import suppress
import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic
from time import sleep

from benchmark.process import memory
from benchmark.process import processor_time
from benchmark.spun_node import own_graph
import cv2
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from tool_recognizer.pictures.line import AssemblyLine
from vision_msgs.msg import Classification
from vision_msgs.msg import ObjectHypothesis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ROOT = Path(__file__).parent.parent
PATIENCE = 30.0
LABELS = ('hammer', 'screwdriver', 'wrench')


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog='benchmark.console', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pages', type=int, default=3, help='open pages (default: 3)')
    parser.add_argument('--rate', type=float, default=15.0, help='frames per second (default: 15)')
    parser.add_argument('--seconds', type=float, default=30.0, help='time measured (default: 30)')
    options = parser.parse_args()
    own_graph()
    with TemporaryDirectory() as folder:
        rows = {view: measure(view, options.pages, options.rate, options.seconds, Path(folder))
                for view in ('nobody', 'operator', 'engineer')}
    print(f'{os.cpu_count()} cores; {options.rate:g} Hz, 640x480, {options.seconds:g} s')
    print(f'{"open pages":<16}{"of one core":>12}{"memory MiB":>12}{"pictures/s each":>17}')
    for view, row in rows.items():
        name = view if view == 'nobody' else f'{options.pages} {view}'
        print(f'{name:<16}{row["share"]:>11.1%}{row["memory"]:>12.0f}{row["pictures"]:>17.1f}')
    print(json.dumps(rows))
    return 0


def measure(view: str, pages: int, rate: float, seconds: float, folder: Path) -> dict[str, float]:
    """Run the console with so many pages of one view; return its figures."""
    log = folder / f'{view}.log'
    with log.open('wb') as output:
        process = subprocess.Popen(
            [sys.executable, '-m', 'tool_recognizer', 'console', '--ros-args',
             '-p', 'console.port:=0', '-p', f'console.outbox:={folder / view}'],
            cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    seen = [0] * pages
    try:
        address = started(log)
        for number in range(pages if view != 'nobody' else 0):
            Thread(target=read, args=(address, view, seen, number), daemon=True).start()
        return feed(process.pid, rate, seconds, seen)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def started(log: Path) -> str:
    """Wait for the console; return its host and port."""
    end = monotonic() + PATIENCE
    while not (found := re.search(r'open http://([^/]+)/', log.read_text())):
        if monotonic() > end:
            raise RuntimeError(f'the console did not start: {log.read_text()}')
        sleep(0.05)
    return found[1]


def read(address: str, view: str, seen: list[int], number: int) -> None:
    """Read all that a page is sent, and count the pictures."""
    with suppress(ConnectionClosed, OSError), connect(
            f'ws://{address}/socket?view={view}', compression=None) as page:
        while True:
            seen[number] += isinstance(page.recv(), bytes)


def feed(pid: int, rate: float, seconds: float, seen: list[int]) -> dict[str, float]:
    """Play the recognizer; return what the process took of a core, and its memory."""
    rclpy.init()
    node = rclpy.create_node('bench')
    name = '/tool_recognizer'
    live = node.create_publisher(CompressedImage, f'{name}/annotated/compressed', 1)
    answers = node.create_publisher(Classification, f'{name}/classification', 10)
    decisions = node.create_publisher(Classification, f'{name}/decision', 10)
    monitor = node.create_publisher(DiagnosticStatus, f'{name}/monitor', QoSProfile(depth=10))
    diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
    line = AssemblyLine(0)
    pictures = []
    for index in range(0, 300, 30):
        pixels = cv2.resize(line.frame(index)[0], (640, 480))
        data = cv2.imencode('.jpg', pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
        pictures.append(array('B', data.tobytes()))
    settle = 3.0
    start, begun, used, counted = monotonic(), 0.0, 0.0, list(seen)
    number = 0
    while (now := monotonic()) < start + settle + seconds:
        if not begun and now > start + settle:
            begun, used, counted = now, processor_time(pid), list(seen)
        header = Header(stamp=node.get_clock().now().to_msg(), frame_id='camera')
        answers.publish(Classification(header=header, results=[
            ObjectHypothesis(class_id=label, score=1 / 3) for label in LABELS]))
        decisions.publish(Classification(header=header, results=[
            ObjectHypothesis(class_id='wrench', score=0.9)]))
        live.publish(CompressedImage(header=header, format='jpeg',
                                     data=pictures[number % len(pictures)]))
        if number % 10 == 0:
            monitor.publish(DiagnosticStatus(name='tool_recognizer: monitor', values=[
                KeyValue(key=key, value=str(value)) for key, value in {
                    'n': number, 'nll': 0.3, 'nll_ci_low': 0.2, 'nll_ci_high': 0.4, 'kl': 0.3,
                    'entropy': 0.0, 'evidence': 1.0 + number, 'threshold': 2000.0}.items()]))
        if number % round(rate) == 0:
            diagnostics.publish(DiagnosticArray(status=[
                DiagnosticStatus(name='tool_recognizer: input', message='answering')]))
        number += 1
        sleep(max(0.0, start + number / rate - monotonic()))
    span = monotonic() - begun
    figures = {'share': (processor_time(pid) - used) / span, 'memory': memory(pid),
               'pictures': sum(a - b for a, b in zip(seen, counted, strict=True))
               / span / len(seen)}
    node.destroy_node()
    rclpy.shutdown()
    return figures


if __name__ == '__main__':
    sys.exit(main())
