"""What long work shows on standard error: how far it is, and how long it will take."""

from collections.abc import Iterable
from collections.abc import Iterator
import sys
import time
from typing import Any


class Progress:
    """One line on standard error: what is being done, how far it is, how long it will take."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._last = 0.0

    def over(self, what: str, items: Iterable[Any], total: int) -> Iterator[Any]:
        """Pass the items on, and show how far they have come."""
        begin = time.monotonic()
        for number, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if not self._quiet and (now - self._last > 0.5 or number == total):
                self._last = now
                left = (now - begin) / number * (total - number)
                end = '\n' if number == total else ''
                print(f'\r{what}: {number} of {total}, {left:4.0f} s left ', end=end,
                      file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Print a line of its own."""
        if not self._quiet:
            print(line, file=sys.stderr, flush=True)
