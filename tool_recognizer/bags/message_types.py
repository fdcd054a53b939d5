"""The types by which messages of a bag are read and written."""

from typing import Any

from rosbags.typesys import get_types_from_msg
from rosbags.typesys import get_typestore
from rosbags.typesys import Stores

# rosbags knows what ROS itself brings; of vision_msgs, this is what is used here.
_VISION_MSGS = {
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score\n',
    'vision_msgs/msg/Classification':
        'std_msgs/Header header\nvision_msgs/ObjectHypothesis[] results\n',
    'vision_msgs/msg/VisionClass': 'uint16 class_id\nstring class_name\n',
    'vision_msgs/msg/LabelInfo':
        'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n',
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y\n',
    'vision_msgs/msg/Pose2D': 'vision_msgs/Point2D position\nfloat64 theta\n',
    'vision_msgs/msg/BoundingBox2D':
        'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n',
    'vision_msgs/msg/ObjectHypothesisWithPose':
        'vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n',
    'vision_msgs/msg/Detection2D':
        'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
        'vision_msgs/BoundingBox2D bbox\nstring id\n',
    'vision_msgs/msg/Detection2DArray':
        'std_msgs/Header header\nvision_msgs/Detection2D[] detections\n'}


def _make_store() -> Any:
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, definition in _VISION_MSGS.items():
        store.register(get_types_from_msg(definition, name))
    return store


# The types by which messages are read and written; their fields are those of the released ones.
STORE = _make_store()
