"""The web application behind its real server: what a browser gets, and what nobody gets."""

import asyncio
from contextlib import contextmanager
from contextlib import suppress
import http.client
import json
import socket
from time import monotonic
from time import sleep
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families
import pytest
from tool_recognizer.console.access import Access
from tool_recognizer.console.access import TRIES
from tool_recognizer.console.app import Application
from tool_recognizer.console.app import BURST
from tool_recognizer.console.board import Board
from tool_recognizer.console.board import Status
from tool_recognizer.console.desk import Desk
from tool_recognizer.console.metrics import Metrics
from tool_recognizer.console.outbox import Outbox
from tool_recognizer.console.server import Server
from tool_recognizer.console.state import Console
from tool_recognizer.core.recognition import FrameKey
from web_socket import connect
from websockets.exceptions import ConnectionClosed
from websockets.exceptions import InvalidHandshake

TOKEN = 'a-token-that-is-long-enough'
STAMP = 1_700_000_000_123_456_789
KEY = FrameKey(STAMP, 'camera')
PROBABILITIES = {'hammer': 0.1, 'screwdriver': 0.2, 'wrench': 0.7}
UNDO = 0.3


class Running:
    """A console without ROS."""

    def __init__(self, path, token=''):
        self.outbox = Outbox(path, UNDO, monotonic())
        self.console = Console(Desk(60.0, 10), self.outbox, Board(), Metrics(), monotonic,
                               lambda: STAMP / 1e9 + 0.02)
        self.console.labelled(tuple(PROBABILITIES))
        access = Access('127.0.0.1', token)
        self.application = Application(self.console, access, 'en', UNDO)
        self.server = Server(self.application.asgi, '127.0.0.1', 0)
        self.address = urlsplit(self.server.address).netloc

    def ask(self, key=KEY, picture=b'\xff\xd8jpeg'):
        self.console.ask(key, PROBABILITIES, 0.05)
        self.console.show(key, picture)

    def get(self, path, method='GET', body=None, **headers):
        connection = http.client.HTTPConnection(self.address, timeout=10)
        connection.request(method, path, body,
                           {name.replace('_', '-'): value for name, value in headers.items()})
        response = connection.getresponse()
        response.text = response.read().decode('utf-8', 'replace')
        connection.close()
        return response

    @contextmanager
    def page(self, view='operator', name=None, **options):
        """Open its socket; ``name`` is what the browser takes its address for."""
        host, port = self.address.split(':')
        with connect(f'ws://{name or self.address}/socket?view={view}', host=host, port=int(port),
                     **options) as page:
            yield page


@pytest.fixture
def start(tmp_path):
    running = []

    def start(**options):
        running.append(Running(tmp_path / f'{len(running)}.outbox', **options))
        return running[-1]
    yield start
    for one in running:
        one.server.close()
        one.outbox.close()


def said(page, kind, keep=lambda message: True):
    """Return the next message of a kind; others are kept for later questions."""
    heard = vars(page).setdefault('heard', [])
    while True:
        for message in heard:
            if message['kind'] == kind and keep(message):
                heard.remove(message)
                return message
        data = page.recv(timeout=40)
        if isinstance(data, bytes):
            length = int.from_bytes(data[:4], 'big')
            heard.append(json.loads(data[4:4 + length]) | {'jpeg': data[4 + length:]})
        else:
            heard.append(json.loads(data))


def closed(page):
    """Read a page to its end; return the code with which it was closed."""
    with pytest.raises(ConnectionClosed) as end:
        said(page, 'nothing of this kind')
    return end.value.rcvd.code


def confirmation(label='wrench', nonce='nonce-0001', stamp=str(STAMP), **more):
    return json.dumps({'kind': 'answer', 'nonce': nonce, 'stamp': stamp, 'frame_id': 'camera',
                       'label': label, 'operator': 'kim'} | more)


def test_a_page_is_shown_the_frame_with_its_stamp_as_text_to_the_nanosecond(start):
    running = start()
    running.ask()
    with running.page() as page:
        picture = said(page, 'request')
        assert (picture['stamp'], picture['frame_id'], picture['jpeg']) == (
            str(STAMP), 'camera', b'\xff\xd8jpeg')
        desk = said(page, 'desk')
        assert desk['request'] == {'stamp': str(STAMP), 'frame_id': 'camera', 'guess': 'wrench',
                                   'probabilities': PROBABILITIES}


