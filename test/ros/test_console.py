"""
The console in a real browser, over real DDS.

The recognizer is played by the test where its misbehaviour matters, and is the real one elsewhere.
"""

from array import array
from contextlib import suppress
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from time import monotonic
from time import sleep
from urllib.parse import urlsplit
from urllib.request import urlopen

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from graph import Camera
from graph import confirmed
from graph import flat
from graph import header
from graph import LABELS
from graph import LATCHED
from graph import Operator
from graph import values
from journal_writer import JournalWriter
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger
from tool_recognizer.console.people import hashed
from tool_recognizer.console.people import Person
from tool_recognizer.console.people import write_people
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.messages import from_ros
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo
from vision_msgs.msg import ObjectHypothesis
from vision_msgs.msg import VisionClass
from web_socket import connect

playwright = pytest.importorskip('playwright.sync_api', reason='pip install playwright')
CHROMIUM = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome'))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium is installed')

DEEP = QoSProfile(depth=1000)
NAME = '/tool_recognizer'
UNDO = 0.3


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
        self._peer.wait(lambda: self._requests.get_subscription_count()
                        and self._pictures.get_subscription_count(), 'no console subscribes')

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
                 'kl': 0.38, 'evidence': 12.0, 'threshold': 2000.0, 'reference_nll': 0.25,
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
                          or program.process.poll() is not None, 'the console does not start')
        assert found is not True, program.output
        program.address = found[1]
        return program

    return launch


@pytest.fixture(scope='module')
def chromium():
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium):
    """Open pages; each request that one makes, and each error, is kept."""
    contexts = []

    def new_page(address, **options):
        contexts.append(chromium.new_context(
            viewport=options.pop('viewport', {'width': 1280, 'height': 800}), **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
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
    assert not errors


def wait_for_frame(page, number):
    """Wait until the frame is on the screen and can be confirmed."""
    page.wait_for_function(
        """() => !document.querySelector('#picture').hidden
                 && document.querySelector('#picture').naturalWidth > 0""")
    page.locator('#choices .choice[aria-disabled="false"]').first.wait_for()
    shown = page.evaluate("""() => {
        const canvas = document.createElement('canvas')
        canvas.width = canvas.height = 1
        canvas.getContext('2d').drawImage(document.querySelector('#picture'), 0, 0)
        return canvas.getContext('2d').getImageData(0, 0, 1, 1).data[2]
    }""")
    assert abs(shown - 40 * number % 256) < 6, 'another picture is shown'


def wait_in_browser(page, condition, why):
    """Wait without standing still: a page's events are seen only while it is asked something."""
    end = monotonic() + 20
    while not (value := condition()):
        assert monotonic() < end, f'waited in vain: {why}'
        page.wait_for_timeout(20)
    return value


@needs_browser
def test_key_2_confirms_exactly_the_frame_that_is_shown(console, browser, recognizer_played):
    page = browser(console().address)
    recognizer_played.ready()
    recognizer_played.ask(1)
    recognizer_played.ask(2)
    wait_for_frame(page, 1)
    page.keyboard.press('2')
    wait_for_frame(page, 2)
    wait_in_browser(page, recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'screwdriver': 1.0}, '')]
    assert {urlsplit(url).hostname for url in page.requested} <= {'127.0.0.1', None}


@needs_browser
def test_with_a_gate_an_operator_is_told_that_the_pictures_show_one_tool(
        console, browser, recognizer_played):
    page = browser(console().address)
    recognizer_played.ask(1)
    page.locator('#picture:visible').wait_for()
    assert 'one and the same tool' not in page.locator('#why').inner_text()
    recognizer_played.statuses = [DiagnosticStatus(
        name='tool_recognizer: passages', level=DiagnosticStatus.OK, message='no passage')]
    page.locator('#why:visible', has_text='one and the same tool').wait_for()
    assert '5 %' in page.locator('#why').inner_text()


@needs_browser
def test_a_touch_confirms_and_the_name_goes_with_it(console, browser, recognizer_played):
    page = browser(console().address, has_touch=True, is_mobile=True,
                   viewport={'width': 390, 'height': 844})
    page.locator('#name-button').tap()
    page.locator('#name').fill('Kim')
    page.locator('button[value=save]').tap()
    recognizer_played.ready()
    recognizer_played.ask(3)
    wait_for_frame(page, 3)
    page.locator('.choice', has_text='hammer').tap()
    wait_in_browser(page, recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(3), {'hammer': 1.0}, 'Kim')]


@needs_browser
def test_undo_brings_the_frame_back_and_only_the_second_confirmation_is_sent(
        console, browser, recognizer_played):
    page = browser(console(undo=3.0).address)
    recognizer_played.ready()
    recognizer_played.ask(4)
    wait_for_frame(page, 4)
    page.keyboard.press('1')
    page.locator('#undo:enabled').wait_for()
    page.keyboard.press('u')
    wait_for_frame(page, 4)
    page.keyboard.press('x')
    wait_in_browser(page, recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(4), {'operator:cannot_see': 1.0}, '')]


@needs_browser
def test_a_confirmation_taken_back_shows_a_notice_on_the_other_screens_only(
        console, browser, recognizer_played):
    address = console(undo=20.0).address
    own, other = browser(address), browser(address)
    recognizer_played.ready()
    recognizer_played.ask(1)
    recognizer_played.ask(2)
    wait_for_frame(own, 1)
    own.evaluate("""() => {
        const notice = document.querySelector('#notice')
        window.noticed = []
        new MutationObserver(() => window.noticed.push(notice.textContent)).observe(
            notice, { attributes: true, childList: true })
    }""")
    own.keyboard.press('1')
    for page in (own, other):
        wait_for_frame(page, 2)
    own.keyboard.press('u')
    other.locator('#notice:visible', has_text='A confirmation was taken back').wait_for()
    for page in (own, other):
        wait_for_frame(page, 1)
    assert own.locator('#said').inner_text() == 'Taken back: hammer'
    assert not any(own.evaluate('() => window.noticed'))


