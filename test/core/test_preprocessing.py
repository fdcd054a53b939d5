"""The one resize: right for every shape of buffer that a camera hands over."""

import cv2
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import ORDERS
from tool_recognizer.core.preprocessing import PAD
from tool_recognizer.core.preprocessing import shrinkage

FITS = ('letterbox', 'stretch', 'crop')
SPEC = InputSpec(32, 48, 'stretch')


def picture(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(FITS),
       st.sampled_from(['rgb', 'bgr', 'rgba', 'bgra', 'mono']))
@settings(max_examples=60, deadline=None)
def test_any_size_becomes_the_networks(height, width, fit, order):
    channels = {'mono': 1, 'rgba': 4, 'bgra': 4}.get(order, 3)
    fitted = fit_image(picture(height, width, channels), InputSpec(40, 56, fit), order)
    assert fitted.shape == (40, 56, 3)
    assert fitted.dtype == np.uint8
    assert fitted.flags.c_contiguous


@pytest.mark.parametrize('fit', FITS)
@pytest.mark.parametrize('size', [(1, 1), (1, 97), (97, 1), (20, 30), (32, 48), (45, 70),
                                  (64, 96), (129, 193), (480, 640)])
@pytest.mark.parametrize('order', ORDERS)
def test_a_view_with_padded_rows_is_read_as_its_copy(fit, size, order):
    height, width = size
    buffer = picture(height + 2, width + 7, ORDERS[order][0])
    view = buffer[1:-1, 3:width + 3]
    assert height == 1 or not view.flags.c_contiguous
    before = buffer.copy()
    spec = InputSpec(32, 48, fit)
    np.testing.assert_array_equal(fit_image(view, spec, order),
                                  fit_image(view.copy(), spec, order))
    np.testing.assert_array_equal(buffer, before)


@pytest.mark.parametrize(('size', 'most'), [
    ((32, 48), 0), ((39, 60), 1.5), ((63, 95), 0.5), ((64, 96), 0), ((480, 640), 0.5),
    # Odd sizes lose a row or a column, less than a pixel of what is shown.
    ((97, 131), 6), ((255, 383), 6)])
