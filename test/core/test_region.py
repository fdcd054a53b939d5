"""The region: where it lies, what is refused, and that turning it later is turning it first."""

from re import escape

import numpy as np
import pytest
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.recognition import fit_frame
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.region import Region
from tool_recognizer.core.region import ROTATIONS

KEY = FrameKey(1, 'camera')
SMOOTH = np.stack(np.broadcast_arrays(
    np.linspace(0, 250, 60)[:, np.newaxis], np.linspace(250, 0, 90),
    np.outer(np.linspace(0, 1, 60), np.linspace(0, 250, 90))), axis=2).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


def test_a_region_is_a_view_of_the_frame():
    part = Region(x=0.5, y=0.25, width=0.5, height=0.5).of(NOISE)
    np.testing.assert_array_equal(part, NOISE[15:45, 45:])
    assert np.shares_memory(part, NOISE)


def test_the_whole_frame_is_the_default():
    assert Region().of(NOISE).shape == NOISE.shape


@pytest.mark.parametrize('region', [
    Region(x=1 / 3, width=2 / 3), Region(x=0.7, width=0.3), Region(y=0.9, height=0.1),
    Region(x=0.999, width=0.001)])
@pytest.mark.parametrize('size', [(1, 1), (2, 3), (60, 90)])
def test_a_region_has_a_pixel_and_none_outside_of_the_frame(region, size):
    left, top, right, bottom = region.edges(*size)
    assert 0 <= left < right <= size[1]
    assert 0 <= top < bottom <= size[0]


@pytest.mark.parametrize(('values', 'words'), [
    ({'x': 0.5, 'width': 0.6}, 'region.x + region.width must be at most 1, got 0.5 + 0.6'),
    ({'y': 0.1}, 'region.y + region.height must be at most 1'),
    ({'y': -0.1}, 'region.y must be at least 0, got -0.1'),
    ({'width': 0.0}, 'region.width must be at least 0.001, got 0'),
    ({'height': 1e-310}, 'region.height must be at least 0.001, got 1e-310'),
    ({'height': float('nan')}, 'region.height must be at least 0.001, got nan'),
    ({'rotation': 45}, 'region.rotation must be one of [0, 90, 180, 270], got 45')])
def test_what_is_no_region_is_refused(values, words):
    with pytest.raises(ValueError, match=escape(words)):
        Region(**values)


@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
@pytest.mark.parametrize('rotation', ROTATIONS)
def test_a_frame_is_turned_clockwise_as_if_before_it_is_fitted(fit, rotation):
    spec = InputSpec(24, 30, fit)
    turned = np.ascontiguousarray(np.rot90(SMOOTH, -rotation // 90))
    late = fit_frame(Frame(KEY, SMOOTH, 'rgb', rotation), spec)
    assert late.shape == (24, 30, 3)
    assert late.flags.c_contiguous
    placed = np.empty_like(late)
    assert fit_frame(Frame(KEY, SMOOTH, 'rgb', rotation), spec, placed) is placed
    np.testing.assert_array_equal(placed, late)
    # Rounding may put an odd row of a letterbox, or of what is cut off, on the other side.
    inside = slice(8, 16), slice(8, 20)
    np.testing.assert_allclose(late[inside].astype(int),
                               fit_image(turned, spec)[inside].astype(int), atol=12)
