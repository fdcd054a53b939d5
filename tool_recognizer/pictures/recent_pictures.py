"""Pictures of the last frames, in case one of them is confirmed."""

from collections import OrderedDict
from threading import Lock

from tool_recognizer.core.recognition import FrameKey


class RecentPictures:
    """
    JPEGs by the identity of their frame; the oldest leave first. Several threads may use it.

    Parameters
    ----------
    budget : bytes that are held, at most; 0: none

    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._bytes = 0
        self._by_key: OrderedDict[FrameKey, bytes] = OrderedDict()
        self._lock = Lock()

    @property
    def wanted(self) -> bool:
        """Whether pictures are held at all."""
        return self._budget > 0

    def add(self, key: FrameKey, picture: bytes) -> None:
        """Hold a picture, as long as there is room."""
        with self._lock:
            self._bytes += len(picture) - len(self._by_key.pop(key, b''))
            self._by_key[key] = picture
            while self._bytes > self._budget:
                self._bytes -= len(self._by_key.popitem(last=False)[1])

    def find(self, key: FrameKey) -> bytes | None:
        """Return the picture of exactly this frame, or None."""
        with self._lock:
            return self._by_key.get(key)
