"""
What a browser may say on its WebSocket: the kinds of messages, their fields, and their ranges.

Whatever else comes is refused with what is wrong, before any of it is used.
"""

from collections.abc import Callable
from collections.abc import Collection
from dataclasses import dataclass
import json
import re
from typing import TypeAlias

from tool_recognizer.console.board import RANGES
from tool_recognizer.core.admission import LONGEST
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.text import hidden

# The longest message that a page may send, bytes.
LONGEST_MESSAGE = 16_384
ACTIONS = ('reset_monitor', 'reload_model', 'promote_shadow')
# The part of the frame that is looked at: parameters of the recognizer.
REGION = ('x', 'y', 'width', 'height')

# What a field must be, and whether a text is that.
Check: TypeAlias = tuple[str, Callable[[str], bool]]


class Refused(ValueError):
    """
    A browser's message that cannot be accepted, and why.

    Attributes
    ----------
    nonce : of the confirmation that is refused; None: the message cannot be answered at all
    reason : by which a page says why in its own language

    """

    def __init__(self, why: str, nonce: str | None = None, reason: str = '') -> None:
        super().__init__(why)
        self.nonce, self.reason = nonce, reason


@dataclass(frozen=True)
class Message:
    """A message that has the fields of its kind, all of them as they must be."""

    kind: str
    fields: dict[str, str]

    def __getitem__(self, name: str) -> str:
        """Return a field."""
        return self.fields[name]

    @property
    def key(self) -> FrameKey:
        """Return the frame that a confirmation is for."""
        return FrameKey(Stamp(int(self['stamp'])), self['frame_id'])


def _clean(longest: int) -> Check:
    return (f'text of at most {longest} characters, all of them visible',
            lambda text: len(text) <= longest and not hidden(text))


def _one_of(known: Collection[str]) -> Check:
    return f'one of {list(known)}', known.__contains__


def is_stamp(text: str) -> bool:
    """Return whether a text is a stamp: nanoseconds that fit into 63 bits, in digits."""
    return text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2 ** 63


NONCE: Check = ('8 to 64 letters, digits or -',
                lambda text: re.fullmatch(r'[A-Za-z0-9-]{8,64}', text) is not None)
SHARE: Check = ('a number from 0 to 1, such as 0.25', lambda text: re.fullmatch(
    r'0(\.\d{1,9})?|1(\.0{1,9})?', text, re.ASCII) is not None)
VERSION: Check = ('4 to 9 digits', lambda text: re.fullmatch(r'\d{4,9}', text, re.ASCII)
                  is not None)
BACK_TO: Check = ('4 to 9 digits, or nothing', lambda text: not text or VERSION[1](text))
# Of each kind its fields; all of them are text.
FIELDS: dict[str, dict[str, Check]] = {
    'answer': {'nonce': NONCE, 'stamp': ('nanoseconds, in digits', is_stamp),
               'frame_id': _clean(LONGEST['frame_id']), 'label': _clean(LONGEST['label']),
               'operator': _clean(LONGEST['operator'])},
    'undo': {'nonce': NONCE},
    'range': {'range': _one_of(RANGES)},
    'action': {'action': _one_of(ACTIONS)},
    'region': dict.fromkeys(REGION, SHARE),
    'choose': {'version': VERSION},
    'back': {'version': BACK_TO},
}


def read(data: str | bytes) -> Message:
    """
    Read what came.

    Parameters
    ----------
    data : the payload of a message: text; bytes if it was a binary one

    Raises
    ------
    Refused
        It is not a message of a known kind with all of its fields.

    """
    if isinstance(data, bytes):
        raise Refused('a message must be text')
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused('a message must be JSON') from None
    if not isinstance(found, dict):
        raise Refused('a message must be an object')
    kind = found.get('kind')
    if not isinstance(kind, str) or kind not in FIELDS:
        raise Refused(f'kind must be one of {list(FIELDS)}')
    fields = FIELDS[kind]
    good = {name: found[name] for name, (_, is_good) in fields.items()
            if isinstance(found.get(name), str) and is_good(found[name])}
    for name, (what, _) in fields.items():
        if name not in good:
            raise Refused(f'{name} must be {what}', _nonce(found) if kind == 'answer' else None,
                          name)
    return Message(kind, good)


def _nonce(found: dict[str, object]) -> str | None:
    """Return by what a page may know its refused confirmation again, if it is short text."""
    nonce = found.get('nonce')
    return nonce if isinstance(nonce, str) and len(nonce) <= 64 and nonce.isprintable() else None
