"""Damage of a log's file: what is named, what is mended, and what a start makes of it."""

from contextlib import closing
import re
import sqlite3

from journal_writer import JournalWriter
from journal_writer import LABELS
import pytest
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.pruning import Retention
from tool_recognizer.event_log.reader import JournalReader

PAGE = 4096
# Generous: it only bounds how long a failing test takes, s.
PATIENCE = 120.0


@pytest.fixture
def path(tmp_path):
    """Write a log of 40 frames; each fourth is confirmed, and a snapshot follows each tenth."""
    path = tmp_path / 'journal.db'
    with JournalWriter(path, LABELS) as writer:
        work(writer, range(1, 41))
    return path


def work(writer, stamps):
    for stamp in stamps:
        writer.answer(stamp, (0.1, 0.2, 0.7), 'wrench')
        if stamp % 4 == 0:
            writer.confirm(stamp, 'wrench', b'picture %d' % stamp)
        if stamp % 10 == 0:
            writer.log.flush()
            writer.log.snapshot(writer.engine._number, writer.engine.run.to_state())
    writer.log.flush()


def change(path, *statements):
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            assert db.execute(statement).rowcount


def query(path, sql):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def problems(path):
    with JournalReader(path) as reader:
        return [*reader.problems()]


def start(path):
    """Start once more; return how many frames the run has scored, and what is said."""
    with JournalWriter(path, LABELS) as writer:
        writer.log.check.wait(PATIENCE)
        return writer.engine.figures().n, [*writer.log.notes, *writer.engine.notes,
                                           *writer.log.findings]


@pytest.mark.parametrize('version', [0, -4, 5])
def test_a_version_that_is_none_is_refused_and_the_file_left_alone(path, version):
    with closing(sqlite3.connect(path)) as db:
        db.execute(f'PRAGMA user_version = {version}')
    before = path.read_bytes()
    for use in (EventLog(path).open, lambda: JournalReader(path)):
        with pytest.raises(JournalError, match=f'it has schema {version}, this program knows'):
            use()
    assert path.read_bytes() == before


def test_the_text_of_a_table_that_is_no_utf_8_is_named(path):
    content = path.read_bytes()
    assert content.count(b'-- what became of a confirmation') == 1
    path.write_bytes(content.replace(b'-- what became of', b'-- wh\xfft became of'))
    assert problems(path) == ['the file is damaged: its tables are not those that were made']
    n, (said,) = start(path)
    assert n == 10
    assert 'its tables are not those that were made' in said


@pytest.mark.parametrize(('damage', 'named', 'said', 'n'), [
    # The first of two, with what it confirmed.
    ("UPDATE events SET moment = 1 WHERE kind = 'confirmed' AND stamp IN (32, 36)",
     r"event \d+ \(confirmed, frame 32 'camera', 'wrench' by somebody\): it is damaged",
     r"event \d+ \(confirmed, frame 32 'camera', 'wrench' by somebody\): it is damaged", 10),
    ("UPDATE events SET digest = zeroblob(32) WHERE kind = 'confirmed' AND stamp = 4",
     r'event 7 \(confirmed, frame 4 .*: it is damaged', 'event 7 ', 10),
    ('DELETE FROM events WHERE stamp = 38',
     r"event \d+ \(answered, frame 39 'camera'\): the rows", 'before it are missing', 10),
    # The tail is missing: the last snapshot knows of it, and is no longer to be had.
    ('DELETE FROM events WHERE stamp > 36',
     r'acknowledged events are missing at its end, from event \d+ to \d+',
     r'the snapshot after event \d+ cannot be used', 9),
    ("UPDATE snapshots SET state = 'x' WHERE event <> run",
     r'the snapshot after event \d+ is damaged', 'cannot be used', 10),
    ('UPDATE snapshots SET run = 7 WHERE event = run', 'the snapshot after event 1 is damaged',
     'event 7 is of kind .*, which is said to have begun a run', 10),
    ('UPDATE snapshots SET run = 7', 'the snapshot after event 1 is damaged',
     'event 7 is of kind .*, which is said to have begun a run', 10),
])
def test_damage_is_named_from_the_first_row_on_and_a_start_goes_on_without_it(
        path, damage, named, said, n):
    change(path, damage)
    assert re.search(named, problems(path)[0])
    scored, notes = start(path)
    assert any(re.search(said, note) for note in notes)
    assert scored == n


@pytest.mark.parametrize('content', [bytes(PAGE), b'\xa5' * PAGE], ids=['zeros', 'noise'])
@pytest.mark.parametrize('index', ['events_for_people', 'pictures_by_surprise'])
def test_of_a_damaged_page_of_an_index_nothing_is_lost(path, index, content):
    ((page,),) = query(path, f"SELECT rootpage FROM sqlite_master WHERE name = '{index}'")
    rows = query(path, 'SELECT * FROM events'), query(path, 'SELECT * FROM pictures')
    with path.open('r+b') as file:
        file.seek((page - 1) * PAGE)
        file.write(content)
    with JournalReader(path) as reader:
        assert next(reader.problems()).startswith('the file is damaged')
    n, (said,) = start(path)
    assert n == 10
    assert 'its indexes were made anew' in said
    assert problems(path) == []
    kept = query(path, 'SELECT * FROM events'), query(path, 'SELECT * FROM pictures')
    assert (kept[0][:len(rows[0])], kept[1]) == rows


def test_a_damaged_prediction_is_never_removed_unseen(path):
    change(path, 'UPDATE events SET run = 2 WHERE stamp = 3')
    with JournalWriter(path, LABELS) as writer:
        writer.log.store._retention = Retention(predictions=5)
        work(writer, range(41, 301))
    assert query(path, "SELECT count(*) FROM events WHERE kind = 'answered' AND stamp < 40 AND "
                       'outcome IS NULL') < [(12,)]
    (named,) = problems(path)
    assert "(answered, frame 3 'camera'): it is damaged" in named


def test_litter_that_names_a_listed_picture_costs_it_nothing(path):
    change(path, 'INSERT INTO litter SELECT path FROM pictures')
    assert start(path) == (10, [])
    assert problems(path) == []
    assert len([*path.with_name('journal.db.pictures').iterdir()]) == 10


def test_what_was_recorded_of_the_damage_is_not_said_again(path):
    change(path, 'UPDATE pictures SET bytes = 1 WHERE stamp = 4')
    _, (said,) = start(path)
    with JournalWriter(path, LABELS) as writer:
        writer.engine.record('damaged', 0, {'why': said})
    assert start(path) == (10, [])
