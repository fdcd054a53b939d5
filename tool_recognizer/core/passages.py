"""
The passages of a run: the one that is under way, those that may be confirmed, and their figures.

Left out: when one begins and ends (``gate``), and the answer of a single one (``passage``).
"""

from collections import Counter
from collections import deque
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.passage import Fit
from tool_recognizer.core.passage import fit_correlation
from tool_recognizer.core.passage import Passage
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.core.passage import Verdict
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import keys_from_state
from tool_recognizer.core.recognition import keys_to_state
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.stamps import CAMERAS

Array = NDArray[np.float64]

# Of a frame: it is of no passage; several frames have its key, of different passages.
OUTSIDE, SHARED = 0, -1
# Confirmed passages that the fit looks at, the newest; with many labels fewer, by their numbers.
FITTED, FITTED_NUMBERS = 500, 1_000_000
# In a state: of a confirmed frame whose key was not kept; no camera's clock stands there.
NO_KEY = FrameKey(Stamp(-1), '')


@dataclass(slots=True)
class Seen:
    """
    What is kept of a passage until it is confirmed.

    Attributes
    ----------
    key : of its first frame
    decision : what a controller was told; '' while nothing was
    count : frames in the answer
    total : (K,) sum of their log-probabilities, nats

    """

    key: FrameKey
    decision: str
    count: int
    total: Array


class Confirmed(NamedTuple):
    """
    A confirmed passage, for the fit.

    Attributes
    ----------
    key : of the frame that was confirmed; None: a version before did not keep it
    distribution : (K,) what it is, as it stands; None: that was struck out, or is none of them
    total : (K,) sum of the frames' log-probabilities, nats
    frames : how many

    """

    key: FrameKey | None
    distribution: Array | None
    total: Array
    frames: int


