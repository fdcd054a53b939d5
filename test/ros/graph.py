"""What tests over DDS share: a camera, an operator, and the messages that they send."""

from array import array
from contextlib import closing
import sqlite3
from time import sleep

from builtin_interfaces.msg import Time
import cv2
from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification
from vision_msgs.msg import ObjectHypothesis

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
LABELS = ['hammer', 'screwdriver', 'wrench']


def header(number, frame_id='bench'):
    """Return a frame's header; a JavaScript number could not hold its stamp."""
    return Header(stamp=Time(sec=1_700_000_000 + number, nanosec=number + 1), frame_id=frame_id)


def raw(pixels, head, encoding='bgr8'):
    return Image(header=head, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                 step=pixels.shape[1] * pixels.shape[2], data=array('B', pixels.tobytes()))


def flat(colour, head):
    """Return a picture of one colour, for models whose prediction is its mean."""
    return raw(np.full((16, 16, 3), colour, np.uint8), head, 'rgb8')


def png(colour):
    return cv2.imencode('.png', np.full((16, 16, 3), colour, np.uint8))[1].tobytes()


def confirmed(head, label='wrench', **scores):
    scores = scores or {label: 1.0}
    return Classification(header=head, results=[
        ObjectHypothesis(class_id=name, score=score) for name, score in scores.items()])


def probabilities(message):
    return np.array([result.score for result in message.results])


CONFIRMATIONS = "SELECT count(*) FROM events WHERE kind = 'confirmed'"


def rows(path, sql, *arguments):
    """Query a journal while a node writes it."""
    with closing(sqlite3.connect(f'{path.as_uri()}?mode=ro', timeout=60.0, uri=True)) as db:
        return db.execute(sql, arguments).fetchall()


def values(status):
    return {entry.key: entry.value for entry in status.values}


class Camera:
    """
    Publish frames one by one, each only after the one before was dealt with.

    Two ends of a topic do not find each other at the same moment, so frames that nobody counts
    go first, until one is answered.
    """

    def __init__(self, peer, topic='/image_raw', kind=Image, node='/tool_recognizer'):
        self.peer = peer
        self.first = []
        self.answers = peer.collect(Classification, f'{node}/classification', keep=self.counts)
        self.decisions = peer.collect(Classification, f'{node}/decision', keep=self.counts)
        self.monitor = peer.collect(DiagnosticStatus, f'{node}/monitor', LATCHED)
        self.publisher = peer.publisher(kind, topic)
        peer.wait_for_subscriber(self.publisher)
        head = header(0, 'first')
        first = flat((0, 0, 0), head) if kind is Image else CompressedImage(
            header=head, format='png', data=png((0, 0, 0)))

        def answered():
            self.publisher.publish(first)
            sleep(0.2)
            kinds = {len(message.results) for message in self.first}
            return kinds - {1} and (1 in kinds or self.decisions)
        peer.wait(answered, 'a first prediction and a first decision')

    def counts(self, message):
        if message.header.frame_id != 'first':
            return True
        if message.results[0].class_id != 'stale:no_frame':
            self.first.append(message)
            return False
        return True

    def answer(self, message):
        count = len(self.answers)
        self.publisher.publish(message)
        self.peer.wait(lambda: len(self.answers) > count, 'no prediction')
        return self.answers[count]


class Operator:

    def __init__(self, camera, node='/tool_recognizer'):
        self.camera = camera
        self.publisher = camera.peer.publisher(Classification, f'{node}/confirmed_label')
        camera.peer.wait_for_subscriber(self.publisher)
        camera.peer.meet(node)

    def confirm(self, message, **expected):
        """Confirm, and wait until the monitor's figures are as expected."""
        self.publisher.publish(message)
        return self.camera.peer.wait(lambda: self.said(**expected),
                                     f'the monitor never said {expected}')

    def said(self, **expected):
        for status in reversed(self.camera.monitor):
            if all(values(status)[name] == str(value) for name, value in expected.items()):
                return values(status)
        return None
