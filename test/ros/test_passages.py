"""One answer for each object, over DDS: with a topic as gate, and on call."""

import json
from time import monotonic
from time import sleep
from time import time_ns

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Camera
from graph import confirmed
from graph import flat
from graph import header
from graph import Operator
from graph import raw
from graph import rows
from graph import values
import numpy as np
from peers import PATIENCE
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from tool_recognizer.assembly import make_engine
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import PassageBegan
from tool_recognizer.core.events import PassageEnded
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.ros.recognizer.entities import Entities
from tool_recognizer.ros.recognizer.passage_topics import AnswerNow
from tool_recognizer.ros.recognizer.passage_topics import PassageTopics
from vision_msgs.msg import Classification

RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (80, 80, 80)
NODE = '/tool_recognizer'
LIMIT = PassageRules().min_frames


class Line:
    """A camera, and what its recognizer says of passages."""

    def __init__(self, peer):
        self.peer = peer
        self.camera = Camera(peer)
        self.decisions = peer.collect(Classification, f'{NODE}/object_decision')
        self.objects = peer.collect(Classification, f'{NODE}/object')
        self.passages = peer.collect(DiagnosticStatus, f'{NODE}/passage')
        self.diagnostics = peer.collect(DiagnosticArray, '/diagnostics')
        self.number = 0
        peer.meet()

    def show(self, colour):
        """Show one frame, and wait until it is answered; return its header."""
        self.number += 1
        return self.camera.answer(flat(colour, header(self.number))).header

    def until(self, condition, colour=GREY):
        """Show frames until a condition holds."""
        end = monotonic() + PATIENCE
        while not condition():
            assert monotonic() < end, f'not after {self.number} frames: {self.passages}'
            self.show(colour)
            sleep(0.01)

    def events(self, kind):
        return [one for one in map(values, self.passages) if one['event'] == kind]

    def decided(self, *labels):
        """Wait until there are so many decisions, which must be these."""
        self.peer.wait(lambda: len(self.decisions) >= len(labels),
                       lambda: f'only {ids(self.decisions)}')
        assert ids(self.decisions) == [*labels]

    def ended(self, *reasons):
        """Wait until so many passages have ended; they must have, for these reasons."""
        self.peer.wait(lambda: len(self.events('ended')) >= len(reasons),
                       lambda: f'only {self.events("ended")}')
        assert [one['reason'] for one in self.events('ended')] == [*reasons]

    def statuses(self):
        return [status for array in reversed(self.diagnostics) for status in array.status
                if status.name.endswith(': passages')]

    def health(self, code):
        """Wait until the passages' state has a code; return that status."""
        return self.peer.wait(lambda: next(
            (one for one in self.statuses() if code in values(one)['state']), None),
            f'nobody said {code}')

    def until_health(self, **expected):
        """Wait until the passages' status has these values; return all of them."""
        return self.peer.wait(lambda: next(
            (said for said in map(values, self.statuses()) if expected.items() <= said.items()),
            None), f'nobody said {expected}')


@pytest.fixture
def gate(peer):
    made = []

    def say(present):
        if not made:
            made.append(peer.publisher(Bool, f'{NODE}/object_present'))
            peer.wait_for_subscriber(made[0])
            peer.meet()
        made[0].publish(Bool(data=present))
    return say


def ids(messages):
    return [message.results[0].class_id for message in messages]


def test_a_photo_eye_makes_passages_that_have_one_answer_and_one_label_each(
        peer, recognizer, write_model, gate, tmp_path):
    journal = tmp_path / 'journal.db'
    recognizer(model_path=write_model(), passage__gate='topic', passage__correlation=0.5,
               passage__debounce=0.0,
               passage__max_seconds=600.0, decision__deadline=60.0,
               decision__check_quality=False, journal__path=journal)
    line = Line(peer)
    operator = Operator(line.camera)
    before = line.show(GREY)
    shown = []
    for colour, label in ((RED, 'hammer'), (BLUE, 'wrench')):
        gate(True)
        number = len(shown) + 1
        line.until(lambda: len(line.events('began')) == number, colour)  # noqa: B023
        first = len(line.camera.answers)
        line.until(lambda: len(line.decisions) == number, colour)  # noqa: B023
        between = line.show(colour)
        gate(False)
        line.until(lambda: len(line.events('ended')) == number, GREY)  # noqa: B023
        shown.append((label, line.camera.answers[first].header, between))
    line.decided('hammer', 'wrench')
    peer.wait(lambda: len(line.objects) == 2, 'no distribution of each')
    # Once each: on the frame that decided, whose own answer was not sure enough.
    for decision, answer, single in zip(line.decisions, line.objects, (
            next(a for a in line.camera.answers if a.header == d.header)
            for d in line.decisions), strict=True):
        assert answer.header == decision.header
        assert decision.results[0].score == max(r.score for r in answer.results) >= 0.99
        assert max(result.score for result in single.results) < 0.99
    ended = line.events('ended')
    assert [one['reason'] for one in ended] == ['absent', 'absent']
    assert all(int(one['counted']) >= LIMIT for one in ended)
    # Any frame confirms the passage, once; a frame between two of them confirms none.
    for n, (label, first_seen, last_seen) in enumerate(shown, 1):
        operator.confirm(confirmed(last_seen, label), n=n)
        operator.publisher.publish(confirmed(first_seen, label))
    operator.confirm(confirmed(before), n=2, duplicate=2, outside=1)
    health = line.until_health(decided='2', undecided='0', fitted_passages='2')
    assert health['state'] == 'gate_between'
    # Beside what the tools cost there is what their frames cost, each alone.
    assert float(health['frame_nll']) > float(health['nll']) > 0.0
    peer.wait(lambda: rows(journal, "SELECT count(*) FROM events WHERE kind = 'passage_ended'"
                           )[0][0] == 2, 'two passages in the journal')


