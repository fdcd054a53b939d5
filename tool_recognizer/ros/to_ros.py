"""From core values to ROS messages."""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from rcl_interfaces.msg import FloatingPointRange
from rcl_interfaces.msg import IntegerRange
from rcl_interfaces.msg import ParameterDescriptor
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.health import Latency
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import INCLUSION_PROBABILITY
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import RangeFigures
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.messages.monitor_values import monitor_state
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo
from vision_msgs.msg import ObjectHypothesis
from vision_msgs.msg import VisionClass

# Why a confirmation is not scored; for a novel label see ``acknowledgement``.
UNSCORED = {
    Outcome.DUPLICATE: ', counted once: this frame has the same confirmation already',
    Outcome.CONFLICTING: ', not scored: this frame has another confirmation already, which stands',
    Outcome.UNMATCHED: ', not scored yet: no prediction has this stamp and frame_id',
    Outcome.VOLUNTEERED: ', not scored: nobody was asked for this frame (monitor.volunteered)',
    Outcome.SKIPPED: ', not scored: the operator could not see it',
    Outcome.AMBIGUOUS: ", not scored: the camera's stamps stand still or are all 0, so that "
                       'several frames share one; its driver must put the time of each frame into '
                       'header.stamp'}
# Labels up to which a text names all of them.
MOST_LABELS = 20


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


def inspection_request(frame_header: Header, prediction: Prediction, asked: Asked
                       ) -> Classification:
    """Write a request: every label with its probability, and last how the frame was picked."""
    message = classification(prediction)
    message.header = frame_header
    message.results.append(ObjectHypothesis(
        class_id=INCLUSION_PROBABILITY, score=asked.inclusion_probability))
    return message


def answer_set(frame_header: Header, prediction: Prediction, members: Sequence[int]
               ) -> Classification:
    """Write the labels of an answer set with their probabilities."""
    return Classification(header=frame_header, results=[
        ObjectHypothesis(class_id=prediction.labels[k], score=float(prediction.probabilities[k]))
        for k in members])


def unknown_labels(confirmation: Confirmation, labels: Sequence[str]) -> list[str]:
    """Return the confirmed labels that the model lacks, but for "another tool"."""
    return [label for label, probability in confirmation.distribution.items()
            if probability > 0.0 and label not in labels and label != ANOTHER_TOOL]


def acknowledgement(confirmation: Confirmation, outcome: Outcome, labels: Sequence[str],
                    on_disk: bool) -> DiagnosticStatus:
    """
    Write the acknowledgement of a confirmation: what became of it, and why it is not scored.

    Parameters
    ----------
    confirmation : the operator's
    outcome : what became of it
    labels : the model's
    on_disk : whether it is kept

    """
    level, message = ((DiagnosticStatus.OK, 'kept') if on_disk else
                      (DiagnosticStatus.WARN, 'accepted, with no journal to keep it'))
    if outcome is Outcome.NOVEL:
        unknown = ' or '.join(f'"{label}"' for label in unknown_labels(confirmation, labels))
        known = (', '.join(labels) if len(labels) <= MOST_LABELS else
                 f'{len(labels)} others, which ~/label_info names')
        message += (f', not scored: no label {unknown}, the model has {known}' if unknown else
                    ', not scored: a tool that the model does not have')
    else:
        message += UNSCORED.get(outcome, '')
    return status('confirmation', confirmation.key.frame_id, level, message, {
        'stamp': confirmation.key.stamp, 'frame_id': confirmation.key.frame_id,
        'nonce': confirmation.nonce, 'outcome': outcome.value})


def refusal(values: Mapping[str, str], why: str) -> DiagnosticStatus:
    """Write the acknowledgement of a confirmation that cannot be used, and why."""
    return status('confirmation', values.get('frame_id', ''), DiagnosticStatus.ERROR, why, {
        'stamp': values.get('stamp', ''), 'frame_id': values.get('frame_id', ''),
        'nonce': values.get('nonce', ''), 'outcome': 'refused'})


def answered(response: Any, success: bool, message: str) -> Any:
    """Fill in the response of a std_srvs service, and return it."""
    response.success, response.message = success, message
    return response