@needs_browser
def test_with_the_keyboard_alone_every_button_can_be_reached(
        console, browser, recognizer_played):
    page = browser(console().address)
    recognizer_played.ready()
    recognizer_played.ask(5)
    wait_for_frame(page, 5)
    for _ in range(20):
        page.keyboard.press('Tab')
        if page.evaluate('document.activeElement.dataset.label') == 'operator:another_tool':
            break
    page.keyboard.press('Enter')
    wait_in_browser(page, recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(5), {'operator:another_tool': 1.0}, '')]


@needs_browser
def test_of_three_pages_one_confirms_and_a_finger_on_the_others_cannot_hit_the_next_frame(
        console, browser, recognizer_played):
    address = console().address
    pages = [browser(address) for _ in range(3)]
    recognizer_played.ready()
    recognizer_played.ask(1)
    for page in pages:
        wait_for_frame(page, 1)
    recognizer_played.ask(2)
    pages[0].keyboard.press('1')
    pages[1].locator('#notice', has_text='Confirmed on another screen').wait_for()
    pages[1].keyboard.press('3')  # meant for frame 1, which is no longer there
    for page in pages:
        wait_for_frame(page, 2)
    pages[2].keyboard.press('2')
    wait_in_browser(pages[2], lambda: len(recognizer_played.confirmations()) == 2,
                    'no confirmations')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'hammer': 1.0}, ''),
                                                 (stamp_of(2), {'screwdriver': 1.0}, '')]


def test_a_console_that_is_killed_sends_after_its_restart_what_it_had_taken(
        console, peer, recognizer_played, tmp_path):
    program = console(undo=30.0)
    socket = f'ws://{urlsplit(program.address).netloc}/socket?view=operator'
    with connect(socket) as page:
        page.send(json.dumps({'kind': 'answer', 'nonce': 'nonce-0001', 'frame_id': 'bench',
                              'stamp': str(stamp_of(1)), 'label': 'wrench', 'operator': ''}))
        while 'taken' not in str(page.recv(timeout=10)):
            pass
        program.process.kill()
        program.process.wait()
    assert recognizer_played.heard == []
    console(undo=0.2)
    peer.wait(recognizer_played.confirmations, 'no confirmation')
    peer.wait(lambda: _outcomes(tmp_path / 'console.outbox') == ['scored'], 'no outcome')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'wrench': 1.0}, '')]


def _outcomes(path):
    """Read how the confirmations ended, from a copy: the console has its file locked."""
    copy = path.parent / 'copy'
    for end in ('', '-wal'):
        with suppress(FileNotFoundError):
            shutil.copy(f'{path}{end}', f'{copy}{end}')
    db = sqlite3.connect(copy)
    try:
        return [outcome for (outcome,) in db.execute('SELECT outcome FROM answers')]
    except sqlite3.Error:  # copied while it was written
        return []
    finally:
        db.close()


@needs_browser
def test_a_confirmation_is_repeated_until_it_is_acknowledged_and_then_no_more(
        console, browser, peer, recognizer_played):
    page = browser(console(undo=0.2).address)
    recognizer_played.acknowledging = False
    recognizer_played.ready()
    recognizer_played.ask(1)
    wait_for_frame(page, 1)
    page.keyboard.press('3')
    wait_in_browser(page, lambda: len(recognizer_played.heard) >= 2, 'not repeated')
    page.locator('#trouble', has_text='not acknowledged yet: 1').wait_for()
    recognizer_played.acknowledging = True
    page.locator('#trouble').wait_for(state='hidden')
    assert len(recognizer_played.confirmations()) == 1
    n = len(recognizer_played.heard)
    sleep(2.0)
    assert len(recognizer_played.heard) == n


@needs_browser
def test_a_page_outlives_its_console_and_sends_what_was_pressed_meanwhile(
        console, browser, recognizer_played):
    program = console()
    page = browser(program.address)
    recognizer_played.ready()
    recognizer_played.ask(1)
    wait_for_frame(page, 1)
    program.process.kill()
    program.process.wait()
    page.locator('#trouble', has_text='No connection').wait_for()
    page.keyboard.press('1')
    page.locator('#trouble', has_text='Confirmations kept here: 1').wait_for()
    console(port=urlsplit(program.address).port)
    page.locator('#trouble').wait_for(state='hidden')
    wait_in_browser(page, recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'hammer': 1.0}, '')]
    page.wait_for_function("() => localStorage.getItem('pending') === '[]'")


@needs_browser
def test_a_page_that_was_gone_before_the_console_had_its_confirmation_sends_it_later(
        console, browser, recognizer_played):
    program = console()
    page = browser(program.address)
    recognizer_played.ready()
    recognizer_played.ask(1)
    wait_for_frame(page, 1)
    program.process.kill()
    program.process.wait()
    page.locator('#trouble', has_text='No connection').wait_for()
    page.keyboard.press('1')
    context = page.context
    page.close()
    address = console(port=urlsplit(program.address).port).address
    again = context.new_page()
    again.goto(address)
    wait_in_browser(again, recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'hammer': 1.0}, '')]


