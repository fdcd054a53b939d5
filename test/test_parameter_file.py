"""For whom the sections of a parameter file are, and what they say: as rcl's reader has it."""

import pytest
import rclpy
from tool_recognizer.parameter_file import NODE
from tool_recognizer.parameter_file import ParameterError
from tool_recognizer.parameter_file import read_parameters
from tool_recognizer.parameter_file import read_sections

# As ../shared/cases has them: right sets the parameter, none of the others reaches the node.
RIGHT = '/**:\n  ros__parameters:\n    decision:\n      min_probability: 0.999\n'
BARE = 'decision:\n  min_probability: 0.999\n'
ELSEWHERE = RIGHT.replace('/**', '/left/tool_recognizer')
MISNAMED = RIGHT.replace('/**', 'recognizer')
WHOLE = RIGHT.replace('0.999', '1')

KEYS = ('/**', '**', '/*', '*', 'tool_recognizer', '/tool_recognizer', '/**/tool_recognizer',
        '/*/tool_recognizer', '**/tool_recognizer', '/left/tool_recognizer',
        'left/tool_recognizer', '/left/**', '/left/*', '/**/left/tool_recognizer', '/*/*',
        '/left/**/tool_recognizer', 'recognizer', '/left/right/tool_recognizer',
        '/": {"tool_recognizer', 'left": {"tool_recognizer', '/**": {"tool_recognizer')
VALUES = ('on', 'off', 'y', 'N', 'TRUE', 'tRUE', '1', '-1', '+1', '0x10', '012', '08', '0o12',
          '1e5', '1e+3', '1E-3', '.5', '5.', '-.5', '.inf', '-.INF', 'inf', '1_000', '12:30',
          '2026-01-01', '~', 'null', '"1"', "'on'", '1.0', '9223372036854775808', '1e400', 'abc',
          '1.2.3', '""', '.', '-0x10', '[1.0, 2.5]', '[a, b]', '[true, no]', '1 000')


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / 'parameters.yaml'
        path.write_text(text)
        return path
    return write


def as_rcl_reads(path, namespace='/'):
    """Return the overrides of a real node."""
    context = rclpy.Context()
    rclpy.init(args=['', '--ros-args', '--params-file', str(path)], context=context)
    try:
        node = rclpy.create_node(NODE, namespace=namespace, context=context,
                                 start_parameter_services=False, enable_rosout=False)
        found = {name: parameter.value for name, parameter in node._parameter_overrides.items()}
        node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
    return found


def as_we_read(path, namespace='/'):
    node = f'{namespace.rstrip("/")}/{NODE}'
    return {name: value for section in read_sections(path) if section.reaches(node)
            for name, _, value in section.content}


@pytest.mark.parametrize('namespace', ['/', '/left', '/left/right'])
def test_a_section_reaches_the_nodes_that_it_reaches_in_ros(write, namespace):
    path = write(''.join(
        f'"{key}": {{ros__parameters: {{key{number}: 1}}}}{"}" * key.count("{")}\n'
        for number, key in enumerate(KEYS)))
    theirs = as_rcl_reads(path, namespace)
    assert 0 < len(theirs) < len(KEYS)
    assert as_we_read(path, namespace) == theirs


def test_values_are_what_they_are_in_ros(write):
    path = write('/**:\n  ros__parameters:\n' + ''.join(
        f'    group{number}:\n      value: {value}\n' for number, value in enumerate(VALUES)))
    ours, theirs = as_we_read(path), as_rcl_reads(path)
    assert ours == {name: list(value) if isinstance(value, tuple) else value
                    for name, value in theirs.items()}
    assert [type(value) for value in ours.values()] == [type(ours[name]) for name in theirs]


@pytest.mark.parametrize('text', [
    '/**:\n  ros__parameters: {a: 1, b: 1}\ntool_recognizer:\n  ros__parameters: {a: 2}\n',
    'tool_recognizer:\n  ros__parameters: {a: 2}\n/**:\n  ros__parameters: {a: 1, b: 1}\n',
    'tool_recognizer:\n  ros__parameters: {a: 1}\ntool_recognizer:\n  ros__parameters: {b: 2}\n',
    '\ufefftool_recognizer:\r\n  ros__parameters: {a: 1, a: 2}\r\n',
    '---\n/**:\n  ros__parameters: {a: 1}\n---\n/**:\n  ros__parameters: {a: 2}\n'])
