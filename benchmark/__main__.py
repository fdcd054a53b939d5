"""
``make bench``: what each stage costs, and what a frame takes from the camera to its answer.

Every figure stands beside a floor that is measured in the same run, in turns with it: the same
bytes through a bare rclpy subscriber and the same network on a picture that is ready (see
``floor.py``). Two processes, real DDS. Run it on a machine that does nothing else.
"""

import argparse
from array import array
from collections.abc import Callable
from contextlib import suppress
import json
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
from threading import Thread
from time import monotonic
from time import perf_counter
from time import sleep
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.setdefault('ROS_DOMAIN_ID', str(random.randint(1, 100)))
os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(ROOT / 'config' / 'fastdds.xml'))

import rclpy  # noqa: E402
from rclpy.executors import ExternalShutdownException  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from tool_recognizer.core.information import log_softmax  # noqa: E402
from tool_recognizer.core.preprocessing import fit_image  # noqa: E402
from tool_recognizer.core.recognition import recognize  # noqa: E402
from tool_recognizer.messages import from_ros  # noqa: E402
from tool_recognizer.model.onnx_model import DEFAULT_MODEL  # noqa: E402
from tool_recognizer.model.onnx_model import OnnxModel  # noqa: E402
from tool_recognizer.pictures.line import AssemblyLine  # noqa: E402
from tool_recognizer.ros import to_ros  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

SIZES = ((480, 640), (1080, 1920))
TRANSPORTS = ('raw', 'jpeg')
# The first answers of a process are slower than all later ones.
WARM_UP = 10
LEAST = 5


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog='benchmark', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=4, help='turns of each side (default: 4)')
    parser.add_argument('--seconds', type=float, default=5.0,
                        help='length of a turn (default: 5)')
    parser.add_argument('--json', metavar='FILE', help='write the figures there, too')
    options = parser.parse_args()
    model = OnnxModel.load(DEFAULT_MODEL)
    figures: dict[str, Any] = {'cores': os.cpu_count(), 'model': model.digest}
    print(f'{os.cpu_count()} cores, model {model.path.name} ({model.digest[:12]}), '
          f'{model.provider}; milliseconds, median of many\n')
    bench = Bench()
    try:
        figures['stages'] = stages(model, bench)
        figures['end_to_end'] = end_to_end(bench, options.rounds, options.seconds)
        figures['fast_camera'] = fast_camera(bench, 4 * options.seconds)
    finally:
        bench.close()
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + '\n')
    return 0


