"""Confirmations: what an operator says of a frame, and what may become of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from tool_recognizer.core.information import SUM_TOLERANCE
from tool_recognizer.core.recognition import FrameKey


class InvalidConfirmation(ValueError):
    """A confirmation that is not a distribution over labels."""


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
            raise InvalidConfirmation('a confirmation needs at least one label, got none')
        if not np.all(np.isfinite(values)) or np.any(values < 0.0):
            raise InvalidConfirmation('probabilities must be finite and not negative, got '
                                      f'{dict(self.distribution)}')
        if abs(values.sum() - 1.0) > SUM_TOLERANCE:
            raise InvalidConfirmation('probabilities must sum to 1 (a single label has the '
                                      f'score 1.0), got {dict(self.distribution)}')


class Outcome(Enum):
    """What became of a confirmation."""

    SCORED = 'scored'
    LATE = 'late'                 # scored, but long after newer frames were answered
    DUPLICATE = 'duplicate'       # the same again of the same frame: counted once
    CONFLICTING = 'conflicting'   # something else of the same frame: the first one stands
    UNMATCHED = 'unmatched'       # no prediction for that frame; kept, in case one comes
    NOVEL = 'novel'               # a label that the model does not have: kept, never scored
    VOLUNTEERED = 'volunteered'   # nobody asked for that frame, and only asked ones are scored
    SKIPPED = 'skipped'           # the operator could not see it: kept, never scored
    AMBIGUOUS = 'ambiguous'       # several frames in a row have that stamp: joined to none


# What joins a confirmation to a prediction, once.
MATCHED = (Outcome.SCORED, Outcome.LATE, Outcome.NOVEL, Outcome.VOLUNTEERED, Outcome.SKIPPED)
# Of these an NLL is known; and of these it is in the monitor's figures.
MEASURED = (Outcome.SCORED, Outcome.LATE, Outcome.VOLUNTEERED)
SCORED = (Outcome.SCORED, Outcome.LATE)
