"""
Hostile frames and confirmations among good ones: the node lives, and counts each of them.

It runs with ``DATA`` bytes of memory of its own at most. ``TOOL_RECOGNIZER_FUZZ=10000`` sends so
many of each.
"""

from array import array
from contextlib import suppress
import json
import os
import random
import resource
import struct
import zlib

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from graph import header
from graph import LABELS
from graph import values
import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Classification

NAME = '/tool_recognizer'
FUZZ = int(os.environ.get('TOOL_RECOGNIZER_FUZZ', '100'))
# What it may allocate. (RLIMIT_AS would count address space that nothing lies in: its threads'
# heaps reserve some gigabytes.)
DATA = 1 << 30
DEEP = QoSProfile(depth=1000)
# Hostile ones between two good ones; confirmations that are on their way at most.
BETWEEN, AHEAD = 5, 50
# How often a good frame is shown, which a camera may lose, and for how many seconds each.
TRIES, TRY = 10, 9.0


def jpeg(colour):
    return cv2.imencode('.jpg', np.full((48, 64, 3), colour, np.uint8))[1].tobytes()


def png(width, height, depth=16, kind=6):
    """Return a PNG that claims a size, and holds next to nothing of it."""
    def chunk(name, data):
        return (struct.pack('>I', len(data)) + name + data
                + struct.pack('>I', zlib.crc32(name + data)))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack(
        '>IIBBBBB', width, height, depth, kind, 0, 0, 0)) + chunk(
            b'IDAT', zlib.compress(bytes(100_000))) + chunk(b'IEND', b'')


def resized(picture, width, height):
    """Return a JPEG whose header claims another size."""
    at = picture.index(b'\xff\xc0') + 5
    return picture[:at] + struct.pack('>HH', height, width) + picture[at + 4:]


