"""Confirmations that nobody means well by: each is refused by name, or kept as it came."""

import ast
from contextlib import closing
import json
from pathlib import Path
import sqlite3
from types import SimpleNamespace

from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from journal_writer import JournalWriter
from journal_writer import LABELS
import pytest
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.labels_file import LabelsError
from tool_recognizer.bags.labels_file import read_labels_file
from tool_recognizer.console import schema
from tool_recognizer.console.board import Board
from tool_recognizer.console.desk import Desk
from tool_recognizer.console.metrics import Metrics
from tool_recognizer.console.outbox import Outbox
from tool_recognizer.console.schema import Refused
from tool_recognizer.console.state import Console
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.monitor import EARLY_LABELS
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.messages import from_ros
from tool_recognizer.programs.replay import main as replay

PACKAGE = Path(__file__).parent.parent.parent / 'tool_recognizer'
STAMP = 1_790_000_000_123_456_789
# Generous: it only bounds how long a failing test takes, s.
PATIENCE = 120.0

# -- the entrances ------------------------------------------------------------------------------

# Who makes a confirmation: the one entrance for what comes from outside, and those who bring back
# what was admitted before.
MAKERS = {'core/admission.py', 'core/comparison.py', 'core/monitor.py', 'event_log/corrections.py',
          'event_log/rows.py', 'event_log/takeover.py', 'console/history.py'}


def test_whatever_comes_from_outside_is_admitted():
    makers = set()
    for path in PACKAGE.rglob('*.py'):
        text = path.read_text()
        if 'core.confirmation import Confirmation\n' in text and any(
                isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'Confirmation'
                for node in ast.walk(ast.parse(text))):
            makers.add(str(path.relative_to(PACKAGE)))
    assert makers == MAKERS


def label_message(stamp=STAMP, frame_id='camera', label='wrench'):
    seconds, rest = divmod(stamp, 1_000_000_000)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=seconds, nanosec=rest),
                               frame_id=frame_id),
        results=[SimpleNamespace(class_id=label, score=1.0)])


def status_message(stamp=STAMP, frame_id='camera', label='wrench', nonce='nonce-0001',
                   operator='kim', **values):
    values = {'stamp': str(stamp), 'frame_id': frame_id, 'nonce': nonce, 'operator': operator,
              'distribution': json.dumps({label: 1.0})} | values
    return SimpleNamespace(values=[SimpleNamespace(key=key, value=value)
                                   for key, value in values.items()])


@pytest.fixture
def console(tmp_path):
    outbox = Outbox(tmp_path / 'console.outbox', 5.0, 0.0)
    yield Console(Desk(60.0, 10), outbox, Board(), Metrics(), lambda: 0.0, lambda: 0.0)
    assert len(outbox) == 0
    outbox.close()


@pytest.fixture
def entrances(console, tmp_path):
    """Return each way in, as a function of the parts of a confirmation."""
    def page(stamp=STAMP, frame_id='camera', label='wrench', nonce='nonce-0001', operator='kim'):
        console.take(schema.read(json.dumps({
            'kind': 'answer', 'stamp': str(stamp), 'frame_id': frame_id, 'label': label,
            'nonce': nonce, 'operator': operator})))

    def file(stamp=STAMP, label='wrench'):
        path = tmp_path / 'labels.csv'
        path.write_text(f'stamp,label\n{stamp},"{label}"\n', errors='surrogatepass')
        return read_labels_file(path)

    return {
        'confirmed_label': lambda **parts: from_ros.confirmation(label_message(**parts)),
        'confirmation': lambda **parts: from_ros.confirmation_status(status_message(**parts)),
        'page': page, 'file': file}


CARRIED = {'confirmed_label': {'stamp', 'frame_id', 'label'}, 'file': {'stamp', 'label'},
           'confirmation': {'stamp', 'frame_id', 'label', 'nonce', 'operator'},
           'page': {'stamp', 'frame_id', 'label', 'nonce', 'operator'}}


@pytest.mark.parametrize('part', [
    {'stamp': -1}, {'stamp': 2**31 * 10**9}, {'stamp': 2**63}, {'stamp': 10**30},
    {'label': ''}, {'label': 'x' * 201}, {'label': 'x' * 8_000_000}, {'label': 'a:b'},
    {'label': 'wre\0nch'}, {'label': 'wrench\x1b[2J'}, {'label': '\u202ehcnerw'},
    {'label': '\ud800'}, {'frame_id': 'x' * 257}, {'frame_id': 'cam\nera'},
    {'nonce': 'n' * 65}, {'nonce': 'nonce-\x07-bell'}, {'operator': 'k' * 65},
    {'operator': 'k\u2066im'}], ids=lambda part: repr(part)[:30])
def test_no_entrance_takes_what_another_one_refuses(part, entrances):
    asked = [name for name, carried in CARRIED.items() if carried >= {*part}]
    assert len(asked) >= 2
    for name in asked:
        with pytest.raises((InvalidConfirmation, Refused, LabelsError)) as caught:
            entrances[name](**part)
        assert len(str(caught.value)) < 1200
        assert str(caught.value).isprintable()


