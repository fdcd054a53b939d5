"""The engineer's page in a real browser, over real DDS."""

import json
import re
from urllib.request import urlopen

from browsing import act
from browsing import agree
from browsing import confirmed_in
from browsing import deeds_in
from browsing import entries
from browsing import insist
from browsing import jpeg
from browsing import log_in
from browsing import PATIENCE
from browsing import wait_for_frame
from browsing import wait_in_browser
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Camera
from graph import confirmed
from graph import flat
from graph import header
from graph import LABELS
from graph import Operator
from graph import values
import numpy as np
import pytest
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger
from tool_recognizer.model.store import ModelStore


def test_the_engineer_sees_picture_prediction_figures_and_alarm_and_resets_after_one_question(
        console, browser, recognizer_played):
    page = browser(console().address + 'engineer')
    wait_in_browser(page, recognizer_played.live.get_subscription_count,
                    'nobody wants the live picture')
    recognizer_played.ready()
    for n in range(1, 8):
        recognizer_played.watch(n)
    recognizer_played.watch(8, change_at=4, evidence=2500.0)
    recognizer_played.predict(1, 0.1, 0.2, 0.7)
    recognizer_played.decide(1, 'wrench', 0.7)
    page.locator('#verdict.level-2', has_text='Drift').wait_for()
    page.locator('#verdict', has_text='mostly wrench').wait_for()
    page.locator('#figures', has_text='2500').wait_for()
    page.locator('#figures', has_text='0.38 [0.29, 0.53]').wait_for()
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
    act(page, 'reset_monitor')
    page.locator('#acted', has_text='Done: The monitor starts a new run.').wait_for()
    assert recognizer_played.resets == 1
    page.goto('about:blank')
    wait_in_browser(page, lambda: recognizer_played.live.get_subscription_count() == 0,
                    'the live picture is still asked for')


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


def test_a_response_that_can_reach_no_page_any_more_is_not_waited_for(
        console, browser, recognizer_played, peer):
    program, asked = console(), []

    async def hang(request, response):
        asked.append(request)
        await Future()
    peer.node.create_service(Trigger, '/tool_recognizer/reload_model', hang)
    page = browser(f'{program.address}engineer')
    recognizer_played.ready()
    agree(page, '[data-action=reload_model]')
    page.locator('#acted', has_text='Requested; no response yet.').wait_for()
    wait_in_browser(page, lambda: asked, 'it is not asked')
    program.process.kill()
    program.process.wait()
    page.locator('#acted', has_text='the connection was lost before a response').wait_for()
    page.errors = []  # that it is lost, which is meant


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
    for number in range(1, 1000):  # a decision comes when the next prediction is there already
        recognizer_played.predict(number, 0.0, 1.0 - number / 1000, number / 1000)
        if number > 1:
            recognizer_played.decide(number - 1, 'wrench', (number - 1) / 1000)
        page.wait_for_timeout(20)
        # A busy console leaves some out.
        if number > 40 and page.evaluate('new Set(window.seen.map(([one]) => one)).size') > 6:
            break
    recognizer_played.decide(number, 'wrench', number / 1000)
    page.locator('#decision', has_text=f'wrench {number / 10:.1f} %').wait_for()
    seen = page.evaluate('() => window.seen')
    assert len({headline for headline, _ in seen}) > 5
    # Both are written one after the other; what is seen is what is there when both are.
    assert [[headline, bar] for headline, bar in seen
            if headline and headline != f'wrench {bar}'] == []


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
    page.locator('#verdict-text', has_text=re.compile(
        r'^No response since \d\d:\d\d:\d\d$')).wait_for()
    wait_in_browser(page, lambda: page.locator('#decision').inner_text() == '', 'a decision')
    wait_in_browser(page, lambda: page.locator('#bars output').all_inner_texts() == (
        ['\u2013'] * 3), 'shares that are none any more')
    wait_in_browser(page, lambda: page.locator('#bars meter').evaluate_all(
        'all => all.map((one) => one.value)') == [0, 0, 0], 'bars of before')
    for one in (page, operator):
        one.locator('#trouble:visible', has_text=f'/tool_recognizer (ROS_DOMAIN_ID {domain})'
                    ).wait_for()
    recognizer_played.alive = True
    page.locator('#verdict.level-0', has_text='in control').wait_for()
    page.locator('#bars output', has_text='70.0 %').wait_for()


