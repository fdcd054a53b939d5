"""The review: what is filtered, sorted and exported of a journal, and what is not given away."""

import csv
import io
import json
from zipfile import ZipFile

from journal_writer import JournalWriter
from journal_writer import JPEG
from journal_writer import LABELS
import pytest
from tool_recognizer.console import review
from tool_recognizer.console.deeds import read_deeds
from tool_recognizer.console.review import as_csv
from tool_recognizer.console.review import as_zip
from tool_recognizer.console.review import gallery
from tool_recognizer.console.review import picture
from tool_recognizer.console.review import Query
from tool_recognizer.console.review import selected
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.messages.monitor_values import monitor_state

SECOND = 10**9


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / 'journal.db'
    with JournalWriter(path, LABELS) as written:
        for stamp, p, said, who in (
                (1, (0.9, 0.05, 0.05), 'hammer', 'kim'), (2, (0.1, 0.1, 0.8), 'hammer', 'kim'),
                (3, (0.3, 0.3, 0.4), 'wrench', '=1+1'), (4, (0.3, 0.3, 0.4), ANOTHER_TOOL, 'bo')):
            written.answer(stamp, p, 'hammer')
            written.confirm(stamp, said, JPEG, moment=stamp * SECOND, operator=who,
                            nonce=f'nonce-{stamp}')
        for stamp, said in ((1, 'wrench'), (2, 'hammer'), (3, 'wrench')):
            written.confirm(stamp, said, moment=9 * SECOND, operator='bo', nonce=f'bo-{stamp}')
        written.log.flush()
        stamped = selected(path, Query())
        number = next(one.number for one in stamped if one.stamp == 2 and one.operator == 'kim')
        written.engine.correct(Correction(number, FrameKey(Stamp(2), 'camera'), {'wrench': 1.0},
                                          'anna', 'nonce-c'), lambda: 20 * SECOND)[1].result(90)
        yield path


def stamps(journal, **query):
    return [one.stamp for one in selected(journal, Query(**query))
            if one.position is not None]


@pytest.mark.parametrize(('query', 'expected'), [
    ({}, [4, 3, 2, 1]), ({'order': 'surprising'}, [3, 2, 1, 4]), ({'label': 'wrench'}, [3, 2]),
    ({'answer': 'hammer'}, [1]), ({'operator': 'kim'}, [2, 1]), ({'outcome': 'novel'}, [4]),
    ({'outcome': 'corrected'}, [2]), ({'since': 2.0, 'until': 3.0}, [3, 2]),
    ({'label': "x' OR 1=1 --"}, [])])
def test_what_is_asked_for_is_shown_in_its_order(journal, query, expected):
    assert stamps(journal, **query) == expected


def test_a_frame_is_found_by_why_it_was_asked_for_also_if_nobody_has_confirmed_it(tmp_path):
    path = tmp_path / 'journal.db'
    with JournalWriter(path, LABELS, complete=False) as written:
        for stamp, asked in ((1, Asked(0.01)), (2, Asked(0.5, 0.02)), (3, None),
                             (4, Asked(0.01, 0.9)), (5, Asked(0.4, 0.025))):
            key = written.answer(stamp, (0.2, 0.2, 0.6), 'wrench')
            if asked is not None:
                written.engine.ask(key, asked, stamp * SECOND)
            if stamp < 4:
                written.confirm(stamp, 'wrench', JPEG, nonce=f'nonce-{stamp}')
    assert stamps(path, asked='chance') == [1]
    assert stamps(path, asked='doubt') == [2]
    assert stamps(path, asked='unasked') == [3]
    waiting = gallery(path, Query(outcome='waiting'), 0)
    assert [(one['stamp'], one['because'], one['answer'], one['decision'], one['counts'])
            for one in waiting['frames']] == [('5', 'doubt', 'wrench', 'wrench', False),
                                              ('4', 'chance', 'wrench', 'wrench', False)]
    for query, expected in (({'asked': 'doubt'}, ['5']), ({'answer': 'hammer'}, []),
                            ({'until': 4.5}, ['4']), ({'operator': 'kim'}, [])):
        told = gallery(path, Query(outcome='waiting', **query), 0)
        assert [one['stamp'] for one in told['frames']] == expected
    json.dumps(waiting, allow_nan=False)


def test_what_contradicts_itself_stands_side_by_side_until_one_of_it_is_struck_out(journal):
    (said,) = gallery(journal, Query(), 0)['conflicts']
    assert [(one['stamp'], one['label'], one['operator'], one['conflicts']) for one in said] == [
        ('1', 'hammer', 'kim', False), ('1', 'wrench', 'bo', True)]


def test_the_frames_among_which_an_alarms_change_began_are_found(tmp_path):
    """Counted back from the alarm: a correction after it, or a reset before, changes nothing."""
    path = tmp_path / 'journal.db'
    with JournalWriter(path, LABELS) as written:
        def confirm(stamp, label='wrench'):
            written.answer(stamp, (0.2, 0.2, 0.6))
            written.confirm(stamp, label, nonce=f'nonce-{stamp}', moment=stamp * SECOND)
        for stamp in range(1, 4):
            confirm(stamp)
        written.engine.reset(4 * SECOND)
        for stamp in range(5, 11):
            confirm(stamp, ANOTHER_TOOL if stamp == 6 else 'wrench')
        told = monitor_state(written.engine.run.monitor, False, written.engine.figures(), 'd')
        detail = {name: str(value) for name, value in told.values.items()}
        assert detail['n'] == '5'  # of the frames 5 and 7 to 10
        written.engine.record('alarm', 10 * SECOND, detail | {
            'change_first': '1', 'change_last': '3', 'per_label': '{"wrench": 2.5}'})
        confirm(11)
        written.log.flush()
        number = next(one.number for one in selected(path, Query()) if one.stamp == 7)
        written.engine.correct(Correction(number, FrameKey(Stamp(7), 'camera'), {}, 'anna',
                                          'nonce-c'), lambda: 20 * SECOND)[1].result(90)
    (alarm,) = gallery(path, Query(), 0)['alarms']
    assert (alarm['moment'], alarm['label']) == (10.0, 'wrench')
    assert [one.stamp for one in selected(path, Query(alarm=str(alarm['number'])))] == [9, 8, 7]
    assert selected(path, Query(alarm='77')) == []


