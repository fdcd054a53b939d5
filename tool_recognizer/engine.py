"""
A model, what it is asked of a frame, the monitor that watches it, and the journal of it all.

This is what happens to a frame and to a confirmation, the same for the live node and for a replay.
A model, its monitor and what belongs to them are only ever replaced together. Several threads may
use an engine: the monitor and the journal are told the same things in the same order.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from copy import deepcopy
from pathlib import Path
from threading import RLock
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.conformal import conformal_threshold
from tool_recognizer.core.decision import decide
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import FROZEN
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampler
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Inspector
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.monitor import RangeFigures
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.quality import fault
from tool_recognizer.core.quality import fingerprint
from tool_recognizer.core.quality import FrozenDetector
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import predict
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.event_log.entries import SCORED
from tool_recognizer.event_log.entries import surprise
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.restored import damaged
from tool_recognizer.event_log.restored import Restored
from tool_recognizer.event_log.restored import RestoredWarning
from tool_recognizer.event_log.restored import UNUSABLE
from tool_recognizer.event_log.writer import Journal
from tool_recognizer.meanwhile import Meanwhile
from tool_recognizer.meanwhile import Told
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.model.onnx_model import read_labels
from tool_recognizer.parameters import PARAMETERS
from tool_recognizer.shadow import Shadow

# Scored frames that are looked through for the evidence of an alarm.
EVIDENCE = 200
# Samples of the early warning after which its state is saved instead: it costs milliseconds, and
# they are what a restart has to take in again.
SAMPLES_PER_STATE = 10_000


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


class Looked(NamedTuple):
    """
    A frame that was looked at, before anything is made of it.

    Attributes
    ----------
    prediction : the model's answer
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
    prediction : the model's answer
    decision : what a controller is told
    asked : how an operator comes to be asked for the frame, or None
    early : the outcome of a confirmation that had come before the frame, or None

    """

    prediction: Prediction
    decision: Decision
    asked: Asked | None
    early: Outcome | None


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
    monitor : a new monitor for it
    journal : where to remember, or None
    inspector : picks the frames that an operator is asked for
    sampler, warning : the early warning and what it is fed with
    frozen_after : identical frames in a row that make a dead camera
    shadow : a candidate that runs beside it, or None
    set_threshold : NLL up to which a label is in the answer set, nats; None: no answer sets
    parameters : with which a run begins; it does not go on with others

    Attributes
    ----------
    notes : what there is to say of its start, one line each: what could not be gone on with
    alarm_kept : whether this run's alarm has been recorded, before a restart or since
    confirmed_at : when the last confirmation was scored, before a restart or since, ns; or None

    """

    def __init__(self, model: OnnxModel, monitor: Monitor, journal: Journal | None,
                 inspector: Inspector, sampler: Sampler, warning: EarlyWarning,
                 frozen_after: int, shadow: Shadow | None = None,
                 set_threshold: float | None = None,
                 parameters: Mapping[str, Any] | None = None) -> None:
        self.model = model
        self.monitor = monitor
        self.inspector = inspector
        self.warning = warning
        self.shadow = shadow
        self.set_threshold = set_threshold
        self._parameters = dict(parameters or {})
        self._journal = journal
        self._sampler = sampler
        self._frozen = FrozenDetector(frozen_after)
        self._lock = RLock()
        self.notes: tuple[str, ...] = ()
        self.alarm_kept = False
        # Without a journal that may still come: what it will have to be told, and how it began.
        self._meanwhile: Meanwhile | None = None
        self._reason = 'start'
        self._anew: tuple[Monitor, EarlyWarning, Monitor | None] | None = None
        # In the journal: the tests beside the monitor's own, and what is not in a state yet.
        self._warning_test = self._shadow_test = self._unsaved = 0
        # The window's frames, for the evidence of an alarm.
        self.recent: deque[Evidence] = deque(maxlen=EVIDENCE)
        self.confirmed_at: int | None = None

    def start(self, reason: str, moment: int, journal: Journal | None = None,
              late: bool = True) -> None:
        """
        Take up the run where the journal left it, or begin one.

        The early warning and the shadow go on with it, each if it is what it was. What cannot go
        on begins anew, and ``notes``, and an event in the journal, say so if that was not to be
        expected.

        Parameters
        ----------
        reason : 'start', which goes on with the model's last run if there is one, or 'reload'
        moment : ns
        journal : one that was opened since the engine was made
        late : without a journal: whether one may come later (``attach``)

        Raises
        ------
        JournalError
            The journal cannot be read.

        """
        self._journal = self._journal or journal
        self._reason = reason
        if self._journal is not None:
            with self._lock:
                self._take_up(self._journal, moment)
        elif late:
            self._meanwhile = Meanwhile(2 * self.monitor.capacity)
            self._anew = deepcopy((self.monitor, self.warning,
                                   None if self.shadow is None else self.shadow.monitor))

    def _take_up(self, journal: Journal, moment: int) -> None:
        known = self._known(journal) if self._reason == 'start' else None
        if (known is None or known.parameters != self._parameters
                or not self._resume(journal, known)):
            self._begin(journal, self._reason, moment)
        for note in self.notes:
            self.record('begun_anew', moment, {'why': note})
        if known is not None:
            self.notes += known.mended

    def _known(self, journal: Journal) -> Restored | None:
        try:
            return journal.restore(self.model.digest, self.model.labels, self.monitor.capacity)
        except JournalError as error:
            if error.reason not in ('corrupt', 'other'):
                raise
            self.notes += (f'the last run cannot be read ({error}); a new one begins, and its '
                           'rows stay in the file',)
        except UNUSABLE as error:
            self.notes += (damaged('last run', error),)
        return None

    def _resume(self, journal: Journal, known: Restored) -> bool:
        """Go on with the run as it was; return whether that was possible."""
        monitor = deepcopy(self.monitor)
        try:
            if known.state:
                monitor.detector = DriftDetector.from_state(dict(known.state))
                monitor.detector.threshold = self.monitor.detector.threshold
            monitor.resume(
                scored=[(frame.prediction, frame.confirmation) for frame in known.scored],
                counts=known.counts, pending=known.pending, spent=known.spent,
                confirmed=known.confirmed, held=known.held, shared=known.shared,
                asked={} if self.monitor.complete else known.requests)
        except UNUSABLE as error:
            self.notes += (damaged('monitor', error),)
            return False
        self.monitor = monitor
        self.notes += known.notes
        self.alarm_kept = known.alarmed
        if known.scored:
            self.confirmed_at = max(frame.received for frame in known.scored)
        if not self._resume_warning(known.early_warning):
            self._begin_warning(journal)
        if self.shadow is not None and not self._resume_shadow(self.shadow, known):
            self._begin_shadow(journal, self.shadow)
        return True

    def attach(self, journal: Journal, moment: int) -> None:
        """
        Go on with a journal that could not be opened when the engine started.

        The run is taken up as it would have been then, and all that came meanwhile is told again,
        so that it is in the journal, too, and in the run's test. ``notes``, and events in the
        journal, say what is lost.

        Parameters
        ----------
        journal : just opened
        moment : ns

        Raises
        ------
        JournalError
            The journal cannot be used; nothing has changed.

        """
        with self._lock:
            # Beside the one that others look at: none of them may see an alarm half restored.
            late = copy(self)
            meanwhile = self._meanwhile or Meanwhile(1)
            late._journal, late._meanwhile, late.notes, late.alarm_kept = journal, None, (), False
            if self._anew is not None:
                late.monitor, late.warning, candidate = self._anew
                late._anew = None
                if self.shadow is not None and candidate is not None:
                    late.shadow = Shadow(self.shadow.model, candidate, self.model.labels)
                    late.shadow.failed = self.shadow.failed
            late._take_up(journal, moment)
            for told in meanwhile:
                told.verb(late, *told.arguments)
            late.confirmed_at = self.confirmed_at or late.confirmed_at
            late.record('attached', moment, {'confirmations': meanwhile.words})
            if meanwhile.lost:
                late._warn('not_kept', moment, (
                    f'of the confirmations that came while the journal could not be opened '
                    f'{meanwhile.lost} were too many to be kept: they are not in it, and count '
                    'no more'))
            if self.monitor.detector.alarm and not late.monitor.detector.alarm:
                late._warn('alarm_off', moment, (
                    'the alarm that was raised while the journal could not be opened is off: with '
                    'the confirmations before, which are known now, there is none'))
            vars(self).update(vars(late))

    def _warn(self, kind: str, moment: int, why: str) -> None:
        self.notes += (why,)
        self.record(kind, moment, {'why': why})

    def _told(self, verb: Callable[..., object], *arguments: Any, key: FrameKey | None = None,
              word: bool = False) -> None:
        if self._meanwhile is not None:
            self._meanwhile.add(Told(verb, arguments, key, word))

    def _begin(self, journal: Journal, reason: str, moment: int,
               counts: Mapping[Outcome, int] | None = None) -> None:
        journal.start_run(reason, self.model.digest, self.model.labels, moment, self._parameters,
                          self.monitor.detector.to_state(), counts)
        self._begin_warning(journal)
        if self.shadow is not None:
            self._begin_shadow(journal, self.shadow, reset=reason == 'reset')

    def _begin_warning(self, journal: Journal) -> None:
        self._warning_test = journal.start_test(
            'early_warning', self._warning_parameters(), self.warning.to_state())
        self._unsaved = 0
        journal.sample(self._warning_test, self._sampler.state())

    def _begin_shadow(self, journal: Journal, shadow: Shadow, reset: bool = False) -> None:
        self._shadow_test = journal.start_test(
            'shadow', shadow.parameters, shadow.monitor.detector.to_state(), reset)

    def _warning_parameters(self) -> dict[str, Any]:
        return {'interval': self._sampler.interval, 'mix': self.warning.watches_mix}

    def _resume_warning(self, known: RestoredWarning | None) -> bool:
        """Go on with the early warning as it was; return whether that was possible."""
        if known is None or known.parameters != self._warning_parameters():
            return False
        try:
            warning = EarlyWarning.from_state(known.state)
            warning.run_length = self.warning.run_length
            for sample in known.samples:
                warning.update(sample)
        except UNUSABLE as error:
            self.notes += (damaged('early warning', error),)
            return False
        if known.sampling is not None and not self._sampler.windows:
            self._sampler.resume(known.sampling)
        self.warning = warning
        self._warning_test, self._unsaved = known.test, len(known.samples)
        return True

    def _resume_shadow(self, shadow: Shadow, known: Restored) -> bool:
        """Go on with the shadow as it was; return whether that was possible."""
        if known.shadow is None or known.shadow.parameters != shadow.parameters:
            return False
        try:
            shadow.resume(known, known.shadow)
        except UNUSABLE as error:
            self.notes += (damaged('shadow', error),)
            return False
        self._shadow_test = known.shadow.test
        return True

    # -- frames -------------------------------------------------------------------------------

    def look(self, frames: Sequence[Frame]) -> list[Looked]:
        """
        Look at frames, together; nothing is remembered.

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
        return [Looked(prediction, fault(image, self.model.quality), fingerprint(image))
                for prediction, image in zip(predictions, images, strict=True)]

    def answer(self, looked: Looked, rules: Rules, moment: int, *, asking: bool = False,
               decided: Decision | None = None) -> Answer:
        """
        Decide on a frame, keep it for its confirmation, and draw whether to ask for one.

        Parameters
        ----------
        looked : the frame, in the order of the camera
        rules : of the decision
        moment : ns, now
        asking : whether there is anybody to ask
        decided : the decision, if it is made already

        """
        prediction = looked.prediction
        unusable = FROZEN if self._frozen.update(looked.digest) else looked.unusable
        decision = decided or decide(
            prediction, min_probability=rules.min_probability,
            reject_unknown=rules.reject_unknown,
            unusable=unusable if rules.check_quality else None,
            drifted=rules.stop_on_drift and self.monitor.detector.alarm)
        with self._lock:
            asked = self.inspector.consider(prediction, moment) if asking else None
            kept = prediction.without_features()
            self._told(Engine._expect, kept, decision.class_id, asked, key=prediction.key)
            early = self._expect(kept, decision.class_id, asked)
            self._sample(prediction)
        return Answer(prediction, decision, asked, early)

    def _expect(self, prediction: Prediction, decision: str, asked: Asked | None
                ) -> Outcome | None:
        early = self.monitor.expect(prediction)
        if early is not None and self.shadow is not None:
            self.shadow.settle(prediction, early, self.monitor.asked(prediction.key))
        if asked is not None:
            self._ask(prediction.key, asked)
        with suppress(JournalError):  # the journal's own ``trouble`` says it
            if self._journal is not None:
                self._journal.expect(prediction, decision, early)
        return early

    def _sample(self, prediction: Prediction) -> None:
        windows = self._sampler.windows
        sample = self._sampler.look(prediction.key.stamp, prediction.log_probabilities,
                                    prediction.features, prediction.known)
        if self._sampler.windows > windows:
            self._told(Engine._take, sample, key=prediction.key)
            self._take(sample)

    def _take(self, sample: NDArray[np.float64] | None) -> None:
        if sample is not None:
            self.warning.update(sample)
            self._unsaved += 1
        if self._journal is not None:
            self._journal.sample(self._warning_test, self._sampler.state(), sample)

    def _save_warning(self) -> None:
        with self._lock, suppress(JournalError):
            if self._journal is not None:
                self._journal.save_test(self._warning_test, self.warning.to_state())
            self._unsaved = 0

    def ask(self, key: FrameKey, asked: Asked) -> None:
        """
        Note how a frame comes to be asked for, so that its confirmation is weighed with it.

        Where all confirmations are scored, a frame is confirmed whether it was asked for or not,
        and has the weight of all the others.
        """
        with self._lock:
            self._told(Engine._ask, key, asked, key=key)
            self._ask(key, asked)

    def _ask(self, key: FrameKey, asked: Asked) -> None:
        if not self.monitor.complete:
            self.monitor.ask(key, asked)

    def request(self, key: FrameKey, asked: Asked, moment: int, picture: bytes | None) -> None:
        """Remember that an operator is asked for a frame, with its picture as JPEG."""
        with self._lock, suppress(JournalError):
            self._told(Engine.request, key, asked, moment, None, key=key)
            if self._journal is not None:
                self._journal.request(key, asked.inclusion_probability, moment,
                                      test_share=asked.test_share, picture=picture)

    def follow(self, frame: Frame) -> None:
        """Do what can wait until a frame's answer is out: let the shadow answer it, too."""
        if self._unsaved >= SAMPLES_PER_STATE:
            self._save_warning()
        if self.shadow is None:
            return
        prediction = self.shadow.predict(frame)
        if prediction is not None:
            with self._lock:
                kept = prediction.without_features()
                self._told(Engine._follow, kept, key=kept.key)
                self._follow(kept)

    def _follow(self, prediction: Prediction) -> None:
        assert self.shadow is not None
        with suppress(JournalError):
            scored = self.shadow.expect(prediction)
            if self._journal is not None:
                self._journal.follow(self._shadow_test, prediction, scored)

    # -- confirmations ------------------------------------------------------------------------

    def confirm(self, confirmation: Confirmation, received: int, picture: bytes | None = None
                ) -> tuple[Outcome, Future[int] | None]:
        """
        Score a confirmation.

        Parameters
        ----------
        confirmation : the operator's word
        received : ns, now
        picture : the frame as JPEG, to be kept with it

        Returns
        -------
        What became of it, and the future that is done when that is on disk; None without a
        journal, or if the journal has given up

        """
        with self._lock:
            prediction = self.monitor.waiting(confirmation.key)
            # Without its picture: those of many words would not fit into the memory.
            self._told(Engine._confirm, confirmation, received, None, key=confirmation.key,
                       word=True)
            outcome, kept = self._confirm(confirmation, received, picture)
            self.inspector.answer(confirmation.key)
            if outcome in SCORED and prediction is not None:
                self.confirmed_at = received
                self.recent.append(Evidence(
                    prediction, confirmation, surprise(
                        prediction.labels, prediction.log_probabilities,
                        confirmation.distribution), picture))
        return outcome, kept

    def _confirm(self, confirmation: Confirmation, received: int, picture: bytes | None
                 ) -> tuple[Outcome, Future[int] | None]:
        prediction = self.monitor.waiting(confirmation.key)
        outcome = self.monitor.confirm(confirmation)
        asked = self.monitor.asked(confirmation.key)
        candidate = None
        if self.shadow is not None:
            candidate = self.shadow.confirm(confirmation, prediction, outcome, asked)
        kept = None
        with suppress(JournalError):
            if self._journal is not None:
                kept = self._journal.confirm(
                    confirmation, outcome, received=received, prediction=prediction,
                    operator=confirmation.operator, nonce=confirmation.nonce,
                    inclusion_probability=None if asked is None else asked.inclusion_probability,
                    picture=picture,
                    shadow=None if candidate is None else (self._shadow_test, candidate))
        return outcome, kept

    def reset(self, moment: int) -> None:
        """Start a new run of the monitor; the old one stays in the journal."""
        with self._lock:
            self._told(Engine._reset, moment)
            self._reset(moment)
            self.recent.clear()

    def _reset(self, moment: int) -> None:
        self.monitor.reset()
        self.alarm_kept = False
        self.warning.reset()
        if self.shadow is not None:
            self.shadow.reset()
        with suppress(JournalError):
            if self._journal is not None:
                self._begin(self._journal, 'reset', moment, self.monitor.counts)

    def record(self, kind: str, moment: int, detail: Mapping[str, object]) -> None:
        """Remember an event, such as an alarm."""
        with self._lock, suppress(JournalError):
            self._told(Engine.record, kind, moment, detail)
            self.alarm_kept |= kind == 'alarm'
            if self._journal is not None:
                self._journal.record(kind, moment, detail)

    def figures(self) -> Figures:
        """Compute the monitor's figures of one moment."""
        with self._lock:
            return self.monitor.figures()

    def figures_since(self, stamp: int) -> RangeFigures:
        """Compute the monitor's figures of a range of time; see ``Monitor.figures_since``."""
        with self._lock:
            return self.monitor.figures_since(stamp)


