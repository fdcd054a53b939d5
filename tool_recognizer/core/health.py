"""What came in, what was answered, what was dropped and why, and how long it took."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

# Latencies kept for the percentiles.
LATENCIES = 1000


@dataclass(frozen=True)
class Latency:
    """Percentiles over the last answers, milliseconds; nan before the first answer."""

    p50: float
    p95: float
    p99: float


class InputHealth:
    """
    Counters since the start, and the latest latencies.

    Attributes
    ----------
    received : frames that arrived
    answered : frames with a published answer
    dropped : frames without one, by reason ('busy', 'encoding', 'corrupt', ...)
    invalid_confirmations : confirmations that are no distribution over labels

    """

    def __init__(self) -> None:
        self.received = 0
        self.answered = 0
        self.dropped: Counter[str] = Counter()
        self.invalid_confirmations = 0
        self._latencies = np.full(LATENCIES, np.nan)

    def answer(self, seconds: float) -> None:
        """Count an answer, which came this long after its frame's arrival."""
        self._latencies[self.answered % LATENCIES] = seconds * 1e3
        self.answered += 1

    def latency(self) -> Latency:
        """Percentiles of the time from a frame's arrival to its published answer."""
        known = self._latencies[:min(self.answered, LATENCIES)]
        if known.size == 0:
            return Latency(float('nan'), float('nan'), float('nan'))
        p50, p95, p99 = np.percentile(known, [50.0, 95.0, 99.0])
        return Latency(float(p50), float(p95), float(p99))
