"""
A model's predictions for labelled examples.

Every photograph goes the way of a camera's frame: the same decoder, the same resize, the same
model. Left out: what the predictions are worth (``figures``).
"""

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.recognition import fit_frame
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.view import look
from tool_recognizer.core.view import View
from tool_recognizer.core.view import WHOLE
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import Example
from tool_recognizer.training.progress import Progress

# Pictures at once.
BATCH = 16
# Of a picture from a file.
NO_KEY = FrameKey(Stamp(0), '')

Array = NDArray[np.float64]
Bursts = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """
    A model's predictions for examples, and what is confirmed of these.

    Attributes
    ----------
    log_probabilities : (N, K) nats, of the examples of its labels
    distribution : (N, K) what is confirmed of them
    examples : (N,) the examples
    novelty : (N,) log-odds of 'none of the labels'; for a model without such a score, the energy
        -log sum_k exp(logit_k) (Liu, Wang, Owens, Li, Energy-based out-of-distribution
        detection, 2020); nan for a prediction from a journal without its picture
    novelty_of_others : (M,) the same, of other things
    bursts_of_others : (M,) their bursts

    """

    log_probabilities: Array
    distribution: Array
    examples: tuple[Example, ...]
    novelty: Array
    novelty_of_others: Array
    bursts_of_others: tuple[str, ...]

    @property
    def bursts(self) -> Bursts:
        """Return the number of each example's burst."""
        return np.unique([e.burst for e in self.examples], return_inverse=True)[1].ravel()

    @property
    def label(self) -> NDArray[np.int64]:
        """Return the index of each most probable confirmed label; of equals, the first."""
        return np.asarray(self.distribution.argmax(axis=1), np.int64)

    @property
    def paid(self) -> Array:
        """Return each cross-entropy H(q, p), nats; of a certain label its NLL."""
        return cross_entropy(self.distribution, self.log_probabilities)

    def where(self, chosen: Sequence[int]) -> 'Predictions':
        """Return the chosen predictions."""
        return Predictions(self.log_probabilities[chosen], self.distribution[chosen],
                           tuple(self.examples[i] for i in chosen), self.novelty[chosen],
                           self.novelty_of_others, self.bursts_of_others)


def predict(model: OnnxModel, examples: Iterable[Example], progress: Progress,
            view: View = WHOLE) -> Predictions:
    """
    Let a model predict the labels of examples.

    Of a frame whose picture was not kept the prediction is that of when it was live, if it was
    this very model's. What has no prediction is said and left out.

    Parameters
    ----------
    model : the model
    examples : of its labels, and of other things
    progress : for the lines
    view : how the pictures are looked at

    Raises
    ------
    DataError
        There is a prediction for none of the labels' examples.

    """
    known: list[Example] = []
    others: list[Example] = []
    logged: list[Example] = []
    lost = 0
    for example in examples:
        ours = sum(p for label, p in example.distribution.items() if label in model.labels)
        if 0.0 < ours < 1.0 - 1e-9:
            strange = sorted(set(example.distribution) - set(model.labels))
            progress.say(f'left out: {example.name}: {strange} among its labels, which the '
                         'model does not have')
        elif example.picture is not None:
            (known if ours else others).append(example)
        elif ours and example.logged and example.logged.model_digest == model.digest:
            logged.append(example)
        else:
            lost += 1
    if lost:
        progress.say(f'left out: {lost} frames without a picture that another model answered, or '
                     'that show none of the labels')
    logits, novelty, kept = _infer(model, known, progress, view)
    _, novelty_of_others, kept_others = _infer(model, others, progress, view)
    answered = [known[i] for i in kept] + logged
    if not answered:
        raise DataError(f'no photograph of {list(model.labels)} that can be answered; folders '
                        'must be named after the labels, DATA/LABEL/*.jpg')
    # Each label's probability by name, as another program may have ordered them.
    live = [[dict(zip(e.logged.labels, e.logged.log_probabilities.tolist(), strict=True))[label]
             for label in model.labels] for e in logged if e.logged]
    log_p = np.concatenate([log_softmax(logits, model.temperature),
                            np.array(live, np.float64).reshape(-1, len(model.labels))])
    q = np.array([[e.distribution.get(label, 0.0) for label in model.labels] for e in answered])
    return Predictions(log_p, q / q.sum(axis=1, keepdims=True), tuple(answered),
                       np.concatenate([novelty, np.full(len(logged), np.nan)]),
                       novelty_of_others, tuple(others[i].burst for i in kept_others))


def fitted(path: Path, spec: InputSpec, view: View) -> Pixels:
    """
    Read a picture as the network takes it.

    Parameters
    ----------
    path : the picture
    spec : what the network takes
    view : how it is looked at

    Raises
    ------
    PictureError
        It cannot be read.

    """
    return shown(Frame(NO_KEY, *read_picture(path, view.reading(spec))), spec, view)


def shown(frame: Frame, spec: InputSpec, view: View) -> Pixels:
    """Return what the network is shown of a frame: (spec.height, spec.width, 3) uint8 RGB."""
    return fit_frame(look(frame, view).frame, spec)


def _infer(model: OnnxModel, examples: Sequence[Example], progress: Progress, view: View
           ) -> tuple[Array, Array, list[int]]:
    pictures, kept = [], []
    logits: list[Array] = []
    novelty: list[Array] = []
    name = model.path.name
    for number, example in progress.over(name, enumerate(examples), len(examples)):
        assert example.picture is not None
        try:
            pictures.append(fitted(example.picture, model.input, view))
            kept.append(number)
        except PictureError as error:
            progress.say(f'left out: {error}')
        if pictures and (len(pictures) == BATCH or number == len(examples) - 1):
            inference = model.infer(np.stack(pictures))
            logits.append(inference.logits.astype(np.float64))
            novelty.append(inference.novelty.astype(np.float64))
            pictures.clear()
    if not kept:
        return np.zeros((0, len(model.labels))), np.zeros(0), []
    z, score = np.concatenate(logits), np.concatenate(novelty)
    return z, np.where(np.isnan(score), -np.logaddexp.reduce(z, axis=1), score), kept
