"""Camera frames and confirmations, as they come over the wire, good and bad."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.messages import from_ros
from tool_recognizer.messages.from_ros import BadFrame

SPEC = InputSpec(224, 224)


def header(sec=1, nanosec=2, frame_id='camera'):
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=frame_id)


def image(pixels, encoding, *, pad=0, big=False, height=None, width=None):
    """Write an image message the long way round: row by row, with padding that is not 0."""
    rows = pixels.reshape(pixels.shape[0], -1)
    raw = rows.astype(rows.dtype.newbyteorder('>' if big else '<'))
    data = b''.join(row.tobytes() + b'\xab' * pad for row in raw)
    return SimpleNamespace(
        header=header(), height=height or pixels.shape[0], width=width or pixels.shape[1],
        encoding=encoding, is_bigendian=int(big), step=raw.shape[1] * raw.itemsize + pad,
        data=data)


def rgb(message):
    frame = from_ros.frame(message, SPEC)
    return fit_image(frame.pixels, InputSpec(message.height, message.width, 'stretch'),
                     frame.order)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize('pad', [0, 3])
@pytest.mark.parametrize(('encoding', 'channels'), [
    ('rgb8', [0, 1, 2]), ('bgr8', [2, 1, 0]), ('8UC3', [2, 1, 0]),
    ('rgba8', [0, 1, 2, 0]), ('bgra8', [2, 1, 0, 1])])
def test_eight_bit_colour_is_exact_with_padded_rows_and_odd_sizes(picture, encoding, channels,
                                                                  pad):
    np.testing.assert_array_equal(rgb(image(picture[..., channels], encoding, pad=pad)), picture)


@pytest.mark.parametrize('pad', [0, 3])
def test_grey_is_exact(picture, pad):
    grey = picture[..., 0]
    np.testing.assert_array_equal(rgb(image(grey, 'mono8', pad=pad)), np.dstack([grey] * 3))


def test_common_encodings_are_viewed_not_copied(picture):
    message = image(picture, 'rgb8', pad=2)
    message.data = bytearray(message.data)
    frame = from_ros.frame(message, SPEC)
    message.data[0] ^= 255
    assert frame.pixels[0, 0, 0] == picture[0, 0, 0] ^ 255


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize(('encoding', 'channels'), [
    ('rgb16', [0, 1, 2]), ('bgr16', [2, 1, 0]), ('rgba16', [0, 1, 2, 2]),
    ('bgra16', [2, 1, 0, 2])])
def test_sixteen_bit_colour_is_scaled_in_either_byte_order(picture, encoding, channels, big):
    deep = picture.astype(np.uint16)[..., channels] * 257
    np.testing.assert_array_equal(rgb(image(deep, encoding, pad=4, big=big)), picture)


@pytest.mark.parametrize('big', [False, True])
def test_sixteen_bit_grey_is_scaled_in_either_byte_order(big):
    deep = np.array([[0, 257, 128 * 257, 65535, 65406, 300]], np.uint16)
    seen = rgb(image(deep, 'mono16', big=big))[0, :, 0]
    np.testing.assert_array_equal(seen, np.rint(deep[0] / 257.0))


COLOUR = np.array([200, 90, 40], np.uint8)


@pytest.mark.parametrize(('pattern', 'cells'), [
    ('rggb', [[0, 1], [1, 2]]), ('bggr', [[2, 1], [1, 0]]),
    ('gbrg', [[1, 2], [0, 1]]), ('grbg', [[1, 0], [2, 1]])])
@pytest.mark.parametrize('bits', [8, 16])
def test_bayer_patterns_give_their_colour(pattern, cells, bits):
    mosaic = np.tile(COLOUR[np.array(cells)], (8, 8))
    if bits == 16:
        mosaic = mosaic.astype(np.uint16) * 257
    seen = rgb(image(mosaic, f'bayer_{pattern}{bits}', pad=2))
    np.testing.assert_array_equal(seen, np.broadcast_to(COLOUR, seen.shape))


def yuv(colour):
    """BT.601 in the studio range, which cameras send (ITU-R BT.601-7, 2.5)."""
    r, g, b = colour / 255.0
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return np.rint([16 + 219 * luma, 128 + 224 * (b - luma) / 1.772,
                    128 + 224 * (r - luma) / 1.402]).astype(np.uint8)


@pytest.mark.parametrize(('encoding', 'order'), [
    ('yuv422', 'uyvy'), ('uyvy', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')])
def test_packed_yuv_gives_its_colour(encoding, order):
    y, u, v = yuv(COLOUR)
    pair = {'uyvy': [[u, y], [v, y]], 'yuyv': [[y, u], [y, v]]}[order]
    pixels = np.tile(np.array(pair, np.uint8), (6, 4, 1))
    seen = rgb(image(pixels, encoding, pad=6)).astype(int)
    assert np.abs(seen - COLOUR).max() <= 3


@pytest.mark.parametrize('encoding', ['nv21', 'nv24'])
def test_planar_yuv_gives_its_colour(encoding):
    y, u, v = yuv(COLOUR)
    height, width, step = 6, 8, 10
    luma = np.full((height, step), y)
    pairs, rows, row = ([v, u], 3, step) if encoding == 'nv21' else ([u, v], height, 2 * step)
    chroma = np.tile(np.array(pairs, np.uint8), (rows, row // 2))
    message = SimpleNamespace(
        header=header(), height=height, width=width, encoding=encoding, is_bigendian=0,
        step=step, data=luma.tobytes() + chroma.tobytes())
    assert np.abs(rgb(message).astype(int) - COLOUR).max() <= 3


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
def test_a_depth_image_is_refused_with_the_cure(encoding):
    with pytest.raises(BadFrame, match=r'depth image.*remap image_raw') as caught:
        from_ros.frame(image(np.ones((4, 4), np.uint8), encoding), SPEC)
    assert caught.value.reason == 'encoding'


def test_an_unknown_encoding_is_refused_with_those_that_are_known():
    with pytest.raises(BadFrame, match=r"'cmyk8' is not one of .*'rgb8'") as caught:
        from_ros.frame(image(np.ones((4, 4, 4), np.uint8), 'cmyk8'), SPEC)
    assert caught.value.reason == 'encoding'


@pytest.mark.parametrize(('change', 'reason', 'words'), [
    ({'data': b''}, 'empty', 'no data'),
    ({'height': 0}, 'empty', 'x 0 pixels'),
    ({'step': 14}, 'step', 'shorter than a row'),
    ({'height': 8}, 'size', 'needs 120 bytes, got 105'),
    ({'height': 8, 'encoding': 'bayer_rggb8'}, 'size', 'needs 110 bytes, got 105'),
    ({'encoding': 'yuv422'}, 'size', 'even width'),
    ({'encoding': 'nv21'}, 'size', 'even size')])
def test_a_frame_that_is_not_what_it_says_is_refused(picture, change, reason, words):
    message = image(picture, 'rgb8')
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(BadFrame, match=words) as caught:
        from_ros.frame(message, SPEC)
    assert caught.value.reason == reason


def test_the_last_row_needs_no_padding(picture):
    message = image(picture, 'rgb8', pad=3)
    message.data = message.data[:-3]
    np.testing.assert_array_equal(rgb(message), picture)


def compressed(data, kind='jpeg'):
    return SimpleNamespace(header=header(), format=kind, data=data)


def test_a_compressed_frame_is_decoded(picture):
    data = cv2.imencode('.png', picture[..., ::-1])[1].tobytes()
    frame = from_ros.frame(compressed(data, 'png'), SPEC)
    seen = fit_image(frame.pixels, InputSpec(7, 5, 'stretch'), frame.order)
    np.testing.assert_array_equal(seen, picture)


@pytest.mark.parametrize('data', [b'garbage', b'\xff\xd8\xff\xe0'])
def test_a_damaged_compressed_frame_is_refused(data):
    with pytest.raises(BadFrame) as caught:
        from_ros.frame(compressed(data), SPEC)
    assert caught.value.reason == 'corrupt'


def test_a_compressed_frame_that_is_cut_off_is_refused():
    whole = cv2.imencode('.jpg', np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    with pytest.raises(BadFrame, match='cut off'):
        from_ros.frame(compressed(whole[:len(whole) // 2]), SPEC)


def test_compressed_depth_is_refused():
    with pytest.raises(BadFrame, match='depth image'):
        from_ros.frame(compressed(b'xyz', '16UC1; compressedDepth png'), SPEC)


def seen_in(message):
    frame = from_ros.frame(message, InputSpec(64, 64, 'stretch'))
    return fit_image(frame.pixels, InputSpec(64, 64, 'stretch'), frame.order)


def file_of(pixels, kind):
    return cv2.imencode(f'.{kind}', pixels)[1].tobytes()


@pytest.mark.parametrize(('kind', 'form'), [
    ('png', 'bayer_{}8; png compressed '), ('png', 'bayer_{}16; png compressed '),
    ('png', ' BAYER_{}8;PNG Compressed'), ('tiff', 'bayer_{}8; tiff compressed '),
    ('png', 'bayer_{}8; png compressed bayer_{}8')])
@pytest.mark.parametrize(('pattern', 'cells'), [
    ('rggb', [[0, 1], [1, 2]]), ('bggr', [[2, 1], [1, 0]]), ('gbrg', [[1, 2], [0, 1]]),
    ('grbg', [[1, 0], [2, 1]])])
def test_a_mosaic_in_a_file_gives_its_colour(kind, form, pattern, cells):
    """image_transport compresses the pixels of a Bayer camera as they are."""
    mosaic = np.tile(COLOUR[np.array(cells)], (32, 32))
    if '16' in form:
        mosaic = mosaic.astype(np.uint16) * 257
    form = form.replace('{}', pattern.upper() if 'BAYER' in form else pattern)
    seen = seen_in(compressed(file_of(mosaic, kind), form))
    np.testing.assert_array_equal(seen, np.broadcast_to(COLOUR, seen.shape))


def test_a_mosaic_is_never_read_at_a_fraction_of_its_size():
    mosaic = np.tile(COLOUR[np.array([[0, 1], [1, 2]])], (512, 512))
    data = cv2.imencode('.jpg', mosaic, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    seen = seen_in(compressed(data, 'bayer_rggb8; jpeg compressed '))
    assert np.abs(seen.astype(int) - COLOUR).max() <= 8


@pytest.mark.parametrize('form', ['bayer_rggb8; jpeg compressed mono8', 'mono8; png compressed ',
                                  'mono8; jpeg compressed mono8', 'mono16; png compressed '])
def test_what_was_made_grey_before_it_was_compressed_is_grey(form):
    grey = np.full((64, 64), 90, np.uint8)
    data = file_of(grey, 'jpg' if 'jpeg' in form else 'png')
    if 'mono16' in form:
        data = file_of(grey.astype(np.uint16) * 257, 'png')
    np.testing.assert_array_equal(seen_in(compressed(data, form)), np.full((64, 64, 3), 90))


@pytest.mark.parametrize('form', [
    'rgb8; jpeg compressed bgr8', 'bgr8; jpeg compressed bgr8', 'yuv422; jpeg compressed bgr8',
    'yuv422_yuy2; jpeg compressed bgr8', 'nv21; png compressed bgr8',
    'rgb16; png compressed bgr16', 'bgra8; png compressed bgr8',
    'bayer_rggb8; png compressed bgr8', '8UC3; png compressed ', '; jpeg compressed bgr8',
    'bgr8; jpeg compressed', 'RGB8; JPEG compressed BGR8', ' jpeg ', 'jpg', 'JPEG', 'png', 'PNG',
    'webp', '', 'rgb8'])
@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp'])
def test_a_colour_picture_has_the_colours_of_its_file_whatever_its_format_says(form, kind):
    data = file_of(np.full((64, 64, 3), COLOUR[::-1], np.uint8), kind)
    seen = seen_in(compressed(data, form))
    assert np.abs(seen.astype(int) - COLOUR).max() <= 4


@pytest.mark.parametrize(('form', 'stored'), [
    ('rgb8; tiff compressed ', 'rgb'), ('bgr8; tiff compressed ', 'bgr'),
    ('rgb16; tiff compressed ', 'rgb'), ('rgb8; tiff compressed bgr8', 'bgr'), ('tiff', 'bgr')])
def test_into_a_tiff_the_cameras_channels_go_as_they_are(form, stored):
    """image_transport hands OpenCV, which takes all for BGR, the camera's pixels unconverted."""
    pixels = np.full((64, 64, 3), COLOUR if stored == 'rgb' else COLOUR[::-1], np.uint8)
    data = file_of(pixels.astype(np.uint16) * 257 if '16' in form else pixels, 'tiff')
    np.testing.assert_array_equal(seen_in(compressed(data, form)),
                                  np.broadcast_to(COLOUR, (64, 64, 3)))


