"""Frame quality: real photographs made worse are refused, and as they are they are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from tool_recognizer.core.decision import BLURRED
from tool_recognizer.core.decision import DARK
from tool_recognizer.core.decision import OVEREXPOSED
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.quality import fingerprint
from tool_recognizer.core.quality import FrozenDetector
from tool_recognizer.core.quality import judge
from tool_recognizer.core.quality import measure
from tool_recognizer.core.quality import Quality
from tool_recognizer.core.quality import QualityThresholds
from tool_recognizer.core.quality import thresholds_from
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.pictures.line import AssemblyLine

SPEC = InputSpec(224, 224)
# Beside the repository where there is a fuller set of photographs; a few are within it.
MORE = Path(__file__).parents[3] / 'shared' / 'data' / 'tool_photos' / 'validation'


@pytest.fixture(scope='module')
def thresholds():
    found = OnnxModel.load(DEFAULT_MODEL, intra_op_threads=1).quality
    assert found is not None
    return found


@pytest.fixture(scope='module')
def pictures(photos):
    paths = sorted(MORE.glob('*/*.jpg'))[::4] or [path for path, _ in photos]
    return [cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            for pixels, order in map(read_picture, paths) if order == 'bgr']


def refused(pictures, thresholds, change, reason):
    judged = [judge(measure(fit_image(change(p), SPEC)), thresholds) for p in pictures]
    return sum(j == reason for j in judged) / len(judged)


def scale(pixels):
    """How many pixels of the photograph there are in one of the network's."""
    return max(pixels.shape[:2]) / SPEC.width


def defocused(pixels, sigma):
    return cv2.GaussianBlur(pixels, (0, 0), sigma * scale(pixels))


