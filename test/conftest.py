"""What tests share: real photographs, and small models whose answers can be reasoned about."""

import json
from pathlib import Path

import numpy as np
import pytest

PHOTOS = Path(__file__).parent / 'photos'
LABELS = ('hammer', 'screwdriver', 'wrench')


@pytest.fixture(scope='session')
def photos():
    """Return a few real photographs: (path, label)."""
    return [(path, path.parent.name) for path in sorted(PHOTOS.glob('*/*.jpg'))]


@pytest.fixture
def write_model(tmp_path):
    """
    Write a model file: the logits are weights times the mean colour, scaled to 0..4.

    ``slow`` is the number of large matrix products that delay each answer; ``metadata`` and
    ``weights`` override what it says of itself and what it answers.
    """
    onnx = pytest.importorskip('onnx', reason='pip install onnx, to write small models')
    from onnx import helper
    from onnx import numpy_helper

    def write(name='model.onnx', *, labels=LABELS, weights=None, slow=0, metadata=None):
        if weights is None:
            weights = np.eye(3, len(labels), dtype=np.float32)
        nodes = [
            helper.make_node('Cast', ['image'], ['float'], to=onnx.TensorProto.FLOAT),
            helper.make_node('ReduceMean', ['float', 'axes'], ['mean'], keepdims=0),
            helper.make_node('Mul', ['mean', 'scale'], ['features']),
            helper.make_node('MatMul', ['features', 'weights'], ['quick' if slow else 'logits'])]
        constants = {'axes': np.array([1, 2], np.int64), 'scale': np.float32(4 / 255),
                     'weights': np.asarray(weights, np.float32)}
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
             helper.make_tensor_value_info('features', onnx.TensorProto.FLOAT, ['N', 3])],
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
