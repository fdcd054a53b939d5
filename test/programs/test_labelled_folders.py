"""What train, evaluate and camera make of folders as people hand them in."""

from collections import Counter
from io import BytesIO
import json
from pathlib import Path
import re
import shutil
import sys
import unicodedata

import cv2
import numpy as np
from PIL import Image
import pytest
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.programs.evaluate import main as evaluate
from tool_recognizer.programs.train import main as train
from tool_recognizer.ros.sources import count_pictures
from tool_recognizer.ros.sources import open_source
from tool_recognizer.ros.sources import SourceError
from tool_recognizer.training.labelled import find_examples
from tool_recognizer.training.photos import read_photos
from tool_recognizer.training.progress import Progress

PHOTOS = Path(__file__).parent.parent / 'photos'
LABELS = ('hammer', 'screwdriver', 'wrench')
NUMBER = 3


@pytest.fixture
def data(tmp_path):
    """Return a copy of the photographs: three of each label, and of other things."""
    folder = tmp_path / 'data'
    for name in (*LABELS, 'other'):
        shutil.copytree(PHOTOS / name, folder / name)
    return folder


@pytest.fixture
def run(tmp_path, capsys):
    """Run a program; return its exit status and the lines that it said."""
    def run(program, *arguments):
        status = program([*map(str, arguments)])
        return status, capsys.readouterr().err.strip().splitlines()
    return run


@pytest.fixture
def figures(write_model, tmp_path, run):
    """Evaluate data; return the figures and what was said."""
    def figures(*data):
        path = tmp_path / 'figures.json'
        status, said = run(evaluate, write_model(), *data, '--json', path, '--quiet')
        assert status == 0
        return json.loads(path.read_text()), said
    return figures


def to_heic(folder):
    """Turn a folder's photographs into HEIC; return how many."""
    heif = pytest.importorskip('pillow_heif', reason='pip install pillow-heif')
    for path in folder.glob('*.jpg'):
        buffer = BytesIO()
        heif.from_pillow(Image.open(path).convert('RGB')).save(buffer, quality=90)
        path.with_suffix('.HEIC').write_bytes(buffer.getvalue())
        path.unlink()


@pytest.fixture
def without_readers(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)


def test_a_label_of_heic_photographs_is_evaluated_and_learned(data, figures):
    before, _ = figures(data)
    to_heic(data / 'hammer')
    after, said = figures(data)
    assert said == []
    assert after['counts'] == before['counts']
    assert after['nll'] == pytest.approx(before['nll'], abs=0.02)
    photos = read_photos([data], Progress(quiet=True))
    assert Counter(photo.label for photo in photos) == dict.fromkeys((*LABELS, 'other'), NUMBER)


@pytest.mark.parametrize('quiet', [[], ['--quiet']])
def test_a_label_that_nothing_here_can_read_ends_training_with_the_cure(
        data, run, tmp_path, without_readers, quiet):
    for path in (data / 'hammer').iterdir():
        path.rename(path.with_suffix('.HEIC')).write_bytes(b'\0\0\0\x18ftypheic\0\0\0\0mif1heic')
    status, said = run(train, data, '--output', tmp_path / 'm.onnx', *quiet)
    assert status == 2
    assert len(said) == 1
    assert (f'{data}/hammer: no photographs; left out: {NUMBER} .heic '
            "(pip install pillow-heif). A model without ['hammer']") in said[0]
    assert not (tmp_path / 'm.onnx').exists()


@pytest.mark.parametrize(('make', 'words'), [
    (lambda folder: None, r'pliers: no photographs; it is empty'),
    (lambda folder: (folder / 'a.txt').write_text(''), r'left out: 1 not a picture \(a.txt\)'),
    (lambda folder: (folder / 'a.jpg').write_bytes(b'\xff\xd8'),
     r"no photograph of \['pliers'\] can be used .*a\.jpg: left out, the JPEG is"),
    (lambda folder: shutil.copy(PHOTOS / 'hammer' / 'hammer1.jpg', folder),
     r"no photograph of \['pliers'\] can be used .* lies under 'hammer' too"),
    (lambda folder: (folder / 'a.jpg').symlink_to('../hammer/hammer1.jpg'),
     r'pliers: no photographs; left out: 1 reached before by another way'),
])
def test_a_folder_that_gives_its_label_no_photograph_ends_training(data, run, tmp_path, make,
                                                                   words):
    (data / 'pliers').mkdir()
    make(data / 'pliers')
    status, said = run(train, data, '--output', tmp_path / 'm.onnx', '--quiet')
    assert status == 2
    assert len(said) == 1
    assert re.search(words, said[0])


