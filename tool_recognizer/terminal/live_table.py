"""A table that a terminal redraws in place; elsewhere it is printed again now and then."""

from collections.abc import Callable
from collections.abc import Sequence
from textwrap import wrap
from time import monotonic
from typing import NamedTuple

from tool_recognizer.terminal.terminal import Size
from tool_recognizer.terminal.terminal import Terminal

# Columns of the names of the rows.
NAMES = 12
# Seconds between two tables that are printed one below the other.
PERIOD = 5.0


class Row(NamedTuple):
    """
    A row.

    Attributes
    ----------
    name : at its left
    said : its text, the most important first, for it may be cut
    share : 0 to 1, drawn as a bar before the text; None: no bar
    colour : 'red', 'yellow', 'green' or ''

    """

    name: str
    said: str
    share: float | None = None
    colour: str = ''


class LiveTable:
    """
    See the module.

    Parameters
    ----------
    terminal : that it is drawn on
    clock : seconds

    """

    def __init__(self, terminal: Terminal, clock: Callable[[], float] = monotonic) -> None:
        self._terminal, self._clock = terminal, clock
        self._size: Size | None = None
        self._drawn = 0
        self._written: float | None = None

    def show(self, head: Sequence[str], rows: Sequence[Row], news: Sequence[str] = ()) -> None:
        """
        Draw it as it is now.

        Parameters
        ----------
        head : parts of a line above the rows; each a line of its own if they do not fit into one
        rows : of the table
        news : lines that stay, above the table; folded between words

        """
        if self._terminal.redraws:
            self._redraw(head, rows, news)
            return
        for line in news:
            self._terminal.write(f'{self._terminal.visible(line)}\n')
        now = self._clock()
        if self._written is None:
            self._terminal.write('\n'.join(self._head(head, self._terminal.size())) + '\n')
        elif now - self._written < PERIOD:
            return
        else:
            self._terminal.write('\n')
        self._written = now
        size = self._terminal.size()
        self._terminal.write('\n'.join(self._line(row, size) for row in rows) + '\n')

    def _redraw(self, head: Sequence[str], rows: Sequence[Row], news: Sequence[str]) -> None:
        size = self._terminal.size()
        assert size is not None
        # A terminal that was resized has moved the old table to an unknown place.
        moved = self._size not in (None, size)
        start = '\x1b[H\x1b[2J' if moved else f'\x1b[{self._drawn}A' if self._drawn else ''
        self._size = size
        lines = [*self._head(head, size), *(self._line(row, size) for row in rows)]
        lines = lines[:max(1, size.lines - 1)]
        self._drawn = len(lines)
        written = start + ('\x1b[J' if news else '')
        for line in news:
            folded = wrap(self._terminal.visible(line), max(1, size.columns - 1))
            written += ''.join(f'{part}\n' for part in folded)
        written += ''.join(f'\x1b[2K{line}\n' for line in lines)
        self._terminal.write(written + '\x1b[J')

    def _head(self, head: Sequence[str], size: Size | None) -> list[str]:
        line = self._terminal.visible(', '.join(head))
        if size is None or len(line) < size.columns:
            return [line]
        return [self._terminal.fit(part, size) for part in head]

    def _line(self, row: Row, size: Size | None) -> str:
        said = row.said if row.share is None else f'{self._terminal.bar(row.share)} {row.said}'
        line = self._terminal.fit(f'{row.name:<{NAMES}}{said}', size)
        return (self._terminal.paint(line[:NAMES], 'bold')
                + self._terminal.paint(line[NAMES:], row.colour))
