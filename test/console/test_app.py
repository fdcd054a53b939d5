"""The web application behind its real server: what a browser gets, and what nobody gets."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress
import http.client
import json
import re
import socket
from threading import Event
from time import monotonic
from time import sleep
from urllib.parse import urlsplit
from urllib.request import urlopen

from journal_writer import JournalWriter
import numpy as np
from prometheus_client.parser import text_string_to_metric_families
import pytest
from tool_recognizer.console import access
from tool_recognizer.console import review_pages
from tool_recognizer.console.access import Access
from tool_recognizer.console.access import TRIES
from tool_recognizer.console.app import Application
from tool_recognizer.console.app import BURST
from tool_recognizer.console.app import LOGGED_OUT
from tool_recognizer.console.app import OpenPage
from tool_recognizer.console.board import Board
from tool_recognizer.console.board import Status
from tool_recognizer.console.candidates import Candidates
from tool_recognizer.console.desk import Desk
from tool_recognizer.console.logins import Logins
from tool_recognizer.console.metrics import Metrics
from tool_recognizer.console.outbox import Outbox
from tool_recognizer.console.people import changing
from tool_recognizer.console.people import hashed
from tool_recognizer.console.people import People
from tool_recognizer.console.people import Person
from tool_recognizer.console.people import write_people
from tool_recognizer.console.rights import Visitor
from tool_recognizer.console.server import Server
from tool_recognizer.console.state import Console
from tool_recognizer.console.teach_pages import Teach
from tool_recognizer.console.teaching import Teaching
from tool_recognizer.console.trainer import Trainer
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.store import ModelStore
from tool_recognizer.pictures.codec import encode_picture
from tool_recognizer.pictures.scene import draw_tool
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

    def __init__(self, path, token='', people=None, journal=None, teach=None):
        self.path, self.outbox = path, Outbox(path, UNDO, monotonic())
        self.console = Console(Desk(60.0, 10), self.outbox, Board(), Metrics(), monotonic,
                               lambda: STAMP / 1e9 + 0.02)
        self.console.labelled(tuple(PROBABILITIES))
        logins = None if people is None else Logins(People(people), 3600.0)
        self.faults = []
        self.application = Application(
            self.console, Access('127.0.0.1', token, True, logins), 'en', UNDO,
            self.faults.append, journal=journal, teach=teach)
        self.server = Server(self.application.asgi, '127.0.0.1', 0)
        self.address = urlsplit(self.server.address).netloc

    def ask(self, key=KEY, picture=b'\xff\xd8jpeg'):
        self.console.ask(key, PROBABILITIES, 0.05)
        self.console.show(key, picture)

    def get(self, path, method='GET', body=None, **headers):
        connection = http.client.HTTPConnection(self.address, timeout=90)
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
        data = page.recv(timeout=90)
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
                                   'probabilities': PROBABILITIES, 'asked': 0.05, 'because': ''}


def test_a_page_is_told_why_a_frame_is_asked_for_as_soon_as_that_is_known(start):
    """It is picked with 5 %: all frames are, or only a few of which the model is unsure."""
    running = start()
    running.ask()
    with running.page() as page:
        for floor, why in (('nan', ''), ('0.05', 'chance'), ('0.01', 'doubt')):
            running.console.diagnosed({'inspection': Status(0, '', {'probability': floor})})
            assert said(page, 'desk', lambda m, why=why: m['request']['because'] == why)


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
    end = monotonic() + 90
    while not (due := running.console.due()):
        assert monotonic() < end
        sleep(0.01)
    assert [(one.key, one.label, one.operator) for one in due] == [(KEY, 'hammer', 'kim')]


def test_a_confirmation_is_taken_while_lookups_have_all_other_threads(start, monkeypatch):
    running, looked_up, found = start(), [], Event()

    def look_up(key):
        looked_up.append(key)
        found.wait(120)

    monkeypatch.setattr(running.console, 'picture', look_up)
    host, port = running.address.split(':')
    lookups = [socket.create_connection((host, int(port)), 90) for _ in range(45)]
    try:
        for lookup in lookups:
            lookup.sendall(f'GET /picture?stamp=1 HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode())
        end = monotonic() + 90
        while len(looked_up) < 40:  # as many threads as there are
            assert monotonic() < end
            sleep(0.01)
        with running.page() as page:
            page.send(confirmation())
            assert said(page, 'taken')['nonce'] == 'nonce-0001'
    finally:
        found.set()
        for lookup in lookups:
            lookup.close()


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


def jam(running):
    """Open an engineer's page that does not read."""
    host, port = running.address.split(':')
    jammed = socket.create_connection((host, int(port)))
    jammed.sendall(f'GET /socket?view=engineer HTTP/1.1\r\nHost: {running.address}\r\n'
                   'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
                   'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'.encode())
    return jammed


