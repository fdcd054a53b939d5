"""The pages say everything in the reader's language."""

import ast
from functools import cache
import json
import re
import tracemalloc

import pytest
from tool_recognizer.console.action import ABSENT
from tool_recognizer.console.action import LOST
from tool_recognizer.console.app import PAGES
from tool_recognizer.console.board import TOLD
from tool_recognizer.console.pages import choose_locale
from tool_recognizer.console.pages import FOLDER
from tool_recognizer.console.pages import FRAMES
from tool_recognizer.console.pages import leads_to
from tool_recognizer.console.pages import LINKS
from tool_recognizer.console.pages import locales
from tool_recognizer.console.pages import page
from tool_recognizer.console.pages import static
from tool_recognizer.console.pages import words
from tool_recognizer.console.schema import ACTIONS
from tool_recognizer.console.schema import FIELDS
from tool_recognizer.console.state import UNEXPECTED
from tool_recognizer.core.monitor import Status
from tool_recognizer.core.refusals import CURES
from tool_recognizer.core.stamps import FAULTS
from tool_recognizer.event_log.file import _TROUBLES
from tool_recognizer.training.collection import WORDS

PACKAGE = FOLDER.parent


def test_every_language_has_every_word_with_the_same_places_for_values():
    english = words('en')
    for locale in locales():
        own = words(locale)
        assert set(own) == set(english)
        for key, text in own.items():
            assert set(re.findall(r'\{\w+\}', text)) == set(re.findall(r'\{\w+\}', english[key]))


@pytest.mark.parametrize('name', FRAMES)
@pytest.mark.parametrize('locale', locales())
def test_a_page_has_no_word_left_open_and_nothing_from_elsewhere(name, locale):
    html = page(name, locale, line='Halle <4>')
    assert '{{' not in html
    assert '<!--' not in html
    assert 'http' not in html
    assert '<4>' not in html


@pytest.mark.parametrize('name', FRAMES)
def test_a_page_has_a_title_a_language_one_heading_and_one_main_landmark(name):
    html = page(name, 'de', line='Halle 4')
    assert html.startswith('<!doctype html>\n<html lang="de">\n')
    for element in ('title', 'main', 'h1', 'body'):
        assert len(re.findall(rf'<{element}\b', html)) == 1, element
    heading = re.search('<h1>(.+)</h1>', html)[1]
    assert f'<title>{heading} &ndash; Halle 4</title>' in html
    assert '<p class="line">Halle 4</p>' in html


@pytest.mark.parametrize(('path', 'query', 'page'), [
    ('/engineer', {}, '/engineer'), ('/review', {'token': 'x'}, '/review'), ('/', {}, '/'),
    ('/login', {'to': '/review'}, '/review'), ('/login', {}, '/'), ('/logout', {}, '/'),
    *(('/login', {'to': elsewhere}, '/') for elsewhere in (
        'http://elsewhere', '//elsewhere', '/\\elsewhere', '/review/frames', '/logout', '')),
    ('/engineer', {'to': '/who'}, '/engineer')])
def test_a_login_leads_to_the_page_that_was_wanted_and_to_none_of_elsewhere(path, query, page):
    assert leads_to(path, query) == page


def test_each_page_has_a_frame_and_leads_only_to_pages():
    around = {'frame', 'head', 'bar', 'sure'}
    assert {path.stem for path in (FOLDER / 'static').glob('*.html')} == {*FRAMES} | around
    for frame in FRAMES.values():
        assert {*frame.leads} <= {*LINKS}
    for name, (_, path) in LINKS.items():
        assert FRAMES[name].leads
        assert path in PAGES


def test_every_word_that_a_script_asks_for_is_there():
    for script in (FOLDER / 'static').glob('*.js'):
        code = script.read_text()
        asked = set(re.findall(r'\bwords\.(\w+)', code)) | set(re.findall(r"\bsay\('(\w+)'", code))
        assert asked <= set(words('en')), script.name


@cache
def calls():
    """Return every call in the package: (file, name, arguments)."""
    return [(path, getattr(node.func, 'id', getattr(node.func, 'attr', '')), node.args)
            for path in PACKAGE.rglob('*.py') for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)]


