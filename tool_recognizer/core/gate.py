"""
Gates: when an object is before the camera, so that a passage begins and ends.

A gate hears that something is there or not, with the moment of it, and is asked what follows by
the frames, in the order of time. What follows depends on these moments alone, not on the threads
that bring them: so a replay has the passages that were live. Left out: where it hears it from.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from tool_recognizer.core.recognition import Stamp

# Changes that may wait for a frame, at most: a switch that chatters.
MOST_WAITING = 1000
# Frames in a row that must say so, where frames say it: one or two are noise at any rate.
FRAMES = 3
# A frame that arrived this long after its stamp, or before it, has a stamp of another clock, ns.
CLOCKS_APART = 1_000_000_000
# A clock that goes back by more has jumped, ns; by less it is another thread's look at it.
JUMP = 5_000_000_000


class Edge(NamedTuple):
    """
    A passage begins or ends.

    Attributes
    ----------
    moment : ns
    begins : or else it ends
    reason : 'present'; 'absent', 'too_long', 'clock_back'

    """

    moment: int
    begins: bool
    reason: str


class Gate:
    """
    See the module.

    What is there for less than ``debounce`` is noise, as is its absence for less. A passage that
    is too long ends, and no other one begins before the place was empty.

    Parameters
    ----------
    debounce : ns
    longest : of a passage, ns
    by_stamp : whether a frame from before the object came is known by its stamp; not where it is
        the frames that say so
    least : how often in a row it must be said, before it counts

    Attributes
    ----------
    debounce, longest, by_stamp, least : as given
    opened : when the passage that is under way began, ns; None: there is none
    heard_at : when it heard last, ns; None: never
    stuck : whether something is there still that made a passage too long
    lost : changes that came when too many waited already

    """

    def __init__(self, debounce: int, longest: int, by_stamp: bool = True, least: int = 1
                 ) -> None:
        self.debounce, self.longest, self.by_stamp = debounce, longest, by_stamp
        self.least = least
        self.opened: int | None = None
        self.heard_at: int | None = None
        self.stuck = False
        self.lost = 0
        self._waiting: deque[tuple[int, bool]] = deque()
        self._value = self._steady = False
        # When the value became what it is; and when the passage's object came.
        self._since = self._came = 0
        # How often in a row the value was said, and when it was often enough.
        self._said = self._enough = 0
        self._now: int | None = None

    @property
    def present(self) -> bool:
        """Whether something is there, as heard last, steady or not."""
        return self._value

    def hear(self, present: bool, moment: int) -> None:
        """Hear whether something is there; moment : ns, when it was said."""
        self.heard_at = moment
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            self._waiting.pop()  # the last word counts
        self._waiting.append((moment, present))

    def look(self, moment: int) -> Iterator[Edge]:
        """
        Yield what has followed by a moment.

        Parameters
        ----------
        moment : ns, of a frame's arrival or of now; one that is a little before another counts as
            the same

        """
        if self._now is not None and moment < self._now - JUMP:
            yield from self._jump(moment)
        self._now = moment = max(moment, self._now or moment)
        while self._waiting and self._waiting[0][0] <= moment:
            at, value = self._waiting.popleft()
            yield from self._until(at)
            if value != self._value:
                self._value, self._since, self._said = value, at, 0
            self._said += 1
            if self._said == self.least:
                self._enough = at
        yield from self._until(moment)

    def holds(self, arrival: int, stamp: Stamp) -> bool:
        """
        Tell whether a frame is of the passage that is under way.

        Parameters
        ----------
        arrival : ns, on the clock of the gate's moments
        stamp : of the frame: one from before the object came shows another one. Where it is of
            another clock, only the arrival is known

        """
        if self.opened is None or not self._value or arrival < self.opened:
            return False
        return (not self.by_stamp or stamp >= self._came
                or abs(arrival - stamp) > CLOCKS_APART)

    @property
    def is_waiting(self) -> bool:
        """Whether it heard something that nobody has looked at yet."""
        return bool(self._waiting)

    def close(self) -> None:
        """End the passage that is under way, for a reason of the caller's."""
        self.opened = None

    def rest(self, moment: int) -> None:
        """Take it that nothing is there from a moment on, ns, until it is said anew."""
        self.opened, self.stuck = None, False
        self._waiting.clear()
        self._value = self._steady = False
        self._since = moment

    def _until(self, moment: int) -> Iterator[Edge]:
        due = max(self._since + self.debounce, self._enough)
        changes = self._value != self._steady and self._said >= self.least and due <= moment
        limit = None if self.opened is None else self.opened + self.longest
        if limit is not None and limit <= moment and not (changes and due < limit):
            self.opened, self.stuck = None, True
            yield Edge(limit, False, 'too_long')
        if not changes:
            return
        self._steady = self._value
        if self._steady:
            self.opened, self._came = due, self._since
            yield Edge(due, True, 'present')
            yield from self._until(moment)  # which may have been too long already
        else:
            self.stuck = False
            if self.opened is not None:
                self.opened = None
                yield Edge(due, False, 'absent')

    def _jump(self, moment: int) -> Iterator[Edge]:
        # Whether what is there now was there then, nobody knows: no passage begins with it.
        self._now, self._since, self._steady = None, moment, self._value
        self._waiting = deque(kept for kept in self._waiting if kept[0] <= moment + JUMP)
        if self.opened is not None:
            self.opened = None
            yield Edge(moment, False, 'clock_back')
