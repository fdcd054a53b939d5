"""The engine goes on after a restart where it was: the early warning and the shadow, too."""

from contextlib import closing
import json
import sqlite3

from hypothesis import example
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from tool_recognizer import engine as engine_module
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.engine import make_engine
from tool_recognizer.engine import Rules
from tool_recognizer.event_log import file as journal_file
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.writer import Journal
from tool_recognizer.meanwhile import Meanwhile

SECOND = 1_000_000_000
COLOURS = [(255, 30, 0), (0, 255, 60), (40, 0, 255), (90, 90, 90)]
PATIENCE = 60.0


def key(number):
    return FrameKey(Stamp(number * SECOND), 'bench')


class Line:
    """An engine with a journal, or one that never ends, and what happens to them on a line."""

    def __init__(self, parameters, path=None):
        self._parameters, self._path = parameters, path
        self.journal = None
        self._said = []
        self.outcomes = []
        self._shown = set()
        self._open()

    def _open(self):
        self.journal = self._path and Journal(self._path)
        self.engine = make_engine(self._parameters, self.journal)
        self.engine.start('start', 0)

    def restart(self, **changed):
        """Begin anew with the journal; without one, lose what a restart may lose."""
        if self.journal is None:
            self.engine._sampler._frames = []
            return self
        self.close()
        self._parameters = {**self._parameters, **changed}
        self._open()
        return self

    def close(self):
        if self.journal is not None:
            self.journal.close()

    def frame(self, number, meanwhile=None, colour=None):
        """Show a frame; ``meanwhile``, before the shadow has answered it, it is confirmed."""
        pixels = np.full((16, 16, 3), COLOURS[number % 4 if colour is None else colour], np.uint8)
        frame = Frame(key(number), pixels, 'rgb')
        self.engine.answer(self.engine.look([frame])[0], Rules(), 0)
        if number % 3 == 0 and number not in self._shown:
            how = Asked(0.25 if number % 2 else 0.5, 0.5)
            self.engine.ask(frame.key, how)
            self.engine.request(frame.key, how, 0, None)
        self._shown.add(number)
        if meanwhile is not None:
            self.confirm(number, meanwhile)
        self.engine.follow(frame)

    def confirm(self, number, label):
        if number % 3 == 0 and number not in self._shown:
            number += 1  # a word is not both too early to be asked for, and asked for
        distribution = {label: 1.0} if isinstance(label, str) else label
        self._said.append(Confirmation(key(number), distribution, nonce=str(len(self._said))))
        return self._deliver(self._said[-1])

    def deliver_again(self, number):
        """Deliver a word that was said before, for its acknowledgement was lost."""
        if self._said:
            self._deliver(self._said[-1 - number % len(self._said)])

    def _deliver(self, word):
        outcome, kept = self.engine.confirm(word, 0)
        self.outcomes.append(outcome)
        return kept

    def state(self):
        """Return what the monitor, the early warning and the shadow have come to."""
        engine, shadow = self.engine, self.engine.shadow
        sampling = engine._sampler.state()
        return {
            'figures': repr(engine.figures()),
            'drift': json.dumps(engine.monitor.detector.to_state()),
            'samples': json.dumps(engine.warning.to_state()),
            'sampling': (*sampling[:3], None if sampling.taken is None
                         else sampling.taken.tolist()),
            'pairs': list(shadow._pairs._pairs), 'difference': repr(shadow.difference()),
            'test': json.dumps(shadow.monitor.detector.to_state())}


@pytest.fixture
def parameters(write_model):
    return {
        'model_path': str(write_model('blunt.onnx', weights=0.3 * np.eye(3))),
        'shadow_model_path': str(write_model('sharp.onnx', labels=(
            'wrench', 'hammer', 'screwdriver'), weights=np.roll(np.eye(3), 1, axis=1))),
        'early_warning.interval': 0.01, 'early_warning.run_length': 20.0}


@pytest.fixture
def line(parameters, tmp_path):
    with closing(Line(parameters, tmp_path / 'journal.db')) as line:
        yield line


def work(line, first=1, count=30):
    """Show frames of every kind, two of three confirmed: late, early, soft, asked for."""
    for number in range(first, first + count):
        if number % 7 == 0:
            line.confirm(number, 'hammer')
        line.frame(number, 'wrench' if number % 5 == 0 else None)
        if number % 3:
            line.confirm(number - number % 2, {'hammer': 0.25, 'wrench': 0.75})


