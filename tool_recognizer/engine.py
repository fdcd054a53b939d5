"""
A model, what it is asked of a frame, the run that watches it, and the log of it all.

This is what happens to a frame and to a confirmation, the same for the live node and for a replay.
Several threads may use an engine: the run and the log are told the same events in the same order.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from threading import RLock
from typing import Any

import numpy as np
from tool_recognizer.core.answer import Answer
from tool_recognizer.core.answer import Evidence
from tool_recognizer.core.answer import Recognized
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.confirmation import MATCHED
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.correction import Scored
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import Sampler
from tool_recognizer.core.events import ConfirmationCorrected
from tool_recognizer.core.events import Event
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import Noted
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.information import entropy
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Inspector
from tool_recognizer.core.means import RangeFigures
from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.passage import News
from tool_recognizer.core.passages import Passages
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.quality import FrozenDetector
from tool_recognizer.core.recognition import fit_frame
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import predict
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.run import Run
from tool_recognizer.core.run import Settled
from tool_recognizer.core.view import Seen
from tool_recognizer.event_log.corrections import planned
from tool_recognizer.event_log.entry import RunNumber
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.restored import Restored
from tool_recognizer.gating import Gating
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.process_memory import large_pieces_mapped
from tool_recognizer.shadow import ShadowModel

# Scored frames that are looked through for the evidence of an alarm.
EVIDENCE = 200


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
    gating : says which frames are of one passage; only if the run has passages

    Attributes
    ----------
    gating : as given
    run : what is known so far
    notes : what there is to say of its start, one line each: what could not be gone on with
    recent : the last scored frames, for the evidence of an alarm
    lock : who holds it holds back the confirmations: what others hear of a frame before it is kept
        they cannot confirm before

    """

    def __init__(self, model: OnnxModel, run: Run, inspector: Inspector, sampler: Sampler,
                 frozen_after: int, shadow: ShadowModel | None = None,
                 set_threshold: float | None = None,
                 parameters: Mapping[str, Any] | None = None, gating: Gating | None = None
                 ) -> None:
        self.model = model
        self.run = run
        self.inspector = inspector
        self.shadow = shadow
        self.gating = gating
        self.set_threshold = set_threshold
        self.notes: tuple[str, ...] = ()
        self.recent: deque[Evidence] = deque(maxlen=EVIDENCE)
        self._parameters = dict(parameters or {})
        self._sampler = sampler
        self._frozen = FrozenDetector(frozen_after)
        self.lock, self._correcting = RLock(), Lock()
        # What was scored while a correction is computed, in its order; None: a reset.
        self._meanwhile: list[Scored | None] | None = None
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
        with self.lock:
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
        with self.lock:
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
            event = run.continued(Run.from_state(self._new), moment)
            run.apply(event)
            log.append(number, event)
            log.snapshot(number, run.to_state())
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

    def _warn(self, kind: str, moment: int, why: str) -> None:
        self.notes += (why,)
        self._record(Noted(moment, kind, {'why': why}))

    def _record(self, event: Event) -> Settled | None:
        """Let an event happen to the run, and keep it."""
        settled = self.run.apply(event)
        self._note_scored(settled)
        with suppress(JournalError):  # the log's own ``trouble`` says it
            if self._log is not None:
                self._log.append(self._number, event, settled)
        return settled

    # -- frames -------------------------------------------------------------------------------

    def recognize(self, seen: Seen) -> tuple[Prediction, Pixels]:
        """
        Answer a frame; nothing is remembered.

        Parameters
        ----------
        seen : what is looked at of it

        Returns
        -------
        The prediction, and the picture that the network saw, (H, W, 3) uint8 RGB

        Raises
        ------
        NonFiniteLogits
            The model's answer is not finite.
        ValueError
            The pixels cannot be fitted.

        """
        image = fit_frame(seen.frame, self.model.input)
        prediction, = predict([seen.frame.key], image[np.newaxis], self.model)
        return seen.located(prediction), image

    def answer(self, recognized: Recognized, rules: Rules, moment: int, *, asking: bool = False,
               decided: Decision | None = None, arrival: int | None = None,
               tell: Callable[[Decision], None] = lambda decision: None) -> Answer:
        """
        Decide on a frame, keep it for its confirmation, and draw whether to ask for one.

        Parameters
        ----------
        recognized : the frame, in the order of the camera
        rules : of the decision
        moment : ns, now
        asking : whether there is anybody to ask
        decided : the decision, if it is made already
        arrival : ns, when the frame came; None: now
        tell : is called with the decision as soon as it is made, before anything is kept

        """
        with self.lock:
            frozen = self._frozen.update(recognized.digest)
            decision = decided or rules.decide(
                recognized, frozen, self.run.monitor.detector.alarm)
            tell(decision)
            prediction = recognized.prediction
            gated, part = self._gated(), ''
            news: list[News] = []
            if gated is not None:
                part, news = self._part(*gated, recognized, moment if arrival is None else arrival,
                                        decided or rules.decide(recognized, frozen, alarm=False))
            doubtful, passage = prediction if self.gating is None else None, None
            early = self._record(FrameAnswered(moment, prediction.without_features(),
                                               decision.class_id, part))
            if gated is not None:
                gating, passages = gated
                passage = passages.answered_by(prediction.key)
                doubtful = gating.due(prediction.key, passages, self.model.digest)
                news += gating.decided(prediction.key, moment, passages, self._record)
            asked = (self.inspector.consider(doubtful, moment)
                     if asking and doubtful is not None else None)
            if asked is not None:
                self._record(FrameAsked(moment, prediction.key, asked))
            windows = self._sampler.windows
            sample = self._sampler.look(prediction.key.stamp, prediction.log_probabilities,
                                        prediction.features, prediction.known)
            if self._sampler.windows > windows:
                self._record(SampleTaken(moment, self._sampler.state(), sample))
        return Answer(prediction, decision, asked, early, tuple(news), passage)

    def ask(self, key: FrameKey, asked: Asked, moment: int) -> None:
        """Note how a frame comes to be asked for, so that its confirmation is weighed with it."""
        with self.lock:
            self._record(FrameAsked(moment, key, asked))

    # -- passages -----------------------------------------------------------------------------

    def _part(self, gating: Gating, passages: Passages, seen: Recognized, arrival: int,
              decision: Decision) -> tuple[str, list[News]]:
        """Let passages begin and end before a frame; tell what it is to the one under way."""
        key = seen.prediction.key
        if seen.glance is not None:
            gating.see(seen.glance, seen.prediction.known, arrival)
        before = gating.look(arrival, passages, self._record)
        part, news = gating.part(key, arrival, decision, passages, self._record)
        return part, [*before, *news]

    def present(self, present: bool, moment: int) -> None:
        """Hear from outside whether an object is before the camera; moment : ns."""
        with self.lock:
            if self.gating is not None:
                self.gating.gate.hear(present, moment)

    def call(self, moment: int) -> bool:
        """Begin a passage at a moment, ns; False: one is under way, or calls begin none."""
        with self.lock:
            return self.gating is not None and self.gating.call(moment)

    def advance(self, moment: int) -> tuple[News, ...]:
        """Let passages begin and end without a frame; moment : ns. Return what is to be told."""
        with self.lock:
            gated = self._gated()
            return () if gated is None else tuple(gated[0].look(moment, gated[1], self._record))

    def interrupt(self, moment: int, reason: str) -> tuple[News, ...]:
        """End the passage that is under way; moment : ns. Return what is to be told."""
        with self.lock:
            gated = self._gated()
            return () if gated is None else gated[0].interrupt(
                moment, reason, gated[1], self._record)

    def _gated(self) -> tuple[Gating, Passages] | None:
        """Return the gate and the passages that it makes; None if there is no gate."""
        gating, passages = self.gating, self.run.passages
        return None if gating is None or passages is None else (gating, passages)

    def keep_picture(self, prediction: Prediction, picture: bytes) -> None:
        """Keep the picture of a frame that is asked for, as JPEG, while it waits."""
        expected = float(entropy(prediction.probabilities))
        with self.lock, suppress(JournalError):
            if self._log is not None:
                self._log.picture(self._number, prediction.key, expected, picture)

    def follow(self, frame: Frame, moment: int) -> None:
        """Do what can wait until a frame's answer is out: let the shadow answer it, too."""
        if (log := self._log) is not None and log.snapshot_due(self.run.monitor.capacity):
            with self.lock, suppress(JournalError), large_pieces_mapped():
                log.snapshot(self._number, self.run.to_state())
        prediction = None if self.shadow is None else self.shadow.predict(frame)
        if prediction is not None:
            with self.lock:
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
        with self.lock:
            settled = self.run.apply(event)
            assert settled is not None
            self._note_scored(settled)
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

    def correct(self, correction: Correction, clock: Callable[[], int]
                ) -> tuple[Outcome, Future[int] | None]:
        """
        Correct a confirmation, or strike it out; it reads the log, so in a thread of its own.

        The run is then as if the confirmation had always been so, see ``core.correction``.

        Parameters
        ----------
        correction : of a confirmation in the log
        clock : tells the moment, ns

        Returns
        -------
        What the confirmation counts as now, and the future that is done when that is on disk;
        None if the log has this very correction already

        Raises
        ------
        InvalidConfirmation
            There is no log, or no such confirmation in it, or it counts for nothing.
        JournalError
            The log cannot be read or written.

        """
        with self._correcting:
            with self.lock:
                log = self._log
                if log is None or not log.is_open:
                    raise InvalidConfirmation('no_journal', 'without a journal (journal.path) '
                                              'nothing can be corrected')
                if log.trouble:
                    raise JournalError('closed', log.trouble)
                # What comes after this is not read, even if it is on disk by then.
                written, self._meanwhile = log.written(), []
                run, number = self.run, self._number
                detector = DriftDetector.from_state(run.monitor.detector.to_state())
            try:
                last = written.result()  # without the lock: frames do not wait for the disk
                plan = planned(log.path, correction, number.number, last, run, detector)
                if plan.known:
                    return plan.became, None
                with self.lock:
                    event = ConfirmationCorrected(clock(), correction, plan.was, plan.became,
                                                  plan.anew(self._meanwhile), plan.since)
                    kept = log.append(number, event)
                    run.apply(event)
                    self.recent = deque((shown for shown in self.recent
                                         if shown.confirmation.key != correction.key), EVIDENCE)
                    return plan.became, kept
            finally:
                with self.lock:  # or else it is gone between a look at it and its use
                    self._meanwhile = None

    def _note_scored(self, settled: Settled | None) -> None:
        if (self._meanwhile is not None and settled is not None and settled.outcome in SCORED
                and settled.prediction is not None):
            self._meanwhile.append(Scored(settled.prediction, settled.confirmation, settled.asked))

    def reset(self, moment: int) -> None:
        """Begin the figures and the tests anew; what was before stays in the log."""
        with self.lock:
            self._record(RunReset(moment))
            if self._meanwhile is not None:
                self._meanwhile.append(None)
            self.recent.clear()

    def record(self, kind: str, moment: int, detail: Mapping[str, object]) -> None:
        """Remember something, such as an alarm."""
        with self.lock:
            self._record(Noted(moment, kind, detail))

    def figures(self) -> Figures:
        """Compute the monitor's figures of one moment."""
        with self.lock:
            return self.run.monitor.figures()

    def figures_since(self, stamp: int) -> RangeFigures:
        """Compute the monitor's figures of a range of time; see ``Monitor.figures_since``."""
        with self.lock:
            return self.run.monitor.figures_since(stamp)
