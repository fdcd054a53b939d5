"""The recognizers that run on this machine, and the variables that say whom they hear."""

from pathlib import Path

from tool_recognizer.diagnosis.facts import Process
from tool_recognizer.ros.fast_dds import VARIABLES

READ_BY_ROS = ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_STATIC_PEERS',
               'ROS_LOCALHOST_ONLY', 'RMW_IMPLEMENTATION', *VARIABLES)


def recognizers(proc: Path = Path('/proc')) -> tuple[Process, ...]:
    """
    Look for them among the processes that we may look at.

    Parameters
    ----------
    proc : where the system shows them; where it does not, none is found

    """
    found = []
    for folder in sorted(proc.glob('[0-9]*'), key=lambda folder: int(folder.name)):
        try:
            words = (folder / 'cmdline').read_text(errors='replace').split('\0')
            if not _is_recognizer(words):
                continue
            environment = dict(entry.partition('=')[::2] for entry in (
                folder / 'environ').read_text(errors='replace').split('\0'))
        except OSError:  # it has just ended, or is somebody else's
            continue
        found.append(Process(int(folder.name), {
            name: environment[name] for name in READ_BY_ROS if name in environment}))
    return tuple(found)


def _is_recognizer(words: list[str]) -> bool:
    """Tell whether it is one as ``python3 -m``, ``ros2 run`` or a launch file starts it."""
    return any(word.endswith('lib/tool_recognizer/recognizer')
               or (word == 'tool_recognizer' and words[number - 1:number] == ['-m']
                   and words[number + 1:number + 2] == ['recognizer'])
               for number, word in enumerate(words)) or any(
        word.endswith('tool_recognizer/__main__.py')
        and words[number + 1:number + 2] == ['recognizer'] for number, word in enumerate(words))
