"""Whether a parameter file has a word for a node, held against what rclpy hands to the node."""

import pytest
import rclpy
from tool_recognizer.ros.parameter_reach import useless

PARAMETERS = '{ros__parameters: {number: 1}}'


def heard(path, namespace):
    """Tell whether a node of that namespace gets the parameter of the file."""
    context = rclpy.Context()
    rclpy.init(args=['--ros-args', '--params-file', str(path)], context=context)
    try:
        node = rclpy.create_node(
            'tool_recognizer', namespace=namespace, context=context,
            automatically_declare_parameters_from_overrides=True)
        return node.has_parameter('number')
    finally:
        context.try_shutdown()


@pytest.mark.parametrize('namespace', ['', 'left', 'robot/left'])
@pytest.mark.parametrize('content', [
    f'/**: {PARAMETERS}',
    f'tool_recognizer: {PARAMETERS}',
    f'/tool_recognizer: {PARAMETERS}',
    f'/left/tool_recognizer: {PARAMETERS}',
    f'left: {{tool_recognizer: {PARAMETERS}}}',
    f'/*/tool_recognizer: {PARAMETERS}',
    f'/**/tool_recognizer: {PARAMETERS}',
    f'/robot/**: {PARAMETERS}',
    f'/camera: {PARAMETERS}',
    f'/camera: {PARAMETERS}\n/left/tool_recognizer: {PARAMETERS}'])
def test_a_file_is_useless_where_ros_passes_over_it(tmp_path, namespace, content):
    path = tmp_path / 'parameters.yaml'
    path.write_text(content)
    why = useless(path, f'/{namespace}/tool_recognizer'.replace('//', '/'))
    assert (why == '') == heard(path, namespace)


@pytest.mark.parametrize(('content', 'words'), [
    (None, 'cannot be read'),
    ('a: [', 'cannot be read'),
    ('', 'has no ros__parameters'),
    ('tool_recognizer: {decision: {deadline: 1.0}}', 'has no ros__parameters'),
    (f'/camera: {PARAMETERS}', 'speaks to /camera alone')])
def test_a_useless_file_is_named_with_what_is_wrong_in_it(tmp_path, content, words):
    path = tmp_path / 'parameters.yaml'
    if content is not None:
        path.write_text(content)
    why = useless(path, '/left/tool_recognizer')
    assert why.startswith(f'{path}: {words}')
