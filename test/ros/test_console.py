"""
The console in a real browser, over real DDS: what is kept, and who may come in.

The recognizer is played by the test where its misbehaviour matters, and is the real one elsewhere.
"""

from contextlib import suppress
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from time import sleep
from urllib.parse import urlsplit
from urllib.request import urlopen

from browsing import asked_stamp
from browsing import CHROMIUM
from browsing import confirmed_in
from browsing import entries
from browsing import FLAGS
from browsing import log_in
from browsing import PATIENCE
from browsing import stamp_of
from browsing import wait_for_frame
from browsing import wait_in_browser
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from graph import LATCHED
import pytest
from web_socket import connect


def test_a_console_that_is_killed_sends_after_its_restart_what_it_had_taken(
        console, peer, recognizer_played, tmp_path):
    program = console(undo=60.0)
    socket = f'ws://{urlsplit(program.address).netloc}/socket?view=operator'
    with connect(socket) as page:
        page.send(json.dumps({'kind': 'answer', 'nonce': 'nonce-0001', 'frame_id': 'bench',
                              'stamp': str(stamp_of(1)), 'label': 'wrench', 'operator': ''}))
        while 'taken' not in str(page.recv(timeout=PATIENCE)):
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

    def is_quiet():  # a repetition may have been on its way
        n = len(recognizer_played.heard)
        page.wait_for_timeout(3000)
        return len(recognizer_played.heard) == n
    wait_in_browser(page, is_quiet, 'it is repeated')
    assert len(recognizer_played.confirmations()) == 1


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
    wait_in_browser(page, lambda: page.evaluate("() => localStorage.getItem('pending')") == '[]',
                    'it is kept for ever')


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


def test_a_page_asks_for_the_token_anew_when_the_console_has_another_one(
        console, browser, token_file):
    program = console(console__token_file=token_file)
    page = browser(program.address)
    page.locator('#token').fill(token_file.read_text())
    page.keyboard.press('Enter')
    page.locator('#trouble', has_text='Nothing is heard of the recognizer').wait_for()
    program.process.kill()
    program.process.wait()
    page.locator('#trouble', has_text='No connection').wait_for()
    token_file.write_text('another-token-of-some-length')
    console(port=urlsplit(program.address).port, console__token_file=token_file)
    page.locator('#token').wait_for()
    page.locator('#token').fill(token_file.read_text())
    page.keyboard.press('Enter')
    page.locator('#nothing-now').wait_for()
    page.errors.clear()  # while the console was away, and that the token was wrong


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


def test_a_file_that_others_may_write_is_no_token_and_one_that_they_read_is_warned_of(
        console, start, token_file, tmp_path):
    token_file.chmod(0o644)
    assert 'other users may read it (mode 644)' in console(console__token_file=token_file).output
    assert (tmp_path / 'console.outbox').stat().st_mode & 0o777 == 0o600
    token_file.chmod(0o666)
    program = start('console', '--ros-args', '-p', f'console.outbox:={tmp_path / "o"}',
                    '-p', 'console.port:=0', '-p', f'console.token_file:={token_file}')
    assert program.process.wait(PATIENCE) == 2
    assert 'other users may change it (mode 666)' in program.output
    assert program.output.count('\n') == 1


def test_an_address_of_others_needs_tls_or_a_proxy_that_does_it(
        console, start, token_file, tmp_path):
    plain = ('console', '--ros-args', '-p', f'console.outbox:={tmp_path / "o"}', '-p',
             'console.port:=0', '-p', 'console.host:=0.0.0.0', '-p',
             f'console.token_file:={token_file}')
    program = start(*plain)
    assert program.process.wait(PATIENCE) == 2
    assert 'console.plain_http' in program.output
    assert program.output.count('\n') == 1
    address = console(console__host='0.0.0.0', console__token_file=token_file,
                      console__plain_http='true').address
    assert address.startswith('http://')
    assert urlopen(f'{address}static/console.css', timeout=PATIENCE).status == 200
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
    assert program.process.wait(PATIENCE) == 2
    assert words in program.output
    assert program.output.count('\n') == 1


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
    wait_in_browser(page, lambda: confirmed_in(tmp_path / 'journal.db'), 'nothing in it')
    page.locator('#trouble').wait_for(state='hidden')
    sleep(2.0)  # a repetition would have come by now
    kept = confirmed_in(tmp_path / 'journal.db')
    assert [one[:2] for one in kept] == [(stamp, 'hammer')]


def test_a_browser_that_is_killed_loses_no_confirmation(
        console, chromium, recognizer_played, peer, tmp_path):
    address = console(undo=20.0).address
    profile = tmp_path / 'profile'
    process = subprocess.Popen(
        [CHROMIUM, '--headless=new', *FLAGS, '--remote-debugging-port=0',
         f'--user-data-dir={profile}', 'about:blank'],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        port = peer.wait(lambda: (profile / 'DevToolsActivePort').exists() and (
            profile / 'DevToolsActivePort').read_text().split('\n')[0], 'no browser')
        doomed = chromium.browser_type.connect_over_cdp(f'http://127.0.0.1:{port}',
                                                        timeout=1000 * PATIENCE)
        page = doomed.contexts[0].new_page()
        page.set_default_timeout(1000 * PATIENCE)
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
        text = urlopen(f'{found[1]}metrics', timeout=PATIENCE).read().decode()
        labels = '{line="Halle 4",recognizer="/left/tool_recognizer"}'
        return (f'tool_recognizer_monitor_n{labels} 17.0' in text
                and f'tool_recognizer_frames_received_total{labels} 5.0' in text)
    peer.wait(exported, 'its own recognizer')
    for view in ('', 'engineer'):
        assert 'Halle 4</title>' in urlopen(f'{found[1]}{view}', timeout=PATIENCE).read().decode()


@pytest.mark.parametrize(('locale', 'wrong', 'forbidden'), [
    ('en', 'That is not the name and its password.', 'Your role may not do this.'),
    ('de', 'Name und Passwort passen nicht zusammen.', 'Ihre Rolle darf das nicht.')])
def test_an_operator_logs_in_confirms_under_the_own_name_and_sees_nothing_of_the_engineer(
        console, browser, recognizer_played, people, locale, wrong, forbidden):
    address = console(console__users_file=people, console__locale=locale,
                      console__line='Halle 4').address
    page = browser(address)
    page.errors = []  # 401 is told there, and is meant
    log_in(page, 'opna', 'another password')
    page.locator('#told', has_text=wrong).wait_for()
    page.locator('.line', has_text='Halle 4').wait_for()
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
    page.locator('.line', has_text='Halle 4').wait_for()
    page.goto(address)
    page.locator('#out button').click()
    page.locator('#password').wait_for()
    page.errors = []


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
