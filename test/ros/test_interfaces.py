"""A peer with the released vision_msgs 4.1.1 must understand ours, and we its."""
import pytest
import rclpy
from vision_msgs.msg import BoundingBox2D
from vision_msgs.msg import Classification
from vision_msgs.msg import Detection2D
from vision_msgs.msg import Detection2DArray
from vision_msgs.msg import LabelInfo
from vision_msgs.msg import ObjectHypothesis
from vision_msgs.msg import ObjectHypothesisWithPose
from vision_msgs.msg import Point2D
from vision_msgs.msg import Pose2D
from vision_msgs.msg import VisionClass

# Made from the released definitions. DDS lets no two peers talk whose hashes differ.
RELEASED = {
    BoundingBox2D: 'RIHS01_008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    Classification: 'RIHS01_f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143',
    Detection2D: 'RIHS01_0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    Detection2DArray: 'RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    LabelInfo: 'RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
    ObjectHypothesis: 'RIHS01_51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    ObjectHypothesisWithPose:
        'RIHS01_41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
    Point2D: 'RIHS01_eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    Pose2D: 'RIHS01_b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    VisionClass: 'RIHS01_1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a',
}


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('test_interfaces', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.mark.parametrize('message', RELEASED, ids=lambda message: message.__name__)
def test_a_type_is_announced_with_the_hash_of_the_released_one(node, message):
    node.create_publisher(message, 'announced', 1)
    (announced,) = node.get_publishers_info_by_topic('announced')
    assert str(announced.topic_type_hash) == RELEASED[message]
