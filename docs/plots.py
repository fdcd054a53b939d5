"""
Draw the plots of theory.md: ``python3 docs/plots.py``.

Needs matplotlib. The streams are those of the benchmark, the detector is the one that ships.
"""

from pathlib import Path
import sys

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmark.streams import CHANGE_AT  # noqa: E402
from benchmark.streams import stream  # noqa: E402
from benchmark.streams import WORLDS  # noqa: E402
import matplotlib  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from tool_recognizer.core import drift  # noqa: E402
from tool_recognizer.core import rank_bets  # noqa: E402
from tool_recognizer.core.drift import DriftDetector  # noqa: E402
from tool_recognizer.core.drift import Reference  # noqa: E402
from tool_recognizer.core.early_warning import DEFAULT_RUN_LENGTH  # noqa: E402
from tool_recognizer.core.early_warning import EarlyWarning  # noqa: E402
from tool_recognizer.core.information import Array  # noqa: E402
from tool_recognizer.core.interval import hall_interval  # noqa: E402

WORLD = WORLDS['plant']
BLUE, RED, GREY, GREEN = '#1f6fb4', '#c23b22', '#8a8a8a', '#3a8a4d'


def nll(log_p: Array, q: Array) -> Array:
    return np.asarray(-np.where(q > 0.0, q * log_p, 0.0).sum(axis=1))


def surprise() -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    p = np.linspace(0.005, 1.0, 400)
    left.plot(p, -np.log(p), color=BLUE)
    for label, at in (('wrench', 0.7), ('screwdriver', 0.2), ('hammer', 0.1)):
        left.plot([at], [-np.log(at)], 'o', color=RED)
        left.annotate(f'{label}: {-np.log(at):.4f}', (at, -np.log(at)),
                      xytext=(8, 6), textcoords='offset points')
    left.set(xlabel='probability that the model gave to the confirmed label',
             ylabel='NLL, nats', title='What a confirmed label costs', ylim=(0, 5.3))
    log_p, q = stream(np.random.default_rng(1), 20_000, WORLD)
    spoilt = stream(np.random.default_rng(1), 20_000, WORLD, 'a', change_at=0)
    for x, colour, name in ((nll(log_p, q), BLUE, 'in control'),
                            (nll(*spoilt), RED, 'light dimmed')):
        ordered = np.sort(x)
        right.plot(ordered, 1.0 - np.arange(len(x)) / len(x), color=colour,
                   label=f'{name}: mean {x.mean():.2f}, median {np.median(x):.4f}')
    right.set(xscale='log', yscale='log', xlim=(1e-5, 20), ylim=(1e-4, 1.2),
              xlabel='NLL, nats', ylabel='share of frames that cost more',
              title='Most frames cost nothing, a few cost a lot')
    right.legend(frameon=False, loc='lower left', fontsize=8)
    save(figure, 'surprise')


def interval() -> None:
    rng = np.random.default_rng(2)
    x = nll(*stream(rng, 400_000, WORLD))
    truth = x.mean()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    windows = x[:40 * 100].reshape(40, 100)
    for axis, name in zip(axes, ('symmetric (Student)', 'Hall'), strict=True):
        for row, window in enumerate(windows):
            half = 1.984 * window.std(ddof=1) / 10.0
            low, high = ((window.mean() - half, window.mean() + half) if name[0] == 's'
                         else hall_interval(window))
            hit = low <= truth <= high
            axis.plot([low, high], [row, row], color=BLUE if hit else RED, lw=1.6)
        axis.axvline(truth, color=GREY, lw=1)
        axis.set(title=name, xlabel='mean NLL, nats', xlim=(-0.05, 0.8), yticks=[])
    axes[0].set_ylabel('40 windows of 100 labels')
    save(figure, 'interval')


