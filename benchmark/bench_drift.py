"""
``make bench-drift``: how soon drift is found, and what a false alarm's promise is worth.

Our detector is the class that ships, fed as the monitor feeds it. Every other detector sees the
same NLLs (or 1 - p of the true label, or right and wrong), first those of the reference, and its
threshold is tuned on streams of its own to a mean run to a false alarm of 2,000 labels, which
nobody can do in a plant. Ours is shown so tuned, to compare like with like, and as it comes.
river and frouros take part where they are installed, as ``make bench-drift`` has them.

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
import tracemalloc
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
from tool_recognizer.core.early_warning import EarlyWarning  # noqa: E402
from tool_recognizer.core.information import Array  # noqa: E402
from tool_recognizer.core.information import entropy  # noqa: E402
from tool_recognizer.core.interval import effective_sample_size  # noqa: E402
from tool_recognizer.core.interval import hall_interval  # noqa: E402

RUN_LENGTH = 2000.0   # labels to a false alarm, for everybody
REFERENCE = 1000      # labels
AFTER = 1000          # labels watched after the change
COLUMNS = ('a', 'b', 'a2', 'c', 'd', 'f')
QUIET = ('none', 'g1', 'e', 'e2')
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
    detector = DriftDetector(job.world.labels, Reference(*reference), seed=job.seed[-1])
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
    detector = DriftDetector(job.world.labels, Reference(*reference), seed=job.seed[-1])
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


# p-values of KSWIN by the identity of the scores: they do not depend on its threshold.
_P_VALUES: dict[int, Array] = {}


def kswin(x: Array, start: int, parameter: float) -> int:
    """Run river's KSWIN once a stream, with nothing called drift, and compare its p-values."""
    found = _P_VALUES.get(id(x))
    if found is None:
        from river.drift import KSWIN
        detector = KSWIN(alpha=0.0, seed=1)
        values = []
        for value in x[start - detector.window_size:].tolist():
            detector.update(value)
            values.append(detector.p_value)
        found = _P_VALUES[id(x)] = np.array(values[detector.window_size:])
    return _first(found <= 1.0 / parameter, 0)


class Peer(NamedTuple):
    """
    Another detector.

    Attributes
    ----------
    score : which scores it is fed
    first : (scores, start, parameter) -> labels to the first alarm
    low, high : of the parameter: at ``low`` it alarms too often, at ``high`` too rarely; the
        tuning halves the interval on a logarithmic scale
    share : of the streams that it is run on; less than 1 for the slow ones

    """

    score: str
    first: Callable[..., int]
    low: float
    high: float
    share: float = 1.0


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
            'river EDDM': ('error', lambda p: binary.EDDM(
                beta=1 / p, alpha=(1.0 + 1 / p) / 2.0), 1.0001, 20.0),
        }
        found['river KSWIN (NLL)'] = Peer('NLL', kswin, 1.5, 1e15, 0.25)
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
            'frouros RDDM': ('error', lambda p: concept_drift.RDDM(
                concept_drift.RDDMConfig(drift_level=p, warning_level=0.9 * p)), 1.0, 20.0),
        }
        for name, (score, make, low, high) in frouros.items():
            slow = name == 'frouros STEPD'
            found[name] = Peer(score, library(make, 'drift'), low, high, 0.25 if slow else 1.0)
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
    return [_first(run.evidence >= threshold, 0) for run in runs]


