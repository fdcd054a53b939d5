"""
The process that is killed in the kill test: it writes a journal at full load.

A server forks one writer for each line that it reads, so that a life costs milliseconds. It
prints, a line each: ``life PID``; of the writer ``sent STAMP`` before a confirmation is told and
``acknowledged STAMP`` when its future is done; ``dead STATUS`` at its end.
"""

from itertools import count
import json
import os
import sys

import numpy as np
from tool_recognizer.adapters.journal import Journal
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp

LABELS = ('hammer', 'screwdriver', 'wrench')
DIGEST = 'd' * 64
MATCHED = (Outcome.SCORED, Outcome.LATE, Outcome.NOVEL)
# Answers a life makes before the next confirmation, and confirmations in flight.
PER_CONFIRMATION = 20
# Of each hundred confirmations, these come before their prediction.
EARLY = 10
CAPACITY = 2000


def monitor():
    return Monitor(LABELS, DriftDetector(len(LABELS)), window=200, minimum=10, pending=CAPACITY)


def prediction(stamp):
    """Return the answer to a frame, which anyone can compute again from its stamp."""
    logits = np.random.default_rng(stamp).normal(0.0, 2.0, len(LABELS))
    return Prediction(FrameKey(Stamp(stamp), 'camera'), LABELS, log_softmax(logits),
                      np.zeros(0, np.float32), DIGEST)


def confirmation(stamp):
    """Return the operator's word on a frame, which anyone can compute again from its stamp."""
    rng = np.random.default_rng(stamp + 1)
    distribution = ({LABELS[rng.integers(len(LABELS))]: 1.0} if stamp % 7
                    else {'hammer': 0.25, 'wrench': 0.75})
    return Confirmation(FrameKey(Stamp(stamp), 'camera'), distribution)


def resume(watching, restored):
    """Make a monitor what it was; it must come from nothing else than what was restored."""
    watching.resume(scored=[(frame.prediction, frame.confirmation) for frame in restored.scored],
                    counts=restored.counts, pending=restored.pending,
                    confirmed=restored.confirmed, held=restored.held, asked=restored.requests)
    return watching


def confirm(journal, watching, word):
    """Confirm as the node does; return the outcome and the future."""
    outcome = watching.confirm(word)
    joined = watching.waiting(word.key) if outcome in MATCHED else None
    return outcome, journal.confirm(word, outcome, received=word.key.stamp, prediction=joined,
                                    picture=b'\xff\xd8' + bytes(2000) + b'\xff\xd9')


def say(*words):
    # One write of less than a pipe's buffer is never torn.
    os.write(1, (' '.join(map(str, words)) + '\n').encode())


def live(path, first, again):
    """Write until killed: frames from a first stamp on, after confirmations told once more."""
    with Journal(path, keep_predictions=20_000, picture_budget=200_000) as journal:
        watching = monitor()
        restored = journal.restore(DIGEST, LABELS, CAPACITY)
        if restored is None:
            journal.start_run('start', DIGEST, LABELS, first)
        else:
            resume(watching, restored)

        def tell(stamp):
            say('sent', stamp)
            _, future = confirm(journal, watching, confirmation(stamp))
            future.add_done_callback(
                lambda done: None if done.exception() else say('acknowledged', stamp))
            return future

        for stamp in again:
            tell(stamp)
        for stamp in count(first):
            newest = prediction(stamp)
            journal.expect(newest, 'wrench', watching.expect(newest))
            if stamp % PER_CONFIRMATION == 0:
                future = tell(stamp + 3 if stamp // PER_CONFIRMATION % 100 < EARLY else stamp)
                if stamp // PER_CONFIRMATION % 3 == 0:
                    future.result()


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
