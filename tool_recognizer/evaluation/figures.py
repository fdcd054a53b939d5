"""
The figures of a model's predictions, each with its interval where there is one.

The folder 'other' is not scored as a label; it shows how well the model knows what it does not
know.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
from tool_recognizer.core.calibration import auroc
from tool_recognizer.core.calibration import brier_scores
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.calibration import false_positive_rate
from tool_recognizer.core.calibration import risk_coverage
from tool_recognizer.core.calibration import WORST_BRIER
from tool_recognizer.core.information import entropy
from tool_recognizer.core.information import kl_divergence
from tool_recognizer.core.interval import auroc_interval
from tool_recognizer.core.interval import burst_means
from tool_recognizer.core.interval import share_interval
from tool_recognizer.core.interval import wilson_interval
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.means import mean_cost
from tool_recognizer.evaluation.predictions import Array
from tool_recognizer.evaluation.predictions import Bursts
from tool_recognizer.evaluation.predictions import Predictions
from tool_recognizer.model.onnx_model import OnnxModel

# Points of a curve that are kept.
POINTS = 100


def measure(predictions: Predictions, model: OnnxModel) -> dict[str, Any]:
    """
    Compute the figures of a model's predictions.

    Parameters
    ----------
    predictions : the predictions
    model : the model, for its labels and its threshold of rejection

    Returns
    -------
    accuracy (against the most probable confirmed label); nll (of a soft label its cross-entropy),
    entropy and kl, nll = entropy + kl, in nats; ece, brier, auroc, fpr_at_95_tpr; all nan where
    there is nothing to measure; counts; per_label; confusion (rows: the true label); rejection;
    risk_coverage; worst (the examples with the greatest NLL). X_ci_low and X_ci_high are the ends
    of the 95 % interval of X, for which a burst of frames is one witness. The ece has none: of few
    frames it is too large, and no interval around it would hold the true one

    """
    log_p, q = predictions.log_probabilities, predictions.distribution
    label, each = predictions.label, predictions.paid
    labels, bursts = model.labels, predictions.bursts
    best = log_p.argmax(axis=1)
    right = best == label
    surprise = cost_of_surprise(len(labels))
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (label, best), 1)
    seen = ~np.isnan(predictions.novelty)
    novelty = predictions.novelty[seen]
    figures: dict[str, Any] = {
        **share_with_interval('accuracy', right, bursts),
        **mean_with_interval('nll', each, bursts, surprise),
        'entropy': float(entropy(q).mean()),
        **mean_with_interval('kl', kl_divergence(q, log_p), bursts, surprise),
        'ece': expected_calibration_error(log_p, label),
        **mean_with_interval('brier', brier_scores(log_p, q), bursts, WORST_BRIER),
        # Known tools are the positives, and less novel than what is not.
        **_known_or_other(novelty, bursts[seen], predictions),
        'counts': {name: int(np.sum(label == k)) for k, name in enumerate(labels)},
        'per_label': {
            name: {**share_with_interval('recall', right[label == k], bursts[label == k]),
                   **share_with_interval('precision', right[best == k], bursts[best == k]),
                   **mean_with_interval('nll', each[label == k], bursts[label == k], surprise)}
            for k, name in enumerate(labels)},
        'confusion': confusion.tolist(),
        'risk_coverage': {'probability': _curve(-log_p.max(axis=1), ~right),
                          'novelty': _curve(novelty, ~right[seen])}}
    figures['counts']['other'] = len(predictions.novelty_of_others)
    if model.metadata.get('rejection') and len(novelty):
        threshold = model.novelty_threshold
        kept = novelty <= threshold
        figures['rejection'] = {
            'threshold': threshold,
            **share_with_interval('coverage', kept, bursts[seen]),
            **share_with_interval('risk', ~right[seen][kept], bursts[seen][kept]),
            **share_with_interval('others_refused', predictions.novelty_of_others > threshold,
                                  predictions.bursts_of_others)}
    worst = np.argsort(-each, kind='stable')[:10]
    figures['worst'] = [{'photo': predictions.examples[i].name, 'label': labels[label[i]],
                         'answer': labels[best[i]], 'nll': float(each[i])} for i in worst]
    return figures


def _known_or_other(novelty: Array, bursts: Bursts, predictions: Predictions) -> dict[str, float]:
    """Tell how well known tools and other things are told apart; nan without either."""
    others = predictions.novelty_of_others
    area, accepted = auroc(-novelty, -others), false_positive_rate(-novelty, -others)
    ends = {name: (float('nan'),) * 2 for name in ('auroc', 'fpr_at_95_tpr')}
    if not np.isnan(area):
        known, apart = len(np.unique(bursts)), len({*predictions.bursts_of_others})
        ends = {'auroc': auroc_interval(area, known, apart),
                'fpr_at_95_tpr': wilson_interval(accepted, apart)}
    return {'auroc': area, 'fpr_at_95_tpr': accepted,
            **{f'{name}_ci_{end}': value for name, pair in ends.items()
               for end, value in zip(('low', 'high'), pair, strict=True)}}


def share_with_interval(name: str, came_true: NDArray[np.bool_], bursts: ArrayLike
                        ) -> dict[str, float]:
    """
    Give a share with the ends of its 95 % interval.

    Parameters
    ----------
    name : of the figure
    came_true, bursts : (N,) of each frame

    Returns
    -------
    name, name_ci_low and name_ci_high, each with its value; see ``share_interval``

    """
    low, high = share_interval(came_true, bursts)
    share = float(came_true.mean()) if len(came_true) else float('nan')
    return {name: share, f'{name}_ci_low': low, f'{name}_ci_high': high}


def mean_with_interval(name: str, costs: Array, bursts: Bursts, surprise: float
                       ) -> dict[str, float]:
    """
    Give a mean with the ends of its 95 % interval, over bursts, weighted with their sizes.

    Parameters
    ----------
    name : of the figure
    costs : (N,) of each frame, never below 0
    bursts : (N,) of each frame
    surprise : what an error costs that was not seen; see ``mean_cost``

    Returns
    -------
    name, name_ci_low and name_ci_high, each with its value; nan without frames

    """
    if not len(costs):
        return dict.fromkeys((name, f'{name}_ci_low', f'{name}_ci_high'), float('nan'))
    _, low, high = mean_cost(*burst_means(costs, bursts), surprise)
    return {name: float(costs.mean()), f'{name}_ci_low': low, f'{name}_ci_high': high}


def to_json(figures: dict[str, Any]) -> str:
    """Write figures as JSON; nan is null there, and inf a text."""
    return json.dumps(_finite(figures), indent=2) + '\n'


def _curve(doubt: Array, wrong: NDArray[np.bool_]) -> list[list[float]]:
    coverage, risk = risk_coverage(doubt, wrong)
    places = np.unique(np.linspace(0, len(coverage) - 1, min(POINTS, len(coverage))).astype(int))
    return np.column_stack([coverage, risk])[places].tolist() if len(coverage) else []


def _finite(value: Any) -> Any:
    """JSON has no nan: null says that there was nothing to measure. Nor has it inf: as text."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and np.isinf(value):
        return str(value)
    return None if isinstance(value, float) and not np.isfinite(value) else value
