"""The program ``collect``: its arguments, and the node that they make."""

from pathlib import Path

from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import LONGEST
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import whole
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros.collector_node import CollectorNode
from tool_recognizer.training.collection import MOST

SUMMARY = "photographs of a tool from the camera's topic, for train"


def main(argv: list[str] | None = None) -> int:
    """Run the node until it has enough or the user ends it; return the exit status."""
    parser = Parser('collect', SUMMARY, (
        'collect --label torx --from /image_raw --count 20',
        'collect --label other --from /camera/image_raw --compressed --every 2',
        'train collection --output torx.onnx --report torx.html',
        '',
        'Show the tool from all sides: a picture that is nearly the same as one before is left',
        'out, and so is a dark or blurred one. The label other is for what is none of the tools:',
        'the empty bench, hands, other things.'))
    parser.add_argument('--label', required=True, help='of what is shown')
    parser.add_argument('--from', dest='topic', default='image_raw', metavar='TOPIC',
                        help="the camera's topic (default: %(default)s)")
    parser.add_argument('--output', type=Path, default=Path('collection'), metavar='DIR',
                        help='the folder of the collection (default: %(default)s)')
    parser.add_argument('--compressed', action='store_true',
                        help='its frames come as sensor_msgs/CompressedImage, on TOPIC/compressed')
    parser.add_argument('--every', type=in_range(0.0, 3600.0), default=0.5, metavar='SECONDS',
                        help='look at a frame so often (default: %(default)s)')
    parser.add_argument('--count', type=whole(0, MOST), default=0, metavar='N',
                        help='end after so many new photographs; 0: at Ctrl-C (default: 0)')
    parser.add_argument('--seconds', type=in_range(0.0, LONGEST), default=0.0,
                        help='end after this time; 0: at Ctrl-C (default: 0)')
    parser.add_argument('--base', type=Path, default=DEFAULT_MODEL,
                        help='model on which is to be trained; default: the one that ships')
    parser.add_argument('--region', type=in_range(0.0, 1.0), nargs=4,
                        metavar=('X', 'Y', 'WIDTH', 'HEIGHT'),
                        help="the recognizer's region.*: the part of the frame that is looked at")
    parser.add_argument('--rotation', type=whole(0, 270), default=0, choices=(0, 90, 180, 270),
                        help="the recognizer's region.rotation (default: 0)")
    parser.add_argument('--locate', action='store_true', help='as its locate.mode auto')
    return run_node(CollectorNode, parser, argv)
