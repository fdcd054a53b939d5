"""TLS: what is wrong with certificate and key is said at the start, and renewed ones are taken."""

from contextlib import closing
from contextlib import suppress
import shutil
import socket
import ssl
import subprocess
from urllib.parse import urlsplit

import pytest
from tool_recognizer.console.connections import Limits
from tool_recognizer.console.server import Server
from tool_recognizer.console.tls import Tls

pytestmark = pytest.mark.skipif(
    shutil.which('openssl') is None, reason='openssl is not installed, which makes certificates')
PLAIN = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')


def openssl(*arguments, folder=None):
    subprocess.run(['openssl', *arguments], check=True, capture_output=True, cwd=folder)


def make(folder, name='plant.example', key=PLAIN):
    """Write a certificate and its key; return their paths."""
    files = folder / f'{name}.crt', folder / f'{name}.key'
    openssl('req', '-x509', *key, '-keyout', files[1], '-out', files[0], '-days', '2',
            '-subj', f'/CN={name}', '-addext', f'subjectAltName=DNS:{name}')
    return files


def make_old(folder):
    """Write a certificate whose time is over, and its key; return their paths."""
    (folder / 'index').touch()
    (folder / 'config').write_text(
        '[ca]\ndefault_ca = own\n[own]\ndatabase = index\nnew_certs_dir = .\n'
        'default_md = sha256\npolicy = any\nrand_serial = yes\n[any]\ncommonName = supplied\n')
    openssl('req', '-new', *PLAIN, '-keyout', 'old.key', '-out', 'old.csr', '-subj', '/CN=old',
            folder=folder)
    openssl('ca', '-batch', '-selfsign', '-config', 'config', '-keyfile', 'old.key', '-in',
            'old.csr', '-out', 'old.crt', '-notext', '-startdate', '20200101000000Z', '-enddate',
            '20200102000000Z', folder=folder)
    return folder / 'old.crt', folder / 'old.key'


@pytest.fixture
def files(tmp_path):
    return make(tmp_path)


