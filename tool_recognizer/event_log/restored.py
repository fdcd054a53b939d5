"""What a journal gives back to a monitor after a restart."""

from collections import Counter
from collections import deque
from collections import OrderedDict
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
import json
import sqlite3
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import Confirmation
from tool_recognizer.core.monitor import Outcome
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.event_log.entries import read_log_probabilities
from tool_recognizer.event_log.entries import SCORED

# What is raised by a state that is damaged, or that another version wrote.
UNUSABLE = (LookupError, TypeError, ValueError)


def damaged(name: str, error: Exception) -> str:
    """Say that something cannot be gone on with, and what follows from it."""
    return (f'what the journal keeps of the {name} cannot be used '
            f'({type(error).__name__}: {error}); it begins anew')


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
class RestoredWarning:
    """
    What makes an early warning what it was.

    Attributes
    ----------
    test : its number
    parameters : with which it was started
    state : with which it was started, or that was saved since
    samples : what it has taken in since, in order; each (K,) log p, nats
    sampling : where its sampler stands, if a window was opened

    """

    test: int
    parameters: Mapping[str, Any]
    state: Mapping[str, Any]
    samples: tuple[NDArray[np.float64], ...]
    sampling: Sampling | None


@dataclass(frozen=True)
class RestoredShadow:
    """
    What makes a shadow what it was.

    Attributes
    ----------
    test : its number
    parameters : with which it was started; the shadow's model_digest and labels
    state : with which its test was started
    scored : its answers with the confirmed frames that they were scored on, in that order
    pending : its newest answers, oldest first, without features
    spent : those of them that were scored

    """

    test: int
    parameters: Mapping[str, Any]
    state: Mapping[str, Any]
    scored: tuple[tuple[Prediction, ConfirmedFrame], ...]
    pending: tuple[Prediction, ...]
    spent: frozenset[FrameKey]


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
    spent : those of them that had their word, which is not in ``confirmed`` any more; that word
    confirmed : the frames that are confirmed already, oldest first, with their distributions
    held : confirmations that wait for their prediction, oldest first
    shared : keys of pending predictions that stood still, so that several frames have them
    requests : how those of the scored frames came to be asked for that were, and how the last
        ones that were asked for, oldest first
    early_warning, shadow : what is known of them, or None
    alarmed : whether the run's alarm is among its events
    notes : what there is to say, one line each: what of it is missing or damaged
    mended : the same of what was damaged and is whole again

    """

    run: int
    parameters: Mapping[str, Any]
    state: Mapping[str, Any]
    scored: tuple[ConfirmedFrame, ...]
    counts: Counter[Outcome]
    pending: tuple[Prediction, ...]
    spent: Mapping[FrameKey, Mapping[str, float]]
    confirmed: Mapping[FrameKey, Mapping[str, float]]
    held: tuple[Confirmation, ...]
    shared: frozenset[FrameKey]
    requests: Mapping[FrameKey, Asked]
    early_warning: RestoredWarning | None
    shadow: RestoredShadow | None
    alarmed: bool
    notes: tuple[str, ...]
    mended: tuple[str, ...] = ()


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
    LookupError, TypeError, ValueError
        A row is damaged.

    """
    db.execute('BEGIN')  # one view of it all
    last = db.execute('SELECT id, model_digest, labels, parameters, state FROM runs '
                      'ORDER BY id DESC LIMIT 1').fetchone()
    if last is None or last[1] != digest or tuple(json.loads(last[2])) != labels:
        return None
    run = int(last[0])
    # A reset keeps what waits; a start or a reload began with nothing.
    first = int(db.execute("SELECT max(id) FROM runs WHERE reason <> 'reset'").fetchone()[0] or 0)
    pending, shared = _newest(db.execute(
        'SELECT id, stamp, frame_id, log_probabilities FROM predictions WHERE run >= ? '
        'ORDER BY id DESC', (first,)), labels, digest, capacity)
    rewinds = deque(db.execute('SELECT prediction, stamp, frame_id FROM rewinds '
                               'ORDER BY prediction').fetchall())
    scored: dict[int, ConfirmedFrame] = {}
    confirmed: OrderedDict[FrameKey, Mapping[str, float]] = OrderedDict()
    # Of frames that are not in it any more: the word, and the newest prediction at that moment.
    forgotten: dict[FrameKey, tuple[Mapping[str, float], int]] = {}
    for (number, of_run, stamp, frame_id, text, outcome, received, inclusion, newest, blob
         ) in db.execute(
            'SELECT c.id, c.run, c.stamp, c.frame_id, c.distribution, c.outcome, c.received, '
            'c.inclusion_probability, c.newest_prediction, p.log_probabilities '
            'FROM confirmations AS c JOIN predictions AS p ON p.id = c.prediction '
            'WHERE c.run >= ? AND c.position IS NOT NULL ORDER BY c.position', (first,)):
        while rewinds and rewinds[0][0] <= newest:
            _rewind(confirmed, forgotten, *rewinds.popleft())
        key = FrameKey(Stamp(stamp), frame_id)
        confirmation = Confirmation(key, json.loads(text))
        confirmed[key] = confirmation.distribution
        if len(confirmed) > capacity:
            oldest, distribution = confirmed.popitem(last=False)
            forgotten[oldest] = distribution, newest
        if of_run == run and Outcome(outcome) in SCORED:
            scored[number] = ConfirmedFrame(
                _prediction(key, labels, blob, digest), confirmation, Outcome(outcome), received,
                inclusion)
    for rewind in rewinds:
        _rewind(confirmed, forgotten, *rewind)
    spent = {key: forgotten[key][0] for key, (_, number) in pending.items()
             if key in forgotten and number <= forgotten[key][1]}
    held = db.execute('SELECT stamp, frame_id, distribution FROM confirmations '
                      'WHERE held IS NOT NULL ORDER BY held').fetchall()
    counts = Counter({Outcome(outcome): n for outcome, n in db.execute(
        'SELECT outcome, n FROM tallies WHERE run = ?', (run,))})
    requests: OrderedDict[FrameKey, Asked] = OrderedDict()
    for stamp, frame_id, probability, share in db.execute(
            'SELECT stamp, frame_id, inclusion_probability, test_share FROM requests '
            'WHERE run >= ? ORDER BY id', (first,)):
        key = FrameKey(Stamp(stamp), frame_id)
        requests[key] = Asked(probability, share)
        requests.move_to_end(key)
    # A frame whose word had come before it may have been asked for in vain.
    known = {frame.prediction.key: Asked(frame.inclusion_probability)
             for frame in scored.values() if frame.inclusion_probability is not None}
    wanted = known.keys() | set([*requests][-capacity:]) - {
        frame.prediction.key for frame in scored.values() if frame.inclusion_probability is None}
    notes: list[str] = []
    warning = shadow = None
    try:
        warning = _warning(db, run)
        if warning is None:
            notes.append('the journal has nothing of the early warning; it begins anew')
    except UNUSABLE as error:
        notes.append(damaged('early warning', error))
    try:
        shadow = _shadow(db, run, scored, capacity)
    except UNUSABLE as error:
        notes.append(damaged('shadow', error))
    alarmed = db.execute("SELECT 1 FROM events WHERE run = ? AND kind = 'alarm'",
                         (run,)).fetchone()
    return Restored(
        run, json.loads(last[3]), json.loads(last[4]), tuple(scored.values()), counts,
        tuple(prediction for prediction, _ in pending.values()), spent, confirmed,
        tuple(Confirmation(FrameKey(Stamp(stamp), frame_id), json.loads(text))
              for stamp, frame_id, text in held),
        shared,
        {key: asked for key, asked in known.items() if key not in requests}
        | {key: asked for key, asked in requests.items() if key in wanted},
        warning, shadow, alarmed is not None, tuple(notes))


