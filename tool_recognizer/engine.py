"""
A model, what it is asked of a frame, the run that watches it, and the log of it all.

This is what happens to a frame and to a confirmation, the same for the live node and for a replay.
Several threads may use an engine: the run and the log are told the same events in the same order.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import RLock
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import MATCHED
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.decision import decide
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import FROZEN
from tool_recognizer.core.early_warning import Sampler
from tool_recognizer.core.events import Event
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import Noted
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.information import entropy
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Inspector
from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.monitor import RangeFigures
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.quality import fault
from tool_recognizer.core.quality import fingerprint
from tool_recognizer.core.quality import FrozenDetector
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import predict
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.run import Run
from tool_recognizer.core.run import Settled
from tool_recognizer.event_log.entry import RunNumber
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.restored import Restored
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.shadow import ShadowModel

# Scored frames that are looked through for the evidence of an alarm.
EVIDENCE = 200


class Rules(NamedTuple):
    """What a decision needs beside the prediction; see the parameters of the same names."""

    min_probability: float = 0.6
    reject_unknown: bool = True
    check_quality: bool = True
    stop_on_drift: bool = False

    @classmethod
    def of(cls, parameter: Callable[[str], Any]) -> 'Rules':
        """Take them from the parameters; ``parameter`` returns the value of a name."""
        return cls(*(parameter(f'decision.{name}') for name in cls._fields))


class Recognized(NamedTuple):
    """
    A frame that the model has answered, before anything is made of it.

    Attributes
    ----------
    prediction : of the model in charge
    unusable : a reserved id, if the frame is not fit for an answer, or None
    digest : of what the model saw, to know a repeated picture

    """

    prediction: Prediction
    unusable: str | None
    digest: int


class Answer(NamedTuple):
    """
    What was made of a frame.

    Attributes
    ----------
    prediction : of the model in charge
    decision : what a controller is told
    asked : how an operator comes to be asked for the frame, or None
    early : what became of a confirmation that had come before the frame, or None

    """

    prediction: Prediction
    decision: Decision
    asked: Asked | None
    early: Settled | None


class Evidence(NamedTuple):
    """A scored frame, as it is shown after an alarm; picture is a JPEG or None."""

    prediction: Prediction
    confirmation: Confirmation
    nll: float
    picture: bytes | None


class Engine:
    """
    See the module.

    Parameters
    ----------
    model : the model in charge
    run : a new one for it
    inspector : picks the frames that an operator is asked for
    sampler : of the early warning
    frozen_after : identical frames in a row that make a dead camera
    shadow : a candidate that runs beside it, or None
    set_threshold : NLL up to which a label is in the answer set, nats; None: no answer sets
    parameters : with which a run begins; it does not go on with others

    Attributes
    ----------
    run : what is known so far
    notes : what there is to say of its start, one line each: what could not be gone on with
    recent : the last scored frames, for the evidence of an alarm

    """

    def __init__(self, model: OnnxModel, run: Run, inspector: Inspector, sampler: Sampler,
                 frozen_after: int, shadow: ShadowModel | None = None,
                 set_threshold: float | None = None,
                 parameters: Mapping[str, Any] | None = None) -> None:
        self.model = model
        self.run = run
        self.inspector = inspector
        self.shadow = shadow
        self.set_threshold = set_threshold
        self.notes: tuple[str, ...] = ()
        self.recent: deque[Evidence] = deque(maxlen=EVIDENCE)
        self._parameters = dict(parameters or {})
        self._sampler = sampler
        self._frozen = FrozenDetector(frozen_after)
        self._lock = RLock()
        self._log: EventLog | None = None
        self._number = RunNumber()
        self._reason = 'start'
        # How the run began, until a log is open that may know an earlier one.
        self._new: Mapping[str, Any] | None = None

    def start(self, reason: str, moment: int, log: EventLog | None = None) -> None:
        """
        Go on with the log's last run, or begin one.

        What cannot go on begins anew, and ``notes``, and an event in the log, say so if that was
        not to be expected.

        Parameters
        ----------
        reason : 'start', which goes on with the model's last run if there is one, or 'reload'
        moment : ns
        log : where it is kept; one that is not open yet keeps what comes until ``attach``

        Raises
        ------
        JournalError
            The log cannot be read or written.

        """
        with self._lock:
            self._reason, self._log = reason, log
            if log is None:
                return
            self._new = self.run.to_state()
            if log.is_open and not log.is_started:
                self._take_up(log, moment)
            else:
                self._begin(log, moment)

    def attach(self, moment: int) -> None:
        """
        Open the log, which could not be opened before, and go on with it.

        The last run goes on as it would have then: all that came meanwhile happens to it, in its
        order, and is kept.

        Parameters
        ----------
        moment : ns

        Raises
        ------
        JournalError
            The log cannot be opened, read or written; nothing has changed.

        """
        with self._lock:
            log, alarm = self._log, self.run.monitor.detector.alarm
            assert log is not None
            self.notes = ()
            log.open()
            try:
                self._take_up(log, moment)
            except JournalError:
                log.release()
                raise
            self._record(Noted(moment, 'attached', {}))
            if alarm and not self.run.monitor.detector.alarm:
                self._warn('alarm_off', moment, (
                    'the alarm that was raised while the journal could not be opened is off: with '
                    'the confirmations before, which are known now, there is none'))

    def _take_up(self, log: EventLog, moment: int) -> None:
        """Go on with the last run, if it can be; what waits in the log happens to it."""
        assert self._new is not None
        known = self._known(log)
        waiting = log.take_back()
        if known is not None and known.run is not None:
            run, number = known.run, RunNumber(known.number)
            self._continue(log, run, number, Run.from_state(self._new), moment)
            for entry in waiting:
                if entry.run is not self._number or entry.picture is not None:
                    log.again(entry)
                elif entry.event is not None and not isinstance(entry.event, RunBegan):
                    log.append(number, entry.event, run.apply(entry.event))
            self.run, self._number = run, number
        elif waiting:
            for entry in waiting:
                log.again(entry)
        else:
            self._begin(log, moment)
        for note in () if known is None else known.notes:
            self._warn('damaged', moment, note)
        if self.run.sampling is not None and not self._sampler.windows:
            self._sampler.resume(self.run.sampling)
        self._new = None
        log.start()

    def _known(self, log: EventLog) -> Restored | None:
        if self._reason != 'start':
            return None
        try:
            return log.restore(self.model.digest, self.model.labels, self._parameters)
        except JournalError as error:
            if error.reason not in ('corrupt', 'other'):
                raise
            return Restored(0, None, (f'the last run cannot be read ({error}); a new one begins, '
                                      'and its events stay in the file',))

    def _begin(self, log: EventLog, moment: int) -> None:
        assert self._new is not None
        self._number = log.begin(RunBegan(moment, self._reason, self.model.digest,
                                          self.model.labels, self._parameters), self._new)

    def _continue(self, log: EventLog, run: Run, number: RunNumber, new: Run, moment: int) -> None:
        """Go on with a run; what is another one now begins anew in it."""
        anew = []
        if (run.sampling_interval, run.warning.watches_mix) != (
                new.sampling_interval, new.warning.watches_mix):
            run.warning, run.sampling, run.sampling_interval = (
                new.warning, None, new.sampling_interval)
            anew.append('early_warning')
        if new.comparison is not None and (
                run.comparison is None or run.comparison.identity != new.comparison.identity):
            run.comparison = new.comparison
            anew.append('shadow')
        elif new.comparison is not None and run.comparison is not None:
            run.comparison.monitor.adopt(new.comparison.monitor.settings)
        event = RunContinued(moment, new.settings, tuple(anew))
        run.apply(event)
        log.append(number, event)
        log.snapshot(number, run.to_state())

    def _warn(self, kind: str, moment: int, why: str) -> None:
        self.notes += (why,)
        self._record(Noted(moment, kind, {'why': why}))

    def _record(self, event: Event) -> Settled | None:
        """Let an event happen to the run, and keep it."""
        settled = self.run.apply(event)
        with suppress(JournalError):  # the log's own ``trouble`` says it
            if self._log is not None:
                self._log.append(self._number, event, settled)
        return settled

    # -- frames -------------------------------------------------------------------------------

    def recognize(self, frames: Sequence[Frame]) -> list[Recognized]:
        """
        Answer frames, together; nothing is remembered.

        Raises
        ------
        NonFiniteLogits
            The model's answer to one of them is not finite.
        ValueError
            The pixels of one of them cannot be fitted.

        """
        images = np.stack([fit_image(frame.pixels, self.model.input, frame.order)
                           for frame in frames])
        predictions = predict([frame.key for frame in frames], images, self.model)
        return [Recognized(prediction, fault(image, self.model.quality), fingerprint(image))
                for prediction, image in zip(predictions, images, strict=True)]

    def answer(self, recognized: Recognized, rules: Rules, moment: int, *, asking: bool = False,
               decided: Decision | None = None) -> Answer:
        """
        Decide on a frame, keep it for its confirmation, and draw whether to ask for one.

        Parameters
        ----------
        recognized : the frame, in the order of the camera
        rules : of the decision
        moment : ns, now
        asking : whether there is anybody to ask
        decided : the decision, if it is made already

        """
        prediction = recognized.prediction
        unusable = FROZEN if self._frozen.update(recognized.digest) else recognized.unusable
        decision = decided or decide(
            prediction, min_probability=rules.min_probability,
            reject_unknown=rules.reject_unknown,
            unusable=unusable if rules.check_quality else None,
            drifted=rules.stop_on_drift and self.run.monitor.detector.alarm)
        with self._lock:
            asked = self.inspector.consider(prediction, moment) if asking else None
            early = self._record(FrameAnswered(moment, prediction.without_features(),
                                               decision.class_id))
            if asked is not None:
                self._record(FrameAsked(moment, prediction.key, asked))
            windows = self._sampler.windows
            sample = self._sampler.look(prediction.key.stamp, prediction.log_probabilities,
                                        prediction.features, prediction.known)
            if self._sampler.windows > windows:
                self._record(SampleTaken(moment, self._sampler.state(), sample))
        return Answer(prediction, decision, asked, early)

    def ask(self, key: FrameKey, asked: Asked, moment: int) -> None:
        """Note how a frame comes to be asked for, so that its confirmation is weighed with it."""
        with self._lock:
            self._record(FrameAsked(moment, key, asked))

    def keep_picture(self, prediction: Prediction, picture: bytes) -> None:
        """Keep the picture of a frame that is asked for, as JPEG, while it waits."""
        expected = float(entropy(prediction.probabilities))
        with self._lock, suppress(JournalError):
            if self._log is not None:
                self._log.picture(self._number, prediction.key, expected, picture)

    def follow(self, frame: Frame, moment: int) -> None:
        """Do what can wait until a frame's answer is out: let the shadow answer it, too."""
        log = self._log
        if log is not None and log.snapshot_due(self.run.monitor.capacity):
            with self._lock, suppress(JournalError):
                log.snapshot(self._number, self.run.to_state())
        prediction = None if self.shadow is None else self.shadow.predict(frame)
        if prediction is not None:
            with self._lock:
                self._record(ShadowAnswered(moment, prediction.without_features()))

    # -- confirmations ------------------------------------------------------------------------

    def confirm(self, confirmation: Confirmation, received: int, picture: bytes | None = None
                ) -> tuple[Settled, Future[int] | None]:
        """
        Score a confirmation.

        Parameters
        ----------
        confirmation : of a frame
        received : ns, now
        picture : the frame as JPEG, to be kept with it

        Returns
        -------
        What became of it, and the future that is done when that is on disk; None without an open
        log, or if it has given up

        """
        event = FrameConfirmed(received, confirmation)
        with self._lock:
            settled = self.run.apply(event)
            assert settled is not None
            prediction, nll, kept = settled.prediction, settled.nll, None
            with suppress(JournalError):
                if self._log is not None:
                    if settled.outcome in MATCHED:
                        # A label that the model does not have is the most surprising of all.
                        surprise = (0.0 if settled.outcome is Outcome.SKIPPED else
                                    float('inf') if nll is None else nll)
                        self._log.picture(self._number, confirmation.key, surprise, picture)
                    kept = self._log.append(self._number, event, settled)
            if settled.outcome in SCORED and prediction is not None and nll is not None:
                self.recent.append(Evidence(prediction, confirmation, nll, picture))
            is_open = self._log is not None and self._log.is_open
        return settled, kept if is_open else None

    def reset(self, moment: int) -> None:
        """Begin the figures and the tests anew; what was before stays in the log."""
        with self._lock:
            self._record(RunReset(moment))
            self.recent.clear()

    def record(self, kind: str, moment: int, detail: Mapping[str, object]) -> None:
        """Remember something, such as an alarm."""
        with self._lock:
            self._record(Noted(moment, kind, detail))

    def figures(self) -> Figures:
        """Compute the monitor's figures of one moment."""
        with self._lock:
            return self.run.monitor.figures()

    def figures_since(self, stamp: int) -> RangeFigures:
        """Compute the monitor's figures of a range of time; see ``Monitor.figures_since``."""
        with self._lock:
            return self.run.monitor.figures_since(stamp)
