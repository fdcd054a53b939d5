"""From core values to messages as bags hold them: the twins of ``to_ros``, without ROS."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tool_recognizer.bags.message_types import STORE
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction

_TYPES = STORE.types
_Header = _TYPES['std_msgs/msg/Header']
_Time = _TYPES['builtin_interfaces/msg/Time']
_Classification = _TYPES['vision_msgs/msg/Classification']
_Hypothesis = _TYPES['vision_msgs/msg/ObjectHypothesis']
_LabelInfo = _TYPES['vision_msgs/msg/LabelInfo']
_VisionClass = _TYPES['vision_msgs/msg/VisionClass']
_Detections = _TYPES['vision_msgs/msg/Detection2DArray']
_Detection = _TYPES['vision_msgs/msg/Detection2D']
_Candidate = _TYPES['vision_msgs/msg/ObjectHypothesisWithPose']
_Box = _TYPES['vision_msgs/msg/BoundingBox2D']
_Pose2D = _TYPES['vision_msgs/msg/Pose2D']
_Point2D = _TYPES['vision_msgs/msg/Point2D']
_Status = _TYPES['diagnostic_msgs/msg/DiagnosticStatus']
_KeyValue = _TYPES['diagnostic_msgs/msg/KeyValue']


def time(stamp: int) -> Any:
    """Write a time given in ns."""
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return _Time(sec=seconds, nanosec=nanoseconds)


def header(key: FrameKey) -> Any:
    """Write the identity of a frame, to the nanosecond."""
    return _Header(stamp=time(key.stamp), frame_id=key.frame_id)


def classification(prediction: Prediction) -> Any:
    """Write every label with its probability, in the model's order."""
    return distribution(prediction.key, dict(zip(
        prediction.labels, map(float, prediction.probabilities), strict=True)))


def distribution(key: FrameKey, probabilities: Mapping[str, float]) -> Any:
    """Write a distribution over labels for one frame."""
    return _Classification(header=header(key), results=[
        _Hypothesis(class_id=label, score=p) for label, p in probabilities.items()])


def decision(key: FrameKey, made: Decision) -> Any:
    """Write a decision: exactly one result."""
    return distribution(key, {made.class_id: made.score})


def detections(prediction: Prediction) -> Any:
    """Write where the object is, with every label's probability; nothing where none was found."""
    found = []
    if prediction.box is not None:
        (x, y), (width, height) = prediction.box.middle, prediction.box.size
        box = _Box(center=_Pose2D(position=_Point2D(x=x, y=y), theta=0.0),
                   size_x=float(width), size_y=float(height))
        found.append(_Detection(
            header=header(prediction.key), bbox=box, id='',
            results=[_Candidate(hypothesis=hypothesis, pose=_nowhere())
                     for hypothesis in classification(prediction).results]))
    return _Detections(header=header(prediction.key), detections=found)


def _nowhere() -> Any:
    """Return the pose that a message has from the start."""
    return _TYPES['geometry_msgs/msg/PoseWithCovariance'](
        pose=_TYPES['geometry_msgs/msg/Pose'](
            position=_TYPES['geometry_msgs/msg/Point'](x=0.0, y=0.0, z=0.0),
            orientation=_TYPES['geometry_msgs/msg/Quaternion'](x=0.0, y=0.0, z=0.0, w=1.0)),
        covariance=np.zeros(36))


def label_info(stamp: int, labels: tuple[str, ...], min_probability: float) -> Any:
    """Write the labels, numbered in the model's order."""
    return _LabelInfo(
        header=_Header(stamp=time(stamp), frame_id=''), threshold=min_probability,
        class_map=[_VisionClass(class_id=number, class_name=label)
                   for number, label in enumerate(labels)])


def status(name: str, hardware_id: str, level: int, message: str,
           values: Mapping[str, object]) -> Any:
    """Write a status; numbers are written so that reading them back gives the same number."""
    return _Status(level=level, name=name, hardware_id=hardware_id, message=message,
                   values=[_KeyValue(key=key, value=str(value)) for key, value in values.items()])


def image(key: FrameKey, pixels: Any, encoding: str) -> Any:
    """
    Write a picture.

    Parameters
    ----------
    key : the frame's identity
    pixels : (H, W, C) or (H, W) uint8
    encoding : as 'rgb8'

    """
    data = np.ascontiguousarray(pixels).reshape(-1)
    return _TYPES['sensor_msgs/msg/Image'](
        header=header(key), height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
        is_bigendian=0, step=data.size // pixels.shape[0], data=data)


def jpeg(key: FrameKey, data: bytes) -> Any:
    """Write a JPEG picture of a frame."""
    return _TYPES['sensor_msgs/msg/CompressedImage'](
        header=header(key), format='jpeg', data=np.frombuffer(data, np.uint8))


def string(text: str) -> Any:
    """Write a text."""
    return _TYPES['std_msgs/msg/String'](data=text)


def number(value: float) -> Any:
    """Write a number."""
    return _TYPES['std_msgs/msg/Float64'](data=float(value))


def truth(value: bool) -> Any:
    """Write yes or no."""
    return _TYPES['std_msgs/msg/Bool'](data=value)
