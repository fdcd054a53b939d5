"""What a command line or a parameter file says to a node, and what it gets wrong."""

import pytest


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
