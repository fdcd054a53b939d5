"""The operator's page in a real browser, over real DDS."""

import re
from urllib.parse import urlsplit

from browsing import act
from browsing import asked_stamp
from browsing import confirmed_in
from browsing import log_in
from browsing import monitored
from browsing import stamp_of
from browsing import wait_for_frame
from browsing import wait_in_browser
from diagnostic_msgs.msg import DiagnosticStatus
from graph import LABELS
from tool_recognizer.core.confirmation import Outcome


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


def test_with_a_gate_an_operator_is_told_that_the_pictures_show_one_tool(
        console, browser, recognizer_played):
    page = browser(console().address)
    recognizer_played.ready()
    recognizer_played.ask(1)
    page.locator('#picture:visible').wait_for()
    assert 'one and the same tool' not in page.locator('#why').inner_text()
    recognizer_played.statuses = [DiagnosticStatus(
        name='tool_recognizer: passages', level=DiagnosticStatus.OK, message='no passage')]
    page.locator('#why:visible', has_text='one and the same tool').wait_for()
    assert '5 %' in page.locator('#why').inner_text()


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


def test_undo_brings_the_frame_back_and_only_the_second_confirmation_is_sent(
        console, browser, recognizer_played):
    page = browser(console(undo=15.0).address)
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
    own.locator('#undo:enabled').wait_for()  # the next frame may be there before
    own.keyboard.press('u')
    # It is gone again after a moment; its text stays.
    other.locator('#notice', has_text='A confirmation was taken back').wait_for(state='attached')
    for page in (own, other):
        wait_for_frame(page, 1)
    own.locator('#said', has_text='Taken back: hammer').wait_for()
    assert not any(own.evaluate('() => window.noticed'))


def test_what_was_said_before_a_confirmation_was_heard_of_does_not_bring_its_frame_back(
        console, browser, recognizer_played):
    page = browser(console().address)
    recognizer_played.ready()
    recognizer_played.ask(1)
    wait_for_frame(page, 1)
    page.evaluate("""() => {
        const { send } = WebSocket.prototype
        window.held = []
        WebSocket.prototype.send = function (data) { window.held.push([this, data]) }
        window.release = () => window.held.forEach(([socket, data]) => send.call(socket, data))
        const picture = document.querySelector('#picture')
        window.hides = []
        new MutationObserver(() => window.hides.push(picture.hidden)).observe(
            picture, { attributes: true })
    }""")
    page.keyboard.press('1')
    recognizer_played.ask(2)
    page.locator('#waiting', has_text='2').wait_for()
    page.wait_for_timeout(200)
    assert all(page.evaluate('() => window.hides'))
    page.evaluate('() => window.release()')
    wait_for_frame(page, 2)
    wait_in_browser(page, recognizer_played.confirmations, 'no confirmation')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'hammer': 1.0}, '')]
    assert page.locator('#notice').text_content() == ''


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


def test_of_three_pages_one_confirms_and_a_finger_on_the_others_cannot_hit_the_next_frame(
        console, browser, recognizer_played):
    address = console().address
    pages = [browser(address) for _ in range(3)]
    recognizer_played.ready()
    recognizer_played.ask(1)
    for page in pages:
        wait_for_frame(page, 1)
    recognizer_played.ask(2)
    # Meant for frame 1, which is no longer there: it falls in the moment of the notice.
    pages[1].evaluate("""() => {
        const notice = document.querySelector('#notice')
        new MutationObserver((_, observer) => {
            if (notice.hidden) return
            observer.disconnect()
            window.noticed = notice.textContent
            document.body.dispatchEvent(new KeyboardEvent('keydown',
                { key: '3', code: 'Digit3', bubbles: true }))
        }).observe(notice, { attributes: true, childList: true })
    }""")
    pages[0].keyboard.press('1')
    wait_in_browser(pages[1], lambda: (pages[1].evaluate('() => window.noticed') or '').startswith(
        'Confirmed on another screen'), 'no notice')
    for page in pages:
        wait_for_frame(page, 2)
    pages[2].keyboard.press('2')
    wait_in_browser(pages[2], lambda: len(recognizer_played.confirmations()) == 2,
                    'no confirmations')
    assert recognizer_played.confirmations() == [(stamp_of(1), {'hammer': 1.0}, ''),
                                                 (stamp_of(2), {'screwdriver': 1.0}, '')]


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
             ('\u03c7', 'KeyX', 'operator:cannot_see'), ('\u0447', 'KeyX', 'operator:cannot_see'),
             ('+', 'Digit1', 'hammer'))  # Czech; elsewhere + enlarges the frame


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
        page.locator('#trouble').wait_for(state='hidden')  # a new console has heard nothing yet
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


