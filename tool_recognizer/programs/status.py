"""The program ``status``: one table of all that a recognizer says."""

import argparse
from dataclasses import asdict
import json
import os
import sys

from tool_recognizer.diagnosis import table
from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.arguments import starter
from tool_recognizer.programs.target import add_target
from tool_recognizer.programs.target import full_name
from tool_recognizer.terminal.terminal import Terminal

SUMMARY = 'one table of all that a recognizer says of itself'


def main(argv: list[str] | None = None) -> int:
    """Listen, and print the table; return 1 if there is no such node."""
    parser = Parser('status', SUMMARY, ('status', 'status --namespace left', 'status --json'))
    add_target(parser)
    parser.add_argument('--seconds', type=in_range(1.0, 600.0), default=2.5,
                        help='to listen, 1 to 600 (default: 2.5)')
    parser.add_argument('--json', action='store_true', help='the same as JSON')
    return run_program(_tell, parser, (ValueError,), argv)


def _tell(arguments: argparse.Namespace) -> int:
    from tool_recognizer.ros.observer import observe
    facts = observe(full_name(arguments), arguments.seconds,
                    bool(arguments.node or arguments.namespace))
    if facts.node is None:
        print(f'no node {facts.wanted} is heard; {starter()} doctor says more', file=sys.stderr)
        return 1
    if arguments.json:
        node = asdict(facts.node)
        del node['before']
        print(json.dumps({'schema': 1, **node, 'camera': facts.camera,
                          'frames': asdict(facts.frames)}, indent=2))
    else:
        terminal = Terminal(sys.stdout, os.environ)
        size = terminal.size()
        for line in table.status(facts):
            print(terminal.fit(line, size))
    return 0
