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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import MEASURED
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.events import Event
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import Noted
from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import Settings
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction


@dataclass(frozen=True, slots=True)
class Settled:
    """
    What became of a confirmation.

    Attributes
    ----------
    confirmation : as it came
    outcome : what the monitor made of it
    prediction : of the model in charge, to which it was joined; None if to none
    decision : what a controller was told of that frame; '' if not known
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

    Attributes
    ----------
    model_digest, monitor, warning, requests, sampling_interval, comparison : as given
    sampling : where the early warning's sampler stands; None before its first window
    alarm_kept : whether the alarm has been recorded, with its evidence
    confirmed_at : when the last confirmation was scored, ns; None before the first

    """

    def __init__(self, model_digest: str, monitor: Monitor, warning: EarlyWarning,
                 requests: Requests, sampling_interval: int,
                 comparison: Comparison | None = None) -> None:
        self.model_digest = model_digest
        self.monitor = monitor
        self.warning = warning
        self.requests = requests
        self.sampling_interval = sampling_interval
        self.comparison = comparison
        self.sampling: Sampling | None = None
        self.alarm_kept = False
        self.confirmed_at: int | None = None
        self._decisions: OrderedDict[FrameKey, str] = OrderedDict()

    @property
    def settings(self) -> Settings:
        """Return what a start may change."""
        return Settings(self.monitor.settings, self.warning.run_length,
                        self.requests.expire_after)

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
                return self._confirm(event)
            case FrameAsked():
                self.requests.ask(event.key, event.moment)
                # Where all confirmations are scored, a frame is confirmed whether it was asked
                # for or not, and has the weight of all the others.
                if not self.monitor.complete:
                    self.monitor.ask(event.key, event.asked)
            case ShadowAnswered():
                if self.comparison is not None:
                    self.comparison.expect(event.prediction)
            case SampleTaken():
                self.sampling = event.sampling
                if event.log_probabilities is not None:
                    self.warning.update(event.log_probabilities)
            case RunReset():
                self.monitor.reset()
                self.warning.reset()
                self.alarm_kept = False
                if self.comparison is not None:
                    self.comparison.reset()
            case RunContinued():
                self.monitor.adopt(event.settings.monitor)
                self.warning.run_length = event.settings.run_length
                self.requests.expire_after = event.settings.expire_after
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
        early = self.monitor.early(key)
        outcome = self.monitor.expect(prediction)
        if outcome is None or early is None:
            return None
        asked = self.monitor.asked(key)
        if self.comparison is not None:
            self.comparison.settle(prediction, outcome, asked)
        return self._settled(early, outcome, prediction, asked, event.moment)

    def _confirm(self, event: FrameConfirmed) -> Settled:
        confirmation = event.confirmation
        prediction = self.monitor.pending(confirmation.key)
        outcome = self.monitor.confirm(confirmation)
        asked = self.monitor.asked(confirmation.key)
        if self.comparison is not None:
            self.comparison.confirm(confirmation, prediction, outcome, asked)
        self.requests.answer(confirmation.key)
        return self._settled(confirmation, outcome, prediction, asked, event.moment)

    def _settled(self, confirmation: Confirmation, outcome: Outcome,
                 prediction: Prediction | None, asked: Asked | None, moment: int) -> Settled:
        if outcome in SCORED:
            self.confirmed_at = moment
        return Settled(confirmation, outcome, prediction,
                       self._decisions.get(confirmation.key, ''), asked)

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
            'decisions': [[*key, decision] for key, decision in self._decisions.items()]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> 'Run':
        """
        Return the run that ``to_state`` described; it goes on bit for bit.

        Raises
        ------
        LookupError, TypeError, ValueError
            The state is damaged, or that of another version of the drift test.

        """
        comparison = state['comparison']
        self = cls(state['model_digest'],
                   Monitor.from_state(state['monitor'], state['model_digest']),
                   EarlyWarning.from_state(state['warning']),
                   Requests.from_state(state['requests']), state['sampling_interval'],
                   None if comparison is None else Comparison.from_state(comparison))
        if state['sampling'] is not None:
            self.sampling = Sampling(*state['sampling'])
        self.alarm_kept, self.confirmed_at = state['alarm_kept'], state['confirmed_at']
        for stamp, frame_id, decision in state['decisions']:
            self._decisions[FrameKey(stamp, frame_id)] = decision
        return self


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
    q = np.zeros(len(labels))
    for label, probability in distribution.items():
        if probability > 0.0:
            if label not in labels:
                return float('inf')
            q[labels.index(label)] = probability
    return float(cross_entropy(q / q.sum(), log_probabilities))
