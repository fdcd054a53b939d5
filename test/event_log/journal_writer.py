"""Journals for tests: an engine writes them, as a node would, with a model that is only a name."""

from types import SimpleNamespace

import numpy as np
from tool_recognizer.core.answer import Recognized
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampler
from tool_recognizer.core.gate import Gate
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.inspection import Inspector
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.core.passages import Passages
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.run import Run
from tool_recognizer.engine import Engine
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.gating import Gating

LABELS = ('hammer', 'screwdriver', 'wrench')
JPEG = b'\xff\xd8' + bytes(996) + b'\xff\xd9'


class JournalWriter:
    """
    A journal that is being written; what happened is on disk when the ``with`` block ends.

    Parameters
    ----------
    path : the file
    labels : of the model
    moment : at which all happens where nothing else is said, ns
    digest : of the model file
    passages : whether there is a gate, which hears moments in ns
    monitor : other settings of the monitor than its own

    Attributes
    ----------
    engine : that writes it

    """

    def __init__(self, path, labels, moment=0, digest='d' * 64, passages=False,
                 **monitor):
        self.log, self.labels, self.moment = EventLog(path), labels, moment
        self._monitor, self._passages = monitor, passages
        self.log.open()
        self._start('start', digest)

    def _start(self, reason, digest):
        run = Run(digest, Monitor(self.labels, DriftDetector(len(self.labels)), **self._monitor),
                  EarlyWarning(len(self.labels)), Requests(10**18), 10**18, None,
                  Passages(self.labels, PassageRules(0.9, 2, 0.25)) if self._passages else None)
        self.engine = Engine(SimpleNamespace(digest=digest, labels=self.labels), run,
                             Inspector(0.0, 0.0, 1.0), Sampler(10**18), frozen_after=1000,
                             gating=Gating('topic', Gate(0, 10**18)) if self._passages else None)
        self.engine.start(reason, self.moment, self.log)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.log.close()

    def reload(self, digest):
        """Another model takes over."""
        self._start('reload', digest)

    def answer(self, stamp, probabilities, decision=''):
        """Answer a frame of the camera; return its key."""
        with np.errstate(divide='ignore'):
            log_p = log_softmax(np.log(probabilities))
        key = FrameKey(Stamp(stamp), 'camera')
        prediction = Prediction(key, self.labels, log_p, NO_FEATURES, self.engine.model.digest)
        self.engine.answer(Recognized(prediction, None, stamp), Rules(), self.moment,
                           decided=Decision(decision, 0.0))
        return key

    def confirm(self, stamp, said, picture=None, moment=None, **who):
        """Confirm a frame, by a label or a distribution; return what became of it."""
        confirmation = Confirmation(FrameKey(Stamp(stamp), 'camera'),
                                    {said: 1.0} if isinstance(said, str) else said, **who)
        return self.engine.confirm(confirmation, self.moment if moment is None else moment,
                                   picture)[0].outcome
