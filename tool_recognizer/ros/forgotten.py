"""A command line that says something to ROS without ``--ros-args`` before it, and its cure."""

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
    The mended command line, the program's own arguments first; None if nothing is to be mended. A
    remapping alone, ``image_raw:=/camera``, is ROS 1's form, which rcl still takes with a warning.

    """
    own: list[str] = []
    meant: list[str] = []
    told: list[str] = []
    is_wrong = False
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == _BEGIN:
            while rest and (word := rest.pop(0)) != _END:
                told.append(word)
        elif word in _WITH_VALUE:
            meant += [word, *rest[:1]]
            del rest[:1]
            is_wrong = True
        elif word in _ALONE:
            meant.append(word)
            is_wrong = True
        elif rule := _RULE.match(word):
            is_parameter = _is_parameter(rule['name'])
            meant += ['-p' if is_parameter else '-r', word]
            is_wrong = is_wrong or is_parameter
        else:
            own.append(word)
    return [*own, _BEGIN, *meant, *told] if is_wrong else None


def _is_parameter(name: str) -> bool:
    """Tell whether it is the name of a parameter rather than of a topic, if misspelt a little."""
    plain = name.rpartition(':')[2]
    return '.' in plain or bool(get_close_matches(plain, OF_THE_PACKAGE, 1, 0.85))
