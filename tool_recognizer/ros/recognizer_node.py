"""
The node ``/tool_recognizer``: camera in; probabilities, decisions and the monitor out.

Here is only wiring; the parts are in ``recognizer``. One executor thread receives frames,
confirmations and requests; a worker thread answers the newest frame, so that services and
parameters answer meanwhile. What both may touch guards itself: the engine and ``~/decision``.
"""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
import os
from pathlib import Path
from secrets import randbits
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.lifecycle import LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger
from tool_recognizer.core.conformal import answer_set
from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.decision import refuse
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.core.stamps import StampWatch
from tool_recognizer.engine import Answer
from tool_recognizer.engine import Engine
from tool_recognizer.engine import make_engine
from tool_recognizer.engine import Rules
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.writer import Journal
from tool_recognizer.messages import from_ros
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.pictures.annotation import annotate
from tool_recognizer.pictures.codec import encode_picture
from tool_recognizer.pictures.recent_pictures import RecentPictures
from tool_recognizer.ros import fast_dds
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.accepts_unchanged import AcceptsUnchanged
from tool_recognizer.ros.newest import NewestWorker
from tool_recognizer.ros.recognizer import node_parameters
from tool_recognizer.ros.recognizer.alarm import remember_alarm
from tool_recognizer.ros.recognizer.camera_topic import CameraTopic
from tool_recognizer.ros.recognizer.confirmation_topics import ConfirmationTopics
from tool_recognizer.ros.recognizer.decision_topic import DecisionTopic
from tool_recognizer.ros.recognizer.entities import Entities
from tool_recognizer.ros.recognizer.model_services import ModelServices
from tool_recognizer.ros.recognizer.monitor_topics import MonitorTopics
from tool_recognizer.ros.versions import versions
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo

RESULTS = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PREVIEW = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# A compressed frame up to this many bytes is kept as it came.
SMALL = 300_000
# Seconds without a frame after which the camera is spoken of first.
PAUSE = 3.0


@dataclass(frozen=True)
class Arrival:
    """A camera message and the moment it came, on the steady clock in seconds."""

    message: Any
    moment: float


