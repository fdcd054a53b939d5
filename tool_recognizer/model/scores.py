"""Of the outputs of a graph that says nothing of them: which are scores, one for each label."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# How far the probabilities of one picture may be from 1 in sum.
ROUNDING = 0.01


def fits(shape: Sequence[int], pictures: int, labels: int) -> bool:
    """Say whether an answer of this shape is one number per picture and label, in that order."""
    return [size for size in shape if size != 1] == [n for n in (pictures, labels) if n != 1]


def rows_of(answer: NDArray[Any], labels: int) -> NDArray[Any]:
    """Bring scores of shape N x K x 1 x 1, or K for one picture, to N x K."""
    return np.asarray(answer).reshape(-1, labels)


def may_be_probabilities(scores: NDArray[np.float64]) -> bool:
    """Say whether all (N, K) scores lie between 0 and 1."""
    return bool(scores.min() >= 0.0 and scores.max() <= 1.0 + ROUNDING)


def are_probabilities(scores: NDArray[np.float64]) -> bool:
    """Say whether each row of (N, K) scores is a distribution; half precision rounds coarsely."""
    return bool(np.all(scores >= 0.0) and np.allclose(scores.sum(axis=1), 1.0, atol=ROUNDING))


def choose(found: Mapping[str, NDArray[np.float64]], probabilities: bool) -> str:
    """
    Choose among outputs that could all be the scores.

    Parameters
    ----------
    found : (N, K) scores by the output's name, in the graph's order; one at least
    probabilities : whether probabilities are looked for, else logits

    Returns
    -------
    The first output of that kind, else the first

    """
    return next((name for name, scores in found.items()
                 if are_probabilities(scores) == probabilities), next(iter(found)))


def hints(scores: NDArray[np.float64], probabilities: bool, half: bool) -> list[str]:
    """
    Say what looks as if scores were not what they are taken for.

    Parameters
    ----------
    scores : (N, K) answers to a few pictures
    probabilities : whether they are taken for probabilities, else for logits
    half : whether the graph gives them in half precision

    Returns
    -------
    A line each

    """
    if not probabilities:
        return [
            'its answers look like probabilities (between 0 and 1, in sum 1) and are taken '
            'for logits, which makes it far less sure than it is: say --output probabilities '
            'to evaluate and model, plain_model.output: probabilities in the parameters of '
            'the node and of replay'] if are_probabilities(scores) else []
    lines = []
    if not are_probabilities(scores):
        lines.append('its probabilities do not sum to 1 over the labels, and are scaled so that '
                     'they do')
    if half:
        lines.append('its probabilities are of half precision, which makes 0 of what is below '
                     '6e-8, and a frame with a 0 is refused: export its logits')
    return lines
