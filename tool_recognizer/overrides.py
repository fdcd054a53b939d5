"""What a command line and parameter files say to a node, and what is wrong in it."""

import re

from rclpy.exceptions import ParameterException

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
