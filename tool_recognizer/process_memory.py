"""
How the C library gives this process its memory; pictures and snapshots are large pieces of it.

What a camera's picture took is used again for the next one. glibc would give it back to the system
now and then, and to be given 6 MB anew costs 10 ms where the processor is a virtual one, more than
to recognise what they show.

A snapshot of the event log is some megabytes in a few pieces: arrays, their JSON, and SQLite's
copies of it. From the heaps they leave gaps. Soon something small lies in a gap, the next snapshot
does not fit, and the heaps grow by another one. Pieces that are mapped, each by itself, go back to
the system as soon as they are freed, and leave no gap.

Only glibc has these settings (mallopt(3)); elsewhere nothing is changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import ctypes
from threading import Lock

_mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
# Bytes from which on a piece is mapped: usually, the largest that glibc takes, and for snapshots.
_USUAL, _LARGE = 1 << 25, 1 << 18
# Free bytes at a heap's end above which they go back to the system.
_KEPT_AT_THE_END = 1 << 26

_lock = Lock()
_inside = 0


def keep_for_pictures() -> None:
    """Keep the memory of large pieces that are freed, from now on, for the next ones."""
    _set(_M_MMAP_THRESHOLD, _USUAL)
    _set(_M_TRIM_THRESHOLD, _KEPT_AT_THE_END)


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
                keep_for_pictures()


def _set(parameter: int, value: int) -> None:
    if _mallopt is not None:
        _mallopt(ctypes.c_int(parameter), ctypes.c_int(value))
