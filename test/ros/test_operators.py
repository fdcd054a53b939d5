"""What operators, quality engineers and controllers get from the node beside the answer."""

import fcntl
import json
import re
from time import monotonic
from time import sleep

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from graph import Camera
from graph import CONFIRMATIONS
from graph import confirmed
from graph import flat
from graph import header
from graph import LATCHED
from graph import Operator
from graph import raw
from graph import rows
from graph import values
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Bool
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.model.store import ModelStore
from tool_recognizer.pictures.line import AssemblyLine
from tool_recognizer.ros import to_ros
from vision_msgs.msg import Classification
from vision_msgs.msg import Detection2DArray

NAME = '/tool_recognizer'


def confirmation(number, label='wrench', nonce='n', **changes):
    head = header(number)
    fields = {'stamp': str(head.stamp.sec * 1_000_000_000 + head.stamp.nanosec),
              'frame_id': head.frame_id, 'nonce': f'{nonce}{number}', 'operator': 'shift 2',
              'distribution': json.dumps({label: 1.0})} | changes
    return DiagnosticStatus(name='confirmation', values=[
        KeyValue(key=key, value=value) for key, value in fields.items()])


class Console:
    """Send confirmations as a console does, and hear what becomes of them."""

    def __init__(self, peer):
        self.peer = peer
        self.acknowledged = peer.collect(DiagnosticStatus, f'{NAME}/confirmation_ack')
        self.publisher = peer.publisher(DiagnosticStatus, f'{NAME}/confirmation')
        peer.wait_for_subscriber(self.publisher)
        peer.meet()

    def say(self, message):
        count = len(self.acknowledged)
        self.publisher.publish(message)
        self.peer.wait(lambda: len(self.acknowledged) > count, 'no acknowledgement')
        return self.acknowledged[count]


def test_a_confirmation_is_acknowledged_when_it_is_on_disk(
        peer, recognizer, write_model, tmp_path):
    path = tmp_path / 'journal.db'
    recognizer(model_path=write_model(), journal__path=path)
    camera, console = Camera(peer), Console(peer)
    camera.answer(flat((200, 0, 0), header(1)))
    said = console.say(confirmation(1, 'hammer'))
    assert (said.level, values(said)['outcome']) == (DiagnosticStatus.OK, 'scored')
    assert values(said)['nonce'] == 'n1'
    with JournalReader(path) as journal:  # another program, so it is no memory of the node's
        kept = list(journal.confirmations())
    assert [(c.operator, dict(c.distribution)) for c in kept] == [('shift 2', {'hammer': 1.0})]
    # Delivered again: acknowledged again, kept once.
    assert values(console.say(confirmation(1, 'hammer')))['outcome'] == 'duplicate'
    with JournalReader(path) as journal:
        assert len(list(journal.confirmations())) == 1
        assert journal.statistics()['pictures'] == 1


def test_a_confirmation_without_a_journal_is_accepted_with_a_warning(
        peer, recognizer, write_model):
    recognizer(model_path=write_model())
    camera, console = Camera(peer), Console(peer)
    camera.answer(flat((200, 0, 0), header(1)))
    said = console.say(confirmation(1, 'hammer'))
    assert (said.level, values(said)['outcome']) == (DiagnosticStatus.WARN, 'scored')
    assert values(console.say(confirmation(9)))['outcome'] == 'unmatched'
    assert values(console.say(confirmation(1, 'wrench', 'other')))['outcome'] == 'conflicting'
    camera.answer(flat((200, 0, 0), header(2)))
    assert values(console.say(confirmation(2, 'operator:cannot_see')))['outcome'] == 'skipped'
    camera.answer(flat((200, 0, 0), header(3)))
    assert values(console.say(confirmation(3, 'operator:another_tool')))['outcome'] == 'novel'


def test_the_acknowledgement_says_why_a_confirmation_is_not_scored(
        peer, recognizer, write_model, tmp_path):
    program = recognizer(model_path=write_model(), journal__path=tmp_path / 'journal.db')
    camera, console = Camera(peer), Console(peer)
    for number in (1, 2, 3):
        camera.answer(flat((200, 0, 0), header(number)))

    def acknowledged(message):
        said = console.say(message)
        assert said.level == DiagnosticStatus.OK
        return said.message
    assert acknowledged(confirmation(2, 'operator:another_tool')) == (
        'kept, not scored: a tool that the model does not have')
    peer.wait(lambda: 'confirmed: a tool that the model does not have' in program.output, 'log')
    assert 'WARN' not in program.output
    assert acknowledged(confirmation(1, 'Wrench')) == (
        'kept, not scored: no label "Wrench", the model has hammer, screwdriver, wrench')
    peer.wait(lambda: re.search(r"WARN.*'Wrench' is not one of", program.output), 'log')
    assert acknowledged(confirmation(9)) == (
        'kept, not scored yet: no prediction has this stamp and frame_id')
    assert acknowledged(confirmation(3, 'operator:cannot_see')) == (
        'kept, not scored: the operator could not see it')
    assert 'this frame has another confirmation already' in acknowledged(
        confirmation(3, 'hammer', 'other'))