def moved(pixels, length, angle):
    size = int(length * scale(pixels)) | 1
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2] = 1.0
    turn = cv2.getRotationMatrix2D((size / 2 - 0.5, size / 2 - 0.5), angle, 1)
    kernel = cv2.warpAffine(kernel, turn, (size, size))
    return cv2.filter2D(pixels, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def noisy(pixels, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def gained(pixels, gain):
    return cv2.convertScaleAbs(pixels, alpha=gain)


def test_photographs_as_they_are_are_not_refused(pictures, thresholds):
    judged = [judge(measure(fit_image(p, SPEC)), thresholds) for p in pictures]
    assert sum(j is not None for j in judged) <= 0.02 * len(judged)


@pytest.mark.parametrize(('change', 'reason'), [
    (lambda p: gained(p, 0.1), DARK),
    (lambda p: noisy(gained(p, 0.1), 2), DARK),
    (lambda p: gained(p, 12), OVEREXPOSED),
    (lambda p: defocused(p, 2), BLURRED),
    (lambda p: noisy(defocused(p, 3), 2), BLURRED),
    (lambda p: moved(p, 17, 0), BLURRED),
    (lambda p: moved(p, 17, 65), BLURRED),
    (lambda p: moved(p, 25, 140), BLURRED)],
    ids=['dark', 'dark and noisy', 'gain', 'defocus', 'defocus and noise', 'moved across',
         'moved steeply', 'moved far'])
def test_photographs_made_worse_are_refused_for_what_was_done(pictures, thresholds, change,
                                                              reason):
    assert refused(pictures, thresholds, change, reason) >= 0.9


@pytest.mark.parametrize('light', [1.0, 0.7, 0.5, 0.35])
def test_the_drawn_line_is_fit_for_an_answer_with_and_without_a_tool(thresholds, light):
    line = AssemblyLine(3)
    judged = {judge(measure(fit_image(line.frame(i, light)[0], SPEC)), thresholds)
              for i in range(0, 120, 4)}
    assert judged == {None}


def bench(tool, ground=255):
    """Return a bar with a dark and a light half, on a ground."""
    pixels = np.full((224, 224, 3), ground, np.uint8)
    cv2.line(pixels, (60, 150), (110, 110), tool, 17)
    cv2.line(pixels, (110, 110), (160, 70), tuple(min(255, 4 * c) for c in tool), 17)
    return pixels


def test_a_tool_on_a_white_desk_is_not_overexposed_but_its_shreds_and_specks_are(thresholds):
    assert judge(measure(bench((50, 45, 40))), thresholds) is None
    # Its light half is clipped as well, and highlights eat into the other.
    washed = bench((130, 120, 110))
    washed[::3] = washed[:, ::3] = 255
    assert measure(washed).unclipped > 0.01
    assert judge(measure(washed), thresholds) == OVEREXPOSED
    # Solid, but too little to say anything of.
    speck = np.full((224, 224, 3), 255, np.uint8)
    speck[100:125, 100:125] = 40
    assert judge(measure(speck), thresholds) == OVEREXPOSED


def test_less_light_less_sharpness_and_more_gain_are_less(pictures):
    for pixels in pictures[:10]:
        plain = measure(fit_image(pixels, SPEC))
        assert measure(fit_image(gained(pixels, 0.5), SPEC)).brightness < plain.brightness
        assert measure(fit_image(gained(pixels, 6), SPEC)).unclipped < plain.unclipped
        blurs = [measure(fit_image(defocused(pixels, s), SPEC)).sharpness for s in (0.7, 1.5, 3)]
        assert plain.sharpness > blurs[0] > blurs[1] > blurs[2]


@pytest.mark.parametrize('shape', [(100, 300), (300, 100)])
def test_the_bars_of_a_letterbox_do_not_count(shape):
    # The part that the network sees of a dark frame, without bars and between them.
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 30, (*shape, 3), np.uint8)
    bars = measure(fit_image(frame, InputSpec(300, 300)))
    bare = measure(fit_image(frame, InputSpec(*shape)))
    assert bars == bare


def test_a_picture_that_is_all_of_the_bars_grey_is_measured_as_it_is():
    assert measure(np.full((8, 8, 3), 127, np.uint8)).brightness == 127


def test_a_plain_surface_is_not_called_blurred():
    assert measure(np.full((64, 64, 3), 90, np.uint8)).sharpness == np.inf


@pytest.mark.parametrize('size', [
    (1, 1), (1, 9), (9, 1), (2, 3), (3, 3), (3, 8), (4, 5), (61, 40)])
@pytest.mark.parametrize('contrast', [1, 40, 256])
def test_the_figures_are_those_of_their_definition(size, contrast):
    image = np.random.default_rng(0).integers(0, contrast, (*size, 3), np.uint8)
    image[:, -1] |= 251
    value = image.max(axis=2).astype(float)
    measured = measure(image)
    ordered = np.sort(value, axis=None)
    assert measured.brightness == ordered[int(np.ceil(0.95 * value.size)) - 1]
    assert measured.unclipped == (value < 250).mean()
    ratios = []
    here = value[1:-1:2, 1:-1]
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        if min(size) < 3:
            break
        rows, columns = np.arange(1, size[0] - 1, 2), np.arange(1, size[1] - 1)
        after = value[np.ix_(rows + down, columns + across)]
        before = value[np.ix_(rows - down, columns - across)]
        square = (after - here) ** 2
        strong = square > 4 * square.mean()
        if square.mean() >= 0.25 and strong.any():
            second = after - 2 * here + before
            ratios.append(np.sqrt((second[strong] ** 2).sum() / square[strong].sum()))
    assert measured.sharpness == pytest.approx(min(ratios, default=np.inf), rel=1e-12)


def test_light_of_one_colour_is_light():
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = np.random.default_rng(0).integers(0, 200, (64, 64))
    assert measure(red).brightness > 150


@pytest.mark.parametrize(('quality', 'reason'), [
    (Quality(10, 1.0, 0.1), DARK), (Quality(255, 0.01, 0.1), OVEREXPOSED),
    (Quality(100, 1.0, 0.1), BLURRED), (Quality(100, 1.0, np.inf), None)])
def test_the_first_fault_speaks_and_without_thresholds_none(quality, reason):
    assert judge(quality, QualityThresholds(30, 0.1, 0.5)) == reason
    assert judge(quality, None) is None


def test_thresholds_refuse_none_of_the_pictures_that_they_come_from():
    rng = np.random.default_rng(0)
    pictures = [Quality(*row) for row in rng.uniform((60, 0.5, 0.6), (255, 1, 1.2), (400, 3))]
    found = thresholds_from(pictures)
    assert not any(judge(p, found) for p in pictures)
    assert found.dark < min(p.brightness for p in pictures)


def test_thresholds_of_training_pictures_without_an_edge_let_every_sharpness_pass():
    found = thresholds_from([Quality(100, 1.0, np.inf)])
    assert judge(Quality(100, 1.0, 0.0), found) is None


def test_thresholds_need_a_picture():
    with pytest.raises(ValueError, match='at least one picture'):
        thresholds_from([])


def test_a_camera_is_frozen_after_so_many_equal_frames_and_lives_again_with_the_first_other():
    detector = FrozenDetector(after=3)
    frame = np.zeros((8, 8, 3), np.uint8)
    other = frame.copy()
    other[7, 7, 2] = 1  # one count of noise in one channel
    assert [detector.update(fingerprint(f)) for f in (frame, frame, frame, frame)] == [
        False, False, True, True]
    assert detector.count == 4
    assert not any(detector.update(fingerprint(f)) for f in (other, frame, frame))


def test_one_frame_cannot_be_frozen():
    with pytest.raises(ValueError, match='at least 2, got 1'):
        FrozenDetector(after=1)
