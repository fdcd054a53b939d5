"""What a command line or a parameter file says to a node, and what it gets wrong."""

from pathlib import Path

import pytest
import rclpy
from tool_recognizer.parameter_file import CAMERA
from tool_recognizer.parameter_file import CONSOLE
from tool_recognizer.ros.camera_node import CameraNode
from tool_recognizer.ros.console_node import SETTINGS

PHOTOS = Path(__file__).parent.parent / 'photos'


@pytest.mark.parametrize(('program', 'arguments', 'words'), [
    ('recognizer', ['-p', 'decision.min_probability:=60.0'],
     'parameter decision.min_probability takes 0.0 .. 1.0, got 60.0'),
    ('recognizer', ['-p', 'monitor.window:=1'],
     'parameter monitor.window takes 2 .. 100000, got 1'),
    ('recognizer', ['-p', 'monitor.run_length:=2000.0'],
     'parameter monitor.run_length takes a whole number, got 2000.0: write 2000'),
    ('recognizer', ['-p', 'early_warning.run_length:=5000'],
     'parameter early_warning.run_length takes a number with a point, got 5000: write 5000.0'),
    ('recognizer', ['-p', 'model_path:=5'],
     'parameter model_path takes a text, got 5: put it in quotes'),
    ('recognizer', ['-p', 'model_path:='], 'an empty text as -p "NAME:='),
    ('camera', ['-p', 'rate:=5'], 'parameter rate takes a number with a point, got 5: write 5.0'),
    ('console', ['-p', 'console.port:=70000'],
     'parameter console.port takes 0 .. 65535, got 70000'),
    ('record', ['-p', 'use_sim_time:=3'], 'parameter use_sim_time takes true or false, got 3'),
    ('demo', ['-p', 'use_sim_time:=perhaps'], 'parameter use_sim_time takes true or false')])
def test_a_wrong_value_ends_a_node_with_one_line_and_status_2(
        start, tmp_path, program, arguments, words):
    own = ['--output', tmp_path / 'bag'] if program == 'record' else []
    refused = start(program, *own, '--ros-args', *arguments)
    assert refused.process.wait(60) == 2, refused.output
    assert words in refused.output
    assert refused.output.startswith(f'{program}: ')
    assert refused.output.count('\n') == 1


@pytest.mark.parametrize(('text', 'words'), [
    ('/**:\n  ros__parameters:\n    source: [', "Couldn't parse params file"),
    ('/**:\n  source: line\n', 'before ros__parameters at line 2'),
    ('/**:\n  ros__parameters:\n    rate: fast\n', 'parameter rate takes a number with a point, '
                                                   'got fast'),
    (None, 'Error opening YAML file')])
def test_a_parameter_file_that_cannot_be_used_ends_a_node_with_one_line(
        start, tmp_path, text, words):
    path = tmp_path / 'parameters.yaml'
    if text is not None:
        path.write_text(text)
    refused = start('camera', '--ros-args', '--params-file', path)
    assert refused.process.wait(60) == 2, refused.output
    assert words in refused.output
    assert '.c:' not in refused.output, 'a line of the source of ROS helps nobody'
    assert refused.output.count('\n') == 1


@pytest.mark.parametrize(('text', 'words'), [
    ('decision:\n  min_probability: 0.999\n', 'ros__parameters at line 2; a parameter file has '),
    ('/left/tool_recognizer:\n  ros__parameters: {decision.min_probability: 0.999}\n',
     'sets nothing for /tool_recognizer, only for /left/tool_recognizer; name /tool_recognizer'),
    ('recognizer:\n  ros__parameters: {decision.min_probability: 0.999}\n',
     'sets nothing for /tool_recognizer, only for recognizer; name /tool_recognizer there, or'),
    ('/**:\n  ros__parameters: {decision.min_probability: 1}\n',
     'parameter decision.min_probability takes a number with a point, got 1: write 1.0')])
def test_parameters_that_miss_the_node_end_it_with_one_line(start, tmp_path, text, words):
    path = tmp_path / 'parameters.yaml'
    path.write_text(text)
    refused = start('recognizer', '--ros-args', '--params-file', path)
    assert refused.process.wait(60) == 2, refused.output
    assert words in refused.output
    assert refused.output.count('\n') == 1


def test_a_parameter_of_the_command_line_for_a_node_of_nearly_this_name_ends_it(start):
    refused = start('recognizer', '--ros-args', '-p', 'recognizer:monitor.window:=50')
    assert refused.process.wait(60) == 2, refused.output
    assert 'only for recognizer; name /tool_recognizer there, or /**' in refused.output


def test_parameters_reach_a_node_in_its_namespace_and_those_for_others_are_reported(
        start, peer, tmp_path):
    path, others = tmp_path / 'parameters.yaml', tmp_path / 'others.yaml'
    path.write_text('/left/tool_recognizer:\n  ros__parameters: {monitor.window: 50}\n'
                    '/right/tool_recognizer:\n  ros__parameters: {monitor.window: 60}\n')
    others.write_text('camera:\n  ros__parameters: {rate: 5.0}\n')
    program = start('recognizer', '--ros-args', '-r', '__ns:=/left', '--params-file', path,
                    '--params-file', others)
    assert peer.state('/left/tool_recognizer') == 'unconfigured'
    assert warnings(program) == [f'{others}: sets nothing for /left/tool_recognizer, only for '
                                 'camera; name /left/tool_recognizer there, or /**']


def warnings(program):
    return [line.partition(']: ')[2] for line in program.output.splitlines() if '[WARN]' in line]


def test_a_misspelt_parameter_is_reported_with_the_most_similar_name(start, peer, tmp_path):
    path = tmp_path / 'parameters.yaml'
    path.write_text('tool_recognizer:\n  ros__parameters:\n    monitr: {window: 100}\n')
    program = start(
        'recognizer', '--ros-args', '--params-file', path, '-p', 'decison.min_probability:=0.6',
        '-p', 'decision.deadline:=1.0', '-p', 'use_sim_time:=false', '-p', 'xyzzy:=1',
        '-p', 'qos_overrides./image_raw.subscription.depth:=3')
    assert peer.state() == 'unconfigured'
    assert sorted(warnings(program)) == [
        'parameter decison.min_probability is not known and changes nothing; '
        'did you mean decision.min_probability?',
        'parameter monitr.window is not known and changes nothing; did you mean monitor.window?',
        'parameter xyzzy is not known and changes nothing']


def test_a_file_for_several_nodes_may_say_what_one_of_them_does_not_know(start, tmp_path):
    path = tmp_path / 'parameters.yaml'
    path.write_text('/**:\n  ros__parameters:\n    decision: {min_probability: 0.7}\n'
                    '    console.port: 8081\n    rate: 50.0\n    fram_id: bench\n')
    program = start('camera', '--source', PHOTOS / 'hammer', '--once',
                    '--ros-args', '--params-file', path, '-p', 'monitor.window:=100')
    assert program.process.wait(60) == 0, program.output
    assert sorted(warnings(program)) == [
        'parameter fram_id is not known and changes nothing; did you mean frame_id?',
        'parameter monitor.window is not known and changes nothing']


def test_what_the_other_nodes_declare_is_written_down_rightly():
    assert set(CONSOLE) == set(SETTINGS)
    rclpy.init(args=[])
    try:
        camera = CameraNode(start_parameter_services=False)
        declared = set(camera.get_parameters_by_prefix(''))
        camera.destroy_node()
    finally:
        rclpy.try_shutdown()
    assert set(CAMERA) == {name for name in declared
                           if name not in ('use_sim_time', 'start_type_description_service')}
