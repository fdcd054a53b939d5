import importlib
import os
from pathlib import Path
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import setuptools  # noqa: F401 (it brings distutils to Pythons that have none)
from tool_recognizer import __version__

ROOT = Path(__file__).parent.parent


@pytest.fixture
def distribution(monkeypatch):
    """Return what setup.py says, without building anything."""
    from distutils.core import run_setup
    monkeypatch.chdir(ROOT)
    return run_setup('setup.py', stop_after='init')


def test_the_version_is_the_same_everywhere(distribution):
    manifest = ElementTree.parse(ROOT / 'package.xml')
    assert manifest.findtext('version') == distribution.get_version() == __version__
    newest = re.search(r'^(\S+) \(\d{4}-\d\d-\d\d\)$', (ROOT / 'CHANGELOG.rst').read_text(), re.M)
    assert newest.group(1) == __version__


def test_every_executable_of_ros2_run_is_there(distribution):
    for line in distribution.entry_points['console_scripts']:
        name, module, function = re.fullmatch(r'(\w+) = ([\w.]+):(\w+)', line).groups()
        assert callable(getattr(importlib.import_module(module), function)), name


def test_everything_that_a_launch_needs_is_installed(distribution):
    installed = {path for _, paths in distribution.data_files for path in paths}
    assert {'resource/tool_recognizer', 'package.xml', 'launch/bringup.launch.py',
            'launch/replay.launch.py',
            'config/recognizer.yaml', 'config/fastdds.xml', 'config/foxglove-layout.json',
            'deploy/Dockerfile', 'deploy/tool_recognizer.service'} <= installed


def test_the_model_is_installed_with_all_that_its_licence_asks_for(distribution):
    models = ROOT / 'tool_recognizer' / 'models'
    assert 'models/*' in distribution.package_data['tool_recognizer']
    assert {path.name for path in models.iterdir()} >= {
        'tools.onnx', 'finder.onnx', 'README.md', 'ATTRIBUTION.md'}


def test_colcon_test_collects_the_tests_where_launch_testing_is_installed(tmp_path):
    """It imports every file by its bare name, which stops pytest at the second test_journal.py."""
    (tmp_path / 'launch_testing-1.dist-info').mkdir()
    (tmp_path / 'launch_testing-1.dist-info' / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: launch_testing\nVersion: 1\n')
    (tmp_path / 'launch_testing-1.dist-info' / 'entry_points.txt').write_text(
        '[pytest11]\nlaunch_testing = as_launch_testing\n')
    (tmp_path / 'as_launch_testing.py').write_text(
        'def pytest_collect_file(file_path):\n'
        '    if file_path.name == "test_journal.py":\n'
        '        raise ImportError(file_path)\n')
    # As colcon does it: in the package's folder, its own arguments in the environment.
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '--collect-only', '-q', 'test/programs/test_journal.py'],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {'PYTHONPATH': str(tmp_path), 'PYTEST_ADDOPTS':
                          f'--tb=short --junit-prefix=tool_recognizer -o cache_dir={tmp_path}'})
    assert done.returncode == 0, done.stdout
    assert 'tests collected' in done.stdout
