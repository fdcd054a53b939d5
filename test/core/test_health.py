"""Latency percentiles, as NumPy has them, over the latest answers only."""

import numpy as np
import pytest
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.health import LATENCIES


def test_percentiles_are_over_the_latest_answers():
    health = InputHealth()
    assert np.isnan(health.latency().p50)
    for _ in range(LATENCIES):
        health.answer(9.0)
    late = np.random.default_rng(0).uniform(0.001, 0.1, LATENCIES)
    for seconds in late:
        health.answer(seconds)
    latency = health.latency()
    assert latency.p50 == pytest.approx(np.percentile(late, 50) * 1e3)
    assert latency.p95 == pytest.approx(np.percentile(late, 95) * 1e3)
    assert latency.p99 == pytest.approx(np.percentile(late, 99) * 1e3)
    assert health.answered == 2 * LATENCIES


def test_frames_that_are_all_refused_are_told_with_the_reason_and_its_cure():
    health = InputHealth()
    assert health.silence() == health.refusals() == ''
    for _ in range(120):
        health.drop('encoding', "encoding '16UC1' is a depth image: remap image_raw")
    assert health.silence() == (
        "every frame is refused: encoding '16UC1' is a depth image: remap image_raw (120 of 120)")
    health.answer(0.1)
    assert health.silence() == ''


def test_a_few_bad_frames_are_no_trouble_and_many_are():
    health = InputHealth()
    for number in range(200):
        health.answer(0.1)
        if number % 20 == 0:
            health.drop('corrupt', 'the JPEG is cut short')
    assert health.refusals() == ''
    for _ in range(30):
        health.drop('corrupt', 'the JPEG is cut short')
        health.answer(0.1)
    assert health.refusals().startswith('the JPEG is cut short (')


def test_answers_that_all_come_too_late_are_told():
    health = InputHealth()
    for _ in range(3):
        health.drop('busy')
        health.answer(0.7, 'it takes 0.7 s, decision.deadline is 0.5 s')
    assert health.silence() == (
        'every answer is too late: it takes 0.7 s, decision.deadline is 0.5 s (3 of 3)')
    assert health.dropped == {'busy': 3}
    health.answer(0.1)
    health.drop('busy')
    assert '1 frames came while one is worked on' in health.silence()
