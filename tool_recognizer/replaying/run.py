"""
One run of a recording through the recognizer: what the live node does, on the recording's clock.

Every event is handed to the same engine that the live node has; what comes out is counted, and
written to a bag if one is wanted. Memory grows by some ten bytes per frame and some hundred per
confirmed frame.
"""

from array import array
from collections import Counter
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from heapq import heappush
from heapq import heappushpop
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.plan import Plan
from tool_recognizer.bags.recording import AnsweredFrame
from tool_recognizer.bags.recording import Opened
from tool_recognizer.bags.recording import OtherMessage
from tool_recognizer.bags.recording import Refused
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.core.admission import admit
from tool_recognizer.core.answer import Recognized
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.conformal import answer_set
from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.decision import refuse
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import INCLUSION_PROBABILITY
from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.passage import News
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.replayed import Alarm
from tool_recognizer.core.replayed import Point
from tool_recognizer.core.replayed import Scored
from tool_recognizer.core.replayed import Story
from tool_recognizer.core.replayed import Surprise
from tool_recognizer.core.run import Settled
from tool_recognizer.core.stamps import StampWatch
from tool_recognizer.engine import Engine
from tool_recognizer.messages import from_ros
from tool_recognizer.messages.monitor_values import leading_bet
from tool_recognizer.messages.monitor_values import monitor_state
from tool_recognizer.messages.monitor_values import OK
from tool_recognizer.messages.monitor_values import passage_state
from tool_recognizer.messages.monitor_values import per_label
from tool_recognizer.messages.monitor_values import WARN
from tool_recognizer.parameters import Value

SECOND = 1_000_000_000
# Frames shown in the report as the most surprising ones.
SURPRISES = 12
# Columns of the timeline of probabilities, and labels up to which it is kept.
COLUMNS, FEW_LABELS = 400, 12
NODE = '/tool_recognizer'
LATCHED = (f'{NODE}/early_warning', f'{NODE}/monitor', f'{NODE}/drift', f'{NODE}/label_info')


class Clock:
    """
    Time since the start of a recording, without the time between its bags.

    Parameters
    ----------
    bags : the bags

    Attributes
    ----------
    duration : s

    """

    def __init__(self, bags: Sequence[Opened]) -> None:
        self._parts: list[tuple[int, int, int]] = []  # start, end, ns before it
        before, last = 0, -1
        for start, end in sorted((bag.start, bag.end) for bag in bags):
            if start > last:
                self._parts.append((start, end, before))
                before += end - start
            elif end > last:
                first, _, earlier = self._parts[-1]
                self._parts[-1] = first, end, earlier
                before += end - last
            last = max(last, end)
        self.duration = before / SECOND

    def elapsed(self, moment: int) -> float:
        """Return s since the start."""
        for start, end, before in reversed(self._parts):
            if moment >= start:
                return (before + min(moment, end) - start) / SECOND
        return 0.0


