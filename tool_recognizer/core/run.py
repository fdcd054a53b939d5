"""
A run: what one model knows of a line since a start, as a fold over events.

``apply`` takes the next event and says what follows from it. It is deterministic, reads no clock
and touches no disk, so whoever applies the same events to the same state has the same run: the
live node, a start after a crash, a replay. There is no other way to come to a state than
``from_state`` and ``apply``.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import MEASURED
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.decision import DRIFT
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.events import ConfirmationCorrected
from tool_recognizer.core.events import Event
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import Noted
from tool_recognizer.core.events import PassageBegan
from tool_recognizer.core.events import PassageEnded
from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import Settings
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.passages import OUTSIDE
from tool_recognizer.core.passages import Passages
from tool_recognizer.core.passages import SHARED
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import values_from_state
from tool_recognizer.core.recognition import values_to_state


@dataclass(frozen=True, slots=True)
class Settled:
    """
    What became of a confirmation.

    Attributes
    ----------
    confirmation : as it came
    outcome : what the monitor made of it
    prediction : of the model in charge, to which it was joined; None if to none. With a gate it
        is that of the frame's passage
    decision : what a controller was told of that frame or passage; '' if not known
    asked : how the frame came to be asked for, if it was

    """

    confirmation: Confirmation
    outcome: Outcome
    prediction: Prediction | None = None
    decision: str = ''
    asked: Asked | None = None

    @property
    def nll(self) -> float | None:
        """NLL of the label, of several the cross-entropy; nats, None if it is not measured."""
        if self.prediction is None or self.outcome not in MEASURED:
            return None
        return surprise(self.prediction.labels, self.prediction.log_probabilities,
                        self.confirmation.distribution)


class Run:
    """
    See the module.

    Parameters
    ----------
    model_digest : SHA-256 of the model in charge, hex
    monitor : a new one, with the drift test
    warning : a new early warning
    requests : no inspection requests yet
    sampling_interval : of the early warning's sampler, ns
    comparison : with a shadow model, or None
    passages : with a gate, none yet; then what is confirmed and scored is a passage. None: frames

    Attributes
    ----------
    model_digest, monitor, warning, requests, sampling_interval, comparison, passages : as given
    sampling : where the early warning's sampler stands; None before its first window
    alarm_kept : whether the alarm has been recorded, with its evidence
    confirmed_at : when the last confirmation was scored, ns; None before the first
    corrected : when a confirmation of these figures was last corrected, and since when they are
        anew if older confirmations were not there any more, ns; None: none was

    """

    def __init__(self, model_digest: str, monitor: Monitor, warning: EarlyWarning,
                 requests: Requests, sampling_interval: int,
                 comparison: Comparison | None = None, passages: Passages | None = None
                 ) -> None:
        self.model_digest = model_digest
        self.monitor = monitor
        self.warning = warning
        self.requests = requests
        self.sampling_interval = sampling_interval
        self.comparison = comparison
        self.passages = passages
        self.sampling: Sampling | None = None
        self.alarm_kept = False
        self.confirmed_at: int | None = None
        self.corrected: tuple[int, int | None] | None = None
        self._decisions: OrderedDict[FrameKey, str] = OrderedDict()

    @property
    def settings(self) -> Settings:
        """Return what a start may change."""
        shadow = self.comparison
        return Settings(self.monitor.settings, self.warning.run_length, self.requests.expire_after,
                        None if shadow is None else shadow.monitor.settings)

    def continued(self, new: 'Run', moment: int) -> RunContinued:
        """
        Return the event by which it goes on at a start.

        Parameters
        ----------
        new : a new run, whose settings it takes; what is another one there begins anew
        moment : ns

        """
        state, anew = new.to_state(), []
        if (self.sampling_interval, self.warning.watches_mix) != (
                new.sampling_interval, new.warning.watches_mix):
            anew += ['warning', 'sampling_interval']
        if new.comparison is not None and (
                self.comparison is None or self.comparison.identity != new.comparison.identity):
            anew.append('comparison')
        return RunContinued(moment, new.settings, {part: state[part] for part in anew})

    def apply(self, event: Event) -> Settled | None:
        """
        Take the next event.

        Returns
        -------
        What became of a confirmation: of the one that the event is, or of one that had come
        before the frame that the event answers; None for all others

        Raises
        ------
        TypeError
            The event begins a run: that comes with a state, see ``from_state``.

        """
        match event:
            case FrameAnswered():
                return self._answer(event)
            case FrameConfirmed():
                return self._confirm(event.confirmation, event.moment)
            case ConfirmationCorrected():
                self._correct(event)
            case FrameAsked():
                key = self._unit(event.key)
                self.requests.ask(key, event.moment)
                # Where all confirmations are scored, a frame is confirmed whether it was asked
                # for or not, and has the weight of all the others.
                if not self.monitor.complete:
                    self.monitor.ask(key, event.asked)
            case ShadowAnswered():
                if self.comparison is not None:
                    self._answer_too(event.prediction, self.comparison)
            case PassageBegan() | PassageEnded():
                if self.passages is None:
                    raise ValueError('a passage in a run without a gate')
                if isinstance(event, PassageBegan):
                    self.passages.begin(event.moment, event.reason)
                else:
                    self.passages.end(event.moment, event.reason)
            case SampleTaken():
                self.sampling = event.sampling
                if event.log_probabilities is not None:
                    self.warning.update(event.log_probabilities)
            case RunReset():
                self.monitor.reset()
                self.warning.reset()
                self.alarm_kept, self.corrected = False, None
                if self.comparison is not None:
                    self.comparison.reset()
            case RunContinued():
                self._continue(event.settings, event.anew)
            case Noted():
                self.alarm_kept = self.alarm_kept or event.kind == 'alarm'
            case _:
                raise TypeError(f'a run cannot go on with {type(event).__name__}')
        return None

    def _answer(self, event: FrameAnswered) -> Settled | None:
        prediction, key = event.prediction, event.prediction.key
        self.requests.expire(event.moment)
        self._decisions.pop(key, None)
        self._decisions[key] = event.decision
        while len(self._decisions) > self.monitor.capacity:
            self._decisions.popitem(last=False)
        if self.passages is not None:
            return self._answer_in_passage(event, self.passages)
        return self._expect(prediction, event.moment)

    def _answer_in_passage(self, event: FrameAnswered, passages: Passages) -> Settled | None:
        """Let a frame count for its passage, and settle what was said of either before."""
        key, settled = event.prediction.key, None
        changed = passages.take(event.prediction, event.part, self.monitor.capacity,
                                event.decision == DRIFT)
        if changed:
            assert passages.open is not None
            answer = passages.open.prediction(passages.rules, self.model_digest)
            if passages.open.answer_count == 1:
                settled = self._expect(answer, event.moment, passages.gone_back)
                passages.gone_back = False
            else:
                self.monitor.revise(answer)
        unit = self._unit(key)
        if unit != key or passages.number_of(key) == OUTSIDE:
            early = self.monitor.release(key)
            if early is not None:
                second = self._confirm(early, event.moment)
                settled = settled or second
        return settled

    def _answer_too(self, prediction: Prediction, comparison: Comparison) -> None:
        """Take the answer of the shadow model."""
        passages = self.passages
        if passages is None:
            comparison.expect(prediction)
            return
        for passage in passages.open, passages.last:  # its frame may have ended it
            if passage is not None and passage.take_shadow(prediction):
                first = passage.shadow_count == 1
                (comparison.expect if first else comparison.revise)(passage.shadow_prediction(
                    passages.rules, comparison.monitor.labels, prediction.model_digest))
                return

    def _unit(self, key: FrameKey) -> FrameKey:
        """Return by what a frame is known to the monitor: with a gate, by its passage."""
        seen = None if self.passages is None else self.passages.find(key)
        return key if seen is None else seen.key

    def _expect(self, prediction: Prediction, moment: int, again: bool = False
                ) -> Settled | None:
        key = prediction.key
        early = self.monitor.early(key)
        outcome = self.monitor.expect(prediction, again)
        if outcome is None or early is None:
            return None
        asked = self.monitor.asked(key)
        if self.comparison is not None:
            self.comparison.settle(prediction, outcome, asked)
        return self._settled(early, outcome, prediction, asked, moment)

    def _confirm(self, said: Confirmation, moment: int) -> Settled:
        passages, unit = self.passages, self._unit(said.key)
        if passages is not None:
            number = passages.number_of(said.key)
            if number in (OUTSIDE, SHARED):
                outcome = Outcome.OUTSIDE if number == OUTSIDE else Outcome.AMBIGUOUS
                self.monitor.counts[outcome] += 1
                return Settled(said, outcome)
        prediction = self.monitor.pending(unit)
        outcome = self.monitor.confirm(said, unit)
        asked = self.monitor.asked(unit)
        if self.comparison is not None:
            self.comparison.confirm(replace(said, key=unit), prediction, outcome, asked)
        self.requests.answer(unit)
        return self._settled(said, outcome, prediction, asked, moment)

    def _correct(self, event: ConfirmationCorrected) -> None:
        if not event.anew:
            return
        self.monitor.take_scores(event.anew)
        self.alarm_kept = self.alarm_kept and self.monitor.detector.alarm
        self.corrected = event.moment, event.since
        if self.passages is not None:
            self.passages.correct(event.correction.key, event.correction.distribution,
                                  event.became in MEASURED)
        if self.comparison is not None:  # it may have been scored by what was wrong
            self.comparison.reset()

    def _continue(self, settings: Settings, anew: Mapping[str, Any]) -> None:
        if 'warning' in anew:
            self.warning, self.sampling = EarlyWarning.from_state(anew['warning']), None
            self.sampling_interval = anew['sampling_interval']
        if 'comparison' in anew:
            self.comparison = _comparison(anew['comparison'])
        if self.comparison is not None and settings.shadow is not None:
            self.comparison.monitor.adopt(settings.shadow)
        self.monitor.adopt(settings.monitor)
        self.warning.run_length = settings.run_length
        self.requests.expire_after = settings.expire_after

    def _settled(self, confirmation: Confirmation, outcome: Outcome,
                 prediction: Prediction | None, asked: Asked | None, moment: int) -> Settled:
        decision = self._decisions.get(confirmation.key, '')
        if outcome in SCORED:
            self.confirmed_at = moment
        if self.passages is not None:
            seen = self.passages.find(confirmation.key)
            decision = '' if seen is None else seen.decision
            if seen is not None and outcome in MEASURED:
                self.passages.confirm(confirmation.key, confirmation.distribution)
        return Settled(confirmation, outcome, prediction, decision, asked)

    def to_state(self) -> dict[str, Any]:
        """
        Return all that it knows, exact to the bit; nothing in it changes with the run.

        Returns
        -------
        What JSON can hold, and numpy arrays

        """
        sampling = self.sampling
        return {
            'model_digest': self.model_digest, 'monitor': self.monitor.to_state(),
            'warning': self.warning.to_state(), 'requests': self.requests.to_state(),
            'sampling_interval': self.sampling_interval,
            'sampling': None if sampling is None else list(sampling),
            'comparison': None if self.comparison is None else self.comparison.to_state(),
            'alarm_kept': self.alarm_kept, 'confirmed_at': self.confirmed_at,
            'corrected': None if self.corrected is None else list(self.corrected),
            **values_to_state(self._decisions, 'decisions'),
            **({} if self.passages is None else {'passages': self.passages.to_state()})}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> 'Run':
        """
        Return the run that ``to_state`` described; it goes on bit for bit.

        Raises
        ------
        LookupError, TypeError, ValueError
            The state is damaged, or that of another version of the drift test.

        """
        self = cls(state['model_digest'],
                   Monitor.from_state(state['monitor'], state['model_digest']),
                   EarlyWarning.from_state(state['warning']),
                   Requests.from_state(state['requests']), state['sampling_interval'],
                   _comparison(state['comparison']))
        if 'passages' in state:
            self.passages = Passages.from_state(state['passages'], self.monitor.labels)
        if state['sampling'] is not None:
            self.sampling = Sampling(*state['sampling'])
        self.alarm_kept, self.confirmed_at = state['alarm_kept'], state['confirmed_at']
        if state.get('corrected') is not None:  # a version before knew no corrections
            at, since = state['corrected']
            self.corrected = at, since
        self._decisions.update(values_from_state(state, 'decisions'))
        return self


def _comparison(state: Mapping[str, Any] | None) -> Comparison | None:
    return None if state is None else Comparison.from_state(state)


def surprise(labels: tuple[str, ...], log_probabilities: NDArray[np.float64],
             distribution: Mapping[str, float]) -> float:
    """
    Score a confirmation: the NLL of its label, or the cross-entropy if there are several.

    Parameters
    ----------
    labels : the model's K labels
    log_probabilities : (K,) nats
    distribution : the confirmed label's or labels' probabilities

    Returns
    -------
    Nats; inf for a label that the model ruled out or does not have

    """
    known = set(labels)
    if any(probability > 0.0 and label not in known
           for label, probability in distribution.items()):
        return float('inf')
    q = np.array([max(0.0, distribution.get(label, 0.0)) for label in labels])
    return float(cross_entropy(q / q.sum(), log_probabilities))
