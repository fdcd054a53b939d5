"""
A parameter file as ROS reads it, without ROS: for whom a section is, and what it says.

The node is given its parameters by rcl, a replay by this; so what rcl's reader does is done here,
too: later sections win over earlier ones, and a plain ``1e-3`` is a number, ``12:30`` a text.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from difflib import SequenceMatcher
from math import isinf
from pathlib import Path
import re
from typing import Any

from tool_recognizer.core.text import cut
from tool_recognizer.core.text import quoted
from tool_recognizer.parameters import BY_NAME
from tool_recognizer.parameters import PARAMETERS
from tool_recognizer.parameters import Value
from tool_recognizer.text_file import DEEPEST_YAML
from tool_recognizer.text_file import depth
from tool_recognizer.text_file import LONGEST_YAML
from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError
import yaml

NODE = 'tool_recognizer'
# What the nodes beside the recognizer declare. They cannot be asked: a node must not need what
# another one imports.
CAMERA = ('source', 'rate', 'transport', 'loop', 'clock', 'wait', 'frame_id', 'seed', 'bag_topic',
          'present_topic', 'jpeg_quality', 'light')
CONSOLE = ('recognizer', 'models.path', 'console.collection', 'console.idle_training',
           'console.host', 'console.port', 'console.token_file', 'console.locale',
           'console.outbox', 'console.undo', 'console.request_timeout', 'console.max_requests',
           'console.tls_certificate', 'console.tls_key', 'console.plain_http',
           'console.max_connections', 'console.max_connections_per_address', 'console.line',
           'console.users_file', 'console.login_hours',
           'journal.path')
OF_THE_PACKAGE = {*BY_NAME, *CAMERA, *CONSOLE}
# What every node has, so that a dump of its parameters holds it.
OF_EVERY_NODE = {'use_sim_time', 'start_type_description_service'}

# What a parameter takes, by rcl's name of its type.
TAKES = {
    'BOOL': 'true or false', 'INTEGER': 'a whole number', 'DOUBLE': 'a number with a point',
    'STRING': 'a text', 'BOOL_ARRAY': 'a list of true and false',
    'INTEGER_ARRAY': 'a list of whole numbers', 'DOUBLE_ARRAY': 'a list of numbers with a point',
    'STRING_ARRAY': 'a list of texts'}
KINDS = {bool: 'BOOL', int: 'INTEGER', float: 'DOUBLE', str: 'STRING'}
FORM = f"a parameter file has /**: or a node's name, as {NODE}:, then ros__parameters:"

# Characters of a number that a float can hold, in base 16 too.
LONGEST_NUMBER = 250

# So like must a node's name in a file be to be taken for a slip of the pen.
_ALIKE = 0.7
_PARAMETERS = 'ros__parameters'
_TRUE = {'Y', 'y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'}
_FALSE = {'N', 'n', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'}
_INTEGER = re.compile(r'[+-]?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)')
_FLOAT = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?')
_SPECIAL = re.compile(r'([+-]?)\.?(inf|infinity|nan)', re.IGNORECASE)


class ParameterError(ValueError):
    """A parameter that cannot be used, and why."""


@dataclass(frozen=True)
class Section:
    """
    What a file says to the nodes of one name.

    Attributes
    ----------
    node : their name with its namespace; ``*`` stands for one part of it, ``**`` for any number
    content : name, its line, and value of each parameter

    """

    node: str
    content: tuple[tuple[str, int, Any], ...]

    def reaches(self, node: str) -> bool:
        """Return whether it is for a node, given by its full name, as /left/tool_recognizer."""
        pattern = ''.join(r'(/\w+)*' if part == '**' else r'/\w+' if part == '*' else
                          '/' + re.escape(part) for part in self.node.strip('/').split('/'))
        return re.fullmatch(pattern, node) is not None


def read_sections(path: Path) -> list[Section]:
    """
    Read the sections of a file, in order.

    Raises
    ------
    ParameterError
        The file cannot be read, or is no parameter file.

    """
    try:
        text = read_text(path, LONGEST_YAML)
        if depth(text) > DEEPEST_YAML:
            raise ParameterError(f'{path}: is nested more than {DEEPEST_YAML} deep')
        if any(isinstance(event, yaml.AliasEvent)
               for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ParameterError(f'{path}: has an alias (*), which ROS does not read; write it '
                                 'out')
        roots = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except TextError as error:
        raise ParameterError(str(error)) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ParameterError(f'{path}: cannot be read: {" ".join(str(error).split())}') from None
    try:
        sections = [section for root in roots for section in _sections(path, '', root)]
    except RecursionError:
        raise ParameterError(f'{path}: its groups are nested too deep') from None
    if not sections:
        raise ParameterError(f'{path}: sets nothing; {FORM}')
    return sections


def astray(where: Path | str, sections: Sequence[Section], node: str) -> list[str]:
    """
    Say what a file, or a rule of a command line, does not say to a node though it seems to.

    Parameters
    ----------
    where : the file or the rule, for people
    sections : what it has
    node : the full name of the node

    Returns
    -------
    A sentence, if nothing is said to the node and the others have other names: a launch may give
    one file to several nodes. And one for each section that seems to be meant for the node, if
    none that reaches it has its name

    Raises
    ------
    ParameterError
        Nothing is said to the node, and something to one of nearly its name, or of its name in
        another namespace.

    """
    rest = [section.node for section in sections if not section.reaches(node)]
    meant = [name for name in rest if meant_for(name, node)]
    if len(rest) == len(sections):
        line = (f'{where}: sets nothing for {node}, only for {", ".join(rest)}; '
                f'name {node} there, or /**')
        if meant:
            raise ParameterError(line)
        return [line]
    if any(section.reaches(node) and _base(section.node) == _base(node) for section in sections):
        return []
    return [f'{where}: what it sets for {name} is passed over: this is {node}' for name in meant]


def meant_for(section: str, node: str) -> bool:
    """
    Tell whether a section that does not reach a node was surely meant to.

    Parameters
    ----------
    section : for whom it is
    node : the full name of the node

    Returns
    -------
    Whether the two names, without their namespaces, are the same or much alike

    >>> meant_for('recognizer', '/tool_recognizer'), meant_for('camera', '/tool_recognizer')
    (True, False)

    """
    return SequenceMatcher(None, _base(node), _base(section)).ratio() >= _ALIKE


def defaults() -> dict[str, Value]:
    """Return every parameter at its default."""
    return {parameter.name: parameter.default for parameter in PARAMETERS}


def sections_for(path: Path, namespace: str = '/', name: str = NODE
                 ) -> tuple[list[Section], list[str]]:
    """
    Read the sections of a parameter file that reach a node.

    Parameters
    ----------
    path : YAML; node name (or /**), ros__parameters, then names, with or without groups
    namespace : of the node, as /left
    name : of the node, by default the recognizer's

    Returns
    -------
    The sections; and a sentence for each that is passed over though it seems to be meant

    Raises
    ------
    ParameterError
        The file cannot be read or says nothing to the node.

    """
    node = '/'.join(['', *(part for part in namespace.split('/') if part), name])
    sections = read_sections(path)
    try:
        notes = astray(path, sections, node)
        reaching = [section for section in sections if section.reaches(node)]
        if not reaching:
            raise ParameterError(*notes)
    except ParameterError as error:
        spaces = [section.node.strip('/').rpartition('/')[0] for section in sections
                  if _base(section.node) == name and '*' not in section.node]
        raise ParameterError(
            f'{error}' + (f', or give the namespace /{spaces[0]}' if spaces else '')) from None
    return reaching, notes


def read_parameters(path: Path, namespace: str = '/') -> tuple[dict[str, Value], list[str]]:
    """
    Read what a parameter file says to the recognizer.

    Parameters
    ----------
    path : YAML; node name (or /**), ros__parameters, then names, with or without groups
    namespace : of the node, as /left

    Returns
    -------
    Name to value, of those that the file has; and a sentence for each section that is passed over
    though it seems to be meant

    Raises
    ------
    ParameterError
        The file cannot be read or says nothing to the recognizer, or a name or a value cannot be
        used.

    """
    sections, notes = sections_for(path, namespace)
    found: dict[str, Value] = {}
    for section in sections:
        for name, number, value in section.content:
            if (name in OF_EVERY_NODE or name.startswith('qos_overrides.')
                    or (name in OF_THE_PACKAGE and name not in BY_NAME)):
                continue
            found[name] = checked(name, value, f'{path}, line {number}')
    return found, notes


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
        raise ParameterError(f'{where}: there is no parameter {quoted(name)}'
                             + (f'; is {near[0]!r} meant?' if near else ''))
    kind, given = _kind(parameter.default), _kind(value)
    if given != kind:
        raise ParameterError(f'{where}: {wrong_type(name, kind, str(value))}')
    wrong = parameter.check(value)
    if wrong:
        raise ParameterError(f'{where}: {wrong}')
    known: Value = value
    return known


def wrong_type(name: str, kind: str, value: str) -> str:
    """
    Say that a value is of another type than its parameter, and the cure if it is plain.

    Parameters
    ----------
    name : of the parameter
    kind : its type, by rcl's name
    value : what came

    """
    cure = ''
    if kind == 'DOUBLE' and re.fullmatch(r'-?\d+', value):
        cure = f': write {value}.0'
    if kind == 'INTEGER' and re.fullmatch(r'-?\d+\.0', value):
        cure = f': write {value[:-2]}'
    if kind == 'STRING':
        # A bare off is a truth value, in a file and on a command line.
        known = BY_NAME.get(name)
        if known is not None and 'off' in known.choices and value == 'False':
            cure = ''': write 'off' in quotes, on a command line in two pairs: "'off'"'''
        else:
            cure = ''': put it in quotes, on a command line in two pairs: "'...'"'''
    return f'parameter {name} takes {TAKES.get(kind, kind)}, got {cut(value)}{cure}'


def _base(node: str) -> str:
    return node.rpartition('/')[2]


def _kind(value: Any) -> str:
    if isinstance(value, list):
        kinds = {_kind(entry) for entry in value} or {'DOUBLE'}  # the only lists of the table
        return kinds.pop() + '_ARRAY' if len(kinds) == 1 else 'MIXED'
    return KINDS.get(type(value), 'NONE')


def _sections(path: Path, node: str, content: yaml.Node) -> Iterator[Section]:
    """Yield the sections below a node's name, or a part of it."""
    if not isinstance(content, yaml.MappingNode):
        raise ParameterError(
            f'{path}, line {content.start_mark.line + 1}: a value before {_PARAMETERS}; {FORM}')
    for key, value in content.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ParameterError(f'{path}, line {key.start_mark.line + 1}: a name must be a text; '
                                 f'{FORM}')
        if key.value != _PARAMETERS:
            yield from _sections(path, f'{node.rstrip("/")}/{key.value}' if node else key.value,
                                 value)
        elif not isinstance(value, yaml.MappingNode) or not node:
            raise ParameterError(f'{path}, line {key.start_mark.line + 1}: {_PARAMETERS} must '
                                 f"stand under a node's name and hold parameters; {FORM}")
        else:
            if '//' in node or node.endswith('/'):
                raise ParameterError(f'{path}, line {key.start_mark.line + 1}: {node!r} is no '
                                     "node's name: it has a slash too many, and ROS refuses it")
            yield Section(node, tuple(_flat(value)))


def _flat(section: yaml.MappingNode, group: str = '') -> Iterator[tuple[str, int, Any]]:
    for key, value in section.value:
        name = f'{group}{key.value}'
        if isinstance(value, yaml.MappingNode):
            yield from _flat(value, f'{name}.')
        elif isinstance(value, yaml.SequenceNode):
            yield name, key.start_mark.line + 1, [_scalar(entry) for entry in value.value]
        else:
            yield name, key.start_mark.line + 1, _scalar(value)


def _scalar(node: yaml.Node) -> Any:
    """Read a value as rcl does, which is neither YAML 1.1 nor 1.2."""
    text = node.value
    if not isinstance(node, yaml.ScalarNode) or node.style in ('"', "'"):
        return text
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text) and len(text) <= LONGEST_NUMBER:
        sign, digits = (text[0], text[1:]) if text[0] in '+-' else ('', text)
        base = 16 if digits[:2] in ('0x', '0X') else 8 if digits[0] == '0' else 10
        whole = int(sign + digits, base)
        return whole if -2**63 <= whole < 2**63 else float(whole)
    if special := _SPECIAL.fullmatch(text):
        return float(special[1] + special[2])
    if _FLOAT.fullmatch(text) and not isinf(float(text)):
        return float(text)
    return text
