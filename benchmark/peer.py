"""
A peer: a classifying node as such nodes are written today, in a process of its own.

    python3 -m benchmark.peer MODEL.onnx raw|jpeg

A frame becomes OpenCV's BGR as cv_bridge makes it, is resized with OpenCV's default filter,
normalised in numpy as floats, and put before an ImageNet classifier in an onnxruntime session with
the default settings. A queue of ten, a MultiThreadedExecutor. It serves to compare, and leaves out
all that a frame may do wrong. Its cv_bridge is written out here, for the pure Python one on PyPI
does not read OpenCV 5's numbers of types; a copy of the pixels is what it costs, too.
"""

import sys

from benchmark.peer_models import MEAN
from benchmark.peer_models import STD
from benchmark.spun_node import until_signal
import cv2
import numpy as np
from numpy.typing import NDArray
import onnxruntime as ort
import rclpy
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification
from vision_msgs.msg import ObjectHypothesis


class Peer(Node):
    """
    See the module.

    Parameters
    ----------
    model : path of the ONNX file
    transport : 'raw' or 'jpeg'

    """

    def __init__(self, model: str, transport: str) -> None:
        super().__init__('classifier')
        self._session = ort.InferenceSession(model, providers=['CPUExecutionProvider'])
        self._input = self._session.get_inputs()[0]
        self._mean = np.full(3, MEAN, np.float32)
        self._std = np.full(3, STD, np.float32)
        self._answers = self.create_publisher(Classification, 'classification', 10)
        if transport == 'raw':
            self.create_subscription(Image, 'image_raw', self._on_image, 10)
        else:
            self.create_subscription(CompressedImage, 'image_raw/compressed',
                                     self._on_compressed, 10)

    def _on_image(self, message: Image) -> None:
        pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        self._answer(message, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))

    def _on_compressed(self, message: CompressedImage) -> None:
        data = np.frombuffer(message.data, np.uint8)
        self._answer(message, cv2.imdecode(data, cv2.IMREAD_COLOR))

    def _answer(self, message: Image | CompressedImage, bgr: NDArray[np.uint8]) -> None:
        picture = cv2.cvtColor(cv2.resize(bgr, self._input.shape[:1:-1]), cv2.COLOR_BGR2RGB)
        x = (picture.astype(np.float32) / 255.0 - self._mean) / self._std
        x = np.ascontiguousarray(x.transpose(2, 0, 1)[np.newaxis])
        logits = self._session.run(['logits'], {self._input.name: x})[0][0]
        exp = np.exp(logits - logits.max())
        self._answers.publish(Classification(header=message.header, results=[
            ObjectHypothesis(class_id=str(index), score=float(score))
            for index, score in enumerate(exp / exp.sum())]))


def main() -> None:
    """Run until SIGINT."""
    rclpy.init()
    executor = MultiThreadedExecutor()
    executor.add_node(Peer(*sys.argv[1:3]))
    until_signal(executor.spin)


if __name__ == '__main__':
    main()