class RecognizerNode(AcceptsUnchanged, LifecycleNode):
    """
    See the module; topics and services are in docs/topics.md.

    Parameters
    ----------
    managed : whoever starts it brings it to active, so that waiting for it is nothing to tell of

    """

    def __init__(self, managed: bool = False, **options: Any) -> None:
        super().__init__('tool_recognizer', **options)
        self._managed = managed
        node_parameters.declare(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        for service in self.services:
            if service.srv_type is ChangeState:
                service.callback = self._refusing_invalid(service.callback)
        self._journal: Journal | None = None
        self._journal_trouble = ''
        self._health = InputHealth()
        self._stamps = StampWatch()
        self._machine = {
            **{f'version_{name}': number for name, number in versions().items()},
            'middleware': get_rmw_implementation_identifier(),
            'fast_dds_profile': fast_dds.named(os.environ)}
        self._engine: Engine | None = None
        self._worker: NewestWorker[Arrival] | None = None
        self._while_active = Entities(self)
        self._while_configured = Entities(self)
        self._enabled = True
        self._previewed_at = self._arrived_at = 0.0

    # -- lifecycle ----------------------------------------------------------------------------

    def autostart(self) -> bool:
        """Configure and activate, if the parameter wants it; return whether that went well."""
        if not self._parameter('autostart'):
            if not self._managed:
                # It publishes nothing yet, so this is the only sign that it is there.
                self.get_logger().info('unconfigured: nothing is answered until it is configured '
                                       'and activated, or started with autostart:=true')
            return True
        done = TransitionCallbackReturn.SUCCESS
        return bool(self.trigger_configure() == done and self.trigger_activate() == done)

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
        self._engine = self._make_engine(node_parameters.values(self))
        self._start(self._engine, 'start')
        made = self._while_configured
        self._camera = CameraTopic(self, self._parameter('image_transport') == 'compressed')
        self._classification = made.publisher(Classification, '~/classification', RESULTS)
        self._answer_set = made.publisher(Classification, '~/answer_set', RESULTS)
        self._decisions = DecisionTopic(self, made, RESULTS)
        self._label_info = made.publisher(LabelInfo, '~/label_info', LATCHED)
        self._request = made.publisher(Classification, '~/inspection_request', RESULTS)
        self._request_picture = made.publisher(
            CompressedImage, '~/inspection_request/compressed', RESULTS)
        self._annotated = made.publisher(CompressedImage, '~/annotated/compressed', PREVIEW)
        self._monitor = MonitorTopics(
            self, made, RESULTS, LATCHED, partial(self._parameter, 'monitor.stale_after'),
            self._on_alarm)
        self._shadow_status = made.publisher(DiagnosticStatus, '~/shadow', LATCHED)
        self._early_warning = made.publisher(DiagnosticStatus, '~/early_warning', LATCHED)
        self._diagnostics = made.publisher(DiagnosticArray, '/diagnostics', RESULTS)
        self._words = ConfirmationTopics(self, made, self._health, self._confirm)
        self._models = ModelServices(self, made, lambda: self._engine, self._make_engine,
                                     self._replace)
        made.service(Trigger, '~/reset_monitor', self._on_reset)
        made.service(SetBool, '~/enable', self._on_enable)
        made.timer(1.0, self._on_second)
        self._announce_model(self._engine)

    def _activate(self) -> None:
        self._worker = NewestWorker(self._answer, self._drop, 'recognizer')
        self._decisions.watch(self._while_active, self._parameter('decision.deadline'))
        self._camera.subscribe(self._while_active, self._on_frame)
        self.get_logger().info(f'waiting for frames on {self._camera.name}')

    def _deactivate(self) -> None:
        was_active = self._worker is not None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self._while_active.destroy()
        if was_active and self.context.ok():
            # The last word that a controller hears must not be a label.
            self._decisions.publish_stale()

    def _stop(self) -> None:
        self._deactivate()
        self._cleanup()

    def _cleanup(self) -> None:
        self._while_configured.destroy()
        self._engine = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None

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
        self._arrived_at = monotonic()
        if not self._enabled or self._worker is None:
            self._health.drop('disabled')
        elif self._worker.offer(Arrival(message, monotonic())):
            self._health.drop('busy')

    def _answer(self, arrival: Arrival) -> None:
        """In the worker's thread: answer one frame and publish."""
        engine = self._engine
        assert engine is not None
        frame = from_ros.frame(arrival.message, engine.model.input)
        self._stamps.look(frame.key)
        looked = engine.look([frame])[0]
        late = self._too_late(arrival)
        answer = engine.answer(
            looked, Rules.of(self._parameter), self.get_clock().now().nanoseconds,
            asking=self._request.get_subscription_count() > 0,
            decided=refuse(NO_FRAME) if late else None)
        header = arrival.message.header
        classification = to_ros.classification(answer.prediction)
        classification.header = header
        self._classification.publish(classification)
        self._decisions.publish(header, answer.decision)
        self._health.answer(monotonic() - arrival.moment, late)
        if engine.set_threshold is not None:
            self._answer_set.publish(to_ros.answer_set(header, answer.prediction, answer_set(
                answer.prediction.log_probabilities, engine.set_threshold)))
        # What controllers wait for is out; the rest is for people.
        self._picture(engine, frame, arrival.message, answer)
        if answer.early is not None:
            self._monitor.confirmed(engine, answer.early)
        self._preview(frame, answer, header)
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

    def _too_late(self, arrival: Arrival) -> str:
        """Say why a frame's answer comes too late to decide anything; '' if it does not."""
        taken, deadline = monotonic() - arrival.moment, self._parameter('decision.deadline')
        if taken > deadline:
            return (f'it takes {taken:.2g} s, decision.deadline is {deadline:g} s; take a smaller '
                    'model, a faster machine, or a longer deadline')
        limit = self._parameter('decision.max_frame_age')
        age = self.get_clock().now().nanoseconds - from_ros.key(arrival.message.header).stamp
        if limit == 0.0 or age <= limit * 1e9:
            return ''
        return (f'the stamp is {age / 1e9:.3g} s old, decision.max_frame_age is {limit:g} s; set '
                "the camera's clock by this machine's, or use_sim_time for a recording")

    def _drop(self, error: Exception) -> None:
        """In the worker's thread: count a frame that could not be answered, and live on."""
        if not self.context.ok():
            return  # a signal came in the middle of it; there is nobody left to be answered
        if isinstance(error, from_ros.BadFrame):
            reason = error.reason
        elif isinstance(error, NonFiniteLogits):
            reason = 'non_finite'
        else:
            reason = 'error'
        self._health.drop(reason, ' '.join(str(error).split()))
        self.get_logger().warning(f'frame dropped ({reason}): {error}',
                                  throttle_duration_sec=1.0)

    def _preview(self, frame: Frame, answer: Answer, header: Header) -> None:
        if self._annotated.get_subscription_count() == 0:
            return
        if monotonic() - self._previewed_at < 1.0 / self._parameter('preview.max_rate'):
            return
        self._previewed_at = monotonic()
        picture = annotate(frame, answer.prediction, answer.decision,
                           self._parameter('preview.width'),
                           self._parameter('preview.jpeg_quality'))
        self._annotated.publish(to_ros.jpeg(header, picture))

    # -- confirmations and the monitor ----------------------------------------------------------

    def _confirm(self, confirmation: Confirmation) -> None:
        engine = self._engine
        if engine is None:
            return
        labels = engine.model.labels
        outcome, kept = engine.confirm(confirmation, self.get_clock().now().nanoseconds,
                                       self._pictures.find(confirmation.key))
        if kept is not None:
            # What is not on disk is not acknowledged, so that its sender says it again.
            kept.add_done_callback(
                partial(self._words.acknowledge, confirmation, outcome, labels))
        elif self._journal is None:
            self._words.acknowledge(confirmation, outcome, labels)
        if outcome is Outcome.NOVEL:
            unknown = to_ros.unknown_labels(confirmation, labels)
            if unknown:
                self.get_logger().warning(
                    f'confirmed label {unknown} is not one of {list(labels)}: kept, but it '
                    'cannot be scored', throttle_duration_sec=1.0)
            else:
                self.get_logger().info('confirmed: a tool that the model does not have',
                                       throttle_duration_sec=1.0)
        self._monitor.confirmed(engine, outcome)

    def _on_alarm(self, engine: Engine, moment: int, status: DiagnosticStatus) -> None:
        remember_alarm(engine, moment, status, node_parameters.values(self), self.get_logger(),
                       self._pictures.find)

    def _on_reset(self, request: Any, response: Any) -> Any:
        if self._engine is None:
            return to_ros.answered(response, False, 'no model is loaded: configure the node')
        self._engine.reset(self.get_clock().now().nanoseconds)
        self._monitor.look_back(self._engine)
        self._monitor.publish(self._engine)
        return to_ros.answered(response, True, 'the monitor starts a new run')

    def _on_enable(self, request: Any, response: Any) -> Any:
        self._enabled = bool(request.data)
        return to_ros.answered(response, True, 'answering' if self._enabled else 'paused')

    # -- the model ------------------------------------------------------------------------------

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
            self._say_trouble(error)
            return None
        for note in journal.notes:
            self.get_logger().warning(note)
        return journal

    def _say_trouble(self, error: JournalError) -> None:
        self._journal_trouble = f'nothing is remembered: {error}'
        self.get_logger().error(self._journal_trouble, throttle_duration_sec=60.0)

    def _retry_journal(self, engine: Engine) -> None:
        """Try again to open the journal, if that failed."""
        if self._journal is not None or not self._parameter('journal.path'):
            return
        journal = self._open_journal()
        if journal is None:
            return
        try:
            engine.attach(journal, self.get_clock().now().nanoseconds)
        except JournalError as error:
            journal.close()
            self._say_trouble(error)
        else:
            self._journal = journal
            self.get_logger().info('the journal can be opened now: the monitor goes on with what '
                                   'was known before')
            for note in engine.notes:
                self.get_logger().warning(note)

    def _make_engine(self, parameters: Mapping[str, Any]) -> Engine:
        return make_engine(parameters, self._journal, randbits(32))

    def _start(self, engine: Engine, reason: str) -> None:
        # The journal may have come back while the engine was made.
        engine.start(reason, self.get_clock().now().nanoseconds, self._journal,
                     late=bool(self._parameter('journal.path')))
        for note in engine.notes:
            self.get_logger().warning(note)

    def _replace(self, engine: Engine) -> None:
        self._start(engine, 'reload')
        self._engine = engine
        self._announce_model(engine)

    def _announce_model(self, engine: Engine) -> None:
        model = engine.model
        self._label_info.publish(to_ros.label_info(
            self.get_clock().now().to_msg(), model.labels,
            self._parameter('decision.min_probability')))
        self._monitor.begin(engine)
        self.get_logger().info(f'model {model.path} ({model.digest[:12]}) on {model.provider}: '
                               f'{", ".join(model.labels)}')
        for one in (model, *([engine.shadow.model] if engine.shadow else [])):
            for hint in one.hints:
                self.get_logger().warning(f'model {one.path}: {hint}')

    # -- parameters and diagnostics -------------------------------------------------------------

    def _parameter(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _check_parameters(self, parameters: list[Any]) -> SetParametersResult:
        return node_parameters.judge(parameters, configured=self._engine is not None)

    def _apply_parameters(self, parameters: list[Any]) -> None:
        for changed in parameters:
            if changed.name == 'decision.deadline' and self._worker is not None:
                self._decisions.change_deadline(changed.value)

    def _on_second(self) -> None:
        if self._engine is None:
            return
        self._retry_journal(self._engine)
        self._monitor.look_back(self._engine)
        model, shadow = self._engine.model, self._engine.shadow
        name = self.get_fully_qualified_name().strip('/')
        statuses = [
            to_ros.input_status(f'{name}: input', self._camera.name, *self._input_state(),
                                self._health, self._enabled, self._stamps.counts),
            to_ros.inference_status(f'{name}: inference', model.path, model.digest,
                                    model.provider, self._health.latency(),
                                    self._models.refused, self._machine),
            self._monitor.publish(self._engine),
            to_ros.early_warning_status(f'{name}: early warning', self._engine.warning,
                                        model.labels),
            to_ros.inspection_status(f'{name}: inspection', self._engine.inspector)]
        self._early_warning.publish(statuses[-2])
        if shadow is not None:
            statuses.append(to_ros.shadow_status(
                f'{name}: shadow', shadow.model.path, shadow.model.digest, shadow.monitor,
                shadow.difference(), shadow.failed))
            self._shadow_status.publish(statuses[-1])
        if self._parameter('journal.path'):
            statuses.append(to_ros.journal_status(
                f'{name}: journal', self._parameter('journal.path'),
                self._journal.trouble if self._journal else self._journal_trouble,
                self._journal.dropped if self._journal else None))
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _input_state(self) -> tuple[bytes, str]:
        """Say why nothing is happening, if nothing is."""
        if self._worker is None:
            return DiagnosticStatus.WARN, 'not active: activate the node'
        if not self._enabled:
            return DiagnosticStatus.WARN, 'paused: call ~/enable with data: true'
        if self._decisions.silence >= max(1.0, self._parameter('decision.deadline')):
            return DiagnosticStatus.ERROR, self._silence()
        doubts = [doubt for doubt in (
            self._camera.rivals(), self._health.refusals(), self._stamps.trouble()) if doubt]
        if doubts:
            return DiagnosticStatus.WARN, f'answering, but {"; ".join(doubts)}'
        return DiagnosticStatus.OK, 'answering'

    def _silence(self) -> str:
        """Say why no frame is answered in time."""
        said, since = self._health.silence(), monotonic() - self._arrived_at
        if said and since < PAUSE:
            return said
        return self._camera.trouble() + (
            f'; the last one came {since:.0f} s ago, and {said}' if said else '')
