"""Teaching without a browser: who may take frames, what is refused, and that nothing is half."""

from collections import Counter
import os
from pathlib import Path
from time import monotonic
from time import sleep

import numpy as np
import pytest
from tool_recognizer.console.candidates import _held_out
from tool_recognizer.console.candidates import _shipped
from tool_recognizer.console.candidates import Candidates
from tool_recognizer.console.teaching import _missing
from tool_recognizer.console.teaching import LAST
from tool_recognizer.console.teaching import LEASE
from tool_recognizer.console.teaching import TeachError
from tool_recognizer.console.teaching import Teaching
from tool_recognizer.console.trainer import HELD
from tool_recognizer.console.trainer import Trainer
from tool_recognizer.console.trainer import WORK
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.model.content import content_digest
from tool_recognizer.model.content import read_content
from tool_recognizer.model.file import MODEL_METADATA
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.store import ModelStore
from tool_recognizer.model.wire import parse
from tool_recognizer.model.wire import serialize
from tool_recognizer.pictures.codec import encode_picture
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.training.collected import photographs_in


def frame(seed, label='wrench', light=1.0):
    pixels = draw_tool(label, np.random.default_rng(seed), 240, 320) * light
    return Frame(FrameKey(seed + 1, 'bench'), pixels.astype(np.uint8), 'rgb')


class Bench:
    """A camera that sees what lies before it, and a clock."""

    def __init__(self):
        self.frames, self.now = [frame(1)], 0.0

    def newest(self):
        if not self.frames:
            raise TeachError('camera', 'no frame comes', code='silent_publisher', topic='/image')
        return self.frames.pop(0) if len(self.frames) > 1 else self.frames[0]

    def clock(self):
        return self.now


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def teaching(tmp_path, bench):
    made = Teaching(tmp_path / 'collection', DEFAULT_MODEL, bench,
                    lambda: ('hammer', 'wrench'), bench.clock)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / 'models')


@pytest.fixture
def trainer(teaching, store):
    return Trainer(teaching.path, store, DEFAULT_MODEL, idle=False)


def collect(teaching, bench, *labels):
    """Collect a frame of each of these labels."""
    for seed, label in enumerate(labels, 1):
        bench.frames = [frame(seed)]
        teaching.collect('one', label, 'anna', 'a')


def entry(teaching, label):
    return next((one for one in teaching.state('')['labels'] if one['label'] == label),
                {'n': 0, 'new': []})


def wait(condition, patience=120.0):
    end = monotonic() + patience
    while not condition():
        assert monotonic() < end
        sleep(0.02)


def wait_for_training(trainer):
    wait(lambda: trainer.state()['state'] != 'running', 600.0)


def test_a_view_is_taken_once_and_what_is_refused_is_counted_by_its_reason(teaching, bench):
    first = teaching.collect('one', 'torx', 'anna', 'a')
    assert (first['reason'], first['novelty']) == ('', None)
    assert teaching.collect('one', 'torx', 'anna', 'a')['reason'] == 'near_duplicate'
    bench.frames = [frame(2, light=0.02)]
    dark = teaching.collect('one', 'torx', 'anna', 'a')
    assert (dark['reason'], dark['name']) == ('unknown:dark', '')
    state = teaching.state('a')
    assert state['refused'] == {'near_duplicate': 1, 'unknown:dark': 1}
    assert (state['taken'], entry(teaching, 'torx')['n']) == (1, 1)
    assert (entry(teaching, 'torx')['missing'], entry(teaching, 'hammer')['missing']) == (
        'start', 'all')


@pytest.mark.parametrize('label', ['Torx', 'HAMMER', 'a:b', '../up', ''])
def test_a_label_that_is_none_or_there_in_other_case_is_refused(teaching, label):
    teaching.collect('one', 'torx', 'anna', 'a')
    for mode in ('one', 'auto'):
        with pytest.raises(TeachError):
            teaching.collect(mode, label, 'anna', 'a')
    assert [photo.label for photo in photographs_in(teaching.path)] == ['torx']


