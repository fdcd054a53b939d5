"""What Pillow decodes: palettes keep their colours, and what has no meaning is refused by name."""

from io import BytesIO
from struct import pack

import numpy as np
from PIL import Image
import pytest
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.error import PictureError

HEIGHT, WIDTH = 40, 61
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
# Bands of a few colours, so that a palette of any size can hold them.
INDEX = X // 16 + 4 * (Y // 10)
COLOURS = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)


def packed(index, bits):
    rows = []
    for row in index:
        text = ''.join(format(value, f'0{bits}b') for value in row)
        rows.append(int(text.ljust(-(-len(text) // 8) * 8, '0'), 2).to_bytes(
            -(-len(text) // 8), 'big'))
    return rows


def os2_bitmap(rows, bits, palette=b''):
    """Write a bitmap with the short header (BITMAPCOREHEADER), which Pillow does not write."""
    body = b''.join(row + bytes(-len(row) % 4) for row in reversed(rows))
    start = 14 + 12 + len(palette)
    return (b'BM' + pack('<IHHI', start + len(body), 0, 0, start)
            + pack('<IHHHH', 12, WIDTH, HEIGHT, 1, bits) + palette + body)


def tiff(rows, bits, photometric, samples=1, *, colormap=(), sample_format=1, order='<'):
    """Write an uncompressed TIFF in one strip."""
    data = b''.join(rows)
    tags = {256: (4, [WIDTH]), 257: (4, [HEIGHT]), 258: (3, [bits] * samples), 259: (3, [1]),
            262: (3, [photometric]), 273: (4, [8]), 277: (3, [samples]), 278: (4, [HEIGHT]),
            279: (4, [len(data)]), 320: (3, colormap), 339: (3, [sample_format] * samples)}
    tags = {tag: value for tag, value in tags.items() if value[1]}
    data += bytes(len(data) % 2)
    directory = 8 + len(data)
    entries, more = b'', b''
    for tag, (kind, values) in sorted(tags.items()):
        value = pack(f'{order}{len(values)}{"HI"[kind - 3]}', *values)
        if len(value) > 4:
            where = directory + 2 + 12 * len(tags) + 4 + len(more)
            more += value
            value = pack(f'{order}I', where)
        entries += pack(f'{order}HHI', tag, kind, len(values)) + value.ljust(4, b'\0')
    return ((b'II*\0' if order == '<' else b'MM\0*') + pack(f'{order}I', directory) + data
            + pack(f'{order}H', len(tags)) + entries + bytes(4) + more)


def bgr(data):
    pixels, order = decode_picture(data)
    assert order == 'bgr'
    return pixels


@pytest.mark.parametrize('bits', [1, 4, 8])
def test_the_palette_of_an_os2_bitmap_gives_its_colours(bits):
    index = INDEX % 2 ** bits
    data = os2_bitmap(packed(index, bits), bits, COLOURS[:2 ** bits, ::-1].tobytes())
    np.testing.assert_array_equal(bgr(data), COLOURS[index][..., ::-1])


def test_an_os2_bitmap_of_24_bits_is_read():
    pixels = COLOURS[INDEX]
    np.testing.assert_array_equal(
        bgr(os2_bitmap([row[:, ::-1].tobytes() for row in pixels], 24)), pixels[..., ::-1])


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('unit', [257, 1], ids=['16-bit palette', '8-bit palette'])
@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_the_palette_of_a_tiff_gives_its_colours(bits, unit, order):
    index = INDEX % 2 ** bits
    colormap = (COLOURS[:2 ** bits].T.astype(int) * unit).ravel().tolist()
    data = tiff(packed(index, bits), bits, 3, colormap=colormap, order=order)
    np.testing.assert_array_equal(bgr(data), COLOURS[index][..., ::-1])


@pytest.mark.parametrize('bits', [1, 2, 4, 8, 16])
@pytest.mark.parametrize('white_is_zero', [False, True])
def test_grey_of_any_depth_is_grey(bits, white_is_zero):
    levels = INDEX % 2 ** min(bits, 8) * (257 if bits == 16 else 1)
    rows = ([row.astype('<u2').tobytes() for row in levels] if bits == 16
            else packed(levels, bits))
    pixels, order = decode_picture(tiff(rows, bits, 0 if white_is_zero else 1))
    expected = levels * 255 // (2 ** bits - 1)
    assert order == 'mono'
    np.testing.assert_array_equal(pixels, 255 - expected if white_is_zero else expected)


@pytest.mark.parametrize(('dtype', 'sample_format', 'words'), [
    ('<f4', 3, 'float32'), ('<f8', 3, 'float64'), ('<i2', 2, 'int16'), ('i1', 2, 'int8'),
    ('<u4', 1, '32-bit integers')])
def test_levels_without_an_8_bit_meaning_are_refused_by_name(dtype, sample_format, words):
    rows = [row.astype(dtype).tobytes() for row in INDEX]
    data = tiff(rows, np.dtype(dtype).itemsize * 8, 1, sample_format=sample_format)
    with pytest.raises(PictureError, match=f'{words} have no 8-bit meaning') as caught:
        decode_picture(data)
    assert caught.value.reason == 'encoding'


@pytest.mark.parametrize(('kind', 'options'), [
    ('BMP', {}), ('GIF', {}), ('WEBP', {'lossless': True}), ('PPM', {}), ('TIFF', {}),
    ('TIFF', {'compression': 'tiff_lzw'}), ('TIFF', {'compression': 'tiff_adobe_deflate'}),
    ('TIFF', {'compression': 'packbits'})])
def test_what_is_whole_is_read_and_what_is_cut_off_is_refused(kind, options):
    image = Image.fromarray(COLOURS[INDEX])
    file = BytesIO()
    image.save(file, kind, **options)
    data = file.getvalue()
    np.testing.assert_array_equal(bgr(data), COLOURS[INDEX][..., ::-1])
    for share in (0.1, 0.5, 0.9, 0.98):
        with pytest.raises(PictureError) as caught:
            decode_picture(data[:int(len(data) * share)])
        assert caught.value.reason == 'corrupt'


def test_of_moving_pictures_the_first_is_read():
    first = Image.fromarray(COLOURS[INDEX])
    file = BytesIO()
    first.save(file, 'WEBP', lossless=True, save_all=True, append_images=[first.rotate(180)])
    np.testing.assert_array_equal(bgr(file.getvalue()), COLOURS[INDEX][..., ::-1])


def test_a_kind_without_a_decoder_is_refused_by_its_name(monkeypatch):
    Image.init()
    monkeypatch.delitem(Image.OPEN, 'JPEG2000', raising=False)
    with pytest.raises(PictureError, match='JPEG2000 is not read by Pillow') as caught:
        decode_picture(b'\0\0\0\x0cjP  ' + bytes(100))
    assert caught.value.reason == 'encoding'


def test_bytes_that_only_begin_as_a_program_would_never_reach_another_decoder():
    """Pillow runs Ghostscript on PostScript: no frame may make it do so."""
    with pytest.raises(PictureError, match='not a picture'):
        decode_picture(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n')
