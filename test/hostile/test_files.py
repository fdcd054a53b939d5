"""Files that were made to end, fill or hang what reads them: each is refused in one line."""

from base64 import b64encode
import gc
from itertools import pairwise
import json
import os
from pathlib import Path
import shutil
import sqlite3
import struct
import subprocess
import sys

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer
from tool_recognizer.bags import bag as bag_module
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import BagError
from tool_recognizer.bags.bag import deserialize
from tool_recognizer.bags.bag import unpacked
from tool_recognizer.bags.labels_file import LabelsError
from tool_recognizer.bags.labels_file import read_labels_file
from tool_recognizer.bags.salvage import SalvagedMcap
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.model import onnx_model
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import ModelFileError
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.model.onnx_model import read_labels
from tool_recognizer.parameter_file import ParameterError
from tool_recognizer.parameter_file import read_parameters
from tool_recognizer.programs.model import main as model_program
from tool_recognizer.programs.replay import main as replay
from tool_recognizer.replaying.result import BaselineError
from tool_recognizer.replaying.result import read_baseline
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import read_annotations

onnx = pytest.importorskip('onnx', reason='pip install onnx, to write small models')

GREY = b64encode(bytes([128] * 768)).decode()
ANSWER = [4 * 128 / 255] * 3
# Neither shorter nor longer is a line that a person reads.
SHORTEST, LONGEST = 20, 1000


def refused(path, kind=ModelError, read=OnnxModel.load):
    """Return the one line with which a file is refused."""
    with pytest.raises(kind) as caught:
        read(path)
    line = str(caught.value)
    assert '\n' not in line
    assert line.isprintable()
    assert SHORTEST < len(line) < LONGEST
    assert str(path) in line
    return line


def with_text(path, text):
    """Give a model file this text, or these bytes, as its metadata."""
    model = onnx.load(path)
    model.metadata_props[0].value = text
    onnx.save(model, path)
    return path


@pytest.mark.parametrize('text', [
    '', '[]', '"x"', '3', '{', '[' * 100_000, '{"schema":' * 100_000, '9' * 5_000,
    '{"schema": 1, "temperature": NaN}', '{"schema": 1, "temperature": -Infinity}',
    '{"name": "\\ud800"}', '{"\\udfff": 1}', '{"name": "' + 'x' * (65 << 20) + '"}'],
    ids=lambda text: f'{text[:20]} of {len(text)}')
def test_metadata_that_are_none(write_model, text):
    refused(with_text(write_model(), text))


WRONG = (None, 3, -1, 2**70, 10**400, 1.5, 1e999, True, 'text', 'x' * 10**6, [], [[]], {}, [3],
         [None, None], {'a': {}}, list(range(10**5)))


@pytest.mark.parametrize('part', [
    'schema', 'labels', 'input', 'temperature', 'rejection', 'reference', 'quality', 'golden',
    'golden_tolerance', 'name', 'version', 'created', 'licence', 'attribution', 'training',
    'backbone'])
def test_a_part_of_the_wrong_kind_is_refused_or_can_be_shown(write_model, part, capsys):
    """Whatever a part is, load ends in one line or all programs can use the model."""
    for value in WRONG:
        text = json.dumps({**said(write_model), part: value}).replace('Infinity', '1e999')
        path = with_text(write_model(), text)
        try:
            OnnxModel.load(path)
        except ModelError:
            refused(path)
            assert model_program(['check', str(path)]) in (1, 2)
        else:
            assert model_program(['show', str(path)]) == 0
            assert model_program(['check', str(path)]) == 0
    capsys.readouterr()


def said(write_model):
    return json.loads(onnx.load(write_model()).metadata_props[0].value)


