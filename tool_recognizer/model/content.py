"""
A model's content: one message, with the weights that its file keeps in other files in their place.

PyTorch and others write large weights beside the ONNX file ("external data"). Left to itself,
onnxruntime looks for them in the working directory, where an older copy may lie. So they are read
here, once, from beside the model file, and what runs is what was read: onnxruntime, training and
the digest are all given the same bytes, and none of them opens a file again.
"""

from hashlib import sha256
from pathlib import Path
from pathlib import PurePosixPath
from pathlib import PureWindowsPath

from tool_recognizer.input_file import read_whole
from tool_recognizer.model.wire import BYTES
from tool_recognizer.model.wire import Fields
from tool_recognizer.model.wire import parse
from tool_recognizer.model.wire import serialize
from tool_recognizer.model.wire import text
from tool_recognizer.model.wire import WireError

# Where tensors are: for each message, the fields that hold messages (onnx.proto).
INSIDE: dict[str, dict[int, str]] = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse tensor'},
    'function': {7: 'node', 11: 'attribute'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse tensor',
                  23: 'sparse tensor'},
    'sparse tensor': {1: 'tensor', 2: 'tensor'}}
TENSOR_RAW, TENSOR_EXTERNAL, TENSOR_PLACE = 9, 13, 14
REPLACED = (TENSOR_RAW, TENSOR_EXTERNAL, TENSOR_PLACE)
EXTERNAL = 1
LOCATION = b'location'
# The longest message that protocol buffers allow.
LONGEST = 2**31 - 1
TOO_LARGE = 'more than 2 GiB with its weights, which is the most that one model may have here'
# How often a byte of the model is looked at: once for each message that it is within.
DEEPEST = 16


class ContentError(ValueError):
    """A model whose weights cannot be put together, and why."""


def read_content(path: Path) -> bytes:
    """
    Read a model file and, from its folder, the files in which it keeps weights.

    Parameters
    ----------
    path : the ONNX file. A link is not followed to look for the weights: they lie beside the
        link, as they do in the caches of model hubs

    Returns
    -------
    The file's bytes, unchanged, if all its weights are in it; else a message that holds them all

    Raises
    ------
    OSError
        The model file cannot be read.
    ContentError
        It is no ONNX file; or weights are missing, cut off, or to be looked for outside the
        model's folder.

    """
    content = read_whole(path, LONGEST)
    weights = _Weights(path, len(content))
    try:
        packed = _packed(content, 'model', weights)
    except (WireError, UnicodeDecodeError, RecursionError) as error:
        # It might say to onnxruntime where weights are, and what is there would not be known here.
        raise ContentError(f'no ONNX file, or a damaged one ({error})') from None
    if not weights.files:
        return content
    if len(packed) > LONGEST:
        raise ContentError(TOO_LARGE)
    return packed


def content_digest(content: bytes) -> str:
    """
    Name a model by its content: the SHA-256, as hex.

    For a file that holds all its weights this is the SHA-256 of the file. Of two files that differ
    only in weights that are kept outside of them, the digests differ.
    """
    return sha256(content).hexdigest()


class _Weights:
    """
    The files in which a model keeps weights; each is read once.

    Parameters
    ----------
    path : the model file
    size : its bytes

    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._parsing, self._left = DEEPEST * size, LONGEST
        self.files: dict[str, bytes] = {}

    def parse(self, message: bytes) -> Fields:
        """Take a message of the model apart, of which no more may lie in each other than fit."""
        self._parsing -= len(message)
        if self._parsing < 0:
            raise WireError('its messages are nested deeper than those of a model')
        return parse(message)

    def read(self, entries: dict[str, str]) -> bytes:
        name = entries.get('location', '')
        if name not in self.files:
            self.files[name] = self._file(name)
        try:
            start, length = int(entries.get('offset') or 0), entries.get('length')
            end = len(self.files[name]) if length is None else start + int(length)
        except ValueError:
            start, end = -1, -1
        if not 0 <= start <= end <= len(self.files[name]):
            raise ContentError(
                f'its weights in {name!r} should be at bytes {start} to {end} of '
                f'{len(self.files[name])}: the two files are not of one export, or one is cut off')
        self._left -= end - start
        if self._left < 0:
            raise ContentError(TOO_LARGE)
        return self.files[name][start:end]

    def _file(self, name: str) -> bytes:
        inside = PurePosixPath(name)
        if (not inside.name or inside.is_absolute() or '..' in inside.parts
                or PureWindowsPath(name).drive or '\\' in name):
            raise ContentError(
                f'its weights are in {name!r}, outside its folder, where nothing is looked for: '
                'export it anew into one file, torch.onnx.export(..., external_data=False)')
        file = self._path.parent / inside
        try:
            return read_whole(file, LONGEST - sum(map(len, self.files.values())))
        except (OSError, ValueError) as error:
            why = getattr(error, 'strerror', None) or error
            raise ContentError(
                f'its weights are in {name!r}, which cannot be read in {self._path.parent} '
                f'({why}): put that file there, or, where both are, pack them into one: python3 '
                f'-c "import onnx; onnx.save(onnx.load(\'{self._path.name}\'), \'packed.onnx\')"'
            ) from None


def _packed(message: bytes, kind: str, weights: _Weights) -> bytes:
    if LOCATION not in message:
        return message
    fields = weights.parse(message)
    if kind == 'tensor':
        return _packed_tensor(message, fields, weights)
    inside = INSIDE[kind]
    return serialize([
        (number, wire, _packed(value, inside[number], weights)
         if number in inside and isinstance(value, bytes) else value)
        for number, wire, value in fields])


def _packed_tensor(message: bytes, fields: Fields, weights: _Weights) -> bytes:
    place = [value for number, _, value in fields if number == TENSOR_PLACE]
    if place[-1:] != [EXTERNAL]:
        return message
    entries = {}
    for number, _, value in fields:
        if number == TENSOR_EXTERNAL and isinstance(value, bytes):
            entry = parse(value)
            entries[text(entry, 1)] = text(entry, 2)
    kept = [field for field in fields if field[0] not in REPLACED]
    return serialize([*kept, (TENSOR_RAW, BYTES, weights.read(entries))])