def test_a_gate_that_says_nothing_or_sticks_is_named_with_its_cure(
        peer, recognizer, write_model, gate):
    recognizer(model_path=write_model(), passage__gate='topic', passage__correlation=0.5,
               passage__debounce=0.0,
               passage__max_seconds=0.5, decision__deadline=60.0, decision__check_quality=False)
    line = Line(peer)
    assert 'start what sees the object' in line.health('gate_no_publisher').message
    gate(True)
    # Nothing to be sure of is in view; no frame need come for the end.
    line.until(lambda: line.events('began'), GREY)
    peer.wait(lambda: line.events('ended'), 'no end without a frame')
    assert line.events('ended')[0]['reason'] == 'too_long'
    line.decided('unknown:undecided')
    stale = line.health('gate_stale')
    assert 'passage.max_seconds' in stale.message
    assert values(stale)['ended_too_long'] == '1'
    for _ in range(LIMIT + 2):
        line.show(RED)
    assert ids(line.decisions) == ['unknown:undecided']
    assert len(line.events('began')) == 1
    peer.publisher(Bool, f'{NODE}/object_present')
    assert 'leave one of them' in line.health('gate_rivals').message


def test_a_frame_that_is_long_in_work_counts_for_the_passage_in_which_it_came(
        peer, recognizer, write_model, gate):
    """As in a replay, which knows when a frame came, and not how long it took."""
    recognizer(model_path=write_model(slow=6), passage__gate='topic', passage__debounce=0.0,
               passage__max_seconds=600.0, decision__deadline=60.0, decision__check_quality=False)
    line = Line(peer)
    line.show(GREY)

    def received():
        return [int(said['received']) for array in line.diagnostics for status in array.status
                if 'received' in (said := values(status))]
    line.diagnostics.clear()
    peer.wait(lambda: len(received()) >= 2, 'no diagnostics')  # the first may be from before
    before = received()[1]
    gate(True)
    peer.wait(lambda: line.events('began'), 'no passage')
    line.camera.publisher.publish(flat(RED, header(100)))
    peer.wait(lambda: received()[-1] > before, 'no frame in work')
    gate(False)
    ended = peer.wait(lambda: line.events('ended'), 'no end')[0]
    assert (ended['reason'], ended['frames'], ended['counted']) == ('absent', '1', '1')


@pytest.mark.parametrize(('said', 'code', 'cure'), [
    ([], 'gate_silent', 'its QoS'),
    ([True, False], 'gate_empty', 'frames come')])
def test_a_gate_that_is_of_no_use_is_named_with_its_cure(
        peer, recognizer, write_model, gate, said, code, cure):
    recognizer(model_path=write_model(), passage__gate='topic', passage__debounce=0.0,
               decision__deadline=60.0, decision__check_quality=False)
    line = Line(peer)
    if said:
        for present in said:
            gate(present)
    else:
        peer.wait_for_subscriber(peer.publisher(Bool, f'{NODE}/object_present'))
    assert cure in line.health(code).message


