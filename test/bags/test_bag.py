"""Bags as they come: every storage, every compression, split, cut off, without their metadata."""

from pathlib import Path
import shutil
import sqlite3

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat
from rosbags.rosbag2 import CompressionMode
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer
from ruamel.yaml import YAML
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.bag import BadMessage
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import BagError
from tool_recognizer.bags.bag import deserialize
from tool_recognizer.bags.bag import Recorded
from tool_recognizer.bags.message_types import STORE
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.core.recognition import FrameKey

TEXTS = '/texts'
KIND = 'std_msgs/msg/String'


def write(path, plugin, mode=CompressionMode.NONE, numbers=range(40), size=40_000):
    """Write texts that cannot be compressed away, 100 ns apart."""
    writer = Writer(path, version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(TEXTS, KIND, typestore=STORE)
        other = writer.add_connection('/other', 'std_msgs/msg/Float64', typestore=STORE)
        for number in numbers:
            noise = np.random.default_rng(number).integers(97, 123, size, np.uint8)
            text = to_bag.string(f'{number} {noise.tobytes().decode()}')
            writer.write(connection, 1000 + 100 * number, STORE.serialize_cdr(text, KIND))
            writer.write(other, 1000 + 100 * number, STORE.serialize_cdr(
                to_bag.number(number), 'std_msgs/msg/Float64'))
    return path


def numbers(bag):
    return [int(deserialize(message).data.split()[0]) for message in bag.messages({TEXTS})]


def storage(path):
    return next(file for file in path.iterdir() if file.name != 'metadata.yaml')


MODES = [(StoragePlugin.MCAP, CompressionMode.NONE), (StoragePlugin.MCAP, CompressionMode.STORAGE),
         (StoragePlugin.MCAP, CompressionMode.FILE), (StoragePlugin.MCAP, CompressionMode.MESSAGE),
         (StoragePlugin.SQLITE3, CompressionMode.NONE),
         (StoragePlugin.SQLITE3, CompressionMode.FILE),
         (StoragePlugin.SQLITE3, CompressionMode.MESSAGE)]


@pytest.mark.parametrize(('plugin', 'mode'), MODES)
def test_every_storage_and_compression_is_read_as_a_folder_and_as_a_file(tmp_path, plugin, mode):
    path = write(tmp_path / 'bag', plugin, mode)
    with Bag(path) as bag:
        assert bag.topics[TEXTS].kind == KIND
        assert bag.topics[TEXTS].count == 40
        assert bag.start == 1000
        assert numbers(bag) == list(range(40))
        assert bag.losses == []
        first = next(bag.messages({TEXTS}))
        assert (first.topic, first.moment) == (TEXTS, 1000)
    with Bag(storage(path)) as bag:
        assert numbers(bag) == list(range(40))
        assert bag.losses == []


@pytest.mark.parametrize('plugin', list(StoragePlugin))
def test_without_its_metadata_a_folder_is_read_all_the_same_and_the_loss_is_reported(
        tmp_path, plugin):
    path = write(tmp_path / 'bag', plugin)
    (path / 'metadata.yaml').unlink()
    with Bag(path) as bag:
        assert numbers(bag) == list(range(40))
        assert bag.losses == ['metadata.yaml is missing: the recording was not ended properly']


def test_a_split_bag_is_read_in_the_order_of_its_clock(tmp_path):
    path = write(tmp_path / 'bag', StoragePlugin.MCAP, numbers=range(20))
    second = write(tmp_path / 'second', StoragePlugin.MCAP, numbers=range(20, 40))
    # The file that comes first by name is the later one.
    shutil.move(storage(second), path / 'a_later.mcap')
    yaml = YAML(typ='safe')
    metadata = yaml.load((path / 'metadata.yaml').read_text())
    about = metadata['rosbag2_bagfile_information']
    about['relative_file_paths'].append('a_later.mcap')
    yaml.dump(metadata, path / 'metadata.yaml')
    with Bag(path) as bag:
        assert numbers(bag) == list(range(40))
    (path / 'metadata.yaml').unlink()
    with Bag(path) as bag:
        assert numbers(bag) == list(range(40))
        assert bag.topics[TEXTS].count == 40
    # A part that is lost takes only its own messages with it.
    about['relative_file_paths'].append('gone.mcap')
    yaml.dump(metadata, path / 'metadata.yaml')
    with Bag(path) as bag:
        assert numbers(bag) == list(range(40))
        assert 'gone.mcap' in bag.losses[0]


@pytest.mark.parametrize('mode', [CompressionMode.NONE, CompressionMode.STORAGE])
@pytest.mark.parametrize('share', [0.2, 0.5, 0.9, 0.999])
def test_of_an_mcap_that_is_cut_off_all_whole_records_are_used(tmp_path, mode, share):
    path = storage(write(tmp_path / 'bag', StoragePlugin.MCAP, mode, range(200)))
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * share)])
    with Bag(path) as bag:
        found = numbers(bag)
        assert found == list(range(len(found)))
        assert len(found) >= 200 * share - 28  # a chunk of 1 MiB is lost as a whole
        [loss] = bag.losses
        assert f'{bag.topics[TEXTS].count + bag.topics["/other"].count} messages could be' in loss


