"""
Streams of confirmed labels with a known change, for ``bench_drift``.

A frame shows one tool, c. Its logits are a signal for c plus noise, times a scale that varies
from frame to frame; some frames are harder than others. The true label is drawn from the softmax
of these logits, so that a model which gives exactly them is calibrated; the model in charge may
give them with another temperature. The change then spoils what the model sees, and leaves the
label as it was.
"""

from dataclasses import dataclass
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import log_softmax

CHANGE_AT = 500  # labels
SCENARIOS = {
    'a': 'lighting, NLL x 2.2, abrupt',
    'b': 'the same as a ramp over 500 labels',
    'a2': 'glare, 3.2 % garbage frames',
    'c': '45 % of one label are a new variant',
    'd': 'over-confident, temperature 0.5',
    'f': 'lighting, 150 labels on, 150 off',
    'e': 'another mix of frames, p(y | x) intact',
    'e2': 'another mix of tools, each of them looking as before, p(x | y) intact',
    'g1': '2 % wrong labels, in the reference too: no change',
    'none': 'no change',
}


@dataclass(frozen=True)
class World:
    """
    A model and the frames that it sees.

    Attributes
    ----------
    labels : K
    signal, scale : mean and scale of the true tool's logit; the noise has standard deviation 1
    spread : of the logarithm of the scale from frame to frame
    hard, ease : the share of frames with noise 2 instead of ``ease``
    sharpness : the model's logits are the true ones times this
    wrong : share of confirmed labels that are another label
    rounding : whether the model's probabilities are float32, as they come over a wire
    dimming : how much of the signal a, b and f take away
    garbage : how sure the model is of a garbage frame, in units of its usual logits
    variant : how much of its signal a frame of the new variant loses

    """

    labels: int = 3
    signal: float = 2.6
    scale: float = 3.0
    spread: float = 0.4
    hard: float = 0.0
    ease: float = 1.0
    sharpness: float = 1.25
    wrong: float = 0.0
    rounding: bool = False
    dimming: float = 0.31
    garbage: float = 0.8
    variant: float = 0.55


# The shapes and weights of the bets were chosen in these worlds ...
CHOSEN_IN = {
    'sure': World(scale=2.5, spread=0.25, hard=0.35, ease=0.4),
    'poor (88 %)': World(signal=1.9, scale=2.5, spread=0.3),
    'good (99 %)': World(signal=3.6, spread=0.3),
}
# ... and figures are reported of these.
REPORTED = {
    'plant': World(),
    'calibrated': World(sharpness=1.0, garbage=0.7),
    '2 labels': World(labels=2, signal=2.2, spread=0.3, sharpness=1.2),
    '10 labels': World(labels=10, signal=3.7, spread=0.3, sharpness=1.1),
}
WORLDS = CHOSEN_IN | REPORTED
# Those in which the run to a false alarm is measured.
RUN_WORLDS: dict[str, World] = {
    'calibrated': WORLDS['calibrated'],
    'miscalibrated (T = 0.67)': replace(WORLDS['calibrated'], sharpness=1.5),
    'float32, saturated': replace(WORLDS['plant'], rounding=True),
    '2 % wrong labels': replace(WORLDS['calibrated'], wrong=0.02),
    '99.9 % right': replace(WORLDS['plant'], signal=4.6, spread=0.3),
    'sharpened (T = 0.3)': replace(WORLDS['plant'], sharpness=3.3),
    '2 labels, 1 % wrong': replace(WORLDS['2 labels'], wrong=0.01),
    '10 labels': WORLDS['10 labels'],
}
# Labels that depend on each other, which breaks the promise.
DEPENDENCE = {
    'each object confirmed twice': 2,
    'each object confirmed 3 times': 3,
    'each object confirmed 5 times': 5,
    'each object confirmed 10 times': 10,
    'each object confirmed 1 to 9 times': 'objects',
    'difficulty drifts to and fro (autoregressive, 0.9)': 'difficulty',
    'light with a period of 300 labels': 'light',
}


