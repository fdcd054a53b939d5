"""Whatever becomes of a journal's file, what was acknowledged is there after a restart."""

from collections import Counter
from contextlib import closing
from contextlib import contextmanager
import gzip
from hashlib import sha256
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from unittest.mock import Mock

from journal_writer import JournalWriter
from journal_writer import JPEG
from journal_writer import LABELS
import pytest
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.monitor import EARLY_CONFIRMATIONS
from tool_recognizer.event_log import log as log_module
from tool_recognizer.event_log import pictures
from tool_recognizer.event_log.archive import read_archive
from tool_recognizer.event_log.chain import seal
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.file import pictures_folder
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.pruning import Retention
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.rows import encode_state
from tool_recognizer.event_log.tail import acknowledged

# Generous: it only bounds how long a failing test takes, s.
PATIENCE = 120.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'journal.db'


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(log_module, 'RETRY_EVERY', 0.05)


def acknowledge(writer, stamp):
    """Answer a frame, confirm it, and send that again until it is acknowledged."""
    writer.answer(stamp, (0.1, 0.2, 0.7))
    send(writer, stamp)


def send(writer, stamp):
    """Confirm a frame until that is acknowledged."""
    while True:
        writer.confirm(stamp, 'wrench', JPEG)
        try:
            return writer.log.flush()
        except JournalError:
            continue


def refused(writer, stamp):
    """Answer and confirm a frame; return why that is not acknowledged."""
    writer.answer(stamp, (0.1, 0.2, 0.7))
    writer.confirm(stamp, 'wrench')
    with pytest.raises(JournalError) as refusal:
        writer.log.flush()
    return refusal.value


def confirmed(path):
    """Start once more, which loses nothing either; return the frames that are confirmed."""
    with JournalWriter(path, LABELS) as writer:
        scored = writer.engine.figures().n
    with JournalReader(path) as reader:
        assert list(reader.problems()) == []
        stamps = [stored.stamp for stored in reader.confirmations() if stored.position]
    assert scored == len(stamps) == len({*stamps})
    return stamps


# -- changed by another program -----------------------------------------------------------------

STRANGE = {
    'drops it': 'CREATE TRIGGER t BEFORE INSERT ON events BEGIN SELECT RAISE(IGNORE); END',
    'drops what is confirmed': 'CREATE TRIGGER t BEFORE INSERT ON events '
                               "WHEN NEW.kind = 'confirmed' BEGIN SELECT RAISE(IGNORE); END",
    'deletes it': 'CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events '
                  'WHERE id = NEW.id; END',
    'fills the disk': 'CREATE TRIGGER t AFTER INSERT ON events BEGIN INSERT INTO litter '
                      'VALUES (hex(randomblob(500000))); END',
    'allows one': 'CREATE UNIQUE INDEX one ON events (kind)',
    'fills the memory': 'CREATE INDEX large ON events (hex(zeroblob(id * 100000)))',
    'drops the older': """
        ALTER TABLE events RENAME TO others;
        CREATE TABLE events (id INTEGER PRIMARY KEY, run, moment, kind, stamp, frame_id,
            outcome UNIQUE ON CONFLICT REPLACE, log_probabilities, detail, digest);
        INSERT INTO events SELECT * FROM others;
        DROP TABLE others""",
    'is no table': 'DROP TABLE litter; CREATE VIEW litter AS SELECT 1 AS path',
}


def change(path, script):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)


@pytest.mark.parametrize('script', STRANGE.values(), ids=STRANGE)
def test_nothing_is_acknowledged_into_tables_that_may_lose_it(path, impatient, script):
    with JournalWriter(path, LABELS) as writer:
        acknowledge(writer, 1)
    change(path, script)
    with JournalWriter(path, LABELS) as writer:
        assert any('may be lost, because of' in note for note in writer.log.notes)
        for stamp in 2, 3:
            acknowledge(writer, stamp)
    assert confirmed(path) == [2, 3]
    assert path.with_name('journal.db.damaged-1').exists()


@pytest.mark.parametrize('script', [STRANGE['drops it'], STRANGE['deletes it']])
def test_nothing_is_acknowledged_once_a_trigger_is_made_under_an_open_log(path, script):
    with JournalWriter(path, LABELS) as writer:
        acknowledge(writer, 1)
        change(path, script)
        assert refused(writer, 2).reason == 'corrupt'


