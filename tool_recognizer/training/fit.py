"""
The head by maximum likelihood, and its predictions for views that no fit has seen.

It knows features and columns; ``assemble`` makes the model file from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.softmax_regression import fit_head
from tool_recognizer.core.softmax_regression import SoftmaxHead
from tool_recognizer.model.file import ModelFile
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.photos import Photo
from tool_recognizer.training.progress import Progress
from tool_recognizer.training.views import Plan
from tool_recognizer.training.views import Views

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
FOLDS = 5
# Part of a photo's weight that is for it as it is, and not for its augmented views; and of what
# is for it as it is, the part that is for it turned and mirrored, if it is shown so.
PLAIN, TURNED = 0.75, 1 / 3
# Above this many numbers (rows x features x columns) a step of a fit takes seconds, and the search
# for the prior's strength is coarser.
LARGE_FIT = 2_000_000_000
COARSE_STRENGTHS, COARSE_FOLDS = (0.03, 1.0), 3
# Greatest component of the gradient at the end of a fit that only serves to choose: the held-out
# NLL is then right to a thousandth of a nat.
CLOSE = 1e-4
# Parts of the photos for the learning curve.
SHARES = (0.25, 0.5, 0.75, 1.0)

Features = NDArray[np.float32]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """
    Rows of a fit.

    Attributes
    ----------
    features : (N, D)
    column : (N,) the label's column; K for none of the labels
    weight : (N,) sums to 1, and to the same for every column
    group : (N,) of the photo

    """

    features: Features
    column: NDArray[np.int64]
    weight: Array
    group: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> 'Rows':
        """Return the chosen rows, with their weights as they are."""
        return Rows(self.features[chosen], self.column[chosen], self.weight[chosen],
                    self.group[chosen])


@dataclass(frozen=True)
class HeldOut:
    """
    Predictions for held-out views: each from a head that saw nothing of the photo's group.

    Attributes
    ----------
    logits : (N, K + 1), before the temperature
    column : (N,) the true label's column; K for none of the labels
    photo : (N,) number of the photo
    view : (N,) number of the view among the photo's; 0: the photo as it is
    ordinary : (N,) whether the view is within a camera's ordinary variation
    strengths : the prior's strength in each fold, chosen on the other folds
    strength : the one that is chosen on all of them
    curve : strength to mean held-out NLL, nats

    """

    logits: Array
    column: NDArray[np.int64]
    photo: NDArray[np.int64]
    view: NDArray[np.int64]
    ordinary: NDArray[np.bool_]
    strengths: list[float]
    strength: float
    curve: dict[float, float]


def prior_mean(base: ModelFile, labels: Sequence[str]) -> Array:
    """
    Take what the base model's head knows of the labels, before any photo is seen.

    Parameters
    ----------
    base : its head has columns for its own labels and one for none of them
    labels : K labels

    Returns
    -------
    (D, K + 1); zero for labels that the base does not have

    """
    known = base.metadata.get('labels', [])
    weight = np.zeros((base.head.weight.shape[0], len(labels) + 1))
    for column, label in enumerate(labels):
        if label in known:
            weight[:, column] = base.head.weight[:, known.index(label)]
    weight[:, -1] = base.head.weight[:, -1]
    return weight


def real_rows(photos: Sequence[Photo], views: Sequence[Views], columns: NDArray[np.int64],
              labels: int) -> tuple[Array, NDArray[np.int64], int]:
    """
    Return the unchanged photos of known labels, for the test of separation.

    Parameters
    ----------
    photos, views, columns : one per photo
    labels : K

    Returns
    -------
    (N, D) features, (N,) columns, K

    """
    chosen = [i for i, p in enumerate(photos) if p.group >= 0 and columns[i] < labels]
    return (np.array([views[i].fitted[0] for i in chosen], np.float64), columns[chosen], labels)


def fit_rows(photos: Sequence[Photo], views: Sequence[Views], columns: NDArray[np.int64],
             number: int) -> Rows:
    """
    Lay the views of all photos out as the rows of a fit.

    Every column counts the same, since the frequencies at the bench are not those of the folders;
    within a column every photo counts the same, and drawn pictures half as much; of a photo's
    weight, PLAIN is for it as it is (of which TURNED is for it turned and mirrored), and the rest
    for its augmented views.

    Parameters
    ----------
    photos, views, columns : one per photo
    number : columns, K + 1

    """
    share = np.array([1.0 if p.group >= 0 else 0.5 for p in photos])
    total = np.bincount(columns, weights=share, minlength=number)
    per_photo = share / total[columns]
    counts = [len(v.fitted) for v in views]
    weight = np.concatenate([each * _view_weights(v)
                             for each, v in zip(per_photo, views, strict=True)])
    return Rows(np.concatenate([v.fitted for v in views]), np.repeat(columns, counts),
                weight / weight.sum(), np.repeat([p.group for p in photos], counts))


def _view_weights(views: Views) -> Array:
    """Weigh the views of one photo: (V,), sum 1."""
    turned, strong = views.turned, len(views.fitted) - 1 - views.turned
    plain = PLAIN if strong else 1.0
    itself = plain * (1.0 - TURNED) if turned else plain
    return np.array([itself, *[(plain - itself) / max(turned, 1)] * turned,
                     *[(1.0 - plain) / max(strong, 1)] * strong])


def search(size: int, labels: int) -> tuple[tuple[float, ...], int]:
    """
    Say among which strengths of the prior is chosen, and by how many folds.

    Parameters
    ----------
    size : rows x features x columns of a fit
    labels : K

    """
    large = size > LARGE_FIT
    # The photos of one label weigh 1 / K in the likelihood, so with many labels the strengths that
    # suit three would be too strong.
    scale = min(1.0, 3 / labels)
    return (tuple(scale * s for s in (COARSE_STRENGTHS if large else STRENGTHS)),
            COARSE_FOLDS if large else FOLDS)


def folds(photos: Sequence[Photo], columns: NDArray[np.int64], seed: int,
          number: int = FOLDS) -> dict[int, int]:
    """
    Deal the groups out to the folds, so that every fold gets its share of every label.

    Parameters
    ----------
    photos : drawn and seen ones are dealt to no fold
    columns : (N,) of the photos
    seed : source of the randomness
    number : of folds

    Returns
    -------
    Group number to fold

    """
    rng = np.random.default_rng(seed)
    members: dict[int, list[int]] = {}
    for photo, column in zip(photos, columns, strict=True):
        if photo.can_be_held_out:
            members.setdefault(photo.group, []).append(int(column))
    load = np.zeros((number, int(columns.max()) + 1))
    dealt = {}
    order = sorted(rng.permutation(sorted(members)), key=lambda g: -len(members[int(g)]))
    for group_number in map(int, order):
        share = np.bincount(members[group_number], minlength=load.shape[1])
        # The fold that has least of these labels.
        fold = int(np.argmin((load * share).sum(axis=1) + 1e-6 * load.sum(axis=1)))
        load[fold] += share
        dealt[group_number] = fold
    return dealt


def cross_validate(photos: Sequence[Photo], views: Sequence[Views], columns: NDArray[np.int64],
                   prior: Array, strengths: Sequence[float], plan: Plan, dealt: dict[int, int],
                   progress: Progress) -> HeldOut:
    """
    Predict for every photo with a head that was fitted without its group.

    For each fold the strength of the prior is chosen on the other folds, so neither the fit nor
    this choice has seen the photos of the predictions that are kept.

    Parameters
    ----------
    photos, views, columns : one per photo
    prior : (D, K + 1) the prior's mean
    strengths : of the prior, from weak to strong, to choose from
    plan : of the views
    dealt : group to fold
    progress : shows how far it is

    """
    number = prior.shape[1]
    fold_of = np.array([dealt.get(p.group, -1) for p in photos])
    rows = fit_rows(photos, views, columns, number)
    row_fold = np.array([dealt.get(int(g), -1) for g in rows.group])
    used = sorted(set(fold_of[fold_of >= 0]))
    if len(used) < 2:
        raise DataError('nothing can be held out: the photos look like one burst, or the base '
                        'model was made of them; add photos of other objects or times')
    answers: dict[tuple[int, float], Array] = {}
    starts: dict[int, SoftmaxHead] = {}
    scored: list[Array] = []
    # From the strongest, which is fitted fastest, until it is plain that weaker ones are worse.
    tried = sorted(strengths, reverse=True)
    tasks = [(strength, f) for strength in tried for f in range(len(used))]
    for strength, f in progress.over('cross-validation', tasks, len(tasks)):
        if f == 0:
            if _are_worse(scored):
                break
            scored.append(np.zeros(len(used)))
        part = rows.where(row_fold != used[f])
        starts[f] = fit_head(part.features, one_hot_rows(part.column, number), strength,
                             row_weights=part.weight, prior_mean=prior, start=starts.get(f),
                             tolerance=CLOSE)
        inside = np.flatnonzero(fold_of == used[f]).tolist()
        answers[f, strength] = starts[f].logits(
            np.concatenate([views[i].held_out for i in inside]))
        truth = np.repeat(columns[inside], [len(views[i].held_out) for i in inside])
        scored[-1][f] = _balanced_nll(answers[f, strength], truth, number - 1)
    strengths = tried[:len(scored)][::-1]
    scores = np.stack(scored[::-1], axis=1)
    logits, truths, numbers, order, chosen = [], [], [], [], []
    for f, fold in enumerate(used):
        others = [g for g in range(len(used)) if g != f]
        strength = strongest(strengths, scores[others])
        inside = np.flatnonzero(fold_of == fold).tolist()
        counts = [len(views[i].held_out) for i in inside]
        logits.append(answers[f, strength])
        truths.append(np.repeat(columns[inside], counts))
        numbers.append(np.repeat(inside, counts))
        order += [view for count in counts for view in range(count)]
        chosen.append(strength)
    view = np.array(order)
    return HeldOut(np.concatenate(logits), np.concatenate(truths), np.concatenate(numbers),
                   view, view <= plan.gentle, chosen, strongest(strengths, scores),
                   dict(zip(strengths, scores.mean(axis=0).tolist(), strict=True)))


def _are_worse(scored: Sequence[Array]) -> bool:
    """Tell whether the last two strengths are each worse than the best by two standard errors."""
    if len(scored) < 3:
        return False
    best = min(scored, key=lambda each: float(each.mean()))
    error = best.std(ddof=1) / np.sqrt(len(best)) if len(best) > 1 else 0.0
    return all(each.mean() > best.mean() + 2.0 * error for each in scored[-2:])


def strongest(strengths: Sequence[float], scores: Array) -> float:
    """
    Choose the strongest prior whose held-out NLL is within one standard error of the least.

    The folds are of the same benches as the photos fitted on, and favour weak priors, which learn
    those benches by heart. Among strengths that they cannot distinguish the strongest generalises
    better. (The
    one-standard-error rule of Breiman, Friedman, Olshen, Stone, Classification and regression
    trees, 1984.)

    Parameters
    ----------
    strengths : from weak to strong
    scores : (folds, strengths) mean held-out NLL, nats

    """
    mean = scores.mean(axis=0)
    best = int(np.argmin(mean))
    error = float(scores[:, best].std(ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else 0.0
    return strengths[int(np.flatnonzero(mean <= mean[best] + error)[-1])]


def _balanced_nll(logits: Array, column: NDArray[np.int64], labels: int) -> float:
    """Mean over the labels of each label's mean NLL, nats; what is none of them does not count."""
    known = column < labels
    values = nll(log_softmax(logits[known, :labels]), column[known])
    return float(np.mean([values[column[known] == k].mean() for k in np.unique(column[known])]))