@needs_browser
def test_the_engineer_sees_picture_prediction_figures_and_alarm_and_resets_after_one_question(
        console, browser, recognizer_played):
    page = browser(console().address + 'engineer')
    wait_in_browser(page, recognizer_played.live.get_subscription_count,
                    'nobody wants the live picture')
    for n in range(1, 8):
        recognizer_played.watch(n)
    recognizer_played.watch(8, change_at=4, evidence=2500.0)
    recognizer_played.predict(1, 0.1, 0.2, 0.7)
    recognizer_played.decide(1, 'wrench', 0.7)
    page.locator('#verdict.level-2', has_text='Drift').wait_for()
    page.locator('#verdict', has_text='mostly wrench').wait_for()
    page.locator('#figures', has_text='2500').wait_for()
    page.locator('#bars output', has_text='70.0 %').wait_for()

    def live_picture_is_shown():  # it is sent best effort, so once may not be enough
        recognizer_played.live.publish(CompressedImage(
            header=header(1), format='jpeg', data=jpeg(1)))
        page.wait_for_timeout(100)
        return page.evaluate("() => document.querySelector('#live').naturalWidth === 640")
    wait_in_browser(page, live_picture_is_shown, 'no live picture')
    page.locator('#evidence-chart .limit').wait_for(state='attached')
    page.locator('#nll-chart .change').wait_for(state='attached')
    page.locator('#input', has_text='busy 10').wait_for()
    page.locator('[data-range="1h"]').click()
    page.locator('[data-action=reset_monitor]').click()
    page.locator('#sure button[value=no]').click()
    page.locator('[data-action=reset_monitor]').click()
    page.locator('#sure button[value=yes]').click()
    page.locator('#acted', has_text='Done: The monitor starts a new run.').wait_for()
    assert recognizer_played.resets == 1
    page.goto('about:blank')
    wait_in_browser(page, lambda: recognizer_played.live.get_subscription_count() == 0,
                    'the live picture is still asked for')


@needs_browser
def test_while_the_line_is_learned_the_engineer_sees_how_far(
        recognizer, write_model, peer, console, browser):
    """In English and in German: the node says what it says in codes."""
    recognizer(model_path=write_model(), monitor__minimum=2)
    address = console(console__locale='auto').address + 'engineer'
    english, german = browser(address, locale='en-GB'), browser(address, locale='de-AT')
    camera = Camera(peer)
    operator = Operator(camera)
    for number, verdict, urteil in (
            (1, 'not enough confirmed labels yet (1)', 'noch zu wenige Bestätigungen (1)'),
            (2, 'learning: 2 of 200 labels', 'lernt: 2 von 200 Bestätigungen'),
            (3, 'learning: 3 of 200 labels', 'lernt: 3 von 200 Bestätigungen')):
        camera.answer(flat((200, 0, 0), header(number)))
        operator.confirm(confirmed(header(number), 'hammer'), n=number)
        english.locator('#verdict.level-1', has_text=verdict).wait_for()
        german.locator('#verdict.level-1', has_text=urteil).wait_for()
    german.locator('#input', has_text='Frühwarnungwie zuvor').wait_for()
    # The camera has fallen silent, which is an event, too.
    for place in ('#trouble', '#events'):
        german.locator(place, has_text='/image_raw hat einen Sender, aber kein Bild').wait_for()
        english.locator(place, has_text='/image_raw has a publisher, but no frame').wait_for()


@needs_browser
def test_the_headline_and_the_bars_are_of_one_frame(console, browser, recognizer_played):
    page = browser(console().address + 'engineer')
    recognizer_played.ready()
    page.evaluate("""() => {
        window.seen = []
        new MutationObserver(() => {
            const bar = document.querySelectorAll('#bars output')[2]
            window.seen.push([document.querySelector('#decision').textContent, bar?.textContent])
        }).observe(document.querySelector('main'), { subtree: true, childList: true })
    }""")
    for number in range(1, 40):  # a decision comes when the next prediction is there already
        recognizer_played.predict(number, 0.0, 1.0 - number / 100, number / 100)
        if number > 1:
            recognizer_played.decide(number - 1, 'wrench', (number - 1) / 100)
        page.wait_for_timeout(20)
    recognizer_played.decide(39, 'wrench', 0.39)
    page.locator('#decision', has_text='wrench 39.0 %').wait_for()
    seen = page.evaluate('() => window.seen')
    assert len({headline for headline, _ in seen}) > 5
    # Both are written one after the other; what is seen is what is there when both are.
    assert [[headline, bar] for headline, bar in seen
            if headline and headline != f'wrench {bar}'] == []


@needs_browser
def test_what_a_recognizer_said_before_it_died_is_not_shown_as_if_it_lived(
        console, browser, peer, recognizer_played):
    recognizer_played.alive = False
    address = console().address
    page, operator = browser(f'{address}engineer'), browser(address)
    domain = peer.context.get_domain_id()
    for one in (page, operator):  # before anything is heard, the page says what it waits for
        one.locator('#trouble:visible', has_text=f'/tool_recognizer in ROS_DOMAIN_ID {domain} yet'
                    ).wait_for()
    recognizer_played.ready()
    recognizer_played.alive = True
    recognizer_played.watch(5, state='in_control')
    recognizer_played.predict(1, 0.1, 0.2, 0.7)
    recognizer_played.decide(1, 'wrench', 0.7)
    page.locator('#verdict.level-0', has_text='in control').wait_for()
    page.locator('#decision', has_text='wrench').wait_for()
    recognizer_played.alive = False
    page.locator('body.old').wait_for()
    assert re.fullmatch(r'No response since \d\d:\d\d:\d\d',
                        page.locator('#verdict-text').inner_text())
    assert page.locator('#decision').inner_text() == ''
    assert page.locator('#bars output').all_inner_texts() == ['\u2013'] * 3
    bars = page.locator('#bars meter').evaluate_all('all => all.map((one) => one.value)')
    assert bars == [0, 0, 0]
    for one in (page, operator):
        assert f'/tool_recognizer (ROS_DOMAIN_ID {domain})' in one.locator('#trouble').inner_text()
    recognizer_played.alive = True
    page.locator('#verdict.level-0', has_text='in control').wait_for()
    page.locator('#bars output', has_text='70.0 %').wait_for()