LABEL = st.sampled_from(['hammer', 'wrench', 'anvil', {'hammer': 0.5, 'wrench': 0.5}])
A_FRAME_OUT_OF_ORDER = [
    ('frame', 1, None), ('frame', 4, 'hammer'), ('frame', 2, None), ('deliver_again', 0)]
CONFIRMED_IN_ANOTHER_ORDER = [
    ('frame', 1, None), ('frame', 2, None), ('frame', 4, 'hammer'), ('confirm', 1, 'hammer'),
    ('confirm', 2, 'hammer'), ('frame', 5, 'hammer'), ('deliver_again', 3)]
SHOWN_AGAIN_LONG_AFTER_IT_WAS_ASKED_FOR = [
    ('frame', 3, None), ('frame', 1, None), ('frame', 2, None), ('frame', 4, None), ('restart',),
    ('frame', 3, 'hammer')]
STEPS = st.lists(st.one_of(
    st.tuples(st.just('frame'), st.integers(0, 12), st.one_of(st.none(), LABEL)),
    st.tuples(st.just('confirm'), st.integers(0, 12), LABEL),
    st.tuples(st.just('deliver_again'), st.integers(0, 5)),
    st.tuples(st.just('reset')), st.tuples(st.just('restart'))), max_size=40)


@given(steps=STEPS, volunteered=st.sampled_from(['score', 'keep']),
       pending=st.sampled_from([3, 20_000]))
@example(steps=A_FRAME_OUT_OF_ORDER, volunteered='score', pending=20_000)
@example(steps=CONFIRMED_IN_ANOTHER_ORDER, volunteered='score', pending=3)
@example(steps=SHOWN_AGAIN_LONG_AFTER_IT_WAS_ASKED_FOR, volunteered='keep', pending=3)
@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_restarts_at_any_points_of_any_sequence_change_nothing(
        steps, volunteered, pending, parameters, tmp_path_factory):
    chosen = {**parameters, 'monitor.volunteered': volunteered, 'monitor.pending': pending}
    straight = Line(chosen)
    restarted = Line(chosen, tmp_path_factory.mktemp('journal') / 'journal.db')
    try:
        for name, *arguments in [*steps, ('restart',)]:
            for line in (straight, restarted):
                if name == 'reset':
                    line.engine.reset(0)
                else:
                    getattr(line, name)(*arguments)
        assert restarted.outcomes == straight.outcomes
        assert restarted.state() == straight.state()
        assert restarted.journal.refused == 0
        assert not restarted.engine.notes
        with JournalReader(restarted._path) as reader:
            assert [*reader.problems()] == []
    finally:
        restarted.close()


def test_the_early_warning_and_the_shadow_have_something_to_lose(line):
    """The frames of the tests below are sampled and scored, and restored for all that."""
    line.restart(**{'monitor.volunteered': 'keep'})
    work(line, count=60)
    before = line.state()
    assert line.engine.warning.n_samples > 10
    assert line.engine.shadow.difference().n > 10
    assert {weight for *_, weight in line.engine.shadow._pairs._pairs} == {2.0, 4.0}
    assert line.restart().state() == before
    work(line, 61, 60)
    assert line.engine.shadow.difference().n > 20


def test_the_shadow_is_scored_on_what_it_answers_to_the_frame_that_was_confirmed(line):
    """Not on its answer to the frame of the same stamp in the last round of a recording."""
    line.frame(4, 'hammer', colour=1)
    pair = line.engine.shadow._pairs._pairs[-1]
    line.frame(1)
    line.frame(4, 'hammer', colour=0)
    line.frame(2)
    line.deliver_again(0)
    assert line.outcomes[-2:] == [Outcome.SCORED, Outcome.DUPLICATE]
    assert line.engine.shadow.difference().n == 2
    line.restart()
    line.frame(4, 'hammer', colour=1)
    line.deliver_again(0)
    assert line.outcomes[-2:] == [Outcome.SCORED, Outcome.DUPLICATE]
    assert line.engine.shadow.difference().n == line.engine.figures().n == 3
    assert line.engine.shadow._pairs._pairs[-1] == pair != line.engine.shadow._pairs._pairs[-2]


