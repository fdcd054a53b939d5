"""
``make bench-drift``: how soon drift is found, and what a false alarm's promise is worth.

Our detector is the class that ships, fed as the monitor feeds it. Every other detector sees the
same NLLs (or 1 - p of the true label, or right and wrong), first those of the reference, and its
threshold is tuned on streams of its own to a mean run to a false alarm of 2,000 labels, which
nobody can do in a plant. Ours is shown so tuned, to compare like with like, and as it comes. The
worlds in which its bets were chosen are not among those that are reported (``streams``).

The mean run is the number of labels watched over the number of first alarms in them, the usual
estimate from runs that are cut short. Delays count from the change, a stream that never alarms
counts with the longest delay that could be seen, and streams that alarmed before the change are
left out.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pool
from multiprocessing.pool import Pool as PoolType
import os
from pathlib import Path
import sys
from time import perf_counter
from time import thread_time
import tracemalloc
from typing import Any
from typing import NamedTuple
import warnings

# Two processes, one thread each.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmark.drift_peers import first_of  # noqa: E402
from benchmark.drift_peers import Peer  # noqa: E402
from benchmark.drift_peers import peers  # noqa: E402
from benchmark.streams import CHANGE_AT  # noqa: E402
from benchmark.streams import DEPENDENCE  # noqa: E402
from benchmark.streams import dependent  # noqa: E402
from benchmark.streams import REPORTED  # noqa: E402
from benchmark.streams import RUN_WORLDS  # noqa: E402
from benchmark.streams import SCENARIOS  # noqa: E402
from benchmark.streams import stream  # noqa: E402
from benchmark.streams import views  # noqa: E402
from benchmark.streams import World  # noqa: E402
from benchmark.streams import WORLDS  # noqa: E402
import numpy as np  # noqa: E402
from tool_recognizer.core.drift import DriftDetector  # noqa: E402
from tool_recognizer.core.drift import Reference  # noqa: E402
from tool_recognizer.core.early_warning import EarlyWarning  # noqa: E402
from tool_recognizer.core.information import Array  # noqa: E402
from tool_recognizer.core.information import entropy  # noqa: E402
from tool_recognizer.core.interval import effective_sample_size  # noqa: E402
from tool_recognizer.core.means import cost_of_surprise  # noqa: E402
from tool_recognizer.core.means import mean_cost  # noqa: E402
from tool_recognizer.core.repeated import RepeatedPictures  # noqa: E402
from tool_recognizer.core.sketch import sketch  # noqa: E402
from tool_recognizer.event_log.rows import encode_state  # noqa: E402

RUN_LENGTH = 2000.0   # labels to a false alarm, for everybody
REFERENCE = 1000      # labels
AFTER = 1000          # labels watched after the change
COLUMNS = ('a', 'b', 'a2', 'c', 'd', 'f')
QUIET = ('none', 'g1', 'e', 'e2')
# Of the reference, and whether the line is learned instead.
SIZES = ((200, False), (500, False), (1000, False), (1000, True))
# The marginals for which the acceptance was written; others with --world.
DEFAULT_WORLD = 'plant'


class Job(NamedTuple):
    """One stream of one world, with its own reference."""

    world: World
    scenario: str
    reference: int
    length: int
    seed: tuple[int, ...]
    learn: bool = False  # as ``monitor.reference: line`` has it
    skip_repeated: bool = False  # as the parameter of this name has it
    gate: bool = False  # whether an object is one label, as ``passage.gate`` has it

    def draw(self) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        """Draw the reference, and the stream, whose labels may be of numbered objects."""
        rng = np.random.default_rng(self.seed)
        before = 'g1' if self.scenario == 'g1' else 'none'
        reference = stream(rng, self.reference, self.world, before)
        if self.scenario in DEPENDENCE:
            return reference, dependent(rng, self.length, self.world, DEPENDENCE[self.scenario])
        return reference, stream(rng, self.length, self.world, self.scenario)


class Run(NamedTuple):
    """What our detector did on one stream."""

    evidence: Array  # (length,)
    alarm: int       # its first alarm at the default threshold, or length
    change_at: int
    change_set: tuple[int, int]
    leading: str


def detector_for(job: Job, reference: tuple[Array, Array]) -> DriftDetector:
    return DriftDetector(job.world.labels, Reference(*reference), seed=job.seed[-1],
                         learn=job.learn)


def ours(job: Job) -> Run:
    reference, (log_p, q) = job.draw()
    detector = detector_for(job, reference)
    evidence, alarm = np.zeros(job.length), job.length
    for at in range(job.length):
        detector.update(log_p[at], q[at])
        evidence[at] = detector.evidence
        if detector.alarm and alarm == job.length:
            alarm = at
    return Run(evidence, alarm, detector.change_at or 0, detector.change_set or (0, 0),
               detector.leading)


def first_false_alarm(job: Job) -> tuple[int, bool]:
    """Return the labels that our detector watched at its default, and whether it alarmed."""
    watched = 0
    reference, (log_p, q, *objects) = job.draw()
    detector, pictures = detector_for(job, reference), RepeatedPictures()
    shown = ([sketch(row) for row in views(np.random.default_rng(job.seed), objects[0])]
             if job.skip_repeated else [])
    for at in range(job.length):
        if job.gate and at and objects[0][at] == objects[0][at - 1]:
            continue  # a duplicate: its passage is confirmed
        watched += 1
        if shown and pictures.keeps_out(int(q[at].argmax()), shown[at]):
            continue
        detector.update(log_p[at], q[at])
        if detector.alarm:
            return watched, True
    return watched, False


def scores(job: Job) -> dict[str, Array]:
    """Return what other detectors are fed: the reference's scores, then the stream's."""
    parts = job.draw()
    log_p, q = (np.concatenate([parts[0][i], parts[1][i]]) for i in (0, 1))
    truth = q.argmax(axis=1)
    log_py = np.take_along_axis(log_p, truth[:, np.newaxis], axis=1)[:, 0]
    # A library that is fed inf stays inf for ever: they get 1e4.
    return {'NLL': np.minimum(-log_py, 1e4), '1 - p': -np.expm1(log_py),
            'error': (log_p.argmax(axis=1) != truth).astype(float)}


def run_length(alarms: list[int], length: int) -> float:
    """Return labels watched per first alarm; inf if there was none."""
    fired = sum(alarm < length for alarm in alarms)
    watched = sum(min(alarm + 1, length) for alarm in alarms)
    return watched / fired if fired else float('inf')


def delays(alarms: list[int]) -> tuple[float, float, float]:
    """Return mean delay, share missed, and share that alarmed before the change."""
    after = [min(alarm - CHANGE_AT + 1, AFTER) for alarm in alarms if alarm >= CHANGE_AT]
    if not after:
        return float('nan'), float('nan'), 1.0
    return (float(np.mean(after)), float(np.mean([d >= AFTER for d in after])),
            1.0 - len(after) / len(alarms))


# The pool's processes are forked with these: functions cannot be sent to them, names can.
_PEERS: dict[str, Peer] = {}
_QUIET_SCORES: list[dict[str, Array]] = []
_SCENARIO_SCORES: dict[str, list[dict[str, Array]]] = {}


def peer_row(name: str) -> tuple[str, float, dict[str, list[int]]]:
    """Tune one detector and run it on all scenarios; return name, its run length, its alarms."""
    warnings.simplefilter('ignore')
    peer = _PEERS[name]

    def alarms(streams: list[dict[str, Array]], parameter: float) -> list[int]:
        some = streams[:max(round(peer.share * len(streams)), 1)]
        return [peer.first(s[peer.score], REFERENCE, parameter) for s in some]

    length = len(_QUIET_SCORES[0]['NLL']) - REFERENCE
    low, high = np.log(peer.low), np.log(peer.high)
    if run_length(alarms(_QUIET_SCORES, peer.high), length) < RUN_LENGTH:
        return name, float('nan'), {}
    for _ in range(11):
        middle = (low + high) / 2.0
        if run_length(alarms(_QUIET_SCORES, float(np.exp(middle))), length) < RUN_LENGTH:
            low = middle
        else:
            high = middle
    parameter = float(np.exp(high))
    return (name, run_length(alarms(_QUIET_SCORES, parameter), length),
            {s: alarms(streams, parameter) for s, streams in _SCENARIO_SCORES.items()})


def tuned(runs: list[Run]) -> float:
    """Return the threshold at which our detector has the run length on these streams."""
    length = len(runs[0].evidence)
    low, high = np.log(10.0), np.log(1e5)
    for _ in range(30):
        middle = (low + high) / 2.0
        if run_length(crossings(runs, np.exp(middle)), length) < RUN_LENGTH:
            low = middle
        else:
            high = middle
    return float(np.exp(high))


def crossings(runs: list[Run], threshold: float) -> list[int]:
    return [first_of(run.evidence >= threshold, 0) for run in runs]


def coverage(costs: Array, chance: Array, truth: float, labels: int, window: int
             ) -> tuple[float, float, float]:
    """
    Return coverage, mean width and effective size of the 95 % interval of a window's mean NLL.

    Parameters
    ----------
    costs : (N,) nats
    chance : (N,) with which each frame was asked for
    truth : the mean
    labels : K

    """
    count = min(len(costs) // window, 1000)
    rows = [part[:count * window].reshape(-1, window) for part in (costs, 1.0 / chance)]
    ends = np.array([mean_cost(value, weight, cost_of_surprise(labels))[1:]
                     for value, weight in zip(*rows, strict=True)])
    return (float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))),
            float(np.median(ends[:, 1] - ends[:, 0])),
            float(np.mean([effective_sample_size(weight) for weight in rows[1]])))


def costs_of(name: str, length: int) -> tuple[Array, Array, float]:
    """Draw NLLs, with the chance that each frame was asked for; return their mean, too."""
    rng = np.random.default_rng(4)
    if name.startswith('lognormal'):
        return rng.lognormal(np.log(0.02), 2.0, length), np.ones(length), 0.02 * np.exp(2.0)
    if name.startswith('Pareto'):
        return 0.1 * rng.pareto(2.5, length), np.ones(length), 0.1 / 1.5
    if name.startswith('99.9'):
        wrong = rng.random(length) < 0.001
        return (np.where(wrong, 10.0, rng.exponential(0.0005, length)), np.ones(length),
                0.001 * 10.0 + 0.999 * 0.0005)
    scenario, _, asked = name.partition(',')
    log_p, q = stream(rng, length, WORLDS[DEFAULT_WORLD], scenario, change_at=-10**6)
    costs, chance = -np.where(q > 0.0, q * log_p, 0.0).sum(axis=1), np.ones(length)
    truth = float(costs.mean())
    if asked:
        chance = np.where(entropy(np.exp(log_p)) > 0.1, 0.6, 0.2)
        keep = rng.random(length) < chance
        costs, chance = costs[keep], chance[keep]
    return costs, chance, truth


def warned(job: Job) -> tuple[int, str]:
    """Return the first early warning on predictions alone, or the length, and its reason."""
    _, (log_p, _) = job.draw()
    test = EarlyWarning(job.world.labels)
    for at in range(job.length):
        if test.update(log_p[at]):
            return at, test.reason
    return job.length, ''


def cost(labels: int, make: Callable[[int, Reference], Any]) -> tuple[float, int, int]:
    """Return an update's microseconds of processor time, and bytes of object and state."""
    rng = np.random.default_rng(1)
    world = replace(WORLDS['plant'], labels=labels)
    reference = Reference(*stream(rng, REFERENCE, world))
    log_p, q = stream(rng, 2000, world)
    test = make(labels, reference)
    feed = ((log_p, q) if isinstance(test, DriftDetector) else (log_p,))
    start = thread_time()
    for row in zip(*feed, strict=True):
        test.update(*row)
    spent = (thread_time() - start) / len(q) * 1e6
    del test
    tracemalloc.start()
    test = make(labels, reference)
    for row in zip(*feed, strict=True):
        test.update(*row)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return spent, memory, len(encode_state(test.to_state()))


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ['| ' + ' | '.join(row) + ' |' for row in [head, ['-'] * len(head), *rows]]
    return '\n'.join(lines)


