"""Camera and demo as processes of their own: what an integrator runs first."""

import json
import os
from pathlib import Path
import signal
import socket
import subprocess
from time import sleep

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification

PHOTOS = Path(__file__).parent.parent / 'photos'
KEYS = {'frames', 'answered', 'dropped', 'accuracy', 'nll', 'kl', 'p50_ms', 'p95_ms', 'drift'}


def children(pid):
    found = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)], capture_output=True,
                           text=True, check=False).stdout.split()
    return [int(child) for child in found]


def running(pid):
    return Path(f'/proc/{pid}').exists()


@pytest.mark.parametrize('camera', ['line', str(PHOTOS)])
def test_the_demo_ends_by_itself_with_a_summary(start, camera):
    program = start('demo', '--seconds', 18, '--headless', '--camera', camera)
    assert program.process.wait(60) == 0, program.output
    summary = json.loads(program.output.splitlines()[-1])
    assert summary.keys() >= KEYS
    assert summary['answered'] > 50
    assert summary['accuracy'] >= 0.9
    assert summary['drift'] is False
    assert summary['confirmed'] > 0
    assert 0.0 <= summary['nll'] < 0.5
    assert summary['kl'] == pytest.approx(summary['nll'], abs=1e-6)
    assert 0.0 < summary['p50_ms'] <= summary['p95_ms']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_and_all_that_it_started(start, number):
    program = start('demo')
    for _ in range(400):
        if 'decision' in program.output and len(children(program.process.pid)) == 3:
            break
        sleep(0.1)
    started = children(program.process.pid)
    assert len(started) == 3
    assert program.stop(number) == 0
    assert not [pid for pid in started if running(pid)]
    assert json.loads(program.output.splitlines()[-1]).keys() >= KEYS
    assert 'Traceback' not in program.output


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--camera', 'no/such/folder'], 'does not exist'),
    (['--camera', '/dev/video987'], '/dev/video987: no such device'),
    (['--record', PHOTOS], 'exists already; name a new folder'),
    (['--console', 'taken'], 'of 127.0.0.1 cannot be used; give another one')])
def test_what_cannot_be_used_ends_the_demo_with_one_line_before_all_else(start, arguments, words):
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        program = start('demo', '--headless', *(port if argument == 'taken' else argument
                                                for argument in arguments))
        assert program.process.wait(60) == 2
    assert words in program.output
    assert program.output.count('\n') == 1, 'neither a page nor a domain is announced'


def test_the_demo_tells_its_domain_and_how_to_replay_what_it_recorded(start, tmp_path):
    bag = tmp_path / 'a bag'
    program = start('demo', '--headless', '--seconds', 10, '--record', bag)
    assert program.process.wait(60) == 0, program.output
    lines = program.output.splitlines()
    assert f'ROS_DOMAIN_ID={os.environ["ROS_DOMAIN_ID"]}, ' in program.output
    assert lines[-2].startswith(f'recorded {bag}; replay it with: ')
    line = lines[-2].partition('with: ')[2]
    replayed = subprocess.run(line, shell=True, capture_output=True, text=True, check=False,
                              cwd=PHOTOS.parent.parent)
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(lines[-1]).keys() >= KEYS


def test_the_camera_publishes_raw_and_compressed_with_one_header(start, peer):
    raw = peer.collect(Image, '/image_raw')
    packed = peer.collect(CompressedImage, '/image_raw/compressed')
    truths = peer.collect(Classification, '/camera/true_label')
    program = start('camera', '--source', PHOTOS, '--transport', 'both', '--rate', 20)
    peer.wait(lambda: len(raw) > 5 and len(packed) > 5 and len(truths) > 5)
    assert program.stop() == 0
    both = {(m.header.stamp.sec, m.header.stamp.nanosec): m for m in packed}
    same = [(m, both[stamp]) for m in raw
            if (stamp := (m.header.stamp.sec, m.header.stamp.nanosec)) in both]
    assert same
    files = {path.read_bytes() for path in PHOTOS.glob('*/*.jpg')}
    for image, compressed in same:
        assert bytes(compressed.data) in files  # as it is on the disk
        decoded = cv2.imdecode(np.frombuffer(compressed.data, np.uint8), cv2.IMREAD_COLOR)
        assert image.encoding == 'bgr8'
        assert bytes(image.data) == decoded.tobytes()
    assert {t.results[0].class_id for t in truths} <= {'hammer', 'screwdriver', 'wrench', 'other'}


def test_the_camera_ends_with_its_source_if_that_is_wanted(start, peer):
    raw = peer.collect(Image, '/image_raw')
    program = start('camera', '--source', PHOTOS, '--once', '--rate', 50)
    assert program.process.wait(60) == 0
    assert len(raw) <= 12


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--source', 'no/such/folder'], 'does not exist'),
    (['--rate', '0'], 'rate must be in'),
    (['--rate', 'fast'], "invalid float value: 'fast'"),
    (['--speed', '3'], 'unrecognized arguments: --speed 3')])
def test_the_camera_refuses_with_one_line_and_status_2(start, arguments, words):
    program = start('camera', *arguments)
    assert program.process.wait(60) == 2
    assert words in program.output
    assert program.output.count('\n') == 1


@pytest.mark.parametrize('program', [
    'recognizer', 'camera', 'demo', 'train', 'evaluate', 'journal'])
def test_every_program_helps_with_examples(start, program):
    asked = start(program, '--help')
    assert asked.process.wait(60) == 0
    assert 'examples:' in asked.output.lower()


def test_the_package_lists_its_programs_and_refuses_others(start):
    listed = start('--help')
    assert listed.process.wait(60) == 0
    assert 'recognizer' in listed.output
    assert 'cannot run here' not in listed.output
    refused = start('dance')
    assert refused.process.wait(60) == 2
    assert "no program 'dance'" in refused.output
