"""
Files of schema 1 to 3, taken over into the table of events, once and with nothing lost.

Their tables say what became of things; in which order it happened is in their numbers. Answers,
requests and confirmations drew theirs from one sequence, and each confirmation knows the newest
answer that it found. So one pass over the rows in this order gives the events, and what the last
run was comes from applying its events to the state that the old tables have of its beginning.
What a row says became of a confirmation was acknowledged, and stands.

When a frame was answered they do not say: its moment is that of the last event that has one.
"""

from collections import Counter
from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import replace
from heapq import merge
import json
from operator import itemgetter
import sqlite3
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import MATCHED
from tool_recognizer.core.confirmation import MEASURED
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.events import Event
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import Noted
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.run import Run
from tool_recognizer.core.run import Settled
from tool_recognizer.event_log.chain import digest_of
from tool_recognizer.event_log.chain import NO_DIGEST
from tool_recognizer.event_log.chain import seal
from tool_recognizer.event_log.chain import snapshot_row
from tool_recognizer.event_log.rows import COLUMNS
from tool_recognizer.event_log.rows import encode
from tool_recognizer.event_log.rows import log_probabilities
from tool_recognizer.event_log.rows import prediction
from tool_recognizer.event_log.rows import Row
from tool_recognizer.event_log.rows import UNUSABLE

# Damaged rows that are named; more are counted. Rows that are written at a stretch.
NAMED, STRETCH = 5, 1000
# The most that ``monitor.window`` can be.
LARGEST_WINDOW = 100_000
# Until the next start says another: ns.
EXPIRE_AFTER = 120_000_000_000
NEVER = -2**63

# Each in the order of its place in the common sequence; of one place, an answer comes first, then
# a confirmation that had come before it, then that the frame is asked for, then any other.
PREDICTIONS = ('SELECT id, 0, id, run, stamp, frame_id, log_probabilities, decision '
               'FROM predictions ORDER BY id')
SHADOW = ('SELECT id, 0, id, test, stamp, frame_id, log_probabilities, position = id '
          'FROM shadow_predictions ORDER BY id')
# After the answer that it is about: a recording that is played again has its frames answered, and
# asked for, again. If that was removed, it was among the first of its run.
REQUESTS = """
    SELECT coalesce((
            SELECT min(id) FROM predictions AS p WHERE p.stamp = r.stamp
            AND p.frame_id = r.frame_id AND p.run = r.run
            AND (SELECT count(*) FROM predictions AS n WHERE n.stamp = p.stamp
                 AND n.frame_id = p.frame_id AND n.run = p.run AND n.id > p.id)
             <= (SELECT count(*) FROM requests AS n WHERE n.stamp = r.stamp
                 AND n.frame_id = r.frame_id AND n.run = r.run AND n.id > r.id)),
            f.first, 1 << 62) AS place,
        2, id, r.run, stamp, frame_id, asked, inclusion_probability, test_share
    FROM requests AS r LEFT JOIN (SELECT run, min(id) AS first FROM predictions GROUP BY run) AS f
    ON f.run = r.run ORDER BY place, id"""
# One that waits does so from when it came last; what became of it before is an end of its own.
CONFIRMATIONS = """
    WITH delivered AS (
        SELECT id, run, stamp, frame_id, received, distribution, operator, nonce, outcome,
            inclusion_probability, newest_prediction, prediction, position FROM confirmations
        WHERE held IS NULL OR outcome <> 'unmatched'
        UNION ALL SELECT id, max(run, ?), stamp, frame_id, received, distribution, operator, nonce,
            'unmatched', NULL, held - 1,
            CASE outcome WHEN 'unmatched' THEN prediction END, NULL FROM confirmations
        WHERE held IS NOT NULL)
    SELECT CAST(max(newest_prediction, coalesce(prediction, 0)) AS INTEGER) AS place,
        CASE WHEN prediction = newest_prediction AND inclusion_probability IS NULL
             THEN 1 ELSE 3 END AS turn,
        c.id, c.run, c.stamp, c.frame_id, received, distribution, operator, nonce, outcome,
        inclusion_probability, (SELECT test_share FROM requests AS r WHERE r.stamp = c.stamp AND
            r.frame_id = c.frame_id AND r.run <= c.run ORDER BY id DESC LIMIT 1),
        p.run, log_probabilities, decision
    FROM delivered AS c LEFT JOIN predictions AS p ON p.id = prediction
    ORDER BY place, turn, position IS NULL, position, c.id"""
