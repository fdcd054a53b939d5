"""A candidate model that answers the same frames as the model in charge, and decides nothing."""

import numpy as np
from tool_recognizer.adapters.onnx_model import OnnxModel
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.paired import Difference
from tool_recognizer.core.paired import PairedNll
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import recognize

SCORED = (Outcome.SCORED, Outcome.LATE)


class Shadow:
    """
    The candidate, its own monitor, and the paired difference.

    Parameters
    ----------
    model : the candidate
    monitor : a new monitor for it

    Raises
    ------
    ValueError
        Labels other than those of the model in charge.

    """

    def __init__(self, model: OnnxModel, monitor: Monitor, labels: tuple[str, ...]) -> None:
        if set(model.labels) != set(labels):
            raise ValueError(f'{model.path}: a shadow model must have the labels of the model in '
                             f'charge, {sorted(labels)}, it has {sorted(model.labels)}')
        self.model = model
        self.monitor = monitor
        self.failed = 0
        self._pairs = PairedNll()
        # Where the labels of the model in charge stand in the candidate's order.
        self._places = [model.labels.index(label) for label in labels]

    def predict(self, frame: Frame) -> Prediction | None:
        """Answer a frame; None, and counted, if the candidate has no answer."""
        try:
            return recognize(frame, self.model)
        except NonFiniteLogits:
            self.failed += 1
            return None

    def confirm(self, confirmation: Confirmation, in_charge: Prediction | None,
                outcome: Outcome, weight: float) -> None:
        """Score a confirmation that the monitor in charge made ``outcome`` of."""
        candidate = self.monitor.waiting(confirmation.key)
        self.monitor.confirm(confirmation)
        if outcome not in SCORED or in_charge is None or candidate is None:
            return
        q = np.array([confirmation.distribution.get(label, 0.0) for label in in_charge.labels])
        self._pairs.add(q / q.sum(), candidate.log_probabilities[self._places],
                        in_charge.log_probabilities, weight)

    def difference(self) -> Difference:
        """Compute the paired difference of the NLLs."""
        return self._pairs.figures()
