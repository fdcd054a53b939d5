"""Which versions run here, so that two processes can be told to differ."""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version

from tool_recognizer import __version__


@cache
def versions() -> dict[str, str]:
    """Return the versions of this package and of what its answers rest on; '' if not known."""
    found = {'tool_recognizer': __version__}
    for package in ('rclpy', 'onnxruntime'):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ''
    return found
