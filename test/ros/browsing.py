"""What tests of the console share: a browser, a played recognizer, and the real one."""

from array import array
from itertools import count
import json
import re
import shutil
from time import monotonic
from time import sleep

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from graph import Camera
from graph import flat
from graph import header
from graph import LABELS
from graph import LATCHED
from graph import values
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger
from tool_recognizer.console.people import hashed
from tool_recognizer.console.people import Person
from tool_recognizer.console.people import write_people
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.messages import from_ros
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo
from vision_msgs.msg import ObjectHypothesis
from vision_msgs.msg import VisionClass

CHROMIUM = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome'))), None)
DEEP = QoSProfile(depth=1000)
NAME = '/tool_recognizer'
UNDO = 0.3
PASSWORD = 'a password'
# Generous: seconds that only bound how long a failing test takes.
PATIENCE = 120.0
# For a browser of which several run on one machine: its share of /dev/shm may be small.
FLAGS = ['--no-sandbox', '--disable-dev-shm-usage']


def stamp_of(number):
    return from_ros.key(header(number)).stamp


def jpeg(number, size=(480, 640)):
    """Return a picture whose colour shows its number."""
    pixels = np.full((*size, 3), (40 * number % 256, 90, 160), np.uint8)
    cv2.putText(pixels, str(number), (200, 320), cv2.FONT_HERSHEY_SIMPLEX, 8, (255,) * 3, 16)
    return array('B', cv2.imencode('.jpg', pixels)[1].tobytes())


def entries(**known):
    return [KeyValue(key=key, value=str(value)) for key, value in known.items()]


class Recognizer:
    """What the console knows of a recognizer: its topics."""

    def __init__(self, peer):
        self._peer = peer
        self.acknowledging, self.alive = True, True
        self.outcome = 'scored'
        self.outcomes = {}      # nonce: what it said of it
        self.statuses = []      # more of /diagnostics
        self.heard = []         # every confirmation that came, repetitions included
        self.resets = 0
        self._requests = peer.publisher(Classification, f'{NAME}/inspection_request')
        self._pictures = peer.publisher(CompressedImage, f'{NAME}/inspection_request/compressed')
        self._ack = peer.publisher(DiagnosticStatus, f'{NAME}/confirmation_ack', DEEP)
        self._monitor = peer.publisher(DiagnosticStatus, f'{NAME}/monitor', LATCHED)
        self._labels = peer.publisher(LabelInfo, f'{NAME}/label_info', LATCHED)
        self._diagnostics = peer.publisher(DiagnosticArray, '/diagnostics')
        self.live = peer.publisher(CompressedImage, f'{NAME}/annotated/compressed')
        self.predictions = peer.publisher(Classification, f'{NAME}/classification')
        self.decisions = peer.publisher(Classification, f'{NAME}/decision')
        peer.node.create_subscription(DiagnosticStatus, f'{NAME}/confirmation',
                                      self._on_confirmation, DEEP)
        peer.node.create_service(Trigger, f'{NAME}/reset_monitor', self._on_reset)
        peer.node.create_service(Trigger, f'{NAME}/promote_shadow', self._on_promote)
        self._labels.publish(LabelInfo(class_map=[
            VisionClass(class_id=k, class_name=label) for k, label in enumerate(LABELS)]))
        peer.node.create_timer(0.5, self._on_time)

    def _on_time(self):
        if not self.alive:
            return
        self._diagnostics.publish(DiagnosticArray(status=[DiagnosticStatus(
            name='tool_recognizer: input', level=DiagnosticStatus.OK, message='answering',
            values=entries(state='answering', received=100, answered=90, dropped_busy=10)),
            *self.statuses]))

    def _on_promote(self, request, response):
        response.success, response.message = False, 'its file has changed'
        return response

    def _on_reset(self, request, response):
        self.resets += 1
        response.success, response.message = True, 'the monitor starts a new run'
        return response

    def _on_confirmation(self, message):
        values = {entry.key: entry.value for entry in message.values}
        self.heard.append(values)
        if not self.acknowledging:
            return
        outcome = self.outcomes.setdefault(values['nonce'], self.outcome)
        self._ack.publish(DiagnosticStatus(level=DiagnosticStatus.OK, values=entries(
            stamp=values['stamp'], frame_id=values['frame_id'], nonce=values['nonce'],
            outcome=outcome)))

    def ready(self):
        """
        Wait until a console hears all that is said; each topic is found by itself.

        A topic is found here a moment before the console finds it, too.
        """
        topics = (self._requests, self._pictures, self._ack, self._monitor, self._labels,
                  self._diagnostics, self.predictions, self.decisions)
        self._peer.wait(lambda: all(one.get_subscription_count() for one in topics),
                        'no console subscribes')
        self._peer.meet('/console')

    def ask(self, number, guess='wrench'):
        rest = (1.0 - 0.7) / 2
        self._requests.publish(Classification(header=header(number), results=[
            *(ObjectHypothesis(class_id=label, score=0.7 if label == guess else rest)
              for label in LABELS),
            ObjectHypothesis(class_id='asked:inclusion_probability', score=0.05)]))
        self._pictures.publish(CompressedImage(
            header=header(number), format='jpeg', data=jpeg(number)))

    def predict(self, number, *scores):
        """Publish a prediction, and not the decision on it."""
        self.predictions.publish(Classification(header=header(number), results=[
            ObjectHypothesis(class_id=label, score=p)
            for label, p in zip(LABELS, scores, strict=False)]))

    def decide(self, number, decision, score=0.0):
        self.decisions.publish(Classification(header=header(number), results=[
            ObjectHypothesis(class_id=decision, score=score)]))

    def watch(self, n, **more):
        known = {'n': n, 'nll': 0.4, 'nll_ci_low': 0.3, 'nll_ci_high': 0.55, 'entropy': 0.02,
                 'kl': 0.38, 'kl_ci_low': 0.29, 'kl_ci_high': 0.53, 'evidence': 12.0,
                 'threshold': 2000.0, 'reference_nll': 0.25,
                 'change_at': '', 'worst_label': 'wrench', 'model_digest': 'a' * 64} | more
        self._monitor.publish(DiagnosticStatus(
            name='tool_recognizer: monitor', message='in control',
            level=DiagnosticStatus.ERROR if more.get('change_at') else DiagnosticStatus.OK,
            values=entries(**known)))

    def confirmations(self):
        """Return the confirmations, each once: (stamp, distribution, operator)."""
        once = {values['nonce']: values for values in self.heard}
        return [(int(values['stamp']), json.loads(values['distribution']), values['operator'])
                for values in once.values()]


