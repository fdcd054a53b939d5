"""What is large and short-lived leaves no gap in the memory of the process."""

import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallopt'),
                                reason='this C library maps large pieces by itself')
# In a process of its own: what other tests have freed is room for what is measured here.
MEASURED = """
from pathlib import Path
import re
from threading import Thread
import numpy as np
from tool_recognizer.process_memory import large_pieces_mapped

def resident():
    "Return the resident memory of this process, MiB."
    return int(re.search(r'VmRSS:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024.0

def grown_by_pieces_between_small_ones():
    "Return by how much memory has grown once large pieces are gone, and small ones are not."
    before, small, large = resident(), [], []
    for _ in range(100):
        large.append(np.ones(600_000, np.uint8))
        small.append(bytes(5_000))
    large.clear()
    return resident() - before

# From now on large pieces come from the heap, as they do where a camera's pictures were freed.
with large_pieces_mapped():
    pass
"""


def measured(script):
    """Run what prints a figure; return it."""
    done = subprocess.run([sys.executable, '-c', MEASURED + script], capture_output=True,
                          text=True, check=True)
    return float(done.stdout)


def test_large_pieces_go_back_at_once():
    assert measured("""
with large_pieces_mapped():
    print(grown_by_pieces_between_small_ones())
""") < 10.0


def test_it_lasts_until_the_last_of_two_threads_is_done():
    assert measured("""
def another():
    with large_pieces_mapped():
        pass

with large_pieces_mapped():
    thread = Thread(target=another)
    thread.start()
    thread.join()
    print(grown_by_pieces_between_small_ones())
""") < 10.0


def test_a_picture_is_not_mapped_afterwards():
    assert measured('print(grown_by_pieces_between_small_ones())') > 30.0
