"""What programs write: checked before the work, whole, and never over what they read."""

import subprocess
import sys

import pytest
from tool_recognizer.programs import evaluate
from tool_recognizer.programs import journal
from tool_recognizer.programs import model
from tool_recognizer.programs import replay
from tool_recognizer.programs import train
from tool_recognizer.programs.outputs import OutputError
from tool_recognizer.programs.outputs import write_whole

# The input does not exist: what is reported first was checked first.
PROGRAMS = [
    (evaluate, ['none.onnx', 'none'], '--json'), (evaluate, ['none.onnx', 'none'], '--html'),
    (replay, ['none'], '--json'), (replay, ['none'], '--html'), (replay, ['none'], '--junit'),
    (train, ['none'], '--output'), (train, ['none', '--output', 'new.onnx'], '--report'),
    (journal, ['export', 'none.db'], '--csv'), (journal, ['stats', 'none.db'], '--json'),
    (model, ['show', 'none.onnx'], '--json'), (model, ['check', 'none.onnx'], '--json')]


@pytest.mark.parametrize(('program', 'arguments', 'option'), PROGRAMS,
                         ids=lambda value: getattr(value, '__name__', str(value)))
def test_an_output_that_cannot_be_written_is_reported_before_the_work(
        program, arguments, option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    (tmp_path / 'folder').mkdir()
    for name in ('file/below', 'folder', '/proc/none/x', 'n' * 300):
        assert program.main([*arguments, option, name]) == 2
        error = capsys.readouterr().err
        assert f'{name}: cannot be written' in error
        assert error.count('\n') == 1
    if program is not train:  # it makes the folder
        assert program.main([*arguments, option, 'nowhere/file']) == 2
        assert 'nowhere is not there; mkdir -p' in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'folder']


@pytest.mark.parametrize(('program', 'arguments', 'option'), [
    (replay, ['none'], '--output'), (journal, ['export', 'none.db'], '--pictures')],
    ids=['replay', 'journal'])
def test_a_folder_to_be_made_is_checked_before_the_work(
        program, arguments, option, tmp_path, capsys):
    (tmp_path / 'file').touch()
    assert program.main([*arguments, option, str(tmp_path / 'file' / 'a' / 'b')]) == 2
    assert 'cannot be written' in capsys.readouterr().err
    assert program.main([*arguments, option, str(tmp_path / 'a' / 'b')]) == 2
    assert 'cannot be written' not in capsys.readouterr().err


def test_what_is_read_is_not_overwritten(tmp_path, capsys, write_model):
    path = write_model()
    before = path.read_bytes()
    (tmp_path / 'link.onnx').symlink_to(path)
    for name in (path, tmp_path / 'link.onnx', f'{tmp_path}/../{tmp_path.name}/{path.name}'):
        assert evaluate.main([str(path), str(tmp_path), '--json', str(name)]) == 2
        assert 'is read, too, and would be overwritten' in capsys.readouterr().err
        assert model.main(['show', str(path), '--json', str(name)]) == 2
    assert path.read_bytes() == before
    twice = str(tmp_path / 'out')
    assert evaluate.main([str(path), str(tmp_path), '--json', twice, '--html', twice]) == 2
    assert 'is named for two outputs' in capsys.readouterr().err


def test_files_appear_whole_or_not_at_all(tmp_path):
    kept = tmp_path / 'kept'
    kept.write_text('old')
    with pytest.raises(OutputError, match='cannot be written'):
        write_whole({kept: 'new', tmp_path / 'none' / 'file': 'new'})
    assert kept.read_text() == 'old'
    (tmp_path / 'link').symlink_to(kept)
    write_whole({tmp_path / 'link': 'new'})
    assert (tmp_path / 'link').is_symlink()
    assert kept.read_text() == 'new'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['kept', 'link']


def test_figures_can_go_to_standard_output(write_model):
    said = subprocess.run(
        [sys.executable, '-m', 'tool_recognizer', 'model', 'show', write_model(), '--quiet',
         '--json', '/dev/stdout'], capture_output=True, text=True, check=True)
    assert said.stdout.startswith('{')
    assert not said.stderr
