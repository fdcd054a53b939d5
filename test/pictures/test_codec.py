"""Picture files: decoded right, or refused with what was wrong."""

from io import BytesIO
from struct import pack
from zlib import compress
from zlib import crc32

import cv2
import numpy as np
from PIL import Image
import pytest
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.pictures.error import PictureError


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
    (447, 447, 1), (240, 320, 1), (448, 448, 2), (480, 640, 2), (895, 895, 2), (1080, 1920, 8),
    (1791, 1500, 4), (2160, 3840, 8), (200, 3840, 8)])
def test_a_jpeg_is_decoded_at_the_least_scale_that_fills_the_network(height, width, factor):
    spec = InputSpec(224, 224, 'letterbox')
    data = encoded(smooth(height, width))
    pixels, order = decode_picture(data, spec)
    assert pixels.shape == (-(-height // factor), -(-width // factor), 3)
    assert max(pixels.shape) >= 224
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


def pil_encoded(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def on_white(image):
    """Return what Pillow shows of a picture on a white page: (H, W, 3) BGR."""
    page = Image.new('RGBA', image.size, 'white')
    return np.asarray(Image.alpha_composite(page, image.convert('RGBA')).convert('RGB'))[..., ::-1]


def shown(data):
    pixels, order = decode_picture(data)
    return np.dstack([pixels] * 3) if order == 'mono' else pixels


RGB = Image.fromarray(smooth(40, 61)[..., ::-1].copy())
GREY = RGB.convert('L')
ALPHA = Image.fromarray(np.broadcast_to(np.arange(61, dtype=np.uint8) * 4, (40, 61)).copy())


def with_alpha(image):
    image = image.copy()
    image.putalpha(ALPHA)
    return image


PNGS = {'grey': (GREY, {}), 'grey and alpha': (with_alpha(GREY), {}), '1 bit': (
    GREY.convert('1'), {}), 'palette': (RGB.quantize(200), {}), '4-bit palette': (
    RGB.quantize(14), {}), 'palette with a hole': (RGB.quantize(200), {'transparency': 3}),
    'grey with a hole': (GREY, {'transparency': GREY.getpixel((6, 6))}),
    'colour with a hole': (RGB, {'transparency': RGB.getpixel((6, 6))}),
    'colour and alpha': (with_alpha(RGB), {})}


@pytest.mark.parametrize('name', PNGS)
def test_a_png_of_any_kind_looks_as_it_does_to_others(name):
    image, options = PNGS[name]
    data = pil_encoded(image, 'PNG', **options)
    expected = on_white(Image.open(BytesIO(data))).astype(int)
    assert np.abs(shown(data) - expected).max() <= 1


def png(depth, colour, rows, interlaced=0):
    """Write a PNG of 61 x 40 by hand, for no library at hand writes these kinds."""
    def chunk(name, body):
        return pack('>I', len(body)) + name + body + pack('>I', crc32(name + body))
    size = pack('>IIBBBBB', 61, 40, depth, colour, 0, 0, interlaced)
    body = compress(b''.join(b'\0' + row for row in rows))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', size) + chunk(b'IDAT', body)
            + chunk(b'IEND', b''))


def test_an_interlaced_png_is_read():
    rgb = np.asarray(RGB)
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
             (0, 1, 1, 2))
    rows = [row.tobytes() for x, y, dx, dy in steps for row in rgb[y::dy, x::dx]]
    np.testing.assert_array_equal(decode_picture(png(8, 2, rows, 1))[0], rgb[..., ::-1])


def test_sixteen_bits_and_alpha_are_read():
    deep = np.dstack([np.asarray(RGB), np.asarray(ALPHA)]).astype('>u2') * 257
    data = png(16, 6, [row.astype('>u2').tobytes() for row in deep])
    assert np.abs(shown(data) - on_white(with_alpha(RGB)).astype(int)).max() <= 1


@pytest.mark.parametrize(('image', 'options'), [
    (RGB.convert('CMYK'), {}), (RGB, {'progressive': True}), (RGB, {'subsampling': 0}),
    (GREY, {}), (RGB, {'keep_rgb': True})])
def test_a_jpeg_of_any_kind_looks_as_it_does_to_others(image, options):
    data = pil_encoded(image, 'JPEG', quality=95, **options)
    expected = np.asarray(Image.open(BytesIO(data)).convert('RGB'))[..., ::-1].astype(int)
    assert np.abs(shown(data) - expected).max() <= 2


# How a picture must be turned to stand upright, by its EXIF orientation.
UPRIGHT = {1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud,
           5: lambda p: p.swapaxes(0, 1), 6: lambda p: np.rot90(p, -1),
           7: lambda p: np.rot90(p, 2).swapaxes(0, 1), 8: np.rot90}


@pytest.mark.parametrize('orientation', UPRIGHT)
@pytest.mark.parametrize(('kind', 'options'), [
    ('JPEG', {'quality': 100, 'subsampling': 0}), ('PNG', {}), ('WEBP', {'lossless': True}),
    ('TIFF', {}), ('TIFF', {'compression': 'tiff_lzw'})])
def test_a_photograph_is_turned_as_its_camera_says(kind, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = RGB.resize((240, 160))
    data = pil_encoded(image, kind, exif=exif, **options)
    expected = UPRIGHT[orientation](np.asarray(image)[..., ::-1])
    pixels, order = decode_picture(data)
    assert (pixels.shape, order) == (expected.shape, 'bgr')
    assert np.abs(pixels.astype(int) - expected).mean() < 2
    # Also where a large JPEG is decoded at a fraction of its size.
    small, _ = decode_picture(data, InputSpec(16, 16, 'stretch'))
    assert small.shape[0] / small.shape[1] == pytest.approx(
        expected.shape[0] / expected.shape[1], rel=0.1)


@pytest.mark.parametrize('value', [0, 9, 65535])
def test_an_orientation_that_means_nothing_turns_nothing(value):
    exif = Image.Exif()
    exif[0x0112] = value
    data = pil_encoded(RGB, 'PNG', exif=exif)
    np.testing.assert_array_equal(decode_picture(data)[0], smooth(40, 61))


def test_exif_data_that_cannot_be_read_turn_nothing():
    whole = pil_encoded(RGB, 'JPEG', quality=100, exif=b'Exif\0\0II*\0' + b'\xff' * 9)
    assert decode_picture(whole)[0].shape == (40, 61, 3)


def segments(data):
    """Return where each segment of a JPEG begins, to the first scan."""
    starts = [2]
    while data[starts[-1] + 1] != 0xDA:
        here = starts[-1]
        starts.append(here + 2 + int.from_bytes(data[here + 2:here + 4], 'big'))
    return starts


@pytest.mark.parametrize('stray', [b'\0', b'\0\0\0', b'abc', b'\xff\xff\xff', b'\xff\0\x11',
                                   b'\xff\xd0'])
def test_stray_bytes_between_the_segments_of_a_jpeg_are_passed_over(stray, capfd):
    data = encoded(smooth(200, 300))
    for place in segments(data):
        found = decode_picture(data[:place] + stray + data[place:])[0]
        np.testing.assert_array_equal(found, decode_picture(data)[0])
        with pytest.raises(PictureError, match='cut off'):
            decode_picture((data[:place] + stray + data[place:])[:len(data) * 2 // 3])
    # Nor does the decoder write a line about each frame of such a camera.
    assert capfd.readouterr().err == ''


def test_bytes_after_the_end_of_a_picture_are_passed_over():
    for kind in ('.jpg', '.png'):
        data = encoded(smooth(20, 30), kind)
        np.testing.assert_array_equal(decode_picture(data + b'\0' * 100 + b'more')[0],
                                      decode_picture(data)[0])


def test_a_jpeg_that_ends_before_its_picture_is_damaged():
    with pytest.raises(PictureError, match='damaged: it ends at byte 2'):
        decode_picture(b'\xff\xd8\xff\xd9' + bytes(10))


@pytest.mark.parametrize('kind', ['.jpg', '.png'])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.95, 0.999])
def test_a_picture_that_is_cut_off_is_refused_and_not_half_grey(kind, share):
    data = encoded(smooth(200, 300), kind)
    with pytest.raises(PictureError, match=r'cut off|cannot be|not a picture'):
        decode_picture(data[:int(len(data) * share)])


@pytest.mark.parametrize('size', [(200, 300), (500, 640), (1080, 1920)])
@pytest.mark.parametrize('ending', [b'', b'\xff\xd9'])
def test_a_jpeg_whose_data_end_early_is_refused_at_every_scale(size, ending):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    data = encoded(cv2.GaussianBlur(noise, (0, 0), 1))
    spec = InputSpec(224, 224)
    assert min(decode_picture(data, spec)[0].shape[:2]) > 100
    for share in (0.3, 0.97):
        with pytest.raises(PictureError, match=r'cut off|damaged'):
            decode_picture(data[:int(len(data) * share)] + ending, spec)


@pytest.mark.parametrize('scans', [32, 33])
def test_the_scans_of_a_jpeg_are_counted_wherever_they_begin(scans):
    data = encoded(smooth(20, 30))
    # Another byte before each, so that their places are odd and even.
    more = b''.join(b'\xff\xda' + bytes(number) for number in range(scans - 1))
    with pytest.raises(PictureError) as refused:
        decode_picture(data[:-2] + more + data[-2:])
    assert ('33 scans' in str(refused.value)) == (scans == 33)


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
