"""
``make bench-drift``: how soon drift is found, and what a false alarm's promise is worth.

Our detector is the class that ships, fed as the monitor feeds it. Every other detector sees the
same NLLs (or 1 - p of the true label, or right and wrong), first those of the reference, and its
threshold is tuned on streams of its own to a mean run to a false alarm of 2,000 labels, which
nobody can do in a plant. Ours is shown so tuned, to compare like with like, and as it comes.
river and frouros take part where they are installed (``pip install river frouros``).

The mean run is the number of labels watched over the number of first alarms in them, the usual
estimate from runs that are cut short. Delays count from the change, a stream that never alarms
counts with the longest delay that could be seen, and streams that alarmed before the change are
left out.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
import json
from multiprocessing import Pool
from multiprocessing.pool import Pool as PoolType
import os
from pathlib import Path
import sys
from time import perf_counter
from typing import Any
from typing import NamedTuple
import warnings

# Two processes, one thread each.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmark.streams import CHANGE_AT  # noqa: E402
from benchmark.streams import SCENARIOS  # noqa: E402
from benchmark.streams import stream  # noqa: E402
from benchmark.streams import World  # noqa: E402
from benchmark.streams import WORLDS  # noqa: E402
import numpy as np  # noqa: E402
from tool_recognizer.core.drift import DriftDetector  # noqa: E402
from tool_recognizer.core.drift import Reference  # noqa: E402
from tool_recognizer.core.information import Array  # noqa: E402
from tool_recognizer.core.interval import hall_interval  # noqa: E402

RUN_LENGTH = 2000.0   # labels to a false alarm, for everybody
REFERENCE = 1000      # labels
AFTER = 1000          # labels watched after the change
COLUMNS = ('a', 'b', 'a2', 'c', 'd', 'f')
QUIET = ('none', 'g1', 'e')
# The marginals for which the acceptance was written; others with --world.
DEFAULT_WORLD = 'plant'
RUN_WORLDS: dict[str, World] = {
    'calibrated': WORLDS['calibrated'],
    'miscalibrated (T = 0.67)': replace(WORLDS['calibrated'], sharpness=1.5),
    'float32, saturated': replace(WORLDS['plant'], rounding=True),
    '2 % wrong labels': replace(WORLDS['calibrated'], wrong=0.02),
    '10 labels': WORLDS['10 labels'],
}


class Job(NamedTuple):
    """One stream of one world, with its own reference."""

    world: World
    scenario: str
    reference: int
    length: int
    seed: tuple[int, ...]

    def draw(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        rng = np.random.default_rng(self.seed)
        before = 'g1' if self.scenario == 'g1' else 'none'
        return (stream(rng, self.reference, self.world, before),
                stream(rng, self.length, self.world, self.scenario))


class Run(NamedTuple):
    """What our detector did on one stream."""

    evidence: Array  # (length,)
    alarm: int       # its first alarm at the default threshold, or length
    change_at: int
    change_set: tuple[int, int]
    leading: str


def ours(job: Job) -> Run:
    reference, (log_p, q) = job.draw()
    detector = DriftDetector(job.world.labels, Reference(*reference))
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
    reference, (log_p, q) = job.draw()
    detector = DriftDetector(job.world.labels, Reference(*reference))
    for at in range(job.length):
        detector.update(log_p[at], q[at])
        if detector.alarm:
            return at + 1, True
    return job.length, False


def scores(job: Job) -> dict[str, Array]:
    """Return what other detectors are fed: the reference's scores, then the stream's."""
    parts = job.draw()
    log_p, q = (np.concatenate([parts[0][i], parts[1][i]]) for i in (0, 1))
    truth = q.argmax(axis=1)
    log_py = np.take_along_axis(log_p, truth[:, np.newaxis], axis=1)[:, 0]
    # A library that is fed inf stays inf for ever: they get 1e4.
    return {'NLL': np.minimum(-log_py, 1e4), '1 - p': -np.expm1(log_py),
            'error': (log_p.argmax(axis=1) != truth).astype(float)}


# --- the other detectors: (scores, size of the reference, parameter) -> first alarm after it ---

def _first(flags: Array, start: int) -> int:
    hits = np.flatnonzero(flags[start:])
    return int(hits[0]) if len(hits) else len(flags) - start


def cusum(x: Array, start: int, threshold: float, slack: float) -> int:
    target, total = float(x[:start].mean()) + slack, 0.0
    for at, value in enumerate(x[start:].tolist()):
        total = max(0.0, total + value - target)
        if total >= threshold:
            return at
    return len(x) - start


def ewma(x: Array, start: int, threshold: float, rate: float) -> int:
    level = float(x[:start].mean())
    for at, value in enumerate(x[start:].tolist()):
        level += rate * (value - level)
        if level >= threshold:
            return at
    return len(x) - start


def rolling(x: Array, start: int, threshold: float, window: int) -> int:
    total = np.concatenate([[0.0], np.cumsum(x)])
    means = (total[window:] - total[:-window]) / window
    return _first(np.concatenate([np.zeros(window - 1), means]) >= threshold, start)


def library(make: Callable[[float], Any], flag: str) -> Callable[[Array, int, float], int]:
    """Feed a library's detector; alarms within the reference do not count."""
    def first(x: Array, start: int, parameter: float) -> int:
        detector = make(parameter)
        for at, value in enumerate(x.tolist()):
            try:
                detector.update(value)
            except TypeError:
                detector.update(value=value)
            if at >= start and (detector.drift if flag == 'drift'
                                else detector.drift_detected):
                return at - start
        return len(x) - start
    return first


