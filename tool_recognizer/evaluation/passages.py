"""
A model's predictions for objects: the photographs of one, as the frames of a passage.

They are those of a burst in a journal, and those of a folder within a label's folder.
"""

from typing import Any

import numpy as np
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.passage import combine
from tool_recognizer.core.passage import fit_correlation
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.evaluation.predictions import Predictions
from tool_recognizer.training.labelled import Example


def measure_passages(predictions: Predictions, rules: PassageRules) -> dict[str, Any]:
    """
    Compute the figures of objects with two photographs and more, beside those of these.

    Parameters
    ----------
    predictions : of the photographs
    rules : of a passage

    Returns
    -------
    passages, photographs (of them), accuracy, nll (nats per passage) and ece of the passages;
    photograph_accuracy, photograph_nll of their photographs, each alone; decided, the share of the
    passages with a label that is sure enough, and wrong, the share of these that is wrong;
    correlation, and its ``fit_correlation``. All nan without such an object

    """
    label, log_p = predictions.label, predictions.log_probabilities
    objects = np.unique([_object(example) for example in predictions.examples],
                        return_inverse=True)[1].ravel()
    members = [np.flatnonzero(objects == one) for one in np.unique(objects)]
    members = [rows for rows in members if len(rows) > 1]
    found: dict[str, Any] = {'passages': len(members), 'correlation': rules.correlation}
    if not members:
        return {**found, 'photographs': 0, **dict.fromkeys(
            ('accuracy', 'nll', 'ece', 'photograph_accuracy', 'photograph_nll', 'decided',
             'wrong', 'fitted_correlation', 'fitted_nll'), float('nan'))}
    totals = [log_p[rows].sum(axis=0) for rows in members]
    q = np.array([predictions.distribution[rows].mean(axis=0) for rows in members])
    counts = [len(rows) for rows in members]
    whole = np.array([combine(total, count, rules.correlation)
                      for total, count in zip(totals, counts, strict=True)])
    truth, best = q.argmax(axis=1), whole.argmax(axis=1)
    decided = np.exp(whole.max(axis=1)) >= rules.min_probability
    single = np.concatenate(members)
    fit = fit_correlation([*q], totals, counts, rules.correlation)
    return {
        **found, 'photographs': len(single),
        'accuracy': float(np.mean(best == truth)),
        'nll': float(cross_entropy(q, whole).mean()),
        'ece': expected_calibration_error(whole, truth),
        'photograph_accuracy': float(np.mean(log_p[single].argmax(axis=1) == label[single])),
        'photograph_nll': float(predictions.paid[single].mean()),
        'decided': float(decided.mean()),
        'wrong': float(np.mean(best[decided] != truth[decided])) if decided.any() else 0.0,
        'fitted_correlation': fit.correlation, 'fitted_nll': fit.nll}


def _object(example: Example) -> str:
    """Name the object that an example shows: its folder, unless that is the label's; its burst."""
    folder = None if example.picture is None else example.picture.parent
    if example.logged is not None or folder is None or folder.name == example.label:
        return example.burst
    return str(folder)
