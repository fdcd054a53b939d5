"""The page Teach in a real browser, over the real recognizer and the drawn line."""

from contextlib import suppress
from itertools import count
from pathlib import Path
import re
from time import time_ns
from urllib.parse import urljoin

from browsing import agree
from browsing import deeds_in
from browsing import insist
from browsing import wait_in_browser
from builtin_interfaces.msg import Time
import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from graph import LATCHED
from graph import raw
from journal_writer import JournalWriter
import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tool_recognizer.model.store import ModelStore
from tool_recognizer.pictures.line import AssemblyLine
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.training.collected import photographs_in
from tool_recognizer.training.photos import read_rgb
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo

# The last one is none of the labels of the model that ships.
LABELS, NEW = ('hammer', 'screwdriver', 'wrench', 'scissors'), 'scissors'
ENOUGH = 6
UNKNOWN = 'unknown:not_a_known_tool'
NAME = '/tool_recognizer'
# Other tests want the processor, too.
BUSY = {'console__idle_training': 'false'}


class Belt:
    """A camera above the drawn line, which carries what it is told to."""

    def __init__(self, peer):
        self._peer, self._publisher = peer, peer.publisher(Image, '/image_raw')
        self._line, self._frames, self.shown = None, count(), 0
        peer.node.create_timer(0.1, self._on_time)

    def show(self, label):
        """Carry tools of a label; return once nothing else is under way."""
        self._line, shown = AssemblyLine(1, 240, 320, 4, (label,)), self.shown
        self._peer.wait(lambda: self.shown > shown + 5, 'the belt stands still')

    def stop(self):
        """Stand still, which leaves the machine to others."""
        self._line = None

    def _on_time(self):
        if self._line is None:
            return
        label = None
        while label is None:
            pixels, label = self._line.frame(next(self._frames))
        now = time_ns()
        self._publisher.publish(raw(pixels, Header(
            frame_id='belt', stamp=Time(sec=now // 10**9, nanosec=now % 10**9)), 'rgb8'))
        self.shown += 1


@pytest.fixture
def folders(tmp_path):
    """Return the parameters by which console and recognizer find the same store."""
    return {'models__path': tmp_path / 'models', 'journal__path': tmp_path / 'journal.db'}


def number_of(page, label):
    cell = page.locator(f'#counts tr[data-label={label}] td').nth(1)
    return int(cell.inner_text()) if cell.count() else 0


def collect(page, belt, label, enough=ENOUGH):
    """Show a tool, and let each new view of it be taken until there are enough."""
    belt.show(label)
    button = page.locator(f'#labels [data-label={label}]')
    if not button.count():
        page.locator('#name').fill(label)
        page.locator('#new button').click()

    def is_chosen():  # the button may be drawn anew while it is pressed
        if button.get_attribute('aria-pressed') != 'true':
            button.click()
        return button.get_attribute('aria-pressed') == 'true'
    wait_in_browser(page, is_chosen, f'{label} is not chosen')
    take_until(page, lambda: number_of(page, label) >= enough, f'too few of {label}')
    page.evaluate("() => document.querySelector('#auto[aria-pressed=true]')?.click()")
    page.locator('#auto[aria-pressed=false]').wait_for()


def take_until(page, done, why):
    """Let views be taken; again, if that has ended by itself: a busy page is not heard of."""
    from playwright.sync_api import TimeoutError as TooLate
    idle = page.locator('#auto:enabled[aria-pressed=false]')

    def is_done():
        if not (value := done()) and idle.is_visible():
            with suppress(TooLate):  # it may have ended before that is seen
                idle.click(timeout=20_000)
                page.locator('#auto[aria-pressed=true]').wait_for(timeout=20_000)
        return value
    wait_in_browser(page, is_done, why, 300)


def test_a_new_tool_is_taught_tried_beside_put_in_charge_and_taken_back(
        console, browser, peer, recognizer, folders, tmp_path):
    # Of a busy machine no answer is too late.
    recognizer(decision__deadline=60.0, **folders)
    heard = []

    def hear(topic):
        return lambda message, about: heard.append((about['source_timestamp'], topic, message))
    for kind, topic, qos in ((LabelInfo, 'label_info', LATCHED),
                             (Classification, 'classification', 10)):
        peer.node.create_subscription(kind, f'{NAME}/{topic}', hear(topic), qos)
    decisions = peer.collect(Classification, f'{NAME}/decision')
    address = console(console__collection=tmp_path / 'collection', **BUSY, **folders).address
    page = browser(urljoin(address, '/teach'))
    belt = Belt(peer)
    page.locator('#who').fill('Anna')

    def decided(label):
        """Wait until what is on the belt is decided to be something, again and again."""
        decisions.clear()
        wait_in_browser(page, lambda: sum(
            decision.results[0].class_id == label for decision in decisions) >= 5,
            f'never {label}')

    belt.show(NEW)
    decided(UNKNOWN)
    # A label in other case is none of its own, and nothing is taken of it.
    page.locator('#labels [data-label=hammer]').wait_for()
    page.locator('#name').fill('Hammer')
    page.locator('#new button').click()
    page.locator('#one').click()
    page.locator('#took', has_text='“Hammer” is there as “hammer”').wait_for()
    wait_in_browser(page, lambda: page.errors, 'it is not refused')
    assert all('400' in error for error in page.errors)
    page.errors.clear()
    for label in LABELS:
        collect(page, belt, label)
    assert {photo.label for photo in photographs_in(tmp_path / 'collection')} == {*LABELS}
    belt.stop()
    train(page)
    page.reload()
    page.locator('#trained', has_text='Version 0001 is made').wait_for(timeout=1_200_000)
    page.locator('#held-out tr', has_text=NEW).wait_for()
    store = ModelStore(tmp_path / 'models')
    version = store.version('1')
    assert (version.about['by'], version.about['labels']) == ('Anna', sorted(LABELS))
    assert version.about['gate']['new'] == [NEW]
    assert store.chosen() is None

    insist(page, page.locator('[data-version="0001"] [data-act=beside]').click, '#acted',
           page.locator('#beside', has_text=f'Of {NEW}, which it alone knows').is_visible)
    belt.show(NEW)
    decided(UNKNOWN)  # which only answers beside

    insist(page, lambda: agree(page, '[data-version="0001"] [data-act=charge]'), '#acted',
           page.locator('tr.chosen[data-version="0001"]').is_visible)
    decided(NEW)
    assert [(choice.version, choice.by) for choice in store.choices()] == [('0001', 'Anna')]
    # Who acts on the answers knows the labels before the first answer with them.
    told = min(at for at, topic, message in heard if topic == 'label_info'
               and NEW in {entry.class_name for entry in message.class_map})
    assert told < min(at for at, topic, message in heard if topic == 'classification'
                      and NEW in {result.class_id for result in message.results})

    go_back(page)
    decided(UNKNOWN)
    assert store.chosen() is None
    deeds = {('Anna', f'teach_{deed}') for deed in ('train', 'beside', 'charge', 'back')}
    wait_in_browser(page, lambda: deeds <= {
        (deed['person'], deed['action']) for deed in deeds_in(folders['journal__path'])},
        'not noted')
    forgive(page)


def test_a_console_that_is_killed_while_it_collects_loses_no_collected_frame(
        console, browser, peer, recognizer, folders, tmp_path):
    recognizer(**folders)
    collection = tmp_path / 'collection'
    program = console(console__collection=collection, **folders)
    page = browser(urljoin(program.address, '/teach'))
    belt = Belt(peer)
    collect(page, belt, NEW, enough=2)
    counted = number_of(page, NEW)
    take_until(page, lambda: number_of(page, NEW) > counted, 'no other is taken')
    counted = number_of(page, NEW)
    program.process.kill()
    program.process.wait()
    kept = list(photographs_in(collection))
    assert len(kept) >= counted
    assert all(read_rgb(photo.path).size for photo in kept)
    console(port=port_of(program), console__collection=collection, **folders)
    wait_in_browser(page, lambda: not page.locator('#trouble').is_visible()
                    and number_of(page, NEW) == len(kept), 'the page does not come back')
    assert not (tmp_path / 'models').exists()
    forgive(page)


def test_while_the_button_is_held_one_view_after_another_is_taken(
        console, browser, peer, recognizer, folders, tmp_path):
    recognizer(**folders)
    address = console(console__collection=tmp_path / 'collection', **folders).address
    page = browser(urljoin(address, '/teach'))
    belt = Belt(peer)
    collect(page, belt, NEW, enough=1)
    before = number_of(page, NEW)

    def asked():
        return sum(url.endswith('/teach/collect') for url in page.requested)
    page.locator('#one:enabled').hover()
    page.mouse.down()
    wait_in_browser(page, lambda: number_of(page, NEW) >= before + 2, 'it takes no more')
    page.mouse.up()
    last = asked()
    page.wait_for_timeout(1500)
    assert asked() == last
    page.locator('#one').click()
    wait_in_browser(page, lambda: asked() == last + 1, 'a short press is not heard any more')
    page.keyboard.press('Space')  # the button has the focus
    wait_in_browser(page, lambda: asked() == last + 2, 'the space bar is not heard')
    page.wait_for_timeout(500)
    assert asked() == last + 2
    forgive(page)


def test_what_a_recognizer_said_before_it_died_is_not_shown_as_if_it_lived(
        console, browser, recognizer_played, write_model, folders, tmp_path):
    store = ModelStore(folders['models__path'])
    digest = store.add(write_model(), 'Anna').digest
    recognizer_played.statuses = [DiagnosticStatus(
        name='tool_recognizer: inference', level=DiagnosticStatus.OK,
        values=[KeyValue(key='model_digest', value=digest)])]
    address = console(console__collection=tmp_path / 'collection', **folders).address
    page = browser(urljoin(address, '/teach'))
    recognizer_played.ready()
    page.locator('tr.chosen[data-version="0001"]').wait_for()
    recognizer_played.predict(1, 0.1, 0.2, 0.7)
    recognizer_played.decide(1, 'wrench', 0.7)
    page.locator('#decision', has_text='wrench 70.0 %').wait_for()
    recognizer_played.alive = False
    page.locator('body.old').wait_for()
    page.locator('#trouble:visible', has_text='has not responded since').wait_for()
    assert page.locator('#decision').inner_text() == ''
    assert not page.locator('tr.chosen').count()
    recognizer_played.alive = True
    page.locator('tr.chosen[data-version="0001"]').wait_for()
    page.locator('#trouble').wait_for(state='hidden')


def test_what_operators_called_another_tool_becomes_the_new_label(
        console, browser, folders, tmp_path):
    collection = tmp_path / 'collection'
    page = browser(urljoin(console(console__collection=collection, **folders).address, '/teach'))
    page.locator('#labels [data-label=other]').wait_for()
    page.locator('#name').fill(NEW)
    page.locator('#new button').click()
    page.locator('#line-box summary').click()
    page.locator('#line-how', has_text='No picture yet.').wait_for()
    page.locator('#line-box summary').click()
    # An operator says so while the page is open already.
    with JournalWriter(folders['journal__path'], LABELS[:3]) as written:
        written.answer(7, [0.2, 0.3, 0.5], 'wrench')
        pixels = draw_tool('wrench', np.random.default_rng(5), 240, 320)
        written.confirm(7, 'operator:another_tool',
                        cv2.imencode('.jpg', pixels[..., ::-1])[1].tobytes())
    page.locator('#line-box summary').click()
    page.locator('#line-frames button').click()
    page.locator('#line-frames button.corrected').wait_for()
    (photo,) = photographs_in(collection)
    assert (photo.label, photo.stamp) == (NEW, 7)
    wait_in_browser(page, lambda: number_of(page, NEW) == 1, 'it is not counted')


def port_of(program):
    return re.search(r':(\d+)', program.address.split('//')[1])[1]


def forgive(page):
    """Forget what a page says of a console that is not there, or refuses: no fault of the page."""
    page.errors[:] = [error for error in page.errors
                      if not re.search('net::ERR_|status of 4(00|09)', error)]


def go_back(page):
    # None is said to be in charge either while nothing is heard of the recognizer.
    insist(page, lambda: agree(page, '#back:enabled'), '#acted',
           page.locator('body:not(.old):not(:has(tr.chosen))').is_visible)


def train(page):
    insist(page, page.locator('#train:enabled').click, '#trained',
           page.locator('#cancel').is_visible)


def trainings(collection):
    """Return the processes that train on a collection."""
    found = []
    for process in Path('/proc').glob('[0-9]*'):
        try:
            words = (process / 'cmdline').read_bytes().split(b'\0')
        except OSError:  # it has ended
            continue
        if b'train' in words and bytes(collection) in words:
            found.append(int(process.name))
    return found


def test_a_console_that_is_killed_while_it_trains_leaves_no_training_and_no_model_behind(
        console, browser, peer, recognizer, folders, tmp_path):
    recognizer(**folders)
    collection, rng = tmp_path / 'collection', np.random.default_rng(0)
    for label in LABELS[:2]:
        (collection / label).mkdir(parents=True)
        for number in range(12):
            pixels = draw_tool(label, rng, 240, 320)
            (collection / label / f'0001-{number}.jpg').write_bytes(
                cv2.imencode('.jpg', pixels[..., ::-1])[1].tobytes())
    kept = sorted(photo.path for photo in photographs_in(collection))
    options = {'console__collection': collection, **BUSY, **folders}
    program = console(**options)
    page = browser(urljoin(program.address, '/teach'))
    page.locator('#who').fill('Anna')
    train(page)
    assert trainings(collection)
    program.process.kill()
    program.process.wait()
    peer.wait(lambda: not trainings(collection), 'the training goes on without a console')
    assert sorted(photo.path for photo in photographs_in(collection)) == kept
    assert not folders['models__path'].exists()
    console(port=port_of(program), **options)
    page.locator('#trained', has_text='was cut off when the console ended').wait_for()
    train(page)
    page.locator('#cancel').click()
    page.locator('#trained', has_text='was cancelled').wait_for()
    forgive(page)


def test_a_console_that_is_killed_while_a_version_is_tried_beside_loses_no_collected_frame(
        console, browser, peer, recognizer, write_model, folders, tmp_path):
    store, collection = ModelStore(folders['models__path']), tmp_path / 'collection'
    store.add(write_model(), 'Anna')
    recognizer(**folders)
    options = {'console__collection': collection, **folders}
    program = console(**options)
    page = browser(urljoin(program.address, '/teach'))
    page.locator('#who').fill('Anna')
    belt = Belt(peer)
    collect(page, belt, NEW, enough=2)
    belt.stop()
    counted = number_of(page, NEW)
    page.locator('[data-version="0001"] [data-act=beside]').click()
    page.wait_for_timeout(100)
    program.process.kill()
    program.process.wait()
    kept = list(photographs_in(collection))
    assert len(kept) >= counted
    assert all(read_rgb(photo.path).size for photo in kept)
    assert store.chosen() is None
    console(port=port_of(program), **options)
    page.reload()
    version = page.locator('[data-version="0001"]')
    version.wait_for()

    def try_beside():  # where that needs a press: it may run beside already
        page.evaluate("""() => document.querySelector(
            '[data-version="0001"] [data-act=beside]')?.click()""")
    insist(page, try_beside, '#acted',
           version.locator('td', has_text=re.compile('^runs beside')).is_visible)
    assert number_of(page, NEW) == len(kept)
    forgive(page)


def test_a_console_that_is_killed_while_a_model_is_put_in_charge_says_how_it_stands(
        console, browser, peer, recognizer, write_model, folders, tmp_path):
    store = ModelStore(folders['models__path'])
    store.add(write_model(), 'Anna')
    recognizer(**folders)
    options = {'console__collection': tmp_path / 'collection', **folders}
    program = console(**options)
    page = browser(urljoin(program.address, '/teach'))
    page.locator('#who').fill('Anna')
    version = page.locator('[data-version="0001"]')
    insist(page, lambda: agree(page, '[data-version="0001"] [data-act=charge]'), '#acted',
           store.chosen)
    program.process.kill()
    program.process.wait()
    assert store.version('1').about['by'] == 'Anna'
    console(port=port_of(program), **options)
    page.reload()
    # The recognizer was told before the console ended, or was not.
    said = version.locator('td', has_text=re.compile('^(in charge|chosen, and not loaded yet)'))
    said.wait_for()

    def put_in_charge():  # where that needs a press: it may be loaded before there is one
        page.evaluate("""() => {
            document.querySelector('[data-version="0001"] [data-act=charge]')?.click()
            document.querySelector('#sure[open] button[value=yes]')?.click()
        }""")
    insist(page, put_in_charge, '#acted',
           page.locator('tr.chosen[data-version="0001"]').is_visible)
    go_back(page)
    assert store.chosen() is None
    forgive(page)