def test_who_takes_frames_by_themselves_is_alone_until_they_stop_or_their_page_is_gone(
        teaching, bench):
    bench.frames = [frame(seed) for seed in range(1, 4)]
    teaching.collect('auto', 'torx', 'anna', 'a')
    for mode in ('one', 'auto'):
        with pytest.raises(TeachError, match=r"anna takes frames of 'torx' now") as refused:
            teaching.collect(mode, 'saw', 'ben', 'b')
        assert refused.value.named == {'person': 'anna', 'label': 'torx'}
    teaching.collect('stop', '', 'ben', 'b')  # is not his to stop
    assert teaching.state('b')['auto'] == {'label': 'torx', 'person': 'anna', 'own': False}
    wait(lambda: entry(teaching, 'torx')['n'] == 3)
    wait(lambda: teaching.state('a')['refused'].get('near_duplicate'))
    bench.now += LEASE - 1.0
    teaching.renew('a')
    bench.now += LEASE - 1.0
    assert teaching.state('a')['auto']['own']
    bench.now += 2.0
    wait(lambda: teaching.state('a')['auto'] is None)
    bench.frames = [frame(9, 'hammer')]
    assert teaching.collect('one', 'saw', 'ben', 'b')['reason'] == ''


def test_a_lost_camera_is_said_and_taking_goes_on_when_it_is_back(teaching, bench):
    bench.frames = []
    with pytest.raises(TeachError, match='no frame comes'):
        teaching.collect('one', 'torx', 'anna', 'a')
    teaching.collect('auto', 'torx', 'anna', 'a')
    wait(lambda: (teaching.state('a')['last'] or {}).get('reason') == 'camera')
    bench.frames = [frame(3)]
    wait(lambda: entry(teaching, 'torx')['n'] == 1)


@pytest.mark.parametrize(('count', 'new', 'missing'), [
    (0, [], 'all'), (9, [80.0] * LAST, 'start'), (12, [80.0] * LAST, 'sides'),
    (12, [80.0] * (LAST - 1), 'good'), (12, [40.0] * LAST, 'good'), (20, [40.0] * LAST, 'none'),
    (60, [80.0] * LAST, 'sides')])
def test_as_long_as_the_last_views_are_new_there_are_sides_to_be_shown(count, new, missing):
    assert _missing(count, new) == missing


def test_photographs_are_looked_through_relabelled_and_deleted_and_no_other_file(
        teaching, bench, tmp_path):
    outside = tmp_path / '0001-1.jpg'
    outside.write_bytes(b'not ours')
    collect(teaching, bench, 'torx', 'torx')
    names = [photo['name'] for photo in teaching.photographs('torx')['photographs']]
    assert len(names) == teaching.photographs('torx')['n'] == 2
    assert teaching.picture('torx', names[0])[:2] == b'\xff\xd8'
    for label, name in (('..', '0001-1.jpg'), ('torx', '../../0001-1.jpg'), ('saw', names[0])):
        for act in (teaching.picture, teaching.delete):
            with pytest.raises(TeachError):
                act(label, name)
    teaching.relabel('torx', names[0], 'saw')
    teaching.delete('torx', names[1])
    assert [photo.label for photo in photographs_in(teaching.path)] == ['saw']
    assert outside.read_bytes() == b'not ours'


def test_older_photographs_are_looked_through_too(teaching, bench, monkeypatch):
    monkeypatch.setattr('tool_recognizer.console.teaching.SHOWN', 1)
    collect(teaching, bench, 'torx', 'torx')
    newest = teaching.photographs('torx')
    older = teaching.photographs('torx', newest['more'])
    assert (newest['more'], older['more']) == (1, 0)
    assert newest['n'] == older['n'] == 2
    both = [*newest['photographs'], *older['photographs']]
    assert len({photo['name'] for photo in both}) == 2


def test_a_picture_of_the_journal_becomes_one_of_the_new_label(teaching):
    shown = frame(5)
    taken = teaching.take_picture('torx', shown.key, encode_picture(shown, 320, 90))
    assert (taken['reason'], entry(teaching, 'torx')['n']) == ('', 1)
    with pytest.raises(TeachError):
        teaching.take_picture('torx', shown.key, b'no picture')


def test_what_was_collected_before_is_known_at_the_next_start(teaching, bench, tmp_path):
    collect(teaching, bench, 'torx', 'torx')
    teaching.close()
    again = Teaching(teaching.path, DEFAULT_MODEL, bench, lambda: (), bench.clock)
    try:
        assert again.collect('one', 'torx', 'anna', 'a')['reason'] == 'near_duplicate'
        wait(lambda: len(entry(again, 'torx')['new']) == 2)
    finally:
        again.close()


# -- training ------------------------------------------------------------------------------------

