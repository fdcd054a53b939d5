"""Which versions run here, so that the doctor can compare two processes."""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version

from tool_recognizer import __version__


@cache
def versions() -> dict[str, str]:
    """Return the versions of this package, rclpy and onnxruntime; '' if not known."""
    found = {'tool_recognizer': __version__}
    for package in ('rclpy', 'onnxruntime'):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ''
    return found
