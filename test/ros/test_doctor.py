"""The doctor at real graphs: each thing that it can find is brought about, and found."""

from contextlib import contextmanager
import json
import os
import signal
import subprocess
import sys
from threading import Event
from threading import Thread
from time import monotonic

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from graph import BEST_EFFORT
from graph import Camera
from graph import confirmed
from graph import flat
from graph import header
from graph import LATCHED
from graph import Operator
from graph import raw
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
from peers import PATIENCE
import pytest
import rclpy
from rosgraph_msgs.msg import Clock
from screen import Screen
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_msgs.msg import String
from tool_recognizer.diagnosis.judge import judge
from tool_recognizer.pictures.line import AssemblyLine
from tool_recognizer.ros import asking
from tool_recognizer.ros import observer
from tool_recognizer.ros.observer import observe
from vision_msgs.msg import Classification

NAME = '/tool_recognizer'


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Let a busy machine take its time to hear of a node that is there."""
    monkeypatch.setattr(asking, 'DISCOVERY', PATIENCE)


def look(seconds=1.5, wanted=NAME, exactly=True):
    """Return the findings by their code."""
    findings = judge(observe(wanted, seconds, exactly), 'python3 -m tool_recognizer')
    return {finding.code: finding for finding in findings}


def wait_for_all(codes, seconds=1.5):
    """Look until all of them are found: what is counted over frames needs some."""
    end = monotonic() + PATIENCE
    while not {*codes} <= (found := look(seconds)).keys():
        assert monotonic() < end, f'{codes} are not among {found}'
    return found


def wait_for(code, seconds=1.5):
    return wait_for_all([code], seconds)[code]


class Stream:
    """Publishes frames in a thread, as ``make`` makes them of their number and a header."""

    def __init__(self, peer, publisher, make, rate=20.0):
        self.peer, self.publisher, self.make, self.rate = peer, publisher, make, rate
        self._over = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        number = 0
        while not self._over.wait(1.0 / self.rate):
            number += 1
            now = Header(stamp=self.peer.node.get_clock().now().to_msg(), frame_id='bench')
            self.publisher.publish(self.make(number, now))

    def close(self):
        self._over.set()
        self._thread.join()


@contextmanager
def streaming(peer, publisher, make, rate=20.0):
    stream = Stream(peer, publisher, make, rate)
    try:
        yield stream
    finally:
        stream.close()


@contextmanager
def process_that_looks_like_a_recognizer(**environment):
    """Run what a shell with another environment has started; it is in no graph."""
    process = subprocess.Popen(
        [sys.executable, '-S', '-c', 'import time; time.sleep(600)',
         '-m', 'tool_recognizer', 'recognizer'], env={**os.environ, **environment})
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def doctor(*arguments):
    return subprocess.run([sys.executable, '-m', 'tool_recognizer', 'doctor', *arguments],
                          capture_output=True, text=True, check=False)


def test_what_is_wrong_with_a_camera_is_found(peer, recognizer):
    recognizer(decision__frozen_after=5)
    operator = peer.publisher(Classification, f'{NAME}/confirmed_label')
    camera = peer.publisher(Image, '/image_raw')
    peer.wait_for_subscriber(camera)
    peer.wait_for_subscriber(operator)
    peer.meet()
    line = AssemblyLine(0, frames_per_tool=9)
    drawn = [cv2.resize(line.frame(n)[0], (320, 240), interpolation=cv2.INTER_AREA)
             for n in range(18)]

    def seen(change=lambda picture: picture):
        def make(number, head):
            return raw(np.ascontiguousarray(change(drawn[number % 18]).astype(np.uint8)), head)
        return make

    def stamped(stamp):
        def make(number, head):
            message = seen()(number, head)
            message.header.stamp.sec, message.header.stamp.nanosec = stamp(number, head.stamp)
            return message
        return make

    with streaming(peer, camera, seen()) as stream:
        well = wait_for_health()
        assert well.returncode == 0, well.stdout
        assert 'nothing is wrong' in well.stdout

        for code, make in (
                ('dark', seen(lambda picture: picture * 0.05)),
                ('overexposed', seen(lambda picture: np.clip(picture * 40.0, 0, 255))),
                ('blurred', seen(lambda picture: cv2.GaussianBlur(picture, (0, 0), 8.0))),
                ('frozen', lambda number, head: raw(drawn[4], head)),
                ('stamps', stamped(lambda number, now: (0, 0))),
                ('old_stamps', stamped(lambda number, now: (now.sec - 7200, now.nanosec)))):
            stream.make = make
            assert wait_for(code).cure
        stream.make = stamped(lambda number, now: (now.sec + 7200, now.nanosec))
        peer.wait(lambda: 'ahead' in wait_for('old_stamps').what, 'stamps of the future')
        stream.make = stamped(lambda number, now: (now.sec - number % 2 * 3600, now.nanosec))
        peer.wait(lambda: 'go back' in wait_for('stamps').what, 'stamps that go back')
        stream.make = stamped(lambda number, now: (1_800_000_000, 7))
        peer.wait(lambda: 'stand still' in wait_for('stamps').what, 'stamps that stand still')

        def depth(number, head):
            message = seen()(number, head)
            message.encoding = '16UC1'
            return message
        stream.make = depth
        found = wait_for('dropped_encoding')
        assert "encoding '16UC1' is a depth image" in found.what
        assert 'remap image_raw' in found.cure

        stream.make, stream.rate = seen(), 1.2
        found = wait_for('slow_camera', seconds=4.0)
        assert 'set decision.deadline' in found.cure
        stream.rate = 20.0
        second = peer.publisher(Image, '/image_raw')
        assert '2 publishers, /peer and /peer' in wait_for('two_cameras').what
        peer.node.destroy_publisher(second)
        peer.node.destroy_publisher(operator)
        assert 'console' in wait_for('nobody_confirms').cure


def wait_for_health():
    """Let the doctor look until nothing is wrong, or for long; return how it has ended."""
    end = monotonic() + PATIENCE
    while (well := doctor('--seconds', '2')).returncode and monotonic() < end:
        pass
    return well


def test_what_the_node_says_of_itself_is_found(peer, recognizer, write_model, tmp_path,
                                               monkeypatch):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (500, 3))
    truth = (logits - np.log(-np.log(rng.uniform(size=logits.shape)))).argmax(axis=1)
    (tmp_path / 'file').write_text('')
    program = recognizer(**{
        'model_path': write_model(metadata={'reference': {
            'logits': logits.tolist(), 'label': truth.tolist()}}),
        'journal.path': tmp_path / 'file' / 'journal',
        'early_warning.interval': 0.01, 'early_warning.run_length': 20.0})
    camera = Camera(peer)
    operator = Operator(camera)
    early = peer.collect(DiagnosticStatus, f'{NAME}/early_warning', LATCHED)
    peer.wait(lambda: early, 'the early warning')
    colours = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    for number in range(1, 200):
        camera.answer(flat(colours[number % 3] if number < 30 else
                           [90 - 60 * (k == number % 3) for k in range(3)], header(number)))
        operator.confirm(confirmed(header(number), 'wrench'), n=number)
        if (camera.monitor[-1].level, early[-1].level) == (DiagnosticStatus.ERROR,
                                                           DiagnosticStatus.WARN):
            break
    operator.publisher.publish(confirmed(header(1), wrench=0.2))
    for _ in range(2):
        camera.answer(flat((255, 0, 0), Header(frame_id='bench')))
    operator.confirm(confirmed(Header(frame_id='bench'), 'hammer'), ambiguous=1)
    (tmp_path / 'broken.onnx').write_bytes(b'no model')
    assert asking.set_parameter(NAME, 'model_path', str(tmp_path / 'broken.onnx'), PATIENCE)[0]
    done, why = asking.call(NAME, 'reload_model', PATIENCE)
    assert not done
    assert 'broken.onnx' in why
    assert asking.call(NAME, 'disable', PATIENCE) == (True, 'paused')
    double = rclpy.create_node('tool_recognizer', context=peer.context)
    monkeypatch.setattr(observer, 'versions', lambda: {'onnxruntime': '0.0.1'})
    found = wait_for_all({'drift', 'early_warning', 'journal', 'model_refused', 'paused',
                          'ambiguous', 'invalid_confirmations', 'versions', 'same_name'}, 2.5)
    assert 'broken.onnx' in found['model_refused'].what
    assert 'call enable' in found['paused'].cure
    assert 'here it is 0.0.1' in found['versions'].what
    double.destroy_node()

    def status():
        """Return what is shown, if it is all that a busy node has to say."""
        screen = Screen(80, 200)
        result = subprocess.run([sys.executable, '-m', 'tool_recognizer', 'status'], check=False,
                                stdout=screen.program_end, stderr=screen.program_end)
        screen.read()
        shown = ' '.join(screen.shown)
        screen.close()
        assert screen.folded == 0
        return result.returncode == 0 and all(
            part in shown for part in ('input', 'monitor', 'journal', 'hammer'))
    peer.wait(status, 'the status is not all there')

    def labels():
        asked = subprocess.run([sys.executable, '-m', 'tool_recognizer', 'status', '--json'],
                               check=False, capture_output=True, text=True)
        return asked.returncode == 0 and json.loads(asked.stdout)['labels']
    assert peer.wait(labels, 'no labels') == ['hammer', 'screwdriver', 'wrench']

    program.process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(asking, 'DISCOVERY', 1.0)
    try:
        found = wait_for('not_heard', 1.0)
        assert f'(process {program.process.pid}), and is not heard' in found.what
        for ask in (lambda: asking.call(NAME, 'enable', 1.0),
                    lambda: asking.set_parameter(NAME, 'decision.deadline', '1', 1.0)):
            with pytest.raises(asking.NoAnswer, match=r'is heard|does not answer'):
                ask()
    finally:
        program.process.send_signal(signal.SIGCONT)


def test_a_node_that_does_not_respond_is_reported(peer):
    hung = rclpy.create_node('tool_recognizer', context=peer.context)
    assert f'{NAME} is in the graph, but answers no service' in wait_for('no_reply', 1.0).what
    hung.destroy_node()


def test_what_keeps_a_node_from_its_camera_is_found_from_one_state_to_the_next(
        peer, recognizer, write_model, tmp_path):
    (tmp_path / 'broken.onnx').write_bytes(b'no model')
    recognizer(autostart=False, **{
        'model_path': tmp_path / 'broken.onnx', 'use_sim_time': 'true',
        'qos_overrides./image_raw.subscription.reliability': 'reliable'})
    peer.wait(lambda: peer.node.count_services(f'{NAME}/get_state'))
    found = wait_for_all({'unconfigured', 'model_refused'}, 1.0)
    assert 'broken.onnx' in found['model_refused'].what
    # From which folder the node looks for it is not known here.
    assert asking.set_parameter(NAME, 'model_path', 'broken.onnx', PATIENCE)[0]
    assert 'model_refused' not in look(1.0)
    assert asking.set_parameter(NAME, 'model_path', str(tmp_path / 'broken.onnx'), PATIENCE)[0]
    assert asking.call(NAME, 'cleanup', PATIENCE) == (
        False, f'{NAME} is unconfigured; cleanup is for a node that is inactive')
    done, said = asking.call(NAME, 'configure', PATIENCE)
    assert not done
    assert 'broken.onnx' in said
    assert asking.call(NAME, 'reset_monitor', PATIENCE) == (
        False, 'no model is loaded: configure the node')
    assert asking.set_parameter(NAME, 'model_path', str(write_model()), PATIENCE)[0]
    assert asking.call(NAME, 'configure', PATIENCE) == (True, f'{NAME} is inactive')
    assert 'call activate' in wait_for('inactive', 1.0).cure
    assert asking.call(NAME, 'activate', PATIENCE) == (True, f'{NAME} is active')

    wait_for_all({'no_camera', 'no_clock'}, 1.0)
    clock = peer.publisher(Clock, '/clock')
    packed = peer.publisher(CompressedImage, '/image_raw/compressed')
    # Of another participant: one cannot have two types under one name.
    elsewhere = rclpy.Context()
    rclpy.init(context=elsewhere)
    lidar = rclpy.create_node('lidar', context=elsewhere)
    lidar.create_publisher(String, '/image_raw', 10)
    peer.wait_for_subscriber(clock)
    found = wait_for('wrong_type', 1.0)
    assert '/lidar publishes /image_raw as std_msgs/msg/String' in found.what
    assert 'set image_transport compressed' in wait_for('only_compressed', 1.0).cure
    assert wait_for('clock_stands_still', 1.0)
    lidar.destroy_node()
    other = rclpy.create_node('tool_recognizer', namespace='/left', context=elsewhere)
    assert 'doctor --node /left/tool_recognizer' in wait_for('others', 1.0).cure
    other.destroy_node()
    elsewhere.try_shutdown()
    peer.node.destroy_publisher(packed)

    hasty = peer.publisher(Image, '/image_raw', BEST_EFFORT)
    found = wait_for('qos_reliability', 1.0)
    assert '-p qos_overrides./image_raw.subscription.reliability:=best_effort' in found.cure
    peer.collect(Classification, f'{NAME}/decision', LATCHED)
    found = wait_for('qos_durability', 1.0)
    assert f'{NAME}/decision: /peer asks for durability transient_local' in found.what
    peer.node.destroy_publisher(hasty)
    silent = peer.publisher(Image, '/image_raw')
    assert '/peer publishes /image_raw, but no frame came' in wait_for('no_frames', 1.0).what
    peer.node.destroy_publisher(silent)

    for verb in ('deactivate', 'cleanup'):
        assert asking.call(NAME, verb, PATIENCE)[0]
    assert asking.set_parameter(NAME, 'image_transport', 'compressed', PATIENCE)[0]
    for verb in ('configure', 'activate'):
        assert asking.call(NAME, verb, PATIENCE)[0]
    plain = peer.publisher(Image, '/image_raw')
    assert 'set image_transport raw' in wait_for('only_raw', 1.0).cure
    peer.node.destroy_publisher(plain)
    for verb in ('deactivate', 'cleanup'):
        assert asking.call(NAME, verb, PATIENCE)[0]
    assert peer.call(ChangeState, f'{NAME}/change_state', transition=Transition(
        id=Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)).success
    assert wait_for('finalized', 1.0)


def test_a_node_that_is_not_heard_is_looked_for_in_other_places(peer, monkeypatch):
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    with (process_that_looks_like_a_recognizer(ROS_DOMAIN_ID='213') as first,
          process_that_looks_like_a_recognizer(RMW_IMPLEMENTATION='rmw_cyclonedds_cpp'),
          process_that_looks_like_a_recognizer(ROS_AUTOMATIC_DISCOVERY_RANGE='OFF')):
        findings = judge(observe(NAME, 1.0))
    codes = {finding.code for finding in findings}
    assert {'no_node', 'other_domain', 'other_middleware', 'other_range',
            'discovery_range'} <= codes
    assert f'(process {first}) with ROS_DOMAIN_ID=213' in ' '.join(f.what for f in findings)
    assert 'export ROS_DOMAIN_ID=213' in [f.cure for f in findings]

    node = rclpy.create_node('tool_recognizer', namespace='/left', context=peer.context)
    peer.wait(lambda: 'left' in look(1.0)['no_node'].cure, 'the other one')
    found = look(1.0)['no_node']
    assert '/left/tool_recognizer is there' in found.what
    assert 'doctor --node /left/tool_recognizer' in found.cure
    # Without a name, the only recognizer in the graph is reported on.
    assert observe(NAME, 1.0, exactly=False).node.name == '/left/tool_recognizer'
    node.destroy_node()


def test_large_frames_without_our_profile_are_found(start, recognizer, write_model, tmp_path,
                                                    monkeypatch):
    plain = tmp_path / 'plain.xml'
    plain.write_text('<?xml version="1.0"?><profiles xmlns="http://www.eprosima.com/XMLSchemas/'
                     'fastRTPS_Profiles"></profiles>')
    cv2.imwrite(str(tmp_path / 'large.png'), np.random.default_rng(0).integers(
        0, 255, (480, 640, 3), np.uint8))
    ours = os.environ['FASTRTPS_DEFAULT_PROFILES_FILE']
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', str(plain))
    recognizer(model_path=write_model())
    start('camera', '--ros-args', '-p', f'source:={tmp_path}', '-p', 'rate:=30.0')
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', ours)
    found = wait_for('frames_lost', 2.5)
    assert 'frames of 0.9 MB are lost on the way from /camera' in found.what
    assert 'config/fastdds.xml' in found.cure
    assert f'with the profile {plain}' in wait_for('no_profile', 2.5).what


def test_a_model_that_is_too_slow_is_found(peer, recognizer, write_model):
    recognizer(model_path=write_model(slow=8), decision__deadline=0.01)
    camera = peer.publisher(Image, '/image_raw')
    with streaming(peer, camera, lambda number, head: flat((255, 0, number % 200), head), 50.0):
        assert 'every answer is too late' in wait_for('too_late').what
        assert 'passed over' in wait_for('dropped_busy').what


def test_a_parameter_is_set_with_the_type_that_the_node_has_for_it(peer, recognizer, write_model):
    recognizer(model_path=write_model())
    peer.wait(lambda: peer.node.count_services(f'{NAME}/reset_monitor'))

    def tell(*words):
        def told():
            done = subprocess.run([sys.executable, '-m', 'tool_recognizer', *words],
                                  capture_output=True, text=True, check=False)
            said = (done.stdout + done.stderr).strip()
            # A busy machine may hear of the node too late.
            return 'is heard' not in said and (done.returncode, said)
        return peer.wait(told, 'the node is not heard')

    assert tell('set', 'decision.deadline', '2') == (0, 'decision.deadline is 2.0 now')
    assert tell('call', 'reset_monitor') == (0, 'the monitor starts a new run')
    assert tell('call', 'promote_shadow')[0] == 1
    assert tell('call', 'nonsense')[0] == 2
    assert tell('set', 'decision.deadline', 'soon') == (
        2, "set: decision.deadline takes a number, got 'soon'")
    for name, text, reason in (
            ('monitor.window', '50', 'clean up the node first'),
            ('image_transport', 'zip', "one of ['raw', 'compressed'], got 'zip'"),
            ('decision.dedline', '1', 'did you mean decision.deadline?')):
        done, said = asking.set_parameter(NAME, name, text, PATIENCE)
        assert not done
        assert reason in said
    for name, text, value in (
            ('decision.check_quality', 'false', False), ('preview.width', '320', 320),
            ('plain_model.mean', '[0, 0.5, 1]', [0.0, 0.5, 1.0]),
            ('providers', '[CPUExecutionProvider]', ['CPUExecutionProvider']),
            ('shadow_model_path', '12', '12')):
        assert asking.set_parameter(NAME, name, text, PATIENCE) == (
            True, f'{name} is {value!r} now')


def test_the_programs_end_quickly_and_cleanly(start):
    for words in (('call', 'enable'), ('set', 'decision.deadline', '1'), ('status',)):
        program = start(*words)
        assert program.process.wait(60) == 1
        assert 'no node /tool_recognizer is heard' in program.output
    ill = doctor('--json', '--seconds', '1')
    assert ill.returncode == 1
    document = json.loads(ill.stdout)
    assert (document['healthy'], document['findings'][0]['code']) == (False, 'no_node')
    unusable = doctor('--seconds', '0')
    assert unusable.returncode == 2
    assert unusable.stderr.count('\n') == 1


@pytest.mark.parametrize(('words', 'domain'), [
    (('doctor',), '233'), (('status',), 'abc'), (('call', 'enable'), '-1'),
    (('recognizer',), '1000')])
def test_an_impossible_domain_is_reported_in_one_line(words, domain):
    result = subprocess.run([sys.executable, '-m', 'tool_recognizer', *words], check=False,
                            capture_output=True, text=True, timeout=60,
                            env={**os.environ, 'ROS_DOMAIN_ID': domain})
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr == (f'{words[0]}: ROS_DOMAIN_ID must be a whole number, 0 .. 232, got '
                             f'{domain!r}\n')


def test_an_impossible_log_folder_is_reported_in_one_line():
    result = subprocess.run([sys.executable, '-m', 'tool_recognizer', 'doctor'], check=False,
                            capture_output=True, text=True, timeout=60,
                            env={**os.environ, 'ROS_LOG_DIR': '/proc/none'})
    assert result.returncode == 2
    assert result.stderr.startswith('doctor: ')
    assert '/proc/none' in result.stderr
    assert result.stderr.count('\n') == 1


@pytest.mark.parametrize('words', [('doctor', '--seconds', '60'), ('call', 'enable'),
                                   ('set', 'decision.deadline', '1'), ('status',)])
def test_ctrl_c_ends_a_program_that_looks(words, peer):
    for _ in range(5):  # on a busy machine it may be done before it is seen
        process = subprocess.Popen([sys.executable, '-m', 'tool_recognizer', *words],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        peer.wait(lambda process=process: process.poll() is not None or any(
            name.endswith(f'_{process.pid}') for name in peer.node.get_node_names()), 'it looks')
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=90)
        if process.returncode == 130:
            break
    assert process.returncode == 130
    assert output == ''