def test_where_every_word_is_scored_no_frame_counts_more_for_being_asked_for(line):
    line.restart(**{'monitor.volunteered': 'score'})
    work(line)
    figures = line.engine.monitor.figures()
    assert figures.effective_n == figures.window > 10
    assert {weight for *_, weight in line.engine.shadow._pairs._pairs} == {1.0}


def test_what_lay_still_before_a_restart_is_no_sample_again(line):
    for number in range(1, 6):
        line.frame(number, colour=0)
    assert line.engine.warning.n_samples == 1
    line.restart()
    for number in range(6, 10):
        line.frame(number, colour=0)
    assert line.engine.warning.n_samples == 1
    line.frame(10, colour=1)
    line.frame(11, colour=1)
    assert line.engine.warning.n_samples == 2


def test_a_frame_that_was_answered_before_a_restart_is_scored_after_it(line):
    line.frame(1)
    line.confirm(2, 'hammer')
    line.restart()
    line.confirm(1, 'hammer').result(PATIENCE)
    line.frame(2)
    line.frame(2)
    line.confirm(2, 'hammer').result(PATIENCE)
    assert line.engine.shadow.difference().n == 2
    assert line.restart().engine.shadow.difference().n == 2


def test_another_model_in_charge_another_shadow_and_another_sampling_begin_anew(
        line, write_model, parameters):
    work(line)
    before = line.state()
    after = line.restart(shadow_model_path=str(write_model('other.onnx'))).state()
    assert line.engine.shadow.difference().n == 0
    assert after['samples'] == before['samples']
    work(line, 31)
    before = line.state()
    after = line.restart(**{'early_warning.interval': 0.02}).state()
    assert line.engine.warning.n_samples == 0
    assert after['pairs'] == before['pairs']
    work(line, 61)
    line.restart(model_path=str(write_model('another.onnx')))
    assert (line.engine.warning.n_samples, line.engine.shadow.difference().n) == (0, 0)
    assert not line.engine.notes


def test_a_longer_promise_counts_from_the_restart_on(line):
    work(line)
    samples = line.engine.warning.n_samples
    line.restart(**{'early_warning.run_length': 30.0})
    assert (line.engine.warning.run_length, line.engine.warning.n_samples) == (30.0, samples)


def test_a_reset_is_a_new_start_after_a_restart_too(line):
    work(line)
    line.engine.reset(1)
    assert line.engine.shadow.difference().n == 0
    before = line.state()
    assert line.restart().state() == before
    line.confirm(27, 'hammer')  # answered before the reset
    assert line.restart().engine.shadow.difference().n == 1


def test_a_run_without_the_shadow_takes_nothing_from_it(line, parameters):
    work(line)
    before = line.state()
    line.restart(shadow_model_path='')
    work(line, 31)
    line.restart(shadow_model_path=parameters['shadow_model_path'])
    assert line.state()['pairs'] == before['pairs']


def test_a_saved_state_stands_for_its_samples(line, monkeypatch):
    monkeypatch.setattr(engine_module, 'SAMPLES_PER_STATE', 8)
    work(line)
    before = line.state()
    line.close()
    with closing(sqlite3.connect(line._path)) as db:
        assert 0 < db.execute('SELECT count(*) FROM samples').fetchone()[0] < 8
    assert line.restart().state() == before
    work(line, 31, 60)
    before = line.state()
    assert line.restart().state() == before


@pytest.mark.parametrize(('damage', 'said'), [
    ("UPDATE tests SET state = substr(state, 1, 40) WHERE kind = '{kind}'", 'JSONDecodeError'),
    ("UPDATE tests SET state = '{{}}' WHERE kind = '{kind}'", 'KeyError'),
    ("UPDATE tests SET state = '[1]' WHERE kind = '{kind}'", ''),
    ('UPDATE {rows} SET log_probabilities = substr(log_probabilities, 1, 9)', 'ValueError'),
    ('UPDATE {rows} SET log_probabilities = substr(log_probabilities, 1, 16)', ''),
])
@pytest.mark.parametrize(('kind', 'rows', 'name'), [
    ('early_warning', 'samples', 'early warning'), ('shadow', 'shadow_predictions', 'shadow')])
