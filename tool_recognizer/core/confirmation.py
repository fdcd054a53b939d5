"""Confirmations: what an operator says of a frame, and what may become of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from tool_recognizer.core.information import SUM_TOLERANCE
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.text import cut

# Characters of a distribution in a message.
LONGEST_TOLD = 200


class InvalidConfirmation(ValueError):
    """
    A confirmation that cannot be used.

    Attributes
    ----------
    reason : the part that is wrong: 'stamp', 'frame_id', 'labels', 'label', 'probability',
        'operator', 'nonce'; 'distribution' if its text cannot be read, 'values' if the message
        lacks one or has too many

    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Confirmation:
    """
    What an operator says of one frame: p_data(y | x).

    Attributes
    ----------
    key : the confirmed frame's identity
    distribution : label to probability; the probabilities sum to 1
    operator : who says so, if known
    nonce : the sender's mark for it, so that a repeated delivery is known for one

    Raises
    ------
    InvalidConfirmation
        No label, a negative or non-finite probability, or a sum that is not 1.

    """

    key: FrameKey
    distribution: Mapping[str, float]
    operator: str = ''
    nonce: str = ''

    def __post_init__(self) -> None:
        values = np.array(list(self.distribution.values()), dtype=np.float64)
        if values.size == 0:
            raise InvalidConfirmation('labels',
                                      'a confirmation needs at least one label, got none')
        if not np.all(np.isfinite(values)) or np.any(values < 0.0):
            raise InvalidConfirmation('probability', 'probabilities must be finite and not '
                                      f'negative, got {self._told()}')
        with np.errstate(over='ignore'):
            total = values.sum()
        if abs(total - 1.0) > SUM_TOLERANCE:
            raise InvalidConfirmation('probability', 'probabilities must sum to 1 (a single label '
                                      f'has the score 1.0), got {self._told()}')

    def _told(self) -> str:
        return cut(str(dict(self.distribution)), LONGEST_TOLD)


class Outcome(Enum):
    """What became of a confirmation."""

    SCORED = 'scored'
    LATE = 'late'                 # scored, but long after newer frames were answered
    DUPLICATE = 'duplicate'       # the same again of the same frame: counted once
    CONFLICTING = 'conflicting'   # something else of the same frame: the first one stands
    UNMATCHED = 'unmatched'       # no prediction for that frame; kept, in case one comes
    NO_ROOM = 'no_room'           # the same, but too many wait already: not kept for its frame
    NOVEL = 'novel'               # a label that the model does not have: kept, never scored
    VOLUNTEERED = 'volunteered'   # nobody asked for that frame, and only asked ones are scored
    SKIPPED = 'skipped'           # the operator could not see it: kept, never scored
    AMBIGUOUS = 'ambiguous'       # several frames in a row have that stamp: joined to none
    OUTSIDE = 'outside'           # with a gate: the frame is of no passage; kept, never scored
    STRUCK = 'struck'             # struck out afterwards by an engineer


# What joins a confirmation to a prediction, once.
MATCHED = (Outcome.SCORED, Outcome.LATE, Outcome.NOVEL, Outcome.VOLUNTEERED, Outcome.SKIPPED)
# Of these an NLL is known; and of these it is in the monitor's figures.
MEASURED = (Outcome.SCORED, Outcome.LATE, Outcome.VOLUNTEERED)
SCORED = (Outcome.SCORED, Outcome.LATE)
