"""The program ``record``: its arguments, and the node that they make."""

from pathlib import Path

from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import LONGEST
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros.recorder_node import RecorderNode

SUMMARY = 'write camera, gate, predictions and confirmations into a bag, without rosbag2'


def main(argv: list[str] | None = None) -> int:
    """Run the node until its time is over or the user ends it; return the exit status."""
    parser = Parser('record', SUMMARY, (
        'record --output recording', 'record --output recording --seconds 60',
        'record --output recording --topics /camera/image_raw /shown'))
    parser.add_argument('--output', type=Path, required=True, metavar='DIR',
                        help='the folder of the bag; it must not be there yet')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='default: cameras, confirmations, and what the recognizer publishes')
    parser.add_argument('--seconds', type=in_range(0.0, LONGEST), default=0.0,
                        help='end after this time; 0: at Ctrl-C (default: 0)')
    return run_node(RecorderNode, parser, argv)
