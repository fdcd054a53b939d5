"""A log that is killed a hundred times loses nothing that it acknowledged, and counts it once."""

from contextlib import closing
import json
import os
from pathlib import Path
import random
import signal
import sqlite3
import subprocess
import sys
from time import sleep

import journal_under_kill as under_kill
from journal_under_kill import LABELS
import numpy as np
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.paired import PairedNll
from tool_recognizer.core.run import Run
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.rows import COLUMNS
from tool_recognizer.event_log.rows import decode
from tool_recognizer.event_log.rows import decode_state
from tool_recognizer.event_log.rows import Row

HERE = Path(__file__).parent
LIVES = 100
# Generous: it only bounds how long a failing test takes, s.
PATIENCE = 120.0


class Lives:
    """Writers that are killed, one after the other."""

    def __init__(self, path):
        self._path = path
        self._server = subprocess.Popen(
            [sys.executable, HERE / 'journal_under_kill.py'], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, cwd=HERE.parent.parent,
            env={**os.environ, 'PYTHONPATH': str(HERE.parent.parent)})

    def one(self, first, again, acknowledgements, delay):
        """
        Live until killed; return what was sent and what was acknowledged, in order.

        The kill comes some seconds after a number of acknowledgements, or, if that is None, after
        the very start.
        """
        self._server.stdin.write(json.dumps([str(self._path), first, again]) + '\n')
        self._server.stdin.flush()
        said, child = [], None
        while child is None or (acknowledgements is not None and sum(
                w[0] == 'acknowledged' for w in said) < acknowledgements):
            line = self._server.stdout.readline().split()
            assert line, 'the server of lives has ended'
            assert line[0] != 'dead', 'a writer ended by itself'
            if line[0] == 'life':
                child = int(line[1])
            else:
                said.append(line)
        sleep(delay)
        os.kill(child, signal.SIGKILL)
        while (line := self._server.stdout.readline().split())[0] != 'dead':
            said.append(line)
        assert int(line[1]) == signal.SIGKILL
        return ([int(w[1]) for w in said if w[0] == 'sent'],
                [int(w[1]) for w in said if w[0] == 'acknowledged'])

    def close(self):
        self._server.stdin.close()
        self._server.wait(PATIENCE)
        self._server.stdout.close()


def restored(path):
    """Return the last run, as the next start would go on with it; None before the first."""
    log = under_kill.opened(path)
    try:
        known = log.restore(under_kill.DIGEST, LABELS, {})
    finally:
        log.release()
    if known is None:
        return None
    assert known.notes == ()
    return known.run


def plain(state):
    """Write a state so that equal ones are equal texts."""
    return json.dumps(state, sort_keys=True, default=lambda array: array.tolist())


def folds(path):
    """Yield the run that follows from each snapshot and the rows after it, the newest first."""
    with closing(sqlite3.connect(path)) as db:
        snapshots = db.execute('SELECT event, run, state FROM snapshots ORDER BY event DESC')
        pruned = db.execute('SELECT max(last) FROM pruned').fetchone()[0] or 0
        for event, number, state in snapshots.fetchall():
            if event < pruned:
                continue
            run = Run.from_state(decode_state(state))
            for row in map(Row._make, db.execute(
                    f'SELECT {COLUMNS} FROM events WHERE id > ? AND run = ? ORDER BY id',
                    (event, number))):
                run.apply(decode(row, run))
            yield run


def stamps_of(monitor):
    """Return the stamps of the frames that a monitor has scored, in their order."""
    return monitor.to_state()['stamps'].tolist()


def entropies(warning):
    """Return the entropy of each sample that an early warning took in, which tells them apart."""
    found = [score for values in warning.to_state()['lists'] for score, *_ in values]
    assert len(found) == warning.n_samples
    return found


