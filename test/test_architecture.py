"""
The layout: three rings, one direction; programs -> adapters -> core.

A new file joins by saying here what it may import, and why is then a matter of review.
"""

import ast
from pathlib import Path
import sys

import pytest

PACKAGE = Path(__file__).parent.parent / 'tool_recognizer'
FILES = sorted(PACKAGE.rglob('*.py'))

ROS = {'rclpy', 'rcl_interfaces', 'builtin_interfaces', 'diagnostic_msgs', 'lifecycle_msgs',
       'rosgraph_msgs', 'sensor_msgs', 'std_msgs', 'std_srvs', 'vision_msgs'}
# What a file may import beside the standard library and its own ring; a folder speaks for all.
MAY_IMPORT = {
    'core': {'numpy'},
    'core/calibration.py': {'numpy', 'scipy'},
    'core/softmax_regression.py': {'numpy', 'scipy'},
    'core/preprocessing.py': {'numpy', 'cv2'},
    'adapters': {'numpy', 'cv2'},
    'adapters/from_ros.py': {'numpy', 'cv2', 'cv_bridge'},
    'adapters/to_ros.py': ROS,
    'adapters/onnx_model.py': {'numpy', 'onnxruntime'},
    'adapters/model_file.py': {'numpy', 'onnx', 'onnxruntime'},
    # compression: the standard library's zstd, from Python 3.14 on.
    'adapters/bag.py': {'rosbags', 'backports', 'compression', 'yaml'},
    'adapters/bag_salvage.py': {'lz4', 'backports', 'compression'},
    'adapters/bag_writer.py': {'rosbags'},
    'adapters/replay_report.py': {'numpy', 'cv2', 'matplotlib'},
    'console': {'numpy'},
    'console/app.py': {'starlette'},
    'console/metrics.py': {'prometheus_client'},
    'console/server.py': {'uvicorn'},
    'recognizer': ROS,
    'recognizer_node.py': ROS,
    'console_node.py': ROS,
    'camera_node.py': ROS | {'cv2'},
    'recorder_node.py': ROS,
    'demo.py': ROS | {'numpy'},
    'running.py': {'rclpy'},
    'overrides.py': {'rclpy'},
    'fast_dds.py': {'ament_index_python'},
    'train.py': {'numpy', 'cv2'},
    'evaluate.py': {'numpy'},
    'cluster.py': {'distributed'},
    'parameter_file.py': {'yaml'},
    'replay_result.py': {'numpy'},
    'replay_run.py': {'numpy'},
    'engine.py': {'numpy'},
    'shadow.py': {'numpy'},
    'model.py': {'numpy'},
    '': set(),
}
RINGS = {'core': {'core'}, 'adapters': {'core', 'adapters'},
         'console': {'core', 'adapters', 'console'},
         'recognizer': {'core', 'adapters', 'engine', 'parameters', 'recognizer'}}


def imports(path):
    """Every module that a file imports, at its top or within a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            yield node.module
            if node.module == 'tool_recognizer.adapters':
                yield from (f'{node.module}.{alias.name}' for alias in node.names)


def place(path):
    relative = path.relative_to(PACKAGE).as_posix()
    return next(key for key in (relative, relative.split('/')[0], '') if key in MAY_IMPORT)


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_file_imports_only_what_it_may(path):
    allowed = MAY_IMPORT[place(path)] | set(sys.stdlib_module_names) | {'tool_recognizer'}
    foreign = {module for module in imports(path) if module.split('.')[0] not in allowed}
    assert not foreign


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_dependencies_point_inwards(path):
    ring = path.relative_to(PACKAGE).as_posix().split('/')[0]
    inner = RINGS.get(ring)
    outward = {module for module in imports(path)
               if inner and module.startswith('tool_recognizer.')
               and module.split('.')[1] not in inner}
    assert not outward


def test_the_core_has_no_clock_no_thread_no_log_and_no_file():
    forbidden = {'time', 'datetime', 'threading', 'logging', 'os', 'pathlib', 'io', 'socket',
                 'sqlite3', 'subprocess', 'random'}
    used = {(path.name, module) for path in (PACKAGE / 'core').glob('*.py')
            for module in imports(path) if module.split('.')[0] in forbidden}
    assert not used


def test_every_rule_has_a_file():
    assert {key for key in MAY_IMPORT if key and not (PACKAGE / key).exists()} == set()
