"""
The rooms of the package, from the top down; an import points down this list, or stays in its room.

=============  ====================================================================================
programs       one file a command: arguments, wiring, exit status
ros            the nodes, and messages on their way out
console        the operator's and the engineer's pages, without ROS
replaying      a bag through the engine
evaluation     a model's predictions for labelled examples, and what they are worth
training       photographs and journals to a model file
reports        pages to hand over
diagnosis      what is wrong with a running recognizer: facts in, findings out
engine         what happens to a frame and to a confirmation; with assembly, shadow, parameters
event_log      the events of a run on disk
bags           rosbag2 files, in and out
messages       ROS messages read into core values, without rclpy
pictures       decode, encode, annotate, draw
terminal       text for a terminal: what it can show, rows cut to its width, live tables
model          the ONNX model file
core           theory and decisions: values in, values out
=============  ====================================================================================

A new file joins by saying below what it may import from outside the package.
"""

import ast
from pathlib import Path
import sys

import pytest

PACKAGE = Path(__file__).parent.parent / 'tool_recognizer'
FILES = sorted(PACKAGE.rglob('*.py'))

ROS = {'rclpy', 'rcl_interfaces', 'builtin_interfaces', 'diagnostic_msgs', 'lifecycle_msgs',
       'rosgraph_msgs', 'sensor_msgs', 'std_msgs', 'std_srvs', 'vision_msgs'}
# What a file may import beside the standard library and the package; a folder speaks for all of
# its files that are not named themselves.
MAY_IMPORT = {
    'bags': {'numpy'},
    # compression: the standard library's zstd, from Python 3.14 on.
    'bags/bag.py': {'rosbags', 'backports', 'compression', 'yaml'},
    'bags/chunks.py': {'rosbags'},
    'bags/message_types.py': {'rosbags'},
    'bags/salvage.py': {'lz4', 'backports', 'compression'},
    'bags/writer.py': {'rosbags'},
    'console': {'numpy'},
    'console/app.py': {'starlette'},
    'console/connections.py': {'uvicorn'},
    'console/guard.py': {'starlette'},
    'console/counted.py': {'prometheus_client'},
    'console/metrics.py': {'prometheus_client'},
    'console/people.py': {'argon2'},
    'console/model_pages.py': {'starlette'},
    'console/review_pages.py': {'starlette'},
    'console/server.py': {'uvicorn'},
    'console/teach_pages.py': {'starlette'},
    'core': {'numpy'},
    'core/calibration.py': {'numpy', 'scipy'},
    'core/empty_place.py': {'numpy', 'cv2'},
    'core/known_ground.py': {'numpy', 'cv2'},
    'core/locate.py': {'numpy', 'cv2'},
    'core/preprocessing.py': {'numpy', 'cv2'},
    'core/quality.py': {'numpy', 'cv2'},
    'core/softmax_regression.py': {'numpy', 'scipy'},
    'diagnosis': set(),
    'engine.py': {'numpy'},
    'evaluation': {'numpy'},
    'evaluation/few.py': {'numpy', 'scipy'},
    'event_log': {'numpy'},
    'finder_network.py': {'numpy', 'cv2'},
    'messages': {'numpy', 'cv2', 'cv_bridge'},
    'model': {'numpy', 'onnxruntime'},
    'parameter_file.py': {'yaml'},
    'pictures': {'numpy', 'cv2'},
    'pictures/codec.py': {'numpy', 'cv2', 'simplejpeg'},
    'pictures/folders.py': set(),
    'pictures/heif.py': {'numpy', 'PIL', 'pillow_heif'},
    'pictures/pillow.py': {'numpy', 'PIL'},
    'programs': {'numpy'},
    'programs/replay.py': {'cv2'},
    'programs/running.py': {'rclpy'},
    'replaying': {'numpy'},
    'replaying/cluster.py': {'distributed'},
    'reports': {'numpy', 'cv2'},
    'reports/replay.py': {'numpy', 'cv2', 'matplotlib'},
    'ros': ROS,
    'ros/asking.py': ROS | {'yaml'},
    'ros/camera_node.py': ROS | {'cv2'},
    'ros/demo_node.py': ROS | {'numpy'},
    'ros/fast_dds.py': {'ament_index_python'},
    'ros/launching.py': {'launch'},
    'ros/sources.py': {'numpy', 'cv2'},
    'terminal': set(),
    'training': {'numpy', 'cv2'},
    '': set(),
}
ROOMS = [line.split()[0] for line in __doc__.split('=\n')[1].split('\n=')[0].splitlines()]
# Files beside the rooms, and the room that each belongs to.
BESIDE = {'assembly': 'engine', 'gating': 'engine', 'parameter_file': 'engine',
          'parameters': 'engine', 'shadow': 'engine',
          # What people write is read, and tables are written, everywhere above the core.
          'input_file': 'model', 'text_file': 'model', 'csv_file': 'model',
          'whole_file': 'model',
          # What the core needs of a file and of threads, which it has not itself.
          'finder_network': 'core', 'process_memory': 'core',
          '__init__': ROOMS[-1], '__main__': ROOMS[0]}
# Lines that no file reaches: what is longer is about more than one thing.
TOO_LONG = 500


def imports(path):
    """Find every module that a file imports, at its top or within a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            yield node.module
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def inner_imports(path):
    """Find the modules of the package that a file imports, as paths."""
    for name in imports(path):
        here = PACKAGE.parent / name.replace('.', '/')
        for module in (here.with_suffix('.py'), here / '__init__.py'):
            if name.split('.')[0] == PACKAGE.name and module.exists():
                yield module


def place(path):
    relative = path.relative_to(PACKAGE).as_posix()
    return next(key for key in (relative, relative.split('/')[0], '') if key in MAY_IMPORT)


def height(path):
    """Return the place of a file's room in the list; 0 is the top."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
    return ROOMS.index(BESIDE.get(room, room))


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_file_imports_only_what_it_may(path):
    allowed = MAY_IMPORT[place(path)] | set(sys.stdlib_module_names) | {'tool_recognizer'}
    foreign = {module for module in imports(path) if module.split('.')[0] not in allowed}
    assert not foreign


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_down_the_list_of_rooms(path):
    upward = {module.as_posix() for module in inner_imports(path) if height(module) < height(path)}
    assert not upward


def test_no_modules_import_each_other_in_a_circle():
    """The packages' own files are left out: importing a module runs the __init__ above it."""
    needs = {path: set(inner_imports(path)) - {path} for path in FILES
             if path.name != '__init__.py'}
    while free := [path for path, needed in needs.items() if not needed & needs.keys()]:
        for path in free:
            del needs[path]
    assert not needs


@pytest.mark.parametrize('room', [room for room in ROOMS if (PACKAGE / room).is_dir()])
def test_a_room_says_what_it_is_for(room):
    assert ast.get_docstring(ast.parse((PACKAGE / room / '__init__.py').read_text()))


def test_the_core_has_no_clock_no_thread_no_log_and_no_file():
    forbidden = {'time', 'datetime', 'threading', 'logging', 'os', 'pathlib', 'io', 'socket',
                 'sqlite3', 'subprocess', 'random'}
    used = {(path.name, module) for path in (PACKAGE / 'core').glob('*.py')
            for module in imports(path) if module.split('.')[0] in forbidden}
    assert not used


def test_a_file_is_short_enough_to_be_about_one_thing():
    lines = {path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines())
             for path in FILES}
    assert {name: number for name, number in lines.items() if number >= TOO_LONG} == {}


def test_every_rule_has_a_file():
    assert {key for key in MAY_IMPORT if key and not (PACKAGE / key).exists()} == set()
