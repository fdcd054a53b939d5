"""Every source of frames, with files that the tests write."""

from itertools import islice
import os

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer
from rosbags.typesys import get_typestore
from rosbags.typesys import Stores
from tool_recognizer.bags import to_bag
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.ros.sources import count_pictures
from tool_recognizer.ros.sources import open_source
from tool_recognizer.ros.sources import SourceError

START = 1_790_000_000_000_000_000
STORE = get_typestore(Stores.ROS2_JAZZY)


def opened(path, lines=None, **options):
    return open_source(str(path), tell=(lines if lines is not None else []).append, **options)


def write_picture(path, value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((12, 16, 3), value, np.uint8))


def test_a_folder_shows_every_picture_once_with_its_folders_name(tmp_path):
    for number in range(8):
        write_picture(tmp_path / 'wrench' / f'{number}.png', number)
    for number in range(4):
        write_picture(tmp_path / 'hammer' / f'{number}.jpg', 100 + number)
    write_picture(tmp_path / 'loose.png', 200)
    (tmp_path / 'wrench' / 'notes.txt').write_text('not a picture')
    assert count_pictures(str(tmp_path)) == 13
    assert count_pictures('line') == 0
    shots = list(opened(tmp_path).shots())
    labels = [shot.label for shot in shots]
    assert sorted(map(str, labels)) == ['None'] + ['hammer'] * 4 + ['wrench'] * 8
    # In any stretch there is some of each.
    assert {'hammer', 'wrench'} <= set(labels[:6])
    assert {'hammer', 'wrench'} <= set(labels[6:])
    assert sorted(int(s.pixels[0, 0, 0]) for s in shots if s.label == 'wrench') == list(range(8))


def test_the_order_depends_on_the_seed_alone(tmp_path):
    for number in range(20):
        write_picture(tmp_path / 'wrench' / f'{number}.png', number)

    def order(seed):
        return [int(shot.pixels[0, 0, 0]) for shot in opened(tmp_path, seed=seed).shots()]
    assert order(0) == order(0)
    assert order(0) != order(1)


def test_a_damaged_picture_is_reported_and_skipped(tmp_path):
    write_picture(tmp_path / 'wrench' / 'good.png')
    (tmp_path / 'wrench' / 'bad.jpg').write_bytes(b'\xff\xd8 nothing')
    lines = []
    assert len(list(opened(tmp_path, lines).shots())) == 1
    assert len(lines) == 1
    assert 'bad.jpg: skipped' in lines[0]


def test_one_picture_is_a_source(tmp_path):
    write_picture(tmp_path / 'one.png', 7)
    [shot] = opened(tmp_path / 'one.png').shots()
    assert shot.pixels[0, 0, 0] == 7
    assert shot.label is None
    assert shot.encoded == (tmp_path / 'one.png').read_bytes()


def test_a_video_is_shown_at_its_own_pace(tmp_path):
    path = tmp_path / 'video.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 25.0, (64, 48))
    for value in (30, 90, 150):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    shots = list(opened(path).shots())
    assert [round(float(shot.pixels.mean()), -1) for shot in shots] == [30, 90, 150]
    assert {shot.pause for shot in shots} == {1 / 25}


@pytest.mark.parametrize('name', ['line', 'bench'])
def test_what_is_drawn_shows_tools_and_gaps_and_can_be_dimmed(name):
    line = opened(name)
    shots = list(islice(line.shots(), 120))
    assert {'hammer', 'screwdriver', 'wrench', ''} == {shot.label for shot in shots}
    line.light = 0.3
    dim = next(line.shots()).pixels
    assert dim.mean() < 0.5 * shots[0].pixels.mean()


def write_bag(path, topics=('/image_raw',), compressed=False, plugin=StoragePlugin.MCAP):
    types = STORE.types
    kind = 'sensor_msgs/msg/CompressedImage' if compressed else 'sensor_msgs/msg/Image'
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        for topic in topics:
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for number in range(3):
                head = types['std_msgs/msg/Header'](
                    types['builtin_interfaces/msg/Time'](100 + number, 7), 'bench')
                pixels = np.full((6, 8, 3), 40 * number, np.uint8)
                if compressed:
                    data = cv2.imencode('.png', pixels)[1].ravel()
                    message = types[kind](head, 'png', data)
                else:
                    message = types[kind](head, 6, 8, 'rgb8', 0, 24, pixels.ravel())
                writer.write(connection, 5_000_000_000 + number * 250_000_000,
                             STORE.serialize_cdr(message, kind))
    return path


