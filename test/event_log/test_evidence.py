"""The folder that an alarm leaves: what is in it, and that it never fills the disk."""

import csv
import json

import numpy as np
import pytest
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.event_log.evidence import PICTURES
from tool_recognizer.event_log.evidence import write_evidence
from tool_recognizer.pictures.recent_pictures import RecentPictures


def row(number, nll, picture=b'jpeg', label='wrench'):
    key = FrameKey(number, 'camera')
    return (Prediction(key, ('hammer', 'wrench'), np.log([0.5, 0.5]), np.zeros(0, np.float32),
                       'digest'), Confirmation(key, {label: 1.0}), nll, picture)


def test_the_most_surprising_come_first_with_their_pictures(tmp_path):
    rows = [row(n, float(n % 7), f'picture {n}'.encode()) for n in range(60)]
    folder = write_evidence(tmp_path / 'new', 'a', {'nll': 1.0}, [*rows, row(99, 50.0, None)],
                            10**6)
    assert json.loads((folder / 'alarm.json').read_text()) == {'nll': 1.0}
    table = list(csv.DictReader((folder / 'frames.csv').read_text().splitlines()))
    assert [float(line['nll']) for line in table] == sorted(
        (float(r[2]) for r in [*rows, row(99, 50.0)]), reverse=True)
    assert table[0]['stamp'] == '99'
    assert table[0]['picture'] == ''
    named = [line for line in table if line['picture']]
    assert len(named) == PICTURES
    for line in named:
        assert (folder / line['picture']).read_bytes() == f'picture {line["stamp"]}'.encode()


def test_the_oldest_folders_go_and_the_newest_stays(tmp_path):
    for name in ('a', 'b', 'c'):
        write_evidence(tmp_path, name, {}, [row(1, 1.0, bytes(1000))], 2500)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['b', 'c']
    write_evidence(tmp_path, 'd', {}, [row(1, 1.0, bytes(5000))], 2500)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['d']


def test_what_a_crash_left_half_written_is_removed(tmp_path):
    (tmp_path / '.a.partial').mkdir()
    write_evidence(tmp_path, 'b', {}, [row(1, 1.0)], 1000)
    assert [p.name for p in tmp_path.iterdir()] == ['b']


def test_what_else_lies_there_is_left_alone(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'notes.txt').write_text('keep')
    write_evidence(tmp_path, 'a', {}, [row(1, 1.0, bytes(5000))], 1)
    assert (tmp_path / 'mine' / 'notes.txt').read_text() == 'keep'


def test_a_folder_that_cannot_be_made_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        write_evidence(tmp_path / 'file', 'a', {}, [row(1, 1.0)], 1000)
    assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_a_label_cannot_lead_out_of_the_folder(tmp_path):
    folder = write_evidence(tmp_path, 'a', {}, [row(1, 1.0, b'x', '../../wrench')], 1000)
    assert [p.name for p in folder.glob('*.jpg')] == ['001_______wrench.jpg']


def test_pictures_are_held_as_long_as_there_is_room():
    pictures = RecentPictures(2500)
    for number in range(4):
        pictures.add(FrameKey(number, ''), bytes(1000))
    assert [pictures.find(FrameKey(n, '')) is not None for n in range(4)] == [
        False, False, True, True]
    pictures.add(FrameKey(3, ''), bytes(2000))
    assert len(pictures.find(FrameKey(3, ''))) == 2000
    assert pictures.find(FrameKey(2, '')) is None
