"""
A sequential test for drift, with a promise about false alarms that needs no model of the NLL.

Each confirmed label is scored by KL(q || p), its NLL when the label is certain, and ranked among
the scores that the reference and the labels since then had for the same predicted label. As long
as nothing has changed, the ranks are uniform and independent, so a bet on them whose mean over
all ranks is 1 wins nothing on average. Shiryaev-Roberts statistics R <- (R + 1) e of such bets e,
in a weighted mean M, grow by at most 1 a label on average, so that the mean number of labels to a
false alarm {M >= A} is at least A (J. Shin, A. Ramdas, A. Rinaldo, E-detectors: a nonparametric
framework for sequential change detection, 2023). All bets look at one and the same rank, so the
mean over several of them keeps the promise exactly. docs/theory.md explains all of it.

Not here: which confirmations may feed the test, time, storage. Confirmations must have been asked
for in the same way for the reference and for the stream (at random, or all of them).
"""

from collections import deque
from dataclasses import dataclass
import math
from typing import Any, NamedTuple

import numpy as np

from tool_recognizer.core.information import Array, kl_divergence
from tool_recognizer.core.ranks import RankList, Scored, uniform

# The promised mean number of labels to a false alarm.
DEFAULT_THRESHOLD = 2000.0
# Labels that a reference needs before the test starts.
REFERENCE_LABELS = 200
# A predicted label with fewer reference labels than this is ranked together with other such.
LABELS_PER_LIST = 30
# Scores kept in each list; above it, one at random is forgotten for each new one.
LIST_CAPACITY = 4000
# Labels over which a change point is looked for.
HISTORY = 4000
# A change set holds this share of the evidence.
COVERAGE = 0.95

_INSERTED, _FORGOTTEN = 0, 1

# Where the alternatives' densities step, in shares of the ranks from the top (u = 0: the most
# surprising score). Between the steps a bet does not distinguish.
_KNOTS = np.array([0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0])


def _masses(density: Array) -> Array:
    mass = np.asarray(density) * np.diff(_KNOTS)
    return np.asarray(np.concatenate([[0.0], np.cumsum(mass / mass.sum())]))


_MIDDLES = (_KNOTS[1:] + _KNOTS[:-1]) / 2.0
# Name: (weight, the alternative's distribution function at the knots).
_ALTERNATIVES: dict[str, tuple[float, Array]] = {
    'shift': (0.6, _masses(0.35 * _MIDDLES**-0.3
                           + 0.5 * np.where(_MIDDLES < 0.3, 1.5, 0.55 / 0.7))),
    'tail': (0.15, _masses(np.where(_MIDDLES < 0.01, 3.5, 0.975))),
    'overconfident': (0.25, _masses(np.where(_MIDDLES < 0.02, 2.0,
                                             np.where(_MIDDLES > 0.85, 2.5, 0.7)))),
}
_NAMES = tuple(_ALTERNATIVES)
_WEIGHTS = np.array([weight for weight, _ in _ALTERNATIVES.values()])
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_CUMULATIVE = np.stack([masses for _, masses in _ALTERNATIVES.values()])


@dataclass(frozen=True)
class Reference:
    """What a model file keeps of its held-out calibration set."""

    log_probabilities: Array  # (n, K) nats
    distribution: Array       # (n, K) the confirmed distributions


class _Observation(NamedTuple):
    """What the test keeps of one confirmed label."""

    rank: int   # from the top, 0..size-1
    size: int   # how many were ranked, itself included
    label: int  # the true label, the most probable one of a soft label