def test_a_training_that_cannot_be_says_why_and_leaves_nothing_behind(
        teaching, bench, store, trainer):
    collect(teaching, bench, 'torx', 'torx')
    trainer.start('anna', [teaching.path], DEFAULT_MODEL)
    wait(lambda: trainer.state()['state'] == 'failed')
    assert 'at least 2' in trainer.state()['why']
    wait(lambda: not (teaching.path / WORK).exists())
    assert not store.path.exists()


def test_one_trains_at_a_time_and_a_cancelled_training_leaves_nothing_behind(
        teaching, bench, store, trainer):
    collect(teaching, bench, *['torx', 'saw'] * 2)
    trainer.start('anna', [teaching.path], DEFAULT_MODEL)
    with pytest.raises(TeachError) as refused:
        trainer.start('ben', [teaching.path], DEFAULT_MODEL)
    assert refused.value.named == {'person': 'anna'}
    wait(lambda: trainer.state().get('step'))
    trainer.cancel()
    wait(lambda: trainer.state()['state'] == 'cancelled')
    wait(lambda: not (teaching.path / WORK).exists())
    assert not store.path.exists()
    assert len(list(photographs_in(teaching.path))) == 4


def test_two_consoles_that_share_a_collection_train_one_after_the_other(
        teaching, bench, store, trainer):
    collect(teaching, bench, *['torx', 'saw'] * 2)
    trainer.start('anna', [teaching.path], DEFAULT_MODEL)
    other = Trainer(teaching.path, store, DEFAULT_MODEL, idle=False)
    assert other.state()['state'] == 'none'  # and not cut off
    with pytest.raises(TeachError) as refused:
        other.start('ben', [teaching.path], DEFAULT_MODEL)
    assert refused.value.reason == 'elsewhere'
    assert (teaching.path / WORK).exists()
    trainer.cancel()
    wait(lambda: trainer.state()['state'] == 'cancelled')
    other.start('ben', [teaching.path], DEFAULT_MODEL)
    assert other.state()['state'] == 'running'
    other.cancel()
    wait(lambda: other.state()['state'] == 'cancelled')


def test_beside_a_classifier_from_elsewhere_a_model_is_trained_and_not_compared(
        teaching, bench, store, trainer, write_model, tmp_path):
    plain = tmp_path / 'plain.onnx'
    plain.write_bytes(serialize([field for field in parse(write_model().read_bytes())
                                 if field[0] != MODEL_METADATA]))
    collect(teaching, bench, *['torx', 'saw'] * 2)
    trainer.start('anna', [teaching.path], plain)
    wait_for_training(trainer)
    assert trainer.state()['state'] == 'done', trainer.state()
    gate = store.version('1').about['gate']
    assert (gate['passed'], gate['plain']) == (False, True)


def test_a_training_that_is_killed_is_said_to_have_failed_and_leaves_nothing_behind(
        teaching, bench, store, trainer):
    collect(teaching, bench, *['torx', 'saw'] * 2)
    trainer.start('anna', [teaching.path], DEFAULT_MODEL)
    wait(lambda: trainer.state().get('step'))
    trainer._process.kill()
    wait(lambda: trainer.state()['state'] == 'failed')
    assert 'signal 9' in trainer.state()['why']
    assert not (teaching.path / WORK).exists()
    assert not store.path.exists()
    assert len(list(photographs_in(teaching.path))) == 4


def test_a_training_takes_only_the_time_that_nothing_else_wants(teaching, bench, store):
    collect(teaching, bench, *['torx', 'saw'] * 2)
    trainer = Trainer(teaching.path, store, DEFAULT_MODEL)
    trainer.start('anna', [teaching.path], DEFAULT_MODEL)
    number = trainer._process.pid
    wait(lambda: os.sched_getscheduler(number) == os.SCHED_IDLE)
    trainer.cancel()
    wait(lambda: trainer.state()['state'] == 'cancelled')


def test_a_photograph_that_is_deleted_while_it_is_trained_on_costs_no_training(
        teaching, bench, store, trainer):
    collect(teaching, bench, *['torx', 'saw'] * 3)
    taken = list(photographs_in(teaching.path))
    trainer.start('anna', [teaching.path], DEFAULT_MODEL)
    wait(lambda: len(list((teaching.path / WORK / HELD).glob('*'))) == len(taken))
    for photo in taken[1:]:  # before they were compared with the model in charge
        teaching.delete(photo.label, photo.path.name)
    wait_for_training(trainer)
    assert trainer.state()['state'] == 'done', trainer.state()
    counts = store.version('1').about['counts']
    assert +Counter(counts) == Counter(photo.label for photo in taken)
    assert store.version('1').about['base'] == Candidates(store, None).state()['shipped']
    wait(lambda: not (teaching.path / WORK).exists())
    assert list(photographs_in(teaching.path)) == taken[:1]


