"""
What can happen to a run, one frozen value for each: nothing else changes its state.

Moments are ns on the recognizer's clock. Left out: what follows from an event (``run``), and how
it is kept (``event_log``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import MonitorSettings
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction


class Settings(NamedTuple):
    """
    What a start may change without a new run.

    Attributes
    ----------
    monitor : of the monitor
    run_length : of the early warning's promise, samples
    expire_after : ns after which an inspection request without an answer counts as expired
    shadow : of the shadow model's monitor; None: there is none

    """

    monitor: MonitorSettings
    run_length: float
    expire_after: int
    shadow: MonitorSettings | None = None


@dataclass(frozen=True, slots=True)
class RunBegan:
    """
    A run begins, with the state that its log keeps beside it.

    Attributes
    ----------
    moment : ns
    reason : 'start' or 'reload'
    model_digest : SHA-256 of the model file, hex
    labels : the model's K labels
    parameters : with others it does not go on after a restart

    """

    moment: int
    reason: str
    model_digest: str
    labels: tuple[str, ...]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunContinued:
    """
    A start goes on with a run.

    Attributes
    ----------
    moment : ns
    settings : from now on
    anew : parts that could not go on and begin anew, as ``Run.to_state`` has them

    """

    moment: int
    settings: Settings
    anew: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FrameAnswered:
    """
    A frame was answered.

    Attributes
    ----------
    moment : ns
    prediction : without features
    decision : the id of the decision
    part : what it is to the passage that is under way (see ``passage``); '': it is of none

    """

    moment: int
    prediction: Prediction
    decision: str
    part: str = ''


@dataclass(frozen=True, slots=True)
class PassageBegan:
    """An object came before the camera, for a reason that the gate says."""

    moment: int
    reason: str


@dataclass(frozen=True, slots=True)
class PassageEnded:
    """The passage that was under way ended, for a reason that the gate says."""

    moment: int
    reason: str


@dataclass(frozen=True, slots=True)
class FrameAsked:
    """An operator is asked for a frame that was answered, with these probabilities."""

    moment: int
    key: FrameKey
    asked: Asked


@dataclass(frozen=True, slots=True)
class FrameConfirmed:
    """A confirmation came."""

    moment: int
    confirmation: Confirmation


@dataclass(frozen=True, slots=True)
class ConfirmationCorrected:
    """
    A confirmation was corrected, or struck out.

    Attributes
    ----------
    moment : ns
    correction : what supersedes it
    was, became : what the confirmation counted as before, and counts as now
    anew : the scores that the run goes on with, see ``Monitor.take_scores``; empty: those of the
        run do not change, for they were made after the confirmation
    since : moment of the first confirmation in these scores, if older ones are not there any more

    """

    moment: int
    correction: Correction
    was: Outcome
    became: Outcome
    anew: Mapping[str, Any]
    since: int | None = None


@dataclass(frozen=True, slots=True)
class ShadowAnswered:
    """The shadow model answered a frame, too: its prediction, without features."""

    moment: int
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class SampleTaken:
    """
    The early warning's sampler opened a window.

    Attributes
    ----------
    moment : ns
    sampling : where the sampler stands now
    log_probabilities : (K,) float64, nats: the sample of the window before; None: it gave none

    """

    moment: int
    sampling: Sampling
    log_probabilities: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class RunReset:
    """The figures and the tests begin anew; predictions still wait for their confirmation."""

    moment: int


@dataclass(frozen=True, slots=True)
class Noted:
    """
    Something that should be known later.

    Attributes
    ----------
    moment : ns
    kind : 'alarm', when its evidence has been written; 'promotion', 'attached', ...
    detail : what JSON can hold

    """

    moment: int
    kind: str
    detail: Mapping[str, Any]


Event = (RunBegan | RunContinued | FrameAnswered | FrameAsked | FrameConfirmed
         | ConfirmationCorrected | ShadowAnswered | SampleTaken | PassageBegan | PassageEnded
         | RunReset | Noted)
