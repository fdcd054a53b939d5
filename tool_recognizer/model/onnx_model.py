"""
A model file, loaded and held to its contract.

The file is one ONNX classifier. Ours say all about themselves in their metadata (labels, input,
temperature, reference, golden answers); a classifier from elsewhere runs too, with that said by
a ``PlainModel`` instead. Whatever does not fit is refused here, before a frame is answered.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnxruntime as ort
from tool_recognizer.core.decision import check_labels
from tool_recognizer.core.drift import Reference
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.quality import QualityThresholds
from tool_recognizer.core.recognition import Inference
from tool_recognizer.model import contract
from tool_recognizer.model import scores
from tool_recognizer.model.batches import fixed_batch
from tool_recognizer.model.batches import run_in_batches
from tool_recognizer.model.batches import time_limit
from tool_recognizer.model.content import content_digest
from tool_recognizer.model.content import ContentError
from tool_recognizer.model.content import read_content
from tool_recognizer.model.contract import ContractError
from tool_recognizer.model.contract import FLOAT
from tool_recognizer.model.contract import FOUNDATION
from tool_recognizer.model.contract import METADATA_KEY
from tool_recognizer.model.contract import one_line
from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError

DEFAULT_MODEL = Path(__file__).parent.parent / 'models' / 'tools.onnx'
HALF = 'tensor(float16)'
# What a plain graph may take and answer, and numpy's name for it.
TYPES = {FLOAT: 'float32', HALF: 'float16', 'tensor(double)': 'float64',
         'tensor(uint8)': 'uint8'}
FLOATS = ('float32', 'float16', 'float64')
# Pictures that a plain graph is tried on.
SAMPLES = 4
# Seconds that all of the contract's inferences may take.
LONGEST_CHECK = 60.0


class ModelError(ValueError):
    """A model that cannot be used, and why."""


@dataclass(frozen=True)
class PlainModel:
    """
    What has to be said of a classifier whose file does not say it.

    Attributes
    ----------
    labels : one per output, in order
    height, width : size of the picture, for a graph that leaves it open; 0: as the graph says
    fit : how a frame is fitted to that size (see ``InputSpec``)
    layout : 'nchw' or 'nhwc'
    order : 'rgb' or 'bgr'
    scale, mean, std : x = (pixel * scale - mean) / std, per channel, for a float input
    output : 'logits', or 'probabilities' for a graph that ends in a softmax

    Raises
    ------
    ValueError
        A layout, order or output that is none of these, a std of 0, or what is not finite.

    """

    labels: tuple[str, ...]
    height: int = 0
    width: int = 0
    fit: str = 'stretch'
    layout: str = 'nchw'
    order: str = 'rgb'
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    output: str = 'logits'

    def __post_init__(self) -> None:
        for name, value, choices in (('layout', self.layout, ('nchw', 'nhwc')),
                                     ('order', self.order, ('rgb', 'bgr')),
                                     ('output', self.output, ('logits', 'probabilities'))):
            if value not in choices:
                raise ValueError(f'{name} must be one of {list(choices)}, got {value!r}')
        if len(self.mean) != 3 or len(self.std) != 3 or 0.0 in self.std:
            raise ValueError('mean and std need three numbers each, and no std of 0, got '
                             f'{list(self.mean)} and {list(self.std)}')
        if not np.isfinite([self.scale, *self.mean, *self.std]).all():
            raise ValueError('scale, mean and std must be finite, got '
                             f'{self.scale}, {list(self.mean)} and {list(self.std)}')


class OnnxModel:
    """
    A checked classifier in an onnxruntime session.

    Attributes
    ----------
    path : the file
    digest : SHA-256 of its content, as hex; see ``content_digest``
    size : of its content, bytes
    labels : the K labels
    input : size of the picture and how a frame is fitted to it
    temperature : p = softmax(logits / temperature)
    novelty_threshold : above this novelty nothing is a known tool; inf if nothing is refused
    false_rejection_rate : the share of known tools that is above it, as the file promises; nan if
        it does not
    reference : the held-out answers against which drift is judged, or None
    quality : what a frame must measure to be answered, or None if the model does not say
    metadata : what the file says of itself; empty for a plain classifier
    provider : the execution provider in use
    hints : what looks as if the model were not used as it is meant to be, a line each

    """

    def __init__(self, path: Path, session: ort.InferenceSession, content: bytes,
                 metadata: Mapping[str, Any], plain: PlainModel | None) -> None:
        self.path = path
        self.digest = content_digest(content)
        self.size = len(content)
        self.metadata = metadata
        self.provider: str = session.get_providers()[0]
        self._session = session
        self._plain = plain
        self.reference: Reference | None = None
        self.quality: QualityThresholds | None = None
        self.novelty_threshold = float('inf')
        self.false_rejection_rate = float('nan')
        self.hints: list[str] = []
        # Pictures at once; 0: as many as there are.
        self._most = 0
        self._options: ort.RunOptions | None = None

    @classmethod
    def load(cls, path: str | Path, *, providers: Sequence[str] = ('CPUExecutionProvider',),
             intra_op_threads: int = 0, plain: PlainModel | None = None) -> 'OnnxModel':
        """
        Load a model file and hold it to its contract.

        Parameters
        ----------
        path : the ONNX file
        providers : execution providers, the first is the wanted one
        intra_op_threads : threads within one inference; 0: one per core
        plain : for a classifier without our metadata

        Raises
        ------
        ModelError
            The file cannot be read or run, the provider is not there, or the contract is broken.

        """
        model = cls._open(path, providers, intra_op_threads, plain)
        with time_limit(LONGEST_CHECK) as model._options:
            for part, step in model._steps().items():
                wrong = model._breach(part, step)
                if wrong is not None:
                    raise ModelError(f'{model.path}: {wrong}')
        model._options = None
        return model

    @classmethod
    def examine(cls, path: str | Path, plain: PlainModel | None = None
                ) -> tuple['OnnxModel', dict[str, str | None]]:
        """
        Hold a model file to its contract, and go on after a breach where that makes sense.

        Parameters
        ----------
        path : the ONNX file
        plain : for a classifier without our metadata

        Returns
        -------
        The model, and what is wrong for each part of the contract, None where nothing is. After a
        breach without which the rest means nothing, the rest is missing. A model with a breach is
        not to be used

        Raises
        ------
        ModelError
            The file cannot be read or run, or nothing says what its labels are.

        """
        model = cls._open(path, ('CPUExecutionProvider',), 0, plain)
        found: dict[str, str | None] = {}
        with time_limit(LONGEST_CHECK) as model._options:
            for part, step in model._steps().items():
                found[part] = model._breach(part, step)
                if found[part] is not None and part in FOUNDATION:
                    break
        model._options = None
        return model, found

    def _breach(self, part: str, step: Callable[[], None]) -> str | None:
        """Hold the model to a part of its contract; return in one line what is wrong, or None."""
        try:
            step()
        except (ContractError, ModelError) as error:
            return one_line(error).removeprefix(f'{self.path}: ')
        except Exception as error:  # whatever the file made of it, the part cannot be used
            return f'{part}: {type(error).__name__}: {one_line(error)}'
        return None

    @classmethod
    def _open(cls, path: str | Path, providers: Sequence[str], intra_op_threads: int,
              plain: PlainModel | None) -> 'OnnxModel':
        path = Path(path).expanduser()
        try:
            content = read_content(path)
        except OSError as error:
            raise ModelError(f'{path}: cannot be read ({error.strerror}); '
                             'set model_path to an ONNX file') from None
        except ContentError as error:
            raise ModelError(f'{path}: {error}') from None
        missing = [name for name in providers if name not in ort.get_available_providers()]
        if missing or not providers:
            raise ModelError(f'execution provider {missing or list(providers)} is not in this '
                             f'onnxruntime; available: {ort.get_available_providers()}')
        options = ort.SessionOptions()
        options.intra_op_num_threads = intra_op_threads
        options.inter_op_num_threads = 1
        # What it logs, its exceptions say, too.
        options.log_severity_level = 4
        # A spinning pool shortens an inference by little and takes a core from everybody else.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        # All weights are in the content; should it point to a file after all, there is none.
        options.add_session_config_entry(
            'session.model_external_initializers_file_folder_path', os.devnull)
        try:
            session = ort.InferenceSession(content, options, providers=list(providers),
                                           enable_fallback=0)
            # A name that is no text fails only when it is asked for.
            [node.name for node in (*session.get_inputs(), *session.get_outputs())]
            session.get_modelmeta()
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            raise ModelError(f'{path}: onnxruntime cannot load it: {one_line(error)}') from None
        if session.get_providers()[0] != providers[0]:
            raise ModelError(f'{path}: {providers[0]} was asked for, but onnxruntime fell back to '
                             f'{session.get_providers()[0]}: check the driver, or ask for that')
        try:
            metadata = contract.metadata_of(session)
        except ContractError as error:
            raise ModelError(f'{path}: {one_line(error)}') from None
        if not metadata and plain is None:
            raise ModelError(f'{path}: has no {METADATA_KEY!r} metadata; for a classifier from '
                             'elsewhere give its labels and preprocessing as parameters')
        return cls(path, session, content, metadata, None if metadata else plain)

    def _steps(self) -> dict[str, Callable[[], None]]:
        """Return the parts of the contract and their checks; the later ones need the earlier."""
        if self._plain is not None:
            return {'graph': self._fit_plain, 'answer': self._find_scores}
        return {'schema': lambda: contract.check_schema(self.metadata),
                'labels': self._read_labels,
                'input': self._read_input, 'outputs': self._read_outputs,
                'temperature': self._read_temperature, 'answer': self._check_answer,
                'rejection': self._read_rejection, 'reference': self._read_reference,
                'quality': self._read_quality, 'golden': self._check_golden}

    @property
    def reference_nll(self) -> float:
        """Mean NLL on the reference, nats; nan without one."""
        if self.reference is None:
            return float('nan')
        return float(cross_entropy(self.reference.distribution,
                                   self.reference.log_probabilities).mean())

    def infer(self, images: NDArray[np.uint8]) -> Inference:
        """
        Run the network.

        Parameters
        ----------
        images : (N, H, W, 3) uint8 RGB of the size that ``input`` says

        Returns
        -------
        logits (N, K), features (N, D) and novelty (N,), float32

        Raises
        ------
        ModelError
            onnxruntime failed.

        """
        if self._plain is not None:
            logits = self._plain_logits(images)
            return Inference(logits, logits, np.full(len(logits), np.nan, np.float32))
        outputs = [np.concatenate(parts) for parts in zip(*(
            [output[:number] for output in part] for number, part in self._run(images)),
            strict=True)]
        nothing = np.full(len(outputs[0]), np.nan, np.float32)
        return Inference(outputs[0], outputs[1], outputs[2] if len(outputs) == 3 else nothing)

    def _run(self, feed: NDArray[Any]) -> Iterator[tuple[int, list[Any]]]:
        try:
            yield from run_in_batches(self._session, self._outputs, feed, self._most,
                                      self._options)
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            late = self._options is not None and self._options.terminate
            raise ModelError(f'{self.path}: inference failed: ' + (
                f'no answer to the test pictures within {LONGEST_CHECK:g} s' if late else
                one_line(error))) from None

    def _plain_logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        plain = self._plain
        assert plain is not None
        answer = np.concatenate([
            scores.rows_of(part[0], len(plain.labels))[:number].astype(np.float32)
            for number, part in self._run(_plain_feed(images, plain, self._dtype))])
        if plain.output == 'probabilities':
            with np.errstate(divide='ignore'):
                answer = np.asarray(np.log(answer), np.float32)
        return np.asarray(answer, np.float32)

    def _read_labels(self) -> None:
        self.labels = contract.labels_of(self.metadata)

    def _read_input(self) -> None:
        self.input = contract.input_of(self.metadata, self._session)

    def _read_outputs(self) -> None:
        self._outputs = contract.outputs_of(self._session)

    def _read_temperature(self) -> None:
        self.temperature = contract.temperature_of(self.metadata)

    def _check_answer(self) -> None:
        contract.check_answer(self.infer(self._black()), len(self.labels))

    def _read_rejection(self) -> None:
        rejection = contract.rejection_of(
            self.metadata, [o.name for o in self._session.get_outputs()])
        if rejection is None:
            return
        name, threshold = rejection
        self._outputs.append(name)
        novelty = self.infer(self._black())[2]
        if novelty.shape != (1,):
            self._outputs.pop()
            raise ContractError('novelty must be one number a picture, got shape '
                                f'{list(novelty.shape)}')
        self.novelty_threshold = threshold
        # The contract has checked that it is a number, if it is there.
        self.false_rejection_rate = float(
            self.metadata['rejection'].get('false_rejection_rate', 'nan'))

    def _read_reference(self) -> None:
        self.reference = contract.reference_of(self.metadata, len(self.labels), self.temperature)

    def _read_quality(self) -> None:
        self.quality = contract.quality_of(self.metadata)

    def _check_golden(self) -> None:
        contract.check_golden(self.metadata, self.input, self.infer)

    def _fit_plain(self) -> None:
        plain = self._plain
        assert plain is not None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise ContractError('a classifier takes one picture of four axes, this takes '
                                f'{[(i.name, i.shape) for i in inputs]}')
        if inputs[0].type not in TYPES:
            raise ContractError(f'the picture must be {_listed(TYPES.values())}, this takes '
                                f'{inputs[0].type}: export it with a float32 input')
        axes = inputs[0].shape[2:] if plain.layout == 'nchw' else inputs[0].shape[1:3]
        channels = inputs[0].shape[1 if plain.layout == 'nchw' else 3]
        if isinstance(channels, int) and channels != 3:
            other = inputs[0].shape[3 if plain.layout == 'nchw' else 1]
            raise ContractError(
                f'shape {inputs[0].shape} has no 3 channels where layout {plain.layout!r} has them'
                + (': is it the other layout?' if other == 3 or isinstance(other, str)
                   else '; a picture has 3, red, green and blue'))
        size = []
        for name, axis, given in zip(
                ('height', 'width'), axes, (plain.height, plain.width), strict=True):
            if isinstance(axis, int) and given not in (0, axis):
                raise ContractError(f'the graph takes {name} {axis}, the parameter says {given}')
            if not isinstance(axis, int) and given == 0:
                raise ContractError(f'the graph leaves its {name} open: give it as a parameter')
            size.append(axis if isinstance(axis, int) else given)
        try:
            check_labels(plain.labels)
            self.input = InputSpec(size[0], size[1], plain.fit)
        except ValueError as error:
            raise ContractError(one_line(error)) from None
        contract.check_size(self.input, self._session)
        self.labels, self.temperature = plain.labels, 1.0
        self._dtype = TYPES[inputs[0].type]
        self._outputs = [o.name for o in outputs if TYPES.get(o.type) in FLOATS]
        if not self._outputs:
            raise ContractError(
                f'no output of {[(o.name, o.type) for o in outputs]} holds scores of '
                f'{_listed(FLOATS)}: export the graph without the ArgMax or ZipMap at its end, to '
                'one number per label')

    def _black(self) -> NDArray[np.uint8]:
        return np.zeros((1, self.input.height, self.input.width, 3), np.uint8)

    def _find_scores(self) -> None:
        """Find the output with one number per label, by the answers to a few pictures."""
        plain = self._plain
        assert plain is not None
        names = [o.name for o in self._session.get_outputs()]
        found = self._scores(len(plain.labels))
        if not found and not fixed_batch(self._session):
            # Some graphs say that they take any number of pictures, and take one.
            self._most = 1
            found = self._scores(len(plain.labels))
        if not found:
            part = next(self._run(_plain_feed(self._black(), plain, self._dtype)))[1]
            shapes = [list(np.shape(answer)) for answer in part]
            raise ContractError(f'{len(plain.labels)} labels, but the graph answers with shape '
                                f'{" and ".join(map(str, shapes))} to '
                                f'{fixed_batch(self._session) or "one"} picture(s)')
        said = plain.output == 'probabilities'
        name = scores.choose(found, said)
        self._outputs, chosen = [name], found[name]
        if len(names) > 1:
            self.hints.append(f'of its outputs {names}, {name!r} is taken for the scores')
        if said and not scores.may_be_probabilities(chosen):
            raise ContractError('probabilities lie between 0 and 1, the graph answers '
                                f'{chosen[-1].round(3).tolist()}: say --output logits')
        half = any((o.name, o.type) == (name, HALF) for o in self._session.get_outputs())
        self.hints += scores.hints(chosen, said, half)

    def _scores(self, labels: int) -> dict[str, NDArray[np.float64]]:
        """Answer a few pictures: the outputs that are one number per label, (N, K) each."""
        plain = self._plain
        assert plain is not None
        images = np.random.default_rng(0).integers(
            0, 256, (SAMPLES, self.input.height, self.input.width, 3), np.uint8)
        images[0] = 0
        at_once = fixed_batch(self._session) or self._most or SAMPLES
        rows: dict[str, list[NDArray[Any]]] = {name: [] for name in self._outputs}
        try:
            for number, part in self._run(_plain_feed(images, plain, self._dtype)):
                for name, answer in zip(self._outputs, part, strict=True):
                    if scores.fits(np.shape(answer), at_once, labels):
                        rows[name].append(scores.rows_of(answer, labels)[:number])
        except ModelError:
            if at_once == 1:
                raise
            return {}
        return {name: np.concatenate(found).astype(np.float64)
                for name, found in rows.items() if found}


def read_labels(path: str | Path) -> tuple[str, ...]:
    """
    Read the labels of a plain classifier: a text file with one label per line.

    Raises
    ------
    ModelError
        The file cannot be read, or holds no label.

    """
    try:
        lines = read_text(path).split('\n')
    except TextError as error:
        raise ModelError(f'{error} (it should hold the labels)') from None
    labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise ModelError(f'{path}: holds no label; write one per line')
    return labels


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f'{", ".join(most)} or {last}'


def _plain_feed(images: NDArray[np.uint8], plain: PlainModel, dtype: str) -> NDArray[Any]:
    feed: NDArray[Any] = images if plain.order == 'rgb' else images[..., ::-1]
    if dtype != 'uint8':
        feed = ((feed.astype(np.float32) * np.float32(plain.scale)
                 - np.asarray(plain.mean, np.float32)) / np.asarray(plain.std, np.float32))
    if plain.layout == 'nchw':
        feed = feed.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(feed, dtype)
