"""
What is made of the turns of a benchmark: figures, ratios to the floor's, goals.

A ratio is that of the two sides' figures over all turns. How much it can be trusted is told by the
turns, which are taken in rounds, each side once: the standard error of its logarithm is that of
the mean of the rounds' own log-ratios.
"""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

PEERS = {'peer_int8': 'peer with our model', 'peer_float32': 'peer in float32'}
# What a process may hold more after the last turn than after the first half of them, in which it
# warms up, and still be flat, MiB; and how much later its answers may be.
FLAT_MIB, FLAT_LATENCY = 4.0, 1.25


@dataclass(frozen=True)
class Turn:
    """
    A side that was fed for some seconds.

    Attributes
    ----------
    sent : frames
    done : from a frame's stamp to the end of the work on it, milliseconds; one for each frame that
        was answered, in their order. For who does not tell, as ``received``
    received : from a frame's stamp until its answer was received by the sender, milliseconds
    processor : of the whole process, seconds
    memory : resident, after the turn, MiB

    """

    sent: int
    done: Sequence[float]
    received: Sequence[float]
    processor: float
    memory: float


Turns = Sequence[Turn]
Figure = Callable[[Turns], float]


def percentile(percent: float, moment: str = 'received') -> Figure:
    """Return the figure that is a percentile of the latencies, milliseconds."""
    return lambda turns: float(np.percentile(
        [latency for turn in turns for latency in getattr(turn, moment)], percent))


def processor(turns: Turns) -> float:
    """Return the processor's time per answered frame, milliseconds."""
    return 1e3 * sum(turn.processor for turn in turns) / answered(turns)


def frames_per_answer(turns: Turns) -> float:
    """Return how many frames were sent for each that was answered."""
    return sum(turn.sent for turn in turns) / answered(turns)


def answered(turns: Turns) -> int:
    """Return how many frames were answered."""
    return sum(len(turn.received) for turn in turns)


# Larger is slower in all of them.
FIGURES: dict[str, Figure] = {
    'p50': percentile(50.0), 'p95': percentile(95.0), 'processor': processor,
    'frames_per_answer': frames_per_answer}


@dataclass(frozen=True)
class Ratio:
    """
    A figure over the floor's.

    Attributes
    ----------
    value : above 1 is slower than the floor
    error : standard error of ln(value)
    rounds : from which the error is

    """

    value: float
    error: float
    rounds: int


def ratio(ours: Turns, floor: Turns, figure: Figure) -> Ratio:
    """
    Compare two sides by a figure.

    Parameters
    ----------
    ours, floor : a turn of each round, at least two
    figure : of some turns

    Raises
    ------
    ValueError
        The sides have not as many turns, or fewer than two.

    """
    if len(ours) != len(floor) or len(ours) < 2:
        raise ValueError('a ratio needs at least two rounds with a turn of both sides, got '
                         f'{len(ours)} and {len(floor)} turns')
    logs = [log(figure([one]) / figure([low])) for one, low in zip(ours, floor, strict=True)]
    return Ratio(figure(ours) / figure(floor), float(np.std(logs, ddof=1)) / len(logs) ** 0.5,
                 len(logs))


def side(turns: Turns) -> dict[str, Any]:
    """Return the figures of one side, and those of each turn."""
    return {'sent': sum(turn.sent for turn in turns), 'answered': answered(turns),
            'p50_ms': percentile(50.0)(turns), 'p95_ms': percentile(95.0)(turns),
            'done_p50_ms': percentile(50.0, 'done')(turns),
            'done_p95_ms': percentile(95.0, 'done')(turns),
            'processor_ms': processor(turns), 'memory_mib': [turn.memory for turn in turns],
            'turns_p50_ms': [percentile(50.0)([turn]) for turn in turns],
            'turns_p95_ms': [percentile(95.0)([turn]) for turn in turns]}


@dataclass(frozen=True)
class Goal:
    """
    A line that the project is accepted by.

    Attributes
    ----------
    name : what is measured
    value : what it is
    limit : what it may be
    least : whether the limit is the least that it may be, and not the most

    """

    name: str
    value: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the value keeps to the limit."""
        return self.value >= self.limit if self.least else self.value <= self.limit

    def __str__(self) -> str:
        return (f'{self.name}: {self.value:.2f}, {"at least" if self.least else "at most"} '
                f'{self.limit:.2f}: {"met" if self.met else "NOT MET"}')


def goals(cases: dict[str, dict[str, Turns]], fast: dict[str, Turns]) -> list[Goal]:
    """
    Return what is to be reached, and what was.

    Parameters
    ----------
    cases : for each camera at 30 Hz the turns of 'ours', 'floor', 'bare' and the ``PEERS``
    fast : the turns of 'ours' and 'floor' with a camera of 120 Hz

    """
    p50, p95 = FIGURES['p50'], FIGURES['p95']
    found = []
    for camera, sides in cases.items():
        ours, floor = sides['ours'], sides['floor']
        found += [
            Goal(f'{camera}, p50 over the floor', p50(ours) / p50(floor), 1.15),
            Goal(f'{camera}, p95 over the floor', p95(ours) / p95(floor), 1.25),
            Goal(f'{camera}, processor over the floor', processor(ours) / processor(floor), 1.3),
            *(Goal(f'{camera}, p50 of the {peer} over ours', p50(sides[name]) / p50(ours), 2.0,
                   least=True) for name, peer in PEERS.items())]
        if camera == '640x480 raw':
            bare = percentile(50.0, 'done')(sides['bare'])
            found.append(Goal(f'{camera}, p50 over the end of the bare session.run',
                              p50(ours) / bare, 1.40))
    ours, floor = fast['ours'], fast['floor']
    half = len(ours) // 2
    found += [
        Goal('120 Hz, answered over what the floor answers',
             frames_per_answer(floor) / frames_per_answer(ours), 0.95, least=True),
        Goal('120 Hz, p95 of the second half over the first', p95(ours[half:]) / p95(ours[:half]),
             FLAT_LATENCY),
        Goal('120 Hz, MiB more at the end than after half',
             ours[-1].memory - ours[half - 1].memory, FLAT_MIB)]
    return found
