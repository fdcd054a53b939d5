"""
After kill -9, a recognizer with a journal says over DDS what it said before.

``TOOL_RECOGNIZER_KILLS=1000`` kills it a thousand times under load, which takes half an hour.
"""

from contextlib import closing
import os
import random
import shutil
import sqlite3
from threading import Event
from threading import Thread
from time import sleep

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from graph import Camera
from graph import CONFIRMATIONS
from graph import confirmed
from graph import flat
from graph import header
from graph import LABELS
from graph import LATCHED
from graph import Operator
from graph import rows
from graph import values
from journal_writer import JournalWriter
from lives import Lives
import numpy as np
from peers import Peer
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from tool_recognizer.core.paired import CAPACITY
from tool_recognizer.event_log import file as journal_file
from tool_recognizer.event_log.reader import JournalReader
from vision_msgs.msg import Classification

NAME = '/tool_recognizer'
COLOURS = [(230, 10, 20), (15, 225, 30), (5, 25, 235)]


class Statuses:
    """What the recognizer publishes of the early warning and its shadow model, from now on."""

    def __init__(self, peer):
        self._wait = peer.wait
        self._topics = [peer.collect(DiagnosticStatus, f'{NAME}/{name}', LATCHED)
                        for name in ('early_warning', 'shadow')]

    def newest(self):
        """Return what both say, figured after this call."""
        for said in self._topics:
            said.clear()
            # The first may have been on its way already.
            self._wait(lambda said=said: len(said) >= 2, 'the recognizer says nothing')
        return [values(said[-1]) for said in self._topics]

    def wait(self, **expected):
        """Wait until the shadow says as much."""
        self._wait(lambda: any(all(values(status)[name] == str(value)
                                   for name, value in expected.items())
                               for status in self._topics[1]),
                   f'the shadow never said {expected}')


def show(camera, number):
    camera.answer(flat(COLOURS[number % 3], header(number)))


@pytest.fixture
def with_shadow(write_model, tmp_path):
    """Return a journal's path, and the parameters of a recognizer with it and with a shadow."""
    path = tmp_path / 'journal.sqlite'
    return path, {'model_path': write_model('blunt.onnx', weights=0.3 * np.eye(3)),
                  'shadow_model_path': write_model('sharp.onnx'), 'journal.path': path,
                  'early_warning.interval': 0.5}


