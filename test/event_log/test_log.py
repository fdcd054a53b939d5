"""The event log: what was appended is on disk when it says so, whatever the disk does."""

from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress
import os
from pathlib import Path
import sqlite3
import subprocess
import sys
from tempfile import TemporaryDirectory

from journal_writer import JournalWriter
from journal_writer import JPEG
from journal_writer import LABELS
import numpy as np
import pytest
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.event_log import backlog
from tool_recognizer.event_log import file as log_file
from tool_recognizer.event_log import log as log_module
from tool_recognizer.event_log import store
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.pruning import Retention
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.rows import encode_state

HERE = Path(__file__).parent
# Generous: it only bounds how long a failing test takes, s.
PATIENCE = 120.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'journal.db'


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(log_file, 'PATIENCE', 0.05)
    monkeypatch.setattr(log_module, 'RETRY_EVERY', 0.05)


def confirm(writer, stamp, label='wrench', picture=None, **who):
    """Answer a frame and confirm it; return the future."""
    writer.answer(stamp, (0.1, 0.2, 0.7), label)
    return writer.engine.confirm(
        Confirmation(FrameKey(Stamp(stamp), 'camera'), {label: 1.0}, **who), stamp, picture)[1]


def again(writer, stamp, label='wrench'):
    """Wait until a confirmation is on disk, delivered again as often as it is refused."""
    key = FrameKey(Stamp(stamp), 'camera')
    while True:
        try:
            future = writer.engine.confirm(Confirmation(key, {label: 1.0}), 1)[1]
            return future.result(PATIENCE)
        except JournalError:
            continue


def rows(path, sql):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def problems(path):
    with JournalReader(path) as reader:
        return [*reader.problems(), *reader.unlisted_pictures()]


def confirmed(path):
    with JournalReader(path) as reader:
        return [stored.stamp for stored in reader.confirmations() if stored.position is not None]


