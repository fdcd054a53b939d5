"""Pictures of the last frames, in case one of them is confirmed."""

from collections import OrderedDict
from threading import Lock

import numpy as np
from tool_recognizer.core.recognition import FrameKey


class RecentPictures:
    """
    JPEGs by the identity of their frame; the oldest leave first. Several threads may use it.

    They lie in memory that is taken once: each in memory of its own, they would come and go at
    all sizes, and leave gaps.

    Parameters
    ----------
    budget : bytes that are held, at most; 0: none

    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._ring = np.full(budget, 0, np.uint8)  # written, so that it is taken now
        # Where the next one begins, on a tape without end that is wound around the ring.
        self._end = 0
        # Where each begins on that tape, and its bytes; in the order of the tape.
        self._by_key: OrderedDict[FrameKey, tuple[int, int]] = OrderedDict()
        self._lock = Lock()

    @property
    def wanted(self) -> bool:
        """Whether pictures are held at all."""
        return self._budget > 0

    def add(self, key: FrameKey, picture: bytes) -> None:
        """Hold a picture, as long as there is room."""
        size, budget = len(picture), self._budget
        with self._lock:
            self._by_key.pop(key, None)
            if not 0 < size <= budget:
                return
            begin = self._end
            if begin % budget + size > budget:  # in one piece: at the ring's beginning
                begin += budget - begin % budget
            self._end = begin + size
            while self._by_key and next(iter(self._by_key.values()))[0] < self._end - budget:
                self._by_key.popitem(last=False)
            self._by_key[key] = begin, size
            place = begin % budget
            self._ring[place:place + size] = np.frombuffer(picture, np.uint8)

    def find(self, key: FrameKey) -> bytes | None:
        """Return the picture of exactly this frame, or None."""
        with self._lock:
            found = self._by_key.get(key)
            if found is None:
                return None
            place = found[0] % self._budget
            return self._ring[place:place + found[1]].tobytes()
