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


def test_a_command_line_can_be_typed_where_it_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(tmp_path / 'bin' / 'python3', 'replay', 'my bag') == (
        "bin/python3 -m tool_recognizer replay 'my bag'")
    assert command(Path('/usr/bin/python3'), 'demo') == '/usr/bin/python3 -m tool_recognizer demo'
