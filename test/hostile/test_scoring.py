"""
Frames and confirmations in any order, and what is scored of them, by an oracle.

The oracle is written from docs/confirmations.md alone, with dicts and lists, and shares no code
with what it checks.
"""

from collections import Counter
import json
import math
import os
import random
from types import SimpleNamespace

import numpy as np
import pytest
from tool_recognizer.core.answer import Recognized
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampler
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Inspector
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.run import Run
from tool_recognizer.engine import Engine
from tool_recognizer.messages import from_ros

FUZZ = int(os.environ.get('TOOL_RECOGNIZER_FUZZ', '3000'))
ROUND = 1500
LABELS = ('hammer', 'screwdriver', 'wrench')
CAMERAS = ('left', 'right')
SECOND = 1_000_000_000
WINDOW, PENDING, LATE = 50, 200, 10 * SECOND
# Frames that a confirmation may be about, and by which stamps may go back.
RECENT, BACK = 100, 20


class Oracle:
    """What the page says of each confirmation, in plain Python."""

    def __init__(self, asking):
        self.asking = asking
        self.answered = {}    # frame to probabilities, the oldest first
        self.shared = set()   # answered frames that others have the stamp of
        self.newest = {}      # camera to the stamp of its last frame
        self.settled = {}     # frame to its first confirmation
        self.repeated = set()  # settled frames that count anew once they are shown again
        self.asked = {}       # frame to the probability with which it was asked for
        self.early = {}       # frame that was not shown to its confirmation
        self.counts = Counter()
        self.scored = []      # weight, confirmed and predicted distribution

    def frame(self, frame, p):
        stamp, camera = frame
        newest = self.newest.get(camera, -1)
        self.newest[camera] = stamp
        if stamp < newest:
            self.repeated |= {known for known in self.settled
                              if known[1] == camera and known[0] >= stamp}
            self._forget()
        if stamp == newest:
            self.shared.add(frame)
        else:
            self.shared.discard(frame)
            if frame in self.repeated:
                self.repeated.remove(frame)
                del self.settled[frame]
        self.answered.pop(frame, None)
        self.answered[frame] = p
        if len(self.answered) > PENDING:
            oldest = next(iter(self.answered))
            del self.answered[oldest]
            self.shared.discard(oldest)
            self._forget()
        if frame not in self.shared and frame in self.early:
            self.counts['unmatched'] -= 1
            return self.confirm(frame, self.early.pop(frame))
        return None

    def _forget(self):
        """Of frames that will be shown again, those are known whose prediction is."""
        for frame in self.repeated - self.answered.keys():
            self.repeated.remove(frame)
            del self.settled[frame]

    def confirm(self, frame, q):
        outcome = self._outcome(frame, {label: p for label, p in q.items() if p > 0.0})
        self.counts[outcome] += 1
        return outcome

    def _outcome(self, frame, q):
        if frame in self.shared:
            return 'ambiguous'
        first = self.settled.get(frame) or self.early.get(frame)
        if first is not None:
            same = first.keys() == q.keys() and all(abs(first[k] - q[k]) <= 1e-6 for k in q)
            return 'duplicate' if same else 'conflicting'
        if frame not in self.answered:
            self.early[frame] = q
            return 'unmatched'
        self.settled[frame] = q
        if 'operator:cannot_see' in q:
            return 'skipped'
        if not q.keys() <= {*LABELS}:
            return 'novel'
        if self.asking and frame not in self.asked:
            return 'volunteered'
        total = math.fsum(q.values())
        self.scored.append((1.0 / self.asked.get(frame, 1.0),
                            [q.get(label, 0.0) / total for label in LABELS],
                            self.answered[frame]))
        return 'late' if self.newest[frame[1]] - frame[0] > LATE else 'scored'

    def reset(self):
        self.scored = []
        self.counts = Counter(unmatched=len(self.early))

    def figures(self):
        """Return the weighted means over the last scored frames, nats per frame."""
        window = self.scored[-WINDOW:]
        weights = math.fsum(weight for weight, _, _ in window)

        def mean(of):
            return math.fsum(w * of(q, p) for w, q, p in window) / weights if window else math.nan
        return {'n': len(self.scored), 'window': len(window), 'nll': mean(cross_entropy),
                'cross_entropy': mean(cross_entropy),
                'entropy': mean(lambda q, p: cross_entropy(q, q)),
                'kl': mean(lambda q, p: cross_entropy(q, p) - cross_entropy(q, q))}


def cross_entropy(q, p):
    return math.fsum(-a * math.log(b) if b > 0.0 else math.inf
                     for a, b in zip(q, p, strict=True) if a > 0.0)


