"""The real `ros2 launch` plays a bag to the recognizer and ends with it, under `colcon test`."""

import re
import signal

from diagnostic_msgs.msg import DiagnosticStatus
from graph import LATCHED
from graph import values
from launched import installed
from launched import Launched
import numpy as np
import pytest
from tool_recognizer.bags import to_bag
from tool_recognizer.core.recognition import FrameKey
from vision_msgs.msg import Classification

START = 1_790_000_000_123_456_789
PICTURE = np.full((48, 64, 3), 100, np.uint8)
PLAYERS = ['camera', pytest.param('rosbag2', marks=pytest.mark.skipif(
    not installed('ros2bag'), reason='rosbag2 is on no package index: install ros-jazzy-rosbag2'))]
players = pytest.mark.parametrize('player', PLAYERS)
# A machine that is busy with other tests too drops frames; how many is not what is tested.
ANY = 'max_unanswered:=1000'


@pytest.fixture
def replay(tmp_path):
    """Start a replay; one that a test leaves running must end well on Ctrl-C."""
    launched = []

    def replay(bag, player, *arguments):
        launched.append(Launched(tmp_path / f'{len(launched)}.log', 'replay.launch.py',
                                 f'bag:={bag}', f'player:={player}', *arguments))
        return launched[-1]

    yield replay
    for one in launched:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGINT)
            assert one.process.wait(timeout=90) == 0, one.output
        assert 'Traceback' not in one.output, one.output


def broken(number):
    """Return a frame that no recognizer can read."""
    key = FrameKey(START + number * 50_000_000, 'broken')
    return ('/image_raw', key.stamp, to_bag.image(key, PICTURE, 'unheard_of'))


@players
@pytest.mark.parametrize('compressed', [False, True])
def test_a_bag_is_played_and_the_launch_ends_with_it(replay, peer, line_bag, player, compressed):
    predictions = peer.collect(Classification, '/tool_recognizer/classification')
    launched = replay(line_bag(frames=30, compressed=compressed), player, ANY)
    assert launched.wait() == 0, launched.output
    assert re.search(r'\d+ of 30 frames that were played were answered', launched.output)
    assert {prediction.header.frame_id for prediction in predictions} == {'bench'}


@players
@pytest.mark.parametrize('namespace', ['', '/left'])
def test_nearly_every_frame_is_answered_and_no_recorded_prediction_is_played(
        replay, peer, line_bag, player, namespace):
    """
    At 640 x 480, of which Fast DDS lets few through without our profile.

    At 7 Hz, so that a machine with other work answers them, too.
    """
    node = f'{namespace}/tool_recognizer'
    recorded = [(f'{node}/{topic}', START + number * 140_000_000,
                 to_bag.distribution(FrameKey(START + number, 'recorded'), {'anvil': 1.0}))
                for topic in ('classification', 'decision') for number in range(108)]
    bag = line_bag(frames=108, size=(640, 480), period=140_000_000, topic=f'{namespace}/image_raw',
                   confirmed=f'{node}/confirmed_label', extra=recorded)
    heard = {topic: peer.collect(Classification, topic) for where in {node, '/tool_recognizer'}
             for topic in (f'{where}/classification', f'{where}/decision')}
    monitor = peer.collect(DiagnosticStatus, '/tool_recognizer/monitor', LATCHED)
    launched = replay(bag, player, 'max_unanswered:=8')
    assert launched.wait() == 0, launched.output
    predictions = heard['/tool_recognizer/classification']
    assert len({(prediction.header.stamp.sec, prediction.header.stamp.nanosec)
                for prediction in predictions}) >= 100
    assert len(predictions) <= 108
    assert not [message for messages in heard.values() for message in messages
                if message.header.frame_id == 'recorded']
    # What people said is played, too.
    assert int(values(monitor[-1])['n']) > 0


