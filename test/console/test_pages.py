"""The pages say everything in the reader's language."""

import re

import pytest
from tool_recognizer.console.pages import choose_locale
from tool_recognizer.console.pages import FOLDER
from tool_recognizer.console.pages import locales
from tool_recognizer.console.pages import page
from tool_recognizer.console.pages import static
from tool_recognizer.console.pages import words


def test_every_language_has_every_word_with_the_same_places_for_values():
    english = words('en')
    for locale in locales():
        own = words(locale)
        assert set(own) == set(english)
        for key, text in own.items():
            assert set(re.findall(r'\{\w+\}', text)) == set(re.findall(r'\{\w+\}', english[key]))


@pytest.mark.parametrize('name', ['operator', 'engineer', 'login'])
@pytest.mark.parametrize('locale', ['en', 'de'])
def test_a_page_has_no_word_left_open_and_nothing_from_elsewhere(name, locale):
    html = page(name, locale)
    assert '{{' not in html
    assert f'<html lang="{locale}">' in html
    assert 'http' not in html


def test_every_word_that_a_script_asks_for_is_there():
    for script in (FOLDER / 'static').glob('*.js'):
        code = script.read_text()
        asked = set(re.findall(r'\bwords\.(\w+)', code)) | set(re.findall(r"\bsay\('(\w+)'", code))
        assert asked <= set(words('en')), script.name


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
    assert static('console.css')[1] == 'text/css'
