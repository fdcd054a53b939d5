"""The predictions that cost most, with their pictures, for a report."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.view import View
from tool_recognizer.evaluation.predictions import fitted
from tool_recognizer.evaluation.predictions import Predictions
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.parts import WORST


def mistakes(predictions: Predictions, model: OnnxModel, view: View) -> list[Mistake]:
    """Pick the predictions with the greatest NLL whose picture is there, as looked at."""
    def reader(path: Path) -> Callable[[], Pixels]:
        return lambda: fitted(path, model.input, view)

    paid, label = predictions.paid, predictions.label
    best = predictions.log_probabilities.argmax(axis=1)
    found: list[Mistake] = []
    for i in np.argsort(-paid, kind='stable').tolist():
        picture = predictions.examples[i].picture
        if picture is not None and len(found) < WORST:
            found.append(Mistake(predictions.examples[i].name, model.labels[label[i]],
                                 model.labels[best[i]], float(paid[i]), reader(picture)))
    return found
