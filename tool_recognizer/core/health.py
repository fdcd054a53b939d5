"""What came in, what was answered, what was dropped and why, and how long it took."""

from collections import Counter
from collections import deque
from dataclasses import dataclass

import numpy as np
from tool_recognizer.core.text import Said

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
    refused_confirmations : confirmations that cannot be used, by the part that is wrong
    refused_why : what was said of the last one of them
    refused_notes : notes of what people did that cannot be kept

    """

    def __init__(self) -> None:
        self.received = 0
        self.answered = 0
        self.dropped: Counter[str] = Counter()
        self.words: dict[str, str] = {}
        self.refused_confirmations: Counter[str] = Counter()
        self.refused_why = ''
        self.refused_notes = 0
        # Since the last answer in time; and of the last frames: '' or the reason.
        self._in_vain: Counter[str] = Counter()
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._latencies = np.full(LATENCIES, np.nan)

    def receive(self, replaced: int = 0) -> None:
        """
        Count a frame that arrived.

        Parameters
        ----------
        replaced : frames that arrived before it, while another one was worked on: nobody will
            look at them

        """
        self.received += 1 + replaced
        if replaced:
            self.drop('busy', number=replaced)

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
            # In this order: another thread that reads the count reads the words next.
            self.words['late'] = late
            self._in_vain['late'] += 1
        else:
            self._in_vain.clear()

    def drop(self, reason: str, words: str = '', number: int = 1) -> None:
        """
        Count a frame that gets no answer.

        Parameters
        ----------
        reason : one word
        words : what is wrong with this one, and what mends it
        number : of such frames

        """
        self.dropped[reason] += number
        if reason != 'disabled':
            self._in_vain[reason] += number
        if reason not in ON_PURPOSE:
            self.words[reason] = words
            self._recent.append(reason)

    def refuse(self, reason: str, why: str) -> None:
        """Count a confirmation that cannot be used."""
        self.refused_confirmations[reason] += 1
        self.refused_why = why

    def refusals(self) -> Said:
        """Say what is wrong with many of the last frames, if they are refused; or ''."""
        recent = Counter(self._recent.copy())
        del recent['']
        if recent.total() <= SHARE * len(self._recent):
            return Said()
        return Said(self._said(recent, len(self._recent)), 'many_refused')

    def silence(self) -> Said:
        """Say why no frame was answered in time since the last one was; '' if none came."""
        in_vain = self._in_vain.copy()
        busy, total = in_vain.pop('busy', 0), in_vain.total()
        late = in_vain.pop('late', 0)
        if in_vain:
            return Said(f'every frame is refused: {self._said(in_vain, total)}', 'all_refused')
        if late:
            return Said(f'every answer is too late: {self.words["late"]} ({late} of {total})',
                        'too_late')
        if busy:
            return Said(f'every answer is too late: {busy} frames came while one is worked on; '
                        'take a smaller model, or a faster machine', 'too_slow')
        return Said()

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
