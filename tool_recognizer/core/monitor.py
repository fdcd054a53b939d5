"""
The rolling monitor: what the operators' confirmations say of the model.

Two verbs carry it: ``expect`` keeps a prediction until somebody confirms its frame, ``confirm``
joins a confirmation to exactly that frame and scores it. Figures are means over a window of the
last confirmed frames, computed anew from the window each time, so that an infinite NLL shows as
inf and leaves again with the window. A frame that was asked for (``ask``) with the probability
pi counts 1 / pi in them, so that they speak of all frames, not of those that were asked for.

Left out: clocks (a moment is handed in), messages, and the sequential test itself (``drift``).
"""

from collections import Counter
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.confirmed import ConfirmedFrames
from tool_recognizer.core.confirmed import mark
from tool_recognizer.core.confirmed import same
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.information import entropy
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.interval import effective_sample_size
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.means import mean_cost
from tool_recognizer.core.means import Means
from tool_recognizer.core.means import means
from tool_recognizer.core.means import RangeFigures
from tool_recognizer.core.means import weighted_mean
from tool_recognizer.core.pending import PendingPredictions
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import keys_from_state
from tool_recognizer.core.recognition import keys_to_state
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.recognition import values_from_state
from tool_recognizer.core.recognition import values_to_state
from tool_recognizer.core.repeated import RepeatedPictures
from tool_recognizer.core.stamps import CAMERAS

# Confirmations that came before their frame, or that match none: how many are kept, and how many
# labels they may have together. More are refused, which their senders hear: what was acknowledged
# must not make room for them.
EARLY_CONFIRMATIONS, EARLY_LABELS = 1000, 20_000
# But for those whose camera is this far past their frame, ns: it was never answered.
PASSED = 3600 * 10**9
# Scored frames that the figures over time ranges reach back, at most.
HISTORY = 20_000
NAN = float('nan')


class Status(Enum):
    """What the monitor can say of the model now."""

    IN_CONTROL = 'in control'
    TOO_FEW_LABELS = 'not enough confirmed labels yet'
    LEARNING = 'learning a reference from the first confirmed labels'
    DRIFT = 'drift'
    STALE = 'no confirmation for too long'


@dataclass(frozen=True, kw_only=True)
class Figures(Means):
    """
    The window in figures: the means of its frames, nan while it is empty, and more.

    Attributes
    ----------
    n : confirmed and scored frames since the reset
    window : how many of them are in the window now
    worst_label : the label whose frames carry most of the NLL above the reference, or ''
    effective_n : how many evenly asked frames the window is worth (see ``interval``)
    coverage : share of the frames whose confirmed label is in the answer set; nan without sets
    set_size : mean number of labels in the answer set; nan without sets

    """

    n: int = 0
    window: int = 0
    worst_label: str = ''
    effective_n: float = 0.0
    coverage: float = NAN
    set_size: float = NAN


class MonitorSettings(NamedTuple):
    """See the parameters of ``Monitor``; ``run_length`` is the drift test's threshold, labels."""

    reference_nll: float
    window: int
    minimum: int
    pending: int
    late_after: int
    complete: bool
    set_threshold: float
    run_length: float
    skip_repeated: bool = True


