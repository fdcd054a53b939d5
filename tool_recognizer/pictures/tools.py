"""
The tools that are drawn: hammers, screwdrivers, wrenches, and things that are none of them.

Everything comes from the given generator, so a picture can be drawn again.
"""

from collections.abc import Callable

import numpy as np
from tool_recognizer.pictures.sprite import band
from tool_recognizer.pictures.sprite import box
from tool_recognizer.pictures.sprite import curve
from tool_recognizer.pictures.sprite import disc
from tool_recognizer.pictures.sprite import Material
from tool_recognizer.pictures.sprite import Real
from tool_recognizer.pictures.sprite import rod
from tool_recognizer.pictures.sprite import Sprite
from tool_recognizer.pictures.sprite import turned

Rng = np.random.Generator
TOOLS = ('hammer', 'screwdriver', 'wrench')
OTHER = ('pliers', 'caliper', 'saw', 'knife', 'tape', 'drill', 'helmet', 'level', 'scissors',
         'bolt', 'brush', 'nothing')


def sprite_of(label: str, rng: Rng) -> Sprite:
    """
    Draw a tool.

    Parameters
    ----------
    label : one of DRAW's
    rng : source of the randomness

    """
    sprite = Sprite(rng)
    DRAW[label](sprite, rng)
    return sprite


def any_colour(rng: Rng, saturation: float = 1.0) -> Real:
    """Choose a colour: hue at random, saturation up to the given one."""
    hue, s = rng.random(), rng.uniform(0.2, 1.0) * saturation
    v = rng.uniform(0.25, 1.0)
    k = (np.array([5, 3, 1]) + hue * 6) % 6
    return np.asarray(v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1), np.float32)


def _steel(rng: Rng) -> Material:
    tone = rng.uniform(0.5, 0.85) if rng.random() < 0.7 else rng.uniform(0.12, 0.35)
    tint = np.array([1.0, 1.0, 1.0]) + rng.normal(0, 0.02, 3)
    return Material((tone * tint).astype(np.float32), rng.uniform(0.15, 0.6), rng.uniform(12, 60),
                    rng.uniform(0.0, 0.15), rng.uniform(0.1, 0.5))


def _plastic(rng: Rng) -> Material:
    vivid = np.array([(0.85, 0.1, 0.08), (0.95, 0.75, 0.05), (0.95, 0.4, 0.05), (0.1, 0.25, 0.7),
                      (0.05, 0.45, 0.2), (0.12, 0.12, 0.13), (0.3, 0.3, 0.32)], np.float32)
    colour = vivid[rng.integers(len(vivid))] if rng.random() < 0.75 else any_colour(rng)
    return Material(np.clip(colour + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32),
                    rng.uniform(0.1, 0.5), rng.uniform(8, 40))


def _rubber(rng: Rng) -> Material:
    return Material((rng.uniform(0.06, 0.22) * np.ones(3)).astype(np.float32),
                    rng.uniform(0.03, 0.15), rng.uniform(5, 15))


def _timber(rng: Rng) -> Material:
    tone = np.array([0.78, 0.58, 0.36]) * rng.uniform(0.55, 1.15)
    return Material(np.clip(tone + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32),
                    rng.uniform(0.02, 0.2), rng.uniform(8, 25), rng.uniform(0.12, 0.3))


