"""After kill -9, a recognizer with a journal says over DDS what it said before."""

from contextlib import closing
import sqlite3

from diagnostic_msgs.msg import DiagnosticStatus
from graph import Camera
from graph import confirmed
from graph import flat
from graph import header
from graph import LABELS
from graph import LATCHED
from graph import Operator
from graph import values
import numpy as np
from std_srvs.srv import Trigger

NAME = '/tool_recognizer'
COLOURS = [(230, 10, 20), (15, 225, 30), (5, 25, 235)]


def rows(path, sql, *arguments):
    with closing(sqlite3.connect(f'{path.as_uri()}?mode=ro', uri=True)) as db:
        return db.execute(sql, arguments).fetchall()


class Word:
    """What the recognizer says of the early warning and of its shadow, from now on."""

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


def test_after_kill_9_the_early_warning_and_the_shadow_go_on_where_they_were(
        peer, recognizer, write_model, tmp_path):
    path = tmp_path / 'journal.sqlite'
    options = {'model_path': write_model('blunt.onnx', weights=0.3 * np.eye(3)),
               'shadow_model_path': write_model('sharp.onnx'), 'journal.path': path,
               'early_warning.interval': 0.5}
    program = recognizer(**options)
    word = Word(peer)
    camera = Camera(peer)
    operator = Operator(camera)
    for number in range(1, 21):
        show(camera, number)
        operator.confirm(confirmed(header(number), LABELS[number % 3]), n=number)
    show(camera, 21)
    word.wait(n=20)
    before = warning, shadow = word.newest()
    assert int(warning['samples']) > 5
    # An answer that nobody has confirmed reaches the disk with its batch.
    peer.wait(lambda: [(int(warning['samples']),)] == rows(path, 'SELECT count(*) FROM samples')
              and rows(path, 'SELECT 1 FROM shadow_predictions WHERE stamp = ?',
                       (1_700_000_000 + 21) * 1_000_000_000 + 22), 'the batch')
    program.process.kill()
    program.process.wait()

    word = Word(peer)
    program = recognizer(**options)
    assert word.newest() == before
    # Its last answer still waits for its word, and no word counts twice.
    operator = Operator(Camera(peer))
    operator.confirm(confirmed(header(21), LABELS[0]), n=21)
    operator.confirm(confirmed(header(21), LABELS[0]), n=21, duplicate=1)
    word.wait(n=21)
    assert float(shadow['nll_difference_ci_high']) < 0.0
    assert peer.call(Trigger, f'{NAME}/reset_monitor').success
    word.wait(n=0)
    peer.wait(lambda: rows(path, 'SELECT count(*) FROM runs') == [(2,)], 'the run on disk')
    program.process.kill()
    program.process.wait()

    word = Word(peer)
    recognizer(**options)
    warning, shadow = word.newest()
    assert (warning['samples'], warning['evidence'], shadow['n']) == ('0', '0.0', '0')
    assert shadow['evidence'] == '0.0'
