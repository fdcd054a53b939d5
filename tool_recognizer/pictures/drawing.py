"""
Drawn tools: pictures for training, and an assembly line for the demo that needs no camera.

A tool lies along the x axis, one unit long, and is made of parts. A part is a filled outline with
a material; its surface is raised from the distance to its border, and lit by a lamp, which gives
a flat drawing the shine and the edges of a solid thing. Everything comes from the given
generator, so a picture can be drawn again. Left out: perspective and reflections of surroundings.
"""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import Pixels

Rng = np.random.Generator
Real = NDArray[np.float32]
Mask = NDArray[np.uint8]
Outline = NDArray[np.float64]

TOOLS = ('hammer', 'screwdriver', 'wrench')
OTHER = ('pliers', 'caliper', 'saw', 'knife', 'tape', 'drill', 'helmet', 'level', 'scissors',
         'bolt', 'brush', 'nothing')
# Pixels per unit at which a tool is drawn, before it is turned and reduced.
UNIT = 340
MARGIN = 40
# OpenCV's fixed-point coordinates: four binary places, for smooth borders.
PLACES = 4
# Distinct tools on an assembly line.
STOCK = 24


@dataclass(frozen=True)
class Material:
    """
    A surface.

    Attributes
    ----------
    colour : (3,) RGB in 0..1
    gloss : strength of the highlight, 0 to 1
    sharpness : exponent of the highlight
    grain : strength of the texture along the tool's axis
    mirror : how much it reflects a bright sky and a dark ground

    """

    colour: Real
    gloss: float
    sharpness: float
    grain: float = 0.0
    mirror: float = 0.0


def draw_tool(label: str, rng: Rng, height: int, width: int) -> Pixels:
    """
    Draw a picture of a tool on some ground, in any place and at any angle.

    Parameters
    ----------
    label : one of TOOLS, or of OTHER ('nothing' is the bare ground), or 'other' for any of OTHER
    rng : source of the randomness
    height, width : size of the picture, pixels

    Returns
    -------
    (height, width, 3) uint8 RGB

    Raises
    ------
    ValueError
        A label that cannot be drawn.

    """
    if label == 'other':
        label = OTHER[rng.integers(len(OTHER))]
    if label not in DRAW and label != 'nothing':
        raise ValueError(f'{label!r} cannot be drawn; only {[*TOOLS, *OTHER]} can')
    picture = draw_ground(rng, height, width)
    if label != 'nothing':
        # At times several of a kind, as they lie in a drawer or on a product's photograph.
        number = int(rng.integers(2, 4)) if rng.random() < 0.12 else 1
        angle = rng.uniform(0, 360)
        for index in range(number):
            sprite = Sprite.drawn(label, rng)
            shift = (index - (number - 1) / 2) * 0.3
            size = rng.uniform(0.5, 1.0) if number == 1 else rng.uniform(0.5, 0.8)
            sprite.lay_on(picture, rng, angle + rng.normal(0, 4), size, shift)
    light = 1 + rng.normal(0, 0.12) + _slope(rng, height, width, 0.15)
    picture = np.clip(picture * light[..., np.newaxis], 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.9)), np.uint8)
    return picture


