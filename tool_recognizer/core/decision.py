"""
What a controller is told: one label, or a reserved id that says why there is none.

A reserved id holds a colon, a label may not, so the two cannot be mistaken for each other. The
score of a reserved id is 0: nothing in it can be acted on by accident.
"""

from collections import Counter
from dataclasses import dataclass

from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.text import hidden
from tool_recognizer.core.text import quoted

LOW_CONFIDENCE = 'unknown:low_confidence'
NOT_A_KNOWN_TOOL = 'unknown:not_a_known_tool'
DARK = 'unknown:dark'
OVEREXPOSED = 'unknown:overexposed'
BLURRED = 'unknown:blurred'
FROZEN = 'unknown:frozen'
SEVERAL_TOOLS = 'unknown:several_tools'
NO_FRAME = 'stale:no_frame'
DRIFT = 'degraded:drift'

# Of a model: ImageNet's 21,841 labels fit; tables of labels by labels are still held in memory.
MOST_LABELS, LONGEST_LABEL = 25_000, 200


@dataclass(frozen=True)
class Decision:
    """
    One result for a controller.

    Attributes
    ----------
    class_id : a label of the model, or one of the reserved ids
    score : p(label | x, w), or 0.0 with a reserved id

    """

    class_id: str
    score: float


def refuse(reason: str) -> Decision:
    """Decide for a reserved id: no label can be given, for this reason."""
    return Decision(reason, 0.0)


def decide(prediction: Prediction, *, min_probability: float, reject_unknown: bool = True,
           unusable: str | None = None, drifted: bool = False) -> Decision:
    """
    Turn a prediction into one decision; the gravest doubt speaks.

    Parameters
    ----------
    prediction : the model's answer
    min_probability : below this, the most probable label is not given
    reject_unknown : whether what the model takes for none of its labels gets no label
    unusable : a reserved id, if the frame is not fit for an answer
    drifted : the monitor found drift and the user wants no answers then

    """
    if drifted:
        return refuse(DRIFT)
    if unusable is not None:
        return refuse(unusable)
    if reject_unknown and not prediction.known:
        return refuse(NOT_A_KNOWN_TOOL)
    best = prediction.best
    probability = float(prediction.probabilities[best])
    if probability < min_probability:
        return refuse(LOW_CONFIDENCE)
    return Decision(prediction.labels[best], probability)


def check_labels(labels: tuple[str, ...]) -> None:
    """
    Refuse labels that cannot be told from each other or from a reserved id.

    Raises
    ------
    ValueError
        Fewer than 2 labels or more than 25,000, an empty one, one of more than 200 characters, one
        twice, or one with a colon or a character that nobody sees.

    """
    if len(labels) < 2:
        raise ValueError(f'at least 2 labels are needed, got {list(labels)}')
    if len(labels) > MOST_LABELS:
        raise ValueError(f'{len(labels)} labels, {MOST_LABELS} are the most')
    for number, label in enumerate(labels, 1):
        if not label.strip():
            raise ValueError(f'a label may not be empty, number {number} of {len(labels)} is')
        if len(label) > LONGEST_LABEL:
            raise ValueError(f'label {quoted(label, 20)} has {len(label)} characters, '
                             f'{LONGEST_LABEL} are the most: shorten it')
        if ':' in label:
            raise ValueError(f'label {label!r} holds a colon, which marks the reserved ids '
                             f'such as {NO_FRAME!r}: rename it')
        if hidden(label):
            raise ValueError(f'label {label!a} holds a character that nobody sees, or is no '
                             'text: rename it')
    twice = sorted(label for label, count in Counter(labels).items() if count > 1)
    if twice:
        raise ValueError(f'labels must differ, {twice} come more than once')