@needs_browser
def test_a_frozen_camera_is_a_trouble_with_its_cure(
        recognizer, write_model, peer, console, browser):
    recognizer(model_path=write_model(metadata={'rejection': {}}), decision__frozen_after=3)
    program = console()
    page = browser(f'{program.address}engineer', locale='de')
    camera = Camera(peer)
    for number in range(1, 60):
        camera.answer(flat((200, 0, 0), header(number)))
    diagnostics = peer.collect(DiagnosticArray, '/diagnostics')

    def told():
        return [status for array in diagnostics for status in array.status
                if status.name == 'tool_recognizer: decisions'
                and status.level == DiagnosticStatus.WARN]
    status = peer.wait(told, 'no warning')[-1]
    assert 'start its driver anew' in status.message
    assert values(status)['state'] == 'unknown:frozen'
    assert float(values(status)['share_unknown:frozen']) > 0.5
    for place in ('#trouble', '#events'):
        page.locator(place, has_text='frozen picture: the camera delivers its last').wait_for()
    metrics = urlopen(f'{program.address}metrics', timeout=20).read().decode()
    assert re.search(r'decision_share\{decision="unknown:frozen",.*\} 0\.[5-9]', metrics)


@needs_browser
def test_an_operator_hears_of_a_conflict_and_the_engineer_of_whom_and_which_frame(
        console, browser, recognizer_played):
    address = console(console__locale='auto').address
    page, engineer = browser(address, locale='de'), browser(f'{address}engineer')
    page.evaluate("localStorage.setItem('operator', '\"Kim\"')")
    recognizer_played.ready()
    recognizer_played.outcome = 'conflicting'
    recognizer_played.ask(1)
    wait_for_frame(page, 1)
    page.keyboard.press('3')
    page.locator('#settled', has_text='wrench: nicht gezählt').wait_for()
    engineer.locator('#events', has_text='Conflicting confirmation: wrench, by Kim, frame '
                     f'{stamp_of(1)} ns of bench').wait_for()
    recognizer_played.ask(2)
    recognizer_played.outcome = 'scored'
    wait_for_frame(page, 2)
    page.keyboard.press('1')
    wait_in_browser(page, lambda: len(recognizer_played.confirmations()) == 2, 'no confirmation')
    page.reload()  # what was told once is not told again
    page.locator('#nothing-now').wait_for()
    assert page.locator('#settled').inner_text() == ''


# What a key gives on keyboards that are not American, its place, and what it confirms.
ELSEWHERE = (('&', 'Digit1', 'hammer'), ('\u011b', 'Digit2', 'screwdriver'),
             ('Process', 'Digit3', 'wrench'), ('\u00e0', 'Digit0', 'operator:another_tool'),
             ('\u03c7', 'KeyX', 'operator:cannot_see'), ('\u0447', 'KeyX', 'operator:cannot_see'))


@needs_browser
def test_keys_are_known_by_their_place_where_they_give_no_digit_and_no_latin_letter(
        console, browser, recognizer_played):
    page = browser(console(undo=0.0).address)
    recognizer_played.ready()

    def press(key, code, shift=False):
        page.evaluate("""(pressed) => document.body.dispatchEvent(
            new KeyboardEvent('keydown', { ...pressed, bubbles: true }))""",
                      {'key': key, 'code': code, 'shiftKey': shift})
    for number, (key, code, _) in enumerate(ELSEWHERE, 1):
        recognizer_played.ask(number)
        wait_for_frame(page, number)
        press('q', 'KeyX')           # Dvorak
        press('!', 'Digit1', True)   # a shifted digit, on purpose
        press('End', 'Numpad1')
        press(key, code)
        wait_in_browser(page, lambda n=number: len(recognizer_played.confirmations()) == n,
                        f'{key} does nothing')
    assert [[*distribution] for _, distribution, _ in recognizer_played.confirmations()] == [
        [label] for _, _, label in ELSEWHERE]


@needs_browser
def test_at_twice_the_size_nothing_is_cut_off_and_the_picture_is_large(
        console, browser, recognizer_played):
    """As a screen of 1280 pixels zoomed to 200 %, with what a browser takes of its height."""
    address = console(console__locale='auto').address
    pages = [browser(address, locale=locale, viewport={'width': 640, 'height': 340})
             for locale in ('en', 'de')]
    recognizer_played.ready()
    recognizer_played.ask(1)
    for page in pages:
        wait_for_frame(page, 1)
        assert_nothing_is_cut_off(page)


def assert_nothing_is_cut_off(page):
    boxes = page.locator('.choice').evaluate_all("""(all) => all.filter((one) => one.offsetHeight
        && !one.closest('dialog')).map((one) => {
        const box = one.getBoundingClientRect()
        const list = one.parentElement.getBoundingClientRect()
        return [one.textContent, box.top >= list.top, box.bottom <= list.bottom,
          box.bottom <= innerHeight, one.scrollHeight <= one.offsetHeight + 1,
          one.scrollWidth <= one.offsetWidth]
    })""")
    assert len(boxes) == len(LABELS) + 3
    assert [box for box in boxes if not all(box[1:])] == []
    picture = page.locator('#picture').bounding_box()
    assert picture['width'] * picture['height'] > 2 * 160 * 120
    assert page.evaluate('document.documentElement.scrollWidth') == 640


