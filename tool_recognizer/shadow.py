"""A candidate model that answers the same frames as the model in charge, and decides nothing."""

from collections import Counter
from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import HELD_CONFIRMATIONS
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.paired import Difference
from tool_recognizer.core.paired import PairedNll
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import recognize
from tool_recognizer.event_log.entries import SCORED
from tool_recognizer.event_log.restored import Restored
from tool_recognizer.event_log.restored import RestoredShadow
from tool_recognizer.model.onnx_model import OnnxModel


class _Word(NamedTuple):
    """An operator's word, with what it was scored on by the model in charge, if it was."""

    confirmation: Confirmation
    in_charge: Prediction | None = None
    asked: Asked | None = None


class Shadow:
    """
    The candidate, its own monitor, and the paired difference.

    It is scored on exactly the confirmations that the model in charge is scored on, as soon as
    it has answered their frames, too.

    Parameters
    ----------
    model : the candidate
    monitor : a new monitor for it
    labels : those of the model in charge

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
        # Confirmed frames that the candidate has not answered yet.
        self._words: OrderedDict[FrameKey, _Word] = OrderedDict()
        # Where the labels of the model in charge stand in the candidate's order.
        self._places = [model.labels.index(label) for label in labels]

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Tell what must be the same for its test to go on after a restart."""
        return {'model_digest': self.model.digest, 'labels': list(self.model.labels)}

    def predict(self, frame: Frame) -> Prediction | None:
        """Answer a frame; None, and counted, if the candidate has no answer."""
        try:
            return recognize(frame, self.model)
        except NonFiniteLogits:
            self.failed += 1
            return None

    def expect(self, prediction: Prediction) -> bool:
        """Keep the answer to a frame; return whether it was scored, the word being there."""
        self.monitor.expect(prediction)
        word = self._words.get(prediction.key)
        if word is None or word.in_charge is None:
            return False
        del self._words[prediction.key]
        self._score(word, prediction)
        return True

    def confirm(self, confirmation: Confirmation, in_charge: Prediction | None,
                outcome: Outcome, asked: Asked | None) -> Prediction | None:
        """
        Score a confirmation.

        Parameters
        ----------
        confirmation : the operator's word
        in_charge : the answer of the model in charge, if there is one
        outcome : what its monitor made of the confirmation
        asked : how the frame came to be asked for, if it was

        Returns
        -------
        The candidate's answer that was scored; None if none was, or not yet

        """
        if outcome is Outcome.UNMATCHED:
            self._hold(_Word(confirmation))
        elif outcome in SCORED and in_charge is not None:
            word = _Word(confirmation, in_charge, asked)
            candidate = self.monitor.waiting(confirmation.key)
            if candidate is not None:
                self._score(word, candidate)
                return candidate
            self._hold(word)
        return None

    def settle(self, in_charge: Prediction, outcome: Outcome, asked: Asked | None) -> None:
        """Take notice that the model in charge has answered a frame that was confirmed before."""
        word = self._words.pop(in_charge.key, None)
        if word is not None and outcome in SCORED:
            self._hold(word._replace(in_charge=in_charge, asked=asked))

    def reset(self) -> None:
        """Start the test and the figures anew; answers still wait for their word."""
        self.monitor.reset()
        self._pairs = PairedNll()

    def resume(self, run: Restored, known: RestoredShadow) -> None:
        """
        Go on where the journal left it, in a new shadow.

        Parameters
        ----------
        run : of the model in charge
        known : of this very shadow

        Raises
        ------
        LookupError, TypeError, ValueError
            What is known is damaged; nothing has changed then.

        """
        monitor, pairs = deepcopy(self.monitor), PairedNll()
        monitor.detector = DriftDetector.from_state(dict(known.state))
        monitor.detector.threshold = self.monitor.detector.threshold
        asked: dict[FrameKey, Asked] = {}
        for candidate, frame in known.scored:
            key = candidate.key
            if frame.inclusion_probability is not None:
                asked[key] = run.requests[key]
            self._add(pairs, candidate, frame.prediction, frame.confirmation, asked.get(key))
        monitor.resume(
            scored=[(candidate, frame.confirmation) for candidate, frame in known.scored],
            counts=Counter(frame.outcome for _, frame in known.scored), pending=known.pending,
            spent={key: {} for key in known.spent}, confirmed={}, held=(), asked=asked)
        self.monitor, self._pairs = monitor, pairs
        for confirmation in run.held:
            self._hold(_Word(confirmation))

    def difference(self) -> Difference:
        """Compute the paired difference of the NLLs."""
        return self._pairs.figures()

    def _hold(self, word: _Word) -> None:
        self._words[word.confirmation.key] = word
        if len(self._words) > HELD_CONFIRMATIONS:
            self._words.popitem(last=False)

    def _score(self, word: _Word, candidate: Prediction) -> None:
        assert word.in_charge is not None
        if word.asked is not None:
            self.monitor.ask(candidate.key, word.asked)
        self.monitor.confirm(word.confirmation)
        # Which words count again is for the model in charge to say; an answer is scored once.
        self.monitor.forget(candidate.key)
        self._add(self._pairs, candidate, word.in_charge, word.confirmation, word.asked)

    def _add(self, pairs: PairedNll, candidate: Prediction, in_charge: Prediction,
             confirmation: Confirmation, asked: Asked | None) -> None:
        q = np.array([confirmation.distribution.get(label, 0.0) for label in in_charge.labels])
        pairs.add(q / q.sum(), candidate.log_probabilities[self._places],
                  in_charge.log_probabilities,
                  1.0 if asked is None else 1.0 / asked.inclusion_probability)