def draw_ground(rng: Rng, height: int, width: int) -> Pixels:
    """
    Draw what a tool may lie on: paper, a painted or wooden bench, metal, tiles, cloth, concrete.

    Parameters
    ----------
    rng : source of the randomness
    height, width : size, pixels

    Returns
    -------
    (height, width, 3) uint8 RGB

    """
    kind = rng.choice(['white', 'plain', 'wood', 'metal', 'tiles', 'mottled', 'cloth'],
                      p=[0.22, 0.2, 0.16, 0.12, 0.06, 0.16, 0.08])
    if kind == 'white':
        base = np.full((height, width, 3), rng.choice([255.0, rng.uniform(200, 255)]), np.float32)
    elif kind == 'plain':
        base = np.broadcast_to(_colour(rng) * 255, (height, width, 3)).astype(np.float32)
    elif kind == 'wood':
        base = _wood(rng, height, width)
    elif kind == 'metal':
        streaks = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0),
                                   sigmaX=rng.uniform(8, 30), sigmaY=0.7)
        base = (rng.uniform(50, 200) + 60 * streaks)[..., np.newaxis] * np.ones(3, np.float32)
    elif kind == 'tiles':
        base = np.full((height, width, 3), rng.uniform(120, 240), np.float32)
        base += 8 * _clouds(rng, height, width, 40)[..., np.newaxis]
        step = int(rng.integers(40, 140))
        base[::step] *= 0.8
        base[:, ::step] *= 0.8
    elif kind == 'mottled':
        base = np.full((height, width, 3), _colour(rng, 0.35) * 255, np.float32)
        for size in (3, 12, 45):
            base += rng.uniform(4, 22) * _clouds(rng, height, width, size)[..., np.newaxis]
    else:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        period = rng.uniform(3, 12)
        weave = np.sin(x * 2 * np.pi / period) * np.sin(y * 2 * np.pi / period)
        base = _colour(rng, 0.6) * 255 + 25 * weave[..., np.newaxis]
        base = base + 10 * _clouds(rng, height, width, 20)[..., np.newaxis]
    if rng.random() < 0.6 and kind != 'white':
        base = base * (1 + _slope(rng, height, width, 0.25)[..., np.newaxis])
    if kind == 'metal' and rng.random() < 0.6:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        centre = rng.uniform(0, 1, 2) * (height, width)
        spot = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2)
                      / (2 * (rng.uniform(0.1, 0.3) * width) ** 2))
        base = base + 150 * spot[..., np.newaxis]
    return np.asarray(np.clip(base, 0, 255), np.float32).astype(np.uint8)