def detection(pool_size: int, world: World, streams: int, quiet: int) -> list[str]:
    length = CHANGE_AT + AFTER
    tuning = [Job(world, 'none', REFERENCE, 5000, (1, i)) for i in range(quiet)]
    jobs = {s: [Job(world, s, REFERENCE, length, (2, i)) for i in range(streams)]
            for s in (*COLUMNS, *QUIET)}
    with Pool(pool_size) as pool:
        calm = pool.map(ours, tuning, chunksize=1)
        runs = {s: pool.map(ours, todo, chunksize=1) for s, todo in jobs.items()}
        learned = {s: pool.map(ours, [job._replace(learn=True) for job in todo], chunksize=1)
                   for s, todo in {None: tuning, **jobs}.items()}
        _QUIET_SCORES[:] = pool.map(scores, tuning)
        _SCENARIO_SCORES.update({s: pool.map(scores, todo) for s, todo in jobs.items()})
    _PEERS.update(peers())
    with Pool(pool_size) as pool:  # forked now, with the scores
        # The slow ones first, so that the last to end is a quick one.
        others = pool.map(peer_row, sorted(_PEERS, key=lambda name: _PEERS[name].share),
                          chunksize=1)

    threshold = tuned(calm)
    alarms = {'**ours**, at equal run length': (
        run_length(crossings(calm, threshold), 5000),
        {s: crossings(found, threshold) for s, found in runs.items()})}
    alarms['**ours**, as it comes'] = (
        run_length([run.alarm for run in calm], 5000),
        {s: [run.alarm for run in found] for s, found in runs.items()})
    alarms['**ours**, as the node has it (reference: line)'] = (
        run_length([run.alarm for run in learned.pop(None)], 5000),
        {s: [run.alarm for run in found] for s, found in learned.items()})
    for name, reached, found in sorted(others, key=lambda row: list(_PEERS).index(row[0])):
        alarms[name] = (reached, found)
    rows, means = [], {}
    for name, (reached, found) in alarms.items():
        if not found:
            rows.append([name, 'never 2,000'] + ['-'] * (len(COLUMNS) + len(QUIET)))
            continue
        cells = []
        for s in COLUMNS:
            mean, missed, _ = delays(found[s])
            means[name, s] = mean
            cells.append(f'{mean:.0f}' + (f' ({100 * missed:.0f} % missed)'
                                          if missed >= 0.005 else ''))
        cells += [f'{100 * np.mean([at < length for at in found[s]]):.0f} %' for s in QUIET]
        rows.append([name, f'{reached:.0f}', *cells])
    text = [
        f'Mean delay in labels, {streams} streams a cell, change at label {CHANGE_AT}; for '
        f'none, g1, e and e2, the share of streams with an alarm in {length} labels. KSWIN and '
        f'STEPD are slow, and ran on a quarter of the streams.\n',
        table(['detector', 'mean run', *COLUMNS, *QUIET], rows), '']
    first = next(iter(alarms))
    ratios = {s: means[first, s] / min(means[n, s] for n in alarms
                                       if (n, s) in means and ' as ' not in n)
              for s in COLUMNS}
    text.append("Our delay over the best row's, at equal run length: "
                + ', '.join(f'{s} {ratio:.2f}' for s, ratio in ratios.items())
                + f'; geometric mean {np.exp(np.mean(np.log(list(ratios.values())))):.2f}.\n')
    rows = []
    for s in ('a', 'a2', 'c', 'd'):
        late = [run for run in runs[s] if CHANGE_AT <= run.alarm < length]
        if late:
            leading = [run.leading for run in late]
            most = max(sorted(set(leading)), key=leading.count)
            rows.append([
                f'{s}: {SCENARIOS[s]}',
                f'{np.median([run.change_at - CHANGE_AT for run in late]):+.0f}',
                f'{np.median([abs(run.change_at - CHANGE_AT) for run in late]):.0f}',
                f'{np.mean([r.change_set[0] <= CHANGE_AT <= r.change_set[1] for r in late]):.2f}',
                f'{np.median([r.change_set[1] - r.change_set[0] for r in late]):.0f}',
                f'{most} ({100 * leading.count(most) / len(late):.0f} %)'])
    text += ['What the alarm says, as it comes:\n',
             table(['change', 'median error of the change point', 'median absolute error',
                    'set covers it', 'median width of the set', 'leading bet'], rows), '']
    return text


