"""Text by the columns that it takes on a terminal, and bars; nothing here writes."""

import math
import unicodedata

# Categories of characters that would move the cursor or break the row, and of those that take no
# column of their own. An emoji that is put together from several counts as its parts.
_BREAKS, _COMBINES = ('Cc', 'Cs', 'Zl', 'Zp'), ('Mn', 'Me', 'Cf')


def visible(text: str) -> str:
    """Replace every control character with a question mark."""
    return ''.join('?' if unicodedata.category(character) in _BREAKS else character
                   for character in text)


def width(text: str) -> int:
    """Count the columns that a text takes: two for a wide character, none for an accent."""
    return sum(map(_columns, text))


def cut(text: str, columns: int, mark: str = '…') -> str:
    """
    Cut a text that takes more than so many columns; the mark stands for what is missing.

    Parameters
    ----------
    text : of visible characters
    columns : at most, 0 or more
    mark : counted among the columns

    >>> cut('screwdriver', 8)
    'screwdr…'
    >>> cut('扳手扳手', 6)
    '扳手…'

    """
    if width(text) <= columns:
        return text
    left, kept = columns - width(mark), ''
    for character in text:
        left -= _columns(character)
        if left < 0:
            break
        kept += character
    return (kept + mark) if width(mark) <= columns else ''


def bar(share: float, columns: int, full: str = '█', empty: str = '░') -> str:
    """
    Draw a share of 0 to 1 as a bar; a value beyond is drawn as the end, nan as nothing.

    Only the whole is a full bar: what is just below an alarm must not look like one.

    >>> bar(0.3, 10, '#', '-')
    '###-------'

    """
    if math.isnan(share):
        return empty * columns
    filled = columns if share >= 1.0 else min(round(max(share, 0.0) * columns), columns - 1)
    return full * filled + empty * (columns - filled)


def _columns(character: str) -> int:
    if unicodedata.category(character) in _COMBINES:
        return 0
    return 2 if unicodedata.east_asian_width(character) in ('W', 'F') else 1
