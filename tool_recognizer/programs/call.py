"""The program ``call``: one of a recognizer's services, without the ros2 command."""

import argparse

from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import LONGEST
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.target import add_target
from tool_recognizer.programs.target import full_name

SUMMARY = 'call a service of a recognizer, or lead it through its lifecycle'
VERBS = ('reload_model', 'promote_shadow', 'reset_monitor', 'enable', 'disable', 'configure',
         'activate', 'deactivate', 'cleanup')


def main(argv: list[str] | None = None) -> int:
    """Call it and print the response; return 0 if it went well, 1 if not."""
    parser = Parser('call', SUMMARY, (
        'call reload_model', 'call enable --namespace left', 'call configure'))
    parser.add_argument('verb', choices=VERBS, metavar='VERB', help=', '.join(VERBS))
    add_target(parser)
    parser.add_argument('--seconds', type=in_range(0.1, LONGEST), default=60.0,
                        help='to wait for the response (default: 60)')
    return run_program(_call, parser, (ValueError,), argv)


def _call(arguments: argparse.Namespace) -> int:
    from tool_recognizer.ros import asking
    try:
        done, message = asking.call(full_name(arguments), arguments.verb, arguments.seconds)
    except asking.NoAnswer as error:
        done, message = False, str(error)
    print(message or ('done' if done else 'refused, without a reason'))
    return 0 if done else 1