WHOLE = jpeg((40, 80, 120))
PICTURES = (
    b'', b'\xff', bytes(5000), b'{"a": 1}' * 100,
    b'GIF89a' + struct.pack('<HH', 32000, 32000) + b'\x80\0\0\0\0\0\xff\xff\xff,' + bytes(4)
    + struct.pack('<HH', 32000, 32000) + b'\0\x02\x02D\x01\0;',
    png(10_000, 10_000), png(60_000, 60_000, 8, 2), png(2**31 - 1, 2**31 - 1), png(0, 5),
    resized(WHOLE, 60_000, 60_000), resized(WHOLE, 9_000, 9_000), resized(WHOLE, 0, 0),
    WHOLE[:len(WHOLE) // 2], WHOLE[:30],
    b'BM' + struct.pack('<IIIIiiHH', 1000, 0, 54, 40, 30_000, 30_000, 1, 24) + bytes(24),
    b'II*\0' + struct.pack('<IH', 8, 1) + bytes(100),
    b'RIFF' + struct.pack('<I', 100) + b'WEBPVP8 ' + bytes(88))


class Camera:
    """Sends good frames, and makes sure of each, with hostile ones between them."""

    def __init__(self, peer, rng):
        self._peer, self._rng, self.number = peer, rng, 0
        self.answered = peer.collect(Classification, f'{NAME}/classification', DEEP)
        self._publisher = peer.publisher(CompressedImage, '/image_raw/compressed')
        peer.wait_for_subscriber(self._publisher)

    def _show(self, data, frame_id):
        self.number += 1
        self._publisher.publish(CompressedImage(
            header=header(self.number, frame_id), format='jpeg', data=array('B', data)))

    def attack(self, count):
        for _ in range(count):
            self._show(self._rng.choice(PICTURES), 'hostile')

    def show(self):
        """Show a good frame until one is answered; return its header."""
        known = len(self.answered)
        for _ in range(TRIES):
            self._show(jpeg([self._rng.randrange(256) for _ in range(3)]), 'good')
            with suppress(AssertionError):  # it was replaced by a newer one, or lost
                self._peer.wait(lambda: len(self.answered) > known, patience=TRY)
                return self.answered[-1].header
        raise AssertionError('no good frame is answered')


def hostile(rng, number):
    """Return what stands in a hostile confirmation, in place of what a good one has."""
    return rng.choice((
        {'distribution': '[' * 100_000}, {'distribution': '{"a":' * 50_000},
        {'distribution': f'{{"wrench": {"9" * 400}}}'}, {'distribution': '{"\\ud800": 1.0}'},
        {'distribution': json.dumps({'x' * 1_000_000: 1.0})}, {'distribution': '{"wrench": NaN}'},
        {'distribution': '{"wrench": 1e999}'}, {'distribution': '{"wrench": -1}'},
        {'distribution': json.dumps({f'label {n}': 1e-4 for n in range(10_000)})},
        {'distribution': 'null'}, {'distribution': '{}'}, {'distribution': ''},
        {'stamp': str(2 ** 63 + number)}, {'stamp': '9' * 5000}, {'stamp': str(-2 ** 70)},
        {'stamp': 'now'}, {'stamp': ''}, {'frame_id': 'f' * 100_000},
        {'operator': 'o' * 1_000_000}, {'operator': '\x1b[2J\r\n'},
        {'stamp': str(number)}, {'distribution': '{"anvil": 1.0}'}))


class Operator:
    """
    Sends confirmations, and keeps what became of each.

    Attributes
    ----------
    outcomes : by nonce; None: not acknowledged yet

    """

    def __init__(self, peer):
        self._peer, self.outcomes = peer, {}
        self._publisher = peer.publisher(DiagnosticStatus, f'{NAME}/confirmation', DEEP)
        peer.collect(DiagnosticStatus, f'{NAME}/confirmation_ack', DEEP, keep=self._acknowledged)
        peer.wait_for_subscriber(self._publisher)

    def _acknowledged(self, message):
        said = values(message)
        # Each once, and none that was not sent.
        assert self.outcomes.get(said['nonce'], '') is None, said
        self.outcomes[said['nonce']] = said['outcome']
        return False

    @property
    def open(self):  # noqa: A003
        return [nonce for nonce, outcome in [*self.outcomes.items()] if outcome is None]

    def confirm(self, head, label, **instead):
        """Confirm a frame; some of what is said may be replaced."""
        nonce = f'{"hostile" if instead else "good"}-{len(self.outcomes):08d}'
        self.outcomes[nonce] = None
        said = {'stamp': str(head.stamp.sec * 1_000_000_000 + head.stamp.nanosec),
                'frame_id': head.frame_id, 'distribution': json.dumps({label: 1.0}),
                'operator': 'me', 'nonce': nonce} | instead
        self._publisher.publish(DiagnosticStatus(
            name='confirmation',
            values=[KeyValue(key=key, value=value) for key, value in said.items()]))
        self._peer.wait(lambda: len(self.open) < AHEAD, 'nothing is acknowledged')


def test_a_flood_is_survived_in_little_memory_and_every_good_frame_and_confirmation_counts(
        peer, recognizer, write_model, tmp_path):
    rng = random.Random(FUZZ)
    program = recognizer(**{'model_path': write_model(), 'image_transport': 'compressed',
                            'journal.path': tmp_path / 'journal.db'})
    camera, operator = Camera(peer, rng), Operator(peer)
    told = peer.collect(DiagnosticArray, '/diagnostics')
    head = camera.show()
    operator.confirm(head, 'wrench')
    peer.wait(lambda: not operator.open, 'no first acknowledgement')
    resource.prlimit(program.process.pid, resource.RLIMIT_DATA, (DATA, DATA))
    for number in range(0, FUZZ, BETWEEN):
        camera.attack(BETWEEN)
        for more in range(BETWEEN):
            operator.confirm(head, 'wrench', **hostile(rng, number + more))
        head = camera.show()
        operator.confirm(head, rng.choice(LABELS))
        assert program.process.poll() is None, program.output[-2000:]
    peer.wait(lambda: not operator.open, 'some are not acknowledged')

    def counted():
        """Return the counters, once they speak of all that was answered, and none is in work."""
        for array_of in reversed(told):
            for status in array_of.status:
                if status.name.endswith(': input'):
                    found = values(status)
                    dropped = sum(int(n) for name, n in found.items()
                                  if name.startswith('dropped_'))
                    return (int(found['answered']) == len(camera.answered)
                            == int(found['received']) - dropped and found)
        return False
    told.clear()
    counts = peer.wait(counted, 'the counters do not say so')
    # Only good frames are answered; each of the others was dropped for a reason.
    assert {message.header.frame_id for message in camera.answered} == {'good'}
    dropped = {name: int(n) for name, n in counts.items() if name.startswith('dropped_')}
    assert int(counts['received']) == len(camera.answered) + sum(dropped.values())
    assert 'dropped_error' not in dropped
    # Every good confirmation is scored, every hostile one refused, or kept without a score.
    outcomes = operator.outcomes
    assert {outcomes[nonce] for nonce in outcomes if nonce.startswith('good')} == {'scored'}
    refused = [nonce for nonce, outcome in outcomes.items() if outcome == 'refused']
    assert all(nonce.startswith('hostile') for nonce in refused)
    assert len(refused) == int(counts['invalid_confirmations'])
    assert len(refused) > FUZZ / 2
