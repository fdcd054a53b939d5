"""The program ``journal``: what it counts, checks and exports, and what it says when it cannot."""

from contextlib import closing
import csv
import json
import sqlite3

from journal_writer import JournalWriter
from journal_writer import JPEG
from journal_writer import LABELS
import numpy as np
import pytest
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.programs.journal import main
from tool_recognizer.training.labelled import find_examples

# 2026-11-24, 12:00:00 UTC
NOON = 1_795_521_600_000_000_000


@pytest.fixture
def path(tmp_path):
    """Make a journal of a run: scored, late, soft, disputed, novel and unmatched."""
    path = tmp_path / 'journal.db'
    with JournalWriter(path, LABELS, NOON, complete=False,
                       late_after=3) as journal:
        for number in range(5):
            key = journal.answer(NOON + number, [0.0, 0.3, 0.7], 'wrench')
            journal.engine.ask(key, Asked(0.5, 0.5), NOON)
        for number, said, operator in [
                (1, 'wrench', 'o1'), (0, 'hammer', 'o1'),
                (2, {'screwdriver': 0.5, 'wrench': 0.5}, ''),
                (3, 'wrench', 'o1'), (4, '../../anvil', 'o1'), (3, 'hammer', 'o2'),
                (-1, 'hammer', '')]:
            journal.confirm(NOON + number, said, JPEG, operator=operator)
        journal.engine.record('alarm', NOON, {})
    return path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_the_table_has_a_row_for_each_confirmation(path, tmp_path):
    assert run('export', path, '--csv', tmp_path / 'out.csv') == 0
    with (tmp_path / 'out.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['outcome'] for row in rows] == [
        'scored', 'late', 'scored', 'scored', 'novel', 'conflicting', 'unmatched']
    first, second, soft, *_, unmatched = rows
    assert int(first['stamp']) == NOON + 1
    assert first['label'] == 'wrench'
    assert float(first['nll']) == pytest.approx(-np.log(0.7), abs=1e-12)
    assert [float(first[f'p({label})']) for label in LABELS] == pytest.approx([0.0, 0.3, 0.7])
    assert first['inclusion_probability'] == '0.5'
    assert first['model_digest'] == 'd' * 64
    # The model ruled the label out, and that is not hidden.
    assert float(second['nll']) == float('inf')
    assert json.loads(soft['distribution']) == {'screwdriver': 0.5, 'wrench': 0.5}
    assert (unmatched['nll'], unmatched['p(wrench)']) == ('', '')


def test_pictures_go_into_a_folder_per_label_and_doubtful_ones_nowhere(path, tmp_path, capsys):
    out = tmp_path / 'pictures'
    assert run('export', path, '--pictures', out) == 0
    found = sorted(str(file.relative_to(out)) for file in out.rglob('*.jpg'))
    assert found == ['%2E%2E%2F%2E%2E%2Fanvil/20261124_120000_000000004_17.jpg',
                     'hammer/20261124_120000_000000000_14.jpg',
                     'wrench/20261124_120000_000000001_13.jpg']
    assert all(file.read_bytes() == JPEG for file in out.rglob('*.jpg'))
    said = capsys.readouterr().err
    assert '1 pictures of which operators disagree' in said
    assert '1 pictures surer of no label than 0.5' in said


def test_an_export_that_fails_leaves_nothing_behind(path, tmp_path, capsys):
    (tmp_path / 'taken').mkdir()
    (tmp_path / 'taken' / 'mine').touch()

    def listing():
        return sorted(p for p in tmp_path.iterdir() if not p.name.endswith(('-wal', '-shm')))

    before = listing()
    assert run('export', path, '--pictures', tmp_path / 'taken') == 2
    assert 'is there already: name a new folder' in capsys.readouterr().err
    assert run('export', path, '--csv', tmp_path / 'taken') == 2
    assert run('export', path, '--csv', tmp_path / 'no' / 'where.csv') == 2
    assert listing() == before


def test_a_missing_picture_is_said(path, tmp_path, capsys):
    next(iter((tmp_path / 'journal.db.pictures').glob(f'{NOON + 1}-*'))).unlink()
    assert run('export', path, '--pictures', tmp_path / 'out') == 1
    assert 'left out: 1 pictures that are not there, such as' in capsys.readouterr().err
    assert not (tmp_path / 'out' / 'wrench').exists() or not list(
        (tmp_path / 'out' / 'wrench').glob('*_000000001_*'))


def test_a_whole_journal_is_whole_even_while_a_node_writes_it(path, capsys):
    with EventLog(path) as log:
        log.open()
        log.start()
        assert run('verify', path) == 0
    assert 'whole; 5 predictions, 7 confirmations, 5 pictures' in capsys.readouterr().out


def test_what_is_wrong_is_listed(path, tmp_path, capsys):
    next(iter((tmp_path / 'journal.db.pictures').iterdir())).write_bytes(b'')
    assert run('verify', path) == 1
    said = capsys.readouterr().out
    assert '0 bytes, 1000 were written' in said
    assert '1 problems' in said


