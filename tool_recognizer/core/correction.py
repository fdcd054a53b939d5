"""
Corrections: what an engineer says of a confirmation after it was settled.

The run after a correction is the fold over the same confirmations with the superseded one
replaced, or left out if it was struck out; ``Rescoring`` makes that part of it. Left out: that the
frame is confirmed (which does not change: a late repetition of the superseded confirmation still
is one), and where the confirmations are kept (``event_log``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import NamedTuple

from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction


@dataclass(frozen=True)
class Correction:
    """
    What supersedes a confirmation.

    Attributes
    ----------
    of : the event of the confirmation, by its number in the log
    key : its frame
    distribution : label to probability, as of a confirmation; empty: it is struck out
    operator : who corrects
    nonce : the sender's mark, by which a repeated delivery is known for one

    """

    of: int
    key: FrameKey
    distribution: Mapping[str, float]
    operator: str = ''
    nonce: str = ''


class Scored(NamedTuple):
    """
    A confirmation that counts, with what it is scored by.

    Attributes
    ----------
    prediction : of the frame, with its sketch
    confirmation : as it stands
    asked : how the frame came to be asked for, if it was

    """

    prediction: Prediction
    confirmation: Confirmation
    asked: Asked | None


class Rescoring:
    """
    Score anew, beside the monitor, which goes on meanwhile.

    Parameters
    ----------
    monitor : whose labels and settings count
    detector : the drift test as the run began with it; it is taken over

    """

    def __init__(self, monitor: Monitor, detector: DriftDetector) -> None:
        settings = monitor.settings
        self._fresh = Monitor(monitor.labels, detector, window=settings.window)
        self._fresh.adopt(settings._replace(pending=1))

    def add(self, scored: Scored) -> None:
        """Score the next confirmation."""
        self._fresh.score(*scored)

    def reset(self) -> None:
        """Begin anew, as the run did there."""
        self._fresh.reset()

    @property
    def n(self) -> int:
        """Count what was scored since the reset."""
        return self._fresh.figures().n

    def scores(self, monitor: Monitor, was: Outcome, became: Outcome) -> dict[str, Any]:
        """
        Return what the monitor is to go on with, see ``Monitor.take_scores``.

        Parameters
        ----------
        monitor : as it is now; its counts stay, but for one
        was, became : outcome of the corrected confirmation, before and now

        """
        counts = monitor.counts.copy()
        counts[was] -= 1
        counts[became] += 1
        return self._fresh.scores() | {'counts': {
            outcome.value: counts[outcome] for outcome in Outcome if counts[outcome] > 0}}