def one_hot_rows(column: NDArray[np.int64], number: int) -> Array:
    """
    Return the distributions that put all their mass on one column each.

    Parameters
    ----------
    column : (N,) the columns
    number : K, of columns

    Returns
    -------
    (N, K) float64

    """
    return np.eye(number)[column]


def learning_curve(photos: Sequence[Photo], views: Sequence[Views], columns: NDArray[np.int64],
                   prior: Array, strength: float, dealt: dict[int, int], seed: int,
                   progress: Progress) -> list[tuple[int, float]]:
    """
    Measure what fewer photos would have given.

    Parameters
    ----------
    photos, views, columns : one per photo
    prior : (D, K + 1) the prior's mean
    strength : of the prior
    dealt : group to fold
    seed : of the choice of fewer photos
    progress : shows how far it is

    Returns
    -------
    Photos fitted on, and the mean NLL that they gave on one held-out fold, nats

    """
    number = prior.shape[1]
    rows = fit_rows(photos, views, columns, number)
    inside = [i for i, p in enumerate(photos) if dealt.get(p.group) == 0]
    truth = np.repeat(columns[inside], [len(views[i].held_out) for i in inside])
    features = np.concatenate([views[i].held_out for i in inside])
    if not np.any(truth < number - 1):
        return []
    rng = np.random.default_rng(seed)
    # Of each label the same share, so that none is missing where there are few.
    first = {p.group: int(column) for p, column in zip(photos, columns, strict=True)
             if dealt.get(p.group, 0) != 0}
    by_label = [rng.permutation([g for g, c in first.items() if c == label])
                for label in sorted(set(first.values()))]
    curve = []
    for share in progress.over('learning curve', SHARES, len(SHARES)):
        taken = {int(g) for groups in by_label
                 for g in groups[:max(1, round(share * len(groups)))]}
        taken |= {p.group for p in photos if p.group not in dealt}
        part = rows.where(np.isin(rows.group, list(taken)))
        head = fit_head(part.features, one_hot_rows(part.column, number), strength,
                        row_weights=part.weight, prior_mean=prior, tolerance=1e-5)
        curve.append((sum(p.group >= 0 and p.group in taken for p in photos),
                      _balanced_nll(head.logits(features), truth, number - 1)))
    return curve
