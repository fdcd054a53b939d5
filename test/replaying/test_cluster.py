"""Bags spread over a Dask cluster: the same JSON, though a worker is killed on the way."""

from contextlib import suppress
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from threading import Thread
from time import monotonic
from time import sleep

import pytest
from tool_recognizer.programs.replay import main
from tool_recognizer.replaying import cluster

distributed = pytest.importorskip('distributed', reason="pip install 'dask[distributed]'")
ROOT = Path(__file__).parent.parent.parent
WORKER = (sys.executable, '-m', 'distributed.cli.dask_worker', '--no-nanny', '--nthreads', '1',
          '--no-dashboard')


def start(*arguments, cwd):
    # On any port that is free, and for this machine alone.
    return subprocess.Popen(
        arguments, cwd=cwd, env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process):
    """End it; one that has much to do does not hear of it."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait(condition, seconds=120.0):
    end = monotonic() + seconds
    while not (found := condition()):
        assert monotonic() < end
        sleep(0.02)
    return found


@pytest.fixture
def scheduler(tmp_path):
    """Start a scheduler; return its address."""
    file = tmp_path / 'scheduler.json'
    process = start(sys.executable, '-m', 'distributed.cli.dask_scheduler', '--host', '127.0.0.1',
                    '--port', '0', '--no-dashboard', '--scheduler-file', str(file), cwd=tmp_path)

    def address():
        with suppress(FileNotFoundError, json.JSONDecodeError):  # it is being written
            return json.loads(file.read_text())['address']
    yield wait(address)
    end(process)


@pytest.fixture
def workers(scheduler, tmp_path):
    """Start two workers, each a process of its own."""
    started = [start(*WORKER, '--name', str(number), '--local-directory', str(tmp_path), scheduler,
                     cwd=tmp_path) for number in range(2)]
    yield started
    for worker in started:
        end(worker)


@pytest.mark.filterwarnings('ignore')  # of Dask, on a machine that is under load
def test_a_killed_workers_bags_are_done_again_and_the_json_is_that_of_one_machine(
        tmp_path, line_bag, scheduler, workers, monkeypatch):
    monkeypatch.setattr(cluster, 'PATIENCE', 120)
    bags = [line_bag(f'bag{number}', frames=60, start=1_790_000_000_000_000_000 + number * 10**10)
            for number in range(4)]
    alone, spread = tmp_path / 'alone.json', tmp_path / 'spread.json'
    assert main([*map(str, bags), '--json', str(alone), '--quiet']) == 0
    statuses = []
    replay = Thread(target=lambda: statuses.append(main([
        *map(str, bags), '--json', str(spread), '--quiet', '--scheduler', scheduler])))
    with distributed.Client(scheduler, timeout=120) as client:
        replay.start()

        def busy():  # at work on a bag: it dies
            return next((name for name, worker in client.scheduler_info()['workers'].items()
                         if client.processing().get(name)), None)
        name = wait(busy)
        number = int(client.scheduler_info()['workers'][name]['name'])
        workers[number].send_signal(signal.SIGKILL)
    replay.join(240)
    assert statuses == [0]
    assert workers[number].wait(90) == -signal.SIGKILL
    assert spread.read_bytes() == alone.read_bytes()


def test_without_a_scheduler_it_says_so(line_bag, capsys, monkeypatch):
    monkeypatch.setattr(cluster, 'PATIENCE', 1)
    assert main([str(line_bag(frames=5)), '--scheduler', 'tcp://127.0.0.1:9']) == 2
    assert 'no Dask scheduler answers at tcp://127.0.0.1:9' in capsys.readouterr().err
