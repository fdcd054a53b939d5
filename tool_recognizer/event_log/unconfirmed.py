"""What a log tells of the frames that operators were asked for and nobody has confirmed."""

from contextlib import suppress
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.rows import log_probabilities
from tool_recognizer.event_log.rows import UNUSABLE


class StoredRequest(NamedTuple):
    """
    A frame that was asked for.

    Attributes
    ----------
    number : id of the event
    key : the frame
    moment : ns, on the recognizer's clock
    asked : how it came to be asked for
    labels : the model's K labels
    log_probabilities : (K,) nats; None if the answer is not there any more
    decision : what a controller was told; '' if unknown
    picture : what the model was shown of the frame, as JPEG; None if it was not kept

    """

    number: int
    key: FrameKey
    moment: int
    asked: Asked
    labels: tuple[str, ...]
    log_probabilities: NDArray[np.float64] | None
    decision: str
    picture: Path | None


def unconfirmed(reader: JournalReader, newest: int) -> list[StoredRequest]:
    """
    Return the frames that were asked for and not confirmed, the newest first.

    One whose passage was confirmed by another of its frames is among them.

    Parameters
    ----------
    reader : of the log
    newest : requests that are looked at

    Raises
    ------
    JournalError
        The file turns out to be unreadable.

    """
    requests = reader.latest(('asked',), 0, newest)
    first = min((row.stamp for row in requests if row.stamp is not None), default=0)
    confirmed = {row.key for row in reader.rows(f"kind = 'confirmed' AND stamp >= {first}")}
    runs = reader.runs()
    found = []
    for row in requests:
        if row.key in confirmed or row.run not in runs:
            continue
        with suppress(*UNUSABLE):
            asked, answer = Asked(*json.loads(row.detail)['asked']), reader.answer(row)
            found.append(StoredRequest(
                row.id, row.key, row.moment, asked, runs[row.run].labels,
                None if answer is None else log_probabilities(answer.log_probabilities or b''),
                '' if answer is None else json.loads(answer.detail)['decision'],
                reader.picture(row.key)))
    return found
