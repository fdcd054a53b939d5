"""
The model file, taken apart and put together: a new head and new metadata on a shared backbone.

An ONNX file is a protocol buffer message, and only three things in it change from model to model:
the head's weights, the width of the output ``logits`` and the metadata. So just these are
rewritten, on the wire format, and training needs no ONNX library. (Field numbers from
onnx.proto, IR version 8.) Left out: reading a model to run it, which is ``onnx_model``'s.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnxruntime as ort
from tool_recognizer.core.quality import Quality
from tool_recognizer.core.quality import thresholds_from
from tool_recognizer.core.softmax_regression import SoftmaxHead
from tool_recognizer.model.batches import run_in_batches
from tool_recognizer.model.content import ContentError
from tool_recognizer.model.content import read_content
from tool_recognizer.model.contract import ContractError
from tool_recognizer.model.contract import labels_of
from tool_recognizer.model.contract import METADATA_KEY
from tool_recognizer.model.contract import one_line
from tool_recognizer.model.contract import read_metadata
from tool_recognizer.model.contract import size_of
from tool_recognizer.model.wire import BYTES
from tool_recognizer.model.wire import Fields
from tool_recognizer.model.wire import one
from tool_recognizer.model.wire import parse
from tool_recognizer.model.wire import serialize
from tool_recognizer.model.wire import text
from tool_recognizer.model.wire import VARINT
from tool_recognizer.model.wire import varints

BATCH = 16
# Digits of a photograph's digest that are kept, and of how many photographs: 200 kB at most.
SEEN_DIGITS, LARGEST_SEEN = 16, 10_000
HEAD_WEIGHT, HEAD_BIAS, HEAD_SPLIT, LOGITS = 'head.weight', 'head.bias', 'head.split', 'logits'

# Field numbers in onnx.proto.
MODEL_GRAPH, MODEL_METADATA = 7, 14
GRAPH_INITIALIZER, GRAPH_OUTPUT = 5, 12
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW = 1, 2, 8, 9
FLOAT, INT64 = 1, 7


class ModelFileError(ValueError):
    """A file that is not a model of this project's making, and why."""


@dataclass(frozen=True)
class ModelFile:
    """
    A model file in its parts.

    Attributes
    ----------
    content : the file's bytes, with all its weights (see ``content``)
    metadata : what the file says of itself; empty for a bare backbone
    head : the head: (D, K + 1) weights and (K + 1,) biases, the last column for 'none of them'

    """

    content: bytes
    metadata: dict[str, Any]
    head: SoftmaxHead

    @classmethod
    def read(cls, path: str | Path) -> 'ModelFile':
        """
        Read a model file.

        Raises
        ------
        ModelFileError
            It cannot be read, or has no head of this project's making.

        """
        try:
            model = cls.parse(read_content(Path(path)))
            model._check_metadata()
        except OSError as error:
            raise ModelFileError(f'{path}: cannot be read ({error.strerror})') from None
        except (ContentError, ContractError, ModelFileError) as error:
            raise ModelFileError(f'{path}: {one_line(error)}') from None
        return model

    @classmethod
    def parse(cls, content: bytes) -> 'ModelFile':
        """Take a file's bytes apart; raises ModelFileError as ``read`` does."""
        try:
            model = parse(content)
            graph = parse(one(model, MODEL_GRAPH))
            tensors = {}
            for number, _, value in graph:
                if number == GRAPH_INITIALIZER and isinstance(value, bytes):
                    tensor = parse(value)
                    tensors[text(tensor, TENSOR_NAME)] = tensor
            head = SoftmaxHead(_floats(tensors[HEAD_WEIGHT]), _floats(tensors[HEAD_BIAS]))
            metadata = _metadata(model)
        except KeyError as error:
            raise ModelFileError(f'no weights named {error} in the graph: only a model that '
                                 'this project made has a head to replace') from None
        except ContractError as error:
            raise ModelFileError(one_line(error)) from None
        except (IndexError, ValueError) as error:
            raise ModelFileError(f'not an ONNX file, or a damaged one ({error})') from None
        return cls(content, metadata, head)

    def _check_metadata(self) -> None:
        """Refuse metadata that mean nothing, if there are any."""
        if self.metadata:
            size_of(self.metadata)
            labels, columns = len(labels_of(self.metadata)), self.head.weight.shape[1] - 1
            if labels != columns:
                raise ContractError(f'{labels} labels, but its head has {columns} columns for '
                                    'labels')

    def with_head(self, head: SoftmaxHead, metadata: dict[str, Any] | None = None) -> 'ModelFile':
        """
        Put another head on the same backbone.

        Parameters
        ----------
        head : (D, K + 1) weights and (K + 1,) biases, the last column for 'none of them'
        metadata : what the new file says of itself, default nothing

        Raises
        ------
        ModelFileError
            A head for another number of features, or fewer than 2 labels.

        """
        size, columns = head.weight.shape
        if size != self.head.weight.shape[0]:
            raise ModelFileError(f'the backbone gives {self.head.weight.shape[0]} features, '
                                 f'the head takes {size}')
        if columns < 3:
            raise ModelFileError(f'a head needs 2 labels and the column for none, got {columns}')
        replaced = {
            HEAD_WEIGHT: _tensor(HEAD_WEIGHT, head.weight.astype('<f4'), FLOAT),
            HEAD_BIAS: _tensor(HEAD_BIAS, head.bias.astype('<f4'), FLOAT),
            HEAD_SPLIT: _tensor(HEAD_SPLIT, np.array([columns - 1, 1], '<i8'), INT64)}
        model: Fields = []
        for number, kind, value in parse(self.content):
            if number == MODEL_GRAPH and isinstance(value, bytes):
                value = _graph_with(value, replaced, columns - 1)
            if number != MODEL_METADATA:
                model.append((number, kind, value))
        if metadata:
            said = json.dumps(metadata, allow_nan=False, sort_keys=True, separators=(',', ':'))
            entry: Fields = [(1, BYTES, METADATA_KEY.encode()), (2, BYTES, said.encode())]
            model.append((MODEL_METADATA, BYTES, serialize(entry)))
        return ModelFile.parse(serialize(model))