def test_damage_in_the_middle_of_an_mcap_is_reported_and_what_is_before_it_is_used(tmp_path):
    path = storage(write(tmp_path / 'bag', StoragePlugin.MCAP, CompressionMode.STORAGE,
                         range(200)))
    content = bytearray(path.read_bytes())
    middle = len(content) * 3 // 4
    content[middle:middle + 300_000] = b'\xff' * 300_000
    path.write_bytes(content)
    with Bag(path) as bag:
        found = numbers(bag)
        assert found == list(range(len(found)))
        assert 0 < len(found) < 200
        assert f'{200 - len(found)} of 200 messages cannot be read' in bag.losses[0]


@pytest.mark.parametrize('share', [0.4, 0.8])
def test_of_an_sqlite3_bag_that_is_cut_off_the_rows_that_can_be_reached_are_used(tmp_path, share):
    path = storage(write(tmp_path / 'bag', StoragePlugin.SQLITE3))
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * share)])
    with Bag(path) as bag:
        found = numbers(bag)
        assert found == sorted(found)
        assert len(found) >= 40 * share - 5
        [loss] = bag.losses
        assert 'are lost' in loss


def test_messages_in_a_write_ahead_log_count(tmp_path):
    """A recorder that was killed leaves them there."""
    path = storage(write(tmp_path / 'bag', StoragePlugin.SQLITE3, numbers=range(5)))
    database = sqlite3.connect(path)
    database.execute('PRAGMA journal_mode=WAL')
    database.execute('INSERT INTO messages (topic_id, timestamp, data) VALUES (1, 9000, ?)',
                     (STORE.serialize_cdr(to_bag.string('77 x'), KIND).tobytes(),))
    database.commit()
    copied = tmp_path / 'killed' / path.name
    copied.parent.mkdir()
    for suffix in ('', '-wal'):
        shutil.copy(f'{path}{suffix}', f'{copied}{suffix}')
    database.close()
    with Bag(copied) as bag:
        assert numbers(bag) == [0, 1, 2, 3, 4, 77]


def test_an_mcap_that_others_wrote_without_profile_is_read(tmp_path):
    writers = pytest.importorskip('mcap.writer', reason='pip install mcap')
    path = tmp_path / 'theirs.mcap'
    with path.open('wb') as file:
        writer = writers.Writer(file)
        writer.start()
        schema = writer.register_schema(KIND, 'ros2msg', b'string data')
        channel = writer.register_channel(TEXTS, 'cdr', schema)
        strange = writer.register_channel('/strange', 'json', writer.register_schema(
            'strange', 'jsonschema', b'{}'))
        for number in (3, 1, 2):
            writer.add_message(channel, number, STORE.serialize_cdr(
                to_bag.string(f'{number}'), KIND).tobytes(), number)
        writer.add_message(strange, 4, b'{}', 4)
        writer.finish()
    with Bag(path) as bag:
        assert numbers(bag) == [1, 2, 3]
        assert list(bag.topics) == [TEXTS]