def test_a_page_learns_when_the_recognizer_begins_and_ends_to_ask(start):
    running = start()
    with running.page() as page:
        assert said(page, 'desk')['asking']  # nothing else is known yet
        running.console.diagnosed({'inspection': Status(0, '', {'probability': '0.0'})})
        said(page, 'desk', lambda m: not m['asking'])
        running.console.diagnosed({'inspection': Status(0, '', {'probability': '0.005'})})
        said(page, 'desk', lambda m: m['asking'])


def test_what_is_called_confirmed_is_in_the_outbox_and_due_after_the_time_to_undo(start):
    running = start()
    running.ask()
    with running.page() as page:
        page.send(confirmation('hammer'))
        assert said(page, 'taken')['nonce'] == 'nonce-0001'
        assert len(running.outbox) == 1
        said(page, 'desk', lambda m: m['gone'] and m['request'] is None)
        page.send(confirmation('hammer'))  # after a broken connection it comes again
        said(page, 'taken')
        assert len(running.outbox) == 1
    end = monotonic() + 10
    while not (due := running.console.due()):
        assert monotonic() < end
        sleep(0.01)
    assert [(one.key, one.label, one.operator) for one in due] == [(KEY, 'hammer', 'kim')]


def test_a_confirmation_that_was_taken_back_brings_the_frame_back_to_every_page(start):
    running = start()
    running.ask()
    with running.page() as one, running.page() as other:
        said(other, 'desk', lambda m: m['request'])
        one.send(confirmation())
        said(one, 'taken')
        said(other, 'desk', lambda m: m['request'] is None)
        one.send(json.dumps({'kind': 'undo', 'nonce': 'nonce-0001'}))
        said(one, 'undone')
        assert said(other, 'desk', lambda m: m['request'])['request']['stamp'] == str(STAMP)
        assert len(running.outbox) == 0


def test_a_frame_that_makes_room_for_one_that_comes_back_differs_from_a_confirmed_one(start):
    running = start()
    running.ask()
    running.ask(FrameKey(STAMP + 1, 'camera'))
    with running.page() as page:
        page.send(confirmation())
        assert said(page, 'desk', lambda m: m['gone'])['gone']['why'] == 'answered'
        page.send(json.dumps({'kind': 'undo', 'nonce': 'nonce-0001'}))
        desk = said(page, 'desk', lambda m: m['gone'] and m['gone']['why'] == 'undone')
        assert desk['request']['stamp'] == str(STAMP)
        assert (desk['gone']['stamp'], desk['gone']['nonce']) == (str(STAMP + 1), 'nonce-0001')


@pytest.mark.parametrize('bad', [
    {'label': 'anvil'}, {'label': 'operator:anything'}, {'stamp': '-1'}, {'stamp': 17},
    {'stamp': '9' * 19}, {'nonce': 'short'}, {'nonce': "x' OR 1=1 --"}, {'operator': 'a' * 65},
    {'operator': 'two\nlines'}, {'frame_id': None}])
def test_a_confirmation_that_makes_no_sense_is_refused_with_the_reason(start, bad):
    running = start()
    with running.page() as page:
        page.send(confirmation(**bad))
        assert next(iter(bad)) in said(page, 'refused')['why']
        assert len(running.outbox) == 0


@pytest.mark.parametrize('text', ['no json', '[]', '{"kind": "dance"}', '{}', b'\x00\x01',
                                  '{"kind": "action", "action": "rm"}', 'x' * 20_000])
def test_a_page_that_talks_nonsense_is_closed_and_the_others_live_on(start, text):
    running = start()
    with running.page() as good:
        with running.page() as bad:
            bad.send(text)
            assert closed(bad) in (1008, 1009)
        running.ask()
        said(good, 'request')


def test_a_page_that_talks_too_fast_is_closed(start):
    with start().page() as page:
        with suppress(ConnectionClosed):
            for _ in range(int(BURST) + 200):
                page.send('{"kind": "range", "range": "1h"}')
        assert closed(page) == 1008


