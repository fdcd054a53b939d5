"""
From a frame to p(y | x, w), and the values that carry it.

Left out here: where a frame comes from (adapters), what a controller is told (``decision``) and
whether the answer was right (``monitor``).
"""

from collections.abc import Collection
from collections.abc import Hashable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import NamedTuple
from typing import NewType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.locate import Box
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.sketch import NO_SKETCH
from tool_recognizer.core.sketch import sketch

# Nanoseconds, from the frame's header; never changed on the way.
Stamp = NewType('Stamp', int)


class FrameKey(NamedTuple):
    """The identity of a frame, from its header, from end to end."""

    stamp: Stamp
    frame_id: str


def keys_to_state(keys: Collection[FrameKey], name: str) -> dict[str, Any]:
    """Return keys as a state holds them, in their order (see ``keys_from_state``)."""
    cameras = {frame_id: place for place, frame_id in enumerate(
        dict.fromkeys(key.frame_id for key in keys))}
    return {f'{name}_stamps': np.array([key.stamp for key in keys], np.int64),
            f'{name}_cameras': np.array([cameras[key.frame_id] for key in keys], np.int32),
            f'{name}_frame_ids': list(cameras)}


def keys_from_state(state: Mapping[str, Any], name: str) -> list[FrameKey]:
    """Return the keys that ``keys_to_state`` described."""
    frame_ids = state[f'{name}_frame_ids']
    return [FrameKey(Stamp(stamp), frame_ids[camera]) for stamp, camera in zip(
        state[f'{name}_stamps'].tolist(), state[f'{name}_cameras'].tolist(), strict=True)]


def values_to_state(values: Mapping[FrameKey, Any], name: str) -> dict[str, Any]:
    """
    Return a value of each frame as a state holds it: of values that are equal, one.

    Where there are many frames and few values, this takes a small part of a list with both.

    Parameters
    ----------
    values : texts, or distributions over labels
    name : of the values in the state

    """
    places: dict[Hashable, int] = {}
    which = np.array([
        places.setdefault(value if isinstance(value, str) else tuple(value.items()), len(places))
        for value in values.values()], np.int32)
    return {name: [known if isinstance(known, str) else dict(known)  # type: ignore[call-overload]
                   for known in places], f'{name}_places': which, **keys_to_state(values, name)}


def values_from_state(state: Mapping[str, Any], name: str) -> list[tuple[FrameKey, Any]]:
    """Return each frame and its value as ``values_to_state`` described them, in their order."""
    if f'{name}_places' not in state:  # a version before had each value beside its frame
        return [(FrameKey(stamp, frame_id), value) for stamp, frame_id, value in state[name]]
    return [(key, state[name][place]) for key, place in zip(
        keys_from_state(state, name), state[f'{name}_places'].tolist(), strict=True)]


@dataclass(frozen=True)
class Frame:
    """
    One camera frame.

    Attributes
    ----------
    key : the identity from the frame's header
    pixels : (H, W, C) or (H, W) uint8, possibly a view with padded rows
    order : the channels of ``pixels``: 'rgb', 'bgr', 'rgba', 'bgra' or 'mono'
    rotation : by how much the network is shown it turned, degrees clockwise: 0, 90, 180 or 270

    """

    key: FrameKey
    pixels: NDArray[np.uint8]
    order: str
    rotation: int = 0