@contextmanager
def locked(path):
    """Hold the file as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute('BEGIN IMMEDIATE')
        yield
        other.execute('ROLLBACK')


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


# -- writing -----------------------------------------------------------------------------------


def test_a_confirmation_takes_the_predictions_before_it_along(path):
    with JournalWriter(path, LABELS) as writer:
        for stamp in range(50):
            writer.answer(stamp, (0.1, 0.2, 0.7))
        confirm(writer, 50).result(PATIENCE)
        assert rows(path, "SELECT count(*) FROM events WHERE kind = 'answered'") == [(51,)]


def test_a_confirmation_delivered_again_is_there_once_and_another_one_is_its_own(path):
    with JournalWriter(path, LABELS) as writer:
        writer.answer(1, (0.1, 0.2, 0.7))
        for label, operator, nonce in (
                ('wrench', 'a', ''), ('wrench', 'a', ''), ('wrench', 'a', ''), ('wrench', 'b', ''),
                ('wrench', 'a', 'x'), ('hammer', 'a', ''), ('hammer', 'a', '')):
            writer.confirm(1, label, operator=operator, nonce=nonce)
        counts = {outcome.value: n for outcome, n in writer.engine.run.monitor.counts.items()}
    with JournalReader(path) as reader:
        assert [(c.operator, c.outcome.value) for c in reader.confirmations()] == [
            ('a', 'scored'), ('b', 'duplicate'), ('a', 'duplicate'), ('a', 'conflicting')]
    assert counts == {'scored': 1, 'duplicate': 4, 'conflicting': 2}


def test_a_confirmation_that_came_before_its_frame_is_read_as_what_became_of_it(path):
    with JournalWriter(path, LABELS) as writer:
        writer.confirm(1, 'wrench', operator='a', moment=5)
        writer.confirm(2, 'hammer')
        writer.answer(1, (0.1, 0.2, 0.7), 'wrench')
    with JournalReader(path) as reader:
        first, second = reader.confirmations()
        assert [c.stamp for c in reader.measured()] == [1]
    assert (first.outcome.value, first.operator, first.received) == ('scored', 'a', 5)
    assert first.nll == pytest.approx(-np.log(0.7), abs=1e-12)
    assert (first.decision, second.outcome.value, second.nll) == ('wrench', 'unmatched', None)


def test_what_cannot_be_stored_is_refused_and_holds_up_nothing(path):
    with JournalWriter(path, LABELS) as writer:
        bad = writer.engine.confirm(
            Confirmation(FrameKey(Stamp(2**70), 'camera'), {'wrench': 1.0}), 1)[1]
        good = confirm(writer, 1)
        with pytest.raises(JournalError, match='cannot be stored'):
            bad.result(PATIENCE)
        good.result(PATIENCE)
        assert (writer.log.refused, writer.log.trouble) == (1, '')
        # The run knows of it, so a snapshot follows.
        assert writer.log.snapshot_due(10)


def test_of_too_many_predictions_the_oldest_go_and_a_snapshot_closes_the_hole(path, impatient):
    with JournalWriter(path, LABELS) as writer:
        writer.log.flush()
        writer.log._capacity = 20
        with locked(path):
            for stamp in range(100):
                writer.answer(stamp, (0.1, 0.2, 0.7))
                assert writer.log.waiting <= 20
            confirm(writer, 3)
        again(writer, 3)
        assert writer.log.dropped > 50
        assert writer.log.snapshot_due(10)
        writer.log.snapshot(writer.engine._number, writer.engine.run.to_state())
        state = encode_state(writer.engine.run.to_state())
        monitor = writer.engine.run.monitor
        digest = writer.engine.run.model_digest
    with closing(EventLog(path)) as log:
        log.open()
        assert encode_state(log.restore(digest, LABELS, {}).run.to_state()) == state
    assert monitor.figures().n == 1
    assert confirmed(path) == [3]
    assert problems(path) == []


def test_the_oldest_predictions_go_and_confirmations_never(path, monkeypatch):
    with JournalWriter(path, LABELS) as writer:
        writer.log.store._retention = Retention(predictions=10)
        for stamp in range(400):
            writer.answer(stamp, (0.1, 0.2, 0.7))
            if stamp % 20 == 0:
                writer.confirm(stamp, 'wrench', moment=stamp)
                writer.log.snapshot(writer.engine._number, writer.engine.run.to_state())
                writer.log.flush()
    ((kept,),) = rows(path, "SELECT count(*) FROM events WHERE kind = 'answered'")
    assert 10 <= kept < 100
    assert confirmed(path) == list(range(0, 400, 20))
    assert rows(path, 'SELECT count(*) FROM pruned')[0][0] > 3
    # The digests still tell, of what was removed, too.
    assert problems(path) == []
    with closing(sqlite3.connect(path)) as db, db:
        db.execute('DELETE FROM pruned WHERE first = (SELECT min(first) FROM pruned)')
    assert any('are missing' in problem for problem in problems(path))


# -- a disk that fails -------------------------------------------------------------------------


def test_a_locked_file_is_said_and_everything_is_written_when_it_is_free(path, impatient):
    with JournalWriter(path, LABELS) as writer:
        writer.log.flush()
        with locked(path):
            with pytest.raises(JournalError, match='another program holds it locked') as refusal:
                confirm(writer, 1).result(PATIENCE)
            assert refusal.value.reason == 'locked'
            assert 'wait unacknowledged' in writer.log.trouble
        again(writer, 1)
        assert writer.log.trouble == ''
        assert writer.log.dropped == 0
    assert confirmed(path) == [1]


def fill(writer, **options):
    """Confirm frames until the disk is full; return those that are kept, and the refusal."""
    kept, stamp = [], 0
    while (refusal := confirm(writer, stamp, **options).exception(PATIENCE)) is None:
        kept.append(stamp)
        stamp += 1
    assert refusal.reason == 'full'
    assert 'the disk is full: make room' in str(refusal)
    return kept, stamp


@pytest.mark.parametrize('part', ['missing', '_oldest'])
def test_a_file_whose_disk_fails_while_it_is_opened_is_opened_later(path, monkeypatch, part):
    def fail(*_):
        raise sqlite3.OperationalError('disk I/O error')

    log = EventLog(path)
    with monkeypatch.context() as broken:
        broken.setattr(store, part, fail)
        with pytest.raises(JournalError, match='the disk failed'):
            log.open()
    log.open()
    assert log.is_open
    log.close()


def test_a_full_file_refuses_and_works_again_when_there_is_room(path, impatient):
    with JournalWriter(path, LABELS) as writer:
        writer.log.flush()
        pages = writer.log.store.db.execute('PRAGMA page_count').fetchone()[0]
        writer.log.store.db.execute(f'PRAGMA max_page_count = {pages + 2}')
        kept, stamp = fill(writer)
        assert len(kept) > 3
        writer.log.store.db.execute('PRAGMA max_page_count = 100000')
        again(writer, stamp)
    assert confirmed(path) == [*kept, stamp]
    assert problems(path) == []


def test_a_full_disk_refuses_and_works_again_when_there_is_room(tmp_path, impatient):
    with mounted(tmp_path / 'disk', 'size=2m') as disk:
        path, ballast = disk / 'journal.db', disk / 'ballast'
        with JournalWriter(path, LABELS) as writer:
            writer.log.flush()
            with suppress(OSError), ballast.open('wb', buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            kept, stamp = fill(writer, picture=JPEG)
            ballast.unlink()
            again(writer, stamp)
        assert confirmed(path) == [*kept, stamp]
        assert problems(path) == []


def test_a_full_disk_at_the_start_is_said(tmp_path):
    with mounted(tmp_path / 'disk', 'size=16k') as disk, pytest.raises(
            JournalError, match='the disk is full: make room') as refusal:
        EventLog(disk / 'journal.db').open()
    assert refusal.value.reason == 'full'


def test_a_read_only_disk_is_said_and_can_still_be_read(tmp_path):
    with mounted(tmp_path / 'disk', 'size=2m') as disk:
        path = disk / 'journal.db'
        with JournalWriter(path, LABELS) as writer:
            confirm(writer, 1).result(PATIENCE)
        subprocess.run(['mount', '-o', 'remount,ro', str(disk)], check=True)
        with pytest.raises(JournalError, match='read-only') as refusal:
            EventLog(path).open()
        assert refusal.value.reason == 'read-only'
        assert problems(path) == []


def test_a_folder_that_cannot_be_written_is_said():
    child = """