@pytest.mark.parametrize('form', [
    '16UC1; png compressed ', '32FC1; compressedDepth', '16UC1; compressedDepth png',
    '16uc1;PNG compressed', '32FC1; tiff compressed ', '16UC1; compressedDepth rvl', '16UC1',
    '16UC1; jpeg compressed mono8'])
def test_depth_is_refused_as_an_encoding_in_any_file(form):
    data = file_of(np.full((64, 64), 900, np.uint16), 'png')
    with pytest.raises(BadFrame, match='depth image, not a picture') as caught:
        from_ros.frame(compressed(data, form), SPEC)
    assert caught.value.reason == 'encoding'


@pytest.mark.parametrize('form', ['h264', 'hevc', 'video/mp4', 'rgb8; qoi compressed', 'theora',
                                  'draco'])
def test_what_is_no_picture_at_all_is_refused_by_the_name_of_its_format(form):
    with pytest.raises(BadFrame, match='no kind of picture that is read') as caught:
        from_ros.frame(compressed(b'\0\0\0\1\x67' + bytes(100), form), SPEC)
    assert caught.value.reason == 'encoding'
    assert repr(form) in str(caught.value)


def test_a_bayer_pattern_that_nobody_knows_is_refused():
    with pytest.raises(BadFrame, match='bayer_rgbw8') as caught:
        from_ros.frame(compressed(file_of(np.zeros((8, 8), np.uint8), 'png'),
                                  'bayer_rgbw8; png compressed '), SPEC)
    assert caught.value.reason == 'encoding'


