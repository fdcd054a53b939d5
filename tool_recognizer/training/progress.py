"""Progress of long work on standard error: how far it is, and how long it will take."""

from collections.abc import Iterable
from collections.abc import Iterator
import re
import sys
import time
from typing import NamedTuple
from typing import TypeVar

Item = TypeVar('Item')
_STEP = re.compile(r'(.+): (\d+) of (\d+), (\d+) s left')

# Seconds between two updates of the line.
REFRESH = 0.5
ERASE = '\r\x1b[K'


class Step(NamedTuple):
    """How far long work is: what is being done, number of total, and the seconds left of it."""

    what: str
    number: int
    total: int
    left: int


def read_step(line: str) -> Step | None:
    """
    Read a line by which a program says how far it is; None if it is another one.

    >>> read_step('features: 12 of 200, 30 s left')
    Step(what='features', number=12, total=200, left=30)

    """
    found = _STEP.fullmatch(line)
    return Step(found[1], *(int(found[part]) for part in (2, 3, 4))) if found else None


class Progress:
    """
    One line on a terminal: what is being done, how far it is, how long it will take.

    In a log or a pipe there is no such line, only the lines of ``say``; and for a program that
    reads them, the same as lines.

    Parameters
    ----------
    quiet : show and say nothing
    for_program : say how far it is in lines, see ``read_step``, also if nobody looks

    """

    def __init__(self, quiet: bool, for_program: bool = False) -> None:
        self._quiet = quiet
        self._lines = for_program
        self._terminal = not quiet and not for_program and sys.stderr.isatty()
        self._last = 0.0

    def over(self, what: str, items: Iterable[Item], total: int) -> Iterator[Item]:
        """Pass the items on, and show how far they have come."""
        begin = time.monotonic()
        try:
            for number, item in enumerate(items, 1):
                yield item
                now = time.monotonic()
                if (self._terminal or self._lines) and now - self._last > REFRESH:
                    self._last = now
                    left = (now - begin) / number * (total - number)
                    print(f'{ERASE * self._terminal}{what}: {number} of {total}, {left:.0f} s '
                          'left', end='\n' * self._lines, file=sys.stderr, flush=True)
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
