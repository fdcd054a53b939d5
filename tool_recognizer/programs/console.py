"""The program ``console``: its arguments, and the node that they make."""

from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros.console_node import ConsoleNode

SUMMARY = "the operator's console: confirm labels and watch the monitor in a browser"


def main(argv: list[str] | None = None) -> int:
    """Run the node until Ctrl-C or SIGTERM; return the exit status."""
    parser = Parser('console', SUMMARY, (
        'console', 'console --ros-args -p console.port:=9000 -p journal.path:=monitor.db',
        'console --ros-args -p console.host:=0.0.0.0 -p console.token_file:=token.txt'))
    return run_node(ConsoleNode, parser, argv)
