"""The object is what differs from the place that was learned without one."""

from copy import deepcopy
from itertools import cycle

import numpy as np
import pytest
from tool_recognizer.core.empty_place import LEARNED
from tool_recognizer.core.empty_place import RELEARNED
from tool_recognizer.core.known_ground import KnownGround
from tool_recognizer.core.locate import find
from tool_recognizer.core.locate import overlaps

HEIGHT, WIDTH = 360, 640
# Loud squares, among which nobody finds a square by its looks.
CHECKS = np.random.default_rng(2).integers(40, 220, (12, 20, 3)).repeat(30, 0).repeat(32, 1)
# A sensor's, of one frame after the other.
NOISE = cycle(np.random.default_rng(5).normal(0, 3, (3, 360, 640, 3)))
TOOL = 300, 150, 345, 240  # left, top, right, bottom


def picture(tool=None, light=1.0, shake=0, place=CHECKS):
    before, after = max(0, shake), max(0, -shake)
    shown = np.pad(place, ((0, 0), (before, after), (0, 0)), 'edge')[:, after:]
    shown = shown[:, :place.shape[1]].astype(np.float64)
    if tool is not None:
        left, top, right, bottom = tool
        shown[top:bottom, left:right] = (250, 245, 20)
    noise = next(NOISE)[:shown.shape[0], :shown.shape[1]]
    return np.clip(shown * light + noise, 0, 255).astype(np.uint8)


def show(ground, is_tool=None, times=1, **options):
    """Show frames; return what was found in each. By default the model knows what is found."""
    found = []
    for _ in range(times):
        found.append(ground.find(picture(**options)))
        ground.learn(options.get('tool') is not None if is_tool is None else is_tool)
    return found


def is_right(found, tool=TOOL):
    return found is not None and overlaps(np.array(found.box), np.array([tool]))[0] > 0.6


@pytest.fixture(scope='module')
def learned():
    """Show the empty place; something may stand out of its pattern."""
    ground = KnownGround()
    show(ground, times=RELEARNED + 1)
    assert ground.is_known
    return ground


@pytest.fixture
def ground(learned):
    return deepcopy(learned)


def test_a_tool_is_found_on_a_pattern_in_which_it_does_not_stand_out(ground):
    assert not is_right(find(picture(tool=TOOL)))
    assert all(map(is_right, show(ground, tool=TOOL, times=5)))
    assert show(ground, times=3) == [None] * 3
    elsewhere = 60, 40, 150, 80
    assert all(is_right(found, elsewhere) for found in show(ground, tool=elsewhere, times=3))


def test_an_even_place_is_known_after_a_few_frames():
    even, ground = np.full_like(CHECKS, 120), KnownGround()
    show(ground, times=LEARNED, place=even)
    assert not ground.is_known
    show(ground, place=even)
    assert ground.is_known


def test_a_camera_that_shakes_by_a_pixel_or_two_shows_no_object(ground):
    assert [show(ground, shake=shake) for shake in (1, -2, 2)] == [[None]] * 3
    assert is_right(show(ground, tool=TOOL, shake=2)[0])


def test_light_that_changes_is_no_object(ground):
    assert [show(ground, light=light) for light in np.linspace(1.0, 0.4, 30)] == [[None]] * 30
    assert is_right(show(ground, tool=TOOL, light=0.4)[0])


def test_a_tool_never_becomes_ground_and_is_found_before_the_ground_is_known():
    even, ground = np.full_like(CHECKS, 120), KnownGround()
    assert all(map(is_right, show(ground, tool=TOOL, times=2 * LEARNED, place=even)))
    # Nor does what the model does not know, as long as it stands out.
    show(ground, tool=TOOL, is_tool=False, times=2 * LEARNED, place=even)
    assert not ground.is_known
    show(ground, times=LEARNED + 1, place=even)
    assert ground.is_known
    assert all(map(is_right, show(ground, tool=TOOL, times=RELEARNED + 2, place=even)))


def test_what_stays_and_is_no_tool_becomes_ground(ground):
    fixture = 40, 60, 120, 200
    assert is_right(show(ground, tool=fixture, is_tool=False)[0], fixture)
    show(ground, tool=fixture, is_tool=False, times=RELEARNED + 2)
    assert show(ground, tool=fixture, is_tool=False) == [None]


def test_a_camera_that_was_moved_learns_its_new_place(ground):
    moved = np.ascontiguousarray(CHECKS[::-1, ::-1])
    show(ground, times=RELEARNED + 2, place=moved)
    assert show(ground, place=moved) == [None]
    assert is_right(show(ground, tool=TOOL, place=moved)[0])


def test_another_camera_and_light_that_is_switched_on_end_what_was_known(ground):
    small = CHECKS[:240, :240]
    show(ground, place=small)
    assert not ground.is_known
    dark = KnownGround()
    show(dark, light=0.01, times=LEARNED + 1)
    assert dark.is_known
    show(dark)
    assert not dark.is_known


def test_the_ground_is_not_forgotten_in_the_dark(ground):
    show(ground, light=0.01, times=100)
    assert is_right(show(ground, tool=TOOL)[0])


def test_what_was_not_looked_at_teaches_nothing(ground):
    KnownGround().learn(False)
    ground.learn(False)
    ground.learn(False)
    assert is_right(show(ground, tool=TOOL)[0])
