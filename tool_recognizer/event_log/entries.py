"""
What the journal writes: one small class for each thing that it is told, with its statements.

All of them are written in one transaction, in the order in which they were told, so what an entry
looks up is as it was when the monitor decided.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import sha256
import json
import sqlite3
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.information import entropy
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import HELD_CONFIRMATIONS
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction

# What joins a confirmation to a prediction, once.
MATCHED = (Outcome.SCORED, Outcome.LATE, Outcome.NOVEL, Outcome.VOLUNTEERED, Outcome.SKIPPED)
# What an NLL is kept of, and what of that is in the monitor's figures.
MEASURED = (Outcome.SCORED, Outcome.LATE, Outcome.VOLUNTEERED)
SCORED = (Outcome.SCORED, Outcome.LATE)

_PREDICTION = ('INSERT INTO predictions (id, run, stamp, frame_id, log_probabilities, decision) '
               'VALUES (?, ?, ?, ?, ?, ?)')
_SHADOW_PREDICTION = 'INSERT INTO shadow_predictions VALUES (?, ?, ?, ?, ?, ?, ?)'


def surprise(labels: tuple[str, ...], log_probabilities: NDArray[np.float64],
             distribution: Mapping[str, float]) -> float:
    """
    Score a confirmation: the NLL of its label, or the cross-entropy if there are several.

    Parameters
    ----------
    labels : the model's K labels
    log_probabilities : (K,) nats
    distribution : the confirmed label's or labels' probabilities

    Returns
    -------
    Nats; inf for a label that the model ruled out or does not have

    """
    q = np.zeros(len(labels))
    for label, probability in distribution.items():
        if probability > 0.0:
            if label not in labels:
                return float('inf')
            q[labels.index(label)] = probability
    return float(cross_entropy(q / q.sum(), log_probabilities))


class Writer:
    """One transaction: predictions that follow each other go in as one statement."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.unconfirmed = 0
        self.littered = False
        self.item: Entry | None = None
        self._predictions: list[Expect] = []
        self._shadow: list[Follow] = []

    def add(self, item: 'Expect') -> None:
        self._predictions.append(item)

    def add_shadow(self, item: 'Follow') -> None:
        self._shadow.append(item)

    def flush(self) -> None:
        if self._predictions:
            self.db.executemany(_PREDICTION, [
                (p.number, p.run, *p.prediction.key, _blob(p.prediction.log_probabilities),
                 p.decision) for p in self._predictions])
            rewinds = [(p.number, *p.prediction.key) for p in self._predictions if p.rewinds]
            if rewinds:
                self.db.executemany('INSERT INTO rewinds VALUES (?, ?, ?)', rewinds)
            self.unconfirmed += len(self._predictions)
            self._predictions = []
        if self._shadow:
            self.db.executemany(_SHADOW_PREDICTION, [
                (p.number, p.test, *p.prediction.key, _blob(p.prediction.log_probabilities),
                 None, None) for p in self._shadow])
            self._shadow = []

    def culprits(self) -> list['Entry']:
        """Return what was being written when it went wrong."""
        if self._predictions or self._shadow:
            return [*(self._predictions or self._shadow)]
        return [] if self.item is None else [self.item]

    def tally(self, run: int, outcome: Outcome, step: int = 1) -> None:
        self.db.execute('INSERT INTO tallies VALUES (?, ?, ?) '
                        'ON CONFLICT DO UPDATE SET n = n + excluded.n',
                        (run, outcome.value, step))

    def mark_confirmed(self, prediction: int) -> None:
        self.unconfirmed -= self.db.execute(
            'UPDATE predictions SET confirmed = 1 WHERE id = ? AND confirmed = 0',
            (prediction,)).rowcount

    def picture(self, prediction: int | None, name: str, content: bytes | None,
                expected: float) -> None:
        """List a picture that was written; without a prediction, or as a second, it is litter."""
        if content is None or prediction is None:
            return
        if self.db.execute('INSERT OR IGNORE INTO pictures VALUES (?, ?, ?, ?, ?)', (
                prediction, name, len(content), sha256(content).hexdigest(), expected)).rowcount:
            self.db.execute('DELETE FROM litter WHERE path = ?', (name,))


@dataclass(slots=True)
class Entry:
    """Something to write; ``done`` is told when it is on disk."""

    done: Future[int] | None

    def write(self, writer: Writer) -> int:
        """Write it within the transaction; return its number."""
        raise NotImplementedError


@dataclass(slots=True)
class Statements(Entry):
    run: int
    statements: tuple[tuple[str, tuple[Any, ...]], ...]

    def write(self, writer: Writer) -> int:
        writer.flush()
        for statement, values in self.statements:
            writer.db.execute(statement, values)
        return self.run


@dataclass(slots=True)
class Expect(Entry):
    number: int
    run: int
    prediction: Prediction
    decision: str
    rewinds: bool

    def write(self, writer: Writer) -> int:
        writer.add(self)
        return self.number


