"""
Fast DDS with a shared-memory segment that is large enough for camera frames.

Its default segment is smaller than one frame, so many frames are lost; see config/fastdds.xml.
"""

from collections.abc import Mapping
import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory

# Fast DDS reads either one.
VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')


def use_profile() -> None:
    """Set our profile for this process and its children; call it before ROS is initialised."""
    os.environ.update(wanted(os.environ))


def wanted(environment: Mapping[str, str]) -> dict[str, str]:
    """
    Return what to add to an environment.

    Parameters
    ----------
    environment : as the user has it

    Returns
    -------
    The variable that names our profile; nothing if the user has named one, if ROS uses another
    middleware, or if the file is not found

    """
    middleware = environment.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp'
    if not middleware.startswith('rmw_fastrtps') or any(map(environment.get, VARIABLES)):
        return {}
    file = _find()
    return {VARIABLES[0]: str(file)} if file else {}


def profile() -> str:
    """Return where our profile is; '' if it is not found."""
    return str(_find() or '')


def named(environment: Mapping[str, str]) -> str:
    """Return the profile that an environment names; '' if it names none."""
    return next(filter(None, map(environment.get, VARIABLES)), '')


def _find() -> Path | None:
    """Find the file in the source tree, or else where it was installed."""
    file = Path(__file__).parents[2] / 'config' / 'fastdds.xml'
    if file.exists():
        return file
    try:
        share = get_package_share_directory('tool_recognizer')
    except (LookupError, OSError):  # there is no such package, or no environment is sourced
        return None
    file = Path(share) / 'config' / 'fastdds.xml'
    return file if file.exists() else None