def test_a_type_that_is_defined_otherwise_is_left_out_and_named(tmp_path):
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        writer.write(
            writer.add_connection(TEXTS, KIND, msgdef='int32 data\n', rihs01='RIHS01_other'), 5,
            b'\0\1\0\0\1\0\0\0')
        writer.write(
            writer.add_connection('/own', 'plant_msgs/msg/Own', msgdef='int32 data\n',
                                  rihs01='RIHS01_own'), 5, b'\0\1\0\0\1\0\0\0')
    with Bag(tmp_path / 'bag') as bag:
        assert list(bag.topics) == ['/own']  # of a type that nobody asks for: it does not matter
        assert bag.losses == [f'bag.db3: {TEXTS} has another definition of {KIND} than is known '
                              'here: left out']


def test_a_quality_of_service_that_was_noted_otherwise_loses_no_message(tmp_path):
    """What metadata.yaml and the file say of the publishers may differ."""
    path = write(tmp_path / 'bag', StoragePlugin.MCAP)
    yaml = YAML(typ='safe')
    metadata = yaml.load((path / 'metadata.yaml').read_text())
    for topic in metadata['rosbag2_bagfile_information']['topics_with_message_count']:
        topic['topic_metadata']['offered_qos_profiles'] = ''
        topic['topic_metadata']['type_description_hash'] = ''
    yaml.dump(metadata, path / 'metadata.yaml')
    with Bag(path) as bag:
        assert numbers(bag) == list(range(40))
        assert bag.losses == []


def test_types_as_the_first_versions_of_rosbag2_named_them_are_known(tmp_path):
    path = storage(write(tmp_path / 'bag', StoragePlugin.SQLITE3, numbers=range(3)))
    database = sqlite3.connect(path)
    database.execute("UPDATE topics SET type = 'std_msgs/String' WHERE name = ?", (TEXTS,))
    database.commit()
    database.close()
    with Bag(path) as bag:
        assert bag.topics[TEXTS].kind == KIND
        assert numbers(bag) == [0, 1, 2]


def test_what_metadata_and_files_disagree_on_is_reported(tmp_path):
    path = write(tmp_path / 'bag', StoragePlugin.MCAP)
    about = path / 'metadata.yaml'
    right = about.read_text()
    about.write_text(right.replace('message_count: 80', 'message_count: 90'))
    with Bag(path) as bag:
        assert bag.losses == ['metadata.yaml announces 90 messages, the files hold 80']
    about.write_text(right)
    shutil.copy(path / 'bag.mcap', path / 'copy.mcap')
    with Bag(path) as bag:
        assert numbers(bag) == list(range(40))
        assert bag.losses == ['metadata.yaml does not name copy.mcap: left out']
    about.write_text('][')
    with Bag(path) as bag:
        assert 'metadata.yaml is not used' in bag.losses[0]


def test_another_serialisation_than_cdr_is_left_out_and_named(tmp_path):
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.write(writer.add_connection(TEXTS, KIND, typestore=STORE,
                                           serialization_format='xml'), 5, b'<text/>')
        writer.write(writer.add_connection('/other', KIND, typestore=STORE), 6,
                     STORE.serialize_cdr(to_bag.string('x'), KIND))
    with Bag(tmp_path / 'bag') as bag:
        assert list(bag.topics) == ['/other']
        assert "is serialised as 'xml'" in bag.losses[0]


def test_bytes_that_are_no_message_are_reported():
    with pytest.raises(BadMessage, match='/texts: 7 bytes that are no std_msgs/msg/String'):
        deserialize(Recorded(TEXTS, KIND, 0, b'\0\1\0\0\xff\xff\xff'))


