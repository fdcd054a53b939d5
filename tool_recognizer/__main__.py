"""``python3 -m tool_recognizer PROGRAM``: the same programs as ``ros2 run tool_recognizer``."""

from functools import partial
from importlib import import_module
import os
from pathlib import Path
import sys

from tool_recognizer.programs import dependencies
from tool_recognizer.programs.arguments import command
from tool_recognizer.programs.arguments import refuse
from tool_recognizer.programs.arguments import starter
from tool_recognizer.ros import endings

# Each is a module of programs/, with a SUMMARY and a main(argv) that returns the exit status.
PROGRAMS = ('recognizer', 'camera', 'console', 'demo', 'train', 'evaluate', 'model', 'models',
            'journal', 'record', 'collect', 'replay', 'doctor', 'status', 'call', 'set')
# They run until they are stopped, so that is no failure.
ENDLESS = ('recognizer', 'camera', 'console', 'demo', 'record', 'collect')
# As a shell has them: 128 and the number of SIGINT, of SIGPIPE.
INTERRUPTED, READ_ENOUGH = 130, 141
# What `make` makes beside the source.
VENV = Path(__file__).parent.parent / '.venv'


def main(argv: list[str] | None = None) -> int:
    """Run one program; return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ('-h', '--help'):
        print(_help())
        return 0 if arguments else 2
    program, rest = arguments[0], arguments[1:]
    if program not in PROGRAMS:
        return refuse('tool_recognizer',
                      f'no program {program!r}; it is one of {", ".join(PROGRAMS)}')
    # Loading takes a second or more; a signal in that time must end the program well, too.
    if program in ENDLESS:
        endings.note()
    else:
        endings.interrupt()
    try:
        # Imported only now: a program must not need what another one imports.
        module = import_module(f'tool_recognizer.programs.{program}')
        for line in dependencies.outdated():
            print(f'{program}: {line}', file=sys.stderr)
        status: int = module.main(rest)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has read enough. Python would flush once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READ_ENOUGH
    except ImportError as error:
        return refuse(program, _cure(error, arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _cure(error: ImportError, arguments: list[str]) -> str:
    """Say what could not be imported and how the program comes to it."""
    if not (VENV / 'bin' / 'python3').exists():
        return dependencies.explain(error)
    if not VENV.samefile(sys.prefix):
        return f'{error}; run {command(VENV / "bin" / "python3", *arguments)}'
    return f'{error}; make clean venv makes .venv anew'


def _help() -> str:
    lines = [f'usage: {starter()} PROGRAM [ARGUMENTS]', '',
             'Recognise tools in camera frames, and measure how good the model still is.', '',
             'programs:']
    lines += [f'  {name:<12}{_summary(name)}' for name in PROGRAMS]
    lines += ['', 'PROGRAM --help lists its arguments. Exit status: 0 done and good, 1 done and '
              'the result is bad,', '2 unusable input or arguments.']
    return '\n'.join(lines)


def _summary(program: str) -> str:
    try:
        return str(import_module(f'tool_recognizer.programs.{program}').SUMMARY)
    except ImportError as error:
        return f'(cannot run here: {error})'


def _entry(*program: str) -> int:
    arguments = [*program, *sys.argv[1:]]
    status = main(arguments)
    endings.ignore()  # it ends anyway, and with this status
    if arguments and arguments[0] in ENDLESS:
        endings.leave(status)
    return status


# What ``ros2 run`` starts.
recognizer = partial(_entry, 'recognizer')
camera = partial(_entry, 'camera')
console = partial(_entry, 'console')
demo = partial(_entry, 'demo')
train = partial(_entry, 'train')
evaluate = partial(_entry, 'evaluate')
model = partial(_entry, 'model')
models = partial(_entry, 'models')
journal = partial(_entry, 'journal')
record = partial(_entry, 'record')
collect = partial(_entry, 'collect')
replay = partial(_entry, 'replay')
doctor = partial(_entry, 'doctor')
status = partial(_entry, 'status')
call = partial(_entry, 'call')
set = partial(_entry, 'set')  # noqa: A001


if __name__ == '__main__':
    sys.exit(_entry())