@dataclass(slots=True)
class Follow(Entry):
    """The shadow answered a frame; if it was confirmed before, the answer is scored."""

    number: int
    test: int
    prediction: Prediction
    scored: bool

    def write(self, writer: Writer) -> int:
        writer.add_shadow(self)
        if self.scored:
            writer.flush()
            key = self.prediction.key
            found = writer.db.execute(
                'SELECT id FROM confirmations WHERE stamp = ? AND frame_id = ? '
                'AND position IS NOT NULL ORDER BY position DESC LIMIT 1', key).fetchone()
            if found is not None:
                _score_shadow(writer, found[0], self.test, self.prediction, self.number)
        return self.number


@dataclass(slots=True)
class Sample(Entry):
    """The early warning's sampler opened a window, mostly because the last one gave a sample."""

    test: int
    sampling: Sampling
    log_probabilities: NDArray[np.float64] | None

    def write(self, writer: Writer) -> int:
        writer.flush()
        if self.log_probabilities is not None:
            writer.db.execute('INSERT INTO samples (test, log_probabilities) VALUES (?, ?)',
                              (self.test, _blob(self.log_probabilities)))
        windows, begin, end, taken = self.sampling
        writer.db.execute('INSERT OR REPLACE INTO sampling VALUES (?, ?, ?, ?, ?)', (
            self.test, windows, begin, end,
            None if taken is None else np.ascontiguousarray(taken, '<f4').tobytes()))
        return 0


@dataclass(slots=True)
class Settle(Entry):
    """The prediction came for which a confirmation was held."""

    run: int
    key: FrameKey
    outcome: Outcome
    position: int
    prediction: int
    labels: tuple[str, ...]
    log_probabilities: NDArray[np.float64]

    def write(self, writer: Writer) -> int:
        writer.flush()
        db = writer.db
        found = db.execute(
            'SELECT id, outcome, distribution FROM confirmations WHERE stamp = ? AND '
            'frame_id = ? AND held IS NOT NULL', self.key).fetchone()
        if found is None:
            raise ValueError(f'no confirmation of {self.key} is held')
        number, outcome, distribution = found
        db.execute('UPDATE confirmations SET held = NULL WHERE id = ?', (number,))
        if outcome != Outcome.UNMATCHED.value:
            # A recording started again, and the word is one that its last round had, too.
            number = db.execute(
                'INSERT INTO confirmations (run, stamp, frame_id, nonce, distribution, operator, '
                'received, outcome, newest_prediction, inclusion_probability) '
                'SELECT run, stamp, frame_id, nonce, distribution, operator, received, outcome, '
                'newest_prediction, inclusion_probability FROM confirmations WHERE id = ?',
                (number,)).lastrowid
        writer.tally(self.run, Outcome.UNMATCHED, -1)
        writer.tally(self.run, self.outcome)
        nll = (surprise(self.labels, self.log_probabilities, json.loads(distribution))
               if self.outcome in MEASURED else None)
        _settle(writer, number, self.run, self.outcome, self.position, self.prediction,
                self.prediction, nll)
        return int(number)


@dataclass(slots=True)
class Confirm(Entry):
    run: int
    confirmation: Confirmation
    outcome: Outcome
    position: int | None
    newest_prediction: int
    prediction: Prediction | None
    operator: str
    nonce: str
    received: int
    inclusion_probability: float | None
    picture: bytes | None
    picture_name: str
    spare: int
    shadow: tuple[int, Prediction] | None

    def write(self, writer: Writer) -> int:
        writer.flush()
        db, key, outcome = writer.db, self.confirmation.key, self.outcome
        prediction = self._prediction(writer)
        nll = (surprise(self.prediction.labels, self.prediction.log_probabilities,
                        self.confirmation.distribution)
               if self.prediction is not None and outcome in MEASURED else None)
        known = db.execute(
            'SELECT id, outcome FROM confirmations WHERE stamp = ? AND frame_id = ? '
            'AND nonce = ? AND (prediction IS ? OR prediction IS NULL) '
            'ORDER BY prediction IS NULL, id DESC LIMIT 1',
            (*key, self.nonce, prediction)).fetchone()
        if known is not None:
            number, before = known
            if outcome in MATCHED and before == Outcome.UNMATCHED.value:
                assert prediction is not None
                _settle(writer, number, self.run, outcome, self.position, prediction,
                        self.newest_prediction, nll)
                writer.tally(self.run, outcome)
            else:
                writer.tally(self.run, Outcome.DUPLICATE if outcome in MATCHED else outcome)
        else:
            number = db.execute(
                'INSERT INTO confirmations (run, stamp, frame_id, nonce, distribution, operator, '
                'received, outcome, position, prediction, newest_prediction, nll, '
                'inclusion_probability) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
                (self.run, *key, self.nonce, json.dumps(dict(self.confirmation.distribution)),
                 self.operator, self.received, outcome.value, self.position, prediction,
                 self.newest_prediction, nll, self.inclusion_probability)).lastrowid
            writer.tally(self.run, outcome)
            if prediction is not None:
                writer.mark_confirmed(prediction)
        if self.shadow is not None:
            _score_shadow(writer, int(number or 0), *self.shadow, self.spare)
        if outcome is Outcome.UNMATCHED:
            self._hold(writer, int(number or 0))
        if outcome in MATCHED:
            # A label that the model does not have is the most surprising of all.
            value = 0.0 if outcome is Outcome.SKIPPED else float('inf') if nll is None else nll
            writer.picture(prediction, self.picture_name, self.picture, value)
            db.execute('UPDATE pictures SET surprise = ? WHERE prediction = ?',
                       (value, prediction))
        return int(number or 0)

    def _hold(self, writer: Writer, number: int) -> None:
        """Keep it as the monitor does, in case its prediction comes; the oldest is let go."""
        writer.db.execute('UPDATE confirmations SET held = ? WHERE id = ?', (self.spare, number))
        writer.db.execute(
            'UPDATE confirmations SET held = NULL WHERE held <= (SELECT held FROM confirmations '
            'WHERE held IS NOT NULL ORDER BY held DESC LIMIT 1 OFFSET ?)', (HELD_CONFIRMATIONS,))

    def _prediction(self, writer: Writer) -> int | None:
        """Find the newest prediction of the frame, or add it if it never reached the disk."""
        key = self.confirmation.key
        found = _newest_prediction(writer, key)
        if self.prediction is None:
            return None if found is None else found[0]
        blob = _blob(self.prediction.log_probabilities)
        if found is not None and found[1] == blob:
            return found[0]
        writer.db.execute(_PREDICTION, (self.spare, self.run, *key, blob, ''))
        writer.unconfirmed += 1
        return self.spare