@pytest.fixture
def calibrated(write_model):
    """Return the path of a model with a reference, held against which the drift test alarms."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (300, 3))
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return write_model(metadata={'reference': {
        'logits': logits.tolist(), 'label': truth.tolist()}})


def confirm_wrongly(operator, drift, first):
    """Confirm frames, from a number on, as what they are not, until there is an alarm."""
    for n in range(1, 100):
        operator.camera.answer(flat((255, 0, 0), header(first + n)))
        operator.confirm(confirmed(header(first + n), 'wrench'), n=n)
        if drift and drift[-1].data:
            return n
    raise AssertionError('no alarm')


def test_after_kill_9_the_early_warning_and_the_shadow_go_on_where_they_were(
        peer, recognizer, with_shadow):
    path, options = with_shadow
    program = recognizer(**options)
    statuses = Statuses(peer)
    camera = Camera(peer)
    operator = Operator(camera)
    for number in range(1, 21):
        show(camera, number)
        operator.confirm(confirmed(header(number), LABELS[number % 3]), n=number)
    show(camera, 21)
    statuses.wait(n=20)
    before = warning, shadow = statuses.newest()
    assert int(warning['samples']) > 5
    # A prediction without a confirmation reaches the disk with its batch.
    peer.wait(lambda: [(int(warning['samples']),)] == rows(path, SAMPLES)
              and rows(path, "SELECT 1 FROM events WHERE kind = 'shadow' AND stamp = ?",
                       (1_700_000_000 + 21) * 1_000_000_000 + 22), 'the batch')
    program.process.kill()
    program.process.wait()

    statuses = Statuses(peer)
    program = recognizer(**options)
    assert statuses.newest() == before
    # The last prediction is still pending, and no confirmation counts twice.
    operator = Operator(Camera(peer))
    operator.confirm(confirmed(header(21), LABELS[0]), n=21)
    operator.confirm(confirmed(header(21), LABELS[0]), n=21, duplicate=1)
    statuses.wait(n=21)
    assert float(shadow['nll_difference_ci_high']) < 0.0
    assert peer.call(Trigger, f'{NAME}/reset_monitor').success
    statuses.wait(n=0)
    peer.wait(lambda: rows(path, "SELECT count(*) FROM events WHERE kind = 'reset'") == [(1,)],
              'the reset on disk')
    program.process.kill()
    program.process.wait()

    statuses = Statuses(peer)
    recognizer(**options)
    warning, shadow = statuses.newest()
    assert (warning['samples'], warning['evidence'], shadow['n']) == ('0', '0.0', '0')
    assert shadow['evidence'] == '0.0'


SAMPLES = ("SELECT count(*) FROM events WHERE kind = 'sample' "
           'AND log_probabilities IS NOT NULL')
KILLS = int(os.environ.get('TOOL_RECOGNIZER_KILLS', '3'))


class Load:
    """
    A camera that never stops, and operators who confirm every third frame once it is answered.

    Parameters
    ----------
    first : number of the first frame
    sent : the confirmations by their frames' stamps; filled
    kept : the stamps of the confirmations that were acknowledged as on disk; filled

    Attributes
    ----------
    peer : whose topics these are; to a new one no recognizer is known that has died

    """

    def __init__(self, first, sent, kept):
        self.peer, self.next = Peer(), first
        self._sent, self._kept = sent, kept
        self._frames = self.peer.publisher(Image, '/image_raw')
        self._confirmations = self.peer.publisher(
            DiagnosticStatus, f'{NAME}/confirmation', QoSProfile(depth=1000))
        self.peer.collect(Classification, f'{NAME}/classification', keep=self._answered)
        self.peer.collect(DiagnosticStatus, f'{NAME}/confirmation_ack', keep=self._acknowledged)
        self._ended = Event()
        self._thread = Thread(target=self._show)
        self._thread.start()

    def _show(self):
        while not self._ended.wait(0.005):
            self.next += 1
            colour = [(c + self.next) % 256 for c in COLOURS[self.next % 3]]
            self._frames.publish(flat(colour, header(self.next)))

    def _answered(self, message):
        number = message.header.stamp.nanosec - 1
        if number % 3 == 0 and not self._ended.is_set():
            stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            self._sent[stamp] = DiagnosticStatus(name='operator', values=[
                KeyValue(key='stamp', value=str(stamp)), KeyValue(key='frame_id', value='bench'),
                KeyValue(key='distribution', value=f'{{"{LABELS[number // 3 % 3]}": 1.0}}')])
            self._confirmations.publish(self._sent[stamp])
        return False

    def _acknowledged(self, message):
        if message.level == DiagnosticStatus.OK:
            self._kept.add(int(values(message)['stamp']))
        return False

    def send_again(self):
        """Send again what was not acknowledged."""
        for stamp in sorted({*self._sent} - self._kept):
            self._confirmations.publish(self._sent[stamp])

    def end(self):
        """Show and confirm nothing more; what is still acknowledged counts until the end."""
        self._ended.set()
        self._thread.join()


def test_kills_at_random_moments_under_load_lose_and_double_nothing(
        peer, recognizer, with_shadow, tmp_path):
    path, options = with_shadow
    arguments = [part for name, value in options.items() for part in ('-p', f'{name}:={value}')]
    rng = random.Random(0)
    sent, kept, loads = {}, set(), []
    lives = Lives('recognizer')
    try:
        for _ in range(KILLS):
            lives.begin(tmp_path / 'life.log', '--ros-args', '-p', 'autostart:=true', *arguments)
            loads.append(Load(loads[-1].next if loads else 0, sent, kept))
            wanted = len(kept) + rng.randint(1, 60)
            loads[-1].peer.wait(lambda wanted=wanted: len(kept) >= wanted, 'nothing is kept')
            if len(loads) > 1:  # what was on its way to this one when its recognizer died is read
                loads.pop(0).peer.close()
            loads[-1].send_again()
            sleep(rng.uniform(0.0, 0.5))
            lives.kill()
            loads[-1].end()
        figures = peer.collect(DiagnosticStatus, f'{NAME}/monitor', LATCHED)
        statuses = Statuses(peer)
        recognizer(**options)
        warning, shadow = statuses.newest()
        said = values(peer.wait(lambda: figures, 'no figures')[-1])
        with JournalReader(path) as journal:
            assert list(journal.problems()) == []
            stored = list(journal.confirmations())
    finally:
        lives.close()
        for load in loads:
            load.end()
            load.peer.close()
    scored = [c.stamp for c in stored if c.outcome.value in ('scored', 'late')]
    assert kept <= {c.stamp for c in stored} <= {*sent}
    assert len(stored) == len({c.stamp for c in stored})
    assert int(said['n']) == len(scored)
    # The shadow has scored the same ones, but for those that it had not answered in time.
    answered = {stamp for stamp, in rows(path, "SELECT stamp FROM events WHERE kind = 'shadow'")}
    both = len({*scored} & answered)
    assert both >= len(scored) - KILLS
    assert int(shadow['n']) == min(both, CAPACITY)
    assert [(int(warning['samples']),)] == rows(path, SAMPLES)


def test_an_alarm_is_kept_once_however_often_the_recognizer_starts(
        peer, recognizer, calibrated, tmp_path):
    path, evidence = tmp_path / 'journal.sqlite', tmp_path / 'evidence'
    options = {'journal.path': path, 'evidence.path': evidence, 'model_path': calibrated}
    program = recognizer(**options)
    operator = Operator(Camera(peer))
    drift = peer.collect(Bool, f'{NAME}/drift', LATCHED)
    confirm_wrongly(operator, drift, 0)
    kept = peer.wait(lambda: rows(path, "SELECT count(*) FROM events WHERE kind = 'alarm'")
                     == [(1,)] and list(evidence.glob('*Z')), 'the alarm is not kept')
    for _ in range(2):
        program.process.kill()
        program.process.wait()
        drift.clear()
        program = recognizer(**options)
        peer.wait(lambda: [m.data for m in drift] == [True], 'the alarm is not published again')
    operator = Operator(Camera(peer))
    assert list(evidence.glob('*Z')) == kept
    assert rows(path, "SELECT count(*) FROM events WHERE kind = 'alarm'") == [(1,)]
    # A new run has its own.
    assert peer.call(Trigger, f'{NAME}/reset_monitor').success
    peer.wait(lambda: not drift[-1].data, 'the reset is not published')
    confirm_wrongly(operator, drift, 100)
    peer.wait(lambda: len(list(evidence.glob('*Z'))) == 2, 'the second alarm has no evidence')


def test_after_a_restart_stale_labels_are_stale(peer, recognizer, write_model, tmp_path):
    options = {'journal.path': tmp_path / 'journal.sqlite', 'model_path': write_model(),
               'monitor.stale_after': 3.0}
    program = recognizer(**options)
    operator = Operator(Camera(peer))
    operator.camera.answer(flat((255, 0, 0), header(1)))
    operator.confirm(confirmed(header(1), 'wrench'), n=1)
    peer.wait(lambda: operator.camera.monitor[-1].level == DiagnosticStatus.STALE, 'not stale')
    program.process.kill()
    program.process.wait()
    figures = peer.collect(DiagnosticStatus, f'{NAME}/monitor', LATCHED)
    recognizer(**options)
    peer.wait(lambda: figures, 'no status')
    assert figures[0].level == DiagnosticStatus.STALE
    assert values(figures[0])['n'] == '1'


def test_an_alarm_is_on_again_when_the_journal_opens_after_a_start_without_it(
        peer, recognizer, calibrated, tmp_path):
    path = tmp_path / 'journal.sqlite'
    options = {'journal.path': path, 'model_path': calibrated}
    program = recognizer(**options)
    operator = Operator(Camera(peer))
    drift = peer.collect(Bool, f'{NAME}/drift', LATCHED)
    figures = peer.collect(DiagnosticStatus, f'{NAME}/monitor', LATCHED)
    number = confirm_wrongly(operator, drift, 0)
    peer.wait(lambda: rows(path, "SELECT count(*) FROM events WHERE kind = 'alarm'") == [(1,)],
              'the alarm is not kept')
    program.process.kill()
    program.process.wait()
    drift.clear()
    with closing(journal_file.lock(path)):
        program = recognizer(**options)
        operator = Operator(Camera(peer))
        operator.camera.answer(flat((255, 0, 0), header(200)))
        operator.confirm(confirmed(header(200), 'wrench'), n=1)
        peer.wait(lambda: [message.data for message in drift] == [False], 'nothing is said')
    peer.wait(lambda: drift[-1].data, 'the alarm is gone')
    peer.wait(lambda: values(figures[-1])['n'] == str(number + 1), 'it has other figures')
    peer.wait(lambda: rows(path, CONFIRMATIONS) == [(number + 1,)],
              'what came before the journal opened is not on disk')
    assert rows(path, "SELECT count(*) FROM events WHERE kind = 'began'") == [(1,)]
    assert rows(path, "SELECT count(*) FROM events WHERE kind = 'alarm'") == [(1,)]
    with JournalReader(path) as reader:
        assert list(reader.problems()) == []


def test_damage_that_is_found_beside_the_work_is_recorded_and_so_said_once(
        peer, recognizer, write_model, tmp_path):
    path, found = tmp_path / 'journal.sqlite', "SELECT detail FROM events WHERE kind = 'damaged'"
    with JournalWriter(path, tuple(LABELS)) as writer:
        for stamp in (1, 2):
            writer.answer(stamp, [0.2, 0.3, 0.5])
            writer.confirm(stamp, 'wrench', b'picture')
    for stamp in (1, 2):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute('UPDATE pictures SET bytes = 1 WHERE stamp = ?', (stamp,))
        program = recognizer(**{'journal.path': path, 'model_path': write_model()})
        peer.wait(lambda stamp=stamp: len(rows(path, found)) == stamp, 'it is not recorded')
        program.stop()
    first, second = rows(path, found)
    assert 'frame 1' in str(first)
    assert 'frame 2' in str(second)


def test_a_picture_that_is_lost_is_counted_in_the_diagnostics(
        peer, recognizer, write_model, tmp_path):
    path, folder = tmp_path / 'journal.sqlite', tmp_path / 'journal.sqlite.pictures'
    recognizer(**{'journal.path': path, 'model_path': write_model()})
    operator = Operator(Camera(peer))
    said = peer.collect(DiagnosticArray, '/diagnostics')
    operator.camera.answer(flat((255, 0, 0), header(1)))
    shutil.rmtree(folder)
    folder.write_text('in the way')
    operator.confirm(confirmed(header(1), 'wrench'), n=1)
    peer.wait(lambda: any(values(status).get('pictures_lost') == '1'
                          for message in said for status in message.status), 'it is not said')
