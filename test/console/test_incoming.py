"""What anybody on the domain may publish: read as far as it can be shown, else refused."""

import json
from math import inf
from math import isnan
from math import nan
import os
import random
from time import monotonic
from types import SimpleNamespace as Message

import pytest
from tool_recognizer.console import incoming
from tool_recognizer.console import schema
from tool_recognizer.console.board import Board
from tool_recognizer.console.desk import Desk
from tool_recognizer.console.metrics import Metrics
from tool_recognizer.console.outbox import Outbox
from tool_recognizer.console.state import Console
from tool_recognizer.console.state import TOPICS
from tool_recognizer.core.decision import check_labels
from tool_recognizer.core.inspection import INCLUSION_PROBABILITY

FUZZ = int(os.environ.get('TOOL_RECOGNIZER_FUZZ', 500))
JPEG = b'\xff\xd8jpeg'


def header(sec=17, nanosec=5, frame_id='camera'):
    return Message(stamp=Message(sec=sec, nanosec=nanosec), frame_id=frame_id)


def scores(**known):
    return Message(header=header(), results=[
        Message(class_id=label, score=score) for label, score in known.items()])


def status(level=b'\0', name='tool_recognizer: input', message='', **values):
    return Message(level=level, name=name, message=message, values=[
        Message(key=key, value=value) for key, value in values.items()])


@pytest.mark.parametrize('score', [nan, inf, -inf, -0.1, 1.1, 1e308])
def test_a_probability_that_is_none_is_missing(score):
    read = incoming.probabilities(scores(hammer=0.25, wrench=score))
    assert read['hammer'] == pytest.approx(0.25)
    assert isnan(read['wrench'])


@pytest.mark.parametrize('value', ['inf', '-inf', 'nan', '1e999', '', 'many', '-1', '9' * 400])
def test_a_count_that_is_none_is_missing(value):
    assert incoming.status(status(n=value)).count('n') is None


@pytest.mark.parametrize('message', [
    Message(header=header(sec=-1)), Message(header=header(frame_id='x' * 257)),
    Message(header=header(frame_id='two\nlines'))])
def test_a_frame_that_no_page_could_name_is_refused(message):
    with pytest.raises(incoming.Unusable):
        incoming.key(message)


@pytest.mark.parametrize('data', [b'', b'\x89PNG', bytes(10), JPEG + bytes(8_000_000)])
def test_a_picture_that_is_no_jpeg_or_too_large_is_refused(data):
    with pytest.raises(incoming.Unusable, match='picture'):
        incoming.picture(Message(header=header(), data=data))


def test_text_is_cut_and_an_unknown_level_is_an_error():
    read = incoming.status(status(b'\xff', message='x' * 10 ** 6, **{'k' * 5000: 'v' * 5000}))
    assert read.level == 2
    assert read.message == 'x' * 1000 + '…'
    assert read.values == {'k' * 1000 + '…': 'v' * 1000 + '…'}


def test_statuses_that_no_page_could_be_sent_each_second_are_refused():
    names = ('tool_recognizer: ',)
    large = {f'{number:0>999}': 'v' * 1000 for number in range(300)}
    few = [status(name=f'tool_recognizer: {number}', **large) for number in range(2)]
    with pytest.raises(incoming.Unusable, match='characters'):
        incoming.statuses(Message(status=few), names)
    many = [status(name=f'tool_recognizer: {number}') for number in range(1000)]
    assert len(incoming.statuses(Message(status=many), names)) < 100


def test_whatever_labels_a_model_may_have_are_shown_and_can_be_confirmed():
    names = ['no-break\u00a0space', 'می\u200cخ', *map(str, range(24_998))]
    check_labels(tuple(names))
    entries = Message(class_map=[Message(class_name=name) for name in names])
    assert incoming.labels(entries) == tuple(names)
    read = incoming.request(scores(**dict.fromkeys([*names, INCLUSION_PROBABILITY], 0.0)))
    assert list(read[1]) == names
    for name in names[:3]:
        assert schema.read(json.dumps({
            'kind': 'answer', 'nonce': 'a' * 8, 'stamp': '17', 'frame_id': 'camera',
            'label': name, 'operator': 'Ada'}))['label'] == name


@pytest.mark.parametrize('name', ['two\nlines', 'turned \u202e', 'half \ud800', 'x' * 201])
def test_a_label_that_no_model_may_have_is_refused(name):
    with pytest.raises(incoming.Unusable, match='label'):
        incoming.labels(Message(class_map=[Message(class_name=name)]))


