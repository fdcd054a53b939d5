"""The node ``/camera``: frames from a folder, a video, a device, a bag or the drawn line."""

from array import array
from typing import Any

import cv2
from rcl_interfaces.msg import FloatingPointRange
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tool_recognizer.adapters import from_ros
from tool_recognizer.adapters import to_ros
from tool_recognizer.adapters.sources import Line
from tool_recognizer.adapters.sources import open_source
from tool_recognizer.adapters.sources import Shot
from tool_recognizer.arguments import Parser
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.running import Finished
from tool_recognizer.running import run_node
from vision_msgs.msg import Classification

SUMMARY = 'a camera node: a folder, a video, a device, a bag or the drawn line as a camera'

# Nanoseconds between two shots, at the least.
SHORTEST = 1_000_000
ENCODINGS = {'rgb': 'rgb8', 'bgr': 'bgr8', 'rgba': 'rgba8', 'bgra': 'bgra8', 'mono': 'mono8'}


class CameraNode(Node):
    """
    Publish ``image_raw`` and ``image_raw/compressed``, and what is shown on ``~/true_label``.

    Parameters
    ----------
    source : see ``open_source``; the parameter ``source`` stands before it, likewise the others
    rate : frames per second, where the source has no pace of its own
    transport : 'raw', 'compressed' or 'both'
    loop : start again at the end of the source

    Raises
    ------
    SourceError
        The source cannot be used.

    """

    def __init__(self, source: str = 'line', rate: float = 15.0, transport: str = 'raw',
                 loop: bool = True, **options: Any) -> None:
        super().__init__('camera', **options)
        read_only = ParameterDescriptor(read_only=True)
        value = {name: self.declare_parameter(name, default, read_only).value
                 for name, default in (
                     ('source', source), ('rate', float(rate)), ('transport', transport),
                     ('loop', loop), ('frame_id', 'camera'), ('seed', 0), ('bag_topic', ''),
                     ('jpeg_quality', 90))}
        if value['transport'] not in ('raw', 'compressed', 'both'):
            raise ValueError(f'transport must be raw, compressed or both, '
                             f'got {value["transport"]!r}')
        if not 0.0 < value['rate'] <= 1000.0:
            raise ValueError(f'rate must be in 0 .. 1000 frames per second, got {value["rate"]}')
        self._loop, self._frame_id = value['loop'], value['frame_id']
        self._jpeg_quality = value['jpeg_quality']
        self._source = open_source(value['source'], tell=self.get_logger().warning,
                                   seed=value['seed'], topic=value['bag_topic'])
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
        self._shots = self._source.shots()
        self._next = next(self._shots, None)
        if self._next is None:
            raise ValueError(f'source {value["source"]!r} has nothing to show')
        self._timer = self.create_timer(1.0 / value['rate'], self._on_time,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(f'{value["source"]} on {topic} at {value["rate"]:g} Hz')

    def _on_time(self) -> None:
        shot = self._next
        if shot is None:
            raise Finished
        self._publish(shot)
        if isinstance(self._source, Line):
            self._source.light = self.get_parameter('light').value
        self._next = next(self._shots, None)
        if self._next is None and self._loop:
            self._shots = self._source.shots()
            self._next = next(self._shots, None)
        if self._next is not None and self._next.pause is not None:
            self._timer.timer_period_ns = max(SHORTEST, int(self._next.pause * 1e9))

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
            data = array('B')  # the only type that rclpy takes without a look at every byte
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


def main(argv: list[str] | None = None) -> int:
    """Run the node until its source or the user ends it; return the exit status."""
    parser = Parser('camera', SUMMARY, (
        'camera', 'camera --source photos/ --rate 5', 'camera --source /dev/video0',
        'camera --source recording.mcap --transport both'))
    parser.add_argument('--source', default='line',
                        help='line (drawn), a folder of pictures (its folders name what they '
                             'show), a video, a device or a bag (default: line)')
    parser.add_argument('--rate', type=float, default=15.0,
                        help='frames per second (default: 15); a video or a bag has its own')
    parser.add_argument('--transport', choices=('raw', 'compressed', 'both'), default='raw',
                        help='image_raw, image_raw/compressed or both (default: raw)')
    parser.add_argument('--once', dest='loop', action='store_false',
                        help='end with the source instead of starting it again')
    return run_node(CameraNode, parser, argv)
