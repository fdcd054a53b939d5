"""Whatever comes over DDS, and whatever a callback raises, no node ends or stops to respond."""

from array import array
from contextlib import suppress
from importlib import import_module
import json
from pathlib import Path
import signal
import subprocess
import sys
from time import sleep
from urllib.request import urlopen

import cdr
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
from graph import values
import pytest
from rcl_interfaces.msg import Parameter
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from vision_msgs.msg import Classification

# Bytes by which a node may grow from all that is sent here.
GROWTH = 200 << 20
# Each bit of a node that can raise, raises; whoever asks ~/report is told what was counted.
RAISING = """
import json, sys
from threading import Thread
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros.guard import ERRORS

class Unwritable(Exception):
    def __str__(self):
        raise OverflowError

class Raising(Node):

    def __init__(self):
        super().__init__('raising')
        self.heard = 0
        self.seen = {}
        self.note, ERRORS.note = ERRORS.note, self.see
        def raising(error):
            def fail(*message):
                raise error
            return fail
        async def wait(request, response):
            raise RecursionError('x' * 5_000_000)
        self.create_subscription(
            String, '~/hear', raising(ValueError('\\udc80\\0')), 10,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=raising(KeyError('qos'))))
        self.create_subscription(String, '~/good', self.count, 10)
        self.create_subscription(String, '~/take', self.count, 10).msg_type = object
        self.create_timer(0.05, raising(MemoryError()))
        self.create_timer(0.05, self.look)
        self.create_service(Trigger, '~/plain', raising(Unwritable()))
        self.create_service(Trigger, '~/waiting', wait)
        self.create_service(Trigger, '~/nothing', lambda request, response: None)
        self.create_service(Trigger, '~/report', self.report)
        self.add_on_set_parameters_callback(raising(ZeroDivisionError('on set')))
        self.create_guard_condition(raising(OverflowError('guard'))).trigger()
        Thread(target=raising(LookupError('thread')), name='worker').start()
        self.client = self.create_client(Trigger, '~/plain')
        self.asked = None

    def count(self, message):
        self.heard += 1

    def see(self, where, error):
        self.note(where, error)
        self.seen[where] = type(error).__name__

    def look(self):
        if self.asked is None and self.client.service_is_ready():
            self.asked = self.client.call_async(Trigger.Request())
            self.asked.add_done_callback(lambda future: 1 / 0)

    def report(self, request, response):
        response.success = True
        response.message = json.dumps([self.heard, ERRORS.count, self.seen])
        return response

sys.exit(run_node(Raising, Parser('raising', 'raise', ()), []))
"""

# A node whose executor can wait for nothing any more.
DEAF = """
import sys
import rclpy
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.running import run_node

def broken(*numbers):
    raise MemoryError

def make():
    rclpy.executors._rclpy.WaitSet = broken
    return rclpy.create_node('deaf')

sys.exit(run_node(make, Parser('deaf', 'wait for nothing', ()), []))
"""


@pytest.fixture
def raising(tmp_path):
    with (tmp_path / 'log').open('wb') as log:
        process = subprocess.Popen([sys.executable, '-c', RAISING], stdout=log,
                                   stderr=subprocess.STDOUT)
    yield process, tmp_path / 'log'
    if process.poll() is None:
        process.kill()
        process.wait()


def test_what_any_callback_raises_is_counted_and_its_node_goes_on(peer, raising):
    process, log = raising
    told = peer.call(Trigger, '/raising/plain')
    assert (told.success, 'Unwritable' in told.message) == (False, True)
    told = peer.call(Trigger, '/raising/waiting')
    assert (told.success, 'RecursionError: xxx' in told.message) == (False, True)
    assert len(told.message) < 500
    assert not peer.call(Trigger, '/raising/nothing').success
    refused = peer.set_parameter('use_sim_time', True, '/raising')
    assert (refused.successful, 'on set' in refused.reason) == (False, True)
    for topic in ('hear', 'take', 'good'):
        publisher = peer.publisher(String, f'/raising/{topic}')
        peer.wait_for_subscriber(publisher)
        for _ in range(3):
            publisher.publish(String(data='x'))
    peer.publisher(String, '/raising/hear', BEST_EFFORT)  # too little for its subscription

    def report():
        return json.loads(peer.call(Trigger, '/raising/report').message)
    peer.wait(lambda: report()[0] >= 3, 'the good topic is not heard any more')
    begin = report()[1]
    peer.wait(lambda: report()[1] > begin + 5, 'the timer is not called any more')
    raised = {
        'subscription /raising/hear': 'ValueError', 'subscription /raising/take': 'AttributeError',
        'timer': 'MemoryError', 'guardcondition': 'OverflowError', 'executor': 'ZeroDivisionError',
        'eventhandler': 'KeyError', 'thread worker': 'LookupError',
        'service /raising/plain': 'Unwritable', 'service /raising/waiting': 'RecursionError',
        'service /raising/nothing': 'TypeError',
        'service /raising/set_parameters': 'ZeroDivisionError'}
    peer.wait(lambda: report()[2].keys() >= raised.keys(), lambda: f'only {report()[2]}')
    assert report()[2] == raised
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 0
    output = log.read_text()
    assert 'Traceback' not in output
    assert len(output) < 20_000


