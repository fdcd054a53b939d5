"""A real ROS graph: programs in processes of their own, and a peer that talks to them."""

from contextlib import suppress
import os
from pathlib import Path
import random
import re
import signal
import subprocess
import sys
from threading import Thread
from time import monotonic
from time import sleep

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from lifecycle_msgs.srv import GetState
import pytest
from rcl_interfaces.srv import GetParameterTypes
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

ROOT = Path(__file__).parent.parent.parent
# Tests of two users, or of two runs, must not hear each other.
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.setdefault('ROS_DOMAIN_ID', str(random.randint(1, 100)))
os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(ROOT / 'config' / 'fastdds.xml'))

# Generous: it only bounds how long a failing test takes.
PATIENCE = 90.0


class Peer:
    """A node of the test's own, spinning in a thread."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('peer', context=self.context)
        self._clients = {}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self):
        try:
            with suppress(ExternalShutdownException):
                self._executor.spin()
        except rclpy_implementation.RCLError:
            assert not self.context.ok()  # it was closed between two looks at it

    def close(self):
        self.context.try_shutdown()
        self._thread.join()
        self.node.destroy_node()

    def collect(self, kind, topic, qos=None, keep=lambda message: True):
        """Return a list that fills with what comes on a topic."""
        messages = []

        def receive(message):
            if keep(message):
                messages.append(message)
        self.node.create_subscription(kind, topic, receive, qos or QoSProfile(depth=1000))
        return messages

    def publisher(self, kind, topic, qos=None):
        return self.node.create_publisher(kind, topic, qos or QoSProfile(depth=10))

    def wait_for_subscriber(self, publisher):
        self.wait(lambda: publisher.get_subscription_count() > 0,
                  f'nobody subscribes to {publisher.topic_name}')

    def wait(self, condition, why='', patience=PATIENCE):
        """Wait until a condition holds and return its value."""
        end = monotonic() + patience
        while not (value := condition()):
            assert monotonic() < end, f'waited in vain: {why() if callable(why) else why}'
            sleep(0.01)
        return value

    def meet(self, node='/tool_recognizer'):
        """
        Wait until a node knows each end of a topic or service that was made here.

        What it sends to an end that it does not know yet is lost. Discovery keeps its order: who
        answers the newest client knows all that was made before. What changes nothing is asked,
        until it is answered.
        """
        client = self.node.create_client(GetParameterTypes, f'{node}/get_parameter_types')
        asked, next_one = [], monotonic()

        def answered():
            nonlocal next_one
            if client.service_is_ready() and monotonic() >= next_one:
                asked.append(client.call_async(GetParameterTypes.Request()))
                next_one = monotonic() + 1.0
            return any(future.done() for future in asked)
        self.wait(answered, f'{node} does not know what was made here')

    def client(self, kind, name):
        """Return the client of a node's service, ready to be asked."""
        if name not in self._clients:
            client = self._clients[name] = self.node.create_client(kind, name)
            assert client.wait_for_service(PATIENCE), f'no service {name}'
            self.meet(name.rpartition('/')[0])
        return self._clients[name]

    def call(self, kind, name, **fields):
        future = self.client(kind, name).call_async(kind.Request(**fields))
        self.wait(future.done, f'no response from {name}')
        return future.result()

    def transition(self, name, node='/tool_recognizer'):
        transition = Transition(id=getattr(Transition, f'TRANSITION_{name.upper()}'))
        return self.call(ChangeState, f'{node}/change_state', transition=transition).success

    def state(self, node='/tool_recognizer'):
        return self.call(GetState, f'{node}/get_state').current_state.label

    def set_parameter(self, name, value, node='/tool_recognizer'):
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        return self.call(SetParameters, f'{node}/set_parameters', parameters=parameters).results[0]


def takes_sigterm(pid):
    """Tell whether a program, and not Python alone, is there to take signals, or ignores them."""
    status = Path(f'/proc/{pid}/status').read_text()
    return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1
               for mask in re.findall(r'^Sig(?:Cgt|Ign):\s*(\w+)', status, re.MULTILINE))


class Program:
    """A program of the package in a process of its own."""

    def __init__(self, arguments, log):
        self.log = log
        with log.open('wb') as output:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'tool_recognizer', *arguments], stdout=output,
                stderr=subprocess.STDOUT, cwd=ROOT)

    @property
    def output(self):
        return self.log.read_text()

    def stop(self, number=signal.SIGINT):
        """Send a signal, once it is there to take one, and return the exit status."""
        end = monotonic() + PATIENCE
        while (number != signal.SIGKILL and self.process.poll() is None
               and not takes_sigterm(self.process.pid) and monotonic() < end):
            sleep(0.02)
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # What hangs must not be heard in the next test.
            self.process.kill()
            self.process.wait()
            raise


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def start(tmp_path):
    """Start programs; whatever a test leaves running must end cleanly on Ctrl-C."""
    programs = []

    def start(*arguments):
        program = Program(list(map(str, arguments)), tmp_path / f'{len(programs)}.log')
        programs.append(program)
        return program

    yield start
    statuses = [program.stop() if program.process.poll() is None else None
                for program in programs]
    assert all(status in (0, None) for status in statuses), [p.output for p in programs]
    assert not any('Traceback' in p.output for p in programs), [p.output for p in programs]


@pytest.fixture
def recognizer(start):
    """Start the recognizer with parameters, by default brought to active."""

    def launch(autostart=True, remap=(), **parameters):
        arguments = ['recognizer', '--ros-args', '-p', f'autostart:={str(autostart).lower()}']
        for name, value in parameters.items():
            arguments += ['-p', f'{name.replace("__", ".")}:={value}']
        for rule in remap:
            arguments += ['-r', rule]
        return start(*arguments)

    return launch
