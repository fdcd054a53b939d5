"""
``make soak HOURS=1``: run all of it for long, and see whether anything grows.

A camera at 60 Hz (the drawn line), a recognizer with a journal, and a console, each in a process
of its own. Every tenth frame is confirmed with what it truly shows; of the confirmations some are
late, some come twice, and some cannot be used. Two engineers' pages and an operator's are open,
each a WebSocket whose every message is read as soon as it comes, and /metrics is read as
Prometheus reads it. Run it on a machine that does nothing else.

What is kept for later is bounded, so memory grows until it is full, which takes a day of work. So
the recognizer goes on with a log of so many frames and confirmations that all of its stores are
full from the start: the last ones are the figures over ranges of time. The console's are full
soon, and its curve takes its memory at the start. The first quarter of the run is for what a
process still allocates then (the first snapshots of the run among it); from then on memory must
stay as it is. A run of less than half an hour is too short to judge anything.

``growth`` says how memory, files and threads are judged. Exit status 1 if one of them grows, if a
process died or a page was closed, or if a confirmation was not acknowledged.
"""

import argparse
import asyncio
from bisect import bisect
from collections import Counter
from collections import OrderedDict
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import asdict
import json
from pathlib import Path
import re
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic
from time import sleep
from typing import Any
from urllib.request import urlopen

from benchmark.growth import judge
from benchmark.growth import Sample
from benchmark.spun_node import own_graph
from benchmark.spun_node import SpunNode
from benchmark.start import write
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile
from tool_recognizer.core.monitor import HISTORY
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.messages import from_ros
from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import LONGEST
from tool_recognizer.programs.arguments import whole
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.camera_node import FASTEST
from tool_recognizer.ros.camera_node import SLOWEST
from vision_msgs.msg import Classification
import websockets

ROOT = Path(__file__).parent.parent
NAME = '/tool_recognizer'
RELIABLE = QoSProfile(depth=1000)
PATIENCE, SCRAPE = 60.0, 15.0
VIEWS = ('engineer', 'engineer', 'operator')
# Frames for one confirmation; of the confirmations each so many-th is late, twice, or of no use.
EVERY, LATE, TWICE, USELESS = 10, 20, 25, 50
# Confirmations in the log at the start: all that a run keeps; and frames for each of them, so that
# as many are pending.
STORED, FRAMES = HISTORY, 3
# The part of a run before it is judged.
WARM = 0.25
# Seconds by which a late one waits: more than monitor.late_after.
LATER = 12.0


class Line(SpunNode):
    """
    An operator who knows what the camera shows, and confirms every tenth frame of it.

    Attributes
    ----------
    answered : frames with a prediction
    confirmed : confirmations sent, by what they are
    open : nonces of those that were not acknowledged, in their order
    outcomes : of those that were
    latency : 95th percentile of the last predictions, ms, as the recognizer says

    """

    def __init__(self) -> None:
        self.answered, self.latency = 0, float('nan')
        self.confirmed: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.open: OrderedDict[str, None] = OrderedDict()
        self._truths: OrderedDict[FrameKey, str] = OrderedDict()
        self._late: OrderedDict[FrameKey, tuple[float, str]] = OrderedDict()
        self._owed = self._sent = 0
        super().__init__('soak')
        self._confirmation = self.node.create_publisher(
            DiagnosticStatus, f'{NAME}/confirmation', RELIABLE)
        for kind, topic, callback in (
                (Classification, '/camera/true_label', self._on_truth),
                (Classification, f'{NAME}/classification', self._on_prediction),
                (DiagnosticStatus, f'{NAME}/confirmation_ack', self._on_acknowledgement),
                (DiagnosticArray, '/diagnostics', self._on_diagnostics)):
            self.node.create_subscription(kind, topic, callback, RELIABLE)

    def rest(self) -> None:
        """Confirm nothing more."""
        self._owed = -sys.maxsize

    def _on_truth(self, message: Any) -> None:
        if message.results:
            self._truths[from_ros.key(message.header)] = message.results[0].class_id
        if len(self._truths) > 1000:
            self._truths.popitem(last=False)

    def _on_prediction(self, message: Any) -> None:
        self.answered += 1
        self._owed += 1
        key, now = from_ros.key(message.header), monotonic()
        label = self._truths.pop(key, None)
        while self._late and next(iter(self._late.values()))[0] < now:
            late, (_, said) = self._late.popitem(last=False)
            self._say('late', late, {said: 1.0})
        if label is None or self._owed < EVERY:
            return  # nothing lies in it: the next one makes up for it
        self._owed -= EVERY
        self._sent += 1
        if self._sent % LATE == 0:
            self._late[key] = now + LATER, label
            return
        self._say('in time', key, {label: 1.0})
        if self._sent % TWICE == 1:
            self._say('twice', key, {label: 1.0})
        if self._sent % USELESS == 1:
            self._say('of no use', key, {label: 0.4})

    def _say(self, what: str, key: FrameKey, distribution: Mapping[str, float]) -> None:
        nonce = f'soak-{self.confirmed.total():010d}'
        self.confirmed[what] += 1
        self.open[nonce] = None
        self._confirmation.publish(to_ros.status('confirmation', 'soak', DiagnosticStatus.OK, '', {
            'stamp': key.stamp, 'frame_id': key.frame_id, 'nonce': nonce, 'operator': 'soak',
            'distribution': json.dumps(distribution)}))

    def _on_acknowledgement(self, message: Any) -> None:
        values = {entry.key: entry.value for entry in message.values}
        if self.open.pop(values.get('nonce', ''), True) is None:
            self.outcomes[values['outcome']] += 1

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            for entry in status.values:
                if entry.key == 'latency_p95_ms':
                    self.latency = float(entry.value)


