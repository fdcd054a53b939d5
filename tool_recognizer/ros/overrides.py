"""Mistakes in a node's command line and parameter files, and what in them has no effect."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
import re
from typing import Any

from rclpy.exceptions import ParameterException
from tool_recognizer.parameter_file import astray
from tool_recognizer.parameter_file import FORM
from tool_recognizer.parameter_file import OF_THE_PACKAGE
from tool_recognizer.parameter_file import ParameterError
from tool_recognizer.parameter_file import read_sections
from tool_recognizer.parameter_file import Section
from tool_recognizer.parameter_file import wrong_type

# rclpy says what is wrong only in its message.
_TYPE = re.compile(r"Trying to set parameter '(.*?)' to '(.*)' of type '\w+', expecting type "
                   r"'(\w+)'", re.DOTALL)
_RANGE = re.compile(r'Parameter (\S+) out of range\.? Min: (\S+), Max: (\S+), value: (\S+):')
# The place in rcl's source where an error was found, which helps no user.
_SOURCE = re.compile(r',?\s+at \S+:\d+')


def unreadable(error: Exception) -> str:
    """Say what in the ROS arguments or in a file that they name cannot be read."""
    cure = ('; a parameter is given as -p NAME:=VALUE, an empty text as -p "NAME:=\'\'"'
            if 'parameter override rule' in str(error) else
            f'; {FORM}' if 'before ros__parameters' in str(error) else '')
    return _SOURCE.sub('', str(error)) + cure


def explain(error: ParameterException) -> str:
    """Say which parameter an override got wrong, what it takes, what came, and what helps."""
    text = str(error)
    if match := _TYPE.search(text):
        name, value, kind = match.groups()
        return wrong_type(name, kind, value)
    if match := _RANGE.search(text):
        name, low, high, value = match.groups()
        return f'parameter {name} takes {low} .. {high}, got {value}'
    return text


def unknown(node: Any, arguments: Sequence[str]) -> list[str]:
    """
    Say of each override that the node has no such parameter.

    A parameter file may be meant for several nodes. So what another node of this package knows is
    passed over, unless it is given to this one with ``-p``.

    Parameters
    ----------
    node : with all of its parameters declared
    arguments : of its process

    Returns
    -------
    A sentence for each, with the most similar name, if there is one

    """
    declared = node.get_parameters_by_prefix('')
    said = {rule.partition(':=')[0].rpartition(':')[2]
            for option, rule in pairwise(arguments)
            if option in ('-p', '--param')}
    sentences = []
    # There is no public way to them that leaves the node as it is.
    for name in getattr(node, '_parameter_overrides', {}):
        # A quality of service is declared only with the topic that it is for.
        if name in declared or name.startswith('qos_overrides.') or (
                name in OF_THE_PACKAGE and name not in said):
            continue
        near = get_close_matches(name, declared, 1)
        sentences.append(f'parameter {name} is not known and changes nothing'
                         + (f'; did you mean {near[0]}?' if near else ''))
    return sentences


def elsewhere(node: Any, arguments: Sequence[str]) -> list[str]:
    """
    Say of each parameter file, and each ``-p NODE:NAME:=VALUE``, that it is for others.

    Parameters
    ----------
    node : the node
    arguments : of its process

    Returns
    -------
    The sentences of ``astray``

    Raises
    ------
    ParameterError
        As ``astray`` does.

    """
    name = node.get_fully_qualified_name()
    sentences = []
    for option, value in pairwise(arguments):
        if option == '--params-file':
            try:
                sections = read_sections(Path(value))
            except ParameterError as error:  # rcl has read something
                sentences.append(str(error))
            else:
                sentences += astray(value, sections, name)
        elif option in ('-p', '--param') and (
                other := value.partition(':=')[0].rpartition(':')[0]):
            sentences += astray(f'{option} {value}', [Section(other, ())], name)
    return sentences
