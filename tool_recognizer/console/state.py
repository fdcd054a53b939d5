"""
Everything that the console knows, between the thread of ROS and the thread of the web server.

Both call the methods below; one lock keeps them apart, and no method waits for the other side. A
listener is called with the topic that has changed: 'desk', 'live', 'answer' (the prediction),
'status', 'series', 'frames' or 'events'. It gets the topic, never the value: a reader fetches the
newest value when it has time for it, so a slow one skips values, and nothing piles up.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
import json
from math import inf
from math import log
import re
from threading import Lock
from typing import Any

from tool_recognizer.console.board import Board
from tool_recognizer.console.board import RANGES
from tool_recognizer.console.board import Status
from tool_recognizer.console.desk import Desk
from tool_recognizer.console.desk import Request
from tool_recognizer.console.history import Point
from tool_recognizer.console.history import ScoredFrame
from tool_recognizer.console.metrics import Metrics
from tool_recognizer.console.outbox import Confirmation
from tool_recognizer.console.outbox import Outbox
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp

ACTIONS = ('reset_monitor', 'reload_model')
TOPICS = ('desk', 'live', 'answer', 'status', 'series', 'frames', 'events')
NONCE = re.compile(r'[A-Za-z0-9-]{8,64}')
LONGEST_NAME = 64
LONGEST_FRAME_ID = 256
# Seconds without /diagnostics, which come each second, after which the recognizer counts as gone.
SILENCE = 4.0


class Refused(ValueError):
    """A browser's message that cannot be accepted, and why."""


@dataclass(frozen=True)
class Picture:
    """A JPEG picture with the identity of its frame."""

    key: FrameKey
    jpeg: bytes

    def packed(self, kind: str) -> bytes:
        """Return it for the browser: 4 bytes of length (big-endian), that much JSON, JPEG."""
        header = json.dumps({'kind': kind, **named(self.key)}).encode()
        return len(header).to_bytes(4, 'big') + header + self.jpeg


def named(key: FrameKey) -> dict[str, str]:
    """Write a frame's identity for JSON, the stamp as text."""
    return {'stamp': str(key.stamp), 'frame_id': key.frame_id}