class Run:
    """
    See the module.

    Parameters
    ----------
    engine : the model in charge and its monitor
    parameters : every parameter of the recognizer
    plan : which topics mean what
    bags : the bags
    labels : true labels by stamp, from a file
    confirm_every : s after which the shown tool is confirmed once more; inf: once for each showing
    output : the bag for the results, or None
    drawn : whether a report is drawn; else the story has no points, each of which takes the
        figures of the whole window

    """

    def __init__(self, engine: Engine, parameters: Mapping[str, Value], plan: Plan,
                 bags: Sequence[Opened], *, labels: Mapping[int, Mapping[str, float]],
                 confirm_every: float = float('inf'), output: BagWriter | None = None,
                 drawn: bool = True) -> None:
        self.engine, self.plan, self.clock = engine, plan, Clock(bags)
        self.parameters: Mapping[str, Any] = dict(parameters)
        self.labels = engine.model.labels
        self.received = self.answered = 0
        self.dropped: Counter[str] = Counter()
        self.bad_messages: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.decisions: Counter[str] = Counter()
        self.object_decisions: Counter[str] = Counter()
        self.object_frames = array('q')
        self.cameras: Counter[str] = Counter()
        self.frames_per_bag: Counter[int] = Counter()
        self.stamps = StampWatch(recent=None)
        self.gaps = self.invalid = 0
        self.longest_gap = 0.0
        self.arrival, self.live_latency = array('d'), array('d')
        self.live = 0
        self.live_difference = 0.0
        self.scored: list[Scored] = []
        self.log_p: list[NDArray[np.float64]] = []
        self.q: list[NDArray[np.float64]] = []
        self.points: list[Point] = []
        self.alarms: list[Alarm] = []
        self.warned: float | None = None
        self.surprises: list[tuple[tuple[float, int], Surprise]] = []
        few = len(self.labels) <= FEW_LABELS
        self.timeline = np.zeros((COLUMNS, len(self.labels) if few else 0))
        self.timeline_counts = np.zeros(COLUMNS, np.int64)
        self._from_file = dict(labels)
        self._confirm_every = confirm_every * SECOND
        self._shown, self._shown_due, self._shown_at = '', False, 0
        self._where: OrderedDict[FrameKey, tuple[int, int, str]] = OrderedDict()
        self._asked: dict[FrameKey, Asked] = {}
        self._last_moment: int | None = None
        self._started_at = self._monitored_at = 0
        self._rules = Rules.of(self.parameters.__getitem__)
        self._output, self._drawn = output, drawn
        self._drift: bool | None = None

    def start(self, moment: int) -> None:
        """Begin, at a moment on the recording's clock, ns."""
        self.engine.start('start', moment)
        self._started_at = self._monitored_at = moment
        if self._output is not None:
            self._output.write(f'{NODE}/label_info', moment, to_bag.label_info(
                moment, self.labels, self.parameters['decision.min_probability']))
        self._monitor(moment)

    def ask(self, bag: int, event: OtherMessage | Refused) -> None:
        """
        Take an inspection request of a bag, by its number, before all else.

        The live node knows of it from the moment of its prediction on; a recorder may have written
        the confirmation before it.
        """
        if isinstance(event, OtherMessage):
            probability = next((float(result.score) for result in event.message.results
                                if result.class_id == INCLUSION_PROBABILITY), 0.0)
            if 0.0 < probability <= 1.0:
                floor = float(self.parameters['inspection.probability'])
                share = min(1.0, floor / probability) if floor else 1.0
                self._asked[from_ros.key(event.message.header)] = Asked(probability, share)
        else:
            self._refuse(bag, event)

    def take(self, bag: int, event: AnsweredFrame | Refused | OtherMessage) -> None:
        """Take the next event of a bag, by its number."""
        moment = event.moment
        if moment - self._monitored_at >= SECOND:
            self._monitor(moment)
        if isinstance(event, AnsweredFrame):
            self._see(bag, event)
        elif isinstance(event, Refused):
            self._refuse(bag, event)
        elif event.topic in self.plan.predictions:
            self._compare(moment, event.message)
        elif event.topic == self.plan.shown:
            label = str(event.message.data).strip()
            if label != self._shown:
                self._shown, self._shown_due = label, bool(label)
        elif event.topic == self.plan.present:
            self.engine.present(bool(event.message.data), moment)
        elif event.topic in self.plan.confirmed:
            self._hear(moment, partial(_confirmation, event.message))

    def finish(self, moment: int) -> None:
        """End, at a moment on the recording's clock; labels of a file that fit no frame count."""
        self._tell(self.engine.advance(moment))
        self._tell(self.engine.interrupt(moment, 'end'))
        for stamp, distribution in sorted(self._from_file.items()):
            self._hear(moment, partial(admit, FrameKey(Stamp(stamp), ''), distribution.items()))
        self._from_file.clear()
        self._monitor(moment)

    @property
    def figures(self) -> Figures:
        """Compute the monitor's figures of now."""
        return self.engine.figures()

    @property
    def story(self) -> Story:
        """Gather what a report draws."""
        few = (0, len(self.labels))
        return Story(
            self.labels, self.clock.duration, tuple(self.points), tuple(self.alarms),
            self.engine.run.monitor.detector.threshold, self.engine.run.monitor.reference_nll,
            self.timeline, self.timeline_counts,
            np.array(self.log_p) if self.log_p else np.zeros(few),
            np.array([q.argmax() for q in self.q], np.int64))

    @property
    def most_surprising(self) -> list[Surprise]:
        """Return the confirmed frames that cost most, the worst first."""
        return [surprise for _, surprise in sorted(self.surprises, reverse=True)]

    # -- frames ---------------------------------------------------------------------------------

    def _see(self, bag: int, seen: AnsweredFrame) -> None:
        moment, prediction, key = seen.moment, seen.prediction, seen.prediction.key
        self._count(bag, moment)
        self.cameras[key.frame_id] += 1
        self.stamps.look(key)
        self.arrival.append((moment - key.stamp) / 1e6)
        limit = self.parameters['decision.max_frame_age']
        too_old = limit and moment - key.stamp > limit * SECOND
        answer = self.engine.answer(
            Recognized(prediction, seen.unusable, seen.digest, seen.glance), self._rules, moment,
            decided=refuse(NO_FRAME) if too_old else None)
        made, early = answer.decision, answer.early
        if key in self._asked:
            self.engine.ask(key, self._asked[key], moment)
        self.answered += 1
        self.decisions[made.class_id] += 1
        self._where.pop(key, None)
        self._where[key] = bag, moment, self.labels[prediction.best]
        if len(self._where) > self.engine.run.monitor.capacity:
            self._where.popitem(last=False)
        self._plot(moment, prediction)
        self._tell(answer.news)
        if self._output is not None:
            self._output.write(f'{NODE}/classification', moment, to_bag.classification(prediction))
            self._output.write(f'{NODE}/decision', moment, to_bag.decision(key, made))
            if self.parameters['locate.mode'] != 'off':
                self._output.write(f'{NODE}/detection', moment, to_bag.detections(prediction))
            if self.engine.set_threshold is not None:
                members = answer_set(prediction.log_probabilities, self.engine.set_threshold)
                self._output.write(f'{NODE}/answer_set', moment, to_bag.distribution(key, {
                    self.labels[k]: float(prediction.probabilities[k]) for k in members}))
        warning = self.engine.run.warning
        if warning.warning and self.warned is None:
            self.warned = self.clock.elapsed(moment)
        if early is not None:
            self._confirmed(moment, early)
        said = self._from_file.pop(key.stamp, None)
        if said is None and self._shown and (
                self._shown_due or moment - self._shown_at >= self._confirm_every):
            self._shown_due, self._shown_at = False, moment
            said = {self._shown: 1.0}
        if said is not None:
            self._hear(moment, partial(admit, key, said.items()))

    def _tell(self, news: Sequence[News]) -> None:
        """Count the answers of passages, and write them and what happens to passages."""
        for one in news:
            verdict = one.verdict
            if verdict is not None:
                self.object_decisions[verdict.decision.class_id] += 1
                if ':' not in verdict.decision.class_id:
                    self.object_frames.append(verdict.frames)
            if self._output is None:
                continue
            if verdict is not None:
                self._output.write(f'{NODE}/object_decision', one.moment,
                                   to_bag.decision(verdict.key, verdict.decision))
                if verdict.log_probabilities is not None:
                    self._output.write(f'{NODE}/object', one.moment, to_bag.classification(
                        Prediction(verdict.key, self.labels, verdict.log_probabilities,
                                   NO_FEATURES, self.engine.model.digest)))
            self._output.write(f'{NODE}/passage', one.moment, to_bag.status(
                'tool_recognizer: passage', '', *passage_state(one)))

    def _count(self, bag: int, moment: int) -> None:
        self.received += 1
        self.frames_per_bag[bag] += 1
        if self._last_moment is not None:
            gap = self.clock.elapsed(moment) - self.clock.elapsed(self._last_moment)
            self.longest_gap = max(self.longest_gap, gap)
            deadline = float(self.parameters['decision.deadline'])
            if gap > deadline:
                self.gaps += 1
                if self._output is not None:
                    late = self._last_moment + int(deadline * SECOND)
                    self._output.write(f'{NODE}/decision', late, to_bag.decision(
                        FrameKey(Stamp(late), ''), refuse(NO_FRAME)))
        self._last_moment = moment

    def _refuse(self, bag: int, refused: Refused) -> None:
        if refused.topic == self.plan.frames:
            self._count(bag, refused.moment)
            self.dropped[refused.reason] += 1
            self.examples.setdefault(refused.reason, refused.words)
        else:
            self.bad_messages[refused.topic] += 1
            self.examples.setdefault(refused.topic, refused.words)

    def _plot(self, moment: int, prediction: Prediction) -> None:
        share = self.clock.elapsed(moment) / self.clock.duration if self.clock.duration else 0.0
        column = min(COLUMNS - 1, int(share * COLUMNS))
        self.timeline_counts[column] += 1
        if self.timeline.shape[1]:
            self.timeline[column] += prediction.probabilities

    def _compare(self, moment: int, message: Any) -> None:
        """Compare the live prediction with the one of now."""
        key = from_ros.key(message.header)
        prediction = self.engine.run.monitor.pending(key)
        if prediction is None:
            return
        self.live += 1
        self.live_latency.append((moment - key.stamp) / 1e6)
        live = {result.class_id: result.score for result in message.results}
        self.live_difference = max(self.live_difference, max(
            (abs(live.get(label, 0.0) - float(p)) for label, p in zip(
                prediction.labels, prediction.probabilities, strict=True)), default=0.0))

    # -- confirmations --------------------------------------------------------------------------

    def _hear(self, moment: int, read: Callable[[], Confirmation]) -> None:
        """Take a confirmation, or count what cannot be read as one."""
        try:
            settled, _ = self.engine.confirm(read(), moment)
        except InvalidConfirmation as error:
            self.invalid += 1
            self.examples.setdefault('invalid confirmation', str(error))
        else:
            self._confirmed(moment, settled)

    def _confirmed(self, moment: int, settled: Settled) -> None:
        if settled.outcome in SCORED and settled.prediction is not None:
            self._score(moment, settled.prediction, settled.confirmation)
        self._monitor(moment)

    def _score(self, moment: int, prediction: Prediction, confirmation: Confirmation) -> None:
        q = np.array([confirmation.distribution.get(label, 0.0) for label in self.labels])
        q /= q.sum()
        log_p = prediction.log_probabilities
        nll = float(cross_entropy(q, log_p))
        label = self.labels[int(q.argmax())]
        bag, seen, answer = self._where.get(prediction.key, (0, moment, ''))
        if self.engine.gating is not None:  # that was its first frame's
            answer = self.labels[prediction.best]
        order = len(self.scored)
        self.scored.append(Scored(prediction.key, label, answer, nll,
                                  self.clock.elapsed(moment)))
        self.log_p.append(log_p)
        self.q.append(q)
        surprise = Surprise(nll, order, bag, seen, prediction.key, label, answer,
                            float(np.exp(log_p[int(q.argmax())])))
        entry = (nll, -order), surprise
        if len(self.surprises) < SURPRISES:
            heappush(self.surprises, entry)
        else:
            heappushpop(self.surprises, entry)
        detector = self.engine.run.monitor.detector
        if self._drawn:
            figures = self.engine.figures()
            self.points.append(Point(self.clock.elapsed(moment), figures.nll, figures.nll_ci_low,
                                     figures.nll_ci_high, figures.kl, detector.evidence))
        if detector.alarm and (not self.alarms or not self._drift):
            at = detector.change_at
            began = self.scored[at] if at is not None and at < len(self.scored) else None
            self.alarms.append(Alarm(
                moment, self.clock.elapsed(moment), len(self.scored), detector.evidence,
                detector.threshold, leading_bet(detector, self.labels), at,
                began.elapsed if began else float('nan'), began.key.stamp if began else 0,
                self.engine.figures().worst_label, detector.change_set,
                per_label(detector, self.labels)))

    def _monitor(self, moment: int) -> None:
        self._monitored_at = moment
        detector = self.engine.run.monitor.detector
        changed = detector.alarm != self._drift
        self._drift = detector.alarm
        if self._output is None:
            return
        confirmed_at = self.engine.run.confirmed_at
        since = self._started_at if confirmed_at is None else confirmed_at
        stale = moment - since > self.parameters['monitor.stale_after'] * SECOND
        figures = self.engine.figures()
        state = monitor_state(self.engine.run.monitor, stale, figures, self.engine.model.digest)
        write = self._output.write
        write(f'{NODE}/monitor', moment, to_bag.status(
            'tool_recognizer: monitor', self.engine.model.digest[:12], state.level, state.message,
            state.values))
        for name, value in (('nll', figures.nll), ('kl', figures.kl),
                            ('evidence', detector.evidence)):
            write(f'{NODE}/monitor/{name}', moment, to_bag.number(value))
        warning = self.engine.run.warning
        write(f'{NODE}/early_warning', moment, to_bag.status(
            'tool_recognizer: early warning', '', WARN if warning.warning else OK,
            warning.reason or 'as before', {
                'warning': warning.warning, 'reason': warning.reason,
                'samples': warning.n_samples, 'evidence': warning.evidence,
                'threshold': warning.run_length}))
        if changed:
            write(f'{NODE}/drift', moment, to_bag.truth(detector.alarm))


def _confirmation(message: Any) -> Confirmation:
    """Read a confirmation, as a label or as the console sends it."""
    return (from_ros.confirmation_status(message) if hasattr(message, 'values')
            else from_ros.confirmation(message))
