"""
Every page and every report, at every size, light and dark, in both languages.

Nothing is cut off, and axe-core has no serious objection. The last size is that of a screen of
1280 pixels zoomed to 200 %.
"""

import json
from pathlib import Path
import shutil
import subprocess
import tarfile
from time import time_ns

from browsing import entries
from browsing import jpeg
from browsing import log_in
from browsing import wait_in_browser
from diagnostic_msgs.msg import DiagnosticStatus
from graph import header
from graph import LABELS
from journal_writer import JournalWriter
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from tool_recognizer.core.inspection import Asked
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.store import ModelStore
from tool_recognizer.programs import evaluate
from tool_recognizer.programs import replay
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.training import report_page

AXE = 'axe-core@4.14.1'
SIZES = ((390, 844), (1280, 800), (1920, 1080), (640, 400))
LOOKS = (('en', 'light'), ('de', 'dark'))

# What reaches beyond the window, or is hidden by the element that it is in.
CUT_OFF = """() => {
  const name = (one) => `${one.tagName} ${one.id || one.className} ${one.textContent.slice(0, 40)}`
  const cut = []
  if (document.documentElement.scrollWidth > innerWidth) cut.push('the whole page')
  for (const one of document.querySelectorAll('body *')) {
    const box = one.getBoundingClientRect()
    if (!box.width || !one.checkVisibility() || one.closest('.unseen, .scroll *, svg *')) continue
    if (box.right > innerWidth + 1 || box.left < -1) cut.push(`beside: ${name(one)}`)
    const { overflowX, overflowY, clipPath } = getComputedStyle(one)
    if (clipPath !== 'none') continue  // for screen readers alone
    const hides = (value) => value === 'hidden' || value === 'clip'
    if (one.matches('img, #live-frame, #stage, #lens')) continue
    if ((hides(overflowX) && one.scrollWidth > one.clientWidth + 1)
      || (hides(overflowY) && one.scrollHeight > one.clientHeight + 1)) {
      cut.push(`in: ${name(one)}`)
    }
  }
  return cut
}"""
# Whether all that is in the window has been drawn in its size, each picture included.
DRAWN = """async () => {
  await document.fonts.ready
  for (let n = 0; n < 2; n += 1) await new Promise((done) => { requestAnimationFrame(done) })
  return [...document.images].every((one) => one.complete || !one.checkVisibility()
    || (one.loading === 'lazy' && one.getBoundingClientRect().top > innerHeight))
}"""
# What stands against WCAG 2 and is serious or critical: the rule, and where.
OBJECTIONS = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ['violations'] })
  return violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html.slice(0, 120))])
}"""


@pytest.fixture(scope='module')
def axe(tmp_path_factory):
    """Return the script of axe-core, from the registry of npm; '' if that cannot be reached."""
    if shutil.which('npm') is None:
        return ''
    folder = tmp_path_factory.mktemp('axe')
    try:
        subprocess.run(['npm', 'pack', AXE, '--silent', '--pack-destination', folder], check=True,
                       capture_output=True, timeout=90, cwd=folder)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return ''
    with tarfile.open(next(folder.glob('axe-core-*.tgz'))) as packed:
        return packed.extractfile('package/axe.min.js').read().decode()


def test_axe_core_looks_at_every_page_below(axe):
    if not axe:
        pytest.skip('npm cannot be reached, which brings axe-core: what is cut off is found all '
                    'the same')


def check(page, axe, ready=lambda page: None):
    """Look at a page in every size."""
    if axe:
        page.evaluate(axe)
    for width, height in SIZES:
        page.set_viewport_size({'width': width, 'height': height})
        ready(page)
        wait_in_browser(page, lambda: page.evaluate(DRAWN), 'a picture is missing')
        page.wait_for_timeout(50)
        where = page.url, page.locator('html').get_attribute('lang'), width
        assert page.evaluate(CUT_OFF) == [], where
        assert not axe or page.evaluate(OBJECTIONS) == [], where


@pytest.fixture
def journal(tmp_path):
    """Write a journal that has something for each part of a page."""
    path, moment = tmp_path / 'journal.db', time_ns() - 60 * 10**9
    with JournalWriter(path, tuple(LABELS), complete=False, moment=moment) as written:
        picture = bytes(jpeg(3))
        for number in range(1, 9):
            key = written.answer(number, (0.2, 0.3, 0.5), 'wrench')
            written.engine.ask(key, Asked(0.5, 0.1 * number), moment)
            if number > 7:
                continue
            for who, label in (('anna', 'wrench'), ('ben', LABELS[number % 3])):
                written.confirm(number, label, picture, operator=who, nonce=f'{who}-{number}',
                                moment=moment + number)
        written.engine.record('action', moment, {'person': 'anna', 'action': 'reset_monitor',
                                                 'outcome': 'failed', 'why': 'not configured'})
    return path


@pytest.fixture
def store(tmp_path, write_model):
    store = ModelStore(tmp_path / 'models')
    person = 'a person with a long name'
    store.add(write_model('1.onnx'), person)
    # What is told of held-out photographs only a model of this project's making has.
    taught, path = ModelFile.read(DEFAULT_MODEL), tmp_path / '2.onnx'
    seen = {'photographs': 12, 'recall': 0.92, 'low': 0.65, 'high': 0.99, 'nll': 0.21,
            'nll_low': 0.05, 'nll_high': 1.32}
    held = {'per_label': dict.fromkeys(LABELS, seen), 'all': seen,
            'advice': ['wrench has 8 photographs: 10 are a start, 20 are good']}
    path.write_bytes(taught.with_head(taught.head, taught.metadata | {
        'training': taught.metadata['training'] | {'held_out': held}}).content)
    store.add(path, person)
    store.choose('0001', 'anna')
    return store


def test_every_page_of_the_console_can_be_read_and_used_at_every_size(
        console, browser, axe, recognizer_played, journal, store, tmp_path):
    long = 'combination_pliers_insulated_1000V'
    for number, label in enumerate((*LABELS, 'scissors', long)):
        (tmp_path / 'collection' / label).mkdir(parents=True)
        (tmp_path / 'collection' / label / f'0001-{number}.jpg').write_bytes(jpeg(number))
    # What is asked for once is there until all is looked at.
    address = console(journal__path=journal, models__path=store.path,
                      console__collection=tmp_path / 'collection', console__locale='auto',
                      console__request_timeout=86_400.0).address
    recognizer_played.statuses = [
        DiagnosticStatus(name='tool_recognizer: inference', values=entries(
            state='running', model='models/2.onnx', provider='CPUExecutionProvider',
            model_digest=store.version('0002').digest, latency_p50_ms=11.2)),
        DiagnosticStatus(name='tool_recognizer: input', level=DiagnosticStatus.WARN,
                         values=entries(state='many_refused', topic='/image_raw', received=9,
                                        answered=8, region='0.1 0.2 0.5 0.5', aspect=4 / 3)),
        DiagnosticStatus(name='tool_recognizer: shadow', values=entries(
            state='undecided', n=40, nll_difference=-0.02, nll_difference_ci_low=-0.05,
            nll_difference_ci_high=0.01))]
    recognizer_played.ready()

    def engineer(page):
        page.locator('#models tr').nth(1).wait_for()
        page.locator('#surprising figure').first.wait_for()
        page.locator('#verdict.level-2').wait_for()
        page.locator('#region[open]').wait_for()

    for locale, scheme in LOOKS:
        page = browser(f'{address}engineer', locale=locale, color_scheme=scheme)

        def live_picture_is_shown(page=page):
            recognizer_played.live.publish(CompressedImage(
                header=header(1), format='jpeg', data=jpeg(1, (700, 640))))
            return page.locator('#live:visible').count()
        wait_in_browser(page, live_picture_is_shown, 'no live picture')
        for n in range(1, 8):
            recognizer_played.watch(n, evidence=float(n))
        recognizer_played.watch(8, change_at=4, change_first=2, change_last=6, evidence=2500.0,
                                per_label=json.dumps({'screwdriver': 3.0}))
        recognizer_played.predict(1, 0.1, 0.2, 0.7)
        recognizer_played.decide(1, 'wrench', 0.7)
        page.locator('#region summary').click()
        check(page, axe, engineer)
        page.locator('[data-action=reset_monitor]').click()
        page.locator('#sure[open]').wait_for()
        check(page, axe)
        recognizer_played.ask(1)
        page.goto(address)
        page.locator('#picture:visible').wait_for()
        check(page, axe)
        page.locator('#name-button').click()
        page.locator('#name').fill('anna')
        check(page, axe)
        page.keyboard.press('Enter')
        page.locator('#mine-button').click()
        page.locator('#answers select').first.wait_for()
        check(page, axe)
        page.locator('#mine-close').click()
        page.goto(f'{address}who')
        page.locator('#deeds tr', has_text='reset' if locale == 'en' else 'zur\u00fcck').wait_for()
        check(page, axe)
        page.goto(f'{address}review')
        page.locator('#conflicts li').first.wait_for()
        check(page, axe)
        page.locator('#frames button').first.click()
        page.locator('#large[open]').wait_for()
        check(page, axe)
        page.goto(f'{address}teach')
        page.locator('#versions tr').nth(1).wait_for()
        page.locator('#held-out tr', has_text=LABELS[0]).wait_for()
        page.locator('#labels button', has_text='scissors').click()
        page.locator('#photographs img').wait_for()
        check(page, axe)
        page.locator('#photographs button').click()
        page.locator('#large[open] #large-picture').wait_for()
        check(page, axe)


def test_every_page_that_lets_nobody_in_can_be_read_and_used_at_every_size(
        console, browser, axe, people, token_file, tmp_path):
    named = console(console__users_file=people, console__locale='auto').address
    secret = console(console__token_file=token_file, console__locale='auto',
                     console__outbox=tmp_path / 'another').address
    for locale, scheme in LOOKS:
        page = browser(secret, locale=locale, color_scheme=scheme)
        check(page, axe)
        page.goto(named)
        check(page, axe)
        log_in(page, 'opna')
        page.locator('#person', has_text='opna').wait_for()
        page.goto(f'{named}engineer')
        page.locator('.told').wait_for()
        check(page, axe)
        page.errors.clear()  # that a page is refused is told there, and is meant


@pytest.fixture
def reports(tmp_path, photos, line_bag, write_model):
    """Write one report of each kind."""
    folder = tmp_path / 'photos'
    for path, label in photos:
        (folder / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / label)
    evaluation, replayed, training = (tmp_path / f'{name}.html' for name in (
        'evaluation', 'replay', 'training'))
    assert evaluate.main([str(DEFAULT_MODEL), str(folder), '--quiet', '--html',
                          str(evaluation)]) == 0
    assert replay.main([str(line_bag(frames=90)), '--model', str(write_model()), '--quiet',
                        '--html', str(replayed)]) == 0
    model = OnnxModel.load(DEFAULT_MODEL)
    truth = model.metadata['reference']['label']
    training.write_text(report_page(
        model.metadata, model.digest, [Mistake('a.jpg', 'wrench', 'hammer', 2.5, lambda: np.zeros(
            (90, 120, 3), np.uint8))], [(100, 0.3), (200, 0.2)], range(len(truth))))
    return evaluation, replayed, training


def test_every_report_can_be_read_at_every_size_and_says_what_of_and_when(
        browser, axe, reports):
    for report in reports:
        for scheme in ('light', 'dark'):
            page = browser(report.as_uri(), color_scheme=scheme)
            check(page, axe)
            assert page.locator('main').count() == page.locator('h1').count() == 1
            assert len(page.requested) == 1
            about = page.locator('section').last.inner_text()
            assert 'digest of the model' in about
            assert 'date' in about
            paper = page.evaluate('getComputedStyle(document.body).backgroundColor')
            assert paper == ('rgb(243, 245, 248)' if scheme == 'light' else 'rgb(14, 18, 23)')
    assert Path(reports[0]).stat().st_size < 1_000_000