class AssemblyLine:
    """
    A belt that carries tools through the picture, as a camera above it would see it.

    A frame depends on the seed and its index only, and any frame takes the same short time: the
    tools are drawn once, when the line is made (about a second).

    Parameters
    ----------
    seed : of everything
    height, width : size of a frame, pixels
    frames_per_tool : frames from one tool to the next
    labels : what is on the belt, each as often as the others

    Raises
    ------
    ValueError
        A label that cannot be drawn, or fewer than 1 frame per tool.

    """

    def __init__(self, seed: int, height: int = 480, width: int = 640, frames_per_tool: int = 30,
                 labels: Sequence[str] = TOOLS) -> None:
        unknown = [label for label in labels if label not in DRAW]
        if unknown or not labels:
            raise ValueError(f'labels {unknown} cannot be drawn; only {sorted(DRAW)} can')
        if frames_per_tool < 1:
            raise ValueError(f'frames_per_tool must be at least 1, got {frames_per_tool}')
        self._seed, self._labels = seed, tuple(labels)
        self._height, self._width = height, width
        self._spacing = round(width * 1.06)
        self._speed = self._spacing / frames_per_tool
        rng = np.random.default_rng(seed)
        self._belt = _belt(rng, height, width)
        self._stock = [_Piece.drawn(label, rng, height)
                       for label in self._labels for _ in range(-(-STOCK // len(self._labels)))]

    def frame(self, index: int, light: float = 1.0) -> tuple[Pixels, str | None]:
        """
        Draw one frame.

        Parameters
        ----------
        index : number of the frame, from 0
        light : 1 is the ordinary light; less is darker

        Returns
        -------
        (height, width, 3) uint8 RGB, and the label of the tool that lies wholly in the picture,
        or None while one leaves and the next one comes

        """
        travelled = round(index * self._speed)
        start = travelled % self._width
        # The belt moves to the right; twice its width is kept, so that a frame is one slice.
        offset = self._width - start
        picture = self._belt[:, offset:offset + self._width].copy()
        label = None
        newest = travelled // self._spacing
        for number in (newest - 1, newest):
            if number < 0:
                continue
            name, piece, turned = self._tool(number)
            centre = travelled - number * self._spacing - self._spacing // 4
            if piece.lay_on(picture, centre, turned):
                label = name
        if light != 1.0:
            picture = np.asarray(cv2.convertScaleAbs(picture, alpha=light), np.uint8)
        return picture, label

    def _tool(self, number: int) -> tuple[str, '_Piece', bool]:
        kinds = len(self._labels)
        rng = np.random.default_rng((self._seed, number // kinds))
        kind = int(rng.permutation(kinds)[number % kinds])
        rng = np.random.default_rng((self._seed, number, 1))
        each = len(self._stock) // kinds
        return (self._labels[kind], self._stock[kind * each + int(rng.integers(each))],
                bool(rng.random() < 0.5))


@dataclass(frozen=True)
class _Piece:
    """A tool as it lies on the belt: what it adds to the belt's pixels, and what it leaves."""

    added: Pixels
    kept: Pixels
    box: tuple[int, int]

    @classmethod
    def drawn(cls, label: str, rng: Rng, height: int) -> '_Piece':
        sprite = Sprite.drawn(label, rng)
        side = int(height * 0.94)
        added = np.zeros((side, side, 3), np.uint8)
        kept = np.full((side, side, 3), 255, np.uint8)
        angle = float(rng.uniform(40, 140) + 180 * rng.integers(2))
        size = rng.uniform(0.82, 0.97)
        state = rng.bit_generator.state
        sprite.lay_on(added, rng, angle, size, 0.0, jitter=0.0)
        # Laid on white, what is not the tool shows how much light its shadow leaves.
        rng.bit_generator.state = state
        sprite.lay_on(kept, rng, angle, size, 0.0, jitter=0.0)
        kept = np.asarray(cv2.subtract(kept, added), np.uint8)
        columns = np.flatnonzero(added.max(axis=(0, 2)))
        return cls(added, kept, (int(columns[0]), int(columns[-1])))

    def lay_on(self, picture: Pixels, centre: int, turned: bool) -> bool:
        """Lay it with its middle at this column; tell whether all of it is in the picture."""
        side, width = self.added.shape[0], picture.shape[1]
        added, kept = self.added, self.kept
        first, last = self.box
        if turned:
            added, kept = added[::-1, ::-1], kept[::-1, ::-1]
            first, last = side - 1 - last, side - 1 - first
        left, top = centre - side // 2, (picture.shape[0] - side) // 2
        begin, end = max(0, -left), min(side, width - left)
        if begin >= end:
            return False
        target = picture[top:top + side, left + begin:left + end]
        dimmed = cv2.multiply(target, np.ascontiguousarray(kept[:, begin:end]), scale=1 / 255)
        target[...] = cv2.add(dimmed, np.ascontiguousarray(added[:, begin:end]))
        return bool(left + first >= 0 and left + last < width)


def _belt(rng: Rng, height: int, width: int) -> Pixels:
    """Draw two equal lengths of belt, side by side, between its two rails."""
    base = np.full((height, width, 3), rng.uniform(95, 150), np.float32)
    base += np.asarray(rng.uniform(-6, 10, 3), np.float32)
    for size in (2, 15):
        base += 5 * _clouds(rng, height, width, size)[..., np.newaxis]
    for x in range(0, width, max(1, width // 8)):
        base[:, x:x + 2] *= 0.93
    rail = height // 40
    base[:rail], base[-rail:] = 60, 60
    return np.tile(np.clip(base, 0, 255).astype(np.uint8), (1, 2, 1))


class Sprite:
    """A tool in the making: its colours and how much of the ground it covers."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.height, self.width = round(UNIT * 0.8) + 2 * MARGIN, UNIT + 2 * MARGIN
        self.colours: Real = np.zeros((self.height, self.width, 3), np.float32)
        self.cover: Mask = np.zeros((self.height, self.width), np.uint8)
        lamp = np.array([rng.normal(0, 0.5), rng.normal(-0.5, 0.4), rng.uniform(0.8, 1.6)])
        self.lamp = (lamp / np.linalg.norm(lamp)).astype(np.float32)
        self.ambient = float(rng.uniform(0.3, 0.55))

    @classmethod
    def drawn(cls, label: str, rng: Rng) -> 'Sprite':
        """Draw a tool of this label."""
        sprite = cls(rng)
        DRAW[label](sprite, rng)
        return sprite

    def part(self, outlines: Sequence[Outline], material: Material, *, holes: Sequence[Outline]
             = (), bevel: float | None = None) -> None:
        """
        Add a part on top of what is there.

        Parameters
        ----------
        outlines : filled polygons, together one surface; units of the tool's length
        material : what it is made of
        holes : polygons cut out of it
        bevel : width of the rounded border, in units; None: round all over, like a rod

        """
        mask = np.zeros((self.height, self.width), np.uint8)
        for outline in outlines:
            self._fill(mask, outline, 255)
        for hole in holes:
            self._fill(mask, hole, 0)
        rows, columns = np.nonzero(mask.max(axis=1))[0], np.nonzero(mask.max(axis=0))[0]
        if not len(rows):
            return
        box = (slice(max(0, rows[0] - 2), rows[-1] + 3), slice(max(0, columns[0] - 2),
                                                               columns[-1] + 3))
        piece = mask[box]
        colours = self._shaded(piece, material, bevel)
        a = (piece.astype(np.float32) / 255)[..., np.newaxis]
        self.colours[box] = self.colours[box] * (1 - a) + colours * a
        self.cover[box] = np.maximum(self.cover[box], piece)

    def line(self, points: ArrayLike, width: float, shade: float) -> None:
        """Lay an engraving or an edge over what is there: shade 0 black, 1 white."""
        layer = np.zeros((self.height, self.width), np.uint8)
        self._fill(layer, band(points, [width] * len(np.atleast_2d(points))), 255)
        a = (np.minimum(layer, self.cover).astype(np.float32) / 255)[..., np.newaxis] * 0.7
        self.colours = self.colours * (1 - a) + np.float32(shade) * a

    def _fill(self, mask: Mask, outline: Outline, value: int) -> None:
        origin = np.array([MARGIN, self.height / 2])
        points = np.round((outline * UNIT + origin) * (1 << PLACES)).astype(np.int32)
        cv2.fillPoly(mask, [points], (value,), lineType=cv2.LINE_AA, shift=PLACES)

    def _shaded(self, piece: Mask, material: Material, bevel: float | None) -> Real:
        distance = cv2.distanceTransform((piece > 127).astype(np.uint8), cv2.DIST_L2, 3)
        if bevel is None:
            reach = max(1.0, float(np.percentile(distance[piece > 127], 97))
                        if (piece > 127).any() else 1.0)
            inside = np.clip(distance / reach, 0, 1)
            surface = reach * np.sqrt(np.clip(1 - (1 - inside) ** 2, 0, 1))
        else:
            reach = max(1.0, bevel * UNIT)
            inside = np.clip(distance / reach, 0, 1)
            surface = reach * 0.8 * (inside - 0.5 * inside ** 2)
        surface = cv2.GaussianBlur(surface.astype(np.float32), (0, 0), 1.0)
        slope_x = cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=3) / 8
        slope_y = cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=3) / 8
        length = np.sqrt(slope_x ** 2 + slope_y ** 2 + 1)
        nx, ny, nz = -slope_x / length, -slope_y / length, 1 / length
        lamp = self.lamp
        diffuse = np.clip(nx * lamp[0] + ny * lamp[1] + nz * lamp[2], 0, 1)
        half = lamp + np.array([0, 0, 1], np.float32)
        half = half / np.linalg.norm(half)
        highlight = np.clip(nx * half[0] + ny * half[1] + nz * half[2], 0, 1)
        highlight = highlight ** np.float32(material.sharpness)
        level = self.ambient + (1 - self.ambient) * diffuse
        if material.mirror:
            sky = np.tanh(4 * (-ny + 0.35 * nx) + self.rng.normal(0, 0.5))
            level = level * (1 + material.mirror * sky)
        if material.grain:
            rows, columns = piece.shape
            noise = self.rng.standard_normal((rows, columns), np.float32)
            streaks = cv2.GaussianBlur(noise, (0, 0), sigmaX=9, sigmaY=0.6)
            level = level * (1 + material.grain * streaks * 2.2)
        colours = material.colour * level[..., np.newaxis]
        colours = colours + np.float32(material.gloss) * highlight[..., np.newaxis]
        return np.asarray(np.clip(colours, 0, 1), np.float32)

    def lay_on(self, picture: Pixels, rng: Rng, angle: float, size: float, shift: float,
               jitter: float = 0.12) -> None:
        """
        Lay the tool on a picture, with its shadow; the picture is changed.

        Parameters
        ----------
        picture : (H, W, 3) uint8 RGB
        rng : source of the place, the tilt and the shadow
        angle : of the tool's axis, degrees
        size : 1 fills the picture
        shift : sideways, in tool lengths
        jitter : how far from the middle, as a share of the picture

        """
        height, width = picture.shape[:2]
        rows = np.flatnonzero(self.cover.max(axis=1))
        columns = np.flatnonzero(self.cover.max(axis=0))
        extent = np.array([columns[-1] - columns[0], rows[-1] - rows[0]], np.float64)
        middle = np.array([columns[-1] + columns[0], rows[-1] + rows[0]]) / 2
        turn = np.deg2rad(angle)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        # Seen at a slant, one direction is shortened.
        slant = rotation @ np.diag([1.0, rng.uniform(0.75, 1.0) * rng.choice((-1, 1))])
        box = np.abs(slant) @ extent
        scale = size * min(width / box[0], height / box[1])
        linear = slant * scale
        centre = np.array([width / 2, height / 2]) + rng.uniform(-jitter, jitter, 2) * (
            (width, height) - box * scale) / max(jitter, 1e-6) / 2 * min(1.0, jitter * 4)
        centre = centre + linear @ np.array([0.0, shift * UNIT])
        matrix = np.column_stack([linear, centre - linear @ middle])
        colours, cover, matrix = self._reduced(scale, matrix)
        drawn = cv2.warpAffine(colours, matrix, (width, height), flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(cover, matrix, (width, height), flags=cv2.INTER_LINEAR)
        ground = picture.astype(np.float32)
        if rng.random() < 0.8:
            depth = rng.uniform(0.005, 0.025) * max(height, width)
            move = np.array([[1.0, 0.0, -self.lamp[0] * depth * 2],
                             [0.0, 1.0, -self.lamp[1] * depth * 2]])
            shade = cv2.GaussianBlur(cv2.warpAffine(alpha, move, (width, height)), (0, 0),
                                     max(0.6, depth * rng.uniform(0.3, 0.9)))
            ground *= 1 - rng.uniform(0.2, 0.6) * shade[..., np.newaxis]
        a = alpha[..., np.newaxis]
        picture[...] = np.clip(drawn * a * 255 + ground * (1 - a), 0, 255).astype(np.uint8)

    def _reduced(self, scale: float, matrix: NDArray[np.float64]
                 ) -> tuple[Real, Real, NDArray[np.float64]]:
        """Reduce the drawing before a map that would reduce it and alias."""
        cover: Real = self.cover.astype(np.float32) / np.float32(255)
        # Beyond the border stands the nearest colour, so that no dark seam comes in.
        colours = self.colours
        if scale < 0.7:
            size = round(self.width * scale * 1.2), round(self.height * scale * 1.2)
            solid = colours * cover[..., np.newaxis]
            cover = np.asarray(cv2.resize(cover, size, interpolation=cv2.INTER_AREA), np.float32)
            reduced = np.asarray(cv2.resize(solid, size, interpolation=cv2.INTER_AREA), np.float32)
            colours = reduced / np.maximum(cover, np.float32(1e-3))[..., np.newaxis]
            matrix = matrix.copy()
            matrix[:, 0] *= self.width / size[0]
            matrix[:, 1] *= self.height / size[1]
        return colours, cover, matrix


# Outlines, in units of the tool's length.

def box(x0: float, x1: float, y0: float, y1: float, corner: float = 0.0) -> Outline:
    """Outline a rectangle, its corners cut off by ``corner``."""
    c = min(corner, (x1 - x0) / 2, (y1 - y0) / 2)
    return np.array([(x0 + c, y0), (x1 - c, y0), (x1, y0 + c), (x1, y1 - c), (x1 - c, y1),
                     (x0 + c, y1), (x0, y1 - c), (x0, y0 + c)])


def disc(x: float, y: float, radius: float, corners: int = 40, turn: float = 0.0) -> Outline:
    """Outline a circle, or a regular polygon with few corners."""
    t = np.arange(corners) * 2 * np.pi / corners + turn
    return np.column_stack([x + radius * np.cos(t), y + radius * np.sin(t)])


def band(points: ArrayLike, widths: ArrayLike) -> Outline:
    """Outline a strip along a line: points (N, 2), and its full width at each of them."""
    p, w = np.asarray(points, float), np.asarray(widths, float)[:, np.newaxis]
    along = np.gradient(p, axis=0)
    across = np.column_stack([-along[:, 1], along[:, 0]])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    return np.concatenate([p + across * w / 2, (p - across * w / 2)[::-1]])


def curve(points: ArrayLike, number: int = 24) -> Outline:
    """Draw the Bezier curve of the given control points."""
    p = np.asarray(points, float)
    t = np.linspace(0, 1, number)[:, np.newaxis, np.newaxis]
    layer = np.repeat(p[np.newaxis], number, axis=0)
    while layer.shape[1] > 1:
        layer = layer[:, :-1] * (1 - t) + layer[:, 1:] * t
    return np.asarray(layer[:, 0])


def rod(xs: ArrayLike, halves: ArrayLike, y: float = 0.0) -> Outline:
    """Outline a turned body: its half width at some places along the axis, smooth between."""
    x, h = np.asarray(xs, float), np.asarray(halves, float)
    fine = np.linspace(x[0], x[-1], 60)
    place = np.clip(np.searchsorted(x, fine, 'right') - 1, 0, len(x) - 2)
    t = (fine - x[place]) / (x[place + 1] - x[place])
    smooth = h[place] + (h[place + 1] - h[place]) * (3 * t ** 2 - 2 * t ** 3)
    return np.concatenate([np.column_stack([fine, y + smooth]),
                           np.column_stack([fine, y - smooth])[::-1]])


def turned(outline: Outline, degrees: float, x: float, y: float) -> Outline:
    """Turn an outline about a point."""
    t = np.deg2rad(degrees)
    rotation = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    return np.asarray((outline - (x, y)) @ rotation.T + (x, y))


# Materials.

def _colour(rng: Rng, saturation: float = 1.0) -> Real:
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
    colour = vivid[rng.integers(len(vivid))] if rng.random() < 0.75 else _colour(rng)
    return Material(np.clip(colour + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32),
                    rng.uniform(0.1, 0.5), rng.uniform(8, 40))


def _rubber(rng: Rng) -> Material:
    return Material((rng.uniform(0.06, 0.22) * np.ones(3)).astype(np.float32),
                    rng.uniform(0.03, 0.15), rng.uniform(5, 15))


def _timber(rng: Rng) -> Material:
    tone = np.array([0.78, 0.58, 0.36]) * rng.uniform(0.55, 1.15)
    return Material(np.clip(tone + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32),
                    rng.uniform(0.02, 0.2), rng.uniform(8, 25), rng.uniform(0.12, 0.3))


def _wood(rng: Rng, height: int, width: int) -> Real:
    tone = np.array([0.7, 0.5, 0.32]) * rng.uniform(0.45, 1.25) * 255
    noise = rng.standard_normal((height, width), np.float32)
    streaks = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigmaX=rng.uniform(15, 40),
                                          sigmaY=rng.uniform(0.7, 2.5)), np.float32)
    streaks = streaks / max(float(streaks.std()), 1e-6)
    wood = tone * (1 + rng.uniform(0.03, 0.14) * streaks[..., np.newaxis])
    board = int(rng.integers(40, 160))
    for y in range(int(rng.integers(board)), height, board):
        wood[y:y + 2] *= 0.6
        wood[y:y + board] *= rng.uniform(0.88, 1.12)
    if rng.random() < 0.5 and height == width:
        wood = wood.transpose(1, 0, 2)
    return np.asarray(wood, np.float32)


def _clouds(rng: Rng, height: int, width: int, size: int) -> Real:
    """Smooth noise of unit strength, with spots of this size in pixels."""
    coarse = rng.standard_normal((height // size + 3, width // size + 3), np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC),
                      np.float32)


def _slope(rng: Rng, height: int, width: int, strength: float) -> Real:
    a, b = rng.normal(0, strength, 2)
    return np.asarray(np.linspace(-a, a, height)[:, np.newaxis] + np.linspace(-b, b, width),
                      np.float32)


# The tools. Each function adds the parts, from the lowest to the topmost.

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
