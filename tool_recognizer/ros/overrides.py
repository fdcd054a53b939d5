"""What a command line and parameter files say to a node: what is wrong in it, or for nobody."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
import re
from typing import Any

from rclpy.exceptions import ParameterException
from tool_recognizer.parameters import BY_NAME

# What the nodes beside the recognizer declare. They cannot be asked: a node must not need what
# another one imports.
CAMERA = ('source', 'rate', 'transport', 'loop', 'clock', 'wait', 'frame_id', 'seed', 'bag_topic',
          'jpeg_quality', 'light')
CONSOLE = ('recognizer', 'console.host', 'console.port', 'console.token_file', 'console.locale',
           'console.outbox', 'console.undo', 'console.request_timeout', 'console.max_requests',
           'journal.path')
OF_THE_PACKAGE = {*BY_NAME, *CAMERA, *CONSOLE}

# rclpy tells what is wrong in words alone.
_TYPE = re.compile(r"Trying to set parameter '(.*?)' to '(.*)' of type '\w+', expecting type "
                   r"'(\w+)'", re.DOTALL)
_RANGE = re.compile(r'Parameter (\S+) out of range\.? Min: (\S+), Max: (\S+), value: (\S+):')
_TAKES = {
    'BOOL': 'true or false', 'INTEGER': 'a whole number', 'DOUBLE': 'a number with a point',
    'STRING': 'a text', 'BOOL_ARRAY': 'a list of true and false',
    'INTEGER_ARRAY': 'a list of whole numbers', 'DOUBLE_ARRAY': 'a list of numbers with a point',
    'STRING_ARRAY': 'a list of texts'}
# Where in rcl's source an error was found: that helps nobody to mend it.
_SOURCE = re.compile(r',?\s+at \S+:\d+')


def unreadable(error: Exception) -> str:
    """Say what in the ROS arguments or in a file that they name cannot be read."""
    cure = ('; a parameter is given as -p NAME:=VALUE, an empty text as -p "NAME:=\'\'"'
            if 'parameter override rule' in str(error) else '')
    return _SOURCE.sub('', str(error)) + cure


def explain(error: ParameterException) -> str:
    """Say which parameter an override got wrong, what it takes, what came, and the cure."""
    text = str(error)
    if match := _TYPE.search(text):
        name, value, kind = match.groups()
        return (f'parameter {name} takes {_TAKES.get(kind, kind)}, got {value}'
                + _cure(kind, value))
    if match := _RANGE.search(text):
        name, low, high, value = match.groups()
        return f'parameter {name} takes {low} .. {high}, got {value}'
    return text


def _cure(kind: str, value: str) -> str:
    if kind == 'DOUBLE' and re.fullmatch(r'-?\d+', value):
        return f': write {value}.0'
    if kind == 'INTEGER' and re.fullmatch(r'-?\d+\.0', value):
        return f': write {value[:-2]}'
    if kind == 'STRING':
        return ''': put it in quotes, on a command line in two pairs: "'...'"'''
    return ''


def unknown(node: Any, arguments: Sequence[str]) -> list[str]:
    """
    Say of each override that the node has no such parameter.

    A parameter file may be meant for several nodes. So what another node of this package knows is
    passed over, unless it is said to this one with ``-p``.

    Parameters
    ----------
    node : with all of its parameters declared
    arguments : of its process

    Returns
    -------
    A sentence for each, with the name that is most like it, if any is

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
