"""
The event log: what happened to a run, on disk and in its order, so that a restart changes nothing.

The caller appends what happened, and goes on at once; one thread writes. What must not be lost
comes back as a future, and is on disk when that is done: only then may it be acknowledged.
Predictions need no acknowledgement and wait for company, but a confirmation takes all that came
before it into its own transaction.

While the file cannot be opened or written, the events wait in memory. The futures of an open file
that fails fail with ``JournalError``, which only means: not acknowledged. Confirmations and other
rare events all wait; of the predictions without one the oldest go beyond a bound, and are counted.
Where something is missing in the file a snapshot follows, so that the run has no hole.

Left out: what follows from an event (``core.run``), clocks, and reading for people (``reader``).
"""

from collections import deque
from collections.abc import Iterable
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from contextlib import nullcontext
import os
from pathlib import Path
from secrets import token_hex
import sqlite3
from threading import Condition
from threading import Thread
from types import TracebackType
from typing import Any

from tool_recognizer.core.events import Event
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.run import Settled
from tool_recognizer.core.text import Said
from tool_recognizer.event_log import file as log_file
from tool_recognizer.event_log.backlog import Backlog
from tool_recognizer.event_log.entry import acknowledgement
from tool_recognizer.event_log.entry import Entry
from tool_recognizer.event_log.entry import needed
from tool_recognizer.event_log.entry import RunNumber
from tool_recognizer.event_log.file import explain
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.pictures import Picture
from tool_recognizer.event_log.pruning import Retention
from tool_recognizer.event_log.restored import restore
from tool_recognizer.event_log.restored import Restored
from tool_recognizer.event_log.store import Store
from tool_recognizer.event_log.verify import Check
from tool_recognizer.process_memory import large_pieces_mapped

# Seconds that predictions wait for company, and between attempts on a disk that fails.
BATCH_EVERY = 0.5
RETRY_EVERY = 1.0
# Events after which a snapshot is due.
SNAPSHOT_EVERY = 20_000


