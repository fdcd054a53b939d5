"""No object may weigh more in a training than others, however often it was photographed."""

from pathlib import Path
import subprocess
import sys

import cv2
import numpy as np

ROOT = Path(__file__).parent.parent.parent


def test_of_a_long_series_a_few_are_taken_from_all_over_it(tmp_path):
    folder = tmp_path / 'photos' / 'hammer'
    folder.mkdir(parents=True)
    for name in (*(f'plant__mallet_{n:03d}' for n in range(12)), 'bench__1f3b', 'bench__a77c'):
        cv2.imwrite(str(folder / f'{name}.png'), np.zeros((8, 8, 3), np.uint8))
    chosen = tmp_path / 'chosen' / 'hammer'

    def choose(most):
        done = subprocess.run([
            sys.executable, ROOT / 'tools' / 'choose_photos.py', tmp_path / 'photos', '--most',
            most, '--output', chosen.parent], cwd=ROOT, env={'PYTHONPATH': str(ROOT)},
            capture_output=True, text=True)
        return done.returncode, done.stderr

    assert choose('4') == (0, '')
    taken = sorted(chosen.iterdir())
    assert [path.stem for path in taken] == [
        'bench__1f3b', 'bench__a77c', 'plant__mallet_000', 'plant__mallet_003',
        'plant__mallet_006', 'plant__mallet_009']
    assert taken[0].read_bytes() == (folder / 'bench__1f3b.png').read_bytes()

    # Again, and nothing is left of the choice before; but what it did not make stays.
    assert choose('1') == (0, '')
    assert len(list(chosen.iterdir())) == 3
    (chosen / 'mine.png').write_bytes(b'')
    status, why = choose('4')
    assert status == 2
    assert 'mine.png is no link' in why
    assert len(list(chosen.iterdir())) == 4
