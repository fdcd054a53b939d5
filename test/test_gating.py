"""Passages at an engine: the same live and replayed, after a restart, and for who is asked."""

from contextlib import closing
import json
from types import SimpleNamespace

import numpy as np
import pytest
from recognizing import recognized
from tool_recognizer.assembly import make_engine
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import deserialize
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.decision import decide
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import recognize
from tool_recognizer.core.view import look
from tool_recognizer.core.view import View
from tool_recognizer.core.view import WHOLE
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.rows import encode_state
from tool_recognizer.messages import from_ros
from tool_recognizer.parameters import PARAMETERS as TABLE
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.programs.replay import main

SECOND = 1_000_000_000
MS = SECOND // 1000
START = 1_790_000_000 * SECOND
# Hammer, wrench, screwdriver; and what is none of them in particular.
COLOURS = {'hammer': (255, 30, 0), 'wrench': (40, 0, 255), 'screwdriver': (0, 255, 60),
           '': (90, 90, 90)}
RULES = Rules(check_quality=False)
DEFAULTS = {parameter.name: parameter.default for parameter in TABLE}
PERIOD, DELAY = 33 * MS, 4 * MS
PARAMETERS = {'passage.gate': 'topic', 'passage.correlation': 0.5, 'passage.max_seconds': 1.0,
              'decision.check_quality': False}


class Line:
    """An engine, and what it tells of passages."""

    def __init__(self, model, log=None, **parameters):
        self.engine = make_engine({**PARAMETERS, 'model_path': str(model), **parameters})
        self.engine.start('start', START, log)
        self.news, self.asked = [], []

    def frame(self, stamp, colour, arrival=None, moment=None, asking=False,
              rules=RULES):
        pixels = np.full((16, 16, 3), COLOURS[colour], np.uint8)
        seen = look(Frame(FrameKey(stamp, 'bench'), pixels, 'rgb'), WHOLE)
        arrival = stamp + DELAY if arrival is None else arrival
        answer = self.engine.answer(
            recognized(self.engine, seen), rules,
            arrival if moment is None else moment, asking=asking, arrival=arrival)
        self.news += answer.news
        if answer.asked is not None:
            self.asked.append(answer.asked)

    def passage(self, start, colour, frames=8, **options):
        """Show a tool for some frames, with a photo-eye; return the frames' keys."""
        self.engine.present(True, start)
        stamps = [start + number * PERIOD + 60 * MS for number in range(frames)]
        for stamp in stamps:
            self.frame(stamp, colour, **options)
        self.engine.present(False, stamps[-1] + 10 * MS)
        self.frame(stamps[-1] + 100 * MS, '')
        return [FrameKey(stamp, 'bench') for stamp in stamps]

    def confirm(self, key, label):
        return self.engine.confirm(Confirmation(key, {label: 1.0}), key.stamp + SECOND)[0]

    def answers(self):
        return [(one.verdict.key, one.verdict.decision) for one in self.news if one.verdict]


@pytest.fixture
def model(write_model):
    return write_model(features=256)


def test_without_a_gate_and_a_region_all_is_as_if_there_were_neither(model):
    line = Line(model, **{'passage.gate': 'off'})
    engine, view = line.engine, View.of(DEFAULTS.__getitem__)
    alone = Monitor(engine.model.labels, DriftDetector(
        3, engine.model.reference, DEFAULTS['monitor.run_length'], learn=True),
        reference_nll=engine.model.reference_nll)
    rng = np.random.default_rng(4)
    for number in range(300):
        pixels = rng.integers(0, 255, (24, 32, 3)).astype(np.uint8)
        frame = Frame(FrameKey(START + number * PERIOD, 'bench'), pixels, 'rgb')
        answer = engine.answer(recognized(engine, look(frame, view), view), RULES, START)
        wanted = recognize(frame, engine.model)
        assert (answer.prediction.log_probabilities == wanted.log_probabilities).all()
        assert answer.decision == decide(wanted, min_probability=RULES.min_probability)
        assert (answer.news, answer.passage) == ((), None)
        alone.expect(wanted.without_features())
        if rng.random() < 0.8:
            label = engine.model.labels[rng.integers(3)]
            said = Confirmation(FrameKey(frame.key.stamp - int(rng.integers(-1, 4)) * PERIOD,
                                         'bench'), {label: 1.0})
            assert engine.confirm(said, START)[0].outcome is alone.confirm(said)
    assert alone.figures().n > 100
    assert engine.figures() == alone.figures()
    assert encode_state(engine.run.monitor.to_state()) == encode_state(alone.to_state())
    assert 'passages' not in engine.run.to_state()
    assert line.engine.advance(START) == line.engine.interrupt(START, 'end') == ()
    assert not line.engine.call(START)


