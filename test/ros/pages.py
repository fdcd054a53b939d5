"""The fenced blocks of the README and of docs/, and which of them cannot be run here."""

from pathlib import Path
import re
import shlex
import shutil

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]

ROS_2 = 'needs a machine with ROS 2 and a workspace'
TORCH = 'needs PyTorch, all photographs and nine minutes'
# How a command that is not run begins, and why it is not.
NOT_HERE = {
    r'sudo |echo .* \| sudo |journalctl ': 'changes the machine, or reads what is there only then',
    r'docker ': 'needs the image, which nothing here can build',
    r'(PIP_BREAK_SYSTEM_PACKAGES=1 )?rosdep |(python3 -m )?colcon |source install/': ROS_2,
    r'export FASTRTPS_|python3 -m venv --system|pip install onnxruntime': ROS_2,
    r'export ROS_SECURITY_|ros2 security ': 'needs sros2, and a ROS 2 built with security',
    r'ros2 bag record ': 'needs rosbag2; test_record_and_replay.py records without it',
    r'ros2 launch foxglove_bridge ': 'needs foxglove_bridge',
    r'source \.venv/': 'the tests run in such an environment already',
    r'make demo CAMERA=/dev/video0': 'needs a camera',
    r'export PYTHONPATH=|python3 tools/|.* train (photos/train|chosen) ': TORCH,
    r'.* tool_recognizer collect ': 'needs a camera; test_collect.py collects',
    r'make bench ': 'takes minutes, on a machine that does nothing else',
    r'import timm': TORCH,
}
for tool in ('openssl', 'sqlite3', 'systemd-analyze'):
    if shutil.which(tool) is None:
        NOT_HERE[rf'{tool} '] = 'is not installed'
if shutil.which('ros2'):
    NOT_HERE['make demo'] = 'is for machines without ROS; test_demo.py starts the demo itself'
# These are not run either, but what they name must exist: see test_docs.py.
LAUNCH = r'ros2 launch tool_recognizer '
ASKS_THE_NODE = r'ros2 (topic|service|param) '
# These are run while a recognizer is up.
TELLS_THE_NODE = r'(python3 -m|ros2 run) tool_recognizer (doctor|status|call|set)\b'


def blocks(page):
    """Return each fenced block of a page: (language, text)."""
    found = re.findall(r'^```(.*?)\n(.*?)^```$', page.read_text(), re.M | re.S)
    return [(language, text) for language, text in found if not language.startswith('{')]


def commands(page):
    """Return each command of a page's shell blocks, without the line breaks within it."""
    found = []
    for language, text in blocks(page):
        if language in ('', 'bash'):
            command = ''
            for line in text.replace('\\\n', ' ').splitlines():
                command = f'{command} {re.sub(" +#.*", "", line)}'.strip()
                try:
                    words = shlex.split(command, comments=True)
                except ValueError:  # within quotes
                    continue
                if words:
                    found.append(command)
                command = ''
    return found


def every_command():
    return [command for page in PAGES for command in commands(page)]


def is_run(command):
    return not any(re.match(pattern, command)
                   for pattern in (*NOT_HERE, LAUNCH, ASKS_THE_NODE, TELLS_THE_NODE))