def test_what_others_keep_in_the_file_for_themselves_does_no_harm(path):
    with JournalWriter(path, LABELS) as writer:
        acknowledge(writer, 1)
    change(path, 'CREATE INDEX mine ON events (moment); CREATE VIEW v AS SELECT * FROM events; '
                 'CREATE TABLE notes (text); ANALYZE')
    with JournalWriter(path, LABELS) as writer:
        assert not writer.log.notes
        acknowledge(writer, 2)
        assert writer.engine.figures().n == 2


@pytest.mark.parametrize('name', ['../precious', '{}', '', '.', '..', 'a/../../precious',
                                  'x' * 5000, 'nul\0', b'precious'])
def test_no_name_in_a_row_leads_out_of_the_folder_of_pictures(path, name):
    precious = path.with_name('precious')
    precious.write_bytes(JPEG)
    with JournalWriter(path, LABELS) as writer:
        acknowledge(writer, 1)
    name = name.format(precious) if isinstance(name, str) else name
    with closing(sqlite3.connect(path)) as db:
        db.execute('INSERT INTO litter VALUES (?)', (name,))
        row = 1, 'camera', name, len(JPEG), sha256(JPEG).digest(), 1.0
        db.execute('DELETE FROM pictures')
        db.execute('INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)', (*row, seal(*row)))
        db.commit()
    with JournalReader(path) as reader:
        (stored,) = reader.confirmations()
        assert stored.picture is None or not stored.picture.exists()
        assert any('picture' in problem for problem in reader.problems())
    with closing(sqlite3.connect(path)) as db:
        db.execute('DELETE FROM pictures')
        db.commit()
    with JournalWriter(path, LABELS) as writer:
        acknowledge(writer, 2)
    assert precious.read_bytes() == JPEG


# -- deleted, moved, replaced --------------------------------------------------------------------


def delete(path):
    path.unlink()


def delete_all(path):
    for file in path.parent.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()


def delete_the_folder(path):
    shutil.rmtree(path.parent)


def delete_the_wal(path):
    path.with_name(f'{path.name}-wal').unlink()


def delete_the_index_of_the_wal(path):
    path.with_name(f'{path.name}-shm').unlink()


def move(path):
    path.rename(path.with_name('elsewhere.db'))


def write_a_copy_over_it(path):
    copied = path.with_name('copy.db')
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(copied)) as copy:
        db.backup(copy)
    copied.chmod(0o600)
    copied.replace(path)


def test_pictures_leave_the_last_room_on_the_disk_to_confirmations(path, monkeypatch):
    with JournalWriter(path, LABELS) as writer:
        monkeypatch.setattr(pictures, 'disk_usage', lambda folder: Mock(free=1_000_000),
                            raising=False)
        for stamp in 1, 2:
            acknowledge(writer, stamp)
        assert not list(pictures_folder(path).iterdir())
        assert writer.log.store.pictures_lost == 2
        monkeypatch.undo()
        acknowledge(writer, 3)
        assert len(list(pictures_folder(path).iterdir())) == 1
    assert confirmed(path) == [1, 2, 3]


@pytest.mark.parametrize('harm', [delete, delete_all, delete_the_folder, delete_the_wal,
                                  delete_the_index_of_the_wal, move])
def test_a_file_that_is_taken_away_is_written_again(tmp_path, impatient, harm):
    path = tmp_path / 'folder' / 'journal.db'
    with JournalWriter(path, LABELS) as writer:
        for stamp in range(150):
            if stamp == 50:
                harm(path)
            acknowledge(writer, stamp)
        assert writer.log.trouble == ''
        assert any('is written again' in note for note in writer.log.notes)
        # Other processes see it, too, and not only after the end.
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(DISTINCT stamp) FROM events WHERE kind = 'confirmed'"
                              ).fetchone() == (150,)
    if harm in (delete_all, delete_the_folder):
        return  # with their pictures, which nobody has
    assert confirmed(path) == list(range(150))


@pytest.mark.parametrize('harm', [delete_all, delete_the_folder])
def test_pictures_whose_folder_is_taken_away_are_counted(tmp_path, impatient, harm):
    path = tmp_path / 'folder' / 'journal.db'
    with JournalWriter(path, LABELS) as writer:
        for stamp in range(5):
            acknowledge(writer, stamp)
        harm(path)
        acknowledge(writer, 5)
        assert writer.log.store.pictures_lost == 5
    with JournalReader(path) as reader:
        assert sum('No such file' in problem for problem in reader.problems()) == 5


