"""A classifier as torchvision or timm export it runs by what is said of it alone."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import recognize
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.model.onnx_model import read_labels
from tool_recognizer.programs.evaluate import main as evaluate
from tool_recognizer.programs.model import main as model_program
from tool_recognizer.programs.replay import main as replay

PHOTOS = Path(__file__).parent.parent / 'photos'
CLASSES, SIDE = 1000, 32
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope='module')
def weights():
    """
    Return weights for which class k stands for one colour: the columns are points of a grid.

    The score of class k is the negative squared distance of the mean colour to colour k.
    """
    rng = np.random.default_rng(0)
    colours = rng.uniform(30, 225, (CLASSES, 3))
    x = (colours / 255 - MEAN) / STD
    return colours, 40 * x.T, -20 * (x * x).sum(axis=1)


@pytest.fixture(scope='module')
def exported(tmp_path_factory, weights):
    """Write the graph as the exporters do: NCHW float input, convolution, pooling, Gemm."""
    onnx = pytest.importorskip('onnx', reason='pip install onnx, to write a classifier')
    from onnx import helper
    from onnx import numpy_helper
    _, weight, bias = weights
    constants = {'conv.weight': np.eye(3).reshape(3, 3, 1, 1), 'fc.weight': weight.T,
                 'fc.bias': bias}
    graph = helper.make_graph(
        [helper.make_node('Conv', ['input', 'conv.weight'], ['/conv'], kernel_shape=[1, 1]),
         helper.make_node('GlobalAveragePool', ['/conv'], ['/pool']),
         helper.make_node('Flatten', ['/pool'], ['/flat'], axis=1),
         helper.make_node('Gemm', ['/flat', 'fc.weight', 'fc.bias'], ['output'], transB=1)],
        'main_graph',
        [helper.make_tensor_value_info('input', onnx.TensorProto.FLOAT,
                                       ['batch', 3, SIDE, SIDE])],
        [helper.make_tensor_value_info('output', onnx.TensorProto.FLOAT, ['batch', CLASSES])],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)],
                              producer_name='pytorch')
    model.ir_version = 8
    onnx.checker.check_model(model)
    folder = tmp_path_factory.mktemp('exported')
    onnx.save(model, folder / 'imagenet.onnx')
    names = [f'class {k}' for k in range(CLASSES)]
    names[481], names[587], names[784] = 'cassette', 'hammer', 'screwdriver'
    (folder / 'imagenet.txt').write_text('\n'.join(names) + '\n')
    return folder


@pytest.fixture(scope='module')
def photographs(tmp_path_factory, weights):
    """Write pictures of one colour in folders that are named after the labels."""
    folder = tmp_path_factory.mktemp('photographs')
    for label, k in (('hammer', 587), ('screwdriver', 784), ('not a class', 3)):
        (folder / label).mkdir()
        for number in range(3):
            picture = np.full((40, 60, 3), np.round(weights[0][k][::-1]) + number, np.uint8)
            cv2.imwrite(str(folder / label / f'{number}.png'), picture)
    return folder


def test_it_recognises_with_the_default_parameters(exported, weights):
    model = OnnxModel.load(exported / 'imagenet.onnx',
                           plain=PlainModel(read_labels(exported / 'imagenet.txt'), fit='crop'))
    assert (len(model.labels), model.input.height, model.input.width) == (CLASSES, SIDE, SIDE)
    colour = np.round(weights[0][587]).astype(np.uint8)
    frame = Frame(FrameKey(Stamp(1), 'camera'), np.full((48, 64, 3), colour[::-1], np.uint8),
                  'bgr')
    prediction = recognize(frame, model)
    assert prediction.labels[prediction.best] == 'hammer'
    assert prediction.probabilities.sum() == pytest.approx(1.0)
    assert prediction.known


def test_the_program_evaluates_it_with_its_labels_alone(exported, photographs, weights, tmp_path):
    path = tmp_path / 'figures.json'
    report = tmp_path / 'report.html'
    assert evaluate([str(exported / 'imagenet.onnx'), str(photographs), '--labels',
                     str(exported / 'imagenet.txt'), '--json', str(path), '--html', str(report),
                     '--quiet']) == 0
    figures = json.loads(path.read_text())
    assert figures['accuracy'] == 1.0
    assert {k: v for k, v in figures['counts'].items() if v} == {
        'hammer': 3, 'screwdriver': 3, 'other': 3}
    # The NLL anew, from the weights.
    _, weight, bias = weights
    spec = OnnxModel.load(exported / 'imagenet.onnx',
                          plain=PlainModel(read_labels(exported / 'imagenet.txt'))).input
    paid = []
    for label, k in (('hammer', 587), ('screwdriver', 784)):
        for number in range(3):
            pixels = cv2.imread(str(photographs / label / f'{number}.png'))
            x = (fit_image(pixels, spec, 'bgr').reshape(-1, 3).mean(axis=0) / 255 - MEAN) / STD
            paid.append(nll(log_softmax(x @ weight + bias), k))
    assert figures['nll'] == pytest.approx(np.mean(paid), abs=1e-3)
    # A page of a thousand labels stays one that can be read.
    assert len(report.read_text()) < 100_000


def test_a_wrong_order_of_channels_shows_in_the_figures(exported, photographs, tmp_path):
    path = tmp_path / 'figures.json'
    assert evaluate([str(exported / 'imagenet.onnx'), str(photographs), '--labels',
                     str(exported / 'imagenet.txt'), '--order', 'bgr', '--json', str(path),
                     '--quiet']) == 0
    assert json.loads(path.read_text())['accuracy'] < 0.5


def test_the_contract_is_checked_with_the_same_arguments(exported, tmp_path, capsys):
    model, labels = str(exported / 'imagenet.onnx'), str(exported / 'imagenet.txt')
    assert model_program(['check', model, '--labels', labels]) == 0
    assert 'the contract is kept' in capsys.readouterr().out
    assert model_program(['show', model, '--labels', labels]) == 0
    assert '1000: class 0' in capsys.readouterr().out
    assert model_program(['check', model, '--labels', labels, '--layout', 'nhwc']) == 1
    assert 'is it the other layout?; see --layout' in capsys.readouterr().out
    assert model_program(['check', model]) == 2
    assert 'give its labels' in capsys.readouterr().err
    (tmp_path / 'twice.txt').write_text('crane\n' * CLASSES)
    assert model_program(['check', model, '--labels', str(tmp_path / 'twice.txt')]) == 1
    assert "['crane'] come more than once" in capsys.readouterr().out


@pytest.mark.parametrize('extra', [['--std', '1', '0', '1'], ['--labels', '/no/such/file.txt']])
def test_arguments_that_make_no_sense_are_refused(exported, photographs, extra, capsys):
    labels = [] if '--labels' in extra else ['--labels', str(exported / 'imagenet.txt')]
    assert evaluate([str(exported / 'imagenet.onnx'), str(photographs), *labels, *extra]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def evaluated(capsys, tmp_path, model, labels, *more):
    """Evaluate on the photographs that the tests have; return accuracy, NLL, and what it says."""
    path = tmp_path / 'figures.json'
    assert evaluate([str(model), str(PHOTOS), '--labels', str(labels), '--json', str(path),
                     '--quiet', *more]) == 0
    figures = json.loads(path.read_text())
    return figures['accuracy'], figures['nll'], capsys.readouterr().err


RIGHT = (pytest.approx(1 / 3), pytest.approx(1.5251, abs=5e-5))


@pytest.mark.parametrize('working', ['external_data', 'external_data/elsewhere', 'labels_bom'])
def test_external_data_are_those_beside_the_model(cases, capsys, tmp_path, monkeypatch, working):
    folder = cases / 'external_data'
    monkeypatch.chdir(cases / working)
    *figures, _ = evaluated(capsys, tmp_path, folder / 'ext.onnx', folder / 'labels.txt')
    assert tuple(figures) == RIGHT
    *older, _ = evaluated(capsys, tmp_path, folder / 'elsewhere' / 'ext.onnx',
                          folder / 'labels.txt')
    assert older[1] != RIGHT[1]


def test_a_batch_of_one_keeps_the_contract_and_is_evaluated(cases, capsys, tmp_path):
    model, labels = cases / 'batch_of_one' / 'b1.onnx', cases / 'batch_of_one' / 'labels.txt'
    assert model_program(['check', str(model), '--labels', str(labels)]) == 0
    assert 'the contract is kept' in capsys.readouterr().out
    *figures, said = evaluated(capsys, tmp_path, model, labels)
    assert tuple(figures) == RIGHT
    assert 'look like probabilities' not in said


@pytest.mark.parametrize('name', ['batch_of_one/b1.onnx', 'softmax_graph/prob.onnx',
                                  'external_data/ext.onnx'])
def test_a_replay_predicts_as_the_plain_graph_does(cases, capsys, tmp_path, line_bag, name):
    bag = line_bag(frames=30)
    costs = []
    for graph in ('labels_bom/plain.onnx', name):
        parameters = {'plain_model.labels_file': str(cases / 'labels_bom' / 'labels.txt'),
                      'model_path': str(cases / graph), 'plain_model.output':
                      'probabilities' if 'softmax' in graph else 'logits'}
        file = tmp_path / 'parameters.yaml'
        file.write_text(json.dumps({'tool_recognizer': {'ros__parameters': parameters}}))
        result = tmp_path / 'result.json'
        assert replay([str(bag), '--params-file', str(file), '--json', str(result),
                       '--quiet']) == 0
        found = json.loads(result.read_text())
        assert found['input']['answered'] == 30
        costs.append([frame['nll'] for frame in found['confirmed_frames']])
    assert costs[0]
    assert costs[1] == pytest.approx(costs[0], abs=1e-4)
    assert 'look like probabilities' not in capsys.readouterr().err


def test_a_softmax_that_is_taken_for_logits_gives_a_hint_in_every_program(
        cases, capsys, tmp_path, line_bag):
    model, labels = cases / 'softmax_graph' / 'prob.onnx', cases / 'softmax_graph' / 'labels.txt'
    said = evaluated(capsys, tmp_path, model, labels)[2]
    (hint,) = (line for line in said.splitlines() if 'look like probabilities' in line)
    assert '--output probabilities' in hint
    *figures, said = evaluated(capsys, tmp_path, model, labels, '--output', 'probabilities')
    assert tuple(figures) == RIGHT
    assert 'look like probabilities' not in said
    assert model_program(['check', str(model), '--labels', str(labels)]) == 0
    assert 'NOTE hint' in capsys.readouterr().out
    file = tmp_path / 'parameters.yaml'
    file.write_text(json.dumps({'tool_recognizer': {'ros__parameters': {
        'model_path': str(model), 'plain_model.labels_file': str(labels)}}}))
    assert replay([str(line_bag(frames=5)), '--params-file', str(file), '--quiet']) == 0
    assert 'plain_model.output: probabilities' in capsys.readouterr().err
