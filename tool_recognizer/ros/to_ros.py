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
from tool_recognizer.core.admission import LONGEST
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import NOT_A_KNOWN_TOOL
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.health import Latency
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import INCLUSION_PROBABILITY
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.means import RangeFigures
from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.passage import News
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.refusals import RecentDecisions
from tool_recognizer.core.text import cut
from tool_recognizer.core.text import Said
from tool_recognizer.engine import Engine
from tool_recognizer.messages.monitor_values import monitor_state
from tool_recognizer.messages.monitor_values import passage_state
from vision_msgs.msg import BoundingBox2D
from vision_msgs.msg import Classification
from vision_msgs.msg import Detection2D
from vision_msgs.msg import Detection2DArray
from vision_msgs.msg import LabelInfo
from vision_msgs.msg import ObjectHypothesis
from vision_msgs.msg import ObjectHypothesisWithPose
from vision_msgs.msg import Point2D
from vision_msgs.msg import Pose2D
from vision_msgs.msg import VisionClass

# Why a confirmation is not scored; for a novel label see ``acknowledgement``.
UNSCORED = {
    Outcome.DUPLICATE: ', counted once: this frame has the same confirmation already',
    Outcome.CONFLICTING: ', not scored: this frame has another confirmation already, which stands',
    Outcome.UNMATCHED: ', not scored yet: no prediction has this stamp and frame_id',
    Outcome.NO_ROOM: ': no prediction has this stamp and frame_id, and too many confirmations '
                     'wait for theirs already; send it again once its frame is answered',
    Outcome.VOLUNTEERED: ', not scored: nobody was asked for this frame (monitor.volunteered)',
    Outcome.SKIPPED: ', not scored: the operator could not see it',
    Outcome.OUTSIDE: ', not scored: this frame is of no passage (passage.gate)',
    Outcome.AMBIGUOUS: ", not scored: the camera's stamps stand still or are all 0, so that "
                       'several frames share one; its driver must put the time of each frame into '
                       'header.stamp'}
# What a service responds that needs a model.
NO_MODEL = 'no model is loaded: configure the node'
# Labels up to which a text names all of them.
MOST_LABELS = 20
# Labels that a text names of those that a model lacks.
MOST_UNKNOWN = 5


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


def detections(frame_header: Header, prediction: Prediction) -> Detection2DArray:
    """Write where the object is, with every label's probability; nothing where none was found."""
    message = Detection2DArray(header=frame_header)
    if prediction.box is not None:
        (x, y), (width, height) = prediction.box.middle, prediction.box.size
        message.detections.append(Detection2D(
            header=frame_header,
            bbox=BoundingBox2D(center=Pose2D(position=Point2D(x=x, y=y)),
                               size_x=float(width), size_y=float(height)),
            results=[ObjectHypothesisWithPose(hypothesis=hypothesis)
                     for hypothesis in classification(prediction).results]))
    return message


def unknown_labels(confirmation: Confirmation, labels: Sequence[str]) -> list[str]:
    """Return the confirmed labels that the model lacks, but for "another tool"."""
    known = {*labels, ANOTHER_TOOL}
    return [label for label, probability in confirmation.distribution.items()
            if probability > 0.0 and label not in known]


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
    if outcome is Outcome.NO_ROOM:
        level, message = DiagnosticStatus.ERROR, 'not taken'
    if outcome is Outcome.NOVEL:
        unknown = unknown_labels(confirmation, labels)
        named = ' or '.join(f'"{label}"' for label in unknown[:MOST_UNKNOWN])
        more = len(unknown) - MOST_UNKNOWN
        known = (', '.join(labels) if len(labels) <= MOST_LABELS else
                 f'{len(labels)} others, which ~/label_info names')
        message += (f', not scored: no label {named}{f" and {more} more" if more > 0 else ""}, '
                    f'the model has {known}' if unknown else
                    ', not scored: a tool that the model does not have')
    else:
        message += UNSCORED.get(outcome, '')
    return status('confirmation', confirmation.key.frame_id, level, message, {
        'stamp': confirmation.key.stamp, 'frame_id': confirmation.key.frame_id,
        'nonce': confirmation.nonce, 'outcome': outcome.value})


