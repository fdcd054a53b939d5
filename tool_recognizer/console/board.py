"""
What the engineer sees: figures over time, the last confirmed frames, and events.

Numbers go to the browser as they are; JSON has no inf and no nan, so inf goes as the text 'inf',
and what is not known as null. A stamp goes as text: it has more digits than a number of JavaScript
can hold.
"""

from bisect import bisect_left
from collections import Counter
from collections import deque
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from math import isinf
from math import isnan
from typing import Any

from tool_recognizer.console.history import Point
from tool_recognizer.console.history import ScoredFrame
from tool_recognizer.core.recognition import FrameKey

DAY = 86_400.0
RANGES = {'5m': 300.0, '1h': 3600.0, '24h': DAY}
# Points in one chart, confirmed frames and events that are kept, and mistakes that are shown.
SHOWN, RECENT, EVENTS, MISTAKES = 300, 200, 100, 12
MOST_POINTS = 50_000


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
        self._points: deque[Point] = deque(maxlen=MOST_POINTS)
        self._recent: deque[ScoredFrame] = deque(maxlen=RECENT)
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS)

    @property
    def asking(self) -> bool:
        """Whether the recognizer asks operators for frames, as far as is known."""
        inspection = self.health.get('inspection')
        return inspection is None or inspection.number('probability') != 0.0

    def remember(self, points: Iterable[Point], frames: Iterable[ScoredFrame]) -> None:
        """Take in the past, as a journal has it."""
        old = sorted([*points, *self._points], key=lambda point: point.moment)
        self._points = deque(old, maxlen=MOST_POINTS)
        for frame in frames:
            self.score(frame)

    def score(self, frame: ScoredFrame) -> None:
        """Take in a confirmed frame; of two confirmations of one frame the later one is kept."""
        known = next((old for old in self._recent if old.key == frame.key), None)
        if known is not None:
            self._recent.remove(known)
            if frame.picture is None and known.picture is not None:
                frame = ScoredFrame(**{**vars(frame), 'picture': known.picture})
        self._recent.append(frame)

    def note(self, kind: str, detail: str, moment: float) -> None:
        """Note an event."""
        self._events.appendleft({'kind': kind, 'detail': detail, 'moment': moment})

    def watch(self, status: Status, moment: float) -> None:
        """Take in a status of the monitor; one that says something new becomes a point."""
        before, self.monitor = self.monitor, status
        number = status.number
        if before is not None:
            if before.level != status.level:
                self.note('alarm' if status.level == 2 else 'monitor', status.message, moment)
            if number('n') < before.number('n'):
                self.note('reset', '', moment)
            digest = status.values.get('model_digest', '')
            if digest != before.values.get('model_digest', ''):
                self.note('model', digest[:12], moment)
        same = before is not None and all(
            before.values.get(name) == status.values.get(name) for name in ('n', 'evidence'))
        if same or isnan(number('n')):
            return
        self._points.append(Point(
            moment, int(number('n')), *(number(name) for name in (
                'nll', 'nll_ci_low', 'nll_ci_high', 'entropy', 'kl', 'evidence'))))
        while self._points[0].moment < moment - DAY:
            self._points.popleft()

    def series(self, span: float, now: float) -> dict[str, Any]:
        """
        Return the figures over time, in columns, thinned out to what a chart can show.

        Parameters
        ----------
        span : seconds before now
        now : seconds on the recognizer's clock

        """
        begin = bisect_left(self._points, now - span, key=lambda point: point.moment)
        # One point before the range, so that a line enters the chart from the left.
        points = list(self._points)[max(0, begin - 1):]
        step = max(1, -(-len(points) // SHOWN))
        points = points[::-1][::step][::-1]  # the newest is never left out
        columns = {name: [for_json(getattr(point, name)) for point in points] for name in (
            'moment', 'nll', 'nll_ci_low', 'nll_ci_high', 'entropy', 'kl', 'evidence')}
        return {'now': now, 'span': span, **columns, 'change_moment': self._change_moment()}

    def _change_moment(self) -> float | None:
        """Return when the label came after which things changed, as the alarm estimates it."""
        if self.monitor is None or isnan(change := self.monitor.number('change_at')):
            return None
        run: list[Point] = []
        for point in self._points:
            if run and point.n < run[-1].n:
                run = []
            run.append(point)
        place = bisect_left(run, change + 1, key=lambda point: point.n)
        return run[place].moment if place < len(run) else None

    def classes(self) -> list[dict[str, Any]]:
        """Return the confirmed frames by label, the label with the greatest mean NLL first."""
        rows = []
        for label in dict.fromkeys([*self.labels, *(frame.label for frame in self._recent)]):
            frames = [frame for frame in self._recent if frame.label == label]
            if frames:
                rows.append({
                    'label': label, 'n': len(frames),
                    'nll': sum(frame.nll for frame in frames) / len(frames),
                    'right': sum(frame.guess == label for frame in frames) / len(frames)})
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
            'frames': [{'stamp': str(frame.key.stamp), 'frame_id': frame.key.frame_id,
                        'label': frame.label, 'guess': frame.guess,
                        'probability': frame.probability, 'nll': for_json(frame.nll),
                        'moment': frame.moment, 'picture': frame.picture is not None}
                       for frame in wrong[:MISTAKES]]}

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


def for_json(value: float) -> float | str | None:
    """Write a number for JSON: inf as text, nan as null."""
    if isnan(value):
        return None
    return ('inf' if value > 0 else '-inf') if isinf(value) else value