class Known:
    """A console, and everything that a page or Prometheus may ask of it."""

    def __init__(self, path):
        self.console = Console(Desk(60.0, 10), Outbox(path, 0.0, 0.0), Board(), Metrics(),
                               monotonic, lambda: 20.0)

    def tell(self, kind, message):
        console = self.console
        if kind == 'request':
            console.ask(*incoming.request(message))
        elif kind == 'picture':
            console.show(*incoming.picture(message))
        elif kind == 'prediction':
            console.predicted(incoming.key(message), incoming.probabilities(message))
        elif kind == 'decision':
            for decision, score in incoming.probabilities(message).items():
                console.decided(incoming.key(message), decision, score)
        elif kind == 'monitor':
            console.monitored(incoming.status(message))
        elif kind == 'health':
            console.diagnosed(incoming.statuses(Message(status=[message]), ('tool_recognizer: ',)))
        else:
            console.labelled(incoming.labels(message))

    def ask(self):
        self.console.tick()
        shown = [self.console.message(topic, '5m') for topic in TOPICS
                 if topic not in ('desk', 'live')]
        json.dumps([self.console.desk()[0], *shown], allow_nan=False)
        return self.console.metrics.text()


def test_one_infinite_count_and_one_score_that_is_none_leave_page_and_metrics_alive(tmp_path):
    known = Known(tmp_path / 'outbox')
    known.tell('monitor', status(n='inf', nll='inf', scored='inf', late='nan'))
    known.tell('prediction', scores(hammer=nan, wrench=inf))
    known.tell('decision', scores(hammer=nan))
    known.tell('request', scores(hammer=nan, wrench=0.5))
    known.tell('picture', Message(header=header(), data=JPEG))
    known.tell('health', status(received='inf', dropped_busy='inf', latency_p95_ms='nan'))
    assert b'tool_recognizer_monitor_nll +Inf' in known.ask()
    shown = known.console.desk()[0]['request']
    assert (shown['probabilities'], shown['guess']) == ({'hammer': None, 'wrench': 0.5}, 'wrench')


ODD = [nan, inf, -inf, 0.0, -0.0, 1.0, 1e308, -1e308, 5e-324, 0.5]
TEXTS = ['', 'n', 'nll', 'inf', 'nan', '-inf', '1e400', '-1', '12', '0x10', '٣', 'a\nb', '\0',
         '=1+1', '<b>', '{{x}}', 'x' * 3000, 'é' * 300, '\u202e', 'unknown:dark', 'hammer',
         'evidence', 'change_at', 'model_digest', 'dropped_', 'probability', 'scored',
         'asked:inclusion_probability', 'latency_p95_ms', 'received']


def any_message(chance):
    """Return a message as DDS could bring it: right types, any values."""
    def text():
        return chance.choice(TEXTS)
    of_labels = Message(
        header=header(chance.randrange(-2 ** 31, 2 ** 31), chance.randrange(2 ** 32), text()),
        results=[Message(class_id=text(), score=chance.choice(ODD))
                 for _ in range(chance.randrange(5))])
    if chance.random() < 0.5:
        of_labels.header = header()
    kind = chance.choice(('request', 'picture', 'prediction', 'decision', 'monitor', 'health',
                          'labels'))
    return kind, {
        'picture': Message(header=of_labels.header, data=chance.choice((JPEG, b'', b'x'))),
        'labels': Message(class_map=[Message(class_name=text()) for _ in range(3)]),
        'monitor': status(bytes([chance.randrange(256)]), text(), text(),
                          **{text(): text() for _ in range(6)}),
        'health': status(bytes([chance.randrange(256)]),
                         'tool_recognizer: ' + chance.choice(('input', 'inference', text())),
                         text(), **{text(): text() for _ in range(6)})}.get(kind, of_labels)


def test_whatever_is_published_the_pages_and_the_metrics_can_be_written(tmp_path):
    chance, known, refused = random.Random(6), Known(tmp_path / 'outbox'), 0
    for number in range(FUZZ):
        try:
            known.tell(*any_message(chance))
        except incoming.Unusable:
            refused += 1
        if number % 10 == 0:
            known.ask()
    assert 0 < refused < FUZZ


def test_decisions_that_never_repeat_fill_no_memory(monkeypatch):
    monkeypatch.setattr('tool_recognizer.console.counted.MOST', 10)
    metrics = Metrics()
    metrics.collect_from(lambda: {'monitor': None, 'health': {}, 'alive': True, 'requests': {},
                                  'open': 0, 'unacknowledged': 0})
    for number in range(1000):
        metrics.decided(f'decision {number}')
    lines = [line for line in metrics.text().decode().splitlines() if 'decisions_total{' in line]
    assert len(lines) == 11
    assert 'tool_recognizer_decisions_total{decision="other"} 990.0' in lines