class Monitor:
    """
    Join confirmations to predictions, score them, and keep the window and the test.

    Parameters
    ----------
    labels : the model's K labels
    detector : the sequential test on the scored frames
    reference_nll : the model's mean NLL on its reference, nats; nan if it has none
    window : how many confirmed frames the figures are taken over
    minimum : below this many confirmed frames nothing is called in control
    pending : how many predictions wait for a confirmation
    late_after : a confirmation is late when a frame this much newer was answered, ns
    complete : whether confirmations that nobody asked for are scored too: all frames are
        confirmed, or a share of them that is picked without regard to the picture
    set_threshold : NLL up to which a label is in the answer set (see ``conformal``), nats; nan:
        no answer sets
    skip_repeated : whether a frame that is nearly the same picture as the last tested one of its
        label is kept out of the test; it is scored all the same

    Raises
    ------
    ValueError
        A window or a minimum below 1, or fewer than 2 labels.

    """

    def __init__(self, labels: tuple[str, ...], detector: DriftDetector, *,
                 reference_nll: float = NAN, window: int = 200, minimum: int = 30,
                 pending: int = 20_000, late_after: int = 10_000_000_000, complete: bool = True,
                 set_threshold: float = NAN, skip_repeated: bool = True) -> None:
        if len(labels) < 2:
            raise ValueError(f'a monitor needs at least 2 labels, got {list(labels)}')
        if window < 1 or minimum < 1:
            raise ValueError('window and minimum must be at least 1, '
                             f'got window {window}, minimum {minimum}')
        self.labels = labels
        self.detector = detector
        self.reference_nll = reference_nll
        self.counts: Counter[Outcome] = Counter()
        self._index = {label: k for k, label in enumerate(labels)}
        self._minimum = minimum
        self._late_after = late_after
        self.complete = complete
        self._set_threshold = set_threshold
        self._skip_repeated = skip_repeated
        self._repeated = RepeatedPictures()
        self._asked: OrderedDict[FrameKey, Asked] = OrderedDict()
        self._pending = PendingPredictions(pending)
        self._confirmed = ConfirmedFrames()
        # Confirmations that came before their frame.
        self._early: OrderedDict[FrameKey, Confirmation] = OrderedDict()
        self._newest: OrderedDict[str, Stamp] = OrderedDict()
        self._n = 0
        # The window is a ring: frames laid into it since it has its length.
        self._laid = 0
        self._log_p = np.full((window, len(labels)), np.nan)
        self._q = np.full((window, len(labels)), np.nan)
        self._weight = np.full(window, np.nan)
        self._stamps = np.zeros(HISTORY, np.int64)
        # Weight, NLL, entropy, accuracy.
        self._history = np.zeros((HISTORY, 4))

    @property
    def capacity(self) -> int:
        """Count of predictions that may wait, and of confirmed frames that are known."""
        return self._pending.capacity

    @property
    def repeated(self) -> int:
        """Count the scored frames that were kept out of the test since the reset."""
        return self._repeated.count

    @property
    def settings(self) -> MonitorSettings:
        """Return what ``adopt`` may change."""
        return MonitorSettings(
            self.reference_nll, len(self._q), self._minimum, self.capacity, self._late_after,
            self.complete, self._set_threshold, self.detector.threshold, self._skip_repeated)

    def adopt(self, settings: MonitorSettings) -> None:
        """Go on with other settings; a longer window fills up with the frames to come."""
        self.reference_nll, self._minimum = settings.reference_nll, settings.minimum
        self._late_after, self.complete = settings.late_after, settings.complete
        self._set_threshold = settings.set_threshold
        self._skip_repeated = settings.skip_repeated
        self.detector.threshold = settings.run_length
        self._pending.capacity = settings.pending
        self._forget_oldest()
        if settings.window != len(self._q):
            size = min(self._laid, len(self._q), settings.window)
            last = np.arange(self._laid - size, self._laid) % len(self._q)
            # A full window lies as if it had always had its length, so that sums are the same.
            self._laid = self._n if size == settings.window else size
            rows = np.arange(self._laid - size, self._laid) % settings.window
            for name in ('_log_p', '_q', '_weight'):
                ring = getattr(self, name)
                changed = np.full((settings.window, *ring.shape[1:]), np.nan)
                changed[rows] = ring[last]
                setattr(self, name, changed)

    def pending(self, key: FrameKey) -> Prediction | None:
        """Return the prediction for exactly this frame, if it waits for its confirmation."""
        return self._pending.find(key)

    def early(self, key: FrameKey) -> Confirmation | None:
        """Return the confirmation that came before this frame, if one did."""
        return self._early.get(key)

    def ask(self, key: FrameKey, asked: Asked) -> None:
        """Note that an operator is asked for a frame, before its confirmation can come."""
        self._asked[key] = asked
        self._asked.move_to_end(key)
        self._forget_oldest()

    def asked(self, key: FrameKey) -> Asked | None:
        """Tell how a frame came to be asked for, if it was."""
        return self._asked.get(key)

    def expect(self, prediction: Prediction, again: bool = False) -> Outcome | None:
        """
        Keep a prediction; return the outcome of a confirmation that had come before it.

        A stamp that runs backwards is a recording that starts again: the frames that it is about
        to repeat are new frames, once they are shown; what was confirmed before stays settled.
        One that stands still tells its frame from no other (see ``stamps``); ``again`` says that
        it has gone back since the prediction before.
        """
        key = prediction.key
        newest = self._newest.get(key.frame_id)
        if newest is not None and (key.stamp < newest or again):
            for done in self._confirmed.since(key):
                self.forget(done)
        self._newest[key.frame_id] = key.stamp
        self._newest.move_to_end(key.frame_id)
        while len(self._newest) > CAMERAS:
            self._newest.popitem(last=False)
        if key.stamp == newest and not again:
            self._pending.add(prediction, shared=True)
            return None
        self._pending.add(prediction)
        early = self.release(key)
        return None if early is None else self.confirm(early, key)

    def revise(self, prediction: Prediction) -> None:
        """Let another prediction take the place of the one that waits with its key."""
        self._pending.replace(prediction)

    def release(self, key: FrameKey) -> Confirmation | None:
        """Return the confirmation that came before this frame, if one did; it waits no longer."""
        early = self._early.pop(key, None)
        if early is not None:
            self.counts[Outcome.UNMATCHED] -= 1
        return early

    def forget(self, key: FrameKey) -> None:
        """Forget that a frame is confirmed; it is not scored again until it is answered anew."""
        distribution = self._confirmed.pop(key)
        if distribution is not None:
            self._pending.settle(key, distribution)

    def confirm(self, confirmation: Confirmation, unit: FrameKey | None = None) -> Outcome:
        """Join a confirmation to its frame, or what stands for it; return what became of it."""
        outcome = self._confirm(confirmation, unit or confirmation.key)
        self.counts[outcome] += 1
        return outcome

    def _confirm(self, confirmation: Confirmation, key: FrameKey) -> Outcome:
        if self._pending.shared(key):
            return Outcome.AMBIGUOUS
        known = self._confirmed.find(key) or self._pending.settled(key)
        if known is not None:
            return (Outcome.DUPLICATE if same(known, confirmation.distribution)
                    else Outcome.CONFLICTING)
        prediction = self._pending.find(key)
        if prediction is None:
            early = self._early.get(key)
            if early is not None:
                return (Outcome.DUPLICATE if same(early.distribution, confirmation.distribution)
                        else Outcome.CONFLICTING)
            if not self._has_room(confirmation):
                for passed in [k for k in self._early
                               if self._newest.get(k.frame_id, k.stamp) - k.stamp > PASSED]:
                    del self._early[passed]
            if not self._has_room(confirmation):
                return Outcome.NO_ROOM
            self._early[key] = confirmation
            return Outcome.UNMATCHED
        self._confirmed.add(key, mark(confirmation.distribution))
        self._forget_oldest()
        asked = self._asked.get(key)
        outcome = self.judge(confirmation.distribution, asked)
        if outcome is not Outcome.SCORED:
            return outcome
        self.score(prediction, confirmation, asked)
        late = self._newest.get(key.frame_id, key.stamp) - key.stamp > self._late_after
        return Outcome.LATE if late else Outcome.SCORED

    def judge(self, distribution: Mapping[str, float], asked: Asked | None) -> Outcome:
        """Tell what a confirmation of a frame counts as, that is neither late nor the second."""
        if distribution.get(CANNOT_SEE, 0.0) > 0.0:
            return Outcome.SKIPPED
        if any(label not in self._index for label, p in distribution.items() if p > 0.0):
            return Outcome.NOVEL
        return (Outcome.SCORED if self.complete or asked is not None else Outcome.VOLUNTEERED)

    def _has_room(self, confirmation: Confirmation) -> bool:
        """Tell whether a confirmation may wait for its frame."""
        labels = sum(len(kept.distribution) for kept in self._early.values())
        return (len(self._early) < EARLY_CONFIRMATIONS
                and labels + len(confirmation.distribution) <= EARLY_LABELS)

    def score(self, prediction: Prediction, confirmation: Confirmation, asked: Asked | None
              ) -> None:
        """Score a confirmation that counts: into window, history and test."""
        q = np.zeros(len(self.labels))
        for label, probability in confirmation.distribution.items():
            if probability > 0.0:
                q[self._index[label]] = probability
        q /= q.sum()
        log_p = prediction.log_probabilities
        weight = 1.0 if asked is None else 1.0 / asked.inclusion_probability
        row = self._laid % len(self._q)
        self._log_p[row], self._q[row], self._weight[row] = log_p, q, weight
        place = self._n % HISTORY
        self._stamps[place] = prediction.key.stamp
        self._history[place] = (weight, float(cross_entropy(q, log_p)), float(entropy(q)),
                                q[prediction.best])
        self._n += 1
        self._laid += 1
        if (asked is None or asked.tested(prediction.key)) and not (
                self._skip_repeated
                and self._repeated.keeps_out(int(q.argmax()), prediction.sketch)):
            self.detector.update(log_p, q, self._n - 1)

    def _forget_oldest(self) -> None:
        while len(self._confirmed) > self.capacity:
            self.forget(self._confirmed.oldest())
        while len(self._asked) > self.capacity:
            self._asked.popitem(last=False)

    def reset(self) -> None:
        """Begin the window, counts and test anew; predictions still wait for a confirmation."""
        self.counts.clear()
        if self._early:
            self.counts[Outcome.UNMATCHED] = len(self._early)
        self._n = self._laid = 0
        self._repeated = RepeatedPictures()
        self.detector.reset()

    def figures(self) -> Figures:
        """Compute the figures of the window; O(window)."""
        size = min(self._laid, len(self._q))
        if size == 0:
            return Figures()
        log_p, q, weight = self._log_p[:size], self._q[:size], self._weight[:size]
        surprise = cross_entropy(q, log_p)
        coverage = set_size = NAN
        if not np.isnan(self._set_threshold):
            inside = log_p >= -self._set_threshold
            # As ``conformal.answer_set`` has it.
            inside[np.arange(size), log_p.argmax(axis=1)] = True
            coverage = float(weighted_mean((q * inside).sum(axis=1), weight))
            set_size = float(weighted_mean(inside.sum(axis=1).astype(np.float64), weight))
        return Figures(
            n=self._n, window=size, **vars(means(log_p, q, surprise, weight)),
            worst_label=self._worst_label(surprise, q, weight),
            effective_n=effective_sample_size(weight), coverage=coverage, set_size=set_size)

    def figures_since(self, stamp: int) -> RangeFigures:
        """
        Compute the figures of the confirmed frames whose stamp is not before a moment.

        They reach back at most to the last reset and 20,000 scored frames.

        Parameters
        ----------
        stamp : ns

        """
        size = min(self._n, HISTORY)
        rows = self._history[:size][self._stamps[:size] >= stamp]
        if not len(rows):
            return RangeFigures()
        weight, surprise, noise, correct = rows.T
        nll, low, high = mean_cost(
            surprise, weight, cost_of_surprise(len(self.labels)))
        noise_mean = float(weighted_mean(noise, weight))
        return RangeFigures(len(rows), nll, low, high, noise_mean, nll, nll - noise_mean,
                            float(weighted_mean(correct, weight)))

    def _worst_label(self, surprise: Array, q: Array, weight: Array) -> str:
        floor = 0.0 if np.isnan(self.reference_nll) else self.reference_nll
        with np.errstate(invalid='ignore'):  # 0 * inf: no mass, no part in the surprise
            excess = weight * (surprise - floor)
            parts = np.where(q > 0.0, q * excess[:, np.newaxis], 0.0).sum(axis=0)
        return self.labels[int(parts.argmax())] if parts.max() > 0.0 else ''

    def status(self, stale: bool) -> Status:
        """
        Say what is known; never in control when it is not known.

        Parameters
        ----------
        stale : whether the last confirmation is longer ago than the caller tolerates

        """
        if self.detector.alarm:
            return Status.DRIFT
        if stale:
            return Status.STALE
        # Of frames that are asked for unevenly the test takes only a part.
        if min(self._n, self.detector.n) < self._minimum:
            return Status.TOO_FEW_LABELS
        if self.detector.learning:
            return Status.LEARNING
        return Status.IN_CONTROL

    def to_state(self) -> dict[str, Any]:
        """
        Return all that it knows, exact to the bit.

        Returns
        -------
        What JSON can hold, and numpy arrays

        """
        return {
            'labels': list(self.labels), 'settings': list(self.settings), **self.scores(),
            'newest': dict(self._newest), 'pending': self._pending.to_state(len(self.labels)),
            **keys_to_state(self._asked, 'asked'),
            'asked': [asked.to_state() for asked in self._asked.values()],
            **values_to_state(self._confirmed.by_key, 'confirmed'),
            'early': [[*key, dict(c.distribution), c.operator, c.nonce,
                       *(() if c.key == key else c.key)] for key, c in self._early.items()]}

    def scores(self) -> dict[str, Any]:
        """Return the part of its state that is made of what was scored since the reset."""
        rows, kept = min(self._laid, len(self._q)), min(self._n, HISTORY)
        return {
            'n': self._n, 'laid': self._laid,
            'counts': {o.value: self.counts[o] for o in Outcome if self.counts[o]},
            'log_probabilities': self._log_p[:rows].copy(), 'distribution': self._q[:rows].copy(),
            'weight': self._weight[:rows].copy(), 'stamps': self._stamps[:kept].copy(),
            'history': self._history[:kept].copy(), 'repeated': self._repeated.to_state(),
            'detector': self.detector.to_state()}

    def take_scores(self, state: Mapping[str, Any]) -> None:
        """Go on with this in the place of what was scored; it is of a window as long."""
        self.detector = DriftDetector.from_state(state['detector'])
        self._n, self._laid = state['n'], state['laid']
        for name, key in (('_log_p', 'log_probabilities'), ('_q', 'distribution'),
                          ('_weight', 'weight'), ('_stamps', 'stamps'), ('_history', 'history')):
            getattr(self, name)[:len(state[key])] = state[key]
        # A version before did not look for them.
        self._repeated = RepeatedPictures.from_state(state.get('repeated', [0, []]))
        self.counts = Counter({Outcome(outcome): n for outcome, n in state['counts'].items()})

    @classmethod
    def from_state(cls, state: Mapping[str, Any], digest: str) -> 'Monitor':
        """
        Return the monitor that ``to_state`` described; it goes on bit for bit.

        Parameters
        ----------
        state : from ``to_state``
        digest : SHA-256 of the model whose predictions it has, hex

        Raises
        ------
        LookupError, TypeError, ValueError
            The state is damaged, or that of another version of the drift test.

        """
        labels = tuple(state['labels'])
        settings = MonitorSettings(*state['settings'])
        self = cls(labels, DriftDetector.from_state(state['detector']),
                   window=settings.window, pending=settings.pending)
        self.take_scores(state)
        self.adopt(settings)
        self._newest.update(state['newest'])
        self._pending = PendingPredictions.from_state(state['pending'], labels, digest)
        self._asked.update(zip(keys_from_state(state, 'asked'),
                               (Asked(*asked) for asked in state['asked']), strict=True))
        for key, q in values_from_state(state, 'confirmed'):
            self._confirmed.add(key, q)
        for stamp, frame_id, q, operator, nonce, *said in state['early']:
            key = FrameKey(Stamp(stamp), frame_id)
            self._early[key] = Confirmation(FrameKey(*said) if said else key, q, operator, nonce)
        return self
