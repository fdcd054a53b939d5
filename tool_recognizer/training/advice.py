"""
What held-out photographs say of each label, and in a sentence what to take more photographs of.

Counted are photographs as they are, not their views, and in the intervals a burst of one object
is one witness.
"""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.interval import burst_means
from tool_recognizer.core.interval import share_interval
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.means import mean_cost
from tool_recognizer.training.fit import HeldOut
from tool_recognizer.training.photos import Photo

# Two labels are called confused from so many mistakes and this share of their photographs on.
FEWEST, SHARE = 2, 0.05
# Photographs of a label that are a start; that are good.
START, GOOD = 10, 20
# A label is called weak where not even the upper end of its recall's interval reaches this.
WEAK = 0.9


class Held(NamedTuple):
    """
    What was held out of one label, or of all.

    Attributes
    ----------
    photographs, bursts : how many
    right : photographs that were given the label
    recall, low, high : their share, with the ends of its 95 % interval; nan without any
    nll, nll_low, nll_high : their mean NLL, nats, with the ends of its 95 % interval

    """

    photographs: int
    bursts: int
    right: int
    recall: float
    low: float
    high: float
    nll: float
    nll_low: float
    nll_high: float


def held_by_label(held: HeldOut, photos: Sequence[Photo], labels: Sequence[str],
                  temperature: float = 1.0) -> dict[str, Held]:
    """
    Count the held-out photographs of each label.

    Parameters
    ----------
    held : predictions for held-out views
    photos : all of them
    labels : K labels
    temperature : of the fitted head

    """
    truth, answer, group = _plain(held, photos, len(labels))
    each = _costs(held, truth, len(labels), temperature)
    return {label: _count(truth == column, truth == answer, each, group, len(labels))
            for column, label in enumerate(labels)}


def held_in_all(held: HeldOut, photos: Sequence[Photo], labels: Sequence[str],
                temperature: float = 1.0) -> Held:
    """Count the held-out photographs of all labels; the rest as of ``held_by_label``."""
    truth, answer, group = _plain(held, photos, len(labels))
    return _count(np.ones(len(truth), np.bool_), truth == answer,
                  _costs(held, truth, len(labels), temperature), group, len(labels))


def _count(own: Any, right: Any, each: Any, group: Any, labels: int) -> Held:
    """Take the figures of some of the photographs; nan without any."""
    if not own.any():
        nan = float('nan')
        return Held(0, 0, 0, nan, nan, nan, nan, nan, nan)
    low, high = share_interval(right[own], group[own])
    means, sizes = burst_means(each[own], group[own])
    _, cheap, dear = mean_cost(means, sizes, cost_of_surprise(labels))
    return Held(int(own.sum()), len(sizes), int(right[own].sum()), float(right[own].mean()), low,
                high, float(each[own].mean()), cheap, dear)


def _costs(held: HeldOut, truth: Any, labels: int, temperature: float) -> Any:
    chosen = _is_plain(held, labels)
    return nll(log_softmax(held.logits[chosen, :labels], temperature), truth)


def advice(held: HeldOut, photos: Sequence[Photo], labels: Sequence[str]) -> list[str]:
    """
    Say what is missing, the worst first; one sentence that nothing is, if that is so.

    Parameters
    ----------
    held : predictions for held-out views
    photos : all of them
    labels : K labels

    """
    by_label = held_by_label(held, photos, labels)
    truth, answer, _ = _plain(held, photos, len(labels))
    numbers = held.photo[_is_plain(held, len(labels))]
    lines, named = [], set()
    pairs = []
    for one in range(len(labels)):
        for other in range(one + 1, len(labels)):
            wrong = ((truth == one) & (answer == other)) | ((truth == other) & (answer == one))
            both = int(np.isin(truth, (one, other)).sum())
            if wrong.sum() >= FEWEST and wrong.sum() >= SHARE * both:
                pairs.append((int(wrong.sum()), both, one, other, wrong))
    for mistakes, both, one, other, wrong in sorted(pairs, key=lambda p: (-p[0] / p[1], p[2:4])):
        example = Path(photos[int(numbers[np.flatnonzero(wrong)[0]])].name).name
        lines.append(f'{labels[one]} and {labels[other]} are confused in {mistakes} of {both} '
                     f'held-out photographs: take more of both as they lie there (such as '
                     f'{example})')
        named |= {one, other}
    for column, label in enumerate(labels):
        seen = by_label[label]
        count = sum(p.label == label and p.group >= 0 for p in photos)
        if seen.photographs and seen.high < WEAK and column not in named:
            lines.append(f'{label} is known in {seen.right} of {seen.photographs} held-out '
                         'photographs: take more of it')
        elif count < START:
            lines.append(f'{label} has {count} photographs: {START} are a start, {GOOD} are good')
        elif not seen.photographs:
            lines.append(f'none of {label} could be held out: take more at another time, or of '
                         'another object')
    total, right = len(truth), int((truth == answer).sum())
    if not lines and total:
        lines.append(f'nothing is missing that could be seen: {right} of {total} held-out '
                     'photographs are right')
    return lines


def to_metadata(by_label: dict[str, Held], lines: Sequence[str], in_all: Held | None = None
                ) -> dict[str, Any]:
    """Write it for the model file, which has no nan and no infinity: None stands for both."""
    return {'advice': list(lines),
            'per_label': {label: _finite(seen) for label, seen in by_label.items()},
            **({} if in_all is None else {'all': _finite(in_all)})}


def _finite(seen: Held) -> dict[str, Any]:
    return {name: round(value, 6) if isfinite(value) else None
            for name, value in seen._asdict().items()}


def _is_plain(held: HeldOut, labels: int) -> Any:
    return (held.view == 0) & (held.column < labels)


def _plain(held: HeldOut, photos: Sequence[Photo], labels: int) -> tuple[Any, Any, Any]:
    """Return truth, answer and group of each held-out photograph of a label, as it is."""
    chosen = _is_plain(held, labels)
    return (held.column[chosen], held.logits[chosen, :labels].argmax(axis=1),
            np.array([photos[int(number)].group for number in held.photo[chosen]], np.int64))
