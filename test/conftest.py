"""What tests share: real photographs, small models to reason about, bags of the drawn line."""

from functools import cache
import json
import os
from pathlib import Path
import random
import signal
import socket

import cv2
from hypothesis import HealthCheck
from hypothesis import settings
import numpy as np
import pytest
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.pictures.line import AssemblyLine

# In the background of a shell Ctrl-C is ignored, also by the programs that the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# With nohup the end of a terminal is, too.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long something takes on a busy machine is no fault; and what is drawn is the same in each
# run, so that a test fails for who changes something and not for who comes by. To look for more:
# pytest --hypothesis-profile=exploring
for name, same in (('unhurried', True), ('exploring', False)):
    settings.register_profile(name, deadline=None, derandomize=same,
                              suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('unhurried')


def claim(first):
    """
    Return a ROS domain that no other run of these tests on this machine has.

    The next one is kept, too: a test uses it. A name in Linux's abstract namespace of sockets is
    taken until the process ends, however it does.
    """
    for number in range(100):
        domain = (first + 41 * number - 1) % 100 + 1
        claims = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        try:
            for claimed, one in zip((domain, domain % 100 + 1), claims, strict=True):
                one.bind(f'\0tests of tool_recognizer in ROS domain {claimed}')
        except OSError:
            for one in claims:
                one.close()
        else:
            for one in claims:
                one.detach()  # and never closed
            return domain
    raise RuntimeError('other runs of these tests take all ROS domains')


# Tests that run beside each other, of one run or of several, must not hear each other.
os.environ['ROS_DOMAIN_ID'] = str(claim(
    int(os.environ.get('ROS_DOMAIN_ID') or random.randint(1, 100))))

PHOTOS = Path(__file__).parent / 'photos'
LABELS = ('hammer', 'screwdriver', 'wrench')
START = 1_790_000_000_123_456_789
PERIOD = 66_666_667
# From the camera's stamp to the recorder, and until the operator has spoken, ns.
TRANSPORT, THOUGHT = 4_000_000, 700_000_000
CONFIRMED = '/tool_recognizer/confirmed_label'


@pytest.fixture(scope='session')
def cases():
    """Return the folder of inputs that once failed, which lies beside the checkout."""
    for folder in Path(__file__).parents:
        if (folder / 'shared' / 'cases').is_dir():
            return folder / 'shared' / 'cases'
    return pytest.skip('the inputs that once failed are not here: no shared/cases')


@pytest.fixture(scope='session')
def photos():
    """Return a few real photographs: (path, label)."""
    return [(path, path.parent.name) for path in sorted(PHOTOS.glob('*/*.jpg'))]


@pytest.fixture
def write_model(tmp_path):
    """
    Write a model file: the logits are weights times the mean colour, scaled to 0..4.

    ``slow`` is the number of large matrix products that delay each answer; ``metadata`` and
    ``weights`` override what it says of itself and what it answers. ``features`` is how many there
    are: 3 are the mean colour, more are mixtures of it.
    """
    onnx = pytest.importorskip('onnx', reason='pip install onnx, to write small models')
    from onnx import helper
    from onnx import numpy_helper

    def write(name='model.onnx', *, labels=LABELS, weights=None, slow=0, metadata=None,
              features=3):
        if weights is None:
            weights = np.eye(3, len(labels), dtype=np.float32)
        nodes = [
            helper.make_node('Cast', ['image'], ['float'], to=onnx.TensorProto.FLOAT),
            helper.make_node('ReduceMean', ['float', 'axes'], ['mean'], keepdims=0),
            helper.make_node('Mul', ['mean', 'scale'], ['colour']),
            helper.make_node('MatMul', ['colour', 'mixture'], ['features']),
            helper.make_node('MatMul', ['colour', 'weights'], ['quick' if slow else 'logits'])]
        mixture = (np.eye(3) if features == 3 else
                   np.random.default_rng(0).standard_normal((3, features)))
        constants = {'axes': np.array([1, 2], np.int64), 'scale': np.float32(4 / 255),
                     'weights': np.asarray(weights, np.float32),
                     'mixture': np.asarray(mixture, np.float32)}
        if slow:
            constants |= {'shape': np.array([1500, 1500], np.int64), 'tiny': np.float32(1e-9),
                          'all': np.array([0, 1], np.int64)}
            nodes += [
                helper.make_node('ReduceSum', ['quick', 'all'], ['sum'], keepdims=0),
                helper.make_node('Mul', ['sum', 'tiny'], ['small']),
                helper.make_node('Expand', ['small', 'shape'], ['matrix0'])]
            nodes += [helper.make_node('MatMul', [f'matrix{i}', f'matrix{i}'], [f'matrix{i + 1}'])
                      for i in range(slow)]
            nodes += [
                helper.make_node('ReduceSum', [f'matrix{slow}', 'all'], ['rest'], keepdims=0),
                helper.make_node('Add', ['quick', 'rest'], ['logits'])]
        graph = helper.make_graph(
            nodes, 'mean_colour',
            [helper.make_tensor_value_info('image', onnx.TensorProto.UINT8, ['N', 16, 16, 3])],
            [helper.make_tensor_value_info('logits', onnx.TensorProto.FLOAT, ['N', len(labels)]),
             helper.make_tensor_value_info('features', onnx.TensorProto.FLOAT,
                                           ['N', features])],
            [numpy_helper.from_array(np.asarray(value), key)
             for key, value in constants.items()])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)])
        model.ir_version = 9
        said = {'schema': 1, 'name': 'mean colour', 'version': '1', 'labels': list(labels),
                'input': {'height': 16, 'width': 16, 'fit': 'stretch'}, 'temperature': 1.0}
        said |= metadata or {}
        entry = model.metadata_props.add()
        entry.key, entry.value = 'tool_recognizer', json.dumps(said)
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return write


@cache
def line(seed, frames_per_tool):
    return AssemblyLine(seed, frames_per_tool=frames_per_tool)


@pytest.fixture
def line_bag(tmp_path):
    """
    Write a bag of the drawn line; each tool is confirmed once, while it lies in the picture.

    ``light`` gives the light of a frame by its number, ``wrong`` another label to be confirmed
    instead of the true one, by its frame's number; ``extra`` are more (topic, moment, message);
    ``size`` is in columns and rows, ``period`` the time between two frames, ns.
    """
    def write(name='bag', frames=90, *, frames_per_tool=9, compressed=False, seed=0,
              light=lambda number: 1.0, wrong=lambda number, label: label, confirm=True,
              start=START, topic='/image_raw', frame_id='bench', extra=(),
              size=(320, 240), confirmed=CONFIRMED, period=PERIOD):
        entries, showing = list(extra), 0
        for number in range(frames):
            pixels, label = line(seed, frames_per_tool).frame(number, light(number))
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
            key = FrameKey(start + number * period, frame_id)
            if compressed:
                data = cv2.imencode('.jpg', pixels[..., ::-1])[1].tobytes()
                entries.append((f'{topic}/compressed', key.stamp + TRANSPORT,
                                to_bag.jpeg(key, data)))
            else:
                entries.append((topic, key.stamp + TRANSPORT, to_bag.image(key, pixels, 'rgb8')))
            showing = showing + 1 if label else 0
            if confirm and showing == 2:
                entries.append((confirmed, key.stamp + THOUGHT,
                                to_bag.distribution(key, {wrong(number, label): 1.0})))
        path = Path(tmp_path) / name
        with BagWriter(path, compress=False) as writer:
            for entry in sorted(entries, key=lambda entry: entry[1]):
                writer.write(*entry)
        return path

    return write
