"""
A sequential test for drift, with a promise about false alarms.

Two witnesses bet against "nothing has changed", each label, at odds that are fair as long as
nothing has:

- *ranks*: the score of a confirmed label, KL(q || p), its NLL when the label is certain, is ranked
  among the scores that the reference and the labels since then had for the same true label. The
  ranks are uniform and independent whatever the distribution of the scores is, and in whatever
  order the tools come.
- *surprise*: S, the likelihood ratio of a larger share of surprises to the model's probabilities
  as the reference recalibrates them (``recalibration``), compared with those of the same true
  label before: e = n S_n / (S_1 + ... + S_n) (``Surprises``).

A bet e has mean 1 while nothing has changed. Its Shiryaev-Roberts statistic R <- (R + 1) e
therefore grows by 1 a label on average. Of the ranks, the chance that R reaches A within n labels
is at most n / A, and the mean number of labels until then at least A (J. Shin, A. Ramdas,
A. Rinaldo, E-detectors: a nonparametric framework for sequential change detection, 2023). All
rank bets look at one and the same rank, so their weighted mean has the same two properties,
exactly. Of surprise, the chance that R is at A or above is at most n / A at each label n. The
evidence is the larger of the two witnesses' weighted statistics. docs/theory.md explains it, and
says what is proved and what is measured.

Not here: which confirmations may feed the test, time, storage. Confirmations must have been asked
for in the same way for the reference and for the stream (at random, or all of them).
"""

from collections import deque
from dataclasses import dataclass
import math
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import is_certain
from tool_recognizer.core.information import kl_divergence
from tool_recognizer.core.information import SUM_TOLERANCE
from tool_recognizer.core.rank_bets import RankBets
from tool_recognizer.core.rank_bets import SURPRISE_WEIGHT
from tool_recognizer.core.ranks import as_lists
from tool_recognizer.core.ranks import RankList
from tool_recognizer.core.ranks import Scored
from tool_recognizer.core.ranks import uniform
from tool_recognizer.core.recalibration import recalibrate
from tool_recognizer.core.recalibration import Recalibration
from tool_recognizer.core.surprises import Surprises

# The promised mean number of labels to a false alarm.
DEFAULT_THRESHOLD = 2000.0
# Labels that a reference needs before the test starts.
REFERENCE_LABELS = 200
# Of more labels than the first, those with fewer reference scores than the second are ranked
# together: alone, each would come too rarely to be ranked among enough of its kind.
FEW_LABELS, LABELS_PER_LIST = 20, 30
# Scores kept in each list; above it, one at random is forgotten for each new one.
LIST_CAPACITY = 2000
# Labels over which a change point is looked for.
HISTORY = 4000
# A change set spans the fewest starts that together have this share of the likelihood.
CHANGE_SET_SHARE = 0.95

# The larger share of surprises that is bet on: the reference's, plus this.
_MORE_SURPRISES = 0.03

# When a change is dated by a jump of the scores: labels that are taken to have come before the
# first, and labels after it at least.
_BEFORE, _LEAST_AFTER = 10, 3
# When surprise leads: the larger share is this many times as much larger, for a strong change.
_MANY_MORE = 5.0

_INSERTED, _FORGOTTEN = 0, 1
# Of a saved state: what it says, and what the test would go on to make of it.
_VERSION, _WITHOUT_SURPRISES = 4, 3
# A statistic stops growing here: far above any threshold, far below overflow.
_CEILING = 1e250


@dataclass(frozen=True)
class Reference:
    """
    What a model file keeps of its held-out calibration set.

    Attributes
    ----------
    log_probabilities : (n, K) nats
    distribution : (n, K) the confirmed distributions, one-hot rows or soft

    """

    log_probabilities: Array
    distribution: Array


class Observation(NamedTuple):
    """What the test keeps of one confirmed label: its rank, and the fair bet on surprise."""

    label: int       # the true label, the most probable one of a soft label
    rank: int        # of the score, from the top, 0..size-1
    size: int        # how many scores were ranked, itself included
    surprise: float  # S, the likelihood ratio of more surprises
    number: int      # of the label since the reset, as whoever gave it counts


