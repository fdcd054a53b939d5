"""The program ``recognizer``: its arguments, and the node that they make."""

from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros.recognizer_node import RecognizerNode

SUMMARY = 'the node: camera in, probabilities and the rolling NLL and KL out'


def main(argv: list[str] | None = None) -> int:
    """Run the node until Ctrl-C or SIGTERM; return the exit status."""
    parser = Parser('recognizer', SUMMARY, (
        'recognizer --ros-args -p autostart:=true',
        'recognizer --ros-args -p autostart:=true -r image_raw:=/camera/image_raw',
        'recognizer --ros-args --params-file config/recognizer.yaml'))
    parser.add_argument('--managed', action='store_true',
                        help='another program brings it to active: do not log that it waits')
    return run_node(RecognizerNode, parser, argv)
