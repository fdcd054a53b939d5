"""The object is what differs from the place that was learned without one."""

from copy import deepcopy
from itertools import cycle

import numpy as np
import pytest
from tool_recognizer.core.decision import BLURRED
from tool_recognizer.core.decision import SEVERAL_TOOLS
from tool_recognizer.core.empty_place import LEARNED
from tool_recognizer.core.empty_place import RELEARNED
from tool_recognizer.core.known_ground import KnownGround
from tool_recognizer.core.locate import find
from tool_recognizer.core.locate import MANY
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


def test_another_camera_ends_what_was_known(ground):
    show(ground, place=CHECKS[:240, :240])
    assert not ground.is_known


def test_cameras_of_two_shapes_that_both_see_nothing_are_looked_at():
    ground, wide, high = KnownGround(), np.full((180, 320, 3), 90), np.full((240, 320, 3), 90)
    show(ground, times=LEARNED - 1, place=wide)
    show(ground, times=LEARNED, place=high)
    assert not ground.is_known
    show(ground, place=high)
    assert ground.is_known


def test_nothing_is_learned_and_nothing_forgotten_in_the_dark(ground):
    show(ground, light=0.01, times=RELEARNED + 2)
    assert is_right(show(ground, tool=TOOL)[0])
    in_the_dark = KnownGround()
    show(in_the_dark, light=0.01, times=LEARNED + 2)
    assert not in_the_dark.is_known


@pytest.mark.parametrize('colour', [(200, 60, 0), (0, 0, 0), (250, 250, 1)])
def test_marks_on_a_ground_that_has_none_of_a_colour_are_no_objects(colour):
    place, ground = np.full_like(CHECKS, 0), KnownGround()
    place[:] = colour
    place[50:90, 60:200] = place[200:300, 500:540] = 235, 235, 235
    show(ground, times=RELEARNED + 1, place=place)
    assert ground.is_known
    assert show(ground, times=2, place=place) == [None] * 2
    assert is_right(show(ground, tool=TOOL, place=np.minimum(place, 200))[0])


def test_light_that_changes_while_a_tool_lies_there_leaves_no_ghost_of_it(ground):
    for is_tool in (True, False):
        for light in np.linspace(1.0, 0.8, 60):
            show(ground, tool=TOOL, light=light, is_tool=is_tool)
        show(ground, tool=TOOL, light=0.8, times=60, is_tool=is_tool)
        assert show(ground, light=0.8) == [None]
        show(ground, times=3)


def test_a_flat_tool_on_most_of_the_ground_does_not_become_it():
    even, ground = np.full_like(CHECKS, 150), KnownGround()
    show(ground, times=LEARNED + 1, place=even)
    show(ground, tool=(0, 0, 370, 360), times=100, place=even)
    assert show(ground, place=even) == [None]


def test_a_thing_that_is_missed_once_does_not_become_ground(monkeypatch):
    even, ground = np.full_like(CHECKS, 120), KnownGround()
    for number in range(60):
        monkeypatch.setattr('tool_recognizer.core.known_ground.find',
                            find if number % 15 else lambda *frame: None)
        show(ground, tool=TOOL, is_tool=False, place=even)
    assert not ground.is_known


def test_hundreds_of_specks_are_looked_at_in_no_time(ground):
    dots = np.full_like(CHECKS, 120)
    known = KnownGround()
    show(known, times=LEARNED + 1, place=dots)
    dots[5::20, 5::20] = dots[6::20, 5::20] = 0
    found = show(known, place=dots)[0]
    assert found is None or found.objects <= MANY


def test_what_is_unfit_teaches_nothing_but_several_things_do(ground):
    for unfit, becomes_ground in ((BLURRED, False), (SEVERAL_TOOLS, True)):
        for _ in range(RELEARNED + 2):
            ground.find(picture(tool=TOOL))
            ground.learn(False, unfit)
        assert (show(ground, tool=TOOL, is_tool=False) == [None]) == becomes_ground


def test_what_was_not_looked_at_teaches_nothing(ground):
    KnownGround().learn(False)
    ground.learn(False)
    ground.learn(False)
    assert is_right(show(ground, tool=TOOL)[0])
