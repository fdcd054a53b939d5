"""
The contract of a model file of ours: what its metadata say, part by part, and how its graph looks.

Each function reads one part, or raises a ``ContractError``. ``OnnxModel`` asks for them in their
order, and puts the name of the file before what is wrong.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnxruntime as ort
from tool_recognizer.core.decision import check_labels
from tool_recognizer.core.drift import Reference
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.quality import QualityThresholds
from tool_recognizer.core.recognition import Inference
from tool_recognizer.model.golden import golden_image

METADATA_KEY = 'tool_recognizer'
SCHEMA = 1
# onnxruntime's name for float32.
FLOAT = 'tensor(float)'
# The parts of the contract without which the others mean nothing; the graph's is a plain one.
FOUNDATION = ('graph', 'schema', 'labels', 'input', 'outputs', 'temperature', 'answer')


class ContractError(ValueError):
    """What is wrong with a model, in one line; of which file is not said."""


def metadata_of(session: ort.InferenceSession) -> Mapping[str, Any]:
    """Read what a file says of itself; empty for a classifier from elsewhere."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        return {}
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise ContractError(f'metadata {METADATA_KEY!r} is not JSON: {error}') from None
    if not isinstance(metadata, dict):
        raise ContractError(f'metadata {METADATA_KEY!r} must be a JSON object')
    return metadata


def check_schema(metadata: Mapping[str, Any]) -> None:
    """Refuse what another version has written in another way."""
    if metadata.get('schema') != SCHEMA:
        raise ContractError(f'metadata schema {metadata.get("schema")!r}, this version reads '
                            f'{SCHEMA}')


def labels_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Read the K labels, in the order of the logits."""
    labels = tuple(_get(metadata, 'labels', list))
    try:
        check_labels(labels)
    except (AttributeError, TypeError, ValueError) as error:
        raise ContractError(one_line(error)) from None
    return labels


def input_of(metadata: Mapping[str, Any], session: ort.InferenceSession) -> InputSpec:
    """Read the size of the picture, which has to be the graph's, and how a frame is fitted."""
    said = _get(metadata, 'input', dict)
    try:
        spec = InputSpec(int(said['height']), int(said['width']), str(said['fit']))
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(one_line(error)) from None
    inputs = {i.name: i for i in session.get_inputs()}
    if list(inputs) != ['image'] or inputs['image'].type != 'tensor(uint8)':
        raise ContractError('the graph must take one input "image" of uint8, it takes '
                            f'{[(i.name, i.type) for i in inputs.values()]}')
    wanted = [spec.height, spec.width, 3]
    if list(inputs['image'].shape[1:]) != wanted:
        raise ContractError(f'input "image" must be N x {wanted}, is {inputs["image"].shape}')
    return spec


def outputs_of(session: ort.InferenceSession) -> list[str]:
    """Find the outputs that every model of ours has."""
    outputs = {o.name: o for o in session.get_outputs()}
    names = ['logits', 'features']
    for name in names:
        if name not in outputs or outputs[name].type != FLOAT:
            raise ContractError(f'the graph needs an output {name!r} of float32, it has '
                                f'{[(o.name, o.type) for o in outputs.values()]}')
    return names


def temperature_of(metadata: Mapping[str, Any]) -> float:
    """Read T of p = softmax(logits / T)."""
    temperature = float(_get(metadata, 'temperature', (int, float)))
    if not (np.isfinite(temperature) and temperature > 0.0):
        raise ContractError(f'temperature must be positive, got {temperature}')
    return temperature


def check_answer(answer: Inference, labels: int) -> None:
    """Refuse a graph whose answer to one black picture is not what it should be."""
    logits, features, _ = answer
    if logits.shape != (1, labels):
        raise ContractError(f'{labels} labels, but the graph answers with shape '
                            f'{list(logits.shape)} to one picture')
    if not np.all(np.isfinite(logits)):
        raise ContractError(f'the answer to a black picture is not finite: {logits[0].tolist()}')
    if features.ndim != 2:
        raise ContractError(f'features must be N x D, got shape {list(features.shape)}')


def rejection_of(metadata: Mapping[str, Any], outputs: Sequence[str]) -> tuple[str, float] | None:
    """
    Read how is told what is none of the labels.

    Parameters
    ----------
    metadata : what the file says
    outputs : the names of all the graph's outputs

    Returns
    -------
    The output that gives the novelty, and the novelty above which nothing is a known tool; None
    if the model refuses nothing

    """
    rejection = metadata.get('rejection')
    if not rejection:
        return None
    try:
        name, threshold = str(rejection['output']), float(rejection['threshold'])
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(f'rejection: {one_line(error)}') from None
    if name not in outputs:
        raise ContractError(f'rejection: the graph has no output {name!r}, it has '
                            f'{sorted(outputs)}')
    if np.isnan(threshold):
        raise ContractError('rejection: the threshold is not a number')
    return name, threshold


def reference_of(metadata: Mapping[str, Any], labels: int, temperature: float) -> Reference | None:
    """Read the held-out answers against which drift is judged; None if there are none."""
    reference = metadata.get('reference')
    if not reference:
        return None
    try:
        logits = np.asarray(reference['logits'], dtype=np.float64)
        label = np.asarray(reference['label'], dtype=np.int64)
        if logits.shape != (len(label), labels):
            raise ValueError(f'logits of shape {logits.shape} for {len(label)} confirmed '
                             f'frames and {labels} labels')
        return Reference(log_softmax(logits, temperature), np.eye(labels)[label])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ContractError(f'reference: {one_line(error)}') from None


def quality_of(metadata: Mapping[str, Any]) -> QualityThresholds | None:
    """Read what a frame must measure to be answered; None if the model does not say."""
    quality = metadata.get('quality')
    if not quality:
        return None
    try:
        found = QualityThresholds(float(quality['dark']), float(quality['overexposed']),
                                  float(quality['blurred']))
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(f'quality: {one_line(error)}') from None
    if not all(np.isfinite(value) and value >= 0.0 for value in found):
        raise ContractError(f'quality: thresholds must be finite and not negative, got {quality}')
    return found


def check_golden(metadata: Mapping[str, Any], spec: InputSpec,
                 infer: Callable[[NDArray[np.uint8]], Inference]) -> None:
    """
    Refuse a model that does not give its golden answers here.

    Parameters
    ----------
    metadata : what the file says
    spec : size of the network's input
    infer : runs the network on (1, H, W, 3) uint8

    """
    tolerance = float(metadata.get('golden_tolerance', 0.25))
    for number, golden in enumerate(metadata.get('golden', [])):
        try:
            image = golden_image(golden['pixels'], spec)
            expected = np.asarray(golden['logits'], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f'golden answer {number}: {one_line(error)}') from None
        answer = infer(image[np.newaxis])[0][0].astype(np.float64)
        error_here = float(np.abs(answer - expected).max())
        if not error_here <= tolerance:
            raise ContractError(
                f'golden answer {number} is {expected.round(3).tolist()}, this machine gives '
                f'{answer.round(3).tolist()} (tolerance {tolerance}): the file is damaged or the '
                'provider computes something else')


def one_line(error: BaseException) -> str:
    """Write an error's words on one line."""
    return ' '.join(str(error).split())


def _get(metadata: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    value = metadata.get(name)
    if not isinstance(value, kind):
        raise ContractError(f'metadata {name!r} is missing or of the wrong type, got {value!r}')
    return value
