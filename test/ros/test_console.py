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
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger
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
        self.acknowledging = True
        self.outcomes = {}      # nonce: what it said of it
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
        peer.node.create_subscription(DiagnosticStatus, f'{NAME}/confirmation',
                                      self._on_confirmation, DEEP)
        peer.node.create_service(Trigger, f'{NAME}/reset_monitor', self._on_reset)
        self._labels.publish(LabelInfo(class_map=[
            VisionClass(class_id=k, class_name=label) for k, label in enumerate(LABELS)]))
        peer.node.create_timer(0.5, self._on_time)

    def _on_time(self):
        self._diagnostics.publish(DiagnosticArray(status=[DiagnosticStatus(
            name='tool_recognizer: input', level=DiagnosticStatus.OK, message='answering',
            values=entries(received=100, answered=90, dropped_busy=10))]))

    def _on_reset(self, request, response):
        self.resets += 1
        response.success, response.message = True, 'the monitor starts a new run'
        return response

    def _on_confirmation(self, message):
        values = {entry.key: entry.value for entry in message.values}
        self.heard.append(values)
        if not self.acknowledging:
            return
        outcome = self.outcomes.setdefault(values['nonce'], 'scored')
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
        found = peer.wait(lambda: re.search(r'open (http://\S+)', program.output)
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
    recognizer_played.predictions.publish(Classification(header=header(1), results=[
        ObjectHypothesis(class_id=label, score=p)
        for label, p in zip(LABELS, (0.1, 0.2, 0.7), strict=True)]))
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
    page.locator('#acted', has_text='the monitor starts a new run').wait_for()
    assert recognizer_played.resets == 1
    page.goto('about:blank')
    wait_in_browser(page, lambda: recognizer_played.live.get_subscription_count() == 0,
                    'the live picture is still asked for')


@needs_browser
def test_while_the_line_is_learned_the_engineer_sees_how_far(
        recognizer, write_model, peer, console, browser):
    recognizer(model_path=write_model(), monitor__minimum=2)
    page = browser(console().address + 'engineer')
    camera = Camera(peer)
    operator = Operator(camera)
    for number, verdict in ((1, 'not enough confirmed labels yet (1)'),
                            (2, 'learning: 2 of 200 labels'), (3, 'learning: 3 of 200 labels')):
        camera.answer(flat((200, 0, 0), header(number)))
        operator.confirm(confirmed(header(number), 'hammer'), n=number)
        page.locator('#verdict.level-1', has_text=verdict).wait_for()


@pytest.mark.parametrize(('parameter', 'value', 'words'), [
    ('console.host', '0.0.0.0', 'a token is needed'),
    ('console.token_file', '/no/such/file', 'No such file'),
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
    page.locator('#trouble', has_text='does not respond').wait_for()
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
                    '-p', f'console.outbox:={tmp_path / "o"}')
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
        return ('tool_recognizer_monitor_n 17.0' in text
                and 'tool_recognizer_frames_received_total 5.0' in text)
    peer.wait(exported, 'its own recognizer')
