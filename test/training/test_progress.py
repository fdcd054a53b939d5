"""A line that moves belongs on a terminal; a log or a pipe gets whole lines only."""

import os
import pty
import subprocess
import sys

import cv2
import numpy as np
import pytest

SLOW = """
from tool_recognizer.training import progress
progress.REFRESH = 0.0
clock = iter((1.0, 3.0, 5.0, 7.0))
progress.time = type('', (), {'monotonic': lambda: next(clock)})
shown = progress.Progress(quiet=False)
for number in shown.over('reading', range(3), 3):
    if number == 1:
        shown.say('left out: one')
"""


def on_terminal(*command):
    """Run a command whose standard error is a terminal; return what came there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stderr=theirs)
    os.close(theirs)
    said = b''
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    return said.decode()


def test_a_terminal_sees_how_far_it_is_and_whole_lines_stay():
    said = on_terminal(sys.executable, '-c', SLOW)
    assert 'reading: 1 of 3, 4 s left' in said
    # What is left when each line was erased up to its last carriage return.
    lines = [line.rpartition('\r\x1b[K')[2] for line in said.replace('\r\n', '\n').split('\n')]
    assert lines == ['left out: one', '']


def test_a_pipe_gets_only_what_is_said():
    said = subprocess.run([sys.executable, '-c', SLOW], stderr=subprocess.PIPE, check=True)
    assert said.stderr == b'left out: one\n'


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(1)
    for label in ('hammer', 'wrench'):
        (tmp_path / 'data' / label).mkdir(parents=True)
        for index in range(4):
            picture = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (60, 60))
            cv2.imwrite(str(tmp_path / 'data' / label / f'{index}.png'), picture)
    return tmp_path / 'data'


@pytest.mark.parametrize('program', ['train', 'evaluate'])
def test_a_log_of_a_program_has_no_moving_line(program, data, write_model, tmp_path):
    arguments = {'train': [data, '--output', tmp_path / 'new.onnx', '--drawn', '4', '--views', '1',
                           '--cache', tmp_path / 'cache'],
                 'evaluate': [write_model(), data]}[program]
    said = subprocess.run([sys.executable, '-m', 'tool_recognizer', program, *arguments],
                          capture_output=True, check=True)
    assert b'\r' not in said.stderr + said.stdout
    assert b'\x1b' not in said.stderr + said.stdout
    assert b's left' not in said.stderr