def test_what_comes_later_wins_as_in_ros(write, text):
    path = write(text)
    theirs = as_rcl_reads(path)
    assert theirs
    assert as_we_read(path) == theirs


@pytest.mark.parametrize('text', [
    BARE, 'tool_recognizer:\n', 'tool_recognizer:\n  ros__parameters: 5\n', '[1]\n',
    'tool_recognizer:\n  ros__parameter: {a: 1}\n', '/**:\n  ros__parameters: ]\n',
    '/**:\n  ros__parameters: {a: &a 1, b: *a}\n',
    'tool_recognizer/:\n  ros__parameters: {a: 1}\n',
    '//tool_recognizer:\n  ros__parameters: {a: 1}\n', RIGHT + 'camera:\n  rate: 5.0\n'])
def test_a_file_that_ros_cannot_read_is_refused(write, text):
    path = write(text)
    with pytest.raises(Exception, match='parse params file'):
        as_rcl_reads(path)
    with pytest.raises(ParameterError, match=path.name.replace('.', r'\.')):
        read_sections(path)


def test_what_reaches_the_recognizer_counts(write):
    assert read_parameters(write(RIGHT)) == ({'decision.min_probability': 0.999}, [])
    assert read_parameters(write(ELSEWHERE), 'left') == ({'decision.min_probability': 0.999}, [])
    # What it has for our other nodes is no concern of it.
    assert read_parameters(write('/**:\n  ros__parameters: {rate: 5.0, console.port: 81}\n')) == (
        {}, [])
    # Nor is what a dump of a node's parameters holds beside its own.
    assert read_parameters(write('/tool_recognizer:\n  ros__parameters:\n    use_sim_time: false\n'
                                 '    start_type_description_service: true\n'
                                 '    decision:\n      min_probability: 0.9\n')) == (
        {'decision.min_probability': 0.9}, [])


@pytest.mark.parametrize(('text', 'words'), [
    (BARE, 'line 2: a value before ros__parameters; a parameter file has /**: or'),
    (ELSEWHERE, 'sets nothing for /tool_recognizer, only for /left/tool_recognizer; name '
                '/tool_recognizer there, or /**, or give the namespace /left'),
    (MISNAMED, 'sets nothing for /tool_recognizer, only for recognizer; name /tool_recognizer '),
    ('camera:\n  ros__parameters: {rate: 5.0}\n', 'sets nothing for /tool_recognizer, only for '),
    ('', 'sets nothing'), ('{}\n', 'sets nothing'), ('text\n', 'a value before'),
    (WHOLE, 'line 4: parameter decision.min_probability takes a number with a point, got 1: '
            'write 1.0'),
    (RIGHT.replace('0.999', 'true'), 'takes a number with a point, got True'),
    ('/**:\n  ros__parameters: {locate.mode: off}\n',
     "locate.mode takes a text, got False: write 'off' in quotes"),
    ('/**:\n  ros__parameters: {plain_model.mean: [0, 0.5, 0.5]}\n',
     'takes a list of numbers with a point, got [0, 0.5, 0.5]')])
def test_a_file_that_sets_nothing_is_refused_with_the_reason(write, text, words):
    with pytest.raises(ParameterError) as refused:
        read_parameters(write(text))
    assert words in str(refused.value)


def test_a_section_that_seems_to_be_meant_is_not_passed_over_in_silence(write):
    both = '/**:\n  ros__parameters: {monitor.window: 50}\n'
    values, notes = read_parameters(write(both + MISNAMED))
    assert values == {'monitor.window': 50}
    assert len(notes) == 1
    assert notes[0].endswith('what it sets for recognizer is passed over: this is '
                             '/tool_recognizer')
    # Two cameras, each with a section of its own.
    values, notes = read_parameters(
        write(ELSEWHERE + both.replace('/**', '/right/tool_recognizer')), '/right')
    assert (values, notes) == ({'monitor.window': 50}, [])