def test_a_frozen_camera_is_a_trouble_with_its_cure(
        recognizer, write_model, peer, console, browser):
    # While nothing is shown, and on a busy machine, no frame is called stale.
    recognizer(model_path=write_model(metadata={'rejection': {}}), decision__frozen_after=3,
               decision__deadline=60.0)
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
    metrics = urlopen(f'{program.address}metrics', timeout=PATIENCE).read().decode()
    assert re.search(r'decision_share\{decision="unknown:frozen",.*\} 0\.[5-9]', metrics)


def test_a_candidate_can_be_promoted_only_when_it_is_better(console, browser, recognizer_played):
    page = browser(console().address + 'engineer')
    recognizer_played.ready()
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

    def promote():
        button.click()
        page.locator('#sure button[value=yes]').click()
    insist(page, promote, '#acted', page.locator(
        '#acted q[lang=en]', has_text=re.compile('^its file has changed$')).is_visible)
    page.locator('#acted', has_text='Failed. The node says:').wait_for()


def test_a_candidate_that_has_become_better_is_promoted_and_the_journal_says_by_whom(
        recognizer, write_model, peer, console, browser, tmp_path, people):
    """With the real recognizer, in German."""
    journal, sharp = tmp_path / 'journal.db', write_model('sharp.onnx')
    recognizer(model_path=write_model('blunt.onnx', weights=0.3 * np.eye(3)),
               shadow_model_path=sharp, journal__path=journal)
    page = browser(console(console__users_file=people, console__locale='de').address)
    log_in(page, 'enna')
    page.locator('a[href="/engineer"]').click()
    page.locator('#promote').wait_for()
    assert page.locator('#promote').is_disabled()
    camera = Camera(peer)
    operator = Operator(camera)
    colours, rng = ((230, 10, 20), (15, 225, 30), (5, 25, 235)), np.random.default_rng(1)
    for number in range(1, 41):
        colour = np.clip(colours[number % 3] + rng.integers(-20, 20, 3), 0, 255)
        camera.answer(flat(tuple(map(int, colour)), header(number)))
        operator.confirm(confirmed(header(number), LABELS[number % 3]), n=number)
    page.locator('#promote:enabled').wait_for()
    agree(page, '#promote')
    page.locator('#acted', has_text='Der Kandidat hat übernommen.').wait_for()
    page.locator('#model', has_text='sharp.onnx').wait_for()
    page.locator('#promote').wait_for(state='hidden')
    wait_in_browser(page, lambda: [
        (deed['person'], deed['outcome']) for deed in deeds_in(journal)
        if deed['action'] == 'promote_shadow'] == [('enna', 'done'), ('enna', 'asked')],
        'not in the journal')
    page.errors = []  # that a login is needed was told at first


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
        f'{program.address}metrics', timeout=PATIENCE).read()


