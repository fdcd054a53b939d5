"""
A shadow model beside the model in charge: its own monitor, and the paired difference of the NLLs.

The difference is taken on exactly the confirmations that the model in charge is scored on, as soon
as the shadow model has answered their frames, too. It may have labels of its own beside those of
the model in charge: what it gives them on a frame of a label that both know is lost to that label,
so that the difference tells what the new labels cost. What is confirmed as one of its own labels
counts for it alone, apart from the difference. Left out: the shadow model itself, which answers
the frames.
"""

from collections import deque
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.interval import effective_sample_size
from tool_recognizer.core.interval import wilson_interval
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.means import mean_cost
from tool_recognizer.core.monitor import EARLY_CONFIRMATIONS
from tool_recognizer.core.monitor import EARLY_LABELS
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.paired import CAPACITY
from tool_recognizer.core.paired import Difference
from tool_recognizer.core.paired import PairedNll
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp


class OwnFigures(NamedTuple):
    """
    How the shadow model answers frames of labels that it alone has; nan without any.

    Attributes
    ----------
    n : confirmed frames
    accuracy, accuracy_low, accuracy_high : share that it was right about, with its 95 % interval
    nll, nll_low, nll_high : mean NLL with its 95 % interval, nats per frame

    """

    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    nll: float
    nll_low: float
    nll_high: float


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
        The shadow model lacks a label of the model in charge.

    """

    def __init__(self, monitor: Monitor, labels: tuple[str, ...], digests: tuple[str, str]
                 ) -> None:
        lost = [label for label in labels if label not in monitor.labels]
        if lost:
            raise ValueError('a shadow model must have the labels of the model in charge, '
                             f'{sorted(labels)}, and may have more; it lacks {lost}')
        self.monitor = monitor
        self._labels, self._digests = labels, digests
        self._pairs = PairedNll()
        # NLL, whether it was right, and weight of the frames of its own labels.
        self._own: deque[tuple[float, float, float]] = deque(maxlen=CAPACITY)
        # Confirmed frames that the shadow model has not answered yet.
        self._confirmed: OrderedDict[FrameKey, _Confirmed] = OrderedDict()
        # Where the labels of the model in charge stand in the shadow model's order.
        self._places = [monitor.labels.index(label) for label in labels]

    @property
    def own_labels(self) -> tuple[str, ...]:
        """Return the labels that the shadow model alone has."""
        return tuple(label for label in self.monitor.labels if label not in self._labels)

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
        elif in_charge is not None and self._counts(confirmation, outcome):
            confirmed = _Confirmed(confirmation, in_charge, asked)
            prediction = self.monitor.pending(confirmation.key)
            if prediction is None:
                self._keep(confirmed)
            else:
                self._score(confirmed, prediction)

    def settle(self, in_charge: Prediction, outcome: Outcome, asked: Asked | None) -> None:
        """Take notice that the model in charge has answered a frame that was confirmed before."""
        confirmed = self._confirmed.pop(in_charge.key, None)
        if confirmed is not None and self._counts(confirmed.confirmation, outcome):
            self._keep(confirmed._replace(in_charge=in_charge, asked=asked))

    def reset(self) -> None:
        """Begin the test and the figures anew; predictions still wait for a confirmation."""
        self.monitor.reset()
        self._pairs = PairedNll()
        self._own.clear()

    def difference(self) -> Difference:
        """Compute the paired difference of the NLLs."""
        return self._pairs.figures()

    def own(self) -> OwnFigures:
        """Compute the figures of what was confirmed as a label that the shadow model alone has."""
        if not self._own:
            return OwnFigures(0, *[float('nan')] * 6)
        nll, right, weight = np.array(self._own).T
        accuracy = float(right @ weight / weight.sum())
        return OwnFigures(
            len(nll), accuracy, *wilson_interval(accuracy, effective_sample_size(weight)),
            *mean_cost(nll, weight, cost_of_surprise(len(self.monitor.labels))))

    def to_state(self) -> dict[str, Any]:
        """Return all that it knows, exact to the bit: what JSON can hold, and numpy arrays."""
        return {
            'labels': list(self._labels), 'digests': list(self._digests),
            'monitor': self.monitor.to_state(), 'pairs': self._pairs.to_state(),
            'own': np.array(self._own, np.float64).reshape(-1, 3),
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
        if 'own' in state:  # in a version before it had none
            self._own.extend((nll, right, weight) for nll, right, weight in state['own'].tolist())
        for stamp, frame_id, q, operator, nonce, log_p, asked in state['confirmed']:
            key = FrameKey(Stamp(stamp), frame_id)
            self._confirmed[key] = _Confirmed(
                Confirmation(key, q, operator, nonce),
                None if log_p is None else Prediction(
                    key, labels, np.array(log_p, np.float64), NO_FEATURES, digest),
                None if asked is None else Asked(*asked))
        return self

    def _counts(self, confirmation: Confirmation, outcome: Outcome) -> bool:
        """Tell whether a confirmation of a frame counts for the shadow model."""
        said = {label for label, p in confirmation.distribution.items() if p > 0.0}
        return outcome in SCORED or (
            outcome is Outcome.NOVEL and said <= set(self.monitor.labels)
            and not said.isdisjoint(self.own_labels))

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
        outcome = self.monitor.confirm(confirmation)
        # Whether a frame counts again is for the model in charge to say; a prediction is scored
        # once.
        self.monitor.forget(prediction.key)
        weight = 1.0 if asked is None else 1.0 / asked.inclusion_probability
        if any(confirmation.distribution.get(label, 0.0) > 0.0 for label in self.own_labels):
            if outcome in SCORED:
                q = _distribution(confirmation, prediction)
                self._own.append((float(cross_entropy(q, prediction.log_probabilities)),
                                  float(q[prediction.best]), weight))
            return
        self._pairs.add(_distribution(confirmation, in_charge),
                        prediction.log_probabilities[self._places], in_charge.log_probabilities,
                        weight)


def _distribution(confirmation: Confirmation, prediction: Prediction) -> Array:
    """Lay what was confirmed out in the order of a prediction's labels: (K,), sum 1."""
    q = np.array([confirmation.distribution.get(label, 0.0) for label in prediction.labels])
    return np.asarray(q / q.sum())
