"""
What the engineer sees: figures over time, the last confirmed frames, and events.

Numbers go to the browser as they are; JSON has no inf and no nan, so inf goes as the text 'inf',
and what is not known as null. A stamp goes as text: it has more digits than a number of JavaScript
can hold.
"""

from collections import Counter
from collections import deque
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from math import isinf
from math import isnan
from math import nan
from typing import Any

import numpy as np
from tool_recognizer.console.curve import COLUMNS
from tool_recognizer.console.curve import Curve
from tool_recognizer.console.history import Point
from tool_recognizer.console.history import ScoredFrame
from tool_recognizer.core.interval import wilson_interval
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.means import mean_cost
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.refusals import CURES

DAY = 86_400.0
RANGES = {'5m': 300.0, '1h': 3600.0, '24h': DAY}
# Points in one chart, confirmed frames and events that are kept, and of mistakes and of
# surprises those that are shown.
SHOWN, RECENT, EVENTS, MISTAKES = 300, 200, 100, 12
# What an event keeps of the status that it tells of: what a page's words have a place for.
TOLD = ('label', 'n', 'learned', 'learns', 'topic', 'change_at',
        *(f'share_{reason}' for reason in CURES))
MOST_POINTS = 50_000
# Bytes of the pictures of these frames that are in memory, not in a journal.
MOST_BYTES = 32_000_000


@dataclass(frozen=True)
class Status:
    """One diagnostic status: its level (0 OK, 1 WARN, 2 ERROR, 3 STALE), message and values."""

    level: int
    message: str
    values: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """Return a value as a number; nan if there is none."""
        try:
            return float(self.values.get(name, 'nan'))
        except ValueError:
            return float('nan')

    def count(self, name: str) -> int | None:
        """Return a value as a count; None if there is none, or it is none."""
        value = self.number(name)
        return int(value) if 0.0 <= value < 2.0 ** 53 else None


