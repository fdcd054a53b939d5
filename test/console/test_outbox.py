"""A confirmation in the outbox is never lost, never doubled, and can be undone for a while."""

from contextlib import closing
import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from tool_recognizer.console.outbox import Confirmation
from tool_recognizer.console.outbox import Outbox
from tool_recognizer.console.outbox import OutboxError
from tool_recognizer.console.outbox import REPEAT_AFTER
from tool_recognizer.core.recognition import FrameKey

UNDO = 5.0


def confirmation(number, label='wrench'):
    return Confirmation(f'nonce-{number:04}', FrameKey(10 ** 18 + number, 'camera'), label, 'kim')


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'folder' / 'console.outbox'


@pytest.fixture
def open_outbox(path):
    opened = []

    def open_it(now=0.0):
        opened.append(Outbox(path, UNDO, now))
        return opened[-1]
    yield open_it
    for outbox in opened:
        outbox.close()


def test_a_confirmation_is_due_only_when_it_can_no_longer_be_undone(open_outbox):
    outbox = open_outbox()
    outbox.put(confirmation(1), 10.0)
    assert outbox.due(10.0 + UNDO - 0.01) == []
    assert outbox.due(10.0 + UNDO) == [confirmation(1)]


def test_a_confirmation_is_due_again_and_again_until_it_is_acknowledged(open_outbox):
    outbox = open_outbox()
    outbox.put(confirmation(1), 0.0)
    assert outbox.due(UNDO) == [confirmation(1)]
    assert outbox.due(UNDO + REPEAT_AFTER / 2) == []
    assert outbox.due(UNDO + REPEAT_AFTER) == [confirmation(1)]
    assert outbox.settle('nonce-0001', 'scored') == confirmation(1)
    assert outbox.due(1e6) == []
    assert outbox.settle('nonce-0001', 'duplicate') is None


def test_a_file_that_drops_what_is_written_to_it_is_not_called_a_repetition(open_outbox, path):
    open_outbox().close()
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE TRIGGER drops BEFORE INSERT ON answers BEGIN SELECT RAISE(IGNORE); END')
    outbox = open_outbox()
    with pytest.raises(OutboxError, match='does not keep'):
        outbox.put(confirmation(1), 0.0)
    assert len(outbox) == 0


@pytest.mark.parametrize('suffix', ['', '-wal'])
def test_nothing_is_called_confirmed_while_the_file_has_its_name_no_more(
        open_outbox, path, suffix):
    outbox = open_outbox()
    outbox.put(confirmation(1), 0.0)
    file = path.with_name(path.name + suffix)
    file.rename(file.with_name('elsewhere'))
    with pytest.raises(OutboxError, match='deleted or moved') as refused:
        outbox.put(confirmation(2), 0.0)
    assert refused.value.reason == 'moved'
    file.with_name('elsewhere').rename(file)
    assert outbox.put(confirmation(2), 0.0)
    assert outbox.due(UNDO) == [confirmation(1), confirmation(2)]


def test_a_confirmation_that_was_taken_back_is_never_due(open_outbox):
    outbox = open_outbox()
    outbox.put(confirmation(1), 0.0)
    assert outbox.undo('nonce-0001') == confirmation(1)
    assert outbox.due(1e6) == []


def test_what_was_published_cannot_be_taken_back(open_outbox):
    outbox = open_outbox()
    outbox.put(confirmation(1), 0.0)
    outbox.due(UNDO)
    assert outbox.undo('nonce-0001') is None
    assert outbox.due(1e6) == [confirmation(1)]


@pytest.mark.parametrize('end', ['acknowledged', 'undone', 'open'])
def test_a_confirmation_that_a_browser_sends_twice_is_one(open_outbox, end):
    outbox = open_outbox()
    assert outbox.put(confirmation(1), 0.0)
    if end == 'acknowledged':
        outbox.due(UNDO)
        outbox.settle('nonce-0001', 'scored')
    elif end == 'undone':
        outbox.undo('nonce-0001')
    assert not outbox.put(confirmation(1), 100.0)
    assert len(outbox.due(1e6)) == (end == 'open')


