"""A drawn assembly line or bench, for the demo and for tests: it needs no camera."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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


class Look(NamedTuple):
    """
    What a camera above a line sees.

    Attributes
    ----------
    size : of the square that a tool fills, as a part of the frame's height
    apart : from one tool to the next, frame widths
    turn : how far a tool may lie turned from upright, degrees either way
    moves : whether the ground moves with the tools

    """

    size: float
    apart: float
    turn: float
    moves: bool


# A belt whose tools fill the picture, and a bench on which a tool is a third of its width.
LOOKS = {'belt': Look(0.94, 1.06, 50.0, True), 'bench': Look(0.5, 1.4, 90.0, False)}


class AssemblyLine:
    """
    Tools that pass through the picture, as a camera above a belt or a bench would see them.

    A frame depends on the seed and its index only, and any frame takes the same short time: the
    tools are drawn once, when the line is made (about a second).

    Parameters
    ----------
    seed : of everything
    height, width : size of a frame, pixels
    frames_per_tool : frames from one tool to the next
    labels : what is on the line, each as often as the others
    look : 'belt', a belt that carries tools which fill the picture, or 'bench', tools that are
        about a third of it pushed over a bench

    Raises
    ------
    ValueError
        A label that cannot be drawn, another look, or fewer than 1 frame per tool.

    """

    def __init__(self, seed: int, height: int = 480, width: int = 640, frames_per_tool: int = 30,
                 labels: Sequence[str] = TOOLS, look: str = 'belt') -> None:
        if look not in LOOKS:
            raise ValueError(f'look must be one of {sorted(LOOKS)}, got {look!r}')
        unknown = [label for label in labels if label not in DRAW]
        if unknown or not labels:
            raise ValueError(f'labels {unknown} cannot be drawn; only {sorted(DRAW)} can')
        if frames_per_tool < 1:
            raise ValueError(f'frames_per_tool must be at least 1, got {frames_per_tool}')
        self._seed, self._labels = seed, tuple(labels)
        self._height, self._width, self._look = height, width, LOOKS[look]
        self._spacing = round(width * self._look.apart)
        self._speed = self._spacing / frames_per_tool
        rng = np.random.default_rng(seed)
        self._ground = (_belt if self._look.moves else _bench)(rng, height, width)
        self._stock = [_Piece.drawn(label, rng, int(height * self._look.size), self._look.turn)
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
        # A belt moves to the right; twice its width is kept, so that a frame is one slice.
        offset = self._width - travelled % self._width if self._look.moves else 0
        picture = self._ground[:, offset:offset + self._width].copy()
        label = None
        newest = travelled // self._spacing
        for number in (newest - 1, newest):
            if number < 0:
                continue
            name, piece, turned, down = self._tool(number)
            centre = travelled - number * self._spacing - self._spacing // 4
            if piece.lay_on(picture, centre, down, turned):
                label = name
        if light != 1.0:
            picture = np.asarray(cv2.convertScaleAbs(picture, alpha=light), np.uint8)
        return picture, label

    def _tool(self, number: int) -> tuple[str, '_Piece', bool, float]:
        """Return the label of a tool, its look, whether it is turned round, and where it lies."""
        kinds = len(self._labels)
        rng = np.random.default_rng((self._seed, number // kinds))
        kind = int(rng.permutation(kinds)[number % kinds])
        rng = np.random.default_rng((self._seed, number, 1))
        each = len(self._stock) // kinds
        return (self._labels[kind], self._stock[kind * each + int(rng.integers(each))],
                bool(rng.random() < 0.5), 0.5 if self._look.moves else float(rng.random()))


@dataclass(frozen=True)
class _Piece:
    """A tool as it lies there: what it adds to the ground's pixels, and what it leaves."""

    added: Pixels
    kept: Pixels
    box: tuple[int, int]

    @classmethod
    def drawn(cls, label: str, rng: Rng, side: int, turn: float) -> '_Piece':
        sprite = sprite_of(label, rng)
        added = np.zeros((side, side, 3), np.uint8)
        kept = np.full((side, side, 3), 255, np.uint8)
        angle = float(rng.uniform(90 - turn, 90 + turn) + 180 * rng.integers(2))
        size = rng.uniform(0.82, 0.97)
        state = rng.bit_generator.state
        sprite.lay_on(added, rng, angle, size, 0.0, jitter=0.0)
        # Laid on white, what is not the tool shows how much light its shadow leaves.
        rng.bit_generator.state = state
        sprite.lay_on(kept, rng, angle, size, 0.0, jitter=0.0)
        kept = np.asarray(cv2.subtract(kept, added), np.uint8)
        columns = np.flatnonzero(added.max(axis=(0, 2)))
        return cls(added, kept, (int(columns[0]), int(columns[-1])))

    def lay_on(self, picture: Pixels, centre: int, down: float, turned: bool) -> bool:
        """
        Lay it on a picture; tell whether all of it is in there.

        Parameters
        ----------
        picture : (H, W, 3) uint8 RGB, changed
        centre : the column of its middle
        down : how far down it lies, 0 to 1
        turned : by half a turn

        """
        side, width = self.added.shape[0], picture.shape[1]
        added, kept = self.added, self.kept
        first, last = self.box
        if turned:
            added, kept = added[::-1, ::-1], kept[::-1, ::-1]
            first, last = side - 1 - last, side - 1 - first
        left, top = centre - side // 2, int((picture.shape[0] - side) * down)
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


def _bench(rng: Rng, height: int, width: int) -> Pixels:
    """Draw a wooden bench: boards along it, a grain, a lamp from one side."""
    streaks = np.asarray(cv2.GaussianBlur(rng.standard_normal((height, width), np.float32),
                                          (0, 0), sigmaX=width / 20, sigmaY=1.2), np.float32)
    tone = np.array([0.78, 0.62, 0.44], np.float32) * np.float32(rng.uniform(170, 215))
    grain = 0.045 * streaks / max(float(streaks.std()), 1e-6)
    wood = tone * (1 + grain[..., np.newaxis])
    board = max(2, height // 4)
    for top in range(0, height, board):
        wood[top:top + board] *= rng.uniform(0.94, 1.04)
        wood[top:top + max(1, height // 240)] *= 0.72
    wood *= np.linspace(1.06, 0.9, width, dtype=np.float32)[:, np.newaxis]
    wood += 2 * clouds(rng, height, width, 2)[..., np.newaxis]
    return np.asarray(np.clip(wood, 0, 255), np.float32).astype(np.uint8)
