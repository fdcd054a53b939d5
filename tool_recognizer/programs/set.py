"""The program ``set``: a parameter of a recognizer, without the ros2 command."""

import argparse

from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import LONGEST
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.target import add_target
from tool_recognizer.programs.target import full_name

SUMMARY = 'set a parameter of a recognizer'


def main(argv: list[str] | None = None) -> int:
    """Set it and print what the node says; return 0 if it took the value, 1 if it refused."""
    parser = Parser('set', SUMMARY, (
        'set decision.min_probability 0.7', 'set model_path /srv/models/tools.onnx',
        'set providers "[CUDAExecutionProvider, CPUExecutionProvider]"'))
    parser.add_argument('parameter', metavar='NAME', help='as in decision.deadline')
    parser.add_argument('value', metavar='VALUE', help="of the type that the node's parameter has")
    add_target(parser)
    parser.add_argument('--seconds', type=in_range(0.1, LONGEST), default=10.0,
                        help='to wait for each response (default: 10)')
    return run_program(_set, parser, (ValueError,), argv)


def _set(arguments: argparse.Namespace) -> int:
    from tool_recognizer.ros import asking
    try:
        done, message = asking.set_parameter(full_name(arguments), arguments.parameter,
                                             arguments.value, arguments.seconds)
    except asking.NoAnswer as error:
        done, message = False, str(error)
    print(message)
    return 0 if done else 1