def test_a_file_in_its_place_is_not_written_over_and_nothing_is_acknowledged(path, impatient):
    with JournalWriter(path, LABELS) as writer:
        for stamp in range(50):
            acknowledge(writer, stamp)
        other = path.with_name('other')
        other.write_bytes(b'another one')
        other.replace(path)
        refused(writer, 50)
        why = refused(writer, 51)
        assert why.reason == 'moved'
        assert 'another file has its name now: move that one away' in writer.log.trouble
        assert path.read_bytes() == b'another one'
        path.unlink()
        for stamp in 50, 51:
            send(writer, stamp)
        for stamp in range(52, 100):
            acknowledge(writer, stamp)
    assert confirmed(path) == list(range(100))
    assert not list(path.parent.glob('*rescued*'))


@pytest.mark.parametrize('suffix', ['', '-wal'])
def test_nothing_is_acknowledged_that_another_program_has_written_over(path, impatient, suffix):
    with JournalWriter(path, LABELS) as writer:
        for stamp in range(50):
            acknowledge(writer, stamp)
        # Into the very file, as cp does.
        path.with_name(path.name + suffix).write_bytes(b'written over')
        assert refused(writer, 50).reason == 'corrupt'
        assert 'another program has written into it' in writer.log.trouble
    with JournalWriter(path, LABELS) as writer:
        assert writer.log.notes or writer.engine.notes


@pytest.mark.parametrize('harm', [delete, move])
def test_the_note_of_what_is_acknowledged_is_written_again_where_it_is_taken_away(path, harm):
    with JournalWriter(path, LABELS) as writer:
        acknowledge(writer, 1)
        harm(path.with_name('journal.db.tail'))
        acknowledge(writer, 2)
        number, _ = acknowledged(path)
        assert number == writer.log.store.last


def test_what_was_acknowledged_before_a_copy_took_its_place_is_beside_it(path, impatient):
    with JournalWriter(path, LABELS) as writer:
        for stamp in range(30):
            acknowledge(writer, stamp)
        write_a_copy_over_it(path)
        refused(writer, 30)
        refused(writer, 31)
    rescued = path.with_name('journal.db.rescued-1')
    with closing(EventLog(path)) as log:
        log.open()
        assert any(str(rescued) in note for note in log.notes)
    for file in path.parent.glob('journal.db*'):
        if 'rescued' not in file.name and 'pictures' not in file.name:
            file.unlink()
    assert {*range(30)} <= {*confirmed(path)}


# -- two writers ---------------------------------------------------------------------------------

SECOND = """
import sys
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
try:
    EventLog(sys.argv[1]).open()
except JournalError as error:
    print(error.reason, error)
"""


def second(path):
    """Let another process open a file; return what it says."""
    return subprocess.run([sys.executable, '-c', SECOND, path], capture_output=True, text=True,
                          check=True).stdout


@pytest.mark.parametrize('link', [os.symlink, os.link])
@pytest.mark.parametrize('unlocked', [False, True])
def test_two_names_of_one_file_have_one_writer(path, link, unlocked):
    with JournalWriter(path, LABELS) as writer:
        acknowledge(writer, 1)
        name = path.with_name('another_name.db')
        link(path, name)
        if unlocked:
            path.with_name('journal.db.lock').unlink()
        assert second(name).startswith('in use journal')
        assert f'process {os.getpid()} writes it already' in second(name)


def test_a_lock_file_that_is_taken_away_is_made_again(path, impatient):
    with JournalWriter(path, LABELS) as writer:
        acknowledge(writer, 1)
        path.with_name('journal.db.lock').unlink()
        assert f'process {os.getpid()} writes it already' in second(path)
        acknowledge(writer, 2)
        assert path.with_name('journal.db.lock').read_text() == f'{os.getpid()}\n'
    assert confirmed(path) == [1, 2]


