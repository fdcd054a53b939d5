"""
The fixed part of a camera's frame that is looked at, and how it is turned.

For a camera that sees a whole bench, or hangs on its side. Left out: where in it the object lies
(``locate``).
"""

from dataclasses import dataclass

from tool_recognizer.core.preprocessing import Pixels

ROTATIONS = (0, 90, 180, 270)
# The least width and height, as a fraction of the frame's: less than ten pixels of any camera's.
LEAST = 0.001
# Sums of decimal fractions miss 1 by less than this.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Region:
    """
    A part of the frame, and its turn.

    Attributes
    ----------
    x, y : its left and upper edge, as fractions of the frame's width and height
    width, height : its size, in the same fractions
    rotation : by how much it is turned before the network sees it, degrees clockwise: 0, 90, 180
        or 270

    Raises
    ------
    ValueError
        It is empty or not inside the frame, or the rotation is none of the four.

    >>> Region(x=0.5, width=0.6)
    Traceback (most recent call last):
    ...
    ValueError: region.x + region.width must be at most 1, got 0.5 + 0.6: make one of them less

    """

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0
    rotation: int = 0

    def __post_init__(self) -> None:
        for edge, size in (('x', 'width'), ('y', 'height')):
            start, extent = getattr(self, edge), getattr(self, size)
            if not start >= 0.0:
                raise ValueError(f'region.{edge} must be at least 0, got {start:g}')
            if not extent >= LEAST:
                raise ValueError(f'region.{size} must be at least {LEAST:g}, got {extent:g}')
            if not start + extent <= 1.0 + ROUNDING:
                raise ValueError(f'region.{edge} + region.{size} must be at most 1, got '
                                 f'{start:g} + {extent:g}: make one of them less')
        if self.rotation not in ROTATIONS:
            raise ValueError(f'region.rotation must be one of {list(ROTATIONS)}, got '
                             f'{self.rotation}')

    def edges(self, height: int, width: int) -> tuple[int, int, int, int]:
        """
        Find it in a frame.

        Parameters
        ----------
        height, width : of the frame, pixels

        Returns
        -------
        Its left, upper, right and lower edge, pixels; the last two are outside. At least one pixel

        """
        left = min(width - 1, round(self.x * width))
        top = min(height - 1, round(self.y * height))
        return (left, top, max(left + 1, min(width, round((self.x + self.width) * width))),
                max(top + 1, min(height, round((self.y + self.height) * height))))

    def of(self, pixels: Pixels) -> Pixels:
        """
        Cut it out of a frame; it is not turned yet.

        Parameters
        ----------
        pixels : (H, W) or (H, W, C), at least 1 x 1

        Returns
        -------
        A view

        """
        left, top, right, bottom = self.edges(*pixels.shape[:2])
        return pixels[top:bottom, left:right]
