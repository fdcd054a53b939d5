"""
What tests of the launch files share: the real `ros2 launch`, with the installed package.

They are skipped where it is missing, so they run under `colcon test`.
"""

import os
import re
import shutil
import subprocess

from ament_index_python.packages import get_package_share_directory
import pytest
from tool_recognizer.ros.fast_dds import VARIABLES

REASON = 'launch is on no package index: source ROS 2 Jazzy and run colcon test'
pytest.importorskip('launch_ros', reason=REASON)
if shutil.which('ros2') is None:
    pytest.skip(REASON, allow_module_level=True)


def installed(package):
    """Tell whether a package is."""
    try:
        get_package_share_directory(package)
    except (LookupError, OSError):
        return False
    return True


if not installed('tool_recognizer'):
    pytest.skip('tool_recognizer is not installed: run colcon test', allow_module_level=True)


class Launched:
    """
    A running `ros2 launch`, and what it has printed.

    Parameters
    ----------
    log : where that goes
    file : of the package, or a path
    arguments : of the launch file

    """

    def __init__(self, log, file, *arguments):
        self._log = log
        # The tests' own Fast DDS profile stays here: the launch has to see to that itself.
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        where = [str(file)] if os.path.isabs(file) else ['tool_recognizer', file]
        with log.open('w') as output:
            self.process = subprocess.Popen(
                ['ros2', 'launch', *where, *arguments], env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    @property
    def output(self):
        return self._log.read_text()

    @property
    def started(self):
        """Return the process ids of the recognizer, one for each start."""
        return [int(pid) for pid in re.findall(
            r'\[recognizer-\d+\]: process started with pid \[(\d+)\]', self.output)]

    def wait(self):
        """Return the exit status, once it has ended by itself."""
        return self.process.wait(timeout=120.0)
