"""What is published of a frame: its answer at once, and then what people want to see of it."""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from time import monotonic
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from tool_recognizer.core.answer import Answer
from tool_recognizer.core.answer import Recognized
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.conformal import answer_set
from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.decision import refuse
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.information import entropy
from tool_recognizer.core.known_ground import KnownGround
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.quality import fingerprint
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.core.region import Region
from tool_recognizer.core.stamps import StampWatch
from tool_recognizer.core.text import Said
from tool_recognizer.core.view import look
from tool_recognizer.core.view import Seen
from tool_recognizer.core.view import View
from tool_recognizer.core.view import WHOLE
from tool_recognizer.engine import Engine
from tool_recognizer.messages import from_ros
from tool_recognizer.pictures.annotation import annotate
from tool_recognizer.pictures.codec import encode_jpeg
from tool_recognizer.pictures.codec import encode_picture
from tool_recognizer.pictures.codec import picture_of
from tool_recognizer.pictures.header import JPEG
from tool_recognizer.pictures.montage import ObjectPictures
from tool_recognizer.pictures.recent_pictures import RecentPictures
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.listener import Arrival
from tool_recognizer.ros.recognizer.decision_topic import DecisionTopic
from tool_recognizer.ros.recognizer.entities import Entities
from tool_recognizer.ros.recognizer.monitor_topics import MonitorTopics
from tool_recognizer.ros.recognizer.passage_topics import PassageTopics
from vision_msgs.msg import Classification
from vision_msgs.msg import Detection2DArray

PREVIEW = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# A compressed frame up to this many bytes is kept as it came.
SMALL = 300_000


