"""The curve of few photographs: what is chosen, what is left, and what is printed."""

from dataclasses import replace
import json
from zlib import crc32

import cv2
import numpy as np
import pytest
from tool_recognizer.evaluation import few
from tool_recognizer.evaluation.few import choose
from tool_recognizer.evaluation.few import LEFT
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.programs.evaluate import main
from tool_recognizer.training.photos import Photo
from tool_recognizer.training.views import Plan

MODEL = 'tool_recognizer/models/tools.onnx'


def photographs(label, count, burst=1):
    return [Photo(label, f'{label}/{n}', f'{label}{n}', None,
                  crc32(f'{label} {n // burst}'.encode())) for n in range(count)]


def test_so_many_of_each_are_chosen_and_some_are_always_left():
    photos = photographs('torx', 40) + photographs('saw', 12)
    chosen = choose(photos, ['saw', 'torx'], 10, seed=1)
    assert [sum(p.label == label for p in chosen) for label in ('saw', 'torx')] == [12 - LEFT, 10]
    assert choose(photos, ['saw', 'torx'], 10, seed=1) == chosen
    assert choose(photos, ['saw', 'torx'], 10, seed=2) != chosen


def test_a_burst_is_never_divided():
    photos = photographs('torx', 40, burst=4) + photographs('saw', 40, burst=3)
    for seed in range(5):
        chosen = choose(photos, ['saw', 'torx'], 10, seed)
        groups = {photo.group for photo in chosen}
        assert sorted(p.digest for p in photos if p.group in groups) == sorted(
            p.digest for p in chosen)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(3)
    for kind in ('helmet', 'wrench'):
        (tmp_path / 'photos' / kind).mkdir(parents=True)
        for number in range(11):
            cv2.imwrite(str(tmp_path / 'photos' / kind / f'{number}.jpg'),
                        draw_tool(kind, rng, 160, 200)[..., ::-1])
    return tmp_path / 'photos'


def test_the_curve_says_how_good_few_photographs_are(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(few, 'DRAWN', 11)
    monkeypatch.setattr(few, 'view_plan', lambda photos, wanted: Plan(1, 1, 0, turned=True))
    path = tmp_path / 'curve.json'
    assert main([MODEL, str(data), '--few', '6,3', '--choices', '2', '--json', str(path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ['photographs', '3', '6']
    curve = json.loads(path.read_text())
    assert curve['counts'] == {'helmet': 11, 'wrench': 11}
    for point in curve['points']:
        assert set(point['photographs']) == {'helmet', 'wrench'}
        assert point['accuracy_ci_low'] <= point['accuracy'] <= point['accuracy_ci_high']
        assert 0.0 <= point['ece'] <= 1.0
    assert curve['points'][1]['accuracy'] > 0.8


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--few', '1,x'], 'numbers of photographs'), (['--few', '5', '--choices', '1'], '2 to 1000'),
    (['--few', '5', '--robust'], 'goes without --robust'),
    (['--few', '5', '--passages'], 'goes without --passages'),
    (['--few', '5', '--seed', '-1'], 'a whole number, 0 .. 4294967295')])
def test_what_does_not_go_together_is_refused(data, capsys, arguments, words):
    try:
        status = main([MODEL, str(data), *arguments])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert words in capsys.readouterr().err


def test_a_label_with_too_few_photographs_is_named(data, capsys):
    for number in range(6):
        (data / 'helmet' / f'{number}.jpg').unlink()
    assert main([MODEL, str(data), '--few', '5']) == 2
    assert "['helmet']: --few needs 7 photographs" in capsys.readouterr().err


def test_a_label_of_which_no_burst_is_small_enough_is_named(data, capsys, monkeypatch):
    read = few.read_photos
    monkeypatch.setattr(few, 'read_photos', lambda *arguments: [
        replace(photo, group=7) if photo.label == 'helmet' else photo
        for photo in read(*arguments)])
    assert main([MODEL, str(data), '--few', '3,6']) == 2
    assert "'helmet': no burst of it is small enough, the smallest has 11" in (
        capsys.readouterr().err)
