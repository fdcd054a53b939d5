"""
Scenes with known objects, for ``fit_finder.py``: what was cut out of photographs, on any ground.

Everything is drawn from the given generator, hence repeatable.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
from finder_grounds import colours
from finder_grounds import marked
from finder_grounds import PATTERNS
from finder_grounds import strew
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.pictures.scene import clouds
from tool_recognizer.pictures.scene import draw_ground
from tool_recognizer.pictures.tools import OTHER
from tool_recognizer.pictures.tools import sprite_of
from tool_recognizer.pictures.tools import TOOLS
from tool_recognizer.training.augmentation import cut_out

Real = NDArray[np.float32]
Rng = np.random.Generator

# The longer side of a scene, pixels: the finder's copy is half of it, or less.
LONG = 384
# What is cut out is kept at this longer side, pixels, and a photograph at LONG.
KEPT = 288
# How often a scene is a photograph that the object fills, or has no object at all.
FILLED, EMPTY = 0.14, 0.08
# How often there are two objects, half of them alike.
SEVERAL = 0.25
# How often a ground is drawn as for the training of the model, or a piece of a photograph; else it
# is a pattern.
DRAWN, PHOTOGRAPHED = 0.3, 0.2
# Drawn things and flat pieces among the objects.
DRAWABLE = [label for label in (*TOOLS, *OTHER) if label != 'nothing']
DRAWINGS, FLAT = 168, 60
# The object's longer side as a part of the scene's shorter side.
LEAST, MOST = 0.08, 1.1


class Cut(NamedTuple):
    """An object cut out of a photograph: its pixels (h, w, 3), its mask (h, w) 0 to 255."""

    pixels: Pixels
    mask: Pixels


class Source(NamedTuple):
    """
    What scenes are made of.

    Attributes
    ----------
    photos : photographs of which the object could be cut out, whole
    uncut : the others
    objects : what was cut out, and drawn, by label and source
    often : how often an object of each of these is laid

    """

    photos: list[Cut]
    uncut: list[Pixels]
    objects: list[list[Cut]]
    often: NDArray[np.float64]


def read_source(folders: list[Path], left_out: set[str], rng: Rng) -> Source:
    """
    Read photographs, and cut out of them what stands out clearly.

    Parameters
    ----------
    folders : of photographs, LABEL/SOURCE__NAME.jpg
    left_out : names of files that are not used
    rng : of what is drawn beside them

    """
    photos: list[Cut] = []
    uncut: list[Pixels] = []
    objects: dict[str, list[Cut]] = {
        'drawn': [drawn(DRAWABLE[i % len(DRAWABLE)], rng) for i in range(DRAWINGS)],
        'flat': [flat(rng) for _ in range(FLAT)]}
    for path in sorted(path for folder in folders for path in folder.glob('*/*.jpg')):
        if path.name in left_out:
            continue
        pixels = np.ascontiguousarray(np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1])
        mask = cut_out(pixels)
        if mask is None:
            uncut.append(shrunk(Cut(pixels, pixels), LONG).pixels)
            continue
        photos.append(shrunk(Cut(pixels, mask), LONG))
        name = f"{path.parent.name} {path.name.split('__')[0]}"
        objects.setdefault(name, []).append(trimmed(Cut(pixels, mask)))
    # A source with ten times as many photographs of a label comes three times as often.
    often = np.sqrt([len(cuts) for cuts in objects.values()])
    return Source(photos, uncut, list(objects.values()), often / often.sum())


def trimmed(cut: Cut) -> Cut:
    """Cut down to the object."""
    rows, columns = (cut.mask > 127).nonzero()
    inside = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return shrunk(Cut(cut.pixels[inside], cut.mask[inside]), KEPT)


def drawn(label: str, rng: Rng) -> Cut:
    """Draw a tool or another thing, as the drawn bench shows it."""
    sprite = sprite_of(label, rng)
    return trimmed(Cut((sprite.colours * 255).astype(np.uint8), sprite.cover))


def flat(rng: Rng) -> Cut:
    """Make a bar, an ellipse or a bent piece of one colour or two: any thing is an object."""
    mask = np.zeros((KEPT, KEPT), np.uint8)
    size = rng.uniform(30, 240), 240.0
    kind = rng.integers(3)
    if kind == 0:
        cv2.ellipse(mask, ((144, 144), size, 0), 255, -1)
    else:
        cv2.fillPoly(mask, [cv2.boxPoints(((144, 144), size, 0)).astype(np.int32)], 255)
    if kind == 2:
        mask[60:250, 144:] = 0
    pixels = np.empty((KEPT, KEPT, 3), np.uint8)
    pixels[:] = colours(rng, 1)[0]
    if rng.random() < 0.5:
        pixels[:int(rng.uniform(60, 220))] = colours(rng, 1)[0]
    return trimmed(Cut(pixels, mask))


def shrunk(cut: Cut, side: int) -> Cut:
    """Reduce to a longer side of ``side`` pixels, if it is more."""
    scale = min(1.0, side / max(cut.mask.shape))
    size = max(2, round(cut.mask.shape[1] * scale)), max(2, round(cut.mask.shape[0] * scale))
    return Cut(*(np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
                 for part in cut))


def scene(source: Source, rng: Rng, height: int, width: int) -> tuple[Pixels, Pixels]:
    """
    Make one scene.

    Parameters
    ----------
    source : of ``read_source``
    rng : source of the randomness
    height, width : its size, pixels

    Returns
    -------
    (height, width, 3) uint8 RGB, and (height, width) uint8, 255 on objects

    """
    kind = rng.random()
    if kind < FILLED:
        picture, mask = filled(source, rng, height, width)
    else:
        picture = np.ascontiguousarray(ground(source, rng, height, width), np.float32)
        mask = np.zeros((height, width), np.float32)
        if rng.random() < 0.15:
            picture = marked(picture, rng)
        if rng.random() < 0.12:
            strew(picture, rng)
        if kind >= FILLED + EMPTY:
            shadow = rng.random() < 0.55
            cut, long = any_object(source, rng, min(height, width))
            lay(picture, mask, cut, long, rng, shadow)
            if rng.random() < SEVERAL:
                if rng.random() < 0.5:
                    cut, long = any_object(source, rng, min(height, width))
                lay(picture, mask, cut, long, rng, shadow)
    if rng.random() < 0.05:
        fingers(picture, mask, rng)
    return seen(picture, rng), np.asarray(mask * 255, np.float32).astype(np.uint8)


def filled(source: Source, rng: Rng, height: int, width: int) -> tuple[Real, Real]:
    """Show a photograph as it is, or a little nearer, stretched to the scene's shape."""
    shapes = [photo.mask.shape for photo in source.photos]
    pixels, mask = source.photos[nearest(shapes, rng, height / width)]
    rows, columns = mask.shape
    if rng.random() < 0.5:
        zoom = rng.uniform(0.75, 1.0, 2)
        h, w = int(rows * zoom[0]), int(columns * zoom[1])
        top, left = rng.integers(rows - h + 1), rng.integers(columns - w + 1)
        pixels, mask = pixels[top:top + h, left:left + w], mask[top:top + h, left:left + w]
    return (cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
            .astype(np.float32),
            cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
            .astype(np.float32) / 255)


