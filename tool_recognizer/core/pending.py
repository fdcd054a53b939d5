"""
Predictions that wait for an operator's word.

A bounded store: the oldest prediction leaves first, so memory does not grow with the camera.
"""

from collections import OrderedDict
from collections.abc import Iterator
from collections.abc import Mapping

from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction


class PendingPredictions:
    """
    The newest predictions, found by the identity of their frame.

    Parameters
    ----------
    capacity : how many predictions are kept; at 30 Hz, 20,000 are eleven minutes

    Raises
    ------
    ValueError
        A capacity below 1.

    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f'capacity must be at least 1, got {capacity}')
        self._capacity = capacity
        self._by_key: OrderedDict[FrameKey, Prediction] = OrderedDict()
        self._spent: dict[FrameKey, Mapping[str, float]] = {}
        self._shared: set[FrameKey] = set()

    def __len__(self) -> int:
        """Count the predictions that wait."""
        return len(self._by_key) - len(self._spent)

    def __iter__(self) -> Iterator[Prediction]:
        """Yield the predictions, oldest answer first."""
        return (kept for key, kept in self._by_key.items() if key not in self._spent)

    def add(self, prediction: Prediction, shared: bool = False) -> None:
        """
        Keep a prediction; the newest answer to a frame replaces an older one.

        Parameters
        ----------
        prediction : the answer
        shared : whether other frames have the same key, so that it can have no word of its own

        """
        self._by_key.pop(prediction.key, None)
        self._spent.pop(prediction.key, None)
        (self._shared.add if shared else self._shared.discard)(prediction.key)
        # Nobody who waits for a label asks for the features.
        self._by_key[prediction.key] = prediction.without_features()
        if len(self._by_key) > self._capacity:
            oldest, _ = self._by_key.popitem(last=False)
            self._spent.pop(oldest, None)
            self._shared.discard(oldest)

    def find(self, key: FrameKey) -> Prediction | None:
        """Return the prediction for exactly this frame (without features), or None; it stays."""
        return None if key in self._spent or key in self._shared else self._by_key.get(key)

    def shared(self, key: FrameKey) -> bool:
        """Tell whether several frames have this key, so that none is known by it."""
        return key in self._shared

    def spend(self, key: FrameKey, distribution: Mapping[str, float]) -> None:
        """
        Let a prediction wait no longer, if it did, for it has had its word.

        It keeps its place until it is the oldest: so which predictions are kept depends on the
        answers alone, and the word is known while it may come again.
        """
        if key in self._by_key:
            self._spent[key] = distribution

    def spent(self, key: FrameKey) -> Mapping[str, float] | None:
        """Return the word that this frame's newest prediction was spent on, or None."""
        return self._spent.get(key)
