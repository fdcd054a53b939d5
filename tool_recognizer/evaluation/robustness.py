"""
What a model's predictions are worth when one thing about the pictures changes.

Each photograph is shown in every way of ``training.changes``, and decided upon as in the node:
by the quality of the frame, the rejection and the least probability.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from tool_recognizer.core.decision import decide
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.quality import fault
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.view import View
from tool_recognizer.core.view import WHOLE
from tool_recognizer.evaluation.figures import mean_with_interval
from tool_recognizer.evaluation.figures import share_with_interval
from tool_recognizer.evaluation.predictions import NO_KEY
from tool_recognizer.evaluation.predictions import shown
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.training.changes import CHANGES
from tool_recognizer.training.labelled import Example
from tool_recognizer.training.photos import read_rgb
from tool_recognizer.training.progress import Progress


def robustness(model: OnnxModel, examples: Iterable[Example], min_probability: float,
               progress: Progress, view: View = WHOLE) -> list[dict[str, Any]]:
    """
    Measure a model under every change.

    Parameters
    ----------
    model : the model
    examples : photographs of its labels, and of other things; what has no picture is left out
    min_probability : below this no label is given
    progress : for the lines
    view : how the changed pictures are looked at

    Returns
    -------
    A row for each change: change, photographs (of the labels, that could be changed so), accuracy
    (of the most probable label), nll (nats), refused (share that gets no label), wrong (share that
    gets a wrong one), others (how many other things) and others_answered (share of these that gets
    any label), nan where there is nothing to measure; each with the ends of its 95 % interval, see
    ``figures.measure``

    """
    known: dict[str, list[tuple[str, bool, float, bool, bool]]] = {name: [] for name in CHANGES}
    others: dict[str, list[tuple[str, bool]]] = {name: [] for name in CHANGES}
    seen = [e for e in examples if e.picture is not None]
    for example in progress.over('robustness', seen, len(seen)):
        assert example.picture is not None
        try:
            pixels = read_rgb(example.picture)
        except PictureError:
            continue  # said when it was read for the other figures
        # One large picture at a time.
        pictures = {name: shown(Frame(NO_KEY, picture, 'rgb'), model.input, view)
                    for name, change in CHANGES.items()
                    if (picture := change(pixels)) is not None}
        inference = model.infer(np.stack([*pictures.values()]))
        log_p = log_softmax(inference.logits.astype(np.float64), model.temperature)
        is_known = ~(inference.novelty > model.novelty_threshold)
        for row, (name, picture) in enumerate(pictures.items()):
            given = decide(Prediction(NO_KEY, model.labels, log_p[row], NO_FEATURES, model.digest,
                                      bool(is_known[row])),
                           min_probability=min_probability,
                           unusable=fault(picture, model.quality)).class_id
            answered = given in model.labels
            if example.label in model.labels:
                truth = model.labels.index(example.label)
                known[name].append((
                    example.burst, int(log_p[row].argmax()) == truth, -float(log_p[row, truth]),
                    not answered, answered and given != example.label))
            else:
                others[name].append((example.burst, answered))
    surprise = cost_of_surprise(len(model.labels))
    return [_row(name, known[name], others[name], surprise) for name in CHANGES]


def _row(name: str, known: list[tuple[str, bool, float, bool, bool]],
         others: list[tuple[str, bool]], surprise: float) -> dict[str, Any]:
    bursts, right, costs, refused, wrong = zip(*known, strict=True) if known else ((),) * 5
    shares = {'accuracy': right, 'refused': refused, 'wrong': wrong}
    apart, answered = zip(*others, strict=True) if others else ((), ())
    places = np.unique(bursts, return_inverse=True)[1].ravel()
    row = {'change': name, 'photographs': len(known), 'others': len(others),
           **mean_with_interval('nll', np.array(costs, np.float64), places, surprise),
           **share_with_interval('others_answered', np.array(answered, bool), apart)}
    for share, came_true in shares.items():
        row |= share_with_interval(share, np.array(came_true, bool), bursts)
    return row
