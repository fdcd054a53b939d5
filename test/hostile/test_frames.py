"""Frames as bombs: refused by their header, never answered on grey, and nothing grows or ends."""

from collections import Counter
import json
import os
from pathlib import Path
import random
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
from pictures_made import BOMBS
from pictures_made import cut
from pictures_made import GOOD
from pictures_made import JPEG
from pictures_made import PICTURE
import pytest
from recognizing import recognized
from tool_recognizer.assembly import make_engine
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.stamps import StampWatch
from tool_recognizer.core.view import look
from tool_recognizer.core.view import WHOLE
from tool_recognizer.messages import from_ros
from tool_recognizer.messages.from_ros import BadFrame
from tool_recognizer.parameter_file import defaults
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.error import PictureError

SPEC = InputSpec(64, 64)
REASONS = {'empty', 'encoding', 'step', 'size', 'corrupt', 'too_large', 'frame_id'}
NUMBER = int(os.environ.get('TOOL_RECOGNIZER_FUZZ', '300'))


def compressed(data, stamp=1, form='', frame_id='camera'):
    return SimpleNamespace(data=data, format=form, header=SimpleNamespace(
        stamp=SimpleNamespace(sec=stamp, nanosec=0), frame_id=frame_id))


def raw(pixels=PICTURE, encoding='bgr8', stamp=1, **changes):
    message = compressed(pixels.tobytes(), stamp)
    del message.format
    message.__dict__.update(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                            step=pixels[0].nbytes, is_bigendian=0, **changes)
    return message


def told(message, **options):
    """Return why a frame is refused, and in which words; two times '' if it is answered."""
    try:
        from_ros.frame(message, SPEC, **options)
    except BadFrame as error:
        return error.reason, str(error)
    return '', ''


def refused(message, **options):
    reason, words = told(message, **options)
    assert len(words) < 1000
    return reason


@pytest.mark.parametrize('name', BOMBS)
def test_a_bomb_is_refused_by_its_reason_and_what_is_odd_but_whole_is_answered(name):
    data, reason = BOMBS[name]
    assert refused(compressed(data)) == reason


@pytest.mark.parametrize('share', [0.02, 0.3, 0.7, 0.95])
@pytest.mark.parametrize('kind', GOOD)
def test_a_picture_whose_data_end_early_is_corrupt_though_its_end_is_there(kind, share):
    assert refused(compressed(cut(kind, share))) == 'corrupt'
    assert refused(compressed(GOOD[kind])) == ''


@pytest.mark.parametrize('name', ['png with texts', 'png with a profile', 'png with exif',
                                  'jpeg of fill bytes', 'jpeg padded as webcams do',
                                  'jpeg padded before restarts'])
def test_what_is_stuffed_has_the_pixels_of_what_is_not(name):
    plain = JPEG if 'jpeg' in name else GOOD['png']
    np.testing.assert_array_equal(decode_picture(BOMBS[name][0])[0], decode_picture(plain)[0])


def test_a_limit_counts_pixels_bytes_of_the_picture_and_bytes_of_the_message():
    pixels = np.zeros((100, 100, 3), np.uint8)
    whole, more = (cv2.imencode('.png', p)[1].tobytes() for p in (pixels, pixels[:, :99]))
    assert refused(compressed(whole), max_pixels=10_000) == ''
    assert refused(compressed(whole), max_pixels=9_999) == 'too_large'
    assert refused(compressed(more), max_pixels=9_999) == ''
    deep = cv2.imencode('.png', np.zeros((100, 100, 3), np.uint16))[1].tobytes()
    assert refused(compressed(deep), max_pixels=10_000) == 'too_large'
    assert refused(compressed(deep), max_pixels=15_000) == ''
    assert refused(compressed(whole + bytes(2_000_000)), max_pixels=10_000) == 'too_large'
    assert refused(raw(), max_pixels=PICTURE[..., 0].size - 1) == 'too_large'
    assert refused(raw(), max_pixels=PICTURE[..., 0].size) == ''
    with pytest.raises(BadFrame, match=r'PNG claims 100 x 100 pixels.*camera\.max_pixels is 9999'):
        from_ros.frame(compressed(whole), SPEC, 9_999)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'height': 2**32 - 1, 'width': 2**32 - 1}, 'too_large'),
    ({'height': 2**32 - 1, 'width': 1, 'step': 0}, 'too_large'),
    ({'height': 1, 'width': 49_000_000, 'step': 2**32 - 1}, 'size'),
    ({'step': 0}, 'step'), ({'step': 2**32 - 1}, 'size'), ({'height': 121}, 'size'),
    ({'encoding': '8UC200'}, 'encoding'), ({'encoding': '64FC4'}, 'encoding'),
    ({'encoding': '8UC200', 'height': 10_000}, 'size'), ({'encoding': ''}, 'encoding'),
    ({'encoding': 'x' * 1_000_000}, 'encoding'), ({'encoding': '8UC0'}, 'encoding')])
