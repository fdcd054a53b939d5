"""
What an engine is told while its journal cannot be opened, to be told it again when it can be.

All of it in its order, as long as it fits: memory must not grow with the camera.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

from tool_recognizer.core.recognition import FrameKey

# Operators' words that are kept. To score them again takes a second or two.
WORDS = 10_000


class Told(NamedTuple):
    """
    One thing that the engine was told.

    Attributes
    ----------
    verb, arguments : of the engine
    key : the frame that it is about; what is about none is kept for ever, for it is rare
    word : whether it is an operator's word

    """

    verb: Callable[..., object]
    arguments: tuple[Any, ...]
    key: FrameKey | None
    word: bool


class Meanwhile:
    """
    See the module.

    Parameters
    ----------
    frames : things that are no words and are kept at least, the newest. Those of a frame that an
        operator spoke of stay as long as his word
    words : words that are kept, the newest

    Attributes
    ----------
    words : words that are kept now
    lost : words that are not kept any more

    """

    def __init__(self, frames: int, words: int = WORDS) -> None:
        self.words = self.lost = 0
        self._frames, self._capacity = frames, words
        self._told: deque[Told] = deque()
        # How many of them have been looked through and thinned out, and are no words since.
        self._thinned = self._since = 0

    def __iter__(self) -> Iterator[Told]:
        """Yield what was told, in its order."""
        return iter(self._told)

    def __len__(self) -> int:
        """Count what is kept."""
        return len(self._told)

    def add(self, told: Told) -> None:
        """Keep what the engine was told."""
        self._told.append(told)
        if not told.word:
            self._since += 1
            if self._since > self._frames:
                self._thin_out()
            return
        self.words += 1
        lasting = []
        while self.words > self._capacity:
            gone = self._told.popleft()
            self._thinned = max(self._thinned - 1, 0)
            self.words -= gone.word
            self.lost += gone.word
            if gone.key is None:
                lasting.append(gone)
        self._told.extendleft(reversed(lasting))
        self._thinned += len(lasting)

    def _thin_out(self) -> None:
        """Let go what was old the last time and is about no frame that has its word."""
        spoken_of = {told.key for told in self._told if told.word}
        self._told = deque(told for number, told in enumerate(self._told)
                           if number >= self._thinned or told.word or told.key is None
                           or told.key in spoken_of)
        self._thinned, self._since = len(self._told), 0