@needs_browser
def test_a_candidate_can_be_promoted_only_when_it_is_better(console, browser, recognizer_played):
    page = browser(console().address + 'engineer')
    button = page.locator('[data-action=promote_shadow]')
    page.locator('#input', has_text='answering').wait_for()
    assert not button.is_visible()
    figures = {'n': 40, 'nll_difference': -0.02, 'nll_difference_ci_low': -0.05}
    for verdict, high in (('undecided', 0.01), ('better', -0.004)):
        recognizer_played.statuses = [DiagnosticStatus(
            name='tool_recognizer: shadow', values=entries(
                state=verdict, nll_difference_ci_high=high, **figures))]
        page.locator('#input', has_text=f'{verdict}, -0.02 [-0.05, {high}] nats, 40').wait_for()
        assert button.is_enabled() == (verdict == 'better')
    button.click()
    page.locator('#sure button[value=yes]').click()
    page.locator('#acted', has_text='Failed. The node says:').wait_for()
    assert page.locator('#acted q[lang=en]').inner_text() == 'its file has changed'


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / 'token'
    path.touch(0o600)
    path.write_text('a-token-that-is-long-enough')
    return path


@needs_browser
@pytest.mark.parametrize(('locale', 'wrong'), [
    ('en', 'That is not the token.'), ('de', 'Das ist nicht der Zugangscode.')])
def test_the_form_opens_the_page_with_the_token_and_says_so_when_it_is_another(
        console, browser, token_file, locale, wrong):
    """As a browser posts it: with an Origin, which the page's Referrer-Policy decides about."""
    page = browser(console(console__token_file=token_file, console__locale='auto').address,
                   locale=locale)
    page.locator('#token').fill('another-token-of-some-length')
    page.keyboard.press('Enter')
    page.locator('#told', has_text=wrong).wait_for()
    page.locator('#token').fill(token_file.read_text())
    page.locator('button').click()
    page.locator('#nothing-now').wait_for()
    assert {error for error in page.errors if '401' not in error} == set()
    page.errors.clear()


@needs_browser
@pytest.mark.skipif(shutil.which('openssl') is None, reason='openssl makes the certificate')
def test_over_tls_pages_sockets_and_a_secure_cookie_work(
        console, browser, recognizer_played, token_file, tmp_path):
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
                    '-keyout', tmp_path / 'key', '-out', tmp_path / 'certificate',
                    '-subj', '/CN=localhost'], check=True, capture_output=True)
    address = console(
        console__host='0.0.0.0', console__token_file=token_file,
        console__tls_certificate=tmp_path / 'certificate',
        console__tls_key=tmp_path / 'key').address
    assert address.startswith('https://')
    assert '0.0.0.0' not in address
    page = browser(address, ignore_https_errors=True)
    page.locator('#token').fill(token_file.read_text())
    page.keyboard.press('Enter')
    recognizer_played.ready()
    recognizer_played.ask(1)
    wait_for_frame(page, 1)
    assert [cookie['secure'] for cookie in page.context.cookies()] == [True]
    page.keyboard.press('1')
    wait_in_browser(page, recognizer_played.confirmations, 'no confirmation')
    page.errors.clear()  # the 401 of the page that asks for the token


@needs_browser
def test_numbers_that_are_none_are_shown_as_missing_and_end_nothing(
        console, browser, recognizer_played):
    program = console()
    page = browser(f'{program.address}engineer')
    recognizer_played.ready()
    recognizer_played.watch(5)
    page.locator('#figures', has_text='confirmed').wait_for()
    recognizer_played.watch('inf', nll='nan', scored='inf', evidence='inf')
    recognizer_played.predict(1, float('nan'), 0.25)
    recognizer_played.decide(1, 'unknown:low_confidence')
    page.locator('#bars', has_text='\u2013').wait_for()
    page.locator('#bars', has_text='25.0 %').wait_for()
    assert b'console_clients{recognizer="/tool_recognizer",view="engineer"} 1.0' in urlopen(
        f'{program.address}metrics', timeout=20).read()


def test_a_file_that_others_may_write_is_no_token_and_one_that_they_read_is_warned_of(
        console, start, token_file, tmp_path):
    token_file.chmod(0o644)
    assert 'other users may read it (mode 644)' in console(console__token_file=token_file).output
    assert (tmp_path / 'console.outbox').stat().st_mode & 0o777 == 0o600
    token_file.chmod(0o666)
    program = start('console', '--ros-args', '-p', f'console.outbox:={tmp_path / "o"}',
                    '-p', 'console.port:=0', '-p', f'console.token_file:={token_file}')
    assert program.process.wait(60) == 2
    assert 'other users may change it (mode 666)' in program.output
    assert program.output.count('\n') == 1


def test_an_address_of_others_needs_tls_or_a_proxy_that_does_it(
        console, start, token_file, tmp_path):
    plain = ('console', '--ros-args', '-p', f'console.outbox:={tmp_path / "o"}', '-p',
             'console.port:=0', '-p', 'console.host:=0.0.0.0', '-p',
             f'console.token_file:={token_file}')
    program = start(*plain)
    assert program.process.wait(60) == 2
    assert 'console.plain_http' in program.output
    assert program.output.count('\n') == 1
    address = console(console__host='0.0.0.0', console__token_file=token_file,
                      console__plain_http='true').address
    assert address.startswith('http://')
    assert urlopen(f'{address}static/console.css', timeout=20).status == 200
    assert '0.0.0.0' not in address


