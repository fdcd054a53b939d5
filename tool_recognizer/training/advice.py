"""
What held-out photographs say of each label, and in a sentence what to take more photographs of.

Counted are photographs as they are, not their views, and in the intervals a burst of one object
is one witness.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.interval import share_interval
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
    What was held out of one label.

    Attributes
    ----------
    photographs, bursts : how many
    right : photographs that were given the label
    recall, low, high : their share, with the ends of its 95 % interval; nan without any

    """

    photographs: int
    bursts: int
    right: int
    recall: float
    low: float
    high: float


def held_by_label(held: HeldOut, photos: Sequence[Photo], labels: Sequence[str]
                  ) -> dict[str, Held]:
    """
    Count the held-out photographs of each label.

    Parameters
    ----------
    held : predictions for held-out views
    photos : all of them
    labels : K labels

    """
    truth, answer, group = _plain(held, photos, len(labels))
    found = {}
    for column, label in enumerate(labels):
        own = truth == column
        right = answer[own] == column
        low, high = share_interval(right, group[own]) if own.any() else (np.nan, np.nan)
        found[label] = Held(int(own.sum()), len(np.unique(group[own])), int(right.sum()),
                            float(right.mean()) if own.any() else float('nan'),
                            float(low), float(high))
    return found


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


def to_metadata(by_label: dict[str, Held], lines: Sequence[str]) -> dict[str, Any]:
    """Write both for the model file, which has no nan: None stands for it."""
    return {'advice': list(lines),
            'per_label': {label: {
                name: (round(value, 6) if value == value else None)
                for name, value in seen._asdict().items()} for label, seen in by_label.items()}}


def _is_plain(held: HeldOut, labels: int) -> Any:
    return (held.view == 0) & (held.column < labels)


def _plain(held: HeldOut, photos: Sequence[Photo], labels: int) -> tuple[Any, Any, Any]:
    """Return truth, answer and group of each held-out photograph of a label, as it is."""
    chosen = _is_plain(held, labels)
    return (held.column[chosen], held.logits[chosen, :labels].argmax(axis=1),
            np.array([photos[int(number)].group for number in held.photo[chosen]], np.int64))
