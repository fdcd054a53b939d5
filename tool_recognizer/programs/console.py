"""The program ``console``: its arguments, and the node that they make."""

from tool_recognizer.programs import console_users
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros import endings
from tool_recognizer.ros.console_node import ConsoleNode

SUMMARY = "the operator's console: confirm labels and watch the monitor in a browser"


def main(argv: list[str] | None = None) -> int:
    """Run the node until Ctrl-C or SIGTERM, or ``users``; return the exit status."""
    if argv and argv[0] == 'users':
        endings.interrupt()  # it ends by itself, or at Ctrl-C where it asks for a password
        return console_users.main(argv[1:])
    parser = Parser('console', SUMMARY, (
        'console', 'console --ros-args -p console.port:=9000 -p journal.path:=monitor.db',
        'console users add anna --role engineer --file people.json',
        'console --ros-args -p console.host:=0.0.0.0 -p console.users_file:=people.json '
        '-p console.tls_certificate:=certificate.pem -p console.tls_key:=key.pem'))
    return run_node(ConsoleNode, parser, argv)
