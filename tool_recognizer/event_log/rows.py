"""
Events and states as the file holds them, and back; ``chain`` says whether a row is whole.

A row is ``(id, run, moment, kind, stamp, frame_id, outcome, log_probabilities, detail, digest)``.
In JSON an array is ``{"array": [type, shape, base64 of its bytes]}``.
"""

from base64 import b64decode
from base64 import b64encode
from collections.abc import Mapping
import json
from types import MappingProxyType
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.events import ConfirmationCorrected
from tool_recognizer.core.events import Event
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import Noted
from tool_recognizer.core.events import PassageBegan
from tool_recognizer.core.events import PassageEnded
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import Settings
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.locate import Box
from tool_recognizer.core.monitor import MonitorSettings
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.run import Run
from tool_recognizer.core.run import Settled
from tool_recognizer.core.sketch import BITS

# Kinds of which there may be very many, and that are not for ever.
BULK = ('answered', 'shadow', 'sample', 'passage_began', 'passage_ended')
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
                if event.part:
                    detail['part'] = event.part
            if event.prediction.sketch:
                detail['sketch'] = b64encode(event.prediction.sketch).decode()
            if event.prediction.box is not None:
                detail['box'] = event.prediction.box
        case FrameConfirmed(_, confirmation):
            key = confirmation.key
            detail = {'distribution': dict(confirmation.distribution),
                      'operator': confirmation.operator, 'nonce': confirmation.nonce}
        case ConfirmationCorrected(_, correction, was, became, anew, since):
            key = correction.key
            detail = {'of': correction.of, 'distribution': dict(correction.distribution),
                      'operator': correction.operator, 'nonce': correction.nonce,
                      'was': was.value, 'became': became.value, 'since': since,
                      'anew': dict(anew)}
        case FrameAsked(_, key, asked):
            detail = {'asked': asked.to_state()}
        case SampleTaken(_, sampling, log_p):
            detail = {'sampling': sampling}
        case PassageBegan(_, reason) | PassageEnded(_, reason):
            detail = {'reason': reason}
        case RunBegan(_, reason, digest, labels, parameters):
            detail = {'reason': reason, 'model_digest': digest, 'labels': labels,
                      'parameters': dict(parameters)}
        case RunContinued(_, settings, anew):
            detail = {'settings': settings, 'anew': dict(anew)}
        case Noted():
            kind, detail = event.kind, dict(event.detail)
    if settled is not None:
        outcome = settled.outcome.value
        if settled.asked is not None:
            detail['asked'] = settled.asked.to_state()
        if isinstance(event, FrameConfirmed) and settled.prediction is not None:
            log_p = settled.prediction.log_probabilities
            detail['decision'] = settled.decision
            if settled.prediction.key != key:
                detail['passage'] = settled.prediction.key
            if settled.prediction.box is not None:
                detail['box'] = settled.prediction.box
            if settled.prediction.sketch:
                detail['sketch'] = b64encode(settled.prediction.sketch).decode()
        elif isinstance(event, FrameAnswered) and settled.prediction is not event.prediction:
            detail['settled'] = {'confirmed': settled.confirmation.key,
                                 **_answer_of(settled.prediction, settled.decision)}
    for number in (event.moment, 0 if key is None else key.stamp):
        if not -2**63 <= number < 2**63:
            raise ValueError(f'{number} has more than 64 bits')
    columns = (*(key or (None, None)), outcome,
               None if log_p is None else np.ascontiguousarray(log_p, '<f8').tobytes(),
               _to_json(detail))
    for text in (kind, columns[1] or '', columns[-1]):
        text.encode()
    return event.moment, kind, *columns


def _answer_of(answer: Prediction | None, decision: str) -> dict[str, Any]:
    """Write a passage's answer, of which a frame's row tells that it was confirmed."""
    return {} if answer is None else {
        'passage': answer.key, 'log_probabilities': answer.log_probabilities,
        'decision': decision}


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
    detail, blob = _from_json(row.detail), row.log_probabilities
    match row.kind:
        case 'answered':
            return FrameAnswered(row.moment, prediction(
                row.key, blob, run.monitor.labels, run.model_digest, detail), detail['decision'],
                detail.get('part', ''))
        case 'shadow':
            digest, labels = run.comparison.identity if run.comparison else ('', ())
            return ShadowAnswered(row.moment, prediction(
                row.key, blob, labels, digest, detail))
        case 'confirmed':
            return FrameConfirmed(row.moment, confirmation(row, detail))
        case 'corrected':
            return ConfirmationCorrected(
                row.moment, _correction(row, detail), Outcome(detail['was']),
                Outcome(detail['became']), detail['anew'], detail['since'])
        case 'asked':
            return FrameAsked(row.moment, row.key, Asked(*detail['asked']))
        case 'sample':
            return SampleTaken(row.moment, Sampling(*detail['sampling']),
                               None if blob is None else log_probabilities(blob))
        case 'passage_began':
            return PassageBegan(row.moment, detail['reason'])
        case 'passage_ended':
            return PassageEnded(row.moment, detail['reason'])
        case 'reset':
            return RunReset(row.moment)
        case 'continued':
            monitor, run_length, expire_after, shadow = detail['settings']
            return RunContinued(row.moment, Settings(
                MonitorSettings(*monitor), run_length, expire_after,
                None if shadow is None else MonitorSettings(*shadow)), detail['anew'])
        case 'began':
            raise ValueError('a run begins within a run')
    return Noted(row.moment, row.kind, detail)


