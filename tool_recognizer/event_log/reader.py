"""A journal, read: its confirmations, its figures, and what is wrong with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
import json
from pathlib import Path
import sqlite3
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.event_log.entries import MATCHED
from tool_recognizer.event_log.entries import MEASURED
from tool_recognizer.event_log.entries import read_log_probabilities
from tool_recognizer.event_log.entries import SCORED
from tool_recognizer.event_log.entries import surprise
from tool_recognizer.event_log.file import explain
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.file import open_readable
from tool_recognizer.event_log.file import pictures_folder
from tool_recognizer.event_log.restored import UNUSABLE

# How far stored log-probabilities may be from a distribution, and a stored NLL from a new one.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class StoredConfirmation:
    """
    One confirmation, with what is known of its frame.

    Attributes
    ----------
    number : in the order of arrival
    run : the run in which it was settled
    stamp, frame_id : the frame; ns
    received : ns, on the receiver's clock
    operator : who
    outcome : what became of it
    position : in the order of scoring; None if it was not joined to a prediction
    distribution : label to probability
    nll : nats, None if it was not scored; of a soft label its cross-entropy
    inclusion_probability : with which the frame was asked for, or None
    model_digest : of the model that answered, or of the run if none is known to have
    labels : that model's K labels
    log_probabilities : (K,) nats, None if no prediction is known
    decision : what a controller was told; '' if unknown
    picture : the frame as JPEG, None if it was not kept

    """

    number: int
    run: int
    stamp: int
    frame_id: str
    received: int
    operator: str
    outcome: Outcome
    position: int | None
    distribution: dict[str, float]
    nll: float | None
    inclusion_probability: float | None
    model_digest: str
    labels: tuple[str, ...]
    log_probabilities: NDArray[np.float64] | None
    decision: str
    picture: Path | None

    @property
    def label(self) -> str:
        """Return the most probable confirmed label; of equals, the first."""
        return max(self.distribution, key=lambda label: self.distribution[label])


class JournalReader:
    """
    A journal to read; a node may be writing it meanwhile.

    Parameters
    ----------
    path : the file

    Attributes
    ----------
    path : as given
    pictures : the folder of its pictures

    Raises
    ------
    JournalError
        It is not there, or is no journal of this version; from each verb, too, if the file
        turns out to be damaged.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._db = open_readable(self.path)
        self.pictures = pictures_folder(self.path)

    def __enter__(self) -> 'JournalReader':
        """Return the reader itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self._db.close()

    def labels(self) -> list[str]:
        """Return every label that a model of the journal had, the first model's first."""
        found: dict[str, None] = {}
        for run, text in self._rows('SELECT id, labels FROM runs ORDER BY id'):
            with self._readable('runs', run):
                found |= dict.fromkeys(json.loads(text))
        return list(found)

    def confirmations(self) -> Iterator[StoredConfirmation]:
        """Yield every confirmation, in the order of arrival."""
        for row in self._rows(
                'SELECT c.id, c.run, c.stamp, c.frame_id, c.received, c.operator, c.outcome, '
                'c.position, c.distribution, c.nll, c.inclusion_probability, r.model_digest, '
                'r.labels, p.log_probabilities, p.decision, f.path '
                'FROM confirmations AS c LEFT JOIN predictions AS p ON p.id = c.prediction '
                'JOIN runs AS r ON r.id = coalesce(p.run, c.run) '
                'LEFT JOIN pictures AS f ON f.prediction = c.prediction ORDER BY c.id'):
            (number, run, stamp, frame_id, received, operator, outcome, position, distribution,
             nll, inclusion, digest, labels, blob, decision, path) = row
            with self._readable('confirmations', number):
                confirmation = StoredConfirmation(
                    number, run, stamp, frame_id, received, operator, Outcome(outcome), position,
                    dict(Confirmation(FrameKey(stamp, frame_id),
                                      json.loads(distribution)).distribution),
                    nll, inclusion, digest, tuple(json.loads(labels)),
                    None if blob is None else read_log_probabilities(blob), decision or '',
                    None if path is None else self.pictures / path)
            yield confirmation

    def statistics(self) -> dict[str, Any]:
        """
        Count what is in the journal.

        Returns
        -------
        bytes, picture_bytes; pictures, requests, predictions, predictions_confirmed; first_stamp
        and last_stamp of the predictions, ns, None without any; confirmations by outcome (as
        kept: the same word delivered twice is one); labels: confirmed and joined, by label; nll:
        mean over all that were scored, nats, None without any; events by kind; runs: id, reason,
        started (ns), model_digest, scored, nll

        """
        def one(sql: str) -> Any:
            return next(self._rows(sql))

        def by(sql: str) -> dict[str, int]:
            return dict(self._rows(sql))

        scored = f'outcome IN ({", ".join(repr(outcome.value) for outcome in SCORED)})'
        first, last = one('SELECT min(stamp), max(stamp) FROM predictions')
        labels: dict[str, int] = {}
        for confirmation in self.confirmations():
            if confirmation.position is not None:
                labels[confirmation.label] = labels.get(confirmation.label, 0) + 1
        with_log = [self.path, self.path.with_name(f'{self.path.name}-wal')]
        return {
            'bytes': sum(file.stat().st_size for file in with_log if file.exists()),
            'picture_bytes': one('SELECT coalesce(sum(bytes), 0) FROM pictures')[0],
            'pictures': one('SELECT count(*) FROM pictures')[0],
            'requests': one('SELECT count(*) FROM requests')[0],
            'predictions': one('SELECT count(*) FROM predictions')[0],
            'predictions_confirmed': one('SELECT count(*) FROM predictions '
                                         'WHERE confirmed = 1')[0],
            'first_stamp': first, 'last_stamp': last,
            'confirmations': by('SELECT outcome, count(*) FROM confirmations GROUP BY outcome'),
            'labels': dict(sorted(labels.items())),
            'nll': one(f'SELECT avg(nll) FROM confirmations WHERE {scored}')[0],
            'events': by('SELECT kind, count(*) FROM events GROUP BY kind ORDER BY kind'),
            'runs': [dict(zip(('id', 'reason', 'started', 'model_digest', 'scored', 'nll'), row,
                              strict=True))
                     for row in self._rows(
                         'SELECT r.id, r.reason, r.started, r.model_digest, count(c.id), '
                         'avg(c.nll) FROM runs AS r LEFT JOIN confirmations AS c '
                         f'ON c.run = r.id AND c.{scored} GROUP BY r.id ORDER BY r.id')]}

    def problems(self) -> Iterator[str]:
        """
        Yield what is wrong with the journal, a line each; nothing if all is well.

        Left out: ``pictures_without_folder``, of which one line says as much as one for each.
        """
        for (said,) in self._rows('PRAGMA integrity_check'):
            if said != 'ok':
                yield f'the file is damaged: {said}'
        for table, row, parent, _ in self._rows('PRAGMA foreign_key_check'):
            yield f'row {row} of {table} names a row of {parent} that is not there'
        for prediction, n in self._rows(
                'SELECT prediction, count(*) FROM confirmations WHERE position IS NOT NULL '
                'GROUP BY prediction HAVING count(*) > 1'):
            yield f'prediction {prediction} was joined to {n} confirmations'
        for confirmation in self.confirmations():
            yield from _problems_of(confirmation)
        matched = ', '.join(repr(outcome.value) for outcome in MATCHED)
        for run, outcome, counted, kept in self._rows(
                'SELECT t.run, t.outcome, t.n, count(c.id) FROM tallies AS t '
                'LEFT JOIN confirmations AS c ON c.run = t.run AND c.outcome = t.outcome '
                f'WHERE t.outcome IN ({matched}) GROUP BY t.run, t.outcome '
                'HAVING t.n <> count(c.id)'):
            yield f'run {run} counted {counted} confirmations as {outcome} and keeps {kept}'
        if self.pictures_without_folder():
            return
        for prediction, path, size, digest in self._rows(
                'SELECT prediction, path, bytes, digest FROM pictures ORDER BY prediction'):
            wrong = _problem_of_picture(self.pictures / path, size, digest)
            # A node that writes meanwhile may have let it go for the budget.
            if wrong and list(self._rows('SELECT 1 FROM pictures WHERE prediction = ? '
                                         'AND path = ?', (prediction, path))):
                yield wrong

    def pictures_without_folder(self) -> int:
        """Return how many pictures the journal has whose folder is not there at all."""
        ((pictures,),) = self._rows('SELECT count(*) FROM pictures')
        return 0 if self.pictures.is_dir() else int(pictures)

    def unlisted_pictures(self) -> list[Path]:
        """Return the picture files that the journal does not know."""
        known = {path for table in ('pictures', 'litter')
                 for (path,) in self._rows(f'SELECT path FROM {table}')}
        try:
            return sorted(file for file in self.pictures.iterdir()
                          if file.name.removesuffix('.partial') not in known)
        except OSError:
            return []

    @contextmanager
    def _readable(self, table: str, number: int) -> Iterator[None]:
        try:
            yield
        except UNUSABLE as error:
            raise JournalError('corrupt', (
                f'journal {self.path}: row {number} of {table} is damaged '
                f'({type(error).__name__}: {error}); correct it, or remove it from a copy: '
                f'sqlite3 COPY "DELETE FROM {table} WHERE id = {number}"')) from None

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise explain(self.path, error) from None


