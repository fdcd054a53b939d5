"""The program ``model``: what it shows, and that each breach of the contract gets its line."""

import json

import numpy as np
import pytest
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.programs.model import main


def lines_of(capsys):
    return {line[:19].strip(): line[20:] for line in capsys.readouterr().out.splitlines()}


def test_the_shipped_model_shows_what_a_quality_engineer_asks_for(capsys, tmp_path):
    path = tmp_path / 'facts.json'
    assert main(['show', str(DEFAULT_MODEL), '--json', str(path)]) == 0
    printed = capsys.readouterr().out
    model = OnnxModel.load(DEFAULT_MODEL)
    for word in ('hammer, screwdriver, wrench', model.digest, '224 x 224', 'letterbox',
                 model.metadata['training']['data_digest'], 'Apache-2.0', 'CC BY 4.0',
                 '94 hammer', 'dark below 32.75', 'refuse 5.0% of known tools', 'seed 1'):
        assert word in printed
    assert '520 held-out predictions for 520 photographs' in printed
    facts = json.loads(path.read_text())
    assert facts['reference']['answers'] == len(model.reference.distribution)
    assert facts['reference']['nll'] == pytest.approx(model.reference_nll)
    assert facts['reference']['answer_set_nll']['0.9'] > 0
    assert facts['labels'] == list(model.labels)


def test_the_shipped_model_keeps_every_part_of_the_contract(capsys, tmp_path):
    path = tmp_path / 'found.json'
    assert main(['check', str(DEFAULT_MODEL), '--json', str(path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == 'the contract is kept'
    assert sum(line.startswith('PASS') for line in printed) == 10
    assert any('ms for one picture' in line for line in printed)
    found = json.loads(path.read_text())
    assert found['ok'] is True
    assert {f['part'] for f in found['findings']} >= {'labels', 'golden answers', 'speed'}


def test_every_breach_gets_a_line_with_its_cure_and_the_status_is_1(write_model, capsys):
    path = write_model(metadata={
        'golden': [{'pixels': 'AAAA', 'logits': [1.0, 2.0, 3.0]}],
        'rejection': {'output': 'novelty', 'threshold': 1.0},
        'reference': {'logits': [[0.0, 1.0]], 'label': [0]},
        'quality': {'dark': 'very'}})
    assert main(['check', str(path)]) == 1
    printed = capsys.readouterr().out
    broken = [line for line in printed.splitlines() if line.startswith('FAIL')]
    for part, words in (('rejection', "no output 'novelty'"), ('reference', 'shape (1, 2)'),
                        ('frame quality', 'very'), ('golden answers', '768 bytes')):
        assert any(part in line and words in line and '; ' in line for line in broken), part
    assert len(broken) == 4
    assert '4 of 10 parts of the contract are broken' in printed


@pytest.mark.parametrize(('metadata', 'part', 'words'), [
    ({'schema': 2}, 'metadata', 'schema 2'), ({'labels': ['a', 'a', 'b']}, 'labels', "['a']"),
    ({'input': {'height': 8, 'width': 8, 'fit': 'crop'}}, 'input', 'N x [8, 8, 3]'),
    ({'temperature': -1.0}, 'temperature', 'positive'),
    ({'labels': ['a', 'b']}, 'answer', '2 labels')])
def test_what_the_rest_depends_on_stops_the_check(write_model, capsys, metadata, part, words):
    assert main(['check', str(write_model(metadata=metadata))]) == 1
    printed = capsys.readouterr().out.splitlines()
    last = next(line for line in printed if line.startswith('FAIL'))
    assert part in last
    assert words in last
    assert 'not checked' in printed[-2]


def test_what_a_file_does_without_is_noted_and_no_breach(write_model, capsys):
    assert main(['check', str(write_model())]) == 0
    printed = capsys.readouterr().out
    for words in ('nothing is refused as unknown', 'drift is judged against',
                  'no frame is refused', 'licence', 'train --attribution'):
        assert words in printed


@pytest.mark.parametrize('action', ['show', 'check'])
def test_a_file_that_is_no_model_gives_one_line_and_status_2(action, tmp_path, capsys,
                                                             write_model):
    (tmp_path / 'text.onnx').write_text('nothing')
    for path, words in ((tmp_path / 'gone.onnx', 'cannot be read'),
                        (tmp_path / 'text.onnx', 'onnxruntime cannot load it')):
        assert main([action, str(path)]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert words in lines[0]
    good = str(write_model())
    assert main([action, good, '--json', str(tmp_path / 'no' / 'folder.json')]) == 2
    assert 'cannot be written' in capsys.readouterr().err


def test_a_broken_model_is_not_shown(write_model, capsys):
    assert main(['show', str(write_model(metadata={'temperature': 0.0}))]) == 2
    assert 'temperature must be positive' in capsys.readouterr().err


def test_a_set_that_promises_too_much_for_its_reference_has_no_threshold(write_model, tmp_path):
    reference = {'logits': np.eye(3).tolist(), 'label': [0, 1, 2]}
    path = tmp_path / 'facts.json'
    assert main(['show', str(write_model(metadata={'reference': reference})), '--json', str(path),
                 '--quiet']) == 0
    thresholds = json.loads(path.read_text())['reference']['answer_set_nll']
    assert thresholds == {'0.9': None, '0.95': None}
