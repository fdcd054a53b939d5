"""The tables that ``make bench`` prints, as text."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from benchmark.compare import Change
from benchmark.figures import Goal
from benchmark.stages import ALL
from benchmark.stages import FLOOR
from benchmark.stages import STAGES

SIDES = {
    'ours': 'ours',
    'decision': 'ours, until the decision',
    'floor': 'floor',
    'bare': 'bare: no decoding, no resize',
    'peer_int8': 'peer, our model (int8)',
    'peer_float32': 'peer, the same network in float32'}
EXPLAINED = """\
30 Hz, milliseconds from the camera's stamp: until the answer, or the floor's message that it is
done, is received by the sender; until the work was done, where a side tells; processor: time of
all of its threads per answered frame. The floor decodes and resizes as fast as can be, and runs
the network; bare only runs it. Over: the side's received p50, received p95 and processor over the
floor's."""


def stage_rows(stages: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the lines of the stages, one column for each camera."""
    yield f'{"stage, ms":<24}' + ''.join(f'{camera:>16}' for camera in stages)
    for stage in STAGES:
        yield f'{stage:<24}' + ''.join(f'{column[stage]:>16.3f}' if stage in column
                                       else f'{"-":>16}' for column in stages.values())
    yield f'{"all / session.run":<24}' + ''.join(
        f'{column[ALL] / column[FLOOR]:>16.2f}' for column in stages.values())


def side_rows(camera: str, sides: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a camera, one for each side; see ``figures.side``."""
    yield (f'{camera:<36}{"p50":>8}{"p95":>8}{"done p50":>10}{"processor":>11}{"answered":>11}'
           f'{"over p50":>10}{"p95":>6}{"proc.":>7}')
    floor = sides['floor']
    for name, one in sides.items():
        answered = f'{one["answered"]}/{one["sent"]}'
        over = [one[key] / floor[key] for key in ('p50_ms', 'p95_ms', 'processor_ms')]
        done = f'{one["done_p50_ms"]:.2f}' if name in ('floor', 'bare') else '-'
        yield (f'  {SIDES[name]:<34}{one["p50_ms"]:>8.2f}{one["p95_ms"]:>8.2f}{done:>10}'
               f'{one["processor_ms"]:>11.2f}{answered:>11}'
               f'{over[0]:>10.2f}{over[1]:>6.2f}{over[2]:>7.2f}')


def goal_rows(goals: Sequence[Goal]) -> Iterator[str]:
    """Yield a line for each goal, and how many are met."""
    yield from (f'  {goal}' for goal in goals)
    yield f'{sum(goal.met for goal in goals)} of {len(goals)} goals are met'


def change_rows(changes: Sequence[Change]) -> Iterator[str]:
    """Yield a line for each compared ratio, and what became slower."""
    yield f'{"ratio to the floor":<42}{"before":>9}{"now":>9}{"factor":>9}{"tolerance":>11}'
    yield from map(str, changes)
    slower = [change.name for change in changes if change.slower]
    yield f'slower: {", ".join(slower)}' if slower else 'nothing became slower'
