"""Evaluation: the figures against independent ones, comparison, and what is refused."""

import json

import cv2
import numpy as np
import pytest
from sklearn.metrics import log_loss
from tool_recognizer.adapters.onnx_model import DEFAULT_MODEL
from tool_recognizer.adapters.onnx_model import OnnxModel
from tool_recognizer.adapters.pictures import read_picture
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.evaluate import main


@pytest.fixture(scope='module')
def figures(photo_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp('evaluate') / 'figures.json'
    assert main([str(DEFAULT_MODEL), str(photo_folder), '--json', str(path), '--quiet']) == 0
    return json.loads(path.read_text())


@pytest.fixture(scope='module')
def photo_folder(photos):
    return photos[0][0].parent.parent


@pytest.fixture
def colours(tmp_path):
    """Pictures of one colour each, for the small models that answer with the mean colour."""
    shades = {'hammer': (200, 20, 40), 'screwdriver': (30, 180, 60), 'wrench': (150, 90, 200)}
    for label, rgb in shades.items():
        (tmp_path / 'data' / label).mkdir(parents=True)
        for index in range(4):
            picture = np.full((20, 20, 3), rgb[::-1], np.uint8) + np.uint8(3 * index)
            cv2.imwrite(str(tmp_path / 'data' / label / f'{index}.png'), picture)
    return tmp_path / 'data'


def test_the_default_model_is_right_on_photographs_that_it_was_made_of(figures):
    assert figures['accuracy'] == 1.0
    assert figures['counts'] == {'hammer': 3, 'screwdriver': 3, 'wrench': 3, 'other': 3}


def test_the_figures_are_those_of_the_models_answers(figures, photos):
    model = OnnxModel.load(DEFAULT_MODEL)
    known = [(path, label) for path, label in photos if label in model.labels]
    pictures = []
    for path, _ in known:
        pixels, order = read_picture(path, model.input)
        pictures.append(fit_image(pixels, model.input, order))
    logits = np.concatenate([model.infer(p[np.newaxis])[0] for p in pictures]).astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = log_loss([label for _, label in known], p, labels=list(model.labels))
    assert figures['nll'] == pytest.approx(expected, abs=1e-4)
    # A confirmed label is certain, so its KL is its NLL.
    assert figures['kl'] == pytest.approx(figures['nll'], abs=1e-9)
    assert np.trace(figures['confusion']) == 9


def test_the_table_is_for_people(photo_folder, capsys):
    assert main([str(DEFAULT_MODEL), str(photo_folder)]) == 0
    printed = capsys.readouterr().out
    for word in ('accuracy 1.0000', 'NLL', 'ECE', 'AUROC', 'recall', 'taken for'):
        assert word in printed


def test_a_better_model_passes_the_gate_and_a_worse_one_does_not(colours, write_model, tmp_path):
    sharp = write_model('sharp.onnx', weights=np.eye(3, dtype=np.float32) * 3)
    dull = write_model('dull.onnx', weights=np.eye(3, dtype=np.float32) * 0.3)
    path = tmp_path / 'figures.json'
    common = ['--gate', '--quiet', '--json', str(path)]
    assert main([str(sharp), str(colours), '--against', str(dull), *common]) == 0
    against = json.loads(path.read_text())['against']
    assert against['nll_difference_low'] <= against['nll_difference'] < 0
    assert against['nll_difference'] <= against['nll_difference_high'] < 0
    assert main([str(dull), str(colours), '--against', str(sharp), *common]) == 1
    # A model is not better than itself.
    assert main([str(sharp), str(colours), '--against', str(sharp), *common]) == 1


def test_without_other_things_there_is_no_ranking_and_it_is_null(colours, write_model, tmp_path):
    path = tmp_path / 'figures.json'
    assert main([str(write_model()), str(colours), '--json', str(path), '--quiet']) == 0
    figures = json.loads(path.read_text())
    assert figures['auroc'] is None
    assert figures['counts']['other'] == 0


def test_a_photograph_that_cannot_be_read_is_said_and_left_out(colours, write_model, capsys):
    (colours / 'hammer' / 'bad.png').write_bytes(b'nothing')
    assert main([str(write_model()), str(colours)]) == 0
    captured = capsys.readouterr()
    assert 'bad.png' in captured.err
    assert '12 photographs of 3 labels' in captured.out


def test_what_cannot_be_evaluated_gives_one_line_and_status_2(colours, write_model, tmp_path,
                                                              capsys):
    model = str(write_model())
    two = str(write_model('two.onnx', labels=('hammer', 'wrench')))
    (tmp_path / 'empty').mkdir()
    for arguments, words in [
            ([model, str(tmp_path / 'gone')], 'no such folder'),
            ([model, str(tmp_path / 'empty')], 'no photograph of'),
            ([str(tmp_path / 'gone.onnx'), str(colours)], 'cannot be read'),
            ([model, str(colours), '--gate'], 'better than what'),
            ([model, str(colours), '--against', two], 'only models of the same labels')]:
        assert main(arguments) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert words in lines[0]
