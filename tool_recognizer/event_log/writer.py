"""
The journal: what was answered, confirmed and alarmed, on disk, so that a restart changes nothing.

The caller tells what happened in the order in which the monitor saw it, and goes on at once; one
thread writes, in that order. What must not be lost comes back as a future, and is on disk when
that is done: only then may it be acknowledged. Predictions need no acknowledgement and wait for
a batch, but a confirmation takes all that came before it into its own transaction. The same goes
for the answers of a shadow model and the early warning's samples.

When the disk fails, the futures fail with ``JournalError``, which only means: not acknowledged.
Confirmations and events are kept in memory, in order, and written when the disk works again, so
that the file has no holes; answers and samples beyond a bound are dropped and counted.

Left out: scores and statistics (``core.monitor`` makes them anew from what ``restore`` returns),
clocks (moments are handed in), and reading for people (``journal_reader``). A recording that is
played in a loop while the disk fails for so long that predictions are dropped may have repeated
confirmations taken for the same delivered twice.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
import json
from pathlib import Path
from secrets import token_hex
import sqlite3
from threading import Condition
from threading import Thread
from types import TracebackType
from typing import Any
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.event_log import file as journal_file
from tool_recognizer.event_log.entries import Confirm
from tool_recognizer.event_log.entries import Entry
from tool_recognizer.event_log.entries import Expect
from tool_recognizer.event_log.entries import Follow
from tool_recognizer.event_log.entries import MATCHED
from tool_recognizer.event_log.entries import Request
from tool_recognizer.event_log.entries import Sample
from tool_recognizer.event_log.entries import Settle
from tool_recognizer.event_log.entries import Statements
from tool_recognizer.event_log.entries import Writer
from tool_recognizer.event_log.file import explain
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.restored import restore
from tool_recognizer.event_log.restored import Restored
from tool_recognizer.event_log.restored import UNUSABLE

T = TypeVar('T')

# Seconds that predictions wait for company, and between attempts on a disk that fails.
BATCH_EVERY = 0.5
RETRY_EVERY = 1.0
# Confirmations and events that are kept while the disk fails. Beyond it the journal gives up:
# better none at all than one with holes.
BACKLOG = 100_000

# SQLite's errors that are about what was to be stored.
_ITS_OWN = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError,
            sqlite3.ProgrammingError)


class Journal:
    """
    A journal, open for writing; several threads may use it.

    Parameters
    ----------
    path : the file; it and its folder are made if they are not there
    keep_predictions : how many predictions without a confirmation are kept, the newest; about
        100 bytes each. Confirmed ones are kept for ever
    picture_budget : bytes of pictures that are kept, the most surprising; 0: none
    waiting : answers and samples that may wait for the disk; more are dropped and counted

    Attributes
    ----------
    notes : what there is to say of the opening, one line each: a crash, a damaged file, ...
    dropped : answers and samples that were dropped because the disk was too slow or failed
    refused : things that could not be stored for what they are, not for the disk
    pictures_lost : pictures that could not be written

    Raises
    ------
    JournalError
        The file cannot be used; the message says why and how to mend it.

    """

    def __init__(self, path: str | Path, *, keep_predictions: int = 1_000_000,
                 picture_budget: int = 500_000_000, waiting: int = 50_000) -> None:
        self.path = Path(path)
        self.dropped = 0
        self.refused = 0
        self.pictures_lost = 0
        self._keep = keep_predictions
        self._budget = picture_budget
        self._capacity = waiting
        self._lock_file = journal_file.lock(self.path)
        try:
            self._db, notes = journal_file.open_writable(self.path)
            try:
                notes += self._mending(self._begin)[1]
            except JournalError:
                self._db.close()
                raise
        except JournalError:
            self._lock_file.close()
            raise
        self.notes = tuple(notes)
        self._changed = Condition()
        self._queue: deque[Entry] = deque()
        self._predictions_waiting = 0
        self._backlog = 0
        self._urgent = False
        self._closed = False
        self._gave_up = False
        self._trouble: JournalError | None = None
        self._newest: dict[str, Stamp] = {}
        self._thread = Thread(target=self._write_on, name='journal', daemon=True)
        self._thread.start()

    def _mending(self, read: Callable[[], T]) -> tuple[T, list[str]]:
        """Read from the file; if that cannot be, mend it and read again. Say so, if so."""
        notes: list[str] = []
        while True:
            try:
                return read(), notes
            except (OSError, sqlite3.Error) as error:
                trouble = explain(self.path, error)
                if trouble.reason != 'corrupt' or notes:
                    raise trouble from None
                notes.append(journal_file.mend(self.path))

    def _begin(self) -> None:
        """Read where the counters stand; remove what a crash left behind."""
        def largest(column: str, table: str) -> int:
            found = self._db.execute(f'SELECT max({column}) FROM {table}').fetchone()[0]
            return int(found or 0)

        self._run = largest('id', 'runs')
        # Predictions that were pruned must not give their numbers to others.
        self._prediction = max(largest('id', 'predictions'),
                               largest('newest_prediction', 'confirmations'),
                               largest('held', 'confirmations'),
                               largest('prediction', 'rewinds'),
                               largest('id', 'shadow_predictions'),
                               largest('position', 'shadow_predictions'))
        self._test = largest('id', 'tests')
        self._position = largest('position', 'confirmations')
        self._unconfirmed = int(self._db.execute(
            'SELECT count(*) FROM predictions WHERE confirmed = 0').fetchone()[0])
        # The newest run of each model: an answer may come after the next model has taken over.
        self._runs: dict[tuple[str, tuple[str, ...]], int] = {}
        for run, digest, labels in self._db.execute('SELECT id, model_digest, labels FROM runs '
                                                    'ORDER BY id'):
            with suppress(*UNUSABLE):
                self._runs[digest, tuple(json.loads(labels))] = run
        self._pictures = journal_file.pictures_folder(self.path)
        # After a crash numbers come again, and names of files must not.
        self._opening = token_hex(4)
        if self._budget:
            self._pictures.mkdir(exist_ok=True)
        self._sweep()

    def __enter__(self) -> 'Journal':
        """Return the journal itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    # -- telling -------------------------------------------------------------------------------

    def start_run(self, reason: str, model_digest: str, labels: tuple[str, ...], moment: int,
                  parameters: Mapping[str, Any] | None = None,
                  state: Mapping[str, Any] | None = None,
                  counts: Mapping[Outcome, int] | None = None) -> Future[int]:
        """
        Begin a run: what follows belongs to it.

        Parameters
        ----------
        reason : 'start', 'reset' (predictions go on waiting for their word) or 'reload'
        model_digest : SHA-256 of the model file, hex
        labels : the model's K labels
        moment : ns
        parameters : the monitor's, to be kept with the run
        state : what the monitor carries into the run, such as its test's learned reference
        counts : confirmations by outcome that the monitor begins with, if any

        Returns
        -------
        The run's number, once it is on disk

        Raises
        ------
        JournalError
            The journal is closed, or has given up.

        """
        texts = [json.dumps(dict(value or {})) for value in (parameters, state)]
        with self._changed:
            self._check_open()
            self._run += 1
            self._runs[model_digest, labels] = self._run
            anew: tuple[tuple[str, tuple[Any, ...]], ...] = ()
            if reason != 'reset':
                self._newest.clear()
                anew = (('UPDATE confirmations SET held = NULL WHERE held IS NOT NULL', ()),)
            return self._put(Statements(_future(), self._run, (
                *anew,
                ('INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)',
                 (self._run, moment, reason, model_digest, json.dumps(labels), *texts)),
                *(('INSERT INTO tallies VALUES (?, ?, ?)', (self._run, outcome.value, n))
                  for outcome, n in (counts or {}).items()))))

    def expect(self, prediction: Prediction, decision: str = '',
               early: Outcome | None = None) -> Future[int] | None:
        """
        Keep a prediction; it costs microseconds, and reaches the disk within a second.

        Parameters
        ----------
        prediction : the model's answer to a frame
        decision : the id that a controller was told
        early : what ``Monitor.expect`` returned: the outcome of the confirmation that was held
            for this frame

        Returns
        -------
        With an ``early`` outcome a future, as ``confirm`` does; otherwise None

        Raises
        ------
        JournalError
            The journal is closed or has given up, and there was an ``early`` outcome to keep.

        """
        key = prediction.key
        with self._changed:
            run = self._runs.get((prediction.model_digest, prediction.labels))
            newest = self._newest.get(key.frame_id)
            self._newest[key.frame_id] = key.stamp
            self._prediction += 1
            item = Expect(None, self._prediction, run or self._run, prediction, decision,
                          newest is not None and key.stamp < newest)
            if early is None:
                self._put_in_batch(item)
                return None
            self._check_open()
            self._predictions_waiting += 1
            self._queue.append(item)
            self._position += 1
            return self._put(Settle(
                _future(), item.run, key, early, self._position, self._prediction,
                prediction.labels, prediction.log_probabilities))

    def confirm(self, confirmation: Confirmation, outcome: Outcome, *, received: int,
                prediction: Prediction | None = None, operator: str = '', nonce: str = '',
                inclusion_probability: float | None = None,
                picture: bytes | None = None,
                shadow: tuple[int, Prediction] | None = None) -> Future[int]:
        """
        Keep a confirmation, with the prediction that it was joined to.

        The same word (frame, nonce, operator, distribution) delivered again is counted, but
        stays one row.

        Parameters
        ----------
        confirmation : the operator's word
        outcome : what ``Monitor.confirm`` made of it
        received : ns, on the receiver's clock
        prediction : the prediction that it was joined to; needed for a matched outcome
        operator : who
        nonce : the sender's mark for this word, so that it can tell two equal words apart
        inclusion_probability : with which the frame was asked for; None if nobody asked
        picture : the frame as JPEG
        shadow : the shadow's test and answer, if that was scored on it, too

        Returns
        -------
        The confirmation's number, once it is on disk: acknowledge it then, and not before

        Raises
        ------
        JournalError
            The journal is closed, or has given up.
        ValueError
            A matched outcome without a prediction.

        """
        if outcome in MATCHED and prediction is None:
            raise ValueError(f'the outcome {outcome.value!r} needs the prediction that was joined')
        words = [nonce, operator, sorted(confirmation.distribution.items())]
        with self._changed:
            self._check_open()
            run = self._run
            if prediction is not None:
                run = self._runs.get((prediction.model_digest, prediction.labels), run)
            position = None
            if outcome in MATCHED:
                self._position += 1
                position = self._position
            newest = self._prediction
            # Another number, should the prediction itself never have reached the disk.
            self._prediction += 1
            return self._put(Confirm(
                _future(), run, confirmation, outcome, position, newest, prediction, operator,
                sha256(json.dumps(words).encode()).hexdigest()[:32],
                received, inclusion_probability, picture, self._picture_name(confirmation.key),
                self._prediction, shadow))

    def request(self, key: FrameKey, inclusion_probability: float, moment: int,
                reason: str = '', picture: bytes | None = None,
                test_share: float = 1.0) -> None:
        """
        Keep that an operator was asked for a frame; nothing waits for it.

        Parameters
        ----------
        key : the frame
        inclusion_probability : with which it was picked, above 0
        moment : ns
        reason : why it was picked
        picture : the frame as JPEG; until it is confirmed, its entropy says how long it stays
        test_share : with which it goes into the drift test, once confirmed

        Raises
        ------
        JournalError
            The journal is closed, or has given up.

        """
        with self._changed:
            self._check_open()
            self._prediction += 1
            self._backlog += 1
            self._queue.append(Request(
                None, self._run, key, moment, inclusion_probability, test_share, reason, picture,
                self._picture_name(key)))

    def record(self, kind: str, moment: int, detail: Mapping[str, Any] | None = None
               ) -> Future[int]:
        """
        Keep an event: an alarm, a model's change, whatever should be known later.

        Parameters
        ----------
        kind : a word, such as 'alarm'
        moment : ns
        detail : what JSON can hold

        Returns
        -------
        The run's number, once the event is on disk

        Raises
        ------
        JournalError
            The journal is closed, or has given up.

        """
        text = json.dumps(dict(detail or {}))
        with self._changed:
            self._check_open()
            return self._put(Statements(_future(), self._run, ((
                'INSERT INTO events (run, moment, kind, detail) VALUES (?, ?, ?, ?)',
                (self._run, moment, kind, text)),)))

    # -- the tests beside the monitor's own ----------------------------------------------------

    def start_test(self, kind: str, parameters: Mapping[str, Any], state: Mapping[str, Any],
                   reset: bool = False) -> int:
        """
        Begin a test beside the monitor's own, in the current run.

        Parameters
        ----------
        kind : 'early_warning' or 'shadow'
        parameters : to be kept with it; with others it does not go on after a restart
        state : what it begins with, such as a learned reference
        reset : whether it was reset, so that a shadow's answers go on waiting for their word

        Returns
        -------
        Its number, under which it is told things

        Raises
        ------
        JournalError
            The journal is closed, or has given up.

        """
        texts = [json.dumps(dict(value)) for value in (parameters, state)]
        with self._changed:
            self._check_open()
            self._test += 1
            # What an earlier one took in is of no use any more.
            useless = ('samples', 'sampling') if kind == 'early_warning' else ()
            self._put(Statements(_future(), self._run, (
                *((f'DELETE FROM {rows}', ()) for rows in useless),
                ('INSERT INTO tests VALUES (?, ?, ?, ?, ?, ?)',
                 (self._test, self._run, kind, int(reset), *texts)))))
            return self._test

    def save_test(self, test: int, state: Mapping[str, Any]) -> None:
        """
        Keep the state of an early warning instead of all the samples that led to it.

        Parameters
        ----------
        test : its number
        state : after the last sample that was told

        Raises
        ------
        JournalError
            The journal is closed, or has given up.

        """
        text = json.dumps(dict(state))
        with self._changed:
            self._check_open()
            self._put(Statements(_future(), self._run, (
                ('UPDATE tests SET state = ? WHERE id = ?', (text, test)),
                ('DELETE FROM samples WHERE test = ?', (test,)))))

    def sample(self, test: int, sampling: Sampling,
               log_probabilities: NDArray[np.float64] | None = None) -> None:
        """
        Keep where the early warning's sampler stands, with the sample that it gave, if it did.

        It reaches the disk within a second; both or neither, so that no sample counts twice.

        Parameters
        ----------
        test : its number
        sampling : of the sampler, after the sample
        log_probabilities : (K,) the sample, nats

        """
        with self._changed:
            self._put_in_batch(Sample(None, test, sampling, log_probabilities))

    def follow(self, test: int, prediction: Prediction, scored: bool = False) -> None:
        """
        Keep a shadow's answer to a frame; it costs microseconds, as ``expect`` does.

        Parameters
        ----------
        test : the shadow's
        prediction : its answer
        scored : whether the frame was confirmed before, so that the answer was scored at once

        Raises
        ------
        JournalError
            The journal is closed or has given up, and the answer was scored.

        """
        with self._changed:
            self._prediction += 1
            item = Follow(None, self._prediction, test, prediction, scored)
            if not scored:
                self._put_in_batch(item)
                return
            self._check_open()
            item.done = _future()
            self._put(item)

    def flush(self) -> None:
        """
        Wait until all that was told is on disk.

        Raises
        ------
        JournalError
            It could not be written.

        """
        with self._changed:
            self._check_open()
            done = self._put(Statements(_future(), self._run, ()))
        done.result()

    def close(self) -> None:
        """Write what waits, as far as the disk lets it, and give the file free."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        self._thread.join()

    # -- state ---------------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """Say in one line what keeps the journal from being written; '' if nothing does."""
        error, waiting = self._trouble, self._backlog
        if error is None:
            return ''
        return f'{error}; {waiting} confirmations and events wait unacknowledged'

    @property
    def waiting(self) -> int:
        """How many answers and samples are not on disk yet."""
        return self._predictions_waiting

    def restore(self, model_digest: str, labels: tuple[str, ...], pending: int = 20_000
                ) -> Restored | None:
        """
        Return what the last run knew, if it was this model's; that run then goes on.

        Parameters
        ----------
        model_digest : SHA-256 of the model file, hex
        labels : its labels
        pending : how many predictions, and as many confirmed frames, the monitor keeps

        Returns
        -------
        None if there is no run or the last one was another model's: start a run then

        Raises
        ------
        JournalError
            It cannot be read.
        LookupError, TypeError, ValueError
            A row of the run is damaged.

        """
        def read() -> Restored | None:
            with closing(journal_file.open_readable(self.path)) as db:
                return restore(db, model_digest, labels, pending)

        self.flush()
        restored, mended = self._mending(read)
        if restored is not None:
            with self._changed:
                self._newest = {p.key.frame_id: p.key.stamp for p in restored.pending}
            restored = replace(restored, mended=tuple(mended))
        return restored

    def _picture_name(self, key: FrameKey) -> str:
        return f'{key.stamp}-{self._opening}-{self._prediction}.jpg'

    # -- the queue -----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError('closed', f'journal {self.path}: it is closed')
        self._gave_up = self._gave_up or self._backlog >= BACKLOG
        if self._gave_up:
            raise JournalError('closed', f'journal {self.path}: it gave up after {BACKLOG} '
                               'confirmations and events that could not be written; start the '
                               'node anew')

    def _put_in_batch(self, item: 'Entry') -> None:
        if self._predictions_waiting >= self._capacity or self._closed:
            self.dropped += 1
            return
        self._predictions_waiting += 1
        self._queue.append(item)
        if self._predictions_waiting == self._capacity // 2:
            self._urgent = True
            self._changed.notify()

    def _put(self, item: 'Entry') -> Future[int]:
        assert item.done is not None
        self._backlog += 1
        self._queue.append(item)
        self._urgent = True
        self._changed.notify()
        return item.done

    def _write_on(self) -> None:
        """Write until closed; the one thread that touches the file."""
        batch: list[Entry] = []
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closed or (self._urgent and self._trouble is None),
                    RETRY_EVERY if self._trouble else BATCH_EVERY)
                closing, self._urgent = self._closed, False
                batch += self._queue
                self._queue.clear()
            while batch:
                before = len(batch)
                batch = self._write(batch)
                if len(batch) == before:
                    break
        self._fail(batch, JournalError('closed', f'journal {self.path}: it was closed before '
                                       f'this could be written ({self._trouble})'))
        self._db.close()
        self._lock_file.close()

    def _write(self, batch: list['Entry']) -> list['Entry']:
        """Write a batch in one transaction; return what is left of it, nothing if it went well."""
        writer = Writer(self._db)
        numbers: list[tuple[Future[int], int]] = []
        try:
            with_pictures = self._write_pictures(batch)
            durable = any(item.done is not None for item in batch)
            self._db.execute(f'PRAGMA synchronous = {"FULL" if durable else "NORMAL"}')
            self._db.execute('BEGIN IMMEDIATE')
            for item in batch:
                writer.item = item
                number = item.write(writer)
                if item.done is not None:
                    numbers.append((item.done, number))
            writer.flush()
            self._prune(writer, len(batch))
            if with_pictures:
                self._evict()
            self._db.execute('COMMIT')
        except Exception as error:
            self._roll_back()
            if not isinstance(error, (sqlite3.Error, OSError)) or isinstance(error, _ITS_OWN):
                # Not the disk but the thing itself: the others must not wait behind it for ever.
                return self._without(batch, writer, error)
            self._trouble = explain(self.path, error)
            self._fail(batch, self._trouble)
            return batch
        self._trouble = None
        self._unconfirmed += writer.unconfirmed
        self._account(batch)
        for done, number in numbers:
            done.set_result(number)
        if with_pictures or writer.littered:
            self._sweep_quietly()
        return []

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute('ROLLBACK')
        except sqlite3.Error as error:
            self._trouble = explain(self.path, error)

    def _without(self, batch: list['Entry'], writer: 'Writer', error: Exception
                 ) -> list['Entry']:
        culprits = writer.culprits()
        self.refused += len(culprits)
        self._fail(culprits, JournalError(
            'other', f'journal {self.path}: this cannot be stored ({error})'))
        self._account(culprits)
        marks = {id(item) for item in culprits}
        return [item for item in batch if id(item) not in marks]

    def _account(self, gone: Iterable['Entry']) -> None:
        predictions = others = 0
        for item in gone:
            if isinstance(item, (Expect, Sample)) or (isinstance(item, Follow)
                                                      and not item.scored):
                predictions += 1
            else:
                others += 1
        with self._changed:
            self._predictions_waiting -= predictions
            self._backlog -= others

    def _fail(self, items: Iterable['Entry'], error: JournalError) -> None:
        for item in items:
            if item.done is not None:
                done, item.done = item.done, None
                done.set_exception(error)

    # -- retention -----------------------------------------------------------------------------

    def _prune(self, writer: 'Writer', written: int) -> None:
        """Remove the oldest predictions without a confirmation, a few at a time."""
        excess = self._unconfirmed + writer.unconfirmed - self._keep
        if excess <= 0:
            return
        oldest = ('SELECT id FROM predictions WHERE confirmed = 0 ORDER BY id LIMIT '
                  f'{min(excess, 2 * written + 100)}')
        db = self._db
        with_picture = f'FROM pictures WHERE prediction IN ({oldest})'
        if db.execute(f'SELECT 1 {with_picture}').fetchone():
            db.execute(f'INSERT OR IGNORE INTO litter SELECT path {with_picture}')
            db.execute(f'DELETE {with_picture}')
            writer.littered = True
        writer.unconfirmed -= db.execute(
            f'DELETE FROM predictions WHERE id IN ({oldest})').rowcount
        # A shadow's answer stays as long as the one that it followed.
        db.execute('DELETE FROM shadow_predictions WHERE confirmation IS NULL AND id < coalesce('
                   '(SELECT min(id) FROM predictions WHERE confirmed = 0), ?)',
                   (self._prediction,))
        db.execute('DELETE FROM requests WHERE id <= (SELECT max(id) FROM requests) - ?',
                   (self._keep,))

    def _write_pictures(self, batch: list['Entry']) -> bool:
        """Put the batch's pictures beside the file, as litter until their rows are there."""
        items = [item for item in batch
                 if isinstance(item, (Confirm, Request)) and item.picture is not None]
        if not items:
            return False
        if not self._budget:
            for item in items:
                item.picture = None
            return False
        self._db.execute('PRAGMA synchronous = NORMAL')
        self._db.execute('BEGIN IMMEDIATE')
        self._db.executemany('INSERT OR IGNORE INTO litter VALUES (?)',
                             [(item.picture_name,) for item in items])
        self._db.execute('COMMIT')
        for item in items:
            assert item.picture is not None
            try:
                self._pictures.mkdir(exist_ok=True)
                journal_file.write_whole(self._pictures / item.picture_name, item.picture)
            except OSError:
                # The word counts more than the picture.
                self.pictures_lost += 1
                item.picture = None
        return True

    def _evict(self) -> None:
        """Let the least surprising pictures go, the oldest of equals first, down to the budget."""
        db = self._db
        excess = db.execute('SELECT coalesce(sum(bytes), 0) FROM pictures').fetchone()[0]
        excess -= self._budget
        gone = []
        if excess > 0:
            for number, size in db.execute(
                    'SELECT prediction, bytes FROM pictures ORDER BY surprise, prediction'):
                gone.append((number,))
                excess -= size
                if excess <= 0:
                    break
        db.executemany('INSERT OR IGNORE INTO litter '
                       'SELECT path FROM pictures WHERE prediction = ?', gone)
        db.executemany('DELETE FROM pictures WHERE prediction = ?', gone)

    def _sweep(self) -> None:
        """Remove picture files that no row needs."""
        paths = self._db.execute('SELECT path FROM litter').fetchall()
        if not paths:
            return
        for (path,) in paths:
            (self._pictures / path).unlink(missing_ok=True)
            (self._pictures / f'{path}.partial').unlink(missing_ok=True)
        self._db.execute('PRAGMA synchronous = NORMAL')
        self._db.executemany('DELETE FROM litter WHERE path = ?', paths)

    def _sweep_quietly(self) -> None:
        try:
            self._sweep()
        except (OSError, sqlite3.Error):
            self._roll_back()  # they are still listed, so the next time will do


def _future() -> Future[int]:
    future: Future[int] = Future()
    future.set_running_or_notify_cancel()  # what is told cannot be taken back
    return future
