"""Patterned grounds for ``finder_scenes.py``, float RGB from 0 to 255, and what lies on them."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.pictures.scene import clouds

Real = NDArray[np.float32]
Rng = np.random.Generator


def colours(rng: Rng, number: int) -> Real:
    """Choose colours, often of nearly one hue, at times of any."""
    if rng.random() < 0.35:
        return rng.uniform(0, 255, (number, 3)).astype(np.float32)
    base = rng.uniform(30, 225, 3)
    spread = rng.uniform(8, 90)
    grey = rng.normal(0, spread, (number, 1)) + rng.normal(0, rng.uniform(1, 30), (number, 3))
    return np.clip(base + grey, 0, 255).astype(np.float32)


def grid(rng: Rng, height: int, width: int) -> tuple[Real, Real]:
    """Return coordinates in pixels, turned by any angle, at times a little bent."""
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else 0.0
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if rng.random() < 0.3:
        bend, size = rng.uniform(2, 10), int(rng.integers(20, 120))
        x = x + bend * clouds(rng, height, width, size)
        y = y + bend * clouds(rng, height, width, size)
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return c * x - s * y + 1000, s * x + c * y + 1000


def period(rng: Rng) -> float:
    """Choose a pattern's period, pixels."""
    return float(np.exp(rng.uniform(np.log(2), np.log(110))))


def noise(rng: Rng, height: int, width: int, slope: float | None = None) -> Real:
    """Draw noise of unit strength whose amplitudes fall with the frequency's power ``slope``."""
    slope = rng.uniform(0.0, 2.0) if slope is None else slope
    down, across = np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width)
    stretch = np.exp(rng.normal(0, 0.5))
    frequency = np.maximum(np.hypot(down * stretch, across / stretch), 1 / max(height, width))
    low = rng.uniform(0, 0.08) if rng.random() < 0.3 else 0.0
    spectrum = np.where(frequency < low, 0, frequency ** -slope).astype(np.float32)
    waves = np.fft.rfft2(rng.standard_normal((height, width), np.float32)) * spectrum
    drawn = np.fft.irfft2(waves, (height, width)).astype(np.float32)
    return np.asarray((drawn - drawn.mean()) / max(float(drawn.std()), 1e-6), np.float32)


def blended(value: Real, tones: Real) -> Real:
    """Colour a map of 0 to n - 1 by n colours, blending neighbours."""
    value = np.clip(value, 0, len(tones) - 1.001)
    low = value.astype(np.int32)
    rest = (value - low)[..., np.newaxis]
    return np.asarray(tones[low] * (1 - rest) + tones[low + 1] * rest, np.float32)


def stripes(rng: Rng, height: int, width: int) -> Real:
    """Draw stripes of two to four colours, with sharp or soft edges."""
    x, _ = grid(rng, height, width)
    tones = colours(rng, int(rng.integers(2, 5)))
    phase = (x / period(rng)) % 1.0
    if rng.random() < 0.6:
        return tones[(phase * len(tones)).astype(np.int32) % len(tones)]
    return blended((0.5 + 0.5 * np.sin(2 * np.pi * phase)) * (len(tones) - 1), tones)


def checks(rng: Rng, height: int, width: int) -> Real:
    """Draw checks, or a tartan where stripes cross."""
    x, y = grid(rng, height, width)
    one = period(rng)
    other = one * np.exp(rng.normal(0, 0.3))
    a, b = np.floor(x / one).astype(np.int32), np.floor(y / other).astype(np.int32)
    if rng.random() < 0.5:
        return colours(rng, 2)[(a + b) % 2]
    tones = colours(rng, 6)
    return 0.5 * (tones[a % 3] + tones[3 + b % 3])


def dots(rng: Rng, height: int, width: int) -> Real:
    """Draw dots or rings on a grid."""
    x, y = grid(rng, height, width)
    step = period(rng)
    shift = 0.5 * (np.floor(y / step) % 2) if rng.random() < 0.5 else 0.0
    radius = np.hypot((x / step + shift) % 1 - 0.5, (y / step) % 1 - 0.5)
    inside = radius < rng.uniform(0.12, 0.45)
    if rng.random() < 0.3:
        inside &= radius > rng.uniform(0.05, 0.25)
    return colours(rng, 2)[inside.astype(np.int32)]


def tiles(rng: Rng, height: int, width: int) -> Real:
    """Draw tiles or bricks, each of its own tone, with joints."""
    x, y = grid(rng, height, width)
    down = period(rng) * 1.5 + 6
    across = down * np.exp(abs(rng.normal(0, 0.6)))
    row = np.floor(y / down).astype(np.int32)
    x = x + (0.5 * across * (row % 2) if rng.random() < 0.6 else 0.0)
    column = np.floor(x / across).astype(np.int32)
    tones = colours(rng, 17)
    joint = np.minimum(x % across, y % down) < rng.uniform(1, max(1.5, 0.12 * down))
    body = tones[(row * 7 + column * 5 + row * column) % 16]
    return np.asarray(np.where(joint[..., np.newaxis], tones[16], body), np.float32)


def cells(rng: Rng, height: int, width: int) -> Real:
    """Draw pebbles: the cells of random points, at times with dark gaps."""
    size = float(np.exp(rng.uniform(np.log(5), np.log(45))))
    number = int(min(3000, height * width / size ** 2)) + 2
    seeds = np.full((height, width), 255, np.uint8)
    seeds[rng.integers(height, size=number), rng.integers(width, size=number)] = 0
    far, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5,
                                                 labelType=cv2.DIST_LABEL_PIXEL)
    tones = colours(rng, 61)
    body = tones[label % 60]
    if rng.random() < 0.7:
        body = body * (1 - np.clip(far / size * rng.uniform(0.2, 0.9), 0, 1))[..., np.newaxis]
    return np.asarray(body, np.float32)


