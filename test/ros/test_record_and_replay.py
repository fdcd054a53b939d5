"""What was recorded from the live node gives the live node's probabilities when replayed."""

from itertools import pairwise
import json
import signal

import pytest
from std_msgs.msg import Bool
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import deserialize
from tool_recognizer.programs.replay import main
from vision_msgs.msg import Classification
from vision_msgs.msg import ObjectHypothesis


def stamp(message):
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_a_replay_gives_the_probabilities_of_the_live_node(
        tmp_path, peer, start, recognizer, transport):
    bag = tmp_path / 'recorded'
    recognizer(image_transport=transport)
    recorder = start('record', '--output', bag)
    predictions = peer.collect(Classification, '/tool_recognizer/classification')
    words = peer.publisher(Classification, '/tool_recognizer/confirmed_label')
    peer.wait(lambda: words.get_subscription_count() == 2, 'nobody listens')
    camera = start('camera', '--rate', '10', '--transport', transport)
    topic = '/image_raw' if transport == 'raw' else '/image_raw/compressed'
    peer.wait(lambda: peer.node.count_subscribers(topic) == 2, 'it is not recorded')
    peer.wait(lambda: predictions, 'no predictions')
    peer.wait(lambda: f'recording {topic}' in recorder.output, 'it is not recorded')
    predictions.clear()
    peer.wait(lambda: len(predictions) >= 45, 'no predictions')
    for prediction in predictions[25:45:4]:
        words.publish(Classification(header=prediction.header, results=[
            ObjectHypothesis(class_id='wrench', score=1.0)]))
    peer.wait(lambda: len(predictions) >= 50, 'no predictions')
    assert camera.stop() == 0
    assert recorder.stop() == 0
    assert main([str(bag), '--json', str(tmp_path / 'result.json'), '--quiet']) == 0
    found = json.loads((tmp_path / 'result.json').read_text())
    assert found['input']['compressed'] == (transport == 'compressed')
    assert found['live_answers']['compared'] >= 20
    assert found['live_answers']['greatest_difference'] <= 1e-6
    assert found['confirmations']['scored'] == 5
    # The live node's own words on the same frames, against the replay's.
    live = {(a.header.stamp.sec, a.header.stamp.nanosec): a.results for a in predictions}
    with Bag(bag) as recorded:
        kinds = {name: topic.kind for name, topic in recorded.topics.items()}
        latched = [deserialize(m) for m in recorded.messages({'/tool_recognizer/label_info'})]
    assert kinds['/tool_recognizer/monitor'] == 'diagnostic_msgs/msg/DiagnosticStatus'
    assert len(latched) == 1
    for frame in found['confirmed_frames']:
        results = live[divmod(frame['stamp'], 1_000_000_000)]
        assert frame['answer'] == max(results, key=lambda result: result.score).class_id


def test_a_replay_has_the_decisions_on_tools_of_the_live_node(tmp_path, peer, start, recognizer):
    bag, output = tmp_path / 'recorded', tmp_path / 'replayed'
    recognizer(passage__gate='topic', decision__deadline=60.0)
    recorder = start('record', '--output', bag)
    answered = peer.collect(Classification, '/tool_recognizer/classification')
    tools = peer.collect(Classification, '/tool_recognizer/object_decision')
    # Slow frames: on a busy machine one node may hear of the photo-eye later than another.
    camera = start('camera', '--rate', '4')
    for topic in ('/image_raw', '/tool_recognizer/object_present'):
        peer.wait(lambda one=topic: peer.node.count_subscribers(one) == 2, f'{topic} is not heard')
    tools.clear()  # what came before the recorder

    def whole():
        """Return the decisions since whose last one each frame was answered, at 4 Hz."""
        answers = [stamp(message) for message in list(answered)]
        return [stamp(tool) for before, tool in pairwise(list(tools)) if
                sum(stamp(before) < one <= stamp(tool) for one in answers)
                == round((stamp(tool) - stamp(before)) / 250e6)]

    peer.wait(lambda: len(whole()) >= 2, 'no tool of which each frame was answered', patience=300)
    assert camera.stop() == 0
    assert recorder.stop() == 0
    file = tmp_path / 'parameters.yaml'
    file.write_text('/**: {ros__parameters: {passage.gate: topic, decision.deadline: 60.0}}')
    assert main([str(bag), '--params-file', str(file), '--output', str(output), '--quiet']) == 0
    with Bag(bag) as recorded, Bag(output) as replayed:
        frames = [stamp(deserialize(message)) for message in recorded.messages({'/image_raw'})]
        again = {stamp(message): message.results[0] for message in map(
            deserialize, replayed.messages({'/tool_recognizer/object_decision'}))}
    # A frame that the live node had no time for the replay has, so that those between it and the
    # next decision may be others.
    live = {stamp(message) for message in answered}
    same = 0
    for before, tool in pairwise(list(tools)):
        if live >= {one for one in frames if stamp(before) <= one <= stamp(tool)}:
            result = again[stamp(tool)]
            assert result.class_id == tool.results[0].class_id
            assert result.score == pytest.approx(tool.results[0].score, abs=1e-6)
            same += 1
    assert same >= 2


def test_what_opens_the_gate_is_recorded_under_any_name(tmp_path, peer, start, recognizer):
    bag = tmp_path / 'recorded'
    recognizer(passage__gate='topic', remap=['~/object_present:=/photo_eye'])
    recorder = start('record', '--output', bag)
    others = peer.publisher(Bool, '/door_open')
    start('camera', '--rate', '4', '--ros-args',
          '-r', 'tool_recognizer/object_present:=/photo_eye')
    peer.wait(lambda: 'recording /photo_eye' in recorder.output, lambda: recorder.output)
    others.publish(Bool(data=True))
    heard = peer.collect(Bool, '/photo_eye')
    peer.wait(lambda: len(heard) > 1, 'no tool comes or goes')
    assert recorder.stop() == 0
    with Bag(bag) as recorded:
        assert [*recorded.messages({'/photo_eye'})]
        assert '/door_open' not in recorded.topics


def test_what_a_killed_recorder_had_can_be_replayed(tmp_path, peer, start):
    bag = tmp_path / 'recorded'
    recorder = start('record', '--output', bag)
    start('camera', '--rate', '30')
    peer.wait(lambda: sum(file.stat().st_size for file in bag.glob('*')) > 15_000_000
              if bag.exists() else False, 'nothing is recorded')
    assert recorder.stop(signal.SIGKILL) == -signal.SIGKILL
    assert main([str(bag), '--json', str(tmp_path / 'result.json'), '--quiet']) == 0
    found = json.loads((tmp_path / 'result.json').read_text())
    assert found['input']['answered'] > 10
    assert 'metadata.yaml is missing' in found['bags'][0]['losses'][0]


def test_nothing_is_recorded_over(tmp_path, start):
    (tmp_path / 'there').mkdir()
    recorder = start('record', '--output', tmp_path / 'there')
    assert recorder.process.wait(90) == 2
    assert 'exists already' in recorder.output
    (tmp_path / 'there').rmdir()
