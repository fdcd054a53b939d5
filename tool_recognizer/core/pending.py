"""
Pending predictions: those that wait for the confirmation of their frame.

A bounded store: the oldest prediction leaves first, so memory does not grow with the camera.
"""

from collections import OrderedDict
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.locate import Box
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import keys_from_state
from tool_recognizer.core.recognition import keys_to_state
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import values_from_state
from tool_recognizer.core.recognition import values_to_state
from tool_recognizer.core.sketch import BITS
from tool_recognizer.core.sketch import NO_SKETCH


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
        self._settled: dict[FrameKey, Mapping[str, float]] = {}
        self._shared: set[FrameKey] = set()

    def __len__(self) -> int:
        """Count the predictions that wait."""
        return len(self._by_key) - len(self._settled)

    def __iter__(self) -> Iterator[Prediction]:
        """Yield the predictions, oldest answer first."""
        return (kept for key, kept in self._by_key.items() if key not in self._settled)

    @property
    def capacity(self) -> int:
        """How many predictions are kept."""
        return self._capacity

    @capacity.setter
    def capacity(self, capacity: int) -> None:
        self._capacity = capacity
        self._drop_oldest()

    def add(self, prediction: Prediction, shared: bool = False) -> None:
        """
        Keep a prediction; the newest one of a frame replaces an older one.

        Parameters
        ----------
        prediction : the prediction
        shared : whether other frames have the same key, so that it cannot be confirmed alone

        """
        self._by_key.pop(prediction.key, None)
        self._settled.pop(prediction.key, None)
        (self._shared.add if shared else self._shared.discard)(prediction.key)
        self._by_key[prediction.key] = prediction.without_features()
        self._drop_oldest()

    def replace(self, prediction: Prediction) -> None:
        """Let a prediction take the place of the one with its key, if that is kept."""
        if prediction.key in self._by_key:
            self._by_key[prediction.key] = prediction.without_features()

    def find(self, key: FrameKey) -> Prediction | None:
        """Return the prediction for exactly this frame (without features), or None; it stays."""
        return None if key in self._settled or key in self._shared else self._by_key.get(key)

    def shared(self, key: FrameKey) -> bool:
        """Tell whether several frames have this key, so that none is known by it."""
        return key in self._shared

    def settle(self, key: FrameKey, distribution: Mapping[str, float]) -> None:
        """
        Let a prediction wait no longer, if it did, for its frame was confirmed.

        It keeps its place until it is the oldest: so which predictions are kept depends on the
        frames alone, and the confirmation is known while it may come again.
        """
        if key in self._by_key:
            self._settled[key] = distribution

    def settled(self, key: FrameKey) -> Mapping[str, float] | None:
        """Return the confirmation that settled this frame's newest prediction, or None."""
        return self._settled.get(key)

    def to_state(self, labels: int) -> dict[str, Any]:
        """Return all that it holds; of ``labels`` log-probabilities each (see ``Run``)."""
        kept = list(self._by_key.values())
        log_p = np.concatenate([p.log_probabilities for p in kept]) if kept else np.zeros(0)
        boxes = [(place, *p.box) for place, p in enumerate(kept) if p.box is not None]
        return {
            'capacity': self._capacity, **keys_to_state(self._by_key, 'pending'),
            **({'boxes': np.array(boxes, np.int64)} if boxes else {}),
            'log_probabilities': log_p.reshape(-1, labels),
            'sketches': _to_array([p.sketch for p in kept]),
            **values_to_state(self._settled, 'settled'),
            'shared': sorted(self._shared)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], labels: tuple[str, ...], digest: str
                   ) -> 'PendingPredictions':
        """Return the store that ``to_state`` described."""
        self = cls(state['capacity'])
        keys = keys_from_state(state, 'pending')
        # A version before kept no sketches.
        rows = state.get('sketches', _to_array([NO_SKETCH] * len(keys)))
        boxes = {place: Box(*box) for place, *box in np.asarray(state.get('boxes', ())).tolist()}
        for place, (key, log_p, row) in enumerate(zip(
                keys, state['log_probabilities'], rows, strict=True)):
            self._by_key[key] = Prediction(
                key, labels, log_p, NO_FEATURES, digest,
                sketch=row.tobytes() if row.any() else NO_SKETCH, box=boxes.get(place))
        self._settled = dict(values_from_state(state, 'settled'))
        self._shared = {FrameKey(*key) for key in state['shared']}
        return self

    def _drop_oldest(self) -> None:
        while len(self._by_key) > self._capacity:
            oldest, _ = self._by_key.popitem(last=False)
            self._settled.pop(oldest, None)
            self._shared.discard(oldest)


def _to_array(sketches: list[bytes]) -> NDArray[np.uint8]:
    """Return sketches as a state holds them: rows of bytes, of zeros where there is none."""
    size = BITS // 8
    return np.frombuffer(b''.join(kept or bytes(size) for kept in sketches),
                         np.uint8).reshape(-1, size)
