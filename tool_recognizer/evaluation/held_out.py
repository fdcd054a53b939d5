"""
Whether a new model is better than the one in charge, on photographs that neither has seen.

The new model's predictions are those that were held out when it was fitted: each from a head that
saw nothing of the photograph's group. So the figures need no photographs of their own. Where there
are some, such as the confirmed frames of a journal, both models answer them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.evaluation.comparison import compare
from tool_recognizer.evaluation.comparison import gate
from tool_recognizer.evaluation.predictions import BATCH
from tool_recognizer.evaluation.predictions import predict
from tool_recognizer.evaluation.predictions import Predictions
from tool_recognizer.evaluation.provenance import identity
from tool_recognizer.model.file import SEEN_DIGITS
from tool_recognizer.model.file import seen_photographs
from tool_recognizer.model.file import was_seen
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.training.fit import HeldOut
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import Example
from tool_recognizer.training.photos import Photo
from tool_recognizer.training.photos import SURE
from tool_recognizer.training.progress import Progress

# Frames that two models are compared on, at most.
MOST_COMPARED = 1000


def held_out_gate(held: HeldOut, temperature: float, photos: Sequence[Photo],
                  labels: Sequence[str], other: OnnxModel, seed: int, progress: Progress
                  ) -> dict[str, Any]:
    """
    Compare a model that was just fitted with another one, and judge.

    Compared are photographs as they are, of labels that both have, that were held out of the one
    and that the other was not trained on.

    Parameters
    ----------
    held : predictions for held-out views
    temperature : of the fitted head
    photos : all of them
    labels : K labels of the new model
    other : the model that is to be beaten
    seed : of the interval's resampling
    progress : shows how far it is

    Returns
    -------
    against: see ``compare``, None without a photograph to compare on; gate: see there;
    trained_on: how many were left out since the other model was trained on them

    """
    known = seen_photographs(other.metadata)
    plain = [row for row in np.flatnonzero((held.view == 0) & (held.column < len(labels))).tolist()
             if labels[held.column[row]] in other.labels]
    rows = [row for row in plain
            if photos[held.photo[row]].digest[:SEEN_DIGITS] not in known]
    left_out = len(plain) - len(rows)
    if not rows:
        return {'against': None, 'trained_on': left_out,
                'gate': gate(None, labels, other.labels)}
    examples = tuple(Example(photos[held.photo[row]].name, {labels[held.column[row]]: 1.0}, None,
                             str(photos[held.photo[row]].group)) for row in rows)
    new = _predictions(examples, labels,
                       log_softmax(held.logits[rows, :len(labels)], temperature))
    pictures = [fit_image(photos[held.photo[row]].pixels(), other.input)
                for row in progress.over('comparing', rows, len(rows))]
    logits = np.concatenate([other.infer(np.stack(pictures[begin:begin + BATCH])).logits
                             for begin in range(0, len(pictures), BATCH)])
    old = _predictions(examples, other.labels,
                       log_softmax(logits.astype(np.float64), other.temperature))
    against = {**compare(new, old, seed), **identity(other)}
    return {'against': against, 'trained_on': left_out,
            'gate': gate(against, labels, other.labels)}


def compare_on(examples: Sequence[Example], new: OnnxModel, other: OnnxModel, seed: int,
               progress: Progress) -> dict[str, Any]:
    """
    Compare two models on labelled frames, of which neither was trained on any.

    Of more than 1,000 of them so many are drawn. A picture that is not there any more is left out,
    for a journal that is in use drops some.

    Parameters
    ----------
    examples : the frames; compared are those with a picture, of a label that both models have
    new, other : the models
    seed : of the draw, and of the interval's resampling
    progress : shows how far it is

    Returns
    -------
    See ``compare``

    Raises
    ------
    DataError
        No frame can be compared.

    """
    seen = seen_photographs(new.metadata) | seen_photographs(other.metadata)

    def is_new(example: Example) -> bool:
        assert example.picture is not None
        try:
            return not was_seen(example.picture.read_bytes(), seen)
        except OSError:  # said where it is to be predicted
            return True
    fit = [example for example in examples if example.picture is not None
           and example.label in new.labels and example.label in other.labels
           and example.distribution[example.label] > SURE]
    order = np.sort(np.random.default_rng(seed).permutation(len(fit))[:MOST_COMPARED])
    drawn = [fit[number] for number in order if is_new(fit[number])]
    if not drawn:
        raise DataError('no confirmed frame with a picture is of a label that both models know '
                        'and new to both')
    return compare(predict(new, drawn, progress), predict(other, drawn, progress), seed)


def _predictions(examples: tuple[Example, ...], labels: Sequence[str], log_p: Any) -> Predictions:
    truth = np.array([[example.distribution.get(label, 0.0) for label in labels]
                      for example in examples])
    return Predictions(log_p, truth, examples, np.full(len(examples), np.nan), np.zeros(0), ())
