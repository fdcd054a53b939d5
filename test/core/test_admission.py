"""What a confirmation from outside may be, and what is said of one that may not."""

import doctest
from pathlib import Path
import re

import numpy as np
import pytest
from tool_recognizer.core import admission
from tool_recognizer.core import text
from tool_recognizer.core.admission import admit
from tool_recognizer.core.admission import END_OF_TIME
from tool_recognizer.core.admission import LONGEST
from tool_recognizer.core.admission import LONGEST_DISTRIBUTION
from tool_recognizer.core.admission import MOST_LABELS
from tool_recognizer.core.admission import read_distribution
from tool_recognizer.core.admission import read_stamp
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.text import cut
from tool_recognizer.core.text import quoted
from tool_recognizer.messages.from_ros import MOST_VALUES

KEY = FrameKey(1_790_000_000_123_456_789, 'camera')
ONE = [('wrench', 1.0)]
# A message for people fits on a few lines of a terminal.
READABLE = 600


def short(value):
    return value[:20]


def refused(reason, words, key=KEY, pairs=ONE, **sender):
    with pytest.raises(InvalidConfirmation, match=re.escape(words)) as caught:
        admit(key, pairs, **sender)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < READABLE
    assert str(caught.value).isprintable()


def test_the_page_of_confirmations_names_the_limits():
    page = (Path(__file__).parent.parent.parent / 'docs' / 'confirmations.md').read_text()
    rows = dict(re.findall(r'^\| `(\w+)` \| (.*) \|$', page, re.MULTILINE))
    for name, longest in LONGEST.items():
        assert f'{longest} characters' in rows[name]
    assert f'at most {MOST_LABELS}, of {LONGEST_DISTRIBUTION} characters' in rows['labels']
    assert f'at most {LONGEST_DISTRIBUTION} characters' in rows['distribution']
    assert f'at most {MOST_VALUES} values' in rows['values']
    assert f'as its first {LONGEST["nonce"]}\ncharacters' in page


def test_the_examples():
    assert doctest.testmod(admission).failed == doctest.testmod(text).failed == 0


@pytest.mark.parametrize('stamp', [-1, -2**63, END_OF_TIME, 2**63, 10**400])
def test_a_stamp_that_ros_time_cannot_express_is_refused(stamp):
    refused('stamp', 'all that ROS time can express', FrameKey(stamp, 'camera'))


@pytest.mark.parametrize('stamp', [0, 1, END_OF_TIME - 1])
def test_every_stamp_of_ros_time_is_admitted(stamp):
    assert admit(FrameKey(stamp, ''), ONE).key == (stamp, '')


@pytest.mark.parametrize('words', ['', '-1', '+1', ' 1', '1.0', '1e9', '1_0', '0x1', '१', '²',
                                   '9' * 20, '9' * 5_000_000, 'nan', '1\n'], ids=short)
def test_a_stamp_is_plain_digits(words):
    with pytest.raises(InvalidConfirmation, match='whole nanoseconds') as caught:
        read_stamp(words)
    assert caught.value.reason == 'stamp'
    assert len(str(caught.value)) < READABLE


@pytest.mark.parametrize('name', ['frame_id', 'operator', 'nonce', 'label'])
def test_a_text_has_a_longest_length(name):
    def made(value):
        key = FrameKey(1, value) if name == 'frame_id' else KEY
        pairs = [(value, 1.0)] if name == 'label' else ONE
        sender = {name: value} if name in ('operator', 'nonce') else {}
        return {'key': key, 'pairs': pairs, **sender}
    longest = 'ä' * LONGEST[name]
    assert admit(**made(longest))
    refused(name, f'{name} may have {LONGEST[name]} characters, it has {len(longest) + 1}',
            **made(longest + 'ä'))
    for hidden in ('\0', '\n', '\x1b[2J', '\x7f', '\ud800', '\u202e', '\u2066', '\u200b',
                   '\u2028', '\ufeff', '\xad'):
        refused(name, 'a character that nobody sees', **made(f'wre{hidden}nch'))


@pytest.mark.parametrize('label', [
    'wrench', 'Schraubenschlüssel 13 mm', 'Schlu\u0308ssel', '扳手', '🔧', '👩\u200d🔧',
    '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645', 'a"b\\c', '[{', ' ',
    ANOTHER_TOOL, CANNOT_SEE])
def test_a_label_is_kept_as_it_is_spelled(label):
    assert admit(KEY, [(label, 1.0)]).distribution == {label: 1.0}


@pytest.mark.parametrize('label', ['unknown:dark', 'operator:cannot_sea', ':', 'a:b'])
def test_a_colon_is_left_to_the_reserved_ids(label):
    refused('label', 'holds a colon', pairs=[(label, 1.0)])


