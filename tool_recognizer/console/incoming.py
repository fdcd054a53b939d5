"""
What comes from ROS, read into values that can be counted, sent to a browser, and shown.

Anybody on the domain may publish anything. A number that is none is missing, a text that is too
long is cut, and a message that is of no use is refused with the reason. Messages are read by their
fields, so this needs no ROS.
"""

from dataclasses import dataclass
from typing import Any

from tool_recognizer.console.board import Status
from tool_recognizer.core.admission import LONGEST
from tool_recognizer.core.decision import LONGEST_LABEL
from tool_recognizer.core.decision import MOST_LABELS
from tool_recognizer.core.inspection import INCLUSION_PROBABILITY
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.text import cut
from tool_recognizer.core.text import hidden
from tool_recognizer.core.text import quoted
from tool_recognizer.messages import from_ros

# Bytes of a picture; values and statuses in one message; characters of a text.
LARGEST_PICTURE, MOST_VALUES, LONGEST_TEXT = 8_000_000, 300, 1000
# Statuses of one message, of which a recognizer has nine, and characters of all of them together:
# each page gets them once a second.
MOST_STATUSES, LONGEST_STATUSES = 30, 500_000
# Results of one message: every label of a model, and with which probability it was asked for.
MOST_RESULTS = MOST_LABELS + 1


class Unusable(ValueError):
    """A message that cannot be used, and why."""


@dataclass(frozen=True)
class Acknowledgement:
    """What the recognizer says of a confirmation; see ``Console.acknowledged``."""

    nonce: str
    level: int
    outcome: str
    reason: str


def key(message: Any) -> FrameKey:
    """Read the identity of a frame, as a browser can give it back."""
    found = from_ros.key(message.header)
    if found.stamp < 0:
        raise Unusable(f'the stamp {found.stamp} is negative')
    _check('frame_id', found.frame_id, LONGEST['frame_id'])
    return found


def probabilities(message: Any) -> dict[str, float]:
    """Read each label, or decision, and its probability; nan where a score is none."""
    if len(message.results) > MOST_RESULTS:
        raise Unusable(f'{len(message.results)} results; {MOST_RESULTS} are read at most')
    return {_label(result.class_id): score if 0.0 <= (score := float(result.score)) <= 1.0 + 1e-6
            else float('nan') for result in message.results}


def request(message: Any) -> tuple[FrameKey, dict[str, float], float]:
    """Read an inspection request: frame, probabilities, and with which it was asked for."""
    scores = probabilities(message)
    inclusion = scores.pop(INCLUSION_PROBABILITY, float('nan'))
    if not scores:
        raise Unusable('an inspection request without labels')
    return key(message), scores, inclusion


def picture(message: Any) -> tuple[FrameKey, bytes]:
    """Read a JPEG picture."""
    if len(message.data) > LARGEST_PICTURE:
        raise Unusable(f'a picture of {len(message.data)} bytes; {LARGEST_PICTURE} are read at '
                       'most')
    data = bytes(message.data)
    if not data.startswith(b'\xff\xd8'):
        raise Unusable('a picture that is no JPEG')
    return key(message), data


def labels(message: Any) -> tuple[str, ...]:
    """Read the model's labels."""
    if len(message.class_map) > MOST_LABELS:
        raise Unusable(f'{len(message.class_map)} labels; {MOST_LABELS} are read at most')
    return tuple(_label(entry.class_name) for entry in message.class_map)


def status(message: Any) -> Status:
    """Read one diagnostic status; a level that is none counts as an error."""
    return Status(_level(message), _cut(message.message), {
        _cut(entry.key): _cut(entry.value) for entry in message.values[:MOST_VALUES]})


def statuses(message: Any, names: tuple[str, ...]) -> dict[str, Status]:
    """Read the statuses of /diagnostics whose names begin with one of these, by what follows."""
    ours = [one for one in message.status if one.name.startswith(names)][:MOST_STATUSES]
    found = {_cut(one.name.split(': ', 1)[1]): status(one) for one in ours}
    size = sum(len(one.message) + sum(len(key) + len(value) for key, value in one.values.items())
               for one in found.values())
    if size > LONGEST_STATUSES:
        raise Unusable(f'statuses of {size} characters; {LONGEST_STATUSES} are read at most')
    return found


def acknowledgement(message: Any) -> Acknowledgement:
    """Read what became of a confirmation."""
    values = {entry.key: entry.value for entry in message.values[:MOST_VALUES]}
    return Acknowledgement(values.get('nonce', ''), _level(message),
                           _cut(values.get('outcome', '')), _cut(values.get('reason', '')))


def _level(message: Any) -> int:
    level = int.from_bytes(message.level, 'little')
    return level if level <= 3 else 2


def _label(text: str) -> str:
    _check('label', text, LONGEST_LABEL)
    return text


def _check(name: str, text: str, longest: int) -> None:
    if len(text) > longest or hidden(text):
        raise Unusable(f'a {name} must have at most {longest} characters, all of them visible, '
                       f'got {quoted(text)}')


def _cut(text: str) -> str:
    return cut(text, LONGEST_TEXT)
