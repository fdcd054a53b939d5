"""Pictures find the memory of those before them, and snapshots leave no gap in it."""

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
import resource
from threading import Thread
import numpy as np
from tool_recognizer.process_memory import keep_for_pictures
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

keep_for_pictures()
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
    assert measured("""
with large_pieces_mapped():
    pass
print(grown_by_pieces_between_small_ones())
""") > 30.0


def test_a_picture_finds_the_memory_of_the_one_before():
    assert measured("""
def shown():
    "Hold four pictures of 6 MB at once; return how many pages the system gave for them."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pieces = [np.ones(6_000_000, np.uint8) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

shown()
print(sum(shown() for _ in range(10)))
""") < 1000.0  # each picture has 1,465
