"""
Events as rows of the file, and back; and the chain of digests that says whether a row is whole.

A row is ``(id, run, moment, kind, stamp, frame_id, outcome, log_probabilities, detail, digest)``.
Its digest is the SHA-256 of the digest of the row before it and of all its other columns, so that
a bit that flips in any of them is found, and a row that is gone is missed.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
import json
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.events import Event
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import Noted
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import Settings
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import MonitorSettings
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.run import Run
from tool_recognizer.core.run import Settled

# Of the first row.
NO_DIGEST = bytes(32)
# Kinds of which there may be very many, and that are not for ever.
BULK = ('answered', 'shadow', 'sample')
# What is raised by a row or a state that is damaged, or that another version wrote.
UNUSABLE = (LookupError, TypeError, ValueError)


class Row(NamedTuple):
    """
    An event in the file.

    Attributes
    ----------
    id : in the order of the events, from 1
    run : id of the event that began the run
    moment : ns, on the recognizer's clock
    kind : see ``docs/journal.md``
    stamp, frame_id : the frame that it is about, or None
    outcome : what became of a confirmation, or None
    log_probabilities : of a prediction or sample: little-endian float64, nats; or None
    detail : JSON object
    digest : SHA-256

    """

    id: int  # noqa: A003
    run: int
    moment: int
    kind: str
    stamp: int | None
    frame_id: str | None
    outcome: str | None
    log_probabilities: bytes | None
    detail: str
    digest: bytes

    @property
    def key(self) -> FrameKey:
        """Return the frame that it is about; ValueError if it is about none."""
        if self.stamp is None or self.frame_id is None:
            raise ValueError(f'event {self.id} ({self.kind}) names no frame')
        return FrameKey(Stamp(self.stamp), self.frame_id)


COLUMNS = ', '.join(Row._fields)


def digest_of(before: bytes, row: Row) -> bytes:
    """
    Compute the digest of a row.

    Parameters
    ----------
    before : of the row before it
    row : its other columns

    Raises
    ------
    UnicodeEncodeError
        A text that is none.

    """
    whole = sha256(before)
    whole.update(repr((*row[:7], row.detail)).encode())
    whole.update(row.log_probabilities or b'')
    return whole.digest()


def seal(*values: Any) -> bytes:
    """Compute the SHA-256 of values that belong together outside of the chain."""
    whole = sha256()
    for value in values:
        part = value if isinstance(value, bytes) else repr(value).encode()
        whole.update(b'%d:' % len(part) + part)
    return whole.digest()


def damaged(rows: Iterable[Row], before: bytes, last: int = 0,
            pruned: Mapping[int, tuple[int, bytes]] | None = None
            ) -> Iterator[tuple[Row, str]]:
    """
    Check rows in their order; yield each with '' or with what is wrong with it.

    Parameters
    ----------
    rows : a stretch of the chain
    before, last : digest and id of the row before it
    pruned : segments that were removed: first id to last id and the digest of the last one

    """
    segments = pruned or {}
    # What the last row's digest is by its columns, which may be right where its digest is not.
    computed = before
    for row in rows:
        wrong = ''
        if row.id != last + 1:
            end, digest = segments.get(last + 1, (last, before))
            if end == row.id - 1:
                before = computed = digest
            else:
                wrong = f'the rows {last + 1} to {row.id - 1} before it are missing'
        if not wrong:
            fits = [digest for digest in (before, computed)
                    if _digest(digest, row) == row.digest]
            wrong = '' if fits else 'it is damaged, and not to be trusted'
        yield row, wrong
        before, computed, last = row.digest, _digest(before, row), row.id


def _digest(before: bytes, row: Row) -> bytes:
    try:
        return digest_of(before, row)
    except UNUSABLE:
        return b''


def encode(event: Event, settled: Settled | None) -> tuple[Any, ...]:
    """
    Write an event as the columns ``moment`` to ``detail``.

    Parameters
    ----------
    event : any
    settled : what followed from it for a confirmation, if anything did

    Raises
    ------
    ValueError
        It cannot be stored: a stamp beyond 64 bits, a text that is none, ...

    """
    kind, outcome = _KINDS[type(event)], None
    key: FrameKey | None = None
    log_p: NDArray[np.float64] | None = None
    detail: dict[str, Any] = {}
    match event:
        case FrameAnswered() | ShadowAnswered():
            key, log_p = event.prediction.key, event.prediction.log_probabilities
            if isinstance(event, FrameAnswered):
                detail['decision'] = event.decision
        case FrameConfirmed(_, confirmation):
            key = confirmation.key
            detail = {'distribution': dict(confirmation.distribution),
                      'operator': confirmation.operator, 'nonce': confirmation.nonce}
        case FrameAsked(_, key, asked):
            detail = {'asked': [asked.inclusion_probability, asked.test_share]}
        case SampleTaken(_, sampling, log_p):
            windows, begin, end, taken = sampling
            detail['sampling'] = [windows, begin, end,
                                  None if taken is None else taken.astype('<f4').tobytes().hex()]
        case RunBegan(_, reason, digest, labels, parameters):
            detail = {'reason': reason, 'model_digest': digest, 'labels': list(labels),
                      'parameters': dict(parameters)}
        case RunContinued(_, settings, anew):
            detail = {'settings': [list(settings.monitor), *settings[1:]], 'anew': list(anew)}
        case Noted():
            kind, detail = event.kind, dict(event.detail)
    if settled is not None:
        outcome = settled.outcome.value
        if settled.asked is not None:
            detail['inclusion_probability'] = settled.asked.inclusion_probability
            detail['test_share'] = settled.asked.test_share
        if isinstance(event, FrameConfirmed) and settled.prediction is not None:
            log_p = settled.prediction.log_probabilities
            detail['decision'] = settled.decision
    for number in (event.moment, 0 if key is None else key.stamp):
        if not -2**63 <= number < 2**63:
            raise ValueError(f'{number} has more than 64 bits')
    columns = (*(key or (None, None)), outcome,
               None if log_p is None else np.ascontiguousarray(log_p, '<f8').tobytes(),
               json.dumps(detail, ensure_ascii=False))
    for text in (kind, columns[1] or '', columns[-1]):
        text.encode()
    return event.moment, kind, *columns


def decode(row: Row, run: Run) -> Event:
    """
    Read an event.

    Parameters
    ----------
    row : not one that begins a run
    run : to which it happened

    Raises
    ------
    LookupError, TypeError, ValueError
        The row is damaged.

    """
    detail = json.loads(row.detail)
    match row.kind:
        case 'answered':
            return FrameAnswered(
                row.moment, prediction(row, run.monitor.labels, run.model_digest),
                detail['decision'])
        case 'shadow':
            digest, labels = run.comparison.identity if run.comparison else ('', ())
            return ShadowAnswered(row.moment, prediction(row, labels, digest))
        case 'confirmed':
            return FrameConfirmed(row.moment, confirmation(row, detail))
        case 'asked':
            return FrameAsked(row.moment, row.key, Asked(*detail['asked']))
        case 'sample':
            windows, begin, end, taken = detail['sampling']
            return SampleTaken(
                row.moment, Sampling(windows, begin, end, None if taken is None else np.frombuffer(
                    bytes.fromhex(taken), '<f4').astype(np.float32, copy=False)),
                None if row.log_probabilities is None
                else log_probabilities(row.log_probabilities))
        case 'reset':
            return RunReset(row.moment)
        case 'continued':
            monitor, *rest = detail['settings']
            return RunContinued(row.moment, Settings(MonitorSettings(*monitor), *rest),
                                tuple(detail['anew']))
        case 'began':
            raise ValueError('a run begins within a run')
    return Noted(row.moment, row.kind, detail)


def began(row: Row) -> RunBegan:
    """Read the event that begins a run; LookupError, TypeError, ValueError as ``decode``."""
    detail = json.loads(row.detail)
    return RunBegan(row.moment, detail['reason'], detail['model_digest'],
                    tuple(detail['labels']), detail['parameters'])


def confirmation(row: Row, detail: Mapping[str, Any]) -> Confirmation:
    """Read a confirmation; ``detail`` is the row's, read."""
    return Confirmation(row.key, detail['distribution'], detail['operator'], detail['nonce'])


