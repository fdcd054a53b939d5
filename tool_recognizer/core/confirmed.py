"""The newest confirmed frames, found by their identity, by their age and by their stamp."""

from bisect import bisect_left
from bisect import insort
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256

from tool_recognizer.core.information import SUM_TOLERANCE
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp

# Labels and characters up to which a confirmation that was scored is kept as it came.
FEW_LABELS, FEW_CHARACTERS = 20, 1000


class ConfirmedFrames:
    """
    Confirmations by their frame, in the order in which they came.

    The stamps of each camera are sorted as well, so that a recording that starts again finds what
    it repeats without a look at all the others.
    """

    def __init__(self) -> None:
        self._by_key: OrderedDict[FrameKey, Mapping[str, float]] = OrderedDict()
        self._stamps: dict[str, list[Stamp]] = {}

    def __len__(self) -> int:
        """Count the confirmed frames."""
        return len(self._by_key)

    def add(self, key: FrameKey, distribution: Mapping[str, float]) -> None:
        """Note the confirmation of a frame that is not confirmed yet."""
        self._by_key[key] = distribution
        insort(self._stamps.setdefault(key.frame_id, []), key.stamp)

    def find(self, key: FrameKey) -> Mapping[str, float] | None:
        """Return the confirmation of exactly this frame, or None."""
        return self._by_key.get(key)

    def pop(self, key: FrameKey) -> Mapping[str, float] | None:
        """Return the confirmation of a frame, or None, and forget it."""
        distribution = self._by_key.pop(key, None)
        if distribution is not None:
            stamps = self._stamps[key.frame_id]
            del stamps[bisect_left(stamps, key.stamp)]
            if not stamps:
                del self._stamps[key.frame_id]
        return distribution

    def oldest(self) -> FrameKey:
        """Return the frame that was confirmed first."""
        return next(iter(self._by_key))

    def since(self, key: FrameKey) -> list[FrameKey]:
        """Return the confirmed frames of a camera whose stamp is not before this frame's."""
        stamps = self._stamps.get(key.frame_id, [])
        return [FrameKey(stamp, key.frame_id) for stamp in stamps[bisect_left(stamps, key.stamp):]]

    @property
    def by_key(self) -> Mapping[FrameKey, Mapping[str, float]]:
        """Return the confirmations by their frame, in the order in which they came."""
        return self._by_key


def mark(distribution: Mapping[str, float]) -> Mapping[str, float]:
    """Return by what a confirmation is known again: itself, or the digest of a long one."""
    if len(distribution) <= FEW_LABELS and sum(map(len, distribution)) <= FEW_CHARACTERS:
        return distribution
    positive = sorted((label, p) for label, p in distribution.items() if p > 0.0)
    return {f'sha256:{sha256(repr(positive).encode()).hexdigest()}': 1.0}


def same(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Tell whether two confirmations, or their marks, say the same."""
    positive = [{label: p for label, p in mark(q).items() if p > 0.0} for q in (a, b)]
    return positive[0].keys() == positive[1].keys() and all(
        abs(p - positive[1][label]) <= SUM_TOLERANCE for label, p in positive[0].items())