class Console:
    """
    See the module.

    Parameters
    ----------
    desk, outbox, board, metrics : the parts
    steady : seconds on a clock that only goes forward
    clock : seconds on the recognizer's clock

    """

    def __init__(self, desk: Desk, outbox: Outbox, board: Board, metrics: Metrics,
                 steady: Callable[[], float], clock: Callable[[], float]) -> None:
        self.metrics = metrics
        self.steady = steady
        self._outbox = outbox
        self._desk = desk
        self._board = board
        self._clock = clock
        self._lock = Lock()
        self._listeners: list[Callable[[str], None]] = []
        self._actions: deque[tuple[str, Callable[[bool, str], None]]] = deque()
        self._live: bytes | None = None
        self._prediction: dict[str, Any] | None = None
        self._decision: dict[str, Any] = {}
        self._heard_at = -inf
        self._alive = False
        self._gone: dict[str, Any] | None = None
        self._problem = ''
        metrics.collect_from(self._figures)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Tell a listener each topic that changes, in the thread that changes it."""
        self._listeners.append(listener)

    def _changed(self, *topics: str) -> None:
        for topic in topics:
            for listener in self._listeners:
                listener(topic)

    # -- from the recognizer --------------------------------------------------------------------

    def ask(self, key: FrameKey, probabilities: Mapping[str, float], inclusion: float) -> None:
        """Take in an inspection request."""
        with self._lock:
            self._desk.ask(Request(key, dict(probabilities), inclusion, self.steady()))
        self._changed('desk')

    def show(self, key: FrameKey, jpeg: bytes) -> None:
        """Take in the picture of a request."""
        with self._lock:
            self._desk.show(key, jpeg)
        self._changed('desk')

    def set_live(self, key: FrameKey, jpeg: bytes) -> None:
        """Take in a picture of what the camera sees now."""
        self._live = Picture(key, jpeg).packed('live')
        self._changed('live')

    def predicted(self, key: FrameKey, probabilities: Mapping[str, float]) -> None:
        """Take in the model's prediction for a frame."""
        self.metrics.predicted(probabilities.values(), self._clock() - key.stamp / 1e9)
        self._prediction = {**named(key), 'probabilities': dict(probabilities)}
        self._changed('answer')

    def decided(self, decision: str, score: float) -> None:
        """Take in a decision."""
        self.metrics.decided(decision)
        self._decision = {'decision': decision, 'score': score}

    def labelled(self, labels: tuple[str, ...]) -> None:
        """Take in the model's labels."""
        with self._lock:
            self._board.labels = labels
        self._changed('desk', 'frames')

    def monitored(self, status: Status) -> None:
        """Take in the monitor's status."""
        with self._lock:
            self._board.watch(status, self._clock())
        self._changed('status', 'series', 'events')

    def diagnosed(self, statuses: Mapping[str, Status]) -> None:
        """Take in the recognizer's part of /diagnostics, by the last part of each name."""
        with self._lock:
            for name, status in statuses.items():
                before = self._board.health.get(name)
                # That all is well is no event, unless it was not.
                if status.level != (0 if before is None else before.level):
                    self._board.note(name, status.message, self._clock())
            asking = self._board.asking
            self._board.health = dict(statuses)
            begun = self._board.asking != asking
            self._heard_at = self.steady()
        self._changed('status', 'events', *(['desk'] if begun else []))

    def acknowledged(self, nonce: str, level: int, outcome: str, message: str) -> None:
        """
        Take in the acknowledgement of a confirmation.

        Parameters
        ----------
        nonce : the confirmation's
        level : 0 in the journal, 1 accepted without a journal, 2 refused
        outcome : what became of it; of a refused one it may be ''
        message : why it was refused

        """
        confirmation = self._outbox.settle(nonce, 'refused' if level >= 2 else outcome or 'taken')
        if confirmation is None:
            return
        self.metrics.acknowledged('refused' if level >= 2 else outcome)
        with self._lock:
            if level >= 2 or outcome in ('conflicting', 'ambiguous'):
                self._board.note('refused' if level >= 2 else outcome,
                                 message or confirmation.label, self._clock())
            request = self._desk.find(confirmation.key)
            if outcome in ('scored', 'late') and request is not None:
                p = request.probabilities.get(confirmation.label, 0.0)
                self._board.score(ScoredFrame(
                    confirmation.key, self._clock(), confirmation.label, request.guess,
                    request.probabilities[request.guess], -log(p) if p > 0.0 else inf,
                    request.picture))
        self._changed('desk', 'frames', 'events')

    def remember(self, points: list[Point], frames: list[ScoredFrame]) -> None:
        """Take in the past, as a journal has it."""
        with self._lock:
            self._board.remember(points, frames)
        self._changed('series', 'frames')

    # -- to the recognizer ----------------------------------------------------------------------

    def due(self) -> list[Confirmation]:
        """Return the confirmations to publish now."""
        due = self._outbox.due(self.steady())
        if due:
            self._changed('desk')
        return due

    def next_action(self) -> tuple[str, Callable[[bool, str], None]] | None:
        """Return a service to call and what to call with its response, or None."""
        return self._actions.popleft() if self._actions else None

    def tick(self) -> None:
        """Remove expired requests, and notice whether the recognizer responds."""
        with self._lock:
            head = self._desk.head()
            expired = self._desk.expire(self.steady())
            if head is not None and self._desk.head() != head:
                self._gone = {**named(head.key), 'why': 'expired', 'operator': ''}
            alive = self.steady() - self._heard_at < SILENCE
            changed = alive != self._alive
            if changed:
                self._alive = alive
                self._board.note('found' if alive else 'lost', '', self._clock())
        if expired or changed:
            self._changed('desk')
        if changed:
            self._changed('status', 'events')

    # -- from the browsers ----------------------------------------------------------------------

    def take(self, message: Mapping[str, Any]) -> None:
        """
        Take in an operator's confirmation; when this returns, it is on the disk.

        Parameters
        ----------
        message : nonce, stamp, frame_id, label and operator, all of them text

        Raises
        ------
        Refused
            A part is missing or out of bounds, or the label is neither one of the model's nor
            reserved.
        OutboxError
            It cannot be written.

        """
        confirmation = self._read(message)
        new = self._outbox.put(confirmation, self.steady())
        if not new:
            return
        with self._lock:
            on_top = self._desk.head()
            self._desk.confirm(confirmation.key, confirmation.label == CANNOT_SEE)
            if on_top is not None and on_top.key == confirmation.key:
                self._gone = {**named(confirmation.key), 'why': 'answered',
                              'operator': confirmation.operator, 'nonce': confirmation.nonce}
        self._changed('desk')

    def take_back(self, nonce: str) -> bool:
        """Undo a confirmation; return whether there was still time for it."""
        confirmation = self._outbox.undo(nonce)
        if confirmation is None:
            return False
        with self._lock:
            on_top = self._desk.head()
            self._desk.undo(confirmation.key, self.steady())
            self._gone = None
            if on_top is not None and self._desk.head() != on_top:
                self._gone = {**named(on_top.key), 'why': 'undone',
                              'operator': confirmation.operator, 'nonce': nonce}
        self._changed('desk')
        return True

    def act(self, action: str, respond: Callable[[bool, str], None]) -> None:
        """Have a service called; ``respond`` gets its response, in ROS's thread."""
        if action not in ACTIONS:
            raise Refused(f'action {action!r} is not one of {list(ACTIONS)}')
        self._actions.append((action, respond))

    def _read(self, message: Mapping[str, Any]) -> Confirmation:
        def text(name: str, longest: int) -> str:
            value = message.get(name)
            if not isinstance(value, str) or len(value) > longest or not _is_clean(value):
                raise Refused(f'{name} must be text of at most {longest} characters')
            return value

        nonce, stamp = text('nonce', 64), text('stamp', 19)
        label = text('label', 200)
        if not NONCE.fullmatch(nonce):
            raise Refused('nonce must be 8 to 64 letters, digits or -')
        if not (stamp.isascii() and stamp.isdigit() and int(stamp) < 2 ** 63):
            raise Refused('stamp must be nanoseconds, in digits')
        key = FrameKey(Stamp(int(stamp)), text('frame_id', LONGEST_FRAME_ID))
        with self._lock:
            request = self._desk.find(key)
            labels = {*self._board.labels, *(request.probabilities if request else ())}
        # Just started, the console may not know the labels yet; then the recognizer judges.
        if labels and label not in {*labels, ANOTHER_TOOL, CANNOT_SEE}:
            raise Refused(f'label {label!r} is not one of {sorted(labels)}')
        return Confirmation(nonce, key, label, text('operator', LONGEST_NAME).strip())

    # -- to the browsers ------------------------------------------------------------------------

    def desk(self) -> tuple[dict[str, Any], Picture | None]:
        """Return what an operator is shown now, and its picture."""
        with self._lock:
            head = self._desk.head()
            shown = None
            if head is not None:
                shown = {**named(head.key), 'probabilities': head.probabilities,
                         'guess': head.guess}
            message = {
                'kind': 'desk', 'request': shown, 'gone': self._gone,
                'asking': self._board.asking, 'waiting': len(self._desk), 'alive': self._alive,
                'unacknowledged': self._outbox.unacknowledged}
            picture = None
            if head is not None and head.picture is not None:
                picture = Picture(head.key, head.picture)
            return message, picture

    def live(self) -> bytes | None:
        """Return the newest live picture, packed."""
        return self._live

    def message(self, topic: str, span: str) -> dict[str, Any] | None:
        """Return the newest value of a topic for an engineer's page, or None without one."""
        if topic == 'answer':
            return self._prediction and {'kind': topic, **self._prediction, **self._decision}
        with self._lock:
            if topic == 'status':
                return {'kind': topic, 'alive': self._alive, **self._board.status()}
            if topic == 'series':
                return {'kind': topic, 'range': span,
                        **self._board.series(RANGES[span], self._clock())}
            if topic == 'frames':
                return {'kind': topic, 'classes': self._board.classes(),
                        **self._board.mistakes()}
            return {'kind': topic, 'events': self._board.events()}

    def picture(self, key: FrameKey) -> bytes | None:
        """Return the JPEG of a recently confirmed frame, or None."""
        with self._lock:
            return self._board.picture(key)

    def _figures(self) -> dict[str, Any]:
        with self._lock:
            return {'monitor': self._board.monitor, 'health': dict(self._board.health),
                    'alive': self._alive, 'requests': dict(self._desk.counts),
                    'open': len(self._desk), 'unacknowledged': self._outbox.unacknowledged}


def _is_clean(text: str) -> bool:
    return text == '' or text.isprintable()
