"""The program ``collect`` over the real middleware."""

import signal

import cv2
import pytest
from tool_recognizer.training.collected import photographs_in


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_cameras_frames_become_photographs_for_train(tmp_path, start, transport):
    folder = tmp_path / 'collection'
    start('camera', '--rate', '10', '--transport', transport, '--ros-args', '-r',
          'image_raw:=/cell/image_raw')
    collector = start('collect', '--label', 'torx', '--from', '/cell/image_raw',
                      '--output', folder, '--every', '0.1', '--count', '3',
                      '--region', '0.1', '0', '0.8', '1',
                      *(['--compressed'] if transport == 'compressed' else []))
    assert collector.process.wait(120) == 0
    photos = list(photographs_in(folder))
    assert len(photos) == 3
    assert {photo.label for photo in photos} == {'torx'}
    assert 'torx 3' in collector.output
    assert len(list((folder / '.features').glob('*/*.npz'))) == 3


def test_a_killed_collector_leaves_whole_photographs(tmp_path, peer, start):
    folder = tmp_path / 'collection'
    start('camera', '--rate', '20')
    collector = start('collect', '--label', 'torx', '--output', folder, '--every', '0')
    peer.wait(lambda: len(list(folder.glob('torx/*.jpg'))) >= 2, 'nothing is collected')
    assert collector.stop(signal.SIGKILL) == -signal.SIGKILL
    photos = list(photographs_in(folder))
    assert len(photos) >= 2
    assert all(cv2.imread(str(photo.path)) is not None for photo in photos)


def test_a_lost_camera_and_a_label_that_is_none_are_said(tmp_path, start):
    silent = start('collect', '--label', 'torx', '--output', tmp_path / 'one', '--seconds', '4',
                   '--from', '/nowhere')
    wrong = start('collect', '--label', 'a:b', '--output', tmp_path / 'two')
    assert wrong.process.wait(60) == 2
    assert 'holds a colon' in wrong.output
    assert silent.process.wait(60) == 1
    assert 'nobody publishes /nowhere' in silent.output


@pytest.mark.parametrize(('arguments', 'words'), [
    (('--count', '-1'), 'whole number'), (('--seconds', '1e300'), '0 .. 864000'),
    (('--from', '/a:b'), 'topic name'), (('--region', '0', '0', '2', '1'), '--region'),
    (('--region', '0.5', '0', '0.8', '1'), 'region.width')])
def test_arguments_that_cannot_be_used_are_refused_in_one_line(tmp_path, start, arguments, words):
    program = start('collect', '--label', 'torx', '--output', tmp_path / 'none', *arguments)
    assert program.process.wait(60) == 2
    assert words in program.output
    assert len(program.output.splitlines()) == 1
    assert not (tmp_path / 'none').exists()