class Line:
    """The engine, the oracle, and what happens to both, drawn at random."""

    def __init__(self, seed):
        self.drawn = random.Random(seed)
        asking = seed % 2 == 1
        monitor = Monitor(LABELS, DriftDetector(len(LABELS)), window=WINDOW, pending=PENDING,
                          late_after=LATE, complete=not asking)
        self.engine = Engine(
            SimpleNamespace(digest='d' * 64, labels=LABELS),
            Run('d' * 64, monitor, EarlyWarning(len(LABELS)), Requests(10**18), 10**18),
            Inspector(0.0, 0.0, 1.0), Sampler(10**18), frozen_after=10**9)
        self.engine.start('start', 0)
        self.oracle = Oracle(asking)
        self.stamps = dict.fromkeys(CAMERAS, 100 * SECOND)
        self.said = []

    def frame(self):
        """Show a frame: mostly newer than the last, at times older, or of the same stamp."""
        camera = self.drawn.choice(CAMERAS)
        kind = self.drawn.random()
        step = 0 if kind < 0.04 else -self.drawn.randint(1, BACK) if kind < 0.08 else 1
        stamp = self.stamps[camera] = self.stamps[camera] + step * SECOND // 4
        p = [self.drawn.expovariate(1.0) + 1e-3 for _ in LABELS]
        if self.drawn.random() < 0.01:
            p[self.drawn.randrange(len(p))] = 0.0  # ruled out: it costs inf
        p = [value / math.fsum(p) for value in p]
        key = FrameKey(stamp, camera)
        with np.errstate(divide='ignore'):
            prediction = Prediction(key, LABELS, np.log(p), NO_FEATURES, 'd' * 64)
        early = self.engine.answer(Recognized(prediction, None, 0), Rules(), stamp,
                                   decided=Decision('wrench', 1.0)).early
        assert (None if early is None else early.outcome.value) == self.oracle.frame(key, p)
        if self.oracle.asking and self.drawn.random() < 0.5:
            probability = self.drawn.uniform(0.05, 1.0)
            self.engine.ask(key, Asked(probability), stamp)
            self.oracle.asked[key] = probability

    def confirmation(self):
        """Confirm a frame of the last ones, one to come, or one that never was."""
        kind, camera = self.drawn.random(), self.drawn.choice(CAMERAS)
        known = [*self.oracle.answered][-RECENT:]
        if kind < 0.8 and known:
            stamp, camera = self.drawn.choice(known)
        elif kind < 0.95:
            stamp = self.stamps[camera] + self.drawn.randint(1, 8) * SECOND // 4
        else:
            stamp, camera = self.stamps[camera], 'elsewhere'
        settled = self.oracle.settled.get((stamp, camera))
        kind = self.drawn.random()
        if settled is not None and kind < 0.5:
            q = settled
        elif kind < 0.75:
            q = {self.drawn.choice(LABELS): 1.0}
        elif kind < 0.9:
            weights = [self.drawn.expovariate(1.0) for _ in LABELS]
            q = {label: w / math.fsum(weights)
                 for label, w in zip(LABELS, weights, strict=True)}
        else:
            q = self.drawn.choice([
                {'anvil': 1.0}, {'operator:cannot_see': 1.0}, {'operator:another_tool': 1.0},
                {'wrench': 0.5, 'anvil': 0.5}, {'wrench': 1.0, 'anvil': 0.0}])
        self.confirm(FrameKey(stamp, camera), q)

    def confirm(self, key, q):
        message = status(key, json.dumps(q)) if self.drawn.random() < 0.5 else label(key, q)
        settled, _ = self.engine.confirm(from_ros.confirmation_status(message) if hasattr(
            message, 'values') else from_ros.confirmation(message), 0)
        assert settled.outcome.value == self.oracle.confirm(key, q)
        if settled.outcome.value in ('scored', 'late'):
            _, q, p = self.oracle.scored[-1]
            assert settled.nll == pytest.approx(cross_entropy(q, p), rel=1e-9, abs=1e-9)

    def hostile(self):
        """Send what is refused: nothing may change by it."""
        key = FrameKey(self.stamps['left'], 'left')
        noise = ''.join(chr(self.drawn.choice((*range(32, 127), 0x202e, 0xd800, 0)))
                        for _ in range(self.drawn.randrange(40)))
        message = self.drawn.choice([
            status(key, noise), status(key, '[' * self.drawn.randrange(70_000)),
            status(key, f'{{"wrench": {10 ** self.drawn.randint(1, 400)}}}'),
            status(FrameKey(self.drawn.getrandbits(80) + 2**61, 'left'), '{"wrench": 1.0}'),
            label(FrameKey(-self.drawn.getrandbits(60) - 1, 'left'), {'wrench': 1.0}),
            label(key, {'wrench': self.drawn.choice([math.nan, math.inf, -1.0, 0.3])}),
            label(key, {noise + '\0': 1.0})])
        with pytest.raises(InvalidConfirmation):
            (from_ros.confirmation_status if hasattr(message, 'values')
             else from_ros.confirmation)(message)

    def reset(self):
        self.engine.reset(0)
        self.oracle.reset()

    def check(self):
        figures, expected = self.engine.figures(), self.oracle.figures()
        assert {name: getattr(figures, name) for name in expected} == pytest.approx(
            expected, rel=1e-9, abs=1e-9, nan_ok=True)
        counts = self.engine.run.monitor.counts
        assert +Counter({outcome.value: n for outcome, n in counts.items()}) == (
            +self.oracle.counts)


def status(key, distribution):
    return SimpleNamespace(values=[SimpleNamespace(key=name, value=value) for name, value in (
        ('stamp', str(key.stamp)), ('frame_id', key.frame_id), ('distribution', distribution))])


def label(key, q):
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(
            sec=key.stamp // SECOND, nanosec=key.stamp % SECOND), frame_id=key.frame_id),
        results=[SimpleNamespace(class_id=name, score=p) for name, p in q.items()])


def test_what_is_scored_and_how_is_what_the_page_says():
    seen = Counter()
    for seed in range(-(-FUZZ // ROUND)):
        line = Line(seed)
        for number in range(ROUND):
            line.frame()
            line.confirmation()
            if line.drawn.random() < 0.2:
                line.hostile()
            if line.drawn.random() < 0.002:
                line.reset()
            if number % 20 == 0:
                line.check()
        line.check()
        seen += line.oracle.counts
    # It has met everything that it is about.
    assert {*seen} == {'scored', 'late', 'duplicate', 'conflicting', 'ambiguous', 'unmatched',
                       'novel', 'skipped', 'volunteered'}
