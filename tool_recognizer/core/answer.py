"""What happens to a frame, as values: the model's answer, the rules, and what was made of it."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.decision import decide
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import FROZEN
from tool_recognizer.core.decision import SEVERAL_TOOLS
from tool_recognizer.core.empty_place import Glance
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.passage import News
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.run import Settled


class Rules(NamedTuple):
    """What a decision needs beside the prediction; see the parameters of the same names."""

    min_probability: float = 0.6
    reject_unknown: bool = True
    check_quality: bool = True
    stop_on_drift: bool = False

    @classmethod
    def of(cls, parameter: Callable[[str], Any]) -> 'Rules':
        """Take them from the parameters; ``parameter`` returns the value of a name."""
        return cls(*(parameter(f'decision.{name}') for name in cls._fields))

    def decide(self, recognized: 'Recognized', frozen: bool, alarm: bool) -> Decision:
        """
        Decide on a frame.

        Parameters
        ----------
        recognized : the frame
        frozen : whether the camera shows the same picture again and again
        alarm : whether the monitor has found drift

        """
        unusable = recognized.unusable
        if self.check_quality:
            unusable = FROZEN if frozen else unusable
        elif unusable != SEVERAL_TOOLS:  # which is asked for by a parameter of its own
            unusable = None
        return decide(recognized.prediction, min_probability=self.min_probability,
                      reject_unknown=self.reject_unknown, unusable=unusable,
                      drifted=self.stop_on_drift and alarm)


class Recognized(NamedTuple):
    """
    A frame that the model has answered, before anything is made of it.

    Attributes
    ----------
    prediction : of the model in charge
    unusable : a reserved id, if the frame is not fit for an answer, or None
    digest : of what the model saw, to know a repeated picture
    glance : of the region from afar, if the gate wants it

    """

    prediction: Prediction
    unusable: str | None
    digest: int
    glance: Glance | None = None


class Answer(NamedTuple):
    """
    What was made of a frame.

    Attributes
    ----------
    prediction : of the model in charge
    decision : what a controller is told
    asked : how an operator comes to be asked for the frame, or None
    early : what became of a confirmation that had come before the frame, or None
    news : what there is to tell of passages, in its order
    passage : first frame of the passage whose answer this one is part of; None: of none

    """

    prediction: Prediction
    decision: Decision
    asked: Asked | None
    early: Settled | None
    news: tuple[News, ...] = ()
    passage: FrameKey | None = None


class Evidence(NamedTuple):
    """A scored frame, as it is shown after an alarm; picture is a JPEG or None."""

    prediction: Prediction
    confirmation: Confirmation
    nll: float
    picture: bytes | None
