"""HEIC and AVIF: decoded upright where there is what reads them, else refused with the cure."""

from io import BytesIO
import sys

import numpy as np
from PIL import Image
import pytest
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.pictures.header import kind_of
from tool_recognizer.pictures.heif import missing


def rgb(height=200, width=300):
    y, x = np.mgrid[0:height, 0:width]
    return np.dstack([x * 255 // width, y * 255 // height, (x + y) // 4]).astype(np.uint8)


def encoded(kind, pixels, orientation=1):
    """Encode RGB, RGBA or grey pixels; EXIF data and the file itself say how to turn them."""
    if missing(kind.upper()):
        pytest.skip(f'{missing(kind.upper())}, to read and write {kind.upper()}')
    picture, buffer, exif = Image.fromarray(pixels), BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    if kind == 'avif':
        picture.save(buffer, 'AVIF', quality=95, exif=exif)
    else:
        import pillow_heif
        pillow_heif.from_pillow(picture).save(buffer, quality=95, exif=exif.tobytes())
    return buffer.getvalue()


# What a viewer shows of pixels that are stored with an EXIF orientation.
UPRIGHT = {1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1],
           4: lambda p: p[::-1], 5: lambda p: p.swapaxes(0, 1),
           6: lambda p: np.rot90(p, -1), 7: lambda p: np.rot90(p.swapaxes(0, 1), 2),
           8: lambda p: np.rot90(p)}


@pytest.mark.parametrize('orientation', UPRIGHT)
@pytest.mark.parametrize('kind', ['heic', 'avif'])
def test_a_photograph_is_turned_once(kind, orientation):
    pixels, order = decode_picture(encoded(kind, rgb(), orientation))
    expected = UPRIGHT[orientation](rgb())[..., ::-1]
    assert order == 'bgr'
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 2


@pytest.mark.parametrize('kind', ['heic', 'avif'])
def test_what_is_transparent_is_laid_on_white(kind):
    picture = np.dstack([rgb(), np.full((200, 300), 255, np.uint8)])
    picture[:100, :, 3] = 0
    pixels, order = decode_picture(encoded(kind, picture))
    assert order == 'bgr'
    assert pixels[:90].min() > 250
    assert np.abs(pixels[110:].astype(int) - rgb()[110:, :, ::-1]).mean() < 3


@pytest.mark.parametrize('kind', ['heic', 'avif'])
@pytest.mark.parametrize('share', [0.02, 0.1, 0.5, 0.95, 0.999])
def test_a_picture_that_is_cut_off_is_refused(kind, share):
    data = encoded(kind, rgb())
    with pytest.raises(PictureError, match='damaged'):
        decode_picture(data[:int(len(data) * share)])


@pytest.mark.parametrize(('head', 'kind'), [
    (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'HEIC'),
    (b'\0\0\0\x18ftypheix\0\0\0\0mif1heix', 'HEIC'),
    (b'\0\0\0\x18ftypmif1\0\0\0\0mif1heic', 'HEIC'),
    (b'\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf', 'AVIF'),
    (b'\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf', 'AVIF'),
    (b'\0\0\0\x14ftypqt  \0\0\0\0qt  ', None),
    (b'\0\0\0\x18ftypmp42\0\0\0\0mp42isom', None),
    (b'\xff\xd8\xff\xe0', 'JPEG'), (b'', None)])
def test_a_kind_is_known_by_its_brands(head, kind):
    assert kind_of(head) == kind


def test_without_what_reads_it_a_picture_is_refused_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    Image.init()
    monkeypatch.delitem(Image.OPEN, 'AVIF', raising=False)
    for kind, cure in (('HEIC', 'pillow-heif'), ('AVIF', '"pillow>=11.3"')):
        with pytest.raises(PictureError, match=f'^{kind} is not read here: pip install {cure}$'
                           ) as refused:
            decode_picture(b'\0\0\0\x10ftyp' + kind.lower().encode() + bytes(4))
        assert refused.value.reason == 'encoding'
