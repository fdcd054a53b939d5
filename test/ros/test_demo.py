"""Camera and demo as processes of their own: what an integrator runs first."""

import json
import os
from pathlib import Path
import re
import signal
import socket
import subprocess
import sys
from time import monotonic
from time import sleep

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
import numpy as np
from peers import PATIENCE
import pytest
from screen import Screen
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from tool_recognizer.programs import demo
from vision_msgs.msg import Classification

PHOTOS = Path(__file__).parent.parent / 'photos'
KEYS = {'frames', 'answered', 'dropped', 'accuracy', 'nll', 'kl', 'p50_ms', 'p95_ms', 'drift'}


def children(pid):
    found = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)], capture_output=True,
                           text=True, check=False).stdout.split()
    return [int(child) for child in found]


def running(pid):
    return Path(f'/proc/{pid}').exists()


@pytest.mark.parametrize('camera', ['bench', 'line', str(PHOTOS)])
def test_the_demo_ends_by_itself_with_a_summary(start, camera):
    for seconds in (25, 60, 120):  # on a busy machine much of it is gone before all is up
        program = start('demo', '--seconds', seconds, '--headless', '--camera', camera)
        assert program.process.wait(300) == 0, program.output
        summary = json.loads(program.output.splitlines()[-1])
        assert summary.keys() >= KEYS
        if summary['answered'] > 50 and summary['confirmed'] > 0:
            break
    assert summary['answered'] > 50
    assert summary['accuracy'] >= 0.9
    assert summary['drift'] is False
    assert summary['confirmed'] > 0
    assert 0.0 <= summary['nll'] < 0.5
    assert summary['kl'] == pytest.approx(summary['nll'], abs=1e-6)
    assert 0.0 < summary['p50_ms'] <= summary['p95_ms']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_demo_and_all_that_it_started(start, number):
    program = start('demo')
    for _ in range(1200):
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
    (['--seconds', '-3'], 'argument --seconds: must be a number, 0 .. 864000'),
    (['--confirm', '2'], 'argument --confirm: must be a number, 0 .. 1'),
    (['--rate', 'nan'], 'argument --rate: must be a number, 0.1 .. 1000'),
    (['--drift', '5', '--camera', PHOTOS], 'needs the camera bench or line'),
    (['--passages', '--camera', PHOTOS], 'it is the drawn line that has a photo-eye'),
    (['--drift', '60', '--seconds', '30'], 'the demo ends after 30 s'),
    (['--drift', '5', '--confirm', '0'], 'an alarm needs confirmed labels'),
    (['--console', 'taken'], 'of 127.0.0.1 cannot be used; give another one')])
def test_what_cannot_be_used_ends_the_demo_with_one_line_before_all_else(start, arguments, words):
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        program = start('demo', '--headless', *(port if argument == 'taken' else argument
                                                for argument in arguments))
        assert program.process.wait(PATIENCE) == 2
    assert words in program.output
    assert program.output.count('\n') == 1, 'neither a page nor a domain is announced'


def test_two_demos_that_are_started_at_once_have_a_page_each():
    (first, name), (second, _) = demo._free_port(), demo._free_port()
    assert first > 0 < second
    if name is not None:  # or else another test's demo has the usual port
        name.close()
        assert first == demo.CONSOLE_PORT != second


@pytest.fixture
def on_screen():
    """Run the demo on a pseudo-terminal; it must end well on Ctrl-C."""
    ended = []

    def run(screen, *arguments):
        environment = os.environ | {'TERM': 'xterm-256color', 'LC_ALL': 'C.UTF-8'}
        environment.pop('NO_COLOR', None)
        program = subprocess.Popen(
            [sys.executable, '-m', 'tool_recognizer', 'demo', *arguments],
            stdout=screen.program_end, stderr=screen.program_end, cwd=PHOTOS.parent.parent,
            env=environment)
        ended.append((program, screen))
        return program
    yield run
    for program, screen in ended:
        program.send_signal(signal.SIGINT)
        while program.poll() is None:  # what nobody reads would hold it up
            screen.read()
        screen.read()
        screen.close()
        assert program.returncode == 0, screen.shown


def watch(screen, program, condition, patience=300):
    end = monotonic() + patience
    while not condition('\n'.join(screen.shown)):
        assert monotonic() < end, screen.shown
        assert program.poll() is None, screen.shown
        screen.read()