def test_a_training_that_the_consoles_end_cut_off_is_told_by_the_next_one(
        teaching, bench, store, trainer):
    assert trainer.state()['state'] == 'none'
    collect(teaching, bench, *['torx', 'saw'] * 2)
    trainer.start('anna', [teaching.path], DEFAULT_MODEL)
    trainer.close()
    wait(lambda: trainer.state()['state'] == 'cancelled')
    assert Trainer(teaching.path, store, DEFAULT_MODEL).state()['state'] == 'interrupted'
    assert not store.path.exists()


# -- what is in charge ---------------------------------------------------------------------------

class Recognizer:
    """Takes what it is told, or refuses it."""

    def __init__(self, store):
        self.values = {'model_path': '', 'models.path': str(store), 'shadow_model_path': ''}
        self.refuses, self.reason, self.loaded, self.elsewhere = '', 'refused', 0, False
        self.beside = ''  # digest of the shadow that is loaded

    def parameters(self):
        return dict(self.values)

    def set_parameters(self, values):
        self.values |= values

    def reload(self):
        if self.refuses:
            raise TeachError(self.reason, self.refuses)
        self.loaded += 1
        chosen = ModelStore(self.values['models.path']).chosen()
        shadow = self.values['shadow_model_path']
        self.beside = content_digest(read_content(Path(shadow))) if shadow else ''
        digests = f'{chosen.digest if chosen else _shipped()}, {self.beside}'
        return f'loaded {"another" if self.elsewhere else digests}'


@pytest.fixture
def used(store, write_model):
    """Return a store with two versions, a recognizer, and what the page does with them."""
    for number in (1, 2):
        store.add(write_model(f'{number}.onnx', weights=number * np.eye(3)), 'anna')
    recognizer = Recognizer(store.path)
    return store, recognizer, Candidates(store, recognizer)


def test_a_version_is_tried_beside_put_in_charge_and_taken_back(used):
    store, recognizer, candidates = used
    candidates.try_beside('0002')
    assert recognizer.values['shadow_model_path'] == str(store.version('2').model)
    assert candidates.state()['before'] is None
    candidates.put_in_charge('0001', 'anna')
    candidates.put_in_charge('0002', 'ben')
    assert recognizer.values['shadow_model_path'] == ''
    state = candidates.state()
    assert (state['in_charge'], state['before']) == ('0002', '0001')
    assert [one['version'] for one in state['versions']] == ['0002', '0001']
    assert [choice.by for choice in store.choices()] == ['anna', 'ben']
    candidates.go_back('ben', '0001')
    assert candidates.state()['in_charge'] == '0001'
    with pytest.raises(TeachError) as late:  # who has seen 0002 in charge means that way back
        candidates.go_back('anna', '0001')
    assert late.value.reason == 'gone_back'
    assert candidates.state()['in_charge'] == '0001'
    candidates.go_back('ben', '')
    assert (candidates.state()['in_charge'], recognizer.loaded) == ('', 5)


def test_what_is_in_charge_is_changed_by_one_person_at_a_time(used):
    store, recognizer, candidates = used

    def meanwhile(values):
        for act in (lambda: candidates.put_in_charge('0002', 'ben'),
                    lambda: candidates.go_back('ben', ''),
                    lambda: candidates.try_beside('0002')):
            with pytest.raises(TeachError) as refused:
                act()
            assert refused.value.reason == 'changing'
    recognizer.set_parameters = meanwhile
    candidates.put_in_charge('0001', 'anna')
    assert [(choice.version, choice.by) for choice in store.choices()] == [('0001', 'anna')]


def test_a_way_back_that_was_cut_off_before_the_recognizer_was_told_can_be_gone_again(used):
    store, recognizer, candidates = used
    store.choose('0001', 'anna')
    assert not candidates.state()['went_back']
    store.go_back('anna')
    assert candidates.state()['went_back']
    before = store.choices()
    candidates.go_back('anna', '')
    assert (recognizer.loaded, store.choices()) == (1, before)


@pytest.mark.parametrize('act', [
    lambda candidates: candidates.try_beside('0001'),
    lambda candidates: candidates.put_in_charge('0001', 'anna'),
    lambda candidates: candidates.go_back('anna', '')])