@pytest.mark.parametrize(('name', 'content', 'words'), [
    ('none', None, 'no such bag'),
    ('some.txt', b'text', 'a bag is a folder or a file that ends in .mcap'),
    ('empty.mcap', b'', 'cannot be read as a bag: it does not start as an MCAP file does'),
    ('noise.mcap', b'noise' * 100, 'it does not start as an MCAP file does'),
    ('head.mcap', b'\x89MCAP0\r\n', 'it holds no topic'),
    ('noise.db3', b'noise' * 100, 'cannot be read as a bag'),
    ('noise.mcap.zstd', b'noise' * 100, 'it does not start as an MCAP file does')])
def test_what_is_no_bag_is_refused_in_one_line(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BagError, match=words) as refusal:
        Bag(path)
    assert str(path) in str(refusal.value)
    assert '\n' not in str(refusal.value)


def test_a_folder_without_a_bag_is_refused(tmp_path):
    with pytest.raises(BagError, match='holds no file that ends in'):
        Bag(tmp_path)


@pytest.mark.parametrize('salvaged', [False, True])
def test_messages_are_found_by_their_time(tmp_path, salvaged):
    path = storage(write(tmp_path / 'bag', StoragePlugin.MCAP, size=10))
    if salvaged:
        path.write_bytes(path.read_bytes()[:-10])
    with Bag(path) as bag:
        assert (bag.start, bag.end) == (1000, 4900)
        assert [m.moment for m in bag.messages({TEXTS}, 1900, 2100)] == [1900, 2000]
        assert list(bag.messages({TEXTS}, 4901)) == []


def test_a_bag_that_is_written_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'deep' / 'bag'
    with BagWriter(path) as writer:
        writer.write(TEXTS, 5, to_bag.string('hello'))
        assert not path.exists()
    with Bag(path) as bag:
        assert [deserialize(m).data for m in bag.messages({TEXTS})] == ['hello']
        assert bag.losses == []
    with pytest.raises(BagError, match='exists already'):
        BagWriter(path)
    writer = BagWriter(tmp_path / 'deep' / 'half')
    writer.write(TEXTS, 5, to_bag.string('hello'))
    writer.__exit__(KeyError, None, None)
    assert [file.name for file in path.parent.iterdir()] == ['bag']


def test_a_written_bag_is_read_by_the_mcap_library_with_its_schemas(tmp_path):
    readers = pytest.importorskip('mcap.reader', reason='pip install mcap')
    key = FrameKey(1_790_000_000_123_456_789, 'bench')
    with BagWriter(tmp_path / 'bag', latched={'/label_info'}) as writer:
        writer.write('/label_info', 1, to_bag.label_info(1, ('hammer', 'wrench'), 0.6))
        writer.write('/decision', 2, to_bag.distribution(key, {'wrench': 0.75}))
    with (Path(tmp_path) / 'bag' / 'bag.mcap').open('rb') as file:
        reader = readers.make_reader(file)
        found = [(schema.name, channel.topic, message.log_time)
                 for schema, channel, message in reader.iter_messages()]
        assert found == [('vision_msgs/msg/LabelInfo', '/label_info', 1),
                         ('vision_msgs/msg/Classification', '/decision', 2)]
        definitions = {schema.name: schema.data.decode()
                       for schema in reader.get_summary().schemas.values()}
    assert 'string class_id' in definitions['vision_msgs/msg/Classification']
    assert 'durability: transient_local' in (tmp_path / 'bag' / 'metadata.yaml').read_text()


def test_the_definitions_are_those_of_the_released_vision_msgs():
    # The hashes that ROS 2 Jazzy gives to the released package's types.
    assert STORE.hash_rihs01('vision_msgs/msg/Classification') == (
        'RIHS01_f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143')
    assert STORE.hash_rihs01('vision_msgs/msg/LabelInfo') == (
        'RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783')
    assert STORE.hash_rihs01('vision_msgs/msg/Detection2DArray') == (
        'RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968')