class EventLog:
    """
    A log; several threads may use it.

    Parameters
    ----------
    path : the file; it and its folder are made if they are not there
    keep_predictions, keep_days, max_bytes, archive : how much is kept, see ``Retention``
    picture_budget : bytes of pictures that are kept, the most surprising; 0: none
    waiting : predictions and samples that may wait for the disk

    Attributes
    ----------
    notes : what there is to say of the file, a line each; see ``take_notes``
    check : of what is there, once it was started
    dropped : predictions and samples that were dropped because the disk was too slow or failed
    refused : events that could not be stored for what they are, not for the disk
    pictures_lost : pictures that were not kept because too many waited for the disk

    """

    def __init__(self, path: str | Path, *, keep_predictions: int = 1_000_000,
                 keep_days: float = 0.0, max_bytes: int = 0, archive: Path | None = None,
                 picture_budget: int = 500_000_000, waiting: int = 50_000) -> None:
        # Two names of one file have one lock.
        self.path = Path(os.path.realpath(path))
        self.dropped = self.refused = self.pictures_lost = 0
        self.notes: tuple[str, ...] = ()
        self._retention = Retention(keep_predictions, keep_days, max_bytes, archive)
        self._budget, self._capacity = picture_budget, waiting
        self._changed = Condition()
        self._queue: deque[Entry] = deque()
        self._backlog = Backlog()
        self._many = self._since_snapshot = 0
        self._urgent = self._closed = self._gave_up = self._hole = False
        self._trouble: JournalError | None = None
        self._store: Store | None = None
        self._prepared: Store | None = None
        self._opening = token_hex(4)
        self._named = 0
        self._thread = Thread(target=self._write_on, name='event log', daemon=True)
        self.check = Check(self.path)

    def __enter__(self) -> 'EventLog':
        """Return the log itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    # -- the file -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the file is open, so that what is appended will be on disk."""
        return self._store is not None

    @property
    def is_started(self) -> bool:
        """Whether what is appended is being written."""
        return self._thread.ident is not None

    def prepare(self) -> None:
        """
        Do what takes long when the file is opened, beside all else; ``open`` goes on with it.

        Raises
        ------
        JournalError
            As ``open``.

        """
        if self._prepared is None:
            self._prepared = Store(self.path, self._retention, self._budget)

    def open(self) -> None:  # noqa: A003
        """
        Open the file; nothing is written to it before ``start``.

        Raises
        ------
        JournalError
            It cannot be used; the message says why and how to mend it. It may be tried again.

        """
        self.prepare()
        self._store, self._prepared = self._prepared, None
        self._gather_notes()

    def take_notes(self) -> tuple[str, ...]:
        """Return what there is to say, and forget it: it is said once."""
        with self._changed:
            notes, self.notes = self.notes, ()
        return notes

    def _gather_notes(self) -> None:
        assert self._store is not None
        with self._changed:
            self.notes += tuple(self._store.notes)
        self._store.notes.clear()

    def restore(self, model_digest: str, labels: tuple[str, ...], parameters: Mapping[str, Any]
                ) -> Restored | None:
        """
        Read the last run of an open log that was not started; see ``restored.restore``.

        Raises
        ------
        JournalError
            It cannot be read.

        """
        try:
            with closing(log_file.open_readable(self.path)) as db:
                restored = restore(db, model_digest, labels, parameters)
        except sqlite3.Error as error:
            raise explain(self.path, error) from None
        assert self._store is not None
        if not self._store.missing:
            return restored
        number, run, notes = restored or Restored(0, None, ())
        return Restored(number, run, (self._store.missing, *notes))

    def take_back(self) -> list[Entry]:
        """
        Take out what waits for a log that was not started, to append it to another run.

        Raises
        ------
        JournalError
            The log is closed, or has given up.

        """
        with self._changed:
            self._check_open()
            entries = list(self._queue)
            self._queue.clear()
            self._backlog.remove(entries)
            self._many = 0
        return entries

    def start(self) -> None:
        """Write what waits and what comes, and check what is there, beside all else."""
        assert self._store is not None
        self._thread.start()
        self.check.start()

    # -- appending ----------------------------------------------------------------------------

    def begin(self, event: RunBegan, state: Mapping[str, Any]) -> RunNumber:
        """
        Append that a run begins, with its state.

        Returns
        -------
        Its number, under which what happens to it is appended

        Raises
        ------
        JournalError
            The log is closed, or has given up.

        """
        run = RunNumber()
        with self._changed:  # both in one transaction
            self.append(run, event)
            self.snapshot(run, state)
        return run

    def append(self, run: RunNumber, event: Event, settled: Settled | None = None
               ) -> Future[int] | None:
        """
        Append an event; it costs microseconds.

        Parameters
        ----------
        run : to which it happened
        event : what happened
        settled : what became of a confirmation by it, if anything did

        Returns
        -------
        Done when the event is on disk, with its id; None for those that need no acknowledgement

        Raises
        ------
        JournalError
            The log is closed or has given up, and the event is one that must not be lost.

        """
        entry = Entry(run, event, settled)
        with self._changed:
            self._since_snapshot += 1
            if entry.many:
                self._many += not self._closed
                self._queue.append(entry)
                if self._many > self._capacity:
                    self._thin_out()
                elif self._many == self._capacity // 2:
                    self._wake()
                return None
            entry.done = acknowledgement()
            self._put(entry)
            return entry.done

    def again(self, entry: Entry) -> None:
        """Append an entry that was taken back."""
        with self._changed:
            self._many += entry.many
            self._enqueue(entry)

    def snapshot(self, run: RunNumber, state: Mapping[str, Any]) -> None:
        """
        Append the state of a run after what was appended last; see ``Run.to_state``.

        Raises
        ------
        JournalError
            The log is closed, or has given up.

        """
        with self._changed:
            self._since_snapshot, self._hole = 0, False
            self._put(Entry(run, state=state))

    def picture(self, run: RunNumber, key: FrameKey, surprise: float, content: bytes | None
                ) -> None:
        """
        Keep a picture of a frame; of one that has a picture, how surprising it is.

        While the file cannot be opened none is kept: that may last, and they are large.
        Nor is one while those that wait for the disk are as many as may.

        Parameters
        ----------
        run : that answered the frame
        key : the frame
        surprise : nats; it decides which pictures stay
        content : JPEG; None if there is none

        Raises
        ------
        JournalError
            The log is closed, or has given up.

        """
        with self._changed:
            if self._store is None:
                return
            self._named += 1  # after a crash from 1 again, and names of files must not
            name = f'{key.stamp}-{self._opening}-{self._named}.jpg'
            if not self._backlog.has_room(content):
                content = None
                self.pictures_lost += 1
            self._put(Entry(run, picture=Picture(key, surprise, content, name)))

    def snapshot_due(self, capacity: int) -> bool:
        """
        Tell whether it is time for a snapshot.

        Parameters
        ----------
        capacity : of the run's pending predictions: the larger its state, the rarer a snapshot

        """
        return self._trouble is None and (
            self._hole or self._since_snapshot >= max(SNAPSHOT_EVERY, capacity))

    def flush(self) -> None:
        """
        Wait until all that was appended is on disk.

        Raises
        ------
        JournalError
            It could not be written.

        """
        self.written().result()

    def written(self) -> Future[int]:
        """
        Return what is done when all that was appended is on disk, with the id of the last of it.

        Raises
        ------
        JournalError
            The log is closed, or has given up.

        """
        with self._changed:
            done = acknowledgement()
            self._put(Entry(RunNumber(), done=done))
        return done

    def close(self) -> None:
        """Write what waits, as far as the disk lets it, and give the file free."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        self.check.end()
        if self.is_started:
            self._thread.join()
        self._fail(self._queue, JournalError('closed', f'journal {self.path}: it was closed '
                                             f'before this could be written ({self._trouble})'))
        self.release()

    def release(self) -> None:
        """Close the file of a log that was not started, or is not written any more."""
        for store in self._store, self._prepared:
            if store is not None:
                store.close()
        self._store = self._prepared = None

    # -- state ---------------------------------------------------------------------------------

    @property
    def trouble(self) -> Said:
        """Say in one line what keeps the log from being written; '' if nothing does."""
        error, waiting = self._trouble, self._backlog.events
        if error is None:
            return Said()
        return Said(f'{error}; {waiting} confirmations and events wait unacknowledged',
                    error.reason)

    @property
    def waiting(self) -> int:
        """How many predictions and samples are not on disk yet."""
        return self._many

    @property
    def findings(self) -> list[str]:
        """Damage that was found since the start, one line each."""
        return self.check.findings

    @property
    def store(self) -> Store | None:
        """Return the open file, to look at what it says of itself; None if it is not open."""
        return self._store

    # -- the queue -----------------------------------------------------------------------------

    def _put(self, entry: Entry) -> None:
        self._check_open()
        self._enqueue(entry)

    def _enqueue(self, entry: Entry) -> None:
        self._backlog.add(entry)
        self._queue.append(entry)
        self._wake()

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError('closed', f'journal {self.path}: it is closed')
        self._gave_up = self._gave_up or self._backlog.is_full
        if self._gave_up:
            raise JournalError('closed', f'journal {self.path}: it gave up, for too many '
                               'confirmations and events could not be written; start the '
                               'node anew')

    def _wake(self) -> None:
        self._urgent = True
        self._changed.notify()

    def _thin_out(self) -> None:
        """Let the older half of what may be many go, but for what confirmations need."""
        wanted = needed(self._queue)
        excess, kept = self._many - self._capacity // 2, deque[Entry]()
        for entry in self._queue:
            if excess > 0 and entry.many and entry not in wanted:
                excess -= 1
                self._many -= 1
                self.dropped += 1
                self._hole = True
            else:
                kept.append(entry)
        self._queue = kept

    def _write_on(self) -> None:
        """Write until closed; the one thread that changes the file."""
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closed or (self._urgent and self._trouble is None),
                    RETRY_EVERY if self._trouble else BATCH_EVERY)
                closing, self._urgent = self._closed, False
                batch = list(self._queue)
                self._queue.clear()
                self._many -= sum(entry.many for entry in batch)
            large = any(entry.state is not None for entry in batch)
            with large_pieces_mapped() if large else nullcontext():
                left = self._write(batch)
            if left:
                with self._changed:
                    self._queue.extendleft(reversed(left))
                    self._many += sum(entry.many for entry in left)

    def _write(self, batch: list[Entry]) -> list[Entry]:
        """Write a batch in one transaction; return it if that failed."""
        store, refused = self._store, None
        assert store is not None
        try:
            refused = store.write(batch)
            if any(entry.done is not None for entry in batch):
                store.settle()
        except Exception as error:  # the thread must live on
            self._trouble = (error if isinstance(error, JournalError)
                             else explain(self.path, error))
            self._fail(batch, self._trouble)
            if refused is None:
                return batch
        else:
            self._trouble = None
        self._gather_notes()
        self._finish(batch, refused)
        return []

    def _finish(self, batch: Iterable[Entry], refused: Mapping[Entry, Exception]) -> None:
        with self._changed:
            self._backlog.remove(batch)
            self.refused += len(refused)
            self._hole |= bool(refused)
        for entry in batch:
            if entry in refused:
                self._fail([entry], JournalError('other', (
                    f'journal {self.path}: this cannot be stored ({refused[entry]})')))
            elif entry.done is not None:
                entry.done.set_result(entry.number)

    def _fail(self, entries: Iterable[Entry], error: JournalError) -> None:
        for entry in entries:
            if entry.done is not None:
                done, entry.done = entry.done, None
                done.set_exception(error)
