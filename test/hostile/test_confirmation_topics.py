"""Hostile confirmations on the topics of a running node, with good ones among them."""

from collections import Counter
import json
import re
from time import sleep

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from graph import Camera
from graph import CONFIRMATIONS
from graph import confirmed
from graph import flat
from graph import header
from graph import rows
from graph import values
from rclpy.qos import QoSProfile
from tool_recognizer.core.admission import LONGEST
from vision_msgs.msg import Classification
from vision_msgs.msg import ObjectHypothesis

NAME = '/tool_recognizer'
GOOD = 40


def stamp_of(head):
    return head.stamp.sec * 1_000_000_000 + head.stamp.nanosec


def status(number, nonce, **changes):
    """Return a good confirmation on ``~/confirmation``, but for what is changed."""
    head = header(number)
    fields = {'stamp': str(stamp_of(head)), 'frame_id': head.frame_id, 'nonce': nonce,
              'operator': 'kim', 'distribution': '{"hammer": 1.0}'} | changes
    return DiagnosticStatus(values=[
        KeyValue(key=key, value=value) for key, value in fields.items() if value is not None])


def label(number, *pairs, frame_id='bench', sec=None):
    head = header(number, frame_id)
    if sec is not None:
        head.stamp.sec = sec
    return Classification(header=head, results=[
        ObjectHypothesis(class_id=name, score=score) for name, score in pairs])


# What is wrong, with the part that is named for it.
STATUSES = [
    ('distribution', {'distribution': '[' * 100_000}),
    ('distribution', {'distribution': '[' * 60_000}),
    ('distribution', {'distribution': '{"a":' * 13_000}),
    ('distribution', {'distribution': '{"' + '\\"' * 30_000}),
    ('distribution', {'distribution': '{"' + 'x' * 8_000_000 + '": 1.0}'}),
    ('distribution', {'distribution': ''}), ('distribution', {'distribution': 'null'}),
    ('distribution', {'distribution': '{"hammer": 1.0'}),
    ('distribution', {'distribution': '{"hammer": [1.0]}'}),
    ('probability', {'distribution': f'{{"hammer": {"1" * 400}}}'}),
    ('probability', {'distribution': '{"hammer": 1e999}'}),
    ('probability', {'distribution': '{"hammer": NaN}'}),
    ('probability', {'distribution': '{"hammer": -Infinity}'}),
    ('probability', {'distribution': '{"hammer": true}'}),
    ('probability', {'distribution': '{"hammer": "1.0"}'}),
    ('probability', {'distribution': '{"hammer": 0.5}'}),
    ('label', {'distribution': '{"hammer": 0.5, "hammer": 0.5}'}),
    ('label', {'distribution': '{"\\ud800": 1.0}'}),
    ('label', {'distribution': '{"ham\\u0000mer": 1.0}'}),
    ('label', {'distribution': '{"\\u202eremmah": 1.0}'}),
    ('label', {'distribution': '{"unknown:dark": 1.0}'}),
    ('label', {'distribution': json.dumps({'x' * 201: 1.0})}),
    ('labels', {'distribution': '{}'}),
    ('labels', {'distribution': json.dumps({f'{n}': 0.001 for n in range(1001)})}),
    ('stamp', {'stamp': str(2**63)}), ('stamp', {'stamp': '-1'}), ('stamp', {'stamp': 'now'}),
    ('stamp', {'stamp': '9' * 100_000}), ('stamp', {'stamp': '1e18'}), ('stamp', {'stamp': ''}),
    ('frame_id', {'frame_id': 'x' * 5_000_000}), ('frame_id', {'frame_id': 'a\nb'}),
    ('operator', {'operator': 'x' * 5_000_000}), ('operator', {'operator': '\x1b[2J'}),
    ('values', {'stamp': None}), ('values', {'distribution': None}),
    ('values', {f'{n}': '' for n in range(30)})]
LABELS = [
    ('labels', label(0)), ('labels', label(0, *((f'{n}', 0.001) for n in range(1001)))),
    ('label', label(0, ('', 1.0))), ('label', label(0, ('x' * 5_000_000, 1.0))),
    ('label', label(0, ('hammer', 0.5), ('hammer', 0.5))), ('label', label(0, ('a:b', 1.0))),
    ('label', label(0, ('ham\tmer', 1.0))),
    ('probability', label(0, ('hammer', float('nan')))),
    ('probability', label(0, ('hammer', 1e308), ('wrench', 1e308))),
    ('probability', label(0, ('hammer', 2.0), ('wrench', -1.0))),
    ('frame_id', label(0, ('hammer', 1.0), frame_id='x' * 100_000)),
    ('stamp', label(0, ('hammer', 1.0), sec=-1)),
    ('stamp', label(0, ('hammer', 1.0), sec=-2**31))]