class DriftDetector:
    """
    The sequential test; see the module's docstring.

    Parameters
    ----------
    labels : K, at least 2
    reference : scores to start from; fewer than ``REFERENCE_LABELS`` are filled up with the first
        confirmed labels, and the test is ``learning`` meanwhile
    threshold : A, the promised mean number of labels to a false alarm, above 1
    learn : rank the stream's labels among its own first ``REFERENCE_LABELS`` ones, not among the
        reference's, since no set of photographs is a sample of what a line shows; meanwhile the
        test is ``learning``, and only surprise, held against the reference, raises an alarm
    seed : of the random numbers that break ties; the same labels in the same order give the same
        evidence, bit for bit

    Attributes
    ----------
    threshold : A
    alarm : whether the evidence has reached the threshold since the last reset
    change_at : number of the estimated first label after the change, as ``update`` was told it;
        None before the alarm
    change_set : first and last label of an interval that covers it, 9 in 10 for an abrupt change
    leading : the bet that won most: 'shift', 'tail', 'overconfident', 'underconfident',
        'surprise', or 'label:k' with the label's index; '' before the alarm
    per_label : (K,) nats that the leading bet won on each true label since the change

    Raises
    ------
    ValueError
        A threshold of 1 or less, fewer than 2 labels, or a reference that does not fit them.

    """

    threshold: float
    alarm: bool
    change_at: int | None
    change_set: tuple[int, int] | None
    leading: str
    per_label: Array
    _ranks: Array     # the Shiryaev-Roberts statistics of the rank bets
    _surprise: float  # that of the bet on surprise
    _history: deque[Observation]

    def __init__(self, labels: int, reference: Reference | None = None,
                 threshold: float = DEFAULT_THRESHOLD, seed: int = 0, *,
                 learn: bool = False) -> None:
        if not (threshold > 1.0 and math.isfinite(threshold)):
            raise ValueError(f'the threshold must be above 1 label, got {threshold}')
        if labels < 2:
            raise ValueError(f'drift needs at least 2 labels, got {labels}')
        self.threshold = float(threshold)
        self._labels = labels
        self._seed = seed
        self._serial = 0  # labels ever taken in, the reference's included
        # The reference: (score, tie), true label, S. Its distributions are kept only until the
        # recalibration has been fitted to them; S is nan until then.
        self._reference: list[tuple[Scored, int, float]] = []
        self._learned: list[tuple[Array, Array]] = []
        self._recalibration: Recalibration | None = None
        self._count = 0  # labels since the reset
        if reference is not None:
            log_p = np.asarray(reference.log_probabilities, dtype=np.float64)
            q = np.asarray(reference.distribution, dtype=np.float64)
            if log_p.shape != q.shape or q.ndim != 2 or q.shape[1] != labels:
                raise ValueError(f'reference arrays must both be (n, {labels}), '
                                 f'got {log_p.shape} and {q.shape}')
            for row in range(len(q)):
                self._learn(log_p[row], q[row])
        if learn:
            if not self.learning:
                self._recalibrate()
                self._learned = []
            self._reference = []
        self._start()

    @property
    def learning(self) -> bool:
        """Whether a reference is still being learned from the first confirmed labels."""
        return self.reference_size < REFERENCE_LABELS

    @property
    def reference_size(self) -> int:
        """How many labels the reference has; ``REFERENCE_LABELS`` are needed."""
        return len(self._reference)

    @property
    def n(self) -> int:
        """How many labels the test has had since the reset."""
        return self._count

    @property
    def labels_together(self) -> int:
        """How many labels share one list, so that their mix must be steady; 0 while learning."""
        return 0 if self.learning else self._list_of.count(0)

    @property
    def evidence(self) -> float:
        """Weigh the evidence: the larger witness's statistic, to compare with ``threshold``."""
        ranks = float(self._bets.weights @ self._ranks)
        return float(max(ranks, SURPRISE_WEIGHT * self._surprise))

    def reset(self) -> None:
        """Start a new run: the statistics to their start, the reference kept."""
        self._start()

    def update(self, log_probabilities: Array, distribution: Array, number: int | None = None
               ) -> None:
        """
        Take one confirmed label in.

        Parameters
        ----------
        log_probabilities : (K,) log p, nats
        distribution : (K,) the confirmed distribution q
        number : of the label since the reset, if others are counted that are not tested; None:
            the labels before it

        Raises
        ------
        ValueError
            Not K values, or as for ``kl_divergence``; nothing has changed then.

        """
        log_p = np.asarray(log_probabilities, dtype=np.float64)
        q = np.asarray(distribution, dtype=np.float64)
        number = self._count if number is None else number
        if self.learning:
            self._update_learning(log_p, q, number)
            return
        assert self._recalibration is not None
        value, label = self._scored(log_p, q)
        place = self._list_of[label]
        ranked = self._lists[place]
        rank, size = ranked.insert(value), len(ranked)
        if size > ranked.capacity:
            ranked.forget(uniform(self._seed, self._serial, _FORGOTTEN))
        ratio = self._recalibration.likelihood_ratio(log_p, q, _MORE_SURPRISES)
        self._history.append(Observation(label, rank, size, ratio, number))
        self._count += 1
        pays = self._bets.pay(label, rank, size)
        self._ranks = np.minimum((self._ranks + 1.0) * pays, _CEILING)
        self._surprise = min((self._surprise + 1.0) * self._surprises.pay(place, ratio), _CEILING)
        if not self.alarm and self.evidence >= self.threshold:
            self.alarm = True
            self._localise()

    def _update_learning(self, log_p: Array, q: Array, number: int) -> None:
        surprise, count = self._surprise, self._count + 1
        label = self._learn(log_p, q)
        if self._recalibration is not None:
            # Nothing to compare it with yet: a rank of one score, which pays 1, and S itself.
            ratio = self._reference[-1][2]
            self._history.append(Observation(label, 0, 1, ratio, number))
            pays = self._recalibration.cautious.likelihood_ratio(log_p, q, _MORE_SURPRISES)
            surprise = min((surprise + 1.0) * pays, _CEILING)
        history, alarm = self._history, self.alarm
        if not self.learning:
            found = self.change_at, self.change_set, self.leading, self.per_label
            self._start()
            self.alarm = alarm
            self.change_at, self.change_set, self.leading, self.per_label = found
        self._surprise, self._count, self._history = surprise, count, history
        if not alarm and self.evidence >= self.threshold:
            self.alarm = True
            self._localise()

    def to_state(self) -> dict[str, Any]:
        """Return all that a restart needs, as JSON and arrays; floats survive exactly."""
        fit = self._recalibration
        return {
            'version': _VERSION, 'labels': self._labels, 'seed': self._seed,
            'threshold': self.threshold, 'serial': self._serial, 'count': self._count,
            'reference': [[*_plain(value), label, _number(ratio)]
                          for value, label, ratio in self._reference],
            'learned': [[[_number(x) for x in log_p.tolist()], q.tolist()]
                        for log_p, q in self._learned],
            'recalibration': None if fit is None else [fit.temperature, fit.surprise],
            'lists': [ranked.to_state() for ranked in self._lists],
            'surprises': self._surprises.to_state(),
            'ranks': self._ranks.tolist(), 'surprise': self._surprise,
            'history': np.array(self._history, np.float64).reshape(-1, 5),
            'alarm': self.alarm, 'change_at': self.change_at,
            'change_set': None if self.change_set is None else list(self.change_set),
            'leading': self.leading, 'per_label': self.per_label.tolist(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> 'DriftDetector':
        """
        Return the detector that ``to_state`` described; it goes on bit for bit.

        Raises
        ------
        ValueError
            The state is that of another version of the test.
        KeyError, TypeError
            It is damaged.

        """
        if state['version'] == _WITHOUT_SURPRISES:
            state = _taken_over(state)
        if state['version'] != _VERSION:
            raise ValueError(f'it is of version {state["version"]} of the test, this program has '
                             f'{_VERSION}')
        self = cls(state['labels'], threshold=state['threshold'], seed=state['seed'])
        self._reference = [(_value(row[:2]), row[2], float(row[3]))
                           for row in state['reference']]
        self._learned = [(np.array([float(x) for x in log_p]), np.array(q))
                         for log_p, q in state['learned']]
        if state['recalibration'] is not None:
            self._recalibration = Recalibration(*state['recalibration'])
        self._start()
        self._serial, self._count = state['serial'], state['count']
        for ranked, values in zip(self._lists, state['lists'], strict=True):
            ranked.restore(values)
        self._surprises = Surprises.from_state(state['surprises'])
        self._ranks, self._surprise = np.array(state['ranks']), state['surprise']
        # A version before wrote rows as lists, and one before it no numbers of the labels.
        rows = state['history']
        first = self._count - len(rows)
        for place, row in enumerate(as_lists(rows)):
            label, rank, size, surprise, *number = row
            self._history.append(Observation(
                int(label), int(rank), int(size), surprise,
                int(number[0]) if number else first + place))
        self.alarm, self.change_at = state['alarm'], state['change_at']
        if state['change_set'] is not None:
            first, last = state['change_set']
            self.change_set = (first, last)
        self.leading, self.per_label = state['leading'], np.array(state['per_label'])
        return self

    def _start(self) -> None:
        """Begin a run from the reference as it is."""
        if self._recalibration is None and len(self._reference) >= REFERENCE_LABELS:
            fit = self._recalibrate()
            rows = self._learned[-len(self._reference):]
            self._reference = [
                (value, label, fit.likelihood_ratio(*row, _MORE_SURPRISES))
                for (value, label, _), row in zip(self._reference, rows, strict=True)]
            self._learned = []
        # Lists by true label; the rare ones share the first. Empty while learning.
        ranked = [] if self.learning else self._reference
        counts = np.bincount([label for _, label, _ in ranked], minlength=self._labels)
        enough = 0 if self._labels <= FEW_LABELS else LABELS_PER_LIST
        own = [int(label) for label in np.flatnonzero(counts >= enough)]
        self._list_of = [0] * self._labels
        for place, label in enumerate(own, 1):
            self._list_of[label] = place
        members: list[list[Scored]] = [[] for _ in range(len(own) + 1)]
        self._surprises = Surprises(len(members))
        for value, label, ratio in ranked:
            members[self._list_of[label]].append(value)
            if not math.isnan(ratio):
                self._surprises.pay(self._list_of[label], ratio)
        self._lists = [RankList(values, LIST_CAPACITY) for values in members]
        self._bets = RankBets(tuple(own))
        self._ranks = np.zeros(len(self._bets.names))
        self._surprise = 0.0
        self._count = 0
        self._history = deque(maxlen=HISTORY)
        self.alarm = False
        self.change_at = None
        self.change_set = None
        self.leading = ''
        self.per_label = np.zeros(self._labels)

    def _recalibrate(self) -> Recalibration:
        """Fit the recalibration to what was learned."""
        fit = self._recalibration = recalibrate(
            np.array([log_p for log_p, _ in self._learned]),
            np.array([q for _, q in self._learned]))
        return fit

    def _learn(self, log_p: Array, q: Array) -> int:
        """Add a label to the reference, and return it."""
        value, label = self._scored(log_p, q)
        fit = self._recalibration
        if fit is None:
            self._learned.append((log_p, q))
        self._reference.append((value, label, math.nan if fit is None else fit.likelihood_ratio(
            log_p, q, _MORE_SURPRISES)))
        return label

    def _scored(self, log_p: Array, q: Array) -> tuple[Scored, int]:
        """Score a label; return its value for the lists, and the true label."""
        if log_p.shape != (self._labels,) or q.shape != (self._labels,):
            raise ValueError(f'expected {self._labels} log-probabilities and as many '
                             f'probabilities, got shapes {log_p.shape} and {q.shape}')
        label = int(q.argmax())
        if is_certain(q) and log_p.max() <= SUM_TOLERANCE:  # false for nan
            score = float(-log_p[label])
        else:
            score = float(kl_divergence(q, log_p))
        self._serial += 1
        tie = uniform(self._seed, self._serial, _INSERTED)
        return Scored(score, tie), label

    def _localise(self) -> None:
        """Say since when and of which kind, from how the evidence arose."""
        weights = np.append(self._bets.weights, SURPRISE_WEIGHT)
        leading = int(np.argmax(weights * np.append(self._ranks, self._surprise)))
        won = np.log([[*self._bets.pay(seen.label, seen.rank, seen.size), seen.surprise][leading]
                      for seen in self._history])
        likelihood = self._likelihood_of_starts(won, leading == len(self._ranks))
        best = int(likelihood.argmax())
        ordered = np.argsort(-likelihood, kind='stable')
        held = np.cumsum(np.exp(likelihood[ordered] - likelihood[best]))
        likely = ordered[:int(np.searchsorted(held, CHANGE_SET_SHARE * held[-1])) + 1]
        numbers = [seen.number for seen in self._history]
        self.leading = (*self._bets.names, 'surprise')[leading]
        self.change_at = numbers[best]
        self.change_set = (numbers[likely.min()], numbers[likely.max()])
        self.per_label = np.zeros(self._labels)
        labels = [seen.label for seen in self._history][best:]
        np.add.at(self.per_label, labels, won[best:])

    def _likelihood_of_starts(self, won: Array, surprise: bool) -> Array:
        """
        Return how well each label does as the first one after the change, in nats.

        Either the leading bet is right about what came after it, or the ranks' mean jumped there:
        the bets are made for mild changes, and of a strong one, whose every label pays, they say
        only vaguely when it began. The jump is that of the ranks' exponential scores, -log u for
        the rank u from the top (J. Chen, A. K. Gupta, Parametric statistical change point
        analysis, 2012, section 4.2). A strong change that surprise finds is over in a few labels,
        too few for a jump, but a likelihood ratio of many more surprises tells it from a single
        one long before; S is linear in how many more. The likelihoods are added, as of so many
        models.

        Parameters
        ----------
        won : (number of labels,) nats that the leading bet won on each
        surprise : whether it is the bet on surprise

        """
        score = np.array([-math.log((seen.rank + 0.5) / seen.size) if seen.size > 1 else 1.0
                          for seen in self._history])
        n_after = np.arange(len(score), 0, -1)
        after = np.cumsum(score[::-1])[::-1]
        # As if a few labels had come before the first one, at the mean that ranks have.
        n_before, before = len(score) - n_after + _BEFORE, score.sum() - after + _BEFORE
        jump = (len(score) * math.log(score.mean()) - n_before * np.log(before / n_before)
                - n_after * np.log(after / n_after))
        jump[(after / n_after < before / n_before) | (n_after < _LEAST_AFTER)] = -math.inf
        likelihood = np.logaddexp(_since_each(won), jump)
        if surprise:
            many = np.log1p(_MANY_MORE * np.expm1(won))
            likelihood = np.logaddexp(likelihood, _since_each(many))
        return np.asarray(likelihood)


def _since_each(won: Array) -> Array:
    """Return what was won from each label on."""
    return np.asarray(np.cumsum(won[::-1])[::-1])


def _taken_over(state: dict[str, Any]) -> dict[str, Any]:
    """Read a state that has no steep shift and compares no S: both begin now, and stay fair."""
    first, *others = state['ranks']
    sums = [[0] * len(state['lists']), [0.0] * len(state['lists'])]
    return {**state, 'version': _VERSION, 'ranks': [first, 0.0, *others], 'surprises': sums,
            'reference': [[*row, 'nan'] for row in state['reference']]}


def _number(value: float) -> float | str:
    """Return a float as JSON holds it: those that are not finite by name."""
    return value if math.isfinite(value) else str(value)


def _plain(value: Scored) -> list[float | str]:
    return [_number(value.score), value.tie]


def _value(row: list[Any]) -> Scored:
    return Scored(float(row[0]), row[1])
