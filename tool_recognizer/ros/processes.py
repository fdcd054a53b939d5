"""The recognizers that run on this machine, and the variables by which ROS connects them."""

from pathlib import Path

from tool_recognizer.diagnosis.facts import Process
from tool_recognizer.ros.fast_dds import VARIABLES

READ_BY_ROS = ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_STATIC_PEERS',
               'ROS_LOCALHOST_ONLY', 'RMW_IMPLEMENTATION', *VARIABLES)


def recognizers(proc: Path = Path('/proc')) -> tuple[Process, ...]:
    """
    Find them among the processes that we may read.

    Parameters
    ----------
    proc : where the system lists its processes; if it does not, none is found

    """
    found = []
    for folder in sorted(proc.glob('[0-9]*'), key=lambda folder: int(folder.name)):
        try:
            command = (folder / 'cmdline').read_text(errors='replace').split('\0')
            if not _is_recognizer(command):
                continue
            environment = dict(entry.partition('=')[::2] for entry in (
                folder / 'environ').read_text(errors='replace').split('\0'))
        except OSError:  # it has just ended, or belongs to another user
            continue
        found.append(Process(int(folder.name), {
            name: environment[name] for name in READ_BY_ROS if name in environment}))
    return tuple(found)


def _is_recognizer(command: list[str]) -> bool:
    """Tell whether ``python3 -m``, ``ros2 run`` or a launch file would start one like this."""
    return any(part.endswith('lib/tool_recognizer/recognizer')
               or (part == 'tool_recognizer' and command[number - 1:number] == ['-m']
                   and command[number + 1:number + 2] == ['recognizer'])
               for number, part in enumerate(command)) or any(
        part.endswith('tool_recognizer/__main__.py')
        and command[number + 1:number + 2] == ['recognizer']
        for number, part in enumerate(command))