def test_a_page_that_does_not_read_is_ended_after_a_while(start, monkeypatch):
    monkeypatch.setattr('tool_recognizer.console.connections.PATIENCE', 0.7)
    running = start()
    jammed = jam(running)

    def pages():
        return running.console.metrics.clients('engineer')
    end = monotonic() + 90
    while not pages():
        assert monotonic() < end
        sleep(0.01)
    number = 0
    while pages():
        assert monotonic() < end
        running.console.set_live(FrameKey(number, 'camera'), bytes(500_000))
        number += 1
        sleep(0.01)
    jammed.close()


def test_a_response_that_takes_the_console_long_is_waited_for(start, monkeypatch):
    """As when a model is put in charge: who waits for it is not told that the console is away."""
    monkeypatch.setattr('tool_recognizer.console.connections.PATIENCE', 0.7)
    running = start()

    def look(key):
        sleep(3.0)
        return b'\xff\xd8jpeg'
    monkeypatch.setattr(running.console, 'picture', look)
    assert running.get(f'/picture?stamp={STAMP}').status == 200


def test_few_lookups_in_the_journal_are_made_at_once(start, tmp_path, monkeypatch):
    under_way, most = [], []

    def look(*what):
        under_way.append(what)
        most.append(len(under_way))
        sleep(0.1)
        under_way.pop()
        return {}
    monkeypatch.setattr(review_pages, 'gallery', look)
    running = start(journal=tmp_path / 'journal.db')
    with ThreadPoolExecutor(12) as browsers:
        found = list(browsers.map(lambda _: running.get('/review/frames').status, range(12)))
    assert found == [200] * 12
    assert max(most) <= review_pages.AT_ONCE


def test_few_exports_are_under_way_at_once_and_one_of_each_address(start, tmp_path, monkeypatch):
    read = Event()

    def pack(found):
        yield b'begin'
        read.wait(120)
        yield b', end'
    monkeypatch.setattr(review_pages, 'selected', lambda path, query: [])
    monkeypatch.setattr(review_pages, 'as_zip', pack)
    monkeypatch.setattr(review_pages, 'EXPORTS', 3)
    running = start(journal=tmp_path / 'journal.db')

    @contextmanager
    def export(number):
        with closing(http.client.HTTPConnection(
                running.address, timeout=90,
                source_address=(f'127.0.1.{number}', 0))) as connection:
            connection.request('GET', '/review/confirmations.zip')
            with closing(connection.getresponse()) as response:
                yield response

    def status(number):
        with export(number) as response:
            return response.status
    try:
        with export(1) as one, export(2) as another:
            assert status(1) == 429
            with export(3) as third:
                assert [one.status, another.status, third.status] == [200] * 3
                with export(4) as refused:
                    assert (refused.status, refused.headers['retry-after']) == (429, '60')
                    assert b'wait until one has ended' in refused.read()
            read.set()  # the third has gone without it
            assert [one.read(), another.read()] == [b'begin, end'] * 2
    finally:
        read.set()
    for number in (1, 2, 3):
        end = monotonic() + 90
        while status(number) != 200:
            assert monotonic() < end
            sleep(0.01)