def test_the_next_process_publishes_what_is_open_in_order_with_a_new_chance_to_undo(open_outbox):
    first = open_outbox()
    for number in (3, 1, 2):
        first.put(confirmation(number), 0.0)
    first.due(UNDO)
    first.settle('nonce-0001', 'scored')
    first.close()
    second = open_outbox(now=1000.0)
    assert second.due(1000.0 + UNDO - 0.01) == []
    assert second.due(1000.0 + UNDO) == [confirmation(3), confirmation(2)]
    assert not second.put(confirmation(1), 1000.0)


def test_a_killed_process_has_lost_nothing_that_it_called_confirmed(path, open_outbox):
    script = ('import sys; from pathlib import Path\n'
              'from tool_recognizer.console.outbox import *\n'
              'box = Outbox(Path(sys.argv[1]), 5.0, 0.0)\n'
              'for n in range(1000):\n'
              '    box.put(Confirmation(f"nonce-{n:04}", FrameKey(n, "c"), "wrench", ""), 0.0)\n'
              '    print(n, flush=True)\n')
    writer = subprocess.Popen([sys.executable, '-c', script, str(path)], stdout=subprocess.PIPE,
                              text=True)
    confirmed = [int(writer.stdout.readline()) for _ in range(50)]
    os.kill(writer.pid, signal.SIGKILL)
    confirmed += [int(line) for line in writer.stdout.read().split('\n')[:-1]]
    writer.wait()
    writer.stdout.close()
    kept, outbox = set(), open_outbox()
    while due := outbox.due(UNDO):
        kept |= {int(one.nonce[6:]) for one in due}
    assert set(confirmed) <= kept


def test_a_second_process_learns_that_the_file_is_in_use(path, open_outbox):
    open_outbox()
    script = ('import sys; from pathlib import Path\n'
              'from tool_recognizer.console.outbox import *\n'
              'try: Outbox(Path(sys.argv[1]), 5.0, 0.0)\n'
              'except OutboxError as error: print(error)\n')
    said = subprocess.run([sys.executable, '-c', script, str(path)], stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    assert 'another console uses it' in said


def test_a_file_that_is_no_outbox_is_left_as_it_is(path):
    path.parent.mkdir()
    path.write_bytes(b'a letter, not an outbox ' * 100)
    with pytest.raises(OutboxError, match='damaged'):
        Outbox(path, UNDO, 0.0)
    assert path.read_bytes().startswith(b'a letter')


def test_only_so_many_settled_confirmations_are_remembered_and_no_open_one_is_forgotten(
        open_outbox, monkeypatch):
    monkeypatch.setattr('tool_recognizer.console.outbox.REMEMBERED', 10)
    outbox = open_outbox()
    outbox.put(confirmation(0), 0.0)
    for number in range(1, 40):
        outbox.put(confirmation(number), 0.0)
        outbox.settle(confirmation(number).nonce, 'scored')
    assert outbox.put(confirmation(5), 0.0)        # forgotten, so it counts as new
    assert not outbox.put(confirmation(39), 0.0)   # remembered
    assert outbox.due(UNDO)[0] == confirmation(0)


def test_what_is_over_the_most_that_may_wait_is_refused_and_the_rest_stays(
        open_outbox, monkeypatch):
    monkeypatch.setattr('tool_recognizer.console.outbox.MOST_OPEN', 2)
    outbox = open_outbox()
    assert outbox.put(confirmation(1), 0.0)
    assert outbox.put(confirmation(2), 0.0)
    with pytest.raises(OutboxError, match='2 confirmations wait already'):
        outbox.put(confirmation(3), 0.0)
    assert not outbox.put(confirmation(2), 0.0)  # a repetition takes no room
    outbox.settle(confirmation(1).nonce, 'scored')
    assert outbox.put(confirmation(3), 0.0)


def test_the_files_are_for_nobody_else_to_read(open_outbox, path):
    path.parent.mkdir()
    path.touch(0o644)
    open_outbox().put(confirmation(1), 0.0)
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