def test_a_node_that_can_wait_for_nothing_any_more_ends_and_says_so():
    ended = subprocess.run([sys.executable, '-c', DEAF], capture_output=True, text=True,
                           check=False, timeout=120)
    assert ended.returncode == 1
    assert 'deaf: ROS cannot wait for messages any more: MemoryError' in ended.stderr
    assert 'Traceback' not in ended.stderr


def kinds(peer, node, what, at_least):
    """Wait for so many, and return what the graph says of a node: (name, its type's class)."""
    namespace, _, name = node.rpartition('/')

    def found():
        with suppress(RuntimeError):  # the node is not there yet
            found = getattr(peer.node, f'get_{what}_names_and_types_by_node')(
                name, namespace or '/')
            return len(found) >= at_least and found
        return []
    return [(topic, getattr(import_module('.'.join(kind.split('/')[:2])), kind.split('/')[2]))
            for topic, (kind, *_) in peer.wait(found, f'{node} does not have {at_least} {what}s')]


def send_hostile(peer, topics):
    for topic, kind in topics:
        # What fits each subscription; the first message of a new publisher may be lost.
        publisher = peer.publisher(kind, topic, QoSProfile(
            depth=1000, durability=LATCHED.durability))
        peer.wait_for_subscriber(publisher)
        for payload in cdr.payloads(kind):
            try:
                publisher.publish(payload)
            except Exception as error:  # more than the type can hold, which nobody can send
                if 'cannot publish data' not in str(error):
                    raise


def resident(program):
    status = Path(f'/proc/{program.process.pid}/status').read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines()
                if line.startswith('VmHWM'))


def state(listening):
    """Return the state that the program ``status`` has found."""
    assert listening.process.wait(120) == 0, listening.output
    return json.loads(listening.output[listening.output.index('{\n'):])['state']


def test_hostile_bytes_on_every_topic_leave_the_recognizer_answering(peer, recognizer, start,
                                                                     write_model):
    program = recognizer(model_path=write_model(), use_sim_time=True)
    camera = Camera(peer)
    acknowledged = peer.collect(DiagnosticStatus, '/tool_recognizer/confirmation_ack')
    before = resident(program)
    send_hostile(peer, kinds(peer, '/tool_recognizer', 'subscriber', 4))
    listening = start('status', '--json', '--seconds', '3')
    send_hostile(peer, [(topic, kind) for topic, kind in kinds(
        peer, '/tool_recognizer', 'publisher', 15) if peer.node.count_subscribers(topic)])
    camera.answer(flat((255, 0, 0), header(1)))
    Operator(camera).publisher.publish(confirmed(header(1), 'hammer'))
    peer.wait(lambda: any(values(status).get('stamp') == str(header(1).stamp.sec * 10 ** 9
                          + header(1).stamp.nanosec) for status in acknowledged),
              'a good confirmation is not acknowledged')
    # It may have been too busy with all that to respond.
    assert (state(listening) or state(start('status', '--json', '--seconds', '3'))) == 'active'
    assert resident(program) - before < GROWTH