def test_a_recognizer_that_asks_for_nothing_is_shown_with_the_parameter_that_changes_it(
        recognizer, write_model, peer, console, browser):
    recognizer(model_path=write_model())
    address = console().address
    page, engineer = browser(address), browser(f'{address}engineer')
    page.locator('#nothing-asked:visible', has_text='inspection.probability is 0').wait_for()
    page.locator('#nothing-now').wait_for(state='hidden')
    assert peer.set_parameter('inspection.probability', 0.005).successful
    act(engineer, 'reload_model')
    page.locator('#nothing-now:visible', has_text='comes by itself').wait_for()
    page.locator('#nothing-asked').wait_for(state='hidden')


def test_with_the_real_recognizer_the_journal_holds_the_frame_and_the_monitor_counts_it(
        real, console, browser, tmp_path):
    page = browser(console(undo=0.3, journal__path=tmp_path / 'journal.db').address)
    stamp = asked_stamp(real, page)
    page.keyboard.press('2')
    wait_in_browser(page, lambda: confirmed_in(tmp_path / 'journal.db'), 'nothing in it')
    assert confirmed_in(tmp_path / 'journal.db') == [(stamp, 'screwdriver', '', Outcome.SCORED)]
    real.peer.wait(lambda: monitored(real)['n'] == '1', 'the monitor counts it')
    page.goto(page.url + 'engineer')
    page.locator('#pairs', has_text='screwdriver taken for hammer: 1').wait_for()
    page.locator('#figures', has_text=re.compile('confirmed1')).wait_for()


def test_a_frame_is_enlarged_and_moved_by_a_finger(console, browser, recognizer_played):
    page = browser(console().address, has_touch=True)
    picture, smaller = page.locator('#picture'), page.locator('#smaller')

    def wait_for(is_it, act=lambda: None):
        wait_in_browser(page, lambda: is_it(picture.get_attribute('style')) or act(),
                        lambda: picture.get_attribute('style'))
    assert not smaller.is_visible()
    recognizer_played.ready()
    recognizer_played.ask(1)
    wait_for_frame(page, 1)
    for scale in ('1.5', '2.25'):
        page.locator('#larger').tap()
        wait_for(lambda style, scale=scale: f'scale({scale})' in style)
    touch, box = page.context.new_cdp_session(page), picture.bounding_box()
    x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2

    def send(kind, *points):
        touch.send('Input.dispatchTouchEvent', {
            'type': kind, 'touchPoints': [{'x': x, 'y': y} for x, y in points]})
    send('touchStart', (x, y))
    for step in range(1, 9):
        send('touchMove', (x - 10 * step, y))
    send('touchEnd')
    wait_for(lambda style: float(re.search(r'translate\((-?[\d.]+)%', style)[1]) < -3)
    # The browser may take a tap directly after a drag for the end of it.
    wait_for(lambda style: 'translate(0%, 0%) scale(1)' in style, smaller.tap)
    assert recognizer_played.confirmations() == []


def test_an_operator_sees_the_own_answers_corrects_one_late_and_enlarges_a_frame(
        real, console, browser, tmp_path, people):
    journal = tmp_path / 'journal.db'
    address = console(undo=0.1, journal__path=journal, console__users_file=people,
                      console__locale='de').address
    page = browser(address)
    log_in(page, 'opna')
    page.locator('#person', has_text='opna').wait_for()
    stamp = asked_stamp(real, page)
    page.locator('#why', has_text='100 % Wahrscheinlichkeit ausgewählt: ausgelost').wait_for()
    page.keyboard.press('+')
    assert 'scale(1.5)' in page.locator('#picture').get_attribute('style')
    page.keyboard.press('2')
    wait_in_browser(page, lambda: confirmed_in(journal), 'nothing in it')
    page.locator('#mine-button').click()
    page.locator('#answers li', has_text='screwdriver').locator('select').select_option('hammer')
    assert page.locator('#mine-said').inner_text() == ''  # to choose a label corrects nothing yet
    page.locator('#answers button').click()
    page.locator('#mine-said', has_text='berichtigt').wait_for()
    page.locator('#answers li', has_text='hammer').wait_for()
    assert confirmed_in(journal) == [(stamp, 'hammer', 'opna', Outcome.SCORED)]
    page.locator('#mine-close').click()
    page.locator('#progress', has_text='1 von 200 gelernt').wait_for()
    page.errors = []
