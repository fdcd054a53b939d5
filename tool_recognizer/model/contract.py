"""
The contract of a model file of ours: what its metadata say, part by part, and how its graph looks.

Each function reads one part, or raises a ``ContractError``. ``OnnxModel`` asks for them in their
order, and puts the name of the file before what is wrong.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import json
from reprlib import Repr
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
from tool_recognizer.core.text import cut
from tool_recognizer.model.batches import fixed_batch
from tool_recognizer.model.golden import golden_image

METADATA_KEY = 'tool_recognizer'
SCHEMA = 1
# Bytes of metadata: 2,000 predictions of a reference for a thousand labels have 20 MB.
LONGEST_METADATA = 64 * 2**20
# Bytes that the pictures which a graph takes at once may have: 5,800 x 5,800.
LARGEST_INPUT = 100 * 2**20
MOST_GOLDEN = 100
# Characters of what is wrong: a hostile file may hold a name of a megabyte.
LONGEST_LINE = 600
# What a file may say of itself beside the parts that are read here.
NUMBER = (int, float)
KINDS: dict[str, type | tuple[type, ...]] = {
    'name': str, 'version': str, 'created': str, 'licence': str, 'attribution': str,
    'training': dict, 'backbone': dict, 'rejection': dict, 'reference': dict, 'quality': dict,
    'golden': list, 'training.counts': dict, 'training.drawn': dict, 'training.seen': list,
    'training.prior_strength': NUMBER, 'training.fitted_temperature': NUMBER,
    'backbone.seen': list, 'rejection.false_rejection_rate': NUMBER, 'reference.ece': NUMBER}
# onnxruntime's name for float32.
FLOAT = 'tensor(float)'
# The parts of the contract without which the others mean nothing; the graph's is a plain one.
FOUNDATION = ('graph', 'schema', 'labels', 'input', 'outputs', 'temperature', 'answer')
# What values of any kind may raise when they are read as another kind.
UNREADABLE: tuple[type[Exception], ...] = (
    ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
_SHORT = Repr()
_SHORT.maxlist, _SHORT.maxstring, _SHORT.maxlevel = 12, 100, 4


class ContractError(ValueError):
    """What is wrong with a model, in one line; of which file is not said."""


def metadata_of(session: ort.InferenceSession) -> Mapping[str, Any]:
    """Read what a file says of itself; empty for a classifier from elsewhere."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    return {} if text is None else read_metadata(text)


