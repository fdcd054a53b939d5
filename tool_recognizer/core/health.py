"""What came in, what was answered, what was dropped and why, and how long it took."""

from collections import Counter
from collections import deque
from dataclasses import dataclass

import numpy as np

# Latencies kept for the percentiles.
LATENCIES = 1000
# Frames that are spoken of together, and the share of them from which what is refused is told.
RECENT = 100
SHARE = 0.1
# Dropped on purpose: for a newer frame, or because the node is paused.
ON_PURPOSE = ('busy', 'disabled')


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
    words : what was said of the last one that was dropped or answered too late, by reason
    invalid_confirmations : confirmations that are no distribution over labels

    """

    def __init__(self) -> None:
        self.received = 0
        self.answered = 0
        self.dropped: Counter[str] = Counter()
        self.words: dict[str, str] = {}
        self.invalid_confirmations = 0
        # Since the last answer in time; and of the last frames: '' or the reason.
        self._in_vain: Counter[str] = Counter()
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._latencies = np.full(LATENCIES, np.nan)

    def answer(self, seconds: float, late: str = '') -> None:
        """
        Count an answer.

        Parameters
        ----------
        seconds : since its frame's arrival
        late : why it was too late to decide anything; '': it was in time

        """
        self._latencies[self.answered % LATENCIES] = seconds * 1e3
        self.answered += 1
        self._recent.append('')
        if late:
            self._in_vain['late'] += 1
            self.words['late'] = late
        else:
            self._in_vain.clear()

    def drop(self, reason: str, words: str = '') -> None:
        """
        Count a frame that gets no answer.

        Parameters
        ----------
        reason : one word
        words : what is wrong with this one, and what mends it

        """
        self.dropped[reason] += 1
        if reason != 'disabled':
            self._in_vain[reason] += 1
        if reason not in ON_PURPOSE:
            self.words[reason] = words
            self._recent.append(reason)

    def refusals(self) -> str:
        """Say what is wrong with many of the last frames, if they are refused; or ''."""
        recent = Counter(self._recent.copy())
        del recent['']
        return self._said(recent, len(self._recent)) if (
            recent.total() > SHARE * len(self._recent)) else ''

    def silence(self) -> str:
        """Say why no frame was answered in time since the last one was; '' if none came."""
        in_vain = self._in_vain.copy()
        busy, total = in_vain.pop('busy', 0), in_vain.total()
        late = in_vain.pop('late', 0)
        if in_vain:
            return f'every frame is refused: {self._said(in_vain, total)}'
        if late:
            return f'every answer is too late: {self.words["late"]} ({late} of {total})'
        return (f'every answer is too late: {busy} frames came while one is worked on; take a '
                'smaller model, or a faster machine') if busy else ''

    def _said(self, refused: 'Counter[str]', total: int) -> str:
        return '; '.join(f'{self.words.get(reason) or reason} ({n} of {total})'
                         for reason, n in refused.most_common())

    def latency(self) -> Latency:
        """Percentiles of the time from a frame's arrival to its published answer."""
        known = self._latencies[:min(self.answered, LATENCIES)]
        if known.size == 0:
            return Latency(float('nan'), float('nan'), float('nan'))
        p50, p95, p99 = np.percentile(known, [50.0, 95.0, 99.0])
        return Latency(float(p50), float(p95), float(p99))
