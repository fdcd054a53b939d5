"""Files that are handed to the package, read whole: regular ones only, and up to a bound."""

import errno
import os
from pathlib import Path
from stat import S_ISREG


def read_whole(path: str | Path, most: int) -> bytes:
    """
    Read a file, unless it would block, never end or fill the memory.

    Parameters
    ----------
    path : the file; a link is followed
    most : bytes that it may have

    Raises
    ------
    OSError
        It cannot be read, is larger, or is a folder, a pipe, a device or a socket.

    """
    with open(path, 'rb', opener=_open_at_once) as file:
        about = os.fstat(file.fileno())
        if not S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, 'it is no regular file')
        if about.st_size > most:
            raise OSError(errno.EFBIG, f'it has {about.st_size / 2**20:.1f} MiB, '
                                       f'{most / 2**20:g} MiB are the most')
        return file.read(about.st_size)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file, and a pipe to which nobody writes, too, which would else wait for ever."""
    return os.open(path, flags | os.O_NONBLOCK)
