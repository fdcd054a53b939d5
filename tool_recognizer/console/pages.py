"""
The pages, written in the reader's language, and the files that they need.

A page's file has its own content alone; the frame around it is the same for all of them. Where the
frame has a place for more than the content, the file has a part for each place, which begins with
a line ``<!-- place -->``. The question whether one is sure, which pages ask alike, is a file too.
"""

from collections.abc import Mapping
from functools import cache
from html import escape
import json
from pathlib import Path
import re
from typing import NamedTuple
from urllib.parse import quote

from tool_recognizer.console.rights import of_path
from tool_recognizer.reports import look

FOLDER = Path(__file__).parent
FALLBACK = 'en'
# Of those that a browser says it prefers, only the first are looked at.
MOST_LANGUAGES = 20
TYPES = {'.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml'}
# The word of a link to each page that others lead to, and its path.
LINKS = {'operator': ('operator_link', '/'), 'engineer': ('engineer_link', '/engineer'),
         'review': ('review_title', '/review'), 'who': ('who_title', '/who'),
         'teach': ('teach_title', '/teach')}


class Frame(NamedTuple):
    """
    What stands around a page's own content.

    Attributes
    ----------
    title : the word that names the page
    look : its class in the style sheet
    leads : the pages that it has links to; without any it has no bar and no script of its own

    """

    title: str
    look: str
    leads: tuple[str, ...] = ()


FRAMES = {'operator': Frame('operator_title', 'operator', ('engineer',)),
          'engineer': Frame('engineer_title', 'engineer', ('review', 'teach', 'who', 'operator')),
          'review': Frame('review_title', 'engineer', ('engineer', 'operator')),
          'who': Frame('who_title', 'engineer', ('engineer', 'operator')),
          'teach': Frame('teach_title', 'engineer', ('engineer', 'operator')),
          'login': Frame('login_title', 'login'),
          'sign_in': Frame('login_title', 'login'),
          'refused': Frame('refused_title', 'login')}


@cache
def locales() -> list[str]:
    """Return the languages that there are."""
    return sorted(path.stem for path in (FOLDER / 'locales').glob('*.json'))


@cache
def words(locale: str) -> Mapping[str, str]:
    """Read the texts of a language; one that is missing there is taken from English."""
    texts: dict[str, str] = {}
    for name in (FALLBACK, locale):
        texts |= json.loads((FOLDER / 'locales' / f'{name}.json').read_text(encoding='utf-8'))
    return texts


def choose_locale(wanted: str, accept_language: str) -> str:
    """
    Choose a language.

    Parameters
    ----------
    wanted : the one that is set, or 'auto'
    accept_language : what the browser says it prefers (RFC 9110, 12.5.4)

    """
    if wanted != 'auto':
        return wanted
    ranked = []
    for place, part in enumerate(accept_language.split(',')[:MOST_LANGUAGES]):
        tag, _, weight = part.partition(';q=')
        try:
            ranked.append((-float(weight or 1.0), place, tag.strip().split('-')[0].lower()))
        except ValueError:
            continue
    return next((tag for _, _, tag in sorted(ranked) if tag in locales()), FALLBACK)


def leads_to(path: str, query: Mapping[str, str]) -> str:
    """Return the page that a login leads to: the one that was wanted, if it is one of ours."""
    wanted = query.get('to', '') if path == '/login' else path
    return wanted if wanted in {path for _, path in LINKS.values()} else '/'


@cache
def page(name: str, locale: str, told: str = '', line: str = '', to: str = '/') -> str:
    """
    Write a page: each ``{{word}}`` is replaced by its text, or by its part of the page.

    Parameters
    ----------
    name : of its file, one of ``FRAMES``
    locale : its language
    told : the word that stands for ``{{told}}``
    line : what stands for ``{{line}}``
    to : the page that a login leads to, which stands for ``{{to}}``

    """
    texts, frame = words(locale), FRAMES[name]

    def fill(html: str, known: Mapping[str, str]) -> str:
        return re.sub(r'\{\{(\w+)\}\}', lambda match: known[match[1]] if match[1] in known
                      else escape(texts[match[1]]), html)

    parts = re.split(r'^<!-- (\w+) -->\n', _file(name), flags=re.M)
    given = {'told': escape(texts.get(told, '')), 'sure': fill(_file('sure'), {}),
             'line': escape(line), 'to': quote(to, safe='')}
    own = {place: fill(part, given)
           for place, part in zip(['main', *parts[1::2]], parts[::2], strict=True)}
    title = escape(texts[frame.title])
    around = {'locale': locale, 'look': frame.look, 'head': '', 'bar': '', 'header': '',
              'title': f'{title} &ndash; {escape(line)}' if line else title, 'buttons': '', **own}
    if frame.leads:
        around |= {'heading': title, 'line': escape(line), 'page': name,
                   'links': _links(frame, texts),
                   # Data, so the policy for scripts does not apply; '<' could still end it.
                   'words': json.dumps(dict(texts)).replace('<', '\\u003c')}
        around |= {place: fill(_file(place), around) for place in ('head', 'bar')}
    return fill(_file('frame'), around)


def _file(name: str) -> str:
    return (FOLDER / 'static' / f'{name}.html').read_text(encoding='utf-8')


def _links(frame: Frame, texts: Mapping[str, str]) -> str:
    links = (LINKS[name] for name in frame.leads)
    return ''.join(f'<a class="quiet" href="{path}" data-needs="{of_path(path)}">'
                   f'{escape(texts[word])}</a>\n' for word, path in links)


def static(name: str) -> tuple[bytes, str] | None:
    """Return a file for the browser and its type, or None if there is no such file."""
    return _files().get(name)


@cache
def _files() -> Mapping[str, tuple[bytes, str]]:
    """Read all files for the browser; what is asked for leaves nothing behind, whatever it is."""
    return {look.NAME: (look.look().encode(), TYPES['.css'])} | {
        path.name: (path.read_bytes(), TYPES[path.suffix])
        for path in (FOLDER / 'static').iterdir() if path.suffix in TYPES}
