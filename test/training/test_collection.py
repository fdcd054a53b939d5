"""A collection: different views are kept, others refused by their reason, and nothing is half."""

from dataclasses import replace
import errno
import os
from pathlib import Path
import signal
import subprocess
import sys
from time import monotonic
from time import sleep

import cv2
from journal_writer import JournalWriter
import numpy as np
import pytest
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.softmax_regression import SoftmaxHead
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.wire import BYTES
from tool_recognizer.model.wire import parse
from tool_recognizer.model.wire import serialize
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.training import collection as collection_module
from tool_recognizer.training.assemble import input_spec
from tool_recognizer.training.collected import kept_features
from tool_recognizer.training.collection import Collection
from tool_recognizer.training.collection import CollectionError
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import find_examples
from tool_recognizer.training.photos import Photo
from tool_recognizer.training.photos import read_photos
from tool_recognizer.training.photos import read_rgb
from tool_recognizer.training.progress import Progress
from tool_recognizer.training.views import Extractor
from tool_recognizer.training.views import view_plan


@pytest.fixture(scope='module')
def base():
    return ModelFile.read(DEFAULT_MODEL)


@pytest.fixture
def collection(tmp_path, base):
    return Collection(tmp_path / 'collection', base, input_spec(base, None))


def frame(seed, label='hammer', stamp=None, change=lambda pixels: pixels, rotation=0):
    pixels = change(draw_tool(label, np.random.default_rng(seed), 240, 320))
    return Frame(FrameKey(seed + 1 if stamp is None else stamp, 'bench'),
                 np.ascontiguousarray(pixels), 'rgb', rotation)