def test_an_export_that_fails_keeps_no_other_out(start, tmp_path):
    running = start(journal=tmp_path / 'no-journal.db')
    assert [running.get(f'/review/confirmations.{kind}').status
            for kind in ('csv', 'zip', 'csv')] == [404] * 3


def test_a_page_that_does_not_read_holds_nobody_up_and_nothing_piles_up(start, monkeypatch):
    monkeypatch.setattr('tool_recognizer.console.connections.PATIENCE', 600.0)
    running = start()
    jammed = jam(running)
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


def test_replies_to_a_page_that_does_not_read_them_do_not_pile_up(start):
    running = start()
    ticks = iter(range(10**6))

    class Unread:
        """A page that says what is refused, on and on; nothing sends it the replies."""

        scope, heard, code = {'visitor': Visitor()}, 0, None

        async def receive(self):
            self.heard += 1
            assert self.heard < 10_000
            return {'type': 'websocket.receive', 'text': confirmation('anvil')}

        async def close(self, code, reason):
            self.code = code
    page = Unread()
    running.console.steady = lambda: float(next(ticks))  # so never too fast
    opened = OpenPage(page, running.console, 'operator', Access('127.0.0.1', ''), None, None)
    asyncio.run(opened.receive())
    assert page.code == 1008


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
    sent = []

    async def talk():
        hello = asyncio.Queue()
        hello.put_nowait({'type': 'websocket.connect'})

        async def send(message):
            sent.append(message)
            if message['type'] == 'websocket.send':
                raise RuntimeError(words)
        await running.application.asgi(scope, hello.get, send)
    asyncio.run(talk())
    assert [str(error) for error in running.faults] == ([words] if is_an_error else [])
    assert (sent[-1] == {'type': 'websocket.close', 'code': 1011}) == is_an_error


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
    with pytest.raises(InvalidHandshake, match='HTTP 421'), running.page(name='evil.example'):
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
    with pytest.raises(InvalidHandshake, match='HTTP 401'), running.page():
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
        assert headers['referrer-policy'] == 'same-origin'
        assert headers['access-control-allow-origin'] is None


def test_a_port_in_use_is_reported_in_one_line(start):
    running = start()
    host, port = running.address.split(':')
    with pytest.raises(ValueError, match=f'{port} cannot be used: another program listens'):
        Server(None, host, int(port))


def test_a_response_may_take_longer_than_a_request(monkeypatch):
    """The console has a model loaded meanwhile, for example."""
    async def slow(scope, receive, send):
        await receive()
        with monkeypatch.context() as hurry:
            hurry.setattr('tool_recognizer.console.connections.PATIENCE', 0.0)
            await asyncio.sleep(2.0)
        await send({'type': 'http.response.start', 'status': 200,
                    'headers': [(b'content-length', b'4')]})
        await send({'type': 'http.response.body', 'body': b'done'})
    server = Server(slow, '127.0.0.1', 0)
    try:
        with urlopen(server.address, timeout=90) as response:
            assert response.read() == b'done'
    finally:
        server.close()


def publish_confirmation(running):
    """Confirm the open request on a page, and wait until that is due to be published."""
    with running.page() as page:
        page.send(confirmation('hammer'))
        said(page, 'taken')
    while not running.console.due():
        sleep(0.01)


def test_the_engineer_sees_the_confused_frame_and_its_picture(start):
    running = start()
    running.ask(picture=b'\xff\xd8confused')
    publish_confirmation(running)
    running.console.acknowledged('nonce-0001', 0, 'scored', '')
    with running.page('engineer') as page:
        frames = said(page, 'frames')
        assert frames['pairs'] == [{'label': 'hammer', 'guess': 'wrench', 'n': 1}]
    response = running.get(f'/picture?stamp={STAMP}&frame_id=camera')
    assert (response.status, response.headers['content-type']) == (200, 'image/jpeg')
    assert 'confused' in response.text
    assert running.get('/picture?stamp=1&frame_id=camera').status == 404


