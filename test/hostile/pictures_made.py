"""Pictures that are bombs, cut off or odd, made by a few lines each, and good ones."""

from io import BytesIO
import re
from struct import pack
from zlib import compress
from zlib import compressobj
from zlib import crc32
from zlib import decompress
from zlib import Z_FULL_FLUSH

import cv2
import numpy as np
from PIL import Image


def photograph(height=120, width=160):
    """Return (H, W, 3) uint8 BGR that compresses as a photograph does."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 12, (height, width, 3))
    smooth = np.dstack([40 + x * 90 // width, 120 + y * 90 // height, 60 + (x + y) % 64])
    return (smooth + noise).astype(np.uint8)


PICTURE = photograph()


def encoded(kind, *flags, pixels=PICTURE):
    return cv2.imencode(f'.{kind}', pixels, list(flags))[1].tobytes()


JPEG = encoded('jpg')
RESTARTS = encoded('jpg', cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
PROGRESSIVE = encoded('jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
PNG = encoded('png')
LOSSLESS = encoded('webp', cv2.IMWRITE_WEBP_QUALITY, 101)
LOSSY = encoded('webp', cv2.IMWRITE_WEBP_QUALITY, 80)
TIFF = encoded('tiff')
GOOD = {'jpeg': JPEG, 'restarts': RESTARTS, 'progressive': PROGRESSIVE, 'png': PNG,
        'lossless webp': LOSSLESS, 'webp': LOSSY, 'tiff': TIFF}


def sized_jpeg(height, width, data=JPEG):
    """Let a JPEG claim another size."""
    place = data.index(b'\xff\xc0') + 5
    return data[:place] + pack('>HH', height, width) + data[place + 4:]


def many_scans(count):
    """Repeat the last scan of a progressive JPEG."""
    begin, end = PROGRESSIVE.rindex(b'\xff\xda'), PROGRESSIVE.rindex(b'\xff\xd9')
    return PROGRESSIVE[:end] + PROGRESSIVE[begin:end] * count + b'\xff\xd9'


def padded(places=(2, 5), short=None, gone=slice(0), swapped=()):
    """Put bytes behind stretches between restart markers; harm other stretches."""
    start = RESTARTS.index(b'\xff\xda') + 14
    stretches = re.split(rb'(?=\xff[\xd0-\xd7])', RESTARTS[start:-2])
    if short is not None:
        stretches[short] = stretches[short][:len(stretches[short]) // 2]
    for place in places:
        stretches[place] += b'\x12\x34'
    if swapped:
        a, b = swapped
        stretches[a], stretches[b] = stretches[b], stretches[a]
    del stretches[gone]
    return RESTARTS[:start] + b''.join(stretches) + b'\xff\xd9'


def padded_scans():
    """Put bytes behind the first scan of a progressive JPEG, and cut its last one."""
    first, last = (find(b'\xff\xc4', PROGRESSIVE.index(b'\xff\xda')) for find in (
        PROGRESSIVE.find, PROGRESSIVE.rfind))
    assert first < last
    return (PROGRESSIVE[:first] + b'\0\0' + PROGRESSIVE[first:(last + len(PROGRESSIVE)) // 2]
            + b'\xff\xd9')


def two_sizes():
    begin = JPEG.index(b'\xff\xc0')
    return sized_jpeg(60000, 60000)[:begin + 19] + JPEG[begin:]


def chunk(name, body):
    return pack('>I', len(body)) + name + body + pack('>I', crc32(name + body))


def png(height, width, pixels, *more, depth=8, colour=2):
    size = pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
    return b''.join((b'\x89PNG\r\n\x1a\n', chunk(b'IHDR', size), *(chunk(*c) for c in more),
                     chunk(b'IDAT', pixels), chunk(b'IEND', b'')))


PIXELS = compress(b''.join(b'\0' + row.tobytes() for row in PICTURE[..., ::-1]))
SMALL = compress(bytes(10_000))


def with_chunks(*more):
    """Put chunks that no pixel needs into a good PNG."""
    return png(*PICTURE.shape[:2], PIXELS, *more)


def inflating(megabytes):
    return compress(bytes(megabytes * 1_000_000), 9)


def endless(pixels):
    """Go on with 2 GB of zeros after the pixels: the same block again and again."""
    pump = compressobj(9)
    start = pump.compress(decompress(pixels)) + pump.flush(Z_FULL_FLUSH)
    block = pump.compress(bytes(1_000_000)) + pump.flush(Z_FULL_FLUSH)
    return start + 2000 * block


def tiff(tags, data=b''):
    """Write a TIFF with these tags: (tag, kind, count, value or offset)."""
    entries = b''.join(pack('<HHII', *tag) for tag in sorted(tags))
    return (b'II*\0' + pack('<IH', 8, len(tags)) + entries + bytes(4) + data)


def sized_tiff(height, width, *more):
    return tiff([(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1),
                 (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height),
                 (279, 4, 1, 64), *more], bytes(100))


def aliased_directory(entries):
    """Point every entry of a directory to the same bytes."""
    return tiff([(40000 + i, 4, 200_000, 8) for i in range(entries)], bytes(800_000))


def webp(name, body):
    padded = name + pack('<I', len(body)) + body + bytes(len(body) % 2)
    return b'RIFF' + pack('<I', 4 + len(padded)) + b'WEBP' + padded


def sized_webp(side):
    return webp(b'VP8L', b'\x2f' + pack('<I', side - 1 | side - 1 << 14) + bytes(30))


def moving_webp():
    file, first = BytesIO(), Image.fromarray(PICTURE)
    first.save(file, 'WEBP', save_all=True, append_images=[first.rotate(180)])
    return file.getvalue()


def saved(kind):
    file = BytesIO()
    Image.fromarray(PICTURE).save(file, kind)
    return file.getvalue()


GIF = (b'GIF89a' + pack('<HH', 32000, 32000) + b'\xf0\0\0' + bytes(6) + b','
       + pack('<HHHH', 0, 0, 1, 1) + b'\0\x02\x02D\x01\0;')
# Bytes, and why they are refused; '' if they are answered.
BOMBS = {
    'gif 32000': (GIF, 'encoding'),
    'small gif': (saved('GIF'), 'encoding'),
    'bmp': (saved('BMP'), 'encoding'),
    'bmp 30000': (b'BM' + pack('<IHHIIiiHHIIiiII', 100, 0, 0, 54, 40, 30000, 30000, 1, 24, 0, 0,
                               0, 0, 0, 0) + bytes(50), 'encoding'),
    'ppm': (b'P6 30000 30000 255\n' + bytes(50), 'encoding'),
    'plain ppm': (b'P3 9000 9000 255\n' + b'1 ' * 50, 'encoding'),
    'sun': (pack('>8I', 0x59a66a95, 60000, 60000, 24, 0, 1, 0, 0), 'encoding'),
    'avif': (b'\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf' + bytes(50), 'encoding'),
    'heic': (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(50), 'encoding'),
    'jpeg 2000': (b'\0\0\0\x0cjP  \r\n\x87\n' + bytes(50), 'encoding'),
    'jpeg 60000': (sized_jpeg(60000, 60000), 'too_large'),
    'jpeg 4000 x 3000 in little': (sized_jpeg(3000, 4000), 'corrupt'),
    'jpeg of no size': (sized_jpeg(0, 160), 'corrupt'),
    'jpeg of two sizes': (two_sizes(), 'corrupt'),
    'jpeg of 1,000 scans': (many_scans(1000), 'too_large'),
    'jpeg of fill bytes': (b'\xff\xd8' + b'\xff' * 5_000_000 + JPEG[2:], ''),
    'jpeg of segments': (b'\xff\xd8' + b'\xff\xfe\0\2' * 200_000 + JPEG[2:], 'too_large'),
    'jpeg of stray bytes': (b'\xff\xd8' + b'\xff\0' * 2_000_000 + JPEG[2:], ''),
    'jpeg padded as webcams do': (JPEG[:-2] + b'\0\0\xff\xd9', ''),
    'jpeg padded before restarts': (padded(), ''),
    'jpeg padded, a stretch cut': (padded(short=12), 'corrupt'),
    'jpeg padded, the last stretch cut': (padded(short=19), 'corrupt'),
    'jpeg padded, stretches missing': (padded(gone=slice(8, 12)), 'corrupt'),
    'jpeg padded, as many missing as there are numbers': (padded(gone=slice(8, 16)), 'corrupt'),
    'jpeg padded at its end, as many missing as there are numbers': (
        padded(gone=slice(8, 16), places=[-1]), 'corrupt'),
    'jpeg padded, stretches in another order': (padded(swapped=(9, 11)), 'corrupt'),
    'jpeg padded, the rest missing': (padded(gone=slice(10, None)), 'corrupt'),
    'progressive jpeg padded': (PROGRESSIVE[:-2] + b'\0\0\xff\xd9', ''),
    'progressive jpeg padded, cut': (padded_scans(), 'corrupt'),
    'png 60000': (png(60000, 60000, SMALL), 'too_large'),
    'png of 2^32': (png(2**32 - 1, 2**32 - 1, SMALL), 'too_large'),
    'png of no size': (png(0, 100, SMALL), 'corrupt'),
    'png rgba16': (png(7000, 7000, SMALL, depth=16, colour=6), 'too_large'),
    'png in little': (png(6000, 6000, SMALL), 'corrupt'),
    'tall png': (png(1_000_000, 2, compress(bytes(7_000_000))), ''),
    'png with texts': (with_chunks(*[
        (b'zTXt', b'a\0\0' + inflating(7))] * 300), ''),
    'png with a profile': (with_chunks((b'iCCP', b'a\0\0' + inflating(200))), ''),
    'png with international texts': (with_chunks(*[
        (b'iTXt', b'a\0\1\0\0\0' + inflating(7))] * 300), ''),
    'png with exif': (with_chunks((b'eXIf', aliased_directory(25_000))), ''),
    'png of chunks': (with_chunks(*[(b'teXt', b'')] * 200_000), 'too_large'),
    'png of two sizes': (with_chunks((b'IHDR', pack('>IIBBBBB', 9999, 9999, 8, 2, 0, 0, 0))),
                         'corrupt'),
    'png whose pixels go on': (png(*PICTURE.shape[:2], endless(PIXELS)), 'too_large'),
    'tiff 60000': (sized_tiff(60000, 60000), 'too_large'),
    'tiff of tiles': (sized_tiff(64, 64, (322, 4, 1, 60000), (323, 4, 1, 60000), (324, 4, 1, 8),
                                 (325, 4, 1, 64)), 'too_large'),
    'tiff of samples': (sized_tiff(6000, 6000, (277, 3, 1, 60000)), 'too_large'),
    'tiff of strips': (tiff([(256, 4, 1, 8), (257, 4, 1, 8), (273, 4, 100_000, 0),
                             (279, 4, 100_000, 0)], bytes(500_000)), 'too_large'),
    'tiff of entries': (aliased_directory(25_000), 'corrupt'),
    'tiff in little': (sized_tiff(6000, 6000), 'corrupt'),
    'tiff with jpeg': (sized_tiff(64, 64, (259, 3, 1, 7)), 'encoding'),
    'webp 16383': (sized_webp(16383), 'too_large'),
    'webp in little': (sized_webp(6000), 'corrupt'),
    'webp of a canvas': (webp(b'VP8X', bytes(4) + b'\xff\xff\xff\xff\xff\xff'), 'too_large'),
    'moving webp': (moving_webp(), 'encoding'),
}


def cut(kind, share):
    """Cut the pixels' data, and mend all lengths and ends around it."""
    data = GOOD[kind]
    if kind in ('jpeg', 'restarts', 'progressive'):
        start = data.index(b'\xff\xda')
        return data[:start + int((len(data) - start) * share)] + b'\xff\xd9'
    if kind == 'png':
        return png(*PICTURE.shape[:2], PIXELS[:int(len(PIXELS) * share)])
    if kind.endswith('webp'):
        body = data[20:20 + int.from_bytes(data[16:20], 'little')]
        return webp(data[12:16], body[:int(len(body) * share)])
    return data[:int(len(data) * share)]