@pytest.mark.parametrize('inner', [
    ('input', 'height'), ('input', 'width'), ('input', 'fit'), ('rejection', 'output'),
    ('rejection', 'threshold'), ('rejection', 'false_rejection_rate'), ('reference', 'logits'),
    ('reference', 'label'), ('reference', 'ece'), ('reference', 'photographs'),
    ('quality', 'dark'), ('quality', 'blurred'), ('training', 'counts'), ('training', 'drawn'),
    ('training', 'seen'), ('training', 'groups'), ('training', 'prior_strength'),
    ('training', 'fitted_temperature'), ('training', 'data_digest'), ('backbone', 'seen')],
    ids='.'.join)
def test_a_value_of_the_wrong_kind_is_refused_or_can_be_shown(write_model, inner, capsys):
    part, name = inner
    good = {'input': {'height': 16, 'width': 16, 'fit': 'stretch'},
            'rejection': {'output': 'logits', 'threshold': 1.0, 'false_rejection_rate': 0.1},
            'reference': {'logits': [ANSWER], 'label': [0], 'ece': 0.1, 'photographs': 1},
            'quality': {'dark': 1.0, 'overexposed': 0.1, 'blurred': 1.0},
            'training': {'counts': {'wrench': 1}}, 'backbone': {'name': 'none'}}[part]
    for value in WRONG:
        path = with_text(write_model(), json.dumps(
            {**said(write_model), part: {**good, name: value}}).replace('Infinity', '1e999'))
        try:
            OnnxModel.load(path)
        except ModelError:
            refused(path)
        else:
            assert model_program(['show', str(path)]) == 0
    capsys.readouterr()


@pytest.mark.parametrize('metadata', [
    {'temperature': 0}, {'temperature': -1.0},
    {'golden': [{'pixels': GREY, 'logits': ANSWER[:2]}]},
    {'golden': [{'pixels': GREY, 'logits': [ANSWER]}]},
    {'golden': [{'pixels': GREY, 'logits': ANSWER[0]}]},
    {'golden': [{'pixels': GREY, 'logits': ANSWER}] * 101},
    {'golden': [3]}, {'golden': [{'pixels': GREY[:-4], 'logits': ANSWER}]},
    {'golden': [{'pixels': 7, 'logits': ANSWER}]},
    {'reference': {'logits': [[0, 0, 0]], 'label': [-1]}},
    {'reference': {'logits': [[0, 0, 0]], 'label': [0.5]}},
    {'reference': {'logits': [[0, 0, 0], [0, 0]], 'label': [0, 0]}}])
def test_values_out_of_range_are_refused(write_model, metadata):
    refused(write_model(metadata=metadata))


def test_a_reference_that_is_not_finite_is_refused(write_model):
    path = write_model(metadata={'reference': {'logits': [[0, 0, 'inf']], 'label': [0]}})
    text = onnx.load(path).metadata_props[0].value.replace('"inf"', '1e999')
    assert 'not all finite' in refused(with_text(path, text))


@pytest.mark.parametrize('wrong', [
    '', ' \t', '\u3000', 'a:b', 'a\nb', 'a\x00', '\x7f', '\u202ewrench', 'wrench\u200b',
    '\u2066a', '\ufeffwrench', 'x' * 10_000, 3, None, ['a'], {'a': 1}, True, 'hammer'], ids=ascii)
def test_a_label_that_cannot_be_told_apart_is_refused(write_model, wrong):
    refused(write_model(metadata={'labels': ['hammer', 'screwdriver', wrong]}))


def test_the_text_of_a_label_is_checked_for_a_plain_classifier_too(write_model, tmp_path):
    (tmp_path / 'labels.txt').write_text('hammer\nscrew\u202edriver\nwrench\n')
    labels = read_labels(tmp_path / 'labels.txt')
    path = write_model()
    refused(path, read=lambda path: OnnxModel.load(strip(path), plain=PlainModel(labels)))


def strip(path):
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    return path


@pytest.mark.parametrize('number', [25_001, 1_000_000])
def test_so_many_labels_are_refused_at_once(write_model, number):
    assert 'the most' in refused(write_model(metadata={
        'labels': [f'label {n}' for n in range(number)]}))


