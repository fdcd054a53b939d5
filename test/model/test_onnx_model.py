"""A model file is held to its contract, each breach with one line that says what is wrong."""

from base64 import b64encode

import numpy as np
import pytest
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.model.onnx_model import read_labels

onnx = pytest.importorskip('onnx', reason='pip install onnx, to write small models')

GREY = b64encode(bytes([128] * 768)).decode()
GREY_LOGITS = [4 * 128 / 255] * 3


def test_the_default_model_keeps_its_contract():
    model = OnnxModel.load(DEFAULT_MODEL)
    assert model.labels == ('hammer', 'screwdriver', 'wrench')
    assert model.metadata['golden'], 'it has golden answers to be held to'
    assert 200 <= len(model.reference.distribution) <= 2000
    assert 0.0 < model.reference_nll < 1.0
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    logits, features, _ = model.infer(images)
    assert logits.shape == (3, 3)
    assert features.shape[0] == 3
    # A batch answers what its pictures answer one by one.
    np.testing.assert_allclose(logits[1], model.infer(images[1:2])[0][0], atol=1e-4)
    assert DEFAULT_MODEL.stat().st_size <= 8e6


def test_a_good_file_is_loaded_with_what_it_says_of_itself(write_model):
    path = write_model(metadata={
        'temperature': 2.0, 'golden': [{'pixels': GREY, 'logits': GREY_LOGITS}],
        'reference': {'logits': [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], 'label': [1, 0]}})
    model = OnnxModel.load(path)
    assert (model.labels, model.temperature) == (('hammer', 'screwdriver', 'wrench'), 2.0)
    assert model.input == InputSpec(16, 16, 'stretch')
    # -log(1/3) and -log softmax([1, 0, 0])[0], their mean.
    assert model.reference_nll == pytest.approx(
        (np.log(3) + np.log(np.e + 2) - 1) / 2)


@pytest.mark.parametrize(('metadata', 'words'), [
    ({'schema': 2}, 'metadata schema 2, this version reads 1'),
    ({'labels': 'hammer'}, "metadata 'labels' is missing or of the wrong type"),
    ({'labels': ['a', 'b:c', 'd']}, "label 'b:c' holds a colon"),
    ({'labels': ['a', 'b']}, r'2 labels, but the graph answers with shape \[1, 3\]'),
    ({'input': {'height': 16, 'width': 16}}, 'fit'),
    ({'input': {'height': 32, 'width': 16, 'fit': 'crop'}},
     r'input "image" must be N x \[32, 16, 3\]'),
    ({'input': {'height': 16, 'width': 16, 'fit': 'zoom'}}, "got 'zoom'"),
    ({'temperature': 0.0}, 'temperature must be positive, got 0.0'),
    ({'temperature': None}, "metadata 'temperature' is missing"),
    ({'golden': [{'pixels': GREY, 'logits': [0.0, 2.0, 2.0]}]}, 'golden answer 0 is'),
    ({'golden': [{'pixels': 'AAAA', 'logits': GREY_LOGITS}]}, '768 bytes, got 3'),
    ({'golden': [{'pixels': '???', 'logits': GREY_LOGITS}]}, 'not base64'),
    ({'rejection': {'output': 'novelty', 'threshold': 1.0}},
     "rejection: the graph has no output 'novelty'"),
    ({'rejection': {'threshold': 1.0}}, "rejection: 'output'"),
    ({'reference': {'logits': [[0, 0]], 'label': [0]}}, 'reference: logits of shape'),
    ({'reference': {'logits': [[0, 0, 0]], 'label': [3]}}, 'reference: ')])
def test_a_breach_is_refused_with_what_is_wrong(write_model, metadata, words):
    path = write_model(metadata=metadata)
    with pytest.raises(ModelError, match=words) as caught:
        OnnxModel.load(path)
    assert str(caught.value).startswith(f'{path}: ')
    assert '\n' not in str(caught.value)


def change_graph(path, change):
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def rename_output(model):
    for place in (*model.graph.output, *model.graph.node):
        if isinstance(place, onnx.ValueInfoProto):
            place.name = place.name.replace('logits', 'scores')
        else:
            place.output[:] = [n.replace('logits', 'scores') for n in place.output]


def test_a_graph_with_other_outputs_is_refused(write_model):
    with pytest.raises(ModelError, match="needs an output 'logits'"):
        OnnxModel.load(change_graph(write_model(), rename_output))


