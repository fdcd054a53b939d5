"""The pages about what was said, and by whom, in a real browser, over real DDS."""

from contextlib import suppress
import json
import signal
from urllib.parse import urlsplit

from browsing import act
from browsing import asked_stamp
from browsing import confirmed_in
from browsing import DEEP
from browsing import log_in
from browsing import monitored
from browsing import NAME
from browsing import wait_in_browser
from diagnostic_msgs.msg import DiagnosticStatus
from graph import LABELS
from graph import values
from journal_writer import JournalWriter
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.inspection import Asked
from tool_recognizer.event_log.reader import JournalReader


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
    act(engineer, 'reset_monitor')

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
    admin.locator('tr', has_text='enna').filter(has_text='Überwachung zurückgesetzt').wait_for()
    admin.locator('tr', has_text='opna').filter(has_text='hat hammer bestätigt').wait_for()
    admin.get_by_label('Abmelden: opna').click()
    operator.locator('#password').wait_for()
    engineer.locator('#whom').select_option('opna')
    assert engineer.locator('#deeds tr', has_text='enna').count() == 0
    assert engineer.locator('#inside').is_hidden()
    for page in (operator, engineer, admin):
        page.errors = []


def test_an_engineer_corrects_and_strikes_out_and_the_monitor_follows(
        real, console, browser, tmp_path):
    """With the real recognizer, which is killed once before it can acknowledge."""
    journal = tmp_path / 'journal.db'
    address = console(undo=0.1, journal__path=journal).address
    page = browser(address)
    stamp = asked_stamp(real, page)
    page.keyboard.press('2')
    wait_in_browser(page, lambda: confirmed_in(journal), 'nothing in it')
    real.peer.wait(lambda: monitored(real)['n'] == '1', 'the monitor counts it')
    before = float(monitored(real)['nll'])
    page.goto(f'{address}review')
    page.locator('#frames button', has_text='screwdriver').wait_for()
    page.locator('select[name=label]').select_option('wrench')
    page.locator('#none').wait_for()
    page.locator('select[name=label]').select_option('')
    page.locator('#frames button').first.click()
    wait_in_browser(page, lambda: page.evaluate(
        "() => document.querySelector('#large-picture').naturalWidth > 0"), 'no picture')
    page.keyboard.press('+')
    assert 'scale(1.5)' in page.locator('#large-picture').get_attribute('style')
    page.locator('#right').select_option('hammer')
    page.locator('#correct').click()
    page.locator('#ask', has_text='hammer').wait_for()
    page.locator('#yes').click()
    page.locator('#became', has_text='computed anew').wait_for()
    assert confirmed_in(journal) == [(stamp, 'hammer', '', Outcome.SCORED)]
    real.peer.wait(lambda: 'corrected_at' in monitored(real), 'not told of')
    assert monitored(real)['n'] == '1'
    assert float(monitored(real)['nll']) < before
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
    page.locator('#became', has_text='struck out').wait_for()
    assert [outcome for *_, outcome in confirmed_in(journal)] == [Outcome.STRUCK]
    real.peer.wait(lambda: monitored(real)['n'] == '0', 'the monitor forgets it')
    with JournalReader(journal) as reader:
        assert len([*reader.rows("kind = 'corrected'")]) == 2
    page.goto(f'{address}who')
    page.locator('tr', has_text='struck a confirmation out').wait_for()


def test_who_corrects_when_the_login_has_ended_is_asked_for_it(
        console, browser, people, tmp_path):
    journal = tmp_path / 'journal.db'
    with JournalWriter(journal, tuple(LABELS)) as written:
        written.answer(1, (0.2, 0.3, 0.5))
        written.confirm(1, LABELS[0], nonce='nonce-0001')
    address = console(journal__path=journal, console__users_file=people).address
    page = browser(f'{address}review')
    log_in(page, 'enna')
    page.locator('#frames button').click()
    page.locator('#right').select_option(LABELS[1])
    page.locator('#correct').click()
    page.context.clear_cookies()
    page.locator('#yes').click()
    page.locator('#password').wait_for()
    log_in(page, 'enna')
    page.locator('#frames button').wait_for()
    page.errors = []  # that a login is needed is told there, and is meant


