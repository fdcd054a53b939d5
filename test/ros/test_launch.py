"""The real `ros2 launch` with the installed package, so it runs under `colcon test`."""
import os
import re
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


class Launched:
    """A running `ros2 launch`, and what it has printed."""

    def __init__(self, log, arguments):
        self._log = log
        with log.open('w') as output:
            self.process = subprocess.Popen(
                ['ros2', 'launch', 'tool_recognizer', 'bringup.launch.py', *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    @property
    def output(self):
        return self._log.read_text()

    @property
    def started(self):
        """Return the process ids of the recognizer, one for each start."""
        return [int(pid) for pid in re.findall(
            r'\[recognizer-\d+\]: process started with pid \[(\d+)\]', self.output)]


@pytest.fixture
def launch(tmp_path):
    launched = []

    def launch(*arguments):
        launched.append(Launched(tmp_path / f'launch{len(launched)}.log', arguments))
        return launched[-1]

    yield launch
    for one in launched:
        one.process.send_signal(signal.SIGINT)
    statuses = [one.process.wait(timeout=40.0) for one in launched]
    outputs = [one.output for one in launched]
    assert statuses == [0] * len(launched), outputs
    assert not any('Traceback' in output for output in outputs), outputs
    left = [pid for one in launched for pid in one.started if os.path.exists(f'/proc/{pid}')]
    assert not left, f'still running: {left}'


def wait_for(peer, state, node='/tool_recognizer'):
    """Wait for a state; a request that a dead process would have to answer is made again."""
    from lifecycle_msgs.srv import GetState
    client = peer.node.create_client(GetState, f'{node}/get_state')
    pending = []

    def reached():
        if client.service_is_ready() and len(pending) < 400:
            pending.append(client.call_async(GetState.Request()))
        return any(future.done() and future.result().current_state.label == state
                   for future in pending)

    peer.wait(reached, f'{node} is never {state}')


def test_each_camera_has_an_active_recognizer_in_its_namespace(launch, peer):
    launch('namespace:=left')
    launch('namespace:=right', 'image_transport:=compressed', 'image_topic:=/right/eye/image')
    wait_for(peer, 'active', '/left/tool_recognizer')
    wait_for(peer, 'active', '/right/tool_recognizer')
    peer.wait(lambda: peer.node.count_subscribers('/left/image_raw') == 1)
    peer.wait(lambda: peer.node.count_subscribers('/right/eye/image/compressed') == 1)


def test_a_camera_of_ours_is_answered(launch, peer):
    from vision_msgs.msg import Classification
    launch('camera_source:=line')
    answers = peer.collect(Classification, '/tool_recognizer/classification')
    peer.wait(lambda: len(answers) > 10, 'no answers')


def test_the_console_asks_for_frames_of_the_camera(launch, peer, tmp_path):
    from vision_msgs.msg import Classification
    launch('camera_source:=line', 'console:=true', 'console_port:=0',
           'inspection_probability:=0.1', f'journal:={tmp_path}/journal.db')
    requests = peer.collect(Classification, '/tool_recognizer/inspection_request')
    peer.wait(lambda: requests, 'nobody is asked')
    assert (tmp_path / 'journal.db').exists()


def test_after_a_crash_the_recognizer_is_active_again(launch, peer):
    launched = launch('respawn:=true')
    wait_for(peer, 'active')
    os.kill(launched.started[0], signal.SIGKILL)
    peer.wait(lambda: len(launched.started) == 2, 'it is not started again')
    peer.wait(lambda: launched.output.count('waiting for frames') == 2, 'it is not active again')


def test_ctrl_c_during_bring_up_leaves_nothing_behind(launch, peer):
    launched = launch()
    peer.wait(lambda: launched.started, 'it is not started')


def test_a_refused_model_leaves_it_unconfigured_and_says_how_to_go_on(launch, peer, tmp_path):
    (tmp_path / 'broken.onnx').write_text('no model')
    launched = launch(f'model_path:={tmp_path}/broken.onnx')
    peer.wait(lambda: 'ros2 lifecycle set /tool_recognizer configure' in launched.output)
    wait_for(peer, 'unconfigured')


def test_without_autostart_it_waits_for_another_manager(launch, peer):
    launch('autostart:=false')
    wait_for(peer, 'unconfigured')
    assert peer.transition('configure')
    wait_for(peer, 'inactive')
