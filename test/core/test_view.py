"""What of a frame the network is shown: region and box go together, and off changes nothing."""

import numpy as np
import pytest
from tool_recognizer.core.decision import SEVERAL_TOOLS
from tool_recognizer.core.locate import overlaps
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.region import Region
from tool_recognizer.core.view import look
from tool_recognizer.core.view import View
from tool_recognizer.core.view import WHOLE
from tool_recognizer.parameters import BY_NAME

SPEC = InputSpec(224, 224)
RED, WIDE, HIGH = (200, 30, 30), 60, 30


def frame(*places):
    """Return a noisy grey frame with a red bar with its corner at each place."""
    noise = np.random.default_rng(0).normal(120, 2, (240, 400, 3))
    pixels = noise.clip(0, 255).astype(np.uint8)
    for left, top in places:
        pixels[top:top + HIGH, left:left + WIDE] = RED
    return Frame(FrameKey(1, 'camera'), pixels, 'rgb')


def close(box, left, top):
    bar = np.array([[left, top, left + WIDE, top + HIGH]])
    return overlaps(np.array(box), bar)[0] > 0.35


def test_by_default_the_frame_is_shown_as_it_is():
    whole = frame((100, 100))
    assert View.of(lambda name: BY_NAME[name].default) == WHOLE
    assert look(whole, WHOLE) == (whole, None, 0, None)
    assert WHOLE.reading(SPEC) == SPEC


def test_the_box_lies_in_the_whole_frame_and_the_network_sees_it_with_a_margin():
    whole = frame((280, 150), (20, 20))
    seen = look(whole, View(Region(x=0.5, y=0.5, width=0.5, height=0.5), 'auto'))
    assert close(seen.box, 280, 150)
    assert seen.objects == 1
    shown = seen.frame.pixels
    assert np.shares_memory(shown, whole.pixels)
    assert WIDE < shown.shape[1] < 2.5 * WIDE
    assert (shown == RED).all(axis=2).sum() == WIDE * HIGH
    assert seen.frame.key == whole.key


def test_a_margin_ends_at_the_region():
    whole = frame((203, 150))
    seen = look(whole, View(Region(x=0.5, width=0.5), 'auto'))
    assert close(seen.box, 203, 150)
    # Its left column is the region's, not one further left.
    first = seen.frame.pixels.ctypes.data - whole.pixels.ctypes.data
    assert first % whole.pixels.strides[0] == 200 * whole.pixels.strides[1]


def test_the_box_is_in_the_frame_as_the_camera_sends_it_though_the_network_sees_it_turned():
    seen = look(frame((100, 150)), View(Region(rotation=90), 'auto'))
    assert close(seen.box, 100, 150)
    assert seen.frame.rotation == 90


def test_several_objects_get_no_label_only_if_that_is_wanted():
    image = np.zeros((224, 224, 3), np.uint8)
    two = frame((60, 60), (260, 140))
    for single, said in ((True, SEVERAL_TOOLS), (False, None)):
        view = View(locate='auto', single=single)
        seen = look(two, view)
        assert seen.objects == 2
        assert seen.unfit(image, view, None) == said
        assert look(frame((60, 60)), view).unfit(image, view, None) is None


@pytest.mark.parametrize(('view', 'least'), [
    (View(Region(width=0.25, height=0.5)), (448, 896)),
    (View(Region(x=0.9, width=0.1)), (224, 2240)), (View(locate='auto'), (10_000, 10_000))])
def test_a_jpeg_is_decoded_large_enough_for_what_is_cut_out_of_it(view, least):
    reading = view.reading(SPEC)
    assert (reading.height, reading.width) >= least
    assert reading.fit == SPEC.fit or view.locate == 'auto'


def test_a_jpeg_is_decoded_for_the_input_as_it_lies_in_the_frame():
    reading = View(Region(height=0.25, rotation=90)).reading(InputSpec(224, 448))
    assert (reading.height, reading.width) == (4 * 448, 224)
