"""Weights beside the model file: read from there and nowhere else, and part of the digest."""

from hashlib import sha256
from pathlib import Path
import shutil

import numpy as np
import pytest
from tool_recognizer.model.content import content_digest
from tool_recognizer.model.content import read_content
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import ModelFileError
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.model.wire import parse

onnx = pytest.importorskip('onnx', reason='pip install onnx, to write small models')

PLAIN = PlainModel(labels=('r', 'g', 'b'))
GREY = np.full((1, 8, 8, 3), 99, np.uint8)


def classifier(folder, weights, *, name='model.onnx', location='model.onnx.data', entries=(),
               attribute=False):
    """Write a classifier that keeps its (3, 3) weights in another file; return its path."""
    from onnx import helper
    from onnx import numpy_helper
    folder.mkdir(parents=True, exist_ok=True)
    tensor = numpy_helper.from_array(np.asarray(weights, np.float32), 'weights')
    data = tensor.raw_data
    if location is not None:
        tensor.ClearField('raw_data')
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in entries or (('location', location), ('offset', '4'), ('length', '36')):
            tensor.external_data.add(key=key, value=value)
        if location and not location.startswith(('/', '..', 'C:')):
            (folder / location).parent.mkdir(parents=True, exist_ok=True)
            (folder / location).write_bytes(b'head' + data)
    nodes = [helper.make_node('ReduceMean', ['x', 'axes'], ['mean'], keepdims=0),
             helper.make_node('MatMul', ['mean', 'weights'], ['y'])]
    tensors = [numpy_helper.from_array(np.array([2, 3], np.int64), 'axes')]
    if attribute:
        nodes.insert(0, helper.make_node('Constant', [], ['weights'], value=tensor))
    else:
        tensors.append(tensor)
    graph = helper.make_graph(
        nodes, 'plain',
        [helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, ['N', 3, 8, 8])],
        [helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, ['N', 3])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)])
    model.ir_version = 9
    (folder / name).write_bytes(model.SerializeToString())
    return folder / name


def answer(path):
    return OnnxModel.load(path, plain=PLAIN).infer(GREY).logits


@pytest.mark.parametrize('attribute', [False, True])
@pytest.mark.parametrize('location', ['model.onnx.data', './model.onnx.data', 'deep/er/weights'])
def test_weights_are_those_beside_the_model_whatever_the_working_directory(
        tmp_path, monkeypatch, location, attribute):
    weights = np.arange(9).reshape(3, 3)
    here = classifier(tmp_path / 'here', weights, location=location, attribute=attribute)
    classifier(tmp_path / 'elsewhere', weights[::-1], location=location, attribute=attribute)
    whole = classifier(tmp_path, weights, name='whole.onnx', location=None)
    for working in ('here', 'elsewhere', '.'):
        monkeypatch.chdir(tmp_path / working)
        np.testing.assert_allclose(answer(here), answer(whole), rtol=1e-6)
    monkeypatch.chdir(tmp_path / 'here')
    np.testing.assert_allclose(answer(Path('model.onnx')), answer(whole), rtol=1e-6)


def test_two_sets_of_weights_have_two_digests_and_one_set_has_one(tmp_path):
    one = classifier(tmp_path / 'one', np.eye(3))
    other = classifier(tmp_path / 'other', 2 * np.eye(3))
    same = classifier(tmp_path / 'same', np.eye(3))
    assert one.read_bytes() == other.read_bytes()
    digests = [OnnxModel.load(path, plain=PLAIN).digest for path in (one, other, same)]
    assert digests[0] == digests[2] != digests[1]
    # Bytes of the other file that no tensor points to are no weights.
    data = tmp_path / 'same' / 'model.onnx.data'
    data.write_bytes(b'tail' + data.read_bytes()[4:] + b'more')
    assert OnnxModel.load(same, plain=PLAIN).digest == digests[0]


def test_the_digest_of_a_file_that_holds_its_weights_is_that_of_the_file(tmp_path):
    whole = classifier(tmp_path, np.eye(3), location=None)
    for path in (whole, DEFAULT_MODEL):
        assert read_content(path) == path.read_bytes()
    assert OnnxModel.load(whole, plain=PLAIN).digest == sha256(whole.read_bytes()).hexdigest()


def test_the_word_alone_changes_nothing(tmp_path):
    whole = classifier(tmp_path, np.eye(3), location=None)
    model = onnx.load(whole)
    model.graph.doc_string = 'location of the tool'
    # A number written longer than it need be: what is taken apart is put together otherwise.
    longer = b'\x08\x89\x00' + model.SerializeToString()
    whole.write_bytes(longer)
    assert read_content(whole) == longer


def test_what_was_read_is_what_runs_even_if_the_file_is_replaced_meanwhile(tmp_path, monkeypatch):
    path = classifier(tmp_path / 'one', np.eye(3))
    expected, digest = answer(path), OnnxModel.load(path, plain=PLAIN).digest
    from tool_recognizer.model import onnx_model

    def read_then_replace(place):
        content = read_content(place)
        classifier(tmp_path / 'one', 5 * np.eye(3))
        return content
    monkeypatch.setattr(onnx_model, 'read_content', read_then_replace)
    model = OnnxModel.load(path, plain=PLAIN)
    np.testing.assert_allclose(model.infer(GREY).logits, expected)
    assert model.digest == digest


@pytest.mark.parametrize('entries', [
    [('location', 'model.onnx.data')], [('location', 'model.onnx.data'), ('offset', '0')]])
