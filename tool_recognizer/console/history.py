"""
What a journal tells of the time before the console was started.

The rolling figures are computed anew from the journal's confirmations by the very monitor that
the recognizer runs. The evidence for drift is told only for runs whose journal holds what the test
began with; for the others it is nan, which a chart leaves out.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
import json
from pathlib import Path
import sqlite3
from typing import Any

import numpy as np
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.event_log.entries import read_log_probabilities
from tool_recognizer.event_log.file import explain
from tool_recognizer.event_log.file import open_readable
from tool_recognizer.event_log.file import pictures_folder

# Points of a run at most: more than a chart has pixels for.
POINTS = 600


@dataclass(frozen=True)
class Point:
    """
    The monitor's figures at one moment.

    Attributes
    ----------
    moment : seconds on the recognizer's clock
    n : confirmed and scored frames since the run began
    nll, nll_ci_low, nll_ci_high, entropy, kl : over the window, nats; nan if not known
    evidence : for drift; nan if not known

    """

    moment: float
    n: int
    nll: float
    nll_ci_low: float
    nll_ci_high: float
    entropy: float
    kl: float
    evidence: float


@dataclass(frozen=True)
class ScoredFrame:
    """
    One confirmed frame with the model's answer to it.

    Attributes
    ----------
    key : the frame
    moment : of the confirmation, seconds on the recognizer's clock
    label : the most probable confirmed label
    guess, probability : the label that the model put first, and how sure it was
    nll : nats; of a soft label its cross-entropy
    picture : the frame as JPEG, or the file that holds it; None if it was not kept

    """

    key: FrameKey
    moment: float
    label: str
    guess: str
    probability: float
    nll: float
    picture: bytes | Path | None


def read_scored(path: Path, after: int, since: float) -> tuple[list[ScoredFrame], int]:
    """
    Read the scored confirmations.

    Parameters
    ----------
    path : the journal
    after : number of the last row that is known already; 0: none
    since : seconds on the recognizer's clock; what came before is left out

    Returns
    -------
    The frames in the order of arrival, and the number of the last row

    Raises
    ------
    JournalError
        The journal cannot be read.

    """
    frames, last = [], after
    folder = pictures_folder(path)
    for (number, stamp, frame_id, received, distribution, nll, labels, blob, picture) in _rows(
            path, 'SELECT c.id, c.stamp, c.frame_id, c.received, c.distribution, c.nll, r.labels, '
            'p.log_probabilities, f.path FROM confirmations AS c '
            'JOIN predictions AS p ON p.id = c.prediction JOIN runs AS r ON r.id = p.run '
            'LEFT JOIN pictures AS f ON f.prediction = p.id '
            'WHERE c.id > ? AND c.nll IS NOT NULL AND c.received >= ? ORDER BY c.id',
            (after, int(since * 1e9))):
        last = number
        confirmed: dict[str, float] = json.loads(distribution)
        log_p = read_log_probabilities(blob)
        best = int(log_p.argmax())
        frames.append(ScoredFrame(
            FrameKey(Stamp(stamp), frame_id), received / 1e9,
            max(confirmed, key=lambda label: confirmed[label]), json.loads(labels)[best],
            float(np.exp(log_p[best])), nll, folder / picture if picture else None))
    return frames, last


def read_points(path: Path, since: float, window: int = 200) -> list[Point]:
    """
    Compute the rolling figures of the past.

    Parameters
    ----------
    path : the journal
    since : seconds on the recognizer's clock; what came before is left out
    window : confirmed frames that the figures are taken over

    Returns
    -------
    At most ``POINTS`` points of each run, in the order of their moments

    Raises
    ------
    JournalError
        The journal cannot be read.

    """
    points: list[Point] = []
    for run, labels, state in _rows(
            path, 'SELECT id, labels, state FROM runs WHERE id IN '
            '(SELECT run FROM confirmations WHERE received >= ?) ORDER BY id',
            (int(since * 1e9),)):
        points += _points_of_run(path, run, tuple(json.loads(labels)), state, since, window)
    return points


def _points_of_run(path: Path, run: int, labels: tuple[str, ...], state: str, since: float,
                   window: int) -> Iterator[Point]:
    rows = list(_rows(
        path, 'SELECT c.stamp, c.frame_id, c.received, c.distribution, p.log_probabilities, '
        'c.inclusion_probability, q.test_share FROM confirmations AS c '
        'JOIN predictions AS p ON p.id = c.prediction LEFT JOIN requests AS q ON q.id = ('
        'SELECT max(id) FROM requests WHERE stamp = c.stamp AND frame_id = c.frame_id) '
        'WHERE c.run = ? AND c.nll IS NOT NULL ORDER BY c.position', (run,)))
    detector, evidence = DriftDetector(len(labels)), False
    with suppress(LookupError, TypeError, ValueError):  # none, damaged, or of another version
        detector, evidence = DriftDetector.from_state(json.loads(state)), True
    monitor = Monitor(labels, detector, window=window)
    recent = sum(row[2] >= since * 1e9 for row in rows)
    step = max(1, recent // POINTS)
    for n, (stamp, frame_id, received, distribution, blob, inclusion, share) in enumerate(rows, 1):
        key = FrameKey(Stamp(stamp), frame_id)
        if inclusion is not None:
            monitor.ask(key, Asked(inclusion, 1.0 if share is None else share))
        monitor.expect(Prediction(key, labels, read_log_probabilities(blob), NO_FEATURES, ''))
        monitor.confirm(Confirmation(key, json.loads(distribution)))
        if received < since * 1e9 or ((len(rows) - n) % step and n != len(rows)):
            continue
        figures = monitor.figures()
        yield Point(received / 1e9, n, figures.nll, figures.nll_ci_low, figures.nll_ci_high,
                    figures.entropy, figures.kl, detector.evidence if evidence else float('nan'))


def _rows(path: Path, sql: str, values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    db = open_readable(path)
    try:
        yield from db.execute(sql, values)
    except sqlite3.Error as error:
        raise explain(path, error) from None
    finally:
        db.close()