def began(row: Row) -> RunBegan:
    """Read the event that begins a run; LookupError, TypeError, ValueError as ``decode``."""
    if row.kind != 'began':
        raise LookupError(f'event {row.id} is of kind {row.kind!r}')
    detail = json.loads(row.detail)
    return RunBegan(row.moment, detail['reason'], detail['model_digest'],
                    tuple(detail['labels']), detail['parameters'])


def confirmation(row: Row, detail: Mapping[str, Any]) -> Confirmation:
    """Read a confirmation; ``detail`` is the row's, read."""
    return Confirmation(row.key, detail['distribution'], detail['operator'], detail['nonce'])


class Joined(NamedTuple):
    """
    What a confirmation was joined to.

    Attributes
    ----------
    confirmed : the frame that was confirmed
    key : what it is scored as: that frame, or the first one of its passage
    blob : the prediction's log-probabilities, as of a row; None if it was joined to none
    detail : what else the row tells of the prediction

    """

    confirmed: FrameKey
    key: FrameKey
    blob: bytes | None
    detail: Mapping[str, Any]


def joined(row: Row) -> Joined:
    """Read what the event that settled a confirmation joined it to; raises as ``decode``."""
    detail = _from_json(row.detail)
    if row.kind == 'answered' and 'settled' in detail:
        detail = detail['settled']
        log_p = detail.get('log_probabilities')
        return Joined(FrameKey(*detail['confirmed']),
                      FrameKey(*detail.get('passage', detail['confirmed'])),
                      None if log_p is None else log_p.tobytes(), detail)
    return Joined(row.key, FrameKey(*detail.get('passage', row.key)), row.log_probabilities,
                  detail)


class Corrected(NamedTuple):
    """A correction, what its confirmation counts as since, and when it came, ns."""

    correction: Correction
    became: Outcome
    moment: int


def corrected(row: Row) -> Corrected:
    """Read a correction, and not the scores that it made; raises as ``decode``."""
    detail = json.loads(row.detail)
    return Corrected(_correction(row, detail), Outcome(detail['became']), row.moment)


def _correction(row: Row, detail: Mapping[str, Any]) -> Correction:
    return Correction(int(detail['of']), row.key, detail['distribution'], detail['operator'],
                      detail['nonce'])


def prediction(key: FrameKey, blob: bytes | None, labels: tuple[str, ...], digest: str,
               detail: Mapping[str, Any] = MappingProxyType({})) -> Prediction:
    """
    Read a prediction; ``detail`` is the row's, read.

    Raises
    ------
    ValueError
        It has not one log-probability for each label, or a damaged sketch or box.

    """
    log_p = log_probabilities(blob or b'')
    if log_p.size != len(labels):
        raise ValueError(f'{log_p.size} probabilities for {len(labels)} labels')
    # A version before wrote no sketches.
    sketch = b64decode(detail.get('sketch', ''), validate=True)
    if sketch and len(sketch) != BITS // 8:
        raise ValueError(f'a sketch of {len(sketch)} bytes instead of {BITS // 8}')
    return Prediction(key, labels, log_p, NO_FEATURES, digest, sketch=sketch, box=box(detail))


def box(detail: Mapping[str, Any]) -> Box | None:
    """Read where the object was found; TypeError or ValueError if that is damaged."""
    if 'box' not in detail:
        return None
    left, top, right, bottom = map(int, detail['box'])
    return Box(left, top, right, bottom)


def log_probabilities(blob: bytes) -> NDArray[np.float64]:
    """Read the log-probabilities of a row: (K,) float64, nats."""
    return np.frombuffer(blob, '<f8').astype(np.float64, copy=False)


_KINDS: Mapping[type, str] = {
    RunBegan: 'began', RunContinued: 'continued', FrameAnswered: 'answered', FrameAsked: 'asked',
    FrameConfirmed: 'confirmed', ConfirmationCorrected: 'corrected',
    ShadowAnswered: 'shadow', SampleTaken: 'sample',
    PassageBegan: 'passage_began', PassageEnded: 'passage_ended', RunReset: 'reset', Noted: ''}


def encode_state(state: Mapping[str, Any]) -> bytes:
    """Write a state (see ``Run.to_state``)."""
    return _to_json(state).encode()


def decode_state(content: bytes) -> dict[str, Any]:
    """Read what ``encode_state`` wrote; LookupError, TypeError, ValueError if it is damaged."""
    state: dict[str, Any] = _from_json(content.decode())
    return state


def _to_json(value: Any) -> str:
    def encoded(array: Any) -> dict[str, Any]:
        if not isinstance(array, np.ndarray):
            raise TypeError(f'{type(array).__name__} {array!r} cannot be stored')
        return {'array': [array.dtype.str, array.shape, b64encode(array.tobytes()).decode()]}

    return json.dumps(value, default=encoded, ensure_ascii=False)


def _from_json(text: str) -> Any:
    def decoded(value: dict[str, Any]) -> Any:
        match value:
            case {'array': [dtype, shape, content]} if len(value) == 1:
                return np.ndarray(shape, dtype, bytearray(b64decode(content)))
        return value

    return json.loads(text, object_hook=decoded)
