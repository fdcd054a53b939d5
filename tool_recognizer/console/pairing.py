"""What is shown of a frame: its prediction and its decision, which come by two topics."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple
from typing import TypeVar

from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.recognition import FrameKey

Value = TypeVar('Value')

# Halves that wait for the other half: more than the two topics can be apart.
MOST = 30


class Shown(NamedTuple):
    """
    A decision, with the prediction that it was made from.

    Attributes
    ----------
    key : the frame
    probabilities : label to probability; none if it was decided without a frame
    decision, score : what was decided

    """

    key: FrameKey
    probabilities: Mapping[str, float]
    decision: str
    score: float


class Pairing:
    """
    Join the two halves of each frame by its identity, whichever comes first.

    Attributes
    ----------
    newest : the newest whole, or the decision that there is no fresh frame; None before the first

    """

    def __init__(self) -> None:
        self.newest: Shown | None = None
        self._predictions: OrderedDict[FrameKey, Mapping[str, float]] = OrderedDict()
        self._decisions: OrderedDict[FrameKey, tuple[str, float]] = OrderedDict()

    def predict(self, key: FrameKey, probabilities: Mapping[str, float]) -> bool:
        """Take in a prediction; return whether there is something new to show."""
        made = self._decisions.pop(key, None)
        if made is None:
            _keep(self._predictions, key, probabilities)
            return False
        self.newest = Shown(key, probabilities, *made)
        return True

    def decide(self, key: FrameKey, decision: str, score: float) -> bool:
        """Take in a decision; return whether there is something new to show."""
        probabilities = self._predictions.pop(key, None)
        if probabilities is None and decision != NO_FRAME:
            _keep(self._decisions, key, (decision, score))
            return False
        self.newest = Shown(key, probabilities or {}, decision, score)
        return True


def _keep(store: OrderedDict[FrameKey, Value], key: FrameKey, value: Value) -> None:
    store[key] = value
    if len(store) > MOST:
        store.popitem(last=False)
