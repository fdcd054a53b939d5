"""
``make bench``: what a frame takes from the camera to its answer, beside a floor and peers.

Each side is a process of its own that is fed over DDS: the recognizer; the floor, which does what
no recognizer can do without (see ``floor.py``); and a node as such nodes are written today (see
``peer.py``). They take turns in rounds, so that what the machine does else hits all of them. Run
it on a machine that does nothing else.

    make bench ARGS="--json before.json"
    make bench ARGS="--compare before.json"

says what became slower in between, by ratio to the floor; the exit status is then 1 if something
did, and 2 if the file cannot be used.
"""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
import json
import os
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
from typing import Any

from benchmark import table
from benchmark.camera import Camera
from benchmark.camera import CAMERAS
from benchmark.compare import compare
from benchmark.figures import FIGURES
from benchmark.figures import goals
from benchmark.figures import Ratio
from benchmark.figures import ratio
from benchmark.figures import side
from benchmark.figures import Turn
from benchmark.floor import fastest_decoder
from benchmark.peer_models import write_float32
from benchmark.peer_models import write_int8
from benchmark.sides import Program
from benchmark.sides import programs
from benchmark.sides import Side
from benchmark.spun_node import own_graph
from benchmark.spun_node import SpunNode
from benchmark.stages import stages
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel

RATE, FAST = 30.0, 120.0
# Rounds of the fast camera, and how much longer its turns are.
FAST_ROUNDS, LONGER = 4, 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog='benchmark', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=6,
                        help='turns of each side, at least 2 (default: 6)')
    parser.add_argument('--seconds', type=float, default=2.0,
                        help='length of a turn (default: 2)')
    parser.add_argument('--json', metavar='FILE', help='write the figures there, too')
    parser.add_argument('--compare', metavar='FILE',
                        help='say what became slower than in a run that --json has written')
    options = parser.parse_args(arguments)
    if options.rounds < 2 or options.seconds < 0.2:
        parser.error('--rounds must be at least 2 and --seconds at least 0.2')
    try:
        stored = json.loads(Path(options.compare).read_text()) if options.compare else None
        before = {} if stored is None else ratios_of(stored)
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f'--compare {options.compare}: not the figures of a run: {error}')
    own_graph()
    figures = measure(options.rounds, options.seconds)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + '\n')
    if stored is None:
        return 0
    changes = compare(before, ratios_of(figures))
    show('', *(f'{name} was {stored.get(name)} in {options.compare}, and is {figures[name]} now'
               for name in ('cores', 'model') if stored.get(name) != figures[name]),
         *table.change_rows(changes))
    return int(any(change.slower for change in changes))


def ratios_of(figures: Mapping[str, Any]) -> dict[str, Ratio]:
    """Read the ratios from a run's figures; raise ValueError if there are none."""
    ratios = {name: Ratio(**one) for name, one in figures['ratios'].items()}
    if not ratios:
        raise ValueError('it holds no ratio')
    return ratios


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """Run everything, and print it as it comes; return what ``--json`` writes."""
    model = OnnxModel.load(DEFAULT_MODEL)
    messages = {camera: camera.messages() for camera in CAMERAS}
    decoders = {camera: fastest_decoder(messages[camera][0].data, camera.width, camera.height,
                                        model.input.height)
                for camera in CAMERAS if camera.transport == 'jpeg'}
    show(f'{os.cpu_count()} cores, model {model.path.name} ({model.digest[:12]}), '
         f'{model.provider}; fastest decoder: '
         + ', '.join(f'{way} for {camera}' for camera, way in decoders.items()), '')
    figures: dict[str, Any] = {
        'cores': os.cpu_count(), 'model': model.digest,
        'decoders': {str(camera): way for camera, way in decoders.items()}}
    with TemporaryDirectory() as folder, ExitStack() as stack:
        models = {'int8': Path(folder) / 'int8.onnx', 'float32': Path(folder) / 'float32.onnx'}
        write_int8(models['int8'])
        write_float32(models['float32'])
        bench = SpunNode('bench')
        stack.callback(bench.close)
        figures['stages'] = {str(camera): stages(model, bench, camera, messages[camera][0])
                             for camera in CAMERAS}
        show(*table.stage_rows(figures['stages']), '', table.EXPLAINED)
        sides = programs(decoders, models)
        cases = {}
        for camera in CAMERAS:
            cases[str(camera)] = take_turns(bench, sides, camera, messages[camera], RATE,
                                            rounds, seconds)
            show(*table.side_rows(str(camera), figured(cases[str(camera)])))
        fast = take_turns(bench, sides[:2], CAMERAS[0], messages[CAMERAS[0]], FAST, FAST_ROUNDS,
                          LONGER * seconds)
        show('', f'{FAST:g} Hz', *table.side_rows(str(CAMERAS[0]), figured(fast)))
    found = goals(cases, fast)
    show('', *table.goal_rows(found))
    named = {f'{camera}, {RATE:g} Hz': turns for camera, turns in cases.items()}
    named[f'{CAMERAS[0]}, {FAST:g} Hz'] = fast
    figures['cases'] = {name: figured(turns) for name, turns in named.items()}
    figures['ratios'] = {
        f'{name}: {figure}': asdict(ratio(turns['ours'], turns['floor'], function))
        for name, turns in named.items() for figure, function in FIGURES.items()}
    figures['goals'] = [{**asdict(goal), 'met': goal.met} for goal in found]
    return figures


def take_turns(bench: SpunNode, sides: tuple[Program, ...], camera: Camera, messages: list[Any],
               rate: float, rounds: int, seconds: float) -> dict[str, list[Turn]]:
    """Start all sides for a camera, and feed one after the other, each second round backwards."""
    turns: dict[str, list[Turn]] = {program.name: [] for program in sides}
    with ExitStack() as stack:
        running = [(program, stack.enter_context(Side(bench, program, camera, messages)))
                   for program in sides]
        for _, one in running:
            one.greet()
        for number in range(rounds):
            for program, one in running[::-1 if number % 2 else 1]:
                if number % program.every == 0:
                    turns[program.name].append(one.turn(rate, seconds))
    return turns


def figured(turns: Mapping[str, list[Turn]]) -> dict[str, dict[str, Any]]:
    """Return the figures of each side."""
    return {name: side(own) for name, own in turns.items()}


def show(*lines: str) -> None:
    """Print lines at once."""
    print('\n'.join(lines), flush=True)


if __name__ == '__main__':
    sys.exit(main())