def stream(rng: np.random.Generator, count: int, world: World, scenario: str = 'none',
           change_at: int = CHANGE_AT) -> tuple[Array, Array]:
    """
    Draw confirmed labels.

    Returns
    -------
    log p, (count, K) nats, and the confirmed distributions, (count, K) one-hot

    """
    labels = world.labels
    identity = np.eye(labels)
    z, y, scale, shown = _frames(rng, count, world)
    at = np.arange(count)
    after = at >= change_at
    extra = rng.standard_normal((count, labels))
    if scenario in ('a', 'b', 'f'):
        amount = after.astype(float)
        if scenario == 'b':
            amount = np.clip((at - change_at) / 500.0, 0.0, 1.0)
        if scenario == 'f':
            amount = after * (((at - change_at) // 150) % 2 == 0)
        amount = amount[:, np.newaxis]
        z = z - world.dimming * amount * world.signal * scale * identity[shown]
        z = z + 0.25 * np.sqrt(amount) * scale * extra
    elif scenario == 'a2':
        garbage = after & (rng.random(count) < 0.032)
        z = np.where(garbage[:, np.newaxis], world.garbage * _frames(rng, count, world)[0], z)
    elif scenario == 'c':
        variant = after & (y == 0) & (rng.random(count) < 0.45)
        z = z - (variant[:, np.newaxis] * world.variant * world.signal * scale * identity[shown])
    elif scenario == 'd':
        z = np.where(after[:, np.newaxis], 2.0 * z, z)
    elif scenario in ('e', 'e2'):
        mix = np.where(np.arange(labels) == 0, 4.0, 1.0)
        if scenario == 'e':
            other, other_y, _, _ = _frames(rng, count, world, mix / mix.sum())
        else:
            # Of many frames, those whose labels come in this mix.
            many, many_y, _, _ = _frames(rng, 20 * count, world)
            chosen = rng.choice(20 * count, size=count, p=mix[many_y] / mix[many_y].sum())
            other, other_y = many[chosen], many_y[chosen]
        z, y = np.where(after[:, np.newaxis], other, z), np.where(after, other_y, y)
    wrong = 0.02 if scenario == 'g1' else world.wrong
    mistaken = rng.random(count) < wrong
    y = np.where(mistaken, (y + rng.integers(1, labels, count)) % labels, y)
    log_p = log_softmax(world.sharpness * z)
    if world.rounding:
        with np.errstate(divide='ignore'):
            log_p = np.log(np.exp(log_p).astype(np.float32).astype(np.float64))
    return log_p, identity[y]


def dependent(rng: np.random.Generator, count: int, world: World, kind: int | str
              ) -> tuple[Array, Array, NDArray[np.int64]]:
    """
    Draw labels that depend on each other, and otherwise never change.

    Parameters
    ----------
    kind : a value of ``DEPENDENCE``: how often each object is confirmed, or what else varies

    Returns
    -------
    As ``stream``, and the number of the object that each label is of, (count,)

    """
    if kind in ('difficulty', 'light'):
        step = rng.standard_normal(count)
        state = np.zeros(count)
        for at in range(1, count):
            state[at] = 0.9 * state[at - 1] + np.sqrt(1.0 - 0.9**2) * step[at]
        if kind == 'light':
            state = np.sin(2.0 * np.pi * (np.arange(count) / 300.0 + rng.random()))
        z, y, scale, shown = _frames(rng, count, world)
        amount = 0.15 * (1.0 + state)[:, np.newaxis]
        z = z - amount * world.signal * scale * np.eye(world.labels)[shown]
        return log_softmax(world.sharpness * z), np.eye(world.labels)[y], np.arange(count)
    times = rng.integers(1, 10, count) if kind == 'objects' else np.full(count, int(kind))
    log_p, q = stream(rng, count, world)
    rows = np.repeat(np.arange(count), times)[:count]
    return log_p[rows], q[rows], rows


def views(rng: np.random.Generator, objects: NDArray[np.int64]) -> NDArray[np.float32]:
    """
    Draw the features of frames, (count, 256), from the numbers of the objects that they show.

    Two views of an object lie 15 to 36 degrees apart, so that one in ten is not known again, more
    than of photographs (``drift_on_photos``); two objects lie about 90 degrees apart.
    """
    apart = np.radians(rng.uniform(15.0, 36.0, objects.max() + 1))[objects, np.newaxis]
    shown = rng.standard_normal((objects.max() + 1, 256))[objects]
    noise = np.sqrt(1.0 / np.cos(apart) - 1.0)
    return (shown + noise * rng.standard_normal(shown.shape)).astype(np.float32)


def _frames(rng: np.random.Generator, count: int, world: World, mix: Array | None = None
            ) -> tuple[Array, Array, Array, Array]:
    """Return true logits, labels, scales, and the tools that the frames show."""
    labels = world.labels
    shown = rng.choice(labels, size=count, p=mix)
    noise = np.where(rng.random(count) < world.hard, 2.0, world.ease)[:, np.newaxis]
    scale = world.scale * np.exp(world.spread * rng.standard_normal(count))[:, np.newaxis]
    z = scale * (world.signal * np.eye(labels)[shown]
                 + noise * rng.standard_normal((count, labels)))
    drawn = np.exp(log_softmax(z)).cumsum(axis=1) < rng.random(count)[:, np.newaxis]
    return z, np.minimum(drawn.sum(axis=1), labels - 1), scale, shown