def test_a_raw_frame_is_held_against_its_data_before_anything_is_made_of_it(changes, reason):
    message = raw()
    message.__dict__.update(changes)
    assert refused(message) == reason


def test_a_frame_id_that_is_no_name_is_refused():
    assert refused(compressed(JPEG, frame_id='c' * 256)) == ''
    assert refused(compressed(JPEG, frame_id='c' * 257)) == 'frame_id'


def test_folders_read_more_kinds_within_the_same_limit():
    assert decode_picture(BOMBS['small gif'][0])[0].shape == PICTURE.shape
    for name in ('gif 32000', 'bmp 30000', 'ppm'):
        with pytest.raises(PictureError) as caught:
            decode_picture(BOMBS[name][0])
        assert caught.value.reason == 'too_large', name


@pytest.fixture
def engine(write_model):
    return make_engine({**defaults(), 'model_path': str(write_model())}, 0)


def answered(engine, message, moment):
    seen = recognized(engine, look(from_ros.frame(message, engine.model.input), WHOLE))
    return engine.answer(seen, Rules(), moment).prediction


def mutated(data, chance):
    """Flip bits, set numbers to extremes, cut, repeat and insert."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(min(len(data), chance.choice((40, 700, 10**9))) or 1)
        size = chance.choice((1, 2, 4))
        match chance.randrange(5):
            case 0 if data:
                data[min(place, len(data) - 1)] ^= 1 << chance.randrange(8)
            case 1:
                data[place:place + size] = chance.choice((b'\0', b'\xff', b'\x7f')) * size
            case 2:
                del data[place:place + chance.choice((1, 10, 10**9))]
            case 3:
                data[place:place] = data[place:place + chance.choice((2, 100, 10_000))]
            case 4:
                data[place:place] = chance.randbytes(size)
    return bytes(data)


def hostile(chance, stamp):
    """Return a frame that may be anything."""
    if chance.random() < 0.3:
        message = raw(stamp=stamp)
        for name in chance.sample(('height', 'width', 'step'), chance.randrange(1, 4)):
            setattr(message, name, chance.choice((0, 1, 7, 119, 120, 160, 480, 2**31, 2**32 - 1)))
        message.encoding = chance.choice((*from_ros._LAYOUTS, 'nv21', 'nv24', '8UC200', '64FC4',
                                          '16UC1', '32FC3', '', 'bgr8'))
        return message
    form = chance.choice(('', 'jpeg', 'png', 'bayer_rggb8; png compressed ', 'rgb8; tiff '
                          'compressed ', '16UC1; png compressed ', 'h264', '\ud800'))
    return compressed(mutated(chance.choice([*GOOD.values()]), chance), stamp, form,
                      chance.choice(('camera', '', 'x' * chance.choice((10, 10_000)))))


def test_mutated_frames_are_refused_by_a_known_reason_and_good_ones_are_answered_as_ever(engine):
    chance = random.Random(7)
    right = {kind: answered(engine, compressed(data, stamp), 0).log_probabilities
             for stamp, (kind, data) in enumerate(GOOD.items(), 1)}
    reasons = Counter()
    for number in range(NUMBER):
        message = hostile(chance, 100 + number)
        try:
            answered(engine, message, number)
            reasons[''] += 1
        except BadFrame as error:
            reasons[error.reason] += 1
        if number % 10 == 0:
            kind = chance.choice([*GOOD])
            seen = answered(engine, compressed(GOOD[kind], 10**6 + number), number)
            np.testing.assert_array_equal(seen.log_probabilities, right[kind])
    assert reasons.total() == NUMBER
    assert {'', 'corrupt', 'encoding', 'size'} <= {*reasons} <= {'', *REASONS}


def watching(confirmed):
    """Return a monitor with frames of one camera confirmed, on seconds."""
    monitor = Monitor(('a', 'b'), DriftDetector(2))
    for second in range(confirmed):
        expect(monitor, second)
        monitor.confirm(Confirmation(FrameKey(second, 'camera'), {'a': 1.0}))
    return monitor


def expect(monitor, stamp, frame_id='camera'):
    monitor.expect(Prediction(FrameKey(stamp, frame_id), ('a', 'b'), np.log([0.5, 0.5]),
                              NO_FEATURES, ''))


def steps(monitor, stamp):
    """Count the lines that are run for a frame."""
    count = 0

    def trace(*_):
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        expect(monitor, stamp)
    finally:
        sys.settrace(None)
    return count


def test_a_stamp_that_goes_back_costs_no_look_at_all_that_is_confirmed():
    few, many = watching(10), watching(3000)
    assert steps(few, 9) < 1.5 * steps(few, 10)
    assert steps(many, 2999) < 1.5 * steps(few, 9)
    # What it repeats is new again, and nothing else is.
    assert [few.confirm(Confirmation(FrameKey(stamp, 'camera'), {'a': 1.0}))
            for stamp in (8, 9)] == [Outcome.DUPLICATE, Outcome.SCORED]


def test_frame_ids_that_never_repeat_leave_nothing_behind_and_a_camera_between_them_stays():
    monitor, watch = watching(0), StampWatch()
    monitor._pending.capacity = 10
    for number in range(1000):
        expect(monitor, number)
        expect(monitor, number, f'camera {number}')
        watch.look(FrameKey(number, 'camera'))
        watch.look(FrameKey(number, f'camera {number}'))
    assert len(json.dumps(monitor.to_state()['newest'])) < 4000
    assert watch.look(FrameKey(998, 'camera')) == 'back'
    expect(monitor, 999)
    assert monitor.confirm(Confirmation(FrameKey(999, 'camera'), {'a': 1.0})) is (
        Outcome.AMBIGUOUS)


CHILD = """
import json, resource
from collections import Counter
from pathlib import Path
from pictures_made import BOMBS, GOOD
from test_frames import answered, compressed, engine_of
from tool_recognizer.messages.from_ros import BadFrame
engine = engine_of()
for data in GOOD.values():
    answered(engine, compressed(data), 0)
used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 10**9, used + 10**9))
counts, stamp = Counter(), 10
for turn in range(5):
    for data, _ in [*BOMBS.values(), *((data, '') for data in GOOD.values())]:
        stamp += 1
        try:
            answered(engine, compressed(data, stamp), stamp)
            counts[''] += 1
        except BadFrame as error:
            counts[error.reason] += 1
print(json.dumps(counts))
"""


def engine_of():
    return make_engine(defaults(), 0)


def test_with_a_gigabyte_to_spare_a_process_lives_through_hundreds_and_counts_each():
    done = subprocess.run([sys.executable, '-c', CHILD], capture_output=True, text=True,
                          check=False, cwd=Path(__file__).parent,
                          env={**os.environ, 'PYTHONPATH': os.pathsep.join(
                              [str(Path(__file__).parents[1] / 'event_log'),
                               os.environ.get('PYTHONPATH', '')])})
    assert done.returncode == 0, done.stderr
    expected = Counter(reason for _, reason in BOMBS.values())
    expected[''] += len(GOOD)
    assert json.loads(done.stdout.splitlines()[-1]) == {
        reason: 5 * n for reason, n in expected.items()}