def noisy(pixels):
    noise = np.random.default_rng(9).normal(0, 3, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def test_another_view_is_kept_and_nearly_the_same_one_is_refused_and_counted(collection):
    first = collection.take('torx', frame(4))
    assert first.path.is_file()
    assert first.novelty == float('inf')
    again = collection.take('torx', frame(4, stamp=77, change=noisy))
    assert (again.path, again.reason) == (None, 'near_duplicate')
    assert 'turn or move the tool' in again.words
    assert 0 <= again.novelty < 36
    other = collection.take('torx', frame(3))
    assert other.path is not None
    assert 35 < other.novelty < 120
    assert collection.refused == {'near_duplicate': 1}
    assert collection.counts() == {'torx': 2}
    novelty = collection.novelty('torx')
    assert novelty[first.path] == novelty[other.path] == pytest.approx(other.novelty, abs=8)
    # It is the same picture for another label, which is for the person to judge.
    assert collection.take('wrench', frame(4)).path is not None


def test_what_was_collected_is_known_to_the_next_start(collection, base):
    collection.take('torx', frame(4))
    again = Collection(collection.path, base, input_spec(base, None))
    assert again.take('torx', frame(4, stamp=77, change=noisy)).reason == 'near_duplicate'


@pytest.mark.parametrize(('change', 'reason', 'words'), [
    (lambda p: p // 20, 'unknown:dark', 'more light'),
    (lambda p: cv2.GaussianBlur(p, (0, 0), 6), 'unknown:blurred', 'focus'),
    (lambda p: np.full_like(p, 255), 'unknown:overexposed', 'less light')])
def test_a_picture_that_is_unfit_is_refused_with_what_mends_it(collection, change, reason, words):
    taken = collection.take('torx', frame(0, change=change))
    assert (taken.path, taken.reason) == (None, reason)
    assert words in taken.words
    assert collection.refused == {reason: 1}


@pytest.mark.parametrize('label', ['', 'a:b', 'a/b', '..', '.hidden', ' torx', 'to  rx', 'x' * 201,
                                   'a\0b', 'a\nb', '__pycache__', 'ä' * 150])
def test_a_label_that_no_model_or_folder_can_have_is_refused(collection, label):
    with pytest.raises(CollectionError):
        collection.take(label, frame(0))
    assert collection.counts() == {}


def test_a_label_that_is_there_in_another_case_is_refused(collection):
    collection.take('torx', frame(0))
    with pytest.raises(CollectionError, match="'Torx' is there as 'torx'"):
        collection.take('Torx', frame(3))
    with pytest.raises(CollectionError, match="'Other' is there as 'other'"):
        collection.take('Other', frame(3))


def test_a_turned_region_is_kept_as_the_network_sees_it(collection):
    pixels = frame(0).pixels
    taken = collection.take('torx', Frame(FrameKey(1, ''), pixels, 'rgb', 90))
    kept = read_rgb(taken.path)
    assert kept.shape == (320, 240, 3)
    assert np.abs(kept.astype(int) - np.rot90(pixels, -1)).mean() < 6


def test_a_large_frame_is_kept_small(collection):
    large = cv2.resize(frame(0).pixels, (2000, 1500))
    path = collection.take('torx', Frame(FrameKey(1, ''), large, 'rgb')).path
    assert read_rgb(path).shape == (480, 640, 3)


def test_a_full_disk_refuses_and_leaves_nothing(collection, monkeypatch):
    def full(path, content, opener=None):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(collection_module, 'write_whole', full)
    taken = collection.take('torx', frame(0))
    assert taken.reason == 'disk_full'
    assert 'make room' in taken.words
    assert collection.counts() == {}
    monkeypatch.undo()
    monkeypatch.setattr(collection_module, 'LEFT_FREE', 2**60)
    assert collection.take('torx', frame(0)).reason == 'disk_full'


def test_a_collection_is_bounded(collection, monkeypatch):
    monkeypatch.setattr(collection_module, 'MOST', 1)
    assert collection.take('torx', frame(0)).path is not None
    assert collection.take('torx', frame(3)).reason == 'full'


def test_another_folder_is_not_taken_for_a_collection(tmp_path, base):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'letter.txt').write_text('dear')
    with pytest.raises(CollectionError, match='not empty'):
        Collection(tmp_path / 'mine', base, input_spec(base, None))


def test_a_base_whose_features_are_too_few_is_refused_and_nothing_is_made(tmp_path, base):
    small = replace(base, head=SoftmaxHead(np.zeros((64, 3)), np.zeros(3)))
    with pytest.raises(CollectionError, match='gives 64 features, too few'):
        Collection(tmp_path / 'collection', small, input_spec(base, None))
    assert not (tmp_path / 'collection').exists()


def test_a_photograph_can_go_and_change_its_label(collection):
    first, second = (collection.take('torx', frame(seed)).path for seed in (0, 3))
    collection.delete(first)
    moved = collection.relabel(second, 'wrench')
    assert collection.counts() == {'wrench': 1}
    assert moved.parent.name == 'wrench'
    for gone in (first, second, collection.path / '.features' / 'x.jpg', Path('/etc/passwd')):
        with pytest.raises(CollectionError, match='no photograph of'):
            collection.delete(gone)


def test_features_leave_with_their_photograph_and_so_does_what_was_not_written_whole(
        collection, base):
    first, second = (collection.take('torx', frame(seed)).path for seed in (0, 3))
    for path in (first, second):
        collection.compute(path)
    (folder,) = (collection.path / '.features').iterdir()
    cut, fresh = folder / 'tmpabc', folder / 'tmpdef'
    for left in (cut, fresh):
        left.write_bytes(b'half')
    os.utime(cut, (0, 0))
    collection.delete(first)
    assert len(list(folder.glob('*.npz'))) == 1
    Collection(collection.path, base, input_spec(base, None))
    assert not cut.exists()
    assert fresh.exists()  # another program may be writing it
    assert len(list(folder.glob('*.npz'))) == 1


def test_train_takes_labels_and_bursts_from_a_collection(collection):
    for seed in range(4):
        collection.take('torx', frame(seed))
    for seed in range(2):
        collection.take('other', frame(seed, 'wrench', stamp=100 + seed))
    (collection.path / 'torx' / 'notes.txt').write_text('no photograph')
    said = []
    examples = find_examples([collection.path], said.append)
    assert said == []
    assert sorted({e.label for e in examples}) == ['other', 'torx']
    photos = read_photos([collection.path], Progress(quiet=True))
    bursts = {p.path: (p.label, p.burst) for p in collection.photographs()}
    groups = {p.name: p.group for p in photos}
    assert len(groups) == len(bursts) == 6
    for one in bursts:
        for other in bursts:
            assert (groups[str(one)] == groups[str(other)]) == (bursts[one] == bursts[other])


def test_an_empty_collection_is_refused_by_train(collection):
    with pytest.raises(DataError, match='`collect` takes some'):
        find_examples([collection.path], print)


def test_features_that_were_computed_while_collecting_are_not_computed_again(
        collection, base, tmp_path, monkeypatch):
    path = collection.take('torx', frame(0)).path
    collection.compute(path)
    (photo,) = read_photos([collection.path], Progress(quiet=True))
    assert kept_features([collection.path, tmp_path]) == [collection.path / '.features']
    extractor = Extractor(base, input_spec(base, None), view_plan(1, None), tmp_path / 'cache',
                          kept_features([collection.path]))

    def never(*arguments):
        raise AssertionError
    monkeypatch.setattr(extractor._network, 'run', never)
    views = extractor.views(photo)
    assert len(views.fitted) == 1 + 7 + 8
    assert views.turned == 7
    with pytest.raises(AssertionError):
        extractor.views(Photo('x', 'x', 'f' * 64, photo.pixels, 0))


def test_features_of_another_base_are_not_taken(collection, base, tmp_path, monkeypatch):
    collection.compute(collection.take('torx', frame(0)).path)
    (photo,) = read_photos([collection.path], Progress(quiet=True))
    # The same network, by another producer's version (field 3 of onnx.proto).
    other = ModelFile.parse(serialize([*parse(base.content), (3, BYTES, b'another')]))
    extractor = Extractor(other, input_spec(base, None), view_plan(1, None), tmp_path / 'cache',
                          kept_features([collection.path]))
    monkeypatch.setattr(extractor._network, 'run', lambda *arguments: np.zeros((24, 7)))
    assert extractor.views(photo).fitted.shape[1] == 7


def test_a_frame_whose_stamp_no_name_can_hold_is_refused_instead_of_lost(collection):
    for _ in range(2):
        taken = collection.take('torx', frame(0, stamp=-5))
        assert (taken.path, taken.reason) == (None, 'no_picture')
        assert 'clock' in taken.words
    assert not list(collection.path.glob('torx/*'))
    assert collection.take('torx', frame(0)).path


def test_what_would_never_end_when_it_is_read_is_no_photograph(collection):
    path = collection.take('torx', frame(0)).path
    os.mkfifo(path.with_name('0002-7.jpg'))
    path.with_name('0003-7.jpg').symlink_to('/dev/zero')
    path.with_name('0004-7.jpg').mkdir()
    path.with_name('0005-7.jpg').symlink_to(path)
    assert [photo.burst for photo in collection.photographs()] == [1, 5]


def test_a_photograph_that_is_removed_while_it_is_needed_can_be_held(collection, tmp_path):
    path = collection.take('torx', frame(0)).path
    shown = read_rgb(path)
    (photo,) = read_photos([collection.path], Progress(quiet=True), tmp_path / 'held')
    (again,) = read_photos([collection.path], Progress(quiet=True), tmp_path / 'held')
    collection.delete(path)
    for held in (photo, again):
        assert np.array_equal(held.pixels(), shown)


def test_another_start_leaves_what_is_being_written_at_this_moment(collection, base):
    collection.take('torx', frame(0))
    writing = collection.path / 'torx' / '0002-9.jpg.partial'
    writing.write_bytes(b'half')
    assert Collection(collection.path, base, input_spec(base, None)).counts() == {'torx': 1}
    assert writing.exists()


COLLECTOR = """
import sys
import numpy as np
from tool_recognizer.core.recognition import Frame, FrameKey
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.training.assemble import input_spec
from tool_recognizer.training.collection import Collection
base = ModelFile.read(DEFAULT_MODEL)
collection = Collection(sys.argv[1], base, input_spec(base, None))
for number in range(int(sys.argv[2]), 10**6):
    pixels = draw_tool('wrench', np.random.default_rng(number), 240, 320)
    taken = collection.take('torx', Frame(FrameKey(number, ''), pixels, 'rgb'))
    if taken.path:
        print(taken.path, flush=True)
        collection.compute(taken.path)
"""


def test_a_kill_at_any_moment_loses_nothing_that_was_taken_and_leaves_nothing_half(
        collection, base, tmp_path):
    said = tmp_path / 'said.txt'
    told = []
    for begin in (0, 1000):
        with said.open('w') as output:
            process = subprocess.Popen(
                [sys.executable, '-c', COLLECTOR, str(collection.path), str(begin)], stdout=output)
            try:
                end = monotonic() + 120
                while len(said.read_text().splitlines()) < 3:
                    assert process.poll() is None
                    assert monotonic() < end
                    sleep(0.001)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
        told += said.read_text().splitlines()
        for left in (collection.path / 'torx' / '0001-9.jpg.partial',
                     *collection.path.glob('*/*.partial')):
            left.write_bytes(b'half')
            os.utime(left, (0, 0))
        again = Collection(collection.path, base, input_spec(base, None))
        kept = [str(photo.path) for photo in again.photographs()]
        assert set(told) <= set(kept)
        for path in kept:
            assert cv2.imread(path) is not None
        assert not list(collection.path.glob('*/*.partial'))
    assert len(read_photos([collection.path], Progress(quiet=True))) == len(kept)


def test_what_was_taken_from_the_journal_is_of_the_label_that_it_was_taken_for(
        collection, tmp_path):
    journal = tmp_path / 'journal.db'
    jpeg = cv2.imencode('.jpg', np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    with JournalWriter(journal, ('hammer', 'wrench')) as written:
        for stamp in (1, 2):
            written.answer(stamp, [0.5, 0.5], 'wrench')
            written.confirm(stamp, 'operator:another_tool', jpeg)
    collection.take('torx', frame(4, stamp=2))
    found = find_examples([collection.path, journal], lambda line: None)
    assert sorted((e.label, round(e.seconds * 1e9)) for e in found) == [('other', 1), ('torx', 2)]


def test_a_confirmed_frame_of_an_object_that_was_collected_too_is_left_out(collection, tmp_path):
    second, journal = 10**9, tmp_path / 'journal.db'
    jpeg = cv2.imencode('.jpg', np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    with JournalWriter(journal, ('hammer', 'wrench')) as written:
        for stamp, label in ((101, 'hammer'), (102, 'wrench'), (130, 'hammer')):
            written.answer(stamp * second, [0.5, 0.5], label)
            written.confirm(stamp * second, label, jpeg)
    collection.take('hammer', frame(4, stamp=105 * second))
    said = []
    found = find_examples([collection.path, journal], said.append)
    assert sorted((e.label, round(e.seconds)) for e in found) == [
        ('hammer', 105), ('hammer', 130), ('wrench', 102)]
    assert said == [f'{journal}: left out, 1 confirmed frames of what a collection shows, too']
