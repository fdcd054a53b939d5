"""The arguments that say which node a program is for."""

import argparse

DEFAULT = 'tool_recognizer'


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a node."""
    parser.add_argument('--node', default='', metavar='NAME',
                        help=f'of the recognizer, in full or without its namespace (default: '
                        f'{DEFAULT})')
    parser.add_argument('--namespace', default='', metavar='NS', help='that the node is in')


def full_name(arguments: argparse.Namespace) -> str:
    """Return the full name of the node that the arguments name."""
    namespace, node = arguments.namespace.strip('/'), arguments.node or DEFAULT
    if node.startswith('/') or not namespace:
        return f'/{node.strip("/")}'
    return f'/{namespace}/{node.strip("/")}'
