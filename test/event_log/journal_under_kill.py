"""
The process that is killed in the kill test: an engine writes a journal at full load.

A server forks one writer for each line that it reads, so that a life costs milliseconds. It
prints, a line each: ``life PID``; of the writer ``sent STAMP`` before a confirmation is told and
``acknowledged STAMP`` when its future is done; ``dead STATUS`` at its end.
"""

from itertools import count
import json
import os
from pathlib import Path
import sys

import numpy as np
from tool_recognizer.core.answer import Recognized
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampler
from tool_recognizer.core.inspection import Inspector
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Inference
from tool_recognizer.core.recognition import recognize
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.run import Run
from tool_recognizer.engine import Engine
from tool_recognizer.event_log import log as event_log
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.shadow import ShadowModel

LABELS = ('hammer', 'screwdriver', 'wrench')
DIGEST = 'd' * 64
# Answers a life makes before the next confirmation, and confirmations in flight.
PER_CONFIRMATION = 20
# Of each hundred confirmations, these come before their prediction.
EARLY = 10
CAPACITY = 500
PICTURE = b'\xff\xd8' + bytes(2000) + b'\xff\xd9'
# Of the early warning's sampler, ns: the stamps are whole numbers.
WINDOW = 60
# Otherwise no life is long enough for a kill to hit a snapshot.
SNAPSHOT_EVERY = CAPACITY


class Model:
    """A classifier whose answer anyone can compute again: the pixels are the frame's stamp."""

    labels, input = LABELS, InputSpec(1, 3, 'stretch')  # noqa: A003
    temperature, novelty_threshold, quality = 1.0, np.inf, None
    path = Path('model.onnx')

    def __init__(self, digest, seed):
        self.digest, self._seed = digest, seed

    def infer(self, images):
        (stamp,) = np.frombuffer(images[0].tobytes()[:8], '<i8')
        rng = np.random.default_rng([self._seed, stamp])
        return Inference(rng.normal(0.0, 2.0, (1, len(LABELS))).astype(np.float32),
                         rng.normal(0.0, 1.0, (1, 16)).astype(np.float32),
                         np.full(1, np.nan, np.float32))


IN_CHARGE, CANDIDATE = Model(DIGEST, 0), Model('c' * 64, 1)


def monitor():
    return Monitor(LABELS, DriftDetector(len(LABELS)), window=200, minimum=10, pending=CAPACITY)


def engine(asking=0.0):
    """Put an engine together that asks for a share of the frames."""
    run = Run(DIGEST, monitor(), EarlyWarning(len(LABELS)), Requests(10**12), WINDOW,
              Comparison(monitor(), LABELS, (DIGEST, CANDIDATE.digest)))
    return Engine(IN_CHARGE, run, Inspector(asking, asking, 1e9), Sampler(WINDOW), 2,
                  ShadowModel(CANDIDATE))


def frame(stamp):
    pixels = np.frombuffer(stamp.to_bytes(9, 'little'), np.uint8).reshape(1, 3, 3)
    return Frame(FrameKey(Stamp(stamp), 'camera'), pixels, 'rgb')


def prediction(stamp, model=IN_CHARGE):
    return recognize(frame(stamp), model)


def told_before_the_shadow_answers(stamp):
    return stamp // PER_CONFIRMATION % 4 == 1


def confirmation(stamp):
    """Return the confirmation of a frame, which anyone can compute again from its stamp."""
    rng = np.random.default_rng(stamp + 1)
    distribution = ({LABELS[rng.integers(len(LABELS))]: 1.0} if stamp % 7
                    else {'hammer': 0.25, 'wrench': 0.75})
    return Confirmation(FrameKey(Stamp(stamp), 'camera'), distribution)


def say(*words):
    # One write of less than a pipe's buffer is never torn.
    os.write(1, (' '.join(map(str, words)) + '\n').encode())


def opened(path):
    """Open the log as all here do."""
    log = EventLog(path, keep_predictions=20_000, picture_budget=200_000)
    log.open()
    return log


def live(path, first, again):
    """Write until killed: frames from a first stamp on, after confirmations told once more."""
    event_log.SNAPSHOT_EVERY = SNAPSHOT_EVERY
    log = opened(path)
    # Otherwise no life is long enough for a kill to hit a checkpoint of the write-ahead log.
    log.store.db.execute('PRAGMA wal_autocheckpoint = 50')
    running = engine()
    running.start('start', first, log)

    def tell(stamp):
        say('sent', stamp)
        _, future = running.confirm(confirmation(stamp), stamp, PICTURE)
        future.add_done_callback(
            lambda done: None if done.exception() else say('acknowledged', stamp))
        return future

    for stamp in again:
        tell(stamp)
    for stamp in count(first):
        running.answer(Recognized(prediction(stamp), None, stamp), Rules(), stamp)
        if not told_before_the_shadow_answers(stamp):
            running.follow(frame(stamp), stamp)
        if stamp % PER_CONFIRMATION == 0:
            future = tell(stamp + 3 if stamp // PER_CONFIRMATION % 100 < EARLY else stamp)
            if stamp // PER_CONFIRMATION % 3 == 0:
                future.result()
        if told_before_the_shadow_answers(stamp):
            running.follow(frame(stamp), stamp)


def serve():
    for line in sys.stdin:
        path, first, again = json.loads(line)
        child = os.fork()
        if child == 0:
            live(path, first, again)
        say('life', child)
        _, status = os.waitpid(child, 0)
        say('dead', status)


if __name__ == '__main__':
    serve()
