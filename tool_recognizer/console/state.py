"""
Everything that the console knows, between the thread of ROS and the thread of the web server.

Both call the methods below; one lock keeps them apart, and no method waits for the other side. A
listener is called with the topic that has changed: 'desk', 'live', 'answer' (a prediction and its
decision), 'status', 'series', 'frames' or 'events'. It gets the topic, never the value: a reader
fetches the newest value when it has time for it, so a slow one skips values, and nothing piles up.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
import json
from math import inf
from math import isnan
from math import log
from threading import Lock
from typing import Any

from tool_recognizer.console.action import Action
from tool_recognizer.console.action import Respond
from tool_recognizer.console.board import Board
from tool_recognizer.console.board import for_json
from tool_recognizer.console.board import RANGES
from tool_recognizer.console.board import Status
from tool_recognizer.console.desk import Desk
from tool_recognizer.console.desk import Request
from tool_recognizer.console.history import Point
from tool_recognizer.console.history import ScoredFrame
from tool_recognizer.console.metrics import Metrics
from tool_recognizer.console.outbox import Confirmation
from tool_recognizer.console.outbox import Outbox
from tool_recognizer.console.pairing import Pairing
from tool_recognizer.console.review import because
from tool_recognizer.console.schema import Message
from tool_recognizer.console.schema import Refused
from tool_recognizer.core.admission import admit
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.text import cut
from tool_recognizer.core.text import listed
from tool_recognizer.core.text import quoted

TOPICS = ('desk', 'live', 'answer', 'status', 'series', 'frames', 'events')
# Seconds without /diagnostics, which come each second, after which the recognizer counts as gone.
SILENCE = 4.0
# Services that wait to be called; outcomes that are told; notes that wait for the recognizer.
MOST_ACTIONS, MOST_SETTLED, MOST_NOTES = 20, 20, 1000
# Characters of what a service says, in a note of it.
LONGEST_WHY = 300
# Outcomes that an operator who was told "confirmed" does not expect.
UNEXPECTED = ('refused', *(outcome.value for outcome in (
    Outcome.CONFLICTING, Outcome.AMBIGUOUS, Outcome.UNMATCHED, Outcome.VOLUNTEERED,
    Outcome.OUTSIDE)))


@dataclass(frozen=True)
class Note:
    """
    What a person did, for the recognizer's journal.

    Attributes
    ----------
    person : who; '' if nobody is asked for a name
    action : what it was, by a name
    outcome : 'asked' before it is done, then 'done' or 'failed'
    why : what was asked for, exactly; at the end of an action what the recognizer said of it

    """

    person: str
    action: str
    outcome: str
    why: str


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
        self._actions: deque[Action] = deque()
        self._notes: deque[Note] = deque(maxlen=MOST_NOTES)
        self._live: bytes | None = None
        self._pairing = Pairing()
        self._heard_at = -inf
        # The same on the recognizer's clock, for a person; and of the last confirmations whose
        # outcome their operators do not expect, what became of them.
        self._heard: float | None = None
        self._settled: deque[dict[str, str]] = deque(maxlen=MOST_SETTLED)
        self._alive = False
        self._corrected = False
        self._gone: dict[str, Any] | None = None
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
        if self._pairing.predict(key, probabilities):
            self._changed('answer')

    def decided(self, key: FrameKey, decision: str, score: float) -> None:
        """Take in the decision on a frame."""
        self.metrics.decided(decision)
        if self._pairing.decide(key, decision, score):
            self._changed('answer')

    def labelled(self, labels: tuple[str, ...]) -> None:
        """Take in the model's labels."""
        with self._lock:
            self._board.labels = labels
        self._changed('desk', 'frames')

    def monitored(self, status: Status) -> None:
        """Take in the monitor's status."""
        with self._lock:
            before = self._progress()
            self._board.watch(status, self._clock())
            further = self._progress() != before
        self._changed('status', 'series', 'events', *(['desk'] if further else []))

    def diagnosed(self, statuses: Mapping[str, Status]) -> None:
        """Take in the recognizer's part of /diagnostics, by the last part of each name."""
        with self._lock:
            for name, status in statuses.items():
                before = self._board.health.get(name)
                # That all is well is no event, unless it was not.
                if status.level != (0 if before is None else before.level):
                    self._board.note_status(name, name, status, self._clock())
            before_now = self._board.floor, self._board.passages
            self._board.health = dict(statuses)
            begun = (self._board.floor, self._board.passages) != before_now
            self._heard_at, self._heard = self.steady(), self._clock()
        self._changed('status', 'events', *(['desk'] if begun else []))

    def acknowledged(self, nonce: str, level: int, outcome: str, reason: str = '') -> None:
        """
        Take in the acknowledgement of a confirmation.

        Parameters
        ----------
        nonce : the confirmation's
        level : 0 in the journal, 1 accepted without a journal, 2 refused
        outcome : what became of it; of a refused one it may be ''
        reason : the part for which it was refused; see ``core.confirmation``

        """
        if outcome == Outcome.NO_ROOM.value:
            return  # it is published again until its frame is answered, or there is room
        outcome = 'refused' if level >= 2 else outcome
        confirmation = self._outbox.settle(nonce, outcome or 'taken')
        if confirmation is None:
            return
        self.metrics.acknowledged(outcome)
        if confirmation.of:
            with self._lock:
                kind = 'refused' if outcome == 'refused' else 'corrected'
                self._board.note(kind, self._clock(), {
                    **named(confirmation.key), 'label': confirmation.label,
                    'operator': confirmation.operator, 'reason': reason})
                if outcome != 'refused':
                    self._board.forget(confirmation.key)
                    self._corrected = True
            self._changed('events', 'frames')
            return
        with self._lock:
            if outcome in UNEXPECTED:
                self._settled.append({'nonce': nonce, 'outcome': outcome, 'reason': reason})
                self._board.note(outcome, self._clock(), {
                    **named(confirmation.key), 'label': confirmation.label,
                    'operator': confirmation.operator, 'reason': reason})
            request = self._desk.find(confirmation.key)
            p = 0.0 if request is None else request.probabilities.get(confirmation.label, 0.0)
            if outcome in ('scored', 'late') and request is not None and not isnan(p):
                self._board.score(ScoredFrame(
                    confirmation.key, self._clock(), confirmation.label, request.guess,
                    request.probabilities[request.guess], -log(p) if p > 0.0 else inf,
                    request.picture))
        self._changed('desk', 'frames', 'events')

    def must_reread(self) -> bool:
        """Return, once, whether something was corrected, so that the journal says it otherwise."""
        corrected, self._corrected = self._corrected, False
        return corrected

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

    def next_note(self) -> Note | None:
        """Return what the recognizer is to note in its journal, the oldest first, or None."""
        return self._notes.popleft() if self._notes else None

    def next_action(self) -> Action | None:
        """Return what the recognizer is to do next, or None."""
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
                self._board.note('found' if alive else 'lost', self._clock())
        if expired or changed:
            self._changed('desk')
        if changed:
            self._changed('status', 'events')

    # -- from the browsers ----------------------------------------------------------------------

    def take(self, message: Message, person: str = '') -> None:
        """
        Take in an operator's confirmation; when this returns, it is on the disk.

        Parameters
        ----------
        message : as the page sent it
        person : who has logged in, whose name it gets; '' if nobody does

        Raises
        ------
        Refused
            A part is out of bounds (see ``core.admission``), or the label is neither one of the
            model's nor reserved, or it was another person's.
        OutboxError
            It cannot be written.

        """
        confirmation = self._read(message, person)
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

    def correct(self, message: Message, of: int, person: str) -> None:
        """
        Take in a correction; when this returns, it is on the disk.

        Parameters
        ----------
        message : as a confirmation; without a label the one that it is of is struck out
        of : the event of that, by its number in the journal
        person : who has logged in

        Raises
        ------
        Refused, OutboxError
            As of ``take``.

        """
        if message['label']:
            confirmation = replace(self._read(message, person), of=of)
        else:
            confirmation = Confirmation(message['nonce'], message.key, '',
                                        person or message['operator'].strip(), of)
        self._outbox.put(confirmation, self.steady())

    def corrected(self, nonce: str) -> str | None:
        """Return what became of a correction; None while nothing is known."""
        return self._outbox.outcome(nonce)

    def take_back(self, nonce: str, person: str = '') -> bool:
        """Undo a confirmation, the own one where people log in; return if there was still time."""
        confirmation = self._outbox.undo(nonce, person)
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

    def record(self, person: str, action: str, outcome: str = 'done', why: str = '') -> None:
        """Have what a person does noted in the recognizer's journal; from any thread."""
        self._notes.append(Note(person, action, outcome, cut(why, LONGEST_WHY)))

    def act(self, action: str, respond: Respond,
            values: Mapping[str, float | str] = {}) -> None:
        """Have the recognizer do something, see ``Action``; Refused if too much waits already."""
        if len(self._actions) >= MOST_ACTIONS:
            raise Refused(f'{len(self._actions)} actions wait already')
        self._actions.append(Action(action, respond, values))

    def _read(self, message: Message, person: str) -> Confirmation:
        key, label, nonce = message.key, message['label'], message['nonce']
        operator = message['operator'].strip()
        if person and operator not in ('', person):  # pressed before another one logged in
            raise Refused(f'{quoted(operator)} is not who has logged in', nonce, 'person')
        operator = person or operator
        try:
            admit(key, [(label, 1.0)], operator, nonce)
        except InvalidConfirmation as error:
            raise Refused(str(error), nonce, error.reason) from None
        with self._lock:
            request = self._desk.find(key)
            labels = {*self._board.labels, *(request.probabilities if request else ())}
        # Just started, the console may not know the labels yet; then the recognizer judges.
        if labels and label not in {*labels, ANOTHER_TOOL, CANNOT_SEE}:
            raise Refused(f'label {quoted(label)} is not one of {listed(sorted(labels))}', nonce,
                          'label')
        return Confirmation(nonce, key, label, operator)

    # -- to the browsers ------------------------------------------------------------------------

    def desk(self) -> tuple[dict[str, Any], Picture | None]:
        """Return what an operator is shown now, and its picture."""
        with self._lock:
            head = self._desk.head()
            shown = None
            if head is not None:
                shown = {**named(head.key), 'probabilities': _shown(head.probabilities),
                         'guess': head.guess, 'asked': for_json(head.inclusion_probability),
                         'because': self._because(head.inclusion_probability)}
            message = {
                'kind': 'desk', 'request': shown, 'gone': self._gone,
                'asking': self._board.asking, 'passages': self._board.passages,
                'waiting': len(self._desk), 'alive': self._alive,
                'heard': self._heard, 'settled': list(self._settled),
                'progress': self._progress(),
                'unacknowledged': self._outbox.unacknowledged}
            picture = None
            if head is not None and head.picture is not None:
                picture = Picture(head.key, head.picture)
            return message, picture

    def _because(self, inclusion: float) -> str:
        """Return why a frame is asked for; '' while it is not known how often every frame is."""
        floor = self._board.floor
        if not (floor > 0.0 and 0.0 < inclusion <= 1.0):
            return ''
        return because(Asked(inclusion, min(1.0, floor / inclusion)))

    def _progress(self) -> dict[str, str]:
        values = {} if self._board.monitor is None else self._board.monitor.values
        learned, state = values.get('learned', ''), values.get('state', '')
        learning = state == 'learning' or (state == 'too_few_labels' and learned != '0')
        return {'learned': learned, 'learns': values.get('learns', '') if learning else '',
                'today': values.get('n_24h', '')}

    def live(self) -> bytes | None:
        """Return the newest live picture, packed."""
        return self._live

    def message(self, topic: str, span: str) -> dict[str, Any] | None:
        """Return the newest value of a topic for an engineer's page, or None without one."""
        if topic == 'answer':
            shown = self._pairing.newest
            return shown and {
                'kind': topic, **named(shown.key), 'probabilities': _shown(shown.probabilities),
                'decision': shown.decision, 'score': for_json(shown.score)}
        with self._lock:
            if topic == 'status':
                return {'kind': topic, 'alive': self._alive, 'heard': self._heard,
                        **self._board.status()}
            if topic == 'series':
                return {'kind': topic, 'range': span,
                        **self._board.series(RANGES[span], self._clock())}
            if topic == 'frames':
                return {'kind': topic, 'classes': self._board.classes(),
                        'surprising': self._board.surprising(), **self._board.mistakes()}
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


def _shown(probabilities: Mapping[str, float]) -> dict[str, float | str | None]:
    return {label: for_json(p) for label, p in probabilities.items()}
