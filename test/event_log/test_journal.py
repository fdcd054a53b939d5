"""The journal: what it was told is there after any end, once, and a monitor goes on from it."""

from collections import Counter
from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress
import json
import os
from pathlib import Path
import random
from runpy import run_path
import signal
import sqlite3
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import sleep
from types import SimpleNamespace

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.paired import PairedNll
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.event_log import file as journal_file
from tool_recognizer.event_log import writer as journal_module
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.writer import Journal
from tool_recognizer.event_log.writer import JournalError

HERE = Path(__file__).parent
LABELS = ('hammer', 'screwdriver', 'wrench')
DIGEST = 'd' * 64
JPEG = b'\xff\xd8' + bytes(996) + b'\xff\xd9'
# Generous: it only bounds how long a failing test takes, s.
PATIENCE = 60.0

under_kill = SimpleNamespace(**run_path(str(HERE / 'journal_under_kill.py')))


def predict(stamp, p=(0.1, 0.2, 0.7), frame_id='camera', digest=DIGEST):
    return Prediction(FrameKey(Stamp(stamp), frame_id), LABELS, log_softmax(np.log(p)),
                      np.zeros(0, np.float32), digest)


def word(stamp, label='wrench', frame_id='camera'):
    distribution = {label: 1.0} if isinstance(label, str) else label
    return Confirmation(FrameKey(Stamp(stamp), frame_id), distribution)


def started(path, **options):
    journal = Journal(path, **options)
    journal.start_run('start', DIGEST, LABELS, 0).result(PATIENCE)
    return journal


def scored(journal, stamp, label='wrench', **options):
    """Tell a prediction and a confirmation of it; return the future."""
    made = predict(stamp)
    journal.expect(made, label)
    return journal.confirm(word(stamp, label), Outcome.SCORED, received=stamp, prediction=made,
                           **options)


def rows(path, sql):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def problems(path):
    with JournalReader(path) as reader:
        return [*reader.problems(), *reader.unlisted_pictures()]


def state(monitor):
    """Return all that a monitor knows, to compare it."""
    return {
        'n': monitor._n, 'figures': repr(monitor.figures()),
        'counts': {outcome: n for outcome, n in monitor.counts.items() if n},
        'detector': json.dumps(monitor.detector.to_state()),
        'pending': [(p.key, p.log_probabilities.tolist(), monitor._pending.shared(p.key))
                    for p in monitor._pending],
        'confirmed': [(key, dict(q)) for key, q in monitor._confirmed.items()],
        'held': [(key, dict(c.distribution)) for key, c in monitor._held.items()]}


# -- what a monitor gets back ------------------------------------------------------------------

STEPS = st.lists(st.one_of(
    st.tuples(st.just('expect'), st.integers(0, 12), st.integers(0, 5)),
    st.tuples(st.just('confirm'), st.integers(0, 12),
              st.sampled_from(['hammer', 'wrench', 'anvil', {'hammer': 0.5, 'wrench': 0.5}])),
    st.tuples(st.just('reset')), st.tuples(st.just('reload')),
    st.tuples(st.just('reopen'))), max_size=40)


def fresh(capacity, state=None):
    detector = DriftDetector.from_state(state) if state else DriftDetector(len(LABELS))
    return Monitor(LABELS, detector, window=5, minimum=2, pending=capacity, late_after=6)


@given(steps=STEPS, capacity=st.sampled_from([3, 50]))
@settings(max_examples=60, deadline=None)
def test_a_restored_monitor_is_what_it_was_after_any_sequence_of_operations(
        steps, capacity, tmp_path_factory):
    path = tmp_path_factory.mktemp('journal') / 'journal.db'
    journal, monitor = started(path), fresh(capacity)
    try:
        for step in [*steps, ('reopen',)]:
            if step[0] == 'expect':
                made = predict(step[1], np.array([1.0, 1.0 + step[2], 2.0]) / (4.0 + step[2]))
                journal.expect(made, 'wrench', monitor.expect(made))
            elif step[0] == 'confirm':
                under_kill.confirm(journal, monitor, word(*step[1:]))
            elif step[0] == 'reset':
                monitor.reset()
                journal.start_run('reset', DIGEST, LABELS, 0, counts=monitor.counts,
                                  state=monitor.detector.to_state())
            elif step[0] == 'reload':
                monitor = fresh(capacity)
                journal.start_run('reload', DIGEST, LABELS, 0)
            else:
                journal.close()
                journal = Journal(path)
                restored = journal.restore(DIGEST, LABELS, capacity)
                again = under_kill.resume(fresh(capacity, restored.state), restored)
                assert state(again) == state(monitor)
                monitor = again
        assert journal.refused == 0
    finally:
        journal.close()
    assert problems(path) == []


