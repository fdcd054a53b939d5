"""What is published of a frame: its answer at once, and then what people want to see of it."""

from time import monotonic
from typing import Any
from typing import NamedTuple

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from tool_recognizer.core.conformal import answer_set
from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.decision import refuse
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.core.stamps import StampWatch
from tool_recognizer.engine import Answer
from tool_recognizer.engine import Engine
from tool_recognizer.engine import Rules
from tool_recognizer.messages import from_ros
from tool_recognizer.pictures.annotation import annotate
from tool_recognizer.pictures.codec import encode_picture
from tool_recognizer.pictures.recent_pictures import RecentPictures
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.recognizer.decision_topic import DecisionTopic
from tool_recognizer.ros.recognizer.entities import Entities
from tool_recognizer.ros.recognizer.monitor_topics import MonitorTopics
from vision_msgs.msg import Classification

PREVIEW = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# A compressed frame up to this many bytes is kept as it came.
SMALL = 300_000


class Arrival(NamedTuple):
    """A camera message and the moment it came, on the steady clock in seconds."""

    message: Any
    moment: float


class FrameTopics:
    """
    See the module; its verbs are called in the worker's thread.

    Parameters
    ----------
    node : whose clock, parameters and log count
    entities : with which the topics end
    results : QoS of what passes
    decisions, monitor : topics of their own
    health, stamps : that count
    pictures : of the last frames

    """

    def __init__(self, node: Node, entities: Entities, results: QoSProfile,
                 decisions: DecisionTopic, monitor: MonitorTopics, health: InputHealth,
                 stamps: StampWatch, pictures: RecentPictures) -> None:
        self._node, self._clock, self._logger = node, node.get_clock(), node.get_logger()
        self._decisions, self._monitor = decisions, monitor
        self._health, self._stamps, self._pictures = health, stamps, pictures
        self._classification = entities.publisher(Classification, '~/classification', results)
        self._answer_set = entities.publisher(Classification, '~/answer_set', results)
        self._request = entities.publisher(Classification, '~/inspection_request', results)
        self._request_picture = entities.publisher(
            CompressedImage, '~/inspection_request/compressed', results)
        self._annotated = entities.publisher(CompressedImage, '~/annotated/compressed', PREVIEW)
        self._previewed_at = 0.0

    def _parameter(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def answer(self, engine: Engine, arrival: Arrival) -> None:
        """Answer one frame and publish."""
        frame = from_ros.frame(arrival.message, engine.model.input)
        self._stamps.look(frame.key)
        recognized = engine.recognize([frame])[0]
        late = self._too_late(arrival)
        answer = engine.answer(
            recognized, Rules.of(self._parameter), self._clock.now().nanoseconds,
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
            self._monitor.confirmed(engine, answer.early.outcome)
        self._preview(frame, answer, header)
        engine.follow(frame, self._clock.now().nanoseconds)

    def drop(self, error: Exception) -> None:
        """Count a frame that could not be answered, and live on."""
        if not self._node.context.ok():
            return  # a signal came in the middle of it; there is nobody left to be answered
        if isinstance(error, from_ros.BadFrame):
            reason = error.reason
        elif isinstance(error, NonFiniteLogits):
            reason = 'non_finite'
        else:
            reason = 'error'
        self._health.drop(reason, ' '.join(str(error).split()))
        self._logger.warning(f'frame dropped ({reason}): {error}', throttle_duration_sec=1.0)

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
            engine.keep_picture(answer.prediction, picture)
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
        age = self._clock.now().nanoseconds - from_ros.key(arrival.message.header).stamp
        if limit == 0.0 or age <= limit * 1e9:
            return ''
        return (f'the stamp is {age / 1e9:.3g} s old, decision.max_frame_age is {limit:g} s; set '
                "the camera's clock by this machine's, or use_sim_time for a recording")

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