def other_worlds(pool: PoolType, streams: int) -> list[str]:
    """Return our delays, as it comes, in the worlds that the others do not run in."""
    rows = []
    for name, world in REPORTED.items():
        for learn in (False, True):
            found = {s: delays([run.alarm for run in pool.map(ours, [
                Job(world, s, REFERENCE, CHANGE_AT + AFTER, (6, i), learn)
                for i in range(streams)], chunksize=1)]) for s in COLUMNS}
            mean = np.exp(np.mean([np.log(delay) for delay, _, _ in found.values()]))
            rows.append([name, 'line' if learn else 'model',
                         *(f'{delay:.0f}' + (f' ({100 * missed:.0f} % missed)'
                                             if missed >= 0.005 else '')
                           for delay, missed, _ in found.values()), f'{mean:.0f}'])
    return [f'Our mean delay as it comes, in every world that nothing was chosen in; {streams} '
            'streams a cell:\n',
            table(['world', 'reference', *COLUMNS, 'geometric mean'], rows), '']


def mean_run(found: list[tuple[int, bool]]) -> str:
    fired = sum(alarmed for _, alarmed in found)
    watched = sum(labels for labels, _ in found)
    return f'{watched / fired:.0f}' if fired else f'> {watched}'


def dependence(pool: PoolType, streams: int, length: int) -> list[str]:
    rows = []
    for kind in DEPENDENCE:
        cells = []
        for skip_repeated, gate in ((False, False), *(
                [(True, False), (False, True)] if 'object' in kind else [])):
            # As many passages with a gate as labels without.
            times = DEPENDENCE[kind]
            longer = (times if isinstance(times, int) else 5) if gate else 1
            cells.append(mean_run(pool.map(first_false_alarm, [
                Job(WORLDS[DEFAULT_WORLD], kind, REFERENCE, longer * length, (7, i), True,
                    skip_repeated, gate) for i in range(streams)], chunksize=1)))
        rows.append([kind, *cells, *[''] * (3 - len(cells))])
    return ['Mean run to a false alarm where labels depend on each other, for which nothing is '
            f'promised; {streams} streams of {length} labels a row, as the node has it, but for '
            'what it keeps out where it knows a picture again (`monitor.skip_repeated`); with '
            'a gate an object is one label, and the run is in objects:\n',
            table(['labels', 'mean run', 'without repeated pictures', 'with a gate'], rows), '']


