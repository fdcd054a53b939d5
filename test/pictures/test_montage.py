"""Who is asked for an object sees its clearest frame, and two more beside it."""

import numpy as np
import pytest
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.pictures.montage import montage
from tool_recognizer.pictures.montage import ObjectPictures

FIRST, OTHER = FrameKey(1, 'bench'), FrameKey(2, 'bench')


def plain(level, height=120, width=160):
    return np.full((height, width, 3), level, np.uint8)


def levels(picture):
    """Return the level of the large picture, and of those beside it, from the top."""
    seen = [int(picture[60, 80, 0])]
    for row in (30, 90):
        if picture.shape[1] > 160 and picture[row, 200, 0] > 16:
            seen.append(int(picture[row, 200, 0]))
    return seen


@pytest.mark.parametrize(('doubts', 'shown'), [
    ([0.5], [101]),
    ([0.5, 0.2], [102, 101]),
    ([0.2, 0.5, 0.9], [101, 102, 103]),
    # Of more, the two that lie farthest apart.
    ([0.5, 0.6, 0.2, 0.7, 0.8], [103, 101, 105]),
    ([0.1, 0.6, 0.2, 0.7, 0.8], [101, 102, 105]),
])
def test_the_clearest_is_large_and_two_others_are_beside_it(doubts, shown):
    pictures = ObjectPictures()
    for number, doubt in enumerate(doubts, 101):
        pictures.add(FIRST, plain(number), doubt)
    made = pictures.show(FIRST)
    assert levels(made) == shown
    assert made.shape[0] == 120


def test_no_picture_of_another_object_is_shown():
    pictures = ObjectPictures()
    pictures.add(FIRST, plain(101), 0.1)
    pictures.add(OTHER, plain(102), 0.5)
    assert pictures.show(FIRST) is None
    assert levels(pictures.show(OTHER)) == [102]


@pytest.mark.parametrize('sizes', [
    [(1, 1), (1, 1), (1, 1)], [(3, 5), (900, 2), (2, 900)], [(120, 160), (160, 120), (7, 7)]])
def test_pictures_of_any_size_lie_beside_each_other(sizes):
    made = montage([plain(100 + number, *size) for number, size in enumerate(sizes)])
    assert made.shape[0] == sizes[0][0]
    assert (made[:, :sizes[0][1]] == 100).all()