def clutter(rng: Rng, height: int, width: int) -> Real:
    """Strew one kind of shape: blades, boxes, ellipses, letters."""
    tones = colours(rng, 8)
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = tones[0]
    kind = rng.integers(4)
    size = float(np.exp(rng.uniform(np.log(4), np.log(70))))
    number = int(min(600, rng.uniform(0.3, 3) * height * width / size ** 2)) + 3
    xs, ys = rng.uniform(0, width, number), rng.uniform(0, height, number)
    turns, sizes = rng.uniform(0, 360, number), size * np.exp(rng.normal(0, 0.3, number))
    main, wild = rng.uniform(0, 360), rng.random() < 0.6
    for x, y, turn, side in zip(xs, ys, turns, sizes, strict=True):
        tone = tones[int(turn) % 7 + 1].tolist()
        turn = turn if wild else main + turn / 20
        at = int(x), int(y)
        if kind == 0:
            to = (int(x + side * np.cos(np.deg2rad(turn))),
                  int(y + side * np.sin(np.deg2rad(turn))))
            cv2.line(picture, at, to, tone, max(1, int(side / 9)), cv2.LINE_AA)
        elif kind == 1:
            corners = cv2.boxPoints((at, (side, side * (0.3 + turn / 500)), turn))
            cv2.fillPoly(picture, [corners.astype(np.int32)], tone, cv2.LINE_AA)
        elif kind == 2:
            cv2.ellipse(picture, (at, (side, side * (0.3 + turn / 500)), turn), tone, -1,
                        cv2.LINE_AA)
        else:
            cv2.putText(picture, chr(65 + int(turn) % 26), at, int(turn) % 8, side / 22, tone,
                        max(1, int(side / 14)), cv2.LINE_AA)
    return picture.astype(np.float32)


def texture(rng: Rng, height: int, width: int) -> Real:
    """Colour noise of any grain by a few colours: stone, rust, cloth, sand."""
    value = noise(rng, height, width)
    tones = colours(rng, int(rng.integers(2, 5)))
    if rng.random() < 0.3:
        value = np.abs(value)
    body = blended((len(tones) - 1) * (0.5 + 0.25 * value), tones)
    if rng.random() < 0.4:
        body = body + rng.uniform(5, 40) * noise(rng, height, width)[..., np.newaxis]
    return np.asarray(body, np.float32)


def weave(rng: Rng, height: int, width: int) -> Real:
    """Draw threads over and under each other, or planks with a grain."""
    x, y = grid(rng, height, width)
    step = float(np.exp(rng.uniform(np.log(3), np.log(40))))
    a, b = x / step, y / step / np.exp(rng.normal(0, 0.2))
    over = (np.floor(a) + np.floor(b) * rng.integers(1, 3)) % rng.integers(2, 4) < 1
    lit = np.where(over, np.sin(np.pi * (a % 1)), np.sin(np.pi * (b % 1)))
    tones = colours(rng, 2)
    depth = rng.uniform(0.15, 0.8)
    return np.asarray(np.where(over[..., np.newaxis], tones[0], tones[1])
                      * (1 - depth + depth * lit)[..., np.newaxis], np.float32)


PATTERNS: tuple[Callable[[Rng, int, int], Real], ...] = (
    stripes, checks, dots, tiles, cells, clutter, clutter, texture, texture, weave)


def marked(picture: Real, rng: Rng) -> Real:
    """Divide the ground: a shadow, a sheet or a band of another colour or pattern, no object."""
    height, width = picture.shape[:2]
    kind = rng.random()
    if kind < 0.35:
        other = picture * np.float32(rng.uniform(0.35, 0.8))
    elif kind < 0.7:
        other = np.clip(PATTERNS[rng.integers(len(PATTERNS))](rng, height, width), 0, 255)
    else:
        other = np.broadcast_to(colours(rng, 1)[0], picture.shape)
    x, y = grid(rng, height, width)
    u = (x - x.mean()) / width - rng.uniform(-0.4, 0.4)
    v = (y - y.mean()) / height - rng.uniform(-0.4, 0.4)
    form = rng.integers(3)
    if form == 0:
        there = u > 0
    elif form == 1:
        there = np.abs(u) < rng.uniform(0.01, 0.2)
    else:
        there = (np.abs(u) < rng.uniform(0.2, 0.4)) & (np.abs(v) < rng.uniform(0.2, 0.5))
    return np.ascontiguousarray(np.where(there[..., np.newaxis], other, picture), np.float32)


def strew(picture: Real, rng: Rng) -> None:
    """Strew three to twelve flat shapes of very different sizes over a ground; no objects."""
    height, width = picture.shape[:2]
    for _ in range(rng.integers(3, 13)):
        at = (rng.uniform(0, 1, 2) * (width, height)).astype(int)
        tone = rng.uniform(0, 255, 3).tolist()
        sides = height * np.exp(rng.uniform(np.log(0.04), np.log(0.6), 2))
        if rng.random() < 0.35:
            walk = at + np.cumsum(rng.normal(0, 0.4, (7, 2)), axis=0) * sides.max()
            cv2.polylines(picture, [walk.astype(np.int32)], False, tone, int(rng.integers(1, 6)))
        elif rng.random() < 0.3:
            cv2.ellipse(picture, (at.tolist(), sides.tolist(), rng.uniform(0, 360)), tone, -1)
        else:
            corners = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
            shape = at + 0.5 * sides * np.column_stack([np.cos(corners), np.sin(corners)])
            cv2.fillPoly(picture, [shape.astype(np.int32)], tone)
