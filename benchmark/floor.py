"""
The floor: a bare rclpy subscriber and a bare ``session.run``, in a process of its own.

    python3 -m benchmark.floor WAY WIDTHxHEIGHT

WAY is how a frame becomes the network's picture: ``nearest`` for raw frames, the quickest of
OpenCV's resizes; ``simplejpeg`` or ``opencv`` for JPEGs, decoded at the smallest scale that is
still as large as the picture, of which the quicker is chosen by ``fastest_decoder``. The session
is the recognizer's, with its settings, and the process keeps its memory as the recognizer's does.
No recognizer in rclpy and onnxruntime can be quicker.

With ``raw`` or ``jpeg`` as WAY nothing is done with the frame: the network runs on a picture that
is ready, in a session with onnxruntime's own settings. That is less than a recognizer can do.
"""

from collections.abc import Callable
from functools import partial
import sys
from time import perf_counter
from typing import Any

from benchmark.spun_node import until_signal
import cv2
import numpy as np
from numpy.typing import NDArray
import onnxruntime as ort
import rclpy
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
import simplejpeg
from std_msgs.msg import Header
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.process_memory import keep_for_pictures

Pixels = NDArray[np.uint8]
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4,
           2: cv2.IMREAD_REDUCED_COLOR_2, 1: cv2.IMREAD_COLOR}
TRIES = 20


def content(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the rows and columns that a frame takes of a square picture, all of it shown."""
    scale = side / max(width, height)
    return round(height * scale), round(width * scale)


def decoder(way: str, width: int, height: int, rows: int, columns: int) -> Callable[[Any], Pixels]:
    """
    Return a decoder of JPEGs, at the smallest scale that is at least rows x columns.

    Parameters
    ----------
    way : 'simplejpeg' or 'opencv'
    width, height : of the JPEGs, pixels
    rows, columns : the least that is wanted

    Returns
    -------
    From the JPEG's bytes to (H, W, 3) uint8; OpenCV's are BGR, which costs a floor nothing

    """
    if way == 'simplejpeg':
        return lambda data: simplejpeg.decode_jpeg(
            data, fastdct=True, fastupsample=True, min_height=rows, min_width=columns)
    flag = next(flag for reduced, flag in REDUCED.items()
                if (height >= rows * reduced and width >= columns * reduced) or reduced == 1)
    return lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), flag)


def fastest_decoder(data: Any, width: int, height: int, side: int) -> str:
    """Return which decoder is the quicker for such JPEGs, by the best of some turns of each."""
    rows, columns = content(width, height, side)
    best = dict.fromkeys(('simplejpeg', 'opencv'), float('inf'))
    for _ in range(TRIES):
        for way in best:
            decode = decoder(way, width, height, rows, columns)
            start = perf_counter()
            decode(data)
            best[way] = min(best[way], perf_counter() - start)
    return min(best, key=lambda way: best[way])


def picture_maker(way: str, width: int, height: int, side: int) -> Callable[[Any], Pixels]:
    """Return what makes (1, side, side, 3) uint8 of a message; see the module for the ways."""
    picture = np.zeros((1, side, side, 3), np.uint8)
    if way in ('raw', 'jpeg'):
        return lambda message: picture
    rows, columns = content(width, height, side)
    top, left = (side - rows) // 2, (side - columns) // 2
    shown = picture[0, top:top + rows, left:left + columns]
    decode = (lambda data: np.frombuffer(data, np.uint8).reshape(height, width, 3)
              ) if way == 'nearest' else decoder(way, width, height, rows, columns)

    def make(message: Any) -> Pixels:
        shown[:] = cv2.resize(decode(message.data), (columns, rows),
                              interpolation=cv2.INTER_NEAREST)
        return picture
    return make


def main() -> None:
    """Run until SIGINT."""
    way, size = sys.argv[1:3]
    width, height = (int(length) for length in size.split('x'))
    model = OnnxModel.load(DEFAULT_MODEL)
    session = model._session
    keep_for_pictures()
    if way in ('raw', 'jpeg'):
        options = ort.SessionOptions()
        options.inter_op_num_threads = 1
        session = ort.InferenceSession(DEFAULT_MODEL, options, providers=['CPUExecutionProvider'])
    make = picture_maker(way, width, height, model.input.height)
    rclpy.init()
    node = rclpy.create_node('floor')
    done = node.create_publisher(Header, 'done', QoSProfile(depth=10))

    def on_frame(message: Image | CompressedImage) -> None:
        session.run(None, {'image': make(message)})
        # When, as the stamp; which, as the frame_id.
        stamp = message.header.stamp
        done.publish(Header(stamp=node.get_clock().now().to_msg(),
                            frame_id=f'{stamp.sec * 1_000_000_000 + stamp.nanosec}'))

    kind, topic = ((Image, 'image_raw') if way in ('raw', 'nearest')
                   else (CompressedImage, 'image_raw/compressed'))
    node.create_subscription(kind, topic, on_frame, QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    until_signal(partial(rclpy.spin, node))


if __name__ == '__main__':
    main()