OLD_TABLES = ('runs', 'tallies', 'predictions', 'rewinds', 'confirmations', 'requests', 'tests',
              'samples', 'sampling', 'shadow_predictions', 'old_events', 'old_pictures',
              'old_litter')


# What a file of an older schema lacks, so that all have one shape.
ADDED = (
    (2, 'ALTER TABLE requests ADD COLUMN test_share REAL NOT NULL DEFAULT 1.0'),
    (3, 'CREATE TABLE tests (id, run, kind, after_reset, parameters, state)'),
    (3, 'CREATE TABLE samples (id, test, log_probabilities)'),
    (3, 'CREATE TABLE shadow_predictions (id, test, stamp, frame_id, log_probabilities, '
        'position)'))


def rename_old_tables(db: sqlite3.Connection, version: int) -> None:
    """Put aside the tables of a schema, in one shape, within the caller's transaction."""
    for name in ('events', 'pictures', 'litter'):
        db.execute(f'ALTER TABLE {name} RENAME TO old_{name}')
    db.execute('DROP INDEX pictures_by_surprise')
    for since, statement in ADDED:
        if version < since:
            db.execute(statement)


def take_over(db: sqlite3.Connection) -> list[str]:
    """
    Write the old tables' rows as events, and drop them, within the caller's transaction.

    Parameters
    ----------
    db : the file, with the tables of this version

    Returns
    -------
    What is damaged, and left out, a line each

    Raises
    ------
    sqlite3.Error
        The file cannot be read or written.

    """
    taking = _Taking(db)
    taking.events()
    taking.pictures()
    for table in OLD_TABLES:
        db.execute(f'DROP TABLE IF EXISTS {table}')
    more = taking.damaged - len(taking.notes)
    return [*taking.notes, *([f'{more} more rows are damaged and left out'] if more else [])]


class _Known(NamedTuple):
    """A run: the id of the event that began it, and its model."""

    number: int
    digest: str
    labels: tuple[str, ...]