def test_without_a_length_the_rest_of_the_file_is_meant(tmp_path, entries):
    path = classifier(tmp_path, np.eye(3), entries=entries)
    (tmp_path / 'model.onnx.data').write_bytes(np.eye(3, dtype='<f4').tobytes())
    np.testing.assert_allclose(answer(path)[0], (99 / 255 - np.array(PLAIN.mean)) / PLAIN.std,
                               rtol=1e-5)


def test_links_to_both_files_are_followed_as_the_caches_of_model_hubs_have_them(tmp_path):
    path = classifier(tmp_path / 'blobs', np.eye(3))
    (tmp_path / 'blobs' / 'model.onnx.data').rename(tmp_path / 'blobs' / '8d2f')
    path = path.rename(tmp_path / 'blobs' / '77ab')
    (tmp_path / 'snapshot').mkdir()
    (tmp_path / 'snapshot' / 'model.onnx').symlink_to(path)
    (tmp_path / 'snapshot' / 'model.onnx.data').symlink_to(tmp_path / 'blobs' / '8d2f')
    assert answer(tmp_path / 'snapshot' / 'model.onnx').shape == (1, 3)


def one_line(path):
    with pytest.raises(ModelError) as caught:
        OnnxModel.load(path, plain=PLAIN)
    words = str(caught.value)
    assert words.startswith(f'{path}: ')
    assert '\n' not in words
    return words


def test_weights_that_are_not_there_are_refused_with_the_command_that_packs_them(
        tmp_path, monkeypatch):
    path = classifier(tmp_path / 'one', np.eye(3))
    shutil.move(tmp_path / 'one' / 'model.onnx.data', tmp_path)
    monkeypatch.chdir(tmp_path)  # where onnxruntime would find them
    words = one_line(path)
    assert "its weights are in 'model.onnx.data'" in words
    assert str(tmp_path / 'one') in words
    # The command that the line names does what it says.
    shutil.move(tmp_path / 'model.onnx.data', tmp_path / 'one')
    monkeypatch.chdir(tmp_path / 'one')
    exec(words.split('python3 -c "')[1].removesuffix('"'), {})
    np.testing.assert_allclose(answer(tmp_path / 'one' / 'packed.onnx'), answer(path))


@pytest.mark.parametrize('location', [
    '../model.onnx.data', 'deep/../../model.onnx.data', '/etc/hostname', 'C:\\weights', '', '.',
    '..\\weights', '*/_ORT_MEM_ADDR_/*'])
def test_weights_outside_the_models_folder_are_never_looked_for(tmp_path, location):
    path = classifier(tmp_path / 'one', np.eye(3), location='here',
                      entries=[('location', location), ('length', '36')])
    (tmp_path / 'model.onnx.data').write_bytes(np.eye(3, dtype='<f4').tobytes())
    assert 'its weights are in ' in one_line(path)


@pytest.mark.parametrize('entries', [
    [('offset', '4'), ('length', '360')], [('offset', '-1'), ('length', '36')],
    [('offset', '9999')], [('offset', 'four')], [('length', '-2')]])
def test_weights_that_are_cut_off_or_elsewhere_in_the_file_are_refused(tmp_path, entries):
    path = classifier(tmp_path, np.eye(3), entries=[('location', 'model.onnx.data'), *entries])
    assert 'not of one export, or one is cut off' in one_line(path)


def test_too_few_bytes_for_the_shape_are_refused(tmp_path):
    path = classifier(tmp_path, np.eye(3), entries=[
        ('location', 'model.onnx.data'), ('offset', '0'), ('length', '12')])
    assert 'onnxruntime cannot load it' in one_line(path)


def test_a_base_for_training_is_read_with_its_weights(tmp_path):
    apart = tmp_path / 'apart.onnx'
    onnx.save(onnx.load(DEFAULT_MODEL), apart, save_as_external_data=True,
              location='apart.data', size_threshold=0)
    assert (tmp_path / 'apart.data').stat().st_size > 1e6
    ours, theirs = ModelFile.read(DEFAULT_MODEL), ModelFile.read(apart)
    np.testing.assert_array_equal(theirs.head.weight, ours.head.weight)
    # What is made from it is one file again.
    made = tmp_path / 'elsewhere' / 'made.onnx'
    made.parent.mkdir()
    made.write_bytes(theirs.with_head(theirs.head, dict(theirs.metadata)).content)
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    np.testing.assert_allclose(OnnxModel.load(made).infer(images).logits,
                               OnnxModel.load(DEFAULT_MODEL).infer(images).logits, atol=1e-5)
    (tmp_path / 'apart.data').unlink()
    with pytest.raises(ModelFileError, match=r"apart\.onnx: its weights are in 'apart\.data'"):
        ModelFile.read(apart)


def test_what_is_no_message_is_refused(tmp_path):
    for content, words in ((b'', 'onnxruntime cannot load it'), (b'text', 'cannot load it'),
                           (b'location', 'no ONNX file'), (b'\x0f location', 'no ONNX file'),
                           (b'\xff' * 20 + b'location', 'no ONNX file')):
        (tmp_path / 'text.onnx').write_bytes(content)
        assert words in one_line(tmp_path / 'text.onnx')


def test_the_case_that_once_failed(cases, monkeypatch):
    plain = PlainModel(labels=('hammer', 'screwdriver', 'wrench'))
    folder = cases / 'external_data'
    monkeypatch.chdir(folder / 'elsewhere')
    here = OnnxModel.load(folder / 'ext.onnx', plain=plain)
    older = OnnxModel.load(folder / 'elsewhere' / 'ext.onnx', plain=plain)
    assert here.digest != older.digest
    assert here.digest == content_digest(read_content(folder / 'ext.onnx'))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    assert np.abs(here.infer(images).logits - older.infer(images).logits).max() > 0.1
    assert parse(read_content(folder / 'ext.onnx'))
