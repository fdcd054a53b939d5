"""``python3 -m tool_recognizer`` with a Python that lacks what a program needs."""

import os
from pathlib import Path
import subprocess
import sys

import pytest
from tool_recognizer.programs.arguments import command

PACKAGE = Path(__file__).parent.parent / 'tool_recognizer'


@pytest.fixture
def bare(tmp_path):
    """Run a program of a checkout with the standard library alone; return what it says."""
    (tmp_path / 'tool_recognizer').symlink_to(PACKAGE)

    def run(*arguments):
        # It must neither see what is installed, nor be started anew by what is.
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith('PYTHON')}
        done = subprocess.run([sys.executable, '-S', '-m', 'tool_recognizer', *arguments],
                              cwd=tmp_path, env=environment, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count('\n') == 1
        return done.stderr
    return run


def test_a_missing_module_leads_to_the_environment_that_was_made(bare, tmp_path):
    python = tmp_path / '.venv' / 'bin' / 'python3'
    python.parent.mkdir(parents=True)
    python.touch()
    said = bare('journal', 'stats', 'a journal.db')
    assert 'No module named' in said
    assert said.endswith('; run .venv/bin/python3 -m tool_recognizer journal stats '
                         "'a journal.db'\n")


def test_a_missing_module_that_is_not_ros_is_not_blamed_on_ros(bare):
    said = bare('journal', 'stats', 'x')
    assert "No module named 'numpy'; pip install " in said
    assert said.endswith('numpy (Ubuntu: apt install python3-numpy)\n')


INTERRUPTED_IN_A_DESTRUCTOR = """
import signal, sys, time, types
from tool_recognizer.__main__ import main

class Left:
    def __del__(self):
        signal.raise_signal(signal.{signal})

def work(argv):
    Left()
    time.sleep(30)
    return 0

sys.modules['tool_recognizer.programs.model'] = types.SimpleNamespace(main=work)
sys.exit(main(['model']))
"""


@pytest.mark.parametrize('number', ['SIGINT', 'SIGTERM'])
def test_an_interrupt_that_python_has_to_swallow_comes_again(number):
    done = subprocess.run(
        [sys.executable, '-c', INTERRUPTED_IN_A_DESTRUCTOR.format(signal=number)],
        capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, '')


def test_a_command_line_can_be_typed_where_it_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(tmp_path / 'bin' / 'python3', 'replay', 'my bag') == (
        "bin/python3 -m tool_recognizer replay 'my bag'")
    assert command(Path('/usr/bin/python3'), 'demo') == '/usr/bin/python3 -m tool_recognizer demo'


def test_a_reader_that_has_read_enough_ends_a_program_without_a_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, '-m', 'tool_recognizer', 'model', 'show',
         str(PACKAGE / 'models' / 'tools.onnx')], cwd=PACKAGE.parent, stdout=writing,
        stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, '')
