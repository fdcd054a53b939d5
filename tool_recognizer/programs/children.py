"""Programs of this package that another program starts, and ends when it ends."""

from queue import Empty
from queue import SimpleQueue
import subprocess
import sys
from threading import Thread

# Seconds that a child has to end after it was asked to: on a busy machine a bag or a journal takes
# its time, and what is killed leaves it unfinished.
PATIENCE = 20.0


class Children:
    """
    Processes of programs.

    Parameters
    ----------
    captured : whether their output is collected for ``said``, for a program that draws

    """

    def __init__(self, captured: bool) -> None:
        self._captured = captured
        self._processes: list[subprocess.Popen[str]] = []
        self._readers: list[Thread] = []
        self._lines: SimpleQueue[str] = SimpleQueue()

    def start(self, *program: str) -> None:
        """Start a program with its arguments."""
        # In a session of its own, so that Ctrl-C reaches it once, from here.
        child = subprocess.Popen(
            [sys.executable, '-m', 'tool_recognizer', *program], start_new_session=True,
            text=True, errors='replace',
            stdout=subprocess.PIPE if self._captured else None,
            stderr=subprocess.STDOUT if self._captured else None)
        self._processes.append(child)
        if self._captured:
            reader = Thread(target=self._read, args=(child,), name=program[0], daemon=True)
            reader.start()
            self._readers.append(reader)

    def said(self) -> list[str]:
        """Return the lines that they wrote since the last call, without line ends."""
        lines = []
        try:
            while True:
                lines.append(self._lines.get_nowait())
        except Empty:
            return lines

    def ended(self) -> int | None:
        """Return the exit status of the first that ended, one that failed before others."""
        statuses = [child.poll() for child in self._processes]
        ended = [abs(status) for status in statuses if status is not None]
        return next((status for status in ended if status), 0) if ended else None

    def end(self) -> None:
        """Ask all of them to end, and kill those that do not."""
        for child in self._processes:
            if child.poll() is None:
                child.terminate()
        for child in self._processes:
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for reader in self._readers:
            reader.join(PATIENCE)

    def _read(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            self._lines.put(line.rstrip('\n'))
