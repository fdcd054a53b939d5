"""
How few photographs of a label are enough: the learning curve of a backbone, on labelled folders.

For each number of photographs so many of each label are chosen, by whole bursts, a head is fitted
to them as ``train`` does it, and all that were not chosen are recognised. Several choices give the
mean and its interval. Left out: the model's own labels and head, of which nothing is used but
what its column for none of them knows.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.softmax_regression import label_weights
from tool_recognizer.model.file import ModelFile
from tool_recognizer.training.assemble import calibrated_head
from tool_recognizer.training.assemble import input_spec
from tool_recognizer.training.fit import cross_validate
from tool_recognizer.training.fit import folds
from tool_recognizer.training.fit import prior_mean
from tool_recognizer.training.fit import search
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.photos import drawn
from tool_recognizer.training.photos import labels_of
from tool_recognizer.training.photos import Photo
from tool_recognizer.training.photos import read_photos
from tool_recognizer.training.progress import Progress
from tool_recognizer.training.views import Extractor
from tool_recognizer.training.views import view_plan
from tool_recognizer.training.views import Views

# Photographs of each label that are left to be recognised, at least; choices of photographs;
# drawn pictures of other things, as ``train`` has them.
LEFT, CHOICES, DRAWN = 5, 10, 60

Array = NDArray[np.float64]


def learning_curve(base: ModelFile, sources: Sequence[Path], numbers: Sequence[int], seed: int,
                   cache: Path, progress: Progress, choices: int = CHOICES) -> dict[str, Any]:
    """
    Measure accuracy and NLL against photographs of each label.

    Parameters
    ----------
    base : gives the backbone
    sources : folders of labelled photographs, collections or journals; 'other' is left out
    numbers : photographs of each label, rising. A label that has fewer gives all but ``LEFT``
    seed : of the choices
    cache : where features are kept
    progress : shows how far it is
    choices : how many for each number, at least 2

    Returns
    -------
    labels; counts of the photographs; choices; points: for each number photographs (of each
    label, as many as were taken in the mean), accuracy, nll (nats) and ece, each label counting
    the same. X_ci_low and X_ci_high are the ends of the 95 % interval of the mean of X over the
    choices (Student's): it tells how the choice matters, not how other photographs would do. The
    ece is of all choices' predictions together, since that of a few is never 0

    Raises
    ------
    DataError
        Fewer than 2 labels, or one of fewer than ``LEFT`` + 2 photographs, or of which no burst
        is as small as the first number.

    """
    photos = read_photos(sources, progress)
    labels = labels_of(photos, other_is_a_label=False)
    photos = [photo for photo in photos if photo.label in labels]
    counts = {label: sum(p.label == label for p in photos) for label in labels}
    few = [label for label, count in counts.items() if count < LEFT + 2]
    if few:
        raise DataError(f'{few}: --few needs {LEFT + 2} photographs of each label at least, so '
                        f'that {LEFT} are left to be recognised')
    for label in labels:
        smallest = min(Counter(p.group for p in photos if p.label == label).values())
        if smallest > min(numbers[0], counts[label] - LEFT):
            raise DataError(f'{label!r}: no burst of it is small enough, the smallest has '
                            f'{smallest} photographs: --few goes from {smallest} on, with '
                            f'{smallest + LEFT} of the label at least')
    others = drawn(labels, 0, DRAWN, seed)
    extractor = Extractor(base, input_spec(base, None), view_plan(0, None), cache)
    every = [*photos, *others]
    views = list(progress.over('features', extractor.over(every), len(every)))
    kept = dict(zip((photo.digest for photo in every), views, strict=True))
    tasks = [(number, choice) for number in numbers for choice in range(choices)]
    found: dict[int, list[tuple[Array, NDArray[np.int64], dict[str, int]]]] = {}
    for number, choice in progress.over('choices', tasks, len(tasks)):
        chosen = choose(photos, labels, number, seed + choice)
        found.setdefault(number, []).append(
            _answers(base, labels, chosen, photos, others, kept, seed))
    return {'labels': labels, 'counts': counts, 'choices': choices,
            'points': [{'few': number, **_point(found[number])} for number in numbers]}


def choose(photos: Sequence[Photo], labels: Sequence[str], number: int, seed: int) -> list[Photo]:
    """
    Choose photographs of each label, by whole bursts, at random.

    Parameters
    ----------
    photos : all of the labels
    labels : K labels
    number : of each, at most; ``LEFT`` of each are left
    seed : of the choice

    """
    rng = np.random.default_rng(seed)
    chosen: list[Photo] = []
    taken: set[int] = set()
    for label in labels:
        own = [photo for photo in photos if photo.label == label]
        most, size = min(number, len(own) - LEFT), 0
        for group in rng.permutation(sorted({photo.group for photo in own})).tolist():
            burst = [photo for photo in own if photo.group == group]
            if group not in taken and size + len(burst) <= most:
                chosen += burst
                size += len(burst)
                taken.add(group)
    return chosen


def _answers(base: ModelFile, labels: Sequence[str], chosen: Sequence[Photo],
             photos: Sequence[Photo], others: Sequence[Photo], kept: dict[str, Views], seed: int
             ) -> tuple[Array, NDArray[np.int64], dict[str, int]]:
    """Fit to the chosen photographs; return what that says of the rest, and their columns."""
    fitted = [*chosen, *others]
    groups = {photo.group for photo in chosen}
    rest = [photo for photo in photos if photo.group not in groups]
    columns = np.array([labels.index(p.label) if p.label in labels else len(labels)
                        for p in fitted])
    views = [kept[photo.digest] for photo in fitted]
    prior = prior_mean(base, labels)
    strengths, number = search(sum(len(v.fitted) for v in views) * prior.size, len(labels))
    silent = Progress(quiet=True)
    held = cross_validate(fitted, views, columns, prior, strengths, view_plan(0, None),
                          folds(fitted, columns, seed, number), silent)
    head, _ = calibrated_head(fitted, views, columns, prior, held)
    features = np.array([kept[photo.digest].fitted[0] for photo in rest])
    return (log_softmax(head.logits(features)[:, :len(labels)]),
            np.array([labels.index(photo.label) for photo in rest]),
            {label: sum(photo.label == label for photo in chosen) for label in labels})


def _point(answers: Sequence[tuple[Array, NDArray[np.int64], dict[str, int]]]) -> dict[str, Any]:
    accuracies, nlls = [], []
    for log_p, label, _ in answers:
        weights = label_weights(label, log_p.shape[1])
        accuracies.append(float(weights @ (log_p.argmax(axis=1) == label)))
        nlls.append(float(weights @ nll(log_p, label)))
    log_p = np.concatenate([each for each, _, _ in answers])
    label = np.concatenate([each for _, each, _ in answers])
    return {'photographs': {name: float(np.mean([taken[name] for _, _, taken in answers]))
                            for name in answers[0][2]},
            **_mean('accuracy', accuracies), **_mean('nll', nlls),
            'ece': expected_calibration_error(
                log_p, label, row_weights=label_weights(label, log_p.shape[1]))}


def _mean(name: str, values: Sequence[float]) -> dict[str, float]:
    n, mean = len(values), float(np.mean(values))
    half = float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return {name: mean, f'{name}_ci_low': mean - half, f'{name}_ci_high': mean + half}


def curve_lines(curve: dict[str, Any]) -> list[str]:
    """Lay a curve out as a table, a line each."""
    lines = [f'{"photographs":<12} accuracy (95 %)         NLL, nats (95 %)        ECE']
    for point in curve['points']:
        fewer = [f'{name} {n:g}' for name, n in point['photographs'].items() if n < point['few']]
        lines.append(
            f'{point["few"]:<12} '
            + '   '.join(f'{point[k]:.3f} ({point[k + "_ci_low"]:.3f} to '
                         f'{point[k + "_ci_high"]:.3f})' for k in ('accuracy', 'nll'))
            + f'  {point["ece"]:.3f}' + (f'  with fewer of: {", ".join(fewer)}' if fewer else ''))
    return lines
