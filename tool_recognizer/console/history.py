"""
What a journal tells of the time before the console was started.

The rolling figures are those of the very run that the recognizer has, with the journal's scored
frames applied to it anew. The evidence for drift is told only where the journal holds how the
run began; elsewhere it is nan, which a chart leaves out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.run import Run
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.reader import StoredConfirmation

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
    after : id of the last event that is known already; 0: none
    since : seconds on the recognizer's clock; what came before is left out

    Returns
    -------
    The frames in the order of arrival, and the id of the last event

    Raises
    ------
    JournalError
        The journal cannot be read.

    """
    frames, last = [], after
    with JournalReader(path) as reader:
        for stored in reader.measured(after):
            last, log_p = stored.position or last, stored.log_probabilities
            if stored.nll is not None and log_p is not None and stored.received >= since * 1e9:
                best = int(log_p.argmax())
                frames.append(ScoredFrame(
                    stored.key, stored.received / 1e9, stored.label, stored.labels[best],
                    float(np.exp(log_p[best])), stored.nll, stored.picture))
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
    runs: dict[int, tuple[Run, bool]] = {}
    with JournalReader(path) as reader:
        scored = [stored for stored in reader.measured() if stored.outcome in SCORED]
        for (began, _), stretch in groupby(scored, lambda stored: (stored.began, stored.run)):
            frames = list(stretch)
            if began not in runs:
                state = reader.first_state(began)
                runs[began] = state or _without_evidence(frames[0]), state is not None
            if frames[-1].received >= since * 1e9:
                points += _points(*runs[began], frames, since, window)
    return points


def _without_evidence(stored: StoredConfirmation) -> Run:
    """Make a run for the figures of the window alone."""
    labels = stored.labels
    return Run(stored.model_digest, Monitor(labels, DriftDetector(len(labels))),
               EarlyWarning(len(labels)), Requests(1), 0)


def _points(run: Run, evidence: bool, frames: list[StoredConfirmation], since: float,
            window: int) -> Iterator[Point]:
    """Apply what was scored between two resets to a run, and tell what it made of it."""
    run.apply(RunReset(frames[0].received))
    monitor = run.monitor
    # Where nobody was asked, every frame is taken as one that was asked for certainly.
    monitor.adopt(monitor.settings._replace(window=window, complete=False))
    recent = sum(stored.received >= since * 1e9 for stored in frames)
    step = max(1, recent // POINTS)
    for n, stored in enumerate(frames, 1):
        assert stored.log_probabilities is not None
        run.apply(FrameAnswered(stored.received, Prediction(
            stored.key, stored.labels, stored.log_probabilities, NO_FEATURES,
            stored.model_digest), stored.decision))
        run.apply(FrameAsked(stored.received, stored.key, stored.asked or Asked(1.0)))
        run.apply(FrameConfirmed(stored.received, Confirmation(stored.key, stored.distribution)))
        if stored.received < since * 1e9 or ((len(frames) - n) % step and n != len(frames)):
            continue
        figures = monitor.figures()
        yield Point(stored.received / 1e9, n, figures.nll, figures.nll_ci_low, figures.nll_ci_high,
                    figures.entropy, figures.kl,
                    monitor.detector.evidence if evidence else float('nan'))