def test_a_confirmation_for_which_there_was_no_room_is_kept_and_published_again(start):
    running = start()
    running.ask()
    publish_confirmation(running)
    running.console.acknowledged('nonce-0001', 2, 'no_room', 'others wait')
    assert 'tool_recognizer_console_answers_unacknowledged 1.0' in running.get('/metrics').text


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


def test_a_region_goes_to_the_recognizer_as_its_parameters_with_who_wanted_it(start):
    running = start()
    region = {'kind': 'region', 'x': '0.25', 'y': '0', 'width': '0.5', 'height': '1'}
    with running.page('engineer') as page:
        page.send(json.dumps(region))
        while (action := running.console.next_action()) is None:
            sleep(0.01)
        assert (action.name, action.values) == ('set_region', {
            'region.x': 0.25, 'region.y': 0.0, 'region.width': 0.5, 'region.height': 1.0})
        action.respond(False, 'no response', 'lost')
        told = said(page, 'acted')
        assert (told['action'], told['reason'], told['named']) == ('set_region', 'lost', {})
    assert [note.outcome for note in (running.console.next_note(), running.console.next_note())
            ] == ['asked', 'failed']
    for bad in ('-0.1', '1.5', 'nan', '1e-3', '', '\u0660', '0.25 '):
        with running.page('engineer') as page:
            page.send(json.dumps(region | {'x': bad}))
            assert closed(page) == 1008
    assert running.console.next_action() is None


def test_the_metrics_tell_what_the_recognizer_and_the_operators_did(start):
    running = start()
    console = running.console
    console.predicted(KEY, {'hammer': 0.5, 'wrench': 0.5})
    console.decided(KEY, 'wrench', 0.5)
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


# -- people ---------------------------------------------------------------------------------------

PASSWORD = 'a password'


@pytest.fixture
def people(tmp_path):
    path, kept = tmp_path / 'people.json', hashed(PASSWORD)
    write_people(path, {name: Person(name, name, kept)
                        for name in ('operator', 'engineer', 'admin')})
    return path


def log_in(running, name, password=PASSWORD):
    """Log in by the form, as a browser does; return the cookie, or the response that refuses."""
    response = running.get('/login', 'POST', f'name={name}&password={password}',
                           Origin=f'http://{running.address}',
                           content_type='application/x-www-form-urlencoded')
    cookie = response.getheader('set-cookie')
    return response if cookie is None else cookie.partition(';')[0]


@pytest.mark.parametrize(('name', 'opened', 'leads_to'), [
    ('engineer', '/engineer', '/engineer'), ('engineer', '/review', '/review'),
    ('operator', '/', '/'), ('operator', '/engineer', '/'), ('operator', '/login', '/')])
def test_who_logs_in_comes_to_the_page_that_was_opened_if_the_role_may_see_it(
        start, people, name, opened, leads_to):
    running = start(people=people)

    def form(response):
        assert response.status == 401
        return re.search('action="([^"]+)"', response.text)[1]
    place = form(running.get(opened))
    place = form(running.get(place, 'POST', f'name={name}&password=wrong'))
    response = running.get(place, 'POST', f'name={name}&password={PASSWORD}')
    assert (response.status, response.headers['location']) == (303, leads_to)


def test_a_login_leads_to_no_foreign_page(start):
    running = start(token=TOKEN)
    for place in ('http://evil.example', '//evil.example', '%2F%2Fevil.example', '/picture'):
        response = running.get(f'/login?to={place}', 'POST', f'token={TOKEN}')
        assert (response.status, response.headers['location']) == (303, '/')
        assert 'evil' not in running.get(f'/login?to={place}', 'POST', 'token=wrong').text
    assert running.get(f'/teach?token={TOKEN}').headers['location'] == '/teach'


def routes(running):
    return {(route.path.replace('{name}', 'x'), method)
            for route in running.application.routes if hasattr(route, 'methods')
            for method in route.methods}