def recording(seed=5, passages=25):
    """Draw what a camera and a chattering photo-eye say: (arrival, stamp or None, what)."""
    rng, at, entries = np.random.default_rng(seed), START, []
    shown = []
    for _ in range(passages):
        colour = [*COLOURS][rng.integers(4)]
        rise = at + int(rng.integers(300, 700)) * MS
        fall = rise + int(rng.integers(20, 1500)) * MS
        shown.append((rise, fall, colour))
        edges = [(rise, True), (fall, False)]
        if rng.random() < 0.3:  # it bounces
            edges += [(rise + 5 * MS, False), (rise + 9 * MS, True)]
        entries += [(moment, None, present) for moment, present in edges]
        at = fall
    for stamp in range(START, at + SECOND, PERIOD):
        colour = next((c for rise, fall, c in shown if rise <= stamp < fall), '')
        # A camera whose frames take their time, but come in order.
        entries.append((stamp + DELAY + int(rng.integers(0, 20)) * MS, stamp, colour))
    return sorted(entries, key=lambda entry: entry[0])


def test_a_replay_has_the_answers_that_were_live_whenever_the_threads_did_their_work(
        model, tmp_path):
    entries = recording()
    live, rng, late = Line(model), np.random.default_rng(1), []
    with BagWriter(tmp_path / 'bag', compress=False) as writer:
        for arrival, stamp, what in entries:
            if stamp is None:
                writer.write('/tool_recognizer/object_present', arrival, to_bag.truth(what))
                live.engine.present(what, arrival)
                continue
            key = FrameKey(stamp, 'bench')
            writer.write('/image_raw', arrival, to_bag.image(
                key, np.full((16, 16, 3), COLOURS[what], np.uint8), 'rgb8'))
            # Frames are answered after their arrival, when the gate has said more already.
            late.append((arrival, stamp, what))
            while late and (len(late) > 2 or rng.random() < 0.5):
                came, at, colour = late.pop(0)
                live.frame(at, colour, came, arrival + 7 * MS)
            live.news += live.engine.advance(arrival - 250 * MS)
        for came, at, colour in late:
            live.frame(at, colour, came)
    live.news += live.engine.advance(entries[-1][0])
    live.news += live.engine.interrupt(entries[-1][0], 'end')

    (tmp_path / 'p.yaml').write_text(json.dumps({'/**': {'ros__parameters': PARAMETERS}}))
    assert main([str(tmp_path / 'bag'), '--model', str(model), '--quiet', '--params-file',
                 str(tmp_path / 'p.yaml'), '--output', str(tmp_path / 'out'), '--json',
                 str(tmp_path / 'out.json')]) == 0
    with Bag(tmp_path / 'out') as bag:
        said = [deserialize(message) for message in bag.messages(
            {'/tool_recognizer/object_decision'})]
    assert [(from_ros.key(message.header), message.results[0].class_id, message.results[0].score)
            for message in said] == [(key, made.class_id, made.score)
                                     for key, made in live.answers()]
    found = json.loads((tmp_path / 'out.json').read_text())['passages']
    assert found['decisions'].keys() == {'hammer', 'screwdriver', 'wrench', 'unknown:undecided'}
    assert found['number'] == len(said) > 15
    # No answer is for another passage's tool.
    for key, made in live.answers():
        if ':' not in made.class_id:
            assert made.class_id == next(
                what for _, stamp, what in entries if stamp == key.stamp)


@pytest.mark.parametrize('ends', [0, 1, 3, 9])
def test_after_a_restart_the_run_is_the_same_to_the_bit_and_an_open_passage_ends(
        model, tmp_path, ends):
    def begin():
        log = EventLog(tmp_path / 'journal.db')
        log.open()
        return log, Line(model, log)
    log, line = begin()
    with closing(log):
        keys = line.passage(START, 'hammer')
        line.confirm(keys[2], 'hammer')
        line.engine.present(True, START + SECOND)
        for number in range(ends):
            line.frame(START + SECOND + 60 * MS + number * PERIOD, 'wrench')
        before = encode_state(line.engine.run.to_state())
    log, line = begin()
    with closing(log):
        assert line.engine.notes == ()
        assert encode_state(line.engine.run.to_state()) == before
        line.frame(START + 2 * SECOND, 'wrench')
        reasons = [one.reason for one in line.news]
        assert reasons == (['restart'] if ends else [])
        assert line.confirm(keys[3], 'hammer').outcome is Outcome.DUPLICATE
        line.passage(START + 3 * SECOND, 'wrench')
        assert line.answers()[-1][1].class_id == 'wrench'
        assert line.engine.run.passages.fit().passages == 1


