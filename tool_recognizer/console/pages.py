"""The pages, written in the reader's language, and the files that they need."""

from collections.abc import Mapping
from functools import cache
from html import escape
import json
from pathlib import Path
import re

FOLDER = Path(__file__).parent
FALLBACK = 'en'
# Of those that a browser says it prefers, only the first are looked at.
MOST_LANGUAGES = 20
TYPES = {'.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml'}


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


@cache
def page(name: str, locale: str, told: str = '', line: str = '') -> str:
    """
    Write a page: each ``{{word}}`` is replaced by its text.

    Parameters
    ----------
    name : of its file
    locale : its language
    told : the word that stands for ``{{told}}``
    line : what stands for ``{{line}}``

    """
    texts = words(locale)
    html = (FOLDER / 'static' / f'{name}.html').read_text(encoding='utf-8')
    # Data, so the policy for scripts does not apply; '<' could still end the element.
    data = json.dumps(dict(texts)).replace('<', '\\u003c')

    def word(match: re.Match[str]) -> str:
        key = match[1]
        known = {'locale': locale, 'words': data, 'told': escape(texts.get(told, '')),
                 'line': escape(line)}
        return known[key] if key in known else escape(texts[key])

    return re.sub(r'\{\{(\w+)\}\}', word, html)


def static(name: str) -> tuple[bytes, str] | None:
    """Return a file for the browser and its type, or None if there is no such file."""
    return _files().get(name)


@cache
def _files() -> Mapping[str, tuple[bytes, str]]:
    """Read all files for the browser; what is asked for leaves nothing behind, whatever it is."""
    return {path.name: (path.read_bytes(), TYPES[path.suffix])
            for path in (FOLDER / 'static').iterdir() if path.suffix in TYPES}
