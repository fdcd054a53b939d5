"""
A model, the monitor that watches it, and the journal that remembers both.

They are only ever replaced together. Several threads may use an engine: the monitor and the
journal are told the same things in the same order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from threading import Lock

from tool_recognizer.adapters.journal import Journal
from tool_recognizer.adapters.journal_file import JournalError
from tool_recognizer.adapters.onnx_model import OnnxModel
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Figures
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import Prediction


class Engine:
    """
    See the module.

    Parameters
    ----------
    model : the model in charge
    monitor : a new monitor for it
    journal : where to remember, or None

    """

    def __init__(self, model: OnnxModel, monitor: Monitor, journal: Journal | None) -> None:
        self.model = model
        self.monitor = monitor
        self._journal = journal
        self._lock = Lock()

    def start(self, reason: str, moment: int) -> None:
        """
        Take up the run where the journal left it, or begin one.

        Parameters
        ----------
        reason : 'start', which goes on with the model's last run if there is one, or 'reload'
        moment : ns

        Raises
        ------
        JournalError
            The journal cannot be read.

        """
        if self._journal is None:
            return
        known = None
        if reason == 'start':
            known = self._journal.restore(self.model.digest, self.model.labels,
                                          self.monitor.capacity)
        if known is None:
            self._journal.start_run(reason, self.model.digest, self.model.labels, moment)
            return
        with self._lock:
            if known.state:
                detector = DriftDetector.from_state(dict(known.state))
                detector.threshold = self.monitor.detector.threshold
                self.monitor.detector = detector
            self.monitor.resume(
                scored=[(frame.prediction, frame.confirmation) for frame in known.scored],
                counts=known.counts, pending=known.pending, confirmed=known.confirmed,
                held=known.held)

    def expect(self, prediction: Prediction, decision: str) -> Outcome | None:
        """Keep a prediction; return the outcome of a confirmation that had come before it."""
        with self._lock:
            early = self.monitor.expect(prediction)
            with self._remembering() as journal:
                if journal is not None:
                    journal.expect(prediction, decision, early)
        return early

    def confirm(self, confirmation: Confirmation, received: int) -> Outcome:
        """Score a confirmation; what it became is on its way to the disk."""
        with self._lock:
            prediction = self.monitor.waiting(confirmation.key)
            outcome = self.monitor.confirm(confirmation)
            with self._remembering() as journal:
                if journal is not None:
                    journal.confirm(confirmation, outcome, received=received,
                                    prediction=prediction)
        return outcome

    def reset(self, moment: int) -> None:
        """Start a new run of the monitor; the old one stays in the journal."""
        with self._lock:
            self.monitor.reset()
            with self._remembering() as journal:
                if journal is not None:
                    journal.start_run('reset', self.model.digest, self.model.labels, moment,
                                      state=self.monitor.detector.to_state(),
                                      counts=self.monitor.counts)

    def record(self, kind: str, moment: int, detail: dict[str, object]) -> None:
        """Remember an event, such as an alarm."""
        with self._remembering() as journal:
            if journal is not None:
                journal.record(kind, moment, detail)

    @contextmanager
    def _remembering(self) -> Iterator[Journal | None]:
        """Tell the journal; if it has given up, which its ``trouble`` says, go on without."""
        with suppress(JournalError):
            yield self._journal

    def figures(self) -> Figures:
        """Compute the monitor's figures of one moment."""
        with self._lock:
            return self.monitor.figures()
