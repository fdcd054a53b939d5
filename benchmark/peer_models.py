"""
The default model's network in the forms in which networks are exported: pictures of floats in.

Both take (N, 3, S, S) float32, (pixel / 255 - mean) / std, as torchvision's and timm's models do.
So a peer needs neither PyTorch nor a download, and the network is ours to the last weight.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper
from onnx import numpy_helper
from onnx import TensorProto
from tool_recognizer.model.onnx_model import DEFAULT_MODEL

# The default model's first tensor is (pixel - 127) / 128.
MEAN, STD = 127.0 / 255.0, 128.0 / 255.0


def write_int8(path: Path) -> None:
    """Write the default model as it is, but for its input, which it quantises itself."""
    onnx.save(with_float_input(onnx.load(DEFAULT_MODEL)), path)


def write_float32(path: Path) -> None:
    """Write the default model with float32 weights and activations: EfficientNet-Lite0."""
    onnx.save(dequantized(with_float_input(onnx.load(DEFAULT_MODEL))), path)


def with_float_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let a model of the default's kind take normalised floats, channels first."""
    graph = model.graph
    first = next(node for node in graph.node if node.op_type == 'Transpose'
                 and node.input[0] == 'image')
    after = next(node for node in graph.node if node.input[0] == first.output[0])
    quantize = helper.make_node('QuantizeLinear', ['image', *after.input[1:]], first.output)
    nodes = [quantize if node is first else node for node in graph.node]
    side = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    graph.input[0].CopyFrom(helper.make_tensor_value_info(
        'image', TensorProto.FLOAT, ['N', 3, side, side]))
    return _with_nodes(model, nodes)


def dequantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """
    Take all quantisation out of a model.

    Weights become the floats that they stand for. A pair of QuantizeLinear and DequantizeLinear
    goes; one that begins at 0 also was the network's ReLU6, which comes back as a Clip.
    """
    graph = model.graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    made: dict[str, NDArray[np.float32]] = {'six.low': np.array(0.0, np.float32),
                                            'six.high': np.array(6.0, np.float32)}
    same: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        inputs = [same.get(name, name) for name in node.input]
        if node.op_type == 'QuantizeLinear':
            zero = constants[node.input[2]]
            clips = zero.item() == np.iinfo(zero.dtype).min
            same[node.output[0]] = inputs[0]
            if clips:
                nodes.append(helper.make_node('Clip', [inputs[0], 'six.low', 'six.high'],
                                              [f'{node.output[0]}.clipped']))
                same[node.output[0]] = f'{node.output[0]}.clipped'
        elif node.op_type == 'DequantizeLinear' and node.input[0] in constants:
            axis = next((one.i for one in node.attribute if one.name == 'axis'), 1)
            made[node.output[0]] = _floats(*(constants[name] for name in node.input), axis)
        elif node.op_type == 'DequantizeLinear':
            same[node.output[0]] = inputs[0]
        else:
            del node.input[:]
            node.input.extend(inputs)
            nodes.append(node)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in made.items())
    used = {name for node in nodes for name in node.input}
    kept = [one for one in graph.initializer if one.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return _with_nodes(model, nodes)


def _floats(values: NDArray[np.int32], scale: NDArray[np.float32], zero: NDArray[np.int32],
            axis: int) -> NDArray[np.float32]:
    """Return scale * (values - zero), with one scale for all or one a slice of the axis."""
    if scale.ndim:
        shape = [1] * values.ndim
        shape[axis] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return ((values.astype(np.float64) - zero) * scale).astype(np.float32)


def _with_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    # They are copied first, for the list may hold the graph's own, which are deleted with it.
    copied = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copied)
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return model
