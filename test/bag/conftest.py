"""Bags that tests make when they need them: the drawn line, with confirmations."""

from functools import cache
from pathlib import Path

import cv2
import pytest
from tool_recognizer.adapters import to_bag
from tool_recognizer.adapters.bag_writer import BagWriter
from tool_recognizer.adapters.drawing import AssemblyLine
from tool_recognizer.core.recognition import FrameKey

START = 1_790_000_000_123_456_789
PERIOD = 66_666_667
# From the camera's stamp to the recorder, and until the operator has spoken, ns.
TRANSPORT, THOUGHT = 4_000_000, 700_000_000
CONFIRMED = '/tool_recognizer/confirmed_label'


@cache
def line(seed, frames_per_tool):
    return AssemblyLine(seed, frames_per_tool=frames_per_tool)


@pytest.fixture
def line_bag(tmp_path):
    """
    Write a bag of the drawn line; each tool is confirmed once, while it lies in the picture.

    ``light`` gives the light of a frame by its number, ``wrong`` another label to be confirmed
    instead of the true one, by its frame's number; ``extra`` are more (topic, moment, message).
    """
    def write(name='bag', frames=90, *, frames_per_tool=9, compressed=False, seed=0,
              light=lambda number: 1.0, wrong=lambda number, label: label, confirm=True,
              start=START, topic='/image_raw', frame_id='bench', extra=()):
        entries, showing = list(extra), 0
        for number in range(frames):
            pixels, label = line(seed, frames_per_tool).frame(number, light(number))
            pixels = cv2.resize(pixels, (320, 240), interpolation=cv2.INTER_AREA)
            key = FrameKey(start + number * PERIOD, frame_id)
            if compressed:
                data = cv2.imencode('.jpg', pixels[..., ::-1])[1].tobytes()
                entries.append((f'{topic}/compressed', key.stamp + TRANSPORT,
                                to_bag.jpeg(key, data)))
            else:
                entries.append((topic, key.stamp + TRANSPORT, to_bag.image(key, pixels, 'rgb8')))
            showing = showing + 1 if label else 0
            if confirm and showing == 2:
                entries.append((CONFIRMED, key.stamp + THOUGHT,
                                to_bag.distribution(key, {wrong(number, label): 1.0})))
        path = Path(tmp_path) / name
        with BagWriter(path, compress=False) as writer:
            for entry in sorted(entries, key=lambda entry: entry[1]):
                writer.write(*entry)
        return path

    return write
