"""The finder: photographed tools laid on even, drawn and patterned grounds, or on none."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from tool_recognizer.core.locate import find
from tool_recognizer.core.locate import overlaps
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.pictures.grounds import bold_ground
from tool_recognizer.pictures.grounds import KINDS
from tool_recognizer.pictures.scene import draw_ground
from tool_recognizer.training.augmentation import cut_out

HEIGHT, WIDTH = 360, 640


@pytest.fixture(scope='module')
def tools(photos):
    """Return tools cut out of photographs: their pixels and their masks."""
    found = []
    for path, _ in photos:
        pixels = cv2.cvtColor(read_picture(path)[0], cv2.COLOR_BGR2RGB)
        mask = cut_out(pixels)
        if mask is not None:
            rows, columns = mask.nonzero()
            inside = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
            found.append((pixels[inside], mask[inside]))
    assert len(found) >= 3
    return found


def bench(rng):
    """Return an evenly painted bench under a sensor's noise."""
    ground = np.full((HEIGHT, WIDTH, 3), (96, 110, 88), np.float64)
    return np.clip(ground + rng.normal(0, 2, ground.shape), 0, 255).astype(np.uint8)


def lay(scene, tool, long, left, top):
    """Lay a tool on a scene, ``long`` pixels at its longer side; return its box."""
    pixels, mask = tool
    height, width = (max(2, round(side * long / max(mask.shape))) for side in mask.shape)
    alpha = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)[..., None] / 255
    place = scene[top:top + height, left:left + width]
    place[:] = alpha * cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA) + (
        1 - alpha) * place
    return np.array([left, top, left + width, top + height])


def patterned(rng):
    """Return stripes, checks, dots, gravel, grass or clutter in any colours."""
    return bold_ground(KINDS[rng.integers(len(KINDS))], rng, HEIGHT, WIDTH)


@pytest.mark.parametrize(('ground', 'share'), [
    (bench, 0.9), (lambda rng: draw_ground(rng, HEIGHT, WIDTH), 0.75), (patterned, 0.7)],
    ids=['even', 'drawn', 'patterned'])
def test_a_small_tool_is_found_where_it_lies(tools, ground, share):
    rng = np.random.default_rng(1)
    right = []
    for number in range(40):
        scene = ground(rng)
        box = lay(scene, tools[number % len(tools)], int(rng.integers(60, 200)),
                  int(rng.integers(0, 400)), int(rng.integers(0, 150)))
        found = find(scene)
        right.append(found is not None
                     and overlaps(np.array(found.box), box[np.newaxis])[0] >= 0.5)
    assert np.mean(right) >= share


def test_the_box_does_not_depend_on_the_frames_size_or_channels(tools):
    scene = bench(np.random.default_rng(2))
    box = lay(scene, tools[0], 150, 300, 100)
    large = cv2.resize(scene, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR)
    for pixels, order, scale in ((scene, 'rgb', 1), (scene[..., ::-1], 'bgr', 1),
                                 (large, 'rgb', 2),
                                 (cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY), 'mono', 1)):
        found = find(pixels, order)
        assert found is not None
        assert overlaps(np.array(found.box), scale * box[np.newaxis])[0] >= 0.6


def test_a_tool_that_fills_the_frame_is_left_as_it_is(tools):
    scene = bench(np.random.default_rng(3))[:, :HEIGHT].copy()
    lay(scene, max(tools, key=lambda tool: min(tool[1].shape) / max(tool[1].shape)),
        int(0.9 * HEIGHT), 10, 10)
    assert find(scene) is None


@pytest.mark.parametrize('pixels', [
    np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.full((1, 1, 3), 200, np.uint8),
    np.full((2, 500, 3), 9, np.uint8), np.full((500, 1, 3), 9, np.uint8)])
def test_where_all_is_of_one_colour_nothing_is_found(pixels):
    assert find(pixels) is None


def test_two_tools_are_two_objects_and_a_far_smaller_thing_is_none(tools):
    scene = bench(np.random.default_rng(4))
    lay(scene, tools[0], 130, 80, 110)
    assert find(scene).objects == 1
    scene[300:304, 600:604] = (180, 40, 40)
    assert find(scene).objects == 1
    lay(scene, tools[0], 130, 420, 110)
    assert find(scene).objects == 2


def test_the_same_frame_gives_the_same_answer_whatever_came_before_it(tools):
    scene = draw_ground(np.random.default_rng(5), HEIGHT, WIDTH)
    lay(scene, tools[1], 120, 200, 100)
    found = find(scene)
    assert found is not None
    find(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
    assert find(scene.copy()) == found


def test_several_threads_are_answered_as_one(tools):
    rng = np.random.default_rng(6)
    scenes = []
    for number in range(24):
        # Of two shapes: a network's memory is laid out anew for each.
        scene = np.ascontiguousarray(bench(rng)[:, :WIDTH - 160 * (number % 2)])
        lay(scene, tools[number % len(tools)], 120, 10 * number, 5 * number)
        scenes.append(scene)
    alone = [find(scene) for scene in scenes]
    assert None not in alone
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(find, scenes * 4)) == alone * 4


def test_a_frame_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match='must be uint8'):
        find(np.zeros((50, 50, 3), np.float32))
