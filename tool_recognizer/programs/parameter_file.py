"""The recognizer's parameters from a file as ROS reads it, without ROS."""

from collections.abc import Iterator
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tool_recognizer.parameters import BY_NAME
from tool_recognizer.parameters import PARAMETERS
from tool_recognizer.parameters import Value
from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError
import yaml

NODES = ('/**', 'tool_recognizer', '/tool_recognizer', '/**/tool_recognizer')


class ParameterError(ValueError):
    """A parameter that cannot be used, and why."""


def defaults() -> dict[str, Value]:
    """Return every parameter at its default."""
    return {parameter.name: parameter.default for parameter in PARAMETERS}


def read_parameters(path: Path) -> dict[str, Value]:
    """
    Read what a parameter file says to the recognizer.

    Parameters
    ----------
    path : YAML; node name (or /**), ros__parameters, then names, with or without groups

    Returns
    -------
    Name to value, of those that the file has

    Raises
    ------
    ParameterError
        The file cannot be read, or a name or a value cannot be used.

    """
    try:
        content = yaml.safe_load(read_text(path))
    except TextError as error:
        raise ParameterError(str(error)) from None
    except yaml.YAMLError as error:
        raise ParameterError(f'{path}: cannot be read: {" ".join(str(error).split())}') from None
    if not isinstance(content, dict):
        raise ParameterError(f'{path}: is no parameter file; it starts with /**: and '
                             'ros__parameters:')
    found: dict[str, Value] = {}
    for node in NODES:
        section = content.get(node)
        if isinstance(section, dict) and isinstance(section.get('ros__parameters'), dict):
            found |= {name: checked(name, value, str(path))
                      for name, value in _flat(section['ros__parameters'])
                      if name != 'use_sim_time' and not name.startswith('qos_overrides.')}
    return found


def checked(name: str, value: Any, where: str) -> Value:
    """
    Hold a value against the table of parameters.

    Raises
    ------
    ParameterError
        There is no such parameter, or its value has another type or is out of its range.

    """
    parameter = BY_NAME.get(name)
    if parameter is None:
        near = get_close_matches(name, BY_NAME, 1)
        raise ParameterError(f'{where}: there is no parameter {name!r}'
                             + (f'; is {near[0]!r} meant?' if near else ''))
    kind = type(parameter.default)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ParameterError(f'{where}: {name} must be a {kind.__name__}, got {value!r}')
    wrong = parameter.check(value)
    if wrong:
        raise ParameterError(f'{where}: {wrong}')
    known: Value = value
    return known


def _flat(section: Mapping[str, Any], group: str = '') -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{group}{name}.')
        else:
            yield f'{group}{name}', value
