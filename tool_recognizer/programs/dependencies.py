"""The packages that the programs need: the oldest supported versions, and how to install them."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version
import os
from pathlib import Path
import re
import sys
import sysconfig
from types import ModuleType
from typing import NamedTuple


class Package(NamedTuple):
    """
    A Python package that is not ROS's.

    Attributes
    ----------
    oldest : the oldest version that is supported, which is Ubuntu 24.04's if that has one
    pypi : its name for pip
    apt : its name for apt; empty where Ubuntu 24.04 has none

    """

    oldest: str
    pypi: str
    apt: str = ''


# The only list of these versions; requirements/noble.txt is tested against it.
PACKAGES = {
    'PIL': Package('10.2.0', 'pillow', 'python3-pil'),
    'cv2': Package('4.6.0', 'opencv-python-headless', 'python3-opencv'),
    'matplotlib': Package('3.6.3', 'matplotlib', 'python3-matplotlib'),
    'numpy': Package('1.26.4', 'numpy', 'python3-numpy'),
    'onnxruntime': Package('1.23.2', 'onnxruntime'),
    'prometheus_client': Package('0.19.0', 'prometheus-client', 'python3-prometheus-client'),
    'rosbags': Package('0.11.9', 'rosbags'),
    'scipy': Package('1.11.4', 'scipy', 'python3-scipy'),
    'simplejpeg': Package('1.9.0', 'simplejpeg'),
    'starlette': Package('0.31.1', 'starlette', 'python3-fastapi'),
    'uvicorn': Package('0.27.1', 'uvicorn', 'python3-uvicorn'),
    'websockets': Package('10.4', 'websockets', 'python3-websockets'),
    'yaml': Package('6.0.1', 'PyYAML', 'python3-yaml'),
}
ROS = {'ament_index_python', 'builtin_interfaces', 'cv_bridge', 'diagnostic_msgs', 'launch',
       'launch_ros', 'lifecycle_msgs', 'rcl_interfaces', 'rclpy', 'rosgraph_msgs', 'sensor_msgs',
       'std_msgs', 'std_srvs', 'vision_msgs'}


def explain(error: ImportError) -> str:
    """Say in one line why an import failed, and the command that mends it."""
    module = (error.name or '').split('.')[0]
    if module in ROS:
        return f'{error}; {_source(module)}'
    if module == 'tool_recognizer':
        return f'{error}; this package is not whole: build or install it anew'
    if module not in PACKAGES:
        return f'{error}; install what is missing, or anew the package that asks for it'
    if isinstance(error, ModuleNotFoundError) and error.name == module:
        return f'{error}; {_install(module)}'
    found = _found(module)
    oldest = PACKAGES[module].oldest
    if found and _numbers(found) < _numbers(oldest):
        return f'{error}: {_too_old(module, found)}'
    return (f'{error}; {PACKAGES[module].pypi} {found or "of an unknown version"} is not whole, '
            f'or does not fit ({oldest} or newer does): {_install(module)}')


def outdated() -> Iterator[str]:
    """Yield a line for each loaded package that is too old, with what is needed."""
    for module, package in PACKAGES.items():
        if module in sys.modules:
            found = _found(module)
            if found and _numbers(found) < _numbers(package.oldest):
                yield _too_old(module, found)


def _too_old(module: str, found: str) -> str:
    package = PACKAGES[module]
    return (f'{package.pypi} is {found}, and {package.oldest} or newer is needed; '
            f'{_install(module)}')


def _install(module: str) -> str:
    package = PACKAGES[module]
    pip = ['pip', 'install', package.pypi]
    if _externally_managed():
        pip.insert(2, '--break-system-packages')
    if not package.apt:
        return ' '.join(pip)
    return f'{" ".join(pip)} (Ubuntu: apt install {package.apt})'


def _externally_managed() -> bool:
    """Tell whether pip refuses to install into this Python (PEP 668)."""
    return (sys.prefix == sys.base_prefix
            and (Path(sysconfig.get_path('stdlib')) / 'EXTERNALLY-MANAGED').exists())


def _source(module: str) -> str:
    distribution = os.environ.get('ROS_DISTRO')
    if distribution:
        return f'apt install ros-{distribution}-{module.replace("_", "-")}'
    return 'source a ROS 2 Jazzy environment, or use make demo, which makes one in .venv'


def _found(module: str) -> str:
    """Return a package's version; empty if it is not known."""
    loaded: ModuleType | None = sys.modules.get(module)
    said = getattr(loaded, '__version__', None)
    if isinstance(said, str):
        return said
    try:
        return version(PACKAGES[module].pypi)
    except PackageNotFoundError:
        return ''


def _numbers(text: str) -> tuple[int, ...]:
    """Return the release that a version begins with: (1, 4, 1) for 1.4.1.post1 or 1.4.1rc2."""
    found = re.match(r'\d+(\.\d+)*', text)
    return tuple(int(part) for part in found.group().split('.')) if found else ()
