"""
Whatever is asked of the recognizer at once, in whatever state: it goes on, and everybody is told.

``TOOL_RECOGNIZER_PAIRS`` is the number of pairs of requests that are drawn and made at once,
beside those that once failed.
"""

from itertools import product
import json
import os
import random
import signal
from time import sleep

from diagnostic_msgs.msg import DiagnosticStatus
from graph import confirmed
from graph import flat
from graph import header
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from lifecycle_msgs.srv import GetState
from peers import PATIENCE
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger
from vision_msgs.msg import Classification

PAIRS = int(os.environ.get('TOOL_RECOGNIZER_PAIRS', '15'))
NAME = '/tool_recognizer'
TRIGGERS = ('reload_model', 'promote_shadow', 'reset_monitor', 'answer_now')
TRANSITIONS = ('configure', 'activate', 'deactivate', 'cleanup')
# Set to what they are, or to another value; one per moment at which a change takes effect, and
# one that is refused.
PARAMETERS = {'decision.deadline': 0.5, 'monitor.window': 50, 'shadow_model_path': '',
              'monitor.run_length': 2000, 'image_transport': 'raw',
              'journal.path': '/proc/no/such', 'decision.min_probability': 7.0}
REQUESTS = (*TRIGGERS, 'enable', 'confirm', 'frame', 'get_state', *TRANSITIONS, *PARAMETERS)
STATES = ('unconfigured', 'inactive', 'active')
FAILED_ONCE = (
    ('inactive', 'reload_model', 'cleanup'), ('inactive', 'promote_shadow', 'cleanup'),
    ('inactive', 'cleanup', 'reload_model'), ('active', 'reload_model', 'promote_shadow'),
    ('active', 'reload_model', 'deactivate'), ('unconfigured', 'configure', 'reload_model'))


class Controls:
    """All that can be asked of a recognizer, without waiting for the response."""

    def __init__(self, peer):
        self.peer = peer
        # Deep, so that no request or response is lost on our side.
        self.triggers = {name: peer.node.create_client(
            Trigger, f'{NAME}/{name}', qos_profile=QoSProfile(depth=1000)) for name in TRIGGERS}
        assert all(client.wait_for_service(PATIENCE) for client in self.triggers.values())
        for kind, service in ((SetBool, 'enable'), (GetState, 'get_state'),
                              (SetParameters, 'set_parameters'), (ChangeState, 'change_state')):
            peer.client(kind, f'{NAME}/{service}')
        self.frames = peer.publisher(Image, '/image_raw')
        self.confirmations = peer.publisher(Classification, f'{NAME}/confirmed_label')
        self.answers = peer.collect(Classification, f'{NAME}/classification')
        self.number = 0

    def ask(self, what):
        """Ask for something; return its future, or None if it has none."""
        if what in TRIGGERS:
            return self.triggers[what].call_async(Trigger.Request())
        if what == 'enable':
            return self._call(SetBool, what, data=True)
        if what == 'get_state':
            return self._call(GetState, what)
        if what in PARAMETERS:
            return self._call(SetParameters, 'set_parameters', parameters=[
                Parameter(what, value=PARAMETERS[what]).to_parameter_msg()])
        if what == 'confirm':
            self.confirmations.publish(confirmed(header(self.number), 'hammer'))
        elif what == 'frame':
            self.number += 1
            self.frames.publish(flat((255, 0, 0), header(self.number)))
        else:
            return self._call(ChangeState, 'change_state', transition=Transition(
                id=getattr(Transition, f'TRANSITION_{what.upper()}')))
        return None

    def ask_all(self, *requests):
        """Ask for all of them at once; return the responses when all are there."""
        futures = [(what, self.ask(what)) for what in requests]
        waiting = [(what, future) for what, future in futures if future is not None]
        self.peer.wait(lambda: all(future.done() for _, future in waiting),
                       f'no response to one of {requests}')
        return [future.result() for _, future in waiting]

    def bring_to(self, state):
        """Lead the node from any state to another one."""
        here = STATES.index(self.peer.state())
        there = STATES.index(state)
        for step in TRANSITIONS[here:there] or TRANSITIONS[4 - here:4 - there]:
            assert self.peer.transition(step), f'{step} from {STATES[here]}'

    def is_answered(self):
        """Wait until the camera's frame is answered."""
        count = len(self.answers)

        def answered():
            self.ask('frame')
            sleep(0.05)
            return len(self.answers) > count
        self.peer.wait(answered, 'no frame is answered')

    def _call(self, kind, service, **fields):
        return self.peer.client(kind, f'{NAME}/{service}').call_async(kind.Request(**fields))


