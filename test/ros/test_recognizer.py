"""The recognizer as a process of its own, over real DDS, with the real model and photographs."""

from array import array
from functools import partial
from itertools import count
import signal
from time import sleep

from builtin_interfaces.msg import Time
import cv2
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from graph import BEST_EFFORT
from graph import Camera
from graph import CONFIRMATIONS
from graph import confirmed
from graph import flat
from graph import header
from graph import LABELS
from graph import LATCHED
from graph import Operator
from graph import png
from graph import probabilities
from graph import raw
from graph import rows
from graph import values
import numpy as np
from peers import takes_sigterm
from pictures_made import BOMBS
import pytest
from rcl_interfaces.msg import Parameter
from rcl_interfaces.srv import DescribeParameters
from rcl_interfaces.srv import GetParameters
from rcl_interfaces.srv import ListParameters
from rcl_interfaces.srv import SetParameters
from rcl_interfaces.srv import SetParametersAtomically
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Bool
from std_msgs.msg import Float64
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import recognize
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.model.onnx_model import read_labels
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.ros.recognizer.frame_topics import _small_jpeg
from vision_msgs.msg import LabelInfo


@pytest.fixture
def input_status(peer):
    """Wait until the diagnostics of the input say something, after the last first frame."""
    arrays = peer.collect(DiagnosticArray, '/diagnostics')

    def wait(condition, why):
        def found():
            for message in reversed(arrays):
                for status in message.status:
                    if status.name == 'tool_recognizer: input' and condition(status):
                        return status
            return None
        return peer.wait(found, why)

    def counted():
        """Return the counters when they stand still."""
        def still():
            arrays.clear()
            peer.wait(lambda: len(arrays) >= 2, 'diagnostics')
            first, second = (values(next(s for s in a.status
                                         if s.name == 'tool_recognizer: input'))
                             for a in arrays[:2])
            settled = sum(int(value) for name, value in first.items()
                          if name == 'answered' or name.startswith('dropped_'))
            return first == second and settled == int(first['received']) and first
        return peer.wait(still, 'the counters never stood still')

    wait.counted = counted
    return wait


def dropped_since(before, status):
    """Return the counters of dropped frames that changed; a busy node passes first ones over."""
    return {name: value for name, value in values(status).items()
            if name.startswith('dropped_') and value != before.get(name)}


@pytest.mark.parametrize(('form', 'data', 'kept'), [
    ('jpeg', b'\xff\xd8jpeg', True), ('', b'\xff\xd8jpeg', True),
    ('jpeg', b'\x89PNG\r\n\x1a\n', False), ('jpeg', b'\xff\xd8' + bytes(300_000), False)])
def test_what_is_shown_as_it_came_is_a_small_jpeg_whatever_its_format_says(form, data, kept):
    message = CompressedImage(format=form, data=array('B', data))
    assert _small_jpeg(message) == (data if kept else b'')


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_photographs_are_answered_with_their_own_header_and_the_models_distribution(
        transport, peer, recognizer, photos):
    recognizer(image_transport=transport)
    kind, topic = {'raw': (Image, '/image_raw'),
                   'compressed': (CompressedImage, '/image_raw/compressed')}[transport]
    camera = Camera(peer, topic, kind)
    model = OnnxModel.load(DEFAULT_MODEL)
    right = 0
    for number, (path, label) in enumerate(photos):
        pixels, order = read_picture(path)
        head = header(number)
        message = (raw(pixels, head) if transport == 'raw' else
                   CompressedImage(header=head, format='jpeg', data=path.read_bytes()))
        answer = camera.answer(message)
        assert answer.header == head
        assert [result.class_id for result in answer.results] == LABELS
        expected = recognize(Frame(FrameKey(0, ''), pixels, order), model).probabilities
        np.testing.assert_allclose(probabilities(answer), expected, atol=1e-6)
        assert probabilities(answer).sum() == pytest.approx(1.0, abs=1e-9)
        right += LABELS[int(expected.argmax())] == label
    assert right == 9
    peer.wait(lambda: len(camera.decisions) >= len(photos), 'a decision for each frame')


def test_the_decision_is_one_result_with_the_frames_header(peer, recognizer, write_model):
    recognizer(model_path=write_model(), decision__min_probability=0.8, decision__deadline=60.0)
    camera = Camera(peer)
    for number, (colour, expected) in enumerate([
            ((255, 0, 0), 'hammer'), ((0, 0, 255), 'wrench'),
            ((200, 190, 0), 'unknown:low_confidence')]):
        answer = camera.answer(flat(colour, header(number)))
        decision = peer.wait(lambda h=answer.header: next(
            (d for d in camera.decisions if d.header == h), None))
        assert [result.class_id for result in decision.results] == [expected]
        known = expected in LABELS
        assert decision.results[0].score == (probabilities(answer).max() if known else 0.0)


