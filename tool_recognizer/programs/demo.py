"""
Camera, recognizer and a scripted operator together on this machine.

The camera and the recognizer are the real nodes in processes of their own; the operator and the
table are here, and know only what the topics tell.
"""

from contextlib import suppress
import json
from pathlib import Path
import random
import socket
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from std_msgs.msg import Bool
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.messages import from_ros
from tool_recognizer.programs.arguments import command
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.endings import Finished
from tool_recognizer.ros.sources import count_pictures
from tool_recognizer.ros.sources import open_source
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo

SUMMARY = 'camera, recognizer and a scripted operator together, without a camera'

RELIABLE = QoSProfile(depth=1000)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TABLE_PERIOD = 0.5
# Answers whose true label is awaited, or the other way round.
UNPAIRED = 1000
# Seconds that a child has to end after it was asked to.
PATIENCE = 5.0
CONSOLE_PORT = 8080


class DemoNode(Node):
    """
    The scripted operator and the table.

    Parameters
    ----------
    camera : source of the camera's frames
    rate : its frames per second, where it has no pace of its own
    seconds : after which it ends; 0: never
    headless : no table
    confirm : share of the frames that the operator confirms
    console : TCP port of the operator's console; 0: none; None: 8080, or a free one
    record : folder of the bag that is recorded; empty: none

    Raises
    ------
    ValueError
        The source, the port or the folder cannot be used; nothing was started.

    """

    def __init__(self, camera: str, rate: float, seconds: float, headless: bool, confirm: float,
                 console: int | None, record: str, **options: Any) -> None:
        # Its children would say it, too, but only after the rest was started and announced.
        open_source(camera, tell=lambda text: None)
        if record and Path(record).exists():
            raise ValueError(f'{record}: exists already; name a new folder or remove it')
        check_outputs(folders=[Path(record) if record else None])
        if console and not _can_listen(console):
            raise ValueError(f'console: port {console} of 127.0.0.1 cannot be used; give another '
                             'one, or none for one that is free')
        super().__init__('operator', **options)
        self._camera, self._headless, self._share = camera, headless, confirm
        self._record = record
        self._random = random.Random(0)
        self._labels: tuple[str, ...] = ()
        self._answers: dict[FrameKey, Any] = {}
        self._truths: dict[FrameKey, str] = {}
        self._right = self._scored = 0
        self._new_frames = count_pictures(camera) or sys.maxsize
        self._tool_confirmed = False
        self._latencies: list[float] = []
        self._recent: list[float] = []
        self._decision = '-'
        self._values: dict[str, str] = {}
        self._input: dict[str, str] = {}
        self._state = 'starting'
        self.drift = False
        self._confirmed_label = self.create_publisher(
            Classification, '/tool_recognizer/confirmed_label', RELIABLE)
        for kind, topic, callback, qos in (
                (Classification, '/camera/true_label', self._on_truth, RELIABLE),
                (Classification, '/tool_recognizer/classification', self._on_answer, RELIABLE),
                (Classification, '/tool_recognizer/decision', self._on_decision, RELIABLE),
                (LabelInfo, '/tool_recognizer/label_info', self._on_labels, LATCHED),
                (DiagnosticStatus, '/tool_recognizer/monitor', self._on_monitor, LATCHED),
                (Bool, '/tool_recognizer/drift', self._on_drift, LATCHED),
                (DiagnosticArray, '/diagnostics', self._on_diagnostics, RELIABLE)):
            self.create_subscription(kind, topic, callback, qos)
        self._started = monotonic()
        self._seconds = seconds
        self.create_timer(TABLE_PERIOD, self._on_time)
        quiet = ['--ros-args', '--log-level', 'warn']
        self._folder = TemporaryDirectory(prefix='tool_recognizer_')
        journal = f'journal.path:={self._folder.name}/journal.db'
        self._children = [
            # The scripted operator confirms blindly picked frames, so that all of them count.
            _start(['recognizer', *quiet, '-p', 'autostart:=true', '-p', journal,
                    '-p', 'inspection.probability:=0.01',
                    '-p', 'monitor.volunteered:=score']),
            _start(['camera', '--source', camera, '--rate', str(rate), *quiet])]
        if console is None:
            console = _free_port()
        domain = f'ROS_DOMAIN_ID={self.context.get_domain_id()}'
        if not console:
            print(domain, flush=True)
        else:
            self._children.append(_start([
                'console', *quiet, '-p', f'console.port:={console}', '-p', journal,
                '-p', f'console.outbox:={self._folder.name}/console.outbox']))
            print(f"{domain}, operator's page: http://127.0.0.1:{console}/, engineer's: "
                  f'http://127.0.0.1:{console}/engineer', flush=True)
        if record:
            self._children.append(_start(['record', '--output', record, *quiet]))

    def destroy_node(self) -> None:
        """End the children, then say how it went."""
        failed = self._failed()
        for child in self._children:
            if child.poll() is None:
                child.terminate()
        for child in self._children:
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._folder.cleanup()
        if self._record and Path(self._record).exists():
            print(f'recorded {self._record}; replay it with: '
                  f'{command(Path(sys.executable), "replay", self._record)}', flush=True)
        if not failed:
            print(json.dumps(self.summary()), flush=True)
        super().destroy_node()

    def _failed(self) -> int:
        return next((abs(child.returncode) for child in self._children
                     if child.poll() not in (None, 0)), 0)

    def _on_labels(self, message: Any) -> None:
        self._labels = tuple(entry.class_name for entry in message.class_map)

    def _on_drift(self, message: Any) -> None:
        self.drift = message.data

    def _on_decision(self, message: Any) -> None:
        result = message.results[0]
        self._decision = (f'{result.class_id} {result.score:.1%}' if result.score
                          else result.class_id)

    def _on_monitor(self, message: Any) -> None:
        self._state = message.message
        self._values = {entry.key: entry.value for entry in message.values}

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name == 'tool_recognizer: input':
                self._input = {entry.key: entry.value for entry in status.values}

    def _on_truth(self, message: Any) -> None:
        if not message.results:  # nothing is shown: the next tool is another one
            self._tool_confirmed = False
            return
        key = from_ros.key(message.header)
        self._truths[key] = message.results[0].class_id
        self._pair(key)

    def _on_answer(self, message: Any) -> None:
        key = from_ros.key(message.header)
        latency = (self.get_clock().now().nanoseconds - key.stamp) / 1e6
        self._latencies.append(latency)
        self._recent.append(monotonic())
        self._answers[key] = message
        self._pair(key)

    def _pair(self, key: FrameKey) -> None:
        if key not in self._answers or key not in self._truths:
            for store in (self._answers, self._truths):
                if len(store) > UNPAIRED:
                    del store[next(iter(store))]
            return
        answer, truth = self._answers.pop(key), self._truths.pop(key)
        if self._confirmed_label.get_subscription_count() == 0:
            return  # nobody would hear the word; the frame stays a new one
        self._new_frames -= 1
        if truth not in self._labels:
            return  # shown, but nothing that the model could be scored on
        best = max(answer.results, key=lambda result: result.score)
        self._scored += 1
        self._right += best.class_id == truth
        # Frames of one tool on the line are nearly the same picture: one of them is confirmed.
        if self._camera == 'line' and self._tool_confirmed:
            return
        # A folder begins anew at its end; one picture confirmed twice is not two labels.
        if self._new_frames < 0:
            return
        if self._random.random() < self._share:
            self._tool_confirmed = True
            self._confirmed_label.publish(to_ros.distribution(key, {truth: 1.0}))

    def _on_time(self) -> None:
        if any(child.poll() is not None for child in self._children):
            raise Finished(self._failed())
        if not self._headless:
            self._show()
        if self._seconds and monotonic() - self._started >= self._seconds:
            raise Finished

    def summary(self) -> dict[str, Any]:
        """Tell the whole run; a figure that is not known is None, for JSON has no nan."""
        p50, p95 = (np.percentile(self._latencies, [50, 95]) if self._latencies
                    else (float('nan'), float('nan')))
        dropped = sum(int(value) for name, value in self._input.items()
                      if name.startswith('dropped_'))
        return {
            'frames': int(self._input.get('received', 0)),
            'answered': int(self._input.get('answered', 0)),
            'dropped': dropped,
            'accuracy': _number(self._right / self._scored if self._scored else float('nan')),
            'nll': _number(self._values.get('nll', 'nan')),
            'kl': _number(self._values.get('kl', 'nan')),
            'p50_ms': _number(p50), 'p95_ms': _number(p95), 'drift': self.drift,
            'scored': self._scored, 'confirmed': int(self._values.get('n', 0))}

    def _show(self) -> None:
        now = monotonic()
        self._recent = [moment for moment in self._recent if now - moment < 2.0]
        latest = self._latencies[-200:]
        p50, p95 = np.percentile(latest, [50, 95]) if latest else (float('nan'),) * 2
        value = self._values
        rows = (
            ('camera', self._camera),
            ('frame rate', f'{len(self._recent) / 2.0:.1f} Hz answered, '
                           f'{self._input.get("dropped_busy", 0)} dropped as busy'),
            ('latency', f'p50 {p50:.1f} ms, p95 {p95:.1f} ms (camera stamp to answer received)'),
            ('decision', self._decision),
            ('accuracy', f'{self._right / self._scored:.1%} of {self._scored} frames with a '
                         'known label' if self._scored else '-'),
            ('NLL', f'{_figure(value, "nll")} nats [{_figure(value, "nll_ci_low")}, '
                    f'{_figure(value, "nll_ci_high")}], reference '
                    f'{_figure(value, "reference_nll")}'),
            ('KL', f'{_figure(value, "kl")} nats, label mix {_figure(value, "marginal_kl")}'),
            ('monitor', f'{self._state}; {value.get("n", 0)} confirmed, evidence '
                        f'{_figure(value, "evidence")} of {_figure(value, "threshold")}'))
        home = f'\x1b[{len(rows)}A' if getattr(self, '_shown', False) else ''
        self._shown = True
        print(home + '\n'.join(f'\x1b[K{name:<12}{text}' for name, text in rows), flush=True)