def test_a_number_in_the_address_that_is_none_counts_for_anything():
    assert Query.read({'since': 'soon', 'until': '', 'label': 'x'}) == Query(label='x')


def test_a_page_gets_what_was_said_before_and_by_whom_it_was_corrected(journal):
    told = gallery(journal, Query(outcome='corrected'), 0)
    (frame,) = told['frames']
    assert (frame['said'], frame['label'], frame['corrected_by'], frame['stamp']) == (
        'hammer', 'wrench', 'anna', '2')
    json.dumps(told, allow_nan=False)


def test_operators_are_compared_with_the_model_and_with_each_other_as_they_said_it(journal):
    told = gallery(journal, Query(), 0)
    (kim,) = (one for one in told['agreement'] if one['operator'] == 'kim')
    assert (kim['n'], kim['right']) == (2, 2)  # of the second as it was corrected
    assert kim['low'] < 1.0
    (pair,) = (one for one in told['kappas'] if {one['a'], one['b']} == {'kim', 'bo'})
    assert pair['n'] == 2
    assert -1.0 <= pair['low'] <= pair['kappa'] <= pair['high'] <= 1.0


def test_a_table_runs_nothing_and_folders_hold_the_pictures_of_what_counts(journal):
    rows = [*csv.DictReader(io.StringIO(as_csv(selected(journal, Query()))))]
    assert "'=1+1" in {row['operator'] for row in rows}
    with ZipFile(io.BytesIO(b''.join(as_zip(selected(journal, Query()))))) as packed:
        names = sorted(name.partition('_')[0] for name in packed.namelist())
        assert names == ['confirmations.csv', 'hammer/1', 'other/4', 'wrench/2', 'wrench/3']
        assert packed.read(next(name for name in packed.namelist()
                                if name.startswith('hammer/'))) == JPEG


def test_folders_are_named_as_their_labels_and_lead_nowhere_else(tmp_path):
    labels = ('Schlüssel M8 (10)', '../..', 'a/b', '.x', 'c\\d', 'M8x1.25')
    path = tmp_path / 'journal.db'
    with JournalWriter(path, labels) as written:
        for stamp, label in enumerate((*labels, CANNOT_SEE), 1):
            written.answer(stamp, (1 / 6,) * 6)
            written.confirm(stamp, label, JPEG, nonce=f'nonce-{stamp}')
        written.log.flush()
        with ZipFile(io.BytesIO(b''.join(as_zip(selected(path, Query()))))) as packed:
            folders = {name.rpartition('/')[0] for name in packed.namelist()}
            assert packed.testzip() is None
    assert folders == {'', 'Schlüssel M8 (10)', 'M8x1.25', '%2E%2E%2F%2E%2E', 'a%2Fb', '%2Ex',
                       'c%5Cd'}


def test_pictures_are_packed_one_at_a_time(journal):
    read = []

    def one(path):
        read.append(path)
        return JPEG
    pieces = as_zip(selected(journal, Query()), one)
    assert len(next(pieces)) < 10 * len(JPEG) + 10_000
    assert len(read) == 1


def test_with_very_many_names_only_the_busiest_are_compared_in_pairs(journal, monkeypatch):
    monkeypatch.setattr(review, 'COMPARED', 1)
    told = gallery(journal, Query(), 0)
    assert told['kappas'] == []
    assert {one['operator'] for one in told['agreement']} >= {'kim', '=1+1'}


def test_only_pictures_of_the_journal_are_given_out(journal):
    assert picture(journal, FrameKey(Stamp(1), 'camera')) == JPEG
    assert picture(journal, FrameKey(Stamp(1), '../journal.db')) is None


def test_who_did_what_says_what_was_asked_for_and_what_came_of_it(tmp_path):
    path = tmp_path / 'journal.db'
    with JournalWriter(path, LABELS) as written:
        for moment, (action, outcome, why) in enumerate((
                ('choose_model', 'asked', '0003'), ('choose_model', 'asked', '0004'),
                ('choose_model', 'done', 'model three'), ('choose_model', 'failed', 'no'),
                ('end_logins', 'done', 'bo'), ('set_region', 'asked', 'region.x 0.25')), 1):
            written.engine.record('action', moment * SECOND, {
                'person': 'anna', 'action': action, 'outcome': outcome, 'why': why})
    deeds, _ = read_deeds(path, 0)
    assert [[deed[name] for name in ('action', 'outcome', 'what', 'why')] for deed in deeds] == [
        ['set_region', 'asked', 'region.x 0.25', ''], ['end_logins', 'done', 'bo', ''],
        ['choose_model', 'failed', '0004', 'no'], ['choose_model', 'done', '0003', 'model three']]


def test_who_did_what_holds_confirmations_and_corrections(journal):
    deeds, more = read_deeds(journal, 0)
    assert (deeds[0]['person'], deeds[0]['action'], deeds[0]['label']) == (
        'anna', 'correct', 'wrench')
    assert {deed['person'] for deed in deeds} == {'anna', 'kim', 'bo', '=1+1'}
    assert more == 0