def test_the_region_is_drawn_on_the_live_picture_and_given_by_four_numbers(
        real, console, browser, tmp_path):
    """With the real recognizer, which looks at that part from the next frame on."""
    journal = tmp_path / 'journal.db'
    address = console(journal__path=journal).address
    page = browser(f'{address}engineer')
    frames = iter(range(1, 1000))

    def region(expected):
        real.answer(flat((200, 30, 30), header(next(frames))))
        page.wait_for_timeout(100)
        shown = page.locator('#region-now').evaluate("""(one) => ['left', 'top', 'width', 'height']
            .map((edge) => Math.round(10 * Number.parseFloat(one.style[edge] || -1)))""")
        hidden = page.locator('#region-now').get_attribute('hidden') is not None
        return page.locator('#live:visible').count() and (
            hidden if expected is None else shown == expected)
    wait_in_browser(page, lambda: region(None), 'no live picture of the whole frame')
    page.locator('#region summary').click()
    page.locator('#region-area.open').wait_for()

    def boxes():
        return page.evaluate("""() => ['region-area', 'live'].map((id) => {
            const { x, y, width, height } = document.getElementById(id).getBoundingClientRect()
            return { x, y, width, height }
        })""")
    area, picture = boxes()
    assert area['y'] + area['height'] == pytest.approx(picture['y'] + picture['height'], abs=1.5)
    assert area['width'] == pytest.approx(area['height'], abs=1.5)  # as the frame, not the band

    def drawn():
        """Draw a region; return its numbers, unless the page moved or opened meanwhile."""
        area, _ = before = boxes()

        def move(x, y):
            page.mouse.move(area['x'] + x * area['width'], area['y'] + y * area['height'])
        move(0.75, 0.5)
        page.mouse.down()
        move(0.5, 0.3)
        move(0.25, 0.1)
        page.mouse.up()
        numbers = [float(page.locator(f'#region-form [name={name}]').input_value())
                   for name in ('x', 'y', 'width', 'height')]
        return before == boxes() and numbers != [0, 0, 100, 100] and numbers
    assert wait_in_browser(page, drawn, 'the page moves') == pytest.approx(
        [25, 10, 50, 40], abs=1)
    page.locator('#region-form [name=x]').fill('20')
    page.locator('#region-form [name=y]').fill('12.5')
    page.locator('#region-form [name=width]').fill('90')  # more than there is beside it
    page.locator('#region-form [name=height]').fill('50')
    page.keyboard.press('Enter')
    page.locator('#sure-text', has_text='20 %, 12.5 %, 80 %, 50 %').wait_for()
    page.keyboard.press('Enter')
    page.locator('#acted', has_text='Done').wait_for()
    wait_in_browser(page, lambda: region([200, 125, 800, 500]), 'the region is not shown')
    page.locator('#region-whole').click()
    page.locator('#sure button[value=yes]').click()
    wait_in_browser(page, lambda: region(None), 'the whole frame is not shown')
    wait_in_browser(page, lambda: len(deeds_in(journal)) == 4, 'not in the journal')
    assert {deed['action'] for deed in deeds_in(journal)} == {'set_region'}
    page.goto(f'{address}who')
    page.locator('#deeds td', has_text=re.compile(
        r'^changed the region: region\.x 0\.2, region\.y 0\.125, ')).wait_for()


def test_models_are_listed_with_what_they_were_worth_and_one_is_put_in_charge_and_back(
        recognizer, write_model, peer, console, browser, tmp_path):
    """With the real recognizer, over a restart, and where it does not take what was chosen."""
    store, journal = ModelStore(tmp_path / 'models'), tmp_path / 'journal.db'
    for number in (1, 2):
        store.add(write_model(f'{number}.onnx', weights=number * np.eye(3, dtype=np.float32),
                              metadata={'name': f'colour {number}'}), 'anna')
    store.choose('0001', 'anna')
    options = {'models__path': store.path, 'journal__path': journal}
    program = recognizer(**options)
    page = browser(f'{console(**options).address}engineer')
    first, second = (page.locator('#models tr', has_text=f'colour {number}') for number in (1, 2))
    in_charge = 'td:last-child:not(:has(button))'
    first.locator(in_charge, has_text='in charge').wait_for()
    camera = Camera(peer)
    operator = Operator(camera)
    for number in range(1, 4):
        camera.answer(flat((200, 0, 0), header(number)))
        operator.confirm(confirmed(header(number), 'hammer'), n=number)
    wait_in_browser(page, lambda: len(confirmed_in(journal)) == 3, 'not in the journal')

    def put_in_charge(row):
        agree(page, row.locator('button'))
        row.locator(in_charge, has_text='in charge').wait_for()
        page.locator('#acted', has_text='Done: The model is in charge.').wait_for()
    put_in_charge(second)
    first.locator('td:nth-child(3)', has_text=re.compile('^3$')).wait_for()
    first.locator('td', has_text='100 % [44 %, 100 %]').wait_for()
    assert store.in_charge() == '0002'
    put_in_charge(first)
    assert store.in_charge() == '0001'
    assert [choice.by for choice in store.choices()] == ['anna', 'console', 'console']
    program.stop()
    recognizer(model_path=store.version('0001').model, **options)

    def is_refused():
        agree(page, second.locator('button'))
        page.locator('#acted', has_text='Failed').wait_for()
        return 'has its model_path set to' in page.locator('#acted').inner_text()
    wait_in_browser(page, is_refused, 'the new recognizer is not asked')
    assert store.in_charge() == '0001'  # what the recognizer does not take is not chosen


