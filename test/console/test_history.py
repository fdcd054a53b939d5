"""What a journal tells is what the monitor had said."""

from math import isnan

import numpy as np
import pytest
from tool_recognizer.console.history import POINTS
from tool_recognizer.console.history import read_points
from tool_recognizer.console.history import read_scored
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.writer import Journal

LABELS = ('hammer', 'screwdriver', 'wrench')
START = 1_700_000_000


@pytest.fixture
def told(tmp_path):
    """Let a monitor watch frames, with a journal; tell its path and what the monitor said."""
    def tell(n, state=True):
        path = tmp_path / 'journal.db'
        rng = np.random.default_rng(0)
        monitor = Monitor(LABELS, DriftDetector(3), window=20)
        said = []
        with Journal(path) as journal:
            journal.start_run('start', 'a' * 64, LABELS, START * 10 ** 9,
                              state=monitor.detector.to_state() if state else None)
            for number in range(n):
                log_p = log_softmax(2.0 * rng.normal(size=3))
                key = FrameKey(number + 1, 'camera')
                prediction = Prediction(key, LABELS, log_p, np.zeros(0, np.float32), 'a' * 64)
                asked = Asked(float(rng.uniform(0.1, 1.0)))
                monitor.ask(key, asked)
                monitor.expect(prediction)
                journal.expect(prediction, '', None)
                journal.request(key, asked.inclusion_probability, START * 10 ** 9)
                word = Confirmation(key, {LABELS[rng.integers(3)]: 1.0})
                outcome = monitor.confirm(word)
                journal.confirm(word, outcome, received=(START + number) * 10 ** 9,
                                prediction=prediction,
                                inclusion_probability=asked.inclusion_probability)
                said.append((monitor.figures(), monitor.detector.evidence))
        return path, said
    return tell


def test_the_figures_of_the_past_are_those_that_the_monitor_had(told):
    path, said = told(60)
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
    path, _ = told(5, state=False)
    assert all(isnan(p.evidence) for p in read_points(path, 0.0))


def test_the_scored_frames_come_once_each(told):
    path, _ = told(10)
    frames, last = read_scored(path, 0, START + 4.0)
    assert [frame.key.stamp for frame in frames] == [5, 6, 7, 8, 9, 10]
    assert all(frame.label in LABELS and frame.guess in LABELS for frame in frames)
    wrong = [frame for frame in frames if frame.guess != frame.label]
    assert all(frame.nll > -np.log(frame.probability) for frame in wrong)
    assert read_scored(path, last, 0.0) == ([], last)


def test_a_journal_that_is_not_there_is_told(tmp_path):
    with pytest.raises(JournalError, match='no such file'):
        read_points(tmp_path / 'none.db', 0.0)