class _Taking:
    """One takeover: where it stands."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.notes: list[str] = []
        self.damaged = 0
        self._db = db
        self._last, self._digest, self._moment = 0, NO_DIGEST, 0
        self._rows: list[Row] = []
        # The old runs that are still to begin, and those that have, by their old numbers.
        self._runs = deque(db.execute('SELECT id, started, reason, model_digest, labels, '
                                      'parameters FROM runs ORDER BY id'))
        ((self._first,),) = db.execute(
            "SELECT coalesce(max(id), 0) FROM runs WHERE reason <> 'reset'").fetchall()
        self._known: dict[int, _Known] = {}
        self._newest: int | None = None
        # The last run, and the old number of the test with which its shadow began.
        self._run: Run | None = None
        self._shadow = 0
        self._tests: dict[int, tuple[int, int]] = {}
        self._noted = iter(db.execute('SELECT CAST(run AS INTEGER), CAST(moment AS INTEGER), id, '
                                      'kind, detail FROM old_events ORDER BY id'))
        self._next_noted = next(self._noted, None)

    def events(self) -> None:
        """Write all events, and what the last run has come to."""
        streams = [self._stream(self._answer, 'predictions', PREDICTIONS),
                   self._stream(self._ask, 'requests', REQUESTS),
                   self._stream(self._confirm, 'confirmations', CONFIRMATIONS, self._first),
                   self._stream(self._follow, 'shadow_predictions', SHADOW)]
        root = 0
        for test, run, goes_on in self._db.execute(
                "SELECT id, run, after_reset FROM tests WHERE kind = 'shadow' ORDER BY id"):
            root = root if goes_on else test
            self._tests[test] = run, root
        for _, _, take, table, row in merge(*streams, key=itemgetter(0, 1)):
            with self._whole(table, row[0]):
                take(*row[1:])
        self._begin_until(2**63)
        self._note(2**63, NEVER)
        if self._run is not None:
            self._sample()
            counts: Counter[Outcome] = Counter()
            for outcome, n in self._db.execute('SELECT outcome, n FROM tallies WHERE run = ?',
                                               (self._newest,)):
                with self._whole('tallies', self._newest):
                    counts[Outcome(outcome)] = int(n)
            self._run.monitor.counts = counts
            self._snapshot(self._run.to_state())
        self._flush()

    def pictures(self) -> None:
        """List the pictures by their frames; of two of one frame the newer one."""
        db = self._db
        db.execute('INSERT INTO litter SELECT path FROM old_litter')
        for number, path, size, digest, surprise, *key in db.execute(
                'SELECT prediction, path, bytes, digest, surprise, stamp, frame_id '
                'FROM old_pictures LEFT JOIN predictions ON id = prediction '
                'ORDER BY prediction DESC'):
            with self._whole('pictures', number):
                if None in key:
                    raise ValueError(f'answer {number} is missing')
                row = *key, path, size, bytes.fromhex(digest), surprise
                if not db.execute('INSERT OR IGNORE INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)',
                                  (*row, seal(*row))).rowcount:
                    db.execute('INSERT OR IGNORE INTO litter VALUES (?)', (path,))

    def _stream(self, take: Callable[..., None], table: str, sql: str, *values: int
                ) -> Iterator[tuple[Any, ...]]:
        for place, turn, *row in self._db.execute(sql, values):
            yield place, turn, take, table, row

    @contextmanager
    def _whole(self, table: str, number: object) -> Iterator[None]:
        """Leave a damaged row out, and say so."""
        try:
            yield
        except UNUSABLE as error:
            self.damaged += 1
            if len(self.notes) < NAMED:
                self.notes.append(f'row {number} of {table} is damaged and left out ({error})')

    # -- runs ---------------------------------------------------------------------------------

    def _begin_until(self, run: int) -> None:
        while self._runs and self._runs[0][0] <= run:
            row = self._runs.popleft()
            with self._whole('runs', row[0]):
                self._begin(*row)

    def _reach(self, run: int) -> _Known:
        """Begin the runs up to this one; return it."""
        self._begin_until(run)
        if run not in self._known:
            raise ValueError(f'it is of run {run}, which is not known')
        return self._known[run]

    def _begin(self, number: int, started: int, reason: str, digest: str, labels_text: str,
               parameters_text: str) -> None:
        labels, parameters = tuple(json.loads(labels_text)), dict(json.loads(parameters_text))
        self._note(number, NEVER)
        before = self._known.get(self._newest or 0)
        if reason == 'reset' and before is not None and before[1:] == (digest, labels):
            self._known[number], self._newest = before, number
            self._happen(before, RunReset(started))
            if self._run is not None:
                self._restore(number, self._run, digest)
                self._snapshot(self._run.to_state())
            return
        known = _Known(self._last + 1, digest, labels)
        self._run = None
        self._write(known, RunBegan(started, 'start' if reason == 'reset' else reason, digest,
                                    labels, parameters))
        self._known[number], self._newest, self._moment = known, number, started
        run = None
        with self._whole('runs', number):
            run = self._new_run(number, known, parameters.get('monitor.volunteered') == 'score')
        # Without a state that can be used the next start begins another run.
        self._snapshot({} if run is None else run.to_state())
        self._run = run if number >= self._first else None

    def _new_run(self, number: int, known: _Known, complete: bool) -> Run:
        _, digest, labels = known
        scored, asks = self._db.execute(
            "SELECT (SELECT count(*) FROM confirmations WHERE run >= ? AND outcome IN ('scored', "
            "'late')), EXISTS (SELECT 1 FROM requests WHERE run >= ?) OR EXISTS (SELECT 1 FROM "
            "confirmations WHERE run >= ? AND (outcome = 'volunteered' OR inclusion_probability "
            'IS NOT NULL))', 3 * (number,)).fetchone()
        self._window = min(max(200, scored), LARGEST_WINDOW)
        run = Run(digest, Monitor(labels, DriftDetector(len(labels)), window=self._window,
                                  complete=complete or not asks),
                  EarlyWarning(len(labels)), Requests(EXPIRE_AFTER), 0)
        self._shadow = min((test for test, (of, root) in self._tests.items()
                            if of == number and root == test), default=0)
        run.comparison = self._comparison(labels, digest)
        self._restore(number, run, digest)
        return run

    def _restore(self, number: int, run: Run, digest: str) -> None:
        """Give a run the tests as the old tables have them of its beginning."""
        ((text,),) = self._db.execute('SELECT state FROM runs WHERE id = ?', (number,)).fetchall()
        if state := json.loads(text):
            run.monitor.detector = DriftDetector.from_state(state)
        for test, parameters, text in self._of_tests("kind = 'early_warning' AND run = ?", number):
            with self._whole('tests', test):
                run.warning = EarlyWarning.from_state(json.loads(text))
                run.sampling_interval = json.loads(parameters)['interval']
        for test, _, text in self._of_tests(
                "kind = 'shadow' AND after_reset AND run = ?", number):
            with self._whole('tests', test):
                if run.comparison is not None:
                    run.comparison.monitor.detector = DriftDetector.from_state(json.loads(text))

    def _comparison(self, labels: tuple[str, ...], digest: str) -> Comparison | None:
        """Begin a comparison with the shadow model, if there is one."""
        for test, text, state in self._of_tests('id = ?', self._shadow):
            with self._whole('tests', test):
                parameters = json.loads(text)
                return Comparison(
                    Monitor(tuple(parameters['labels']),
                            DriftDetector.from_state(json.loads(state)), window=self._window),
                    labels, (digest, parameters['model_digest']))
        return None

    def _of_tests(self, condition: str, value: int) -> list[tuple[int, str, str]]:
        """Read the newest of some of the tests beside the drift test."""
        return self._db.execute(f'SELECT id, parameters, state FROM tests WHERE {condition} '
                                'ORDER BY id DESC LIMIT 1', (value,)).fetchall()

    # -- what happened ------------------------------------------------------------------------

    def _answer(self, run: int, stamp: int, frame_id: str, blob: bytes, decision: str) -> None:
        known = self._reach(run)
        self._happen(known, FrameAnswered(self._moment, prediction(
            FrameKey(Stamp(stamp), frame_id), blob, known.labels, known.digest), decision))

    def _ask(self, run: int, stamp: int, frame_id: str, moment: int, inclusion: float,
             share: float) -> None:
        known = self._reach(run)
        self._note(run, moment)
        self._happen(known, FrameAsked(moment, FrameKey(Stamp(stamp), frame_id),
                                       Asked(inclusion, share)))

    def _confirm(self, run: int, stamp: int, frame_id: str, moment: int, distribution: str,
                 operator: str, nonce: str, outcome_text: str, inclusion: float | None,
                 share: float | None, answered_in: int | None, blob: bytes | None, decision: str
                 ) -> None:
        known, outcome, key = self._reach(run), Outcome(outcome_text), FrameKey(
            Stamp(stamp), frame_id)
        confirmation = Confirmation(key, dict(json.loads(distribution)), operator, nonce)
        asked = None if inclusion is None else Asked(inclusion, share or 1.0)
        of, joined = known, None
        with suppress(*UNUSABLE):  # if the answer is damaged, its own row says so
            if answered_in is not None and blob is not None:
                of = self._reach(answered_in)
                joined = prediction(key, blob, of.labels, of.digest)
        self._note(run, moment)
        event = FrameConfirmed(moment, confirmation)
        ours = self._is_last(known)
        if ours and outcome in MATCHED:
            self._agree(known, key, outcome, asked)
        self._write(of, event, Settled(confirmation, outcome, joined, decision or '', asked))
        # What the file did not join to a frame must not be joined now, and the other way round;
        # and what it took for a repetition changes nothing.
        if ours and self._run is not None and (
                self._run.monitor.pending(key) is not None) == (outcome in MATCHED) and (
                outcome in (*MATCHED, Outcome.UNMATCHED)):
            self._run.apply(event)

    def _agree(self, known: _Known, key: FrameKey, outcome: Outcome, asked: Asked | None) -> None:
        """Have the last run see a confirmation as it was seen then."""
        assert self._run is not None
        monitor, settings = self._run.monitor, self._run.settings
        complete = asked is None and outcome is not Outcome.VOLUNTEERED
        if outcome in MEASURED and monitor.complete != complete:
            # A start in between had changed it.
            self._happen(known, RunContinued(self._moment, settings._replace(
                monitor=settings.monitor._replace(complete=complete))))
        noted = monitor.asked(key)
        if noted != asked:
            monitor.ask(key, asked or Asked(1.0))

    def _follow(self, test: int, stamp: int, frame_id: str, blob: bytes, scored: int | None
                ) -> None:
        run, root = self._tests[test]
        # The test is the last one that knew it, and may have begun after it.
        known = self._reach(run if scored else min(run, self._newest or run))
        answer = prediction(FrameKey(Stamp(stamp), frame_id), blob, known.labels, known.digest)
        ours, last = self._is_last(known), self._run
        if last is not None and ours and root > self._shadow:
            self._shadow = root
            begun = self._comparison(known.labels, known.digest)
            self._happen(known, RunContinued(
                self._moment, last.settings._replace(shadow=None),
                {'comparison': None if begun is None else begun.to_state()}))
        event = ShadowAnswered(self._moment, answer)
        self._write(known, event)
        if last is not None and last.comparison is not None and ours and root == self._shadow:
            digest, labels = last.comparison.identity
            last.apply(replace(event, prediction=replace(
                answer, labels=labels, model_digest=digest)))

    def _note(self, run: int, moment: int) -> None:
        """Write what was noted in the runs before, and in this one before a moment."""
        while self._next_noted is not None and self._next_noted[:2] < (run, moment):
            of, when, number, kind, detail = self._next_noted
            self._next_noted = next(self._noted, None)
            with self._whole('events', number):
                self._happen(self._reach(of), Noted(when, kind, dict(json.loads(detail))))

    def _sample(self) -> None:
        """Write what the early warning took in since its state, and where its sampler stands."""
        last = self._known[self._newest or 0]
        for test, _, _ in self._of_tests("kind = 'early_warning' AND run = ?", self._newest or 0):
            ((windows, begin, end, taken),) = self._db.execute(
                'SELECT windows, opened, closes, features FROM sampling WHERE test = ?', (test,)
                ).fetchall() or [(0, 0, 0, None)]
            features = None if taken is None else np.frombuffer(taken, '<f4')
            sampling = Sampling(windows, begin, end, features)
            self._happen(last, SampleTaken(self._moment, sampling, None))
            for number, blob in self._db.execute(
                    'SELECT id, log_probabilities FROM samples WHERE test = ? ORDER BY id',
                    (test,)):
                with self._whole('samples', number):
                    self._happen(last, SampleTaken(self._moment, sampling,
                                                   log_probabilities(blob)))

    # -- writing ------------------------------------------------------------------------------

    def _is_last(self, known: _Known) -> bool:
        """Tell whether a run is the last one, which is gone on with."""
        return self._run is not None and known is self._known[self._newest or 0]

    def _happen(self, known: _Known, event: Event) -> None:
        """Write an event, and let it happen to the last run."""
        self._write(known, event)
        if self._run is not None and self._is_last(known):
            self._run.apply(event)

    def _write(self, known: _Known, event: Event, settled: Settled | None = None) -> None:
        row = Row._make((self._last + 1, known.number, *encode(event, settled), b''))
        self._digest = digest_of(self._digest, row)
        self._rows.append(row._replace(digest=self._digest))
        self._last = row.id
        self._moment = max(self._moment, event.moment)
        if len(self._rows) >= STRETCH:
            self._flush()

    def _flush(self) -> None:
        self._db.executemany(f'INSERT INTO events ({COLUMNS}) VALUES '
                             '(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', self._rows)
        self._rows.clear()

    def _snapshot(self, state: Any) -> None:
        self._db.execute('INSERT INTO snapshots VALUES (?, ?, ?, ?)', snapshot_row(
            self._last, self._digest, self._known[self._newest or 0].number, state))
