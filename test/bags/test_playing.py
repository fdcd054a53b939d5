"""What of a bag is played to the live recognizer, and under which names."""

import numpy as np
import pytest
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.bag import BagError
from tool_recognizer.bags.playing import what_to_play
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.core.recognition import FrameKey

RECOGNIZER = '/robot/tool_recognizer'
PIXELS = np.zeros((6, 8, 3), np.uint8)


@pytest.fixture
def write(tmp_path):
    """Write a bag of one message of each topic; the name's end says of what type."""
    def write(*topics):
        path = tmp_path / f'{len([*tmp_path.iterdir()])}'
        with BagWriter(path, compress=False) as writer:
            for number, topic in enumerate(topics):
                key = FrameKey(1_000 + number, 'bench')
                if topic.endswith('/compressed'):
                    message = to_bag.jpeg(key, b'\xff\xd8')
                elif topic.endswith('raw'):
                    message = to_bag.image(key, PIXELS, 'rgb8')
                elif topic.endswith(('present', 'eye')):
                    message = to_bag.truth(True)
                else:
                    message = to_bag.distribution(key, {'wrench': 1.0})
                writer.write(topic, key.stamp, message)
        return path

    return write


def play(bag, image_topic='/robot/image_raw', **options):
    return what_to_play(bag, RECOGNIZER, image_topic, **options)


def test_camera_and_confirmations_are_played_onto_the_live_names_and_no_prediction_is(write):
    playing = play(write(
        '/left/image_raw', '/left/tool_recognizer/confirmed_label',
        '/left/tool_recognizer/classification', '/left/tool_recognizer/decision',
        '/left/tool_recognizer/answer_set', '/left/tool_recognizer/inspection_request',
        '/left/tool_recognizer/annotated/compressed', '/left/camera/true_label',
        '/left/tool_recognizer/inspection_request/compressed'))
    assert playing.topics == {
        '/left/image_raw': '/robot/image_raw',
        '/left/tool_recognizer/confirmed_label': '/robot/tool_recognizer/confirmed_label'}
    assert (playing.camera, playing.transport, playing.frames) == ('/left/image_raw', 'raw', 1)


def test_what_says_that_an_object_is_there_is_played_and_no_recognizer_need_listen_to_it(write):
    live = '/robot/tool_recognizer/object_present'
    there = '/left/tool_recognizer/object_present', '/right/tool_recognizer/object_present'
    playing = play(write('/left/image_raw', there[0], '/photo_eye'))
    assert (playing.topics[there[0]], playing.present, playing.notes) == (live, there[0], ())
    assert playing.awaited == ['/robot/image_raw']
    # Under a name of the plant's, it is named.
    bag = write('/left/image_raw', '/photo_eye')
    assert '/photo_eye' not in play(bag).topics
    assert play(bag, present_topic='/photo_eye').topics['/photo_eye'] == live
    with pytest.raises(BagError, match='/left/image_raw is no topic of type std_msgs/Bool; there '
                                       'are: /photo_eye'):
        play(bag, present_topic='/left/image_raw')
    # Of several the wrong one would be worse than none.
    bag = write('/left/image_raw', *there)
    assert not play(bag).present
    assert f'name one with present_topic:=TOPIC: {there[0]}, {there[1]}' in play(bag).notes[0]
    assert play(bag, present_topic=there[1]).present == there[1]
    assert play(write('/left/image_raw', live, *there)).present == live


def test_of_a_camera_that_was_recorded_both_ways_the_raw_frames_are_played_by_default(write):
    bag = write('/left/image_raw', '/left/image_raw/compressed')
    assert play(bag).topics == {'/left/image_raw': '/robot/image_raw'}
    compressed = play(bag, transport='compressed')
    assert compressed.topics == {'/left/image_raw/compressed': '/robot/image_raw/compressed'}
    assert compressed.transport == 'compressed'


def test_a_camera_that_was_recorded_compressed_is_played_so_by_default(write):
    playing = play(write('/left/image_raw/compressed'))
    assert playing.transport == 'compressed'
    assert playing.topics == {'/left/image_raw/compressed': '/robot/image_raw/compressed'}


def test_of_several_cameras_it_is_the_one_of_the_live_name_or_the_one_that_is_named(write):
    bag = write('/left/image_raw', '/right/image_raw', '/right/image_raw/compressed')
    assert play(bag, '/right/image_raw').camera == '/right/image_raw'
    assert play(bag, '/right/image_raw', transport='compressed').camera == (
        '/right/image_raw/compressed')
    assert play(bag, bag_topic='/left/image_raw').topics == {
        '/left/image_raw': '/robot/image_raw'}
    with pytest.raises(BagError, match=r'name one with bag_topic:=TOPIC: /left/image_raw, /right'):
        play(bag)


@pytest.mark.parametrize(('topics', 'options', 'words'), [
    (['/left/image_raw'], {'bag_topic': '/up/image_raw'}, "no topic '/up/image_raw'"),
    (['/left/image_raw'], {'transport': 'compressed'}, '/left/image_raw was recorded raw'),
    (['/left/tool_recognizer/decision'], {}, 'no image topic'),
    (['/left/tool_recognizer/annotated/compressed'], {}, 'no image topic')])
def test_what_cannot_be_played_is_refused_with_the_bag_s_name(write, topics, options, words):
    bag = write(*topics)
    with pytest.raises(BagError, match=words) as refused:
        play(bag, **options)
    assert str(refused.value).startswith(f'{bag}: ')
