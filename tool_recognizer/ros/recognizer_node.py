"""
The node ``/tool_recognizer``: camera in; probabilities, decisions and the monitor out.

Here is only wiring; the parts are in ``recognizer``. The executor's thread receives confirmations
and requests; the camera's thread takes the newest frame and answers it, so that neither waits for
the other. What both may touch guards itself: the engine, ``~/decision``, the pictures. What came
from the camera is counted by its thread alone, and read by the other one.
"""

from collections.abc import Callable
from collections.abc import Mapping
from functools import partial
import os
from secrets import randbits
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.lifecycle import LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.utilities import get_rmw_implementation_identifier
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger
from tool_recognizer.assembly import make_engine
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.stamps import StampWatch
from tool_recognizer.core.text import listed
from tool_recognizer.core.text import Said
from tool_recognizer.core.text import told
from tool_recognizer.engine import Engine
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.pictures.recent_pictures import RecentPictures
from tool_recognizer.ros import fast_dds
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.accepts_unchanged import AcceptsUnchanged
from tool_recognizer.ros.guard import ERRORS
from tool_recognizer.ros.listener import Arrival
from tool_recognizer.ros.listener import Listener
from tool_recognizer.ros.recognizer import node_parameters
from tool_recognizer.ros.recognizer.alarm import remember_alarm
from tool_recognizer.ros.recognizer.camera_topic import CameraTopic
from tool_recognizer.ros.recognizer.confirmation_topics import ConfirmationTopics
from tool_recognizer.ros.recognizer.correction_topic import CorrectionTopic
from tool_recognizer.ros.recognizer.decision_topic import DecisionTopic
from tool_recognizer.ros.recognizer.entities import Entities
from tool_recognizer.ros.recognizer.frame_topics import FrameTopics
from tool_recognizer.ros.recognizer.input_state import input_state
from tool_recognizer.ros.recognizer.journal import Journal
from tool_recognizer.ros.recognizer.model_services import ModelServices
from tool_recognizer.ros.recognizer.monitor_topics import MonitorTopics
from tool_recognizer.ros.recognizer.note_topic import NoteTopic
from tool_recognizer.ros.recognizer.passage_topics import AnswerNow
from tool_recognizer.ros.recognizer.passage_topics import PassageTopics
from tool_recognizer.ros.transitions import refuse_impossible_transitions
from tool_recognizer.ros.versions import versions
from vision_msgs.msg import LabelInfo

