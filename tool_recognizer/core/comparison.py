"""
A shadow model beside the model in charge: its own monitor, and the paired difference of the NLLs.

It is scored on exactly the confirmations that the model in charge is scored on, as soon as it has
answered their frames, too. Left out: the shadow model itself, which answers the frames.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import EARLY_CONFIRMATIONS
from tool_recognizer.core.monitor import EARLY_LABELS
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.paired import Difference
from tool_recognizer.core.paired import PairedNll
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp


class _Confirmed(NamedTuple):
    """A confirmation, with what the model in charge was scored on, if it was."""

    confirmation: Confirmation
    in_charge: Prediction | None = None
    asked: Asked | None = None


class Comparison:
    """
    See the module.

    Parameters
    ----------
    monitor : of the shadow model; a new one
    labels : those of the model in charge
    digests : SHA-256 of the model in charge and of the shadow model, hex

    Raises
    ------
    ValueError
        The two models have other labels.

    """

    def __init__(self, monitor: Monitor, labels: tuple[str, ...], digests: tuple[str, str]
                 ) -> None:
        if set(monitor.labels) != set(labels):
            raise ValueError('a shadow model must have the labels of the model in charge, '
                             f'{sorted(labels)}, it has {sorted(monitor.labels)}')
        self.monitor = monitor
        self._labels, self._digests = labels, digests
        self._pairs = PairedNll()
        # Confirmed frames that the shadow model has not answered yet.
        self._confirmed: OrderedDict[FrameKey, _Confirmed] = OrderedDict()
        # Where the labels of the model in charge stand in the shadow model's order.
        self._places = [monitor.labels.index(label) for label in labels]

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Tell what must be the same for it to go on after a restart: digest and labels."""
        return self._digests[1], self.monitor.labels

    def expect(self, prediction: Prediction) -> None:
        """Keep the shadow model's prediction; score it, if its frame was confirmed before."""
        self.monitor.expect(prediction)
        confirmed = self._confirmed.get(prediction.key)
        if confirmed is not None and confirmed.in_charge is not None:
            del self._confirmed[prediction.key]
            self._score(confirmed, prediction)

    def revise(self, prediction: Prediction) -> None:
        """Take another prediction of the shadow model in the place of one that waits."""
        self.monitor.revise(prediction)

    def confirm(self, confirmation: Confirmation, in_charge: Prediction | None,
                outcome: Outcome, asked: Asked | None) -> None:
        """
        Score a confirmation.

        Parameters
        ----------
        confirmation : of a frame
        in_charge : the prediction of the model in charge, if there is one
        outcome : what its monitor made of the confirmation
        asked : how the frame came to be asked for, if it was

        """
        if outcome is Outcome.UNMATCHED:
            self._keep(_Confirmed(confirmation))
        elif outcome in SCORED and in_charge is not None:
            confirmed = _Confirmed(confirmation, in_charge, asked)
            prediction = self.monitor.pending(confirmation.key)
            if prediction is None:
                self._keep(confirmed)
            else:
                self._score(confirmed, prediction)

    def settle(self, in_charge: Prediction, outcome: Outcome, asked: Asked | None) -> None:
        """Take notice that the model in charge has answered a frame that was confirmed before."""
        confirmed = self._confirmed.pop(in_charge.key, None)
        if confirmed is not None and outcome in SCORED:
            self._keep(confirmed._replace(in_charge=in_charge, asked=asked))

    def reset(self) -> None:
        """Begin the test and the figures anew; predictions still wait for a confirmation."""
        self.monitor.reset()
        self._pairs = PairedNll()

    def difference(self) -> Difference:
        """Compute the paired difference of the NLLs."""
        return self._pairs.figures()

    def to_state(self) -> dict[str, Any]:
        """Return all that it knows, exact to the bit: what JSON can hold, and numpy arrays."""
        return {
            'labels': list(self._labels), 'digests': list(self._digests),
            'monitor': self.monitor.to_state(), 'pairs': self._pairs.to_state(),
            'confirmed': [[
                *c.key, dict(c.distribution), c.operator, c.nonce,
                None if in_charge is None else in_charge.log_probabilities.tolist(),
                None if asked is None else asked.to_state()]
                for c, in_charge, asked in self._confirmed.values()]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> 'Comparison':
        """
        Return the comparison that ``to_state`` described; it goes on bit for bit.

        Raises
        ------
        LookupError, TypeError, ValueError
            The state is damaged, or that of another version of the drift test.

        """
        labels, (digest, shadow) = tuple(state['labels']), state['digests']
        self = cls(Monitor.from_state(state['monitor'], shadow), labels, (digest, shadow))
        self._pairs = PairedNll.from_state(state['pairs'])
        for stamp, frame_id, q, operator, nonce, log_p, asked in state['confirmed']:
            key = FrameKey(Stamp(stamp), frame_id)
            self._confirmed[key] = _Confirmed(
                Confirmation(key, q, operator, nonce),
                None if log_p is None else Prediction(
                    key, labels, np.array(log_p, np.float64), NO_FEATURES, digest),
                None if asked is None else Asked(*asked))
        return self

    def _keep(self, confirmed: _Confirmed) -> None:
        self._confirmed[confirmed.confirmation.key] = confirmed
        while len(self._confirmed) > EARLY_CONFIRMATIONS or sum(
                len(kept.confirmation.distribution)
                for kept in self._confirmed.values()) > EARLY_LABELS:
            self._confirmed.popitem(last=False)

    def _score(self, confirmed: _Confirmed, prediction: Prediction) -> None:
        confirmation, in_charge, asked = confirmed
        assert in_charge is not None
        if asked is not None:
            self.monitor.ask(prediction.key, asked)
        self.monitor.confirm(confirmation)
        # Whether a frame counts again is for the model in charge to say; a prediction is scored
        # once.
        self.monitor.forget(prediction.key)
        q = np.array([confirmation.distribution.get(label, 0.0) for label in in_charge.labels])
        self._pairs.add(q / q.sum(), prediction.log_probabilities[self._places],
                        in_charge.log_probabilities,
                        1.0 if asked is None else 1.0 / asked.inclusion_probability)