def refusal(values: Mapping[str, str], error: InvalidConfirmation) -> DiagnosticStatus:
    """
    Write the acknowledgement of a confirmation that cannot be used, and why.

    Parameters
    ----------
    values : as they came; by stamp, frame_id and nonce, cut where they are too long, the sender
        knows which of its confirmations is meant
    error : what is wrong

    """
    known = {name: cut(values.get(name, ''), longest) for name, longest in (
        ('stamp', LONGEST['frame_id']), ('frame_id', LONGEST['frame_id']),
        ('nonce', LONGEST['nonce']))}
    return status('confirmation', known['frame_id'], DiagnosticStatus.ERROR, str(error), {
        **known, 'outcome': 'refused', 'reason': error.reason})


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


def input_status(name: str, topic: str, level: bytes, said: Sequence[Said], health: InputHealth,
                 enabled: bool, stamps: Mapping[str, int], looked_at: Mapping[str, str]
                 ) -> DiagnosticStatus:
    """
    Write what came from the camera and from the operators, and what was dropped and why.

    Parameters
    ----------
    name, topic, level, said : of the camera's state
    health, enabled, stamps : what is counted, and whether frames are answered
    looked_at : the region, and the frame's width by its height

    """
    return status(name, topic, level, '; '.join(said), {
        'state': _codes(said),
        'topic': topic, 'received': health.received, 'answered': health.answered,
        'enabled': enabled, **looked_at,
        **{f'dropped_{reason}': n for reason, n in sorted(health.dropped.items())},
        **{f'why_{reason}': words for reason, words in sorted(health.words.items())},
        **{f'stamps_{fault}': n for fault, n in sorted(stamps.items())},
        'invalid_notes': health.refused_notes,
        'invalid_confirmations': health.refused_confirmations.total(),
        'why_refused': health.refused_why,
        **{f'refused_{reason}': n for reason, n in sorted(health.refused_confirmations.items())}})


def decisions_status(name: str, recent: RecentDecisions, limit: float,
                     false_rejection_rate: float) -> DiagnosticStatus:
    """
    Write how often no label could be given lately, and what mends it where that is too often.

    Parameters
    ----------
    name : of the status
    recent : the last decisions
    limit : the share of a reserved id above which something is to be mended
    false_rejection_rate : of known tools, as the model promises it; nan if it does not

    """
    troubles = recent.troubles(limit)
    return status(name, '', DiagnosticStatus.WARN if troubles else DiagnosticStatus.OK,
                  '; '.join(troubles) or 'labels are given', {
                      'state': _codes(troubles) or 'given', 'limit': limit,
                      **{f'share_{reason}': share for reason, share in recent.shares().items()},
                      f'promised_{NOT_A_KNOWN_TOOL}': false_rejection_rate})


