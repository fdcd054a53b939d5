"""The program ``doctor``: looks at a recognizer from outside and says what is wrong."""

import argparse
from dataclasses import asdict
import json
import os
import sys

from tool_recognizer.diagnosis import table
from tool_recognizer.diagnosis.judge import is_healthy
from tool_recognizer.diagnosis.judge import judge
from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.arguments import starter
from tool_recognizer.programs.target import add_target
from tool_recognizer.programs.target import full_name
from tool_recognizer.terminal.terminal import Terminal

SUMMARY = 'say why nothing is happening, and what mends it'
SCHEMA = 1


def main(argv: list[str] | None = None) -> int:
    """Observe, and say what is wrong; return 0 if nothing is, 1 if something is."""
    parser = Parser('doctor', SUMMARY, (
        'doctor', 'doctor --namespace left', 'doctor --seconds 10 --json'))
    add_target(parser)
    parser.add_argument('--seconds', type=in_range(1.0, 600.0), default=5.0,
                        help='to listen, 1 to 600 (default: 5)')
    parser.add_argument('--json', action='store_true', help='the findings as JSON')
    return run_program(_look, parser, (ValueError,), argv)


def _look(arguments: argparse.Namespace) -> int:
    # Imported only now: --help needs no ROS.
    from tool_recognizer.ros.observer import observe
    facts = observe(full_name(arguments), arguments.seconds,
                    bool(arguments.node or arguments.namespace))
    found = judge(facts, starter())
    healthy = is_healthy(found)
    name = facts.node.name if facts.node else facts.wanted
    if arguments.json:
        print(json.dumps({
            'schema': SCHEMA, 'node': name, 'healthy': healthy, 'findings': [
                {**asdict(finding), 'severity': finding.severity.name.lower()}
                for finding in found]}, indent=2))
        return 0 if healthy else 1
    terminal = Terminal(sys.stdout, os.environ)
    size = terminal.size()
    for line in table.findings(found, None if size is None else size.columns):
        print(terminal.visible(line))
    if healthy:
        print(f'{name}: nothing is wrong, as far as can be seen in {arguments.seconds:g} s')
    return 0 if healthy else 1