def coverage(job: Job, windows: tuple[int, ...], asked: bool) -> dict[int, tuple[float, ...]]:
    """
    Return coverage, mean width and effective size of the 95 % interval, by window size.

    If ``asked``, only some frames are confirmed, the unsure ones three times as often, and each
    counts with 1 / (the probability with which it was asked for).
    """
    rng = np.random.default_rng(job.seed)
    log_p, q = stream(rng, job.length, job.world, job.scenario, change_at=-10**6)
    x = -np.where(q > 0.0, q * log_p, 0.0).sum(axis=1)
    truth, chance = x.mean(), np.ones(len(x))
    if asked:
        chance = np.where(entropy(np.exp(log_p)) > 0.1, 0.6, 0.2)
        keep = rng.random(len(x)) < chance
        x, chance = x[keep], chance[keep]
    found = {}
    for window in windows:
        count = min(len(x) // window, 1000)
        rows = [part[:count * window].reshape(-1, window) for part in (x, 1.0 / chance)]
        ends = np.array([hall_interval(value, weights=weight)
                         for value, weight in zip(*rows, strict=True)])
        found[window] = (float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))),
                         float(np.mean(ends[:, 1] - ends[:, 0])),
                         float(np.mean([effective_sample_size(weight) for weight in rows[1]])))
    return found


def warned(job: Job) -> tuple[int, str]:
    """Return the first early warning on predictions alone, or the length, and its reason."""
    _, (log_p, _) = job.draw()
    test = EarlyWarning(job.world.labels)
    for at in range(job.length):
        if test.update(log_p[at]):
            return at, test.reason
    return job.length, ''


def cost(labels: int, make: Callable[[int, Reference], Any]) -> tuple[float, int, int]:
    """Return microseconds an update, bytes of the object and of its state, after 2,000 labels."""
    rng = np.random.default_rng(1)
    world = replace(WORLDS['plant'], labels=labels)
    reference = Reference(*stream(rng, REFERENCE, world))
    log_p, q = stream(rng, 2000, world)
    test = make(labels, reference)
    feed = ((log_p, q) if isinstance(test, DriftDetector) else (log_p,))
    start = perf_counter()
    for row in zip(*feed, strict=True):
        test.update(*row)
    spent = (perf_counter() - start) / len(q) * 1e6
    del test
    tracemalloc.start()
    test = make(labels, reference)
    for row in zip(*feed, strict=True):
        test.update(*row)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return spent, memory, len(json.dumps(test.to_state()))


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
        # The slow ones first, so that the last to end is a quick one.
        others = pool.map(peer_row, sorted(_PEERS, key=lambda name: _PEERS[name].share),
                          chunksize=1)

    threshold = tuned(calm)
    alarms = {'**ours**, at equal run length': (
        run_length(crossings(calm, threshold), 5000),
        {s: crossings(found, threshold) for s, found in runs.items()})}
    alarms['**ours**, as it comes'] = (
        run_length([run.alarm if run.alarm < 5000 else 5000 for run in calm], 5000),
        {s: [run.alarm for run in found] for s, found in runs.items()})
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
    windows = (50, 100, 200, 400)
    rows = []
    length = 100_000 if quick else 400_000
    for scenario, asked in ((s, asked) for asked in (False, True) for s in ('none', 'a', 'a2')):
        # Asked, a quarter of the frames or so are left.
        job = Job(WORLDS[DEFAULT_WORLD], scenario, 0, length * (4 if asked else 1), (4,))
        found = coverage(job, windows, asked)
        cells = [f'{cover:.3f} ({width:.2f}' + (f'; worth {size:.0f})' if asked else ')')
                 for cover, width, size in (found[w] for w in windows)]
        rows.append([scenario + (', unsure frames asked 3 x as often' if asked else ''), *cells])
    return ['Coverage of the 95 % interval for the mean NLL, and its mean width in nats; for '
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
        text += ['## The promise\n', *run_lengths(pool, 10 if small else 40, 4000)]
        text += ['## The early warning\n', *early_warnings(
            pool, WORLDS[arguments.world], 20 if small else 100)]
    text += ['## The interval\n', *intervals(small), '## Cost\n']
    tests: dict[str, Callable[[int, Reference], Any]] = {
        'drift': DriftDetector, 'early warning': lambda labels, _: EarlyWarning(labels)}
    text.append(table(
        ['test', 'labels', 'microseconds an update', 'memory, kB', 'state as JSON, kB'],
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