RESULTS = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


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
        # rclpy takes its time to look one up; a frame needs many.
        self._values = node_parameters.values(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        refuse_impossible_transitions(self)
        self._journal: Journal | None = None
        self._health = InputHealth()
        self._stamps = StampWatch()
        self._machine = {
            **{f'version_{name}': number for name, number in versions().items()},
            'middleware': get_rmw_implementation_identifier(),
            'fast_dds_profile': fast_dds.named(os.environ)}
        self._engine: Engine | None = None
        self._listener: Listener | None = None
        self._while_active = Entities(self)
        self._while_configured = Entities(self)
        self._enabled = True
        self._models = ModelServices(self, lambda: self._engine, self._make_engine, self._replace)
        self._passages: PassageTopics | None = None
        self._answers = AnswerNow(self, self._answer_now)
        self.create_service(Trigger, '~/reset_monitor', self._on_reset)
        self.create_service(SetBool, '~/enable', self._on_enable)

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
        """Load and check the model; create all topics but the camera's."""
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

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free what there is, after a transition that could not even be undone."""
        return self._transition(self._stop)

    def destroy_node(self) -> None:
        """Stop the thread before what it publishes to is gone."""
        self._stop()
        super().destroy_node()

    def _transition(self, step: Callable[[], object],
                    undo: Callable[[], None] = lambda: None) -> TransitionCallbackReturn:
        try:
            step()
        except (ModelError, ValueError) as error:
            self.get_logger().error(str(error))
        except Exception as error:  # rclpy would swallow it unseen
            self.get_logger().error(told(error))
        else:
            return TransitionCallbackReturn.SUCCESS
        undo()
        return TransitionCallbackReturn.FAILURE

    def _configure(self) -> None:
        self._pictures = RecentPictures(self._picture_memory())
        self._journal = Journal(self)
        self._engine = self._make_engine(node_parameters.values(self))
        self._journal.start(self._engine, 'start')
        made = self._while_configured
        self._camera = CameraTopic(self, self._parameter('image_transport') == 'compressed')
        self._decisions = DecisionTopic(self, made, RESULTS, lambda: not self._enabled)
        self._label_info = made.publisher(LabelInfo, '~/label_info', LATCHED)
        self._monitor = MonitorTopics(
            self, made, RESULTS, LATCHED, partial(self._parameter, 'monitor.stale_after'),
            self._on_alarm)
        self._shadow_status = made.publisher(DiagnosticStatus, '~/shadow', LATCHED)
        self._early_warning = made.publisher(DiagnosticStatus, '~/early_warning', LATCHED)
        self._diagnostics = made.publisher(DiagnosticArray, '/diagnostics', RESULTS)
        gate = self._parameter('passage.gate')
        self._passages = None if gate == 'off' else PassageTopics(
            self, made, RESULTS, gate, lambda: self._engine, self._answers, self._heard_until,
            partial(self._parameter, 'decision.deadline'))
        self._frames = FrameTopics(self, made, RESULTS, self._decisions, self._monitor,
                                   self._health, self._stamps, self._pictures,
                                   lambda: self._values, self._passages)
        self._confirmations = ConfirmationTopics(self, made, self._health, self._confirm)
        CorrectionTopic(self, made, self._health, lambda: self._engine, self._confirmations.tell)
        NoteTopic(self, made, self._health, lambda: self._engine)
        made.timer(1.0, self._on_second)
        self._announce_labels(self._engine)
        self._announce_model(self._engine)

    def _activate(self) -> None:
        self._decisions.watch(self._while_active, self._parameter('decision.deadline'))
        if self._passages is not None:
            self._passages.listen(self._while_active)
        self._listener = self._camera.listen(self._while_active, self._on_frame)
        self.get_logger().info(f'waiting for frames on {self._camera.name}')

    def _deactivate(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
        self._while_active.destroy()
        if listener is not None and self.context.ok():
            # The last decision that a controller hears must not be a label.
            self._decisions.publish_stale()
            if self._passages is not None and self._engine is not None:
                self._passages.stop(self._engine)

    def _stop(self) -> None:
        self._deactivate()
        self._cleanup()

    def _cleanup(self) -> None:
        self._while_configured.destroy()
        self._engine = self._passages = None
        self._answers.resolve(False, 'the node was cleaned up meanwhile')
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    # -- frames -------------------------------------------------------------------------------

    def _on_frame(self, arrival: Arrival) -> None:
        """In the camera's thread: answer one frame and publish."""
        self._frames.hear(self._engine if self._enabled else None, arrival)

    def _heard_until(self) -> float:
        listener = self._listener
        return monotonic() if listener is None else listener.heard_until

    # -- confirmations and the monitor ----------------------------------------------------------

    def _confirm(self, confirmation: Confirmation) -> None:
        engine = self._engine
        if engine is None:
            return
        labels = engine.model.labels
        settled, kept = engine.confirm(confirmation, self.get_clock().now().nanoseconds,
                                       self._pictures.find(confirmation.key))
        outcome = settled.outcome
        if kept is not None:
            # What is not on disk is not acknowledged, so that its sender says it again.
            kept.add_done_callback(
                partial(self._confirmations.acknowledge, confirmation, outcome, labels))
        elif self._journal is None or self._journal.is_missing:
            self._confirmations.acknowledge(confirmation, outcome, labels)
        if outcome is Outcome.NOVEL:
            unknown = to_ros.unknown_labels(confirmation, labels)
            if unknown:
                self.get_logger().warning(
                    f'confirmed label {listed(unknown)} is not one of {listed(labels)}: kept, but '
                    'it cannot be scored', throttle_duration_sec=1.0)
            else:
                self.get_logger().info('confirmed: a tool that the model does not have',
                                       throttle_duration_sec=1.0)
        self._monitor.confirmed(engine, outcome)

    def _on_alarm(self, engine: Engine, moment: int, status: DiagnosticStatus) -> None:
        remember_alarm(engine, moment, status, node_parameters.values(self), self.get_logger(),
                       self._pictures.find)

    def _on_reset(self, request: Any, response: Any) -> Any:
        if self._engine is None:
            return to_ros.answered(response, False, to_ros.NO_MODEL)
        self._engine.reset(self.get_clock().now().nanoseconds)
        self._monitor.look_back(self._engine)
        self._monitor.publish(self._engine)
        return to_ros.answered(response, True, 'the monitor starts a new run')

    def _on_enable(self, request: Any, response: Any) -> Any:
        self._enabled = bool(request.data)
        return to_ros.answered(response, True, 'answering' if self._enabled else 'paused')

    def _answer_now(self) -> str:
        """Begin a passage for who asks for an answer; return why not, or ''."""
        engine, gate = self._engine, self._parameter('passage.gate')
        if engine is None:
            return to_ros.NO_MODEL
        if gate != 'service':
            return (f'passage.gate is {gate}: set it to service, and configure the node anew, for '
                    'answers on call')
        if self._listener is None:
            return 'not active: activate the node'
        if not self._enabled:
            return 'paused: call ~/enable with data: true'
        if not engine.call(self.get_clock().now().nanoseconds):
            return 'the passage of another call is under way: call again when it has its answer'
        return ''

    # -- the model ------------------------------------------------------------------------------

    def _picture_memory(self) -> int:
        """Tell how many bytes of pictures are worth holding: none if nobody could keep them."""
        journal = self._parameter('journal.path') and self._parameter('journal.picture_budget')
        if not (journal or self._parameter('evidence.path')):
            return 0
        return int(self._parameter('journal.recent_pictures') * 1e6)

    def _make_engine(self, parameters: Mapping[str, Any]) -> Engine:
        return make_engine(parameters, randbits(32))

    def _replace(self, engine: Engine) -> None:
        assert self._journal is not None
        self._journal.start(engine, 'reload')
        if self._passages is not None and self._engine is not None:
            self._passages.replace(self._engine, engine)
        # Controllers hear of its labels before the first answer with them.
        self._announce_labels(engine)
        self._engine = engine
        self._announce_model(engine)

    def _announce_labels(self, engine: Engine) -> None:
        self._label_info.publish(to_ros.label_info(
            self.get_clock().now().to_msg(), engine.model.labels,
            self._parameter('decision.min_probability')))

    def _announce_model(self, engine: Engine) -> None:
        model = engine.model
        self._monitor.begin(engine)
        if engine.shadow is None:  # what was said of one that is gone stays latched
            self._shadow_status.publish(to_ros.no_shadow_status(
                f'{self.get_fully_qualified_name().strip("/")}: shadow'))
        self.get_logger().info(f'model {model.path} ({model.digest[:12]}) on {model.provider}: '
                               f'{", ".join(model.labels)}')
        for one in (model, *([engine.shadow.model] if engine.shadow else [])):
            for hint in one.hints:
                self.get_logger().warning(f'model {one.path}: {hint}')

    # -- parameters and diagnostics -------------------------------------------------------------

    def _parameter(self, name: str) -> Any:
        return self._values[name]

    def _check_parameters(self, parameters: list[Any]) -> SetParametersResult:
        return node_parameters.judge(parameters, self._engine is not None, self._parameter)

    def _apply_parameters(self, parameters: list[Any]) -> None:
        self._values = node_parameters.values(self)
        if self._listener is not None and any(
                changed.name == 'decision.deadline' for changed in parameters):
            self._decisions.change_deadline(self._parameter('decision.deadline'))

    def _on_second(self) -> None:
        if self._listener is not None:
            self._listener.check()
        if self._engine is None or self._journal is None:
            return
        self._journal.retry(self._engine)
        self._monitor.look_back(self._engine)
        model, shadow, run = self._engine.model, self._engine.shadow, self._engine.run
        name = self.get_fully_qualified_name().strip('/')
        statuses = [
            to_ros.input_status(f'{name}: input', self._camera.name, *input_state(
                self._camera, self._health, self._stamps, active=self._listener is not None,
                enabled=self._enabled, silence=self._silence(),
                doubt=self._frames.doubt(self._engine)),
                self._health, self._enabled, self._stamps.counts, self._frames.looked_at),
            to_ros.decisions_status(f'{name}: decisions', self._decisions.recent, self._parameter(
                'decision.refused_share'), model.false_rejection_rate),
            to_ros.inference_status(f'{name}: inference', model.path, model.digest,
                                    model.provider, self._health.latency(),
                                    self._models.refused, self._machine | ERRORS.values()),
            self._monitor.publish(self._engine),
            to_ros.early_warning_status(f'{name}: early warning', run.warning, model.labels),
            to_ros.inspection_status(f'{name}: inspection', self._engine.inspector.floor,
                                     run.requests)]
        self._early_warning.publish(statuses[-2])
        if shadow is not None and run.comparison is not None:
            statuses.append(to_ros.shadow_status(
                f'{name}: shadow', shadow.model.path, shadow.model.digest, run.comparison,
                shadow.failed))
            self._shadow_status.publish(statuses[-1])
        if self._passages is not None:
            statuses.append(self._passages.status(self._engine))
        journal = self._journal.status(f'{name}: journal')
        array = DiagnosticArray(status=statuses if journal is None else [*statuses, journal])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _silence(self) -> tuple[Said, float] | None:
        """Say why no frame is answered in time; None if one is."""
        limit = max(1.0, self._parameter('decision.deadline'))
        return self._frames.silence() if self._decisions.silence >= limit else None