def prediction(row: Row, labels: tuple[str, ...], digest: str) -> Prediction:
    """Read a prediction; ValueError if it has not one log-probability for each label."""
    log_p = log_probabilities(row.log_probabilities or b'')
    if log_p.size != len(labels):
        raise ValueError(f'{log_p.size} probabilities for {len(labels)} labels')
    return Prediction(row.key, labels, log_p, NO_FEATURES, digest)


def log_probabilities(blob: bytes) -> NDArray[np.float64]:
    """Read the log-probabilities of a row: (K,) float64, nats."""
    return np.frombuffer(blob, '<f8').astype(np.float64, copy=False)


_KINDS: Mapping[type, str] = {
    RunBegan: 'began', RunContinued: 'continued', FrameAnswered: 'answered', FrameAsked: 'asked',
    FrameConfirmed: 'confirmed', ShadowAnswered: 'shadow', SampleTaken: 'sample',
    RunReset: 'reset', Noted: ''}


def encode_state(state: Mapping[str, Any]) -> bytes:
    """Write a state (see ``Run.to_state``): JSON, and its arrays, in numpy's format."""
    arrays: dict[str, NDArray[Any]] = {}

    def name(array: NDArray[Any]) -> dict[str, str]:
        arrays[f'a{len(arrays)}'] = array
        return {'array': f'a{len(arrays) - 1}'}

    text = json.dumps(state, default=name).encode()
    file = BytesIO()
    np.savez(file, state=np.frombuffer(text, np.uint8), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def decode_state(content: bytes) -> dict[str, Any]:
    """Read what ``encode_state`` wrote; LookupError, TypeError, ValueError if it is damaged."""
    with np.load(BytesIO(content), allow_pickle=False) as file:
        def array(value: dict[str, Any]) -> Any:
            found = value.get('array')
            return file[found] if isinstance(found, str) and len(value) == 1 else value

        state: dict[str, Any] = json.loads(file['state'].tobytes(), object_hook=array)
        return state
