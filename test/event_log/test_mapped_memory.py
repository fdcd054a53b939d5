"""What is large and short-lived leaves no gap in the memory of the process."""

import ctypes
from pathlib import Path
import re
import resource
from threading import Thread

import numpy as np
import pytest
from tool_recognizer.event_log.mapped_memory import large_pieces_mapped
from tool_recognizer.event_log.mapped_memory import pictures_kept

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


def pages_taken(pictures):
    """Return how many pages the system hands out for pictures that come one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(pictures):
        np.ones(5 * SIZE, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_the_next_picture_has_the_room_of_the_last_one(heap):
    with large_pieces_mapped():
        each = pages_taken(20) / 20
        pictures_kept()  # not while large pieces are to be mapped
        assert pages_taken(20) > 10 * each
    pictures_kept()
    pages_taken(1)
    assert pages_taken(20) < each


def test_a_picture_is_not_mapped_afterwards(heap):
    grown, _small = grown_by_pieces_between_small_ones()
    assert grown > 30.0