def test_what_is_damaged_is_said_and_begins_anew_alone(line, damage, said, kind, rows, name):
    work(line)
    before = line.state()
    line.close()
    with closing(sqlite3.connect(line._path)) as db, db:
        db.execute(damage.format(kind=kind, rows=rows))
    after = line.restart().state()
    assert len(line.engine.notes) == 1
    assert f'of the {name} cannot be used ({said}' in line.engine.notes[0]
    assert line.engine.notes[0].endswith('it begins anew')
    anew, kept = ('samples', 'test') if kind == 'early_warning' else ('test', 'samples')
    assert after[kept] == before[kept]
    assert after[anew] != before[anew]
    assert line.engine.monitor.figures().n > 10
    work(line, 31)
    before = line.state()
    assert line.restart().state() == before
    assert not line.engine.notes
    with JournalReader(line._path) as reader:
        assert reader.statistics()['events'] == {'begun_anew': 1}


def test_a_drift_test_that_cannot_go_on_is_said_and_a_run_begins(line):
    work(line)
    line.close()
    with closing(sqlite3.connect(line._path)) as db, db:
        db.execute("UPDATE runs SET state = '{\"labels\": 3}'")
    line.restart()
    assert 'of the monitor cannot be used (KeyError' in line.engine.notes[0]
    assert line.engine.figures().n == 0
    work(line, 31)
    before = line.state()
    assert line.restart().state() == before
    assert not line.engine.notes


@pytest.mark.parametrize(('damage', 'said'), [
    ("UPDATE confirmations SET outcome = 'scorad' WHERE id = 9", "ValueError: 'scorad'"),
    ("UPDATE confirmations SET distribution = '{\"hammer\"; 1.0}' WHERE id = 9", 'JSONDecodeErr'),
    ("UPDATE confirmations SET distribution = '{\"hammer\": 9.0}' WHERE id = 9", 'InvalidConf'),
    ("UPDATE confirmations SET distribution = '{\"hamner\": 1.0}' WHERE id = 9", 'KeyError'),
    ("UPDATE confirmations SET distribution = CAST(x'7b2268ff223a20317d' AS TEXT) WHERE id = 9",
     'KeyError'),
    ("UPDATE tallies SET outcome = 'scnred' WHERE outcome = 'scored'", "ValueError: 'scnred'"),
    ('UPDATE predictions SET log_probabilities = substr(log_probabilities, 1, 9)', 'ValueError'),
    ("UPDATE predictions SET log_probabilities = 'text'", 'TypeError'),
    ("UPDATE runs SET labels = '[' || labels", 'JSONDecodeError')])
def test_a_damaged_row_is_said_and_a_run_begins_beside_what_is_in_the_file(line, damage, said):
    work(line)
    line.close()
    with closing(sqlite3.connect(line._path)) as db, db:
        rows = db.execute('SELECT count(*) FROM predictions').fetchone()
        db.execute(damage)
    line.restart()
    assert said in ' '.join(line.engine.notes)
    assert line.engine.notes[0].endswith('it begins anew')
    assert line.engine.figures().n == 0
    line.journal.flush()
    with closing(sqlite3.connect(line._path)) as db:
        assert db.execute('SELECT count(*) FROM predictions').fetchone() == rows
        assert db.execute('SELECT run, kind FROM events').fetchall() == [(2, 'begun_anew')]
    work(line, 31)
    before = line.state()
    assert line.engine.figures().n > 10
    assert line.restart().state() == before
    assert not line.engine.notes


def test_a_damaged_index_is_made_anew_from_its_rows_and_nothing_is_lost(line):
    work(line)
    before = line.state()
    line.close()
    # Rows move while the index looks away: what a flipped bit does to it.
    name = 'shadow_predictions_scored'
    for statement in ('DELETE FROM sqlite_master WHERE name = ?',
                      'UPDATE shadow_predictions SET id = id + 1000 WHERE ? <> ""',
                      'INSERT INTO sqlite_master SELECT * FROM kept WHERE name = ?'):
        with closing(sqlite3.connect(line._path)) as db, db:
            db.execute('PRAGMA writable_schema = ON')
            if 'DELETE' in statement:
                db.execute('CREATE TABLE kept AS SELECT * FROM sqlite_master')
            db.execute(statement, (name,))
    with JournalReader(line._path) as reader:
        assert any(name in problem for problem in reader.problems())
    assert line.restart().state() == before
    assert 'indexes were damaged and were made anew' in ' '.join(line.engine.notes)
    work(line, 31)
    before = line.state()
    assert line.restart().state() == before
    assert not line.engine.notes
    with JournalReader(line._path) as reader:
        assert not list(reader.problems())