def test_floating_point_is_refused_as_an_encoding():
    data = file_of(np.full((8, 8, 3), 0.5, np.float32), 'tiff')
    with pytest.raises(BadFrame, match='no 8-bit meaning') as caught:
        from_ros.frame(compressed(data, '32FC3; tiff compressed '), SPEC)
    assert caught.value.reason == 'encoding'


def test_the_identity_is_exact_to_the_nanosecond():
    key = from_ros.key(header(sec=1_795_000_000, nanosec=999_999_999, frame_id='left'))
    assert key == (1_795_000_000_999_999_999, 'left')


def results(*pairs):
    return SimpleNamespace(header=header(), results=[
        SimpleNamespace(class_id=label, score=score) for label, score in pairs])


def test_a_confirmation_keeps_its_distribution():
    soft = from_ros.confirmation(results(('wrench', 0.75), ('hammer', 0.25)))
    assert soft.distribution == {'wrench': 0.75, 'hammer': 0.25}
    assert soft.key == (1_000_000_002, 'camera')


@pytest.mark.parametrize(('pairs', 'words'), [
    ([], 'at least one label'), ([('wrench', 0.0)], 'sum to 1'),
    ([('wrench', 0.5), ('wrench', 0.5)], 'comes twice'), ([('', 1.0)], 'empty'),
    ([('wrench', float('nan'))], 'finite'), ([('wrench', 1.5), ('hammer', -0.5)], 'negative')])
def test_a_confirmation_that_is_no_distribution_is_refused(pairs, words):
    with pytest.raises(InvalidConfirmation, match=words):
        from_ros.confirmation(results(*pairs))
