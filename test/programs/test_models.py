"""The program ``models``: what it shows of a store, and what it refuses."""

import json

from journal_writer import JournalWriter
import numpy as np
import pytest
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.programs.models import main


@pytest.fixture
def store(tmp_path, write_model, capsys):
    """Make a store of two versions."""
    path = tmp_path / 'models'
    for number, labels in enumerate((('hammer', 'wrench'), ('hammer', 'torx'))):
        file = write_model(f'{number}.onnx', labels=labels,
                           weights=np.eye(3, 2, dtype=np.float32) * (number + 1))
        assert main(['add', str(path), '--model', str(file), '--by', 'anna']) == 0
    assert 'version 0002' in capsys.readouterr().out
    return path


def test_the_list_says_what_is_in_charge_and_a_rollback_goes_back(store, capsys, tmp_path):
    assert main(['choose', str(store), '1', '--by', 'anna']) == 0
    assert main(['choose', str(store), '2', '--by', 'ben']) == 0
    assert 'call reload_model' in capsys.readouterr().out
    path = tmp_path / 'list.json'
    assert main(['list', str(store), '--json', str(path)]) == 0
    printed = capsys.readouterr().out
    assert '0002*' in printed
    assert 'hammer, torx' in printed
    assert [fact['in_charge'] for fact in json.loads(path.read_text())] == [False, True]
    assert main(['rollback', str(store), '--by', 'ben']) == 0
    assert 'version 0001' in capsys.readouterr().out
    assert main(['show', str(store), '1']) == 0
    assert 'by ben (back)' in capsys.readouterr().out
    assert main(['rollback', str(store)]) == 0
    assert 'comes with the package is to be in charge' in capsys.readouterr().out
    assert main(['rollback', str(store)]) == 2
    assert 'none to go back from' in capsys.readouterr().err


def test_a_difference_names_the_labels_that_came_and_went(store, capsys):
    assert main(['diff', str(store), '1', '2']) == 0
    assert 'without torx -> without wrench' in capsys.readouterr().out
    assert main(['diff', str(store), '1', '1']) == 0
    assert 'nothing' in capsys.readouterr().out


def test_store_and_journal_know_a_model_by_the_same_digest(store, capsys, tmp_path):
    model = OnnxModel.load(store / '0001' / 'model.onnx')
    with JournalWriter(tmp_path / 'journal.db', model.labels, digest=model.digest):
        pass
    capsys.readouterr()
    assert main(['list', str(store), '--journal', str(tmp_path / 'journal.db')]) == 0
    first, answered, second = capsys.readouterr().out.splitlines()[:3]
    assert first.startswith('0001')
    assert 'answered from' in answered
    assert second.startswith('0002')


def test_a_damaged_version_is_named_and_the_status_is_1(store, capsys):
    (store / '0001' / 'model.onnx').unlink()
    assert main(['list', str(store)]) == 1
    assert '0001  DAMAGED' in capsys.readouterr().out
    assert main(['choose', str(store), '1']) == 2
    assert 'is damaged' in capsys.readouterr().err


def test_what_is_in_charge_and_cannot_be_used_is_listed_beside_what_could_be_chosen(
        store, capsys):
    assert main(['choose', str(store), '1']) == 0
    (store / '0001' / 'model.onnx').unlink()
    assert main(['list', str(store)]) == 1
    printed = capsys.readouterr().out
    assert '0001* DAMAGED' in printed
    assert '0002 ' in printed
    (store / '0001' / 'about.json').unlink()
    (store / '0001').rmdir()
    assert main(['list', str(store)]) == 1
    printed = capsys.readouterr().out
    assert '0001* DAMAGED: is to be in charge, and is not there' in printed
    assert '0002 ' in printed


def test_the_gates_verdict_is_kept(store, tmp_path, write_model, capsys):
    held = {'photographs': 9, 'recall': 0.9, 'low': 0.6, 'high': 0.98}
    file = write_model('new.onnx', weights=np.eye(3, dtype=np.float32) * 7,
                       metadata={'training': {'held_out': {'all': held}}})
    gate = tmp_path / 'gate.json'
    gate.write_text(json.dumps({'gate': {'passed': False, 'words': 'gate: not passed'}}))
    assert main(['add', str(store), '--model', str(file), '--gate', str(gate)]) == 0
    assert main(['list', str(store)]) == 0
    assert 'accuracy 0.900 (0.600 to 0.980)); gate not passed' in capsys.readouterr().out
    gate.write_text('{}')
    assert main(['add', str(store), '--model', str(file), '--gate', str(gate)]) == 2
    assert 'no verdict' in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'words'), [
    (['list', 'nowhere'], 'no store of models'), (['show', 'nowhere'], 'takes 1 version'),
    (['rollback', 'nowhere', '1'], 'takes no versions'), (['prune', 'nowhere'], 'needs --keep'),
    (['add', 'nowhere'], 'needs --model'),
    (['list', 'nowhere', '--keep', '3'], 'belongs to prune'),
    (['choose', 'nowhere', '1'], 'no version')])
def test_what_cannot_be_done_is_said_in_one_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    assert status == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1