@pytest.mark.parametrize(('parameter', 'value', 'words'), [
    ('console.host', '0.0.0.0', 'a token is needed'),
    ('console.token_file', '/no/such/file', 'No such file'),
    ('console.tls_key', '/no/such/file', 'name both'),
    ('console.users_file', '/no/such/file', 'console users add'),
    ('console.locale', 'tlh', 'console.locale must be auto or one of')])
def test_the_console_refuses_what_it_cannot_use_in_one_line_with_status_2(
        start, tmp_path, parameter, value, words):
    program = start('console', '--ros-args', '-p', f'console.outbox:={tmp_path / "o"}',
                    '-p', 'console.port:=0', '-p', f'{parameter}:={value}')
    assert program.process.wait(60) == 2
    assert words in program.output
    assert program.output.count('\n') == 1


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


def asked_stamp(camera, page):
    """Feed frames until one is asked about; return the stamp of the frame that is shown."""
    ready = page.locator('#choices .choice[aria-disabled="false"]')
    for number in range(1, 100):
        camera.answer(flat((200, 30, 30), header(number)))
        page.wait_for_timeout(200)
        if ready.count():
            break
    stamp = int(page.locator('#picture').get_attribute('data-stamp'))
    assert stamp in {from_ros.key(header(n)).stamp for n in range(1, number + 1)}
    return stamp


def _confirmations(path):
    with JournalReader(path) as journal:
        return [(c.stamp, c.label, c.operator, c.outcome) for c in journal.confirmations()]


@needs_browser
def test_a_recognizer_that_asks_for_nothing_is_shown_with_the_parameter_that_changes_it(
        recognizer, write_model, peer, console, browser):
    recognizer(model_path=write_model())
    address = console().address
    page, engineer = browser(address), browser(f'{address}engineer')
    page.locator('#nothing-asked:visible', has_text='inspection.probability is 0').wait_for()
    page.locator('#nothing-now').wait_for(state='hidden')
    assert peer.set_parameter('inspection.probability', 0.005).successful
    engineer.locator('[data-action=reload_model]').click()
    engineer.locator('#sure button[value=yes]').click()
    page.locator('#nothing-now:visible', has_text='comes by itself').wait_for()
    page.locator('#nothing-asked').wait_for(state='hidden')


@needs_browser
def test_with_the_real_recognizer_the_journal_holds_the_frame_and_the_monitor_counts_it(
        real, console, browser, tmp_path):
    page = browser(console(undo=0.3, journal__path=tmp_path / 'journal.db').address)
    stamp = asked_stamp(real, page)
    page.keyboard.press('2')
    wait_in_browser(page, lambda: _confirmations(tmp_path / 'journal.db'), 'nothing in it')
    assert _confirmations(tmp_path / 'journal.db') == [(stamp, 'screwdriver', '', Outcome.SCORED)]
    real.peer.wait(lambda: values(real.monitor[-1])['n'] == '1', 'the monitor counts it')
    page.goto(page.url + 'engineer')
    page.locator('#pairs', has_text='screwdriver taken for hammer: 1').wait_for()
    page.locator('#figures', has_text=re.compile('confirmed1')).wait_for()


@needs_browser
def test_a_recognizer_that_is_killed_before_it_acknowledges_has_the_confirmation_once(
        real, console, browser, tmp_path):
    page = browser(console(undo=0.5).address)
    stamp = asked_stamp(real, page)
    page.keyboard.press('1')
    page.locator('#said', has_text='Confirmed: hammer').wait_for()
    real.program.process.kill()
    real.program.process.wait()
    page.locator('#trouble', has_text='/tool_recognizer').wait_for()
    real.start_again()
    wait_in_browser(page, lambda: _confirmations(tmp_path / 'journal.db'), 'nothing in it')
    page.locator('#trouble').wait_for(state='hidden')
    sleep(2.0)  # a repetition would have come by now
    kept = _confirmations(tmp_path / 'journal.db')
    assert [one[:2] for one in kept] == [(stamp, 'hammer')]


@needs_browser
def test_a_browser_that_is_killed_loses_no_confirmation(
        console, chromium, recognizer_played, peer, tmp_path):
    address = console(undo=3.0).address
    profile = tmp_path / 'profile'
    process = subprocess.Popen(
        [CHROMIUM, '--headless=new', '--no-sandbox', '--remote-debugging-port=0',
         f'--user-data-dir={profile}', 'about:blank'],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        port = peer.wait(lambda: (profile / 'DevToolsActivePort').exists() and (
            profile / 'DevToolsActivePort').read_text().split('\n')[0], 'no browser')
        doomed = chromium.browser_type.connect_over_cdp(f'http://127.0.0.1:{port}')
        page = doomed.contexts[0].new_page()
        page.goto(address)
        recognizer_played.ready()
        recognizer_played.ask(1)
        wait_for_frame(page, 1)
        page.keyboard.press('1')
        page.locator('#said', has_text='Confirmed: hammer').wait_for()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert recognizer_played.heard == []
    peer.wait(recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'hammer': 1.0}, '')]