async def application(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-length', b'5')]})
    await send({'type': 'http.response.body', 'body': scope['scheme'].encode()})


@pytest.fixture
def serve():
    """Start servers; return their port."""
    servers = []

    def start(tls, **options):
        servers.append(Server(application, '127.0.0.1', 0, tls=tls, **options))
        return urlsplit(servers[-1].address).port
    yield start
    for server in servers:
        server.close()


def answer(port, trusted, **options):
    """Return what a client gets that trusts a certificate and expects its name."""
    context = ssl.create_default_context(cafile=trusted)
    for name, value in options.items():
        setattr(context, name, value)
    with closing(socket.create_connection(('127.0.0.1', port), 90.0)) as plain, \
            context.wrap_socket(plain, server_hostname='plant.example') as connection:
        connection.sendall(b'GET / HTTP/1.1\r\nHost: plant.example\r\nConnection: close\r\n\r\n')
        heard = b''
        while data := connection.recv(4096):
            heard += data
    return heard.rpartition(b'\r\n\r\n')[2]


def test_a_client_that_trusts_the_certificate_is_answered_over_https(files, serve):
    warnings = []
    tls = Tls(*map(str, files), warnings.append)
    assert answer(serve(tls), files[0]) == b'https'
    assert tls.names == ['plant.example']
    assert warnings == []


def test_tls_before_1_2_is_refused(files, serve):
    port = serve(Tls(*map(str, files), print))
    with pytest.warns(DeprecationWarning, match='TLSv1'), pytest.raises(ssl.SSLError):
        answer(port, files[0], minimum_version=ssl.TLSVersion.TLSv1,
               maximum_version=ssl.TLSVersion.TLSv1_1)


def test_http_on_the_port_of_tls_gets_no_answer_and_ends_nothing(files, serve):
    refused = []
    port = serve(Tls(*map(str, files), print), refused=refused.append)
    with closing(socket.create_connection(('127.0.0.1', port), 90.0)) as plain:
        plain.sendall(b'GET / HTTP/1.1\r\nHost: plant.example\r\n\r\n')
        heard = b''
        with suppress(ConnectionError):
            while data := plain.recv(4096):
                heard += data
    assert b'HTTP' not in heard
    assert answer(port, files[0]) == b'https'
    assert refused == ['handshake']


def test_handshakes_that_are_never_finished_make_room_for_one_that_is(files, serve):
    refused = []
    port = serve(Tls(*map(str, files), print), limits=Limits(100, 50), refused=refused.append)
    held = [socket.create_connection(('127.0.0.1', port), 90.0) for _ in range(200)]
    assert answer(port, files[0]) == b'https'
    for connection in held:
        connection.close()
    assert refused.count('crowded') >= 150


def test_renewed_files_are_taken_without_a_restart_and_wrong_ones_are_not(
        tmp_path, files, serve, monkeypatch):
    monkeypatch.setattr('tool_recognizer.console.tls.PERIOD', 0.0)
    warnings = []
    port = serve(Tls(*map(str, files), warnings.append))
    old = files[0].read_text()
    (tmp_path / 'new').mkdir()
    certificate, key = make(tmp_path / 'new')
    shutil.copy(certificate, files[0])  # the key comes a moment later
    (tmp_path / 'old.crt').write_text(old)
    assert answer(port, tmp_path / 'old.crt') == b'https'
    assert ['belongs to another certificate' in line for line in warnings] == [True]
    shutil.copy(key, files[1])
    assert answer(port, certificate) == b'https'
    files[1].unlink()
    assert answer(port, certificate) == b'https'
    assert 'cannot be read' in warnings[-1]


def test_what_cannot_be_used_is_refused_in_one_line_that_names_the_file(tmp_path, files):
    (tmp_path / 'other').mkdir()
    other = make(tmp_path / 'other')
    locked = make(tmp_path, 'locked', key=('-newkey', 'rsa:2048', '-passout', 'pass:secret'))
    weak = make(tmp_path, 'weak', key=('-newkey', 'rsa:1024', '-nodes'))
    (tmp_path / 'empty').touch(0o600)
    (tmp_path / 'noise').write_bytes(b'\x00\xff' * 100)
    (tmp_path / 'noise').chmod(0o600)
    open_key = tmp_path / 'open.key'
    shutil.copy(files[1], open_key)
    open_key.chmod(0o666)
    for certificate, key, words in (
            (tmp_path / 'none.crt', files[1], 'cannot be read (No such file'),
            (files[0], tmp_path / 'none.key', 'cannot be read (No such file'),
            (files[0], tmp_path, 'cannot be read (Is a directory'),
            (files[0], '/dev/zero', 'no regular file'),
            (files[0], other[1], 'the key belongs to another certificate'),
            (files[0], files[0], 'not a PEM certificate and its PEM key'),
            (files[1], files[1], 'not a PEM certificate and its PEM key'),
            (tmp_path / 'empty', files[1], 'not a PEM certificate and its PEM key'),
            (tmp_path / 'noise', tmp_path / 'noise', 'not a PEM certificate and its PEM key'),
            (*locked, 'without a passphrase'), (*weak, 'too weak'),
            (files[0], open_key, 'other users may change it (mode 666)')):
        with pytest.raises(ValueError, match='console') as refusal:
            Tls(str(certificate), str(key), print)
        assert words in str(refusal.value)
        assert '\n' not in str(refusal.value)


def test_what_can_be_used_but_should_not_is_warned_of(tmp_path, files):
    files[1].chmod(0o644)
    for pair, words in ((files, 'other users may read it (mode 644): chmod 600'),
                        (make_old(tmp_path), 'has expired, so browsers will refuse it')):
        warnings = []
        Tls(*map(str, pair), warnings.append)
        assert len(warnings) == 1
        assert words in warnings[0]
