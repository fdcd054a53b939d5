"""
The node ``/tool_recognizer``: camera in; probabilities, decisions and the monitor out.

Here is only wiring. One executor thread receives frames, confirmations and requests; a worker
thread answers the newest frame, so that services and parameters answer meanwhile. The lock guards
the order of decisions; the monitor is guarded by its engine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from threading import Thread
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import FloatingPointRange
from rcl_interfaces.msg import IntegerRange
from rcl_interfaces.msg import ParameterDescriptor
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.lifecycle import LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Bool
from std_msgs.msg import Float64
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger
from tool_recognizer.adapters import from_ros
from tool_recognizer.adapters import to_ros
from tool_recognizer.adapters.annotation import annotate
from tool_recognizer.adapters.journal import Journal
from tool_recognizer.adapters.journal_file import JournalError
from tool_recognizer.adapters.newest import NewestWorker
from tool_recognizer.adapters.onnx_model import DEFAULT_MODEL
from tool_recognizer.adapters.onnx_model import ModelError
from tool_recognizer.adapters.onnx_model import OnnxModel
from tool_recognizer.adapters.onnx_model import PlainModel
from tool_recognizer.adapters.onnx_model import read_labels
from tool_recognizer.arguments import Parser
from tool_recognizer.core.decision import decide
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.decision import refuse
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.monitor import InvalidConfirmation
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import recognize
from tool_recognizer.engine import Engine
from tool_recognizer.parameters import BY_NAME
from tool_recognizer.parameters import Parameter
from tool_recognizer.parameters import PARAMETERS
from tool_recognizer.parameters import Takes
from tool_recognizer.running import run_node
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo

SUMMARY = 'the node: camera in, probabilities and the rolling NLL and KL out'

RESULTS = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CAMERA = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
CONFIRMATIONS = QoSProfile(depth=1000)
PREVIEW = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@dataclass(frozen=True)
class Arrival:
    """A camera message and the moment it came, on the steady clock in seconds."""

    message: Any
    moment: float


class RecognizerNode(LifecycleNode):
    """See the module; topics, services and parameters are in the README."""

    def __init__(self, **options: Any) -> None:
        super().__init__('tool_recognizer', **options)
        for parameter in PARAMETERS:
            self.declare_parameter(parameter.name, parameter.default, _descriptor(parameter))
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        for service in self.services:
            if service.srv_type is ChangeState:
                service.callback = self._refusing_invalid(service.callback)
        self._lock = Lock()
        self._journal: Journal | None = None
        self._journal_trouble = ''
        self._health = InputHealth()
        self._engine: Engine | None = None
        self._worker: NewestWorker[Arrival] | None = None
        self._deadline: Any = None
        self._announced_drift: bool | None = None
        self._while_active: list[tuple[Callable[[Any], object], Any]] = []
        self._while_configured: list[tuple[Callable[[Any], object], Any]] = []
        self._enabled = True
        self._answered_at = monotonic()
        self._previewed_at = 0.0
        self._confirmed_at = self.get_clock().now()
        self._invalid_confirmations = 0
        self._mismatch = ''
        self._camera_frame = ''

    # -- lifecycle ----------------------------------------------------------------------------

    def autostart(self) -> bool:
        """Configure and activate, if the parameter wants it; return whether that went well."""
        done = TransitionCallbackReturn.SUCCESS
        return not self._parameter('autostart') or (
            self.trigger_configure() == done and self.trigger_activate() == done)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and check the model; create everything but the camera's subscription."""
        return self._transition(self._configure, self._cleanup)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the camera and start answering."""
        return self._transition(self._activate, self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the frame in work and unsubscribe."""
        return self._transition(self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and everything that was created."""
        return self._transition(self._cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free, from any state."""
        return self._transition(self._stop)

    def destroy_node(self) -> None:
        """Stop the worker before what it publishes to is gone."""
        self._stop()
        super().destroy_node()

    def _transition(self, step: Callable[[], object],
                    undo: Callable[[], None] = lambda: None) -> TransitionCallbackReturn:
        try:
            step()
        except (ModelError, ValueError) as error:
            self.get_logger().error(str(error))
        except Exception as error:  # rclpy would swallow it unseen
            self.get_logger().error(f'{type(error).__name__}: {error}')
        else:
            return TransitionCallbackReturn.SUCCESS
        undo()
        return TransitionCallbackReturn.FAILURE

    def _configure(self) -> None:
        self._journal = self._open_journal()
        self._engine = self._make_engine()
        self._engine.start('start', self.get_clock().now().nanoseconds)
        create, keep = self._publisher, self._while_configured.append
        self._classification = create(Classification, '~/classification', RESULTS)
        self._decision = create(Classification, '~/decision', RESULTS)
        self._monitor_status = create(DiagnosticStatus, '~/monitor', LATCHED)
        self._figures = {name: create(Float64, f'~/monitor/{name}', RESULTS)
                         for name in ('nll', 'kl', 'evidence')}
        self._drift = create(Bool, '~/drift', LATCHED)
        self._label_info = create(LabelInfo, '~/label_info', LATCHED)
        self._annotated = create(CompressedImage, '~/annotated/compressed', PREVIEW)
        self._diagnostics = create(DiagnosticArray, '/diagnostics', RESULTS)
        keep((self.destroy_subscription, self.create_subscription(
            Classification, '~/confirmed_label', self._on_confirmation, CONFIRMATIONS)))
        # A group of its own: while a reload waits for its model, the others' callbacks go on.
        apart = MutuallyExclusiveCallbackGroup()
        for kind, name, callback, group in (
                (Trigger, '~/reset_monitor', self._on_reset, None),
                (SetBool, '~/enable', self._on_enable, None),
                (Trigger, '~/reload_model', self._on_reload, apart)):
            keep((self.destroy_service,
                  self.create_service(kind, name, callback, callback_group=group)))
        keep((self.destroy_timer, self.create_timer(1.0, self._on_second)))
        self._confirmed_at = self.get_clock().now()
        self._announce_model()

    def _activate(self) -> None:
        self._worker = NewestWorker(self._answer, self._drop, 'recognizer')
        # A promise to a controller runs on a clock that nothing can stop, simulated time or not.
        self._deadline = self.create_timer(
            self._parameter('decision.deadline'), self._on_deadline,
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._while_active.append((self.destroy_timer, self._deadline))
        self._answered_at = monotonic()
        self._mismatch = ''
        message_type = CompressedImage if self._compressed else Image
        self._while_active.append((self.destroy_subscription, self.create_subscription(
            message_type, self._camera_topic, self._on_frame, CAMERA,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_mismatch),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())))
        self.get_logger().info(f'waiting for frames on {self._camera_topic}')

    def _deactivate(self) -> None:
        was_active = self._worker is not None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        _destroy(self._while_active)
        if was_active and self.context.ok():
            # The last word that a controller hears must not be a label.
            self._publish_decision(self._now_header(), refuse(NO_FRAME))

    def _stop(self) -> None:
        self._deactivate()
        self._cleanup()

    def _cleanup(self) -> None:
        _destroy(self._while_configured)
        self._engine = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _publisher(self, kind: Any, topic: str, qos: QoSProfile) -> Any:
        publisher = self.create_publisher(kind, topic, qos)
        self._while_configured.append((self.destroy_publisher, publisher))
        return publisher

    def _refusing_invalid(self, change_state: Callable[[Any, Any], Any]) -> Any:
        """Answer an impossible transition with success = false; rclpy would end the node."""
        def refusing(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except Exception as error:
                self.get_logger().warning(f'transition refused: {error}')
                response.success = False
                return response
        return refusing

    # -- frames -------------------------------------------------------------------------------

    def _on_frame(self, message: Any) -> None:
        self._health.received += 1
        if not self._enabled or self._worker is None:
            self._health.dropped['disabled'] += 1
        elif self._worker.offer(Arrival(message, monotonic())):
            self._health.dropped['busy'] += 1

    def _answer(self, arrival: Arrival) -> None:
        """In the worker's thread: answer one frame and publish."""
        engine = self._engine
        assert engine is not None
        frame = from_ros.frame(arrival.message, engine.model.input)
        prediction = recognize(frame, engine.model)
        made = decide(prediction, min_probability=self._parameter('decision.min_probability'),
                      reject_unknown=self._parameter('decision.reject_unknown'),
                      drifted=(engine.monitor.detector.alarm
                               and self._parameter('decision.stop_on_drift')))
        if self._too_old(arrival):
            made = refuse(NO_FRAME)
        header = arrival.message.header
        classification = to_ros.classification(prediction)
        classification.header = header
        early = engine.expect(prediction, made.class_id)
        self._classification.publish(classification)
        self._publish_decision(header, made, fresh=made.class_id != NO_FRAME)
        self._health.answer(monotonic() - arrival.moment)
        self._camera_frame = header.frame_id
        if early is not None:
            self._confirmed(engine, early)
        self._preview(frame, prediction, made, header)

    def _too_old(self, arrival: Arrival) -> bool:
        if monotonic() - arrival.moment > self._parameter('decision.deadline'):
            return True
        limit = self._parameter('decision.max_frame_age')
        if limit == 0.0:
            return False
        age = self.get_clock().now().nanoseconds - from_ros.key(arrival.message.header).stamp
        return bool(age > limit * 1e9)

    def _drop(self, error: Exception) -> None:
        """In the worker's thread: count a frame that could not be answered, and live on."""
        if isinstance(error, from_ros.BadFrame):
            reason = error.reason
        elif isinstance(error, NonFiniteLogits):
            reason = 'non_finite'
        else:
            reason = 'error'
        self._health.dropped[reason] += 1
        self.get_logger().warning(f'frame dropped ({reason}): {error}',
                                  throttle_duration_sec=1.0)

    def _publish_decision(self, header: Header, made: Decision, fresh: bool = False) -> None:
        with self._lock:
            if fresh:
                self._answered_at = monotonic()
                self._deadline.reset()
            self._decision.publish(to_ros.decision(header, made))

    def _on_deadline(self) -> None:
        with self._lock:
            # An answer may have come between the timer's end and this call.
            if monotonic() - self._answered_at < self._parameter('decision.deadline'):
                return
            self._decision.publish(to_ros.decision(self._now_header(), refuse(NO_FRAME)))

    def _now_header(self) -> Header:
        return Header(stamp=self.get_clock().now().to_msg(), frame_id=self._camera_frame)

    def _preview(self, frame: Frame, prediction: Prediction, made: Decision,
                 header: Header) -> None:
        if self._annotated.get_subscription_count() == 0:
            return
        if monotonic() - self._previewed_at < 1.0 / self._parameter('preview.max_rate'):
            return
        self._previewed_at = monotonic()
        picture = annotate(frame, prediction, made, self._parameter('preview.width'),
                           self._parameter('preview.jpeg_quality'))
        self._annotated.publish(to_ros.jpeg(header, picture))

    # -- confirmations and the monitor ----------------------------------------------------------

    def _on_confirmation(self, message: Any) -> None:
        engine = self._engine
        if engine is None:
            return
        try:
            confirmation = from_ros.confirmation(message)
        except InvalidConfirmation as error:
            self._invalid_confirmations += 1
            self.get_logger().warning(f'confirmation refused: {error}')
            return
        outcome = engine.confirm(confirmation, self.get_clock().now().nanoseconds)
        if outcome is Outcome.NOVEL:
            self.get_logger().warning(
                f'confirmed label {sorted(confirmation.distribution)} is not one of '
                f'{list(engine.model.labels)}: kept, but it cannot be scored',
                throttle_duration_sec=1.0)
        self._confirmed(engine, outcome)

    def _confirmed(self, engine: Engine, outcome: Outcome) -> None:
        if outcome in (Outcome.SCORED, Outcome.LATE):
            self._confirmed_at = self.get_clock().now()
        self._publish_monitor(engine)

    def _publish_monitor(self, engine: Engine) -> DiagnosticStatus:
        figures = engine.figures()
        status = to_ros.monitor_status('tool_recognizer: monitor', engine.monitor,
                                       self._stale(), figures, engine.model.digest)
        alarm = engine.monitor.detector.alarm
        evidence = engine.monitor.detector.evidence
        self._monitor_status.publish(status)
        for name, value in (('nll', figures.nll), ('kl', figures.kl), ('evidence', evidence)):
            self._figures[name].publish(Float64(data=float(value)))
        if alarm != self._announced_drift:
            self._announced_drift = alarm
            self._drift.publish(Bool(data=alarm))
            if alarm:
                self.get_logger().error(f'drift: {status.message} (evidence {evidence:.4g})')
                engine.record('alarm', self.get_clock().now().nanoseconds,
                              {entry.key: entry.value for entry in status.values})
        return status

    def _stale(self) -> bool:
        now = self.get_clock().now()
        if now < self._confirmed_at:  # the clock jumped back
            self._confirmed_at = now
        age = (now - self._confirmed_at).nanoseconds / 1e9
        return bool(age > self._parameter('monitor.stale_after'))

    def _on_reset(self, request: Any, response: Any) -> Any:
        if self._engine is None:
            return _answered(response, False, 'no model is loaded: configure the node')
        self._engine.reset(self.get_clock().now().nanoseconds)
        self._publish_monitor(self._engine)
        return _answered(response, True, 'the monitor starts a new run')

    def _on_enable(self, request: Any, response: Any) -> Any:
        self._enabled = bool(request.data)
        return _answered(response, True, 'answering' if self._enabled else 'paused')

    # -- the model ------------------------------------------------------------------------------

    def _make_engine(self) -> Engine:
        value = self._parameter
        plain = None
        if value('plain_model.labels_file'):
            plain = PlainModel(
                labels=read_labels(value('plain_model.labels_file')),
                mean=tuple(value('plain_model.mean')), std=tuple(value('plain_model.std')),
                **{name: value(f'plain_model.{name}') for name in (
                    'height', 'width', 'fit', 'layout', 'order', 'scale', 'output')})
        model = OnnxModel.load(value('model_path') or DEFAULT_MODEL,
                               providers=value('providers'),
                               intra_op_threads=value('intra_op_threads'), plain=plain)
        detector = DriftDetector(len(model.labels), model.reference,
                                 float(value('monitor.run_length')))
        return Engine(model, Monitor(
            model.labels, detector, reference_nll=model.reference_nll,
            window=value('monitor.window'), minimum=value('monitor.minimum'),
            pending=value('monitor.pending'),
            late_after=int(value('monitor.late_after') * 1e9)), self._journal)

    def _open_journal(self) -> Journal | None:
        """Open the journal; without one, recognising goes on, and the diagnostics say so."""
        self._journal_trouble = ''
        path = self._parameter('journal.path')
        if not path:
            return None
        try:
            journal = Journal(Path(path).expanduser(), picture_budget=0,
                              keep_predictions=self._parameter('journal.keep_predictions'))
        except JournalError as error:
            self._journal_trouble = f'nothing is remembered: {error}'
            self.get_logger().error(self._journal_trouble)
            return None
        for note in journal.notes:
            self.get_logger().warning(note)
        return journal

    def _announce_model(self) -> None:
        assert self._engine is not None
        model = self._engine.model
        self._label_info.publish(to_ros.label_info(
            self.get_clock().now().to_msg(), model.labels,
            self._parameter('decision.min_probability')))
        self._announced_drift = None
        self._publish_monitor(self._engine)
        self.get_logger().info(f'model {model.path} ({model.digest[:12]}) on {model.provider}: '
                               f'{", ".join(model.labels)}')

    async def _on_reload(self, request: Any, response: Any) -> Any:
        """Load beside the running model, in a thread; swap between two frames."""
        executor = self.executor
        assert executor is not None
        loaded: Future = Future(executor=executor)

        def load() -> None:
            try:
                loaded.set_result(self._make_engine())
            except Exception as error:
                loaded.set_result(error)
            executor.wake()  # an awaiting callback is only looked at when something happens

        Thread(target=load, name='reload', daemon=True).start()
        engine = await loaded
        if isinstance(engine, Exception):
            self.get_logger().error(f'model refused, the old one stays: {engine}')
            return _answered(response, False, f'{engine}; the old model stays')
        if self._engine is None:
            return _answered(response, False, 'the node was cleaned up meanwhile')
        engine.start('reload', self.get_clock().now().nanoseconds)
        self._engine = engine
        self._announce_model()
        return _answered(response, True, f'model {engine.model.path} ({engine.model.digest})')

    # -- parameters and diagnostics -------------------------------------------------------------

    def _parameter(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _check_parameters(self, parameters: list[Any]) -> SetParametersResult:
        for changed in parameters:
            known = BY_NAME.get(changed.name)
            if known is None:
                continue
            wrong = known.check(changed.value)
            if not wrong and known.takes is Takes.AT_CONFIGURE and self._engine is not None:
                wrong = (f'{known.name} takes effect at configure: '
                         'deactivate and clean up the node first')
            if wrong:
                return SetParametersResult(successful=False, reason=wrong)
        return SetParametersResult(successful=True)

    def _apply_parameters(self, parameters: list[Any]) -> None:
        for changed in parameters:
            if changed.name == 'decision.deadline' and self._worker is not None:
                self._deadline.timer_period_ns = int(changed.value * 1e9)

    @property
    def _compressed(self) -> bool:
        return bool(self._parameter('image_transport') == 'compressed')

    @property
    def _camera_topic(self) -> str:
        # A remapping of image_raw moves image_raw/compressed with it only in this way.
        topic: str = self.resolve_topic_name('image_raw')
        return f'{topic}/compressed' if self._compressed else topic

    def _on_mismatch(self, event: Any) -> None:
        policy = event.last_policy_kind.name.lower().removeprefix('rmw_qos_policy_')
        self._mismatch = (f"{self._camera_topic}: a publisher's {policy} does not match; set "
                          f'qos_overrides.{self._camera_topic}.subscription.{policy}')
        self.get_logger().warning(self._mismatch)

    def _on_second(self) -> None:
        if self._engine is None:
            return
        name, model, health = self.get_name(), self._engine.model, self._health
        level, message = self._input_state()
        latency = health.latency()
        statuses = [
            to_ros.status(f'{name}: input', self._camera_topic, level, message, {
                'topic': self._camera_topic, 'received': health.received,
                'answered': health.answered, 'enabled': self._enabled,
                **{f'dropped_{reason}': n for reason, n in sorted(health.dropped.items())},
                'invalid_confirmations': self._invalid_confirmations}),
            to_ros.status(f'{name}: inference', model.digest[:12], DiagnosticStatus.OK,
                          f'{model.path.name} on {model.provider}', {
                              'model': str(model.path), 'model_digest': model.digest,
                              'provider': model.provider, 'latency_p50_ms': latency.p50,
                              'latency_p95_ms': latency.p95, 'latency_p99_ms': latency.p99}),
            self._publish_monitor(self._engine)]
        if self._parameter('journal.path'):
            trouble = self._journal.trouble if self._journal else self._journal_trouble
            statuses.append(to_ros.status(
                f'{name}: journal', str(self._parameter('journal.path')),
                DiagnosticStatus.ERROR if trouble else DiagnosticStatus.OK,
                trouble or 'writing', {
                    'dropped_predictions': self._journal.dropped if self._journal else ''}))
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _input_state(self) -> tuple[bytes, str]:
        """Say why nothing is happening, if nothing is."""
        if self._worker is None:
            return DiagnosticStatus.WARN, 'not active: activate the node'
        if not self._enabled:
            return DiagnosticStatus.WARN, 'paused: call ~/enable with data: true'
        if monotonic() - self._answered_at < max(1.0, self._parameter('decision.deadline')):
            return DiagnosticStatus.OK, 'answering'
        if self._mismatch:
            return DiagnosticStatus.ERROR, self._mismatch
        topic = self._camera_topic
        if self.count_publishers(topic) == 0:
            other = (topic.removesuffix('/compressed') if self._compressed
                     else f'{topic}/compressed')
            if self.count_publishers(other):
                wanted = 'raw' if self._compressed else 'compressed'
                return DiagnosticStatus.ERROR, (f'nobody publishes {topic}, but {other} is there:'
                                                f' set image_transport to {wanted}')
            return DiagnosticStatus.ERROR, (f'nobody publishes {topic}: start the camera, or '
                                            'remap image_raw (argument image_topic)')
        return DiagnosticStatus.ERROR, f'{topic} has a publisher, but no frame is answered'


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=parameter.text,
        additional_constraints=(f'one of {list(parameter.choices)}' if parameter.choices
                                else f'takes effect {parameter.takes.value}'),
        read_only=parameter.takes is Takes.AT_START)
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, int):
            descriptor.integer_range = [IntegerRange(
                from_value=int(parameter.low), to_value=int(parameter.high), step=0)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(
                from_value=parameter.low, to_value=parameter.high, step=0.0)]
    return descriptor


def _destroy(entities: list[tuple[Callable[[Any], object], Any]]) -> None:
    while entities:
        destroy, entity = entities.pop()
        destroy(entity)


def _answered(response: Any, success: bool, message: str) -> Any:
    response.success, response.message = success, message
    return response


def main(argv: list[str] | None = None) -> int:
    """Run the node until Ctrl-C or SIGTERM; return the exit status."""
    parser = Parser('recognizer', SUMMARY, (
        'recognizer --ros-args -p autostart:=true',
        'recognizer --ros-args -p autostart:=true -r image_raw:=/camera/image_raw',
        'recognizer --ros-args --params-file config/recognizer.yaml'))
    return run_node(RecognizerNode, parser, argv)
