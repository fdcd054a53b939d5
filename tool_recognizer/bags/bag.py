"""
Recorded bags, read in the order of their recorded time; no ROS needed.

A rosbag2 folder or a single storage file, MCAP or sqlite3, plain or compressed with zstd by file
or by message, split or not, goes through ``rosbags``. What that refuses (a file that is cut off, a
folder without metadata.yaml, an MCAP without its index) goes through ``bags.salvage``, and
``Bag.losses`` says what was lost. Left out: ROS 1 bags.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
import shutil
import sys
from tempfile import TemporaryDirectory
from typing import Any
from typing import NamedTuple
from typing import Protocol

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg
from rosbags.typesys import get_typestore
from rosbags.typesys import Stores
from tool_recognizer.bags import chunks
from tool_recognizer.bags.message_types import STORE
from tool_recognizer.bags.salvage import FOREVER
from tool_recognizer.bags.salvage import is_message
from tool_recognizer.bags.salvage import SalvagedMcap
from tool_recognizer.bags.salvage import SalvagedSqlite
from tool_recognizer.bags.salvage import SalvageError
from tool_recognizer.bags.salvage import strange_tables
from tool_recognizer.bags.salvage import unpack
from tool_recognizer.text_file import DEEPEST_YAML
from tool_recognizer.text_file import depth
from tool_recognizer.text_file import read_text
import yaml
from yaml import YAMLError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CLASSIFICATION = 'vision_msgs/msg/Classification'
STRING = 'std_msgs/msg/String'
BOOL = 'std_msgs/msg/Bool'
STATUS = 'diagnostic_msgs/msg/DiagnosticStatus'
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
USED = (*IMAGE_TYPES, CLASSIFICATION, STRING, BOOL, STATUS)

STORAGE_SUFFIXES = ('.mcap', '.db3')
SUFFIXES = (*STORAGE_SUFFIXES, *(f'{suffix}.zstd' for suffix in STORAGE_SUFFIXES))
ZSTD = b'\x28\xb5\x2f\xfd'
CUT = 'the file is cut off'
# The one in C, where PyYAML was built with it, takes a tenth of the time.
LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
# Bytes of metadata.yaml: some 10,000 files of one bag.
LONGEST_METADATA = 4 * 2**20
# Bytes of a message: a picture of 50 million pixels, 16 bits a colour, and more.
LARGEST_MESSAGE = 2**29
# Bytes that are unpacked between two looks at the room that is left, and that others are left.
PIECE, LEFT_FREE = 2**24, 2**30


class BagError(ValueError):
    """A bag that cannot be used, and why."""


class BadMessage(ValueError):
    """A recorded message whose bytes are no message of its type."""


class Recorded(NamedTuple):
    """
    One recorded message, not yet deserialised.

    Attributes
    ----------
    topic : its name
    kind : its type, as 'std_msgs/msg/String'
    moment : when it was recorded, ns
    raw : its bytes, CDR

    """

    topic: str
    kind: str
    moment: int
    raw: bytes | memoryview


@dataclass(frozen=True)
class Topic:
    """
    A topic of a bag.

    Attributes
    ----------
    name : with its leading slash
    kind : its type, as 'std_msgs/msg/String'
    count : messages in the bag, as far as is known before they are read

    """

    name: str
    kind: str
    count: int


class _Storage(Protocol):
    """One file."""

    topics: list[Topic]
    start: int
    end: int

    @property
    def losses(self) -> list[str]:
        """Say what could not be read, a sentence each."""

    def messages(self, names: Collection[str], start: int = 0,
                 stop: int = FOREVER) -> Iterator[Recorded]:
        """Yield the messages of these topics, in the order of the recorded time."""


def deserialize(recorded: Recorded) -> Any:
    """
    Read a message of a type that ``STORE`` knows.

    Raises
    ------
    BadMessage
        The bytes are no such message.

    """
    try:
        # Of bytes, all after the encapsulation would be copied: a whole frame.
        return STORE.deserialize_cdr(memoryview(recorded.raw), recorded.kind)
    except Exception as error:  # rosbags lets the errors of struct and codecs through
        raise BadMessage(f'{recorded.topic}: {len(recorded.raw)} bytes that are no '
                         f'{recorded.kind}: {_one_line(error)}') from None


class Bag:
    """
    An open bag; a context manager.

    Parameters
    ----------
    path : a rosbag2 folder, or a storage file

    Attributes
    ----------
    path : as given
    topics : by name
    start, end : recorded time of the first message and of the last, ns; 0 if there is none
    losses : what could not be read, a sentence each; complete once all messages were read

    Raises
    ------
    BagError
        There is no bag, or nothing in it can be read.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()
        self._storages: list[_Storage] = []
        self._losses: list[str] = []
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        self._storages.sort(key=lambda storage: storage.start)
        self.topics: Mapping[str, Topic] = _joined(self._storages)

    @property
    def losses(self) -> list[str]:
        """Say what could not be read, a sentence each."""
        return [*self._losses, *(loss for storage in self._storages for loss in storage.losses)]

    @property
    def start(self) -> int:
        """Give the recorded time of the first message, ns."""
        return min((storage.start for storage in self._storages), default=0)

    @property
    def end(self) -> int:
        """Give the recorded time of the last message, ns."""
        return max((storage.end for storage in self._storages), default=0)

    def messages(self, names: Collection[str], start: int = 0,
                 stop: int = FOREVER) -> Iterator[Recorded]:
        """
        Yield the messages of some topics in the order of their recorded time.

        The files of a split bag are read one after the other, so that memory does not grow with
        their number.

        Parameters
        ----------
        names : the topics
        start, stop : recorded time of the first message, and of the first that is left out, ns

        """
        for storage in self._storages:
            if storage.start < stop and storage.end >= start:
                yield from storage.messages(names, start, stop)

    def close(self) -> None:
        """Close the files; what was unpacked is removed."""
        self._stack.close()

    def __enter__(self) -> 'Bag':
        """Return the bag itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bag."""
        self.close()

    def _open(self) -> None:
        if not self.path.exists():
            raise BagError(f'{self.path}: no such bag')
        if self.path.is_file():
            if not is_storage(self.path):
                raise BagError(f'{self.path}: a bag is a folder or a file that ends in '
                               f'{", ".join(SUFFIXES)}')
            self._open_file(self.path)
            return
        if not self.path.is_dir():
            raise BagError(f'{self.path}: cannot be read as a bag: it is neither a folder nor a '
                           'regular file')
        files = sorted(file for file in self.path.iterdir() if is_storage(file))
        announced = 0
        try:
            if (self.path / 'metadata.yaml').exists():
                files, announced = self._named(files)
            else:
                self._losses.append('metadata.yaml is missing: the recording was not ended '
                                    'properly')
        except (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError,
                ValueError, YAMLError) as error:
            self._losses.append(f'metadata.yaml is not used: {_one_line(error)}')
        if not files:
            raise BagError(f'{self.path}: cannot be read as a bag: holds no file that ends in '
                           f'{", ".join(SUFFIXES)}')
        refused = []
        for file in files:
            try:
                self._open_file(file)
            except BagError as error:
                refused.append(str(error))
        if not self._storages:
            raise BagError('; '.join(refused))
        self._losses += refused
        held = sum(topic.count for storage in self._storages for topic in storage.topics)
        if held < announced and not self.losses:
            self._losses.append(f'metadata.yaml announces {announced} messages, the files hold '
                                f'{held}')

    def _named(self, files: list[Path]) -> tuple[list[Path], int]:
        """
        Take from metadata.yaml the files that belong to the bag, and how many messages.

        Nothing else of it is used: what the files say of themselves is more reliable.
        """
        text = read_text(self.path / 'metadata.yaml', LONGEST_METADATA)
        if depth(text) > DEEPEST_YAML:
            raise ValueError(f'it is nested more than {DEEPEST_YAML} deep')
        about = yaml.load(text, LOADER)
        about = about['rosbag2_bagfile_information']
        named = {Path(name).name for name in about['relative_file_paths']}
        missing = sorted(named - {file.name for file in files})
        # In its first versions rosbag2 named a compressed file without its suffix.
        missing = [name for name in missing if not any(
            file.name == f'{name}.zstd' for file in files)]
        if missing:
            self._losses.append(f'of the files that metadata.yaml names, {", ".join(missing)} '
                                'are missing')
        others = [file.name for file in files
                  if file.name not in named and file.name.removesuffix('.zstd') not in named]
        if others and len(others) < len(files):
            self._losses.append(f'metadata.yaml does not name {", ".join(others)}: left out')
            files = [file for file in files if file.name not in others]
        return files, int(about['message_count'])

    def _open_file(self, path: Path) -> None:
        file, whole = path, True
        if path.suffix == '.zstd':
            file, whole = self._unpack(path)
        try:
            self._storages.append(self._indexed(file))
        except _Unreadable as error:
            try:
                salvaged = (SalvagedMcap if file.suffix == '.mcap' else SalvagedSqlite)(file)
            except SalvageError as worse:
                raise BagError(f'{path}: cannot be read as a bag: {worse}') from None
            self._stack.callback(salvaged.close)
            self._storages.append(_Salvaged(path, salvaged, str(error)))
        if not whole:
            self._losses.append(f'{path.name}: {CUT} within its compression')

    def _indexed(self, path: Path) -> '_Indexed':
        if path.suffix == '.db3' and (strange := strange_tables(path)):
            raise BagError(f'{path}: cannot be read as a bag: {strange}')
        log = Path(f'{path}-wal')
        if log.exists() and log.stat().st_size:
            raise _Unreadable('its write-ahead log holds messages that are not in the file yet.')
        try:
            reader = self._stack.enter_context(Reader(path))
            return _Indexed(path, reader)
        except Exception as error:  # rosbags lets errors of many libraries through
            raise _Unreadable(_one_line(error)) from None

    def _unpack(self, path: Path) -> tuple[Path, bool]:
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix='bag-')))
        file = folder / path.stem
        with path.open('rb') as packed, file.open('wb') as unpacked:
            try:
                with zstd.open(packed, 'rb') as stream:
                    while piece := stream.read(PIECE):
                        if shutil.disk_usage(folder).free < len(piece) + LEFT_FREE:
                            raise BagError(f'{path}: unpacked it has more than {folder.parent} '
                                           'has room for; set TMPDIR to a folder on another disk')
                        unpacked.write(piece)
            except (EOFError, zstd.ZstdError):
                return file, False
            except OSError as error:
                raise BagError(f'{path}: cannot be unpacked ({error.strerror})') from None
        return file, True


