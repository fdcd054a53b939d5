"""
An early warning from the model's answers alone, before anybody has confirmed a label.

Two witnesses bet against "the answers come as they came so far", at odds that are fair as long
as that is true:

- *doubt*: the entropy of p(y | x, w) is ranked among the entropies of the earlier answers with
  the same predicted label, so that another mix of tools is not doubt;
- *mix*: the predicted label itself is ranked among all earlier ones.

If the samples are exchangeable, the ranks are uniform and independent whatever the entropies and
the mix are (``ranks``), so that a bet on a rank has mean 1, its Shiryaev-Roberts statistic
R <- (R + 1) e grows by 1 a sample on average, and P(R reaches N within n samples) <= n / N
(``drift`` has the sources). Each witness is a weighted mean of such statistics in one history;
the weights of both sum to 1, the evidence is the larger one, and by the union bound n / N holds
for both together.

It can only warn. Doubt is not error: a model can be sure and wrong, and only confirmed labels
tell. Video is what breaks the promise, for fifty frames of one wrench are one sample, not fifty:
``Sampler`` makes one sample of a window of time, and none while the picture stays the same.
Tools that come in batches (all hammers, then all wrenches) are a mix that changes, and while they
do, what is taken for another tool is always a mistake, hence doubt: the promise is for a line on
which the tools come mixed.
"""

from collections.abc import Mapping
import math
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
from tool_recognizer.core.drift import Reference
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import entropy
from tool_recognizer.core.information import SUM_TOLERANCE
from tool_recognizer.core.ranks import RankList
from tool_recognizer.core.ranks import Scored
from tool_recognizer.core.ranks import uniform

# The promised mean number of samples to a false warning.
DEFAULT_RUN_LENGTH = 10_000.0
# Entropies kept for each predicted label, for few labels and for many.
LIST_CAPACITY, LEAST_CAPACITY = 3000, 100

# A bet on doubt takes the rank from the top, u, to be distributed as u^a: the smaller a, the more
# of the ranks are taken to be high.
_POWERS = (0.7, 0.4)
# One of the bets on each label's own doubt.
_LABEL_POWER = 0.4
# Of the doubt witness: more doubt than before, less of it, and more in one label's answers.
_MORE, _LESS, _LABELS = 0.45, 0.2, 0.35
# Of the evidence, if the mix is watched.
_MIX_WEIGHT = 0.2
# The bet on the mix learns where the ranks have come from lately: in this many bins, forgetting
# this share with each sample, and hedged with this many samples spread evenly.
_BINS, _FORGOTTEN, _HEDGE = 8, 0.02, 25.0

# A window of a video keeps fewer frames than this: above it, every second, then every fourth.
_WINDOW_FRAMES = 64

_TIE, _DROP, _PLACE = 0, 1, 2
_CEILING = 1e250


