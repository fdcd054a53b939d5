"""A correction as a message tells it."""

from typing import Any

from tool_recognizer.core.admission import admit
from tool_recognizer.core.admission import read_distribution
from tool_recognizer.core.admission import read_stamp
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.recognition import FrameKey

MOST_VALUES = 20


def correction(message: Any) -> Correction:
    """
    Read a correction.

    Parameters
    ----------
    message : diagnostic_msgs/DiagnosticStatus with the values of (the number of the confirmation's
        event in the journal), stamp, frame_id, distribution (a JSON object; empty: the
        confirmation is struck out), nonce, and, if wanted, operator

    Raises
    ------
    InvalidConfirmation
        A value is missing or comes twice, or there are too many; or see ``core.admission``.

    """
    values = {entry.key: entry.value for entry in message.values[:MOST_VALUES + 1]}
    if len(values) < len(message.values):
        raise InvalidConfirmation('values', 'a value of the correction comes twice, or there are '
                                  f'more than {MOST_VALUES}')
    for name in ('of', 'stamp', 'frame_id', 'distribution', 'nonce'):
        if name not in values:
            raise InvalidConfirmation('values', f'a correction needs the value {name}')
    number = values['of']
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise InvalidConfirmation('values', 'of must be the number of an event, in digits')
    if not values['nonce']:
        raise InvalidConfirmation('nonce', 'a correction needs a nonce')
    pairs = read_distribution(values['distribution'])
    # What is struck out has no label to admit; all else is held to the same bounds.
    said = admit(FrameKey(read_stamp(values['stamp']), values['frame_id']),
                 pairs or [(CANNOT_SEE, 1.0)], values.get('operator', ''), values['nonce'])
    return Correction(int(number), said.key, said.distribution if pairs else {}, said.operator,
                      said.nonce)