def test_a_folder_may_be_empty_where_another_source_has_the_label(data, tmp_path):
    (tmp_path / 'more' / 'hammer').mkdir(parents=True)
    shutil.copytree(PHOTOS / 'wrench', tmp_path / 'more' / 'pliers')
    found = find_examples([data, tmp_path / 'more'], lambda line: None)
    assert Counter(example.label for example in found)['hammer'] == NUMBER


def test_evaluation_says_what_it_leaves_out(data, figures, without_readers):
    (data / 'hammer' / 'IMG_1.HEIC').write_bytes(b'')
    (data / 'wrench' / 'notes.txt').write_text('of Tuesday')
    (data / 'README.md').write_text('of Tuesday')
    shutil.copy(PHOTOS / 'wrench' / 'wrench1.jpg', data / 'loose.jpg')
    found, said = figures(data)
    assert found['counts'] == dict.fromkeys((*LABELS, 'other'), NUMBER)
    assert said == [
        f'{data}: left out: 1 in no folder of a label (loose.jpg), '
        '1 not a picture (README.md)',
        f'{data}/hammer: 3 photographs; left out: 1 .heic (pip install pillow-heif)',
        f'{data}/wrench: 3 photographs; left out: 1 not a picture (notes.txt)']


@pytest.mark.parametrize('tool', ['.ipynb_checkpoints', '__MACOSX', '@eaDir'])
def test_what_tools_made_is_no_label_and_takes_no_photographs_place(data, figures, tool):
    shutil.copytree(data / 'hammer', data / tool)
    shutil.copytree(data / 'wrench', data / 'hammer' / tool)
    found, said = figures(data)
    assert found['counts'] == dict.fromkeys((*LABELS, 'other'), NUMBER)
    assert all(f'1 hidden or made by tools ({tool})' in line for line in said)
    assert len(said) == 2
    # Of a copy in each of two labels, training would drop both.
    photos = read_photos([data], Progress(quiet=True))
    assert Counter(photo.label for photo in photos) == dict.fromkeys((*LABELS, 'other'), NUMBER)
    assert all(tool not in photo.name for photo in photos)


def test_folders_that_are_linked_to_each_other_are_evaluated_once(data, figures):
    before, _ = figures(data)
    for name in LABELS:
        for other in LABELS:
            if other != name:
                (data / name / f'a {other}').symlink_to(data / other)
    found, said = figures(data, data)
    assert found['counts'] == before['counts']
    assert found['confusion'] == before['confusion']
    assert sum('2 reached before by another way' in line for line in said) == len(LABELS)
    assert said[-1] == f'{data}: left out: 1 reached before by another way (data)'


@pytest.mark.parametrize('name', ['Hammer', 'HAMMER', 'hammer '])
def test_a_folder_that_differs_in_case_or_spaces_is_taken_as_the_label(data, figures, name):
    before, _ = figures(data)
    (data / 'hammer').rename(data / name)
    found, said = figures(data)
    assert found['counts'] == before['counts']
    assert found['nll'] == before['nll']
    assert said == [f"{name!r} is taken as 'hammer' (3 photographs)"]


def test_a_folder_that_is_no_label_is_named_and_a_label_that_is_meant_is_asked_for(data, figures):
    (data / 'hammer').rename(data / 'hammers')
    shutil.copytree(PHOTOS / 'other', data / 'saw')
    (data / 'other').rename(data / 'Other')
    found, said = figures(data)
    assert found['counts'] == {'hammer': 0, 'screwdriver': 3, 'wrench': 3, 'other': 9}
    assert said == [
        "'Other' is taken as 'other' (3 photographs)",
        "'hammers' is no label of the model (is 'hammer' meant?): its 3 photographs count as "
        'other things',
        'no label of the model, so that their 3 photographs count as other things: saw']


def test_a_name_that_could_be_two_labels_is_none(data, write_model, run, tmp_path):
    model = write_model(labels=('Hammer', 'hammer', 'wrench'))
    (data / 'hammer').rename(data / 'HAMMER')
    _, said = run(evaluate, model, data, '--quiet')
    assert "'HAMMER' is no label of the model (is 'hammer' meant?)" in said[0]