def bets() -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    names = (*rank_bets._NAMES, 'one label', 'the others then')
    for shape, name in zip(rank_bets._SHAPES, names, strict=True):
        density = np.diff(shape) / np.diff(rank_bets._KNOTS)
        left.stairs(density, np.maximum(rank_bets._KNOTS, 1e-3), label=name, lw=1.4)
    left.axhline(1.0, color=GREY, lw=1, ls=':')
    left.set(xscale='log', xlim=(1e-3, 1.0), xlabel='rank from the top, as a share',
             ylabel='what the bet pays', title='The bets on a rank')
    left.legend(frameon=False, fontsize=8)
    for scenario, colour, name in (('none', GREY, 'no change'), ('a', RED, 'light dimmed'),
                                   ('d', BLUE, 'over-confident')):
        u = []
        for run in range(30):
            rng = np.random.default_rng([3, run])
            detector = DriftDetector(3, Reference(*stream(rng, 1000, WORLD)))
            for row, q in zip(*stream(rng, 150, WORLD, scenario, change_at=0), strict=True):
                detector.update(row, q)
            u += [(seen.rank + 0.5) / seen.size for seen in detector._history]
        right.hist(u, bins=np.linspace(0, 1, 21), density=True, histtype='step', color=colour,
                   label=name, lw=1.4)
    right.set(xlabel='rank from the top, as a share', ylabel='density', xlim=(0, 1),
              title='The ranks that come')
    right.legend(frameon=False, fontsize=8)
    save(figure, 'bets')


def evidence() -> None:
    figure, axis = plt.subplots(figsize=(9, 3.6))
    for run, colour in ((0, BLUE), (1, GREEN), (2, RED)):
        rng = np.random.default_rng([4, run])
        detector = DriftDetector(3, Reference(*stream(rng, 1000, WORLD)))
        path = []
        for row, q in zip(*stream(rng, 700, WORLD, 'a'), strict=True):
            detector.update(row, q)
            path.append(detector.evidence)
            if detector.alarm:
                break
        axis.plot(path, color=colour, lw=1)
        if detector.change_at is not None and detector.change_set is not None:
            axis.plot([len(path) - 1], [path[-1]], 'o', color=colour)
            height = 0.012 * 2.2**run
            axis.plot(detector.change_set, [height, height], color=colour, lw=3, alpha=0.5)
            axis.plot([detector.change_at], [height], '|', color=colour, ms=12)
    axis.axhline(drift.DEFAULT_THRESHOLD, color=GREY, ls='--', lw=1)
    axis.text(5, drift.DEFAULT_THRESHOLD * 1.2, 'A = 2,000', color=GREY)
    axis.axvline(CHANGE_AT, color=GREY, ls=':', lw=1)
    axis.text(CHANGE_AT - 4, 3, 'the light is dimmed', color=GREY, ha='right')
    axis.set(yscale='log', ylim=(0.008, 9e3), xlim=(0, 700), xlabel='confirmed label',
             ylabel='evidence', title='Three runs; bars below: where each says the change was')
    save(figure, 'evidence')


def early_warning() -> None:
    figure, axis = plt.subplots(figsize=(9, 3.2))
    for scenario, colour, name in (('none', GREY, 'no change'), ('a', RED, 'light dimmed'),
                                   ('d', BLUE, 'over-confident'), ('e', GREEN, 'another mix')):
        test, path = EarlyWarning(3), []
        for row in stream(np.random.default_rng(6), 800, WORLD, scenario)[0]:
            warned = test.update(row)
            path.append(test.evidence)
            if warned:
                axis.plot([len(path) - 1], [path[-1]], 'o', color=colour)
                name += f": '{test.reason}' after {len(path) - CHANGE_AT} samples"
                break
        axis.plot(path, color=colour, lw=1, label=name)
    axis.axhline(DEFAULT_RUN_LENGTH, color=GREY, ls='--', lw=1)
    axis.text(795, DEFAULT_RUN_LENGTH * 1.3, 'N = 10,000', color=GREY, ha='right')
    axis.axvline(CHANGE_AT, color=GREY, ls=':', lw=1)
    axis.set(yscale='log', ylim=(0.5, 3e7), xlim=(0, 800), xlabel='sample', ylabel='evidence',
             title='The early warning, from the predictions alone; the change is at 500')
    axis.legend(frameon=False, fontsize=8, loc='upper left')
    save(figure, 'early-warning')


def save(figure: plt.Figure, name: str) -> None:
    for axis in figure.axes:
        axis.spines[['top', 'right']].set_visible(False)
    figure.tight_layout()
    figure.savefig(HERE / f'{name}.svg', metadata={'Date': None})
    plt.close(figure)


if __name__ == '__main__':
    matplotlib.rcParams |= {'svg.hashsalt': 'tool_recognizer', 'font.size': 9}
    surprise()
    interval()
    bets()
    evidence()
    early_warning()
