"""The real `ros2 launch` plays a bag to the recognizer and ends with it, under `colcon test`."""

import shutil
import signal
import subprocess

import pytest

REASON = 'launch is on no package index: source ROS 2 Jazzy and run colcon test'
pytest.importorskip('launch_ros', reason=REASON)
packages = pytest.importorskip('ament_index_python.packages', reason=REASON)
if shutil.which('ros2') is None:
    pytest.skip(REASON, allow_module_level=True)
try:
    packages.get_package_share_directory('tool_recognizer')
except (LookupError, OSError):
    pytest.skip('tool_recognizer is not installed: run colcon test', allow_module_level=True)


def launch(log, *arguments):
    with log.open('w') as output:
        return subprocess.Popen(
            ['ros2', 'launch', 'tool_recognizer', 'replay.launch.py', 'player:=camera',
             *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)


@pytest.mark.parametrize('compressed', [False, True])
def test_a_bag_is_played_and_the_launch_ends_with_it(tmp_path, peer, line_bag, compressed):
    from vision_msgs.msg import Classification
    bag = line_bag(frames=30, compressed=compressed)
    answers = peer.collect(Classification, '/tool_recognizer/classification')
    launched = launch(tmp_path / 'log', f'bag:={bag}',
                      f'image_transport:={"compressed" if compressed else "raw"}')
    assert launched.wait(timeout=60.0) == 0, (tmp_path / 'log').read_text()
    assert 'Traceback' not in (tmp_path / 'log').read_text()
    assert {answer.header.frame_id for answer in answers} == {'bench'}


def test_a_loop_goes_on_until_ctrl_c(tmp_path, peer, line_bag):
    from vision_msgs.msg import Classification
    bag = line_bag(frames=10)
    answers = peer.collect(Classification, '/tool_recognizer/classification')
    launched = launch(tmp_path / 'log', f'bag:={bag}', 'loop:=true')
    try:
        peer.wait(lambda: len(answers) > 15, 'it does not start again')
    finally:
        launched.send_signal(signal.SIGINT)
    assert launched.wait(timeout=40.0) == 0, (tmp_path / 'log').read_text()