def make_engine(parameters: Mapping[str, Any], journal: Journal | None = None,
                seed: int = 0) -> Engine:
    """
    Load and check what the parameters name, and put an engine together.

    Parameters
    ----------
    parameters : of the node's table; what is missing has its default
    journal : where to remember, or None
    seed : of the random numbers that break ties of the ranks. A replay has always the same ones;
        a plant must have its own, for the promise is one over all of them

    Raises
    ------
    ModelError
        A model cannot be used.
    ValueError
        Parameters that do not go together.

    """
    value: dict[str, Any] = {p.name: p.default for p in PARAMETERS} | dict(parameters)
    model = _load(value, value['model_path'] or DEFAULT_MODEL)
    threshold, shadow = None, None
    if value['decision.coverage'] > 0.0:
        if model.reference is None:
            raise ValueError(f'{model.path}: decision.coverage needs a model with a reference')
        threshold = conformal_threshold(model.reference.log_probabilities,
                                        model.reference.distribution, value['decision.coverage'])
    if value['shadow_model_path']:
        candidate = _load(value, value['shadow_model_path'])
        shadow = Shadow(candidate, _monitor(value, candidate, seed), model.labels)
    return Engine(
        model, _monitor(value, model, seed, threshold), journal,
        Inspector(value['inspection.probability'],
                  max(value['inspection.probability'], value['inspection.uncertain_probability']),
                  value['inspection.max_per_minute'],
                  int(value['inspection.expire_after'] * 1e9)),
        Sampler(int(value['early_warning.interval'] * 1e9)),
        EarlyWarning(len(model.labels), run_length=value['early_warning.run_length'],
                     mix=value['early_warning.mix'], seed=seed),
        value['decision.frozen_after'], shadow, threshold,
        {name: value[name] for name in ('monitor.reference', 'monitor.volunteered')})