class EarlyWarning:
    """
    The sequential test on answers; see the module's docstring.

    Parameters
    ----------
    n_labels : K, at least 2
    reference : answers to start from, if they were sampled as the stream is; its confirmed labels
        are not looked at. Without one, and always for the mix, the first samples are what the
        later ones are compared with
    run_length : N, the promised mean number of samples to a false warning, above 1
    mix : whether another mix of predicted labels may warn
    seed : of the random numbers that break ties; the same answers in the same order give the same
        evidence, bit for bit

    Attributes
    ----------
    run_length : N
    watches_mix : whether another mix may warn
    n_samples : taken in since the reset
    warning : whether the evidence has reached N since the reset
    reason : the bet that won most: 'unsure', 'sure', 'unsure:k' with a label's index, or 'mix';
        '' before the warning

    Raises
    ------
    ValueError
        A run length of 1 or less, fewer than 2 labels, or a reference that does not fit them.

    """

    run_length: float
    watches_mix: bool
    n_samples: int
    warning: bool
    reason: str
    _doubt: Array  # the Shiryaev-Roberts statistics of the bets on doubt
    _mix: float    # that of the bet on the mix
    _lately: Array  # (_BINS,) where the mix's ranks came from

    def __init__(self, n_labels: int, reference: Reference | None = None,
                 run_length: float = DEFAULT_RUN_LENGTH, *, mix: bool = True,
                 seed: int = 0) -> None:
        if not (run_length > 1.0 and math.isfinite(run_length)):
            raise ValueError(f'the run length must be above 1 sample, got {run_length}')
        if n_labels < 2:
            raise ValueError(f'an early warning needs at least 2 labels, got {n_labels}')
        self.run_length = float(run_length)
        self.watches_mix = mix
        self._labels, self._seed = n_labels, seed
        self._names = (*('unsure',) * len(_POWERS), *('sure',) * len(_POWERS),
                       *(f'unsure:{label}' for label in range(n_labels)))
        each = (_MORE, _LESS)
        weights = np.array([part / len(_POWERS) for part in each for _ in _POWERS]
                           + [_LABELS / n_labels] * n_labels)
        self._weights = weights * (1.0 - _MIX_WEIGHT if mix else 1.0)
        self._serial = 0  # answers ever taken in, the reference's included
        self._reference: list[tuple[Scored, int]] = []
        if reference is not None:
            log_p = np.asarray(reference.log_probabilities, dtype=np.float64)
            if log_p.ndim != 2 or log_p.shape[1] != n_labels:
                raise ValueError(f'the reference must be (n, {n_labels}), got {log_p.shape}')
            self._reference = [self._scored(row) for row in log_p]
        self._start()

    @property
    def evidence(self) -> float:
        """Weigh the evidence: the larger witness's statistic, to compare with ``run_length``."""
        doubt = float(self._weights @ self._doubt)
        return max(doubt, _MIX_WEIGHT * self._mix) if self.watches_mix else doubt

    def reset(self) -> None:
        """Start a new run: what comes next is compared with the reference, or with itself."""
        self._start()

    def update(self, log_probabilities: ArrayLike) -> bool:
        """
        Take one answer in; return whether there is a warning.

        Parameters
        ----------
        log_probabilities : (K,) log p, nats, a sample's (``Sampler``)

        Raises
        ------
        ValueError
            Not K log-probabilities of a distribution; nothing has changed then.

        """
        value, predicted = self._scored(np.asarray(log_probabilities, dtype=np.float64))
        ranked = self._lists[predicted]
        rank, size = ranked.insert(value), len(ranked)
        ranked.forget(uniform(self._seed, self._serial, _DROP))
        self._doubt = np.minimum(
            (self._doubt + 1.0) * self._pay(predicted, rank, size), _CEILING)
        self._mix = min((self._mix + 1.0) * self._pay_mix(predicted), _CEILING)
        self.n_samples += 1
        if not self.warning and self.evidence >= self.run_length:
            self.warning = True
            doubt = self._weights * self._doubt
            mix = self.watches_mix and _MIX_WEIGHT * self._mix > doubt.sum()
            self.reason = 'mix' if mix else self._names[int(doubt.argmax())]
        return self.warning

    def to_state(self) -> dict[str, Any]:
        """Return all that a restart needs, as JSON and arrays; floats survive exactly."""
        return {
            'labels': self._labels, 'seed': self._seed, 'run_length': self.run_length,
            'watches_mix': self.watches_mix, 'serial': self._serial,
            'reference': [[value.score, value.tie, predicted]
                          for value, predicted in self._reference],
            'lists': [ranked.to_state() for ranked in self._lists],
            'counts': self._counts.tolist(), 'lately': self._lately.tolist(),
            'doubt': self._doubt.tolist(), 'mix': self._mix, 'n_samples': self.n_samples,
            'warning': self.warning, 'reason': self.reason,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> 'EarlyWarning':
        """Return the test that ``to_state`` described; it goes on bit for bit."""
        self = cls(state['labels'], run_length=state['run_length'], mix=state['watches_mix'],
                   seed=state['seed'])
        self._reference = [(Scored(score, tie), predicted)
                           for score, tie, predicted in state['reference']]
        self._start()
        for ranked, values in zip(self._lists, state['lists'], strict=True):
            ranked.restore(values)
        self._serial, self.n_samples = state['serial'], state['n_samples']
        self._counts = np.array(state['counts'], dtype=np.int64)
        self._lately, self._mix = np.array(state['lately']), state['mix']
        self._doubt = np.array(state['doubt'])
        self.warning, self.reason = state['warning'], state['reason']
        return self

    def _start(self) -> None:
        members: list[list[Scored]] = [[] for _ in range(self._labels)]
        for value, predicted in self._reference:
            members[predicted].append(value)
        capacity = max(LIST_CAPACITY // self._labels, LEAST_CAPACITY)
        self._lists = [RankList(values, capacity) for values in members]
        self._counts = np.zeros(self._labels, dtype=np.int64)
        self._lately = np.zeros(_BINS)
        self._doubt = np.zeros(len(self._names))
        self._mix = 0.0
        self.n_samples = 0
        self.warning = False
        self.reason = ''

    def _scored(self, log_p: Array) -> tuple[Scored, int]:
        """Return an answer's entropy with its tie-breaker, and its predicted label."""
        if log_p.shape != (self._labels,):
            raise ValueError(f'expected {self._labels} log-probabilities, got shape {log_p.shape}')
        p = np.exp(log_p)
        if not abs(p.sum() - 1.0) <= SUM_TOLERANCE:  # false for nan
            raise ValueError(f'the probabilities must sum to 1, got {p.tolist()}')
        self._serial += 1
        tie = uniform(self._seed, self._serial, _TIE)
        return Scored(float(entropy(p / p.sum())), tie), int(log_p.argmax())

    def _pay(self, predicted: int, rank: int, size: int) -> Array:
        """Return what each bet on doubt pays: the mean over the ranks 0..size-1 is 1."""
        pays = np.ones(len(self._names))
        for at, power in enumerate(_POWERS):
            pays[at] = _power_pay(rank, size, power)
            pays[len(_POWERS) + at] = _power_pay(size - 1 - rank, size, power)
        pays[2 * len(_POWERS) + predicted] = _power_pay(rank, size, _LABEL_POWER)
        return pays

    def _pay_mix(self, predicted: int) -> float:
        """
        Return what the bet on the mix pays, and learn where the rank fell.

        Among all labels in their order, ties at random, the newest one's rank is uniform; a label
        that comes more often than it did brings its own stretch of the ranks more often.
        """
        self._counts[predicted] += 1
        below = int(self._counts[:predicted].sum())
        tie = uniform(self._seed, self._serial, _PLACE)
        rank = (below + tie * int(self._counts[predicted])) / int(self._counts.sum())
        bin_ = min(int(rank * _BINS), _BINS - 1)
        pay = ((_BINS * self._lately[bin_] + _HEDGE) / (self._lately.sum() + _HEDGE))
        self._lately *= 1.0 - _FORGOTTEN
        self._lately[bin_] += 1.0
        return float(pay)


class Sampling(NamedTuple):
    """
    Where a sampler stands, as far as a restart needs it; without the frames of its open window.

    Attributes
    ----------
    windows : how many were opened
    begin, end : of the open one, ns
    taken : (D,) float32, the features of the last sample, or None

    """

    windows: int
    begin: int
    end: int
    taken: NDArray[np.float32] | None


class Sampler:
    """
    Make samples of a video: at most one in each window of time, and none of what lies still.

    A window is ``interval`` to twice that long, at random, so that it cannot lock to the rhythm
    of a belt. Its sample is the frame in the middle of its known frames by entropy: typical of
    what was shown, where a frame picked blindly may show half a tool. It counts only if the
    picture has moved on since the last sample; a tool that lies there for an hour is one sample.
    The interval should be longer than one tool is in view.

    Parameters
    ----------
    interval : ns, above 0
    alike : cosine of the angle between two frames' features from which on they show the same
        picture, in (0, 1). With the features of the default model, frames of a tool that lies
        there differ by the camera's noise only (above 0.9), those of two tools are far apart
        (0.4 to 0.7)
    seed : of the lengths of the windows

    Attributes
    ----------
    interval : ns
    windows : how many were opened

    Raises
    ------
    ValueError
        An interval or a likeness out of range.

    """

    def __init__(self, interval: int, alike: float = 0.8, seed: int = 0) -> None:
        if interval <= 0:
            raise ValueError(f'the interval must be above 0 ns, got {interval}')
        if not 0.0 < alike < 1.0:
            raise ValueError(f'alike must be between 0 and 1, got {alike}')
        self.interval = interval
        self.windows = 0
        self._alike, self._seed = alike, seed
        self._begin = self._end = 0
        self._frames: list[_Looked] = []
        self._every = self._passed = 1
        self._taken: NDArray[np.float32] | None = None

    def look(self, stamp: int, log_probabilities: Array, features: NDArray[np.float32],
             known: bool = True) -> Array | None:
        """
        Look at a frame; return the sample of the window that it ends, if there is one.

        Parameters
        ----------
        stamp : ns, the frame's; one before the window is a recording that starts again, and the
            window is dropped
        log_probabilities : (K,) log p, nats
        features : (D,) what the softmax head saw
        known : whether the frame shows one of the labels at all

        Returns
        -------
        (K,) the sample's log p, for ``EarlyWarning.update``, or None

        """
        sample = None
        if not self.windows or not self._begin <= stamp < self._end:
            sample = self._sample() if self.windows and stamp >= self._end else None
            self.windows += 1
            wait = self.interval * (1.0 + uniform(self._seed, self.windows))
            self._begin, self._end = stamp, stamp + round(wait)
            self._frames, self._every, self._passed = [], 1, 1
        if known:
            self._passed -= 1
            if self._passed == 0:
                self._frames.append(_Looked(float(entropy(np.exp(log_probabilities))),
                                            log_probabilities, features))
                if len(self._frames) == _WINDOW_FRAMES:
                    self._frames = self._frames[::2]
                    self._every *= 2
                self._passed = self._every
        return sample

    def state(self) -> Sampling:
        """Return what a restart needs."""
        return Sampling(self.windows, self._begin, self._end, self._taken)

    def resume(self, state: Sampling) -> None:
        """
        Go on where another sampler stood: in the window that was open, with the frames to come.

        What lay still before is not sampled again.
        """
        self.windows, self._begin, self._end, self._taken = state

    def _sample(self) -> Array | None:
        if not self._frames:
            return None
        ordered = sorted(self._frames, key=lambda looked: looked.entropy)
        middle = ordered[(len(ordered) - 1) // 2]
        if self._taken is not None and _cosine(middle.features, self._taken) >= self._alike:
            return None
        self._taken = middle.features
        return middle.log_probabilities


class _Looked(NamedTuple):
    entropy: float
    log_probabilities: Array
    features: NDArray[np.float32]


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the cosine of the angle between two vectors; of 0 with itself 1, with others 0."""
    lengths = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(a @ b) / lengths if lengths > 0.0 else float(a.any() == b.any())


def _power_pay(rank: int, size: int, power: float) -> float:
    """Return the mean of the density of u^power over rank / size .. (rank + 1) / size."""
    return float(size * (((rank + 1) / size)**power - (rank / size)**power))
