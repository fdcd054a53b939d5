"""What is free between what is used goes back to the system."""

import ctypes
from pathlib import Path
import re

import pytest
from tool_recognizer.event_log.freed_memory import give_back


def resident():
    """Return the resident memory of this process, MiB."""
    return int(re.search(r'VmRSS:\s+(\d+)', Path('/proc/self/status').read_text())[1]) / 1024.0


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'malloc_trim'),
                    reason='this C library gives memory back by itself')
def test_memory_that_is_free_below_what_is_used_goes_back():
    pieces = [b'x' * 60_000 for _ in range(1000)]
    kept = pieces[::100]
    del pieces
    before = resident()
    give_back()
    assert before - resident() > 30.0
    assert all(piece == b'x' * 60_000 for piece in kept)
