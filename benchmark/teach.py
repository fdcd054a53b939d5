"""
``make bench-teach``: from the last collected frame to a candidate that answers beside.

A collection of 200 drawn photographs of five labels is made first, with the features that are
computed while one collects. Then a recognizer answers a drawn line, and through the console's page
a model is trained on the collection and tried beside. Printed are the seconds that this takes, and
how late the answers to the live frames are before it and meanwhile, each with an open page. Run it
on a machine that does nothing else.
"""

import argparse
from http.client import HTTPConnection
from itertools import count
import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
from threading import Event
from threading import Thread
from time import monotonic
from time import sleep
from time import time_ns
from typing import Any

from benchmark.spun_node import own_graph
from benchmark.spun_node import SpunNode
from builtin_interfaces.msg import Time
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.pictures.line import AssemblyLine
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.pictures.tools import OTHER
from tool_recognizer.pictures.tools import TOOLS
from tool_recognizer.training.assemble import input_spec
from tool_recognizer.training.collection import Collection
from vision_msgs.msg import Classification

ROOT = Path(__file__).parent.parent
PATIENCE = 300.0
RATE = 15.0


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog='bench-teach', description=(__doc__ or '').strip(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--photographs', type=int, default=200)
    parser.add_argument('--labels', type=int, default=5)
    parser.add_argument('--seconds', type=int, default=20,
                        help='in which the latency before is measured (default: 20)')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    options = parser.parse_args()
    own_graph()
    with TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.photographs,
                          (*TOOLS, *OTHER)[:options.labels], options.seconds)
    print(f'{os.cpu_count()} cores; 640x480 at {RATE:g} Hz')
    for name, value in figures.items():
        print(f'{name:<44}{value:>10.2f}')
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + '\n')
    return 0


def measure(folder: Path, photographs: int, labels: tuple[str, ...], seconds: int
            ) -> dict[str, float]:
    """Collect, start all of it, and train."""
    collection, models = folder / 'collection', folder / 'models'
    begin = monotonic()
    figures: dict[str, float] = {'photographs': collect(collection, photographs, labels),
                                 'collecting them: s': monotonic() - begin}
    programs = []
    camera = Camera()
    try:
        programs.append(_start(folder / 'recognizer.log', 'recognizer', 'autostart:=true',
                               f'models.path:={models}'))
        log = folder / 'console.log'
        programs.append(_start(log, 'console', 'console.port:=0', f'models.path:={models}',
                               f'console.outbox:={folder}/console.outbox',
                               f'console.collection:={collection}'))
        page = Page(_address(log))
        camera.start()
        page.watch(5)
        camera.late.clear()
        page.watch(seconds)
        figures |= _latency('before', camera.late)
        begin = monotonic()
        page.post('train', person='bench')
        camera.late.clear()
        training = {'state': 'running'}
        while training['state'] == 'running':
            training = page.watch(1)['training']
        if training['state'] != 'done':
            raise RuntimeError(f'the training failed: {training}')
        figures |= {'training: s': monotonic() - begin, **_latency('meanwhile', camera.late)}
        figures['  p95 meanwhile, times that before'] = (
            figures['  p95 meanwhile: ms'] / figures['  p95 before: ms'])
        # Its response comes when the recognizer has loaded the candidate.
        page.post('beside', person='bench', version=training['version'])
        figures['from the last frame to a candidate: s'] = monotonic() - begin
    finally:
        for program in programs:
            program.send_signal(signal.SIGINT)
        for program in programs:
            program.wait(PATIENCE)
        camera.close()
    return figures


def collect(path: Path, photographs: int, labels: tuple[str, ...]) -> int:
    """Collect drawn photographs, and compute their features; return how many there are."""
    base = ModelFile.read(DEFAULT_MODEL)
    collection, rng = Collection(path, base, input_spec(base, None)), np.random.default_rng(0)
    for label in labels:
        taken = 0
        while taken < photographs // len(labels):
            frame = Frame(FrameKey(Stamp(time_ns()), 'bench'), draw_tool(label, rng, 480, 640),
                          'rgb')
            found = collection.take(label, frame).path
            if found is not None:
                collection.compute(found)
                taken += 1
    return len(collection.photographs())


class Camera:
    """Frames of the drawn line, and how late their answers come."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._spun = SpunNode('bench')
        self._publisher = self._spun.node.create_publisher(Image, '/image_raw', 5)
        self._spun.node.create_subscription(
            Classification, '/tool_recognizer/classification', self._hear, 10)
        line = AssemblyLine(0)
        self._pictures = [line.frame(7 * number)[0].tobytes() for number in range(60)]
        self._ended = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Publish from now on."""
        self._thread.start()

    def _hear(self, answer: Any) -> None:
        stamp = answer.header.stamp
        self.late.append(1e-9 * time_ns() - (stamp.sec + 1e-9 * stamp.nanosec))

    def _run(self) -> None:
        begin = monotonic()
        for number in count():
            if self._ended.wait(max(0.0, begin + number / RATE - monotonic())):
                return
            now = time_ns()
            message = Image(header=Header(frame_id='bench', stamp=Time(
                sec=now // 10**9, nanosec=now % 10**9)), height=480, width=640, encoding='rgb8',
                step=1920)
            message.data.frombytes(self._pictures[number % len(self._pictures)])
            self._publisher.publish(message)

    def close(self) -> None:
        """Publish no more, and end the node."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._spun.close()


class Page:
    """What the page Teach asks of the console."""

    def __init__(self, address: str) -> None:
        self._address = address

    def state(self) -> dict[str, Any]:
        """Return what the page shows."""
        return self._ask('GET', '/teach/state')

    def watch(self, seconds: int) -> dict[str, Any]:
        """Look each second, as an open page does; return what it shows in the end."""
        for _ in range(seconds):
            sleep(1.0)
            state = self.state()
        return state

    def post(self, act: str, **fields: str) -> dict[str, Any]:
        """Do something."""
        return self._ask('POST', f'/teach/{act}', json.dumps(fields))

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        connection = HTTPConnection(self._address, timeout=PATIENCE)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            said: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f'{path}: {said}')
        return said


def _latency(name: str, late: list[float]) -> dict[str, float]:
    p50, p95 = 1e3 * np.percentile(late, [50, 95])
    return {f'live frames {name}': float(len(late)), f'  p50 {name}: ms': float(p50),
            f'  p95 {name}: ms': float(p95)}


def _start(log: Path, program: str, *parameters: str) -> subprocess.Popen[bytes]:
    with log.open('wb') as output:
        return subprocess.Popen(
            [sys.executable, '-m', 'tool_recognizer', program, '--ros-args',
             *(word for rule in parameters for word in ('-p', rule))],
            cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)


def _address(log: Path) -> str:
    end = monotonic() + PATIENCE
    while not (found := re.search(r'open http://([^/]+)/', log.read_text())):
        if monotonic() > end:
            raise RuntimeError(f'the console did not start: {log.read_text()}')
        sleep(0.05)
    return found[1]


if __name__ == '__main__':
    sys.exit(main())