def nearest(shapes: list[tuple[int, ...]], rng: Rng, shape: float) -> int:
    """Choose of four photographs the one that is stretched least; shape is height over width."""
    return min(rng.integers(len(shapes), size=4).tolist(),
               key=lambda i: abs(np.log(shapes[i][0] / shapes[i][1] / shape)))


def uncut(source: Source, rng: Rng, height: int, width: int) -> Pixels:
    """Show one of the photographs that the object fills and of which its mask is not known."""
    pixels = source.uncut[nearest([p.shape for p in source.uncut], rng, height / width)]
    stretched = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return seen(stretched.astype(np.float32), rng)


def any_object(source: Source, rng: Rng, side: int) -> tuple[Cut, float]:
    """Choose an object, and its longer side, pixels, for a scene's shorter side."""
    cuts = source.objects[rng.choice(len(source.objects), p=source.often)]
    return (cuts[rng.integers(len(cuts))],
            side * float(np.exp(rng.uniform(np.log(LEAST), np.log(MOST)))))


def lay(picture: Real, mask: Real, cut: Cut, long: float, rng: Rng, shadow: bool) -> None:
    """Lay an object on a picture, at any turn and place, in any light."""
    height, width = mask.shape
    scale = long / max(cut.mask.shape)
    if scale < 0.7:
        cut = shrunk(cut, max(4, round(long * 1.2)))
        scale = long / max(cut.mask.shape)
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else rng.integers(4) * np.pi / 2
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = linear @ np.diag([rng.choice((-1.0, 1.0)), np.exp(rng.normal(0, 0.1))])
    extent = np.abs(linear) @ np.array(cut.mask.shape[::-1])
    # One in eight may reach beyond the border by a third.
    beyond = 0.33 * extent if rng.random() < 0.125 else np.zeros(2)
    least = np.minimum(extent / 2 - beyond, np.array([width, height]) / 2)
    centre = rng.uniform(least, np.array([width, height]) - least)
    # Only the part of the picture where the object comes is worked on.
    pad = 24
    left, top = np.maximum(0, np.floor(centre - extent / 2) - pad).astype(int)
    right, bottom = np.minimum((width, height), np.ceil(centre + extent / 2) + pad).astype(int)
    offset = centre - (left, top) - linear @ (np.array(cut.mask.shape[::-1]) / 2)
    matrix = np.column_stack([linear, offset])
    size = int(right - left), int(bottom - top)
    place, there = picture[top:bottom, left:right], mask[top:bottom, left:right]
    alpha = cv2.warpAffine(cut.mask, matrix, size).astype(np.float32) / 255
    body = cv2.warpAffine(cut.pixels, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    body = body.astype(np.float32)
    if rng.random() < 0.3:
        body = body[..., rng.permutation(3)]
    body = (body - 128) * np.exp(rng.normal(0, 0.2)) + 128 + rng.normal(0, 22)
    if shadow:
        # One in three as in the sun: long, sharp and dark.
        far, soft, dark = ((10, 1.2, 0.75) if rng.random() < 0.35 else (3, 4.0, 0.55))
        move = np.array([[1, 0, rng.normal(0, far)], [0, 1, rng.normal(0, far)]])
        shade = cv2.GaussianBlur(cv2.warpAffine(alpha, move, size), (0, 0), rng.uniform(0.6, soft))
        place *= 1 - rng.uniform(0.1, dark) * shade[..., np.newaxis]
    place[:] = body * alpha[..., np.newaxis] + place * (1 - alpha[..., np.newaxis])
    there[:] = np.maximum(there, alpha)


def seen(picture: Real, rng: Rng) -> Pixels:
    """Show a picture in uneven light, through a lens, a sensor and a JPEG."""
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        a, b = rng.normal(0, 0.2, 2)
        ramp = np.linspace(-a, a, height)[:, np.newaxis] + np.linspace(-b, b, width)
        picture = picture * np.clip(1 + ramp, 0.4, 1.6).astype(np.float32)[..., np.newaxis]
    if rng.random() < 0.5:
        gain, middle = np.exp(rng.normal(0, 0.2, 2)), rng.uniform(80, 170)
        picture = ((picture - middle) * np.float32(gain[0]) + middle) * np.float32(gain[1])
    if rng.random() < 0.1:
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, 2)
    if rng.random() < 0.45:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.5:
        strength = float(np.exp(rng.uniform(np.log(0.7), np.log(14))))
        picture = picture + strength * rng.standard_normal(picture.shape, np.float32)
    frame = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 92))]
        frame = cv2.imdecode(cv2.imencode('.jpg', frame, quality)[1], cv2.IMREAD_UNCHANGED)
    return np.asarray(frame, np.uint8)


