"""Picture files: decoded right, or refused with what was wrong."""

import cv2
import numpy as np
import pytest
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.codec import PictureError
from tool_recognizer.pictures.codec import read_picture


def smooth(height, width):
    y, x = np.mgrid[0:height, 0:width]
    return np.dstack([x * 255 // width, y * 255 // height, (x + y) % 256]).astype(np.uint8)


def encoded(pixels, kind='.jpg', *flags):
    return cv2.imencode(kind, pixels, list(flags))[1].tobytes()


def test_a_photograph_is_decoded_as_opencv_decodes_it(photos):
    for path, _ in photos:
        pixels, order = decode_picture(path.read_bytes())
        assert order == 'bgr'
        np.testing.assert_array_equal(pixels, cv2.imread(str(path)))


@pytest.mark.parametrize('wrap', [bytes, memoryview, lambda b: np.frombuffer(b, np.uint8)])
def test_bytes_come_in_any_wrapping(wrap):
    data = encoded(smooth(20, 30), '.png')
    np.testing.assert_array_equal(decode_picture(wrap(data))[0], smooth(20, 30))


@pytest.mark.parametrize(('height', 'width', 'factor'), [
    (480, 640, 1), (1080, 1920, 4), (2160, 3840, 8), (200, 3840, 4), (890, 890, 1)])
def test_a_large_jpeg_is_decoded_reduced_and_still_twice_the_networks_size(height, width, factor):
    spec = InputSpec(224, 224, 'letterbox')
    data = encoded(smooth(height, width))
    pixels, order = decode_picture(data, spec)
    if factor == 1:
        assert pixels.shape[:2] == (height, width)
    else:
        assert max(pixels.shape[:2]) < max(height, width)
        assert max(pixels.shape[:2]) >= 2 * 224
    full, _ = decode_picture(data)
    difference = fit_image(pixels, spec, order).astype(int) - fit_image(full, spec, order)
    assert np.abs(difference).mean() < 3


def test_a_grey_picture_is_one_channel_and_a_grey_jpeg_three():
    grey = smooth(20, 30)[..., 0]
    pixels, order = decode_picture(encoded(grey, '.png'))
    assert order == 'mono'
    np.testing.assert_array_equal(pixels, grey)
    assert decode_picture(encoded(grey))[0].shape == (20, 30, 3)


def test_of_sixteen_bits_the_upper_eight_are_kept():
    deep = smooth(20, 30).astype(np.uint16) * 257
    np.testing.assert_array_equal(decode_picture(encoded(deep, '.png'))[0], smooth(20, 30))


def test_what_is_transparent_is_laid_on_white():
    picture = np.dstack([smooth(20, 30), np.full((20, 30), 255, np.uint8)])
    picture[:10, :, 3] = 0
    pixels, order = decode_picture(encoded(picture, '.png'))
    assert order == 'bgr'
    assert np.all(pixels[:10] == 255)
    np.testing.assert_array_equal(pixels[10:], smooth(20, 30)[10:])


def test_a_photograph_is_turned_as_its_camera_says():
    data = encoded(smooth(20, 30))
    # An APP1 segment with one EXIF entry: orientation (0x0112) 6, a quarter turn clockwise.
    tiff = (b'II*\0\x08\0\0\0\x01\0' + bytes.fromhex('1201 0300 01000000 06000000') + b'\0' * 4)
    segment = b'Exif\0\0' + tiff
    turned = data[:2] + b'\xff\xe1' + (len(segment) + 2).to_bytes(2, 'big') + segment + data[2:]
    assert decode_picture(turned)[0].shape[:2] == (30, 20)


@pytest.mark.parametrize('kind', ['.jpg', '.png'])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.95, 0.999])
def test_a_picture_that_is_cut_off_is_refused_and_not_half_grey(kind, share):
    data = encoded(smooth(200, 300), kind)
    with pytest.raises(PictureError, match=r'cut off|cannot be|not a picture'):
        decode_picture(data[:int(len(data) * share)])


def test_a_progressive_jpeg_is_read_and_refused_when_cut_off():
    data = encoded(smooth(200, 300), '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert decode_picture(data)[0].shape == (200, 300, 3)
    with pytest.raises(PictureError, match='cut off'):
        decode_picture(data[:len(data) * 2 // 3])


@pytest.mark.parametrize(('data', 'words'), [
    (b'', r'empty \(0 bytes\)'),
    (b'no picture at all', 'not a picture OpenCV can decode, starting with 6e 6f'),
    (b'\xff\xd8', 'cut off'),
    (b'\xff\xd8\x00\x00\x00\x00\x00', 'damaged'),
])
def test_what_is_no_picture_is_refused_with_what_came(data, words):
    with pytest.raises(PictureError, match=words):
        decode_picture(data)


def test_floating_point_has_no_8_bit_meaning():
    with pytest.raises(PictureError, match='float32 have no 8-bit meaning'):
        decode_picture(encoded(np.full((4, 4, 3), 0.5, np.float32), '.tiff'))


def test_an_error_names_the_file(tmp_path):
    with pytest.raises(PictureError, match=r'gone\.jpg: cannot be read'):
        read_picture(tmp_path / 'gone.jpg')
    (tmp_path / 'bad.jpg').write_bytes(b'')
    with pytest.raises(PictureError, match=r'bad\.jpg: the picture is empty'):
        read_picture(tmp_path / 'bad.jpg')
