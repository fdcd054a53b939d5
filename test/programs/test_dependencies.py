"""What is said when something that a program needs is missing or too old, and what that is."""

from importlib import import_module
from pathlib import Path
import re
import subprocess
import sys
import sysconfig
from xml.etree import ElementTree

import pytest
import scipy
from tool_recognizer.programs import dependencies
from tool_recognizer.programs.dependencies import explain
from tool_recognizer.programs.dependencies import outdated
from tool_recognizer.programs.dependencies import PACKAGES
from tool_recognizer.programs.dependencies import ROS
import yaml

ROOT = Path(__file__).parent.parent.parent


def pins(*files):
    """Read pinned versions: {name as pip has it: the oldest}."""
    found = {}
    for file in files:
        for name, version in re.findall(r'^([\w.-]+)==([\w.]+)', file.read_text(), re.MULTILINE):
            found.setdefault(name.lower().replace('_', '-'), []).append(version)
    return {name: min(versions, key=dependencies._numbers) for name, versions in found.items()}


def test_the_oldest_versions_are_those_of_ubuntu_or_the_oldest_that_are_tried():
    ubuntu = pins(ROOT / 'requirements' / 'noble.txt')
    tried = pins(*(ROOT / 'requirements').glob('pins-*.txt'), ROOT / 'requirements' / 'noble.txt')
    for package in PACKAGES.values():
        known = ubuntu if package.apt else tried
        pinned = known[package.pypi.lower()]
        # The wheels of OpenCV have a number more.
        assert pinned == package.oldest or pinned.startswith(f'{package.oldest}.'), package


def test_what_is_installed_here_is_new_enough():
    for module in PACKAGES:
        import_module(module)
    assert list(outdated()) == []


def failure(statement):
    """Return the ImportError of a statement."""
    with pytest.raises(ImportError) as failed:
        exec(statement)
    return failed.value


def test_a_name_that_a_package_is_too_old_for_tells_both_versions(monkeypatch):
    error = failure('from scipy.sparse import of_a_newer_version')
    monkeypatch.setattr(scipy, '__version__', '1.9.1rc2')
    said = explain(error)
    assert "cannot import name 'of_a_newer_version' from 'scipy.sparse'" in said
    assert 'scipy is 1.9.1rc2, and 1.11.4 or newer is needed; pip install ' in said
    assert said.endswith('scipy (Ubuntu: apt install python3-scipy)')
    assert list(outdated()) == [said.split(': ', maxsplit=1)[1]]


def test_a_package_that_is_new_enough_and_still_fails_is_not_called_too_old():
    said = explain(failure('from scipy.sparse import of_no_version'))
    assert f'scipy {scipy.__version__} is not whole, or does not fit (1.11.4 or newer' in said


@pytest.mark.parametrize('name', sorted(ROS))
def test_only_the_modules_of_ros_are_looked_for_in_ros(monkeypatch, name):
    error = ModuleNotFoundError(f'No module named {name!r}', name=name)
    monkeypatch.delenv('ROS_DISTRO', raising=False)
    assert explain(error) == (f'No module named {name!r}; source a ROS 2 Jazzy environment, '
                              'or use make demo, which makes one in .venv')
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    assert explain(error).endswith(f'; apt install ros-jazzy-{name.replace("_", "-")}')


def test_what_nobody_here_names_and_what_is_ours_are_explained_as_that():
    assert 'install what is missing' in explain(failure('import no_such_module'))
    assert 'build or install it anew' in explain(failure('import tool_recognizer.no_such_room'))


def test_where_pip_refuses_the_command_is_one_that_works(monkeypatch, tmp_path):
    error = ModuleNotFoundError("No module named 'rosbags'", name='rosbags')
    monkeypatch.setattr(sys, 'prefix', sys.base_prefix)
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path))
    assert explain(error).endswith('; pip install rosbags')
    (tmp_path / 'EXTERNALLY-MANAGED').touch()
    assert explain(error).endswith('; pip install --break-system-packages rosbags')


def test_every_program_starts_without_onnx():
    """Ubuntu has no onnx, and rosdep no key for it; only the tests write models with it."""
    subprocess.run([sys.executable, '-c', """
import sys
sys.modules['onnx'] = None
import importlib
from tool_recognizer.__main__ import PROGRAMS
for program in PROGRAMS:
    importlib.import_module(f'tool_recognizer.programs.{program}')
"""], check=True)


def test_rosdep_installs_everything_that_is_imported():
    """What each key stands for on Ubuntu 24.04 is recorded in rosdep-noble.yaml."""
    known = yaml.safe_load((Path(__file__).parent / 'rosdep-noble.yaml').read_text())
    manifest = ElementTree.parse(ROOT / 'package.xml')
    asked = {element.text: element.tag for element in manifest.iter()
             if element.tag.endswith('depend')}
    assert asked.keys() <= {key for keys in known.values() for key in keys}
    needed = [key for key, tag in asked.items() if tag == 'exec_depend']
    assert ROS - {'builtin_interfaces'} <= set(needed)  # all messages bring these
    for package in PACKAGES.values():
        if package.apt:
            assert package.apt in {known['apt'].get(key) for key in needed}
        else:
            assert package.pypi in {known['pip'].get(key) for key in needed}
