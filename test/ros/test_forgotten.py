"""A command line without --ros-args is refused, with the correct one."""

import shlex

import pytest
from tool_recognizer.ros.forgotten import mend


@pytest.mark.parametrize(('typed', 'mended'), [
    ('-p autostart:=true', '--ros-args -p autostart:=true'),
    ('model_path:=tools.onnx', '--ros-args -p model_path:=tools.onnx'),
    ('model_pat:=tools.onnx', '--ros-args -p model_pat:=tools.onnx'),
    ('tool_recognizer:monitor.window:=50', '--ros-args -p tool_recognizer:monitor.window:=50'),
    ('-r image_raw:=/camera/image_raw', '--ros-args -r image_raw:=/camera/image_raw'),
    ('-r __ns:=/left autostart:=true', '--ros-args -r __ns:=/left -p autostart:=true'),
    ('image_raw:=/left -p autostart:=true', '--ros-args -r image_raw:=/left -p autostart:=true'),
    ('--params-file my.yaml', '--ros-args --params-file my.yaml'),
    ('--log-level debug', '--ros-args --log-level debug'),
    ('--disable-rosout-logs', '--ros-args --disable-rosout-logs'),
    ('-p light:=0.5 --source line --once', '--source line --once --ros-args -p light:=0.5'),
    ('-p a:=1 --ros-args -p b:=2 -- --rate 3 --ros-args -r c:=d',
     '--rate 3 --ros-args -p a:=1 -p b:=2 -r c:=d'),
    ('-p', '--ros-args -p')])
def test_what_is_for_ros_is_put_behind_ros_args_and_the_rest_before(typed, mended):
    assert shlex.join(mend(shlex.split(typed))) == mended


@pytest.mark.parametrize('typed', [
    '', '--source line --rate 5', '--ros-args -p autostart:=true', '--topics /a /b',
    '--ros-args -p a:=1 -- --once', 'image_raw:=/camera/image_raw'])
def test_what_is_right_is_left_alone(typed):
    assert mend(shlex.split(typed)) is None


@pytest.mark.parametrize('program', ['recognizer', 'console', 'camera', 'record', 'demo'])
def test_every_node_refuses_in_one_line_that_can_be_typed(start, program):
    refused = start(program, '-p', 'use_sim_time:=true')
    assert refused.process.wait(60) == 2
    assert refused.output.count('\n') == 1
    line = refused.output.partition(': run ')[2]
    assert line.strip().endswith(f'-m tool_recognizer {program} --ros-args -p use_sim_time:=true')
