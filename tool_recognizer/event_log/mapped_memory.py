"""
Memory for what is large and short-lived, apart from the memory for all else.

A snapshot is some megabytes in a few pieces: arrays, their JSON, and SQLite's copies of it. glibc
would take them from its heaps. Soon something small lies in a gap that they leave, the next
snapshot does not fit, and the heaps grow by another one. Pieces that are mapped, each by itself,
go back to the system as soon as they are freed, and leave no gap.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import ctypes
from threading import Lock

# Only glibc has it; others map large pieces by themselves.
_mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
# Bytes from which on a piece is mapped.
_LARGE = 1 << 18
# Otherwise it takes long to map a camera's picture for each frame. These are the largest values
# that glibc would come to by itself if large pictures were freed (mallopt(3), M_MMAP_THRESHOLD).
_USUAL, _KEPT_AT_THE_END = 1 << 25, 1 << 26

_lock = Lock()
_inside = 0


@contextmanager
def large_pieces_mapped() -> Iterator[None]:
    """Map each large piece that this process allocates meanwhile, in any of its threads."""
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _set(_M_MMAP_THRESHOLD, _LARGE)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set(_M_MMAP_THRESHOLD, _USUAL)
                _set(_M_TRIM_THRESHOLD, _KEPT_AT_THE_END)


def _set(parameter: int, value: int) -> None:
    if _mallopt is not None:
        _mallopt(ctypes.c_int(parameter), ctypes.c_int(value))