@pytest.mark.parametrize('message', [
    status_message(distribution='[' * 100_000), status_message(distribution='{"a":' * 13_000),
    status_message(distribution=f'{{"wrench": {"1" * 400}}}'),
    status_message(distribution='{"wrench": 0.5, "wrench": 0.5}'),
    status_message(stamp='1' * 5_000_000), status_message(stamp='१२'), status_message(stamp=''),
    SimpleNamespace(values=[]),
    SimpleNamespace(values=2 * status_message().values),
    SimpleNamespace(values=[*status_message().values, *(
        SimpleNamespace(key=f'{n}', value='') for n in range(100_000))])],
    ids=lambda message: str(message)[-60:-40])
def test_a_status_that_is_no_confirmation_is_refused_in_a_few_words(message):
    with pytest.raises(InvalidConfirmation) as caught:
        from_ros.confirmation_status(message)
    assert len(str(caught.value)) < 1200


def test_a_recording_s_confirmations_are_counted_if_they_cannot_be_used(
        tmp_path, line_bag, write_model):
    begin = STAMP
    key = FrameKey(begin, 'bench')
    parts = {'stamp': begin, 'frame_id': 'bench', 'distribution': '{"wrench": 1.0}'}
    hostile = [('/tool_recognizer/confirmation', to_bag.status('', '', 0, '', parts | changed))
               for changed in (
                   {'distribution': '[' * 100_000}, {'distribution': '{"\\ud800": 1.0}'},
                   {'distribution': f'{{"wrench": {"1" * 400}}}'}, {'stamp': 2**63},
                   {'stamp': -1}, {'operator': 'x' * 1_000_000})]
    hostile += [('/tool_recognizer/confirmed_label', to_bag.distribution(key, said)) for said in (
        {'x' * 1_000_000: 1.0}, {'a:b': 1.0}, {'wrench': float('nan')}, {})]
    extra = [(topic, begin + number, message) for number, (topic, message) in enumerate(hostile)]
    bag = line_bag(frames=20, start=begin, extra=extra)
    result = tmp_path / 'result.json'
    assert replay([str(bag), '--json', str(result), '--quiet', '--model',
                   str(write_model())]) == 0
    found = json.loads(result.read_text())
    assert found['confirmations']['invalid'] == len(hostile)
    assert found['confirmations']['scored'] > 0
    assert max(map(len, found['input']['examples'].values())) < 1200


def test_a_shown_tool_that_is_no_label_is_counted_too(tmp_path, line_bag, write_model):
    shown = [('/shown', STAMP + at * 300_000_000, to_bag.string(label))
             for at, label in enumerate(('wrench', 'a:b', 'x' * 1_000_000, 'hammer'))]
    bag = line_bag(frames=20, confirm=False, start=STAMP, extra=shown)
    result = tmp_path / 'result.json'
    assert replay([str(bag), '--json', str(result), '--quiet', '--labels', '/shown', '--model',
                   str(write_model())]) == 0
    counts = json.loads(result.read_text())['confirmations']
    assert (counts['scored'], counts['invalid']) == (2, 2)


@pytest.mark.parametrize('stamp', ['1e999999999', '9' * 100_000, '1e30', '-1', '2147483648.0'])
def test_a_labels_file_s_stamp_is_not_written_out_before_it_is_known_to_be_one(stamp, tmp_path):
    path = tmp_path / 'labels.csv'
    path.write_text(f'{STAMP},wrench\n{stamp},wrench\n')
    with pytest.raises(LabelsError, match='is no number from 0 to below') as caught:
        read_labels_file(path)
    assert len(str(caught.value)) < 1200


def test_a_labels_file_s_probability_is_not_written_out_either(tmp_path):
    path = tmp_path / 'labels.csv'
    path.write_text(f'{STAMP},wrench,{"x" * 100_000}\n')
    with pytest.raises(LabelsError, match='line 1: could not convert') as caught:
        read_labels_file(path)
    assert len(str(caught.value)) < 1400


# -- what is kept -------------------------------------------------------------------------------

# All that JSON can spell and that a message can carry, good and bad about evenly.
TEXTS = st.one_of(st.sampled_from(['wrench', 'camera', '', 'a"b\\c', '扳手']),
                  st.text(st.characters(codec=None), max_size=12),
                  st.sampled_from(['\ud800', '\0', 'x' * 300, 'unknown:dark', '\u202e']))
SCORES = st.one_of(st.sampled_from([1.0, 0.5, 0.0, -0.0]), st.floats(), st.floats(0.0, 1.0))
STAMPS = st.one_of(st.integers(0, 2**31 * 10**9 - 1), st.integers())
PAIRS = st.one_of(
    st.lists(st.tuples(TEXTS, SCORES), max_size=4),
    st.dictionaries(TEXTS, st.floats(0.001, 1.0), min_size=1, max_size=5).map(
        lambda found: [(label, p / sum(found.values())) for label, p in found.items()]))