import os, sys
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
if os.geteuid() == 0:  # who may write anywhere
    os.setgroups([])
    os.setuid(65534)
try:
    EventLog(sys.argv[1]).open()
except JournalError as error:
    print(error.reason, error)
"""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        done = subprocess.run([sys.executable, '-c', child, f'{folder}/journal.db'],
                              capture_output=True, text=True, check=True,
                              cwd=HERE.parent.parent)
    assert done.stdout.startswith(f'read-only journal {folder}/journal.db: it is read-only')


def test_beyond_its_bound_the_log_gives_up_and_has_no_hole(path, impatient, monkeypatch):
    with JournalWriter(path, LABELS) as writer:
        writer.log.flush()
        monkeypatch.setattr(backlog, 'MOST_EVENTS', 5)
        with locked(path):
            futures = [confirm(writer, stamp) for stamp in range(10)]
            assert futures[-1] is None
            with pytest.raises(JournalError, match='gave up'):
                writer.log.flush()
    kept = confirmed(path)
    assert kept == list(range(len(kept)))
    assert len(kept) == 5


def test_beyond_a_bound_of_labels_it_gives_up_too(path, impatient, monkeypatch):
    with JournalWriter(path, LABELS) as writer:
        writer.log.flush()
        monkeypatch.setattr(backlog, 'MOST_LABELS', 5)
        with locked(path):
            futures = [writer.engine.confirm(Confirmation(
                FrameKey(Stamp(stamp), 'camera'), {'wrench': 0.5, 'hammer': 0.5}), 1)[1]
                for stamp in range(4)]
            assert [future is None for future in futures] == [False, False, False, True]
            with pytest.raises(JournalError, match='gave up'):
                writer.log.flush()


def test_pictures_that_wait_have_a_bound_and_their_confirmations_are_kept(
        path, impatient, monkeypatch):
    monkeypatch.setattr(backlog, 'MOST_PICTURE_BYTES', 3 * len(JPEG))
    with JournalWriter(path, LABELS) as writer:
        writer.log.flush()
        with locked(path):
            for stamp in range(10):
                confirm(writer, stamp, picture=JPEG)
        for stamp in range(10):
            again(writer, stamp)
        assert writer.log.pictures_lost == 7
        confirm(writer, 10, picture=JPEG).result(PATIENCE)  # there is room again
        assert writer.log.pictures_lost == 7
    assert confirmed(path) == list(range(11))
    assert pictures(path) == [0, 1, 2, 10]


def test_a_closed_log_refuses(path):
    with JournalWriter(path, LABELS) as writer:
        pass
    assert confirm(writer, 1) is None
    with pytest.raises(JournalError, match='it is closed'):
        writer.log.flush()
    writer.log.close()


# -- the file ----------------------------------------------------------------------------------


def test_a_second_writer_is_refused_by_name_of_the_first(path):
    first = f'process {os.getpid()} writes it already'
    with JournalWriter(path, LABELS), pytest.raises(JournalError, match=first):
        EventLog(path).open()
    with closing(EventLog(path)) as log:
        log.open()


@pytest.mark.parametrize('damage', [
    lambda whole: b'no database at all, but longer than the header of one' * 100,
    lambda whole: whole[:16] + bytes(84) + whole[100:],
    lambda whole: whole[:4096] + bytes(len(whole) - 4096),
    lambda whole: whole[:len(whole) // 2],
], ids=['text', 'header', 'zeros', 'cut'])
def test_a_damaged_file_is_moved_aside_with_its_pictures_and_a_new_one_begun(path, damage):
    with JournalWriter(path, LABELS) as writer:
        for stamp in range(100):
            confirm(writer, stamp, picture=JPEG)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with JournalWriter(path, LABELS) as writer:
        assert any(f'{path}.damaged-1' in note for note in writer.log.notes)
        assert writer.engine.figures().n == 0
        confirm(writer, 1).result(PATIENCE)
    moved = path.with_name(f'{path.name}.damaged-1')
    assert moved.read_bytes() == damaged
    assert len(list(moved.with_name(f'{moved.name}.pictures').glob('*.jpg'))) == 100
    assert problems(path) == []


def test_a_file_of_another_program_is_left_alone(path):
    with closing(sqlite3.connect(path)) as other:
        other.execute('CREATE TABLE accounts (id)')
    before = path.read_bytes()
    with pytest.raises(JournalError, match='an SQLite file of another program'):
        EventLog(path).open()
    assert path.read_bytes() == before


def test_a_newer_file_is_refused_and_left_alone(path):
    with JournalWriter(path, LABELS):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute('PRAGMA user_version = 1000')
    with pytest.raises(JournalError, match=r'schema 1000, .* update tool_recognizer'):
        EventLog(path).open()
    with pytest.raises(JournalError, match='schema 1000'):
        JournalReader(path)


def test_a_damaged_index_is_found_and_made_anew_from_its_rows(path):
    with JournalWriter(path, LABELS) as writer:
        for stamp in range(20):
            confirm(writer, stamp)
    name = 'events_for_people'
    # A row goes while the index looks away: what a flipped bit does to it.
    for statement in (
            'CREATE TABLE kept AS SELECT * FROM sqlite_master',
            f"DELETE FROM sqlite_master WHERE name = '{name}'",
            "DELETE FROM events WHERE id = (SELECT max(id) FROM events WHERE kind = 'confirmed')",
            f"INSERT INTO sqlite_master SELECT * FROM kept WHERE name = '{name}'"):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute('PRAGMA writable_schema = ON')
            db.execute(statement)
    with JournalReader(path) as reader:
        assert any(name in problem for problem in reader.problems())
    with JournalWriter(path, LABELS) as writer:
        writer.log.check.wait(PATIENCE)
        assert any('made anew' in finding for finding in writer.log.findings)
    with JournalReader(path) as reader:
        assert not any(name in problem for problem in reader.problems())


# -- pictures ----------------------------------------------------------------------------------


def pictures(path):
    with JournalReader(path) as reader:
        return [stored.stamp for stored in reader.confirmations() if stored.picture is not None]


def test_the_most_surprising_pictures_stay_within_the_budget(path):
    surprises = [0.5, 0.9, 0.1, 0.3, 0.7, 0.2]
    with JournalWriter(path, LABELS) as writer:
        writer.log.store._pictures._budget = 3 * len(JPEG)
        for stamp, p in enumerate(surprises):
            writer.answer(stamp, (0.0005, 0.9995 - p, p))
            writer.confirm(stamp, 'wrench', JPEG, moment=stamp)
            writer.log.flush()
    assert pictures(path) == [2, 3, 5]
    files = list(path.with_name(f'{path.name}.pictures').iterdir())
    assert len(files) == 3
    assert all(file.read_bytes() == JPEG for file in files)
    assert problems(path) == []


def test_a_label_that_the_model_does_not_have_keeps_its_picture_first(path):
    with JournalWriter(path, LABELS) as writer:
        writer.log.store._pictures._budget = len(JPEG)
        for stamp, label in enumerate(('wrench', 'anvil', 'hammer')):
            confirm(writer, stamp, label, JPEG).result(PATIENCE)
    assert pictures(path) == [1]


def test_the_picture_of_an_asked_frame_waits_for_its_confirmation(path):
    with JournalWriter(path, LABELS) as writer:
        key = writer.answer(1, (0.1, 0.2, 0.7))
        writer.engine.ask(key, Asked(0.5, 0.5), 1)
        writer.engine.keep_picture(writer.engine.run.monitor.pending(key), JPEG)
    with JournalWriter(path, LABELS) as writer:
        writer.confirm(1, 'wrench')
    with JournalReader(path) as reader:
        (stored,) = reader.confirmations()
    assert stored.picture.read_bytes() == JPEG
    assert problems(path) == []


def test_a_confirmation_delivered_again_after_a_restart_takes_no_picture_away(path):
    with JournalWriter(path, LABELS) as writer:
        confirm(writer, 1, picture=JPEG).result(PATIENCE)
    with JournalWriter(path, LABELS) as writer:
        writer.confirm(1, 'wrench', JPEG)
    assert pictures(path) == [1]
    assert problems(path) == []


def test_a_picture_that_cannot_be_written_costs_no_confirmation(path):
    with JournalWriter(path, LABELS) as writer:
        writer.log.flush()
        folder = path.with_name(f'{path.name}.pictures')
        folder.rmdir()
        folder.write_text('in the way')
        confirm(writer, 1, picture=JPEG).result(PATIENCE)
        assert writer.log.store.pictures_lost == 1
    assert confirmed(path) == [1]


def test_verify_sees_what_is_wrong_with_pictures(path):
    with JournalWriter(path, LABELS) as writer:
        for stamp in range(4):
            confirm(writer, stamp, picture=JPEG)
    assert problems(path) == []
    files = sorted(path.with_name(f'{path.name}.pictures').iterdir())
    files[0].unlink()
    files[1].write_bytes(JPEG[:100])
    files[2].write_bytes(bytes(len(JPEG)))
    found = '\n'.join(problems(path))
    for words in ('No such file', '100 bytes, 1000 were written', 'its content has changed'):
        assert words in found
