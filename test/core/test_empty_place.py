"""The picture alone says whether something is there, once the empty place is known."""

import numpy as np
import pytest
from tool_recognizer.core.empty_place import CELLS
from tool_recognizer.core.empty_place import EmptyPlace
from tool_recognizer.core.empty_place import glance
from tool_recognizer.core.empty_place import LEARNED
from tool_recognizer.core.empty_place import RELEARNED

GROUND = np.random.default_rng(0).integers(90, 150, (12, 16, 3)).repeat(20, 0).repeat(20, 1)


def picture(tool=False, light=1.0, noise=3.0, seed=None, size=70):
    rng = np.random.default_rng(seed)
    shown = GROUND.astype(np.float64)
    if tool:
        shown[80:80 + size, 100:100 + size] = (40, 45, 50)
    return np.clip(shown * light + rng.normal(0, noise, shown.shape), 0, 255).astype(np.uint8)


def look(place, is_tool=False, times=1, **options):
    return [place.look(glance(picture(**options)), is_tool) for _ in range(times)]


@pytest.fixture
def place():
    place = EmptyPlace()
    assert not any(look(place, times=LEARNED + 1))
    assert place.is_known
    return place


def test_a_tool_comes_and_goes(place):
    for _ in range(3):
        assert all(look(place, tool=True, is_tool=True, times=20))
        assert not any(look(place, times=20))


@pytest.mark.parametrize('light', [0.4, 1.6])
def test_light_that_changes_is_no_tool(place, light):
    for step in np.linspace(1.0, light, 40):
        assert look(place, light=step) == [False]
    assert all(look(place, tool=True, light=light, times=3))
    assert look(place, light=light) == [False]


def test_light_that_is_switched_off_and_on_is_no_tool(place):
    assert not any(look(place, light=0.01, times=500))
    assert not any(look(place, times=20))
    assert all(look(place, tool=True, times=3))


def test_a_place_that_was_learned_in_the_dark_is_learned_anew_in_the_light():
    place = EmptyPlace()
    look(place, light=0.01, times=LEARNED + 1)
    assert place.is_known
    assert not any(look(place, times=LEARNED + 2))
    assert all(look(place, tool=True, is_tool=True, times=3))


def test_noise_is_no_tool(place):
    assert not any(look(place, noise=12.0, times=50))


def test_what_the_model_knows_is_never_learned_and_nothing_is_while_it_moves():
    place = EmptyPlace()
    look(place, tool=True, is_tool=True, times=3 * LEARNED)
    for number in range(3 * LEARNED):
        place.look(glance(np.roll(picture(), 25 * number, axis=1)), False)
    assert not place.is_known


def test_what_stays_and_is_no_tool_is_the_place_now(place):
    assert all(look(place, tool=True, times=RELEARNED - 2))
    look(place, tool=True, times=4)
    assert look(place, tool=True) == [False]
    assert look(place) == [True]


def test_a_camera_of_another_kind_is_learned_anew(place):
    grey = picture()[..., 0]
    assert glance(grey).shape == (CELLS, CELLS, 1)
    assert not place.look(glance(grey), False)
    for _ in range(LEARNED + 1):
        place.look(glance(grey), False)
    assert place.is_known