def test_a_divided_data_set_is_no_two_labels(data, run, tmp_path):
    for part in ('train', 'val'):
        shutil.copytree(data, tmp_path / 'set' / part)
    status, said = run(train, tmp_path / 'set', '--output', tmp_path / 'm.onnx')
    assert status == 2
    assert said[-1].endswith(f'are parts of a data set, and the folders in them the labels: give '
                             f'{tmp_path / "set" / "train"} itself')
    assert len(find_examples([tmp_path / 'set' / 'train'], print)) == 12


def test_a_label_within_another_ones_folder_is_named(data, figures):
    (data / 'hammer').rename(data / 'wrench' / 'Hammer')
    found, said = figures(data)
    assert found['counts'] == {'hammer': 0, 'screwdriver': 3, 'wrench': 6, 'other': 3}
    assert f"{data / 'wrench'}: 3 photographs in its folder 'Hammer' count as 'wrench'" in said


def test_labels_that_look_the_same_are_one_label_in_training(tmp_path):
    for source, name in (('one', 'Schlüssel'), ('one', 'Zange'),
                         ('two', unicodedata.normalize('NFD', 'Schlüssel')), ('two', 'zange '),
                         ('two', 'OTHER')):
        folder = tmp_path / source / name
        folder.mkdir(parents=True)
        for number in range(2 if source == 'one' else 1):
            rng = np.random.default_rng(sum(map(ord, source + name)) + number)
            cv2.imwrite(str(folder / f'{number}.png'), draw_tool('wrench', rng, 60, 80))
    said = []
    found = find_examples([tmp_path / 'one', tmp_path / 'two'], said.append)
    assert Counter(e.label for e in found) == {'Schlüssel': 3, 'Zange': 3, 'other': 1}
    assert said == ["'OTHER' is taken as 'other' (1 photograph)",
                    "'zange ' is taken as 'Zange' (1 photograph)"]


def test_annotators_spell_labels_as_they_like(data, write_model, run, tmp_path):
    table = tmp_path / 'labels.csv'
    table.write_text('file,annotator,label\nhammer/hammer1.jpg,a,Hammer\n'
                     'hammer/hammer1.jpg,b,hammer\n')
    path = tmp_path / 'figures.json'
    status, said = run(evaluate, write_model(), data, '--annotations', table, '--json', path)
    assert status == 0
    assert said == ["'Hammer' is taken as 'hammer' (1 photograph)"]
    # The two said the same, so nothing is uncertain.
    assert json.loads(path.read_text())['entropy'] == 0


def test_a_camera_shows_what_is_read_and_says_the_rest(data, without_readers):
    (data / 'hammer' / 'IMG_1.HEIC').write_bytes(b'')
    (data / 'hammer' / 'deep').mkdir()
    (data / 'hammer' / 'hammer1.jpg').rename(data / 'hammer' / 'deep' / 'one.jfif')
    shutil.copytree(data / 'hammer', data / '.thumbnails')
    lines = []
    shots = list(open_source(str(data), tell=lines.append).shots())
    assert Counter(shot.label for shot in shots) == dict.fromkeys((*LABELS, 'other'), NUMBER)
    assert count_pictures(str(data)) == len(shots)
    assert lines == [
        f'{data}: left out: 1 hidden or made by tools (.thumbnails)',
        f'{data}/hammer: 3 photographs; left out: 1 .heic (pip install pillow-heif)']


def test_a_camera_that_has_nothing_to_show_says_why(tmp_path, without_readers):
    (tmp_path / 'hammer').mkdir()
    one = tmp_path / 'hammer' / 'IMG_1.HEIC'
    one.write_bytes(b'')
    with pytest.raises(SourceError, match=r'no pictures .* 1 \.heic \(pip install pillow-heif\)'):
        open_source(str(tmp_path), tell=print)
    with pytest.raises(SourceError, match=r'a picture in \.heic \(pip install pillow-heif\)'):
        open_source(str(one), tell=print)


def test_a_camera_sends_as_jpeg_what_few_can_decode(data):
    to_heic(data / 'hammer')
    shots = {shot.label: shot for shot in open_source(str(data), tell=print).shots()}
    assert shots['hammer'].encoded is None
    assert shots['hammer'].pixels.shape[2] == 3
    assert shots['wrench'].encoded.startswith(b'\xff\xd8')