def test_a_page_that_does_not_read_holds_nobody_up_and_nothing_piles_up(start):
    running = start()
    host, port = running.address.split(':')
    jammed = socket.create_connection((host, int(port)))
    jammed.sendall(f'GET /socket?view=engineer HTTP/1.1\r\nHost: {running.address}\r\n'
                   'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
                   'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'.encode())
    with running.page('engineer') as page:
        said(page, 'hello')
        for number in range(300):
            running.console.set_live(FrameKey(number, 'camera'), bytes(100_000))
            said(page, 'live', lambda m, number=number: m['stamp'] == str(number))
    # 30 MB went by; what the kernel and one sender hold is all that is left of it for this page.
    jammed.settimeout(2.0)
    received = 0
    with suppress(TimeoutError):
        while data := jammed.recv(1 << 20):
            received += len(data)
    jammed.close()
    assert 0 < received < 10_000_000


def test_a_slow_page_sees_the_newest_picture_next(start):
    running = start()
    with running.page('engineer', max_queue=1) as page:
        said(page, 'hello')
        for number in range(2000):
            running.console.set_live(FrameKey(number, 'camera'), bytes(50_000))
        seen = []
        while not seen or seen[-1] != 1999:
            seen.append(int(said(page, 'live')['stamp']))
        assert seen == sorted(seen)
        assert len(seen) < 1000


@pytest.mark.parametrize(('words', 'is_an_error'), [
    ("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.", False),
    ("Unexpected ASGI message 'websocket.send', after sending 'websocket.close' or response "
     'already completed.', False),
    ('something else is wrong', True)])
def test_a_page_that_went_while_it_was_sent_to_is_no_error(start, words, is_an_error):
    """The words are those of uvicorn, new and of Ubuntu 24.04, after a ping without a pong."""
    running = start()
    scope = {'type': 'websocket', 'path': '/socket', 'raw_path': b'/socket', 'root_path': '',
             'query_string': b'view=operator', 'subprotocols': [], 'client': ('127.0.0.1', 1),
             'headers': [(b'host', running.address.encode())]}

    async def talk():
        hello = asyncio.Queue()
        hello.put_nowait({'type': 'websocket.connect'})

        async def send(message):
            if message['type'] == 'websocket.send':
                raise RuntimeError(words)
        await running.application.asgi(scope, hello.get, send)
    if is_an_error:
        with pytest.raises(RuntimeError, match=words):
            asyncio.run(talk())
    else:
        asyncio.run(talk())


@pytest.mark.parametrize('origin', ['http://evil.example', 'null', 'http://127.0.0.1:1'])
def test_a_foreign_page_gets_no_socket(start, origin):
    running = start()
    with pytest.raises(InvalidHandshake, match='HTTP 403'), running.page(origin=origin):
        pass
    with running.page(origin=f'http://{running.address}') as page:
        said(page, 'hello')


def test_a_name_that_is_not_ours_gets_nothing(start):
    running = start()
    for path in ('/', '/metrics', '/static/console.css'):
        assert running.get(path, Host='evil.example').status == 421
    with pytest.raises(InvalidHandshake, match='HTTP 403'), running.page(name='evil.example'):
        pass


def test_without_the_token_there_is_only_the_page_that_asks_for_it(start):
    running = start(token=TOKEN)
    running.ask()
    for path in ('/', '/engineer'):
        response = running.get(path)
        assert response.status == 401
        assert 'type="password"' in response.text
        assert 'operator.js' not in response.text
    for path in ('/metrics', '/picture?stamp=1', '/static/operator.js', '/nowhere'):
        assert running.get(path).status == 401
    assert running.get('/?token=wrong-token-of-some-length').status == 401
    with pytest.raises(InvalidHandshake, match='HTTP 403'), running.page():
        pass


def test_the_token_once_gives_a_cookie_that_opens_page_and_socket(start):
    running = start(token=TOKEN)
    for response in (running.get(f'/?token={TOKEN}'),
                     running.get('/login', 'POST', f'token={TOKEN}')):
        assert response.status == 303
        assert TOKEN not in response.headers['location']
        cookie = response.headers['set-cookie']
        assert 'HttpOnly' in cookie
        assert 'samesite=strict' in cookie.lower()
        pair = cookie.split(';')[0]
        assert 'operator.js' in running.get('/', Cookie=pair).text
        with running.page(headers={'Cookie': pair}) as page:
            said(page, 'hello')
    assert running.get('/metrics', Authorization=f'Bearer {TOKEN}').status == 200


def test_a_foreign_page_cannot_log_a_browser_in(start):
    running = start(token=TOKEN)
    assert running.get('/login', 'POST', f'token={TOKEN}',
                       Origin='http://evil.example').status == 403