@pytest.mark.parametrize('name', ['batch_of_one/b1.onnx', 'external_data/ext.onnx',
                                  'softmax_graph/prob.onnx'])
def test_a_classifier_from_elsewhere_answers_as_it_does_by_itself(
        peer, recognizer, photos, cases, name):
    labels = cases / 'labels_bom' / 'labels.txt'
    output = 'probabilities' if 'softmax' in name else 'logits'
    recognizer(model_path=cases / name, plain_model__labels_file=labels,
               plain_model__output=output)
    camera = Camera(peer)
    plain = OnnxModel.load(cases / 'labels_bom' / 'plain.onnx',
                           plain=PlainModel(read_labels(labels), fit='crop'))
    pixels, order = read_picture(photos[0][0])
    expected = recognize(Frame(FrameKey(0, ''), pixels, order), plain).probabilities
    np.testing.assert_allclose(probabilities(camera.answer(raw(pixels, header(1)))), expected,
                               atol=1e-5)


def test_bad_frames_of_every_kind_are_counted_and_the_next_good_one_is_answered(
        peer, recognizer, photos, input_status):
    recognizer()
    camera = Camera(peer)
    pixels = read_picture(photos[0][0])[0]
    before = input_status.counted()
    bad = []
    for change in ({'encoding': '16UC1'}, {'encoding': 'nonsense'}, {'data': array('B')},
                   {'step': 3}, {'height': 4000}, {'width': 0}):
        message = raw(pixels, header(1))
        for name, value in change.items():
            setattr(message, name, value)
        bad.append(message)
    for number, message in enumerate(bad):
        camera.publisher.publish(message)
        input_status(lambda s, n=number: int(values(s)['received']) == (
            int(before['received']) + n + 1), 'a frame counted')
    status = input_status(lambda s: sum(map(int, dropped_since(before, s).values())) == len(bad),
                          'all counted')
    assert dropped_since(before, status) == {
        'dropped_encoding': '2', 'dropped_empty': '2', 'dropped_step': '1', 'dropped_size': '1'}
    assert camera.answer(raw(pixels, header(2))).header == header(2)
    assert len(camera.answers) == 1