def test_a_journal_without_its_folder_of_pictures_is_one_line_with_their_number(
        path, tmp_path, capsys):
    folder = tmp_path / 'journal.db.pictures'
    folder.rename(tmp_path / 'moved')
    assert run('verify', path) == 1
    assert capsys.readouterr().out == (
        f'{path}: 5 pictures are missing: their folder {folder} is not there\n')
    assert run('export', path, '--pictures', tmp_path / 'out') == 2
    error = capsys.readouterr().err
    # Of the five, two are of frames of which operators disagree or are not sure.
    assert 'has no picture of a confirmed frame: 3 are not there, such as' in error
    assert error.count('\n') == 1


def test_damage_is_an_answer_and_no_traceback(path, capsys):
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))
    assert run('verify', path) == 1
    assert run('stats', path) == 2
    assert 'damaged' in capsys.readouterr().err


@pytest.mark.parametrize('damage', [
    "outcome = 'scorad'", 'outcome = NULL', "kind = 'sample'", 'stamp = stamp + 1', 'run = 2',
    "detail = replace(detail, ': 1.0', '; 1.0')", "detail = '{}'",
    "detail = CAST(x'7b2268ff223a20317d7d' AS TEXT)", "log_probabilities = 'text'"])
def test_a_damaged_event_is_in_no_figure_and_one_line_says_so(path, tmp_path, capsys, damage):
    with closing(sqlite3.connect(path)) as db, db:
        # Of the one frame whose label the model ruled out.
        db.execute(f"UPDATE events SET {damage} WHERE id = 14 AND kind = 'confirmed'")
    assert run('verify', path) == 1
    assert 'event 14 (' in capsys.readouterr().out
    for arguments in (['stats', path, '--json', tmp_path / 'figures.json'],
                      ['export', path, '--csv', tmp_path / 'out.csv']):
        assert run(*arguments) == 1
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert f'{path}: left out, event 14 (' in said[0]
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert 'late' not in figures['confirmations']
    assert figures['runs'][0]['scored'] == 3
    assert figures['nll'] < 1e3
    with (tmp_path / 'out.csv').open(newline='') as file:
        assert [row['outcome'] for row in csv.DictReader(file)] == [
            'scored', 'scored', 'scored', 'novel', 'conflicting', 'unmatched']
    said = []
    assert len(find_examples([path], said.append)) == 3
    assert f'{path}: left out, event 14 (' in said[0]


def test_an_event_that_is_gone_is_missed(path, capsys):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute('DELETE FROM events WHERE id = 14')
    assert run('verify', path) == 1
    assert 'the rows 14 to 14 before it are missing' in capsys.readouterr().out


def test_figures_for_people_and_as_json(path, tmp_path, capsys):
    assert run('stats', path, '--json', tmp_path / 'figures.json') == 0
    said = capsys.readouterr().out
    assert '5 (verify checks them), of these 5 confirmed, 2026-11-24 12:00:00' in said
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures['confirmations'] == {'conflicting': 1, 'late': 1, 'novel': 1, 'scored': 3,
                                        'unmatched': 1}
    assert figures['labels'] == {'../../anvil': 1, 'hammer': 1, 'screwdriver': 1, 'wrench': 2}
    assert figures['events'] == {'alarm': 1}
    assert figures['nll'] == 'inf'
    assert figures['runs'][0]['scored'] == 4


@pytest.mark.parametrize(('arguments', 'why'), [
    (['stats', 'nowhere.db'], 'no such file'),
    (['export', 'nowhere.db'], 'export needs --csv FILE, --pictures DIR or both'),
    (['stats', 'nowhere.db', '--csv', 'x'], 'belong to export, not to stats'),
    (['verify', 'nowhere.db', '--json', 'x'], 'belongs to stats, not to verify'),
    (['mend', 'nowhere.db'], 'invalid choice'),
])
def test_what_cannot_be_used_gets_one_line_and_status_2(arguments, why, capsys):
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    said = capsys.readouterr().err
    assert status == 2
    assert why in said
    assert said.count('\n') == 1


def test_what_operators_say_instead_of_a_label_is_none_of_them_or_no_example(tmp_path):
    path = tmp_path / 'plant.db'
    with JournalWriter(path, LABELS, NOON, complete=False) as journal:
        outcomes = []
        for number, said in enumerate(['hammer', ANOTHER_TOOL, CANNOT_SEE]):
            journal.answer(NOON + number, [0.2, 0.1, 0.7], 'wrench')
            outcomes.append(journal.confirm(NOON + number, said, JPEG))
    assert outcomes == [Outcome.VOLUNTEERED, Outcome.NOVEL, Outcome.SKIPPED]
    assert run('verify', path) == 0
    assert run('export', path, '--pictures', tmp_path / 'out') == 0
    assert sorted(folder.name for folder in (tmp_path / 'out').iterdir()) == ['hammer', 'other']
    found = find_examples([path], lambda line: None)
    assert [dict(example.distribution) for example in found] == [{'hammer': 1.0}, {'other': 1.0}]
