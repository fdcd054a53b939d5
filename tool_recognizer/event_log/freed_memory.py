"""
What a snapshot leaves behind in the memory of the process.

A snapshot is a few megabytes in one piece, for SQLite takes and copies a value whole. glibc takes
them from the writing thread's heap, and keeps them there once they are freed: soon something small
lies in the gap, the next snapshot does not fit, and the heap grows by another one, each time.
"""

import ctypes

# Only glibc has it; others give large pieces back by themselves.
_trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)


def give_back() -> None:
    """
    Give whole pages that are free back to the system; it takes a few milliseconds.

    The end of a thread's own heap stays, up to 64 MiB, until something is freed there.
    """
    if _trim is not None:
        _trim(ctypes.c_size_t(0))
