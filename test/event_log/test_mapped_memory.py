"""What is large and short-lived leaves no gap in the memory of the process."""

import ctypes
from pathlib import Path
import re
from threading import Thread

import numpy as np
import pytest
from tool_recognizer.event_log.mapped_memory import large_pieces_mapped

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallopt'),
                                reason='this C library maps large pieces by itself')
SIZE = 600_000


def resident():
    """Return the resident memory of this process, MiB."""
    return int(re.search(r'VmRSS:\s+(\d+)', Path('/proc/self/status').read_text())[1]) / 1024.0


def grown_by_pieces_between_small_ones():
    """Return by how much memory has grown once large pieces are gone, and small ones are not."""
    before, small = resident(), []
    large = []
    for _ in range(100):
        large.append(np.ones(SIZE, np.uint8))
        small.append(bytes(5_000))
    large.clear()
    return resident() - before, small


@pytest.fixture
def heap():
    """Let large pieces come from the heap, as they do where a camera's pictures were freed."""
    with large_pieces_mapped():
        pass


def test_large_pieces_go_back_at_once(heap):
    with large_pieces_mapped():
        grown, _small = grown_by_pieces_between_small_ones()
    assert grown < 10.0


def test_it_lasts_until_the_last_of_two_threads_is_done(heap):
    with large_pieces_mapped():
        def another():
            with large_pieces_mapped():
                pass
        thread = Thread(target=another)
        thread.start()
        thread.join()
        grown, _small = grown_by_pieces_between_small_ones()
    assert grown < 10.0


def test_a_picture_is_not_mapped_afterwards(heap):
    grown, _small = grown_by_pieces_between_small_ones()
    assert grown > 30.0