def inference_status(name: str, path: Path, digest: str, provider: str, latency: Latency,
                     refused: str, machine: Mapping[str, object]) -> DiagnosticStatus:
    """
    Write which model is in charge, where it runs, and how long a prediction takes.

    Parameters
    ----------
    name : of the status
    path, digest, provider : of the model
    latency : of its predictions
    refused : why the last model that was to take over was refused, or ''
    machine : versions and settings of the process, and what failed in it

    """
    level, message = DiagnosticStatus.OK, f'{path.name} on {provider}'
    if refused:
        level, message = DiagnosticStatus.WARN, f'{message}; another was refused: {refused}'
    return status(name, digest[:12], level, message, {
        'state': 'refused' if refused else 'running',
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


def journal_status(name: str, path: str, trouble: Said, values: Mapping[str, object]
                   ) -> DiagnosticStatus:
    """Write whether the journal is written, how large it is, and what it had to leave out."""
    level = DiagnosticStatus.ERROR if trouble else DiagnosticStatus.OK
    return status(name, path, level, trouble or 'writing', {
        'state': trouble.code or 'writing', **values})


def shadow_status(name: str, path: Path, digest: str, comparison: Comparison, failed: int
                  ) -> DiagnosticStatus:
    """Write how a candidate compares with the model in charge."""
    monitor, difference, own = comparison.monitor, comparison.difference(), comparison.own()
    level = DiagnosticStatus.WARN if monitor.detector.alarm else DiagnosticStatus.OK
    return status(name, digest[:12], level, f'{path.name} is {difference.verdict}', {
        'state': difference.verdict, 'model': str(path), 'model_digest': digest, 'n': difference.n,
        'nll': difference.nll, 'nll_in_charge': difference.nll_in_charge,
        'nll_difference': difference.mean, 'nll_difference_ci_low': difference.low,
        'nll_difference_ci_high': difference.high, 'verdict': difference.verdict,
        'evidence': monitor.detector.evidence, 'drift': monitor.detector.alarm,
        'failed': failed, 'own_labels': ', '.join(comparison.own_labels),
        **{f'own_{name}': value for name, value in own._asdict().items()}})


def no_shadow_status(name: str) -> DiagnosticStatus:
    """Write that there is no candidate, over what was written of an earlier one."""
    return status(name, '', DiagnosticStatus.OK, 'there is no shadow model', {'state': 'none'})


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
        'state': f'{kind}_label' if label else kind or 'as_before',
        'label': labels[int(label)] if label else '',
        'warning': warning.warning, 'reason': warning.reason, 'samples': warning.n_samples,
        'evidence': warning.evidence, 'threshold': warning.run_length})


def passage_status(name: str, news: News) -> DiagnosticStatus:
    """
    Tell of a passage that begins, is decided, or ends.

    Parameters
    ----------
    name : of the status
    news : what has happened

    """
    state = passage_state(news)
    return status(name, '', bytes([state.level]), state.message, state.values)


def passages_status(name: str, engine: Engine, trouble: Sequence[Said]) -> DiagnosticStatus:
    """
    Write how the passages are.

    Parameters
    ----------
    name : of the status
    engine : whose run has them
    trouble : what is wrong with the gate, the gravest first

    """
    passages, gating = engine.run.passages, engine.gating
    assert passages is not None
    assert gating is not None
    fit = passages.fit()
    said = trouble or [Said('passage under way' if passages.open else 'no object in view',
                            'gate_open' if passages.open else 'gate_between')]
    values = {
        'state': _codes(said), 'gate': gating.kind, 'passages': passages.number,
        'decided': passages.decided, 'undecided': passages.undecided, 'empty': passages.empty,
        'contradicted': passages.contradicted,
        **{f'ended_{reason}': count for reason, count in sorted(dict(passages.ends).items())},
        'correlation': passages.rules.correlation,
        'fitted_correlation': fit.correlation, 'fitted_low': fit.low, 'fitted_high': fit.high,
        'fitted_passages': fit.passages,
        'fitted_nll': fit.nll, 'nll': fit.nll_in_use, 'frame_nll': fit.nll_of_frames}
    return status(name, '', DiagnosticStatus.WARN if trouble else DiagnosticStatus.OK,
                  '; '.join(said), values)


def label_info(stamp: Time, labels: tuple[str, ...], min_probability: float) -> LabelInfo:
    """Write the labels, numbered in the model's order."""
    return LabelInfo(header=Header(stamp=stamp), threshold=float(min_probability), class_map=[
        VisionClass(class_id=number, class_name=label) for number, label in enumerate(labels)])


def jpeg(frame_header: Header, data: bytes) -> CompressedImage:
    """Write a JPEG picture of a frame."""
    return CompressedImage(header=frame_header, format='jpeg', data=data)


def _codes(said: Sequence[Said]) -> str:
    """Write what is said for pages in other languages: a code each, the gravest first."""
    return ', '.join(one.code for one in said)


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
