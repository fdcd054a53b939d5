"""
Drawing a thing from parts: outlines with a material, raised and lit.

A thing lies along the x axis, one unit long. A part is a filled outline with a material; its
surface is raised from the distance to its border, and lit by a lamp, which gives a flat drawing
the shine and the edges of a solid thing. Left out: perspective and reflections of surroundings.
"""

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
# Pixels per unit at which a tool is drawn, before it is turned and reduced.
UNIT = 340
MARGIN = 40
# OpenCV's fixed-point coordinates: four binary places, for smooth borders.
PLACES = 4


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
