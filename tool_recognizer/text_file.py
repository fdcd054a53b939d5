"""The text files that people write: labels, tables, parameters, tokens; read in one way."""

import codecs
from pathlib import Path

from tool_recognizer.input_file import read_whole

# Of two marks that begin alike the longer comes first.
MARKS = ((codecs.BOM_UTF32_LE, 'utf-32'), (codecs.BOM_UTF32_BE, 'utf-32'),
         (codecs.BOM_UTF8, 'utf-8-sig'), (codecs.BOM_UTF16_LE, 'utf-16'),
         (codecs.BOM_UTF16_BE, 'utf-16'))
# All of them stand for this character.
MARK = '\ufeff'
# Bytes of the longest text: a million lines of a table.
LONGEST = 64 * 2**20
# What a file of settings may be: YAML is read slowly.
LONGEST_YAML, DEEPEST_YAML = 2**20, 50


class TextError(ValueError):
    """A text file that cannot be used, and why."""


def read_text(path: str | Path, most: int = LONGEST) -> str:
    """
    Read a text file, whichever editor it comes from.

    It is UTF-8, with or without a byte order mark, or with its mark UTF-16, which Windows calls
    Unicode, or UTF-32. No other encoding is guessed: a label read wrongly is another label.

    Parameters
    ----------
    path : the file; ~ is the home folder
    most : bytes that it may have

    Returns
    -------
    The text without any mark, its lines ended by a line feed alone

    Raises
    ------
    TextError
        The file cannot be read or is no text; the message names file and line, and the cure.

    """
    try:
        data = read_whole(Path(path).expanduser(), most)
    except (OSError, RuntimeError, ValueError) as error:  # whose home? a zero byte in the name
        why = getattr(error, 'strerror', None) or error
        raise TextError(f'{path}: cannot be read ({why})') from None
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), 'utf-8')
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding in ('utf-8', 'utf-8-sig'):
            what = (f'line {_line(error.object, error.start)} is not UTF-8 text '
                    f'(byte 0x{error.object[error.start]:02x})')
        else:
            what = f'has the mark of {encoding.upper()}, and is no such text ({error.reason})'
        raise TextError(f'{path}: cannot be read: {what}; save it as UTF-8') from None
    if '\0' in text:
        raise TextError(f'{path}: cannot be read: line {_line(text, text.index(chr(0)))} holds a '
                        'zero byte, so it is no text, or UTF-16 without its mark; save it as '
                        'UTF-8')
    # Of files that were joined each has brought its mark.
    return text.replace(MARK, '').replace('\r\n', '\n').replace('\r', '\n')


def depth(text: str) -> int:
    """
    Count the brackets that are open at once, those in quotes too.

    Readers of YAML and JSON take a time, or a stack, that grows with it.

    >>> depth('[[1, 2], {3: 4}]')
    2

    """
    deepest = level = 0
    for character in text:
        if character in '[{':
            level += 1
            deepest = max(deepest, level)
        elif character in ']}':
            level -= 1
    return deepest


def _line(content: str | bytes, position: int) -> int:
    return len(content[:position + 1].splitlines())
