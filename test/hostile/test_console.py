"""The console against whoever can reach its port: bytes over sockets to the real process."""

from collections import Counter
from contextlib import closing
from contextlib import suppress
import http.client
import json
import os
from pathlib import Path
import random
import re
import resource
from select import select
import signal
import socket
import subprocess
import sys
from time import monotonic
from time import sleep

import pytest
from web_socket import connect
from websockets.exceptions import ConnectionClosed

ROOT = Path(__file__).parent.parent.parent
TOKEN = 'a-token-that-is-long-enough'
BEARER = f'Authorization: Bearer {TOKEN}\r\n'
# Addresses of this machine alone; the console listens on the first.
HERE, ATTACKER, OPERATOR = '127.0.0.1', '127.0.0.2', '127.0.0.3'
MOST_FILES = 1024
FUZZ = int(os.environ.get('TOOL_RECOGNIZER_FUZZ', 300))
# Only bounds how long a failing test takes.
PATIENCE = 120.0
SAFE = ('content-security-policy', 'x-content-type-options', 'x-frame-options',
        'referrer-policy', 'cache-control')


class Console:
    """The program in a process of its own that may open few files."""

    def __init__(self, folder, *arguments):
        self._log = folder / 'console.log'
        self._begin = monotonic()
        self._pages = 0
        (folder / 'token').touch(0o600)
        (folder / 'token').write_text(TOKEN)
        environment = os.environ | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}
        with self._log.open('wb') as output:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'tool_recognizer', 'console', '--ros-args',
                 '-p', f'console.outbox:={folder / "outbox"}',
                 '-p', f'console.token_file:={folder / "token"}', '-p', 'console.port:=0',
                 *arguments],
                stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment)
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (MOST_FILES, MOST_FILES))
        try:
            found = until(lambda: re.search(r'open https?://([^:]+):(\d+)/', self.output)
                          or self.process.poll() is not None, 'the console does not start')
            assert found is not True, self.output
        except BaseException:
            self.kill()
            raise
        self.address = found[1], int(found[2])

    @property
    def output(self):
        return self._log.read_text()

    def end(self):
        """End it as a person would; it has no fault, and says each thing once a second at most."""
        self.process.send_signal(signal.SIGINT)
        try:
            assert self.process.wait(PATIENCE) == 0
        finally:
            self.kill()
        assert 'Traceback' not in self.output
        assert 'a fault in the console' not in self.output
        seconds = monotonic() - self._begin
        said = Counter(re.sub(r'\d+', '#', line) for line in self.output.splitlines())
        assert not {line: n for line, n in said.items() if n > seconds + 2}, 'the log is flooded'

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def files(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    @property
    def memory(self):
        """Return its resident memory, bytes."""
        pages = Path(f'/proc/{self.process.pid}/statm').read_text().split()[1]
        return int(pages) * os.sysconf('SC_PAGE_SIZE')

    def dial(self, source=ATTACKER, timeout=PATIENCE):
        return socket.create_connection(self.address, timeout, (source, 0))

    def tell(self, *data, source=ATTACKER, patience=30.0):
        """
        Send bytes, and return all that comes until the console ends the connection.

        Who has nothing more to say waits for the first words before he says so: some versions of
        uvicorn respond to nobody who has said that he is done.
        """
        with closing(self.dial(source)) as connection:
            with suppress(OSError):
                for part in data:
                    connection.sendall(part)
                select([connection], [], [], patience)
                connection.shutdown(socket.SHUT_WR)
            return hear(connection)

    def metrics(self, source=OPERATOR):
        """Return what an operator's machine is answered: {name with labels: value}."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE,
                                                source_address=(source, 0))
        with closing(connection):
            connection.request('GET', '/metrics', headers={'Authorization': f'Bearer {TOKEN}'})
            response = connection.getresponse()
            assert response.status == 200
            lines = response.read().decode().splitlines()
        return {name: float(value) for name, value in (
            line.rsplit(' ', 1) for line in lines if not line.startswith('#'))}

    def counted(self, name, **labels):
        """Return one of them, by its labels but for the recognizer's."""
        labels['recognizer'] = '/tool_recognizer'
        found = ','.join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        return self.metrics()[f'tool_recognizer_console_{name}{{{found}}}']

    def page(self, view='operator'):
        """Open one; each from an address of its own, since one may not open many."""
        self._pages += 1
        address = ':'.join(map(str, self.address))
        return connect(f'ws://{address}/socket?view={view}',
                       local_addr=(f'127.2.0.{self._pages}', 0),
                       headers={'Authorization': f'Bearer {TOKEN}'})


def until(condition, why):
    end = monotonic() + PATIENCE
    while not (value := condition()):
        assert monotonic() < end, f'waited in vain: {why}'
        sleep(0.02)
    return value


def hear(connection):
    """Read a connection to its end, however it ends."""
    heard = b''
    with suppress(ConnectionError):
        while data := connection.recv(1 << 20):
            heard += data
    return heard


def is_alive(page):
    """Ask a page's socket for something and wait for the answer."""
    page.send('{"kind": "undo", "nonce": "nobody-knows-this"}')
    while True:
        data = page.recv(PATIENCE)
        if isinstance(data, str) and json.loads(data)['kind'] == 'too_late':
            return True


def ending(page):
    """Read a page's socket to its end; return the code and reason of that."""
    while True:
        try:
            page.recv(PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd


@pytest.fixture(scope='module')
def console(tmp_path_factory):
    """Start one console for all; after all of it, it has lost and kept nothing."""
    started = Console(tmp_path_factory.mktemp('console'))
    started.metrics()
    files, memory = started.files, started.memory
    yield started
    until(lambda: started.files <= files + 8, 'the files are not closed')
    assert started.memory < memory + 64_000_000
    started.end()


@pytest.fixture
def many_files():
    """Let the attacker open thousands of sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3000:
        pytest.skip('this user may not open 3000 files: raise the hard limit (ulimit -Hn)')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def seconds_to_serve(console):
    """Open some pages and have each answer; return how long that took, s."""
    took = []
    for _ in range(10):
        begin = monotonic()
        with console.page() as page:
            assert is_alive(page)
        took.append(monotonic() - begin)
    return took


def test_2000_half_open_connections_keep_no_operator_of_another_address_out(
        console, many_files):
    quiet = seconds_to_serve(console)
    with console.page() as page:
        held = []
        try:
            for number in range(2000):
                connection = console.dial()
                with suppress(OSError):  # it may have been ended already
                    connection.sendall(b'GET / HTTP/1.1\r\nHost: 127.' if number % 2 else b'')
                held.append(connection)
            assert console.counted('clients', view='operator') == 1
            assert console.files < MOST_FILES
            assert is_alive(page)
            # Whatever else runs on this machine takes its time, too.
            assert min(seconds_to_serve(console)) < max(1.0, 10 * max(quiet))
        finally:
            for connection in held:
                connection.close()
    assert console.counted('refused_total', reason='crowded') >= 1900


def test_who_waits_longest_makes_room_also_where_all_come_from_one_address(console):
    """So behind a proxy, too, where all have the proxy's address, the newest are served."""
    held = [console.dial(OPERATOR) for _ in range(300)]
    assert console.metrics(OPERATOR)
    for connection in held:
        connection.close()


def test_whoever_keeps_the_console_waiting_is_ended(console):
    """Nobody is told apart by how he dawdles: each of these held a connection for ever."""
    login = f'POST /login HTTP/1.1\r\nHost: {HERE}\r\nContent-Length: 200\r\n\r\n'.encode()
    begun = {
        'says nothing': b'',
        'half a head': b'GET / HTTP/1.1\r\nHo',
        'half a body': login + b'token=',
        'half a chunk': login.replace(b'Content-Length: 200', b'Transfer-Encoding: chunked')
        + b'6\r\ntok',
        'no second request': f'GET / HTTP/1.1\r\nHost: {HERE}\r\n\r\n'.encode(),
        'waits for a 100': login.replace(b'\r\n\r\n', b'\r\nExpect: 100-continue\r\n\r\n')}
    dripping = {'drips a head': b'GET /?', 'drips a body': login}
    connections = {name: console.dial() for name in (*begun, *dripping)}
    for name, data in (begun | dripping).items():
        connections[name].sendall(data)
        connections[name].settimeout(0.25)
    end = monotonic() + PATIENCE
    while connections:
        for name in list(connections):
            assert monotonic() < end, f'still open: {list(connections)}'
            with suppress(TimeoutError):
                try:
                    if name in dripping:
                        connections[name].sendall(b'x')
                    ended = not connections[name].recv(65536)
                except ConnectionError:
                    ended = True
                if ended:
                    connections.pop(name).close()


def test_who_does_not_read_is_ended(console):
    with closing(console.dial()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = (f'GET /static/operator.js HTTP/1.1\r\nHost: {HERE}\r\n{BEARER}\r\n').encode()
        connection.settimeout(0.2)
        end, ended = monotonic() + PATIENCE, False
        while not ended:  # he asks on and on, and reads nothing
            assert monotonic() < end
            with suppress(TimeoutError):
                try:
                    connection.sendall(request * 100)
                except ConnectionError:
                    ended = True
    assert console.counted('refused_total', reason='late') >= 1


def test_thousands_of_quick_connections_leave_nothing_behind(console):
    console.metrics()
    files = console.files
    for number in range(max(2000, FUZZ)):
        with closing(console.dial()) as connection:
            if number % 3 == 1:
                connection.sendall(b'GET /')
            elif number % 3 == 2:  # reset instead of closed
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      b'\x01\0\0\0\0\0\0\0')
    until(lambda: console.files <= files + 4, 'files are left open')
    console.metrics()


def request(line='GET / HTTP/1.1', *headers, host=f'Host: {HERE}', body=b''):
    return '\r\n'.join([line, *filter(None, [host]), *headers, '', '']).encode('latin-1') + body


HANDSHAKE = ('Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
             'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
AUTHORIZED = BEARER.strip()


def handshake(*more, without='', line='GET /socket HTTP/1.1', **options):
    return request(line, *(known for known in HANDSHAKE if known != without), *more, **options)


CHUNKED = 'Transfer-Encoding: chunked'
HOSTILE = {
    'nonsense': b'\x00\xff\x16\x03\x01 nonsense\r\n\r\n',
    'TLS': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(500),
    'HTTP/2': b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + bytes(9),
    'h2c': request('GET / HTTP/1.1', 'Upgrade: h2c', 'Connection: Upgrade'),
    'no host': request(host=''),
    'two hosts': request('GET / HTTP/1.1', 'Host: other'),
    'host that is none': request(host='Host: ['),
    'host with a port that is none': request(host='Host: 127.0.0.1:99999999'),
    'origin that is none': request('POST /login HTTP/1.1', 'Origin: http://[', AUTHORIZED),
    'origin of a socket that is none': handshake('Origin: http://[', AUTHORIZED),
    'method': request('BREW / HTTP/1.1', AUTHORIZED),
    'delete': request('DELETE /metrics HTTP/1.1', AUTHORIZED),
    'trace': request('TRACE / HTTP/1.1', AUTHORIZED),
    'no method': request(' / HTTP/1.1'),
    'HTTP/0.9': b'GET /\r\n\r\n',
    'version': request('GET / HTTP/9.9'),
    'nowhere': request('GET /nowhere HTTP/1.1', AUTHORIZED),
    'a path of bytes': request('GET /%ff%00%c0%ae%2e%2e/x HTTP/1.1', AUTHORIZED),
    'a file from elsewhere': request('GET /static/..%2fapp.py HTTP/1.1', AUTHORIZED),
    'a file with a long name': request(f'GET /static/{"a" * 300}.css HTTP/1.1'),
    'a whole address': request('GET http://[/x HTTP/1.1', AUTHORIZED),
    'an asterisk': request('OPTIONS * HTTP/1.1', AUTHORIZED),
    'long line': request('GET /' + 'a' * 100_000 + ' HTTP/1.1'),
    'long header': request('GET / HTTP/1.1', 'X: ' + 'a' * 9000),
    'huge header': request('GET / HTTP/1.1', 'X: ' + 'a' * 1_000_000),
    'many headers': request('GET / HTTP/1.1', *(f'X{n}: 1' for n in range(500))),
    'many languages': request('GET / HTTP/1.1', 'Accept-Language: ' + 'xx,' * 1200),
    'language of weight nan': request('GET / HTTP/1.1', 'Accept-Language: de;q=nan,en;q=1e999'),
    'cookie that is none': request('GET / HTTP/1.1', 'Cookie: =;;=\xff; tool_recognizer_console'),
    'bearer of bytes': request('GET / HTTP/1.1', 'Authorization: Bearer \xfc\xff'),
    'token of bytes': request('GET /?token=%ff%00&token=%f0 HTTP/1.1'),
    'stamp that is none': request('GET /picture?stamp=%b2&frame_id=%00 HTTP/1.1', AUTHORIZED),
    'stamp beyond': request(f'GET /picture?stamp={"9" * 19} HTTP/1.1', AUTHORIZED),
    'length that is none': request('POST /login HTTP/1.1', 'Content-Length: many'),
    'two lengths': request('POST /login HTTP/1.1', 'Content-Length: 3', 'Content-Length: 4'),
    'negative length': request('POST /login HTTP/1.1', 'Content-Length: -1'),
    'long body': request('POST /login HTTP/1.1', 'Content-Length: 99999999999999999',
                         body=b'token=' + b'x' * 100_000),
    'body of a GET': request('GET / HTTP/1.1', 'Content-Length: 100000', body=bytes(100_000)),
    'chunks without end': request('POST /login HTTP/1.1', CHUNKED, body=b'5\r\ntoken\r\n' * 9000),
    'chunks of nonsense': request('POST /login HTTP/1.1', CHUNKED, body=b'zz\r\n\r\n'),
    'chunks of nonsense after the answer': request(
        'GET /nowhere HTTP/1.1', CHUNKED, AUTHORIZED, body=b'5\r\nabcde\r\nzz\r\n\r\n'),
    'both lengths': request('POST /login HTTP/1.1', CHUNKED, 'Content-Length: 3', body=b'abc'),
    'requests in turn, then nonsense': request('GET / HTTP/1.1') * 50 + b'\0\r\n\r\n',
    'no key': handshake(AUTHORIZED, without=HANDSHAKE[3]),
    'two keys': handshake(AUTHORIZED, HANDSHAKE[3]),
    'short key': handshake(AUTHORIZED, 'Sec-WebSocket-Key: AAAA', without=HANDSHAKE[3]),
    'no version': handshake(AUTHORIZED, without=HANDSHAKE[2]),
    'old version': handshake(AUTHORIZED, 'Sec-WebSocket-Version: 8', without=HANDSHAKE[2]),
    'two upgrades': handshake(AUTHORIZED, 'Upgrade: websocket'),
    'odd connection': handshake(AUTHORIZED, 'Connection: Upgrade, "', without=HANDSHAKE[1]),
    'posted handshake': handshake(AUTHORIZED, line='POST /socket HTTP/1.1'),
    'old handshake': handshake(AUTHORIZED, line='GET /socket HTTP/1.0'),
    'handshake with a subprotocol': handshake(AUTHORIZED, 'Sec-WebSocket-Protocol: a,,"'),
    'handshake with a long header': handshake(AUTHORIZED, 'X: ' + 'a' * 8000),
    'handshake elsewhere': handshake(AUTHORIZED, line='GET /metrics HTTP/1.1'),
    'handshake without a token': handshake(),
    'handshake of another page': handshake(AUTHORIZED, 'Origin: http://evil.example'),
    'socket without a handshake': request('GET /socket HTTP/1.1', AUTHORIZED)}


@pytest.mark.parametrize('name', HOSTILE)
def test_what_no_browser_sends_is_refused_with_the_safe_headers(console, name):
    said = console.tell(HOSTILE[name])
    answers = re.findall(rb'HTTP/1\.1 (\d+) [^\r]*\r\n(.*?)\r\n\r\n', said, re.S)
    assert answers, said[:200]
    for status, head in answers:
        assert status != b'500'
        names = [line.split(b':')[0].lower().decode() for line in head.split(b'\r\n')]
        assert set(SAFE) <= set(names), head
    assert answers[-1][0][:1] in (b'4', b'2')


def test_bytes_that_were_changed_at_random_end_nothing(console):
    chance = random.Random(12)
    for _ in range(FUZZ):
        data = bytearray(b''.join(chance.choices(list(HOSTILE.values()), k=2))[:3000])
        for _ in range(chance.randint(0, 8)):
            place = chance.randrange(len(data))
            data[place:place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        parts = sorted(chance.sample(range(len(data)), 2))
        said = console.tell(data[:parts[0]], data[parts[0]:parts[1]], data[parts[1]:],
                            patience=0.0)
        assert b' 500 ' not in said.split(b'\r\n')[0]
    console.metrics()


def message(**fields):
    return json.dumps({'kind': 'answer', 'nonce': 'nonce-0001', 'stamp': '17',
                       'frame_id': 'camera', 'label': 'wrench', 'operator': 'kim'} | fields)


UNREADABLE = [
    b'', b'\x00\xff', message().encode(), '', 'null', '[]', '{}', '3', '"x"', '[' * 16_000,
    '{"kind":' * 2000, '1' * 16_000, '{"kind": NaN}', '{"kind": ["answer"]}', '{"kind": {}}',
    '{"kind":"range","range":[]}', '{"kind":"range","range":{}}', '{"kind":"range","range":NaN}',
    '{"kind":"range"}', '{"kind":"range","range":"2h"}', '{"kind":"action","action":["x"]}',
    '{"kind":"action","action":null}', '{"kind":"undo","nonce":NaN}', '{"kind":"undo"}',
    '{"kind":"undo","nonce":1e999}', message(nonce=None), message(nonce=float('nan')),
    message(nonce=[]), message(nonce='\ud800' * 8), message(nonce='x' * 65),
    '{"kind":"\\ud800"}', 'ä' * 200, '{"kind":"' + 'ö' * 500 + '"}']


@pytest.mark.parametrize('data', UNREADABLE, ids=lambda data: repr(data[:30]))
def test_a_message_that_cannot_be_read_closes_its_page_with_the_reason(console, data):
    with console.page() as good, console.page() as bad:
        bad.send(data)
        end = ending(bad)
        assert end.code == 1008
        assert 'must be' in end.reason
        assert is_alive(good)


WRONG = [None, True, 0, -1, 1.5, float('nan'), float('inf'), 10 ** 400, [], {}, [[[]]],
         '', '-1', '1e3', '٣', str(2 ** 63), '9' * 4000, 'a\nb', '\ud800', '\0', '=', 'x' * 5000]


@pytest.mark.parametrize('field', ['stamp', 'frame_id', 'label', 'operator'])
def test_a_confirmation_with_a_wrong_field_is_refused_by_name_and_the_page_lives(console, field):
    with console.page() as page:
        for value in WRONG:
            good = field != 'stamp' and isinstance(value, str) and value in (
                '', '-1', '1e3', '٣', str(2 ** 63), '=') and (field, value) != ('label', '')
            nonce = f'nonce-{random.getrandbits(64):x}'
            try:
                page.send(message(**{field: value}, nonce=nonce))
            except ValueError:  # Python itself writes no number of 400 digits
                continue
            while True:
                data = page.recv(PATIENCE)
                told = json.loads(data) if isinstance(data, str) else {}
                if told.get('nonce') == nonce:
                    break
            assert told['kind'] == ('taken' if good else 'refused'), (field, value)
            assert good or field in told['why']
            sleep(0.05)  # a page may not speak faster


def test_a_page_that_floods_is_closed_and_one_that_reconnects_for_it_waits(console):
    with console.page() as page:
        with suppress(ConnectionClosed):
            for number in range(200):
                page.send(message(nonce=f'flood-{number:05d}'))
        end = ending(page)
    assert end.code == 1008
    assert 'too many messages' in end.reason
    statuses = []
    while b'429' not in statuses and len(statuses) < 2000:  # a slow one comes less often
        statuses.append(console.tell(handshake(AUTHORIZED), source='127.0.0.9').split()[1])
    assert statuses[0] == b'101'
    assert statuses[-1] == b'429'


def test_frames_of_a_socket_that_were_changed_at_random_end_nothing(console):
    chance = random.Random(13)
    for number in range(min(FUZZ, 1000)):
        frame = bytearray(b'\x81\xfe' + (len(message())).to_bytes(2, 'big') + bytes(4)
                          + message().encode())
        for _ in range(chance.randint(1, 6)):
            frame[chance.randrange(min(len(frame), 40))] = chance.randrange(256)
        with closing(console.dial(f'127.1.{number // 40}.1')) as connection:
            connection.sendall(handshake(AUTHORIZED))
            assert b' 101 ' in connection.recv(100)
            with suppress(ConnectionError):
                connection.sendall(frame)
    with console.page() as page:
        assert is_alive(page)


def test_without_room_for_files_there_is_one_line_and_no_end(tmp_path):
    """Sockets are not all that needs a file; when something else took them, it waits."""
    console = Console(tmp_path)
    for _ in range(20):
        soft = resource.prlimit(console.process.pid, resource.RLIMIT_NOFILE,
                                (console.files, MOST_FILES))
        refused = [console.dial() for _ in range(20)]
        sleep(1.0)  # it meets its limit, again and again, unless it has no time to
        resource.prlimit(console.process.pid, resource.RLIMIT_NOFILE, soft)
        for connection in refused:
            connection.close()
        if console.counted('refused_total', reason='no_descriptor'):
            break
    assert console.counted('refused_total', reason='no_descriptor') >= 1
    console.end()