def _load(value: Mapping[str, Any], path: str | Path) -> OnnxModel:
    plain = None
    if value['plain_model.labels_file']:
        plain = PlainModel(
            labels=read_labels(value['plain_model.labels_file']),
            mean=tuple(value['plain_model.mean']), std=tuple(value['plain_model.std']),
            **{name: value[f'plain_model.{name}'] for name in (
                'height', 'width', 'fit', 'layout', 'order', 'scale', 'output')})
    return OnnxModel.load(path, providers=value['providers'],
                          intra_op_threads=value['intra_op_threads'], plain=plain)


def _monitor(value: Mapping[str, Any], model: OnnxModel, seed: int,
             set_threshold: float | None = None) -> Monitor:
    taken = value['monitor.volunteered']
    return Monitor(
        model.labels,
        DriftDetector(len(model.labels), model.reference, float(value['monitor.run_length']),
                      seed, learn=value['monitor.reference'] == 'line'),
        reference_nll=model.reference_nll, window=value['monitor.window'],
        minimum=value['monitor.minimum'], pending=value['monitor.pending'],
        late_after=int(value['monitor.late_after'] * 1e9),
        complete=taken == 'score' or (taken == 'auto' and value['inspection.probability'] == 0.0),
        set_threshold=float('nan') if set_threshold is None else set_threshold)
