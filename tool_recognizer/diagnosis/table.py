"""Facts and findings as people read them in a terminal, cut to its width."""

from collections.abc import Mapping
from collections.abc import Sequence
from textwrap import wrap

from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.judge import Finding
from tool_recognizer.diagnosis.judge import Severity

LEVELS = ('ok', 'warning', 'error', 'stale')
WORDS = {Severity.ERROR: 'ERROR', Severity.WARNING: 'WARNING', Severity.NOTE: 'note'}
# Below this nothing can be read.
NARROWEST = 40
# Of the frames that are shown in the order in which they come.
FEW = 5


def findings(found: Sequence[Finding], width: int) -> str:
    """Lay findings out, each with its cure below it."""
    lines = []
    for finding in found:
        word = WORDS[finding.severity]
        lines += _hanging(f'{word:<8}', finding.what, width)
        # A command is copied, so it is left in one piece.
        lines.append(f'{"":<8}-> {finding.cure}')
    return '\n'.join(lines)


def status(facts: Facts, width: int) -> str:
    """
    Lay out all that a node says.

    Parameters
    ----------
    facts : of a node that is there
    width : of the terminal, in columns

    """
    assert facts.node is not None
    width = max(width, NARROWEST)
    node = facts.node
    lines = [_cut(f'{node.name}  {node.state or "answers no service"}', width)]
    if node.labels:
        lines.append(_cut(f'labels  {", ".join(node.labels)}', width))
    if facts.camera:
        lines.append(_cut(f'camera  {facts.camera}  {facts.frames.rate:.1f} frames/s', width))
    total = sum(node.decisions.values())
    if total:
        lines += ['', 'decisions']
        lines += _rows({name: f'{count / total:6.1%}  {count}' for name, count in sorted(
            node.decisions.items(), key=lambda item: -item[1])}, width)
    for name, said in node.statuses.items():
        level = LEVELS[said.level] if said.level < len(LEVELS) else str(said.level)
        lines += ['', _cut(f'{name}  {level}  {said.message}', width)]
        lines += _rows(said.values, width)
    return '\n'.join(lines)


def _rows(values: Mapping[str, str], width: int) -> list[str]:
    known = {name: value for name, value in values.items() if value not in ('', 'nan', '{}')}
    names = max((len(name) for name in known), default=0)
    return [_cut(f'  {name:<{names}}  {_short(value)}', width) for name, value in known.items()]


def _short(value: str) -> str:
    """Round what is a number with a point to four figures."""
    try:
        return f'{float(value):.4g}' if '.' in value else value
    except ValueError:
        return value


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f'{line[:width - 1]}…'


def _hanging(head: str, text: str, width: int) -> list[str]:
    return [f'{head if number == 0 else " " * len(head)}{line}' for number, line in enumerate(
        wrap(text, max(width, NARROWEST) - len(head), break_long_words=False))]
