"""Running a graph on any number of pictures, whatever number it takes at once."""

from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnxruntime as ort


def fixed_batch(session: ort.InferenceSession) -> int:
    """Return how many pictures a graph takes at once: no more and no fewer; 0 if any number."""
    first = session.get_inputs()[0].shape[:1]
    return first[0] if first and isinstance(first[0], int) else 0


def run_in_batches(session: ort.InferenceSession, outputs: Sequence[str], feed: NDArray[Any],
                   most: int = 0,
                   options: ort.RunOptions | None = None) -> Iterator[tuple[int, list[Any]]]:
    """
    Run a graph, in parts if need be.

    Parameters
    ----------
    session : takes one input
    outputs : names
    feed : (N, ...) of the input's type
    most : pictures at once, for a graph that takes any number; 0: all
    options : of each run

    Yields
    ------
    Of each part, how many of the pictures it answers and its outputs. A graph that takes a fixed
    number is handed copies of the last picture to make it up, and its answers to those come last

    """
    (name,) = (i.name for i in session.get_inputs())
    fixed = fixed_batch(session)
    size = fixed or most or len(feed)
    for start in range(0, len(feed), size):
        part = feed[start:start + size]
        number = len(part)
        if number < fixed:
            part = np.concatenate([part, np.repeat(part[-1:], fixed - number, axis=0)])
        yield number, session.run(list(outputs), {name: part}, options)


@contextmanager
def time_limit(seconds: float) -> Iterator[ort.RunOptions]:
    """
    Give options whose runs are ended from outside after a time: a graph may loop for ever.

    Parameters
    ----------
    seconds : for all runs within the context

    """
    options = ort.RunOptions()
    timer = Timer(seconds, setattr, (options, 'terminate', True))
    timer.daemon = True
    timer.start()
    try:
        yield options
    finally:
        timer.cancel()