JSON = st.one_of(PAIRS.map(lambda pairs: json.dumps(dict(pairs))),
                 st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
                              lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)).map(
                                  lambda found: json.dumps(found)), TEXTS)
LABEL_MESSAGES = st.builds(
    lambda stamp, frame_id, pairs: SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(
            sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000), frame_id=frame_id),
        results=[SimpleNamespace(class_id=label, score=score) for label, score in pairs]),
    STAMPS, TEXTS, PAIRS)
STATUS_MESSAGES = st.builds(
    lambda stamp, frame_id, distribution, operator, nonce: status_message(
        stamp, frame_id, nonce=nonce, operator=operator, distribution=distribution),
    st.one_of(STAMPS, TEXTS), TEXTS, JSON, TEXTS, TEXTS)


def read(message):
    try:
        return (from_ros.confirmation_status(message) if hasattr(message, 'values')
                else from_ros.confirmation(message))
    except InvalidConfirmation:
        return None


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(messages=st.lists(st.one_of(LABEL_MESSAGES, STATUS_MESSAGES), min_size=1, max_size=20))
def test_whatever_is_admitted_is_stored_and_read_back_as_it_came(messages, tmp_path_factory):
    path = tmp_path_factory.mktemp('kept') / 'journal.db'
    said = [confirmation for confirmation in map(read, messages) if confirmation is not None]
    with JournalWriter(path, LABELS) as writer:
        for confirmation in said:
            writer.engine.confirm(confirmation, 1)
        writer.log.flush()
        assert (writer.log.refused, writer.log.trouble) == (0, '')
        state = writer.engine.run.to_state()
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT stamp, frame_id, detail FROM events WHERE kind = 'confirmed' "
                          'ORDER BY id').fetchall()
    assert [(stamp, frame_id, json.loads(detail)) for stamp, frame_id, detail in rows] == [
        (*c.key, {'distribution': c.distribution, 'operator': c.operator, 'nonce': c.nonce})
        for c in said]
    with JournalReader(path) as reader:
        assert not [*reader.problems()]
    with JournalWriter(path, LABELS) as writer:  # and the next start goes on with it
        assert writer.engine.notes == ()
        assert writer.engine.run.to_state()['monitor']['early'] == state['monitor']['early']


def test_what_the_log_cannot_store_takes_nothing_else_with_it(tmp_path):
    """Past the entrances: 100 such confirmations among 5,000 good ones."""
    with JournalWriter(tmp_path / 'journal.db', LABELS) as writer:
        kept = {}
        for number in range(5000):
            bad = number % 50 == 0
            stamp, label = ((2**70 + number, 'wrench') if number % 100 == 0 else
                            (number, '\ud800' if bad else 'wrench'))
            kept[number] = bad, writer.engine.confirm(
                Confirmation(FrameKey(Stamp(stamp), 'camera'), {label: 1.0}), 1)[1]
        for bad, future in kept.values():
            if bad:
                with pytest.raises(JournalError, match='cannot be stored'):
                    future.result(PATIENCE)
            else:
                assert future.result(PATIENCE)
        assert (writer.log.refused, writer.log.trouble) == (100, '')
    with JournalReader(tmp_path / 'journal.db') as reader:
        assert len(list(reader.confirmations())) == 4900


# -- what is remembered -------------------------------------------------------------------------


def large(number, labels=1000):
    return {f'{number:04} {n:04} ' + 'x' * 50: 1.0 / labels for n in range(labels)}


def test_large_confirmations_of_no_frame_are_remembered_up_to_a_bound(tmp_path):
    with JournalWriter(tmp_path / 'journal.db', LABELS) as writer:
        room = EARLY_LABELS // 1000
        outcomes = [writer.confirm(number, large(number)) for number in range(2 * room)]
        assert outcomes == room * [Outcome.UNMATCHED] + room * [Outcome.NO_ROOM]
        early = writer.engine.run.to_state()['monitor']['early']
        assert [stamp for stamp, *_ in early] == [*range(room)]


def test_a_large_confirmation_is_known_again_without_being_remembered_whole(tmp_path):
    path = tmp_path / 'journal.db'
    with JournalWriter(path, LABELS) as writer:
        for number in range(50):
            writer.answer(number, (0.1, 0.2, 0.7))
            assert writer.confirm(number, large(number)) is Outcome.NOVEL
        state = writer.engine.run.to_state()['monitor']
        assert len(json.dumps(state['confirmed'])) < 10_000
        assert writer.confirm(7, large(7)) is Outcome.DUPLICATE
    with JournalWriter(path, LABELS) as writer:  # after a restart, too
        assert writer.confirm(8, large(8)) is Outcome.DUPLICATE
        assert writer.confirm(8, large(9)) is Outcome.CONFLICTING
