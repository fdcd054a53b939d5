"""Messages that are cut out of their chunks: the same as rosbags reads, in its order."""

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat
from rosbags.rosbag2 import CompressionMode
from rosbags.rosbag2 import Reader
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer
from tool_recognizer.bags import chunks
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.message_types import STORE

KIND = 'std_msgs/msg/String'


@pytest.fixture(params=[CompressionMode.NONE, CompressionMode.STORAGE])
def path(request, tmp_path):
    """Write two topics with times that run back within a chunk and from one chunk to the next."""
    writer = Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(request.param, CompressionFormat.ZSTD)
    rng = np.random.default_rng(0)
    with writer:
        topics = [writer.add_connection(name, KIND, typestore=STORE) for name in ('/a', '/b')]
        for number in range(60):
            text = rng.integers(97, 123, 60_000, np.uint8).tobytes().decode()
            moment = 1000 + 100 * (number + int(rng.integers(-20, 21)) // 2)
            writer.write(topics[number % 2], moment,
                         STORE.serialize_cdr(to_bag.string(text), KIND))
    file, = (tmp_path / 'bag').glob('*.mcap')
    return file


@pytest.mark.parametrize('names', [('/a', '/b'), ('/b',)])
@pytest.mark.parametrize(('start', 'stop'), [(0, 2**63 - 1), (2000, 5000)])
def test_they_are_the_same_in_the_same_order(path, names, start, stop):
    with Reader(path) as reader, Bag(path) as bag:
        assert len(reader.storage.chunks) > 2
        assert chunks.can_read(reader.storage)
        wanted = [c for c in reader.connections if c.topic in names]
        known = [(c.topic, moment, raw) for c, moment, raw in reader.messages(wanted, start, stop)]
        found = [(one.topic, one.moment, bytes(one.raw))
                 for one in bag.messages(names, start, stop)]
    assert known
    assert found == known


def test_a_message_is_no_copy(path):
    with Reader(path) as reader:
        (_, _, one), (_, _, other), *_ = chunks.messages(
            reader.storage, reader.connections, 0, 2**63 - 1)
        assert isinstance(one, memoryview)
        assert one.obj is other.obj


def test_what_is_damaged_ends_the_reading_and_is_told(path):
    content = bytearray(path.read_bytes())
    with Reader(path) as reader:
        third = reader.storage.chunks[2]
        # The length of its first message, or in what is packed.
        place = third.chunk_start_offset + 9 + 40 + len(third.compression)
    content[place + 1:place + 9] = b'\xff' * 8
    path.write_bytes(content)
    with Bag(path) as bag:
        found = len(list(bag.messages(('/a', '/b'))))
        assert 0 < found < 60
        assert any(f'{60 - found} of 60 messages cannot be read' in loss for loss in bag.losses)