def test_as_many_labels_as_there_may_be_are_checked_one_by_one(write_model):
    labels = [f'label {n}' for n in range(25_000)]
    assert '25000 labels, but the graph answers' in refused(write_model(
        metadata={'labels': labels}))
    assert "['label 0'] come more than once" in refused(write_model(
        metadata={'labels': [*labels[:-1], 'label 0']}))


def sized(path, batch, height, width):
    model = onnx.load(path)
    for place, size in enumerate((batch, height, width)):
        if size:
            model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = size
    said = json.loads(model.metadata_props[0].value)
    said['input'] |= {'height': height, 'width': width}
    model.metadata_props[0].value = json.dumps(said)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize('size', [
    (0, 10**9, 10**9), (0, 2**62, 2**62), (0, 1, 10**9), (10**9, 16, 16), (0, 20_000, 20_000)],
    ids=str)
def test_a_graph_that_takes_more_than_a_machine_holds_is_refused(write_model, size):
    assert 'bytes are the most' in refused(sized(write_model(), *size))


def looping(path):
    """Make of a model one that never answers."""
    from onnx import helper
    model = onnx.load(path)
    body = helper.make_graph(
        [helper.make_node('Identity', ['go'], ['again']),
         helper.make_node('Identity', ['value'], ['same'])], 'body',
        [helper.make_tensor_value_info('turn', onnx.TensorProto.INT64, []),
         helper.make_tensor_value_info('go', onnx.TensorProto.BOOL, []),
         helper.make_tensor_value_info('value', onnx.TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info('again', onnx.TensorProto.BOOL, []),
         helper.make_tensor_value_info('same', onnx.TensorProto.FLOAT, None)])
    for node in model.graph.node:
        node.output[:] = ['once' if name == 'logits' else name for name in node.output]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), 'true'))
    model.graph.node.append(helper.make_node('Loop', ['', 'true', 'once'], ['logits'], body=body))
    onnx.save(model, path)
    return path


def test_a_graph_that_never_answers_is_refused(write_model, monkeypatch):
    monkeypatch.setattr(onnx_model, 'LONGEST_CHECK', 0.2)
    assert 'no answer to the test pictures within 0.2 s' in refused(looping(write_model()))