def test_of_many_labels_the_acknowledgement_says_where_they_are():
    key = FrameKey(1, 'bench')
    labels = tuple(f'tool {k}' for k in range(1000))
    message = to_ros.acknowledgement(
        Confirmation(key, {'tool 1': 0.5, 'operator:another_tool': 0.2, 'saw': 0.3, 'axe': 0.0}),
        Outcome.NOVEL, labels, on_disk=False).message
    assert message == ('accepted, with no journal to keep it, not scored: no label "saw", '
                       'the model has 1000 others, which ~/label_info names')


@pytest.mark.parametrize(('changes', 'why'), [
    ({'stamp': 'noon'}, 'whole nanoseconds'), ({'distribution': '["wrench"]'}, 'an object'),
    ({'distribution': '{"wrench": 0.4}'}, 'must sum to 1'), ({'distribution': '{'}, 'JSON')])
def test_a_confirmation_that_cannot_be_read_is_refused_with_the_reason(
        changes, why, peer, recognizer, write_model):
    recognizer(model_path=write_model())
    Camera(peer)
    said = Console(peer).say(confirmation(1, **changes))
    assert said.level == DiagnosticStatus.ERROR
    assert why in said.message
    assert values(said)['nonce'] == 'n1'


def test_frames_are_asked_for_with_their_probability_and_picture_and_counted_back(
        peer, recognizer, write_model, tmp_path):
    path = tmp_path / 'journal.db'
    options = {'model_path': write_model(), 'inspection.probability': 0.3,
               'inspection.uncertain_probability': 1.0, 'inspection.max_per_minute': 6000.0,
               'journal.path': path}
    program = recognizer(**options)

    def counts(message):
        # Of a first frame one may come without the other: each topic is found by itself.
        return message.header.frame_id == 'bench'
    requests = peer.collect(Classification, f'{NAME}/inspection_request', keep=counts)
    pictures = peer.collect(CompressedImage, f'{NAME}/inspection_request/compressed', keep=counts)
    camera = Camera(peer)
    operator = Operator(camera)
    rng = np.random.default_rng(0)
    for number in range(1, 61):
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        camera.answer(flat(colour, header(number)))

    def all_there():
        count = len(requests)
        sleep(1.0)  # none is on its way any more
        return len(requests) == len(pictures) == count > 20
    peer.wait(all_there, 'requests')
    assert len(requests) < 60
    asked = {}
    for request, picture in zip(requests, pictures, strict=True):
        assert picture.header == request.header
        assert cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR).any()
        assert [r.class_id for r in request.results] == [
            'hammer', 'screwdriver', 'wrench', 'asked:inclusion_probability']
        asked[request.header.stamp.sec] = (
            request.results[-1].score, -np.log(request.results[0].score), request.header)
    for n, (_, _, head) in enumerate(asked.values(), start=1):
        said = operator.confirm(confirmed(head, 'hammer'), n=n)
    weights = np.array([1.0 / p for p, _, _ in asked.values()])
    nlls = np.array([nll for _, nll, _ in asked.values()])
    assert float(said['nll']) == pytest.approx(np.average(nlls, weights=weights), rel=1e-6)
    assert float(said['effective_n']) == pytest.approx(
        weights.sum() ** 2 / (weights ** 2).sum(), rel=1e-6)
    other = next(n for n in range(1, 61) if 1_700_000_000 + n not in asked)
    operator.confirm(confirmed(header(other), 'hammer'), n=len(asked), volunteered=1)

    # The probabilities outlive the node, whether the frames are confirmed or not.
    before = {name: said[name] for name in ('n', 'nll', 'effective_n', 'evidence')}
    peer.wait(lambda: rows(path, CONFIRMATIONS) == [(len(asked) + 1,)],
              'not all of it is on disk')
    program.process.kill()
    program.process.wait()
    camera.monitor.clear()
    recognizer(**options)
    after = peer.wait(lambda: camera.monitor and values(camera.monitor[-1]))
    assert {name: after[name] for name in before} == before


