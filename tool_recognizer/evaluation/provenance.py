"""Which model was measured, on which frames, and how many of them it was trained on."""

from collections.abc import Iterable
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
import json
from pathlib import Path
from typing import Any

from tool_recognizer.evaluation.predictions import Predictions
from tool_recognizer.model.file import seen_photographs
from tool_recognizer.model.file import was_seen
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.training.labelled import Example
from tool_recognizer.training.labelled import Say


def identity(model: OnnxModel) -> dict[str, str]:
    """Tell which model it is: its file, digest, name and version."""
    return {'model': str(model.path), 'model_digest': model.digest,
            'model_name': str(model.metadata.get('name', '')),
            'model_version': str(model.metadata.get('version', ''))}


def describe(sources: Sequence[Path], examples: Sequence[Example], predictions: Predictions
             ) -> dict[str, Any]:
    """
    Tell which frames were measured on, so that another can see whether they are the same.

    Parameters
    ----------
    sources : folders and journals
    examples : what was found there
    predictions : for what of it there is one

    Returns
    -------
    sources; frames and others, how many have a prediction; left_out; digest, SHA-256 over what is
    confirmed of each frame and its picture, or its place in its journal, in no order

    """
    def line(example: Example) -> str:
        said = json.dumps(sorted(example.distribution.items()))
        data = b''
        if example.picture is not None:
            with suppress(OSError):  # said where it is to be predicted
                data = example.picture.read_bytes()
        return f'{said} {sha256(data).hexdigest()} {"" if data else example.seconds}'

    known, others = len(predictions.examples), len(predictions.novelty_of_others)
    return {'sources': [str(source) for source in sources], 'frames': known, 'others': others,
            'left_out': len(examples) - known - others,
            'digest': sha256('\n'.join(sorted(map(line, examples))).encode()).hexdigest()}


def seen(model: OnnxModel, examples: Iterable[Example], say: Say) -> int:
    """
    Count the pictures that the model was trained on, and say so: figures on them say too much.

    Parameters
    ----------
    model : the model; its file need not know all of them
    examples : those without a picture do not count
    say : is told

    """
    known = seen_photographs(model.metadata)
    pictures = [e.picture for e in examples if e.picture is not None] if known else []
    count = 0
    for picture in pictures:
        with suppress(OSError):  # said where it is to be predicted
            count += was_seen(picture.read_bytes(), known)
    if count:
        say(f'{model.path}: was trained on at least {count} of these {len(pictures)} pictures; '
            'how good it is on new ones, only others can tell')
    return count
