"""Which nodes a parameter file speaks to, by the rules of ROS; without ROS."""

from collections.abc import Iterator
from pathlib import Path
import re
from typing import Any

import yaml

PARAMETERS = 'ros__parameters'


def useless(path: Path, node: str) -> str:
    """
    Say why a parameter file says nothing to a node.

    ROS passes over such a file without a word, and the node goes live with its defaults.

    Parameters
    ----------
    path : YAML
    node : the node's whole name, as '/left/tool_recognizer'

    Returns
    -------
    A sentence with its cure; '' if the file has parameters for the node

    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8-sig'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return f'{path}: cannot be read: {" ".join(str(error).split())}'
    addressed = list(_addressed(content))
    if any(_matches(name, node) for name in addressed):
        return ''
    whom = f'speaks to {", ".join(addressed)} alone' if addressed else f'has no {PARAMETERS}'
    return (f'{path}: {whom}, so that nothing in it reaches {node}: it starts with /**: or '
            f'{node}:, then {PARAMETERS}:')


def _addressed(content: Any, above: str = '') -> Iterator[str]:
    """Yield each name that has parameters; namespaces may stand around it."""
    if not isinstance(content, dict):
        return
    for name, section in content.items():
        if name == PARAMETERS and isinstance(section, dict) and above:
            yield above
        else:
            yield from _addressed(section, f'{above}/{str(name).strip("/")}')


def _matches(name: str, node: str) -> bool:
    pattern = re.sub(r'/\\\*(\\\*)?', lambda star: r'(/\w+)' + ('*' if star[1] else ''),
                     re.escape(name))
    return re.fullmatch(pattern, node) is not None
