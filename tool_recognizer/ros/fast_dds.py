"""
Fast DDS with a shared-memory segment that is large enough for camera frames.

Its default segment is smaller than one frame, so many frames are lost; see config/fastdds.xml. A
process that is killed leaves its segment behind, and the next program removes it.
"""

from collections.abc import Mapping
import fcntl
import os
from pathlib import Path
import re
from time import time

from ament_index_python.packages import get_package_share_directory

# Fast DDS reads either one.
VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
# The file that a process holds locked for as long as it lives and has a segment of this name.
_LOCK = re.compile(r'(fastrtps_[0-9a-z]{16})_el')
# Seconds after which a process has surely locked the file that it made.
_LOCKED_BY_THEN = 10.0


def prepare() -> str:
    """
    Make ready for Fast DDS; call it before ROS is initialised.

    It sets our profile for this process and its children, and removes what killed processes of
    this user have left in shared memory.

    Returns
    -------
    What was removed, as a line for the log; '' for nothing

    """
    os.environ.update(wanted(os.environ))
    count, size = remove_dead_segments()
    return (f'removed {count} shared-memory segments ({size / 1e6:.0f} MB) of processes that were '
            'killed') if count else ''


def remove_dead_segments(folder: Path = Path('/dev/shm')) -> tuple[int, int]:
    """
    Remove the segments of this user's processes that have ended without doing it.

    Each segment has a file on which its process holds a lock (``flock``). The kernel frees it when
    the process ends, however it ends, and whichever container it ran in. A segment's name is drawn
    at random, so that no later process takes it over: whose lock is free is dead. Left out: ports,
    which are small, and which Fast DDS itself takes over from the dead.

    Parameters
    ----------
    folder : that holds the shared memory

    Returns
    -------
    How many were removed, and their bytes

    """
    count = size = 0
    for lock in folder.glob('fastrtps_*_el'):
        name = _LOCK.fullmatch(lock.name)
        if name is None:
            continue
        segment = folder / name[1]
        try:
            about = lock.lstat()
            if about.st_uid != os.getuid() or time() - about.st_mtime < _LOCKED_BY_THEN:
                continue
            with lock.open('rb') as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken = segment.stat().st_blocks * 512 if segment.exists() else 0
                segment.unlink(missing_ok=True)
                lock.unlink()
        except OSError:  # locked, so that its process lives; or just removed by another one
            continue
        count, size = count + 1, size + taken
    return count, size


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