class Network:
    """
    A model file's network, to compute features and logits when a model is made.

    Parameters
    ----------
    model : the file
    threads : within one inference

    Raises
    ------
    ModelFileError
        onnxruntime cannot load it.

    """

    def __init__(self, model: ModelFile, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(model.content, options,
                                                 providers=['CPUExecutionProvider'])
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            raise ModelFileError(f'onnxruntime cannot load it: {error}') from None

    def run(self, output: str, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """
        Compute one output for some pictures; may be called from several threads.

        Parameters
        ----------
        output : 'logits', 'features' or 'novelty'
        pictures : (H, W, 3) uint8 RGB each, of the network's size

        Returns
        -------
        (N, ...) float32

        """
        # Stacked in parts, too: all of a folder's views do not fit into the memory.
        parts = [answer[:number] for start in range(0, len(pictures), BATCH)
                 for number, (answer,) in run_in_batches(
                     self._session, [output], np.stack(pictures[start:start + BATCH]))]
        return np.asarray(np.concatenate(parts), np.float32)


def is_plain(path: str | Path) -> bool:
    """
    Say whether a file is a classifier from elsewhere, which says nothing of itself.

    Of one that cannot be read this is not said: whoever loads it says what is wrong.
    """
    try:
        return not _metadata(parse(read_content(Path(path))))
    except (OSError, ValueError):
        return False


def quality_entry(pictures: Sequence[Quality]) -> dict[str, float]:
    """Write the thresholds of quality that training pictures ask for, for the metadata."""
    # Rounded, so that the last bit of a mean does not tell one machine from another.
    return {name: round(value, 4) for name, value in thresholds_from(pictures)._asdict().items()}


def seen_entry(digests: Iterable[str]) -> list[str]:
    """
    Write on which photographs a model was trained, for the metadata.

    Parameters
    ----------
    digests : SHA-256 of each file, as hex, or the first 8 bytes of it

    Returns
    -------
    The first 8 bytes of each, as hex, in order; of more than 10,000 the smallest ones, which are
    as good as drawn by chance

    """
    return sorted({digest[:SEEN_DIGITS] for digest in digests})[:LARGEST_SEEN]


def seen_photographs(metadata: Mapping[str, Any]) -> frozenset[str]:
    """Read the first 8 bytes of each digest, as hex, of what backbone and head have seen."""
    return frozenset(str(digest)[:SEEN_DIGITS] for part in ('backbone', 'training')
                     for digest in (metadata.get(part) or {}).get('seen', ()))


def was_seen(content: bytes, seen: frozenset[str]) -> bool:
    """Say whether a picture's file, byte for byte, is among ``seen_photographs``."""
    return sha256(content).hexdigest()[:SEEN_DIGITS] in seen


def _metadata(model: Fields) -> dict[str, Any]:
    """Read what the file says of itself; of two entries the last counts, as in onnxruntime."""
    for number, _, value in reversed(model):
        if number == MODEL_METADATA and isinstance(value, bytes):
            entry = parse(value)
            if text(entry, 1) == METADATA_KEY:
                return read_metadata(text(entry, 2))
    return {}


def _graph_with(content: bytes, replaced: dict[str, bytes], labels: int) -> bytes:
    graph: Fields = []
    for number, kind, value in parse(content):
        if number == GRAPH_INITIALIZER and isinstance(value, bytes):
            value = replaced.get(text(parse(value), TENSOR_NAME), value)
        elif (number == GRAPH_OUTPUT and isinstance(value, bytes)
                and text(parse(value), 1) == LOGITS):
            value = _output(LOGITS, labels)
        graph.append((number, kind, value))
    return serialize(graph)


def _output(name: str, width: int) -> bytes:
    """Describe a float32 output N x width."""
    rows = serialize([(2, BYTES, b'N')])
    columns = serialize([(1, VARINT, width)])
    shape = serialize([(1, BYTES, rows), (1, BYTES, columns)])
    tensor = serialize([(1, VARINT, FLOAT), (2, BYTES, shape)])
    return serialize([(1, BYTES, name.encode()), (2, BYTES, serialize([(1, BYTES, tensor)]))])


def _tensor(name: str, value: NDArray[Any], kind: int) -> bytes:
    fields: Fields = [(TENSOR_DIMS, VARINT, int(size)) for size in value.shape]
    fields += [(TENSOR_TYPE, VARINT, kind), (TENSOR_NAME, BYTES, name.encode()),
               (TENSOR_RAW, BYTES, np.ascontiguousarray(value).tobytes())]
    return serialize(fields)


def _floats(tensor: Fields) -> NDArray[np.float64]:
    shape: list[int] = []
    for number, _, value in tensor:
        if number == TENSOR_DIMS:
            # Repeated numbers may come one by one or packed into one field.
            if isinstance(value, int):
                shape.append(value)
            else:
                shape.extend(varints(value))
    return np.frombuffer(one(tensor, TENSOR_RAW), '<f4').reshape(shape).astype(np.float64)
