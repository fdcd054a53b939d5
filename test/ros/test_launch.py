"""The real `ros2 launch` brings the nodes up, and ends with a status that says how it went."""
from contextlib import closing
import os
import re
import signal
import socket
import subprocess

from launched import Launched
import pytest


@pytest.fixture
def launch(tmp_path):
    """Launch; what a test leaves running must end well on Ctrl-C."""
    launched = []

    def launch(*arguments, file='bringup.launch.py'):
        launched.append(Launched(tmp_path / f'launch{len(launched)}.log', file, *arguments))
        return launched[-1]

    yield launch
    running = [one for one in launched if one.process.poll() is None]
    for one in running:
        one.process.send_signal(signal.SIGINT)
    statuses = [one.process.wait(timeout=90) for one in running]
    outputs = [one.output for one in launched]
    assert statuses == [0] * len(running), outputs
    assert not any('Traceback' in output for output in outputs), outputs
    left = [pid for one in launched for pid in one.started if os.path.exists(f'/proc/{pid}')]
    assert not left, f'still running: {left}'


def wait_for(peer, state, node='/tool_recognizer'):
    """Wait for a state; a request that went to a dead process is made again."""
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
    predictions = peer.collect(Classification, '/tool_recognizer/classification')
    peer.wait(lambda: len(predictions) > 10, 'no predictions')


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


@pytest.mark.parametrize('respawn', ['false', 'true'])
def test_a_recognizer_that_cannot_use_its_parameters_ends_the_launch(launch, tmp_path, respawn):
    wrong = tmp_path / 'wrong.yaml'
    wrong.write_text('/**: {ros__parameters: {decision: {deadline: 1}}}')
    launched = launch(f'params_file:={wrong}', 'console:=true', 'console_port:=0',
                      f'respawn:={respawn}')
    assert launched.wait() == 1
    assert 'parameter decision.deadline takes a number with a point' in launched.output
    assert 'recognizer has ended with status 2' in launched.output
    assert len(launched.started) == 1


def test_a_recognizer_that_dies_later_ends_the_launch_too(launch, peer):
    launched = launch('camera_source:=line')
    wait_for(peer, 'active')
    os.kill(launched.started[0], signal.SIGKILL)
    assert launched.wait() == 1
    assert 'recognizer has ended with status -9' in launched.output


@pytest.mark.parametrize(('content', 'words'), [
    (None, 'cannot be read'),
    ('/camera: {ros__parameters: {rate: 5.0}}', 'sets nothing for'),
    ('/tool_recognizer: {ros__parameters: {decision: {deadline: 1.0}}}',
     'sets nothing for /left/tool_recognizer'),
    ('decision: {deadline: 1.0}', 'a value before ros__parameters')])
def test_a_parameter_file_that_reaches_no_node_ends_the_launch(launch, tmp_path, content, words):
    path = tmp_path / 'parameters.yaml'
    if content is not None:
        path.write_text(content)
    launched = launch(f'params_file:={path}', 'namespace:=left')
    assert launched.wait() == 1
    assert str(path) in launched.output
    assert words in launched.output
    assert not launched.started


@pytest.mark.parametrize('argument', ['console_port:=http', 'inspection_probability:=much'])
def test_an_argument_that_is_no_number_ends_the_launch(launch, argument):
    launched = launch('console:=true', argument)
    assert launched.wait() == 1
    assert f'{argument} is no' in launched.output
    assert not launched.started


def test_the_parameter_file_of_the_console_counts(launch, peer, tmp_path):
    with closing(socket.create_server(('127.0.0.1', 0))) as free:
        port = free.getsockname()[1]
    (tmp_path / 'console.yaml').write_text(f'/**: {{ros__parameters: {{console.port: {port}}}}}')
    launched = launch('console:=true', f'console_params_file:={tmp_path}/console.yaml')
    peer.wait(lambda: f'open http://127.0.0.1:{port}/' in launched.output,
              'the log does not name the address')


@pytest.mark.parametrize(('content', 'words'), [
    (None, 'cannot be read'),
    ('/consol: {ros__parameters: {console.port: 1}}', 'sets nothing for /console')])
def test_a_file_that_does_not_reach_the_console_ends_the_launch(launch, tmp_path, content, words):
    path = tmp_path / 'console.yaml'
    if content is not None:
        path.write_text(content)
    launched = launch('console:=true', f'console_params_file:={path}')
    assert launched.wait() == 1
    assert words in launched.output
    assert not launched.started


def test_two_consoles_on_one_port_are_kept_apart_by_an_argument(launch, peer, tmp_path):
    first = launch('namespace:=left', 'console:=true', 'console_port:=0')
    said = peer.wait(lambda: re.search(r'open http://127\.0\.0\.1:(\d+)/', first.output),
                     'the log does not name the address')
    second = launch('namespace:=right', 'console:=true', f'console_port:={said[1]}')
    assert second.wait() == 1
    assert f'127.0.0.1:{said[1]} cannot be used' in second.output
    assert 'console_port:=NUMBER' in second.output
    assert 'console has ended with status 2' in second.output
    assert first.process.poll() is None


def test_a_refused_model_ends_the_launch_if_that_is_wanted(launch, tmp_path):
    (tmp_path / 'broken.onnx').write_text('no model')
    launched = launch(f'model_path:={tmp_path}/broken.onnx', 'if_refused:=end')
    assert launched.wait() == 1
    assert '/tool_recognizer stays unconfigured; its log above says why' in launched.output


PUSHED = """
from launch import LaunchDescription
from launch.actions import GroupAction
from launch.actions import IncludeLaunchDescription
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import PushRosNamespace
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    return LaunchDescription([GroupAction([PushRosNamespace('robot'), IncludeLaunchDescription(
        PathJoinSubstitution([FindPackageShare('tool_recognizer'), 'launch', 'bringup.launch.py']),
        launch_arguments={'namespace': 'left', 'log_level': '%s'}.items())])])
"""


@pytest.mark.parametrize('level', ['info', 'error'])
def test_the_log_level_reaches_a_node_in_a_namespace_that_was_pushed(
        launch, peer, tmp_path, level):
    file = tmp_path / 'pushed.launch.py'
    file.write_text(PUSHED % level)
    launched = launch(file=file)
    wait_for(peer, 'active', '/robot/left/tool_recognizer')
    if level == 'info':
        peer.wait(lambda: 'waiting for frames on /robot/left/image_raw' in launched.output)
    else:
        assert '[INFO] [' not in re.sub(r'\[INFO\] \[(launch|recognizer-1)\]', '',
                                        launched.output)


def test_what_is_brought_to_active_does_not_say_that_it_waits(launch, peer):
    launched = launch()
    wait_for(peer, 'active')
    assert 'unconfigured' not in launched.output
    other = launch('autostart:=false', 'namespace:=other')
    peer.wait(lambda: 'unconfigured: nothing is answered' in other.output)


def test_a_node_loads_its_own_dump_without_a_failure(launch, peer, tmp_path):
    launch()
    wait_for(peer, 'active')
    dump = tmp_path / 'dump.yaml'
    with dump.open('w') as output:
        subprocess.run(['ros2', 'param', 'dump', '/tool_recognizer'], stdout=output, check=True,
                       timeout=60)
    loaded = subprocess.run(['ros2', 'param', 'load', '/tool_recognizer', str(dump)],
                            capture_output=True, text=True, check=True, timeout=60)
    lines = loaded.stdout.splitlines()
    assert len(lines) > 30
    assert [line for line in lines if not line.endswith(' successful')] == []