def test_the_nll_is_kept_with_each_confirmation(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        scored(journal, 1).result(PATIENCE)
        scored(journal, 2, {'hammer': 0.5, 'wrench': 0.5}).result(PATIENCE)
    with JournalReader(path) as reader:
        first, second = reader.confirmations()
    assert first.nll == pytest.approx(-np.log(0.7), abs=1e-12)
    assert second.nll == pytest.approx(-0.5 * np.log(0.1 * 0.7), abs=1e-12)


def test_a_recording_that_starts_again_has_new_frames_after_a_restart_too(tmp_path):
    path = tmp_path / 'journal.db'
    monitor = fresh(50)
    with started(path) as journal:
        for stamp, confirmed in ((5, 5), (3, None), (4, 4)):
            made = predict(stamp)
            journal.expect(made, 'wrench', monitor.expect(made))
            if confirmed is not None:
                under_kill.confirm(journal, monitor, word(confirmed))
    with Journal(path) as journal:
        again = under_kill.resume(fresh(50), journal.restore(DIGEST, LABELS, 50))
        assert state(again) == state(monitor)
        # The recording is about to show this frame again.
        assert FrameKey(Stamp(5), 'camera') not in again._confirmed


def test_another_model_or_other_labels_begin_anew(tmp_path):
    with started(tmp_path / 'journal.db') as journal:
        assert journal.restore('e' * 64, LABELS) is None
        assert journal.restore(DIGEST, LABELS[:2]) is None
        assert journal.restore(DIGEST, LABELS) is not None


def test_an_answer_of_the_old_model_that_comes_after_the_new_one_stays_the_old_ones(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        journal.start_run('reload', 'e' * 64, LABELS, 1)
        journal.expect(predict(1), 'wrench')
        journal.expect(predict(2, digest='e' * 64), 'wrench')
    assert rows(path, 'SELECT stamp, model_digest FROM predictions AS p JOIN runs AS r '
                      'ON r.id = p.run ORDER BY stamp') == [(1, DIGEST), (2, 'e' * 64)]


def test_what_a_run_was_started_with_comes_back(tmp_path):
    with Journal(tmp_path / 'journal.db') as journal:
        journal.start_run('start', DIGEST, LABELS, 5, {'run_length': 2000}).result(PATIENCE)
        journal.expect(predict(1))
        journal.request(FrameKey(Stamp(1), 'camera'), 0.25, 6, 'entropy', test_share=0.5)
        journal.record('alarm', 7, {'change_at': 3}).result(PATIENCE)
        scored(journal, 1, inclusion_probability=0.25).result(PATIENCE)
        restored = journal.restore(DIGEST, LABELS)
    assert restored.parameters == {'run_length': 2000}
    assert restored.requests == {FrameKey(Stamp(1), 'camera'): Asked(0.25, 0.5)}
    assert restored.scored[0].inclusion_probability == 0.25
    assert rows(tmp_path / 'journal.db', 'SELECT kind, moment, detail FROM events') == [
        ('alarm', 7, '{"change_at": 3}')]


# -- once --------------------------------------------------------------------------------------


def test_the_same_word_delivered_again_is_one_row_and_another_word_is_its_own(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        scored(journal, 1, operator='a').result(PATIENCE)
        for label, operator, nonce, outcome in (
                ('wrench', 'a', '', Outcome.DUPLICATE), ('wrench', 'a', '', Outcome.DUPLICATE),
                ('wrench', 'b', '', Outcome.DUPLICATE), ('wrench', 'a', 'x', Outcome.DUPLICATE),
                ('hammer', 'a', '', Outcome.CONFLICTING),
                ('hammer', 'a', '', Outcome.CONFLICTING)):
            journal.confirm(word(1, label), outcome, received=2, operator=operator, nonce=nonce)
        restored = journal.restore(DIGEST, LABELS)
    assert rows(path, 'SELECT operator, outcome FROM confirmations ORDER BY id') == [
        ('a', 'scored'), ('b', 'duplicate'), ('a', 'duplicate'), ('a', 'conflicting')]
    assert restored.counts == Counter({Outcome.SCORED: 1, Outcome.DUPLICATE: 4,
                                       Outcome.CONFLICTING: 2})


def test_a_word_told_twice_as_scored_is_scored_once(tmp_path):
    with started(tmp_path / 'journal.db') as journal:
        first = scored(journal, 1).result(PATIENCE)
        again = journal.confirm(word(1), Outcome.SCORED, received=2, prediction=predict(1))
        assert again.result(PATIENCE) == first
        restored = journal.restore(DIGEST, LABELS)
    assert len(restored.scored) == 1
    assert restored.counts[Outcome.SCORED] == 1
    assert problems(tmp_path / 'journal.db') == []


def test_a_matched_confirmation_needs_its_prediction(tmp_path):
    with (started(tmp_path / 'journal.db') as journal,
          pytest.raises(ValueError, match="'scored' needs the prediction")):
        journal.confirm(word(1), Outcome.SCORED, received=1)


def test_what_cannot_be_stored_is_refused_and_holds_up_nothing(tmp_path):
    with started(tmp_path / 'journal.db') as journal:
        bad = journal.confirm(word(2**70), Outcome.UNMATCHED, received=1)
        good = scored(journal, 1)
        with pytest.raises(JournalError, match='cannot be stored'):
            bad.result(PATIENCE)
        good.result(PATIENCE)
        assert journal.refused == 1
        assert journal.trouble == ''


# -- before its disk ---------------------------------------------------------------------------


def test_a_confirmation_takes_the_predictions_before_it_along(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        for stamp in range(50):
            journal.expect(predict(stamp), 'wrench')
        scored(journal, 50).result(PATIENCE)
        assert rows(path, 'SELECT count(*) FROM predictions') == [(51,)]


def test_a_dropped_prediction_is_counted_and_comes_with_its_confirmation(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path, waiting=10) as journal:
        with locked(path):
            for stamp in range(25):
                journal.expect(predict(stamp), 'wrench')
            assert journal.waiting == 10
            assert journal.dropped == 15
        done = journal.confirm(word(24), Outcome.SCORED, received=1, prediction=predict(24))
        acknowledged(journal, done, 24)
        restored = journal.restore(DIGEST, LABELS)
    assert [p.key.stamp for p in restored.pending] == [*range(10), 24]
    assert [f.prediction.key.stamp for f in restored.scored] == [24]


@contextmanager
def locked(path):
    """Hold the file as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute('BEGIN IMMEDIATE')
        yield
        other.execute('ROLLBACK')


def acknowledged(journal, future, stamp):
    """Wait until a confirmation is on disk, told again as often as it is refused."""
    while True:
        try:
            return future.result(PATIENCE)
        except JournalError:
            future = journal.confirm(word(stamp), Outcome.DUPLICATE, received=1)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(journal_file, 'PATIENCE', 0.05)
    monkeypatch.setattr(journal_module, 'RETRY_EVERY', 0.05)


def test_a_locked_file_is_said_and_everything_is_written_when_it_is_free(tmp_path, impatient):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        with locked(path):
            with pytest.raises(JournalError, match='another program holds it locked') as refusal:
                scored(journal, 1).result(PATIENCE)
            assert refusal.value.reason == 'locked'
            assert '1 confirmations and events wait unacknowledged' in journal.trouble
        acknowledged(journal, journal.confirm(word(1), Outcome.DUPLICATE, received=1), 1)
        assert journal.trouble == ''
        restored = journal.restore(DIGEST, LABELS)
    assert [f.prediction.key.stamp for f in restored.scored] == [1]
    assert journal.dropped == 0


def test_a_full_file_refuses_and_works_again_when_there_is_room(tmp_path, impatient):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        pages = journal._db.execute('PRAGMA page_count').fetchone()[0]
        journal._db.execute(f'PRAGMA max_page_count = {pages + 2}')
        kept, stamp = [], 0
        while (refusal := scored(journal, stamp).exception(PATIENCE)) is None:
            kept.append(stamp)
            stamp += 1
        assert refusal.reason == 'full'
        assert 'the disk is full: make room' in str(refusal)
        assert len(kept) > 3
        journal._db.execute('PRAGMA max_page_count = 100000')
        acknowledged(journal, journal.confirm(word(stamp), Outcome.DUPLICATE, received=1), stamp)
        restored = journal.restore(DIGEST, LABELS)
    assert [f.prediction.key.stamp for f in restored.scored] == [*kept, stamp]
    assert problems(path) == []


@contextmanager
def mounted(folder, options):
    """Mount a small disk, where this is allowed."""
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)],
                          capture_output=True, check=False)
    if done.returncode:
        pytest.skip('mounting a disk needs root')
    try:
        yield folder
    finally:
        subprocess.run(['umount', '-l', str(folder)], check=True)


def test_a_full_disk_refuses_and_works_again_when_there_is_room(tmp_path, impatient):
    with mounted(tmp_path / 'disk', 'size=1m') as disk:
        path = disk / 'journal.db'
        ballast = disk / 'ballast'
        with started(path) as journal:
            scored(journal, 0, picture=JPEG).result(PATIENCE)
            with suppress(OSError), ballast.open('wb', buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            kept, stamp = [0], 1
            while (refusal := scored(journal, stamp, picture=JPEG).exception(PATIENCE)) is None:
                kept.append(stamp)
                stamp += 1
            assert refusal.reason == 'full'
            ballast.unlink()
            acknowledged(journal, journal.confirm(word(0), Outcome.DUPLICATE, received=1), 0)
            restored = journal.restore(DIGEST, LABELS)
        assert [f.prediction.key.stamp for f in restored.scored] == [*kept, stamp]
        assert problems(path) == []


def test_a_full_disk_at_the_start_is_said(tmp_path):
    with mounted(tmp_path / 'disk', 'size=16k') as disk, pytest.raises(
            JournalError, match='the disk is full: make room') as refusal:
        Journal(disk / 'journal.db')
    assert refusal.value.reason == 'full'


def test_a_read_only_disk_is_said_and_can_still_be_read(tmp_path):
    with mounted(tmp_path / 'disk', 'size=1m') as disk:
        path = disk / 'journal.db'
        with started(path) as journal:
            scored(journal, 1).result(PATIENCE)
        subprocess.run(['mount', '-o', 'remount,ro', str(disk)], check=True)
        with pytest.raises(JournalError, match='read-only') as refusal:
            Journal(path)
        assert refusal.value.reason == 'read-only'
        assert problems(path) == []


def test_a_folder_that_cannot_be_written_is_said():
    child = """
import os, sys
from tool_recognizer.event_log.writer import Journal, JournalError
if os.geteuid() == 0:  # who may write anywhere
    os.setgroups([])
    os.setuid(65534)
try:
    Journal(sys.argv[1])
except JournalError as error:
    print(error.reason, error)
"""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        done = subprocess.run([sys.executable, '-c', child, f'{folder}/journal.db'],
                              capture_output=True, text=True, check=True,
                              cwd=HERE.parent.parent)
    assert done.stdout.startswith(f'read-only journal {folder}/journal.db: it is read-only')


def test_beyond_its_bound_the_journal_gives_up_and_has_no_hole(tmp_path, impatient, monkeypatch):
    monkeypatch.setattr(journal_module, 'BACKLOG', 5)
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        with locked(path):
            for stamp in range(5):
                scored(journal, stamp)
            with pytest.raises(JournalError, match='gave up'):
                scored(journal, 5)
        # Room or not, what came after the hole is not taken.
        while journal.trouble:
            sleep(0.01)
        with pytest.raises(JournalError, match='gave up'):
            scored(journal, 6)
    with Journal(path) as journal:
        assert [f.prediction.key.stamp for f in journal.restore(DIGEST, LABELS).scored] == [
            0, 1, 2, 3, 4]


def test_a_closed_journal_refuses(tmp_path):
    journal = started(tmp_path / 'journal.db')
    journal.close()
    with pytest.raises(JournalError, match='it is closed'):
        scored(journal, 1)
    journal.close()


# -- the file ----------------------------------------------------------------------------------


def test_a_second_writer_is_refused_by_name_of_the_first(tmp_path):
    first = f'process {os.getpid()} writes it already'
    with started(tmp_path / 'journal.db'), pytest.raises(JournalError, match=first):
        Journal(tmp_path / 'journal.db')
    with Journal(tmp_path / 'journal.db') as journal:
        assert journal.restore(DIGEST, LABELS) is not None


@pytest.mark.parametrize('damage', [
    lambda whole: b'no database at all, but longer than the header of one' * 100,
    lambda whole: whole[:16] + bytes(84) + whole[100:],
    lambda whole: whole[:4096] + bytes(len(whole) - 4096),
    lambda whole: whole[:len(whole) // 2],
], ids=['text', 'header', 'zeros', 'cut'])
def test_a_damaged_file_is_moved_aside_with_its_pictures_and_a_new_one_begun(tmp_path, damage):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        for stamp in range(100):
            scored(journal, stamp, picture=JPEG)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with Journal(path) as journal:
        assert any(str(path) + '.damaged-1' in note for note in journal.notes)
        assert journal.restore(DIGEST, LABELS) is None
        journal.start_run('start', DIGEST, LABELS, 0)
        scored(journal, 1).result(PATIENCE)
    assert (tmp_path / 'journal.db.damaged-1').read_bytes() == damaged
    assert len(list((tmp_path / 'journal.db.damaged-1.pictures').glob('*.jpg'))) == 100
    assert problems(path) == []


def test_a_file_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / 'other.db'
    with closing(sqlite3.connect(path)) as other:
        other.execute('CREATE TABLE accounts (id)')
    before = path.read_bytes()
    with pytest.raises(JournalError, match='an SQLite file of another program'):
        Journal(path)
    assert path.read_bytes() == before


def test_a_newer_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / 'journal.db'
    started(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute('PRAGMA user_version = 1000')
    with pytest.raises(JournalError, match=r'schema 1000, .* update tool_recognizer'):
        Journal(path)
    with pytest.raises(JournalError, match='schema 1000'):
        JournalReader(path)


def test_an_older_file_is_brought_up_to_date_after_a_copy(tmp_path, monkeypatch):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        scored(journal, 1).result(PATIENCE)
    old = f'{path.name}.schema-{len(journal_file.MIGRATIONS)}-1'
    newer = (*journal_file.MIGRATIONS, ("ALTER TABLE runs ADD COLUMN site TEXT DEFAULT 'here'",))
    monkeypatch.setattr(journal_file, 'MIGRATIONS', newer)
    with pytest.raises(JournalError, match='the node brings it up to date'):
        JournalReader(path)
    with Journal(path) as journal:
        assert old in journal.notes[0]
        assert len(journal.restore(DIGEST, LABELS).scored) == 1
    assert rows(path, 'SELECT site FROM runs') == [('here',)]
    assert rows(tmp_path / old, 'SELECT outcome FROM confirmations') == [
        ('scored',)]


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        scored(journal, 1).result(PATIENCE)
    known = journal_file.MIGRATIONS
    monkeypatch.setattr(journal_file, 'MIGRATIONS', (
        *known, ('ALTER TABLE runs ADD COLUMN site TEXT', 'ALTER TABLE nothing ADD COLUMN x')))
    with pytest.raises(JournalError):
        Journal(path)
    monkeypatch.setattr(journal_file, 'MIGRATIONS', known)
    with Journal(path) as journal:
        assert len(journal.restore(DIGEST, LABELS).scored) == 1
    assert 'site' not in [row[1] for row in rows(path, 'PRAGMA table_info(runs)')]


# -- what is kept ------------------------------------------------------------------------------


def test_the_oldest_unconfirmed_predictions_go_and_confirmed_ones_never(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path, keep_predictions=10) as journal:
        for stamp in range(200):
            if stamp % 20:
                journal.expect(predict(stamp), 'wrench')
            else:
                scored(journal, stamp)
            if stamp % 10 == 0:
                journal.flush()
    kept = [stamp for (stamp,) in rows(path, 'SELECT stamp FROM predictions WHERE confirmed = 0 '
                                             'ORDER BY id')]
    assert kept == [stamp for stamp in range(200) if stamp % 20][-10:]
    assert rows(path, 'SELECT stamp FROM predictions WHERE confirmed = 1 ORDER BY id') == [
        (stamp,) for stamp in range(0, 200, 20)]
    assert problems(path) == []


def test_a_shadows_answer_stays_as_long_as_the_one_that_it_followed(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path, keep_predictions=10) as journal:
        test = journal.start_test('shadow', {}, {})
        for stamp in range(100):
            journal.expect(predict(stamp), 'wrench')
            journal.follow(test, predict(stamp))
            if stamp % 20 == 0:
                journal.confirm(word(stamp), Outcome.SCORED, received=1,
                                prediction=predict(stamp), shadow=(test, predict(stamp)))
            if stamp % 10 == 0:
                journal.flush()
    for confirmed, expected in ((0, list(range(90, 100))), (1, list(range(0, 100, 20)))):
        assert rows(path, 'SELECT stamp FROM shadow_predictions WHERE confirmation IS NOT NULL '
                          f'= {confirmed} ORDER BY id') == [(stamp,) for stamp in expected]


def test_the_most_surprising_pictures_stay_within_the_budget(tmp_path):
    path = tmp_path / 'journal.db'
    surprises = [0.5, 0.9, 0.1, 0.3, 0.7, 0.2]
    with started(path, picture_budget=3 * len(JPEG)) as journal:
        for stamp, p in enumerate(surprises):
            made = predict(stamp, (0.0005, 0.9995 - p, p))
            journal.expect(made, 'wrench')
            journal.confirm(word(stamp), Outcome.SCORED, received=1, prediction=made,
                            picture=JPEG).result(PATIENCE)
    with JournalReader(path) as reader:
        pictured = [c.stamp for c in reader.confirmations() if c.picture is not None]
    assert pictured == [2, 3, 5]
    files = list((tmp_path / 'journal.db.pictures').iterdir())
    assert len(files) == 3
    assert all(file.read_bytes() == JPEG for file in files)
    assert problems(path) == []


def test_a_label_that_the_model_does_not_have_keeps_its_picture_first(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path, picture_budget=len(JPEG)) as journal:
        made = predict(1)
        journal.expect(made)
        journal.confirm(word(1, 'anvil'), Outcome.NOVEL, received=1, prediction=made,
                        picture=JPEG)
        scored(journal, 2, 'hammer', picture=JPEG)
    with JournalReader(path) as reader:
        novel, known = reader.confirmations()
    assert novel.picture is not None
    assert novel.nll is None
    assert known.picture is None


def test_the_picture_of_an_asked_frame_waits_for_the_word(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        journal.expect(predict(1))
        journal.request(FrameKey(Stamp(1), 'camera'), 0.5, 1, picture=JPEG)
    with Journal(path) as journal:
        journal.confirm(word(1), Outcome.SCORED, received=1, prediction=predict(1))
    with JournalReader(path) as reader:
        (confirmation,) = reader.confirmations()
    assert confirmation.picture.read_bytes() == JPEG


def test_a_word_delivered_again_after_a_restart_takes_no_picture_away(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        scored(journal, 1, picture=JPEG).result(PATIENCE)
    with Journal(path) as journal:
        journal.confirm(word(1), Outcome.DUPLICATE, received=1, picture=JPEG).result(PATIENCE)
    assert len(list((tmp_path / 'journal.db.pictures').iterdir())) == 1
    assert problems(path) == []


def test_a_picture_that_cannot_be_written_costs_no_confirmation(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        folder = tmp_path / 'journal.db.pictures'
        folder.rmdir()
        folder.write_text('in the way')
        scored(journal, 1, picture=JPEG).result(PATIENCE)
        assert journal.pictures_lost == 1
    assert rows(path, 'SELECT outcome FROM confirmations') == [('scored',)]


def test_verify_sees_what_is_wrong(tmp_path):
    path = tmp_path / 'journal.db'
    with started(path) as journal:
        for stamp in range(4):
            scored(journal, stamp, picture=JPEG)
    assert problems(path) == []
    pictures = sorted((tmp_path / 'journal.db.pictures').iterdir())
    pictures[0].unlink()
    pictures[1].write_bytes(JPEG[:100])
    pictures[2].write_bytes(bytes(len(JPEG)))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute('UPDATE confirmations SET nll = 9 WHERE stamp = 1')
        db.execute("UPDATE confirmations SET outcome = 'unmatched' WHERE stamp = 2")
        db.execute('UPDATE confirmations SET prediction = 999 WHERE stamp = 3')
    found = '\n'.join(problems(path))
    for words in ('No such file', '100 bytes, 1000 were written', 'its content has changed',
                  'keeps an NLL of 9.0', 'is unmatched, but has position', 'has no prediction',
                  'names a row of predictions that is not there',
                  'counted 4 confirmations as scored and keeps 3'):
        assert words in found


# -- killed ------------------------------------------------------------------------------------

LIVES = 100


class Lives:
    """Writers that are killed, one after the other."""

    def __init__(self, path):
        self._path = path
        self._server = subprocess.Popen(
            [sys.executable, HERE / 'journal_under_kill.py'], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, cwd=HERE.parent.parent,
            env={**os.environ, 'PYTHONPATH': str(HERE.parent.parent)})

    def one(self, first, again, acknowledgements, delay):
        """
        Live until killed; return what was sent and what was acknowledged, in order.

        The kill comes some seconds after a number of acknowledgements, or, if that is None, after
        the very start.
        """
        self._server.stdin.write(json.dumps([str(self._path), first, again]) + '\n')
        self._server.stdin.flush()
        said, child = [], None
        while child is None or (acknowledgements is not None and sum(
                w[0] == 'acknowledged' for w in said) < acknowledgements):
            line = self._server.stdout.readline().split()
            assert line, 'the server of lives has ended'
            assert line[0] != 'dead', 'a writer ended by itself'
            if line[0] == 'life':
                child = int(line[1])
            else:
                said.append(line)
        sleep(delay)
        os.kill(child, signal.SIGKILL)
        while (line := self._server.stdout.readline().split())[0] != 'dead':
            said.append(line)
        assert int(line[1]) == signal.SIGKILL
        return ([int(w[1]) for w in said if w[0] == 'sent'],
                [int(w[1]) for w in said if w[0] == 'acknowledged'])

    def close(self):
        self._server.stdin.close()
        self._server.wait(PATIENCE)
        self._server.stdout.close()


def entropies(restored):
    """Return the entropy of each sample that an early warning took in, which tells them apart."""
    warning = EarlyWarning.from_state(restored.state)
    for sample in restored.samples:
        warning.update(sample)
    found = [score for values in warning.to_state()['lists'] for score, *_ in values]
    assert len(found) == warning.n_samples
    return found


def test_nothing_acknowledged_is_lost_or_counted_twice_through_a_hundred_kills(tmp_path):
    path = tmp_path / 'journal.db'
    rng = random.Random(1)
    lives = Lives(path)
    promised, told, again = set(), set(), []
    before, shadow_before, samples_before = [], [], set()
    first, kills_under_load = 0, 0
    try:
        for _ in range(LIVES):
            acknowledgements = None if rng.random() < 0.2 else rng.randint(0, 20)
            sent, acknowledged = lives.one(first, again, acknowledgements, rng.uniform(0.0, 0.02))
            promised |= set(acknowledged)
            told |= set(sent)
            kills_under_load += len(sent) > len(acknowledged)
            again_in_this_life = again
            again = sorted({*again, *sent} - set(acknowledged))[-10:]
            with Journal(path, keep_predictions=20_000, picture_budget=200_000) as journal:
                restored = journal.restore(under_kill.DIGEST, LABELS, under_kill.CAPACITY)
            if restored is None:
                assert not promised
                continue
            stamps = [frame.prediction.key.stamp for frame in restored.scored]
            held = {c.key.stamp for c in restored.held}
            # Each once; none that was promised is missing, none is there that was never told.
            assert len(stamps) == len(set(stamps))
            assert promised <= set(stamps) | held
            assert set(stamps) | held <= told
            # What an earlier life left is there, in the order that it had; what this one added
            # is in the order in which it was told. (Early words wait for their frame.)
            assert stamps[:len(before)] == before
            added = [s for s in stamps[len(before):] if s % under_kill.PER_CONFIRMATION == 0]
            assert added == [s for s in sent if s in set(added)]
            before = stamps
            # The same holds for the shadow; if it has not scored one, its answer came too late to
            # be on disk, which an answer before the word cannot.
            followed = [candidate.key.stamp for candidate, _ in restored.shadow.scored]
            assert len(followed) == len(set(followed))
            assert set(followed) <= set(stamps)
            assert followed[:len(shadow_before)] == shadow_before
            answered = {p.key.stamp for p in restored.shadow.pending}
            late = set(stamps) - set(followed)
            assert not late & answered
            assert not {s for s in late & set(acknowledged) - set(again_in_this_life)
                        if s % under_kill.PER_CONFIRMATION == 0
                        and not under_kill.told_before_the_shadow_answers(s)}
            shadow_before = followed
            # Each sample of the early warning is another frame's, and there only once.
            samples = entropies(restored.early_warning)
            assert len(samples) == len(set(samples))
            assert samples_before <= set(samples)
            samples_before = set(samples)
            first = max([first, *told, *(p.key.stamp for p in restored.pending)]) + 10
            first += -first % under_kill.PER_CONFIRMATION
    finally:
        lives.close()
    # The oracle: the same frames, computed from their stamps and told to a monitor directly.
    oracle = under_kill.monitor()
    for stamp in stamps:
        oracle._score(under_kill.prediction(stamp), under_kill.confirmation(stamp))
    monitor = under_kill.resume(under_kill.monitor(), restored)
    assert repr(monitor.figures()) == repr(oracle.figures())
    assert monitor.detector.evidence == oracle.detector.evidence
    assert monitor.counts[Outcome.SCORED] + monitor.counts[Outcome.LATE] == len(stamps)
    drift, pairs = under_kill.monitor(), PairedNll()
    for stamp in followed:
        candidate = under_kill.prediction(stamp, under_kill.CANDIDATE)
        confirmed = under_kill.confirmation(stamp)
        drift._score(candidate, confirmed)
        pairs.add(np.array([confirmed.distribution.get(label, 0.0) for label in LABELS]),
                  candidate.log_probabilities, under_kill.prediction(stamp).log_probabilities)
    with Journal(path, keep_predictions=20_000, picture_budget=200_000) as journal:
        engine = under_kill.engine(journal)
        engine.start('start', 0)
    assert repr(engine.shadow.difference()) == repr(pairs.figures())
    assert engine.shadow.monitor.detector.evidence == drift.detector.evidence
    assert engine.warning.n_samples == len(samples)
    with JournalReader(path) as reader:
        assert list(reader.problems()) == []
    # It was a test at all: kills hit confirmations in flight, and there were many.
    assert kills_under_load > LIVES / 10
    assert len(late) < len(followed) / 10
    assert len(samples) > LIVES
    assert len(promised) > LIVES