@pytest.fixture
def recognizer_played(peer):
    return Recognizer(peer)


@pytest.fixture
def console(start, peer, tmp_path):
    """Start the console; return the program, with its address."""

    def launch(port=0, undo=UNDO, **parameters):
        arguments = ['console', '--ros-args', '-p', f'console.port:={port}',
                     '-p', f'console.outbox:={tmp_path / "console.outbox"}',
                     '-p', f'console.undo:={undo}', '-p', 'console.locale:=en']
        for name, value in parameters.items():
            arguments += ['-p', f'{name.replace("__", ".")}:={value}']
        program = start(*arguments)
        found = peer.wait(lambda: re.search(r'open (https?://\S+)', program.output)
                          or program.process.poll() is not None, 'the console does not start',
                          PATIENCE)
        assert found is not True, program.output
        program.address = found[1]
        return program

    return launch


@pytest.fixture(scope='module')
def chromium():
    if CHROMIUM is None:
        pytest.skip('no Chromium is installed')
    playwright = pytest.importorskip('playwright.sync_api', reason='pip install playwright')
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=FLAGS,
                                       timeout=1000 * PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium):
    """Open pages; each request that one makes, and each error, is kept."""
    contexts = []

    def new_page(address, **options):
        contexts.append(chromium.new_context(
            viewport=options.pop('viewport', {'width': 1280, 'height': 800}), **options))
        contexts[-1].set_default_timeout(1000 * PATIENCE)
        page = contexts[-1].new_page()
        page.requested, page.errors = [], []
        page.on('request', lambda request: page.requested.append(request.url))
        page.on('websocket', lambda socket: page.requested.append(socket.url))
        page.on('pageerror', lambda error: page.errors.append(str(error)))
        page.on('console', lambda message: page.errors.append(message.text)
                if message.type == 'error' and 'WebSocket' not in message.text else None)
        page.goto(address)
        return page

    yield new_page
    errors = [error for context in contexts for page in context.pages
              for error in getattr(page, 'errors', [])]
    for context in contexts:
        context.close()
    assert not errors, errors


