"""
The node ``/camera``: frames from a folder, a video, a device, a bag or the drawn line.

Of a bag, the frames, the confirmations and the gate are played, and with ``clock`` its time.
"""

from array import array
from time import monotonic_ns
from typing import Any

from builtin_interfaces.msg import Time
import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import FloatingPointRange
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Bool
from std_msgs.msg import Header
from tool_recognizer.bags.plan import PRESENT
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.messages import from_ros
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.accepts_unchanged import AcceptsUnchanged
from tool_recognizer.ros.endings import Finished
from tool_recognizer.ros.sources import Line
from tool_recognizer.ros.sources import open_source
from tool_recognizer.ros.sources import RecordedFrames
from tool_recognizer.ros.sources import RecordedMessage
from tool_recognizer.ros.sources import Shot
from vision_msgs.msg import Classification

# Nanoseconds between two shots, at the least.
SHORTEST = 1_000_000
# Seconds between two messages on /clock.
CLOCK_PERIOD = 0.025
# Frames per second.
SLOWEST, FASTEST = 0.001, 1000.0
STEADY = Clock(clock_type=ClockType.STEADY_TIME)
CONFIRMATION_TYPES = {'confirmed_label': Classification, 'confirmation': DiagnosticStatus}
ENCODINGS = {'rgb': 'rgb8', 'bgr': 'bgr8', 'rgba': 'rgba8', 'bgra': 'bgra8', 'mono': 'mono8'}


