"""A command line with ROS arguments but without ``--ros-args``, and its correction."""

from collections.abc import Sequence
from difflib import get_close_matches
import re

from tool_recognizer.parameter_file import OF_THE_PACKAGE

_BEGIN, _END = '--ros-args', '--'
# What stands after --ros-args, with a value and without.
_WITH_VALUE = ('-p', '--param', '-r', '--remap', '--params-file', '--log-level',
               '--log-config-file', '--log-file-name', '-e', '--enclave')
_ALONE = tuple(f'--{verb}-{sink}-logs' for verb in ('enable', 'disable')
               for sink in ('rosout', 'stdout', 'external-lib'))
_RULE = re.compile(r'(?P<name>[~/\w{][^\s=]*):=')


def mend(arguments: Sequence[str]) -> list[str] | None:
    """
    Put what is meant for ROS behind ``--ros-args``.

    Parameters
    ----------
    arguments : of a node's program

    Returns
    -------
    The corrected command line, the program's own arguments first; None if it is right. A
    remapping alone, ``image_raw:=/camera``, is ROS 1's form; rcl still takes it with a warning.

    """
    own: list[str] = []
    meant: list[str] = []
    given: list[str] = []
    is_wrong = False
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == _BEGIN:
            while rest and (argument := rest.pop(0)) != _END:
                given.append(argument)
        elif argument in _WITH_VALUE:
            meant += [argument, *rest[:1]]
            del rest[:1]
            is_wrong = True
        elif argument in _ALONE:
            meant.append(argument)
            is_wrong = True
        elif rule := _RULE.match(argument):
            is_parameter = _is_parameter(rule['name'])
            meant += ['-p' if is_parameter else '-r', argument]
            is_wrong = is_wrong or is_parameter
        else:
            own.append(argument)
    return [*own, _BEGIN, *meant, *given] if is_wrong else None


def _is_parameter(name: str) -> bool:
    """Tell whether it names a parameter rather than a topic, perhaps slightly misspelt."""
    plain = name.rpartition(':')[2]
    return '.' in plain or bool(get_close_matches(plain, OF_THE_PACKAGE, 1, 0.85))
