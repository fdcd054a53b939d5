"""A node whose journal's file is locked, taken away or none at all acknowledges what it keeps."""

from contextlib import closing
from contextlib import suppress
import os
import re
import sqlite3

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from graph import Camera
from graph import flat
from graph import header
from graph import rows
from graph import values
import pytest
from rclpy.qos import QoSProfile
from tool_recognizer.event_log.reader import JournalReader

NAME = '/tool_recognizer'
CONFIRMED = "SELECT count(DISTINCT stamp) FROM events WHERE kind = 'confirmed'"


class Sender:
    """An operator's station that sends each confirmation until it is acknowledged."""

    def __init__(self, peer):
        self._peer, self.acknowledged = peer, {}
        self._publisher = peer.publisher(DiagnosticStatus, f'{NAME}/confirmation',
                                         QoSProfile(depth=1000))
        peer.collect(DiagnosticStatus, f'{NAME}/confirmation_ack', keep=self._hear)
        peer.wait_for_subscriber(self._publisher)
        peer.meet()

    def _hear(self, message):
        self.acknowledged.setdefault(values(message)['stamp'], message)
        return False

    def send(self, number):
        head = header(number)
        stamp = str(head.stamp.sec * 10**9 + head.stamp.nanosec)
        self._publisher.publish(DiagnosticStatus(name='operator', values=[
            KeyValue(key='stamp', value=stamp), KeyValue(key='frame_id', value=head.frame_id),
            KeyValue(key='distribution', value='{"wrench": 1.0}')]))
        return stamp

    def confirm(self, number):
        """Send until it is acknowledged; return how."""
        for _ in range(90):
            stamp = self.send(number)
            with suppress(AssertionError):
                return self._peer.wait(lambda s=stamp: self.acknowledged.get(s), patience=1.0)
        raise AssertionError(f'{number} is not acknowledged')


@pytest.fixture
def journal(peer):
    """Return a function that waits until the diagnostics say something of the journal."""
    arrays = peer.collect(DiagnosticArray, '/diagnostics')

    def said(words):
        return peer.wait(lambda: [status for array in arrays[-2:] for status in array.status
                                  if 'journal' in status.name and words in status.message],
                         f'the diagnostics never said {words!r}')[0]
    return said


def test_a_journal_that_another_program_holds_at_the_start_is_opened_when_it_is_free(
        peer, recognizer, write_model, tmp_path, journal):
    path = tmp_path / 'journal.db'
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute('BEGIN EXCLUSIVE')
        program = recognizer(**{'model_path': write_model(), 'journal.path': path})
        camera, sender = Camera(peer), Sender(peer)
        journal('another program holds it locked')
        for number in range(1, 11):
            camera.answer(flat((255, 0, 0), header(number)))
            assert sender.confirm(number).level == DiagnosticStatus.WARN
        assert program.process.poll() is None
        backup.execute('ROLLBACK')
    assert values(journal('writing'))['state'] == 'writing'
    peer.wait(lambda: rows(path, CONFIRMED) == [(10,)], 'it is not on disk')


def test_a_journal_that_is_deleted_under_the_node_has_all_that_was_acknowledged(
        peer, recognizer, write_model, tmp_path, journal):
    path = tmp_path / 'journal.db'
    options = {'model_path': write_model(), 'journal.path': path}
    program = recognizer(**options)
    camera, sender = Camera(peer), Sender(peer)
    for number in range(1, 151):
        camera.answer(flat((255, 0, 0), header(number)))
        assert sender.confirm(number).level == DiagnosticStatus.OK
        if number == 50:
            path.unlink()
    journal('writing')
    peer.wait(lambda: 'is written again' in program.output, 'it is not told')
    program.process.kill()
    program.process.wait()
    figures = peer.collect(DiagnosticStatus, f'{NAME}/monitor')
    recognizer(**options)
    peer.wait(lambda: figures and values(figures[-1])['n'] == '150', 'some are gone')
    with JournalReader(path) as reader:
        assert list(reader.problems()) == []
        assert {str(stored.stamp) for stored in reader.confirmations()} == {*sender.acknowledged}


def test_two_nodes_never_write_one_journal_by_two_names(
        peer, recognizer, write_model, tmp_path):
    path, link = tmp_path / 'journal.db', tmp_path / 'link.db'
    options = {'model_path': write_model(), 'journal.path': path}
    first = recognizer(**options)
    camera, sender = Camera(peer), Sender(peer)
    os.symlink(path, link)
    (tmp_path / 'journal.db.lock').unlink()
    second = recognizer(**{**options, 'journal.path': link}, remap=['__ns:=/other'])
    peer.wait(lambda: f'process {first.process.pid} writes it already' in second.output,
              'the second one does not say it')
    for number in range(1, 6):
        camera.answer(flat((255, 0, 0), header(number)))
        assert sender.confirm(number).level == DiagnosticStatus.OK
    assert rows(path, "SELECT count(*) FROM events WHERE kind = 'began'") == [(1,)]


def foreign(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE TABLE accounts (id)')


def newer(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE TABLE events (id)')
        db.execute('PRAGMA application_id = 0x746F6F6C')
        db.execute('PRAGMA user_version = 99')


@pytest.mark.parametrize(('make', 'words'), [
    (lambda path: path.mkdir(), 'something that is no file: name another one'),
    (foreign, 'an SQLite file of another program; name another file'),
    (newer, 'it has schema 99')])
def test_a_file_that_will_never_do_is_refused_at_the_start(
        recognizer, write_model, tmp_path, make, words):
    path = tmp_path / 'journal.db'
    make(path)
    program = recognizer(**{'model_path': write_model(), 'journal.path': path})
    assert program.process.wait(90.0) == 2
    assert words in program.output
    assert re.search(r'Traceback', program.output) is None
