"""
Which frames an operator is asked for, each with a known probability.

A monitor that only sees the frames that somebody volunteers, or those that the model doubts, is
biased. So every frame is asked with a probability above zero that is fixed before the draw: a
floor, and more the less sure the model is. The figures are weighted back with the inverse of that
probability (D. G. Horvitz, D. J. Thompson, A generalization of sampling without replacement from
a finite universe, 1952), and of the frames that were asked more often than the floor the drift
test takes each with the probability floor / asked: what it sees is sampled evenly.

The draw is stratified: of the frames whose probabilities sum to 1, one is picked at a uniformly
random place (W. G. Cochran, Sampling Techniques, 1977, chapter 5). So each frame keeps its own
probability, requests come evenly, and no rhythm of the line can lock in. The place comes from a
frame's stamp, which knows nothing of the picture, so that a recording that is played again asks
for the same frames.

Not here: clocks (a moment is handed in), pictures, and what is answered.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
import math
from typing import Any

from tool_recognizer.core.information import entropy
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp

# What an operator may answer instead of a label.
ANOTHER_TOOL = 'operator:another_tool'
CANNOT_SEE = 'operator:cannot_see'
# The result of a request that tells with which probability the frame was picked.
INCLUSION_PROBABILITY = 'asked:inclusion_probability'
MINUTE = 60_000_000_000


@dataclass(frozen=True)
class Asked:
    """
    How a frame came to be asked for.

    Attributes
    ----------
    inclusion_probability : with which it was picked, in (0, 1]
    test_share : with which it goes into the drift test, once confirmed, in (0, 1]

    Raises
    ------
    ValueError
        A probability outside (0, 1].

    """

    inclusion_probability: float
    test_share: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (('inclusion_probability', self.inclusion_probability),
                            ('test_share', self.test_share)):
            if not 0.0 < value <= 1.0:
                raise ValueError(f'{name} must be in (0, 1], got {value}')

    @property
    def for_doubt(self) -> bool:
        """Whether the model's doubt gave more of the probability than the floor, which all get."""
        return self.test_share < 0.5

    def to_state(self) -> list[float]:
        """Return both as JSON can hold them: ``Asked(*state)`` is the same again."""
        return [self.inclusion_probability, self.test_share]

    def tested(self, key: FrameKey) -> bool:
        """Draw whether the frame goes into the drift test; the same frame, the same draw."""
        return uniform(key, 'test') < self.test_share


class Inspector:
    """
    Pick frames.

    Parameters
    ----------
    probability : the floor, with which every frame is asked, in [0, 1]; 0: none is
    uncertain_probability : with which a frame is asked whose label the model does not know at
        all (all equally probable), in [probability, 1]; between the two by its entropy
    max_per_minute : requests, at most in the mean; up to three more within one minute. Where
        more would be asked, the probabilities are cut, before the draw, so that they stay known

    Attributes
    ----------
    floor : the probability with which every frame is asked; 0: none is

    Raises
    ------
    ValueError
        A parameter outside its range.

    """

    def __init__(self, probability: float, uncertain_probability: float, max_per_minute: float
                 ) -> None:
        if not 0.0 <= probability <= uncertain_probability <= 1.0:
            raise ValueError('0 <= probability <= uncertain_probability <= 1 is needed, got '
                             f'{probability} and {uncertain_probability}')
        if not max_per_minute > 0.0:
            raise ValueError(f'max_per_minute must be positive, got {max_per_minute}')
        self.floor, self._top = probability, uncertain_probability
        self._rate = max_per_minute / MINUTE
        self._budget = 0.0
        # How far the frames have come in their stratum, and where in it one is picked.
        self._position = 0.0
        self._picked: float | None = None
        self._moment: int | None = None

    def consider(self, prediction: Prediction, moment: int) -> Asked | None:
        """
        Draw whether an operator is asked for a frame.

        Parameters
        ----------
        prediction : the model's answer to it
        moment : ns; a clock that jumps back is taken as it comes

        Returns
        -------
        None if nobody is asked for it

        """
        self._refill(moment)
        doubt = float(entropy(prediction.probabilities)) / math.log(len(prediction.labels))
        wanted = self.floor + (self._top - self.floor) * min(max(doubt, 0.0), 1.0)
        step, floor = min(wanted, self._budget), min(self.floor, self._budget)
        if self.floor == 0.0 or step <= 0.0:
            return None
        self._budget -= step
        if self._picked is None:
            self._picked = uniform(prediction.key, 'ask')
        begin, self._position = self._position, self._position + step
        asked, probability = begin <= self._picked < self._position, step
        if self._position >= 1.0:
            self._position -= 1.0
            self._picked = uniform(prediction.key, 'ask')
            asked = asked or self._picked < self._position
            # The frame lies in two strata, and may be picked in both.
            probability -= (1.0 - begin) * self._position
        if not asked:
            return None
        return Asked(probability, min(1.0, floor / probability))

    def _refill(self, moment: int) -> None:
        passed = 0 if self._moment is None else max(0, moment - self._moment)
        self._moment = moment
        self._budget = min(1.0, self._budget + passed * self._rate)


class Requests:
    """
    What became of the inspection requests.

    Parameters
    ----------
    expire_after : ns after which a request without an answer counts as expired

    Attributes
    ----------
    asked, answered, expired : how many, so far
    expire_after : ns

    Raises
    ------
    ValueError
        A time below 1.

    """

    def __init__(self, expire_after: int) -> None:
        if expire_after < 1:
            raise ValueError(f'expire_after must be positive, got {expire_after}')
        self.asked = self.answered = self.expired = 0
        self.expire_after = expire_after
        self._open: OrderedDict[FrameKey, int] = OrderedDict()

    @property
    def open(self) -> int:  # noqa: A003
        """Count of requests that wait for an answer."""
        return len(self._open)

    def ask(self, key: FrameKey, moment: int) -> None:
        """Note that a frame is asked for; moment : ns."""
        self.asked += 1
        self._open[key] = moment

    def answer(self, key: FrameKey) -> None:
        """Note that a frame was confirmed, whether asked for or not."""
        if self._open.pop(key, None) is not None:
            self.answered += 1

    def expire(self, moment: int) -> None:
        """Let go what has waited too long; moment : ns, a clock that jumps back expires all."""
        while self._open:
            key, since = next(iter(self._open.items()))
            if 0 <= moment - since <= self.expire_after:
                return
            del self._open[key]
            self.expired += 1

    def to_state(self) -> list[Any]:
        """Return all that it knows, as JSON can hold it."""
        return [self.asked, self.answered, self.expired, self.expire_after,
                [[*key, moment] for key, moment in self._open.items()]]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> 'Requests':
        """Return the requests that ``to_state`` described."""
        self = cls(state[3])
        self.asked, self.answered, self.expired = state[:3]
        for stamp, frame_id, moment in state[4]:
            self._open[FrameKey(Stamp(stamp), frame_id)] = moment
        return self


def uniform(key: FrameKey, purpose: str) -> float:
    """
    Draw a number in [0, 1) from the identity of a frame.

    Parameters
    ----------
    key : the frame's
    purpose : draws for different purposes are independent

    Returns
    -------
    The same number for the same frame and purpose, everywhere

    """
    text = f'{key.stamp}\n{key.frame_id}\n{purpose}'.encode()
    return int.from_bytes(blake2b(text, digest_size=7).digest(), 'big') / 2.0**56