def test_an_operator_is_asked_for_a_passage_once_and_shown_three_of_its_frames(
        peer, recognizer, write_model, gate, tmp_path):
    path = tmp_path / 'journal.db'
    recognizer(model_path=write_model(), passage__gate='topic', passage__debounce=0.0,
               passage__correlation=0.5, passage__max_seconds=600.0, decision__deadline=60.0,
               decision__check_quality=False, inspection__probability=1.0,
               inspection__max_per_minute=6000.0, journal__path=path)
    line = Line(peer)
    operator = Operator(line.camera)
    requests = peer.collect(Classification, f'{NODE}/inspection_request')
    pictures = peer.collect(CompressedImage, f'{NODE}/inspection_request/compressed')
    peer.meet()
    line.show(GREY)
    # At first none may be asked for, see max_per_minute.
    for number in (1, 2):
        gate(True)
        line.until(lambda: len(line.events('began')) == number, GREY)  # noqa: B023
        for colour in ((255, 120, 120), (255, 0, 0), (255, 60, 60), RED):
            line.show(colour)
        gate(False)
        line.until(lambda: len(line.events('ended')) == number, GREY)  # noqa: B023
    peer.wait(lambda: requests and len(requests) == len(pictures), 'nobody is asked')
    assert len(requests) <= 2
    request, picture = requests[0], pictures[0]
    assert picture.header == request.header
    shown = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[1] > shown.shape[0] == 16
    # What is kept is the frame that was asked for, alone; the passage is confirmed with it.
    operator.confirm(confirmed(request.header, 'hammer'), n=1)
    peer.wait(lambda: rows(path, "SELECT count(*) FROM events WHERE kind = 'confirmed'"
                           ) == [(1,)], 'it is not on disk')
    with JournalReader(path) as journal:
        (stored,) = journal.confirmations()
    kept = cv2.imdecode(np.frombuffer(stored.picture.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert kept.shape == (16, 16, 3)


def test_answers_that_are_too_sure_are_a_warning_with_the_value_that_is_not(peer, write_model):
    engine = make_engine({'model_path': str(write_model()), 'passage.gate': 'topic',
                          'passage.correlation': 0.0})
    engine.start('start', 0)
    entities = Entities(peer.node)
    topics = PassageTopics(peer.node, entities, QoSProfile(depth=10), 'topic', lambda: engine,
                           AnswerNow(peer.node, lambda: ''), monotonic, lambda: 1.0)
    log_p = np.log([0.8, 0.1, 0.1])
    with engine.lock:  # the gate is not looked at meanwhile
        for number in range(1, 101):  # a tool's frames are alike, and one tool in four is another
            engine.run.apply(PassageBegan(10 * number, 'present'))
            keys = [FrameKey(10 * number + place, 'bench') for place in range(4)]
            for key in keys:
                engine.run.apply(FrameAnswered(key.stamp, Prediction(
                    key, engine.model.labels, log_p, NO_FEATURES, engine.model.digest), 'hammer',
                    'counts'))
            engine.run.apply(PassageEnded(10 * number + 5, 'absent'))
            engine.run.apply(FrameConfirmed(10 * number + 6, Confirmation(
                keys[0], {'wrench' if number % 4 == 0 else 'hammer': 1.0})))
            if number > 98:
                said = topics.status(engine)
                assert ('gate_too_sure' in values(said)['state']) == (number == 100)
    assert said.level == DiagnosticStatus.WARN
    assert f'{float(values(said)["fitted_correlation"]):.2f}' in said.message
    entities.destroy()


@pytest.mark.parametrize(('late', 'taken'), [(300_000_000, 300_000_000), (-10**9, 0), (10**12, 0)])
def test_what_the_gate_says_counts_from_when_it_came_and_not_from_its_turn(
        peer, write_model, late, taken):
    """Or else two tools in a row would be one, if the node had something else to do between."""
    engine = make_engine({'model_path': str(write_model()), 'passage.gate': 'topic'})
    engine.start('start', 0)
    entities = Entities(peer.node)
    topics = PassageTopics(peer.node, entities, QoSProfile(depth=10), 'topic', lambda: engine,
                           AnswerNow(peer.node, lambda: ''), monotonic, lambda: 1.0)
    before = peer.node.get_clock().now().nanoseconds
    topics._on_present(Bool(data=True), {'received_timestamp': time_ns() - late})
    after = peer.node.get_clock().now().nanoseconds
    # A system clock that was set in between says nothing.
    assert before <= engine.gating.gate.heard_at + taken <= after
    entities.destroy()


def under_way(peer, recognizer, write_model, gate):
    """Start a node, and a passage of which no frame has been decided."""
    recognizer(model_path=write_model(), passage__gate='topic', passage__correlation=0.5,
               passage__debounce=0.0,
               passage__max_seconds=600.0, decision__deadline=60.0, decision__check_quality=False)
    line = Line(peer)
    gate(True)
    line.until(lambda: line.events('began'), GREY)
    return line


def test_a_passage_ends_with_its_model_and_the_next_one_is_answered_by_the_new_one(
        peer, recognizer, write_model, gate):
    line = under_way(peer, recognizer, write_model, gate)
    assert peer.call(Trigger, f'{NODE}/reload_model').success
    peer.wait(lambda: line.events('ended'), 'no end with the model')
    assert line.events('ended')[0]['reason'] == 'reload'
    gate(False)
    gate(True)
    line.until(lambda: len(line.decisions) == 2, RED)
    line.decided('unknown:undecided', 'hammer')
    peer.wait(lambda: line.events('decided'), 'it is not told')
    assert [one['number'] for one in line.events('decided')] == ['1']


def test_an_inactive_node_decides_on_no_tool_and_knows_none_when_it_is_active_again(
        peer, recognizer, write_model, gate):
    line = under_way(peer, recognizer, write_model, gate)
    assert peer.transition('deactivate')
    line.ended('deactivated')
    line.decided('unknown:undecided')
    assert peer.transition('activate')
    again = Line(peer)
    again.number = line.number
    again.show(RED)
    assert not again.events('began')
    again.until(lambda: (gate(True), again.events('began'))[1], RED)
    again.until(lambda: again.decisions, RED)
    again.decided('hammer')


def test_who_asks_now_gets_the_answer_of_the_frames_from_then_on(peer, recognizer, write_model):
    recognizer(model_path=write_model(), passage__gate='service', passage__correlation=0.5,
               passage__seconds=12.0,
               decision__deadline=60.0, decision__check_quality=False)
    line = Line(peer)
    client = peer.client(Trigger, f'{NODE}/answer_now')
    for colour, label in ((RED, 'hammer'), (BLUE, 'wrench')):
        line.show(GREY)
        asked = client.call_async(Trigger.Request())
        line.until(asked.done, colour)
        answer = json.loads(asked.result().message)
        assert (asked.result().success, answer['decision']) == (True, label)
        assert answer['score'] == answer['probabilities'][label] >= 0.99
    # Without a frame the answer comes in the end, and a second caller is told to wait.
    asked = client.call_async(Trigger.Request())
    refused = peer.call(Trigger, f'{NODE}/answer_now')
    assert not refused.success
    assert 'call again' in refused.message
    peer.wait(asked.done, 'no answer without frames')
    assert not asked.result().success
    assert json.loads(asked.result().message)['decision'] == 'unknown:undecided'
    line.decided('hammer', 'wrench', 'unknown:undecided')
    line.ended('answered', 'answered', 'too_long')


def test_without_a_gate_nobody_is_answered_on_call_and_the_cure_is_named(peer, recognizer):
    recognizer()
    refused = peer.call(Trigger, f'{NODE}/answer_now')
    assert not refused.success
    peer.wait(lambda: 'set it to service' in peer.call(
        Trigger, f'{NODE}/answer_now').message, 'no cure')


def test_the_picture_alone_opens_the_gate_once_the_empty_place_is_known(
        peer, recognizer, photos):
    recognizer(passage__gate='picture', passage__correlation=0.0, passage__debounce=0.0,
               passage__max_seconds=600.0,
               decision__deadline=60.0, decision__check_quality=False)
    line = Line(peer)
    pixels, order = read_picture(next(path for path, label in photos if label == 'wrench'))
    assert order in ('bgr', 'rgb')
    empty = np.random.default_rng(0).integers(100, 110, (240, 320, 3)).astype(np.uint8)

    def show(picture, encoding):
        line.number += 1
        return line.camera.answer(raw(picture, header(line.number), encoding)).header
    line.health('gate_unlearned')
    for _ in range(15):
        show(empty, 'rgb8')
    line.health('gate_between')
    for number in (1, 2):
        for _ in range(10):
            last = show(pixels, f'{order}8')
        for _ in range(3):
            show(empty, 'rgb8')
        line.ended(*['absent'] * number)
        line.decided(*['wrench'] * number)
    Operator(line.camera).confirm(confirmed(last), n=1)


def test_another_region_is_another_empty_place_and_no_object(peer, recognizer):
    recognizer(passage__gate='picture', passage__debounce=0.0, region__width=0.5,
               decision__deadline=60.0, decision__check_quality=False)
    line, rng = Line(peer), np.random.default_rng(0)
    bench = rng.integers(100, 110, (240, 320, 3)).astype(np.uint8)
    bench[:120, 160:] += 60  # its other half looks otherwise

    def leave_empty():
        for _ in range(15):
            line.number += 1
            line.camera.answer(raw(bench, header(line.number), 'rgb8'))
    leave_empty()
    line.health('gate_between')
    assert peer.set_parameter('region.x', 0.5).successful
    leave_empty()
    peer.wait(lambda: 'gate_between' in values(line.statuses()[0])['state'], 'not learned anew')
    assert not line.events('began')
