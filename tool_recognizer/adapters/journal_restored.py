"""What a journal gives back to a monitor after a restart."""

from collections import Counter
from collections import deque
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
import json
import sqlite3
from typing import Any

import numpy as np
from tool_recognizer.adapters.journal_entries import read_log_probabilities
from tool_recognizer.adapters.journal_entries import SCORED
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp

_NO_FEATURES = np.zeros(0, np.float32)


@dataclass(frozen=True)
class ConfirmedFrame:
    """
    A confirmation with the prediction that it was joined to.

    Attributes
    ----------
    prediction : without features
    confirmation : the operator's word
    outcome : scored or late
    received : ns, on the receiver's clock
    inclusion_probability : with which the frame was asked for, or None

    """

    prediction: Prediction
    confirmation: Confirmation
    outcome: Outcome
    received: int
    inclusion_probability: float | None


@dataclass(frozen=True)
class Restored:
    """
    What makes a monitor what it was when the journal was last written.

    Attributes
    ----------
    run : the current run's number
    parameters : with which it was started
    state : what the monitor carried into it
    scored : the run's scored confirmations, in the order of their scoring
    counts : the run's confirmations by outcome
    pending : the newest predictions, oldest answer first, without features
    confirmed : the frames that are confirmed already, oldest first, with their distributions
    held : confirmations that wait for their prediction, oldest first
    requests : how the frames among them came to be asked for that were, oldest first

    """

    run: int
    parameters: Mapping[str, Any]
    state: Mapping[str, Any]
    scored: tuple[ConfirmedFrame, ...]
    counts: Counter[Outcome]
    pending: tuple[Prediction, ...]
    confirmed: Mapping[FrameKey, Mapping[str, float]]
    held: tuple[Confirmation, ...]
    requests: Mapping[FrameKey, Asked]


def restore(db: sqlite3.Connection, digest: str, labels: tuple[str, ...], capacity: int
            ) -> Restored | None:
    """
    Read what the last run knew; see ``Journal.restore``.

    Parameters
    ----------
    db : the journal's file, for nothing else meanwhile
    digest, labels : the model's
    capacity : how many predictions, and as many confirmed frames, the monitor keeps

    Raises
    ------
    sqlite3.Error
        It cannot be read.

    """
    db.execute('BEGIN')  # one view of it all
    last = db.execute('SELECT id, model_digest, labels, parameters, state FROM runs '
                      'ORDER BY id DESC LIMIT 1').fetchone()
    if last is None or last[1] != digest or tuple(json.loads(last[2])) != labels:
        return None
    run = int(last[0])
    # A reset keeps what waits; a start or a reload began with nothing.
    first = int(db.execute("SELECT max(id) FROM runs WHERE reason <> 'reset'").fetchone()[0] or 0)
    pending: OrderedDict[FrameKey, Prediction] = OrderedDict()
    for stamp, frame_id, blob in db.execute(
            'SELECT stamp, frame_id, log_probabilities FROM predictions WHERE run >= ? '
            'ORDER BY id DESC', (first,)):
        key = FrameKey(Stamp(stamp), frame_id)
        if key not in pending:
            pending[key] = _prediction(key, labels, blob, digest)
            if len(pending) == capacity:
                break
    rewinds = deque(db.execute('SELECT prediction, stamp, frame_id FROM rewinds '
                               'ORDER BY prediction').fetchall())
    scored: list[ConfirmedFrame] = []
    confirmed: OrderedDict[FrameKey, Mapping[str, float]] = OrderedDict()
    for (of_run, stamp, frame_id, text, outcome, received, inclusion, newest, blob
         ) in db.execute(
            'SELECT c.run, c.stamp, c.frame_id, c.distribution, c.outcome, c.received, '
            'c.inclusion_probability, c.newest_prediction, p.log_probabilities '
            'FROM confirmations AS c JOIN predictions AS p ON p.id = c.prediction '
            'WHERE c.run >= ? AND c.position IS NOT NULL ORDER BY c.position', (first,)):
        while rewinds and rewinds[0][0] <= newest:
            _rewind(confirmed, *rewinds.popleft()[1:])
        key = FrameKey(Stamp(stamp), frame_id)
        confirmation = Confirmation(key, json.loads(text))
        confirmed[key] = confirmation.distribution
        if len(confirmed) > capacity:
            confirmed.popitem(last=False)
        if of_run == run and Outcome(outcome) in SCORED:
            scored.append(ConfirmedFrame(
                _prediction(key, labels, blob, digest), confirmation, Outcome(outcome), received,
                inclusion))
    for _, stamp, frame_id in rewinds:
        _rewind(confirmed, stamp, frame_id)
    held = db.execute('SELECT stamp, frame_id, distribution FROM confirmations '
                      'WHERE held IS NOT NULL ORDER BY held').fetchall()
    counts = Counter({Outcome(outcome): n for outcome, n in db.execute(
        'SELECT outcome, n FROM tallies WHERE run = ?', (run,))})
    requests = {FrameKey(Stamp(stamp), frame_id): Asked(probability, share)
                for stamp, frame_id, probability, share in db.execute(
                    'SELECT stamp, frame_id, inclusion_probability, test_share FROM requests '
                    'WHERE run >= ? ORDER BY id', (first,))}
    known = {frame.prediction.key for frame in scored}
    return Restored(
        run, json.loads(last[3]), json.loads(last[4]), tuple(scored), counts,
        tuple(reversed(pending.values())), confirmed,
        tuple(Confirmation(FrameKey(Stamp(stamp), frame_id), json.loads(text))
              for stamp, frame_id, text in held),
        {key: asked for key, asked in requests.items() if key in pending or key in known})


def _prediction(key: FrameKey, labels: tuple[str, ...], blob: bytes, digest: str) -> Prediction:
    return Prediction(key, labels, read_log_probabilities(blob), _NO_FEATURES, digest)


def _rewind(confirmed: 'OrderedDict[FrameKey, Mapping[str, float]]', stamp: int, frame_id: str
            ) -> None:
    """As ``Monitor.expect`` does: the frames that a recording is about to repeat are new ones."""
    for key in [k for k in confirmed if k.frame_id == frame_id and k.stamp >= stamp]:
        del confirmed[key]
