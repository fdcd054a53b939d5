import json
from pathlib import Path
import subprocess
import sys

BENCHMARK = Path(__file__).parents[2] / 'benchmark' / 'large_frames.py'


def test_with_our_profile_every_best_effort_frame_arrives():
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), '--profile', 'ours', '--size', '640x480',
         '--reliability', 'best_effort', '--frames', '150', '--rate', '10'],
        capture_output=True, text=True, timeout=240, check=True)
    figures = json.loads(done.stdout)
    assert figures['received'] == figures['sent'] == 150
    assert done.stderr == '', 'Fast DDS takes the profile without a warning'