@pytest.fixture
def controls(peer):
    return lambda: Controls(peer)


def threads(program):
    """Count a process's threads."""
    return len(os.listdir(f'/proc/{program.process.pid}/task'))


def test_any_two_requests_at_once_leave_a_node_that_answers(peer, recognizer, controls,
                                                            write_model):
    # With a gate that answer_now opens, so that who calls it waits for a moment.
    program = recognizer(model_path=write_model(), shadow_model_path=write_model('shadow.onnx'),
                         passage__gate='service', passage__seconds=0.5)
    controls = controls()
    drawn = random.Random(PAIRS).sample(list(product(STATES, REQUESTS, REQUESTS)), PAIRS)
    for state, *requests in (*FAILED_ONCE, *drawn):
        controls.bring_to(state)
        controls.ask_all(*requests)
        assert program.process.poll() is None, (state, requests, program.output)
        assert peer.state() in STATES, (state, requests)
    controls.bring_to('active')
    controls.is_answered()


def test_who_waits_for_an_answer_is_told_when_the_node_is_deactivated(
        peer, recognizer, controls, write_model):
    program = recognizer(model_path=write_model(), passage__gate='service',
                         passage__seconds=60.0)
    controls = controls()
    controls.bring_to('active')
    told = peer.collect(DiagnosticStatus, f'{NAME}/passage')
    peer.meet()
    asked = controls.ask('answer_now')
    peer.wait(lambda: told, 'no passage begins')
    assert controls.ask_all('deactivate')[0].success
    peer.wait(asked.done, 'no response to answer_now')
    answer = asked.result()
    assert (answer.success, json.loads(answer.message)['frames']) == (False, 0)
    assert program.process.poll() is None


def test_deactivating_and_activating_under_a_camera_that_never_rests(peer, recognizer, controls,
                                                                     write_model):
    program = recognizer(model_path=write_model(slow=1))
    controls = controls()
    controls.bring_to('active')
    controls.is_answered()
    for _ in range(5):
        for step in ('deactivate', 'activate'):
            for _ in range(5):
                controls.ask('frame')
            assert controls.ask_all(step)[0].success, step
    assert threads(program) < 60
    controls.is_answered()
    assert program.process.poll() is None
    assert 'rror' not in program.output


def test_a_reload_under_which_the_node_is_cleaned_up_is_answered(peer, recognizer, controls,
                                                                 write_model):
    program = recognizer(model_path=write_model(slow=30))
    controls = controls()

    def reload_under(*requests):
        """Ask for them while the model is being loaded, which is a thread's work."""
        before = threads(program)
        future = controls.ask('reload_model')
        peer.wait(lambda: future.done() or threads(program) > before)
        done = controls.ask_all(*requests)
        peer.wait(future.done, 'no response to reload_model')
        return future.result(), [response.success for response in done]

    reload, done = reload_under('deactivate', 'cleanup')
    assert (reload.success, reload.message) == (False, 'the node was cleaned up meanwhile')
    assert done == [True, True]
    assert program.process.poll() is None
    reload, = controls.ask_all('reload_model')
    assert (reload.success, reload.message) == (
        False, 'no model is loaded: configure the node')
    controls.bring_to('active')
    # A model that was asked for before is not put in the place of the one configured since.
    reload, done = reload_under('deactivate', 'cleanup', 'configure', 'activate')
    assert not reload.success
    assert done == [True, True, True, True]
    controls.is_answered()


def test_of_many_reloads_at_once_one_is_made_and_all_are_answered(peer, recognizer, controls,
                                                                  write_model):
    program = recognizer(model_path=write_model(slow=5))
    controls = controls()
    before = threads(program)
    futures = [controls.ask('reload_model') for _ in range(50)]
    most = before

    def answered():
        nonlocal most
        most = max(most, threads(program))
        return all(future.done() for future in futures)
    peer.wait(answered, 'not all have a response')
    told = {future.result().message for future in futures if not future.result().success}
    assert any(future.result().success for future in futures)
    assert told == {'another model is being loaded: call again when that is done'}
    assert most < before + 20
    controls.is_answered()


@pytest.mark.parametrize(('number', 'requests'), [
    (signal.SIGINT, REQUESTS), (signal.SIGTERM, ['reload_model'])])
def test_a_signal_with_requests_in_flight_ends_it_cleanly(number, requests, peer, recognizer,
                                                          controls, write_model):
    program = recognizer(model_path=write_model(slow=5))
    controls = controls()
    for what in requests:
        controls.ask(what)
    assert program.stop(number) == 0, program.output
    assert 'Traceback' not in program.output
