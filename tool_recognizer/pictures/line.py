"""A drawn assembly line, for the demo and for tests: it needs no camera."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.pictures.scene import clouds
from tool_recognizer.pictures.tools import DRAW
from tool_recognizer.pictures.tools import sprite_of
from tool_recognizer.pictures.tools import TOOLS

Rng = np.random.Generator
# Distinct tools on an assembly line.
STOCK = 24


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
        sprite = sprite_of(label, rng)
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
        base += 5 * clouds(rng, height, width, size)[..., np.newaxis]
    for x in range(0, width, max(1, width // 8)):
        base[:, x:x + 2] *= 0.93
    rail = height // 40
    base[:rail], base[-rail:] = 60, 60
    return np.tile(np.clip(base, 0, 255).astype(np.uint8), (1, 2, 1))
