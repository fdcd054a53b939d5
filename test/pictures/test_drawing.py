"""The drawn tools and the assembly line: repeatable, and what a camera above a belt would see."""

from itertools import pairwise

import numpy as np
import pytest
from tool_recognizer.pictures.grounds import bold_ground
from tool_recognizer.pictures.grounds import KINDS
from tool_recognizer.pictures.line import AssemblyLine
from tool_recognizer.pictures.scene import draw_ground
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.pictures.tools import OTHER
from tool_recognizer.pictures.tools import TOOLS


@pytest.fixture(scope='module')
def line():
    return AssemblyLine(3)


@pytest.mark.parametrize('kind', [*TOOLS, *OTHER, 'other'])
def test_every_kind_is_drawn_and_drawn_again_from_its_seed(kind):
    first = draw_tool(kind, np.random.default_rng(7), 120, 160)
    again = draw_tool(kind, np.random.default_rng(7), 120, 160)
    other = draw_tool(kind, np.random.default_rng(8), 120, 160)
    assert first.shape == (120, 160, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_any_tool_of_any_seed_can_be_drawn():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        for kind in (*TOOLS, 'other'):
            draw_tool(kind, rng, int(rng.integers(40, 200)), int(rng.integers(40, 200)))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"'anvil' cannot be drawn; only .*'wrench'"):
        draw_tool('anvil', np.random.default_rng(0), 100, 100)
    with pytest.raises(ValueError, match='anvil'):
        AssemblyLine(1, labels=('hammer', 'anvil'))


def test_grounds_are_of_the_wanted_size():
    for seed in range(20):
        assert draw_ground(np.random.default_rng(seed), 70, 90).shape == (70, 90, 3)


def test_a_frame_depends_on_the_seed_and_its_index_only(line):
    forwards = [line.frame(index)[0] for index in (5, 6, 400)]
    fresh = AssemblyLine(3)
    for picture, index in reversed(list(zip(forwards, (5, 6, 400), strict=True))):
        np.testing.assert_array_equal(fresh.frame(index)[0], picture)
    assert np.any(AssemblyLine(4).frame(5)[0] != forwards[0])


def test_every_label_comes_equally_often_and_fills_its_share_of_the_frames(line):
    labels = [line.frame(index)[1] for index in range(30 * 30)]
    seen = {label: labels.count(label) for label in TOOLS}
    assert min(seen.values()) > 100
    assert max(seen.values()) < 2 * min(seen.values())
    # One tool stays for several frames, and the next one is another passage.
    passages = sum(a is None and b is not None for a, b in pairwise(labels))
    assert 25 <= passages <= 31


def test_a_tool_moves_through_the_picture(line):
    index = next(i for i in range(60) if line.frame(i)[1] and line.frame(i + 1)[1])
    before, after = line.frame(index)[0].astype(int), line.frame(index + 1)[0].astype(int)
    step = round(640 * 1.06 / 30)
    middle = slice(150, 330)
    moved = np.abs(after[middle, 100 + step:500 + step] - before[middle, 100:500]).mean()
    stayed = np.abs(after[middle, 100:500] - before[middle, 100:500]).mean()
    assert moved < stayed / 2


def test_less_light_makes_every_pixel_darker(line):
    bright, label = line.frame(12)
    dark, same = line.frame(12, light=0.25)
    assert label == same
    np.testing.assert_allclose(dark, bright * 0.25, atol=1)


def test_a_line_of_another_shape_and_pace():
    line = AssemblyLine(1, height=240, width=424, frames_per_tool=10, labels=('pliers', 'wrench'))
    frames = [line.frame(index) for index in range(60)]
    assert {label for _, label in frames} == {'pliers', 'wrench', None}
    assert frames[0][0].shape == (240, 424, 3)
    with pytest.raises(ValueError, match='at least 1, got 0'):
        AssemblyLine(1, frames_per_tool=0)


def test_on_a_bench_one_tool_at_a_time_is_about_a_third_of_the_frame():
    line = AssemblyLine(2, look='bench')
    frames = [line.frame(index) for index in range(90)]
    empty = np.median([picture for picture, _ in frames[::6]], axis=0)
    labels = [label for _, label in frames]
    assert {*labels} == {*TOOLS, None}
    lengths = []
    for picture, label in frames:
        columns = np.flatnonzero((np.abs(picture - empty).max(axis=2) > 30).any(axis=0))
        rows = np.flatnonzero((np.abs(picture - empty).max(axis=2) > 30).any(axis=1))
        if label:
            lengths.append(max(np.ptp(columns), np.ptp(rows)))
            # It comes from the left and goes to the right, all of it is in the picture.
            assert 0 < columns[0] < columns[-1] < picture.shape[1] - 1
    assert 0.25 * 640 < np.median(lengths) < 0.42 * 640
    with pytest.raises(ValueError, match=r"one of \['belt', 'bench'\], got 'moon'"):
        AssemblyLine(1, look='moon')


def test_every_bold_ground_has_the_size_asked_for_and_is_not_plain():
    for kind in KINDS:
        ground = bold_ground(kind, np.random.default_rng(3), 70, 90)
        assert ground.shape == (70, 90, 3)
        assert ground.dtype == np.uint8
        assert ground.std() > 1
