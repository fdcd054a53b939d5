"""What the monitor knows, as texts by name: for ROS messages and for bags alike."""

from collections.abc import Mapping
from typing import NamedTuple

from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.monitor import RangeFigures
from tool_recognizer.core.monitor import Status

# The levels of diagnostic_msgs/DiagnosticStatus.
OK, WARN, ERROR, STALE = range(4)
LEVELS = {Status.IN_CONTROL: OK, Status.TOO_FEW_LABELS: WARN, Status.LEARNING: WARN,
          Status.DRIFT: ERROR, Status.STALE: STALE}


class MonitorState(NamedTuple):
    """
    A status in the making.

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
    Say what the monitor knows.

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
    if state is Status.DRIFT and figures.worst_label:
        message = f'drift, mostly in {figures.worst_label!r}'
    elif state is Status.TOO_FEW_LABELS:
        message = f'{state.value} ({figures.n})'
    counts = {outcome.value: monitor.counts[outcome] for outcome in Outcome}
    return MonitorState(LEVELS[state], message, {
        'n': figures.n, 'window': figures.window,
        'nll': figures.nll, 'nll_ci_low': figures.nll_ci_low, 'nll_ci_high': figures.nll_ci_high,
        'entropy': figures.entropy, 'cross_entropy': figures.cross_entropy, 'kl': figures.kl,
        'marginal_kl': figures.marginal_kl, 'accuracy': figures.accuracy, 'ece': figures.ece,
        'reference_nll': monitor.reference_nll,
        'excess_nll': figures.nll - monitor.reference_nll,
        'evidence': detector.evidence, 'threshold': detector.threshold,
        'leading': detector.leading if detector.alarm else '',
        'change_at': '' if detector.change_at is None else detector.change_at,
        'worst_label': figures.worst_label, 'effective_n': figures.effective_n,
        'coverage': figures.coverage, 'set_size': figures.set_size, **counts,
        **{f'{key}_{name}': getattr(found, key) for name, found in (ranges or {}).items()
           for key in ('n', 'nll', 'nll_ci_low', 'nll_ci_high', 'entropy', 'kl', 'accuracy')},
        'model_digest': model_digest})