def test_each_hostile_confirmation_is_refused_by_name_and_every_good_one_among_them_is_kept(
        peer, recognizer, write_model, tmp_path):
    journal = tmp_path / 'journal.db'
    program = recognizer(model_path=write_model(), journal__path=journal)
    camera = Camera(peer)
    for number in range(1, GOOD + 1):
        camera.answer(flat((200, 0, 0), header(number)))
    diagnostics = peer.collect(DiagnosticArray, '/diagnostics')
    acknowledged = peer.collect(DiagnosticStatus, f'{NAME}/confirmation_ack')
    deep = QoSProfile(depth=1000)
    statuses = peer.publisher(DiagnosticStatus, f'{NAME}/confirmation', deep)
    labels = peer.publisher(Classification, f'{NAME}/confirmed_label', deep)
    notes = peer.publisher(DiagnosticStatus, f'{NAME}/note', deep)
    peer.wait_for_subscriber(statuses)
    peer.wait_for_subscriber(labels)
    peer.wait_for_subscriber(notes)
    peer.meet()

    hostile = [(statuses, reason, status(0, f'bad {place}', **changes))
               for place, (reason, changes) in enumerate(STATUSES)]
    hostile.append((statuses, 'nonce', status(0, 'n' * 5_000_000)))
    hostile.append((statuses, 'values', DiagnosticStatus()))
    hostile.append((statuses, 'values', DiagnosticStatus(
        values=2 * status(0, 'twice').values)))
    hostile += [(labels, reason, message) for reason, message in LABELS]
    notes.publish(DiagnosticStatus())
    for place, (publisher, _, message) in enumerate(hostile):
        publisher.publish(message)
        good = place + 1
        if good <= GOOD:
            (statuses.publish(status(good, f'good {good}')) if good % 2 else
             labels.publish(confirmed(header(good), 'hammer')))
    peer.wait(lambda: len(acknowledged) >= GOOD + len(hostile), 'each is acknowledged')

    taken = [values(said) for said in acknowledged if said.level == DiagnosticStatus.OK]
    assert Counter(int(said['stamp']) for said in taken) == Counter(
        stamp_of(header(number)) for number in range(1, GOOD + 1))
    assert {said['outcome'] for said in taken} <= {'scored', 'late'}
    refused = [said for said in acknowledged if said.level == DiagnosticStatus.ERROR]
    expected = Counter(reason for _, reason, _ in hostile)
    assert Counter(values(said)['reason'] for said in refused) == expected
    # The sender knows each again by what it sent, cut where that is too long.
    by_nonce = {values(said)['nonce']: values(said) for said in refused}
    for place, (reason, _) in enumerate(STATUSES):
        assert by_nonce[f'bad {place}']['reason'] == reason
    assert by_nonce['n' * LONGEST['nonce'] + '…']['reason'] == 'nonce'
    assert str(-10**9 + 1) in {values(said)['stamp'] for said in refused}
    # Whatever was sent, what is said of it is short.
    assert max(len(said.message) + sum(len(entry.value) for entry in said.values)
               for said in acknowledged) < 1500
    assert len(program.output) < 20_000
    assert len(re.findall('confirmation refused', program.output)) < len(hostile)

    def counted():
        return [values(part) for array in diagnostics for part in array.status
                if part.name == 'tool_recognizer: input'
                and values(part)['invalid_confirmations'] == str(len(hostile))
                and values(part)['invalid_notes'] == '1']
    said = peer.wait(counted, 'the refused ones are counted')[-1]
    assert {reason: int(said[f'refused_{reason}']) for reason in expected} == expected
    assert rows(journal, CONFIRMATIONS)[0][0] == GOOD


def test_no_flood_keeps_a_good_confirmation_out_that_is_sent_until_it_is_acknowledged(
        peer, recognizer, write_model, tmp_path):
    """The topic holds 1,000 that wait; what a flood pushes out has to be sent again."""
    recognizer(model_path=write_model(), journal__path=tmp_path / 'journal.db')
    camera = Camera(peer)
    acknowledged = peer.collect(DiagnosticStatus, f'{NAME}/confirmation_ack')
    statuses = peer.publisher(DiagnosticStatus, f'{NAME}/confirmation', QoSProfile(depth=1000))
    peer.wait_for_subscriber(statuses)
    peer.meet()
    missing = {f'good {number}': number for number in range(200)}

    def all_acknowledged():
        for nonce, number in missing.items():
            statuses.publish(status(number, nonce))
            for place in range(5):
                statuses.publish(status(0, 'bad', **STATUSES[place][1] if number % 40 == 0 else
                                        {'distribution': '[' * 1000}))
        sleep(0.5)
        for said in acknowledged:
            missing.pop(values(said)['nonce'], None)
        return not missing
    peer.wait(all_acknowledged, f'acknowledgements of {missing}')
    assert camera.answer(flat((200, 0, 0), header(5000))) is not None
    assert rows(tmp_path / 'journal.db',
                "SELECT count(DISTINCT stamp) FROM events WHERE kind = 'confirmed'")[0][0] == 200