def descriptor(text: str, default: object, low: float | None, high: float | None,
               constraints: str = '', read_only: bool = False) -> ParameterDescriptor:
    """
    Write what a parameter says of itself.

    Parameters
    ----------
    text : what it does, with the unit
    default : its type is the parameter's type
    low, high : range of a number, both ends included; None: no range
    constraints : as a text
    read_only : whether it can only be set at start

    """
    message = ParameterDescriptor(description=text, additional_constraints=constraints,
                                  read_only=read_only)
    if low is not None and high is not None:
        if isinstance(default, int):
            message.integer_range = [
                IntegerRange(from_value=int(low), to_value=int(high), step=0)]
        else:
            message.floating_point_range = [
                FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    return message


def input_status(name: str, topic: str, level: bytes, message: str, health: InputHealth,
                 enabled: bool, stamps: Mapping[str, int]) -> DiagnosticStatus:
    """Write what came from the camera and from the operators, and what was dropped and why."""
    return status(name, topic, level, message, {
        'topic': topic, 'received': health.received, 'answered': health.answered,
        'enabled': enabled,
        **{f'dropped_{reason}': n for reason, n in sorted(health.dropped.items())},
        **{f'why_{reason}': words for reason, words in sorted(health.words.items())},
        **{f'stamps_{fault}': n for fault, n in sorted(stamps.items())},
        'invalid_confirmations': health.invalid_confirmations})


def inference_status(name: str, path: Path, digest: str, provider: str, latency: Latency,
                     refused: str, machine: Mapping[str, str]) -> DiagnosticStatus:
    """
    Write which model is in charge, where it runs, and how long a prediction takes.

    Parameters
    ----------
    name : of the status
    path, digest, provider : of the model
    latency : of its predictions
    refused : why the last model that was to take over was refused, or ''
    machine : versions and settings of the process

    """
    level, message = DiagnosticStatus.OK, f'{path.name} on {provider}'
    if refused:
        level, message = DiagnosticStatus.WARN, f'{message}; another was refused: {refused}'
    return status(name, digest[:12], level, message, {
        'model': str(path), 'model_digest': digest, 'provider': provider,
        'latency_p50_ms': latency.p50, 'latency_p95_ms': latency.p95,
        'latency_p99_ms': latency.p99, 'refused': refused, **machine})


def inspection_status(name: str, probability: float, requests: Requests) -> DiagnosticStatus:
    """Write whether operators are asked for frames, and what became of those requests."""
    message = (f'{requests.open} requests are open' if probability else
               'no frame is asked for: inspection.probability is 0')
    return status(name, '', DiagnosticStatus.OK, message, {
        'probability': probability, 'asked': requests.asked,
        'answered': requests.answered, 'expired': requests.expired, 'open': requests.open})


def journal_status(name: str, path: str, trouble: str, dropped: int | None) -> DiagnosticStatus:
    """Write whether the journal is written, and how many predictions it had to leave out."""
    level = DiagnosticStatus.ERROR if trouble else DiagnosticStatus.OK
    return status(name, path, level, trouble or 'writing', {
        'dropped_predictions': '' if dropped is None else dropped})


def shadow_status(name: str, path: Path, digest: str, comparison: Comparison, failed: int
                  ) -> DiagnosticStatus:
    """Write how a candidate compares with the model in charge."""
    monitor, difference = comparison.monitor, comparison.difference()
    level = DiagnosticStatus.WARN if monitor.detector.alarm else DiagnosticStatus.OK
    return status(name, digest[:12], level, f'{path.name} is {difference.verdict}', {
        'model': str(path), 'model_digest': digest, 'n': difference.n,
        'nll': difference.nll, 'nll_in_charge': difference.nll_in_charge,
        'nll_difference': difference.mean, 'nll_difference_ci_low': difference.low,
        'nll_difference_ci_high': difference.high, 'verdict': difference.verdict,
        'evidence': monitor.detector.evidence, 'drift': monitor.detector.alarm,
        'failed': failed})


def early_warning_status(name: str, warning: EarlyWarning, labels: tuple[str, ...]
                         ) -> DiagnosticStatus:
    """Write what the predictions alone say, without any confirmation."""
    kind, _, label = warning.reason.partition(':')
    words = {'unsure': 'the model is less sure than before', 'sure': 'the model is surer than '
             'before', 'mix': 'another mix of tools is predicted than before'}
    message = words.get(kind, 'as before')
    if label:
        message += f', of {labels[int(label)]!r}'
    level = DiagnosticStatus.WARN if warning.warning else DiagnosticStatus.OK
    return status(name, '', level, message, {
        'warning': warning.warning, 'reason': warning.reason, 'samples': warning.n_samples,
        'evidence': warning.evidence, 'threshold': warning.run_length})


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
                   model_digest: str, ranges: Mapping[str, RangeFigures] | None = None
                   ) -> DiagnosticStatus:
    """
    Write what the monitor knows.

    Parameters
    ----------
    name : of the status
    monitor : the monitor
    stale : whether the last confirmation is too long ago
    figures : its figures now
    model_digest : SHA-256 of the model file that it watches, as hex
    ranges : figures of ranges of time, by a name such as '5min'

    """
    state = monitor_state(monitor, stale, figures, model_digest, ranges)
    return status(name, model_digest[:12], bytes([state.level]), state.message, state.values)
