"""
Whether a process grows: its memory, its open files, its threads.

The slope of its memory is that of a line through the means of ten blocks of time: neighbouring
values depend on one another, the means of long blocks hardly do, so that the interval (95 %,
Student's t) is honest. Growth has to be shown, for a test that fails by chance is soon ignored:
it grows if the lower end of the interval is above 2 MiB/h. Where the interval reaches to both
sides of that the verdict is "undecided", and a longer run decides it. Files and threads come and
go; they grow if the fewest of the last block are more than the fewest of the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import re

import numpy as np
from scipy.stats import linregress
from scipy.stats import t as student

# MiB in an hour; blocks of time that the slope is taken over.
LIMIT, BLOCKS = 2.0, 10


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

    def __str__(self) -> str:
        """Say it in one line."""
        said = 'grows' if self.grows else 'flat' if self.high <= LIMIT else 'undecided'
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
    if len(samples) < 2 * BLOCKS:
        return None
    blocks = np.array_split(np.arange(len(samples)), BLOCKS)
    line = linregress([np.mean([moments[i] for i in block]) / 3600.0 for block in blocks],
                      [np.mean([samples[i].rss for i in block]) for block in blocks])
    # Of a line that fits exactly scipy makes nan.
    half = float(np.nan_to_num(line.stderr) * student.ppf(0.975, BLOCKS - 2))
    more = [min(getattr(samples[i], name) for i in blocks[-1])
            - min(getattr(samples[i], name) for i in blocks[0]) for name in ('files', 'threads')]
    slope = float(line.slope)
    return Verdict(slope, slope - half, slope + half, *more)
