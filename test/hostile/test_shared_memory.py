"""The shared memory of killed processes is removed, and never that of one that lives."""

import fcntl
import os
from pathlib import Path
import re
import signal
import time

from graph import BEST_EFFORT
import pytest
from sensor_msgs.msg import Image
from tool_recognizer.ros.fast_dds import remove_dead_segments

NAME = 'fastrtps_0123456789abcde'


def age(*files):
    """Let files be older than the moment in which a process is about to lock them."""
    for file in files:
        os.utime(file, (time.time() - 3600.0,) * 2)


def segment(folder, number, size=1_000_000):
    file, lock = folder / f'{NAME}{number}', folder / f'{NAME}{number}_el'
    file.write_bytes(b'x' * size)
    lock.touch()
    age(lock)
    return file, lock


def test_only_segments_whose_lock_is_free_are_removed(tmp_path):
    dead, living, fresh = (segment(tmp_path, number) for number in range(3))
    fresh[1].touch()
    others = [tmp_path / name for name in (
        'fastrtps_port7412', 'fastrtps_port7412_el', 'sem.fastrtps_port7412_mutex',
        'fastrtps_notes_el', 'fastdds_0123456789abcdef_el', 'of_somebody_else')]
    for file in others:
        file.touch()
        age(file)
    with living[1].open('rb') as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        count, size = remove_dead_segments(tmp_path)
    assert (count, size >= 1_000_000) == (1, True)
    assert not any(file.exists() for file in dead)
    assert all(file.exists() for file in (*living, *fresh, *others))
    assert remove_dead_segments(tmp_path / 'no folder') == (0, 0)


@pytest.mark.skipif(not Path('/dev/shm').is_dir(), reason='this system has no /dev/shm')
def test_a_killed_process_leaves_no_memory_and_a_living_one_is_heard_on(
        tmp_path, peer, start):
    """A camera is killed while another one sends."""
    frames = peer.collect(Image, '/image_raw', BEST_EFFORT)
    living = start('camera', '--rate', '30')
    peer.wait(lambda: len(frames) > 5, 'no frames')
    kept = segments(living)
    # The killed one is in a domain of its own: where it is known, Fast DDS removes it by itself.
    domain = os.environ['ROS_DOMAIN_ID']
    os.environ['ROS_DOMAIN_ID'] = str(int(domain) % 100 + 1)
    try:
        killed = start('camera', '--ros-args', '-r', '__ns:=/elsewhere')
        left = peer.wait(lambda: len(segments(killed)) > 1 and segments(killed))
        assert killed.stop(signal.SIGKILL) == -signal.SIGKILL
        assert all(lock.exists() for lock in left)
        age(*left, *kept)
        # Any program of the package does it when it starts, also one that is refused.
        assert start('camera', '--source', tmp_path / 'none').process.wait(60) == 2
    finally:
        os.environ['ROS_DOMAIN_ID'] = domain
    assert not any(lock.exists() or lock.with_name(lock.name[:-3]).exists() for lock in left)
    assert segments(living) == kept
    assert all(lock.exists() and lock.with_name(lock.name[:-3]).exists() for lock in kept)
    count = len(frames)
    peer.wait(lambda: len(frames) > count + 30, 'the living one is not heard any more')


def segments(program):
    """Return the lock files of a process's segments."""
    found = set()
    for entry in Path(f'/proc/{program.process.pid}/fd').iterdir():
        try:
            file = entry.readlink()
        except OSError:  # closed meanwhile
            continue
        if re.fullmatch(r'/dev/shm/fastrtps_[0-9a-f]{16}_el', str(file)):
            found.add(file)
    return found
