"""Command lines, the same in every program."""

import argparse
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
import shlex
import shutil
import sys
from typing import NoReturn

from tool_recognizer.programs.outputs import OutputError

# The longest time that a program may be told to take, in seconds: ten days.
LONGEST = 864_000.0
# The greatest seed of what is random.
LAST_SEED = 2**32 - 1
# Of what has no bound of its own.
GREATEST = 1e9


class Parser(argparse.ArgumentParser):
    """
    An argument parser whose refusal is one line and status 2.

    Parameters
    ----------
    prog : the program
    summary : what it does, one phrase
    examples : programs with arguments, without what starts them, and after an empty one any notes;
        in the help each can be typed as it stands, however the program was started

    """

    def __init__(self, prog: str, summary: str, examples: tuple[str, ...]) -> None:
        super().__init__(
            prog=prog, description=summary[0].upper() + summary[1:] + '.',
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog='\n'.join(['examples:', *(f'  {line}' for line in _typed(examples))]))

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        self.exit(refuse(self.prog, f'{message} (--help lists the arguments)'))


def run_program(work: Callable[[argparse.Namespace], int], parser: Parser,
                unusable: tuple[type[Exception], ...], argv: list[str] | None = None) -> int:
    """
    Parse the arguments and do the work; what cannot be used is reported in one line.

    Parameters
    ----------
    work : called with the parsed arguments; returns the exit status
    parser : of the arguments
    unusable : what the work raises for input or arguments that cannot be used, beside OutputError
    argv : the arguments; None: those of the process

    Returns
    -------
    The work's exit status, or 2

    """
    arguments = parser.parse_args(argv)
    reported: tuple[type[Exception], ...] = (*unusable, OutputError)
    try:
        return work(arguments)
    except reported as error:
        return refuse(parser.prog, error)


def in_range(low: float, high: float = GREATEST) -> Callable[[str], float]:
    """Return a reader of numbers in a range, both ends included; it says what is wrong."""
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float('nan')
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f'must be a number, {low:g} .. {high:g}, got '
                                             f'{text!r}')
        return number
    return read


def between(low: float, high: float = GREATEST) -> Callable[[str], float]:
    """Return a reader of numbers in a range, without its ends; it says what is wrong."""
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float('nan')
        if not low < number < high:
            raise argparse.ArgumentTypeError(f'must be a number above {low:g} and below '
                                             f'{high:g}, got {text!r}')
        return number
    return read


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers in a range, both ends included; it says what is wrong."""
    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f'must be a whole number, {low} .. {high}, got '
                                             f'{text!r}')
        return number
    return read


def starter() -> str:
    """Return the command line before a program's name, as this program was started."""
    script = Path(sys.argv[0])
    if script.parent.parts[-2:] == ('lib', 'tool_recognizer'):
        return 'ros2 run tool_recognizer'
    is_usual = shutil.which('python3') == sys.executable
    return command(Path('python3' if is_usual else sys.executable))


def command(python: Path, *arguments: str) -> str:
    """Write the command line that runs one of the programs with a Python, to be typed here."""
    here = Path.cwd()
    near = python.relative_to(here) if python.is_relative_to(here) else python
    return shlex.join([str(near), '-m', 'tool_recognizer', *arguments])


def _typed(examples: tuple[str, ...]) -> list[str]:
    commands = list(takewhile(bool, examples))
    return [f'{starter()} {line}' for line in commands] + list(examples[len(commands):])


def refuse(program: str, why: object) -> int:
    """Say in one line what cannot be used and why; return the exit status for it, 2."""
    print(f'{program}: {" ".join(str(why).split())}', file=sys.stderr)
    return 2
