"""What a correction and a note may be, from anybody on the domain."""

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
import pytest
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.messages.correction import correction
from tool_recognizer.messages.note import InvalidNote
from tool_recognizer.messages.note import LONGEST_WHY
from tool_recognizer.messages.note import note

CORRECTION = {'of': '17', 'stamp': '5', 'frame_id': 'camera', 'distribution': '{"wrench": 1.0}',
              'operator': 'Zoë', 'nonce': 'nonce-1'}
NOTE = {'person': 'Zoë', 'action': 'reset_monitor', 'outcome': 'done', 'why': ''}


def status(known):
    return DiagnosticStatus(values=[KeyValue(key=key, value=value)
                                    for key, value in known.items() if value is not None])


def test_a_correction_is_read_and_an_empty_distribution_strikes_out():
    found = correction(status(CORRECTION))
    assert (found.of, found.key, found.distribution, found.operator, found.nonce) == (
        17, FrameKey(5, 'camera'), {'wrench': 1.0}, 'Zoë', 'nonce-1')
    assert correction(status(CORRECTION | {'distribution': '{}'})).distribution == {}


@pytest.mark.parametrize(('bad', 'reason'), [
    ({'of': None}, 'values'), ({'of': '-1'}, 'values'), ({'of': '9' * 19}, 'values'),
    ({'of': '²'}, 'values'), ({'nonce': ''}, 'nonce'), ({'nonce': 'x' * 65}, 'nonce'),
    ({'stamp': 'now'}, 'stamp'), ({'distribution': '[]'}, 'distribution'),
    ({'distribution': '{"wrench": 2}'}, 'probability'), ({'operator': 'a\n'}, 'operator'),
    ({'distribution': '{"a:b": 1}'}, 'label'), ({f'more {n}': '' for n in range(20)}, 'values')])
def test_a_correction_that_makes_no_sense_is_refused_by_its_part(bad, reason):
    with pytest.raises(InvalidConfirmation) as refused:
        correction(status(CORRECTION | bad))
    assert refused.value.reason == reason


def test_a_note_is_read_and_what_was_said_is_cut():
    assert note(status(NOTE)) == NOTE
    assert len(note(status(NOTE | {'why': 'x' * 10**5}))['why']) == LONGEST_WHY + 1
    assert note(status(NOTE | {'person': None}))['person'] == ''


@pytest.mark.parametrize('bad', [
    {'action': None}, {'action': 'Reset'}, {'action': 'x' * 41}, {'outcome': 'perhaps'},
    {'person': 'a' * 65}, {'person': '\u202e'}, {f'more {n}': '' for n in range(20)}])
def test_a_note_that_makes_no_sense_is_refused(bad):
    with pytest.raises(InvalidNote):
        note(status(NOTE | bad))