def test_nothing_acknowledged_is_lost_or_counted_twice_through_a_hundred_kills(tmp_path):
    path = tmp_path / 'journal.db'
    rng = random.Random(1)
    lives = Lives(path)
    promised, told, again = set(), set(), []
    before, shadow_before, samples_before = [], [], set()
    first, kills_under_load = 0, 0
    try:
        for _ in range(LIVES):
            acknowledgements = None if rng.random() < 0.2 else rng.randint(0, 20)
            sent, acknowledged = lives.one(first, again, acknowledgements, rng.uniform(0.0, 0.02))
            promised |= set(acknowledged)
            told |= set(sent)
            kills_under_load += len(sent) > len(acknowledged)
            again_in_this_life = again
            again = sorted({*again, *sent} - set(acknowledged))[-10:]
            run = restored(path)
            if run is None:
                assert not promised
                continue
            state = run.to_state()
            assert plain(state) == plain(next(folds(path)).to_state())
            stamps = stamps_of(run.monitor)
            early = {stamp for stamp, *_ in state['monitor']['early']}
            # Each once; none that was promised is missing, none is there that was never told.
            assert len(stamps) == len(set(stamps))
            assert promised <= set(stamps) | early
            assert set(stamps) | early <= told
            # What an earlier life left is there, in the order that it had; what this one added
            # is in the order in which it was told. (Early ones wait for their frame.)
            assert stamps[:len(before)] == before
            added = [s for s in stamps[len(before):] if s % under_kill.PER_CONFIRMATION == 0]
            assert added == [s for s in sent if s in set(added)]
            before = stamps
            # The same holds for the shadow; if it has not scored one, its answer came too late to
            # be on disk, which an answer before the confirmation cannot.
            shadow = run.comparison.monitor
            followed = stamps_of(shadow)
            assert len(followed) == len(set(followed))
            assert set(followed) <= set(stamps)
            assert followed[:len(shadow_before)] == shadow_before
            late = set(stamps) - set(followed)
            assert not any(shadow.pending(under_kill.frame(s).key) for s in late)
            assert not {s for s in late & set(acknowledged) - set(again_in_this_life)
                        if s % under_kill.PER_CONFIRMATION == 0
                        and not under_kill.told_before_the_shadow_answers(s)}
            shadow_before = followed
            # Each sample of the early warning is another frame's, and there only once.
            samples = entropies(run.warning)
            assert len(samples) == len(set(samples))
            assert samples_before <= set(samples)
            samples_before = set(samples)
            newest = state['monitor']['newest'].get('camera', 0)
            first = max([first, *told, newest]) + 10
            first += -first % under_kill.PER_CONFIRMATION
    finally:
        lives.close()
    # From whichever snapshot, the rows lead to the same run.
    every = {plain(fold.to_state()) for fold in folds(path)}
    assert every == {plain(run.to_state())}
    # The oracle: the same frames, computed from their stamps and told to a monitor directly.
    oracle = under_kill.monitor()
    for stamp in stamps:
        oracle.score(under_kill.prediction(stamp), under_kill.confirmation(stamp), None)
    assert repr(run.monitor.figures()) == repr(oracle.figures())
    assert run.monitor.detector.evidence == oracle.detector.evidence
    counts = run.monitor.counts
    assert counts[Outcome.SCORED] + counts[Outcome.LATE] == len(stamps)
    drift, pairs = under_kill.monitor(), PairedNll()
    for stamp in followed:
        candidate = under_kill.prediction(stamp, under_kill.CANDIDATE)
        confirmed = under_kill.confirmation(stamp)
        drift.score(candidate, confirmed, None)
        pairs.add(np.array([confirmed.distribution.get(label, 0.0) for label in LABELS]),
                  candidate.log_probabilities, under_kill.prediction(stamp).log_probabilities)
    assert repr(run.comparison.difference()) == repr(pairs.figures())
    assert run.comparison.monitor.detector.evidence == drift.detector.evidence
    # The reader has the same.
    with JournalReader(path) as reader:
        assert list(reader.problems()) == []
        assert [stored.stamp for stored in reader.measured()] == stamps
        listed = [stored.stamp for stored in reader.confirmations()]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(stamps) | early
    # It was a test at all: kills hit confirmations in flight, and there were many.
    assert kills_under_load > LIVES / 10
    assert len(late) < len(followed) / 10
    assert len(samples) > LIVES
    assert len(promised) > LIVES
