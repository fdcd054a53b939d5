"""
A model's predictions for objects: the photographs of one, as the frames of a passage.

They are those of a burst in a journal, and those of a folder within a label's folder.
"""

from itertools import product
from typing import Any

import numpy as np
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.passage import combine
from tool_recognizer.core.passage import fit_correlation
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.evaluation.figures import mean_with_interval
from tool_recognizer.evaluation.figures import share_with_interval
from tool_recognizer.evaluation.predictions import Array
from tool_recognizer.evaluation.predictions import Predictions
from tool_recognizer.training.labelled import Example

# Of these there are intervals, too.
FIGURES = ('accuracy', 'nll', 'photograph_accuracy', 'photograph_nll', 'decided', 'wrong',
           'fitted_correlation', 'fitted_nll')


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
    passages with a label that is sure enough by enough photographs, and wrong, the share of these
    that is wrong, nan without any; the rules; and the correlation's ``fit_correlation``. All nan
    without such an object.
    X_ci_low and X_ci_high are the ends of the 95 % interval of X as ``measure`` has it, for which
    an object is one witness; that of the correlation is of its fit

    """
    label, log_p = predictions.label, predictions.log_probabilities
    objects = np.unique([_object(example) for example in predictions.examples],
                        return_inverse=True)[1].ravel()
    members = [np.flatnonzero(objects == one) for one in np.unique(objects)]
    members = [rows for rows in members if len(rows) > 1]
    found: dict[str, Any] = {'passages': len(members), **rules._asdict()}
    if not members:
        return {**found, 'photographs': 0, 'ece': float('nan'), **{
            name + end: float('nan')
            for name, end in product(FIGURES, ('', '_ci_low', '_ci_high'))}}
    totals = [log_p[rows].sum(axis=0) for rows in members]
    q = np.array([predictions.distribution[rows].mean(axis=0) for rows in members])
    counts = [len(rows) for rows in members]

    def combined(correlation: float) -> Array:
        return np.array([combine(total, count, correlation)
                         for total, count in zip(totals, counts, strict=True)])
    whole = combined(rules.correlation)
    truth, best = q.argmax(axis=1), whole.argmax(axis=1)
    decided = ((np.exp(whole.max(axis=1)) >= rules.min_probability)
               & (np.array(counts) >= rules.min_frames))
    single = np.concatenate(members)
    fit = fit_correlation([*q], totals, counts, rules.correlation)
    each, surprise = np.arange(len(members)), cost_of_surprise(log_p.shape[1])
    return {
        **found, 'photographs': len(single),
        **share_with_interval('accuracy', best == truth, each),
        **mean_with_interval('nll', cross_entropy(q, whole), each, surprise),
        'ece': expected_calibration_error(whole, truth),
        **share_with_interval('photograph_accuracy',
                              log_p[single].argmax(axis=1) == label[single], objects[single]),
        **mean_with_interval('photograph_nll', predictions.paid[single], objects[single],
                             surprise),
        **share_with_interval('decided', decided, each),
        **share_with_interval('wrong', best[decided] != truth[decided], each[decided]),
        'fitted_correlation': fit.correlation, 'fitted_correlation_ci_low': fit.low,
        'fitted_correlation_ci_high': fit.high,
        **mean_with_interval('fitted_nll', cross_entropy(q, combined(fit.correlation)), each,
                             surprise)}


def _object(example: Example) -> str:
    """Name the object that an example shows: its folder, unless that is the label's; its burst."""
    folder = None if example.picture is None else example.picture.parent
    if example.logged is not None or folder is None or folder.name == example.label:
        return example.burst
    return str(folder)