def test_a_refusal_is_one_line_and_onnxruntime_says_nothing_beside_it(write_model, tmp_path):
    """Its own words would come on standard output, where the figures of a program go."""
    path = write_model()
    path.write_bytes(path.read_bytes().replace(b'logits', b'l\xa3gits'))
    done = subprocess.run([sys.executable, '-m', 'tool_recognizer', 'model', 'check', str(path)],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (2, '', 1)


# --- the file itself ---


def fifo(path):
    os.mkfifo(path)


def sparse(path):
    with path.open('wb') as file:
        file.truncate(2**31)


NO_FILES = {'a pipe': fifo, 'a device': lambda path: path.symlink_to('/dev/zero'),
            'a folder': Path.mkdir, 'a loop of links': lambda path: path.symlink_to(path),
            'too large': sparse, 'nothing': lambda path: None}


@pytest.mark.parametrize('make', NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_refused_at_once(make, tmp_path):
    path = tmp_path / 'file'
    make(path)
    line = refused(path)
    assert 'cannot be read' in line
    gc.collect()  # what earlier tests have left open
    before = os.listdir('/proc/self/fd')
    refused(path)
    assert os.listdir('/proc/self/fd') == before  # a node may be told so again and again
    assert refused(path, ModelFileError, ModelFile.read)
    assert refused(path, ModelError, read_labels)
    assert refused(path, ParameterError, read_parameters)
    assert refused(path, BaselineError, read_baseline)
    assert refused(path, DataError, read_annotations)
    assert refused(path, LabelsError, read_labels_file)
    assert refused(path, BagError, Bag)


@pytest.mark.parametrize('make', [fifo, sparse, lambda path: path.symlink_to('/dev/zero')],
                         ids=['a pipe', 'too large', 'a device'])
def test_weights_beside_the_model_are_files_too(make, tmp_path):
    model = onnx.load(DEFAULT_MODEL)
    onnx.save(model, tmp_path / 'model.onnx', save_as_external_data=True, location='weights',
              size_threshold=0)
    (tmp_path / 'weights').unlink()
    make(tmp_path / 'weights')
    assert "its weights are in 'weights'" in refused(tmp_path / 'model.onnx')


@pytest.mark.parametrize('end', [0, 1, 100, 100_000, -1])
def test_a_model_that_is_cut_off_is_refused(end, tmp_path):
    path = tmp_path / 'model.onnx'
    path.write_bytes(DEFAULT_MODEL.read_bytes()[:end])
    refused(path)
    refused(path, ModelFileError, ModelFile.read)


def nested(levels):
    """Put messages into each other: a node with a graph with a node ..."""
    message = b'location'
    for level in range(levels):
        tag = (b'\x0a', b'\x2a', b'\x32')[level % 3]
        length, size = bytearray(), len(message)
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        message = tag + bytes([*length, size]) + message
    return b'\x3a' + message[1:]


@pytest.mark.parametrize('content', [
    nested(2_999), b'location' + b'\x2a\0' * 2_000_001], ids=['deep', 'many'])
def test_a_message_that_would_fill_the_memory_is_refused(content, tmp_path):
    path = tmp_path / 'model.onnx'
    path.write_bytes(content)
    refused(path)


def test_a_group_does_not_hide_where_weights_are(tmp_path, monkeypatch):
    """What runs the model passes over a group, which ONNX does not use, and reads the rest."""
    model = onnx.load(DEFAULT_MODEL)
    onnx.save(model, tmp_path / 'model.onnx', save_as_external_data=True, location='weights',
              size_threshold=0)
    path = tmp_path / 'model.onnx'
    path.write_bytes(path.read_bytes() + b'\xa3\x06\xa4\x06')
    monkeypatch.chdir(tmp_path)
    refused(path)


# --- parameter files ---

HEAD = 'tool_recognizer:\n  ros__parameters:\n'


@pytest.mark.parametrize('text', [
    '[' * 100_000, '{a: ' * 50_000, ''.join(f'{" " * n}a:\n' for n in range(1_000)),
    ''.join(f'{name}: &{name} [{", ".join([f"*{before}"] * 9)}]\n'
            for before, name in pairwise('abcdefghi')),
    f'{HEAD}    monitor.window: {"9" * 5_000}\n', f'{HEAD}    monitor.window: 0x{"f" * 5_000}\n',
    f'{HEAD}    decision.deadline: 1e400\n', '{a: 1}: {b: 2}', f'{HEAD}    [a]: 1\n',
    f'{HEAD}    x: !!python/object/apply:os.system [ls]\n', 'a: 1\n' * 300_000, '\x01', '\0'],
    ids=lambda text: f'{text[:60]!a} of {len(text)}')
def test_a_parameter_file_that_is_none(text, tmp_path):
    path = tmp_path / 'file.yaml'
    path.write_text(text)
    refused(path, ParameterError, read_parameters)


def test_brackets_in_a_text_are_no_depth(tmp_path):
    path = tmp_path / 'file.yaml'
    path.write_text(f'{HEAD}    model_path: "{"[]" * 100}"\n')
    assert read_parameters(path)[0] == {'model_path': '[]' * 100}


# --- bags ---

STRING = 'std_msgs/msg/String'


def text_bag(path, plugin):
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connection = writer.add_connection('/texts', STRING, typestore=bag_module.STORE)
        for number in range(9):
            writer.write(connection, 1000 + number, bag_module.STORE.serialize_cdr(
                bag_module.STORE.types[STRING](data=str(number)), STRING))
    return next(file for file in path.iterdir() if file.name != 'metadata.yaml')


def read_all(path):
    """Read what a bag has: the texts of its messages, and what it says that is lost."""
    with Bag(path) as bag:
        texts = [deserialize(message).data for message in bag.messages({'/texts'})]
        losses = bag.losses
    assert all(len(line) < LONGEST and line.isprintable() for line in losses)
    return texts, losses


@pytest.mark.parametrize('make', [
    fifo, sparse, lambda path: path.symlink_to('/dev/zero'), Path.mkdir,
    *(lambda path, text=text: path.write_text(text) for text in (
        '[' * 100_000, 'rosbag2_bagfile_information: 3', '[]', '\0',
        'rosbag2_bagfile_information: {relative_file_paths: 5, message_count: 1}',
        'rosbag2_bagfile_information: {relative_file_paths: [{}], message_count: 1}',
        'rosbag2_bagfile_information: {relative_file_paths: [], message_count: .inf}',
        f'rosbag2_bagfile_information: {{relative_file_paths: [], message_count: {"9" * 5000}}}',
        '!!python/object/apply:os.system [ls]', ''.join(f'{" " * n}a:\n' for n in range(1_000))))])
def test_a_bag_is_read_whatever_its_metadata_are(make, tmp_path):
    about = text_bag(tmp_path / 'bag', StoragePlugin.MCAP).with_name('metadata.yaml')
    about.unlink()
    make(about)
    texts, losses = read_all(tmp_path / 'bag')
    assert texts == [str(number) for number in range(9)]
    assert losses[0].startswith('metadata.yaml is not used: ')


@pytest.mark.parametrize('length', [2**60, 2**63, 2**64 - 1, 2**40])
@pytest.mark.parametrize('place', range(9))
def test_a_record_that_says_a_length_it_has_not(length, place, tmp_path):
    """Each record of a recording in turn is said to be so long."""
    file = text_bag(tmp_path / 'bag', StoragePlugin.MCAP)
    data = bytearray(file.read_bytes())
    position = 8
    for _ in range(place):
        position += 9 + int.from_bytes(data[position + 1:position + 9], 'little')
    data[position + 1:position + 9] = length.to_bytes(8, 'little')
    file.write_bytes(data)
    try:
        texts, losses = read_all(tmp_path / 'bag')
    except BagError:
        refused(tmp_path / 'bag', BagError, Bag)
    else:
        assert texts == [str(number) for number in range(len(texts))]
        assert len(texts) == 9 or losses


def chunk(size, packed, compression=b'zstd'):
    body = (struct.pack('<QQQI', 0, 0, size, 0) + struct.pack('<I', len(compression)) + compression
            + struct.pack('<Q', len(packed)) + packed)
    return b'\x06' + struct.pack('<Q', len(body)) + body


def bomb(megabytes):
    """Compress so many megabytes of nothing."""
    packer = bag_module.zstd.ZstdCompressor()
    return b''.join([*(packer.compress(bytes(2**20)) for _ in range(megabytes)), packer.flush()])


@pytest.mark.parametrize(('size', 'words'), [
    (100, 'unpacks to more than 100 bytes'), (2**50, f'says that it has {2**50} bytes')])
def test_a_chunk_is_not_unpacked_beyond_the_size_that_it_says(size, words, tmp_path):
    file = text_bag(tmp_path / 'bag', StoragePlugin.MCAP)
    whole = file.read_bytes()
    end = whole.rindex(b'\x0f\x04\0\0\0\0\0\0\0')
    file.write_bytes(whole[:end] + chunk(size, bomb(100)) + whole[end:])
    salvaged = SalvagedMcap(file)
    assert [count for _, _, count in salvaged.topics] == [9]
    assert words in salvaged.lost


def test_a_message_is_not_unpacked_beyond_what_a_picture_has(monkeypatch):
    monkeypatch.setattr(bag_module, 'LARGEST_MESSAGE', 2**20)
    assert len(unpacked(bomb(1))) == 2**20
    assert unpacked(bomb(2)) == b''
    assert unpacked(bomb(1)[:-3]) == b''


def test_a_file_is_not_unpacked_beyond_the_room_that_there_is(tmp_path, monkeypatch):
    (tmp_path / 'bag').mkdir()
    (tmp_path / 'bag' / 'bag_0.mcap.zstd').write_bytes(bomb(40))
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(0, 0, 2**30))
    assert 'has room for' in refused(tmp_path / 'bag', BagError, Bag)


@pytest.mark.parametrize('change', [
    "UPDATE messages SET timestamp = 'noon' WHERE id = 4",
    'UPDATE messages SET timestamp = -5 WHERE id = 4',
    'UPDATE messages SET timestamp = 1e300 WHERE id = 4',
    'UPDATE messages SET data = 7 WHERE id = 4',
    "UPDATE messages SET data = 'text' WHERE id = 4"])
def test_a_row_that_is_no_message_is_left_out_and_said(change, tmp_path):
    file = text_bag(tmp_path / 'bag', StoragePlugin.SQLITE3)
    alter(file, change)
    texts, losses = read_all(tmp_path / 'bag')
    assert set(texts) <= {str(number) for number in range(9)}
    assert len(texts) == 8
    assert losses


@pytest.mark.parametrize('change', [
    "UPDATE topics SET name = x'ff'",
    "UPDATE topics SET serialization_format = 'xml'", 'DELETE FROM topics', 'DROP TABLE topics',
    'DROP TABLE messages',
    """DROP TABLE messages; CREATE VIEW messages AS WITH RECURSIVE more(id) AS (
           SELECT 1 UNION ALL SELECT id + 1 FROM more)
       SELECT id, 1 AS topic_id, id AS timestamp, x'00' AS data FROM more""",
    """DROP TABLE messages; CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp,
       data GENERATED ALWAYS AS (zeroblob(1000000000)));
       INSERT INTO messages VALUES (1, 1, 1)"""])
def test_a_database_that_is_no_recording_is_refused_or_empty(change, tmp_path):
    file = text_bag(tmp_path / 'bag', StoragePlugin.SQLITE3)
    alter(file, change)
    try:
        texts, _ = read_all(tmp_path / 'bag')
    except BagError:
        refused(tmp_path / 'bag', BagError, Bag)
    else:
        assert texts == []


def alter(file, script):
    database = sqlite3.connect(file)
    database.executescript(script)
    database.close()


def test_a_folder_may_have_any_name(tmp_path):
    file = text_bag(tmp_path / 'bag', StoragePlugin.SQLITE3)
    odd = tmp_path / 'why?mode=rwc#100%41'
    odd.mkdir()
    file.rename(odd / 'x.db3')
    alter(odd / 'x.db3', "UPDATE topics SET name = x'ff' WHERE 0")
    (odd / 'x.db3-wal').write_bytes(b'one')  # so that it is read row by row
    assert read_all(odd)[0] == [str(number) for number in range(9)]


def test_a_damaged_message_is_counted_and_the_others_are_used(line_bag, tmp_path):
    """Every message of the recording in turn is cut off, or says lengths that it has not."""
    bag = line_bag(frames=20)
    with Bag(bag) as opened:
        messages = list(opened.messages(opened.topics))
    for harm in (lambda raw: raw[:3], lambda raw: raw[:len(raw) // 2],
                 lambda raw: raw[:4] + b'\xff' * 40 + raw[44:], lambda raw: b''):
        path = tmp_path / f'harmed{len(list(tmp_path.iterdir()))}'
        with BagWriter(path) as writer:
            for number, message in enumerate(messages):
                raw = bytes(message.raw)
                writer.write_raw(message.topic, message.kind, message.moment,
                                 harm(raw) if number % 3 else raw)
        assert replay([str(path), '--json', str(tmp_path / 'r.json'), '--quiet']) in (0, 1)
        figures = json.loads((tmp_path / 'r.json').read_text())
        assert figures['input']['answered'] >= 5
        (tmp_path / 'r.json').unlink()
