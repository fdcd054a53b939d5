"""
Whether a process grows: its memory, its open files, its threads.

The slope of its memory is that of a line through the means of forty blocks of time. Memory goes up
and down in steps that last for minutes, so neighbouring blocks are alike, and there are fewer
independent values than blocks: with the autocorrelation r of what the line leaves over, n blocks
are worth n (1 - r) / (1 + r). The interval (95 %, Student's t) is that of so many values (B.
Santer et al., Consistency of modelled and observed temperature trends in the tropical troposphere,
2008). r comes out too small, after a fitted line by some (2 + 4 r) / n, which is added (as M.
Kendall, Note on bias in the estimation of autocorrelation, 1954, does it for a mean). Of simulated
runs the interval holds the truth in at least 95 of 100, whether memory wanders, rises and falls
every five minutes, or stays after each step where it is; without all this in 81 to 94, and in the
last case in 43.

Growth has to be shown, for a test that fails by chance is soon ignored: memory grows if the lower
end of the interval is above 2 MiB/h, and is flat if the upper end is not. Between them the verdict
is "undecided", and a longer run decides it. Files and threads come and go; they grow if the fewest
of the last tenth of the run are more than the fewest of the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import re

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

# MiB in an hour; blocks of time that the slope is taken over.
LIMIT, BLOCKS = 2.0, 40


@dataclass(frozen=True)
class Sample:
    """What one process has at one moment: resident memory in MiB, open files, threads."""

    rss: float
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> 'Sample':
        """Look at a process; raise ProcessLookupError if it has ended."""
        process = Path(f'/proc/{pid}')
        found = [re.search(rf'^{name}:\s+(\d+)', process.joinpath('status').read_text(), re.M)
                 for name in ('VmRSS', 'Threads')]
        if None in found:
            raise ProcessLookupError(pid)
        memory, threads = (int(one[1]) for one in found if one is not None)
        return cls(memory / 1024.0, len(os.listdir(process / 'fd')), threads)


@dataclass(frozen=True)
class Verdict:
    """A process over the time in which nothing may grow; see ``judge``."""

    slope: float
    low: float
    high: float
    files: int
    threads: int

    @property
    def grows(self) -> bool:
        """Whether it is shown that something grows."""
        return self.low > LIMIT or self.files > 0 or self.threads > 0

    @property
    def undecided(self) -> bool:
        """Whether a longer run is needed to know."""
        return not self.grows and self.high > LIMIT

    def __str__(self) -> str:
        """Say it in one line."""
        said = 'grows' if self.grows else 'undecided' if self.undecided else 'flat'
        return (f'{self.slope:+.2f} MiB/h ({self.low:+.2f} to {self.high:+.2f}), '
                f'{self.files:+d} files, {self.threads:+d} threads: {said}')


def judge(moments: Sequence[float], samples: Sequence[Sample]) -> Verdict | None:
    """
    Judge a process by its samples from the moment on from which nothing may grow.

    Parameters
    ----------
    moments : s
    samples : at these moments

    Returns
    -------
    The slope of its memory in MiB/h with its 95 % interval, and by how much the fewest files and
    threads of the last block are more than those of the first; None for too few samples

    """
    if len(samples) < BLOCKS:
        return None
    blocks = np.array_split(np.arange(len(samples)), BLOCKS)
    hours = np.array([np.mean([moments[i] for i in block]) for block in blocks]) / 3600.0
    memory = np.array([np.mean([samples[i].rss for i in block]) for block in blocks])
    slope, start = np.polyfit(hours, memory, 1)
    half = _half_width(hours, memory - start - slope * hours)
    tenth = len(samples) // 10
    more = [min(getattr(one, name) for one in samples[-tenth:])
            - min(getattr(one, name) for one in samples[:tenth]) for name in ('files', 'threads')]
    return Verdict(float(slope), float(slope - half), float(slope + half), *more)


def _half_width(hours: NDArray[np.float64], left: NDArray[np.float64]) -> float:
    """Return half of the slope's interval, from what the line leaves over; see the module."""
    n, squares = len(left), float(left @ left)
    if squares <= 1e-12:
        return 0.0
    r = float(left[1:] @ left[:-1]) / squares
    r = min(max(0.0, r + (2.0 + 4.0 * r) / n), 1.0)
    worth = n * (1.0 - r) / (1.0 + r)
    if worth <= 2.0:
        return float('inf')
    spread = float(np.square(hours - hours.mean()).sum())
    return float(np.sqrt(squares / (worth - 2.0) / spread) * student.ppf(0.975, worth - 2.0))
