"""
An operator that is a script: it confirms a share of the frames, and leaves the rest to people.

It knows the true labels, picks frames at random, and waits a moment before it confirms one. It
never confirms a frame that the recognizer has asked for: those are for visitors of the operator's
page, who so find frames that nobody has confirmed before.
"""

from collections import OrderedDict
from collections.abc import Sequence
import random
import sys
from typing import NamedTuple
from typing import TypeVar

from tool_recognizer.core.recognition import FrameKey

Value = TypeVar('Value')

# Seconds from a prediction to its confirmation: an inspection request follows the prediction.
HESITATION = 0.5
# Predictions without a true label, true labels without a prediction, and requests, at most.
KEPT = 1000


class _Chosen(NamedTuple):
    label: str
    moment: float


class ScriptedOperator:
    """
    See the module.

    Parameters
    ----------
    share : of the frames that are confirmed, 0 to 1
    once_per_tool : confirm one frame of each tool, for frames of one tool are nearly the same
    pictures : frames after which the source repeats itself, so that there are no new labels; 0: it
        never does

    Attributes
    ----------
    scored, right : frames whose label the model has, and those of them that it put first

    """

    def __init__(self, share: float, once_per_tool: bool, pictures: int = 0) -> None:
        self.right = self.scored = 0
        self._share, self._once_per_tool = share, once_per_tool
        self._new_frames = pictures or sys.maxsize
        self._random = random.Random(0)
        # Of each 1 / share frames one is picked, at a random place: a few photographs are enough
        # for a label, and no rhythm of the source can lock in.
        self._passed, self._picked = 0.0, self._random.random()
        self._tool_chosen = False
        self._truths: OrderedDict[FrameKey, str] = OrderedDict()
        self._predictions: OrderedDict[FrameKey, str] = OrderedDict()
        self._asked: OrderedDict[FrameKey, None] = OrderedDict()
        self._chosen: OrderedDict[FrameKey, _Chosen] = OrderedDict()

    def show(self, key: FrameKey, label: str, labels: Sequence[str], moment: float) -> None:
        """
        Take note of what a frame truly shows.

        Parameters
        ----------
        key : the frame's
        label : '' for nothing: the next tool is another one
        labels : the model's
        moment : seconds on a steady clock

        """
        if not label:
            self._tool_chosen = False
            return
        _keep(self._truths, key, label)
        self._pair(key, labels, moment)

    def predict(self, key: FrameKey, label: str, labels: Sequence[str], moment: float) -> None:
        """Take note of what the model put first; see ``show``."""
        _keep(self._predictions, key, label)
        self._pair(key, labels, moment)

    def ask(self, key: FrameKey) -> None:
        """Take note of a frame that people are asked for, and leave it to them."""
        _keep(self._asked, key, None)

    def confirmations(self, moment: float) -> list[tuple[FrameKey, str]]:
        """Return the frames that are confirmed now, with their true labels, each once."""
        due = [key for key, chosen in self._chosen.items()
               if moment - chosen.moment >= HESITATION]
        confirmed = [(key, self._chosen.pop(key).label) for key in due]
        return [(key, label) for key, label in confirmed if key not in self._asked]

    def _pair(self, key: FrameKey, labels: Sequence[str], moment: float) -> None:
        if key not in self._predictions or key not in self._truths:
            return
        prediction, truth = self._predictions.pop(key), self._truths.pop(key)
        self._new_frames -= 1
        if truth not in labels:
            return  # the model cannot be scored on it
        self.scored += 1
        self.right += prediction == truth
        if (self._once_per_tool and self._tool_chosen) or self._new_frames < 0:
            return
        self._passed += self._share
        if self._picked < self._passed:
            self._picked = int(self._picked) + 1 + self._random.random()
            self._tool_chosen = True
            self._chosen[key] = _Chosen(truth, moment)


def _keep(store: OrderedDict[FrameKey, Value], key: FrameKey, value: Value) -> None:
    store[key] = value
    if len(store) > KEPT:
        store.popitem(last=False)