def test_metadata_that_is_not_json_is_refused(write_model):
    def spoil(model):
        model.metadata_props[0].value = '{'
    with pytest.raises(ModelError, match='is not JSON'):
        OnnxModel.load(change_graph(write_model(), spoil))


def test_an_answer_that_is_not_finite_is_refused(write_model):
    with pytest.raises(ModelError, match='not finite'):
        OnnxModel.load(write_model(weights=np.full((3, 3), np.nan)))


def test_a_file_that_is_missing_or_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match='No such file'):
        OnnxModel.load(tmp_path / 'none.onnx')
    (tmp_path / 'text.onnx').write_text('not a model')
    with pytest.raises(ModelError, match='onnxruntime cannot load it'):
        OnnxModel.load(tmp_path / 'text.onnx')


def test_a_damaged_file_is_refused(tmp_path):
    data = DEFAULT_MODEL.read_bytes()
    (tmp_path / 'half.onnx').write_bytes(data[:len(data) // 2])
    with pytest.raises(ModelError, match=r'half\.onnx'):
        OnnxModel.load(tmp_path / 'half.onnx')


def test_a_provider_that_is_not_there_is_never_replaced_silently(write_model):
    with pytest.raises(ModelError, match=r"'NoSuchProvider'.*available: \['"):
        OnnxModel.load(write_model(), providers=['NoSuchProvider', 'CPUExecutionProvider'])


def plain_classifier(tmp_path, *, softmax=False, open_size=False):
    """Write a float NCHW classifier without metadata: the logits are the channels' means."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    size = 'size' if open_size else 8
    nodes = [helper.make_node('ReduceMean', ['x', 'axes'], ['mean'], keepdims=0)]
    if softmax:
        nodes.append(helper.make_node('Softmax', ['mean'], ['y'], axis=1))
    else:
        nodes.append(helper.make_node('Identity', ['mean'], ['y']))
    graph = helper.make_graph(
        nodes, 'plain',
        [helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, ['N', 3, size, size])],
        [helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, ['N', 3])],
        [numpy_helper.from_array(np.array([2, 3], np.int64), 'axes')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)])
    model.ir_version = 9
    onnx.save(model, tmp_path / 'plain.onnx')
    return tmp_path / 'plain.onnx'


@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_a_classifier_from_elsewhere_runs_with_what_is_said_of_it(tmp_path, order):
    plain = PlainModel(labels=('r', 'g', 'b'), order=order)
    model = OnnxModel.load(plain_classifier(tmp_path), plain=plain)
    assert model.input == InputSpec(8, 8, 'stretch')
    image = np.full((1, 8, 8, 3), (10, 20, 60), np.uint8)
    pixel = np.array([10, 20, 60]) if order == 'rgb' else np.array([60, 20, 10])
    expected = (pixel / 255 - plain.mean) / plain.std
    np.testing.assert_allclose(model.infer(image)[0][0], expected, rtol=1e-5)


def test_a_classifier_that_ends_in_a_softmax_gives_log_probabilities(tmp_path):
    plain = PlainModel(labels=('r', 'g', 'b'), output='probabilities')
    model = OnnxModel.load(plain_classifier(tmp_path, softmax=True), plain=plain)
    logits = model.infer(np.full((1, 8, 8, 3), 99, np.uint8))[0][0]
    assert np.exp(logits).sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(('change', 'words'), [
    ({'labels': ('a', 'b')}, '2 labels, but the graph answers'),
    ({'layout': 'nhwc'}, 'is it the other layout'),
    ({'height': 9}, 'the graph takes height 8, the parameter says 9')])
def test_what_does_not_fit_a_classifier_from_elsewhere_is_refused(tmp_path, change, words):
    said = {'labels': ('r', 'g', 'b'), **change}
    with pytest.raises(ModelError, match=words):
        OnnxModel.load(plain_classifier(tmp_path), plain=PlainModel(**said))


def test_an_open_size_has_to_be_given(tmp_path):
    path = plain_classifier(tmp_path, open_size=True)
    with pytest.raises(ModelError, match='leaves its height open'):
        OnnxModel.load(path, plain=PlainModel(labels=('r', 'g', 'b')))
    model = OnnxModel.load(path, plain=PlainModel(labels=('r', 'g', 'b'), height=6, width=10))
    assert model.input == InputSpec(6, 10, 'stretch')


def test_without_metadata_and_without_words_it_is_refused_with_the_cure(tmp_path):
    with pytest.raises(ModelError, match='give its labels and preprocessing as parameters'):
        OnnxModel.load(plain_classifier(tmp_path))


LETTERS = ('r', 'g', 'b')
TYPE = {'float16': 10, 'float32': 1, 'float64': 11, 'uint8': 2, 'int32': 6, 'int64': 7, 'bool': 9}


def graph(tmp_path, *, batch='N', nhwc=False, takes='float32', gives='float32', shape=(),
          softmax=False, outputs=('scores',), one_only=False, channels=3, size=8):
    """
    Write a classifier whose logits are the channels' means, in many a shape.

    ``shape`` is what follows N and K in the answer. ``outputs`` are named for what they answer:
    scores, aux (their negative), features (5 of them), label (int64), probabilities.
    ``one_only`` bakes a batch of one into the graph, whatever its input says.
    """
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    axes = [1, 2] if nhwc else [2, 3]
    nodes = [helper.make_node('Cast', ['x'], ['f'], to=1),
             helper.make_node('ReduceMean', ['f', 'axes'], ['m'], keepdims=0),
             helper.make_node('Softmax', ['m'], ['p'], axis=1),
             helper.make_node('Reshape', ['p' if softmax else 'm', 'form'], ['s']),
             helper.make_node('Cast', ['s'], ['scores'], to=TYPE[gives]),
             helper.make_node('Cast', ['p'], ['probabilities'], to=TYPE[gives]),
             helper.make_node('Neg', ['m'], ['aux']),
             helper.make_node('Concat', ['m', 'm', 'm'], ['features'], axis=1),
             helper.make_node('ArgMax', ['m'], ['label'], axis=1, keepdims=0)]
    form = [1 if one_only else batch if isinstance(batch, int) else -1, 3, *shape]
    if one_only:
        form = [1, -1, *shape]
    dims = ['N', channels, size, size]
    picture = [batch, *([size, size, channels] if nhwc else dims[1:])]
    made = helper.make_graph(
        nodes, 'many', [helper.make_tensor_value_info('x', TYPE[takes], picture)],
        [helper.make_tensor_value_info(
            name, 7 if name == 'label' else TYPE[gives] if name in ('scores', 'probabilities')
            else 1, None) for name in outputs],
        [numpy_helper.from_array(np.array(axes, np.int64), 'axes'),
         numpy_helper.from_array(np.array(form, np.int64), 'form')])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid('', 18)])
    model.ir_version = 9
    onnx.save(model, tmp_path / 'many.onnx')
    return tmp_path / 'many.onnx'


IMAGES = np.random.default_rng(1).integers(0, 256, (7, 8, 8, 3), np.uint8)
MEANS = ((IMAGES.reshape(7, -1, 3).mean(axis=1) / 255 - PlainModel(LETTERS).mean)
         / PlainModel(LETTERS).std)


@pytest.mark.parametrize('change', [
    {'batch': 1}, {'batch': 2}, {'batch': 4}, {'batch': 7}, {'batch': 16}, {'one_only': True},
    {'batch': 1, 'one_only': True, 'shape': (1, 1)}, {'shape': (1, 1)}, {'shape': (1,)},
    {'batch': 3, 'shape': (1, 1)}, {'takes': 'float16'}, {'gives': 'float16'},
    {'takes': 'float16', 'gives': 'float16', 'batch': 1}, {'takes': 'float64'},
    {'gives': 'float64'}, {'nhwc': True}, {'nhwc': True, 'batch': 1, 'takes': 'float16'}],
    ids=str)
def test_the_answers_are_the_same_in_whatever_form_a_graph_takes_and_gives_them(tmp_path, change):
    plain = PlainModel(LETTERS, layout='nhwc' if change.get('nhwc') else 'nchw')
    model = OnnxModel.load(graph(tmp_path, **change), plain=plain)
    half = 'float16' in change.values()
    for images, means in ((IMAGES, MEANS), (IMAGES[:1], MEANS[:1]), (IMAGES[:4], MEANS[:4])):
        answer = model.infer(images)
        assert answer.logits.dtype == np.float32
        assert answer.novelty.shape == (len(images),)
        np.testing.assert_allclose(answer.logits, means, atol=1e-2 if half else 1e-5)
    assert model.hints == []


def test_a_graph_whose_names_are_no_text_is_refused_in_one_line(tmp_path):
    path = graph(tmp_path)
    content = path.read_bytes().replace(b'scores', b'sc\xa3res')
    path.write_bytes(content)
    with pytest.raises(ModelError, match='onnxruntime cannot load it') as caught:
        OnnxModel.load(path, plain=PlainModel(LETTERS))
    assert '\n' not in str(caught.value)


def test_a_graph_of_bytes_is_given_bytes(tmp_path):
    model = OnnxModel.load(graph(tmp_path, takes='uint8'), plain=PlainModel(LETTERS))
    np.testing.assert_allclose(model.infer(IMAGES).logits,
                               IMAGES.reshape(7, -1, 3).mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize(('outputs', 'taken'), [
    (('scores', 'aux'), 'scores'), (('aux', 'scores'), 'aux'), (('features', 'scores'), 'scores'),
    (('label', 'scores'), 'scores'), (('probabilities', 'scores'), 'scores')])
def test_of_several_outputs_the_one_with_a_score_per_label_is_taken_and_named(
        tmp_path, outputs, taken):
    model = OnnxModel.load(graph(tmp_path, outputs=outputs), plain=PlainModel(LETTERS))
    sign = -1 if taken == 'aux' else 1
    np.testing.assert_allclose(model.infer(IMAGES).logits, sign * MEANS, atol=1e-5)
    assert model.hints == [f'of its outputs {list(outputs)}, {taken!r} is taken for the scores']


def test_where_probabilities_are_wanted_they_are_taken(tmp_path):
    model = OnnxModel.load(graph(tmp_path, outputs=('label', 'scores', 'probabilities')),
                           plain=PlainModel(LETTERS, output='probabilities'))
    expected = MEANS - np.log(np.exp(MEANS).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(model.infer(IMAGES).logits, expected, atol=1e-5)


@pytest.mark.parametrize(('change', 'words'), [
    ({'takes': 'int32'}, 'must be float32, float16, float64 or uint8.*tensor.int32'),
    ({'outputs': ('label',)}, 'without the ArgMax or ZipMap'),
    ({'outputs': ('features',)}, r'3 labels, but the graph answers with shape \[1, 9\] to one'),
    ({'outputs': ('features',), 'batch': 4}, r'shape \[4, 9\] to 4 picture'),
    ({'channels': 1}, 'a picture has 3, red, green and blue'),
    ({'nhwc': True}, 'is it the other layout')], ids=str)
def test_what_cannot_be_taken_is_refused_with_its_cure(tmp_path, change, words):
    with pytest.raises(ModelError, match=words) as caught:
        OnnxModel.load(graph(tmp_path, **change), plain=PlainModel(LETTERS))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('gives', ['float32', 'float16', 'float64'])
@pytest.mark.parametrize('batch', ['N', 1])
def test_a_softmax_that_is_taken_for_logits_gives_a_hint_with_its_cure(tmp_path, gives, batch):
    path = graph(tmp_path, softmax=True, gives=gives, batch=batch)
    (hint,) = OnnxModel.load(path, plain=PlainModel(LETTERS)).hints
    assert 'look like probabilities' in hint
    assert '--output probabilities' in hint
    assert 'plain_model.output' in hint
    hints = OnnxModel.load(path, plain=PlainModel(LETTERS, output='probabilities')).hints
    assert ['half precision' in hint for hint in hints] == ([True] if gives == 'float16' else [])


def test_logits_are_not_taken_for_probabilities(tmp_path):
    with pytest.raises(ModelError, match=r'lie between 0 and 1.*say --output logits'):
        OnnxModel.load(graph(tmp_path), plain=PlainModel(LETTERS, output='probabilities'))


def test_a_model_of_ours_with_a_fixed_batch_is_run_in_parts(write_model):
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    free = OnnxModel.load(write_model()).infer(images)

    def fix(model):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    fixed = OnnxModel.load(change_graph(write_model(), fix)).infer(images)
    np.testing.assert_allclose(fixed.logits, free.logits, rtol=1e-6)
    np.testing.assert_allclose(fixed.features, free.features, rtol=1e-6)


def test_labels_are_read_one_per_line(tmp_path):
    path = tmp_path / 'labels.txt'
    path.write_text('red\n\n green \nblue\n')
    assert read_labels(path) == ('red', 'green', 'blue')
    path.write_text('\n')
    with pytest.raises(ModelError, match='holds no label'):
        read_labels(path)
    with pytest.raises(ModelError, match='cannot be read'):
        read_labels(tmp_path / 'none.txt')