@players
def test_the_gate_of_a_bag_is_played_by_its_name(replay, peer, line_bag, tmp_path, player):
    eye = [('/photo_eye', START + moment * 10**9, to_bag.truth(said))
           for moment, said in ((1, True), (3, False))]
    file = tmp_path / 'gate.yaml'
    file.write_text('/**: {ros__parameters: {passage.gate: topic, decision.deadline: 60.0}}')
    tools = peer.collect(Classification, '/tool_recognizer/object_decision')
    launched = replay(line_bag(frames=40, period=150_000_000, start=START, extra=eye), player, ANY,
                      f'params_file:={file}', 'present_topic:=/photo_eye')
    assert launched.wait() == 0, launched.output
    assert len(tools) == 1


@players
def test_unanswered_frames_are_counted_and_decide_the_exit_status(
        replay, line_bag, player):
    bag = line_bag(frames=20, extra=[broken(number) for number in range(3)])
    launched = replay(bag, player)
    assert launched.wait() == 1
    said = re.search(r'(\d+) of 23 frames that were played were answered', launched.output)
    assert int(said[1]) <= 20


@players
def test_a_camera_that_was_recorded_raw_and_compressed_is_played_once(
        replay, peer, line_bag, player):
    key = FrameKey(START, 'packed')
    bag = line_bag(frames=20, extra=[('/image_raw/compressed', START, to_bag.jpeg(key, b''))])
    predictions = peer.collect(Classification, '/tool_recognizer/classification')
    launched = replay(bag, player, ANY)
    assert launched.wait() == 0, launched.output
    assert 'of 20 frames' in launched.output
    assert {prediction.header.frame_id for prediction in predictions} == {'bench'}


@players
def test_of_two_cameras_one_has_to_be_named(replay, peer, line_bag, player):
    other = [('/right/image_raw', START + number * 66_666_667, to_bag.image(
        FrameKey(START + number, 'right'), PICTURE, 'rgb8')) for number in range(20)]
    bag = line_bag(frames=20, topic='/left/image_raw', extra=other)
    refused = replay(bag, player)
    assert refused.wait() == 1
    assert 'name one with bag_topic:=TOPIC: /left/image_raw, /right/image_raw' in refused.output
    predictions = peer.collect(Classification, '/tool_recognizer/classification')
    launched = replay(bag, player, ANY, 'bag_topic:=/right/image_raw')
    assert launched.wait() == 0, launched.output
    assert {prediction.header.frame_id for prediction in predictions} == {'right'}


@players
def test_a_loop_goes_on_until_ctrl_c(replay, peer, line_bag, player):
    predictions = peer.collect(Classification, '/tool_recognizer/classification')
    launched = replay(line_bag(frames=10), player, 'loop:=true')
    peer.wait(lambda: len(predictions) > 25, 'it does not start again')
    # What `ros2 bag play` logs each time that it starts paused.
    assert 'Sleep' not in launched.output


@pytest.mark.parametrize('player', PLAYERS[1:])
def test_a_player_that_dies_ends_the_launch_with_status_1(replay, line_bag, player):
    bag = line_bag(frames=10)
    (bag / 'metadata.yaml').unlink()  # our reader does without, rosbag2 does not
    launched = replay(bag, player)
    assert launched.wait() == 1
    assert 'the player has ended with status' in launched.output


@players
def test_a_refused_model_ends_the_replay(replay, line_bag, tmp_path, player):
    (tmp_path / 'broken.onnx').write_text('no model')
    launched = replay(line_bag(frames=10), player, f'model_path:={tmp_path}/broken.onnx')
    assert launched.wait() == 1
    assert 'stays unconfigured' in launched.output


@pytest.mark.skipif(installed('ros2bag'), reason='rosbag2 is installed')
def test_a_player_that_is_not_installed_is_named(replay, line_bag):
    launched = replay(line_bag(frames=10), 'rosbag2')
    assert launched.wait() == 1
    assert 'player:=rosbag2 needs rosbag2, which is not installed' in launched.output
