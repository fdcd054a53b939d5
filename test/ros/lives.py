"""
Programs that start fast, to be killed: a server has loaded one, and forks a process for each life.

What runs is the very program, with a model, a journal and DDS of its own; only what Python's
imports take, more than half of a start, is shared.
"""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0


class Lives:
    """
    Lives of one program, one after the other.

    Parameters
    ----------
    program : its name

    """

    def __init__(self, program):
        self._program, self._child = program, 0
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
        self._server = subprocess.Popen(
            [sys.executable, __file__, program], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, 'PYTHONPATH': path})

    def begin(self, log, *arguments):
        """Start it; its output goes to a file."""
        request = [str(log), [self._program, *map(str, arguments)]]
        self._server.stdin.write(f'{json.dumps(request)}\n')
        self._server.stdin.flush()
        self._child = int(self._server.stdout.readline())

    def kill(self):
        """Kill it as ``kill -9`` does; it must have lived until then."""
        child, self._child = self._child, 0
        os.kill(child, signal.SIGKILL)
        assert int(self._server.stdout.readline()) == signal.SIGKILL, 'it ended by itself'

    def close(self):
        """End the server, and what still lives."""
        if self._child:
            self.kill()
        self._server.stdin.close()
        self._server.wait(PATIENCE)
        self._server.stdout.close()


def serve(program):
    """Fork a life for each line of the input; print its number, and how it ended."""
    from importlib import import_module

    from tool_recognizer.__main__ import main
    import_module(f'tool_recognizer.programs.{program}')
    for line in sys.stdin:
        log, arguments = json.loads(line)
        child = os.fork()
        if not child:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for end, number in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
                os.dup2(end, number)
            os._exit(main(arguments))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == '__main__':
    serve(sys.argv[1])