def test_a_console_in_a_namespace_hears_its_own_recognizer(start, peer, tmp_path):
    program = start('console', '--ros-args', '-r', '__ns:=/left', '-p', 'console.port:=0',
                    '-p', f'console.outbox:={tmp_path / "o"}', '-p', 'console.line:=Halle 4')
    found = peer.wait(lambda: re.search(r'open (http://\S+)', program.output), 'no console')
    diagnostics = peer.publisher(DiagnosticArray, '/diagnostics')
    monitor = peer.publisher(DiagnosticStatus, '/left/tool_recognizer/monitor', LATCHED)
    monitor.publish(DiagnosticStatus(values=entries(n=17)))
    peer.wait_for_subscriber(diagnostics)

    def exported():
        diagnostics.publish(DiagnosticArray(status=[
            DiagnosticStatus(name='left/tool_recognizer: input', values=entries(received=5)),
            DiagnosticStatus(name='right/tool_recognizer: input', values=entries(received=9))]))
        text = urlopen(f'{found[1]}metrics', timeout=10).read().decode()
        labels = '{line="Halle 4",recognizer="/left/tool_recognizer"}'
        return (f'tool_recognizer_monitor_n{labels} 17.0' in text
                and f'tool_recognizer_frames_received_total{labels} 5.0' in text)
    peer.wait(exported, 'its own recognizer')
    for view in ('', 'engineer'):
        assert 'Halle 4</title>' in urlopen(f'{found[1]}{view}', timeout=10).read().decode()


# -- people -------------------------------------------------------------------

PASSWORD = 'a password'


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


@needs_browser
@pytest.mark.parametrize(('locale', 'wrong', 'forbidden'), [
    ('en', 'That is not the name and its password.', 'Your role may not do this.'),
    ('de', 'Name und Passwort passen nicht zusammen.', 'Ihre Rolle darf das nicht.')])
def test_an_operator_logs_in_confirms_under_the_own_name_and_sees_nothing_of_the_engineer(
        console, browser, recognizer_played, people, locale, wrong, forbidden):
    address = console(console__users_file=people, console__locale=locale).address
    page = browser(address)
    page.errors = []  # 401 is told there, and is meant
    log_in(page, 'opna', 'another password')
    page.locator('#told', has_text=wrong).wait_for()
    log_in(page, 'opna')
    page.locator('#person', has_text='opna').wait_for()
    assert page.locator('#name-button').is_hidden()
    assert page.locator('a[href="/engineer"]').is_hidden()
    recognizer_played.ready()
    recognizer_played.ask(1)
    wait_for_frame(page, 1)
    page.keyboard.press('2')
    wait_in_browser(page, recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'screwdriver': 1.0}, 'opna')]
    page.goto(f'{address}engineer')
    page.locator('.told', has_text=forbidden).wait_for()
    page.goto(address)
    page.locator('#out button').click()
    page.locator('#password').wait_for()
    page.errors = []


@needs_browser
def test_what_was_pressed_while_the_console_was_away_is_sent_when_its_person_logs_in_again(
        console, browser, recognizer_played, people):
    program = console(console__users_file=people)
    port = urlsplit(program.address).port
    page = browser(program.address)
    log_in(page, 'opna')
    page.locator('#person', has_text='opna').wait_for()
    recognizer_played.ready()
    recognizer_played.ask(1)
    wait_for_frame(page, 1)
    program.process.kill()
    program.process.wait()
    page.locator('#trouble:visible').wait_for()
    page.keyboard.press('1')
    console(port=port, console__users_file=people)
    page.locator('#password').wait_for()  # the console has forgotten who was logged in
    log_in(page, 'enna')
    page.locator('#person', has_text='enna').wait_for()
    page.wait_for_timeout(1000)
    assert recognizer_played.confirmations() == []  # it is another person's
    page.locator('#out button').click()
    page.locator('#password').wait_for()
    log_in(page, 'opna')
    wait_in_browser(page, recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'hammer': 1.0}, 'opna')]
    page.errors = []


@needs_browser
def test_the_journal_and_a_page_say_who_did_what(
        console, browser, real, tmp_path, people):
    """With the real recognizer: names of a confirmation, of a reset, and of who logged in."""
    journal = tmp_path / 'journal.db'
    program = console(console__users_file=people, console__locale='auto', journal__path=journal)
    operator, engineer = browser(program.address), browser(f'{program.address}')
    log_in(operator, 'opna')
    operator.locator('#person', has_text='opna').wait_for()
    asked_stamp(real, operator)
    operator.keyboard.press('1')
    operator.locator('#said:not(:empty)').wait_for()
    log_in(engineer, 'enna')
    engineer.locator('a[href="/engineer"]').click()
    engineer.locator('[data-action=reset_monitor]').click()
    engineer.locator('#sure button[value=yes]').click()
    engineer.locator('#acted q, #acted:not(:empty)').first.wait_for()

    def deeds():
        with suppress(Exception), JournalReader(journal) as reader:
            return {(json.loads(row.detail).get('person')
                     or json.loads(row.detail).get('operator'),
                     json.loads(row.detail).get('action', 'confirm'))
                    for row in reader.latest(('action', 'confirmed'), 0, 100)}
        return set()
    wanted = {('opna', 'sign_in'), ('enna', 'sign_in'), ('enna', 'reset_monitor'),
              ('opna', 'confirm')}
    wait_in_browser(engineer, lambda: deeds() >= wanted, 'not in the journal')
    engineer.locator('a[href="/who"]').click()
    engineer.locator('tr', has_text='enna').filter(has_text='reset the monitor').wait_for()
    engineer.locator('tr', has_text='opna').filter(has_text='confirmed hammer').wait_for()
    admin = browser(program.address, locale='de')
    log_in(admin, 'adna')
    admin.locator('#person', has_text='adna').wait_for()
    admin.goto(f'{program.address}who')
    admin.locator('tr', has_text='enna').filter(has_text='Monitor zurückgesetzt').wait_for()
    admin.locator('tr', has_text='opna').filter(has_text='hat hammer bestätigt').wait_for()
    admin.get_by_label('Abmelden: opna').click()
    operator.locator('#password').wait_for()
    engineer.locator('#whom').select_option('opna')
    assert engineer.locator('#deeds tr', has_text='enna').count() == 0
    assert engineer.locator('#inside').is_hidden()
    for page in (operator, engineer, admin):
        page.errors = []