class Passages:
    """
    See the module.

    Parameters
    ----------
    labels : the model's K labels
    rules : of the decisions

    Attributes
    ----------
    labels, rules : as given
    open : the passage that is under way; None between two
    last : the one that ended last; None before the first
    number : of passages that began
    decided, undecided : of those that ended, how many with and without a label
    empty : of those, how many without a frame that counts
    contradicted : of those, how many whose later frames contradicted the answer
    ends : of those, how many by the reason for which they ended
    gone_back : whether a stamp has gone back since that was last set to false

    """

    def __init__(self, labels: tuple[str, ...], rules: PassageRules) -> None:
        self.labels, self.rules = labels, rules
        self.open: Passage | None = None
        self.last: Passage | None = None
        self.number = self.decided = self.undecided = self.empty = self.contradicted = 0
        self.ends: Counter[str] = Counter()
        self.gone_back = False
        self._frames: OrderedDict[FrameKey, int] = OrderedDict()
        self._newest: OrderedDict[str, Stamp] = OrderedDict()
        self._seen: OrderedDict[int, Seen] = OrderedDict()
        size = min(FITTED, max(1, FITTED_NUMBERS // len(labels)))
        self._confirmed: deque[Confirmed] = deque(maxlen=size)
        # How often what is fitted has changed, and the fit with that number.
        self._changes = 0
        self._fit: tuple[int, Fit] | None = None

    def begin(self, moment: int, reason: str) -> None:
        """Let a passage begin; one that is under way ends without a word."""
        self.number += 1
        self.open = Passage(self.number, moment, reason, self.labels)

    def end(self, moment: int, reason: str) -> Verdict | None:
        """End the passage that is under way, if one is; return its answer."""
        passage, self.open = self.open, None
        if passage is None:
            return None
        verdict = passage.end(moment, self.rules)
        self.last = passage
        self.ends[reason] += 1
        if ':' in verdict.decision.class_id:
            self.undecided += 1
        else:
            self.decided += 1
        self.empty += passage.count == 0
        self.contradicted += passage.contradictions > 0
        seen = self._seen.get(passage.number)
        if seen is not None:
            seen.decision = verdict.decision.class_id
        return verdict

    def take(self, prediction: Prediction, part: str, capacity: int, drifted: bool = False
             ) -> bool:
        """
        Take the next frame; tell whether the answer of the passage under way has changed.

        Parameters
        ----------
        prediction : of the frame
        part : what it is to the passage under way, one of ``PARTS``; '': it is of none
        capacity : frames, and passages, that are kept
        drifted : as ``Passage.take`` has it

        """
        passage, key = self.open, prediction.key
        number = passage.number if passage is not None and part else OUTSIDE
        newest = self._newest.get(key.frame_id)
        # A stamp that goes back is a recording that starts again; one that stands still is not.
        if key.stamp == newest and self._frames.get(key, number) != number:
            number = SHARED
        self.gone_back = self.gone_back or (newest is not None and key.stamp < newest)
        self._frames.pop(key, None)
        self._frames[key] = number
        self._newest[key.frame_id] = key.stamp
        self._newest.move_to_end(key.frame_id)
        changed = False
        if passage is not None and part:
            changed = passage.take(prediction, part, self.rules, drifted)
            if changed or passage.number not in self._seen:
                assert passage.key is not None
                self._seen[passage.number] = Seen(
                    passage.key,
                    '' if passage.verdict is None else passage.verdict.decision.class_id,
                    passage.answer_count, passage.answer_total)
        for kept, most in ((self._frames, capacity), (self._seen, capacity),
                           (self._newest, CAMERAS)):
            while len(kept) > most:
                kept.popitem(last=False)
        return changed

    def answered_by(self, key: FrameKey) -> FrameKey | None:
        """Return the first frame of the passage under way if this, the last, is in its answer."""
        passage = self.open
        return (passage.key if passage is not None and passage.counted == passage.last == key
                else None)

    def number_of(self, key: FrameKey) -> int | None:
        """Return the passage of a frame, ``OUTSIDE`` or ``SHARED``; None: it is not known."""
        return self._frames.get(key)

    def find(self, key: FrameKey) -> Seen | None:
        """Return the passage of a frame; None if it is of none."""
        return self._seen.get(self._frames.get(key, OUTSIDE))

    def confirm(self, key: FrameKey, distribution: Mapping[str, float]) -> None:
        """
        Learn from a confirmation that counts how much the frames of a passage are worth.

        Parameters
        ----------
        key : of the frame that was confirmed
        distribution : label to probability, of the model's labels

        """
        seen = self.find(key)
        if seen is not None and seen.count:
            self._confirmed.append(Confirmed(key, self._distribution(distribution), seen.total,
                                             seen.count))
            self._changes += 1

    def correct(self, key: FrameKey, distribution: Mapping[str, float], counts: bool) -> None:
        """
        Learn that a confirmation is another one.

        Parameters
        ----------
        key : of the frame that was confirmed; if a recording repeats it, the newest is meant
        distribution : label to probability
        counts : whether it counts now; or else it was struck out, or is of none of the labels

        """
        for place in reversed(range(len(self._confirmed))):
            known = self._confirmed[place]
            if known.key == key:
                self._confirmed[place] = known._replace(
                    distribution=self._distribution(distribution) if counts else None)
                self._changes += 1
                return
        # One of a version that kept no keys may be among them; it does not count twice.
        if counts and all(known.key is not None for known in self._confirmed):
            self.confirm(key, distribution)

    def fit(self) -> Fit:
        """Fit the correlation to what was confirmed, see ``fit_correlation``; in any thread."""
        changes, known = self._changes, self._fit
        if known is None or known[0] != changes:
            counting = [one for one in tuple(self._confirmed) if one.distribution is not None]
            _, q, total, count = zip(*counting, strict=True) if counting else ([],) * 4
            known = self._fit = changes, fit_correlation(q, total, count, self.rules.correlation)
        return known[1]

    def _distribution(self, distribution: Mapping[str, float]) -> Array:
        q = np.array([distribution.get(label, 0.0) for label in self.labels])
        return np.asarray(q / q.sum())

    def to_state(self) -> dict[str, Any]:
        """Return all that it knows (see ``Run.to_state``)."""
        labels = len(self.labels)
        return {
            'rules': list(self.rules),
            'open': None if self.open is None else self.open.to_state(),
            'last': None if self.last is None else self.last.to_state(),
            'counts': [self.number, self.decided, self.undecided, self.empty, self.contradicted],
            'ends': dict(self.ends),
            'gone_back': self.gone_back,
            **keys_to_state(self._frames, 'frame'),
            'frame_numbers': np.array([*self._frames.values()], np.int64),
            'newest': dict(self._newest),
            **keys_to_state([seen.key for seen in self._seen.values()], 'seen'),
            'seen': [[number, seen.decision, seen.count] for number, seen in self._seen.items()],
            'seen_totals': _rows([seen.total for seen in self._seen.values()], labels),
            'confirmed': [one.frames for one in self._confirmed],
            **keys_to_state([one.key or NO_KEY for one in self._confirmed], 'confirmed'),
            # Zeros: it does not count.
            'confirmed_distributions': _rows([np.zeros(labels) if one.distribution is None
                                              else one.distribution
                                              for one in self._confirmed], labels),
            'confirmed_totals': _rows([one.total for one in self._confirmed], labels)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], labels: tuple[str, ...]) -> 'Passages':
        """Return the passages that ``to_state`` described."""
        self = cls(labels, PassageRules(*state['rules']))
        self.open, self.last = (
            None if kept is None else Passage.from_state(kept, labels)
            for kept in (state['open'], state['last']))
        (self.number, self.decided, self.undecided, self.empty,
         self.contradicted) = state['counts']
        self.ends.update(state.get('ends', {}))  # a version before did not count them
        self.gone_back = state['gone_back']
        self._frames.update(zip(keys_from_state(state, 'frame'),
                                state['frame_numbers'].tolist(), strict=True))
        self._newest.update(state['newest'])
        for key, (number, decision, count), total in zip(
                keys_from_state(state, 'seen'), state['seen'], state['seen_totals'], strict=True):
            self._seen[number] = Seen(key, decision, count, total)
        # A version before did not keep the keys.
        keys = (keys_from_state(state, 'confirmed') if 'confirmed_stamps' in state else
                [NO_KEY] * len(state['confirmed']))
        self._confirmed.extend(
            Confirmed(None if key == NO_KEY else key, q if q.any() else None, total, count)
            for key, q, total, count in zip(
                keys, state['confirmed_distributions'], state['confirmed_totals'],
                state['confirmed'], strict=True))
        return self


def _rows(arrays: list[Array], labels: int) -> Array:
    return np.array(arrays).reshape(-1, labels)
