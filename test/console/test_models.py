"""The list of models, and how one of them is put in charge."""

import asyncio
import json

from journal_writer import JournalWriter
from journal_writer import LABELS
import numpy as np
import pytest
from test_teaching import Recognizer
from tool_recognizer.console.candidates import Candidates
from tool_recognizer.console.model_pages import ModelPages
from tool_recognizer.console.models import known_models
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.interval import wilson_interval
from tool_recognizer.model.store import ModelStore

SECOND = 10**9


@pytest.fixture
def store(tmp_path, write_model):
    store = ModelStore(tmp_path / 'models')
    for number in (1, 2):
        store.add(write_model(f'{number}.onnx', weights=number * np.eye(3, dtype=np.float32)),
                  'anna')
    return store


def by_version(told):
    return {model['version']: model for model in told['models']}


def test_a_model_of_journal_and_store_is_one_with_its_times_and_figures(tmp_path, store):
    path = tmp_path / 'journal.db'
    digests = [store.version(name).digest for name in ('1', '2')]
    with JournalWriter(path, LABELS, digest=digests[0], moment=10 * SECOND, complete=False
                       ) as written:
        for number, p in enumerate((0.9, 0.6, 0.2), 1):
            key = written.answer(number, (p, (1 - p) / 2, (1 - p) / 2))
            written.engine.ask(key, Asked(0.5 if number == 1 else 1.0), 0)
            written.confirm(number, 'hammer', nonce=f'nonce-{number}')
        written.moment = 20 * SECOND
        written.reload('f' * 64)
        written.moment = 30 * SECOND
        written.reload(digests[0])
    store.choose('0001', 'ben')
    told = known_models(path, store)
    json.dumps(told, allow_nan=False)
    assert (told['journal'], told['store']) == ('ok', 'ok')
    assert [model['version'] for model in told['models']] == ['0001', '', '0002']
    first, second = (by_version(told)[name] for name in ('0001', '0002'))
    assert first['times'] == [[30.0, None], [10.0, 20.0]]
    assert (first['chosen'], second['chosen'], first['name'], first['by']) == (
        True, False, 'mean colour', 'anna')
    figures = first['figures']
    assert figures['n'] == 3
    # The first frame was asked for half as often as the others, and stands for two.
    assert figures['accuracy'] == pytest.approx(3 / 4)
    assert figures['nll'] == pytest.approx(
        (2 * -np.log(0.9) - np.log(0.6) - np.log(0.2)) / 4)
    assert (figures['accuracy_ci_low'], figures['accuracy_ci_high']) == pytest.approx(
        wilson_interval(3 / 4, 16 / 6))
    assert figures['nll_ci_low'] < figures['nll'] < figures['nll_ci_high']
    assert (second['times'], second['figures']) == ([], None)


def test_what_is_not_known_or_cannot_be_read_is_told_and_hides_nothing_else(tmp_path, store):
    assert known_models(None, None) == {'models': [], 'journal': 'none', 'store': 'none'}
    told = known_models(tmp_path / 'none.db', store)
    assert 'none.db' in told['journal']
    assert len(told['models']) == 2
    (store.path / '0002' / 'about.json').write_text('{')
    assert by_version(known_models(None, store))['0002']['damage']
    assert 'models add' in known_models(None, ModelStore(tmp_path / 'no'))['store']


class Notes:
    """A console that keeps what it is to have noted."""

    def __init__(self):
        self.notes = []

    def record(self, person, action, outcome='done', why=''):
        self.notes.append((person, action, outcome))


@pytest.mark.parametrize(('refuses', 'elsewhere', 'in_charge', 'outcome', 'words'), [
    ('', False, '0002', 'done', 'loaded'),
    ('not configured', False, '0001', 'failed', 'not configured'),
    ('', True, '0001', 'failed', 'loaded another, which is not the one that was chosen')])
def test_a_model_is_chosen_if_the_recognizer_takes_it_and_that_is_told_and_noted(
        store, refuses, elsewhere, in_charge, outcome, words):
    store.choose('0001', 'anna')
    console, recognizer, told = Notes(), Recognizer(store.path), []
    recognizer.refuses, recognizer.elsewhere = refuses, elsewhere
    asyncio.run(ModelPages(console, None, Candidates(store, recognizer)).choose(
        '0002', 'kim', lambda *answer: told.append(answer)))
    ((success, text, *_),) = told
    assert success == (outcome == 'done')
    assert text.startswith(words)
    assert store.in_charge() == in_charge
    assert store.choices()[1].by == 'kim'
    assert console.notes == [('kim', 'choose_model', 'asked'), ('kim', 'choose_model', outcome)]


@pytest.mark.parametrize(('refuses', 'in_charge', 'outcome'), [
    ('', '', 'done'), ('not configured', '0001', 'failed')])
def test_the_way_back_leads_to_the_model_that_ships_if_the_recognizer_takes_it(
        store, refuses, in_charge, outcome):
    store.choose('0001', 'anna')
    console, recognizer, told = Notes(), Recognizer(store.path), []
    recognizer.refuses = refuses
    candidates = Candidates(store, recognizer)
    assert candidates.before() == ''
    asyncio.run(ModelPages(console, None, candidates).go_back(
        '', 'kim', lambda *answer: told.append(answer)))
    ((success, text, *_),) = told
    assert (success, refuses in text) == (outcome == 'done', True)
    assert store.in_charge() == in_charge
    assert console.notes == [('kim', 'teach_back', 'asked'), ('kim', 'teach_back', outcome)]
    assert candidates.before() == (None if outcome == 'done' else '')


@pytest.mark.parametrize(('version', 'known', 'fixed', 'words', 'reason'), [
    ('0009', True, '', "no version '0009'", 'other'), ('0001', False, '', 'models.path', 'other'),
    ('0001', True, 'mine.onnx', 'model_path set to mine.onnx', 'fixed')])
def test_what_cannot_be_chosen_is_told_with_the_reason(
        store, version, known, fixed, words, reason):
    told = []
    recognizer = Recognizer(store.path)
    recognizer.values['model_path'] = fixed
    candidates = Candidates(store, recognizer) if known else None
    asyncio.run(ModelPages(Notes(), None, candidates).choose(
        version, '', lambda *answer: told.append(answer)))
    ((success, text, code, named),) = told
    assert (success, code) == (False, reason)
    assert words in text
    assert named == ({'path': fixed} if fixed else {})
    assert store.choices() == []