def bets(rank: int, size: int) -> Array:
    """
    Return what each alternative pays for a rank: its mean over rank = 0..size-1 is exactly 1.

    The ranks are cut at the knots, rounded to whole ranks; within a cell all ranks pay the same,
    the alternative's mass of the cell over its share of the ranks.

    Parameters
    ----------
    rank : from the top, 0 for the most surprising
    size : number of scores ranked

    Returns
    -------
    (number of alternatives,) positive

    """
    cuts = np.rint(_KNOTS * size)
    cell = int(np.searchsorted(cuts, rank, side='right')) - 1
    low, high = cuts[cell], cuts[cell + 1]
    ends = np.array([low, high]) / size
    index = np.minimum(np.searchsorted(_KNOTS, ends, side='right') - 1, len(_KNOTS) - 2)
    fraction = (ends - _KNOTS[index]) / (_KNOTS[index + 1] - _KNOTS[index])
    masses = (_CUMULATIVE[:, index]
              + fraction * (_CUMULATIVE[:, index + 1] - _CUMULATIVE[:, index]))
    return np.asarray((masses[:, 1] - masses[:, 0]) * size / (high - low))


class DriftDetector:
    """
    The sequential test; see the module's docstring.

    Parameters
    ----------
    labels : K
    reference : scores to start from; fewer than ``REFERENCE_LABELS`` are filled up with the first
        confirmed labels, and the test is ``learning`` meanwhile
    threshold : A, the promised mean number of labels to a false alarm, above 1
    seed : of the random numbers that break ties

    Raises
    ------
    ValueError
        A threshold of 1 or less, or a reference that does not fit the number of labels.

    """

    def __init__(self, labels: int, reference: Reference | None = None,
                 threshold: float = DEFAULT_THRESHOLD, seed: int = 0) -> None:
        if not threshold > 1.0:
            raise ValueError(f'the threshold must be above 1 label, got {threshold}')
        if labels < 2:
            raise ValueError(f'drift needs at least 2 labels, got {labels}')
        self._labels = labels
        self._seed = seed
        self.threshold = threshold
        # (score, tie, true label), predicted label
        self._reference: list[tuple[Scored, int]] = []
        self._serial = 0
        if reference is not None:
            if (reference.log_probabilities.shape != reference.distribution.shape
                    or reference.distribution.ndim != 2
                    or reference.distribution.shape[1] != labels):
                raise ValueError(
                    f'reference arrays must be (n, {labels}), got '
                    f'{reference.log_probabilities.shape} and {reference.distribution.shape}')
            for log_p, q in zip(reference.log_probabilities, reference.distribution):
                self._reference.append(self._scored(log_p, q))
        self.reset()

    def reset(self) -> None:
        """Start a new run: the statistic to its start, the reference kept."""
        self._statistics = np.zeros(len(_NAMES))
        self._history: deque[_Observation] = deque(maxlen=HISTORY)
        self._count = 0  # labels since the reset
        self.alarm = False
        self.change_at: int | None = None
        self.change_set: tuple[int, int] | None = None
        self.leading = ''
        self.per_label = np.zeros(self._labels)
        self._build_lists()

    @property
    def learning(self) -> bool:
        """Whether a reference is still being learned from the first confirmed labels."""
        return len(self._reference) < REFERENCE_LABELS

    @property
    def evidence(self) -> float:
        """The weighted mean of the Shiryaev-Roberts statistics, to compare with ``threshold``."""
        return float(_WEIGHTS @ self._statistics)

    def update(self, log_probabilities: Array, distribution: Array) -> None:
        """
        Take one confirmed label in.

        Parameters
        ----------
        log_probabilities : (K,) log p, nats
        distribution : (K,) the confirmed distribution q

        Raises
        ------
        ValueError
            As for ``kl_divergence``; nothing has changed then.

        """
        value, predicted = self._scored(log_probabilities, distribution)
        self._count += 1
        if self.learning:
            self._reference.append((value, predicted))
            self._history.append(_Observation(0, 1, value.label))
            if not self.learning:
                self._build_lists()
            return
        ranked = self._lists[self._list_of[predicted]]
        rank = ranked.insert(value)
        observation = _Observation(rank, len(ranked), value.label)
        ranked.forget(uniform(self._seed, self._serial, _FORGOTTEN))
        self._history.append(observation)
        self._statistics = (self._statistics + 1.0) * bets(rank, observation.size)
        if not self.alarm and self.evidence >= self.threshold:
            self.alarm = True
            self._localise()

    def to_state(self) -> dict[str, Any]:
        """Return all that a restart needs, as JSON can hold it; floats survive exactly."""
        return {
            'labels': self._labels, 'seed': self._seed, 'threshold': self.threshold,
            'serial': self._serial, 'count': self._count,
            'reference': [[*_plain(value), predicted] for value, predicted in self._reference],
            'lists': [[_plain(value) for value in ranked.values] for ranked in self._lists],
            'statistics': [_finite(r) for r in self._statistics.tolist()],
            'history': [list(observation) for observation in self._history],
            'alarm': self.alarm, 'change_at': self.change_at,
            'change_set': None if self.change_set is None else list(self.change_set),
            'leading': self.leading, 'per_label': self.per_label.tolist(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> 'DriftDetector':
        """Return the detector that ``to_state`` described; it goes on bit for bit."""
        self = cls(state['labels'], threshold=state['threshold'], seed=state['seed'])
        self._reference = [(_scored(row[:3]), row[3]) for row in state['reference']]
        self.reset()
        self._serial, self._count = state['serial'], state['count']
        for ranked, values in zip(self._lists, state['lists']):
            ranked.values = [_scored(value) for value in values]
        self._statistics = np.array([float(r) for r in state['statistics']])
        self._history.extend(_Observation(*row) for row in state['history'])
        self.alarm, self.change_at = state['alarm'], state['change_at']
        self.change_set = None if state['change_set'] is None else tuple(state['change_set'])
        self.leading, self.per_label = state['leading'], np.array(state['per_label'])
        return self

    def _scored(self, log_probabilities: Array, distribution: Array) -> tuple[Scored, int]:
        score = float(kl_divergence(distribution, log_probabilities))
        self._serial += 1
        tie = uniform(self._seed, self._serial, _INSERTED)
        return (Scored(score, tie, int(np.argmax(distribution))),
                int(np.argmax(log_probabilities)))

    def _build_lists(self) -> None:
        """Lists by predicted label, the rare ones in one list together (the first)."""
        counts = np.bincount([predicted for _, predicted in self._reference],
                             minlength=self._labels)
        own = np.flatnonzero(counts >= LABELS_PER_LIST)
        self._list_of = np.zeros(self._labels, dtype=np.int64)
        self._list_of[own] = np.arange(1, len(own) + 1)
        members: list[list[Scored]] = [[] for _ in range(len(own) + 1)]
        for value, predicted in self._reference:
            members[self._list_of[predicted]].append(value)
        self._lists = [RankList(values, LIST_CAPACITY) for values in members]

    def _localise(self) -> None:
        """
        Say since when and of which kind, from how the evidence arose.

        R_t = sum_j prod_{i=j..t} e_i, so each start j has its share of the evidence.

        """
        log_bets = np.log([bets(o.rank, o.size) for o in self._history])
        since = np.cumsum(log_bets[::-1], axis=0)[::-1] + np.log(_WEIGHTS)
        self.leading = _NAMES[int(np.argmax(_WEIGHTS * self._statistics))]
        by_start = np.exp(since - since.max()).sum(axis=1)
        first = self._count - len(by_start)
        best = int(np.argmax(by_start))
        self.change_at = first + best
        order = np.argsort(-by_start, kind='stable')
        needed = int(np.searchsorted(np.cumsum(by_start[order]),
                                     COVERAGE * by_start.sum())) + 1
        chosen = order[:needed]
        self.change_set = (first + int(chosen.min()), first + int(chosen.max()))
        component = _NAMES.index(self.leading)
        self.per_label = np.zeros(self._labels)
        for observation, gain in list(zip(self._history, log_bets[:, component]))[best:]:
            self.per_label[observation.label] += gain


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _plain(value: Scored) -> list[float | str]:
    return [_finite(value.score), value.tie, value.label]


def _scored(row: list[Any]) -> Scored:
    return Scored(float(row[0]), row[1], row[2])