def fingers(picture: Real, mask: Real, rng: Rng) -> None:
    """Lay one to four fingers over a picture; they are no object."""
    height, width = mask.shape
    skin = rng.uniform(0.35, 1.0) * np.array([235.0, 190.0, 160.0])
    thick = rng.uniform(0.05, 0.13) * min(height, width)
    tip, turn = rng.uniform(0.2, 0.8, 2) * (width, height), rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    for finger in range(rng.integers(1, 5)):
        near = tip + np.array([-along[1], along[0]]) * thick * 1.05 * finger
        first, last = np.round(near).astype(int), np.round(near + 2 * along * width).astype(int)
        for share, shade in ((1.0, 0.7), (0.8, rng.uniform(0.85, 1.0))):
            cv2.line(picture, first.tolist(), last.tolist(), (shade * skin).tolist(),
                     max(2, round(share * thick)), cv2.LINE_AA)
        cv2.line(mask, first.tolist(), last.tolist(), 0.0, max(2, round(thick)))


def ground(source: Source, rng: Rng, height: int, width: int) -> Pixels:
    """Draw a ground, or take a piece of a photograph beside its object."""
    kind = rng.random()
    if kind < DRAWN:
        return draw_ground(rng, height, width)
    if kind < DRAWN + PHOTOGRAPHED:
        piece = beside(source, rng)
        if piece is not None:
            return mirrored(piece, rng, height, width)
    picture = PATTERNS[rng.integers(len(PATTERNS))](rng, height, width)
    if rng.random() < 0.5:
        grain = clouds(rng, height, width, int(rng.integers(1, 30)))
        picture = picture + rng.uniform(2, 20) * grain[..., np.newaxis]
    return np.clip(picture, 0, 255).astype(np.uint8)


def beside(source: Source, rng: Rng) -> Pixels | None:
    """Cut a piece out of a photograph where no object is; None if none was hit upon."""
    for _ in range(12):
        pixels, mask = source.photos[rng.integers(len(source.photos))]
        rows, columns = mask.shape
        h, w = int(rng.uniform(0.12, 0.6) * rows), int(rng.uniform(0.12, 1.0) * columns)
        if rng.random() < 0.3:
            h, w = w * rows // columns, h * columns // rows
        h, w = min(h, rows), min(w, columns)
        top, left = rng.integers(rows - h + 1), rng.integers(columns - w + 1)
        if h > 15 and w > 15 and not mask[top:top + h, left:left + w].any():
            return pixels[top:top + h, left:left + w]
    return None


def mirrored(piece: Pixels, rng: Rng, height: int, width: int) -> Pixels:
    """Cover a frame with a piece, larger or smaller than it was, and its mirror images."""
    most = max(height / piece.shape[0], width / piece.shape[1])
    scale = float(np.exp(rng.uniform(np.log(0.6), np.log(max(0.7, most)))))
    size = max(8, round(piece.shape[1] * scale)), max(8, round(piece.shape[0] * scale))
    piece = np.asarray(cv2.resize(piece, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    down, across = max(0, height - size[1]), max(0, width - size[0])
    piece = np.asarray(cv2.copyMakeBorder(piece, down // 2, down - down // 2, across // 2,
                                          across - across // 2, cv2.BORDER_REFLECT), np.uint8)
    return piece[:height, :width]
