"""The model file taken apart and put together, judged by onnxruntime and by the onnx library."""

import json

import numpy as np
import onnxruntime as ort
import pytest
from tool_recognizer.core.softmax_regression import SoftmaxHead
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import ModelFileError
from tool_recognizer.model.file import Network
from tool_recognizer.model.file import seen_entry
from tool_recognizer.model.onnx_model import DEFAULT_MODEL


@pytest.fixture(scope='module')
def model():
    return ModelFile.read(DEFAULT_MODEL)


def a_head(labels, size=1280, seed=0):
    rng = np.random.default_rng(seed)
    return SoftmaxHead(rng.normal(0, 0.05, (size, labels + 1)), rng.normal(size=labels + 1))


def pictures(number=2):
    return list(np.random.default_rng(1).integers(0, 256, (number, 224, 224, 3), np.uint8))


def test_the_shipped_model_is_small(model):
    assert len(model.content) <= 8_000_000


@pytest.mark.parametrize('labels', [2, 3, 5, 1000])
def test_a_new_head_answers_what_its_weights_say(model, labels):
    head = a_head(labels)
    network = Network(model.with_head(head))
    features = network.run('features', pictures())
    expected = head.logits(features)
    logits = network.run('logits', pictures())
    assert logits.shape == (2, labels)
    np.testing.assert_allclose(logits, expected[:, :labels], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        network.run('novelty', pictures()),
        expected[:, labels] - np.logaddexp.reduce(expected[:, :labels], axis=1), atol=1e-3)


def test_the_backbone_is_the_same_behind_another_head(model):
    before = Network(model).run('features', pictures())
    after = Network(model.with_head(a_head(7))).run('features', pictures())
    np.testing.assert_array_equal(before, after)


def test_the_answer_does_not_depend_on_the_batch(model):
    network = Network(model)
    together = network.run('logits', pictures(5))
    alone = np.concatenate([network.run('logits', [picture]) for picture in pictures(5)])
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_head_and_metadata_come_back_as_they_were_written(model):
    head, metadata = a_head(4), {'labels': ['a', 'b', 'c', 'd'], 'name': 'größe "5"'}
    again = ModelFile.parse(model.with_head(head, metadata).content)
    assert again.metadata == metadata
    np.testing.assert_array_equal(again.head.weight, head.weight.astype(np.float32))
    np.testing.assert_array_equal(again.head.bias, head.bias.astype(np.float32))


def test_other_readers_find_the_metadata_and_the_shape(model):
    written = model.with_head(a_head(6), {'labels': list('abcdef')})
    session = ort.InferenceSession(written.content)
    text = session.get_modelmeta().custom_metadata_map['tool_recognizer']
    assert json.loads(text) == {'labels': list('abcdef')}
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes == {'logits': ['N', 6], 'features': ['N', 1280], 'novelty': ['N']}


def test_the_onnx_library_finds_nothing_to_complain_of(model):
    onnx = pytest.importorskip('onnx')
    onnx.checker.check_model(onnx.load_from_string(model.with_head(a_head(6)).content),
                             full_check=True)


def test_not_a_number_cannot_get_into_the_metadata(model):
    with pytest.raises(ValueError, match='not JSON compliant'):
        model.with_head(a_head(3), {'ece': float('nan')})


@pytest.mark.parametrize(('head', 'words'), [
    (a_head(3, size=10), 'gives 1280 features, the head takes 10'),
    (a_head(1), 'needs 2 labels'),
])
def test_a_head_that_does_not_fit_is_refused(model, head, words):
    with pytest.raises(ModelFileError, match=words):
        model.with_head(head)


def test_a_file_that_is_no_model_is_refused_by_name(tmp_path, model):
    path = tmp_path / 'bad.onnx'
    for content in (b'', b'not a model', model.content[:100_000]):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r'bad\.onnx: '):
            ModelFile.read(path)
    with pytest.raises(ModelFileError, match=r'gone\.onnx: cannot be read'):
        ModelFile.read(tmp_path / 'gone.onnx')


def test_a_classifier_from_elsewhere_has_no_head_to_replace(write_model):
    with pytest.raises(ModelFileError, match='only a model that this project made'):
        ModelFile.read(write_model())


def test_the_photographs_that_are_kept_are_few_enough_for_the_file():
    digests = [f'{number:064x}' for number in range(1, 20_000)]
    kept = seen_entry(digest[::-1] for digest in digests)
    assert len(kept) == 10_000
    assert {len(digest) for digest in kept} == {16}
    # What was cut before is taken as it is.
    assert seen_entry(kept) == kept
