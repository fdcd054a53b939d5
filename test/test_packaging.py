import importlib
from pathlib import Path
import re
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


def test_every_executable_of_ros2_run_is_there(distribution):
    for line in distribution.entry_points['console_scripts']:
        name, module, function = re.fullmatch(r'(\w+) = ([\w.]+):(\w+)', line).groups()
        assert callable(getattr(importlib.import_module(module), function)), name


def test_everything_that_a_launch_needs_is_installed(distribution):
    installed = {path for _, paths in distribution.data_files for path in paths}
    assert {'resource/tool_recognizer', 'package.xml', 'launch/bringup.launch.py',
            'launch/replay.launch.py',
            'config/recognizer.yaml', 'config/fastdds.xml'} <= installed


def test_the_model_is_installed_with_all_that_its_licence_asks_for(distribution):
    models = ROOT / 'tool_recognizer' / 'models'
    assert 'models/*' in distribution.package_data['tool_recognizer']
    assert {path.suffix for path in models.iterdir()} >= {'.onnx', '.md'}