def test_a_late_correction_that_a_killed_console_had_taken_is_sent_and_never_called_refused(
        console, browser, recognizer_played, peer, tmp_path):
    journal, heard = tmp_path / 'journal.db', []
    with JournalWriter(journal, tuple(LABELS)) as written:
        written.answer(1, (0.2, 0.3, 0.5))
        written.confirm(1, 'wrench', operator='Kim', nonce='nonce-0001')
    peer.node.create_subscription(DiagnosticStatus, f'{NAME}/correction', heard.append, DEEP)
    program = console(journal__path=journal)
    page = browser(program.address)
    page.evaluate("localStorage.setItem('operator', '\"Kim\"')")
    page.reload()
    page.locator('#mine-button').click()
    page.locator('#answers select').select_option('hammer')
    page.locator('#answers button').click()
    wait_in_browser(page, lambda: heard, 'no correction is published')
    program.process.kill()
    program.process.wait()
    page.wait_for_timeout(2000)  # it is asked after meanwhile
    assert page.locator('#mine-said').inner_text() == 'Requested; no response yet.'
    heard.clear()
    console(port=urlsplit(program.address).port, journal__path=journal)
    wait_in_browser(page, lambda: heard, 'it is not published again')
    assert json.loads(values(heard[0])['distribution']) == {'hammer': 1.0}

    def is_settled():
        recognizer_played._on_confirmation(heard[0])
        page.wait_for_timeout(200)
        return page.locator('#mine-said', has_text='corrected').is_visible()
    wait_in_browser(page, is_settled, 'nothing became of it')
    page.errors = []  # while the console is away


def test_what_becomes_of_a_correction_disturbs_nobody_who_looks_at_something_else(
        console, browser, recognizer_played, peer, tmp_path):
    journal, heard = tmp_path / 'journal.db', []
    with JournalWriter(journal, tuple(LABELS)) as written:
        for number, label in enumerate(LABELS, 1):
            written.answer(number, (0.2, 0.3, 0.5))
            written.confirm(number, label, nonce=f'nonce-{number}')
    peer.node.create_subscription(DiagnosticStatus, f'{NAME}/correction', heard.append, DEEP)
    page = browser(f'{console(journal__path=journal).address}review')
    recognizer_played.ready()

    def correct_and(button):
        known = {values(message)['nonce'] for message in heard}  # that may be repeated

        def fresh():
            return [message for message in heard if values(message)['nonce'] not in known]
        page.locator('#frames button').first.click()
        page.locator('#right').select_option('operator:another_tool')
        page.locator('#correct').click()
        page.locator('#yes').click()
        wait_in_browser(page, fresh, 'no correction is published')
        page.locator(button).click()
        page.locator('#frames button').first.evaluate("(one) => { one.dataset.old = 'yes' }")
        recognizer_played._on_confirmation(fresh()[0])
        page.locator('#frames button[data-old]').wait_for(state='detached')  # it is drawn anew
    correct_and('#close')
    assert page.locator('#large').is_hidden()
    correct_and('#after')
    assert page.locator('#large-title').inner_text() == LABELS[1]
    assert page.locator('#became').inner_text() == ''


def test_frames_are_found_by_why_they_were_asked_for_and_conflicts_stand_side_by_side(
        console, browser, tmp_path):
    journal = tmp_path / 'journal.db'
    with JournalWriter(journal, tuple(LABELS), complete=False) as written:
        for number, share in enumerate((0.9, 0.1, 0.8, 0.05), 1):
            key = written.answer(number, (0.2, 0.3, 0.5))
            written.engine.ask(key, Asked(0.5, share), 0)
            if number < 4:
                written.confirm(number, LABELS[number - 1], nonce=f'nonce-{number}',
                                operator='anna')
        written.confirm(1, 'wrench', nonce='nonce-9', operator='ben')
        written.engine.record('alarm', 10, {
            'n': '3', 'change_first': '1', 'change_last': '2', 'worst_label': 'wrench',
            'per_label': '{"screwdriver": 2.5}'})
    page = browser(f'{console(journal__path=journal).address}review')
    frames = page.locator('#frames button')

    def choose(name, value, label):
        with page.expect_response(lambda response: '/review/frames' in response.url):
            page.locator(f'select[name={name}]').select_option(value)
        page.locator('#count', has_text=label).wait_for()
        return frames.all_inner_texts()
    page.locator('#count', has_text='4').wait_for()
    (doubtful,) = choose('asked', 'doubt', '1')
    assert 'screwdriver' in doubtful
    assert len(choose('asked', '', '4')) == 4
    assert page.locator('select[name=alarm] option').nth(1).inner_text().endswith('screwdriver')
    number = page.locator('select[name=alarm] option').nth(1).get_attribute('value')
    between = choose('alarm', number, '2')
    assert ['wrench' in between[0], 'screwdriver' in between[1]] == [True, True]
    choose('alarm', '', '4')
    (waiting,) = choose('outcome', 'waiting', '1')
    assert 'asked for, not confirmed' in waiting
    assert page.locator('#csv').is_hidden()
    frames.first.click()
    page.locator('#about', has_text='the model was unsure').wait_for()
    assert page.locator('#change').is_hidden()
    page.locator('#close').click()
    one, other = page.locator('#conflicts li button').all()
    assert 'hammer · anna · counts' in one.inner_text()
    assert 'wrench · ben · not counted' in other.inner_text()
    assert one.bounding_box()['y'] == other.bounding_box()['y']
    one.click()
    page.keyboard.press('ArrowRight')
    page.locator('#large-title', has_text='wrench').wait_for()
    assert page.locator('#strike').is_enabled()
