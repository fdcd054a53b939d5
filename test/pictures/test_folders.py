"""Folders as people hand them in: every picture once, and a reason for everything else."""

import os
from pathlib import Path
import sys

import cv2
import numpy as np
from PIL import Image
import pytest
from tool_recognizer.pictures.folders import Finder
from tool_recognizer.pictures.folders import is_litter
from tool_recognizer.pictures.folders import why_not

# The box with which such a file begins; what follows is not read.
HEIC = b'\0\0\0\x18ftypheic\0\0\0\0mif1heic'
AVIF = b'\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf'


def write(path, content=None):
    """Write a file; without content, a picture of a kind that its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        content = cv2.imencode(path.suffix, np.full((4, 6, 3), 90, np.uint8))[1].tobytes()
    path.write_bytes(content)
    return path


def found(top, finder=None):
    """Return the names of the pictures that are found, below the folder."""
    return [p.relative_to(top).as_posix()
            for folder in (finder or Finder()).find(top) for p in folder.pictures]


def lines(top):
    return [line for folder in Finder().find(top) if (line := folder.summary())]


@pytest.fixture
def without_readers(monkeypatch):
    """Take what reads HEIC and AVIF away, as on a bare Ubuntu 24.04."""
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    Image.init()
    monkeypatch.delitem(Image.OPEN, 'AVIF', raising=False)


@pytest.mark.parametrize('name', ['a.jpg', 'a.JPG', 'a.jpeg', 'a.jpe', 'a.png', 'a.bmp', 'a.dib',
                                  'a.webp', 'a.tif', 'a.tiff', 'a.ppm', 'a.pnm', 'a.jp2'])
def test_what_is_read_is_a_picture(tmp_path, name):
    path = tmp_path / name
    cv2.imwrite(str(path.with_suffix(path.suffix.lower())), np.full((4, 6, 3), 9, np.uint8))
    path.with_suffix(path.suffix.lower()).rename(path)
    assert why_not(path) is None


@pytest.mark.parametrize('name', ['a.jfif', 'a.JFIF', 'a', 'a.dat', 'a.png', 'a.heic', 'a.gif'])
def test_the_content_counts_and_not_the_name(tmp_path, name):
    content = cv2.imencode('.jpg', np.full((4, 6, 3), 9, np.uint8))[1].tobytes()
    assert why_not(write(tmp_path / name, content)) is None


@pytest.mark.parametrize(('name', 'content', 'words'), [
    ('1.HEIC', HEIC, '1 .heic (pip install pillow-heif)'),
    ('1.HEIC', b'', '1 .heic (pip install pillow-heif)'),
    ('1.jpg', HEIC, '1 .heic (pip install pillow-heif)'),
    ('1.hif', HEIC, '1 .heic (pip install pillow-heif)'),
    ('1.avif', AVIF, '1 .avif (pip install "pillow>=11.3")'),
    ('1.jxl', b'\xff\x0a', '1 .jxl (not read: save as JPEG or PNG)'),
    ('1.txt', b'P5 is the wrench', '1 not a picture (1.txt)'),
    ('1.DNG', b'II*\0', '1 .dng (raw: develop it to JPEG or PNG)'),
    ('1.mov', b'\0\0\0\x14ftypqt  ', '1 not a picture (1.mov)'),
    ('1.aae', b'<?xml', '1 not a picture (1.aae)'),
])
def test_what_is_not_read_is_named_with_its_cure(tmp_path, without_readers, name, content, words):
    write(tmp_path / 'hammer' / 'a.jpg')
    write(tmp_path / 'hammer' / name, content)
    assert lines(tmp_path) == [f'{tmp_path}/hammer: 1 photograph; left out: {words}']


def test_a_folder_is_one_line_with_a_count_for_each_reason(tmp_path, without_readers):
    folder = tmp_path / 'hammer'
    for number in range(12):
        write(folder / f'{number}.jpg')
    for number in range(3):
        write(folder / f'{number}.heic', HEIC)
    for name in ('notes.txt', 'list.csv', 'deep/old.doc', 'deep/z.zip'):
        write(folder / name, b'text')
    write(folder / '.DS_Store', b'')
    (folder / 'gone.jpg').symlink_to('nowhere.jpg')
    (folder / 'round.jpg').symlink_to('round.jpg')
    os.mkfifo(folder / 'pipe.jpg')
    assert lines(tmp_path) == [
        f'{folder}: 12 photographs; left out: 3 .heic (pip install pillow-heif), '
        '2 a link to nothing (gone.jpg, round.jpg), 1 hidden or made by tools (.DS_Store), '
        '1 neither file nor folder (pipe.jpg), 4 not a picture (deep/old.doc, deep/z.zip, '
        'list.csv, ...)']


def test_a_folder_of_which_nothing_is_left_out_needs_no_line(tmp_path):
    write(tmp_path / 'hammer' / 'a.jpg')
    (tmp_path / 'empty').mkdir()
    assert lines(tmp_path) == []


@pytest.mark.parametrize('name', [
    '.ipynb_checkpoints', '__MACOSX', '__pycache__', '@eaDir', '.Trash', '.thumbnails', '.git',
    '#recycle', 'lost+found', '$RECYCLE.BIN', 'System Volume Information'])
def test_what_tools_made_is_no_label_and_is_said(tmp_path, name):
    photo = write(tmp_path / 'hammer' / 'a.jpg')
    write(tmp_path / name / 'a.jpg', photo.read_bytes())
    write(tmp_path / 'hammer' / name / 'a.jpg', photo.read_bytes())
    assert found(tmp_path) == ['hammer/a.jpg']
    assert [folder.path.name for folder in Finder().find(tmp_path)] == [tmp_path.name, 'hammer']
    assert lines(tmp_path) == [
        f'{tmp_path}: left out: 1 hidden or made by tools ({name})',
        f'{tmp_path}/hammer: 1 photograph; left out: 1 hidden or made by tools ({name})']


def test_files_of_tools_are_no_pictures_whatever_is_in_them(tmp_path):
    photo = write(tmp_path / 'hammer' / 'a.jpg').read_bytes()
    for name in ('._a.jpg', 'Thumbs.db', 'desktop.ini', 'a.jpg~', '~$a.jpg'):
        write(tmp_path / 'hammer' / name, photo)
        assert is_litter(name)
    assert found(tmp_path) == ['hammer/a.jpg']


def test_names_that_people_give_are_labels(tmp_path):
    names = ['10 mm', '_old', '#2 Phillips', 'Schlüssel', 'a.b', '-x', 'other']
    for name in names:
        write(tmp_path / name / 'a.jpg')
    assert sorted(found(tmp_path)) == sorted(f'{name}/a.jpg' for name in names)


def test_what_the_user_names_is_read_though_it_is_hidden(tmp_path):
    write(tmp_path / '.photos' / 'hammer' / 'a.jpg')
    assert found(tmp_path / '.photos') == ['hammer/a.jpg']


def test_folders_that_are_linked_to_each_other_are_entered_once(tmp_path):
    names = ('hammer', 'screwdriver', 'wrench')
    for name in names:
        for number in range(3):
            write(tmp_path / name / f'{number}.jpg')
        for other in names:
            if other != name:
                (tmp_path / name / f'to {other}').symlink_to(tmp_path / other)
    # Each photograph where it truly lies, though the way through a link comes first by name.
    assert found(tmp_path) == [f'{name}/{number}.jpg' for name in names for number in range(3)]
    assert lines(tmp_path)[0] == (f'{tmp_path}/hammer: 3 photographs; left out: 2 reached before '
                                  'by another way (to screwdriver, to wrench)')


def test_forty_folders_with_two_ways_to_the_next_are_forty_folders(tmp_path):
    for number in range(40):
        write(tmp_path / 'pool' / str(number) / f'{number}.jpg')
        for way in ('left', 'right'):
            (tmp_path / 'pool' / str(number) / way).symlink_to(f'../{(number + 1) % 40}')
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'hammer').symlink_to(tmp_path / 'pool' / '0')
    assert len(found(tmp_path / 'data')) == 40


def test_a_link_out_is_followed_and_one_that_leads_back_up_is_not(tmp_path):
    write(tmp_path / 'elsewhere' / 'a.JPG', write(tmp_path / 'x.jpg').read_bytes())
    write(tmp_path / 'data' / 'wrench' / 'deep' / 'b.png')
    (tmp_path / 'data' / 'hammer').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'data' / 'wrench' / 'up').symlink_to(tmp_path)
    assert found(tmp_path / 'data') == ['hammer/a.JPG', 'wrench/deep/b.png']


def test_a_picture_that_is_reached_twice_counts_once_and_where_it_truly_lies(tmp_path):
    write(tmp_path / 'wrench' / 'z.jpg')
    (tmp_path / 'wrench' / 'a.jpg').symlink_to('z.jpg')
    (tmp_path / 'hammer').mkdir()
    (tmp_path / 'hammer' / 'b.jpg').symlink_to('../wrench/z.jpg')
    assert found(tmp_path) == ['wrench/z.jpg']
    assert lines(tmp_path) == [
        f'{tmp_path}/hammer: no photographs; left out: 1 reached before by another way (b.jpg)',
        f'{tmp_path}/wrench: 1 photograph; left out: 1 reached before by another way (a.jpg)']


def test_pictures_may_be_kept_in_a_hidden_store_and_linked_from_there(tmp_path):
    write(tmp_path / '.store' / '0123abcd', write(tmp_path / 'x.jpg').read_bytes())
    (tmp_path / 'hammer').mkdir()
    (tmp_path / 'hammer' / 'a.jpg').symlink_to('../.store/0123abcd')
    (tmp_path / 'x.jpg').unlink()
    assert found(tmp_path) == ['hammer/a.jpg']


def test_a_folder_that_is_given_twice_is_read_once(tmp_path):
    write(tmp_path / 'data' / 'hammer' / 'a.jpg')
    (tmp_path / 'again').symlink_to('data')
    finder = Finder()
    assert found(tmp_path / 'data', finder) == ['hammer/a.jpg']
    assert found(tmp_path / 'again', finder) == []


def test_what_cannot_be_read_is_said(tmp_path, monkeypatch):
    write(tmp_path / 'hammer' / 'a.jpg')
    write(tmp_path / 'hammer' / 'deep' / 'b.jpg')
    write(tmp_path / 'wrench' / 'c.jpg')
    scandir, opened = os.scandir, Path.open

    # Root may read everything, so the system's refusal is put in its place.
    def refuse(path):
        if Path(path).name in ('deep', 'wrench'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    def refuse_a(path, *mode):
        if path.name == 'a.jpg':
            raise PermissionError(13, 'Permission denied', str(path))
        return opened(path, *mode)

    monkeypatch.setattr(os, 'scandir', refuse)
    monkeypatch.setattr(Path, 'open', refuse_a)
    assert lines(tmp_path) == [
        f'{tmp_path}/hammer: no photographs; left out: 2 cannot be read '
        '(a.jpg: Permission denied, deep: Permission denied)',
        f'{tmp_path}/wrench: left out, cannot be read (Permission denied)']