def test_the_labels_are_bounded_in_number_and_together():
    share = 1.0 / MOST_LABELS
    many = [(f'label {number}', share) for number in range(MOST_LABELS)]
    assert len(admit(KEY, many).distribution) == MOST_LABELS
    refused('labels', 'it has more', pairs=[*many, ('another', 0.0)])
    number = LONGEST_DISTRIBUTION // 200 + 1
    refused('labels', 'characters together',
            pairs=[(f'{n:0200}', 1.0 / number) for n in range(number)])


def test_labels_without_end_are_not_read_to_the_end():
    def endless():
        number = 0
        while True:
            number += 1
            yield f'{number}', 0.5
    refused('labels', 'it has more', pairs=endless())


@pytest.mark.parametrize(('pairs', 'reason', 'words'), [
    ([], 'labels', 'at least one label'), ([('', 1.0)], 'label', 'empty'),
    ([('wrench', 0.5), ('wrench', 0.5)], 'label', 'comes twice'),
    ([('wrench', 0.0)], 'probability', 'sum to 1'),
    ([('wrench', 1.1)], 'probability', 'sum to 1'),
    ([('wrench', 1e308), ('hammer', 1e308)], 'probability', 'sum to 1'),
    ([('wrench', 1.5), ('hammer', -0.5)], 'probability', 'not negative'),
    ([('wrench', float('nan'))], 'probability', 'finite'),
    ([('wrench', float('inf'))], 'probability', 'finite'),
    ([('wrench', True)], 'probability', 'must be a number'),
    ([('wrench', '1.0')], 'probability', 'must be a number'),
    ([('wrench', None)], 'probability', 'must be a number'),
    ([('x' * 200, 1e300)] * 1 + [(f'{n}', 0.0) for n in range(900)], 'probability', 'sum to 1')])
def test_what_is_no_distribution_is_refused(pairs, reason, words):
    refused(reason, words, pairs=pairs)


def test_a_probability_of_minus_0_is_0():
    assert admit(KEY, [('wrench', 1.0), ('hammer', -0.0)]).distribution['hammer'] == 0.0
    assert type(admit(KEY, [('wrench', np.float64(1.0))]).distribution['wrench']) is float


@pytest.mark.parametrize('words', [
    '', ' ', 'null', '3', '"wrench"', '[]', '[["wrench", 1.0]]', '{', '{}}', '{"wrench": }',
    '[' * LONGEST_DISTRIBUTION, '[' * 5_000_000, '{"a":' * 13_000, '{"a":{"a":1.0}}',
    '{"a":[1.0]}', '{"' + '\\"' * 32_000, '{' + '"' * 65_000, '{"wrench": 1.0} {}',
    "{'wrench': 1.0}", '{"wre\nnch": 1.0}', '{wrench: 1.0}', '{"wrench": 1.0,}',
    '\ufeff{"wrench": 1.0}'], ids=short)
def test_a_distribution_is_one_flat_json_object(words):
    with pytest.raises(InvalidConfirmation) as caught:
        read_distribution(words)
    assert caught.value.reason == 'distribution'
    assert len(str(caught.value)) < READABLE


@pytest.mark.parametrize(('words', 'reason'), [
    ('{}', 'labels'), ('{"wrench": NaN}', 'probability'), ('{"wrench": Infinity}', 'probability'),
    ('{"wrench": 1e999}', 'probability'), ('{"wrench": true}', 'probability'),
    (f'{{"wrench": {"1" * 400}}}', 'probability'),
    (f'{{"wrench": {"1" * 60_000}}}', 'probability'),
    ('{"wrench": "1.0"}', 'probability'), ('{"wrench": null}', 'probability'),
    ('{"wrench": -1}', 'probability'), ('{"wrench": 0.5, "wrench": 0.5}', 'label'),
    ('{"\\ud800": 1.0}', 'label'), ('{"\\u0000": 1.0}', 'label'),
    ('{"": 1.0}', 'label')], ids=short)
def test_json_that_is_no_distribution_is_refused(words, reason):
    with pytest.raises(InvalidConfirmation) as caught:
        admit(KEY, read_distribution(words))
    assert caught.value.reason == reason


@pytest.mark.parametrize('words', [
    '{"wrench": 1}', ' {"wrench":1.0,"a[{":-0.0}\n', '{"wrench": 1e0}', '{"wren\\u0063h": 1.0}'])
def test_json_may_be_written_in_any_way(words):
    assert admit(KEY, read_distribution(words)).distribution['wrench'] == 1.0


def test_text_in_messages_is_cut_and_cannot_move_the_cursor():
    assert quoted('\x1b[2J\u202e') == r"'\x1b[2J\u202e'"
    assert quoted('x' * 10**7) == f"'{'x' * 80}…'"
    assert cut('abc', 3) == 'abc'