def _problems_of(confirmation: StoredConfirmation) -> Iterator[str]:
    name = (f'confirmation {confirmation.number} of frame {confirmation.stamp} '
            f'{confirmation.frame_id!r}')
    matched = confirmation.outcome in MATCHED
    if matched != (confirmation.position is not None):
        yield f'{name} is {confirmation.outcome.value}, but has position {confirmation.position}'
    log_p = confirmation.log_probabilities
    if log_p is None:
        if matched:
            yield f'{name} has no prediction'
        return
    if log_p.size != len(confirmation.labels):
        yield f'{name} has {log_p.size} probabilities for {len(confirmation.labels)} labels'
        return
    if not abs(float(np.exp(log_p).sum()) - 1.0) <= TOLERANCE:
        yield f'{name} has probabilities that do not sum to 1'
        return
    if confirmation.outcome in MEASURED:
        nll = surprise(confirmation.labels, log_p, confirmation.distribution)
        kept = confirmation.nll
        if kept is None or not (kept == nll or abs(kept - nll) <= TOLERANCE):
            yield f'{name} keeps an NLL of {kept}, computed anew it is {nll}'


def _problem_of_picture(path: Path, size: int, digest: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        return f'picture {path}: {error.strerror}'
    if len(content) != size:
        return f'picture {path}: {len(content)} bytes, {size} were written'
    if sha256(content).hexdigest() != digest:
        return f'picture {path}: its content has changed since it was written'
    return ''