class Peer(NamedTuple):
    """
    Another detector.

    Attributes
    ----------
    score : which scores it is fed
    first : (scores, start, parameter) -> labels to the first alarm
    low, high : of the parameter: at ``low`` it alarms too often, at ``high`` too rarely; the
        tuning halves the interval on a logarithmic scale

    """

    score: str
    first: Callable[..., int]
    low: float
    high: float


def peers() -> dict[str, Peer]:
    found = {
        'CUSUM on NLL, mean + 0.1': Peer('NLL', lambda x, s, p: cusum(x, s, p, 0.1), 0.5, 500.0),
        'CUSUM on NLL, mean + 0.25': Peer('NLL', lambda x, s, p: cusum(x, s, p, 0.25), 0.5,
                                          500.0),
        'EWMA 0.01 on NLL': Peer('NLL', lambda x, s, p: ewma(x, s, p, 0.01), 0.05, 5.0),
        'rolling mean NLL, 100': Peer('NLL', lambda x, s, p: rolling(x, s, p, 100), 0.05, 5.0),
    }
    try:
        from river import drift
        from river.drift import binary
    except ImportError:
        print('river is not installed: left out', file=sys.stderr)
    else:
        river = {
            'river ADWIN (NLL)': ('NLL', lambda p: drift.ADWIN(delta=1 / p), 1.5, 1e12),
            'river ADWIN (1 - p)': ('1 - p', lambda p: drift.ADWIN(delta=1 / p), 1.5, 1e12),
            'river PageHinkley (NLL)': (
                'NLL', lambda p: drift.PageHinkley(threshold=p, mode='up'), 0.5, 500.0),
            'river PageHinkley (1 - p)': (
                '1 - p', lambda p: drift.PageHinkley(threshold=p, mode='up'), 0.5, 500.0),
            'river DDM': ('error', lambda p: binary.DDM(drift_threshold=p,
                                                        warning_threshold=0.9 * p), 1.0, 8.0),
            'river FHDDM': ('error', lambda p: binary.FHDDM(confidence_level=1 / p), 1.5, 1e12),
            'river HDDM_A': ('error', lambda p: binary.HDDM_A(
                drift_confidence=1 / p, warning_confidence=min(1.0, 1.5 / p)), 1.5, 1e12),
            'river HDDM_W': ('error', lambda p: binary.HDDM_W(
                drift_confidence=1 / p, warning_confidence=min(1.0, 1.5 / p)), 1.5, 1e12),
        }
        for name, (score, make, low, high) in river.items():
            found[name] = Peer(score, library(make, 'drift_detected'), low, high)
    try:
        from frouros.detectors import concept_drift
    except ImportError:
        print('frouros is not installed: left out', file=sys.stderr)
    else:
        frouros = {
            'frouros CUSUM (NLL)': ('NLL', lambda p: concept_drift.CUSUM(
                concept_drift.CUSUMConfig(lambda_=p)), 0.5, 500.0),
            'frouros STEPD': ('error', lambda p: concept_drift.STEPD(
                concept_drift.STEPDConfig(alpha_d=1 / p, alpha_w=min(1.0, 1.5 / p))), 1.5, 1e8),
        }
        for name, (score, make, low, high) in frouros.items():
            found[name] = Peer(score, library(make, 'drift'), low, high)
    return found


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
        return [peer.first(s[peer.score], REFERENCE, parameter) for s in streams]

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
    return [_first(run.evidence >= threshold, 0) for run in runs]


def coverage(job: Job, windows: tuple[int, ...]) -> dict[int, tuple[float, float]]:
    """Return coverage and mean width of the 95 % interval for the mean NLL, by window size."""
    rng = np.random.default_rng(job.seed)
    log_p, q = stream(rng, job.length, job.world, job.scenario, change_at=-10**6)
    x = -np.where(q > 0.0, q * log_p, 0.0).sum(axis=1)
    truth, found = x.mean(), {}
    for window in windows:
        ends = np.array([hall_interval(part)
                         for part in x[:1000 * window].reshape(-1, window)[:1000]])
        found[window] = (float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))),
                         float(np.mean(ends[:, 1] - ends[:, 0])))
    return found