def test_damaged_jpegs_are_counted_and_the_next_good_one_is_answered(
        peer, recognizer, photos, input_status):
    recognizer(image_transport='compressed')
    camera = Camera(peer, '/image_raw/compressed', CompressedImage)
    before = int(input_status.counted()['received'])
    good = photos[0][0].read_bytes()
    for number, data in enumerate((good[:len(good) // 2], b'no picture at all', b'')):
        camera.publisher.publish(CompressedImage(header=header(1), format='jpeg', data=data))
        input_status(lambda s, n=number: int(values(s)['received']) == before + n + 1,
                     'a frame counted')
    status = input_status(lambda s: 'dropped_empty' in values(s), 'all counted')
    assert values(status)['dropped_corrupt'] == '2'
    camera.answer(CompressedImage(header=header(2), format='jpeg', data=good))


def test_bombs_are_counted_by_their_reason_and_the_next_good_frame_is_answered(
        peer, recognizer, photos, input_status):
    recognizer(image_transport='compressed')
    camera = Camera(peer, '/image_raw/compressed', CompressedImage)
    before = input_status.counted()
    bombs = [BOMBS[name] for name in ('gif 32000', 'png 60000', 'jpeg 60000', 'webp 16383',
                                      'jpeg 4000 x 3000 in little')]
    for number, (data, _) in enumerate(bombs):
        camera.publisher.publish(CompressedImage(header=header(1), data=data))
        input_status(lambda s, n=number: int(values(s)['received']) == (
            int(before['received']) + n + 1), 'a frame counted')
    status = input_status(lambda s: 'dropped_corrupt' in values(s), 'all counted')
    assert dropped_since(before, status) == {
        'dropped_encoding': '1', 'dropped_too_large': '3', 'dropped_corrupt': '1'}
    camera.answer(CompressedImage(header=header(2), format='jpeg',
                                  data=photos[0][0].read_bytes()))


def test_logits_that_are_no_numbers_are_counted_never_published(
        peer, recognizer, write_model, input_status):
    # A white picture overflows what these weights can hold in float32.
    recognizer(model_path=write_model(weights=np.diag([3e38, 1, 1])))
    camera = Camera(peer)
    camera.publisher.publish(flat((255, 255, 255), header(1)))
    status = input_status(lambda s: 'dropped_non_finite' in values(s), 'it is counted')
    assert values(status)['dropped_non_finite'] == '1'
    camera.answer(flat((0, 10, 10), header(2)))
    assert [answer.header for answer in camera.answers] == [header(2)]


def test_confirmations_make_the_rolling_nll_and_kl(peer, recognizer, write_model):
    model = write_model()
    recognizer(model_path=model)
    camera = Camera(peer)
    operator = Operator(camera)
    figures = {name: peer.collect(Float64, f'/tool_recognizer/monitor/{name}')
               for name in ('nll', 'kl', 'evidence')}
    first = probabilities(camera.answer(flat((255, 0, 0), header(1))))
    second = probabilities(camera.answer(flat((0, 0, 255), header(2))))
    operator.confirm(confirmed(header(1), 'hammer'), n=1)
    said = operator.confirm(confirmed(header(2), hammer=0.25, wrench=0.75), n=2)
    surprise = [-np.log(first[0]), -0.25 * np.log(second[0]) - 0.75 * np.log(second[2])]
    entropy = [0.0, -0.25 * np.log(0.25) - 0.75 * np.log(0.75)]
    assert float(said['nll']) == pytest.approx(np.mean(surprise), abs=1e-6)
    assert float(said['entropy']) == pytest.approx(np.mean(entropy), abs=1e-9)
    assert float(said['kl']) == pytest.approx(
        float(said['cross_entropy']) - float(said['entropy']), abs=1e-12)
    assert said['model_digest'] == OnnxModel.load(model).digest
    peer.wait(lambda: figures['nll'] and figures['nll'][-1].data == float(said['nll']))
    peer.wait(lambda: figures['kl'] and figures['kl'][-1].data == float(said['kl']))
    peer.wait(lambda: figures['evidence'])


def test_confirmations_of_every_other_kind_are_distinguished(peer, recognizer, write_model,
                                                             input_status):
    recognizer(model_path=write_model())
    camera = Camera(peer)
    operator = Operator(camera)
    for number in (0, 1, 2, 60):
        camera.answer(flat((255, 0, 0), header(number)))
    operator.confirm(confirmed(header(0), 'hammer'), n=1, late=1)  # 60 s late
    operator.confirm(confirmed(header(60), 'hammer'), n=2, scored=1)
    operator.confirm(confirmed(header(60), 'hammer'), n=2, duplicate=1)
    operator.confirm(confirmed(header(60), 'wrench'), n=2, conflicting=1)
    operator.confirm(confirmed(header(1), 'pliers'), n=2, novel=1)
    operator.confirm(confirmed(header(1, 'other'), 'hammer'), n=2, unmatched=1)
    operator.publisher.publish(confirmed(header(2), hammer=0.5))
    status = input_status(lambda s: values(s)['invalid_confirmations'] == '1', 'it is counted')
    assert status is not None
    operator.confirm(confirmed(header(2), 'hammer'), n=3, late=2)


def test_the_lifecycle_and_an_impossible_transition(peer, recognizer, write_model):
    program = recognizer(autostart=False, model_path=write_model())
    assert peer.state() == 'unconfigured'
    assert not peer.transition('activate')
    assert not peer.transition('active_shutdown')
    for _ in range(2):
        assert peer.transition('configure')
        assert peer.state() == 'inactive'
        camera_topic = peer.publisher(Image, '/image_raw')
        assert camera_topic.get_subscription_count() == 0
        assert peer.transition('activate')
        assert not peer.transition('configure')
        camera = Camera(peer)
        camera.answer(flat((255, 0, 0), header(1)))
        assert peer.transition('deactivate')
        last = peer.wait(lambda c=camera: c.decisions and c.decisions[-1].results[0].class_id
                         == 'stale:no_frame' and c.decisions[-1])
        assert last.results[0].score == 0.0
        peer.wait(lambda c=camera: c.publisher.get_subscription_count() == 0)
        assert peer.transition('cleanup')
    assert peer.transition('unconfigured_shutdown')
    assert peer.state() == 'finalized'
    assert program.process.poll() is None


def test_a_node_that_waits_to_be_configured_says_so(peer, recognizer):
    program = recognizer(autostart=False)
    assert peer.state() == 'unconfigured'
    assert '[INFO]' in program.output
    assert 'unconfigured: nothing is answered until it is configured' in program.output
    assert 'autostart:=true' in program.output


def test_a_node_that_somebody_brings_to_active_does_not_say_that_it_waits(peer, start):
    program = start('recognizer', '--managed')
    assert peer.state() == 'unconfigured'
    assert 'unconfigured' not in program.output


def test_a_model_that_breaks_its_contract_is_not_configured(peer, recognizer, write_model):
    program = recognizer(autostart=False, model_path=write_model(labels=['a', 'b:c', 'd']))
    assert not peer.transition('configure')
    assert peer.state() == 'unconfigured'
    assert "label 'b:c' holds a colon" in program.output
    assert peer.set_parameter('model_path', str(write_model('good.onnx'))).successful
    assert peer.transition('configure')


def test_autostart_with_an_unusable_model_ends_with_status_2(recognizer, tmp_path):
    program = recognizer(model_path=tmp_path / 'none.onnx')
    assert program.process.wait(90) == 2
    assert 'none.onnx: cannot be read' in program.output
    assert 'Traceback' not in program.output


def test_reloading_while_frames_flow(peer, recognizer, write_model, tmp_path):
    recognizer(model_path=write_model())
    camera = Camera(peer)
    label_info = peer.collect(LabelInfo, '/tool_recognizer/label_info', LATCHED)
    number = 0

    def flow():
        nonlocal number
        number += 1
        return camera.answer(flat((255, 0, 0), header(number)))

    flow()
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes(b'not a model')
    peer.set_parameter('model_path', str(broken))
    refused = peer.call(Trigger, '/tool_recognizer/reload_model')
    assert not refused.success
    assert 'broken.onnx' in refused.message
    assert 'the old model stays' in refused.message
    assert [r.class_id for r in flow().results] == LABELS
    # Frames are published while the new model is loaded, and each of them is answered.
    peer.set_parameter('model_path', str(write_model('new.onnx', labels=['spanner', 'mallet'])))
    done = peer.client(Trigger, '/tool_recognizer/reload_model').call_async(Trigger.Request())
    while not done.done():
        flow()
    assert done.result().success, done.result().message
    assert [r.class_id for r in flow().results] == ['spanner', 'mallet']
    assert len(camera.answers) == number
    peer.wait(lambda: label_info and [c.class_name for c in label_info[-1].class_map]
              == ['spanner', 'mallet'])


def test_services_answer_and_older_frames_are_dropped_while_a_frame_is_worked_on(
        peer, recognizer, write_model, input_status):
    # A frame takes longer than until the next diagnostics, which say that it is in work.
    recognizer(model_path=write_model(slow=45), decision__deadline=60.0)
    camera = Camera(peer)
    assert peer.set_parameter('decision.min_probability', 0.6).successful  # the service is known
    before = {name: int(value) for name, value in input_status.counted().items()
              if name in ('received', 'answered', 'dropped_busy')}

    def since(status, name):
        return int(values(status).get(name, 0)) - before.get(name, 0)

    camera.publisher.publish(flat((255, 0, 0), header(0)))
    input_status(lambda s: since(s, 'received') == 1, 'it arrived')
    for number in range(1, 6):
        camera.publisher.publish(flat((255, 0, 0), header(number)))
    # The first one is being worked on, and this comes back all the same.
    assert peer.set_parameter('decision.min_probability', 0.5).successful
    peer.wait(lambda: len(camera.answers) and camera.answers[-1].header == header(5),
              'the newest is not answered', patience=300)
    status = input_status(lambda s: since(s, 'answered') == len(camera.answers),
                          'every answer is counted')
    assert since(status, 'received') == len(camera.answers) + since(status, 'dropped_busy')
    assert since(status, 'dropped_busy') > 0


def test_a_decision_never_outlives_its_frame(peer, recognizer, write_model):
    recognizer(model_path=write_model(), decision__deadline=0.3)
    camera = Camera(peer)
    stale = peer.wait(lambda: camera.decisions and camera.decisions[0])
    assert stale.results[0].class_id == 'stale:no_frame'
    numbers = count(1)

    def in_time():  # a busy machine may be too late
        head = camera.answer(flat((255, 0, 0), header(next(numbers)))).header
        return peer.wait(lambda: [d.results[0].class_id for d in camera.decisions
                                  if d.header == head])[0] == 'hammer'
    peer.wait(in_time, 'every answer is late')
    known = len(camera.decisions)
    peer.wait(lambda: len(camera.decisions) >= known + 2)
    assert {d.results[0].class_id for d in camera.decisions[known:]} == {'stale:no_frame'}


def test_a_prediction_that_took_too_long_is_stale(peer, recognizer, write_model):
    recognizer(model_path=write_model(slow=8), decision__deadline=0.01)
    camera = Camera(peer)
    camera.answer(flat((255, 0, 0), header(1)))
    decision = peer.wait(lambda: next((d for d in camera.decisions if d.header == header(1)), 0))
    assert decision.results[0].class_id == 'stale:no_frame'


def test_a_frame_whose_stamp_is_too_old_gets_no_decision_if_that_is_wanted(
        peer, recognizer, write_model):
    recognizer(model_path=write_model(), decision__max_frame_age=60.0, decision__deadline=60.0)
    camera = Camera(peer)
    camera.answer(flat((255, 0, 0), header(1)))
    fresh = Header(stamp=peer.node.get_clock().now().to_msg(), frame_id='bench')
    camera.answer(flat((255, 0, 0), fresh))
    decided = peer.wait(lambda: len(found := {
        (d.header.stamp.sec, d.header.stamp.nanosec): d.results[0].class_id
        for d in camera.decisions if d.header in (header(1), fresh)}) == 2 and found)
    assert list(decided.values()) == ['stale:no_frame', 'hammer']


def test_simulated_time_that_jumps_back_stops_nothing(peer, recognizer, write_model):
    recognizer(model_path=write_model(), use_sim_time='true', decision__deadline=5.0)
    camera = Camera(peer)
    operator = Operator(camera)
    clock = peer.publisher(Clock, '/clock')
    arrays = peer.collect(DiagnosticArray, '/diagnostics')
    peer.wait_for_subscriber(clock)

    def tick_until_reported(at):
        """Let the clock run from a moment until the diagnostics carry a stamp of its run."""
        arrays.clear()

        def reported():
            nonlocal at
            at += 0.2
            clock.publish(Clock(clock=Time(sec=int(at), nanosec=int(at % 1 * 1e9))))
            return [a for a in arrays if abs(a.header.stamp.sec - at) < 60]
        peer.wait(reported, f'diagnostics at {at}')

    for number in (1, 2):
        tick_until_reported(1000.0)
        camera.answer(flat((255, 0, 0), header(7)))
        operator.confirm(confirmed(header(7), 'hammer'), n=2 * number - 1)
        camera.answer(flat((255, 0, 0), header(8)))
        operator.confirm(confirmed(header(8), 'hammer'), n=2 * number)
        tick_until_reported(2000.0)


def test_the_annotated_picture_is_made_for_subscribers(peer, recognizer, photos):
    recognizer()
    camera = Camera(peer)
    pictures = peer.collect(CompressedImage, '/tool_recognizer/annotated/compressed', BEST_EFFORT)
    pixels = read_picture(photos[0][0])[0]
    number = 0

    def pictured():
        nonlocal number
        number += 1
        camera.answer(raw(pixels, header(number)))
        return pictures

    peer.wait(pictured)
    picture = cv2.imdecode(np.frombuffer(pictures[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] == pixels.shape[1]
    below = picture[-pixels.shape[0]:].astype(int)
    assert np.abs(below - pixels).mean() < 10, 'the frame itself, below the words'
    assert pictures[0].header in [answer.header for answer in camera.answers]


def test_parameters_describe_themselves_and_refuse_with_a_reason(peer, recognizer, write_model):
    recognizer(model_path=write_model())
    Camera(peer)
    described = peer.call(DescribeParameters, '/tool_recognizer/describe_parameters',
                          names=['decision.deadline']).descriptors[0]
    assert 'Seconds' in described.description
    assert described.floating_point_range[0].to_value == 60.0
    refused = peer.set_parameter('monitor.window', 50)
    assert not refused.successful
    assert 'clean up the node first' in refused.reason
    refused = peer.set_parameter('image_transport', 'zip')
    assert "one of ['raw', 'compressed'], got 'zip'" in refused.reason
    assert not peer.set_parameter('decision.min_probability', 1.5).successful


@pytest.mark.parametrize('program', ['recognizer', 'camera', 'console'])
def test_a_node_takes_back_all_of_its_own_parameters(peer, start, tmp_path, program):
    """As `ros2 param load` gives them back after `ros2 param dump`."""
    start(program, '--ros-args', '-r', '__node:=one', '-p', 'autostart:=true',
          '-p', 'console.port:=0', '-p', f'console.outbox:={tmp_path}/outbox')
    names = peer.call(ListParameters, '/one/list_parameters').result.names
    assert 'use_sim_time' in names
    values = peer.call(GetParameters, '/one/get_parameters', names=names).values
    dumped = [Parameter(name=name, value=value) for name, value in zip(names, values, strict=True)]
    results = peer.call(SetParameters, '/one/set_parameters', parameters=dumped).results
    assert [result.reason for result in results if not result.successful] == []
    assert len(results) == len(names)
    together = peer.call(
        SetParametersAtomically, '/one/set_parameters_atomically', parameters=dumped)
    assert together.result.successful


def test_what_is_read_only_still_is(peer, recognizer, write_model):
    recognizer(model_path=write_model())
    assert not peer.set_parameter('autostart', False).successful
    assert peer.set_parameter('autostart', True).successful


def test_a_changed_parameter_counts_from_the_next_frame(peer, recognizer, write_model):
    recognizer(model_path=write_model(), decision__deadline=60.0)
    camera = Camera(peer)
    camera.answer(flat((255, 0, 0), header(1)))
    assert peer.set_parameter('decision.min_probability', 1.0).successful
    camera.answer(flat((255, 0, 0), header(2)))
    peer.wait(lambda: [d.results[0].class_id for d in camera.decisions]
              == ['hammer', 'unknown:low_confidence'])
    assert peer.set_parameter('decision.deadline', 0.1).successful
    peer.wait(lambda: camera.decisions[-1].results[0].class_id == 'stale:no_frame')


def test_a_region_counts_from_the_next_frame_and_what_is_none_is_refused(
        peer, recognizer, write_model):
    recognizer(model_path=write_model())
    camera = Camera(peer)
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :30], pixels[:, 30:] = (255, 0, 0), (0, 0, 255)

    def best(number):
        return LABELS[int(probabilities(camera.answer(raw(pixels, header(number)))).argmax())]

    refused = peer.set_parameter('region.x', 0.75)
    assert 'region.x + region.width must be at most 1, got 0.75 + 1' in refused.reason
    first = best(1)
    assert peer.set_parameter('region.width', 0.25).successful
    assert peer.set_parameter('region.x', 0.75).successful
    assert (first, best(2)) == ('wrench', 'hammer')


def test_pausing_and_resuming(peer, recognizer, write_model, input_status):
    recognizer(model_path=write_model())
    camera = Camera(peer)
    camera.answer(flat((255, 0, 0), header(1)))
    assert peer.call(SetBool, '/tool_recognizer/enable', data=False).success
    camera.publisher.publish(flat((255, 0, 0), header(2)))
    status = input_status(lambda s: 'dropped_disabled' in values(s), 'it is counted')
    assert 'paused' in status.message
    assert peer.call(SetBool, '/tool_recognizer/enable', data=True).success
    camera.answer(flat((255, 0, 0), header(3)))
    assert [answer.header for answer in camera.answers] == [header(1), header(3)]


def test_drift_is_latched_and_reset_by_the_service(peer, recognizer, write_model):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (500, 3))
    noise = -np.log(-np.log(rng.uniform(size=logits.shape)))
    truth = (logits + noise).argmax(axis=1)  # a label drawn from the softmax
    model = write_model(metadata={'reference': {
        'logits': logits.tolist(), 'label': truth.tolist()}})
    recognizer(model_path=model, decision__stop_on_drift='true', decision__deadline=60.0)
    camera = Camera(peer)
    operator = Operator(camera)
    drift = peer.collect(Bool, '/tool_recognizer/drift', LATCHED)
    peer.wait(lambda: drift)
    assert not drift[-1].data
    for number in range(1, 200):
        camera.answer(flat((255, 0, 0), header(number)))
        operator.confirm(confirmed(header(number), 'wrench'), n=number)
        if drift[-1].data:
            break
    peer.wait(lambda: drift[-1].data, 'no alarm although every prediction was wrong')
    late = peer.collect(Bool, '/tool_recognizer/drift', LATCHED)
    peer.wait(lambda: [m.data for m in late] == [True], 'a late subscriber has it')
    camera.answer(flat((255, 0, 0), header(900)))
    peer.wait(lambda: camera.decisions[-1].results[0].class_id == 'degraded:drift')
    said = values(camera.monitor[-1])
    assert float(said['evidence']) >= float(said['threshold'])
    assert said['worst_label'] == 'wrench'
    assert peer.call(Trigger, '/tool_recognizer/reset_monitor').success
    peer.wait(lambda: not drift[-1].data)


def test_after_kill_9_the_monitor_goes_on_where_it_was(peer, recognizer, write_model, tmp_path):
    options = {'model_path': write_model(), 'journal.path': tmp_path / 'journal.sqlite'}
    program = recognizer(**options)
    camera = Camera(peer)
    operator = Operator(camera)
    for number in range(1, 5):
        camera.answer(flat((40 * number, 9 * number, 20), header(number)))
    operator.confirm(confirmed(header(1), 'hammer'), n=1)
    operator.confirm(confirmed(header(2), hammer=0.5, wrench=0.5), n=2)
    operator.confirm(confirmed(header(2), 'wrench'), n=2, conflicting=1)
    before = operator.confirm(confirmed(header(9), 'hammer'), n=2, unmatched=1)
    peer.wait(lambda: rows(options['journal.path'], CONFIRMATIONS) == [(4,)]
              and rows(options['journal.path'],
                       "SELECT 1 FROM events WHERE kind = 'answered' AND stamp = ?",
                       1_700_000_004 * 1_000_000_000 + 5), 'not all of it is on disk')
    program.process.kill()
    program.process.wait()
    camera.monitor.clear()

    recognizer(**options)
    after = peer.wait(lambda: camera.monitor and values(camera.monitor[-1]))
    assert after == before
    # What was answered before can still be confirmed, and a confirmed frame counts once.
    again = Operator(Camera(peer))
    again.confirm(confirmed(header(3), 'hammer'), n=3)
    again.confirm(confirmed(header(1), 'hammer'), n=3, duplicate=1)
    # And what was confirmed before it was answered is scored when it is.
    again.camera.answer(flat((200, 0, 0), header(9)))
    again.camera.peer.wait(lambda: again.said(n=4, unmatched=0))


def test_a_journal_that_cannot_be_written_is_reported_and_recognising_goes_on(
        peer, recognizer, write_model, tmp_path):
    (tmp_path / 'file').write_text('')
    recognizer(**{'model_path': write_model(), 'journal.path': tmp_path / 'file' / 'journal'})
    camera = Camera(peer)
    camera.answer(flat((255, 0, 0), header(1)))
    arrays = peer.collect(DiagnosticArray, '/diagnostics')
    peer.wait(lambda: any('nothing is remembered' in s.message
                          for a in arrays for s in a.status))


def test_the_diagnostics_say_why_nothing_is_happening(peer, recognizer, write_model,
                                                      input_status):
    recognizer(model_path=write_model())
    input_status(lambda s: s.level == DiagnosticStatus.ERROR
                 and 'nobody publishes /image_raw: start the camera' in s.message, 'no camera')
    peer.publisher(CompressedImage, '/image_raw/compressed')
    input_status(lambda s: 'set image_transport to compressed' in s.message, 'compressed only')


def test_a_camera_with_another_quality_of_service_is_named(peer, recognizer, write_model,
                                                           input_status):
    recognizer(**{'model_path': write_model(),
                  'qos_overrides./image_raw.subscription.reliability': 'reliable'})
    peer.publisher(Image, '/image_raw', BEST_EFFORT)
    status = input_status(lambda s: 'reliability' in s.message, 'the mismatch')
    assert 'qos_overrides./image_raw.subscription.reliability' in status.message


def test_two_cameras_by_namespace_and_a_remapped_topic(peer, recognizer, write_model):
    model = write_model()
    recognizer(model_path=model, remap=['__ns:=/left', 'image_raw:=/left/camera/rgb'])
    recognizer(model_path=model, remap=['__ns:=/right', 'image_raw:=/right/camera/rgb'],
               image_transport='compressed')
    left = Camera(peer, '/left/camera/rgb', node='/left/tool_recognizer')
    right = Camera(peer, '/right/camera/rgb/compressed', CompressedImage,
                   node='/right/tool_recognizer')
    left.answer(flat((255, 0, 0), header(1)))
    answer = right.answer(
        CompressedImage(header=header(2), format='png', data=png((255, 0, 0))))
    assert probabilities(answer).argmax() == 2
    assert len(left.answers) == 1
    arrays = peer.collect(DiagnosticArray, '/diagnostics')
    # The statuses of each recognizer have its name.
    peer.wait(lambda: {status.name.partition('tool_recognizer')[0] for array in arrays
                       for status in array.status} == {'left/', 'right/'},
              'the names in /diagnostics')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_status_0_and_no_traceback(number, peer, recognizer, write_model):
    program = recognizer(model_path=write_model())
    camera = Camera(peer)
    camera.answer(flat((255, 0, 0), header(1)))
    assert program.stop(number) == 0
    assert 'Traceback' not in program.output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_frame_is_reported_as_no_fault(
        number, peer, recognizer, write_model):
    program = recognizer(model_path=write_model(slow=20), decision__deadline=30.0)
    camera = Camera(peer)

    def answered():  # and the next one is in work
        camera.publisher.publish(flat((255, 0, 0), header(1)))
        return camera.answers
    peer.wait(answered, 'an answer')
    assert program.stop(number) == 0
    assert 'WARN' not in program.output
    assert 'rror' not in program.output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_of_its_start_ends_it_cleanly(
        number, peer, recognizer, write_model):
    model = write_model()
    programs = [recognizer(model_path=model) for _ in range(6)]
    for program in programs:
        # Until then Python itself is starting, which SIGTERM simply ends.
        peer.wait(partial(takes_sigterm, program.process.pid), 'it does not begin')
        sleep(0.3)
        program.process.send_signal(number)
    assert [program.process.wait(90) for program in programs] == [0] * 6
    assert not [p.output for p in programs if 'Traceback' in p.output or 'rror' in p.output]


@pytest.mark.parametrize('pause', [0.0, 0.02, 0.1, 0.2, 0.3])
def test_a_second_ctrl_c_on_its_way_out_changes_nothing(pause, peer, recognizer, write_model):
    program = recognizer(model_path=write_model())
    Camera(peer)
    program.process.send_signal(signal.SIGINT)
    sleep(pause)
    assert program.stop() == 0
    assert 'Traceback' not in program.output


def test_help_and_unusable_arguments(start):
    asked = start('recognizer', '--help')
    assert asked.process.wait(90) == 0
    assert 'autostart' in asked.output
    refused = start('recognizer', '--no-such')
    assert refused.process.wait(90) == 2
    assert refused.output.count('\n') == 1


def test_frames_that_are_all_refused_are_reported_with_the_reason_in_the_diagnostics(
        peer, recognizer, write_model, input_status):
    recognizer(model_path=write_model())
    camera = peer.publisher(Image, '/image_raw')
    peer.wait_for_subscriber(camera)
    depth = flat((255, 0, 0), header(1))
    depth.encoding = '16UC1'

    def reported(status):
        camera.publish(depth)
        return 'every frame is refused' in status.message
    status = input_status(reported, 'the reason')
    assert status.level == DiagnosticStatus.ERROR
    assert "encoding '16UC1' is a depth image" in status.message
    assert 'remap image_raw to the colour camera' in status.message
    assert ' of ' in status.message


def test_stamps_that_are_all_0_are_named_and_poison_no_monitor(
        peer, recognizer, write_model, input_status):
    recognizer(model_path=write_model())
    camera = Camera(peer)
    operator = Operator(camera)
    acknowledged = peer.collect(DiagnosticStatus, '/tool_recognizer/confirmation_ack')
    peer.meet()
    nobody_stamps = Header(frame_id='bench')
    for number in range(12):
        camera.answer(flat((20 * number, 9, 0), nobody_stamps))
    status = input_status(lambda s: "the camera's stamps are 0" in s.message, 'the stamps')
    assert status.level == DiagnosticStatus.WARN
    assert 'header.stamp' in status.message
    for number, label in enumerate(('hammer', 'wrench', 'hammer'), start=1):
        operator.confirm(confirmed(nobody_stamps, label), n=0, ambiguous=number, conflicting=0)
    peer.wait(lambda: len(acknowledged) == 3)
    assert values(acknowledged[-1])['outcome'] == 'ambiguous'
    assert 'header.stamp' in acknowledged[-1].message
    camera.answer(flat((255, 0, 0), header(1)))
    operator.confirm(confirmed(header(1), 'hammer'), n=1)


def test_two_publishers_on_the_image_topic_are_named(peer, recognizer, write_model, input_status):
    recognizer(model_path=write_model())
    camera = Camera(peer)
    second = peer.publisher(Image, '/image_raw')
    peer.wait_for_subscriber(second)

    def reported(status):
        camera.publisher.publish(flat((255, 0, 0), header(1)))
        return '/image_raw has 2 publishers, /peer and /peer' in status.message
    status = input_status(reported, 'the second publisher')
    assert status.level == DiagnosticStatus.WARN