def _warning(db: sqlite3.Connection, run: int) -> RestoredWarning | None:
    found = _test(db, 'early_warning', run)
    if found is None:
        return None
    test, parameters, state = found
    samples = db.execute('SELECT log_probabilities FROM samples WHERE test = ? ORDER BY id',
                         (test,))
    stands = db.execute('SELECT windows, opened, closes, features FROM sampling WHERE test = ?',
                        (test,)).fetchone()
    if stands is not None and stands[3] is not None:
        stands = (*stands[:3], np.frombuffer(stands[3], '<f4').astype(np.float32, copy=False))
    return RestoredWarning(
        test, parameters, state, tuple(read_log_probabilities(blob) for (blob,) in samples),
        None if stands is None else Sampling(*stands))


def _shadow(db: sqlite3.Connection, run: int, frames: Mapping[int, ConfirmedFrame],
            capacity: int) -> RestoredShadow | None:
    found = _test(db, 'shadow', run)
    if found is None:
        return None
    test, parameters, state = found
    labels, digest = tuple(parameters['labels']), str(parameters['model_digest'])
    scored = []
    for stamp, frame_id, blob, confirmation in db.execute(
            'SELECT stamp, frame_id, log_probabilities, confirmation FROM shadow_predictions '
            'WHERE confirmation IS NOT NULL AND test = ? ORDER BY position', (test,)):
        frame = frames.get(confirmation)
        if frame is not None:
            key = FrameKey(Stamp(stamp), frame_id)
            scored.append((_prediction(key, labels, blob, digest), frame))
    pending, _ = _newest(db.execute(
        'SELECT confirmation IS NOT NULL, stamp, frame_id, log_probabilities '
        'FROM shadow_predictions WHERE test >= ('
        "SELECT max(id) FROM tests WHERE kind = 'shadow' AND NOT after_reset) "
        'ORDER BY id DESC'), labels, digest, capacity)
    return RestoredShadow(
        test, parameters, state, tuple(scored),
        tuple(prediction for prediction, _ in pending.values()),
        frozenset(key for key, (_, is_scored) in pending.items() if is_scored))