def _number(value: Any) -> float | None:
    number = float(value)
    return round(number, 6) if np.isfinite(number) else None


def _figure(values: dict[str, str], name: str) -> str:
    return f'{float(values.get(name, "nan")):.3f}'


def _free_port() -> int:
    """Return the console's usual port, or another if that is taken."""
    return _can_listen(CONSOLE_PORT) or _can_listen(0)


def _can_listen(port: int) -> int:
    """Return the port if one can listen there, or a free one for 0; otherwise 0."""
    with socket.socket() as trial, suppress(OSError, OverflowError):
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(('127.0.0.1', port))
        return int(trial.getsockname()[1])
    return 0


def _start(program: list[str]) -> subprocess.Popen[bytes]:
    # In a session of its own, so that Ctrl-C reaches it once, from here.
    return subprocess.Popen([sys.executable, '-m', 'tool_recognizer', *program],
                            start_new_session=True)


def main(argv: list[str] | None = None) -> int:
    """Run the demo until its time is over or the user ends it; return the exit status."""
    parser = Parser('demo', SUMMARY, (
        'demo', 'demo --seconds 20 --headless', 'demo --camera photos/'))
    parser.add_argument('--camera', default='line',
                        help='line (drawn), a folder, a video, a device or a bag '
                             '(default: line)')
    parser.add_argument('--rate', type=float, default=15.0,
                        help='frames per second of a folder or the line (default: 15)')
    parser.add_argument('--seconds', type=float, default=0.0,
                        help='end after this time; 0: at Ctrl-C (default: 0)')
    parser.add_argument('--headless', action='store_true', help='no table')
    parser.add_argument('--confirm', type=float, default=0.3, metavar='SHARE',
                        help='share of the frames that the scripted operator confirms '
                             '(default: 0.3)')
    parser.add_argument('--console', type=int, metavar='PORT',
                        help="port of the operator's console on this machine; 0: no console "
                             f'(default: {CONSOLE_PORT}, or a free one if that is taken)')
    parser.add_argument('--record', default='', metavar='FOLDER',
                        help='record what is seen, answered and confirmed as a bag, for replay')
    return run_node(DemoNode, parser, argv)
