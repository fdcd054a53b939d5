"""
The node ``/tool_recognizer``: camera in; probabilities, decisions and the monitor out.

Here is only wiring. One executor thread receives frames, confirmations and requests; a worker
thread answers the newest frame, so that services and parameters answer meanwhile. The lock guards
the order of decisions; the monitor is guarded by its engine.
"""

from collections.abc import Callable
from concurrent.futures import Future as Kept
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from datetime import timezone
from functools import partial
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
from rclpy.exceptions import InvalidHandle
from rclpy.lifecycle import LifecycleNode
from rclpy.lifecycle import LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
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
from tool_recognizer import __version__
from tool_recognizer.adapters import from_ros
from tool_recognizer.adapters import to_ros
from tool_recognizer.adapters.annotation import annotate
from tool_recognizer.adapters.evidence import write_evidence
from tool_recognizer.adapters.journal import Journal
from tool_recognizer.adapters.journal_file import JournalError
from tool_recognizer.adapters.newest import NewestWorker
from tool_recognizer.adapters.onnx_model import ModelError
from tool_recognizer.adapters.pictures import encode_picture
from tool_recognizer.adapters.recent_pictures import RecentPictures
from tool_recognizer.arguments import Parser
from tool_recognizer.core.conformal import answer_set
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.decision import refuse
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import InvalidConfirmation
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.monitor import RangeFigures
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.engine import Answer
from tool_recognizer.engine import Engine
from tool_recognizer.engine import Evidence
from tool_recognizer.engine import make_engine
from tool_recognizer.engine import Rules
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
# Ranges of time that figures are told of, ns.
RANGES = {'5min': 300_000_000_000, '1h': 3_600_000_000_000, '24h': 86_400_000_000_000}
# A compressed frame up to this many bytes is kept as it came.
SMALL = 300_000
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
        self._ranges: dict[str, RangeFigures] = {}
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
        self._pictures = RecentPictures(self._picture_memory())
        self._journal = self._open_journal()
        self._engine = make_engine(self._values(), self._journal)
        self._engine.start('start', self.get_clock().now().nanoseconds)
        create, keep = self._publisher, self._while_configured.append
        self._classification = create(Classification, '~/classification', RESULTS)
        self._decision = create(Classification, '~/decision', RESULTS)
        self._monitor_status = create(DiagnosticStatus, '~/monitor', LATCHED)
        self._figures = {name: create(Float64, f'~/monitor/{name}', RESULTS)
                         for name in ('nll', 'kl', 'evidence')}
        self._drift = create(Bool, '~/drift', LATCHED)
        self._label_info = create(LabelInfo, '~/label_info', LATCHED)
        self._answer_set = create(Classification, '~/answer_set', RESULTS)
        self._request = create(Classification, '~/inspection_request', RESULTS)
        self._request_picture = create(
            CompressedImage, '~/inspection_request/compressed', RESULTS)
        self._acknowledgement = create(DiagnosticStatus, '~/confirmation_ack', CONFIRMATIONS)
        self._shadow_status = create(DiagnosticStatus, '~/shadow', LATCHED)
        self._early_warning = create(DiagnosticStatus, '~/early_warning', LATCHED)
        self._annotated = create(CompressedImage, '~/annotated/compressed', PREVIEW)
        self._diagnostics = create(DiagnosticArray, '/diagnostics', RESULTS)
        for word, topic, hear in (
                (Classification, '~/confirmed_label', self._on_confirmed_label),
                (DiagnosticStatus, '~/confirmation', self._on_confirmation)):
            keep((self.destroy_subscription,
                  self.create_subscription(word, topic, hear, CONFIRMATIONS)))
        # A group of its own: while a reload waits for its model, the others' callbacks go on.
        apart = MutuallyExclusiveCallbackGroup()
        for kind, name, callback, group in (
                (Trigger, '~/reset_monitor', self._on_reset, None),
                (SetBool, '~/enable', self._on_enable, None),
                (Trigger, '~/reload_model', self._on_reload, apart),
                (Trigger, '~/promote_shadow', self._on_promote, apart)):
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
        looked = engine.look([frame])[0]
        answer = engine.answer(
            looked, Rules.of(self._parameter), self.get_clock().now().nanoseconds,
            asking=self._request.get_subscription_count() > 0,
            decided=refuse(NO_FRAME) if self._too_old(arrival) else None)
        made, header = answer.decision, arrival.message.header
        classification = to_ros.classification(answer.prediction)
        classification.header = header
        self._classification.publish(classification)
        self._publish_decision(header, made, fresh=made.class_id != NO_FRAME)
        self._health.answer(monotonic() - arrival.moment)
        if engine.set_threshold is not None:
            self._answer_set.publish(to_ros.answer_set(header, answer.prediction, answer_set(
                answer.prediction.log_probabilities, engine.set_threshold)))
        self._camera_frame = header.frame_id
        # What controllers wait for is out; the rest is for people.
        self._picture(engine, frame, arrival.message, answer)
        if answer.early is not None:
            self._confirmed(engine, answer.early)
        self._preview(frame, answer.prediction, made, header)
        engine.follow(frame)

    def _picture(self, engine: Engine, frame: Frame, message: Any, answer: Answer) -> None:
        """Keep the frame's picture in case it is confirmed, and ask for it if it was picked."""
        if answer.asked is None and not self._pictures.wanted:
            return
        packed = 'jp' in getattr(message, 'format', '')
        picture = (bytes(message.data) if packed and len(message.data) <= SMALL else
                   encode_picture(frame, self._parameter('preview.width'),
                                  self._parameter('preview.jpeg_quality')))
        self._pictures.add(frame.key, picture)
        if answer.asked is not None:
            engine.request(frame.key, answer.asked, self.get_clock().now().nanoseconds, picture)
            self._request.publish(
                to_ros.inspection_request(message.header, answer.prediction, answer.asked))
            self._request_picture.publish(to_ros.jpeg(message.header, picture))

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

    def _on_confirmed_label(self, message: Any) -> None:
        try:
            confirmation = from_ros.confirmation(message)
        except InvalidConfirmation as error:
            self._refuse_confirmation({'frame_id': message.header.frame_id,
                                       'stamp': str(from_ros.key(message.header).stamp)}, error)
        else:
            self._confirm(confirmation)

    def _on_confirmation(self, message: Any) -> None:
        try:
            confirmation = from_ros.confirmation_status(message)
        except InvalidConfirmation as error:
            self._refuse_confirmation({entry.key: entry.value for entry in message.values}, error)
        else:
            self._confirm(confirmation)

    def _refuse_confirmation(self, values: dict[str, str], why: Exception) -> None:
        self._invalid_confirmations += 1
        self.get_logger().warning(f'confirmation refused: {why}')
        self._acknowledgement.publish(to_ros.refusal(values, str(why)))

    def _confirm(self, confirmation: Confirmation) -> None:
        engine = self._engine
        if engine is None:
            return
        outcome, kept = engine.confirm(confirmation, self.get_clock().now().nanoseconds,
                                       self._pictures.find(confirmation.key))
        if kept is not None:
            # What is not on disk is not acknowledged, so that its sender says it again.
            kept.add_done_callback(partial(self._acknowledge, confirmation, outcome))
        elif self._journal is None:
            self._acknowledge(confirmation, outcome, None)
        if outcome is Outcome.NOVEL:
            self.get_logger().warning(
                f'confirmed label {sorted(confirmation.distribution)} is not one of '
                f'{list(engine.model.labels)}: kept, but it cannot be scored',
                throttle_duration_sec=1.0)
        self._confirmed(engine, outcome)

    def _acknowledge(self, confirmation: Confirmation, outcome: Outcome,
                     kept: Kept[int] | None) -> None:
        """Publish, also from the journal's thread; after the node's end nobody is to be told."""
        if kept is not None and kept.exception() is not None:
            return
        with suppress(InvalidHandle):
            self._acknowledgement.publish(
                to_ros.acknowledgement(confirmation, outcome, on_disk=kept is not None))

    def _confirmed(self, engine: Engine, outcome: Outcome) -> None:
        if outcome in (Outcome.SCORED, Outcome.LATE):
            self._confirmed_at = self.get_clock().now()
        self._publish_monitor(engine)

    def _figure_ranges(self, engine: Engine) -> None:
        """Look back over ranges of time: once a second, for they reach far."""
        now = self.get_clock().now().nanoseconds
        self._ranges = {name: engine.figures_since(now - length)
                        for name, length in RANGES.items()}

    def _publish_monitor(self, engine: Engine) -> DiagnosticStatus:
        figures = engine.figures()
        now = self.get_clock().now().nanoseconds
        status = to_ros.monitor_status(
            'tool_recognizer: monitor', engine.monitor, self._stale(), figures,
            engine.model.digest, self._ranges)
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
                detail = {entry.key: entry.value for entry in status.values}
                engine.record('alarm', now, detail)
                if self._parameter('evidence.path'):
                    Thread(target=self._keep_evidence, name='evidence', daemon=True, args=(
                        now, {'monitor': detail, 'parameters': self._values(),
                              'model': str(engine.model.path)}, list(engine.recent))).start()
        return status

    def _keep_evidence(self, moment: int, alarm: dict[str, Any], rows: list[Evidence]) -> None:
        """In a thread of its own: a slow disk must not hold up confirmations."""
        name = datetime.fromtimestamp(moment / 1e9, timezone.utc).strftime('%Y%m%dT%H%M%S.%fZ')
        try:
            kept = write_evidence(Path(self._parameter('evidence.path')).expanduser(), name,
                                  {'tool_recognizer': __version__, **alarm}, rows,
                                  int(self._parameter('evidence.budget') * 1e6))
        except OSError as error:
            self.get_logger().error(f'the evidence of the alarm could not be written: {error}')
        else:
            self.get_logger().info(f'evidence of the alarm: {kept}')

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
        self._figure_ranges(self._engine)
        self._publish_monitor(self._engine)
        return _answered(response, True, 'the monitor starts a new run')

    def _on_enable(self, request: Any, response: Any) -> Any:
        self._enabled = bool(request.data)
        return _answered(response, True, 'answering' if self._enabled else 'paused')

    # -- the model ------------------------------------------------------------------------------

    def _values(self) -> dict[str, Any]:
        return {parameter.name: self._parameter(parameter.name) for parameter in PARAMETERS}

    def _picture_memory(self) -> int:
        """Tell how many bytes of pictures are worth holding: none if nobody could keep them."""
        journal = self._parameter('journal.path') and self._parameter('journal.picture_budget')
        if not (journal or self._parameter('evidence.path')):
            return 0
        return int(self._parameter('journal.recent_pictures') * 1e6)

    def _open_journal(self) -> Journal | None:
        """Open the journal; without one, recognising goes on, and the diagnostics say so."""
        self._journal_trouble = ''
        path = self._parameter('journal.path')
        if not path:
            return None
        try:
            journal = Journal(Path(path).expanduser(), picture_budget=int(
                                  self._parameter('journal.picture_budget') * 1e6),
                              keep_predictions=self._parameter('journal.keep_predictions'))
        except JournalError as error:
            self._journal_trouble = f'nothing is remembered: {error}'
            self.get_logger().error(self._journal_trouble, throttle_duration_sec=60.0)
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
        self._figure_ranges(self._engine)
        self._publish_monitor(self._engine)
        self.get_logger().info(f'model {model.path} ({model.digest[:12]}) on {model.provider}: '
                               f'{", ".join(model.labels)}')

    async def _on_reload(self, request: Any, response: Any) -> Any:
        """Load beside the running model, in a thread; swap between two frames."""
        engine = await self._loaded(self._values())
        if isinstance(engine, Exception):
            self.get_logger().error(f'model refused, the old one stays: {engine}')
            return _answered(response, False, f'{engine}; the old model stays')
        if self._engine is None:
            return _answered(response, False, 'the node was cleaned up meanwhile')
        self._replace(engine)
        return _answered(response, True, f'model {engine.model.path} ({engine.model.digest})')

    async def _on_promote(self, request: Any, response: Any) -> Any:
        """Put the shadow model in charge, if its file is still the one that was compared."""
        shadow = self._engine and self._engine.shadow
        if not shadow:
            return _answered(response, False, 'there is no shadow model: set shadow_model_path '
                                              'and reload the model')
        chosen = {'model_path': str(shadow.model.path), 'shadow_model_path': ''}
        engine = await self._loaded(self._values() | chosen)
        if isinstance(engine, Exception):
            return _answered(response, False, f'{engine}; the old model stays')
        if self._engine is None or self._engine.shadow is not shadow:
            return _answered(response, False, 'the models were changed meanwhile')
        if engine.model.digest != shadow.model.digest:
            return _answered(response, False, f'{shadow.model.path} has changed since it was '
                             'compared; reload the model and compare anew')
        self._engine.record('promotion', self.get_clock().now().nanoseconds, {
            'model_digest': shadow.model.digest, 'instead_of': self._engine.model.digest,
            **shadow.difference()._asdict()})
        self.set_parameters([RosParameter(name, value=value)
                             for name, value in chosen.items()])
        self._replace(engine)
        return _answered(response, True, f'model {engine.model.path} ({engine.model.digest}) is '
                         'in charge; set model_path in the parameter file, too')

    async def _loaded(self, values: dict[str, Any]) -> Engine | Exception:
        executor = self.executor
        assert executor is not None
        loaded: Future = Future(executor=executor)

        def load() -> None:
            try:
                loaded.set_result(make_engine(values, self._journal))
            except Exception as error:
                loaded.set_result(error)
            executor.wake()  # an awaiting callback is only looked at when something happens

        Thread(target=load, name='reload', daemon=True).start()
        engine: Engine | Exception = await loaded
        return engine

    def _replace(self, engine: Engine) -> None:
        engine.start('reload', self.get_clock().now().nanoseconds)
        self._engine = engine
        self._announce_model()

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
        self._retry_journal(self._engine)
        self._figure_ranges(self._engine)
        model, health = self._engine.model, self._health
        name = self.get_fully_qualified_name().strip('/')
        inspector = self._engine.inspector
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
            self._publish_monitor(self._engine),
            to_ros.early_warning_status(f'{name}: early warning', self._engine.warning,
                                        model.labels),
            to_ros.status(f'{name}: inspection', '', DiagnosticStatus.OK,
                          f'{inspector.open} requests wait for an answer', {
                              'asked': inspector.asked, 'answered': inspector.answered,
                              'expired': inspector.expired, 'open': inspector.open})]
        self._early_warning.publish(statuses[-2])
        if self._engine.shadow is not None:
            shadow = self._engine.shadow
            statuses.append(to_ros.shadow_status(
                f'{name}: shadow', shadow.model.path, shadow.model.digest, shadow.monitor,
                shadow.difference(), shadow.failed))
            self._shadow_status.publish(statuses[-1])
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

    def _retry_journal(self, engine: Engine) -> None:
        """Try again to open the journal, if that failed."""
        if self._journal is None and self._parameter('journal.path'):
            self._journal = self._open_journal()
            if self._journal is not None:
                engine.attach(self._journal, self.get_clock().now().nanoseconds)

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
