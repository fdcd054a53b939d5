"""
The floor: a bare rclpy subscriber and a bare ``session.run``, in a process of its own.

It does nothing with the frame but receive it; it runs the same network on a picture that is
ready, and tells when it was done. No recogniser in rclpy and onnxruntime can be quicker.
"""

import sys

import numpy as np
import onnxruntime as ort
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Header


def main() -> None:
    """Run until SIGINT: ``floor.py MODEL raw|jpeg``."""
    model, transport = sys.argv[1:3]
    options = ort.SessionOptions()
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=['CPUExecutionProvider'])
    ready = session.get_inputs()[0]
    picture = np.zeros((1, *ready.shape[1:]), np.uint8)
    rclpy.init()
    node = rclpy.create_node('floor')
    done = node.create_publisher(Header, '/floor/done', QoSProfile(depth=10))

    def on_frame(message: Image | CompressedImage) -> None:
        session.run(None, {ready.name: picture})
        # When, as the stamp; which, as the frame_id.
        stamp = message.header.stamp
        done.publish(Header(stamp=node.get_clock().now().to_msg(),
                            frame_id=f'{stamp.sec * 1_000_000_000 + stamp.nanosec}'))

    kind, topic = {'raw': (Image, '/image_raw'),
                   'jpeg': (CompressedImage, '/image_raw/compressed')}[transport]
    node.create_subscription(kind, topic, on_frame, QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