def test_a_journal_of_the_schema_before_is_taken_over_and_they_begin_in_it(line):
    """Its file as the program before wrote it: the same tables without the new ones."""
    work(line)
    figures = repr(line.engine.figures())
    line.close()
    with closing(sqlite3.connect(line._path)) as db:
        for name in ('samples', 'sampling', 'shadow_predictions', 'tests'):
            db.execute(f'DROP TABLE {name}')
        db.execute('PRAGMA user_version = 2')
        db.commit()
        old = [row[0] for row in db.execute('SELECT sql FROM sqlite_master ORDER BY name')]
    with closing(sqlite3.connect(':memory:', isolation_level=None)) as db:
        journal_file._migrate(db, journal_file.MIGRATIONS[:2], 0)
        assert old == [row[0] for row in db.execute('SELECT sql FROM sqlite_master '
                                                    'ORDER BY name')]
    line.restart()
    assert f'from schema 2 to {len(journal_file.MIGRATIONS)}' in line.journal.notes[0]
    assert line.engine.notes == ('the journal has nothing of the early warning; it begins anew',)
    assert repr(line.engine.figures()) == figures
    assert (line.engine.warning.n_samples, line.engine.shadow.difference().n) == (0, 0)
    work(line, 31)
    before = line.state()
    assert line.restart().state() == before
    assert not line.engine.notes


# -- a journal that can be opened only later ----------------------------------------------------


class Late(Line):
    """A line whose journal cannot be opened at a restart, and can be some time later."""

    def away(self):
        """Begin anew while another process has the file."""
        self.close()
        self.journal = None
        self.engine = make_engine(self._parameters)
        self.engine.start('start', 0)

    def back(self):
        """Open it at last."""
        self.journal = Journal(self._path)
        self.engine.attach(self.journal, 1)

    def say(self, number, label):
        """Say a word that is the same however often it is said."""
        return self.engine.confirm(Confirmation(key(number), {label: 1.0}, nonce='one'), 0)

    def state(self):
        """Return what the monitor and the shadow have come to, with the counts."""
        state = super().state()
        # No window of the early warning's sampler outlives a restart without a journal.
        return {'counts': +self.engine.monitor.counts} | {
            name: state[name] for name in ('figures', 'drift', 'pairs', 'difference', 'test')}


def whole(path):
    with JournalReader(path) as reader:
        return list(reader.problems()) == []


@given(steps=STEPS, meanwhile=STEPS, afterwards=STEPS,
       volunteered=st.sampled_from(['score', 'keep']))
@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_journal_that_opens_late_has_all_that_it_would_have_had(
        steps, meanwhile, afterwards, volunteered, parameters, tmp_path_factory):
    chosen = {**parameters, 'monitor.volunteered': volunteered}
    straight = Late(chosen)
    late = Late(chosen, tmp_path_factory.mktemp('journal') / 'journal.db')
    try:
        for name, *arguments in [*steps, ('away',), *meanwhile, ('back',), *afterwards]:
            if name in ('away', 'back'):
                getattr(late, name)()
            elif name == 'reset':
                straight.engine.reset(0)
                late.engine.reset(0)
            elif name != 'restart':
                getattr(straight, name)(*arguments)
                getattr(late, name)(*arguments)
        assert late.state() == straight.state()
        assert late.journal.refused == 0
        assert late.restart().state() == straight.state()
        assert not late.engine.notes
        assert whole(late._path)
    finally:
        late.close()


@pytest.fixture
def late(parameters, tmp_path):
    with closing(Late(parameters, tmp_path / 'journal.db')) as late:
        yield late


def test_a_word_that_is_acknowledged_when_said_again_is_on_disk(late):
    late.away()
    for number in range(30):
        late.frame(number)
        assert late.say(number, 'hammer')[1] is None
    assert late.say(40, 'wrench')[0] is Outcome.UNMATCHED
    late.back()
    for number in range(30):
        outcome, kept = late.say(number, 'hammer')
        assert outcome is Outcome.DUPLICATE
        kept.result(PATIENCE)
    late.say(40, 'wrench')[1].result(PATIENCE)
    late.frame(40)
    outcome, kept = late.say(40, 'wrench')
    assert outcome is Outcome.DUPLICATE
    kept.result(PATIENCE)
    assert late.journal.refused == 0
    assert late.engine.figures().n == 31
    assert late.restart().engine.figures().n == 31
    assert whole(late._path)


