"""The monitor's status as values by name: for ROS messages and for bags alike."""

from collections.abc import Mapping
import json
from typing import NamedTuple

from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.drift import LABELS_PER_LIST
from tool_recognizer.core.drift import REFERENCE_LABELS
from tool_recognizer.core.means import RangeFigures
from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Status
from tool_recognizer.core.passage import News

# The levels of diagnostic_msgs/DiagnosticStatus.
OK, WARN, ERROR, STALE = range(4)
LEVELS = {Status.IN_CONTROL: OK, Status.TOO_FEW_LABELS: WARN, Status.LEARNING: WARN,
          Status.DRIFT: ERROR, Status.STALE: STALE}
# Labels whose part in an alarm is given, at most.
_MOST = 10


class MonitorState(NamedTuple):
    """
    The monitor's status, before it becomes a message.

    Attributes
    ----------
    level : of diagnostic_msgs/DiagnosticStatus
    message : one phrase
    values : by name

    """

    level: int
    message: str
    values: dict[str, object]


def monitor_state(monitor: Monitor, stale: bool, figures: Figures,
                  model_digest: str, ranges: Mapping[str, RangeFigures] | None = None
                  ) -> MonitorState:
    """
    Write the monitor's status.

    Parameters
    ----------
    monitor : the monitor
    stale : whether the last confirmation is too long ago
    figures : its figures now
    model_digest : SHA-256 of the model file that it watches, as hex
    ranges : figures of ranges of time, by a name such as '5min'

    """
    state, detector = monitor.status(stale), monitor.detector
    message = state.value
    first, last = detector.change_set or ('', '')
    if state is Status.DRIFT:
        message = (f'drift: {leading_bet(detector, monitor.labels)}, since confirmed label '
                   f'{detector.change_at} ({first} to {last})')
        if not detector.leading.startswith('label') and detector.per_label.max() > 0.0:
            message += f', mostly in {monitor.labels[detector.per_label.argmax()]!r}'
    elif state is Status.TOO_FEW_LABELS:
        message = f'{state.value} ({min(figures.n, detector.n)})'
    elif state is Status.LEARNING:
        message = f'learning: {detector.reference_size} of {REFERENCE_LABELS} labels'
    counts = {outcome.value: monitor.counts[outcome] for outcome in Outcome}
    return MonitorState(LEVELS[state], message, {
        'state': state.name.lower(), 'learned': detector.reference_size,
        'learns': REFERENCE_LABELS,
        'n': figures.n, 'window': figures.window,
        'nll': figures.nll, 'nll_ci_low': figures.nll_ci_low, 'nll_ci_high': figures.nll_ci_high,
        'entropy': figures.entropy, 'cross_entropy': figures.cross_entropy, 'kl': figures.kl,
        'kl_ci_low': figures.kl_ci_low, 'kl_ci_high': figures.kl_ci_high,
        'marginal_kl': figures.marginal_kl, 'accuracy': figures.accuracy, 'ece': figures.ece,
        'reference_nll': monitor.reference_nll,
        'excess_nll': figures.nll - monitor.reference_nll,
        'evidence': detector.evidence, 'threshold': detector.threshold,
        'promise': _promise(monitor), 'leading': leading_bet(detector, monitor.labels),
        'change_at': '' if detector.change_at is None else detector.change_at,
        'change_first': first, 'change_last': last,
        'per_label': json.dumps(per_label(detector, monitor.labels)),
        'worst_label': figures.worst_label, 'effective_n': figures.effective_n,
        'coverage': figures.coverage, 'set_size': figures.set_size, **counts,
        'repeated': monitor.repeated,
        **{f'{key}_{name}': getattr(found, key) for name, found in (ranges or {}).items()
           for key in ('n', 'nll', 'nll_ci_low', 'nll_ci_high', 'entropy', 'kl', 'accuracy')},
        'model_digest': model_digest})


def passage_state(news: News) -> MonitorState:
    """Write what has happened to a passage: that it begins, is decided, or ends."""
    passage, verdict = news.passage, news.verdict
    decision, score = (('', '') if verdict is None else
                       (verdict.decision.class_id, verdict.decision.score))
    contradicted = news.kind == 'ended' and passage.contradictions > 0
    message = f'passage {passage.number} {news.kind}: {news.reason or decision}'
    if contradicted:
        message += f'; {passage.contradictions} later frames contradict its answer'
    return MonitorState(WARN if contradicted else OK, message, {
        **passage._asdict(), 'event': news.kind, 'stamp': news.moment, 'reason': news.reason,
        'decision': decision, 'score': score})


def leading_bet(detector: DriftDetector, labels: tuple[str, ...]) -> str:
    """
    Name the bet that won most; '' before an alarm.

    If it is the bet on one label, the name has the label that gave it most.
    """
    kind, _, number = detector.leading.partition(':')
    return f'label {labels[int(detector.per_label.argmax())]}' if number else kind


def per_label(detector: DriftDetector, labels: tuple[str, ...]) -> dict[str, float]:
    """Return the nats that each label gave to the leading bet since the change, the most first."""
    order = sorted(range(len(labels)), key=lambda k: -abs(detector.per_label[k]))[:_MOST]
    return {labels[k]: round(float(detector.per_label[k]), 3)
            for k in order if detector.per_label[k]}


def _promise(monitor: Monitor) -> str:
    """Write the promise on false alarms, and the conditions that the program cannot check."""
    detector = monitor.detector
    if detector.learning:
        return (f'none yet: {detector.reference_size} of {REFERENCE_LABELS} labels learned; only '
                'a model that fails outright raises an alarm')
    promise = f'at most one false alarm in {detector.threshold:g} labels, on average'
    if monitor.complete:
        promise += '; if confirmed frames are picked without regard to the picture'
    if detector.labels_together > 1:
        promise += (f'; if the mix of the {detector.labels_together} labels with fewer than '
                    f'{LABELS_PER_LIST} reference scores is steady')
    return promise