def _hammer(s: Sprite, rng: Rng) -> None:
    kind = rng.choice(['claw', 'rip', 'ball', 'cross', 'sledge', 'mallet'],
                      p=[0.42, 0.16, 0.14, 0.14, 0.08, 0.06])
    long = kind == 'sledge'
    _hammer_handle(s, rng, 0.84 if not long else 0.8)
    steel = _steel(rng)
    if kind == 'mallet':
        half, reach = rng.uniform(0.09, 0.13), rng.uniform(0.14, 0.2)
        x = 0.98 - half
        head = rod([-reach, 0, reach], [half * 0.92, half, half * 0.92])[:, ::-1] + (x, 0)
        s.part([head], (_rubber, _timber, _plastic)[rng.integers(3)](rng))
        return
    if kind == 'sledge':
        half, reach = rng.uniform(0.06, 0.09), rng.uniform(0.13, 0.18)
        x = 0.97 - half
        s.part([box(x - half, x + half, -reach, reach, 0.02)], steel, bevel=0.03)
        s.line([(x - half, reach * 0.6), (x + half, reach * 0.6)], 0.006, 0.2)
        s.line([(x - half, -reach * 0.6), (x + half, -reach * 0.6)], 0.006, 0.2)
        return
    x = 0.91
    neck, face = rng.uniform(0.024, 0.034), rng.uniform(0.034, 0.05)
    strike = rng.uniform(0.13, 0.18)
    body = box(x - 0.052, x + 0.045, -0.05, 0.05, 0.015)
    throat = box(x - neck, x + neck, -strike + 0.02, 0)
    bell = np.array([(x - neck, -strike * 0.55), (x - face, -strike * 0.72), (x - face, -strike),
                     (x - face + 0.008, -strike - 0.01), (x + face - 0.008, -strike - 0.01),
                     (x + face, -strike), (x + face, -strike * 0.72), (x + neck, -strike * 0.55)])
    outlines = [body, throat, bell]
    if kind in ('claw', 'rip'):
        reach = rng.uniform(0.19, 0.26)
        drop = rng.uniform(0.07, 0.16) if kind == 'claw' else rng.uniform(0.0, 0.04)
        spine = curve([(x + 0.005, 0.02), (x + 0.03, reach * 0.5), (x + 0.02, reach * 0.8),
                       (x - drop, reach)])
        outlines.append(band(spine, np.linspace(0.088, 0.014, len(spine))))
        s.part(outlines, steel, bevel=0.022)
        if rng.random() < 0.4:
            s.line(spine[len(spine) // 2:], 0.008, 0.1)
    elif kind == 'ball':
        ball = rng.uniform(0.036, 0.05)
        y = rng.uniform(0.1, 0.13)
        outlines += [box(x - neck * 0.8, x + neck * 0.8, 0, y), disc(x, y, ball)]
        s.part(outlines, steel, bevel=0.03)
    else:
        tip, y = rng.uniform(0.006, 0.014), rng.uniform(0.12, 0.17)
        low = x - rng.choice([0.0, 0.03])
        outlines = [np.array([(x - face, -strike), (x + face, -strike), (x + face, 0.04),
                              (low + tip, y), (low - tip, y), (x - face, 0.04)])]
        s.part(outlines, steel, bevel=0.018)
    if rng.random() < 0.5:
        s.part([box(x + 0.035, x + 0.062, -0.022, 0.022, 0.006)], _timber(rng), bevel=0.006)


def _hammer_handle(s: Sprite, rng: Rng, end: float) -> None:
    kind = rng.choice(['wood', 'steel', 'fibre', 'solid'])
    if kind == 'wood':
        w = rng.uniform(0.024, 0.036)
        wood = _timber(rng)
        s.part([rod([0, 0.05, 0.22, 0.42, 0.7, end + 0.05],
                    [w * 0.85, w * 1.05, w * 0.85, w * 1.1, w * 0.75, w * 0.7])], wood)
        if rng.random() < 0.35:
            s.part([rod([0, 0.05, 0.2], [w * 0.85, w * 1.05, w * 0.86])], _plastic(rng))
        return
    grip = rng.uniform(0.34, 0.5)
    shaft = rng.uniform(0.012, 0.02) if kind == 'steel' else rng.uniform(0.018, 0.028)
    material = _steel(rng) if kind in ('steel', 'solid') else _plastic(rng)
    s.part([rod([grip - 0.04, end + 0.04], [shaft, shaft])], material)
    w = rng.uniform(0.028, 0.04)
    rubber = _rubber(rng) if rng.random() < 0.65 else _plastic(rng)
    s.part([rod([0, 0.03, 0.1, 0.25, grip], [w * 0.9, w * 1.15, w * 0.9, w * 1.05, w * 0.7])],
           rubber)
    if rng.random() < 0.5:
        for x in np.arange(0.08, grip - 0.05, rng.uniform(0.015, 0.04)):
            s.line([(x, -w), (x, w)], 0.006, 0.05)
    elif rng.random() < 0.5:
        s.part([rod([0.08, 0.2, grip - 0.06], [w * 0.3, w * 0.5, w * 0.25])], _plastic(rng))


def _screwdriver(s: Sprite, rng: Rng) -> None:
    kind = rng.choice(['common', 'stubby', 'precision', 'tee', 'insulated'],
                      p=[0.62, 0.12, 0.1, 0.04, 0.12])
    steel = _steel(rng)
    if kind == 'precision':
        s.part([rod([0.42, 0.97], [0.009, 0.008])], steel)
        metal = _steel(rng) if rng.random() < 0.5 else _plastic(rng)
        s.part([rod([0.05, 0.4, 0.44], [0.022, 0.022, 0.012])], metal)
        for x in np.arange(0.1, 0.38, 0.012):
            s.line([(x, -0.022), (x, 0.022)], 0.004, 0.15)
        s.part([rod([0, 0.012, 0.05], [0.02, 0.028, 0.026])], _plastic(rng))
        _tip(s, rng, steel, 0.97, 0.008)
        return
    grip = rng.uniform(0.48, 0.62) if kind == 'stubby' else rng.uniform(0.3, 0.46)
    w = rng.uniform(0.14, 0.2) if kind == 'stubby' else rng.uniform(0.042, 0.068)
    shaft = rng.uniform(0.022, 0.034) if kind == 'stubby' else rng.uniform(0.009, 0.018)
    sleeve = _plastic(rng) if kind == 'insulated' else steel
    s.part([rod([grip - 0.03, 0.96], [shaft, shaft])], sleeve)
    if kind == 'insulated':
        s.part([rod([0.9, 0.97], [shaft * 0.7, shaft * 0.7])], steel)
        shaft *= 0.7
    _tip(s, rng, steel, 0.97, shaft)
    if kind == 'tee':
        s.part([box(0.0, 0.1, -0.22, 0.22, 0.05)], _plastic(rng))
        return
    main = _plastic(rng)
    if rng.random() < 0.25:
        main = Material(np.clip(main.colour * 0.7 + 0.25, 0, 1).astype(np.float32), 0.8, 25,
                        0.1, 0.35)
    shape = [(0, 0.7), (0.06, 0.95), (0.3, 1.0), (0.55, 0.92), (0.78, 0.62), (0.88, 0.72),
             (1.0, 0.45)]
    if rng.random() < 0.5:
        shape = [(0, 0.85), (0.05, 1.0), (0.7, 1.0), (0.82, 0.75), (1.0, 0.55)]
    s.part([rod([grip * a for a, _ in shape], [w * b for _, b in shape])], main)
    detail = rng.choice(['flutes', 'panels', 'cap', 'plain'])
    if detail == 'flutes':
        for y in np.linspace(-0.65, 0.65, int(rng.integers(3, 6))) * w:
            s.line([(grip * 0.06, y), (grip * 0.72, y)], 0.006, rng.choice([0.05, 0.9]))
    elif detail == 'panels':
        other = _rubber(rng) if rng.random() < 0.6 else _plastic(rng)
        s.part([rod([grip * 0.12, grip * 0.35, grip * 0.7], [w * 0.4, w * 0.62, w * 0.3])], other)
    elif detail == 'cap':
        other = _plastic(rng)
        s.part([rod([0, grip * 0.05, grip * 0.18], [w * shape[0][1], w, w])], other)
        s.part([rod([grip * 0.8, grip * 0.9, grip], [w * 0.68, w * 0.72, w * 0.45])], other)
    if rng.random() < 0.3:
        s.part([rod([grip - 0.005, grip + 0.04], [shaft * 1.9, shaft * 1.4])], steel)


def _tip(s: Sprite, rng: Rng, steel: Material, x: float, half: float) -> None:
    if rng.random() < 0.5:
        flare = half * rng.uniform(1.0, 1.7)
        s.part([np.array([(x - 0.09, half), (x - 0.035, flare), (x + 0.03, flare * 0.9),
                          (x + 0.03, -flare * 0.9), (x - 0.035, -flare), (x - 0.09, -half)])],
               steel, bevel=0.004)
    else:
        s.part([np.array([(x - 0.06, half), (x, half), (x + 0.03, half * 0.3),
                          (x + 0.03, -half * 0.3), (x, -half), (x - 0.06, -half)])], steel)
        s.line([(x - 0.03, 0), (x + 0.03, 0)], 0.005, 0.1)


def _wrench(s: Sprite, rng: Rng) -> None:
    kind = rng.choice(['open', 'combination', 'ring', 'adjustable', 'pipe'],
                      p=[0.18, 0.27, 0.12, 0.38, 0.05])
    steel = _steel(rng)
    if kind == 'adjustable':
        _adjustable(s, rng, steel)
        return
    if kind == 'pipe':
        _pipe_wrench(s, rng)
        return
    big = rng.uniform(0.075, 0.1)
    small = big * rng.uniform(0.75, 1.0)
    outlines, holes = [], []
    ends = {'open': ('open', 'open'), 'combination': ('ring', 'open'), 'ring': ('ring', 'ring')}
    for end, x, radius, sign in zip(ends[kind], (small, 1 - big), (small, big), (-1, 1),
                                    strict=True):
        if end == 'open':
            lean = rng.choice([-15, 15]) if rng.random() < 0.8 else 0
            jaw = disc(x, 0, radius)
            jaw[:, 0] = x + (jaw[:, 0] - x) * rng.uniform(1.0, 1.12)
            width = radius * rng.uniform(0.42, 0.56)
            depth = radius * rng.uniform(0.1, 0.4)
            slot = np.array([(x - sign * depth, -width * 0.8),
                             (x - sign * (depth + width * 0.4), 0),
                             (x - sign * depth, width * 0.8), (x - sign * depth * 0.5, width),
                             (x + sign * radius * 1.6, width), (x + sign * radius * 1.6, -width),
                             (x - sign * depth * 0.5, -width)])
            outlines.append(jaw)
            holes.append(turned(slot, lean, x, 0))
        else:
            radius *= rng.uniform(0.75, 0.92)
            outlines.append(disc(x, 0, radius))
            # Twelve points, as most rings have.
            inner = disc(x, 0, radius * rng.uniform(0.62, 0.72), 24)
            inner[1::2] = (inner[1::2] - (x, 0)) * 0.9 + (x, 0)
            holes.append(inner)
    waist = rng.uniform(0.022, 0.036)
    outlines.append(rod([small * 1.1, 0.3, 0.7, 1 - big * 1.1],
                        [waist * 1.3, waist * 0.9, waist, waist * 1.5]))
    s.part(outlines, steel, holes=holes, bevel=rng.uniform(0.008, 0.02))
    if rng.random() < 0.6:
        recess = Material(steel.colour * np.float32(rng.uniform(0.6, 1.1)), steel.gloss * 0.5,
                          steel.sharpness, steel.grain, steel.mirror * 0.5)
        s.part([rod([0.24, 0.3, 0.7, 0.76], [waist * 0.4, waist * 0.55, waist * 0.55,
                                             waist * 0.4])], recess, bevel=0.006)
    if rng.random() < 0.6:
        _engraving(s, rng, 0.35, 0.65, waist * 0.3)


def _adjustable(s: Sprite, rng: Rng, steel: Material) -> None:
    gap = rng.uniform(0.005, 0.11)
    tilt = rng.uniform(12, 25)
    half = rng.uniform(0.036, 0.05)
    handle = rod([0, 0.015, 0.06, 0.35, 0.68], [half * 0.5, half * 0.95, half, half * 0.8,
                                                half * 1.05])
    shoulder = np.array([(0.6, half), (0.68, half * 1.9), (0.74, 0.125), (0.8, 0.13), (0.8, -0.1),
                         (0.72, -0.1), (0.64, -half)])
    top = np.concatenate([
        curve([(0.7, 0.1), (0.8, 0.17), (0.9, 0.15), (0.99, gap / 2 + 0.045)], 12),
        [(1.0, gap / 2 + 0.02), (0.985, gap / 2), (0.82, gap / 2), (0.805, -0.02), (0.72, -0.02)]])
    slide = np.array([(0.745, -gap / 2 - 0.075), (0.8, -gap / 2 - 0.03), (0.82, -gap / 2),
                      (0.965, -gap / 2), (0.975, -gap / 2 - 0.02), (0.93, -gap / 2 - 0.06),
                      (0.86, -gap / 2 - 0.1), (0.8, -gap / 2 - 0.11)])
    pivot = (0.72, 0.0)
    holes = [disc(0.045, 0, half * 0.45)] if rng.random() < 0.8 else []
    s.part([turned(slide, -tilt, *pivot)], steel, bevel=0.012)
    s.part([handle, turned(shoulder, -tilt * 0.7, *pivot), turned(top, -tilt, *pivot)], steel,
           holes=holes, bevel=rng.uniform(0.01, 0.025))
    window = turned(box(0.69, 0.775, -0.085, -0.03, 0.01), -tilt, *pivot)
    s.part([window], _rubber(rng), bevel=0.004)
    worm = turned(box(0.7, 0.765, -0.085, -0.035, 0.008), -tilt, *pivot)
    s.part([worm], _steel(rng))
    for x in np.arange(0.708, 0.765, 0.012):
        s.line(turned(np.array([(x, -0.085), (x + 0.006, -0.035)]), -tilt, *pivot), 0.005, 0.05)
    grip = rng.random()
    if grip < 0.35:
        cover = _rubber(rng) if rng.random() < 0.5 else _plastic(rng)
        end = rng.uniform(0.45, 0.6)
        s.part([rod([0, 0.02, 0.08, end * 0.5, end], [half * 0.6, half * 1.2, half * 1.15,
                                                      half * 1.05, half * 1.1])], cover)
        if rng.random() < 0.5:
            s.part([rod([0.1, end * 0.5, end - 0.05], [half * 0.3, half * 0.55, half * 0.3])],
                   _plastic(rng))
    elif grip < 0.8:
        recess = Material(steel.colour * np.float32(rng.uniform(0.6, 1.1)), steel.gloss * 0.5,
                          steel.sharpness, steel.grain, steel.mirror * 0.5)
        s.part([rod([0.1, 0.14, 0.55, 0.6], [half * 0.45, half * 0.55, half * 0.5, half * 0.4])],
               recess, bevel=0.006)
        _engraving(s, rng, 0.2, 0.5, half * 0.3)


def _pipe_wrench(s: Sprite, rng: Rng) -> None:
    paint, steel = _plastic(rng), _steel(rng)
    s.part([rod([0, 0.05, 0.5, 0.72], [0.03, 0.038, 0.032, 0.05])], paint,
           holes=[disc(0.04, 0, 0.015)], bevel=0.015)
    s.part([box(0.7, 0.84, -0.09, 0.05, 0.015)], paint, bevel=0.015)
    s.part([np.array([(0.7, 0.005), (0.9, 0.005), (0.985, -0.12), (1.0, -0.1), (0.99, 0.03),
                      (0.93, 0.06), (0.7, 0.05)])], steel, bevel=0.012)
    s.part([np.array([(0.83, -0.1), (0.89, -0.11), (0.9, -0.04), (0.83, -0.03)])], steel,
           bevel=0.01)
    for t in np.linspace(0, 1, 7):
        s.line([(0.9 + 0.085 * t, -0.12 * t), (0.915 + 0.085 * t, -0.115 * t)], 0.005, 0.1)
    s.part([box(0.74, 0.79, -0.015, 0.06, 0.006)], steel)


def _engraving(s: Sprite, rng: Rng, x0: float, x1: float, half: float) -> None:
    """Strokes that look like a size or a maker's name from afar."""
    shade = float(rng.choice([0.15, 0.9]))
    for x in np.arange(x0, x1, half * 1.6):
        if rng.random() < 0.75:
            top, lean, foot = rng.uniform([0.2, -0.5, 0.2], [1, 0.8, 1])
            s.line([(x, -half * top), (x + half * lean, half * foot)],
                   max(0.003, half * 0.35), shade)


def _pliers(s: Sprite, rng: Rng) -> None:
    steel, grip = _steel(rng), _plastic(rng) if rng.random() < 0.8 else _rubber(rng)
    kind = rng.choice(['combination', 'needle', 'cutter', 'pump'])
    spread = rng.uniform(0.06, 0.2)
    jaw = {'combination': 0.2, 'needle': 0.34, 'cutter': 0.13, 'pump': 0.18}[kind]
    joint = 1 - jaw - 0.06
    opening = rng.uniform(0.0, 8.0)
    for sign in (-1, 1):
        spine = curve([(joint, 0), (joint - 0.12, sign * 0.02), (joint - 0.2, sign * spread * 1.3),
                       (joint * 0.4, sign * spread * 1.1), (0, sign * spread * 0.9)])
        s.part([band(spine[:8], np.full(8, 0.05))], steel, bevel=0.012)
        s.part([band(spine[5:], np.linspace(0.05, 0.075, len(spine) - 5))], grip)
    wide = rng.uniform(0.045, 0.065)
    for sign in (-1, 1):
        tip = 0.012 if kind == 'needle' else 0.03
        half = np.array([(joint - 0.04, 0), (joint - 0.01, sign * wide),
                         (joint + 0.06, sign * wide), (1.0, sign * tip), (1.0, sign * 0.002),
                         (joint, sign * 0.002)])
        s.part([turned(half, sign * opening, joint, 0)], steel, bevel=0.012)
        if kind in ('combination', 'pump'):
            for x in np.arange(joint + 0.1, 0.99, 0.018):
                s.line([(x, 0), (x, sign * 0.012)], 0.005, 0.1)
    s.part([disc(joint, 0, 0.035)], _steel(rng), bevel=0.012)


def _caliper(s: Sprite, rng: Rng) -> None:
    steel = _steel(rng)
    half, at = rng.uniform(0.028, 0.04), rng.uniform(0.45, 0.75)
    s.part([box(0, 1, -half, half)], steel, bevel=0.006)
    for x in np.arange(0.04, 0.95, 0.016):
        s.line([(x, half), (x, half * 0.3)], 0.003, 0.05)
    for x, sign in ((0.93, 1), (at, -1)):
        jaw = np.array([(x, half), (x, 0.26), (x - 0.015, 0.26), (x - 0.07 * 1, half)])
        if sign < 0:
            jaw[:, 0] = 2 * x - jaw[:, 0]
        small = np.array([(x, -half), (x, -0.12), (x - sign * 0.03, -half)])
        s.part([jaw, small], steel, bevel=0.008)
    body = _steel(rng) if rng.random() < 0.5 else _rubber(rng)
    s.part([box(at - 0.2, at + 0.02, -half * 1.5, half * 1.6, 0.008)], body, bevel=0.008)
    if rng.random() < 0.4:
        pale = Material(np.array([0.7, 0.75, 0.68], np.float32), 0.2, 20)
        s.part([box(at - 0.17, at - 0.06, -half, half * 0.6)], pale, bevel=0.004)


def _saw(s: Sprite, rng: Rng) -> None:
    steel = _steel(rng)
    if rng.random() < 0.5:
        teeth = np.arange(0.3, 1.0, 0.014)
        edge = np.column_stack([teeth, np.where(np.arange(len(teeth)) % 2, 0.12, 0.128)])
        s.part([np.concatenate([[(0.22, -0.06), (1.0, 0.06)], edge[::-1], [(0.22, 0.12)]])], steel,
               bevel=0.003)
        grip = np.array([(0, -0.05), (0.06, -0.1), (0.26, -0.09), (0.3, 0.1), (0.2, 0.15),
                         (0.02, 0.13)])
        hole = np.array([(0.07, -0.02), (0.16, -0.04), (0.19, 0.06), (0.09, 0.08)])
        s.part([grip], _timber(rng) if rng.random() < 0.5 else _plastic(rng), holes=[hole],
               bevel=0.02)
        return
    frame = _plastic(rng)
    s.part([band([(0.25, 0.1), (0.25, -0.12), (0.3, -0.16), (0.9, -0.16), (0.97, -0.12),
                  (0.97, 0.1)], [0.035] * 6)], frame, bevel=0.012)
    s.part([box(0.24, 0.98, 0.09, 0.115)], steel, bevel=0.003)
    s.part([np.array([(0, 0.0), (0.05, -0.05), (0.25, 0.02), (0.26, 0.13), (0.05, 0.2),
                      (0, 0.15)])], frame, holes=[disc(0.12, 0.08, 0.045)], bevel=0.02)


def _knife(s: Sprite, rng: Rng) -> None:
    steel, body = _steel(rng), _plastic(rng)
    w = rng.uniform(0.05, 0.075)
    s.part([np.array([(0.6, -w * 0.5), (0.98, -w * 0.5), (0.86, w * 0.5), (0.6, w * 0.5)])], steel,
           bevel=0.004)
    for x in np.arange(0.72, 0.92, 0.045):
        s.line([(x, w * 0.5), (x + 0.03, -w * 0.5)], 0.003, 0.3)
    s.part([rod([0, 0.03, 0.3, 0.55, 0.74], [w * 0.6, w, w * 0.85, w, w * 0.6])], body, bevel=0.02)
    s.part([box(0.3, 0.68, -w * 0.15, w * 0.15, 0.01)], _rubber(rng), bevel=0.005)
    s.part([box(0.5, 0.58, -w * 0.35, w * 0.35, 0.01)], _plastic(rng), bevel=0.01)


def _tape(s: Sprite, rng: Rng) -> None:
    body = _plastic(rng)
    yellow = Material(np.array([0.95, 0.85, 0.15], np.float32), 0.1, 10)
    s.part([box(0.6, 1.05, 0.14, 0.17)], yellow, bevel=0.003)
    for x in np.arange(0.68, 1.04, 0.03):
        s.line([(x, 0.14), (x, 0.155)], 0.004, 0.0)
    corner = rng.uniform(0.08, 0.2)
    s.part([box(0.2, 0.72, -0.24, 0.2, corner)], body, bevel=0.05)
    s.part([disc(0.46, -0.03, rng.uniform(0.12, 0.18))], _plastic(rng), bevel=0.02)
    s.part([box(0.28, 0.6, -0.29, -0.22, 0.02)], _rubber(rng), bevel=0.02)


def _drill(s: Sprite, rng: Rng) -> None:
    body, dark = _plastic(rng), _rubber(rng)
    s.part([rod([0.86, 1.05], [0.01, 0.008], -0.2)], _steel(rng))
    s.part([rod([0.72, 0.8, 0.88], [0.06, 0.055, 0.03], -0.2)], dark)
    s.part([np.array([(0.2, -0.12), (0.36, -0.12), (0.3, 0.22), (0.12, 0.22)])], body, bevel=0.04)
    s.part([box(0.1, 0.74, -0.3, -0.1, 0.06)], body, bevel=0.06)
    s.part([box(0.02, 0.4, 0.2, 0.34, 0.03)], dark, bevel=0.03)
    s.part([box(0.34, 0.39, -0.09, 0.0, 0.02)], dark, bevel=0.015)
    for x in np.arange(0.16, 0.34, 0.035):
        s.line([(x, -0.26), (x, -0.16)], 0.01, 0.05)


def _helmet(s: Sprite, rng: Rng) -> None:
    shell = _plastic(rng)
    dome = curve([(0.1, 0.15), (0.1, -0.35), (0.5, -0.45), (0.88, -0.3), (0.88, 0.15)], 40)
    s.part([dome], shell, bevel=0.16)
    s.part([band(curve([(0.05, 0.14), (0.5, 0.24), (1.05, 0.19)]), np.full(24, 0.05))], shell)
    for offset in (-0.06, 0.0, 0.06):
        ridge = curve([(0.42 + offset, 0.1), (0.4 + offset, -0.25), (0.52 + offset, -0.28),
                       (0.6 + offset, 0.1)])
        s.line(ridge[4:16], 0.012, 0.75)


def _level(s: Sprite, rng: Rng) -> None:
    w = rng.uniform(0.05, 0.1)
    s.part([box(0, 1, -w, w, 0.01)], _plastic(rng) if rng.random() < 0.7 else _steel(rng),
           bevel=0.015)
    for x in (0.15, 0.5, 0.85):
        s.part([box(x - 0.07, x + 0.07, -w * 0.5, w * 0.5, 0.01)], _rubber(rng), bevel=0.01)
        vial = Material(np.array([0.75, 0.9, 0.2], np.float32), 0.6, 20)
        s.part([box(x - 0.05, x + 0.05, -w * 0.25, w * 0.25, 0.02)], vial)
        s.line([(x - 0.012, -w * 0.25), (x - 0.012, w * 0.25)], 0.004, 0.0)
        s.line([(x + 0.012, -w * 0.25), (x + 0.012, w * 0.25)], 0.004, 0.0)


def _scissors(s: Sprite, rng: Rng) -> None:
    steel, grip = _steel(rng), _plastic(rng)
    angle = rng.uniform(4, 22)
    for sign in (-1, 1):
        blade = np.array([(0.4, -0.03), (1.0, 0.0), (0.98, 0.012), (0.4, 0.03)])
        s.part([turned(blade, sign * angle, 0.45, 0)], steel, bevel=0.01)
        ring = disc(0.13, 0, 0.13)
        ring[:, 1] *= 0.6
        hole = disc(0.13, 0, 0.09)
        hole[:, 1] *= 0.55
        arm = box(0.22, 0.46, -0.025, 0.025)
        away = np.array([0, sign * 0.05])
        s.part([turned(p, -sign * angle, 0.45, 0) + away for p in (ring, arm)], grip,
               holes=[turned(hole, -sign * angle, 0.45, 0) + away], bevel=0.02)
    s.part([disc(0.45, 0, 0.02)], _steel(rng), bevel=0.01)


def _bolt(s: Sprite, rng: Rng) -> None:
    steel = _steel(rng)
    half = rng.uniform(0.05, 0.1)
    s.part([box(0.18, 1.0, -half, half, 0.02)], steel)
    for x in np.arange(rng.uniform(0.25, 0.55), 0.99, 0.022):
        s.line([(x, -half), (x + 0.012, half)], 0.008, 0.15)
    s.part([box(0, 0.2, -half * 1.9, half * 1.9, 0.02)], steel, bevel=0.02)
    for y in (-0.6, 0.6):
        s.line([(0, half * y), (0.2, half * y)], 0.006, 0.2)
    if rng.random() < 0.5:
        nut = disc(0.55, 0.26, 0.11, 6, rng.uniform(0, 1))
        s.part([nut], steel, holes=[disc(0.55, 0.26, 0.055)], bevel=0.02)


def _brush(s: Sprite, rng: Rng) -> None:
    w = rng.uniform(0.08, 0.16)
    s.part([rod([0, 0.05, 0.25, 0.5], [0.02, 0.035, 0.022, w * 0.9])],
           _timber(rng) if rng.random() < 0.6 else _plastic(rng))
    hair = Material(np.array([0.6, 0.5, 0.35], np.float32) * np.float32(rng.uniform(0.3, 1.3)),
                    0.05, 6, 0.5)
    s.part([np.array([(0.62, -w), (0.98, -w * 0.9), (1.0, w * 0.8), (0.62, w)])], hair, bevel=0.03)
    s.part([box(0.48, 0.66, -w, w)], _steel(rng), bevel=0.01)


DRAW: dict[str, Callable[[Sprite, Rng], None]] = {
    'hammer': _hammer, 'screwdriver': _screwdriver, 'wrench': _wrench, 'pliers': _pliers,
    'caliper': _caliper, 'saw': _saw, 'knife': _knife, 'tape': _tape, 'drill': _drill,
    'helmet': _helmet, 'level': _level, 'scissors': _scissors, 'bolt': _bolt, 'brush': _brush}
