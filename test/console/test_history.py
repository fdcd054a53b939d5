"""What a journal tells is what the monitor had said."""

from contextlib import closing
from math import isnan
import sqlite3
import tracemalloc

from journal_writer import JournalWriter
from journal_writer import LABELS
import numpy as np
import pytest
from tool_recognizer.console.history import POINTS
from tool_recognizer.console.history import read_points
from tool_recognizer.console.history import read_scored
from tool_recognizer.core.inspection import Asked
from tool_recognizer.event_log.file import JournalError

START = 1_700_000_000


@pytest.fixture
def told(tmp_path):
    """Let an engine watch frames, with a journal; tell its path and what its monitor said."""
    def tell(n, reset_at=(), complete=False):
        path = tmp_path / 'journal.db'
        rng = np.random.default_rng(0)
        said = []
        with JournalWriter(path, LABELS, START * 10 ** 9, complete=complete,
                           window=20) as journal:
            engine = journal.engine
            for number in range(n):
                if number in reset_at:
                    engine.reset((START + number) * 10 ** 9)
                key = journal.answer(number + 1, rng.dirichlet(np.ones(3)))
                engine.ask(key, Asked(float(rng.uniform(0.1, 1.0))), START * 10 ** 9)
                journal.confirm(number + 1, LABELS[rng.integers(3)],
                                moment=(START + number) * 10 ** 9)
                said.append((engine.figures(), engine.run.monitor.detector.evidence))
        return path, said
    return tell


@pytest.mark.parametrize(('reset_at', 'complete'), [((), False), ((35,), False), ((), True)])
def test_the_figures_of_the_past_are_those_that_the_monitor_had(told, reset_at, complete):
    path, said = told(60, reset_at, complete)
    points = read_points(path, 0.0, window=20)
    np.testing.assert_array_equal(
        [(p.n, p.nll, p.nll_ci_low, p.nll_ci_high, p.entropy, p.kl, p.evidence) for p in points],
        [(f.n, f.nll, f.nll_ci_low, f.nll_ci_high, f.entropy, f.kl, evidence)
         for f, evidence in said])
    assert [p.moment for p in points] == [START + number for number in range(60)]


def test_only_the_range_is_told_but_with_the_window_that_began_before_it(told):
    path, said = told(60)
    points = read_points(path, START + 50.0, window=20)
    assert [p.n for p in points] == list(range(51, 61))
    assert points[0].nll == said[50][0].nll


def test_a_long_past_is_thinned_out_and_ends_with_now(told, monkeypatch):
    monkeypatch.setattr('tool_recognizer.console.history.POINTS', 10)
    assert POINTS > 10
    path, _ = told(60)
    points = read_points(path, 0.0)
    assert len(points) <= 11
    assert points[-1].n == 60


def test_evidence_that_cannot_be_known_is_not_made_up(told):
    path, _ = told(5)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute('DELETE FROM snapshots')
    assert all(isnan(p.evidence) for p in read_points(path, 0.0))


def test_the_scored_frames_come_once_each(told):
    path, _ = told(10)
    frames, last = read_scored(path, 0, START + 4.0)
    assert [frame.key.stamp for frame in frames] == [5, 6, 7, 8, 9, 10]
    assert all(frame.label in LABELS and frame.guess in LABELS for frame in frames)
    wrong = [frame for frame in frames if frame.guess != frame.label]
    assert all(frame.nll > -np.log(frame.probability) for frame in wrong)
    assert read_scored(path, last, 0.0) == ([], last)


def test_what_is_new_takes_no_more_memory_in_a_journal_of_many_pictures(told):
    path, _ = told(10)
    _, last = read_scored(path, 0, 0.0)

    def peak():
        tracemalloc.start()
        try:
            read_scored(path, last - 2, 0.0)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    before = peak()
    many = 5000
    with closing(sqlite3.connect(path)) as db, db:
        db.executemany("INSERT INTO pictures VALUES (?, 'camera', ?, 0, x'', 0.0, x'')",
                       ((number, f'{number}.jpg') for number in range(100, 100 + many)))
    assert peak() < before + 10 * many


def test_a_journal_that_is_not_there_is_told(tmp_path):
    with pytest.raises(JournalError, match='no such file'):
        read_points(tmp_path / 'none.db', 0.0)
