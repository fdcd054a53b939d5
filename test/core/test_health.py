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