def test_a_picture_is_reduced_nearly_as_by_the_area_filter(size, most):
    frame = cv2.resize(picture(8, 12), size[::-1], interpolation=cv2.INTER_CUBIC)
    area = cv2.resize(frame, (48, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(fit_image(frame, SPEC) - area.astype(int)).mean() <= most


def test_a_single_bright_pixel_of_a_small_picture_is_not_lost():
    for place in range(60):
        frame = np.zeros((60, 60, 3), np.uint8)
        frame[place, place] = 255
        assert fit_image(frame, InputSpec(32, 32)).max() > 12


@pytest.mark.parametrize('change', [
    lambda p: p[::-1], lambda p: p[:, ::-1], lambda p: p[::2, ::3], lambda p: p[..., ::-1]])
def test_mirrored_and_skipping_views_are_read_as_their_copies(change):
    view = change(picture(90, 120))
    np.testing.assert_array_equal(fit_image(view, SPEC), fit_image(view.copy(), SPEC))


def test_the_orders_are_the_same_picture():
    rgb = picture(60, 80)
    expected = fit_image(rgb, SPEC, 'rgb')
    alpha = picture(60, 80, 1, seed=1)[..., np.newaxis]
    np.testing.assert_array_equal(fit_image(rgb[..., ::-1].copy(), SPEC, 'bgr'), expected)
    np.testing.assert_array_equal(fit_image(np.dstack([rgb, alpha]), SPEC, 'rgba'), expected)
    np.testing.assert_array_equal(
        fit_image(np.dstack([rgb[..., ::-1], alpha]), SPEC, 'bgra'), expected)


def test_grey_gives_three_equal_channels():
    fitted = fit_image(picture(60, 80, 1), SPEC, 'mono')
    assert np.ptp(fitted, axis=2).max() == 0
    np.testing.assert_array_equal(fitted, fit_image(picture(60, 80, 1)[..., np.newaxis], SPEC,
                                                    'mono'))


def test_a_letterbox_shows_all_of_it_between_grey_bars():
    white = np.full((100, 50, 3), 255, np.uint8)
    fitted = fit_image(white, InputSpec(64, 64, 'letterbox'))
    columns = fitted[32, :, 0]
    assert np.all(columns[16:48] == 255)
    assert np.all(np.delete(columns, np.s_[16:48]) == PAD)


def test_a_crop_keeps_the_middle_and_the_proportions():
    wide = np.zeros((50, 150, 3), np.uint8)
    wide[:, 50:100] = 255
    assert np.all(fit_image(wide, InputSpec(64, 64, 'crop')) == 255)


def test_a_stretch_shows_all_of_it():
    half = np.zeros((50, 150, 3), np.uint8)
    half[:, 75:] = 255
    fitted = fit_image(half, InputSpec(64, 64, 'stretch'))
    assert np.all(fitted[:, :31] == 0)
    assert np.all(fitted[:, 33:] == 255)


@pytest.mark.parametrize('fit', FITS)
def test_a_large_frame_is_reduced_by_the_mean_of_its_area(fit):
    y, x = np.mgrid[0:1080, 0:1920]
    smooth = (127 + 80 * np.sin(x / 150) * np.cos(y / 120))[..., np.newaxis] * [1, 0.9, 0.8]
    noisy = np.clip(smooth + np.random.default_rng(0).normal(0, 20, smooth.shape), 0, 255)
    spec = InputSpec(90, 160, fit)
    fitted = fit_image(noisy.astype(np.uint8), spec)
    mean = smooth.reshape(90, 12, 160, 12, 3).mean(axis=(1, 3))
    # 144 pixels are averaged, so noise of 20 leaves less than 2.
    assert np.abs(fitted - mean).mean() < 3
    assert np.abs(fitted - mean).max() < 15


@pytest.mark.parametrize('fit', FITS)
@pytest.mark.parametrize('order', ORDERS)
def test_a_picture_is_the_same_where_it_is_put_among_others(fit, order):
    frame, spec = picture(45, 97, ORDERS[order][0]), InputSpec(32, 48, fit)
    batch = picture(3 * 32, 48).reshape(3, 32, 48, 3)
    before = batch.copy()
    fitted = fit_image(frame, spec, order, batch[1])
    np.testing.assert_array_equal(batch[1], fit_image(frame, spec, order))
    np.testing.assert_array_equal(fitted, batch[1])
    np.testing.assert_array_equal(batch[[0, 2]], before[[0, 2]])


def test_what_is_returned_is_never_the_cameras_buffer():
    frame = picture(32, 48)
    fitted = fit_image(frame, SPEC)
    np.testing.assert_array_equal(fitted, frame)
    assert not np.shares_memory(fitted, frame)


@pytest.mark.parametrize(('pixels', 'order', 'words'), [
    (np.zeros((4, 4, 3), np.uint8), 'hsv', "order must be one of .* got 'hsv'"),
    (np.zeros((4, 4, 3), np.float32), 'rgb', 'must be uint8, got float32'),
    (np.zeros((4, 4, 4), np.uint8), 'rgb', r'needs 3 channel\(s\), got shape \(4, 4, 4\)'),
    (np.zeros((4, 4), np.uint8), 'rgb', 'needs 3 channel'),
    (np.zeros((4, 4, 3), np.uint8), 'mono', 'needs 1 channel'),
    (np.zeros((0, 4, 3), np.uint8), 'rgb', 'empty'),
])
def test_a_frame_that_does_not_fit_its_description_is_refused(pixels, order, words):
    with pytest.raises(ValueError, match=words):
        fit_image(pixels, SPEC, order)


@pytest.mark.parametrize(('arguments', 'words'), [
    ((0, 10), 'at least 1 x 1'), ((10, 10, 'squeeze'), "got 'squeeze'")])
def test_an_impossible_input_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        InputSpec(*arguments)


def test_shrinkage_is_that_of_the_axis_that_shrinks_least():
    assert shrinkage(1080, 1920, InputSpec(270, 240, 'stretch')) == 4
    assert shrinkage(1080, 1920, InputSpec(270, 240, 'letterbox')) == 8
    assert shrinkage(10, 10, InputSpec(20, 20, 'crop')) == 0.5