def test_an_alarm_before_a_restart_without_the_journal_is_on_when_it_opens(late, write_model):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (300, 3))
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    late.restart(model_path=str(write_model('known.onnx', metadata={
        'reference': {'logits': logits.tolist(), 'label': truth.tolist()}})))
    for number in range(60):
        late.frame(3 * number + 1, colour=0)
        late.confirm(3 * number + 1, 'wrench')
    assert late.engine.monitor.detector.alarm
    late.engine.record('alarm', 0, {})
    late.away()
    assert not late.engine.monitor.detector.alarm
    late.frame(200)
    late.engine.confirm(Confirmation(key(200), {'wrench': 1.0}), 7)
    late.back()
    assert late.engine.confirmed_at == 7
    assert late.engine.monitor.detector.alarm
    assert late.engine.alarm_kept
    assert late.engine.figures().n == 61
    late.restart()
    assert late.engine.monitor.detector.alarm
    assert late.engine.figures().n == 61
    # A reset is one, whether the journal is there or not.
    late.away()
    late.engine.reset(1)
    late.back()
    assert not late.engine.monitor.detector.alarm
    assert not late.restart().engine.monitor.detector.alarm


def test_an_alarm_that_the_whole_run_does_not_have_goes_with_a_word(late):
    late.away()
    late.frame(1)
    late.confirm(1, 'wrench')
    late.engine.monitor.detector.alarm = True
    late.back()
    assert 'is off' in late.engine.notes[-1]
    late.journal.flush()
    with JournalReader(late._path) as reader:
        assert reader.statistics()['events'] == {'alarm_off': 1, 'attached': 1}


def test_the_early_warning_takes_what_it_saw_before_and_meanwhile(late):
    work(late)
    before = late.engine.warning.n_samples
    late.away()
    work(late, 31)
    meanwhile = late.engine.warning.n_samples
    late.back()
    assert late.engine.warning.n_samples == before + meanwhile > before > 0
    assert late.restart().engine.warning.n_samples == before + meanwhile


def test_a_journal_that_cannot_be_attached_changes_nothing_and_the_next_one_has_it_all(late):
    work(late)
    late.away()
    work(late, 31)
    before = late.state()
    broken = Journal(late._path)
    broken.close()
    with pytest.raises(JournalError, match='it is closed'):
        late.engine.attach(broken, 1)
    assert late.state() == before
    late.back()
    expected = Line(late._parameters)
    work(expected)
    work(expected, 31)
    assert late.state()['figures'] == repr(expected.engine.figures())


def test_an_engine_that_was_made_before_the_journal_came_back_has_it(late):
    engine = make_engine(late._parameters)
    engine.start('reload', 0, late.journal)
    late.engine = engine
    late.frame(1)
    late.confirm(1, 'wrench').result(PATIENCE)
    assert late.restart().engine.figures().n == 1


def test_of_too_many_words_the_oldest_are_not_kept_and_that_is_said(late, monkeypatch):
    monkeypatch.setattr(Meanwhile.__init__, '__defaults__', (5,))
    work(late)
    late.engine.reset(0)
    late.away()
    for number in range(101, 109):
        late.frame(number)
        late.say(number, 'wrench')
        if number == 102:
            late.engine.reset(0)
    late.back()
    assert '3 were too many' in late.engine.notes[0]
    # The reset among what is gone is not gone.
    assert late.engine.figures().n == 5
    outcome, kept = late.say(101, 'wrench')
    assert outcome is Outcome.UNMATCHED
    kept.result(PATIENCE)
    assert late.restart().engine.figures().n == 5
    assert whole(late._path)


def test_of_many_frames_the_newest_wait_and_those_with_a_word_stay(late):
    late._parameters['monitor.pending'] = 4
    late.away()
    late.frame(1)
    late.say(1, 'wrench')
    for number in range(2, 200):
        late.frame(number)
    assert len(late.engine._meanwhile) < 50
    late.say(198, 'wrench')
    late.back()
    assert late.engine.figures().n == 2
    assert late.restart().engine.figures().n == 2