def test_an_operator_gets_403_for_everything_that_is_not_an_operators(start, people):
    running = start(people=people)
    cookie = log_in(running, 'operator')
    statuses = {(path, method): running.get(
        path, method, '' if method == 'POST' else None, cookie=cookie).status
        for path, method in routes(running) if path != '/logout'}
    open_paths = {path for (path, _), status in statuses.items() if status != 403}
    assert open_paths == {'/', '/login', '/picture', '/metrics', '/socket', '/static/x',
                          '/mine/answers', '/mine/picture', '/mine/correct', '/mine/outcome'}
    assert running.get('/nowhere', cookie=cookie).status == 403


def test_who_has_not_logged_in_is_shown_the_form_and_nothing_else(start, people):
    running = start(people=people)
    for path, method in routes(running):
        assert running.get(path, method, '' if method == 'POST' else None).status == 401
    assert 'name="password"' in running.get('/').text
    refused = log_in(running, 'operator', 'wrong')
    assert (refused.status, 'not the name and its password' in refused.text) == (401, True)
    with pytest.raises(InvalidHandshake), running.page():
        pass


def test_an_operators_message_of_an_engineer_is_not_done(start, people):
    running = start(people=people)
    headers = {'cookie': log_in(running, 'operator')}
    with running.page(headers=headers) as page:
        assert said(page, 'hello')['role'] == 'operator'
        for message in ({'kind': 'action', 'action': 'reset_monitor'},
                        {'kind': 'choose', 'version': '0001'},
                        {'kind': 'region', 'x': '0', 'y': '0', 'width': '1', 'height': '1'},
                        {'kind': 'range', 'range': '1h'}):
            page.send(json.dumps(message))
            said(page, 'forbidden')
    with pytest.raises(InvalidHandshake), running.page(view='engineer', headers=headers):
        pass
    assert running.console.next_action() is None
    headers = {'cookie': log_in(running, 'engineer')}
    with running.page(view='engineer', headers=headers) as page:
        page.send(json.dumps({'kind': 'action', 'action': 'reset_monitor'}))
        end = monotonic() + 90
        while (action := running.console.next_action()) is None:
            assert monotonic() < end
            sleep(0.01)
        action[1](True, 'done')
        said(page, 'acted')
    notes = [running.console.next_note() for _ in range(4)]
    assert [(note.person, note.action, note.outcome) for note in notes] == [
        ('operator', 'sign_in', 'done'), ('engineer', 'sign_in', 'done'),
        ('engineer', 'reset_monitor', 'asked'), ('engineer', 'reset_monitor', 'done')]


def test_a_confirmation_has_the_name_of_who_has_logged_in_and_no_other(start, people):
    running = start(people=people)
    running.ask()
    with running.page(headers={'cookie': log_in(running, 'operator')}) as page:
        page.send(confirmation(nonce='nonce-0001'))  # kim pressed it before
        assert said(page, 'refused')['reason'] == 'person'
        page.send(confirmation(nonce='nonce-0002', operator='operator'))
        said(page, 'taken')
    assert [one.operator for one, _ in running.outbox._open.values()] == ['operator']


def test_nobody_takes_back_what_somebody_else_has_confirmed(start, people):
    running = start(people=people)
    running.ask()
    with running.page(headers={'cookie': log_in(running, 'operator')}) as page, \
            running.page(headers={'cookie': log_in(running, 'engineer')}) as other:
        page.send(confirmation(operator='operator'))
        said(page, 'taken')
        # Every page hears of it, with its nonce.
        gone = said(other, 'desk', lambda m: m['gone'])['gone']
        undo = json.dumps({'kind': 'undo', 'nonce': gone['nonce']})
        other.send(undo)
        said(other, 'too_late')
        assert len(running.outbox) == 1
        page.send(undo)
        said(page, 'undone')
        assert len(running.outbox) == 0