class Programs:
    """The three processes; their output is kept in a folder."""

    def __init__(self, folder: Path, stored: int, rate: float) -> None:
        self._folder = folder
        self.journal = folder / 'journal.db'
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        write(self.journal, FRAMES * stored, stored)
        self._start('console', '--ros-args', '-p', 'console.port:=0',
                    '-p', f'console.outbox:={folder / "outbox"}',
                    '-p', f'journal.path:={self.journal}')
        self._start('recognizer', '--ros-args', '-p', 'autostart:=true',
                    '-p', f'journal.path:={self.journal}')
        self._start('camera', '--rate', str(rate))

    def _start(self, name: str, *arguments: str) -> None:
        with self._log(name).open('wb') as output:
            self._running[name] = subprocess.Popen(
                [sys.executable, '-m', 'tool_recognizer', name, *arguments], cwd=ROOT,
                stdout=output, stderr=subprocess.STDOUT)
        print(f'{name}: process {self._running[name].pid}')

    def _log(self, name: str) -> Path:
        return self._folder / f'{name}.log'

    def address(self) -> str:
        """Wait for the console; return its host and port."""
        end, log = monotonic() + PATIENCE, self._log('console')
        while not (found := re.search(r'open http://([^/]+)/', log.read_text())):
            if monotonic() > end or self.dead():
                raise RuntimeError(f'the console did not start: {log.read_text()}')
            sleep(0.05)
        return found[1]

    def samples(self) -> dict[str, Sample]:
        """Look at each process."""
        return {name: Sample.of(process.pid) for name, process in self._running.items()}

    def dead(self) -> list[str]:
        """Tell of each process that has ended, with the last lines that it wrote."""
        return [f'{name} has ended with {process.returncode}: '
                + ' | '.join(self._log(name).read_text().splitlines()[-3:])
                for name, process in self._running.items() if process.poll() is not None]

    def journal_bytes(self) -> int:
        """Return how large the journal is, with what is on its way into it."""
        return sum(file.stat().st_size for file in self._folder.glob('journal.db*')
                   if file.is_file())

    def end(self) -> None:
        """End them as Ctrl-C does."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        for process in self._running.values():
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Pages:
    """
    Open pages of the console, and Prometheus.

    Attributes
    ----------
    messages : that the pages have read
    closed : what there is to say of those that were closed, a line each

    """

    def __init__(self, address: str) -> None:
        self.messages, self.closed = 0, list[str]()
        self._address, self._ended = address, False
        self._thread = Thread(target=lambda: asyncio.run(self._open()), daemon=True)
        self._thread.start()

    async def _open(self) -> None:
        await asyncio.gather(self._scrape(), *map(self._read, VIEWS))

    async def _read(self, view: str) -> None:
        try:
            async with websockets.connect(f'ws://{self._address}/socket?view={view}',
                                          compression=None) as page:
                while not self._ended:
                    with suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(page.recv(), 1.0)
                        self.messages += 1
        except (websockets.ConnectionClosed, OSError) as error:
            if not self._ended:
                self.closed.append(f'a page ({view}) was closed: {error}')

    async def _scrape(self) -> None:
        due = monotonic()
        while not self._ended:
            await asyncio.sleep(0.2)
            if monotonic() > due:
                due += SCRAPE
                with suppress(OSError):
                    await asyncio.to_thread(self._figures)

    def _figures(self) -> None:
        with urlopen(f'http://{self._address}/metrics') as response:
            response.read()

    def close(self) -> None:
        """Close them."""
        self._ended = True
        self._thread.join()


def main() -> int:
    """Run, print, and judge; return the exit status."""
    parser = argparse.ArgumentParser(prog='soak', description=(__doc__ or '').strip(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--hours', type=in_range(0.0, 1000.0), default=1.0,
                        help='0.1 is six minutes (default: 1)')
    parser.add_argument('--seconds', type=in_range(0.0, LONGEST), help='instead of hours')
    parser.add_argument('--rate', type=in_range(SLOWEST, FASTEST), default=60.0,
                        help='of the camera, Hz (default: 60)')
    parser.add_argument('--stored', type=whole(0, 1_000_000), default=STORED,
                        help=f'confirmations in the log at the start (default: {STORED})')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the figures there')
    options = parser.parse_args()
    own_graph()
    seconds = 3600.0 * options.hours if options.seconds is None else options.seconds
    with TemporaryDirectory() as folder:
        report = soak(Path(folder), seconds, options.rate, options.stored)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + '\n')
    for problem in report['problems']:
        print(problem)
    print('something grows, or was lost' if report['problems'] else
          'nothing was lost, and nothing is shown to grow'
          + (f'; a longer run decides about {" and ".join(report["undecided"])}'
             if report['undecided'] else ''))
    return 1 if report['problems'] else 0


def soak(folder: Path, seconds: float, rate: float, stored: int) -> dict[str, Any]:
    """Run all of it; return the figures, with what is wrong under 'problems'."""
    print(f'{seconds / 3600.0:g} h at {rate:g} Hz; one of {EVERY} frames is confirmed, {stored} '
          'were before; MiB, open files, threads')
    period = min(60.0, seconds / 60.0)
    moments: list[float] = []
    samples: dict[str, list[Sample]] = {'recognizer': [], 'console': [], 'camera': []}
    minutes: list[dict[str, Any]] = []
    with _running(folder, stored, rate) as (programs, line, pages):
        begin = monotonic()
        due = begin + period
        while monotonic() < begin + seconds and not programs.dead() and not pages.closed:
            sleep(min(1.0, period / 2))
            with suppress(OSError):  # it ends in this moment
                now = programs.samples()
                moments.append(monotonic() - begin)
                for name, row in samples.items():
                    row.append(now[name])
            if moments and monotonic() >= due:
                due += period
                minutes.append(_look(programs, line, moments[-1], now))
                print(_row(minutes[-1]), flush=True)
        line.rest()
        end = monotonic() + PATIENCE
        while line.open and monotonic() < end and not programs.dead():
            sleep(0.1)
        problems = programs.dead() + pages.closed
        if line.open:
            problems.append(f'{len(line.open)} of {line.confirmed.total()} confirmations were not '
                            'acknowledged')
        report: dict[str, Any] = {
            'seconds': seconds, 'rate': rate, 'stored': stored, 'minutes': minutes,
            'answered': line.answered, 'pages_read': pages.messages,
            'confirmed': dict(line.confirmed),
            'outcomes': dict(line.outcomes), 'unacknowledged': len(line.open),
            'verdicts': {}, 'undecided': [], 'problems': problems}
    print(f'{line.answered} answered, {line.confirmed.total()} confirmed: '
          f'{", ".join(f"{n} {what}" for what, n in sorted(line.outcomes.items()))}')
    first = bisect(moments, WARM * seconds)
    for name, row in samples.items():
        verdict = judge(moments[first:], row[first:])
        report['verdicts'][name] = verdict and asdict(verdict)
        print(f'{name:<12}{verdict or "not judged"}')
        if verdict is None:
            problems.append(f'{name}: the run was too short to judge it; make it longer')
        elif verdict.grows:
            problems.append(f'{name} grows: {verdict}')
        elif verdict.undecided:
            report['undecided'].append(name)
    return report


@contextmanager
def _running(folder: Path, stored: int, rate: float) -> Iterator[tuple[Programs, Line, Pages]]:
    programs = Programs(folder, stored, rate)
    try:
        pages = Pages(programs.address())
        line = Line()
        try:
            end = monotonic() + PATIENCE
            while not line.outcomes['scored'] and not programs.dead() and monotonic() < end:
                sleep(0.1)
            yield programs, line, pages
        finally:
            pages.close()
            line.close()
    finally:
        programs.end()


def _look(programs: Programs, line: Line, moment: float, now: Mapping[str, Sample]
          ) -> dict[str, Any]:
    # In this order, for they go on meanwhile: none is acknowledged before it is confirmed.
    return {'seconds': moment, **{name: asdict(sample) for name, sample in now.items()},
            'latency_p95_ms': line.latency, 'acknowledged': line.outcomes.total(),
            'confirmed': line.confirmed.total(), 'answered': line.answered,
            'journal_bytes': programs.journal_bytes()}


def _row(look: Mapping[str, Any]) -> str:
    processes = '  '.join('{} {rss:.1f} {files} {threads}'.format(name, **look[name])
                          for name in ('recognizer', 'console', 'camera'))
    return ('{seconds:6.0f} s  {}  p95 {latency_p95_ms:.1f}  answered {answered}  '
            'confirmed {confirmed}  acknowledged {acknowledged}  journal {journal:.1f} MB'.format(
                processes, journal=look['journal_bytes'] / 1e6, **look))


if __name__ == '__main__':
    sys.exit(main())
