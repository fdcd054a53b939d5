"""
``make bench-start``: what a start on a large event log takes, and what a confirmation costs.

The log holds 1,000,000 answered frames and 20,000 confirmations, and ends where a start has most
to do: just before a snapshot was due. Each start is a process of its own, in turns with one that
only loads the model; the file is in the system's cache, as after a crash of the node. Run it on a
machine that does nothing else.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import perf_counter
from time import sleep
from typing import Any

import numpy as np
from tool_recognizer.assembly import make_engine
from tool_recognizer.core.answer import Recognized
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.engine import Engine
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.log import SNAPSHOT_EVERY

PERIOD = 66_666_667
START = 1_790_000_000_000_000_000
# Of the default model, as of the early warning's samples.
FEATURES = 1280
# Predictions that may wait for the disk while the log is written.
AHEAD = 20_000


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog='bench-start', description=(__doc__ or '').strip(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=1_000_000)
    parser.add_argument('--confirmed', type=int, default=20_000)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--log', type=Path, help='a log that was kept; made if it is not there')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    parser.add_argument('--child', choices=CHILDREN, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(CHILDREN[options.child](options.log)))
        return 0
    with _place(options.log) as path:
        if not path.exists():
            begin = perf_counter()
            write(path, options.frames, options.confirmed)
            print(f'{options.frames} frames and {options.confirmed} confirmations, written in '
                  f'{perf_counter() - begin:.0f} s', flush=True)
        figures: dict[str, Any] = {'file_mb': path.stat().st_size / 1e6}
        print(f'{figures["file_mb"]:.0f} MB; the median of {options.rounds} rounds\n')
        rounds = [{name: _run(name, path) for name in CHILDREN} for _ in range(options.rounds)]
        figures |= {f'{name}: {figure}': float(np.median([row[name][figure] for row in rounds]))
                    for name in CHILDREN for figure in rounds[0][name]}
    for name, value in figures.items():
        print(f'{name:<44}{value:>10.3f}')
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + '\n')
    return 0


@contextmanager
def _place(log: Path | None) -> Iterator[Path]:
    if log is not None:
        yield log
        return
    with TemporaryDirectory() as folder:
        yield Path(folder) / 'journal.db'


def _run(child: str, path: Path) -> dict[str, float]:
    said = subprocess.run([sys.executable, '-m', 'benchmark.start', '--child', child, '--log',
                           str(path)], check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(said)
    return figures


def write(path: Path, frames: int, confirmed: int) -> None:
    """Let an engine write a log, faster than any camera."""
    partial = path.with_name(f'{path.name}.partial')
    engine, rng = make_engine({}), np.random.default_rng(0)
    with EventLog(partial) as log:
        log.open()
        engine.start('start', START, log)
        predictions, every = Predictions(engine, rng), max(1, frames // max(1, confirmed))
        for number in range(frames):
            prediction = predictions.answer(number)
            if (number + 1) % every == 0:
                confirm(engine, prediction, rng)
            if (frames - number) % round(0.98 * SNAPSHOT_EVERY) == 0:
                engine.follow(Frame(prediction.key, np.zeros((1, 1, 3), np.uint8), 'rgb'),
                              prediction.key.stamp)
            if log.waiting > AHEAD:
                log.flush()
        log.flush()
        for one in engine.notes, log.notes, log.dropped, log.refused:
            assert not one, one
    for file in sorted(path.parent.glob(f'{partial.name}*')):
        file.rename(file.with_name(file.name.replace(partial.name, path.name)))


class Predictions:
    """Predictions of a camera at 15 Hz, without a camera or a network."""

    def __init__(self, engine: Engine, rng: np.random.Generator) -> None:
        self._engine, labels = engine, len(engine.model.labels)
        self._log_p = log_softmax(3.0 * rng.normal(size=(4096, labels)))
        self._features = rng.normal(size=(512, FEATURES)).astype(np.float32)

    def answer(self, number: int) -> Prediction:
        """Let the engine answer a frame."""
        model = self._engine.model
        prediction = Prediction(
            FrameKey(Stamp(START + number * PERIOD), 'bench'), model.labels,
            self._log_p[number % len(self._log_p)], self._features[number % len(self._features)],
            model.digest)
        self._engine.answer(Recognized(prediction, None, number), Rules(), prediction.key.stamp,
                            decided=Decision(model.labels[prediction.best], 1.0))
        return prediction


def confirm(engine: Engine, prediction: Prediction, rng: np.random.Generator) -> float:
    """Confirm a frame by a label that the model's probabilities draw; return its seconds."""
    label = prediction.labels[rng.choice(len(prediction.labels), p=prediction.probabilities)]
    key = prediction.key
    confirmation = Confirmation(key, {label: 1.0}, 'operator', str(key.stamp))
    begin = perf_counter()
    engine.confirm(confirmation, key.stamp)
    return perf_counter() - begin


def load(path: Path) -> dict[str, float]:
    """Only load the model, and make the engine."""
    begin = perf_counter()
    make_engine({})
    return {'seconds': perf_counter() - begin, 'peak MiB': _peak()}


def start(path: Path) -> dict[str, float]:
    """Start an engine on the log; confirm frames; wait for the check."""
    engine = make_engine({})
    begin = perf_counter()
    with EventLog(path) as log:
        log.open()
        opened = perf_counter()
        engine.start('start', START, log)
        started = perf_counter()
        assert not engine.notes, engine.notes
        assert engine.figures().n, 'the run was not gone on with'
        figures = {'seconds beyond the model': started - begin,
                   '  of these opening the file': opened - begin, 'peak MiB': _peak()}
        log.check.wait()
        figures |= {'check: seconds': perf_counter() - started, 'check: peak MiB': _peak()}
        assert not log.findings, log.findings
        rng = np.random.default_rng(1)
        predictions, seconds = Predictions(engine, rng), []
        for number in range(1_000_000_000, 1_000_002_000):
            seconds.append(confirm(engine, predictions.answer(number), rng))
            sleep(0.001)
        log.flush()
    median, slow = 1e6 * np.percentile(seconds, [50, 95])
    return figures | {'confirmation: us': float(median), 'confirmation: us, p95': float(slow)}


def _peak() -> float:
    """Return the most memory that this process had since it was begun, MiB."""
    (line,) = [line for line in Path('/proc/self/status').read_text().splitlines()
               if line.startswith('VmHWM:')]
    return int(line.split()[1]) / 1024


CHILDREN = {'load': load, 'start': start}

if __name__ == '__main__':
    sys.exit(main())