class _Unreadable(Exception):
    """What rosbags refuses."""


class _Indexed:
    """A storage that rosbags can read."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self._path, self._reader = path, reader
        self.start = reader.start_time if reader.message_count else 0
        self.end = reader.end_time - 1 if reader.message_count else 0
        self._connections = []
        self._strange = []
        for connection in reader.connections:
            strange = _strangeness(connection)
            if strange:
                self._strange.append(f'{path.name}: {connection.topic} {strange}: left out')
            else:
                self._connections.append(connection)
        self._broken: list[str] = []
        self.topics = [Topic(c.topic, _full(c.msgtype), c.msgcount) for c in self._connections]

    @property
    def losses(self) -> list[str]:
        return [*self._strange, *self._broken]

    def messages(self, names: Collection[str], start: int = 0,
                 stop: int = FOREVER) -> Iterator[Recorded]:
        chosen = [c for c in self._connections if c.topic in names]
        if not chosen:
            return
        read, why = 0, 'they have no time or no bytes.'
        self._broken = []
        try:
            for connection, moment, raw in self._recorded(chosen, start, stop):
                if is_message(moment, raw):
                    read += 1
                    yield Recorded(connection.topic, _full(connection.msgtype), moment,
                                   unpacked(raw))
        except Exception as error:  # rosbags lets errors of many libraries through
            start, stop, why = 0, FOREVER, _one_line(error)
        announced = sum(c.msgcount for c in chosen)
        if read < announced and (start, stop) == (0, FOREVER):
            self._broken = [f'{self._path.name}: {announced - read} of {announced} messages '
                            f'cannot be read: {why}']

    def _recorded(self, chosen: Collection[Any], start: int, stop: int
                  ) -> Iterator[tuple[Any, int, bytes | memoryview]]:
        storage = self._reader.storage
        if chunks.can_read(storage):
            return chunks.messages(storage, chosen, start, stop)
        return self._reader.messages(chosen, start, stop)


class _Salvaged:
    """A storage that rosbags refuses."""

    def __init__(self, path: Path, salvaged: SalvagedMcap | SalvagedSqlite, why: str) -> None:
        self._salvaged, self._name, self._why = salvaged, path.name, why
        self.topics = [Topic(name, _full(kind), count) for name, kind, count in salvaged.topics]
        self.start, self.end = salvaged.start, salvaged.end

    @property
    def losses(self) -> list[str]:
        read = sum(topic.count for topic in self.topics)
        return [f'{self._name}: {self._why} {read} messages could be saved, '
                f'{self._salvaged.lost or "nothing was lost"}']

    def messages(self, names: Collection[str], start: int = 0,
                 stop: int = FOREVER) -> Iterator[Recorded]:
        for topic, kind, moment, raw in self._salvaged.messages(names):
            if start <= moment < stop:
                yield Recorded(topic, _full(kind), moment, unpacked(raw))


def is_storage(path: Path) -> bool:
    """Tell by its name whether a file holds recorded messages."""
    return path.is_file() and path.name.endswith(SUFFIXES)


def is_bag(path: Path) -> bool:
    """Tell by its name, or by what is in it, whether this is a bag."""
    if path.is_dir():
        return (path / 'metadata.yaml').exists() or any(map(is_storage, path.iterdir()))
    return is_storage(path)


def unpacked(raw: bytes | memoryview) -> bytes | memoryview:
    """Undo the compression of a message, if it can be; CDR never starts as zstd does."""
    if raw[:4] != ZSTD:
        return raw
    try:
        return unpack(zstd.open(BytesIO(raw)).read, LARGEST_MESSAGE)
    except (EOFError, ValueError, zstd.ZstdError):
        return b''


def _strangeness(connection: Any) -> str:
    """Say why the messages of a topic cannot be read, or ''; unused types do not matter."""
    encoding = connection.ext.serialization_format
    if encoding != 'cdr':
        return f'is serialised as {encoding!r}, not as cdr'
    kind, digest = _full(connection.msgtype), connection.digest
    if kind not in USED:
        return ''
    if not digest and connection.msgdef.format == MessageDefinitionFormat.MSG:
        digest = _digest_of(connection.msgdef.data, kind)
    if digest and digest != STORE.hash_rihs01(kind):
        return f'has another definition of {kind} than is known here'
    return ''


@lru_cache(100)
def _digest_of(definition: str, kind: str) -> str:
    """Return the digest of a type by its definition; '' if rosbags cannot parse it."""
    try:
        store = get_typestore(Stores.EMPTY)
        store.register(get_types_from_msg(definition, kind))
        return store.hash_rihs01(kind)
    except Exception:  # the messages will tell
        return ''


def _full(kind: str) -> str:
    """Return a type's full name; the first versions of rosbag2 wrote 'sensor_msgs/Image'."""
    return kind.replace('/', '/msg/') if kind.count('/') == 1 else kind


def _joined(storages: Iterable[_Storage]) -> dict[str, Topic]:
    topics: dict[str, Topic] = {}
    for storage in storages:
        for topic in storage.topics:
            known = topics.get(topic.name)
            if known is None:
                topics[topic.name] = topic
            elif known.kind == topic.kind:
                topics[topic.name] = Topic(topic.name, topic.kind, known.count + topic.count)
    return dict(sorted(topics.items()))


def _one_line(error: BaseException) -> str:
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if text.endswith('.') else f'{text}.'