def run_lengths(pool: PoolType, streams: int, length: int) -> list[str]:
    rows = []
    for name, world in RUN_WORLDS.items():
        cells = []
        for size, learn in SIZES:
            found = pool.map(first_false_alarm, [
                Job(world, 'none', size, length, (3, size, i), learn) for i in range(streams)],
                chunksize=1)
            within = [np.mean([alarmed and labels <= limit for labels, alarmed in found])
                      for limit in (500, 1000)]
            cells.append(f'{mean_run(found)} ({100 * within[0]:.0f} / {100 * within[1]:.0f} %)')
        rows.append([name, *cells])
    return [f'Mean run to a false alarm, as it comes (promised: {RUN_LENGTH:.0f}), and the share '
            f'of streams with an alarm within 500 / 1,000 labels (promised: at most 25 / 50 %); '
            f'{streams} streams of {length} labels a cell, each with its own reference.\n',
            table(['model', *('line' if learn else f'n = {size}' for size, learn in SIZES)],
                  rows), '']


def early_warnings(pool: PoolType, world: World, streams: int) -> list[str]:
    length, rows = CHANGE_AT + AFTER, []
    for scenario in ('none', 'g1', *COLUMNS, 'e', 'e2'):
        found = pool.map(warned, [Job(world, scenario, 0, length, (5, i))
                                  for i in range(streams)], chunksize=1)
        mean, missed, before = delays([at for at, _ in found])
        reasons = [reason for at, reason in found if at < length and at >= CHANGE_AT]
        most = max(sorted(set(reasons)), key=reasons.count) if reasons else ''
        seen = scenario not in ('none', 'g1')
        rows.append([f'{scenario}: {SCENARIOS[scenario]}', f'{mean:.0f}' if seen else '',
                     f'{100 * missed:.0f} %' if seen else '',
                     f'{100 * (before if seen else np.mean([at < length for at, _ in found])):.0f}'
                     ' %', f'{most} ({reasons.count(most)} of {len(reasons)})' if most else ''])
    return [f'On the predictions alone, one independent sample a label, nothing known in advance; '
            f'promise: one false warning in 10,000 samples; {streams} streams a row.\n',
            table(['change', 'mean delay', 'missed', 'false warnings', 'leading bet'], rows), '']