@dataclass(slots=True)
class Request(Entry):
    run: int
    key: FrameKey
    moment: int
    inclusion_probability: float
    test_share: float
    reason: str
    picture: bytes | None
    picture_name: str

    def write(self, writer: Writer) -> int:
        writer.flush()
        writer.db.execute(
            'INSERT INTO requests (run, stamp, frame_id, asked, inclusion_probability, reason, '
            'test_share) VALUES (?, ?, ?, ?, ?, ?, ?)',
            (self.run, *self.key, self.moment, self.inclusion_probability, self.reason,
             self.test_share))
        if self.picture is not None:
            found = _newest_prediction(writer, self.key)
            if found is not None:
                # What the model itself expects to pay for the frame's label.
                expected = float(entropy(np.exp(read_log_probabilities(found[1]))))
                writer.picture(found[0], self.picture_name, self.picture, expected)
        return 0


def _newest_prediction(writer: Writer, key: FrameKey) -> tuple[int, bytes] | None:
    """Find the number and the log-probabilities of the newest answer to a frame."""
    found: tuple[int, bytes] | None = writer.db.execute(
        'SELECT id, log_probabilities FROM predictions WHERE stamp = ? AND frame_id = ? '
        'ORDER BY id DESC LIMIT 1', key).fetchone()
    return found


def _settle(writer: Writer, number: int, run: int, outcome: Outcome, position: int | None,
            prediction: int, newest: int, nll: float | None) -> None:
    writer.db.execute(
        'UPDATE confirmations SET run = ?, outcome = ?, position = ?, prediction = ?, '
        'newest_prediction = ?, nll = ? WHERE id = ?',
        (run, outcome.value, position, prediction, newest, nll, number))
    writer.mark_confirmed(prediction)


def _score_shadow(writer: Writer, confirmation: int, test: int, prediction: Prediction,
                  number: int) -> None:
    """
    Note on which confirmation a shadow's answer was scored; a confirmation has one at most.

    Parameters
    ----------
    confirmation, test : by their numbers
    prediction : the shadow's; added if it never reached the disk
    number : a free one, which also says when it was scored

    """
    key, blob = prediction.key, _blob(prediction.log_probabilities)
    if writer.db.execute('SELECT 1 FROM shadow_predictions WHERE confirmation = ?',
                         (confirmation,)).fetchone():
        return
    if not writer.db.execute(
            'UPDATE shadow_predictions SET test = ?, confirmation = ?, position = ? '
            'WHERE id = (SELECT max(id) FROM shadow_predictions WHERE stamp = ? '
            'AND frame_id = ? AND confirmation IS NULL AND log_probabilities = ?)',
            (test, confirmation, number, *key, blob)).rowcount:
        writer.db.execute(_SHADOW_PREDICTION,
                          (number, test, *key, blob, confirmation, number))


def _blob(log_probabilities: NDArray[np.float64]) -> bytes:
    return np.ascontiguousarray(log_probabilities, '<f8').tobytes()


def read_log_probabilities(blob: bytes) -> NDArray[np.float64]:
    """Read the log-probabilities of a row of ``predictions``: (K,) float64, nats."""
    return np.frombuffer(blob, '<f8').astype(np.float64, copy=False)
