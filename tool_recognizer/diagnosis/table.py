"""Facts and findings as lines that people read in a terminal."""

from collections.abc import Mapping
from collections.abc import Sequence
from textwrap import wrap

from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.finding import Finding
from tool_recognizer.diagnosis.finding import Severity

LEVELS = ('ok', 'warning', 'error', 'stale')
WORDS = {Severity.ERROR: 'ERROR', Severity.WARNING: 'WARNING', Severity.NOTE: 'note'}
# Below this nothing can be read.
NARROWEST = 40


def findings(found: Sequence[Finding], width: int | None) -> list[str]:
    """
    Lay findings out in lines, each finding with its cure below it.

    Parameters
    ----------
    found : the findings
    width : columns that the sentences are folded to; None: each is one line

    """
    lines = []
    for finding in found:
        head = f'{WORDS[finding.severity]:<8}'
        folded = [finding.what] if width is None else wrap(
            finding.what, max(width, NARROWEST) - len(head), break_long_words=False)
        lines += [f'{head if number == 0 else " " * len(head)}{line}'
                  for number, line in enumerate(folded)]
        # A command is copied, so it is left in one piece.
        lines.append(f'{"":<8}-> {finding.cure}')
    return lines


def status(facts: Facts) -> list[str]:
    """
    Lay out in lines all of a node's statuses.

    Parameters
    ----------
    facts : of a node that is there

    """
    assert facts.node is not None
    node = facts.node
    lines = [f'{node.name}  {node.state or "answers no service"}']
    if node.labels:
        lines.append(f'labels  {", ".join(node.labels)}')
    if facts.camera:
        lines.append(f'camera  {facts.camera}  {facts.frames.rate:.1f} frames/s')
    total = sum(node.decisions.values())
    if total:
        lines += ['', 'decisions']
        lines += _rows({name: f'{count / total:6.1%}  {count}' for name, count in sorted(
            node.decisions.items(), key=lambda item: -item[1])})
    for name, said in node.statuses.items():
        level = LEVELS[said.level] if said.level < len(LEVELS) else str(said.level)
        lines += ['', f'{name}  {level}  {said.message}']
        lines += _rows(said.values)
    return lines


def _rows(values: Mapping[str, str]) -> list[str]:
    known = {name: value for name, value in values.items() if value not in ('', 'nan', '{}')}
    names = max((len(name) for name in known), default=0)
    return [f'  {name:<{names}}  {_short(value)}' for name, value in known.items()]


def _short(value: str) -> str:
    """Round what is a number with a point to four figures."""
    try:
        return f'{float(value):.4g}' if '.' in value else value
    except ValueError:
        return value
