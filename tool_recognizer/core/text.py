"""
Text for messages: what is wrong with its characters, and how much of it is repeated.

What a person is told is English, and has a code by which a page says it in another language.
"""

from collections.abc import Collection
from itertools import islice
from traceback import extract_tb
import unicodedata

# Categories of characters that nobody sees, so that two labels could look the same; and those of
# them that some scripts write within a word.
UNSEEN = frozenset({'Cc', 'Cf', 'Cs', 'Zl', 'Zp'})
JOINERS = '\u200c\u200d'
# Characters of one text in a message, of one message, and of what an exception says; names in a
# list.
LONGEST, LONGEST_MESSAGE, LONGEST_ERROR = 80, 500, 300
MOST = 20
MARK = '…'


class Said(str):
    """
    What a person is told.

    Attributes
    ----------
    code : what it says, for those who speak another language; '' if nothing is said

    """

    code: str

    def __new__(cls, text: str = '', code: str = '') -> 'Said':
        """Return the text with its code."""
        self = super().__new__(cls, text)
        self.code = code if text else ''
        return self


def hidden(text: str) -> str:
    """Return the first character of a text that nobody would see, as ``U+202E``; '' if none."""
    if text.isprintable():
        return ''
    return next((f'U+{ord(character):04X}' for character in text
                 if unicodedata.category(character) in UNSEEN and character not in JOINERS), '')


def cut(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """
    Cut a text to so many characters; a mark after them stands for the rest.

    >>> cut('screwdriver', 5)
    'screw…'

    """
    return text if len(text) <= longest else text[:longest] + MARK


def quoted(text: str, longest: int = LONGEST) -> str:
    r"""
    Quote a text for a message: cut, and with escapes for what cannot be shown.

    >>> print(quoted('a\nb'), quoted('screwdriver', 5))
    'a\nb' 'screw…'

    """
    return repr(cut(text, longest))


def listed(texts: Collection[str], most: int = MOST) -> str:
    """
    Quote some texts for a message, and count the others.

    >>> listed(['hammer', 'screwdriver', 'wrench'], 2)
    "'hammer', 'screwdriver' and 1 more"

    """
    more = f' and {len(texts) - most} more' if len(texts) > most else ''
    return ', '.join(map(quoted, islice(texts, most))) + more


def told(error: BaseException, longest: int = LONGEST_ERROR) -> str:
    """Return in one line, of bounded length, what an exception says and where it was raised."""
    try:
        text = cut(str(error), 2 * longest)
    except Exception:  # of an exception that cannot even be written
        text = ''
    text = cut(' '.join(printable(text).split()), longest)
    raised = extract_tb(error.__traceback__)
    place = ''
    if raised:
        place = f' ({raised[-1].filename.rpartition("/")[2]}:{raised[-1].lineno})'
    return f'{type(error).__name__}{": " if text else ""}{text}{place}'


def printable(text: str) -> str:
    """Replace what ROS could not send: lone surrogates and zeros."""
    return text.encode('utf-8', 'backslashreplace').decode().replace('\0', '\\0')