def test_what_the_recognizer_refuses_is_as_it_was(used, act):
    store, recognizer, candidates = used
    store.choose('0002', 'anna')
    recognizer.values['shadow_model_path'] = 'another.onnx'
    recognizer.refuses = 'it lacks a label'
    with pytest.raises(TeachError, match='it lacks a label'):
        act(candidates)
    assert store.in_charge() == '0002'
    assert recognizer.values['shadow_model_path'] == 'another.onnx'


@pytest.mark.parametrize(('act', 'in_charge'), [
    (lambda candidates: candidates.put_in_charge('0001', 'anna'), '0001'),
    (lambda candidates: candidates.go_back('anna', ''), '')])
def test_what_a_recognizer_may_have_loaded_that_did_not_say_so_stays_chosen(
        used, act, in_charge):
    store, recognizer, candidates = used
    store.choose('0002', 'anna')
    recognizer.values['shadow_model_path'] = 'another.onnx'
    recognizer.refuses, recognizer.reason = 'no response', 'silent'
    with pytest.raises(TeachError) as unsure:
        act(candidates)
    assert unsure.value.reason == 'unsure'
    assert store.in_charge() == in_charge
    assert recognizer.values['shadow_model_path'] == ''


@pytest.mark.parametrize('version', ['0001', ''])
def test_the_way_back_is_not_gone_if_another_model_is_loaded(used, version):
    store, recognizer, candidates = used
    for chosen in filter(None, (version, '0002')):
        store.choose(chosen, 'anna')
    recognizer.elsewhere = True
    with pytest.raises(TeachError, match='not the one that was chosen'):
        candidates.go_back('ben', version)
    assert store.in_charge() == '0002'


def test_a_version_whose_file_was_changed_does_not_run_beside(used):
    store, recognizer, candidates = used
    first, second = store.versions()
    recognizer.values['shadow_model_path'] = str(second.model)
    first.model.write_bytes(Path(DEFAULT_MODEL).read_bytes())
    with pytest.raises(TeachError, match='not the one that was chosen'):
        candidates.try_beside('0001')
    assert recognizer.values['shadow_model_path'] == str(second.model)
    assert recognizer.beside == second.digest


@pytest.mark.parametrize(('name', 'value', 'reason'), [
    ('model_path', 'mine.onnx', 'fixed'), ('models.path', '/elsewhere', 'store'),
    ('models.path', '', 'store')])
def test_a_recognizer_that_does_not_follow_the_store_is_told_so(used, name, value, reason):
    store, recognizer, candidates = used
    recognizer.values[name] = value
    with pytest.raises(TeachError) as refused:
        candidates.put_in_charge('0001', 'anna')
    assert refused.value.reason == reason
    assert store.choices() == []


@pytest.mark.parametrize('held', [
    {'per_label': {'hammer': {'photographs': float('1e400'), 'recall': 1}}},
    {'per_label': {'hammer': {'photographs': 10**400}}},
    {'per_label': {'hammer': None}, 'advice': 7}, {'per_label': []}, {'deep': float('1e400')}, 7])
def test_what_a_model_file_says_of_itself_and_no_page_can_show_is_left_out(held):
    assert _held_out({'training': {'held_out': held}}) == {}


def test_a_share_without_its_interval_is_no_figure():
    share = {'recall': 0.5, 'low': 0.2, 'high': 0.8}
    known = {'hammer': {'photographs': 4} | share, 'wrench': {'photographs': 4, 'recall': 1.0}}
    assert _held_out({'training': {'held_out': {'per_label': known, 'advice': ['more', 7]}}}) == {
        'advice': ['more'], 'per_label': {'hammer': {'photographs': 4} | share, 'wrench': {
            'photographs': 4, 'recall': None, 'low': None, 'high': None}}}
    cost = {'nll': 0.4, 'nll_low': 0.1, 'nll_high': 0.9}
    held = {'per_label': {'hammer': {'photographs': 4} | share | cost},
            'all': {'photographs': 9} | share | cost | {'nll_high': None}, 'advice': []}
    assert _held_out({'training': {'held_out': held}}) == held | {
        'all': {'photographs': 9} | share}


def test_a_damaged_version_is_shown_and_not_used(used):
    store, _, candidates = used
    store.version('2').model.unlink()
    assert candidates.state()['versions'][0]['damage']
    for act in (candidates.try_beside, lambda name: candidates.put_in_charge(name, 'anna')):
        with pytest.raises(TeachError, match='is not there'):
            act('0002')
    with pytest.raises(TeachError, match='no version'):
        candidates.try_beside('0009')
