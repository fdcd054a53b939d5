"""The program ``camera``: its arguments, and the node that they make."""

from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros.camera_node import CameraNode
from tool_recognizer.ros.camera_node import FASTEST
from tool_recognizer.ros.camera_node import SLOWEST

SUMMARY = 'a camera node: a folder, a video, a device, a bag, the drawn line or bench as a camera'


def main(argv: list[str] | None = None) -> int:
    """Run the node until its source or the user ends it; return the exit status."""
    parser = Parser('camera', SUMMARY, (
        'camera', 'camera --source photos/ --rate 5', 'camera --source /dev/video0',
        'camera --source recording.mcap --once --clock --wait'))
    parser.add_argument('--source', default='line',
                        help='line or bench (drawn), a folder of pictures (its folders name '
                             'what they show), a video, a device or a bag (default: line)')
    parser.add_argument('--rate', type=in_range(SLOWEST, FASTEST), default=15.0,
                        help='frames per second (default: 15); a video or a bag has its own')
    parser.add_argument('--transport', choices=('raw', 'compressed', 'both'), default='raw',
                        help='image_raw, image_raw/compressed or both (default: raw)')
    parser.add_argument('--once', dest='loop', action='store_false',
                        help='end with the source instead of starting it again')
    parser.add_argument('--clock', action='store_true',
                        help="publish a bag's time on /clock, for nodes with use_sim_time")
    parser.add_argument('--wait', action='store_true',
                        help='send nothing before somebody subscribes')
    return run_node(CameraNode, parser, argv)