def cost(labels: int) -> tuple[float, int]:
    """Return microseconds per update and bytes of the state as JSON, after 2,000 labels."""
    rng = np.random.default_rng(1)
    world = replace(WORLDS['plant'], labels=labels)
    detector = DriftDetector(labels, Reference(*stream(rng, REFERENCE, world)))
    log_p, q = stream(rng, 2000, world)
    start = perf_counter()
    for at in range(len(q)):
        detector.update(log_p[at], q[at])
    return (perf_counter() - start) / len(q) * 1e6, len(json.dumps(detector.to_state()))


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
        _QUIET_SCORES[:] = pool.map(scores, tuning)
        _SCENARIO_SCORES.update({s: pool.map(scores, todo) for s, todo in jobs.items()})
    _PEERS.update(peers())
    with Pool(pool_size) as pool:  # forked now, with the scores
        others = pool.map(peer_row, list(_PEERS), chunksize=1)

    threshold = tuned(calm)
    alarms = {'**ours**, at equal run length': (
        run_length(crossings(calm, threshold), 5000),
        {s: crossings(found, threshold) for s, found in runs.items()})}
    alarms['**ours**, as it comes'] = (
        run_length([run.alarm if run.alarm < 5000 else 5000 for run in calm], 5000),
        {s: [run.alarm for run in found] for s, found in runs.items()})
    for name, reached, found in others:
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
        f'none, g1 and e, the share of streams with an alarm in {length} labels.\n',
        table(['detector', 'mean run', *COLUMNS, *QUIET], rows), '']
    first = next(iter(alarms))
    ratios = {s: means[first, s] / min(means[n, s] for n in alarms
                                       if (n, s) in means and 'as it comes' not in n)
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


def run_lengths(pool: PoolType, streams: int, length: int) -> list[str]:
    rows = []
    for name, world in RUN_WORLDS.items():
        cells = []
        for size in (200, 500, 1000, 2000):
            found = pool.map(first_false_alarm, [
                Job(world, 'none', size, length, (3, size, i)) for i in range(streams)],
                chunksize=1)
            fired = sum(alarmed for _, alarmed in found)
            watched = sum(labels for labels, _ in found)
            mean = f'{watched / fired:.0f}' if fired else f'> {watched}'
            within = [np.mean([alarmed and labels <= limit for labels, alarmed in found])
                      for limit in (500, 1000)]
            cells.append(f'{mean} ({100 * within[0]:.0f} / {100 * within[1]:.0f} %)')
        rows.append([name, *cells])
    return [f'Mean run to a false alarm, as it comes (promised: {RUN_LENGTH:.0f}), and the share '
            f'of streams with an alarm within 500 / 1,000 labels (promised: at most 25 / 50 %); '
            f'{streams} streams of {length} labels a cell, each with its own reference.\n',
            table(['model', *(f'n = {size}' for size in (200, 500, 1000, 2000))], rows), '']


def intervals(quick: bool) -> list[str]:
    windows = (50, 100, 200, 400)
    rows = []
    for scenario in ('none', 'a', 'a2'):
        found = coverage(Job(WORLDS[DEFAULT_WORLD], scenario, 0, 100_000 if quick else 400_000,
                             (4,)), windows)
        rows.append([scenario, *(f'{cover:.3f} ({width:.2f})'
                                 for cover, width in (found[w] for w in windows))])
    return ['Coverage of the 95 % interval for the mean NLL, and its mean width in nats:\n',
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
        text += ['## The promise\n', *run_lengths(pool, 10 if small else 40, 4000)]
    text += ['## The interval\n', *intervals(small), '## Cost\n']
    text.append(table(['labels', 'microseconds an update', 'state as JSON, kB'],
                      [[str(k), f'{us:.0f}', f'{size / 1000:.0f}']
                       for k in (3, 10, 1000) for us, size in [cost(k)]]))
    page = '\n'.join(text) + '\n'
    print(page)
    print(f'{perf_counter() - began:.0f} s', file=sys.stderr)
    if arguments.markdown:
        made = ('# Drift: measured\n\nMade by `python3 benchmark/bench_drift.py '
                f'--markdown {arguments.markdown.name}`; what the words mean is in '
                '[theory.md](theory.md).\n\n'
                + '\n'.join(f'- {name}: {text}' for name, text in SCENARIOS.items()) + '\n\n')
        arguments.markdown.write_text(made + page, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