class Board:
    """
    See the module; the caller sees to it that one thread at a time uses it.

    Attributes
    ----------
    monitor : the newest status of the monitor, or None
    health : the newest statuses of /diagnostics, by the last part of their names: 'input', ...
    labels : the model's labels

    """

    def __init__(self) -> None:
        self.monitor: Status | None = None
        self.health: dict[str, Status] = {}
        self.labels: tuple[str, ...] = ()
        self._curve = Curve(MOST_POINTS)
        self._recent: deque[ScoredFrame] = deque(maxlen=RECENT)
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS)

    @property
    def floor(self) -> float:
        """Return the probability with which every frame is asked for; nan if it is not known."""
        inspection = self.health.get('inspection')
        return nan if inspection is None else inspection.number('probability')

    @property
    def asking(self) -> bool:
        """Whether the recognizer asks operators for frames, as far as is known."""
        return self.floor != 0.0

    @property
    def passages(self) -> bool:
        """Whether the recognizer asks for objects, of which a picture shows several frames."""
        return 'passages' in self.health

    def remember(self, points: Iterable[Point], frames: Iterable[ScoredFrame]) -> None:
        """Take in the past, as a journal has it."""
        self._curve.insert(points)
        for frame in frames:
            self.score(frame)

    def score(self, frame: ScoredFrame) -> None:
        """Take in a confirmed frame; of two confirmations of one frame the later one is kept."""
        known = next((old for old in self._recent if old.key == frame.key), None)
        if known is not None:
            self._recent.remove(known)
            if frame.picture is None and known.picture is not None:
                frame = replace(frame, picture=known.picture)
        self._recent.append(frame)
        room = MOST_BYTES
        for place in range(len(self._recent) - 1, -1, -1):
            picture = self._recent[place].picture
            if isinstance(picture, bytes):
                room -= len(picture)
                if room < 0:
                    self._recent[place] = replace(self._recent[place], picture=None)

    def forget(self, key: FrameKey) -> None:
        """Forget a confirmed frame, whose confirmation was corrected or struck out."""
        for known in [old for old in self._recent if old.key == key]:
            self._recent.remove(known)

    def note(self, kind: str, moment: float, values: Mapping[str, str] | None = None) -> None:
        """Note an event, with what a page's words about it have a place for."""
        self._events.appendleft({'kind': kind, 'moment': moment, 'values': dict(values or {})})

    def note_status(self, kind: str, name: str, status: Status, moment: float) -> None:
        """Note that a status has changed; a page says in its own words what it says."""
        self.note(kind, moment, {key: status.values[key] for key in TOLD if key in status.values})
        self._events[0] |= {'name': name, 'state': status.values.get('state', ''),
                            'message': status.message}

    def watch(self, status: Status, moment: float) -> None:
        """Take in a status of the monitor; one that says something new becomes a point."""
        before, self.monitor = self.monitor, status
        number = status.number
        if before is not None:
            if before.level != status.level:
                self.note_status('alarm' if status.level == 2 else 'monitor', 'monitor', status,
                                 moment)
            corrected = [one.values.get('corrected_at', '') for one in (before, status)]
            if number('n') < before.number('n') and corrected[0] == corrected[1]:
                self.note('reset', moment)
            digest = status.values.get('model_digest', '')
            if digest != before.values.get('model_digest', ''):
                self.note('model', moment, {'digest': digest[:12]})
        same = before is not None and all(
            before.values.get(name) == status.values.get(name) for name in ('n', 'evidence'))
        n = status.count('n')
        if same or n is None:
            return
        self._curve.append(Point(
            moment, n, *(number(name) for name in (
                'nll', 'nll_ci_low', 'nll_ci_high', 'entropy', 'kl', 'evidence'))))

    def series(self, span: float, now: float) -> dict[str, Any]:
        """
        Return the figures over time, in columns, thinned out to what a chart can show.

        Parameters
        ----------
        span : seconds before now
        now : seconds on the recognizer's clock

        """
        points = self._curve.since(now - span)
        step = max(1, -(-len(points) // SHOWN))
        points = points[::-1][::step][::-1]  # the newest is never left out
        columns = {name: [for_json(value) for value in column] for name, column in zip(
            COLUMNS, points.T.tolist(), strict=True) if name != 'n'}
        return {'now': now, 'span': span, **columns,
                **{f'change_{end}': self._moment_of(f'change_{name}') for end, name in (
                    ('moment', 'at'), ('first', 'first'), ('last', 'last'))}}

    def _moment_of(self, name: str) -> float | None:
        """Return when the label came that the alarm tells of by its number, if it does."""
        if self.monitor is None or isnan(number := self.monitor.number(name)):
            return None
        return self._curve.moment_after(number)

    def classes(self) -> list[dict[str, Any]]:
        """Return the figures of each label's frames, the label with the greatest NLL first."""
        rows = []
        surprise = cost_of_surprise(max(2, len(self.labels)))
        for label in dict.fromkeys([*self.labels, *(frame.label for frame in self._recent)]):
            frames = [frame for frame in self._recent if frame.label == label]
            if frames:
                rows.append({
                    'label': label, 'n': len(frames),
                    **_figures(frames, surprise)})
        rows.sort(key=lambda row: -float(str(row['nll'])))
        return [{name: for_json(value) if isinstance(value, float) else value
                 for name, value in row.items()} for row in rows]

    def mistakes(self) -> dict[str, Any]:
        """Return the labels that were recently confused, and the newest such frames."""
        wrong = [frame for frame in reversed(self._recent) if frame.guess != frame.label]
        pairs = Counter((frame.label, frame.guess) for frame in wrong)
        return {
            'frames_seen': len(self._recent),
            'pairs': [{'label': label, 'guess': guess, 'n': n}
                      for (label, guess), n in pairs.most_common()],
            'frames': [_told(frame) for frame in wrong[:MISTAKES]]}

    def surprising(self) -> list[dict[str, Any]]:
        """Return the confirmed frames with the greatest NLL, the worst first."""
        worst = sorted(self._recent, key=lambda frame: (-frame.nll, -frame.moment))[:MISTAKES]
        return [_told(frame) for frame in worst if frame.nll > 0.0]

    def picture(self, key: FrameKey) -> bytes | None:
        """Return the JPEG of a recently confirmed frame, or None."""
        frame = next((old for old in self._recent if old.key == key), None)
        if frame is None or frame.picture is None:
            return None
        try:
            return (frame.picture if isinstance(frame.picture, bytes)
                    else frame.picture.read_bytes())
        except OSError:  # the journal has removed it
            return None

    def events(self) -> list[dict[str, Any]]:
        """Return the newest events, the newest first."""
        return list(self._events)

    def status(self) -> dict[str, Any]:
        """Return the statuses as they came."""
        def plain(status: Status | None) -> dict[str, Any] | None:
            if status is None:
                return None
            return {'level': status.level, 'message': status.message,
                    'values': dict(status.values)}
        return {'monitor': plain(self.monitor),
                'health': {name: plain(status) for name, status in self.health.items()}}


def _told(frame: ScoredFrame) -> dict[str, Any]:
    return {'stamp': str(frame.key.stamp), 'frame_id': frame.key.frame_id, 'label': frame.label,
            'guess': frame.guess, 'probability': for_json(frame.probability),
            'nll': for_json(frame.nll), 'moment': frame.moment,
            'picture': frame.picture is not None}


def _figures(frames: list[ScoredFrame], surprise: float) -> dict[str, float]:
    """Take NLL and accuracy of a label's frames, each with the ends of its 95 % interval."""
    n = len(frames)
    nll, low, high = mean_cost(np.array([frame.nll for frame in frames]), np.ones(n), surprise)
    right = sum(frame.guess == frame.label for frame in frames) / n
    least, most = wilson_interval(right, n)
    return {'nll': nll, 'nll_ci_low': low, 'nll_ci_high': high,
            'right': right, 'right_ci_low': least, 'right_ci_high': most}


def for_json(value: float) -> float | str | None:
    """Write a number for JSON: inf as text, nan as null."""
    if isnan(value):
        return None
    return ('inf' if value > 0 else '-inf') if isinf(value) else value
