"""
Command-line arguments that describe a classifier whose file has no metadata of ours.

They have the names, meaning and defaults of the node's ``plain_model`` parameters.
"""

import argparse
from pathlib import Path

from tool_recognizer.core.preprocessing import FITS
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.model.onnx_model import read_labels
from tool_recognizer.programs.arguments import GREATEST
from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import whole

# Pixels of a picture's side.
WIDEST = 65_535


def add_plain_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the group of arguments to a parser."""
    anything = in_range(-GREATEST, GREATEST)
    group = parser.add_argument_group(
        'a classifier from elsewhere', 'for an ONNX file without our metadata')
    group.add_argument('--labels', type=Path, metavar='FILE',
                       help='its labels, one per line; the others count only with this')
    group.add_argument('--height', type=whole(0, WIDEST), default=0, help='0: as its graph says')
    group.add_argument('--width', type=whole(0, WIDEST), default=0, help='0: as its graph says')
    group.add_argument('--fit', choices=FITS, default='crop',
                       help='how a frame is fitted to its input (default %(default)s)')
    group.add_argument('--layout', choices=('nchw', 'nhwc'), default='nchw',
                       help="order of its input's axes (default %(default)s)")
    group.add_argument('--order', choices=('rgb', 'bgr'), default='rgb',
                       help="order of its input's channels (default %(default)s)")
    group.add_argument('--scale', type=anything, default=1.0 / 255.0,
                       help='x = (pixel * scale - mean) / std (default 1/255)')
    group.add_argument('--mean', type=anything, nargs=3, default=(0.485, 0.456, 0.406),
                       help='per channel (default %(default)s)')
    group.add_argument('--std', type=anything, nargs=3, default=(0.229, 0.224, 0.225),
                       help='per channel (default %(default)s)')
    group.add_argument('--output', choices=('logits', 'probabilities'), default='logits',
                       help='what its graph returns (default %(default)s)')


def plain_model(arguments: argparse.Namespace) -> PlainModel | None:
    """
    Read the group of arguments.

    Returns
    -------
    The description, or None without ``--labels``

    Raises
    ------
    ModelError
        The labels cannot be read, or an argument makes no sense.

    """
    if arguments.labels is None:
        return None
    try:
        return PlainModel(
            read_labels(arguments.labels), arguments.height, arguments.width, arguments.fit,
            arguments.layout, arguments.order, arguments.scale, tuple(arguments.mean),
            tuple(arguments.std), arguments.output)
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(str(error)) from None
