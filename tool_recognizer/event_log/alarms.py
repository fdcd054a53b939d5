"""The drift alarms of a log, and the confirmed frames among which each change began."""

from collections.abc import Iterable
from contextlib import suppress
import json
from typing import NamedTuple

from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.reader import StoredConfirmation
from tool_recognizer.event_log.rows import UNUSABLE

# Alarms that are looked at, the newest.
MOST = 50


class StoredAlarm(NamedTuple):
    """
    An alarm.

    Attributes
    ----------
    number : id of its event
    moment : ns, on the recognizer's clock
    label : that gave it most; '' if none stands out
    frames : numbers of the confirmations among which the change began, 9 in 10 for an abrupt one

    """

    number: int
    moment: int
    label: str
    frames: frozenset[int]


def alarms(reader: JournalReader, known: Iterable[StoredConfirmation]) -> list[StoredAlarm]:
    """
    Return the alarms, the newest first.

    The monitor numbers what it has scored since its run began or was reset. What it had scored at
    the alarm is counted back from there, for older events may not be there any more.

    Parameters
    ----------
    reader : of the log
    known : its confirmations; of those that are not among them no number is told

    Raises
    ------
    JournalError
        The file turns out to be unreadable.

    """
    settled = sorted((one for one in known if one.was in SCORED or one.outcome in SCORED),
                     key=lambda one: one.settled)
    resets = [row.id for row in reader.rows("kind IN ('began', 'reset')")]
    found = []
    for row in reader.latest(('alarm',), 0, MOST):
        with suppress(*UNUSABLE):
            told = json.loads(row.detail)
            first, last, n = (int(told[name]) for name in ('change_first', 'change_last', 'n'))
            by_label = json.loads(told['per_label'])
            begin = max((place for place in resets if place < row.id), default=0)
            scored = [one for one in settled
                      if begin < one.settled < row.id and one.received <= row.moment
                      and _was(one, row.moment) in SCORED]
            start = n - len(scored)
            found.append(StoredAlarm(
                row.id, row.moment, next(iter(by_label), told['worst_label']),
                frozenset(one.number for one in scored[max(0, first - start):
                                                       max(0, last - start + 1)])))
    return found


def _was(one: StoredConfirmation, moment: int) -> object:
    """Tell what a confirmation counted as at a moment, ns."""
    corrected = one.correction is not None and one.correction.moment <= moment
    return one.outcome if corrected else one.was