class Bench:
    """A node that publishes frames and receives what the other process makes of them."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node('bench')
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

    def now(self) -> int:
        """Nanoseconds on the clock that stamps the frames."""
        return int(self.node.get_clock().now().nanoseconds)


def stages(model: OnnxModel, bench: Bench) -> dict[str, dict[str, float]]:
    """Each stage by itself, in this process, and all of them as ``recognize`` does them."""
    print(f'{"stage":<24}' + ''.join(f'{f"{w}x{h} {t}":>16}' for h, w in SIZES
                                     for t in TRANSPORTS))
    columns = {}
    publisher = bench.node.create_publisher(Classification, '/bench', QoSProfile(depth=10))
    for size in SIZES:
        for transport in TRANSPORTS:
            message = frames(size, transport)[0]
            frame = from_ros.frame(message, model.input)
            image = fit_image(frame.pixels, model.input, frame.order)[np.newaxis]
            logits = model.infer(image).logits
            answer = recognize(frame, model)
            session = model._session
            columns[f'{size[1]}x{size[0]} {transport}'] = {
                'view' if transport == 'raw' else 'decode':
                    median(lambda m=message: from_ros.frame(m, model.input)),
                'resize': median(lambda f=frame: fit_image(f.pixels, model.input, f.order)),
                'infer': median(lambda i=image: model.infer(i)),
                'softmax': median(lambda z=logits: log_softmax(z[0], model.temperature)),
                'publish': median(lambda a=answer: publisher.publish(to_ros.classification(a))),
                'all but publish': median(lambda m=message: recognize(
                    from_ros.frame(m, model.input), model)),
                'floor: session.run': median(lambda i=image, s=session: s.run(None, {'image': i}))}
    bench.node.destroy_publisher(publisher)
    for stage in ('view', 'decode', 'resize', 'infer', 'softmax', 'publish', 'all but publish',
                  'floor: session.run'):
        print(f'{stage:<24}' + ''.join(
            f'{column[stage]:>16.3f}' if stage in column else f'{"-":>16}'
            for column in columns.values()))
    print(f'{"all / session.run":<24}' + ''.join(
        f'{c["all but publish"] / c["floor: session.run"]:>16.2f}' for c in columns.values()))
    print()
    return columns


def median(work: Callable[[], object], seconds: float = 0.8) -> float:
    """Milliseconds that a call takes, the median over some time."""
    work()
    times = []
    end = perf_counter() + seconds
    while perf_counter() < end or len(times) < LEAST:
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return float(np.median(times)) * 1e3


def end_to_end(bench: Bench, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """From the publisher's stamp to the answer received, at 30 Hz, in turns with the floor."""
    print("end to end at 30 Hz: camera's stamp to answer received; floor: camera's stamp to the "
          "end of a bare\nsubscriber's bare session.run, and (in brackets) until word of that is "
          'received')
    print(f'{"":<24}{"p50":>9}{"p95":>9}{"floor p50":>12}{"p95":>9}{"ratio":>9}'
          f'{"(floor received)":>18}{"answered":>11}')
    rows = []
    for size in SIZES:
        for transport in TRANSPORTS:
            ours: list[float] = []
            floor: list[float] = []
            received: list[float] = []
            sent = 0
            messages = frames(size, transport)
            for _ in range(rounds):
                with Other(bench, 'recognizer', transport) as other:
                    sent += other.feed(messages, 30.0, seconds)
                    ours += other.latencies()
                with Other(bench, 'floor', transport) as other:
                    other.feed(messages, 30.0, seconds)
                    floor += other.latencies()
                    received += other.received()
            p50, p95 = np.percentile(ours, [50, 95])
            low50, low95 = np.percentile(floor, [50, 95])
            back = float(np.median(received))
            row = {'frame': f'{size[1]}x{size[0]} {transport}', 'p50_ms': float(p50),
                   'p95_ms': float(p95), 'floor_p50_ms': float(low50),
                   'floor_p95_ms': float(low95), 'ratio': float(p50 / low50),
                   'floor_received_p50_ms': back, 'ratio_received': float(p50 / back),
                   'sent': sent, 'answered': len(ours)}
            rows.append(row)
            print(f'{row["frame"]:<24}{p50:>9.2f}{p95:>9.2f}{low50:>12.2f}{low95:>9.2f}'
                  f'{p50 / low50:>9.2f}{f"({p50 / back:.2f})":>18}{f"{len(ours)}/{sent}":>11}',
                  flush=True)
    print()
    return rows


def fast_camera(bench: Bench, seconds: float) -> dict[str, float]:
    """Whether a camera of 120 Hz makes latency or memory grow."""
    with Other(bench, 'recognizer', 'raw') as other:
        messages = frames(SIZES[0], 'raw')
        other.feed(messages, 120.0, seconds / 4)
        before = other.memory()
        sent = other.feed(messages, 120.0, seconds)
        latencies = other.latencies()
        quarter = len(latencies) // 4
        figures = {'sent': sent, 'answered': len(latencies),
                   'first_quarter_p95_ms': float(np.percentile(latencies[:quarter], 95)),
                   'last_quarter_p95_ms': float(np.percentile(latencies[-quarter:], 95)),
                   'memory_before_mib': before, 'memory_after_mib': other.memory()}
    print(f'640x480 raw at 120 Hz for {seconds:.0f} s: {figures["answered"]:.0f} of {sent} '
          f'answered, p95 {figures["first_quarter_p95_ms"]:.1f} ms in the first quarter and '
          f'{figures["last_quarter_p95_ms"]:.1f} ms in the last, memory {before:.0f} MiB before '
          f'and {figures["memory_after_mib"]:.0f} MiB after')
    return figures