def _test(db: sqlite3.Connection, kind: str, run: int
          ) -> tuple[int, Mapping[str, Any], Mapping[str, Any]] | None:
    found = db.execute('SELECT id, parameters, state FROM tests WHERE kind = ? AND run = ? '
                       'ORDER BY id DESC LIMIT 1', (kind, run)).fetchone()
    return None if found is None else (found[0], json.loads(found[1]), json.loads(found[2]))


def _newest(rows: Iterable[tuple[int, int, str, bytes]], labels: tuple[str, ...], digest: str,
            capacity: int) -> tuple[dict[FrameKey, tuple[Prediction, int]], frozenset[FrameKey]]:
    """
    Return the newest answers to as many frames, oldest first; the rows are newest first.

    Also the keys of those that the answer before had, too.
    """
    found: dict[FrameKey, tuple[Prediction, int]] = {}
    shared: set[FrameKey] = set()
    # By frame_id, what was found last, as long as the answer before it is not known.
    after: dict[str, FrameKey] = {}
    for mark, stamp, frame_id, blob in rows:
        key = FrameKey(Stamp(stamp), frame_id)
        if after.pop(frame_id, None) == key:
            shared.add(key)
        if key not in found and len(found) < capacity:
            found[key] = _prediction(key, labels, blob, digest), mark
            after[frame_id] = key
        if len(found) == capacity and not after:
            break
    return dict(reversed(found.items())), frozenset(shared)


def _prediction(key: FrameKey, labels: tuple[str, ...], blob: bytes, digest: str) -> Prediction:
    return Prediction(key, labels, read_log_probabilities(blob), NO_FEATURES, digest)


def _rewind(confirmed: 'OrderedDict[FrameKey, Mapping[str, float]]',
            forgotten: dict[FrameKey, tuple[Mapping[str, float], int]],
            prediction: int, stamp: int, frame_id: str) -> None:
    """As ``Monitor.expect`` does: the frames that a recording is about to repeat are new ones."""
    for key in [k for k in confirmed if k.frame_id == frame_id and k.stamp >= stamp]:
        forgotten[key] = confirmed.pop(key), prediction - 1
