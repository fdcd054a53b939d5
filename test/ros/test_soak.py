"""``make soak``: what it reports, and that it fails when something dies or grows."""

import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys

from benchmark.growth import judge
from benchmark.growth import Sample
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
# Generous: it only bounds how long a failing test takes.
PATIENCE = 120.0


def series(slope=0.0, files=0, seed=0):
    """Return samples of a process whose memory wanders, and which opens files for a moment."""
    rng = np.random.default_rng(seed)
    moments = np.arange(0.0, 3600.0)
    wander = np.zeros(len(moments))
    for i, step in enumerate(rng.normal(0.0, 0.15, len(moments))):
        wander[i] = 0.95 * wander[i - 1] + step
    return moments, [
        Sample(300.0 + slope * moment / 3600.0 + more, 30 + (i % 7 == 0) + files * (i > 1800), 20)
        for i, (moment, more) in enumerate(zip(moments, wander, strict=True))]


def test_memory_that_wanders_is_flat_and_its_interval_holds_nought():
    held = 0
    for seed in range(20):
        verdict = judge(*series(seed=seed))
        assert not verdict.grows
        assert str(verdict).endswith(': flat')
        held += verdict.low < 0.0 < verdict.high
    assert held >= 17


@pytest.mark.parametrize(('slope', 'files'), [(4.0, 0), (50.0, 0), (0.0, 1)])
def test_a_leak_of_memory_or_of_files_is_found(slope, files):
    assert judge(*series(slope, files=files)).grows


def test_a_run_that_is_too_short_to_know_says_so():
    moments = np.arange(100.0)
    samples = [Sample(300.0 + 5.0 * (moment // 10 % 2), 30, 20) for moment in moments]
    assert str(judge(moments, samples)).endswith(': undecided')
    assert judge(moments[:15], samples[:15]) is None


def test_a_soak_reports_its_figures_and_fails_when_a_process_dies(tmp_path):
    report = tmp_path / 'report.json'
    with subprocess.Popen(
            [sys.executable, '-m', 'benchmark.soak', '--seconds', '60', '--stored', '100',
             '--json', str(report)], cwd=ROOT, text=True, stdout=subprocess.PIPE,
            env={**os.environ, 'PYTHONUNBUFFERED': '1'}) as process:
        pids, lines, looks = {}, [], 0
        for line in process.stdout:
            lines.append(line)
            if found := re.match(r'(\w+): process (\d+)', line):
                pids[found[1]] = int(found[2])
            if ' p95 ' in line:
                looks += 1
                if looks == 3:
                    os.kill(pids['recognizer'], signal.SIGKILL)
        assert process.wait(PATIENCE) == 1
    said = ''.join(lines)
    assert 'recognizer has ended with -9' in said
    found = json.loads(report.read_text())
    assert any('recognizer has ended' in problem for problem in found['problems'])
    assert len(found['minutes']) >= 3
    for minute in found['minutes']:
        for name in ('recognizer', 'console', 'camera'):
            assert minute[name]['rss'] > 10.0
            assert minute[name]['files'] > 3
            assert minute[name]['threads'] > 1
        assert minute['acknowledged'] <= minute['confirmed'] <= minute['answered']
        assert minute['journal_bytes'] > 0
    assert found['minutes'][-1]['acknowledged'] > 0
    assert found['pages_read'] > 10
