"""Progress of long work on standard error: how far it is, and how long it will take."""

from collections.abc import Iterable
from collections.abc import Iterator
import sys
import time
from typing import TypeVar

Item = TypeVar('Item')

# Seconds between two updates of the line.
REFRESH = 0.5
ERASE = '\r\x1b[K'


class Progress:
    """
    One line on a terminal: what is being done, how far it is, how long it will take.

    In a log or a pipe there is no such line, only the lines of ``say``.

    Parameters
    ----------
    quiet : show and say nothing

    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = not quiet and sys.stderr.isatty()
        self._last = 0.0

    def over(self, what: str, items: Iterable[Item], total: int) -> Iterator[Item]:
        """Pass the items on, and show how far they have come."""
        begin = time.monotonic()
        try:
            for number, item in enumerate(items, 1):
                yield item
                now = time.monotonic()
                if self._terminal and now - self._last > REFRESH:
                    self._last = now
                    left = (now - begin) / number * (total - number)
                    print(f'{ERASE}{what}: {number} of {total}, {left:.0f} s left', end='',
                          file=sys.stderr, flush=True)
        finally:
            self._erase()

    def say(self, line: str) -> None:
        """Print a line of its own."""
        if not self._quiet:
            self._erase()
            print(line, file=sys.stderr, flush=True)

    def _erase(self) -> None:
        if self._terminal:
            print(ERASE, end='', file=sys.stderr, flush=True)