def test_who_guesses_tokens_is_blocked_for_a_while(start):
    running = start(token=TOKEN)
    statuses = [running.get('/?token=wrong').status for _ in range(TRIES)]
    assert statuses == [401] * (TRIES - 1) + [429]
    assert running.get(f'/?token={TOKEN}').status == 429


def test_every_response_forbids_what_a_page_of_ours_never_does(start):
    running = start(token=TOKEN)
    for path in ('/', '/static/console.css', '/nowhere', f'/?token={TOKEN}'):
        headers = running.get(path).headers
        policy = headers['content-security-policy']
        assert "default-src 'none'" in policy
        assert 'unsafe' not in policy
        assert '*' not in policy
        assert headers['x-content-type-options'] == 'nosniff'
        assert headers['referrer-policy'] == 'no-referrer'
        assert headers['access-control-allow-origin'] is None


def test_a_port_in_use_is_reported_in_one_line(start):
    running = start()
    host, port = running.address.split(':')
    with pytest.raises(ValueError, match=f'{port} cannot be used: another program listens'):
        Server(None, host, int(port))


def test_the_engineer_sees_the_confused_frame_and_its_picture(start):
    running = start()
    running.ask(picture=b'\xff\xd8confused')
    with running.page() as page:
        page.send(confirmation('hammer'))
        said(page, 'taken')
    while not running.console.due():
        sleep(0.01)
    running.console.acknowledged('nonce-0001', 0, 'scored', '')
    with running.page('engineer') as page:
        frames = said(page, 'frames')
        assert frames['pairs'] == [{'label': 'hammer', 'guess': 'wrench', 'n': 1}]
    response = running.get(f'/picture?stamp={STAMP}&frame_id=camera')
    assert (response.status, response.headers['content-type']) == (200, 'image/jpeg')
    assert 'confused' in response.text
    assert running.get('/picture?stamp=1&frame_id=camera').status == 404


def test_a_service_is_called_once_and_its_response_reaches_the_page(start):
    running = start()
    with running.page('engineer') as page:
        page.send('{"kind": "action", "action": "reset_monitor"}')
        while (action := running.console.next_action()) is None:
            sleep(0.01)
        assert action[0] == 'reset_monitor'
        assert running.console.next_action() is None
        action[1](True, 'a new run')
        assert said(page, 'acted')['message'] == 'a new run'


def test_the_metrics_tell_what_the_recognizer_and_the_operators_did(start):
    running = start()
    console = running.console
    console.predicted(KEY, {'hammer': 0.5, 'wrench': 0.5})
    console.decided('wrench', 0.5)
    console.monitored(Status(2, 'drift', {
        'n': '40', 'nll': 'inf', 'kl': '0.25', 'evidence': '3000', 'threshold': '2000',
        'scored': '39', 'late': '1'}))
    console.diagnosed({
        'input': Status(0, 'answering', {'received': '100', 'answered': '90',
                                         'dropped_busy': '10'}),
        'inference': Status(0, '', {'latency_p95_ms': '12.5', 'model_digest': 'abc',
                                    'provider': 'CPU'})})
    console.tick()
    running.ask()
    metrics = running.get('/metrics')
    # Prometheus 3 refuses a type that it cannot read, such as one with two charsets.
    assert metrics.headers.get_all('content-type') == ['text/plain; version=0.0.4; charset=utf-8']
    found = {(sample.name.removeprefix('tool_recognizer_'), *sample.labels.values()): sample.value
             for family in text_string_to_metric_families(metrics.text)
             for sample in family.samples}
    expected = {
        ('up',): 1, ('drift',): 1, ('monitor_nll',): float('inf'), ('monitor_kl',): 0.25,
        ('monitor_evidence',): 3000, ('frames_received_total',): 100,
        ('frames_dropped_total', 'busy'): 10, ('confirmations_total', 'late'): 1,
        ('inference_latency_seconds', 'p95'): 0.0125, ('decisions_total', 'wrench'): 1,
        ('console_requests_open',): 1, ('console_requests_total', 'asked'): 1,
        ('latency_seconds_bucket', '0.03'): 1, ('latency_seconds_bucket', '0.01'): 0}
    assert {name: found[name] for name in expected} == expected
    assert found[('prediction_entropy_nats_sum',)] == pytest.approx(0.693147, abs=1e-6)
