"""
Predictions that wait for an operator's word.

A bounded store: the oldest prediction leaves first, so memory does not grow with the camera.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction

_NO_FEATURES = np.zeros(0, np.float32)


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

    def __len__(self) -> int:
        """Count the predictions that wait."""
        return len(self._by_key)

    def __iter__(self) -> Iterator[Prediction]:
        """Yield the predictions, oldest answer first."""
        return iter(self._by_key.values())

    def add(self, prediction: Prediction) -> None:
        """Keep a prediction; the newest answer to a frame replaces an older one."""
        self._by_key.pop(prediction.key, None)
        # The features are ten times the rest, and nobody who waits for a label asks for them.
        self._by_key[prediction.key] = replace(prediction, features=_NO_FEATURES)
        if len(self._by_key) > self._capacity:
            self._by_key.popitem(last=False)

    def find(self, key: FrameKey) -> Prediction | None:
        """Return the prediction for exactly this frame (without features), or None; it stays."""
        return self._by_key.get(key)