def test_where_the_tool_lies_is_published_kept_and_all_that_an_operator_judges(
        peer, recognizer, write_model, tmp_path):
    path = tmp_path / 'journal.db'
    recognizer(model_path=write_model(), inspection__probability=1.0,
               inspection__max_per_minute=6000.0, journal__path=path, region__x=0.25,
               region__width=0.75, region__rotation=90)
    detections = peer.collect(Detection2DArray, f'{NAME}/detection')
    requests = peer.collect(Classification, f'{NAME}/inspection_request')
    pictures = peer.collect(CompressedImage, f'{NAME}/inspection_request/compressed')
    camera = Camera(peer)
    operator = Operator(camera)
    bench = np.random.default_rng(0).normal(120, 2, (240, 400, 3)).clip(0, 255).astype(np.uint8)
    bench[150:180, 280:340] = 200, 30, 30
    camera.answer(raw(bench, header(1), 'rgb8'))
    assert peer.set_parameter('locate.mode', 'auto').successful
    answer = camera.answer(raw(bench, header(2), 'rgb8'))
    camera.answer(flat((90, 90, 90), header(3)))
    peer.wait(lambda: len(detections) == 2, 'a message for each frame that was searched')
    # Each with the frame's own header, and the last says that nothing was found.
    assert [found.header for found in detections] == [header(2), header(3)]
    assert [len(found.detections) for found in detections] == [1, 0]
    (detection,) = detections[0].detections
    assert detection.header == answer.header
    assert [result.hypothesis for result in detection.results] == answer.results
    box, middle = detection.bbox, detection.bbox.center
    assert (middle.position.x, middle.position.y) == pytest.approx((310, 165), abs=4)
    assert (box.size_x, box.size_y, middle.theta) == pytest.approx((60, 30, 0), abs=16)

    # The operator, and whoever trains on the journal, sees what the model was shown: turned.
    asked = peer.wait(lambda: {p.header.stamp.sec: p for p in pictures
                               if p.header.frame_id == 'bench'}.get(1_700_000_002),
                      lambda: f'only {len(requests)} requests, {len(pictures)} pictures')
    shown = cv2.imdecode(np.frombuffer(asked.data, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[0] == pytest.approx(72, abs=16)
    assert shown.shape[1] < shown.shape[0]
    operator.confirm(confirmed(header(2), 'hammer'), n=1)
    peer.wait(lambda: rows(path, CONFIRMATIONS) == [(1,)])
    with JournalReader(path) as journal:
        (stored,) = journal.confirmations()
    left, top, right, bottom = stored.box
    assert ((left + right) / 2, (top + bottom) / 2) == (middle.position.x, middle.position.y)
    assert stored.picture.read_bytes() == bytes(asked.data)

    # And the journal knows which part of the frames that was.
    def regions():
        return [json.loads(detail) for detail, in rows(
            path, "SELECT detail FROM events WHERE kind = 'region' ORDER BY id")]
    region = {'x': 0.25, 'y': 0.0, 'width': 0.75, 'height': 1.0, 'rotation': 90}
    assert regions() == [region]
    assert peer.set_parameter('region.x', 0.125).successful
    camera.answer(raw(bench, header(4), 'rgb8'))
    peer.wait(lambda: regions() == [region, region | {'x': 0.125}],
              lambda: f'only {regions()}')


def test_frames_that_are_not_fit_for_an_answer_get_none(peer, recognizer, photos):
    recognizer(decision__frozen_after=5, decision__deadline=60.0)
    camera = Camera(peer)
    photo = cv2.imread(str(photos[0][0]))

    def decided(pixels, number):
        camera.answer(raw(np.ascontiguousarray(pixels), header(number)))
        made = peer.wait(lambda: [d for d in camera.decisions
                                  if d.header == header(number)])[0]
        return made.results[0].class_id
    assert ':' not in decided(photo, 1)
    assert decided((photo * 0.05).astype(np.uint8), 2) == 'unknown:dark'
    assert decided(np.clip(photo.astype(float) * 40, 0, 255).astype(np.uint8), 3) == (
        'unknown:overexposed')
    assert decided(cv2.GaussianBlur(photo, (0, 0), max(photo.shape) / 40), 4) == (
        'unknown:blurred')
    for number in range(5, 9):
        assert ':' not in decided(photo, number)
    assert decided(photo, 9) == 'unknown:frozen'
    assert peer.set_parameter('decision.check_quality', False).successful
    assert ':' not in decided(photo, 10)


def test_answer_sets_keep_their_promise_to_hold_the_label(peer, recognizer):
    recognizer(decision__coverage=0.9)
    sets = peer.collect(Classification, f'{NAME}/answer_set')
    camera = Camera(peer)
    operator = Operator(camera)
    line = AssemblyLine(5)
    for number, (pixels, label) in enumerate(middles(line, 10), start=1):
        answer = camera.answer(raw(pixels, header(number), 'rgb8'))
        operator.confirm(confirmed(header(number), label), n=number)
        best = max(answer.results, key=lambda r: r.score).class_id
        found = peer.wait(lambda n=number: [s for s in sets if s.header == header(n)])[0]
        assert best == found.results[0].class_id
    said = values(camera.monitor[-1])
    assert float(said['coverage']) >= 0.8
    assert 1.0 <= float(said['set_size']) <= 3.0


def middles(line, count, light=1.0, first=0):
    """Yield the frames in which a tool is in the middle of the picture, with its label."""
    index, run = first * 30, []
    while count:
        pixels, label = line.frame(index, light)
        index += 1
        if label is not None:
            run.append((pixels, label))
        elif run:
            yield run[len(run) // 2]
            count, run = count - 1, []


def test_drift_on_the_drawn_line_is_found_soon_after_the_light_is_dimmed(
        peer, recognizer, tmp_path):
    recognizer(**{'evidence.path': tmp_path, 'evidence.budget': 5.0})
    drift = peer.collect(Bool, f'{NAME}/drift', LATCHED)
    camera = Camera(peer)
    operator = Operator(camera)
    line = AssemblyLine(7)

    def inspect(number, pixels, label):
        camera.answer(raw(pixels, header(number), 'rgb8'))
        return operator.confirm(confirmed(header(number), label), n=number)
    for number, (pixels, label) in enumerate(middles(line, 300), start=1):
        inspect(number, pixels, label)
    assert not any(message.data for message in drift)
    for number, (pixels, label) in enumerate(middles(line, 100, 0.05, 310), start=301):
        said = inspect(number, pixels, label)
        if said['change_at']:
            break
    peer.wait(lambda: drift[-1].data, 'no alarm in the dark')
    assert abs(int(said['change_at']) - 300) <= 30
    assert int(said['change_first']) <= 300 <= int(said['change_last'])
    assert sum(json.loads(said['per_label']).values()) > 0.0
    assert said['leading']
    folder = peer.wait(lambda: list(tmp_path.glob('*Z')))[0]
    alarm = json.loads((folder / 'alarm.json').read_text())
    assert alarm['monitor']['change_at'] == said['change_at']
    assert alarm['parameters']['monitor.run_length'] == 2000
    pictures = sorted(folder.glob('*.jpg'))
    assert len(pictures) == 24
    assert cv2.imread(str(pictures[0])).mean() < 40.0  # the most surprising was in the dark


def test_a_shadow_is_scored_beside_the_model_in_charge_and_promoted(
        peer, recognizer, write_model, tmp_path):
    path = tmp_path / 'journal.db'
    blunt = write_model('blunt.onnx', weights=0.3 * np.eye(3))
    sharp = write_model('sharp.onnx')
    recognizer(model_path=blunt, shadow_model_path=sharp, journal__path=path)
    shadows = peer.collect(DiagnosticStatus, f'{NAME}/shadow', LATCHED)
    camera = Camera(peer)
    unseen = peer.call(Trigger, f'{NAME}/promote_shadow')
    assert not unseen.success
    assert 'was compared on no confirmed frame yet' in unseen.message
    operator = Operator(camera)
    colours = {'hammer': (230, 10, 20), 'screwdriver': (15, 225, 30), 'wrench': (5, 25, 235)}
    rng = np.random.default_rng(1)
    nlls = []
    for number in range(1, 41):
        label = list(colours)[number % 3]
        answer = camera.answer(flat(
            tuple(int(c) for c in np.clip(colours[label] + rng.integers(-20, 20, 3), 0, 255)),
            header(number)))
        nlls.append(-np.log(answer.results[number % 3].score))
        operator.confirm(confirmed(header(number), label), n=number)

    def compared():
        return [values(s) for s in shadows if values(s).get('n') == '40']
    said = peer.wait(compared, 'the shadow never had 40 confirmed frames')[0]
    assert said['verdict'] == 'better'
    assert float(said['nll_in_charge']) == pytest.approx(np.mean(nlls), rel=1e-6)
    assert float(said['nll_difference']) == pytest.approx(
        float(said['nll']) - np.mean(nlls), rel=1e-6)
    assert float(said['nll_difference_ci_high']) < 0.0
    done = peer.call(Trigger, f'{NAME}/promote_shadow')
    assert done.success
    assert said['model_digest'] in done.message
    # What is latched speaks of the candidate no more.
    peer.wait(lambda: shadows[-1].message == 'there is no shadow model', 'the old shadow stays')
    surer = camera.answer(flat(colours['wrench'], header(99)))
    assert surer.results[2].score > np.exp(-min(nlls))
    assert not peer.call(Trigger, f'{NAME}/promote_shadow').success
    with JournalReader(path) as journal:
        found = journal.statistics()
    assert found['events']['promotion'] == 1
    assert found['runs'][-1]['model_digest'] == said['model_digest']


def test_a_promotion_is_chosen_in_the_store_and_a_rollback_leads_back(
        peer, recognizer, write_model, tmp_path):
    store = ModelStore(tmp_path / 'models')
    first, second = (store.add(write_model(f'{n}.onnx', weights=n * np.eye(3)), 'anna')
                     for n in (1, 2))
    store.choose(first.name, 'anna')
    recognizer(models__path=store.path, shadow_model_path=second.model,
               journal__path=tmp_path / 'journal.db')
    camera = Camera(peer)
    camera.answer(flat((200, 0, 0), header(1)))
    Operator(camera).confirm(confirmed(header(1), 'hammer'), n=1)
    promoted = peer.wait(lambda: (done := peer.call(Trigger, f'{NAME}/promote_shadow')).success
                         and done, 'the shadow was not promoted')
    assert second.digest in promoted.message
    assert 'parameter file' not in promoted.message
    assert store.chosen() == second
    assert store.choices()[-1].by == 'promote_shadow'
    store.go_back('anna')
    assert first.digest in peer.call(Trigger, f'{NAME}/reload_model').message
    # What is to be in charge and is damaged is not replaced by something else.
    store.choose(second.name, 'anna')
    second.model.unlink()
    refused = peer.call(Trigger, f'{NAME}/reload_model')
    assert not refused.success
    assert 'is not there; choose another one' in refused.message
    with JournalReader(tmp_path / 'journal.db') as journal:
        digests = [run['model_digest'] for run in journal.statistics()['runs']]
    assert digests == [first.digest, second.digest, first.digest]


def test_a_promotion_that_waits_for_the_store_holds_up_nothing_else(
        peer, recognizer, write_model, tmp_path):
    store = ModelStore(tmp_path / 'models')
    version = store.add(write_model('2.onnx', weights=2 * np.eye(3)), 'anna')
    recognizer(models__path=store.path, shadow_model_path=version.model)
    shadows = peer.collect(DiagnosticStatus, f'{NAME}/shadow', LATCHED)
    camera = Camera(peer)
    camera.answer(flat((200, 0, 0), header(1)))
    Operator(camera).confirm(confirmed(header(1), 'hammer'), n=1)
    peer.wait(lambda: [s for s in shadows if values(s).get('n') == '1'], 'nothing is compared')
    promotion, others = (peer.client(kind, f'{NAME}/{name}') for kind, name in (
        (Trigger, 'promote_shadow'), (SetBool, 'enable')))
    with open(store.path / '.lock', 'a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another program writes there
        promoted = promotion.call_async(Trigger.Request())
        loaded = monotonic() + 3.0  # by then it waits, or has not even begun
        while monotonic() < loaded:
            answered = others.call_async(SetBool.Request(data=True))
            peer.wait(answered.done, 'no response')
            assert not promoted.done()
            sleep(0.1)
    peer.wait(promoted.done, 'no response')
    assert promoted.result().success, promoted.result().message
    assert store.chosen() == version


def test_a_shadow_with_other_labels_is_not_configured(peer, recognizer, write_model):
    program = recognizer(
        autostart=False, model_path=write_model(),
        shadow_model_path=write_model('other.onnx', labels=['hammer', 'pliers', 'wrench']))
    assert not peer.transition('configure')
    assert 'a shadow model must have the labels' in program.output


def test_a_journal_that_becomes_usable_is_used(peer, recognizer, write_model, tmp_path):
    folder = tmp_path / 'later'
    folder.write_text('in the way')
    recognizer(model_path=write_model(), journal__path=folder / 'journal.db')
    camera, console = Camera(peer), Console(peer)
    camera.answer(flat((200, 0, 0), header(1)))
    assert console.say(confirmation(1, 'hammer')).level == DiagnosticStatus.WARN
    folder.unlink()
    peer.wait(lambda: (folder / 'journal.db').exists(), 'the journal was not tried again')
    camera.answer(flat((200, 0, 0), header(2)))
    peer.wait(lambda: console.say(confirmation(2, 'hammer')).level == DiagnosticStatus.OK,
              'nothing reached the journal')