@pytest.mark.parametrize('program', ['recognizer', 'console', 'camera'])
def test_extreme_requests_to_every_service_get_a_response(program, peer, recognizer, start,
                                                          write_model, tmp_path):
    if program == 'recognizer':
        name = '/tool_recognizer'
        started = recognizer(model_path=write_model())
    else:
        name = f'/{program}'
        started = start(program, *CONSOLE(tmp_path) if program == 'console' else ())
    services = kinds(peer, name, 'service', 16 if program == 'recognizer' else 7)
    clients = [peer.node.create_client(kind, service) for service, kind in services]
    peer.wait(lambda: all(client.service_is_ready() for client in clients))
    peer.meet(name)
    sent = [(client.service_name, client.call_async(cdr.filled(kind.Request, 2, number)))
            for client, (_, kind) in zip(clients, services, strict=True) for number in range(4)]
    strange = [Parameter(name=known, value=ParameterValue(type=number))
               for known in ('use_sim_time', 'no_such') for number in (*range(10), 77, 255)]
    for kind, verb in ((SetParameters, 'set_parameters'),
                       (SetParametersAtomically, 'set_parameters_atomically')):
        for parameter in strange:  # few at once: a client keeps only so many responses
            future = peer.client(kind, f'{name}/{verb}').call_async(
                kind.Request(parameters=[parameter]))
            sent.append((verb, future))
            if len(sent) % 5 == 0:
                peer.wait(future.done, verb)
    peer.wait(lambda: all(future.done() for _, future in sent),
              lambda: [service for service, future in sent if not future.done()])
    assert started.process.poll() is None
    for future in [future for verb, future in sent if verb == 'set_parameters'][-2:]:
        assert not future.result().results[0].successful
        assert future.result().results[0].reason


def CONSOLE(folder):
    return ('--ros-args', '-p', 'console.port:=0', '-p', f'console.outbox:={folder}/outbox')


def test_hostile_bytes_on_every_topic_leave_the_console_serving(peer, start, tmp_path):
    program = start('console', *CONSOLE(tmp_path))
    peer.wait(lambda: 'open http' in program.output, 'it does not start')
    before = resident(program)
    send_hostile(peer, kinds(peer, '/console', 'subscriber', 8))
    address = program.output.partition('open ')[2].split()[0]
    peer.wait(lambda: 'parameters' if peer.call(
        SetParameters, '/console/set_parameters') else '', 'it responds to nothing')
    with urlopen(f'{address}metrics', timeout=90) as page:
        assert b'tool_recognizer' in page.read()
    assert program.process.poll() is None
    assert resident(program) - before < GROWTH


def test_hostile_bytes_on_every_topic_leave_the_demo_and_a_recorder_running(peer, start, tmp_path):
    demo = start('demo', '--headless', '--console', '0')
    recorder = start('record', '--output', tmp_path / 'bag')
    predictions = peer.collect(Classification, '/tool_recognizer/classification')
    send_hostile(peer, kinds(peer, '/operator', 'subscriber', 8))
    peer.wait(lambda: 'recording /tool_recognizer/classification' in recorder.output,
              'it is not recorded')
    count = len(predictions)
    peer.wait(lambda: len(predictions) > count + 30, 'the demo does not go on')
    assert recorder.stop() == 0
    assert ' messages of /tool_recognizer/classification' in recorder.output
    assert demo.stop() == 0
    assert json.loads(demo.output.strip().splitlines()[-1])['answered'] > 0


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_hostile_bytes_on_every_topic_leave_the_collector_collecting(
        transport, peer, start, photos, tmp_path):
    compressed, folder = transport == 'compressed', tmp_path / 'collection'
    program = start('collect', '--label', 'torx', '--output', folder, '--every', '0',
                    *(['--compressed'] if compressed else []))
    camera = peer.publisher(*((CompressedImage, '/image_raw/compressed') if compressed else
                              (Image, '/image_raw')))
    peer.wait_for_subscriber(camera)

    def is_collected(number, path):
        head = header(number)
        message = (CompressedImage(header=head, format='jpeg', data=array('B', path.read_bytes()))
                   if compressed else raw(cv2.imread(str(path)), head))
        stamp = head.stamp.sec * 10 ** 9 + head.stamp.nanosec

        def is_there():
            camera.publish(message)
            sleep(0.2)
            return [*folder.glob(f'torx/*-{stamp}.jpg')]
        return peer.wait(is_there, f'{path} is not collected')

    one, *_, another = [path for path, _ in photos]
    assert is_collected(1, one)
    before = resident(program)
    send_hostile(peer, kinds(peer, '/collector', 'subscriber', 1))
    assert is_collected(2, another)
    assert resident(program) - before < GROWTH
    assert program.stop() == 0
