"""
A training, in a process of its own: the program ``train``, and the store that its model goes to.

There is one at a time, of all consoles that share a collection. It outlives the page that began
it, and ends with the console, also if that is killed: it holds the other end of its standard
input. What it leaves unfinished nobody takes for a model; the next console says that it was cut
off.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
import fcntl
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
from threading import Lock
from threading import Thread
from time import time
from typing import Any
from typing import TextIO

from tool_recognizer.console.teaching import TeachError
from tool_recognizer.model.file import is_plain
from tool_recognizer.model.store import ModelStore
from tool_recognizer.text_file import read_text
from tool_recognizer.training.collected import features_folder
from tool_recognizer.training.progress import read_step

# Lines of a training that are kept, and characters of each.
MOST_LINES, LONGEST_LINE = 30, 500
# Seconds that it has to end after it was asked to.
PATIENCE = 5.0
# The lowest priority that there is.
LOWEST = 19
# In the collection: what a training writes before it is done.
WORK = '.training'
# Beside it: held by the console that trains.
LOCK = '.training.lock'
MODEL, REPORT, FIGURES = 'candidate.onnx', 'report.html', 'figures.json'
# There, too: the photographs that it began with, whatever is deleted or relabelled meanwhile.
HELD = 'photographs'
# The verdict where there is nothing to compare with: the program ``train`` does not know what a
# classifier from elsewhere is shown and returns.
PLAIN = {'passed': False, 'plain': True, 'words': 'gate: not passed: not compared with the model '
         'in charge, which is a classifier from elsewhere'}


class Trainer:
    """
    See the module.

    Parameters
    ----------
    collection : the folder
    store : gets the model
    base : the model file on which is trained
    idle : whether it takes only the time that nothing else on the machine wants

    """

    def __init__(self, collection: Path, store: ModelStore, base: Path, idle: bool = True
                 ) -> None:
        self._collection, self._store, self._base = collection, store, base
        self._idle = idle
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._state: dict[str, Any] = {'state': 'none'}
        self._gate: dict[str, Any] | None = None
        self._cancelled = self._closed = False
        with suppress(OSError, TeachError):
            ended = (collection / WORK).stat().st_mtime
            with self._alone():
                self._state = {'state': 'interrupted', 'ended': ended}

    def start(self, by: str, data: Sequence[Path], against: Path, prove_on: Path | None = None
              ) -> None:
        """
        Begin a training.

        Parameters
        ----------
        by : who wants it
        data : what is trained on, for ``train``
        against : the model that the new one is compared with, unless it is a classifier from
            elsewhere
        prove_on : a journal, on whose confirmed frames they are compared, too

        Raises
        ------
        TeachError
            One runs already, here or in another console, or it cannot be begun.

        """
        with self._lock:
            if self._state['state'] == 'running':
                raise TeachError('training', f'{self._state["by"]} trains now',
                                 person=self._state['by'])
            work = self._collection / WORK
            compared = ['--against', str(against), '--json', str(work / FIGURES),
                        *([] if prove_on is None else ['--prove-on', str(prove_on)])]
            self._gate = PLAIN if is_plain(against) else None
            lock = None
            try:
                # Without photographs, too, it is a collection, and nothing else.
                features_folder(self._collection).mkdir(parents=True, exist_ok=True)
                lock = self._alone()
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                process = subprocess.Popen(
                    [sys.executable, '-m', 'tool_recognizer', 'train', *map(str, data),
                     '--output', str(work / MODEL), '--report', str(work / REPORT),
                     '--base', str(self._base), '--name', 'taught', '--progress', '--tied',
                     '--hold', str(work / HELD), *(['--idle'] if self._idle else []),
                     *([] if self._gate else compared)],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    text=True, errors='replace', start_new_session=True,
                    # Threads that wait for each other take more of a busy machine than one.
                    env=os.environ | dict.fromkeys(
                        ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), '1'))
            except OSError as error:
                if lock is not None:
                    shutil.rmtree(work, ignore_errors=True)
                    lock.close()
                raise TeachError('other', f'{error.filename}: {error.strerror}') from None
            if self._idle:
                _lower_group(process.pid)
            self._lines.clear()
            self._process, self._cancelled = process, False
            self._state = {'state': 'running', 'by': by, 'begun': time(), 'step': None}
        Thread(target=self._follow, args=(process, work, by, lock), name='training',
               daemon=True).start()

    def cancel(self) -> None:
        """End the training that runs, if there is one."""
        with self._lock:
            process = self._process if self._state['state'] == 'running' else None
            self._cancelled = process is not None
        if process is not None:
            _end(process)

    def close(self) -> None:
        """End what runs, since the console ends; the next one says so."""
        self._closed = True
        self.cancel()

    def state(self) -> dict[str, Any]:
        """Return how it stands, for a page."""
        with self._lock:
            return {**self._state, 'lines': list(self._lines)}

    def _alone(self) -> TextIO:
        """Be the only console that trains there, until what this returns is closed."""
        lock = open(self._collection / LOCK, 'a')  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise TeachError('elsewhere', 'another console trains here') from None
        except OSError:
            lock.close()
            raise
        return lock

    def _follow(self, process: subprocess.Popen[str], work: Path, by: str, lock: TextIO) -> None:
        """In a thread of its own: read what the training says, then keep what it made."""
        assert process.stdin is not None
        assert process.stderr is not None
        for line in process.stderr:
            line = line.strip()[:LONGEST_LINE]
            step = read_step(line)
            with self._lock:
                if step is not None:
                    self._state = {**self._state, 'step': step._asdict()}
                elif line:
                    self._lines.append(line)
        status = process.wait()
        process.stdin.close()
        process.stderr.close()
        ended = {'by': by, 'ended': time()}
        try:
            if self._cancelled:
                ended |= {'state': 'cancelled'}
            elif status < 0:
                ended |= {'state': 'failed', 'why': f'it was ended by signal {-status}'}
            elif status:
                ended |= {'state': 'failed', 'why': self._lines[-1] if self._lines else
                          f'it ended with status {status}'}
            else:
                ended |= {'state': 'done', 'version': self._keep(work, by)}
        except Exception as error:  # whatever it is, it is said
            ended |= {'state': 'failed', 'why': str(error)}
        if not self._closed or ended['state'] == 'done':
            shutil.rmtree(work, ignore_errors=True)  # before another one may begin there
        lock.close()
        with self._lock:
            self._state = ended

    def _keep(self, work: Path, by: str) -> str:
        gate = self._gate or json.loads(read_text(work / FIGURES, 2**20))['gate']
        return self._store.add(work / MODEL, by, gate=gate, report=work / REPORT).name


def _lower_group(pid: int) -> None:
    """Lower its session, too, where sessions share the processor (man 7 sched, autogroup)."""
    with suppress(OSError):
        Path(f'/proc/{pid}/autogroup').write_text(str(LOWEST))


def _end(process: subprocess.Popen[str]) -> None:
    """Ask a program to end, and kill it if it does not."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