@pytest.mark.parametrize('plugin', list(StoragePlugin))
@pytest.mark.parametrize('compressed', [False, True])
def test_a_bag_is_shown_with_its_stamps_and_pace(tmp_path, plugin, compressed):
    shots = list(opened(write_bag(tmp_path / 'bag', compressed=compressed, plugin=plugin)).shots())
    assert [shot.pixels[0, 0, 0] for shot in shots] == [0, 40, 80]
    assert [shot.key.stamp for shot in shots] == [
        (100 + number) * 1_000_000_000 + 7 for number in range(3)]
    assert [shot.pause for shot in shots] == [0.0, 0.25, 0.25]
    assert (shots[0].encoded is not None) == compressed


def test_a_bag_with_several_cameras_asks_which(tmp_path):
    bag = write_bag(tmp_path / 'bag', topics=('/left', '/right'))
    with pytest.raises(SourceError, match='2 image topics, name one with the parameter bag_topic: '
                                          '/left, /right'):
        opened(bag)
    assert len(list(opened(bag, topic='/right').shots())) == 3
    with pytest.raises(SourceError, match="no topic '/up'; image topics: /left, /right"):
        opened(bag, topic='/up')


def test_a_camera_that_was_recorded_raw_and_compressed_is_one_camera(tmp_path, line_bag):
    key = FrameKey(START, 'bench')
    picture = to_bag.jpeg(key, cv2.imencode('.jpg', np.zeros((6, 8, 3), np.uint8))[1].tobytes())
    bag = line_bag(frames=3, extra=[
        ('/image_raw/compressed', START, picture),
        ('/tool_recognizer/annotated/compressed', START, picture),
        ('/tool_recognizer/inspection_request/compressed', START, picture)])
    assert [shot.encoded for shot in opened(bag).shots()] == [None] * 3
    [compressed] = opened(bag, transport='compressed').shots()
    assert compressed.encoded == picture.data.tobytes()


def test_what_a_bag_has_of_a_photo_eye_is_shown_whatever_its_name(tmp_path, line_bag):
    eyes = [(f'/{name}/object_present', START + 100 * number, to_bag.truth(True))
            for number, name in enumerate(('left', 'right'), 1)]
    bag = line_bag('one', frames=3, extra=[eyes[0], ('/eye', START, to_bag.truth(True))])

    def topics(bag, **options):
        return [shot.topic for shot in opened(bag, **options).shots() if hasattr(shot, 'topic')]
    assert topics(bag) == ['object_present']
    assert opened(bag).present == '/left/object_present'
    assert opened(bag, present_topic='/eye').present == '/eye'
    assert topics(bag, present_topic='/eye') == ['object_present']
    with pytest.raises(SourceError, match='/none is no topic of type std_msgs/Bool'):
        opened(bag, present_topic='/none')
    lines = []
    assert not topics(line_bag('two', frames=3, extra=eyes), lines=lines)
    assert 'name one with the parameter present_topic: /left' in lines[0]


def test_a_source_that_cannot_be_used_says_why(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'broken').mkdir()
    (tmp_path / 'broken' / 'metadata.yaml').write_text('nothing: here')
    (tmp_path / 'text.txt').write_text('not a video')
    for name, words in (('none', 'does not exist'), ('empty', 'no pictures'),
                        ('broken', 'cannot be read as a bag'), ('text.txt', 'cannot be opened')):
        with pytest.raises(SourceError, match=words):
            opened(tmp_path / name)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(SourceError, match='neither a file nor a folder'):
        opened(tmp_path / 'pipe')


@pytest.mark.parametrize('name', ['/dev/video987', '987'])
def test_a_device_that_is_not_there_is_named_as_such(name):
    with pytest.raises(SourceError, match=r'^/dev/video987: no such device; there is '):
        opened(name)


def test_a_device_that_may_not_be_opened_leads_to_the_group(monkeypatch):
    monkeypatch.setattr('os.access', lambda path, mode: False)  # root may open all of them
    with pytest.raises(SourceError, match=r'^/dev/null: no permission: .* group video'):
        opened('/dev/null')


def test_a_device_that_is_no_camera_is_refused():
    with pytest.raises(SourceError, match=r"^'/dev/null' cannot be opened .* another program"):
        opened('/dev/null')