def test_an_open_page_is_closed_when_its_login_ends(start, people):
    running = start(people=people)
    cookies = {name: log_in(running, name) for name in ('operator', 'engineer', 'admin')}
    with running.page(headers={'cookie': cookies['operator']}) as page:
        assert running.get('/logout', 'POST', '', cookie=cookies['operator']).status == 303
        assert closed(page) == LOGGED_OUT
    assert running.get('/', cookie=cookies['operator']).status == 401
    with running.page(headers={'cookie': cookies['engineer']}) as page:
        said(page, 'desk')
        assert running.get('/end', 'POST', 'name=engineer', cookie=cookies['admin']).status == 200
        assert closed(page) == LOGGED_OUT
    notes = iter(running.console.next_note, None)
    assert ('admin', 'end_logins', 'engineer') in {
        (note.person, note.action, note.why) for note in notes}
    with running.page(headers={'cookie': cookies['admin']}) as page:
        said(page, 'desk')
        with changing(people) as known:
            del known['admin']
        end = monotonic() + 90
        while running.get('/', cookie=cookies['admin']).status != 401:
            assert monotonic() < end
            sleep(0.1)
        running.console.labelled(('hammer',))  # something changes
        assert closed(page) == LOGGED_OUT


def test_who_tries_too_many_passwords_waits(start, people, monkeypatch):
    monkeypatch.setattr(access, 'WINDOW', 3600.0)  # each try takes its time
    running = start(people=people)
    assert {log_in(running, 'operator', 'wrong').status for _ in range(TRIES)} == {401, 429}
    response = log_in(running, 'operator')
    assert (response.status, response.getheader('retry-after')) == (429, '60')


def test_without_a_journal_who_did_what_says_so(start, people):
    running = start(people=people)
    told = json.loads(running.get('/deeds', cookie=log_in(running, 'admin')).text)
    assert (told['journal'], told['deeds'], told['inside']) == ('none', [], ['admin'])
    assert json.loads(running.get('/deeds', cookie=log_in(running, 'engineer')).text)[
        'inside'] is None


def test_an_operator_corrects_the_own_confirmations_and_no_others(start, people, tmp_path):
    journal = tmp_path / 'journal.db'
    with JournalWriter(journal, ('hammer', 'screwdriver', 'wrench')) as written:
        for number, who in ((1, 'operator'), (2, 'another')):
            written.answer(STAMP + number, [0.2, 0.2, 0.6])
            written.confirm(STAMP + number, 'wrench', operator=who, nonce=f'nonce-{number}')
        written.log.flush()
        with JournalReader(journal) as reader:
            numbers = [one.number for one in reader.confirmations()]
        running = start(people=people, journal=journal)
        cookie = log_in(running, 'operator')

        def correct(which, path='/mine/correct', **more):
            known = {'nonce': f'nonce-c{which}', 'stamp': str(STAMP + which), 'label': 'hammer',
                     'operator': 'operator', 'of': str(numbers[which - 1])}
            return running.get(path, 'POST', confirmation(**known | more), cookie=cookie).status
        told = json.loads(running.get('/mine/answers?operator=another', cookie=cookie).text)
        assert [(frame['operator'], frame['label']) for frame in told['frames']] == [
            ('operator', 'wrench')]
        assert correct(2) == 403
        assert correct(1, '/review/correct') == 403
        assert correct(1, nonce='?') == 400
        assert correct(1, label='') == 403  # it would be struck out
        assert correct(1) == 200
    assert [(one.of, one.label, one.operator) for one in running.console.due()] == [
        (numbers[0], 'hammer', 'operator')]