class CameraNode(AcceptsUnchanged, Node):
    """
    Publish ``image_raw`` and ``image_raw/compressed``, and what is shown on ``~/true_label``.

    Of the drawn line also what a photo-eye would say, on the recognizer's ``~/object_present``;
    of a bag what it has of that.

    Parameters
    ----------
    source : see ``open_source``. Each argument is the default of the ROS parameter of its name
    rate : frames per second, where the source has no pace of its own
    transport : 'raw', 'compressed' or 'both'
    loop : start again at the end of the source
    clock : publish the recording's time on /clock, for nodes with use_sim_time
    wait : send nothing before somebody subscribes to each topic; to that of the photo-eye only a
        recognizer with that gate does

    Raises
    ------
    SourceError
        The source cannot be used.

    """

    def __init__(self, source: str = 'line', rate: float = 15.0, transport: str = 'raw',
                 loop: bool = True, clock: bool = False, wait: bool = False,
                 **options: Any) -> None:
        super().__init__('camera', **options)
        read_only = ParameterDescriptor(read_only=True)
        value = {name: self.declare_parameter(name, default, read_only).value
                 for name, default in (
                     ('source', source), ('rate', float(rate)), ('transport', transport),
                     ('loop', loop), ('clock', clock), ('wait', wait), ('frame_id', 'camera'),
                     ('seed', 0), ('bag_topic', ''), ('present_topic', ''),
                     ('jpeg_quality', 90))}
        if value['transport'] not in ('raw', 'compressed', 'both'):
            raise ValueError(f'transport must be raw, compressed or both, '
                             f'got {value["transport"]!r}')
        if not SLOWEST <= value['rate'] <= FASTEST:
            raise ValueError(f'rate must be in {SLOWEST:g} .. {FASTEST:g} frames per second, got '
                             f'{value["rate"]}')
        self._loop, self._frame_id = value['loop'], value['frame_id']
        self._jpeg_quality = value['jpeg_quality']
        self._source = open_source(value['source'], tell=self.get_logger().warning,
                                   seed=value['seed'], topic=value['bag_topic'],
                                   transport=value['transport'],
                                   present_topic=value['present_topic'])
        self.declare_parameter('light', 1.0, ParameterDescriptor(
            description='Brightness of the drawn line; 1: as drawn.',
            floating_point_range=[FloatingPointRange(from_value=0.0, to_value=4.0)]))
        topic = self.resolve_topic_name('image_raw')
        self._raw = self._compressed = None
        if value['transport'] != 'compressed':
            self._raw = self.create_publisher(Image, topic, QoSProfile(depth=5))
        if value['transport'] != 'raw':
            self._compressed = self.create_publisher(
                CompressedImage, f'{topic}/compressed', QoSProfile(depth=5))
        self._true_label = self.create_publisher(Classification, '~/true_label',
                                                 QoSProfile(depth=1000))
        self._photo_eye: Any = None
        if isinstance(self._source, Line) or (isinstance(self._source, RecordedFrames)
                                              and self._source.present):
            self._photo_eye = self.create_publisher(Bool, f'tool_recognizer/{PRESENT}',
                                                    QoSProfile(depth=1000))
        self._present: bool | None = None
        self._confirmations: dict[str, Any] = {}
        if isinstance(self._source, RecordedFrames):
            self._confirmations = {name: self.create_publisher(
                kind, f'tool_recognizer/{name}', QoSProfile(depth=1000))
                for name, kind in CONFIRMATION_TYPES.items()
                if name in self._source.confirmation_topics}
        self._waiting = value['wait']
        self._shots = self._source.shots()
        self._next = next(self._shots, None)
        self._moment = self._moment_at = 0
        if self._next is None:
            raise ValueError(f'source {value["source"]!r} has nothing to show')
        self._timer = self.create_timer(1.0 / value['rate'],
                                        self._on_time, clock=STEADY)
        self._bag_clock: Any = None
        if value['clock']:
            if self._next.moment is None:
                raise ValueError(f'source {value["source"]!r} was not recorded, so it has no time '
                                 'for /clock')
            self._bag_clock = self.create_publisher(ClockMessage, '/clock', QoSProfile(
                depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
            self._set_time(self._next.moment)
            self.create_timer(CLOCK_PERIOD, self._on_tick, clock=STEADY)
        self.get_logger().info(f'{value["source"]} on {topic} at {value["rate"]:g} Hz')

    def _on_time(self) -> None:
        shot = self._next
        if shot is None:
            raise Finished
        if self._waiting:
            if not self._heard():
                return
            self._waiting = False
        if shot.moment is not None:
            self._set_time(shot.moment)
        if isinstance(shot, RecordedMessage):
            (self._confirmations.get(shot.topic) or self._photo_eye).publish(shot.raw)
        else:
            self._look(shot.label)
            self._publish(shot)
        if isinstance(self._source, Line):
            self._source.light = self.get_parameter('light').value
        try:
            self._next = next(self._shots, None)
            if self._next is None and self._loop:
                self._shots = self._source.shots()
                self._next = next(self._shots, None)
        except (ValueError, OSError) as error:  # the source is gone, or was changed
            raise Finished(2, str(error)) from None
        if self._next is not None and self._next.pause is not None:
            self._timer.timer_period_ns = max(SHORTEST, int(self._next.pause * 1e9))

    def _heard(self) -> bool:
        """Tell whether somebody listens to the pictures, and to each topic of confirmations."""
        pictures = [p for p in (self._raw, self._compressed) if p is not None]
        return (any(p.get_subscription_count() for p in pictures)
                and all(p.get_subscription_count() for p in self._confirmations.values()))

    def _set_time(self, moment: int) -> None:
        self._moment, self._moment_at = moment, monotonic_ns()
        self._on_tick()

    def _on_tick(self) -> None:
        """Publish the recording's time: it goes on between shots, and stands while we wait."""
        if self._bag_clock is not None:
            now = self._moment + (0 if self._waiting else monotonic_ns() - self._moment_at)
            coming = None if self._next is None else self._next.moment
            if coming is not None and coming >= self._moment:
                now = min(now, coming)  # the next shot may be late, the time not ahead of it
            seconds, nanoseconds = divmod(now, 1_000_000_000)
            self._bag_clock.publish(ClockMessage(clock=Time(sec=seconds, nanosec=nanoseconds)))

    def _look(self, label: str | None) -> None:
        """Say as a photo-eye whether a tool is there, when that changes; label : as of a shot."""
        if self._photo_eye is not None and label is not None and bool(label) is not self._present:
            self._present = bool(label)
            self._photo_eye.publish(Bool(data=self._present))

    def _publish(self, shot: Shot) -> None:
        if shot.key is None:
            header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame_id)
        else:
            header = to_ros.header(shot.key)
        if shot.label is not None:
            shown = {shot.label: 1.0} if shot.label else {}
            self._true_label.publish(to_ros.distribution(from_ros.key(header), shown))
        if self._raw is not None:
            rows, columns = shot.pixels.shape[:2]
            data = array('B')  # the only type that rclpy takes without checking every byte
            data.frombytes(shot.pixels.tobytes())
            self._raw.publish(Image(
                header=header, height=rows, width=columns, encoding=ENCODINGS[shot.order],
                step=len(data) // rows, data=data))
        if self._compressed is not None:
            self._compressed.publish(CompressedImage(
                header=header, format='jpeg', data=array('B', self._jpeg(shot))))

    def _jpeg(self, shot: Shot) -> bytes:
        if shot.encoded is not None:
            return shot.encoded
        pixels = shot.pixels
        if shot.order != 'mono':
            same = InputSpec(pixels.shape[0], pixels.shape[1], 'stretch')
            pixels = fit_image(pixels, same, shot.order)
            pixels = pixels[..., ::-1]
        _, data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality])
        return bytes(data.tobytes())
