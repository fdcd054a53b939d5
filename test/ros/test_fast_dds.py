"""The transport profile that a node chooses where its user has chosen none."""

import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest
from tool_recognizer.ros import fast_dds
from tool_recognizer.ros.fast_dds import VARIABLES
from tool_recognizer.ros.fast_dds import wanted

PROFILE = Path(__file__).parent.parent.parent / 'config' / 'fastdds.xml'
SEGMENT = 64 << 20


@pytest.mark.parametrize(('environment', 'named'), [
    ({}, True),
    ({'RMW_IMPLEMENTATION': ''}, True),
    ({'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp'}, True),
    ({'RMW_IMPLEMENTATION': 'rmw_fastrtps_dynamic_cpp'}, True),
    ({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, False),
    ({'FASTDDS_DEFAULT_PROFILES_FILE': '/of/the/user.xml'}, False),
    ({'FASTRTPS_DEFAULT_PROFILES_FILE': '/of/the/user.xml'}, False),
    ({'FASTRTPS_DEFAULT_PROFILES_FILE': ''}, True)])
def test_our_profile_is_named_only_where_the_user_has_named_none(environment, named):
    assert wanted(environment) == ({VARIABLES[0]: str(PROFILE)} if named else {})


def test_the_installed_profile_is_found_by_an_installed_package(tmp_path, monkeypatch):
    prefix = tmp_path / 'install'
    config = prefix / 'share' / 'tool_recognizer' / 'config'
    config.mkdir(parents=True)
    shutil.copy(PROFILE, config)
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True)
    (index / 'tool_recognizer').touch()
    monkeypatch.setattr(fast_dds, '__file__', str(tmp_path / 'site' / 'package' / 'fast_dds.py'))
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(prefix))
    assert wanted({}) == {VARIABLES[0]: str(config / 'fastdds.xml')}
    monkeypatch.delenv('AMENT_PREFIX_PATH')
    assert wanted({}) == {}


def test_a_node_that_is_started_by_hand_has_shared_memory_for_frames():
    """Each participant has a segment, whose file the process holds mapped."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    largest = """
import sys
from rclpy.node import Node
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.running import Finished, run_node

class Measuring(Node):
    def __init__(self):
        super().__init__('measuring')
        sizes = [0]
        for line in open('/proc/self/maps'):
            if '/dev/shm/fastrtps_' in line:
                start, end = line.split()[0].split('-')
                sizes.append(int(end, 16) - int(start, 16))
        print(max(sizes))
        self.create_timer(0.01, self.end)

    def end(self):
        raise Finished

sys.exit(run_node(Measuring, Parser('measuring', 'measure', ()), []))
"""
    done = subprocess.run([sys.executable, '-c', largest], env=environment, text=True,
                          capture_output=True, check=False, cwd=PROFILE.parent.parent)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= SEGMENT