def read_metadata(text: str) -> dict[str, Any]:
    """
    Read the metadata, of which only the kind of each part is checked.

    Raises
    ------
    ContractError
        It is no JSON, or of another kind; or it holds what is no text, or too much.

    """
    if len(text) > LONGEST_METADATA:
        raise ContractError(f'metadata {METADATA_KEY!r} of {len(text) / 2**20:.0f} MiB, '
                            f'{LONGEST_METADATA // 2**20} MiB are the most')
    try:
        metadata = json.loads(text, parse_constant=_no_constant)
        # Half of a pair of surrogates can be written in JSON, and nowhere else.
        json.dumps(metadata, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ContractError(f'metadata {METADATA_KEY!r} is not JSON: {one_line(error)}') from None
    if not isinstance(metadata, dict):
        raise ContractError(f'metadata {METADATA_KEY!r} must be a JSON object')
    # A null says as little as nothing.
    metadata = {name: {inner: value for inner, value in part.items() if value is not None}
                if isinstance(part, dict) else part
                for name, part in metadata.items() if part is not None}
    for name, kind in KINDS.items():
        part, _, inner = name.partition('.')
        holder = metadata.get(part, {}) if inner else metadata
        value = holder.get(inner or part)
        if value is not None and not (isinstance(value, kind) and _finite(value)):
            raise ContractError(f'metadata {name!r} is of the wrong type, got {shown(value)}')
    return metadata


def check_schema(metadata: Mapping[str, Any]) -> None:
    """Refuse what another version has written in another way."""
    if metadata.get('schema') != SCHEMA:
        raise ContractError(f'metadata schema {shown(metadata.get("schema"))}, this version reads '
                            f'{SCHEMA}')


def labels_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Read the K labels, in the order of the logits."""
    labels = tuple(_get(metadata, 'labels', list))
    wrong = [label for label in labels if not isinstance(label, str)]
    if wrong:
        raise ContractError(f'a label must be a text, got {shown(wrong[0])}')
    try:
        check_labels(labels)
    except ValueError as error:
        raise ContractError(one_line(error)) from None
    return labels


def size_of(metadata: Mapping[str, Any]) -> InputSpec:
    """Read the size of the picture, and how a frame is fitted to it."""
    said = _get(metadata, 'input', dict)
    try:
        return InputSpec(int(said['height']), int(said['width']), str(said['fit']))
    except UNREADABLE as error:
        raise ContractError(f'input: {one_line(error)}') from None


def input_of(metadata: Mapping[str, Any], session: ort.InferenceSession) -> InputSpec:
    """Read what ``size_of`` does, which has to be the graph's, too."""
    spec = size_of(metadata)
    inputs = {i.name: i for i in session.get_inputs()}
    if list(inputs) != ['image'] or inputs['image'].type != 'tensor(uint8)':
        raise ContractError('the graph must take one input "image" of uint8, it takes '
                            f'{[(i.name, i.type) for i in inputs.values()]}')
    wanted = [spec.height, spec.width, 3]
    if list(inputs['image'].shape[1:]) != wanted:
        raise ContractError(f'input "image" must be N x {wanted}, is {inputs["image"].shape}')
    check_size(spec, session)
    return spec


def check_size(spec: InputSpec, session: ort.InferenceSession) -> None:
    """Refuse a graph that takes more at once than this machine should have to hold."""
    pictures = fixed_batch(session) or 1
    if pictures * spec.height * spec.width * 3 > LARGEST_INPUT:
        raise ContractError(f'the graph takes {pictures} x {spec.height} x {spec.width} x 3 at '
                            f'once, {LARGEST_INPUT} bytes are the most')


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
    temperature = _number(metadata, 'temperature')
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
        raise ContractError('the answer to a black picture is not finite: '
                            f'{shown(logits[0].tolist())}')
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
    except UNREADABLE as error:
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
        label = np.asarray(reference['label'])
        if logits.shape != (*label.shape, labels):
            raise ValueError(f'logits of shape {logits.shape} for {label.shape} confirmed '
                             f'frames and {labels} labels')
        if not np.all(np.isfinite(logits)):
            raise ValueError('its logits are not all finite')
        if not np.all(np.isin(label, np.arange(labels))):
            raise ValueError(f'its labels must be whole numbers, 0 .. {labels - 1}')
        certain = np.zeros(logits.shape)
        certain[np.arange(len(label)), label.astype(np.int64)] = 1.0
        return Reference(log_softmax(logits, temperature), certain)
    except UNREADABLE as error:
        raise ContractError(f'reference: {one_line(error)}') from None


def quality_of(metadata: Mapping[str, Any]) -> QualityThresholds | None:
    """Read what a frame must measure to be answered; None if the model does not say."""
    quality = metadata.get('quality')
    if not quality:
        return None
    try:
        found = QualityThresholds(float(quality['dark']), float(quality['overexposed']),
                                  float(quality['blurred']))
    except UNREADABLE as error:
        raise ContractError(f'quality: {one_line(error)}') from None
    if not all(np.isfinite(value) and value >= 0.0 for value in found):
        raise ContractError('quality: thresholds must be finite and not negative, got '
                            f'{shown(quality)}')
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
    tolerance = _number({'golden_tolerance': 0.25, **metadata}, 'golden_tolerance')
    if not 0.0 <= tolerance < np.inf:
        raise ContractError(f'golden_tolerance must be finite and not negative, got {tolerance}')
    answers = metadata.get('golden') or []
    if len(answers) > MOST_GOLDEN:
        raise ContractError(f'{len(answers)} golden answers, {MOST_GOLDEN} are the most')
    for number, golden in enumerate(answers):
        try:
            image = golden_image(golden['pixels'], spec)
            expected = np.asarray(golden['logits'], dtype=np.float64)
        except UNREADABLE as error:
            raise ContractError(f'golden answer {number}: {one_line(error)}') from None
        answer = infer(image[np.newaxis])[0][0].astype(np.float64)
        if expected.shape != answer.shape:
            raise ContractError(f'golden answer {number} has shape {list(expected.shape)}, this '
                                f'machine gives {list(answer.shape)}')
        error_here = float(np.abs(answer - expected).max())
        if not error_here <= tolerance:
            raise ContractError(
                f'golden answer {number} is {shown(expected.round(3).tolist())}, this machine '
                f'gives {shown(answer.round(3).tolist())} (tolerance {tolerance}): the file is '
                'damaged or the provider computes something else')


def one_line(error: BaseException) -> str:
    """Write an error's words on one line, cut where they grow long."""
    line = ' '.join(str(error).split()) or type(error).__name__
    return cut(line, LONGEST_LINE)


def shown(value: object) -> str:
    """Write a value for people, cut where it grows long or deep."""
    return _SHORT.repr(value)


def _no_constant(name: str) -> None:
    raise ValueError(f'it holds {name}')


def _finite(value: object) -> bool:
    return not isinstance(value, NUMBER) or -np.inf < _float(value) < np.inf


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of many digits
        return float('inf')


def _number(metadata: Mapping[str, Any], name: str) -> float:
    value = _get(metadata, name, NUMBER)
    if isinstance(value, bool):
        raise ContractError(f'metadata {name!r} must be a number, got {value}')
    return _float(value)


def _get(metadata: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    value = metadata.get(name)
    if not isinstance(value, kind):
        raise ContractError(f'metadata {name!r} is missing or of the wrong type, got '
                            f'{shown(value)}')
    return value
