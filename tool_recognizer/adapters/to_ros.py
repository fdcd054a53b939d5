"""From core values to ROS messages."""

from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.monitor import Status
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo
from vision_msgs.msg import ObjectHypothesis
from vision_msgs.msg import VisionClass

_LEVELS = {
    Status.IN_CONTROL: DiagnosticStatus.OK,
    Status.TOO_FEW_LABELS: DiagnosticStatus.WARN,
    Status.LEARNING: DiagnosticStatus.WARN,
    Status.DRIFT: DiagnosticStatus.ERROR,
    Status.STALE: DiagnosticStatus.STALE,
}


def header(key: FrameKey) -> Header:
    """Write the identity of a frame, to the nanosecond."""
    seconds, nanoseconds = divmod(key.stamp, 1_000_000_000)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=key.frame_id)


def classification(prediction: Prediction) -> Classification:
    """Write every label with its probability, in the model's order."""
    return Classification(header=header(prediction.key), results=[
        ObjectHypothesis(class_id=label, score=float(p))
        for label, p in zip(prediction.labels, prediction.probabilities, strict=True)])


def distribution(key: FrameKey, probabilities: Mapping[str, float]) -> Classification:
    """Write a distribution over labels for one frame, as a confirmation has it."""
    return Classification(header=header(key), results=[
        ObjectHypothesis(class_id=label, score=float(p)) for label, p in probabilities.items()])


def decision(frame_header: Header, made: Decision) -> Classification:
    """Write a decision: exactly one result."""
    return Classification(header=frame_header, results=[
        ObjectHypothesis(class_id=made.class_id, score=made.score)])


def label_info(stamp: Time, labels: tuple[str, ...], min_probability: float) -> LabelInfo:
    """Write the labels, numbered in the model's order."""
    return LabelInfo(header=Header(stamp=stamp), threshold=float(min_probability), class_map=[
        VisionClass(class_id=number, class_name=label) for number, label in enumerate(labels)])


def jpeg(frame_header: Header, data: bytes) -> CompressedImage:
    """Write a JPEG picture of a frame."""
    return CompressedImage(header=frame_header, format='jpeg', data=data)


def status(name: str, hardware_id: str, level: bytes, message: str,
           values: Mapping[str, object]) -> DiagnosticStatus:
    """Write a status; numbers are written so that reading them back gives the same number."""
    return DiagnosticStatus(name=name, hardware_id=hardware_id, level=level, message=message,
                            values=[KeyValue(key=key, value=str(value))
                                    for key, value in values.items()])


def monitor_status(name: str, monitor: Monitor, stale: bool, figures: Figures,
                   model_digest: str) -> DiagnosticStatus:
    """
    Write what the monitor knows.

    Parameters
    ----------
    name : of the status
    monitor : the monitor
    stale : whether the last confirmation is too long ago
    figures : its figures now
    model_digest : SHA-256 of the model file that it watches, as hex

    """
    state = monitor.status(stale)
    detector = monitor.detector
    message = state.value
    if state is Status.DRIFT and figures.worst_label:
        message = f'drift, mostly in {figures.worst_label!r}'
    elif state is Status.TOO_FEW_LABELS:
        message = f'{state.value} ({figures.n})'
    counts = {outcome.value: monitor.counts[outcome] for outcome in Outcome}
    return status(name, model_digest[:12], _LEVELS[state], message, {
        'n': figures.n, 'window': figures.window,
        'nll': figures.nll, 'nll_ci_low': figures.nll_ci_low, 'nll_ci_high': figures.nll_ci_high,
        'entropy': figures.entropy, 'cross_entropy': figures.cross_entropy, 'kl': figures.kl,
        'marginal_kl': figures.marginal_kl, 'accuracy': figures.accuracy, 'ece': figures.ece,
        'reference_nll': monitor.reference_nll,
        'excess_nll': figures.nll - monitor.reference_nll,
        'evidence': detector.evidence, 'threshold': detector.threshold,
        'leading': detector.leading if detector.alarm else '',
        'change_at': '' if detector.change_at is None else detector.change_at,
        'worst_label': figures.worst_label, **counts, 'model_digest': model_digest})