@pytest.mark.parametrize('corrected', [{}, {'hammer': 1.0}])
def test_what_an_engineer_has_corrected_or_struck_out_its_operator_does_not_change_back(
        start, people, tmp_path, corrected):
    journal = tmp_path / 'journal.db'
    with JournalWriter(journal, ('hammer', 'screwdriver', 'wrench')) as written:
        for number in (1, 2):
            written.answer(STAMP + number, [0.2, 0.2, 0.6])
            written.confirm(STAMP + number, 'wrench', operator='operator', nonce=f'nonce-{number}')
        written.log.flush()
        with JournalReader(journal) as reader:
            first, second = (one.number for one in reader.confirmations())
        for number, stamp, who in ((first, 1, 'engineer'), (second, 2, 'operator')):
            written.engine.correct(Correction(
                number, FrameKey(STAMP + stamp, 'camera'), corrected, who, f'nonce-c{stamp}'),
                lambda: 10**9)[1].result(30)
        running = start(people=people, journal=journal)
        cookie = log_in(running, 'operator')
        told = json.loads(running.get('/mine/answers', cookie=cookie).text)
        assert {frame['number']: frame['counts'] for frame in told['frames']} == {
            first: False, second: True}
        for number, stamp, status in ((first, 1, 403), (second, 2, 200)):
            body = confirmation('wrench', f'nonce-m{stamp}', stamp=str(STAMP + stamp),
                                operator='operator', of=str(number))
            assert running.get('/mine/correct', 'POST', body, cookie=cookie).status == status


def test_who_changes_what_is_taught_is_noted_by_the_name_of_the_login(start, people, tmp_path):
    folder, store = tmp_path / 'collection', ModelStore(tmp_path / 'models')
    for place in ('.features', 'torx', 'saw'):
        (folder / place).mkdir(parents=True)
    for label in ('torx', 'saw'):
        picture = draw_tool('wrench', np.random.default_rng(1), 96, 128)
        (folder / label / '0001-1.jpg').write_bytes(encode_picture(
            Frame(KEY, picture, 'rgb'), 128, 90))
    teaching = Teaching(folder, DEFAULT_MODEL, None, lambda: (), monotonic)
    trainer = Trainer(folder, store, DEFAULT_MODEL, idle=False)
    parts = teaching, trainer, Candidates(store, None), lambda: DEFAULT_MODEL
    with closing(Teach(*parts)) as teach:
        running = start(people=people, teach=teach)
        cookie = log_in(running, 'engineer')
        running.console.next_note()  # that of the login

        def act(name, **fields):
            body = json.dumps({'label': 'torx', 'name': '0001-1.jpg', 'person': 'kim'} | fields)
            response = running.get(f'/teach/{name}', 'POST', body, cookie=cookie)
            assert response.status == 200, response.text
        act('relabel', to='saw')
        act('delete', label='saw')
        act('cancel')  # there is none
        act('train')
        act('cancel')
        body = json.dumps({'version': '0007'})
        assert running.get('/teach/beside', 'POST', body, cookie=cookie).status == 400
    notes = [note for _ in range(9) if (note := running.console.next_note())]
    assert {note.person for note in notes} == {'engineer'}
    assert [(note.action, note.outcome) for note in notes] == [
        ('teach_relabel', 'done'), ('teach_delete', 'done'), ('teach_train', 'done'),
        ('teach_cancel', 'done'), ('teach_beside', 'asked'), ('teach_beside', 'failed')]
    assert notes[-2].why == '0007'


def test_a_correction_is_on_the_disk_before_the_page_hears_of_it(start):
    running = start()
    body = confirmation('', 'nonce-0009', of='17', operator='kim')  # struck out
    assert running.get('/review/correct', 'POST', body).status == 200
    assert running.get('/review/correct', 'POST', body).status == 200  # the same again
    for bad in ({'of': '0'}, {'of': 'x'}, {'of': 17}, {'label': 'anvil'}, {'kind': 'undo'}):
        assert running.get('/review/correct', 'POST', confirmation(
            **{'nonce': 'nonce-0010', 'of': '17'} | bad)).status == 400
    (due,) = running.console.due()
    assert (due.of, due.label, due.nonce) == (17, '', 'nonce-0009')
    running.outbox.close()
    running.outbox = Outbox(running.path, UNDO, monotonic())
    (again,) = running.outbox.due(monotonic())
    assert again == due