def literals(name, place, folder=PACKAGE):
    """Return what stands as text at a place among the arguments of every call of a name."""
    return {part.value for path, called, arguments in calls()
            if called == name and len(arguments) > place and folder in path.parents
            for part in ast.walk(arguments[place])
            if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def codes():
    """Return every code by which a node says something to a page: (how its word begins, code)."""
    # A code with a varying end stands as its beginning in the source.
    ends = {'stamps_': FAULTS, 'only_': ('raw', 'compressed')}
    said = {code + end for code in literals('Said', 1) for end in ends.get(code, ('',))} - {''}
    journal = {'missing', 'damaged', 'archive'}
    gate = {code for code in said if code.startswith('gate_')}
    yield from (('said_passages', code) for code in gate)
    yield from (('said_input', code) for code in said - journal - gate)
    yield from (('said_journal', code) for code in {
        'writing', *journal, *literals('JournalError', 0), *(row[1] for row in _TROUBLES)})
    yield from (('said_monitor', status.name.lower()) for status in Status)
    for verdict in ('better', 'worse', 'undecided', 'none'):
        yield 'said_shadow', verdict
    for kind in ('as_before', 'unsure', 'unsure_label', 'sure', 'sure_label', 'mix'):
        yield 'said_early_warning', kind
    yield from (('said_inference', state) for state in ('running', 'refused'))
    yield from (('said_decisions', code) for code in ('given', *CURES))
    yield from (('decision', code) for code in CURES)
    yield from (('dropped', reason) for reason in
                literals('BadFrame', 0) | literals('drop', 0) | literals('PictureError', 1)
                | {'non_finite', 'error', 'corrupt'})
    yield from (('why', reason) for reason in literals('InvalidConfirmation', 0)
                | literals('OutboxError', 0) | {*FIELDS['answer']}
                | {'locked', 'full', 'damaged', 'other'})
    yield from (('settled', outcome) for outcome in UNEXPECTED)
    yield from (('event', kind) for kind in literals('note', 0, FOLDER) | {*UNEXPECTED} | {
        'alarm', 'monitor', 'input', 'inference', 'decisions', 'early warning', 'inspection',
        'shadow', 'journal', 'passages'})
    yield from ((begin, action) for action in ACTIONS for begin in ('acted', 'sure'))
    yield from (('teach_no', reason) for reason in (ABSENT, LOST))
    # What comes from elsewhere is quoted, and a camera's trouble is that of the input.
    yield from (('teach_no', reason) for reason in literals('TeachError', 0)
                - {'other', 'refused', 'frame', 'camera'})
    yield from (('teach_missing', code) for code in (
        'all', 'start', 'sides', 'good', 'none', 'other'))
    yield from (('teach', state) for state in ('failed', 'cancelled', 'done'))
    for reason in WORDS:
        yield 'teach_cure', reason
        yield ('decision' if ':' in reason else 'teach_refused'), reason


@pytest.mark.parametrize('locale', locales())
def test_whatever_a_node_says_by_a_code_has_its_words_in_every_language(locale):
    known = json.loads((FOLDER / 'locales' / f'{locale}.json').read_text())
    found = {re.sub(r'\W', '_', '_'.join(code)) for code in codes()}
    assert len(found) > 100
    assert found - set(known) == set()
    # Nothing is kept for what no node says.
    kept = {key for key in known if key.startswith(('said_', 'dropped_', 'settled_'))}
    assert kept - found == set()


def test_german_is_german():
    english, german = words('en'), words('de')
    assert {english[key] for key in english if ' ' in english[key]
            and english[key] == german[key]} == {
                '5 min', '1 h', '24 h', 'NLL, nats', 'KL, nats', 'NLL, nats [95 %]'}


def test_a_status_of_an_event_keeps_what_its_words_have_a_place_for():
    needed = {place for key, text in words('en').items() if key.startswith('said_')
              for place in re.findall(r'\{(\w+)\}', text)}
    assert needed - {'share'} <= set(TOLD)


@pytest.mark.parametrize(('wanted', 'accepts', 'chosen'), [
    ('auto', 'de-AT,de;q=0.9,en;q=0.8', 'de'), ('auto', 'en,de', 'en'), ('auto', '', 'en'),
    ('auto', 'fr;q=1.0,de;q=0.3,en;q=0.2', 'de'), ('auto', 'de;q=much', 'en'),
    ('de', 'en', 'de')])
def test_the_language_is_the_set_one_or_the_one_that_the_browser_likes_best(
        wanted, accepts, chosen):
    assert choose_locale(wanted, accepts) == chosen


@pytest.mark.parametrize('name', ['operator.html', '../app.py', '..', 'nothing.js', 'en.json'])
def test_only_files_for_browsers_are_given_out(name):
    assert static(name) is None
    assert static('console.css')[1] == static('look.css')[1] == 'text/css'


def test_names_of_files_that_are_not_there_leave_nothing_behind():
    static('console.css')
    tracemalloc.start()
    for number in range(5000):
        assert static(f'{number:0200}.css') is None
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
