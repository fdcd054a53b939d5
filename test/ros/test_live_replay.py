"""A bag played to the live node by the camera node: stamps, clock, words, and the jump back."""

from diagnostic_msgs.msg import DiagnosticStatus
from graph import values
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import deserialize
from vision_msgs.msg import Classification

EYE = '/tool_recognizer/object_present'


def stamp(header):
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def test_a_bag_is_played_from_its_first_frame_to_its_end(peer, start, recognizer, line_bag):
    # So slow that a busy machine answers some, too. To the photo-eye nobody listens.
    path = line_bag(frames=45, period=150_000_000, start=10**18, extra=[
        (EYE, 10**18 + 2 * 10**9, to_bag.truth(True))])
    with Bag(path) as bag:
        recorded = [stamp(deserialize(m).header) for m in bag.messages({'/image_raw'})]
        first, last = bag.start, bag.end
    predictions = peer.collect(Classification, '/tool_recognizer/classification')
    monitor = peer.collect(DiagnosticStatus, '/tool_recognizer/monitor')
    times = peer.collect(Clock, '/clock', qos_profile_sensor_data)
    # The camera is there first, and must not begin without its audience.
    camera = start('camera', '--source', path, '--once', '--clock', '--wait')
    peer.wait(lambda: len(times) > 20, 'no /clock')
    assert {t.clock.sec * 1_000_000_000 + t.clock.nanosec for t in list(times)} == {first}
    recognizer(use_sim_time='true')
    peer.wait(lambda: camera.process.poll() is not None, 'it does not end with the bag')
    assert camera.process.returncode == 0
    stamps = [stamp(prediction.header) for prediction in predictions]
    assert set(stamps) <= set(recorded)
    assert stamps == sorted(stamps)
    assert len(stamps) > 5
    clock = [t.clock.sec * 1_000_000_000 + t.clock.nanosec for t in times]
    assert clock == sorted(clock)
    assert clock[-1] < last + 1_000_000_000
    peer.wait(lambda: monitor and {v.key: v.value for v in monitor[-1].values}['n'] not in (
        '0', ''), 'no confirmation was scored')


def test_the_gate_opens_for_the_tools_of_a_bag(peer, start, recognizer, line_bag):
    second, began = 10**9, 10**18
    path = line_bag(frames=60, period=150_000_000, start=began, extra=[
        ('/photo_eye', began + moment * second, to_bag.truth(said))
        for moment, said in ((1, True), (3, False), (5, True), (7, False))])
    passages = peer.collect(DiagnosticStatus, '/tool_recognizer/passage')
    tools = peer.collect(Classification, '/tool_recognizer/object_decision')
    recognizer(use_sim_time='true', passage__gate='topic', decision__deadline=60.0)
    camera = start('camera', '--source', path, '--once', '--clock', '--wait', '--ros-args',
                   '-p', 'present_topic:=/photo_eye')

    def of(event):
        return [said for said in map(values, list(passages)) if said['event'] == event]
    peer.wait(lambda: len(of('ended')) == 2, lambda: f'only {passages}')
    assert [one['reason'] for one in of('ended')] == ['absent', 'absent']
    # When, by the clock of the bag.
    assert [round((int(one['stamp']) - began) / second) for one in of('ended')] == [3, 7]
    peer.wait(lambda: len(tools) == 2, lambda: f'only {tools}')
    peer.wait(lambda: camera.process.poll() is not None, 'it does not end with the bag')
    assert camera.process.returncode == 0


def test_the_live_node_survives_the_jump_back_of_a_loop(peer, start, recognizer, line_bag):
    path = line_bag(frames=12)
    predictions = peer.collect(Classification, '/tool_recognizer/classification')
    recognizer(use_sim_time='true')
    camera = start('camera', '--source', path, '--clock', '--wait')

    def again():
        stamps = [stamp(prediction.header) for prediction in list(predictions)]
        return any(stamps.count(one) >= 3 for one in set(stamps))

    peer.wait(again, 'it does not go on after the jump')
    assert peer.state() == 'active'
    assert camera.stop() == 0