def test_a_store_of_models_that_cannot_be_read_is_told_of_in_the_readers_language(
        console, browser, tmp_path):
    address = console(models__path=tmp_path / 'none', console__locale='de').address
    trouble = browser(f'{address}engineer').locator('#no-models', has_text='Ablage der Modelle')
    assert 'models add' in trouble.locator('q[lang=en]').inner_text()


def test_the_way_back_to_the_model_that_ships_is_in_the_list_of_models(
        recognizer, write_model, console, browser, tmp_path):
    """With the real recognizer; nothing is done before it is confirmed."""
    store = ModelStore(tmp_path / 'models')
    store.add(write_model('1.onnx', metadata={'name': 'colour 1'}), 'anna')
    store.choose('0001', 'anna')
    options = {'models__path': store.path, 'journal__path': tmp_path / 'journal.db'}
    recognizer(**options)
    page = browser(f'{console(**options).address}engineer')
    back = page.locator('#models-back', has_text='Go back to the model that ships')
    for answer in ('no', 'yes'):
        back.click()
        page.locator('#sure-text', has_text='The model that was in charge before').wait_for()
        assert store.in_charge() == '0001'
        page.locator(f'#sure button[value={answer}]').click()
    page.locator('#acted', has_text='Done: The model before is in charge.').wait_for()
    page.locator('#models tr:not(:has-text("colour 1")) td:last-child', has_text='in charge'
                 ).wait_for()
    back.wait_for(state='hidden')
    page.locator('#models tr', has_text='colour 1').locator('button').wait_for()
    assert store.in_charge() == ''
    assert [choice.by for choice in store.choices()] == ['anna', 'console']


def test_after_a_correction_the_engineer_sees_when_it_was_and_since_when_figures_count(
        console, browser, recognizer_played):
    page = browser(console(console__locale='de').address + 'engineer')
    recognizer_played.ready()
    recognizer_played.watch(5, corrected_at=1_700_000_000.5, figures_since=1_699_990_000.0)
    page.locator('#figures', has_text='Kennzahlen seit').wait_for()
    assert 'zuletzt berichtigt' in page.locator('#figures').inner_text()
    recognizer_played.watch(6, corrected_at=1_700_000_000.5, figures_since='')
    wait_in_browser(page, lambda: 'Kennzahlen seit' not in page.locator('#figures').inner_text(),
                    'all of the run counts')
    assert 'zuletzt berichtigt' in page.locator('#figures').inner_text()


def test_an_alarm_is_drawn_with_its_interval_and_its_label_and_the_most_surprising_frames(
        console, browser, recognizer_played):
    page = browser(console().address + 'engineer')
    recognizer_played.ready()
    recognizer_played.ask(1, 'hammer')
    wait_in_browser(page, lambda: recognizer_played.live.get_subscription_count(), 'no page')
    for n in range(1, 8):  # only the newest is kept, so each is seen before the next one comes
        recognizer_played.watch(n)
        page.locator('#figures', has_text=re.compile(f'confirmed{n}$')).wait_for()
    recognizer_played.watch(8, change_at=4, change_first=2, change_last=6, evidence=2500.0,
                            per_label=json.dumps({'hammer': 7.5}))
    page.locator('#nll-chart .change-text', has_text='change: hammer').wait_for()
    first, moment, last = page.evaluate("""() => {
        const at = (kind, name) => Number(
          document.querySelector(`#evidence-chart .${kind}`).getAttribute(name))
        return [at('change-band', 'x'), at('change', 'x1'),
          at('change-band', 'x') + at('change-band', 'width')]
    }""")
    assert first < moment < last
    page.locator('#verdict', has_text='mostly hammer').wait_for()
    operator = browser(page.url.replace('engineer', ''))
    wait_for_frame(operator, 1)
    operator.keyboard.press('3')
    page.locator('#surprising figcaption', has_text='wrench, 1.9 nats (model: hammer 70 %)'
                 ).wait_for()
    page.locator('#surprising img').wait_for()
