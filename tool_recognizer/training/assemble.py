"""The model file: the final head with its temperature, reference, rejection and golden answers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from datetime import timezone
from hashlib import sha256
from pathlib import Path
import tempfile
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.calibration import fit_temperature
from tool_recognizer.core.drift import REFERENCE_LABELS
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.softmax_regression import fit_head
from tool_recognizer.core.softmax_regression import SoftmaxHead
from tool_recognizer.model.content import content_digest
from tool_recognizer.model.contract import size_of
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import Network
from tool_recognizer.model.file import quality_entry
from tool_recognizer.model.file import seen_entry
from tool_recognizer.model.golden import enlarge
from tool_recognizer.model.golden import golden_entry
from tool_recognizer.model.golden import golden_pixels
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.training.advice import advice
from tool_recognizer.training.advice import held_by_label
from tool_recognizer.training.advice import held_in_all
from tool_recognizer.training.advice import to_metadata
from tool_recognizer.training.fit import fit_rows
from tool_recognizer.training.fit import HeldOut
from tool_recognizer.training.fit import one_hot_rows
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import NEGATIVES
from tool_recognizer.training.photos import Photo
from tool_recognizer.training.views import Features
from tool_recognizer.training.views import Plan
from tool_recognizer.training.views import Views

LARGEST_REFERENCE = 2000
GOLDEN = 4
# Covers the rounding of int8 kernels of different processors, and no damage to the weights.
GOLDEN_TOLERANCE = 0.25

Array = NDArray[np.float64]


class Terms(NamedTuple):
    """
    What the user chose for the model file.

    Attributes
    ----------
    name : of the model
    seed : of all that is random
    false_rejection_rate : share of known tools that may be refused as unknown
    licence, attribution : of the model, and the sources of its photographs

    """

    name: str
    seed: int
    false_rejection_rate: float
    licence: str
    attribution: str


class Apart(NamedTuple):
    """
    Photographs of other sources than those fitted on, for the threshold and the reference.

    Attributes
    ----------
    features : (N, D) of each as it is
    column : (N,) the label's column; K for none of the labels

    """

    features: Features
    column: NDArray[np.int64]


def assemble(terms: Terms, base: ModelFile, spec: InputSpec, labels: Sequence[str],
             photos: Sequence[Photo], views: Sequence[Views], columns: NDArray[np.int64],
             prior: Array, held: HeldOut, overlap: str, plan: Plan,
             apart: Apart | None = None) -> ModelFile:
    """
    Fit the final head on all photos, and make the model file with all that it says of itself.

    Parameters
    ----------
    terms : what the user chose
    base : gives the backbone
    spec : input of the network
    labels : K labels
    photos, views, columns : one per photo; a column of K is none of the labels
    prior : (D, K + 1) the prior's mean
    held : predictions for held-out views: they give temperature, reference and rejection
    overlap : whether planes separate the labels, see ``separation``
    plan : of the views
    apart : what sets the threshold of rejection instead of the held-out predictions and, where
        there are enough, is the reference

    Raises
    ------
    DataError
        Too few of ``apart`` are of the labels to set a threshold.

    """
    number = len(labels)
    known = held.column < number
    strength = held.strength
    head, temperature = calibrated_head(photos, views, columns, prior, held)
    logits = held.logits / temperature
    judged, is_known = logits, known
    if apart is not None:
        judged, is_known = head.logits(apart.features), apart.column < number
    novelty = judged[:, number] - np.logaddexp.reduce(judged[:, :number], axis=1)
    rejection = _rejection(novelty[is_known], novelty[~is_known], terms.false_rejection_rate)
    if apart is not None:
        if rejection is None:
            raise DataError(f'{int(is_known.sum())} photographs of the labels are too few to set '
                            f'a threshold that refuses {terms.false_rejection_rate:g} of them')
        rejection['photographs'] = len(is_known)
    chosen = reference_rows(held, number, terms.seed)
    reference = _reference(logits[chosen, :number], held.column[chosen], held.photo[chosen],
                           labels)
    strangers = np.flatnonzero(is_known)[:LARGEST_REFERENCE]
    if apart is not None and len(strangers) >= REFERENCE_LABELS:
        reference = _reference(judged[strangers, :number], apart.column[strangers], strangers,
                               labels)
    counts = {label: sum(p.label == label and p.group >= 0 for p in photos)
              for label in [*labels, NEGATIVES]}
    tool_version = _version()
    metadata: dict[str, Any] = {
        'schema': 1,
        'name': terms.name,
        'version': sha256(head.weight.astype('<f4').tobytes()).hexdigest()[:12],
        'created': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'labels': list(labels),
        'input': {'height': spec.height, 'width': spec.width, 'fit': spec.fit},
        'temperature': 1.0,
        'reference': reference,
        'rejection': rejection,
        'quality': quality_entry([v.quality for p, v in zip(photos, views, strict=True)
                                  if p.group >= 0]),
        'golden_tolerance': GOLDEN_TOLERANCE,
        'training': {
            'base': content_digest(base.content),
            'counts': counts,
            'drawn': {label: sum(p.label == label and p.group < 0 for p in photos)
                      for label in [*labels, NEGATIVES]},
            'groups': len({p.group for p in photos if p.group >= 0}),
            'views': plan.fitted,
            'data_digest': sha256(''.join(
                f'{p.label} {p.digest}\n' for p in photos).encode()).hexdigest(),
            'tool_version': tool_version,
            'seed': terms.seed,
            'fitted_temperature': temperature,
            'prior_strength': strength,
            'held_out_nll_by_strength': {f'{s:g}': v for s, v in held.curve.items()},
            'separation': overlap,
            'held_out': to_metadata(held_by_label(held, photos, labels, temperature),
                                    advice(held, photos, labels),
                                    held_in_all(held, photos, labels, temperature)),
            # The base's photographs shape the head, too, through the prior's mean.
            'seen': seen_entry([*(p.digest for p in photos if p.group >= 0),
                                *base.metadata.get('training', {}).get('seen', [])])},
        'backbone': base.metadata.get('backbone', {}),
        'licence': terms.licence,
        'attribution': terms.attribution}
    small = golden_pixels(terms.seed, GOLDEN)
    answers = Network(base.with_head(head)).run(
        'logits', [enlarge(pixels, spec.height, spec.width) for pixels in small])
    metadata['golden'] = [golden_entry(pixels, logits.tolist())
                          for pixels, logits in zip(small, answers, strict=True)]
    return base.with_head(head, metadata)


def calibrated_head(photos: Sequence[Photo], views: Sequence[Views],
                    columns: NDArray[np.int64], prior: Array, held: HeldOut
                    ) -> tuple[SoftmaxHead, float]:
    """
    Fit the head on all photos, as sure as the held-out predictions say that it may be.

    Parameters
    ----------
    photos, views, columns : one per photo; a column of K is none of the labels
    prior : (D, K + 1) the prior's mean
    held : predictions for held-out views; they give strength and temperature

    Returns
    -------
    The head, for temperature 1, and the temperature that is in it

    """
    number = prior.shape[1] - 1
    rows = fit_rows(photos, views, columns, number + 1)
    head = fit_head(rows.features, one_hot_rows(rows.column, number + 1), held.strength,
                    row_weights=rows.weight, prior_mean=prior)
    # The strong views are harder than frames are, and would make it less sure than it should be.
    usual = (held.column < number) & held.ordinary
    # By the rule of succession: of n photographs that are all right the next may be wrong.
    witnesses = len(np.unique(held.photo[usual]))
    temperature = fit_temperature(held.logits[usual, :number], held.column[usual],
                                  unseen=1.0 / (witnesses + 2))
    return head.sharpened(temperature), temperature


def reference_rows(held: HeldOut, labels: int, seed: int) -> NDArray[np.int64]:
    """
    Choose the predictions that drift is measured from: one for each photo, if these suffice.

    Views of one photo are nearly the same frame, and ranks among them promise less than ranks
    among as many photos. If there are fewer photos than the drift test's reference needs, their
    ordinary views count, too.

    Parameters
    ----------
    held : the predictions
    labels : K; predictions for what is none of them are left out
    seed : of the choice among more than 2,000

    Returns
    -------
    Numbers of the predictions, ascending

    """
    known = held.column < labels
    chosen = np.flatnonzero(known & (held.view == 0))
    if len(chosen) < REFERENCE_LABELS:
        chosen = np.flatnonzero(known & held.ordinary)
    return np.sort(np.random.default_rng(seed).permutation(chosen)[:LARGEST_REFERENCE])


def _reference(logits: Array, column: NDArray[np.int64], photo: NDArray[np.int64],
               labels: Sequence[str]) -> dict[str, Any]:
    log_p = log_softmax(logits)
    counts = np.bincount(column, minlength=len(labels))
    return {
        'nll': np.round(nll(log_p, column), 6).tolist(),
        'logits': np.round(logits, 4).tolist(),
        'label': column.tolist(),
        'label_prior': np.round(counts / counts.sum(), 6).tolist(),
        'accuracy': round(float(np.mean(log_p.argmax(axis=1) == column)), 6),
        'ece': round(expected_calibration_error(log_p, column), 6),
        'counts': dict(zip(labels, counts.tolist(), strict=True)),
        'photographs': len(np.unique(photo))}


def _rejection(known: Array, unknown: Array, rate: float) -> dict[str, Any] | None:
    """
    Set the threshold: the smallest that refuses at most this share of the next known tools.

    It is the ceil((n + 1)(1 - rate))-th smallest of n held-out scores, which promises the share
    for exchangeable pictures (Vovk, Gammerman, Shafer, Algorithmic learning in a random world,
    2005); None if there are too few to promise anything.
    """
    rank = int(np.ceil((len(known) + 1) * (1.0 - rate)))
    if rank > len(known):
        return None
    threshold = float(np.sort(known)[rank - 1])
    return {
        'method': 'log-odds of none of the labels',
        'output': 'novelty',
        'threshold': round(threshold, 6),
        'false_rejection_rate': rate,
        'unknown_refused': (round(float(np.mean(unknown > threshold)), 6)
                            if len(unknown) else None)}


def _version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version
    try:
        return version('tool_recognizer')
    except PackageNotFoundError:
        return 'source'


def write_model(path: Path, model: ModelFile) -> None:
    """
    Check the new model as any reader would, then put it in place in one step.

    Parameters
    ----------
    path : the file to write
    model : the model

    Raises
    ------
    DataError
        The file cannot be written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            fresh = Path(folder) / path.name
            fresh.write_bytes(model.content)
            OnnxModel.load(fresh)
            fresh.replace(path)
    except OSError as error:
        raise DataError(f'{path}: cannot be written ({error.strerror})') from None


def input_spec(base: ModelFile, fit: str | None) -> InputSpec:
    """
    Return the input of a model on this base.

    Parameters
    ----------
    base : gives the size, and how a frame is fitted to it
    fit : another way to fit it, or None

    """
    given = size_of(base.metadata) if base.metadata else InputSpec(224, 224)
    return replace(given, fit=fit or given.fit)
