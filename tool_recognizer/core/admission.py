"""
What a confirmation from outside may be. Every entrance makes it here, and none by itself.

So whatever is admitted can be scored, kept in the event log, acknowledged and published. What
the event log holds was admitted when it came, maybe by an older version, and is taken as it is.
Text is compared as it is spelled: no other form of Unicode is made of it.
"""

from collections.abc import Iterable
from itertools import islice
import json
import re

from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.decision import LONGEST_LABEL
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.text import hidden
from tool_recognizer.core.text import quoted

# Characters of each part; of a distribution as JSON, and of all labels of one together.
LONGEST = {'frame_id': 256, 'label': LONGEST_LABEL, 'operator': 64, 'nonce': 64}
LONGEST_DISTRIBUTION = 65_536
MOST_LABELS = 1000
# What ROS time can express: seconds are an int32. In ns.
END_OF_TIME = 2 ** 31 * 1_000_000_000

_STAMP = re.compile(r'[0-9]{1,19}')
# Outside of its strings one brace opens, and no bracket: nothing for a parser to recurse into.
_FLAT = re.compile(r'[^"\[{]*\{(?:[^"\[{]|"(?:[^"\\]|\\.)*")*', re.DOTALL)


def admit(key: FrameKey, pairs: Iterable[tuple[str, object]], operator: str = '', nonce: str = ''
          ) -> Confirmation:
    """
    Make a confirmation of what came from outside.

    Parameters
    ----------
    key : the frame
    pairs : labels with their probabilities, which are floats; a label that comes twice is refused
    operator, nonce : see ``Confirmation``

    Raises
    ------
    InvalidConfirmation
        A part is out of its bounds; docs/confirmations.md lists them.

    """
    if not 0 <= key.stamp < END_OF_TIME:
        raise InvalidConfirmation('stamp', f'stamp {quoted(str(key.stamp))} must be nanoseconds '
                                  'from 0 to below 2^31 s, which is all that ROS time can express')
    for name, text in (('frame_id', key.frame_id), ('operator', operator), ('nonce', nonce)):
        _check(name, text)
    found = list(islice(pairs, MOST_LABELS + 1))
    if len(found) > MOST_LABELS:
        raise InvalidConfirmation('labels', f'a confirmation may have {MOST_LABELS} labels, it '
                                  'has more')
    distribution: dict[str, float] = {}
    for label, probability in found:
        _check('label', label)
        if not label:
            raise InvalidConfirmation('label', 'a label of the confirmation is empty')
        if ':' in label and label not in (ANOTHER_TOOL, CANNOT_SEE):
            raise InvalidConfirmation(
                'label', f'label {quoted(label)} holds a colon, which marks reserved ids: of '
                f'these {ANOTHER_TOOL} and {CANNOT_SEE} can be confirmed')
        if label in distribution:
            raise InvalidConfirmation('label', f'label {quoted(label)} comes twice')
        if not isinstance(probability, float):
            raise InvalidConfirmation('probability', f'the probability of label {quoted(label)} '
                                      f'must be a number, got {quoted(str(probability))}')
        distribution[label] = float(probability)
    if (size := sum(map(len, distribution))) > LONGEST_DISTRIBUTION:
        raise InvalidConfirmation('labels', 'the labels of a confirmation may have '
                                  f'{LONGEST_DISTRIBUTION} characters together, they have {size}')
    return Confirmation(key, distribution, operator, nonce)


def read_stamp(text: str) -> Stamp:
    """Read whole nanoseconds in decimal digits; InvalidConfirmation if it is anything else."""
    if not _STAMP.fullmatch(text):
        raise InvalidConfirmation('stamp', f'stamp {quoted(text)} must be whole nanoseconds, in '
                                  'digits')
    return Stamp(int(text))


def read_distribution(text: str) -> list[tuple[str, object]]:
    """
    Read a flat JSON object, label to probability, as pairs for ``admit``; integers as floats.

    >>> read_distribution('{"wrench": 0.75, "hammer": 0.25}')
    [('wrench', 0.75), ('hammer', 0.25)]

    Raises
    ------
    InvalidConfirmation
        It is too long, no JSON, or something else than a flat object.

    """
    if len(text) > LONGEST_DISTRIBUTION:
        raise InvalidConfirmation(
            'distribution', f'the distribution may have {LONGEST_DISTRIBUTION} characters, it has '
            f'{len(text)}: {quoted(text)}')
    try:
        if _FLAT.fullmatch(text):
            pairs: list[tuple[str, object]] = json.loads(
                text, object_pairs_hook=list, parse_int=float)
            return pairs
        why = 'it is not an object, or it holds a list or another object'
    except ValueError as error:
        why = str(error)
    raise InvalidConfirmation('distribution', 'the distribution must be one JSON object, label to '
                              f'probability, got {quoted(text)}: {why}')


def _check(name: str, text: str) -> None:
    if len(text) > LONGEST[name]:
        raise InvalidConfirmation(name, f'{name} may have {LONGEST[name]} characters, it has '
                                  f'{len(text)}: {quoted(text)}')
    if found := hidden(text):
        raise InvalidConfirmation(name, f'{name} {quoted(text)} holds {found}, a character that '
                                  'nobody sees')
