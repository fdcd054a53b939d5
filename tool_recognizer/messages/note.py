"""What a person did, as a message tells it, read for the journal."""

import re
from typing import Any

from tool_recognizer.core.admission import LONGEST
from tool_recognizer.core.text import cut
from tool_recognizer.core.text import hidden
from tool_recognizer.core.text import printable
from tool_recognizer.core.text import quoted

# Values of one note; characters of what was said of it.
MOST_VALUES, LONGEST_WHY = 20, 300
OUTCOMES = ('asked', 'done', 'failed')

_ACTION = re.compile(r'[a-z_]{1,40}')


class InvalidNote(ValueError):
    """A note that cannot be kept, and why."""


def note(message: Any) -> dict[str, str]:
    """
    Read a note.

    Parameters
    ----------
    message : diagnostic_msgs/DiagnosticStatus with the values action (small letters and _),
        outcome (one of ``OUTCOMES``), and, if wanted, person and why

    Returns
    -------
    These four; why is cut

    Raises
    ------
    InvalidNote
        A value is missing or out of its bounds, or there are too many.

    """
    if len(message.values) > MOST_VALUES:
        raise InvalidNote(f'a note may have {MOST_VALUES} values, it has {len(message.values)}')
    values = {entry.key: entry.value for entry in message.values}
    person, action = values.get('person', ''), values.get('action', '')
    if len(person) > LONGEST['operator'] or hidden(person):
        raise InvalidNote(f'person may have {LONGEST["operator"]} characters, all of them '
                          f'visible, got {quoted(person)}')
    if not _ACTION.fullmatch(action):
        raise InvalidNote(f'action must be 1 to 40 small letters or _, got {quoted(action)}')
    if values.get('outcome', '') not in OUTCOMES:
        raise InvalidNote(f'outcome must be one of {list(OUTCOMES)}, got '
                          f'{quoted(values.get("outcome", ""))}')
    return {'person': printable(person), 'action': action, 'outcome': values['outcome'],
            'why': cut(printable(values.get('why', '')), LONGEST_WHY)}