def intervals(quick: bool) -> list[str]:
    windows = (50, 100, 200, 400, 1000)
    rows = []
    length = 200_000 if quick else 1_000_000
    for name in (*(s + asked for asked in ('', ', unsure frames asked 3 x as often')
                   for s in ('none', 'a', 'a2')),
                 '99.9 % right, an error costs 10', 'lognormal, sigma 2', 'Pareto, exponent 2.5'):
        costs, chance, truth = costs_of(name, length)
        found = [coverage(costs, chance, truth, 3, window) for window in windows]
        rows.append([name, *(f'{cover:.3f} ({width:.2f}'
                             + (f'; worth {size:.0f})' if 'asked' in name else ')')
                             for cover, width, size in found)])
    return ['Coverage of the 95 % interval for the mean NLL, and its median width in nats; for '
            'weighted labels also the effective sample size:\n',
            table(['stream', *(f'{w} labels' for w in windows)], rows), '']


def main() -> int:
    parser = argparse.ArgumentParser(description='Measure how soon drift is found.')
    parser.add_argument('--quick', action='store_true', help='a tenth of the streams: 1 minute')
    parser.add_argument('--world', default=DEFAULT_WORLD, choices=list(WORLDS))
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--markdown', type=Path, help='also write the tables to this file')
    arguments = parser.parse_args()
    began = perf_counter()
    small = arguments.quick
    text = ['## Detection\n', *detection(arguments.processes, WORLDS[arguments.world],
                                         20 if small else 150, 12 if small else 80)]
    with Pool(arguments.processes) as pool:
        text += other_worlds(pool, 12 if small else 60)
        text += ['## The promise\n', *run_lengths(pool, 10 if small else 40, 6000),
                 *dependence(pool, 10 if small else 40, 4000)]
        text += ['## The early warning\n', *early_warnings(
            pool, WORLDS[arguments.world], 20 if small else 100)]
    text += ['## The interval\n', *intervals(small), '## Cost\n']
    tests: dict[str, Callable[[int, Reference], Any]] = {
        'drift': DriftDetector, 'early warning': lambda labels, _: EarlyWarning(labels)}
    text.append(table(
        ['test', 'labels', 'processor time of an update, us', 'memory, kB', 'state as JSON, kB'],
        [[name, str(labels), f'{us:.0f}', f'{memory / 1000:.0f}', f'{size / 1000:.0f}']
         for name, make in tests.items() for labels in (3, 10, 1000)
         for us, memory, size in [cost(labels, make)]]))
    page = '\n'.join(text) + '\n'
    print(page)
    print(f'{perf_counter() - began:.0f} s', file=sys.stderr)
    if arguments.markdown:
        made = ('# Drift: measured\n\nMade by `make bench-drift '
                f'ARGS="--markdown docs/{arguments.markdown.name}"`; what the terms mean is in '
                '[theory.md](theory.md).\n\n'
                + '\n'.join(f'- {name}: {text}' for name, text in SCENARIOS.items()) + '\n\n')
        arguments.markdown.write_text(made + page, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
