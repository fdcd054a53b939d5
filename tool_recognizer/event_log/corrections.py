"""
What a correction needs to know of the log: what it corrects, and what counts of a run.

A confirmation stands as it was said, until the newest correction of it.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any
from typing import NamedTuple

from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.confirmation import MATCHED
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.correction import Rescoring
from tool_recognizer.core.correction import Scored
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.run import Run
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.rows import confirmation
from tool_recognizer.event_log.rows import corrected
from tool_recognizer.event_log.rows import joined
from tool_recognizer.event_log.rows import prediction
from tool_recognizer.event_log.rows import Row
from tool_recognizer.event_log.rows import UNUSABLE

_MATCHED = ', '.join(repr(outcome.value) for outcome in MATCHED)


class Counted(NamedTuple):
    """
    A confirmation that was joined to a prediction.

    Attributes
    ----------
    number : id of its event
    settled : id of the event that joined them
    moment : of that event, ns
    was : what it counted as before the newest correction
    outcome : what it counts as, corrections included
    scored : what it is scored by, as it stands; None: it is not scored, or was struck out

    """

    number: int
    settled: int
    moment: int
    was: Outcome
    outcome: Outcome
    scored: Scored | None


class Plan:
    """
    What follows from a correction.

    Attributes
    ----------
    was, became : what the confirmation counted as, and counts as now
    known : whether the log has this very correction already, so that nothing follows
    since : moment of the first confirmation in the scores, ns, if older ones are not there any
        more

    """

    def __init__(self, was: Outcome, became: Outcome, known: bool = False,
                 since: int | None = None) -> None:
        self.was, self.became, self.known, self.since = was, became, known, since

    def anew(self, meanwhile: Iterable[Scored | None]) -> dict[str, Any]:
        """
        Return the scores that the run goes on with; empty if they do not change.

        Parameters
        ----------
        meanwhile : what was scored since the log was read; None: a reset

        """
        return {}


class _Refold(Plan):
    """The scores of the present run, from the log: all that counts, in its order."""

    def __init__(self, reader: JournalReader, number: int, last: int, run: Run,
                 detector: DriftDetector, correction: Correction) -> None:
        first = reader.first_state(number)
        if first is None:
            detector.reset()
        self._monitor = run.monitor
        self._rescoring = Rescoring(run.monitor,
                                    detector if first is None else first.monitor.detector)
        since, target = None, None
        # Whether the counts of outcomes are of the time of the confirmation, too.
        self._counts = False
        for found in counted(reader, number, run.monitor, run.model_digest, correction, last):
            if found is None:
                self._rescoring.reset()
                self._counts = False
                continue
            if first is None and since is None:
                since = found.moment
            if found.number == correction.of:
                target, self._counts = found, True
            if found.scored is not None:
                self._rescoring.add(found.scored)
        if target is None:
            raise _not_counted(correction)
        super().__init__(target.was, target.outcome, since=since)

    def anew(self, meanwhile: Iterable[Scored | None]) -> dict[str, Any]:
        for scored in meanwhile:
            if scored is None:
                self._rescoring.reset()
                self._counts = False
            else:
                self._rescoring.add(scored)
        return self._rescoring.scores(self._monitor, self.was,
                                      self.became if self._counts else self.was)


def planned(path: Path, correction: Correction, number: int, last: int, run: Run,
            detector: DriftDetector) -> Plan:
    """
    Read what follows from a correction.

    Parameters
    ----------
    path : the log's file
    correction : of a confirmation in it
    number : id of the event that began the present run
    last : id of the last event that is read; what was scored later comes to ``Plan.anew``
    run : as it is; it may go on meanwhile
    detector : its drift test as it is, to begin with what that knows of the line if the log does
        not hold any more how the run began; it is taken over

    Raises
    ------
    InvalidConfirmation
        There is no such confirmation, or it counts for nothing.
    JournalError
        The log cannot be read.

    """
    with JournalReader(path) as reader:
        for row in reader.rows("kind = 'corrected'"):
            found = corrected(row)
            if correction.nonce and found.correction.nonce == correction.nonce:
                return Plan(found.became, found.became, known=True)
        row = _confirmed(reader, correction)
        if row.run == number and row.outcome != Outcome.CONFLICTING.value:
            return _Refold(reader, number, last, run, detector, correction)
        return _of_another_run(reader, row, correction)


def counted(reader: JournalReader, run: int, monitor: Monitor, digest: str,
            newest: Correction, last: int | None = None) -> Iterator[Counted | None]:
    """
    Yield what counts of a run, in the order of scoring, with all corrections; None at a reset.

    Parameters
    ----------
    reader : of the log
    run : id of the event that began it
    monitor : of that run, for its labels and rules
    digest : of its model
    newest : a correction that the log does not have yet
    last : id of the last event that is looked at; None: all are

    """
    known = reader.corrections()
    early: dict[FrameKey, tuple[int, Confirmation]] = {}
    until = '' if last is None else f' AND id <= {last}'
    for row in reader.rows(f"run = {run} AND (kind IN ('confirmed', 'reset') OR outcome IN "
                           f'({_MATCHED})){until}'):
        if row.kind == 'reset':
            yield None
            continue
        try:
            detail, to = json.loads(row.detail), joined(row)
            if row.kind == 'answered':
                number, said = early.pop(to.confirmed)
            else:
                number, said = row.id, confirmation(row, detail)
                if row.outcome == Outcome.UNMATCHED.value:
                    early[row.key] = number, said
            if row.outcome not in {outcome.value for outcome in MATCHED}:
                continue
            predicted = prediction(to.key, to.blob, monitor.labels, digest, to.detail)
        except UNUSABLE:
            continue  # it is damaged, and no figure has it
        asked = Asked(*detail['asked']) if 'asked' in detail else None
        older = known.get(number)
        was = Outcome(row.outcome) if older is None else older.became
        stands = newest if number == newest.of else older and older.correction
        yield _counted(row, number, was, said, stands, predicted, asked, monitor)


def _counted(row: Row, number: int, was: Outcome, said: Confirmation,
             correction: Correction | None, predicted: Prediction, asked: Asked | None,
             monitor: Monitor) -> Counted:
    outcome = Outcome(row.outcome)
    if correction is not None:
        outcome = (monitor.judge(correction.distribution, asked) if correction.distribution
                   else Outcome.STRUCK)
        if outcome is Outcome.SCORED and Outcome(row.outcome) is Outcome.LATE:
            outcome = Outcome.LATE
        if outcome is not Outcome.STRUCK:
            said = Confirmation(said.key, correction.distribution, said.operator, said.nonce)
    scored = outcome in (Outcome.SCORED, Outcome.LATE)
    return Counted(number, row.id, row.moment, was, outcome,
                   Scored(predicted, said, asked) if scored else None)


def _confirmed(reader: JournalReader, correction: Correction) -> Row:
    """
    Return the event of the confirmation that a correction is of.

    Raises
    ------
    InvalidConfirmation
        It is not there, or is one that counts for nothing.

    """
    for row in reader.rows(f"kind = 'confirmed' AND id = {correction.of}"):
        if row.key != correction.key:
            break
        if row.outcome == Outcome.CONFLICTING.value and correction.distribution:
            raise InvalidConfirmation('not_counted', f'confirmation {correction.of} conflicts '
                                      'with another one: correct that one; this can be struck '
                                      'out')
        return row
    raise InvalidConfirmation('gone', f'the journal has no confirmation {correction.of} of that '
                              'frame; it may be too old')


def _of_another_run(reader: JournalReader, row: Row, correction: Correction) -> Plan:
    """Tell what a confirmation counts as whose scores are not those of the present run."""
    known = reader.corrections().get(correction.of)
    if row.outcome == Outcome.CONFLICTING.value:
        return Plan(Outcome.CONFLICTING if known is None else known.became, Outcome.STRUCK)
    began = reader.runs().get(row.run)
    if began is not None:
        # Where one was kept for nobody had asked, all such were.
        monitor = Monitor(began.labels, DriftDetector(len(began.labels)),
                          complete=row.outcome != Outcome.VOLUNTEERED.value)
        for found in counted(reader, row.run, monitor, began.model_digest, correction):
            if found is not None and found.number == correction.of:
                return Plan(found.was, found.outcome)
    raise _not_counted(correction)


def _not_counted(correction: Correction) -> InvalidConfirmation:
    return InvalidConfirmation('not_counted', f'confirmation {correction.of} counts for nothing: '
                               'no frame is known for it')