NO_FEATURES = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Prediction:
    """
    The model's answer to one frame.

    Attributes
    ----------
    key : the frame's identity
    labels : the K labels, in the model's order
    log_probabilities : (K,) float64, nats
    features : (D,) float32, what the softmax head saw
    known : whether the model takes what it sees for one of its labels at all
    model_digest : SHA-256 of the model file that answered, as hex
    sketch : of the features, once they are left out
    box : around the object, in the pixels of the whole frame, if it was found (see ``look``)

    """

    key: FrameKey
    labels: tuple[str, ...]
    log_probabilities: NDArray[np.float64]
    features: NDArray[np.float32]
    model_digest: str
    known: bool = True
    sketch: bytes = NO_SKETCH
    box: Box | None = None

    def without_features(self) -> 'Prediction':
        """Return what is worth keeping of many: the features, ten times the rest, as a sketch."""
        if not self.features.size:
            return self
        return replace(self, features=NO_FEATURES, sketch=sketch(self.features))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability p(y | x, w) of each label: (K,) float64."""
        return np.asarray(np.exp(self.log_probabilities))

    @property
    def best(self) -> int:
        """Index of the most probable label; of equals, the first."""
        return int(self.log_probabilities.argmax())


class Inference(NamedTuple):
    """
    What a network answers to a batch of N pictures.

    Attributes
    ----------
    logits : (N, K) float32
    features : (N, D) float32
    novelty : (N,) float32, higher for what is less like any of the labels; nan if the model has
        no such score

    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    novelty: NDArray[np.float32]


class Classifier(Protocol):
    """What recognition asks of a model."""

    @property
    def labels(self) -> tuple[str, ...]:
        """K labels."""

    @property
    def input(self) -> InputSpec:  # noqa: A003
        """Say the size of picture that it takes, and how a frame is fitted to it."""

    @property
    def temperature(self) -> float:
        """P = softmax(logits / temperature)."""

    @property
    def digest(self) -> str:
        """SHA-256 of the model file, as hex."""

    @property
    def novelty_threshold(self) -> float:
        """Above this novelty, what is seen is none of the labels; inf if nothing is refused."""

    def infer(self, images: NDArray[np.uint8]) -> Inference:
        """Answer (N, H, W, 3) uint8 RGB pictures."""


class NonFiniteLogits(ValueError):
    """The model answered with nan or inf, so there is no distribution to publish."""


def fit_frame(frame: Frame, spec: InputSpec, out: Pixels | None = None) -> Pixels:
    """
    Fit a frame to the network's input, and turn it.

    It is turned when it is small, which costs nothing and gives what turning it first would.

    Parameters
    ----------
    frame : the frame
    spec : what the network takes
    out : where the picture is put; None: a new array

    Returns
    -------
    (spec.height, spec.width, 3) uint8 RGB, contiguous

    Raises
    ------
    ValueError
        See ``fit_image``.

    """
    if not frame.rotation:
        return fit_image(frame.pixels, spec, frame.order, out)
    image = fit_image(frame.pixels, spec.before(frame.rotation), frame.order)
    turned = np.rot90(image, -frame.rotation // 90)
    if out is None:
        return np.ascontiguousarray(turned)
    out[:] = turned
    return out


def recognize(frame: Frame, classifier: Classifier) -> Prediction:
    """
    Answer one frame: fit it to the model's input, infer, normalise.

    Parameters
    ----------
    frame : the camera frame
    classifier : the model

    Returns
    -------
    The prediction, with the frame's key unchanged

    Raises
    ------
    NonFiniteLogits
        The model's logits are not finite.
    ValueError
        The frame's pixels cannot be fitted (see ``fit_image``).

    """
    image = fit_frame(frame, classifier.input)
    return predict([frame.key], image[np.newaxis], classifier)[0]


def predict(keys: Sequence[FrameKey], images: NDArray[np.uint8],
            classifier: Classifier) -> list[Prediction]:
    """
    Answer pictures that are fitted to the model's input already.

    Parameters
    ----------
    keys : the identities of their frames
    images : (N, H, W, 3) uint8 RGB
    classifier : the model

    Returns
    -------
    N predictions, in order

    Raises
    ------
    NonFiniteLogits
        The model's logits of one of them are not finite.

    """
    answer = classifier.infer(images)
    finite = np.isfinite(answer.logits).all(axis=1)
    if not finite.all():
        wrong = answer.logits[int(finite.argmin())].tolist()
        raise NonFiniteLogits(f'the model answered {wrong}; logits must be finite')
    # A row of the features would keep those of the whole batch in memory.
    return [Prediction(key, classifier.labels, log_softmax(logits, classifier.temperature),
                       features.copy(), classifier.digest,
                       known=not novelty > classifier.novelty_threshold)
            for key, logits, features, novelty in zip(keys, *answer, strict=True)]
