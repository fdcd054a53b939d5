"""What a terminal can show: how wide it is, whether it redraws, its colours and characters."""

from collections.abc import Mapping
import os
import sys
from typing import NamedTuple
from typing import TextIO

from tool_recognizer.terminal import text

COLOURS = {'red': 31, 'green': 32, 'yellow': 33}
BOLD = 1
BAR = 10


class Size(NamedTuple):
    """Columns and lines."""

    columns: int
    lines: int


# Of a terminal that does not know its own.
USUAL = Size(80, 24)


class Terminal:
    """
    A stream, and what may be written to it.

    Parameters
    ----------
    stream : that is written to
    environment : TERM, NO_COLOR and the locale count

    Attributes
    ----------
    redraws : whether the cursor can be moved: it is a terminal, and not a dumb one
    colours : whether it is to have them: it redraws, and NO_COLOR is empty
    symbols : whether it shows characters beyond ASCII, by the locale and the stream's encoding

    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str]) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self.redraws = (self._is_terminal
                        and environment.get('TERM') not in (None, '', 'dumb', 'unknown'))
        self.colours = self.redraws and not environment.get('NO_COLOR')
        self.symbols = _speaks_unicode(stream, environment)
        self._encoding = (stream.encoding or 'ascii') if self.symbols else 'ascii'

    def size(self) -> Size | None:
        """Measure it, anew each time; None if it is a file or a pipe, which has no width."""
        if not self._is_terminal:
            return None
        try:
            columns, lines = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return USUAL
        return Size(columns or USUAL.columns, lines or USUAL.lines)

    def visible(self, line: str) -> str:
        """Replace with a question mark what it cannot show, and what would break the row."""
        return text.visible(line).encode(self._encoding, 'replace').decode(self._encoding)

    def cut(self, line: str, columns: int) -> str:
        """Cut a visible line to so many columns; see ``text.cut``."""
        return text.cut(line, columns, '…' if self.symbols else '...')

    def fit(self, line: str, size: Size | None) -> str:
        """Make a line visible and cut it to a size, if there is one: a pipe has none."""
        shown = self.visible(line)
        # The last column stays free: some terminals go to the next line as soon as it is full.
        return shown if size is None else self.cut(shown, size.columns - 1)

    def bar(self, share: float) -> str:
        """Draw a share of 0 to 1."""
        return text.bar(share, BAR) if self.symbols else text.bar(share, BAR, '#', '-')

    def paint(self, line: str, colour: str) -> str:
        """Colour a line, if it has colours; '' leaves it as it is, 'bold' is one, too."""
        if not self.colours or not colour or not line:
            return line
        return f'\x1b[{BOLD if colour == "bold" else COLOURS[colour]}m{line}\x1b[0m'

    def write(self, written: str) -> None:
        """Write at once."""
        self._stream.write(written)
        self._stream.flush()


def _speaks_unicode(stream: TextIO, environment: Mapping[str, str]) -> bool:
    # Python takes UTF-8 for a C locale, and then sets LC_CTYPE itself: that is not the user's.
    named = (environment.get('LC_ALL')
             or (not sys.flags.utf8_mode and environment.get('LC_CTYPE'))
             or environment.get('LANG') or 'utf-8')
    return all('utf' in name.lower() for name in (named, stream.encoding or ''))