@needs_browser
def test_an_engineer_corrects_and_strikes_out_and_the_monitor_follows(
        real, console, browser, tmp_path):
    """With the real recognizer, which is killed once before it can acknowledge."""
    journal = tmp_path / 'journal.db'
    address = console(undo=0.1, journal__path=journal).address
    page = browser(address)
    stamp = asked_stamp(real, page)
    page.keyboard.press('2')
    wait_in_browser(page, lambda: _confirmations(journal), 'nothing in it')
    real.peer.wait(lambda: values(real.monitor[-1])['n'] == '1', 'the monitor counts it')
    before = float(values(real.monitor[-1])['nll'])
    page.goto(f'{address}review')
    page.locator('#frames button', has_text='screwdriver').wait_for()
    page.locator('select[name=label]').select_option('wrench')
    page.locator('#none').wait_for()
    page.locator('select[name=label]').select_option('')
    page.locator('#frames button').first.click()
    page.wait_for_function("document.querySelector('#large-picture').naturalWidth > 0")
    page.keyboard.press('+')
    assert 'scale(1.5)' in page.locator('#large-picture').get_attribute('style')
    page.locator('#right').select_option('hammer')
    page.locator('#correct').click()
    page.locator('#ask', has_text='hammer').wait_for()
    page.locator('#yes').click()
    page.locator('#became', has_text='computed anew').wait_for()
    assert _confirmations(journal) == [(stamp, 'hammer', '', Outcome.SCORED)]
    real.peer.wait(lambda: 'corrected_at' in values(real.monitor[-1]), 'not told of')
    assert values(real.monitor[-1])['n'] == '1'
    assert float(values(real.monitor[-1])['nll']) < before
    assert page.locator('#about', has_text='screwdriver').count() == 1
    page.locator('#close').click()
    page.locator('#frames button').first.click()
    page.locator('#strike').click()
    real.program.process.send_signal(signal.SIGSTOP)  # it does not hear of it any more
    page.locator('#yes').click()
    page.wait_for_timeout(2000)
    real.program.process.kill()
    real.program.process.wait()
    real.start_again()
    page.locator('#became', has_text='struck out').wait_for(timeout=60_000)
    assert [outcome for *_, outcome in _confirmations(journal)] == [Outcome.STRUCK]
    real.peer.wait(lambda: values(real.monitor[-1])['n'] == '0', 'the monitor forgets it')
    with JournalReader(journal) as reader:
        assert len([*reader.rows("kind = 'corrected'")]) == 2
    page.goto(f'{address}who')
    page.locator('tr', has_text='struck a confirmation out').wait_for()


@needs_browser
def test_what_becomes_of_a_correction_disturbs_nobody_who_looks_at_something_else(
        console, browser, recognizer_played, peer, tmp_path):
    journal, heard = tmp_path / 'journal.db', []
    with JournalWriter(journal, tuple(LABELS)) as written:
        for number, label in enumerate(LABELS, 1):
            written.answer(number, (0.2, 0.3, 0.5))
            written.confirm(number, label, nonce=f'nonce-{number}')
    peer.node.create_subscription(DiagnosticStatus, f'{NAME}/correction', heard.append, DEEP)
    page = browser(f'{console(journal__path=journal).address}review')

    def correct_and(button):
        heard.clear()
        page.locator('#frames button').first.click()
        page.locator('#right').select_option('operator:another_tool')
        page.locator('#correct').click()
        page.locator('#yes').click()
        wait_in_browser(page, lambda: heard, 'no correction is published')
        page.locator(button).click()
        with page.expect_response(lambda response: '/review/frames' in response.url):
            recognizer_played._on_confirmation(heard[-1])
        page.wait_for_timeout(300)
    correct_and('#close')
    assert page.locator('#large').is_hidden()
    correct_and('#after')
    assert page.locator('#large-title').inner_text() == LABELS[1]
    assert page.locator('#became').inner_text() == ''


@needs_browser
def test_an_operator_sees_the_own_answers_corrects_one_late_and_enlarges_a_frame(
        real, console, browser, tmp_path, people):
    journal = tmp_path / 'journal.db'
    address = console(undo=0.1, journal__path=journal, console__users_file=people,
                      console__locale='de').address
    page = browser(address)
    log_in(page, 'opna')
    page.locator('#person', has_text='opna').wait_for()
    stamp = asked_stamp(real, page)
    page.locator('#why', has_text='100 %').wait_for()
    page.keyboard.press('+')
    assert 'scale(1.5)' in page.locator('#picture').get_attribute('style')
    page.keyboard.press('2')
    wait_in_browser(page, lambda: _confirmations(journal), 'nothing in it')
    page.locator('#mine-button').click()
    page.locator('#answers li', has_text='screwdriver').locator('select').select_option('hammer')
    page.locator('#mine-said', has_text='berichtigt').wait_for()
    page.locator('#answers li', has_text='hammer').wait_for()
    assert _confirmations(journal) == [(stamp, 'hammer', 'opna', Outcome.SCORED)]
    page.locator('#mine-close').click()
    page.locator('#progress', has_text='1 von 200 gelernt').wait_for()
    page.errors = []
