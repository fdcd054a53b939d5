"""What the event log's writer is given: events with what followed, states, pictures."""

from collections.abc import Iterable
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from tool_recognizer.core.events import Event
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import PassageBegan
from tool_recognizer.core.events import PassageEnded
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.run import Settled
from tool_recognizer.event_log.chain import digest_of
from tool_recognizer.event_log.chain import snapshot_row
from tool_recognizer.event_log.pictures import Picture
from tool_recognizer.event_log.rows import encode
from tool_recognizer.event_log.rows import Row


class RunNumber:
    """The id of the event that began a run; 0 until that is on disk."""

    def __init__(self, number: int = 0) -> None:
        self.number = number


@dataclass(slots=True, eq=False)
class Entry:
    """
    Something to write: an event with what followed from it, or the state of the run by then.

    Attributes
    ----------
    run : to which it belongs
    event, settled : see ``core``
    state : a snapshot
    picture : of a frame
    done : is told when it is on disk
    number : id of the last event up to it, itself included, once that is on disk

    """

    run: RunNumber
    event: Event | None = None
    settled: Settled | None = None
    state: Mapping[str, Any] | None = None
    picture: Picture | None = None
    done: Future[int] | None = None
    number: int = 0

    @property
    def many(self) -> bool:
        """Whether there may be very many of its kind, none of which is for ever."""
        event = self.event
        return (isinstance(event, (FrameAnswered, ShadowAnswered, SampleTaken, PassageBegan,
                                   PassageEnded)) and self.settled is None)

    @property
    def rare(self) -> bool:
        """Whether it is an event that must not be lost."""
        return self.event is not None and not self.many

    @property
    def key(self) -> FrameKey | None:
        """Return the frame that it answers or confirms."""
        event = self.event
        if isinstance(event, (FrameAnswered, ShadowAnswered)):
            return event.prediction.key
        return event.confirmation.key if isinstance(event, FrameConfirmed) else None


def acknowledgement() -> Future[int]:
    """Return the future of an entry that must not be lost."""
    future: Future[int] = Future()
    future.set_running_or_notify_cancel()  # what happened cannot be taken back
    return future


def needed(entries: Iterable[Entry]) -> set[Entry]:
    """Return what confirmations need: the answer to their frame, and all of its passage."""
    entries = list(entries)
    confirmed = {entry.key for entry in entries if not entry.many} - {None}
    kept = {entry for entry in entries if entry.key in confirmed}
    passage: list[Entry] = []
    for entry in entries:
        event = entry.event
        if isinstance(event, PassageBegan):
            passage = [entry]
        elif passage and isinstance(event, (FrameAnswered, ShadowAnswered, PassageEnded)):
            passage.append(entry)
            if entry in kept:
                kept.update(passage)
            elif passage[0] in kept:
                kept.add(entry)
            if isinstance(event, PassageEnded):
                passage = []
    return kept


def rows_of(batch: Iterable[Entry], last: int, digest: bytes
            ) -> tuple[list[Row], list[tuple[Any, ...]], dict[Entry, Exception]]:
    """
    Make rows of a batch; what cannot be stored must not hold it up.

    Parameters
    ----------
    batch : in the order of what happened
    last, digest : of the last row on disk

    Returns
    -------
    Rows of events, rows of snapshots, and what cannot be stored, with the reason

    """
    rows: list[Row] = []
    snapshots: list[tuple[Any, ...]] = []
    refused: dict[Entry, Exception] = {}
    for entry in batch:
        try:
            if entry.event is not None:
                columns = encode(entry.event, entry.settled)
                if isinstance(entry.event, RunBegan):
                    entry.run.number = last + 1
                row = Row._make((last + 1, entry.run.number, *columns, b''))
                row = row._replace(digest=digest_of(digest, row))
                rows.append(row)
                last, digest = row.id, row.digest
            elif entry.state is not None:
                snapshots.append(snapshot_row(last, digest, entry.run.number, entry.state))
        except (LookupError, TypeError, ValueError) as error:
            refused[entry] = error
        entry.number = last
    return rows, snapshots, refused