class Other:
    """The other process: the recognizer or the floor."""

    def __init__(self, bench: Bench, program: str, transport: str) -> None:
        self._bench, self._program = bench, program
        self._done: dict[int, tuple[int, int]] = {}
        module = ['-m', 'tool_recognizer', 'recognizer', '--ros-args', '--log-level', 'warn',
                  '-p', 'autostart:=true', '-p',
                  f'image_transport:={"raw" if transport == "raw" else "compressed"}']
        if program == 'floor':
            module = [str(Path(__file__).parent / 'floor.py'), str(DEFAULT_MODEL), transport]
        self._process = subprocess.Popen([sys.executable, *module], cwd=ROOT)
        kind, topic = {'raw': (Image, '/image_raw'),
                       'jpeg': (CompressedImage, '/image_raw/compressed')}[transport]
        node = bench.node
        self._camera = node.create_publisher(kind, topic, QoSProfile(depth=5))
        if program == 'floor':
            self._answers = node.create_subscription(
                Header, '/floor/done', self._on_floor, QoSProfile(depth=100))
        else:
            self._answers = node.create_subscription(
                Classification, '/tool_recognizer/classification', self._on_answer,
                QoSProfile(depth=100))

    def __enter__(self) -> 'Other':
        end = monotonic() + 30.0
        while not self._camera.get_subscription_count():
            if monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(f'{self._program} did not start')
            sleep(0.05)
        sleep(0.5)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        self._bench.node.destroy_publisher(self._camera)
        self._bench.node.destroy_subscription(self._answers)

    def _on_answer(self, message: Any) -> None:
        now = self._bench.now()
        self._done[from_ros.key(message.header).stamp] = (now, now)

    def _on_floor(self, message: Any) -> None:
        done = message.stamp.sec * 1_000_000_000 + message.stamp.nanosec
        self._done[int(message.frame_id)] = (done, self._bench.now())

    def feed(self, messages: list[Any], rate: float, seconds: float) -> int:
        """Publish at a rate for a time; return how many frames count."""
        self._done.clear()
        start = monotonic()
        count = int(rate * seconds)
        first = 0
        for number in range(count + WARM_UP):
            sleep(max(0.0, start + number / rate - monotonic()))
            message = messages[number % len(messages)]
            message.header.stamp = self._bench.node.get_clock().now().to_msg()
            if number == WARM_UP:
                first = from_ros.key(message.header).stamp
            self._camera.publish(message)
        sleep(0.5)
        self._done = {stamp: at for stamp, at in self._done.items() if stamp >= first}
        return count

    def latencies(self) -> list[float]:
        """Milliseconds from stamp to done, in the order of the frames."""
        return [(done - stamp) / 1e6 for stamp, (done, _) in sorted(self._done.items())]

    def received(self) -> list[float]:
        """Milliseconds from stamp until word of it was received here."""
        return [(heard - stamp) / 1e6 for stamp, (_, heard) in sorted(self._done.items())]

    def memory(self) -> float:
        """Resident memory of the other process, MiB."""
        for line in Path(f'/proc/{self._process.pid}/status').read_text().splitlines():
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) / 1024.0
        return float('nan')


def frames(size: tuple[int, int], transport: str) -> list[Any]:
    """Camera messages of the drawn line, ready to be stamped and sent."""
    line = AssemblyLine(0)
    messages = []
    for index in range(0, 60, 10):
        pixels: NDArray[np.uint8] = cv2.resize(line.frame(index)[0], size[::-1])
        header = Header(frame_id='bench')
        if transport == 'raw':
            messages.append(Image(
                header=header, height=size[0], width=size[1], encoding='rgb8',
                step=3 * size[1], data=array('B', pixels.tobytes())))
        else:
            data = cv2.imencode('.jpg', pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
            messages.append(CompressedImage(header=header, format='jpeg',
                                            data=array('B', data.tobytes())))
    return messages


if __name__ == '__main__':
    sys.exit(main())
