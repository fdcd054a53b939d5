"""Files that are written whole: under its name there is all of one, on disk, or what was there."""

from collections.abc import Callable
import os
from pathlib import Path


def private(path: str, flags: int) -> int:
    """Open a file that, if it is made, only its owner may read: an ``opener``."""
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes,
                opener: Callable[[str, int], int] | None = private) -> None:
    """
    Write a file so that under its name there is all of it, on disk, or what was there before.

    Parameters
    ----------
    path : the file
    content : all of it
    opener : of the file; None: everybody may read it, as far as the process's mask lets them

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.

    """
    partial = path.with_name(f'{path.name}.partial')
    try:
        with open(partial, 'wb', opener=opener) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