def test_a_confirmed_passage_waits_whole_for_a_journal_that_cannot_be_opened(model, tmp_path):
    log = EventLog(tmp_path / 'journal.db')
    log.open()
    with closing(log):
        Line(model, log).passage(START, 'hammer')
    log = EventLog(tmp_path / 'journal.db', waiting=60)
    with closing(log):
        line = Line(model, log)
        keys = line.passage(START + 100 * SECOND, 'wrench')
        line.confirm(keys[3], 'wrench')
        for number in range(200):
            line.frame(START + 110 * SECOND + number * PERIOD, '')
        before = line.engine.figures()
        assert log.dropped > 50
        line.engine.attach(START + 200 * SECOND)
        after = line.engine.figures()
        assert (after.n, after.nll) == (before.n, before.nll)
        assert after.n == 1
        assert line.confirm(keys[4], 'wrench').outcome is Outcome.DUPLICATE


def test_with_other_rules_another_run_begins(model, tmp_path):
    for correlation, n in ((0.5, 1), (0.5, 1), (0.25, 0)):
        log = EventLog(tmp_path / 'journal.db')
        log.open()
        with closing(log):
            line = Line(model, log, **{'passage.correlation': correlation})
            if log.check is not None and line.engine.figures().n == 0 and n:
                line.confirm(line.passage(START, 'hammer')[0], 'hammer')
            assert line.engine.figures().n == n


def test_at_most_one_request_for_each_passage_and_none_between(model):
    line = Line(model, **{'inspection.probability': 1.0, 'inspection.max_per_minute': 6000.0})
    line.passage(START - 2 * SECOND, 'hammer', asking=True)  # none may be asked for at once
    for number in range(5):
        before = len(line.asked)
        keys = line.passage(START + 2 * number * SECOND, 'hammer', asking=True)
        assert len(line.asked) == before + 1
        assert line.asked[-1].inclusion_probability == 1.0
        assert line.confirm(keys[-1], 'hammer').outcome is Outcome.SCORED
    # One that has too few frames to be an object is not asked for.
    line.passage(START + 20 * SECOND, 'hammer', frames=2, asking=True)
    assert len(line.asked) == 5
    assert line.engine.run.requests.answered == 5


def test_a_tool_that_is_confirmed_again_and_again_is_one_label_for_the_drift_test(model):
    """Labels of one object depend on each other, and would break the promise on alarms."""
    once, often = Line(model), Line(model)
    rng = np.random.default_rng(2)
    for number in range(60):
        colour = [*COLOURS][rng.integers(3)]
        label = colour if rng.random() < 0.9 else 'hammer'
        for line, times in ((once, 1), (often, int(rng.integers(1, 10)))):
            keys = line.passage(START + 2 * number * SECOND, colour, frames=9)
            for key in keys[-times:]:
                line.confirm(key, label)
    states = [encode_state(line.engine.run.monitor.detector.to_state()) for line in (once, often)]
    assert states[0] == states[1]
    assert once.engine.figures().n == often.engine.figures().n == 60
    assert often.engine.run.monitor.counts[Outcome.DUPLICATE] > 100


def test_under_a_drift_alarm_no_passage_gets_a_label_and_each_is_scored_as_ever(model):
    line = Line(model, **{'monitor.skip_repeated': False})
    for number in range(230):  # the last of them are taken for hammers
        label = ('hammer', 'wrench')[number % 2] if number < 200 else 'wrench'
        keys = line.passage(START + 2 * number * SECOND,
                            label if number < 200 else 'hammer', frames=4)
        line.confirm(keys[0], label)
    assert line.engine.run.monitor.detector.alarm
    before, scored = len(line.news), line.engine.figures().n
    stopping = Line(model)
    stopping.engine = line.engine
    keys = stopping.passage(START + 900 * SECOND, 'hammer', rules=RULES._replace(
        stop_on_drift=True))
    told = [one for one in stopping.news if one.verdict]
    assert [one.verdict.decision.class_id for one in told] == ['degraded:drift']
    assert told[0].kind == 'decided'
    settled = line.confirm(keys[0], 'wrench')
    assert (settled.outcome, settled.decision) == (Outcome.SCORED, 'degraded:drift')
    assert line.engine.figures().n == scored + 1
    assert len(line.news) == before


@pytest.mark.parametrize('unusable', ['unknown:dark', 'unknown:overexposed', 'unknown:blurred'])
def test_frames_that_are_not_fit_for_a_decision_do_not_count(model, unusable):
    line = Line(model)
    line.engine.present(True, START)
    pixels = np.full((16, 16, 3), COLOURS['hammer'], np.uint8)
    for number in range(8):
        stamp = START + 60 * MS + number * PERIOD
        seen = recognized(line.engine, look(Frame(FrameKey(stamp, 'bench'), pixels, 'rgb'), WHOLE))
        line.news += line.engine.answer(seen._replace(unusable=unusable), Rules(), stamp).news
    line.news += line.engine.interrupt(START + SECOND, 'end')
    passage = line.engine.run.passages.last
    assert (passage.frames, passage.count, passage.unfit) == (8, 0, 8)
    assert [made.class_id for _, made in line.answers()] == ['unknown:undecided']