def wait_for_frame(page, number):
    """Wait until the frame is on the screen and can be confirmed."""
    def blue():
        return page.evaluate("""() => {
            const picture = document.querySelector('#picture')
            if (picture.hidden || !picture.naturalWidth) return -100
            const canvas = document.createElement('canvas')
            canvas.width = canvas.height = 1
            canvas.getContext('2d').drawImage(picture, 0, 0)
            return canvas.getContext('2d').getImageData(0, 0, 1, 1).data[2]
        }""")
    page.locator('#picture').wait_for(state='attached')  # after a login another page comes first
    wait_in_browser(page, lambda: abs(blue() - 40 * number % 256) < 6,
                    'another picture is shown')
    page.locator('#choices .choice[aria-disabled="false"]').first.wait_for()


def wait_in_browser(page, condition, why, patience=PATIENCE):
    """Wait without standing still: a page's events are seen only while it is asked something."""
    end = monotonic() + patience
    while not (value := condition()):
        assert monotonic() < end, f'waited in vain: {why() if callable(why) else why}'
        page.wait_for_timeout(20)
    return value


@pytest.fixture
def real(recognizer, write_model, peer, tmp_path):
    """Start the real recognizer with a journal; it asks about every frame that it answers."""
    options = {'model_path': write_model(), 'journal__path': tmp_path / 'journal.db',
               'inspection__probability': 1.0, 'inspection__uncertain_probability': 1.0,
               'inspection__max_per_minute': 6000.0}
    program = recognizer(**options)
    camera = Camera(peer)
    camera.program, camera.start_again = program, lambda: recognizer(**options)
    return camera


def insist(page, press, place, done):
    """Press until it is done: a console that has just started has not heard the recognizer yet."""
    refused = page.locator(place, has_text=re.compile(
        'does not respond|is not heard|at this moment|No connection|takes too long'))

    def is_done():
        if not (value := done()) and refused.is_visible():
            press()
        return value
    press()
    return wait_in_browser(page, is_done, lambda: f'{page.locator(place).inner_text()!r} is said')


def agree(page, button):
    """Press a button, of a selector or a locator, that asks whether it is meant, and say yes."""
    pressed = page.locator(button) if isinstance(button, str) else button
    yes = page.locator('#sure button[value=yes]')

    def is_asked():
        # A page that was just opened does not hear its buttons yet, nor one that is drawn anew
        # while it is pressed.
        if not yes.is_visible():
            pressed.click()
        return yes.is_visible()
    wait_in_browser(page, is_asked, f'{button} does not ask')
    yes.click()


def act(page, action):
    """Press one of the engineer's buttons, and confirm that, until it is done."""
    insist(page, lambda: agree(page, f'[data-action={action}]'), '#acted',
           page.locator('#acted', has_text='Done').is_visible)


def asked_stamp(camera, page):
    """Feed frames until one is asked about; return the stamp of the frame that is shown."""
    ready, numbers = page.locator('#choices .choice[aria-disabled="false"]'), count(1)
    stamps = set()

    def is_asked():
        head = header(next(numbers))
        stamps.add(from_ros.key(head).stamp)
        camera.answer(flat((200, 30, 30), head))
        # Each takes a moment to be shown, and when there are many the oldest is shown no more.
        for _ in range(30):
            page.wait_for_timeout(100)
            if ready.count():
                return True
        return False
    wait_in_browser(page, is_asked, 'no frame is asked about')
    stamp = int(page.locator('#picture').get_attribute('data-stamp'))
    assert stamp in stamps
    return stamp


def read_journal(path, read):
    """Return what is read of a journal, once the node that writes it has begun or gone on."""
    end = monotonic() + PATIENCE
    while True:
        try:
            with JournalReader(path) as journal:
                return read(journal)
        except JournalError:
            if monotonic() > end:
                raise
        sleep(0.1)


def confirmed_in(path):
    return read_journal(path, lambda journal: [
        (c.stamp, c.label, c.operator, c.outcome) for c in journal.confirmations()])


def deeds_in(path):
    """Return who did what, the newest first."""
    return read_journal(path, lambda journal: [
        json.loads(row.detail) for row in journal.latest(('action',), 0, 100)])


def monitored(camera):
    """Return the newest figures of the monitor that were heard."""
    return values(camera.monitor[-1]) if camera.monitor else {'n': ''}


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / 'token'
    path.touch(0o600)
    path.write_text('a-token-that-is-long-enough')
    return path


@pytest.fixture
def people(tmp_path):
    path, kept = tmp_path / 'people.json', hashed(PASSWORD)
    write_people(path, {f'{role[:2]}na': Person(f'{role[:2]}na', role, kept)
                        for role in ('operator', 'engineer', 'admin')})
    return path


def log_in(page, name, password=PASSWORD):
    page.locator('#name').fill(name)
    page.locator('#password').fill(password)
    page.keyboard.press('Enter')
