"""What each stage of an answer costs by itself, in one process, beside the bare session.run."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from benchmark.camera import Camera
from benchmark.spun_node import SpunNode
import numpy as np
from rclpy.qos import QoSProfile
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.recognition import recognize
from tool_recognizer.messages import from_ros
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.ros import to_ros
from vision_msgs.msg import Classification

LEAST, SECONDS = 5, 0.3
FLOOR, ALL = 'session.run', 'all but publish'
STAGES = ('view', 'decode', 'resize', 'infer', 'softmax', 'publish', ALL, FLOOR)


def stages(model: OnnxModel, bench: SpunNode, camera: Camera, message: Any) -> dict[str, float]:
    """Return milliseconds for each stage, and for all of them as ``recognize`` does them."""
    publisher = bench.node.create_publisher(Classification, '/bench', QoSProfile(depth=10))
    frame = from_ros.frame(message, model.input)
    image = fit_image(frame.pixels, model.input, frame.order)[np.newaxis]
    logits = model.infer(image).logits
    answer = recognize(frame, model)
    session = model._session
    found = {
        'view' if camera.transport == 'raw' else 'decode':
            median(lambda: from_ros.frame(message, model.input)),
        'resize': median(lambda: fit_image(frame.pixels, model.input, frame.order)),
        'infer': median(lambda: model.infer(image)),
        'softmax': median(lambda: log_softmax(logits[0], model.temperature)),
        'publish': median(lambda: publisher.publish(to_ros.classification(answer))),
        ALL: median(lambda: recognize(from_ros.frame(message, model.input), model)),
        FLOOR: median(lambda: session.run(None, {'image': image}))}
    bench.node.destroy_publisher(publisher)
    return found


def median(work: Callable[[], object]) -> float:
    """Milliseconds that a call takes, the median over some time."""
    work()
    times = []
    end = perf_counter() + SECONDS
    while perf_counter() < end or len(times) < LEAST:
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return float(np.median(times)) * 1e3