def test_of_a_camera_that_shows_the_same_picture_again_and_again_no_frame_counts(model):
    line = Line(model, **{'decision.frozen_after': 2})
    line.passage(START, 'hammer', rules=Rules())
    passage = line.engine.run.passages.last
    assert (passage.count, passage.unfit) == (1, 7)  # the first is not known to be frozen
    assert [made.class_id for _, made in line.answers()] == ['unknown:undecided']


def test_stamps_that_go_back_end_a_passage_and_its_frames_are_of_none(model):
    line = Line(model)
    line.engine.present(True, START)
    line.frame(START + 60 * MS, 'hammer')
    for number in range(4):
        line.frame(START - SECOND + number * PERIOD, 'wrench', START + (100 + number) * MS)
    assert [(one.kind, one.reason) for one in line.news] == [
        ('began', 'present'), ('ended', 'stamp_back')]
    assert line.answers()[0][1].class_id == 'unknown:undecided'
    assert line.confirm(FrameKey(START - SECOND, 'bench'), 'wrench').outcome is Outcome.OUTSIDE


def test_a_frame_from_before_the_tool_came_does_not_count_for_it(model):
    """The tool before it may be in it."""
    line = Line(model)
    line.engine.present(True, START)
    for number in range(4):
        line.frame(START - 100 * MS + number * MS, 'wrench', START + (60 + number) * MS)
    for number in range(4):
        line.frame(START + (70 + number) * MS, 'hammer')
    assert [made.class_id for _, made in line.answers()] == ['hammer']


def test_a_hand_in_two_frames_is_no_passage_where_the_picture_opens_the_gate(model):
    line = Line(model, **{'passage.gate': 'picture', 'passage.debounce': 0.0})
    line.engine.gating.place = SimpleNamespace(look=lambda there, is_tool: there)
    pixels = np.full((16, 16, 3), COLOURS['wrench'], np.uint8)
    began = []
    for number, shown in enumerate('..##..#####..##...'):
        stamp = START + number * PERIOD
        seen = recognized(line.engine, look(Frame(FrameKey(stamp, 'bench'), pixels, 'rgb'), WHOLE))
        line.news += line.engine.answer(seen._replace(glance=shown == '#'), RULES, stamp).news
        began.append(line.engine.gating.gate.opened is not None)
    assert began.index(True) == 8  # with the third frame of it
    assert began.count(True) == 9  # and it goes on until the third frame without it
    assert [(one.kind, one.reason) for one in line.news if one.kind != 'decided'] == [
        ('began', 'present'), ('ended', 'absent')]


def test_where_the_picture_opens_the_gate_a_replay_needs_the_frames_alone(photos, tmp_path):
    parameters = {'passage.gate': 'picture', 'passage.correlation': 0.0, 'passage.debounce': 0.0,
                  'decision.check_quality': False}
    live = make_engine(parameters)
    live.start('start', START)
    empty = np.random.default_rng(0).integers(100, 110, (240, 320, 3)).astype(np.uint8)
    shown = [(empty, '')] * 14
    for label in ('wrench', 'hammer'):
        pixels, order = read_picture(next(path for path, name in photos if name == label))
        pixels = pixels[..., ::-1] if order == 'bgr' else pixels
        shown += [(pixels, label)] * 6 + [(empty, '')] * 3
    view, news, labels = View.of({**DEFAULTS, **parameters}.__getitem__), [], {}
    with BagWriter(tmp_path / 'bag', compress=False) as writer:
        for number, (pixels, label) in enumerate(shown):
            key = FrameKey(START + number * PERIOD, 'bench')
            labels[key] = label
            message = to_bag.image(key, pixels, 'rgb8')
            writer.write('/image_raw', key.stamp + DELAY, message)
            seen = look(Frame(key, np.ascontiguousarray(pixels), 'rgb'), view)
            news += live.answer(recognized(live, seen, view), RULES, key.stamp + DELAY).news
    (tmp_path / 'p.yaml').write_text(json.dumps({'/**': {'ros__parameters': parameters}}))
    assert main([str(tmp_path / 'bag'), '--quiet', '--params-file', str(tmp_path / 'p.yaml'),
                 '--output', str(tmp_path / 'out')]) == 0
    with Bag(tmp_path / 'out') as bag:
        said = [deserialize(message) for message in bag.messages(
            {'/tool_recognizer/object_decision'})]
    answers = [one.verdict for one in news if one.verdict]
    assert [one.decision.class_id for one in answers] == ['wrench', 'hammer']
    assert [labels[one.key] for one in answers] == ['wrench', 'hammer']
    assert [(from_ros.key(message.header), message.results[0].class_id)
            for message in said] == [(one.key, one.decision.class_id) for one in answers]
