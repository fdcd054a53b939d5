"""
Ctrl-C and SIGTERM while a program that runs for ever is being loaded and made.

They are only noted then. An exception within an import or a constructor may be swallowed, may
leave behind what was started, or may end the process by the signal itself. A program that ends by
itself may be stopped at any moment, so there they raise KeyboardInterrupt.
"""

from contextlib import suppress
import os
import signal
import sys
import threading

ENDINGS = (signal.SIGINT, signal.SIGTERM)
_noted: list[int] = []


class Finished(Exception):
    """
    Raised in a node's callback when its process is to end.

    Parameters
    ----------
    status : of the exit
    why : one line for the user; '' if the work is done

    """

    def __init__(self, status: int = 0, why: str = '') -> None:
        super().__init__(status, why)
        self.status, self.why = status, why


def note() -> None:
    """From now on, note either signal and go on."""
    for number in ENDINGS:
        signal.signal(number, lambda number, frame: _noted.append(number))


def interrupt() -> None:
    """From now on, raise KeyboardInterrupt at either signal, unless a shell has it ignored."""
    for number in (*ENDINGS, signal.SIGALRM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _interrupt_again


def _interrupt_again(unraisable: 'sys.UnraisableHookArgs') -> None:
    """Raise again, in a moment, what came in a destructor or a callback, which cannot raise it."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(unraisable)


def noted() -> bool:
    """Tell whether one was noted."""
    return bool(_noted)


def ignore() -> None:
    """From now on, ignore both signals: launch files send a second Ctrl-C."""
    for number in (*ENDINGS, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def leave(status: int) -> None:
    """
    End the process with this status if a thread is still at work, such as on loading a model.

    Python would stop the thread in the middle of foreign code, which aborts the process.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # nobody reads it any more
                stream.flush()
        os._exit(status)
