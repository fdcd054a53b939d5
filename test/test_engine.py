"""After a restart or a crash the engine goes on where it was, to the bit."""

from contextlib import closing
from contextlib import suppress
import shutil
import sqlite3
from threading import Lock

from hypothesis import example
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from recognizing import recognized
from tool_recognizer import assembly
from tool_recognizer.assembly import make_engine
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.run import Run
from tool_recognizer.core.view import look
from tool_recognizer.core.view import WHOLE
from tool_recognizer.event_log import file as log_file
from tool_recognizer.event_log import log as log_module
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.rows import encode_state

SECOND = 1_000_000_000
COLOURS = [(255, 30, 0), (0, 255, 60), (40, 0, 255), (90, 90, 90)]
PATIENCE = 120.0


def key(number):
    return FrameKey(Stamp(number * SECOND), 'bench')


def differences(a, b, name='state'):
    """Name what differs between two states, to see in a failure where."""
    if isinstance(a, dict) and isinstance(b, dict) and [*a] == [*b]:
        return [found for at in a for found in differences(a[at], b[at], f'{name}.{at}')]
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        same = (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    else:
        same = repr(a) == repr(b)
    return [] if same else [f'{name}: {a!r}, {b!r}']


class Applied:
    """What happened to runs, in its order, with the state of the run after each event."""

    def __init__(self):
        self._known = []

    def add(self, run, event):
        self._known.append((run, event, run.to_state()))

    def state_after(self, event):
        """Return the newest state after an event: one that waits happens to two runs."""
        return next(state for _, known, state in reversed(self._known) if known is event)

    def events_of(self, run):
        return [event for known, event, _ in self._known if known is run]


class Watched(EventLog):
    """A log that says what the run was at the last event that is on disk, and can be copied."""

    def __init__(self, path, applied, **options):
        super().__init__(path, **options)
        self._applied, self._gate = applied, Lock()
        self._states = {}
        self.durable = None

    def snapshot(self, run, state):
        self._states.setdefault(run, state)
        super().snapshot(run, state)

    def _write(self, batch):
        with self._gate:
            left = super()._write(batch)
            events = [] if left else [entry for entry in batch if entry.event is not None]
            if events:
                run, last = events[-1].run, events[-1].event
                self.durable = (self._states[run] if isinstance(last, RunBegan)
                                else self._applied.state_after(last))
            return left

    def limit(self, pages):
        """Let the file not grow beyond a size."""
        with self._gate:
            self.store.db.execute(f'PRAGMA max_page_count = {pages}')

    def copy(self, path):
        """Copy the file as a crash would leave it; return the state of the run by then."""
        with self._gate:
            for suffix in ('', '-wal'):
                with suppress(FileNotFoundError):
                    shutil.copy(f'{self.path}{suffix}', f'{path}{suffix}')
            with suppress(FileNotFoundError):
                shutil.copytree(f'{self.path}.pictures', f'{path}.pictures')
            return self.durable


class Line:
    """An engine with a log, and what happens to them on a line."""

    def __init__(self, parameters, path, applied, **options):
        self.parameters, self.path, self._applied = parameters, path, applied
        self._options = options
        self._said, self._moment, self._crashes = [], 0, 0
        self._blocker = None
        self.is_damaged = False
        # What the run is by the file; None: there is none in it.
        self._kept = None
        self.outcomes = []
        self.settled = None
        self._begin(late=False)

    @property
    def run(self):
        return self.engine.run

    def state(self):
        """Return all that the run has come to."""
        return encode_state(self.run.to_state())

    # -- starts and ends

    def _begin(self, late):
        self.engine = make_engine(self.parameters)
        self.log = Watched(self.path, self._applied, **self._options)
        if not late:
            self.log.open()
        self.engine.start('start', self._now(), self.log)

    def restart(self, **changed):
        """End the process in peace and begin it anew, perhaps with other parameters."""
        self.close()
        self.parameters = {**self.parameters, **changed}
        self._begin(late=False)
        self._check_that_it_goes_on(changed)
        if changed:
            self.log.flush()
        return self

    def close(self):
        self.works()
        self.log.close()
        assert (self.log.refused, self.log.dropped) == (0, 0)
        # Of a damaged file the check may have found something before it was ended.
        assert self.is_damaged or self.log.findings == []
        self._kept = self.log.durable or self._kept

    def crash(self):
        """Let the process end at once; what is on disk stays."""
        self._crashes += 1
        path = self.path.with_name(f'journal-{self._crashes}.db')
        self._kept = self.log.copy(path) or self._kept
        self.path = path
        self.works()
        self.log.close()
        self._begin(late=False)
        self._check_that_it_goes_on({})

    def _check_that_it_goes_on(self, changed):
        assert not self.engine.notes
        if not changed:
            fresh = make_engine(self.parameters).run.to_state()
            assert differences(self.run.to_state(), self._kept or fresh) == []
            assert self.state() == encode_state(self._kept or fresh)

    def away(self):
        """Begin anew while another process has the file."""
        self.close()
        self._begin(late=True)

    def back(self):
        """Open it at last."""
        if self.log.is_open:
            return
        expected = None
        if self._kept is not None and self.engine._reason == 'start':
            expected = Run.from_state(self._kept)
            expected.apply(RunContinued(0, self.run.settings))
            for event in self._applied.events_of(self.run):
                expected.apply(event)
        before = self.state()
        self.engine.attach(self._now())
        assert self.state() == (before if expected is None else encode_state(expected.to_state()))

    def reload(self):
        self.engine = make_engine(self.parameters)
        self.engine.start('reload', self._now(), self.log)

    def fails(self, why):
        """Let the disk take nothing, or nothing more, until it ``works``."""
        if not self.log.is_open:
            return
        if why == 'full':
            self.log.limit(1)
        elif self._blocker is None:
            self._blocker = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            self._blocker.execute('BEGIN IMMEDIATE')

    def works(self):
        if self.log.is_open:
            self.log.limit(2**30)
        if self._blocker is not None:
            self._blocker.close()
            self._blocker = None

    def flush(self):
        if self.log.is_open:
            with suppress(JournalError):  # the disk may fail just now
                self.log.flush()

    # -- what happens on the line

    def _now(self):
        self._moment += SECOND
        return self._moment

    def frame(self, number, label=None, colour=None, asked=True):
        """Show a frame; it may be confirmed before the shadow model has answered it, too."""
        pixels = np.full((16, 16, 3), COLOURS[number % 4 if colour is None else colour], np.uint8)
        frame = Frame(key(number), pixels, 'rgb')
        answer = self.engine.answer(recognized(self.engine, look(frame, WHOLE)), Rules(),
                                    self._now(), asking=asked)
        self.early = answer.early
        if label is not None:
            self.confirm(number, label)
        self.engine.follow(frame, self._now())
        return answer

    def confirm(self, number, label):
        """Confirm a frame; return what acknowledges it."""
        distribution = {label: 1.0} if isinstance(label, str) else label
        self._said.append(Confirmation(key(number), distribution, 'Ada', str(len(self._said))))
        return self._deliver(self._said[-1])

    def again(self, number):
        """Deliver a confirmation again, for its acknowledgement was lost."""
        if self._said:
            self._deliver(self._said[-1 - number % len(self._said)])

    def _deliver(self, confirmation):
        self.settled, kept = self.engine.confirm(confirmation, self._now(), b'picture')
        self.outcomes.append(self.settled.outcome)
        return kept

    def ask(self, number, probability):
        """Ask for a frame, as it is done for a whole passage."""
        self.engine.ask(key(number), Asked(probability, 0.5), self._now())

    def reset(self):
        self.engine.reset(self._now())

    def note(self, kind):
        self.engine.record(kind, self._now(), {'why': 'Prüfung'})

    def pairs(self):
        """Return the shadow model's and the other's NLL of each frame, and its weight."""
        return self.run.comparison._pairs.to_state().tolist()

    def work(self, first=1, count=30):
        """Show frames of every kind, most of them confirmed: late, early, soft, asked for."""
        for number in range(first, first + count):
            if number % 7 == 0:
                self.confirm(number, 'hammer')
            self.frame(number, 'wrench' if number % 5 == 0 else None)
            if number % 3:
                self.confirm(number - number % 2, {'hammer': 0.25, 'wrench': 0.75})


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Load each model once, take many snapshots, and do not wait long for a disk that fails."""
    models, load = {}, assembly._load

    def remembered(value, path):
        return models.setdefault(path, None) or models.update({path: load(value, path)}) or (
            models[path])

    monkeypatch.setattr(assembly, '_load', remembered)
    monkeypatch.setattr(log_module, 'SNAPSHOT_EVERY', 7)
    monkeypatch.setattr(log_module, 'RETRY_EVERY', 0.02)
    monkeypatch.setattr(log_file, 'PATIENCE', 0.01)


@pytest.fixture
def applied(monkeypatch):
    applied, apply = Applied(), Run.apply

    def watched(run, event):
        settled = apply(run, event)
        applied.add(run, event)
        return settled

    monkeypatch.setattr(Run, 'apply', watched)
    return applied


@pytest.fixture
def parameters(write_model):
    return {
        'model_path': str(write_model('blunt.onnx', weights=0.3 * np.eye(3), features=256)),
        'shadow_model_path': str(write_model('sharp.onnx', labels=(
            'wrench', 'hammer', 'screwdriver'), weights=np.roll(np.eye(3), 1, axis=1))),
        'early_warning.interval': 0.01, 'early_warning.run_length': 20.0,
        'inspection.probability': 0.3, 'inspection.uncertain_probability': 0.6,
        'inspection.max_per_minute': 1e5, 'inspection.expire_after': 9.0,
        'monitor.volunteered': 'score', 'monitor.pending': 100}


@pytest.fixture
def line(parameters, tmp_path, applied):
    with closing(Line(parameters, tmp_path / 'journal.db', applied)) as line:
        yield line


def problems(path):
    with JournalReader(path) as reader:
        return [*reader.problems()]


NUMBER = st.integers(0, 12)
LABEL = st.sampled_from(['hammer', 'wrench', 'anvil', CANNOT_SEE,
                         {'hammer': 0.5, 'wrench': 0.5}])
CHANGES = [{'monitor.window': 5}, {'monitor.window': 300}, {'monitor.pending': 4},
           {'monitor.minimum': 3}, {'early_warning.interval': 3.0}, {'early_warning.mix': False},
           {'early_warning.run_length': 5.0}, {'shadow_model_path': ''},
           {'inspection.expire_after': 2.0}, {'monitor.volunteered': 'keep'},
           {'monitor.run_length': 50.0}, {'monitor.skip_repeated': False}]
FRAME = st.tuples(st.just('frame'), NUMBER, st.one_of(st.none(), LABEL))
CONFIRM = st.tuples(st.just('confirm'), NUMBER, LABEL)
MOVES = st.lists(st.one_of(
    FRAME, FRAME, FRAME, CONFIRM, CONFIRM,
    st.tuples(st.just('work'), st.integers(13, 60), st.integers(1, 20)),
    st.tuples(st.just('again'), st.integers(0, 5)),
    st.tuples(st.just('ask'), NUMBER, st.sampled_from([0.25, 1.0])),
    st.tuples(st.just('note'), st.sampled_from(['alarm', 'promotion'])),
    st.tuples(st.just('fails'), st.sampled_from(['locked', 'full'])),
    st.tuples(st.just('change'), st.integers(0, len(CHANGES) - 1)),
    st.sampled_from([(name,) for name in (
        'reset', 'reload', 'restart', 'crash', 'crash', 'away', 'back', 'works', 'flush')])),
    min_size=12, max_size=60)
A_FRAME_OUT_OF_ORDER = [
    ('frame', 1, None), ('frame', 4, 'hammer'), ('frame', 2, None), ('again', 0), ('crash',)]
CONFIRMED_IN_ANOTHER_ORDER = [
    ('frame', 1, None), ('frame', 2, None), ('frame', 4, 'hammer'), ('confirm', 1, 'hammer'),
    ('confirm', 2, 'hammer'), ('frame', 5, 'hammer'), ('again', 3)]
A_DISK_THAT_FAILS_AT_A_CRASH = [
    ('frame', 1, 'hammer'), ('fails', 'locked'), ('frame', 2, 'hammer'), ('crash',),
    ('frame', 2, None), ('fails', 'full'), ('confirm', 2, 'wrench'), ('works',),
    ('frame', 3, 'wrench'), ('flush',), ('frame', 4, None), ('crash',)]
UNMATCHED_TWICE = [
    ('frame', 2, None), ('confirm', 0, 'hammer'), ('frame', 0, None), ('frame', 0, None),
    ('confirm', 1, 'hammer')]
LATE_AND_RELOADED = [
    ('frame', 1, 'hammer'), ('away',), ('confirm', 2, 'hammer'), ('frame', 2, None), ('reload',),
    ('frame', 3, 'wrench'), ('back',), ('frame', 4, None), ('crash',)]


@given(moves=MOVES, volunteered=st.sampled_from(['score', 'keep']),
       pending=st.sampled_from([3, 8, 20_000]))
@example(moves=A_FRAME_OUT_OF_ORDER, volunteered='score', pending=20_000)
@example(moves=CONFIRMED_IN_ANOTHER_ORDER, volunteered='score', pending=3)
@example(moves=A_DISK_THAT_FAILS_AT_A_CRASH, volunteered='keep', pending=3)
@example(moves=UNMATCHED_TWICE, volunteered='score', pending=3)
@example(moves=LATE_AND_RELOADED, volunteered='score', pending=8)
@settings(max_examples=200, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_start_goes_on_where_the_last_event_on_disk_left_the_run_to_the_bit(
        moves, volunteered, pending, parameters, applied, tmp_path_factory):
    line = Line({**parameters, 'monitor.volunteered': volunteered, 'monitor.pending': pending},
                tmp_path_factory.mktemp('journal') / 'journal.db', applied, keep_predictions=5)
    try:
        for name, *arguments in [*moves, ('back',), ('restart',)]:
            if name == 'change':
                line.restart(**CHANGES[arguments[0]])
            else:
                getattr(line, name)(*arguments)
        assert problems(line.path) == []
    finally:
        line.close()
        applied._known.clear()


# -- what a restart must not change, one thing each ----------------------------------------------

def test_there_is_something_to_lose(line):
    """The frames of the tests here are sampled, scored, asked for, removed from the file."""
    line.restart(**{'monitor.volunteered': 'keep'})
    line.work(count=60)
    assert line.run.warning.n_samples > 10
    assert line.run.comparison.difference().n > 10
    assert line.run.monitor.figures().effective_n < line.run.monitor.figures().n
    assert line.run.requests.expired > 3
    assert {Outcome.SCORED, Outcome.UNMATCHED, Outcome.VOLUNTEERED} <= {*line.outcomes}
    line.restart()
    line.work(61, 60)
    assert line.run.comparison.difference().n > 20


def test_the_shadow_is_scored_on_what_it_answers_to_the_frame_that_was_confirmed(line):
    """Not on its answer to the frame of the same stamp in the last round of a recording."""
    line.frame(4, 'hammer', colour=1)
    pair = line.pairs()[-1]
    line.frame(1)
    line.frame(4, 'hammer', colour=0)
    line.frame(2)
    line.again(0)
    assert line.outcomes[-2:] == [Outcome.SCORED, Outcome.DUPLICATE]
    assert line.run.comparison.difference().n == 2
    line.restart()
    line.frame(4, 'hammer', colour=1)
    line.again(0)
    assert line.outcomes[-2:] == [Outcome.SCORED, Outcome.DUPLICATE]
    assert line.run.comparison.difference().n == line.engine.figures().n == 3
    assert line.pairs()[-1] == pair != line.pairs()[-2]


def test_where_every_confirmation_is_scored_no_frame_counts_more_for_being_asked_for(line):
    line.work()
    figures = line.engine.figures()
    assert line.run.requests.asked > 3
    assert figures.effective_n == figures.window > 10
    assert {weight for *_, weight in line.pairs()} == {1.0}


def test_what_lay_still_before_a_restart_is_no_sample_again(line):
    for number in range(1, 6):
        line.frame(number, colour=0)
    assert line.run.warning.n_samples == 1
    line.restart()
    for number in range(6, 10):
        line.frame(number, colour=0)
    assert line.run.warning.n_samples == 1
    line.frame(10, colour=1)
    line.frame(11, colour=1)
    assert line.run.warning.n_samples == 2


def test_a_frame_that_was_answered_before_a_restart_is_scored_after_it(line):
    line.frame(1)
    line.confirm(2, 'hammer')
    line.restart()
    line.confirm(1, 'hammer').result(PATIENCE)
    line.frame(2)
    assert line.early.outcome is Outcome.SCORED
    assert line.run.comparison.difference().n == 2
    line.restart()
    assert line.run.comparison.difference().n == line.engine.figures().n == 2


def test_an_acknowledged_confirmation_survives_a_crash(line):
    line.frame(1)
    line.frame(2)
    line.confirm(1, 'hammer').result(PATIENCE)
    line.frame(3)
    line.crash()
    line.again(0)
    assert line.outcomes[-1] is Outcome.DUPLICATE
    assert line.engine.figures().n == 1


def test_another_model_in_charge_another_shadow_and_another_sampling_begin_anew(
        line, write_model):
    line.work()
    samples = line.run.warning.n_samples
    line.restart(shadow_model_path=str(write_model('other.onnx')))
    assert line.run.comparison.difference().n == 0
    assert line.run.warning.n_samples == samples > 10
    line.work(31)
    pairs = line.pairs()
    line.restart(**{'early_warning.interval': 0.02})
    assert line.run.warning.n_samples == 0
    assert line.pairs() == pairs != []
    line.work(61)
    line.restart(model_path=str(write_model('another.onnx')))
    assert line.state() == encode_state(make_engine(line.parameters).run.to_state())
    assert not line.engine.notes


@pytest.mark.parametrize('changed', [
    {'monitor.volunteered': 'keep'}, {'monitor.reference': 'model'}])
def test_what_would_make_the_figures_another_thing_begins_a_run(line, changed):
    line.work()
    assert line.restart(**changed).engine.figures().n == 0
    assert not line.engine.notes


def test_a_longer_promise_counts_from_the_restart_on(line):
    line.work()
    samples = line.run.warning.n_samples
    line.restart(**{'early_warning.run_length': 30.0})
    assert (line.run.warning.run_length, line.run.warning.n_samples) == (30.0, samples)


def test_a_reset_is_a_new_start_after_a_restart_too(line):
    line.work()
    line.reset()
    assert line.run.comparison.difference().n == 0
    assert not line.engine.recent
    line.restart()
    line.frame(27, 'hammer')
    line.confirm(29, 'hammer')  # answered before the reset
    assert line.restart().engine.figures().n == 2


def test_a_run_without_the_shadow_takes_nothing_from_it(line, parameters):
    line.work()
    pairs = line.pairs()
    line.restart(shadow_model_path='')
    line.work(31)
    line.restart(shadow_model_path=parameters['shadow_model_path'])
    assert line.pairs() == pairs != []


def test_what_an_engine_is_asked_after_a_reload_is_not_the_new_runs(line):
    """Frames in flight may still be finished by the engine that was replaced."""
    line.work()
    old = line.engine
    line.reload()
    new, line.engine = line.engine, old
    line.work(31, 8)
    line.engine = new
    line.frame(39, 'hammer')
    line.restart()
    assert line.engine.figures().n == 1
    assert problems(line.path) == []


# -- a log that can be opened only later ---------------------------------------------------------

def test_a_confirmation_that_is_acknowledged_when_it_comes_again_is_on_disk(line):
    line.away()
    for number in range(30):
        line.frame(number)
        assert line.confirm(number, 'hammer') is None
    assert line.confirm(40, 'wrench') is None
    line.back()
    for number in range(31):
        confirmation = line._said[number]
        outcome, kept = line.engine.confirm(confirmation, 0)
        assert outcome.outcome is Outcome.DUPLICATE
        kept.result(PATIENCE)
    line.frame(40)
    assert line.early.outcome is Outcome.SCORED
    assert line.engine.figures().n == 31
    line.crash()
    assert line.engine.figures().n >= 30


def test_an_alarm_before_a_restart_without_the_log_is_on_when_it_opens(line, write_model):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (300, 3))
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    line.restart(model_path=str(write_model('known.onnx', metadata={
        'reference': {'logits': logits.tolist(), 'label': truth.tolist()}})))
    for number in range(60):
        line.frame(number, 'wrench', colour=0)
    assert line.run.monitor.detector.alarm
    line.note('alarm')
    line.away()
    assert not line.run.monitor.detector.alarm
    line.frame(200, 'wrench')
    confirmed_at = line.run.confirmed_at
    line.back()
    assert line.run.monitor.detector.alarm
    assert line.run.alarm_kept
    assert (line.engine.figures().n, line.run.confirmed_at) == (61, confirmed_at)
    # A reset is one, whether the log is there or not.
    line.away()
    line.reset()
    line.back()
    assert not line.run.monitor.detector.alarm
    assert not line.restart().run.monitor.detector.alarm


def test_no_picture_waits_in_memory_for_a_log_that_cannot_be_opened(line):
    line.away()
    line.frame(1, 'wrench')
    line.back()
    line.frame(2, 'wrench')
    line.log.flush()
    with JournalReader(line.path) as reader:
        assert [stored.picture is not None for stored in reader.confirmations()] == [False, True]


def test_an_alarm_that_the_whole_run_does_not_have_goes_with_a_note(line):
    line.away()
    line.frame(1, 'wrench')
    line.run.monitor.detector.alarm = True
    line.engine.attach(1)
    assert 'is off' in line.engine.notes[-1]
    line.log.flush()
    with JournalReader(line.path) as reader:
        assert reader.statistics()['events'] == {'alarm_off': 1, 'attached': 1}


def test_a_log_that_still_cannot_be_opened_changes_nothing_and_has_it_all_later(line):
    line.work()
    line.away()
    line.work(31)
    before = line.state()
    with log_file.lock(line.path), pytest.raises(JournalError, match='writes it already'):
        line.engine.attach(1)
    assert line.state() == before
    line.back()
    assert line.engine.figures().n > 30
    assert not line.engine.notes


def test_of_many_frames_the_newest_wait_and_those_that_are_confirmed_stay(
        parameters, tmp_path, applied):
    """What the disk did not take is missing in the file; the run is whole by a snapshot."""
    line = Line(parameters, tmp_path / 'journal.db', applied, waiting=40)
    line.away()
    line.frame(1, 'wrench', asked=False)
    for number in range(2, 200):
        line.frame(number, asked=False)
    line.confirm(198, 'wrench')
    assert line.log.waiting <= 40
    assert line.log.dropped > 100
    line.engine.attach(1)
    line.frame(300)  # a snapshot is due
    assert line.engine.figures().n == 2
    before = line.state()
    line.log.close()
    line._begin(late=False)
    assert line.state() == before
    line.close()
    assert problems(line.path) == []


# -- what is damaged -----------------------------------------------------------------------------

def damage(line, sql):
    line.close()
    line.is_damaged = True
    with closing(sqlite3.connect(line.path)) as db, db:
        assert db.execute(sql).rowcount > 0
    line._begin(late=False)


def test_of_damaged_snapshots_an_older_one_will_do(line):
    line.work()
    before = line.state()
    damage(line, 'UPDATE snapshots SET state = substr(state, 1, 900) '
                 'WHERE event = (SELECT max(event) FROM snapshots)')
    assert 'cannot be used' in ' '.join(line.engine.notes)
    assert line.state() == before


def test_an_older_snapshot_goes_over_what_began_anew_and_over_new_settings(line, write_model):
    line.work()
    line.restart(shadow_model_path=str(write_model('other.onnx')),
                 **{'early_warning.interval': 0.02})
    line.work(31)
    line.restart(**{'monitor.window': 5, 'monitor.pending': 50})
    line.work(61)
    assert len(line.run.comparison.monitor.to_state()['weight']) == 5
    before = line.state()
    damage(line, "UPDATE snapshots SET state = 'x' WHERE event <> run")
    assert line.state() == before


def test_a_damaged_event_is_said_and_left_out_alone(line):
    line.work()
    line.restart()
    line.frame(40, 'hammer')
    line.frame(41, 'hammer')
    n = line.engine.figures().n
    damage(line, """UPDATE events SET detail = replace(detail, 'hammer', 'wrench')
                    WHERE kind = 'confirmed' AND stamp = 40000000000""")
    assert 'it is left out, and no figure has it' in line.engine.notes[0]
    assert line.engine.figures().n == n - 1


def test_a_run_that_cannot_go_on_is_said_and_a_new_one_begins_beside_it(line):
    line.work()
    damage(line, "UPDATE snapshots SET state = 'x'")
    assert line.engine.notes[-1].endswith('a new one begins')
    assert line.engine.figures().n == 0
    line.log.flush()
    with closing(sqlite3.connect(line.path)) as db:
        assert db.execute("SELECT count(*) FROM events WHERE kind = 'damaged'").fetchone() > (0,)
        assert db.execute("SELECT count(*) FROM events WHERE kind = 'confirmed'").fetchone() > (
            20,)
    line.work(31)
    before = line.state()
    line.log.close()
    line._begin(late=False)
    assert line.state() == before
    assert not line.engine.notes