def test_a_lock_that_went_with_its_file_makes_no_second_writer(path, impatient):
    with JournalWriter(path, LABELS) as writer:
        acknowledge(writer, 1)
        path.unlink()
        path.with_name('journal.db.lock').unlink()
        child = subprocess.Popen(
            [sys.executable, '-c', SECOND + "print('open', flush=True)\ninput()", path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = child.stdout.readline()
        if said.startswith('in use'):  # the first one was faster
            child.communicate('\n')
            return
        writer.answer(2, (0.1, 0.2, 0.7))
        refused(writer, 2)
        assert refused(writer, 2).reason in ('in use', 'moved')
        child.communicate('\n')
    assert list(path.parent.glob('*rescued-1'))


# -- the end of the write-ahead log ---------------------------------------------------------------

KILLED = """
import os, sys
sys.path.insert(0, 'test/event_log')
from journal_writer import JournalWriter
writer = JournalWriter(sys.argv[1], ('hammer', 'screwdriver', 'wrench'))
for stamp in range(150):
    writer.answer(stamp, (0.1, 0.2, 0.7))
    writer.confirm(stamp, 'wrench')
    writer.log.flush()
os.kill(os.getpid(), 9)
"""


def kill_a_writer(path):
    done = subprocess.run([sys.executable, '-c', KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL
    return path.with_name('journal.db-wal')


def test_a_link_is_read_with_the_write_ahead_log_of_its_file(path, tmp_path):
    kill_a_writer(path)
    (tmp_path / 'elsewhere').mkdir()
    link = tmp_path / 'elsewhere' / 'link.db'
    link.symlink_to(path)
    with JournalReader(path) as reader, JournalReader(link) as linked:
        assert linked.statistics() == reader.statistics()


@pytest.mark.parametrize('share', [0.0, 0.3, 0.9, 'cut', 'gone'])
def test_acknowledged_confirmations_that_went_with_a_damaged_wal_are_named(path, share):
    wal = kill_a_writer(path)
    content = bytearray(wal.read_bytes())
    if share == 'gone':
        wal.unlink()
    elif share == 'cut':
        wal.write_bytes(content[:len(content) // 2])
    else:
        content[int(share * len(content)) + 40] ^= 1
        wal.write_bytes(content)
    with JournalReader(path) as reader:
        assert any('acknowledged events are missing' in problem for problem in reader.problems())
    with JournalWriter(path, LABELS) as writer:
        assert sum('acknowledged events are missing' in note for note in writer.engine.notes) == 1
        n = writer.engine.figures().n
        assert 0 <= n < 150
        assert not any('is taken over' in note for note in writer.log.notes)
        acknowledge(writer, 1000)
    with JournalReader(path) as reader:
        assert list(reader.problems()) == []
        assert reader.statistics()['events']['damaged'] == 1


def test_after_a_crash_without_damage_no_event_is_said_to_be_missing(path):
    kill_a_writer(path)
    with closing(EventLog(path)) as log:
        log.open()
        assert log.store.missing == ''
        assert 'what it had acknowledged is taken over' in log.notes[0]
    assert confirmed(path) == list(range(150))


# -- who may read it ------------------------------------------------------------------------------


@pytest.mark.parametrize('umask', [0o000, 0o022])
def test_all_files_are_their_owners_alone(path, umask):
    before = os.umask(umask)
    try:
        with JournalWriter(path, LABELS) as writer:
            acknowledge(writer, 1)
            files = [path, *path.parent.rglob('*')]
            assert len(files) >= 6
            for file in files:
                mode = 0o700 if file.is_dir() else 0o600
                assert stat.S_IMODE(file.stat().st_mode) == mode, file
    finally:
        os.umask(before)


def test_a_file_that_others_may_read_is_told_and_left(path):
    with JournalWriter(path, LABELS):
        pass
    path.chmod(0o644)
    with closing(EventLog(path)) as log:
        log.open()
        assert sum('chmod' in note for note in log.notes) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


# -- what leaves it -------------------------------------------------------------------------------

DAY = 86_400 * 10**9  # ns
# Of what came after the oldest of the newest three snapshots nothing leaves.
NEEDED = 2


@contextmanager
def kept(path, **retention):
    """Write a log that keeps no more than this."""
    with JournalWriter(path, LABELS, pending=200) as writer:
        writer.log.store._retention = Retention(**retention)
        yield writer


def confirm_each_day(writer, days):
    for day in days:
        writer.moment = day * DAY
        acknowledge(writer, day)
        writer.log.snapshot(writer.engine._number, writer.engine.run.to_state())
        writer.log.flush()


def remaining(path):
    with JournalReader(path) as reader:
        assert list(reader.problems()) == []
        return [stored.stamp for stored in reader.confirmations()]


def test_what_is_too_old_leaves_and_nothing_younger_and_the_run_goes_on(path):
    with kept(path, days=10.0) as writer:
        confirm_each_day(writer, range(50))
        writer.reload('e' * 64)
        confirm_each_day(writer, range(50, 100))
        n, state = writer.engine.figures().n, encode_state(writer.engine.run.to_state())
        assert writer.log.store.since == 87 * DAY
        assert writer.log.store.removed > 150
    left = remaining(path)
    assert left == list(range(100 - 11 - NEEDED, 100))
    with JournalWriter(path, LABELS, digest='e' * 64, pending=200) as writer:
        assert writer.engine.notes == ()
        assert writer.engine.figures().n == n == 50
        assert encode_state(writer.engine.run.to_state()) == state
    with JournalReader(path) as reader:
        (run,) = reader.statistics()['runs']
        assert (run['model_digest'], run['scored']) == ('e' * 64, len(left))
        assert reader.statistics()['since'] == 87 * DAY
        # The evidence of a run is only computed anew where all of it is there.
        assert reader.first_state(next(iter(reader.runs()))) is None


def test_one_event_with_a_wrong_clock_makes_nothing_old(path):
    with kept(path, days=10.0) as writer:
        confirm_each_day(writer, [*range(5), 36_500, *range(5, 9)])
    assert sorted(remaining(path)) == [*range(9), 36_500]


def test_a_file_of_bounded_size_does_not_grow_however_much_is_confirmed(path):
    with kept(path, size=2_000_000) as writer:
        sizes = []
        for stamp in range(6000):
            writer.answer(stamp, (0.1, 0.2, 0.7))
            writer.confirm(stamp, 'wrench', operator='somebody')
            if stamp % 500 == 499:
                writer.log.snapshot(writer.engine._number, writer.engine.run.to_state())
                writer.log.flush()
                sizes.append(path.stat().st_size)
        assert writer.log.store.removed > 3000
    assert max(sizes) < 4_000_000
    left = remaining(path)
    assert 1000 < len(left) < 5000
    # The newest ones.
    assert left == list(range(6000 - len(left), 6000))


def archived(folder):
    """Read all archives; return their rows by id."""
    found = {}
    for file in sorted(folder.iterdir()):
        for row, wrong in read_archive(file):
            assert wrong == ''
            assert found.setdefault(row.id, row) == row
    return found


def test_what_leaves_is_in_the_archive_first_with_its_digests(path, tmp_path):
    archive = tmp_path / 'archive'
    with kept(path, days=10.0, predictions=5, archive=archive) as writer:
        confirm_each_day(writer, range(40))
    with kept(path, days=10.0, predictions=5, archive=archive) as writer:
        confirm_each_day(writer, range(40, 80))
    found = archived(archive)
    stamps = {row.stamp for row in found.values() if row.kind == 'confirmed'}
    assert stamps | {*remaining(path)} == {*range(80)}
    assert stat.S_IMODE(archive.stat().st_mode) == 0o700
    # A byte that changes is found.
    file = next(archive.iterdir())
    text = gzip.decompress(file.read_bytes()).replace(b'wrench', b'hammer', 1)
    file.write_bytes(gzip.compress(text))
    assert any(wrong for _, wrong in read_archive(file))


def test_nothing_leaves_while_the_archive_cannot_be_written(path, tmp_path):
    archive = tmp_path / 'archive'
    archive.write_text('in the way')
    with kept(path, days=10.0, archive=archive) as writer:
        confirm_each_day(writer, range(30))
        assert 'nothing is removed' in writer.log.store.archive_trouble
    assert remaining(path) == list(range(30))


# -- confirmations whose frame has not come -------------------------------------------------------


def test_a_flood_of_confirmations_that_match_no_frame_pushes_none_out(path):
    with JournalWriter(path, LABELS) as writer:
        assert writer.confirm(5, 'wrench') is Outcome.UNMATCHED
        flood = Counter(writer.confirm(stamp, 'hammer') for stamp in range(10_000, 11_001))
        assert flood == {Outcome.UNMATCHED: EARLY_CONFIRMATIONS - 1, Outcome.NO_ROOM: 2}
    with JournalWriter(path, LABELS) as writer:
        writer.answer(5, (0.1, 0.2, 0.7))
        assert writer.engine.figures().n == 1
        # There is room for one now, and what is sent again is counted once.
        assert writer.confirm(10_999, 'hammer') is Outcome.UNMATCHED
        writer.answer(10_999, (0.1, 0.2, 0.7))
        assert writer.engine.figures().n == 2
    with JournalReader(path) as reader:
        outcomes = {stored.stamp: stored.outcome.value for stored in reader.confirmations()}
    assert (outcomes[5], outcomes[10_999], outcomes[11_000]) == ('scored', 'scored', 'no_room')
    assert len(outcomes) == 1002