class FrameTopics:
    """
    See the module; its verbs are called in the camera's thread.

    Parameters
    ----------
    node : whose clock and log count
    entities : with which the topics end
    results : QoS of what passes
    decisions, monitor : topics of their own
    health, stamps : that count
    pictures : of the last frames
    parameters : tells the values of all parameters now; they are never changed in place
    passages : topics of their own; None without a gate

    """

    def __init__(self, node: Node, entities: Entities, results: QoSProfile,
                 decisions: DecisionTopic, monitor: MonitorTopics, health: InputHealth,
                 stamps: StampWatch, pictures: RecentPictures,
                 parameters: Callable[[], Mapping[str, Any]], passages: PassageTopics | None
                 ) -> None:
        self._node, self._clock, self._logger = node, node.get_clock(), node.get_logger()
        self._decisions, self._monitor, self._parameters = decisions, monitor, parameters
        # The parameters and the model's input of the frame before.
        self._known: tuple[Mapping[str, Any] | None, InputSpec | None] = (None, None)
        self._region: Region | None = None
        # With ``locate.mode`` ground.
        self._ground: KnownGround | None = None
        # What the journal has of the model in charge, which its input tells from others.
        self._noted: tuple[InputSpec | None, Region] = (None, Region())
        self._passages = passages
        self._object = ObjectPictures()
        self._health, self._stamps, self._pictures = health, stamps, pictures
        self._classification = entities.publisher(Classification, '~/classification', results)
        self._answer_set = entities.publisher(Classification, '~/answer_set', results)
        self._detection = entities.publisher(Detection2DArray, '~/detection', results)
        self._request = entities.publisher(Classification, '~/inspection_request', results)
        self._request_picture = entities.publisher(
            CompressedImage, '~/inspection_request/compressed', results)
        self._annotated = entities.publisher(CompressedImage, '~/annotated/compressed', PREVIEW)
        self._previewed_at = 0.0
        self._arrived_at: float | None = None
        # Width by height of the frame before.
        self._aspect = 0.0
        self._in_work = False

    def hear(self, engine: Engine | None, arrival: Arrival) -> None:
        """Answer one frame and publish, or count why not; engine : None while paused."""
        self._health.receive(arrival.replaced)
        self._arrived_at, self._in_work = arrival.moment, engine is not None
        try:
            if engine is None:
                self._health.drop('disabled')
            else:
                self._look_up(engine)
                self._answer(engine, arrival)
        except Exception as error:
            self._drop(error)
        finally:
            self._in_work = False

    def silence(self) -> tuple[Said, float]:
        """Say why no frame is answered in time; and since how many seconds there is none."""
        if self._arrived_at is None:
            return Said(), 0.0
        said, since = self._health.silence(), monotonic() - self._arrived_at
        if self._in_work:
            return said or Said(f'one frame takes more than {since:.1f} s; take a smaller model, '
                                'or a faster machine', 'too_slow'), 0.0
        return said, since

    def doubt(self, engine: Engine) -> Said:
        """Say that the object cannot be found as it is meant to be, if so."""
        ground = self._ground
        if ground is None or ground.is_known:
            return Said()
        able = engine.model.novelty_threshold < float('inf')
        return Said('locate.mode is ground, and the empty place is not known yet: leave it empty '
                    'for ten frames, or for 300 where something stands out in it; the model must '
                    'take it for none of its labels' + (
                        '' if able else ', which this model never does: take locate.mode auto'),
                    'ground_unlearned')

    @property
    def looked_at(self) -> dict[str, str]:
        """Tell which part of the frame is looked at, and the frame's width by its height."""
        region = ' '.join(f'{self._parameters()[f"region.{name}"]:.6g}'
                          for name in ('x', 'y', 'width', 'height'))
        return {'region': region, 'aspect': f'{self._aspect:.6g}' if self._aspect else ''}

    def _look_up(self, engine: Engine) -> None:
        """
        Take the parameters for this frame, and what follows from them and the model's input.

        One frame, one set: half of a region that is being changed is another region.

        Raises
        ------
        ValueError
            See ``View.of``.

        """
        known = self._parameters(), engine.model.input
        if known[0] is not self._known[0] or known[1] is not self._known[1]:
            self._parameter = known[0].__getitem__
            view, self._rules = View.of(self._parameter), Rules.of(self._parameter)
            elsewhere = self._region != view.region
            if self._region is not None and elsewhere and engine.gating is not None:
                engine.gating.look_elsewhere()
            if view.locate != 'ground':
                self._ground = None
            elif self._ground is None or elsewhere:
                self._ground = KnownGround()
            self._view, self._region = view, view.region
            self._reading = view.reading(known[1])
            self._known = known
            self._note_region(engine, view.region)

    def _note_region(self, engine: Engine, region: Region) -> None:
        """Keep with a run which part of the frames it is about, if it is not all of them."""
        of, noted = self._noted
        self._noted = engine.model.input, region
        if region != (noted if of is engine.model.input else Region()):
            engine.record('region', self._clock.now().nanoseconds, asdict(region))

    def _answer(self, engine: Engine, arrival: Arrival) -> None:
        view, header, model = self._view, arrival.message.header, engine.model
        frame = from_ros.frame(arrival.message, self._reading,
                               self._parameter('camera.max_pixels'))
        self._aspect = frame.pixels.shape[1] / frame.pixels.shape[0]
        self._stamps.look(frame.key)
        seen = look(frame, view, self._ground)
        prediction, image = engine.recognize(seen)
        asking = self._request.get_subscription_count() > 0
        # Controllers wait for what is published first. Nobody can confirm it before it is kept.
        with engine.lock:
            classification = to_ros.classification(prediction)
            classification.header = header
            self._classification.publish(classification)
            late = self._too_late(arrival)
            unfit = seen.unfit(image, view, model.quality)
            now, behind = self._clock.now().nanoseconds, monotonic() - arrival.moment
            answer = engine.answer(
                Recognized(prediction, unfit, fingerprint(image), seen.glance),
                self._rules, now,
                asking=asking,
                decided=refuse(NO_FRAME) if late else None,
                arrival=now - int(behind * 1e9),
                tell=partial(self._decisions.publish, header))
            if self._passages is not None:
                self._passages.publish(engine, answer.news)
        self._health.answer(monotonic() - arrival.moment, late)
        if view.locate != 'off':
            self._detection.publish(to_ros.detections(header, answer.prediction))
        if engine.set_threshold is not None:
            self._answer_set.publish(to_ros.answer_set(header, answer.prediction, answer_set(
                answer.prediction.log_probabilities, engine.set_threshold)))
        if self._ground is not None:
            self._ground.learn(prediction.known, unfit)
        # The rest is for people.
        self._picture(engine, arrival.message, view, seen.frame, answer, asking)
        if answer.early is not None:
            self._monitor.confirmed(engine, answer.early.outcome)
        self._preview(frame, seen, answer, header)
        engine.follow(self._for_shadow(engine, arrival.message, view, seen.frame),
                      self._clock.now().nanoseconds)

    def _for_shadow(self, engine: Engine, message: Any, view: View, frame: Frame) -> Frame:
        """Return what a shadow model sees: a JPEG is read for the input that it is shown to."""
        if engine.shadow is None:
            return frame
        reading = view.reading(engine.shadow.model.input)
        if reading == self._reading:
            return frame
        return look(from_ros.frame(message, reading, self._parameter('camera.max_pixels')),
                    view).frame

    def _drop(self, error: Exception) -> None:
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

    def _picture(self, engine: Engine, message: Any, view: View, shown: Frame, answer: Answer,
                 asking: bool) -> None:
        """
        Keep the frame's picture in case it is confirmed, and ask for it if it was picked.

        It is of what the model was shown, so that a person judges the same, and the next model
        learns from it. Of a passage a person sees more of its frames; what is kept is this one.
        """
        if answer.passage is not None and asking and engine.inspector.floor > 0.0:
            self._object.add(answer.passage, picture_of(shown, self._parameter('preview.width')),
                             float(entropy(answer.prediction.probabilities)))
        if answer.asked is None and not self._pictures.wanted:
            return
        # Of a part of the frame the camera's own JPEG says too much.
        sent = _small_jpeg(message) if view._replace(glances=False) == WHOLE else b''
        picture = sent or encode_picture(shown, self._parameter('preview.width'),
                                         self._parameter('preview.jpeg_quality'))
        self._pictures.add(shown.key, picture)
        if answer.asked is not None:
            engine.keep_picture(answer.prediction, picture)
            self._request.publish(
                to_ros.inspection_request(message.header, answer.prediction, answer.asked))
            shows = None if answer.passage is None else self._object.show(answer.passage)
            self._request_picture.publish(to_ros.jpeg(
                message.header, picture if shows is None else
                encode_jpeg(shows, self._parameter('preview.jpeg_quality'))))

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

    def _preview(self, frame: Frame, seen: Seen, answer: Answer, header: Header) -> None:
        if self._annotated.get_subscription_count() == 0:
            return
        if monotonic() - self._previewed_at < 1.0 / self._parameter('preview.max_rate'):
            return
        self._previewed_at = monotonic()
        picture = annotate(frame, seen, answer.prediction, answer.decision,
                           self._parameter('preview.width'),
                           self._parameter('preview.jpeg_quality'))
        self._annotated.publish(to_ros.jpeg(header, picture))


def _small_jpeg(message: Any) -> bytes:
    """Return the JPEG that a camera sent, if it is a small one; else b''."""
    # Its bytes say what it is: a driver may write any format.
    packed = hasattr(message, 'format') and bytes(message.data[:len(JPEG)]) == JPEG
    return bytes(message.data) if packed and len(message.data) <= SMALL else b''