def test_a_light_that_is_dimmed_ends_in_an_alarm_and_no_row_is_ever_folded(on_screen):
    screen = Screen(80, 24)
    program = on_screen(screen, '--drift', '6', '--rate', '30', '--confirm', '1')
    watch(screen, program, lambda shown: 'camera ' in shown)
    screen.resize(120, 30)
    watch(screen, program, lambda shown: 'dimmed to' in shown)
    assert screen.folded == 0
    screen.resize(80, 24)
    # What was on its way while the window was made narrower is folded once.
    for _ in range(3):
        before = '\n'.join(screen.shown)
        watch(screen, program, lambda shown, before=before: shown != before)
    folded = screen.folded

    def said_above_the_table():
        rows = screen.rows
        table = max((number for number, row in enumerate(rows)
                     if row.startswith('ROS_DOMAIN_ID')), default=0)
        return any(row.startswith('[ERROR]') for row in rows[:table])
    # What the recognizer says of its alarm stands above the table.
    watch(screen, program, lambda shown: 'the alarm came' in shown
          and 'monitor     drift:' in shown and said_above_the_table())
    shown = screen.shown
    # A row that does not fit is folded each time that it is drawn.
    assert screen.folded == folded
    assert {'31', '33'} <= screen.colours
    assert sum(line.startswith('monitor ') for line in shown) == 1
    assert sum('http://127.0.0.1' in line for line in shown) == 2
    assert not any('nan' in line for line in shown)


def test_the_passage_under_way_and_the_last_decisions_on_tools_are_shown(on_screen):
    screen = Screen(80, 24)
    program = on_screen(screen, '--passages', '--camera', 'line')
    watch(screen, program, lambda shown: re.search(
        r'^passage +passage \d+ (began|decided|ended): ', shown, re.MULTILINE))
    watch(screen, program, lambda shown: re.search(
        r'^tools .*(hammer|screwdriver|wrench) \d', shown, re.MULTILINE))


def test_a_visitor_is_asked_for_frames_that_the_script_leaves_to_him(start, peer):
    requests = peer.collect(Classification, '/tool_recognizer/inspection_request')
    acknowledged = peer.collect(DiagnosticStatus, '/tool_recognizer/confirmation_ack')
    confirmation = peer.publisher(DiagnosticStatus, '/tool_recognizer/confirmation')
    start('demo', '--headless', '--rate', 30, '--confirm', 1)
    peer.wait_for_subscriber(confirmation)
    peer.meet()
    peer.wait(lambda: len(requests) >= 3, 'no requests')
    sleep(3.0)  # a person's time to look; the script would have spoken by now
    for number, request in enumerate(requests[:3]):
        stamp = request.header.stamp.sec * 1_000_000_000 + request.header.stamp.nanosec
        confirmation.publish(DiagnosticStatus(name='confirmation', values=[
            KeyValue(key=key, value=value) for key, value in {
                'stamp': str(stamp), 'frame_id': request.header.frame_id,
                'nonce': f'visitor-{number}', 'operator': 'visitor',
                'distribution': json.dumps({'hammer': 1.0})}.items()]))

    def outcomes():
        values = [{entry.key: entry.value for entry in ack.values} for ack in acknowledged]
        return [value['outcome'] for value in values if value['nonce'].startswith('visitor')]
    peer.wait(lambda: len(outcomes()) == 3, 'not acknowledged')
    assert set(outcomes()) <= {'scored', 'late'}
    peer.wait(lambda: len(acknowledged) > 3, 'the script does not confirm')


def test_the_demo_tells_its_domain_and_how_to_replay_what_it_recorded(start, tmp_path):
    for seconds in (40, 120):  # on a busy machine much of it is gone before all is up
        bag = tmp_path / f'a bag of {seconds} s'
        program = start('demo', '--headless', '--seconds', seconds, '--record', bag)
        assert program.process.wait(300) == 0, program.output
        lines = program.output.splitlines()
        told, _, line = lines[-2].partition('; replay it with: ')
        replayed = subprocess.run(line or 'false', shell=True, capture_output=True, text=True,
                                  check=False, cwd=PHOTOS.parent.parent)
        if replayed.returncode == 0:
            break
    assert f'ROS_DOMAIN_ID={os.environ["ROS_DOMAIN_ID"]}, ' in program.output
    assert told == f'recorded {bag}'
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
    assert program.process.wait(PATIENCE) == 0
    assert len(raw) <= 12


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--source', 'no/such/folder'], 'does not exist'),
    (['--rate', '0'], 'argument --rate: must be a number, 0.001 .. 1000'),
    (['--ros-args', '-p', 'rate:=1e-300'], 'rate must be in 0.001 .. 1000'),
    (['--speed', '3'], 'unrecognized arguments: --speed 3')])
def test_the_camera_refuses_with_one_line_and_status_2(start, arguments, words):
    program = start('camera', *arguments)
    assert program.process.wait(PATIENCE) == 2
    assert words in program.output
    assert program.output.count('\n') == 1


@pytest.mark.parametrize('program', [
    'recognizer', 'camera', 'demo', 'train', 'evaluate', 'journal'])
def test_every_program_helps_with_examples(start, program):
    asked = start(program, '--help')
    assert asked.process.wait(PATIENCE) == 0
    assert 'examples:' in asked.output.lower()


def test_the_package_lists_its_programs_and_refuses_others(start):
    listed = start('--help')
    assert listed.process.wait(PATIENCE) == 0
    assert 'recognizer' in listed.output
    assert 'cannot run here' not in listed.output
    refused = start('dance')
    assert refused.process.wait(PATIENCE) == 2
    assert "no program 'dance'" in refused.output
