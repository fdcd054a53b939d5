"""
A gate at an engine: which events a passage makes, what a frame is to it, and what is to be told.

Left out: when the gate opens and closes (``core.gate``), what follows from the events
(``core.run``), and publishing.
"""

from collections.abc import Callable

from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import LOW_CONFIDENCE
from tool_recognizer.core.decision import NOT_A_KNOWN_TOOL
from tool_recognizer.core.empty_place import EmptyPlace
from tool_recognizer.core.empty_place import Glance
from tool_recognizer.core.events import PassageBegan
from tool_recognizer.core.events import PassageEnded
from tool_recognizer.core.gate import Gate
from tool_recognizer.core.passage import COUNTS
from tool_recognizer.core.passage import News
from tool_recognizer.core.passage import UNFIT
from tool_recognizer.core.passage import UNLIKE
from tool_recognizer.core.passages import Passages
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction

Record = Callable[[PassageBegan | PassageEnded], object]


class Gating:
    """
    See the module.

    Parameters
    ----------
    kind : 'topic', 'picture' or 'service'
    gate : of its own

    Attributes
    ----------
    kind, gate : as given
    place : for the gate 'picture'

    """

    def __init__(self, kind: str, gate: Gate) -> None:
        self.kind, self.gate = kind, gate
        self.place = EmptyPlace()

    def see(self, seen: Glance, is_tool: bool, moment: int) -> None:
        """Let a frame, as ``EmptyPlace.look`` takes it, open or close the gate; moment : ns."""
        self.gate.hear(self.place.look(seen, is_tool), moment)

    def look_elsewhere(self) -> None:
        """Learn the empty place anew, for another part of the frame is looked at."""
        self.place = EmptyPlace()

    @property
    def is_idle(self) -> bool:
        """Whether no passage is under way, and none is to begin with what was heard."""
        return not (self.gate.opened is not None or self.gate.present or self.gate.is_waiting)

    def call(self, moment: int) -> bool:
        """Begin a passage at a moment, ns; False: one is under way."""
        if not self.is_idle:
            return False
        self.gate.hear(True, moment)
        return True

    def look(self, moment: int, passages: Passages, record: Record) -> list[News]:
        """
        Let happen what has followed by a moment.

        Parameters
        ----------
        moment : ns
        passages : of the run
        record : lets an event happen to the run

        """
        news = []
        if passages.open is not None and self.gate.opened is None:
            news.append(self._end(moment, 'restart', passages, record))
        for edge in self.gate.look(moment):
            if edge.begins:
                record(PassageBegan(edge.moment, edge.reason))
                assert passages.open is not None
                news.append(News('began', edge.moment, edge.reason, passages.open.summary()))
            elif passages.open is not None:
                news.append(self._end(edge.moment, edge.reason, passages, record))
                self._rest(edge.moment)
        return news

    def part(self, key: FrameKey, arrival: int, decision: Decision, passages: Passages,
             record: Record) -> tuple[str, list[News]]:
        """
        Tell what a frame is to the passage that is under way.

        A stamp before the passage's first one is a recording that starts again: that ends it.

        Parameters
        ----------
        key : of the frame
        arrival : ns, on the clock of the gate's moments
        decision : on the frame, whether there is a drift alarm or not
        passages, record : as of ``look``

        Returns
        -------
        One of ``PARTS``, or '' if it is of no passage; and what there is to tell

        """
        passage = passages.open
        if passage is None:
            return '', []
        first = passage.key
        if first is not None and key.frame_id == first.frame_id and key.stamp < first.stamp:
            self.gate.close()
            self._rest(arrival)
            return '', [self._end(arrival, 'stamp_back', passages, record)]
        if not self.gate.holds(arrival, key.stamp):
            return '', []
        if ':' not in decision.class_id or decision.class_id == LOW_CONFIDENCE:
            return COUNTS, []
        return (UNLIKE if decision.class_id == NOT_A_KNOWN_TOOL else UNFIT), []

    def decided(self, key: FrameKey, moment: int, passages: Passages, record: Record
                ) -> list[News]:
        """Return what there is to tell if a frame, at a moment in ns, has decided a passage."""
        passage = passages.open
        if passage is None or passage.verdict is None or passage.last != key or (
                passage.verdict.key != key):
            return []
        news = [News('decided', moment, '', passage.summary(), passage.verdict)]
        if self.kind == 'service':  # who asked has the answer
            self.gate.close()
            self._rest(moment)
            news.append(self._end(moment, 'answered', passages, record))
        return news

    def interrupt(self, moment: int, reason: str, passages: Passages, record: Record
                  ) -> tuple[News, ...]:
        """End the passage that is under way, if one is, for a reason of the caller's."""
        if passages.open is None:
            return ()
        self.gate.close()
        self._rest(moment)
        return (self._end(moment, reason, passages, record),)

    def due(self, key: FrameKey, passages: Passages, digest: str) -> Prediction | None:
        """Return a passage's answer if it is with this frame that an operator may be asked."""
        passage = passages.open
        if passage is None or passage.counted != key or passage.last != key or (
                passage.count != passages.rules.min_frames):
            return None
        return passage.prediction(passages.rules, digest)

    def _end(self, moment: int, reason: str, passages: Passages, record: Record) -> News:
        assert passages.open is not None
        told = passages.open.verdict is not None
        record(PassageEnded(moment, reason))
        passage = passages.last
        assert passage is not None
        return News('ended', moment, reason, passage.summary(), None if told else passage.verdict)

    def _rest(self, moment: int) -> None:
        """Let a gate that is opened by a call wait for the next one."""
        if self.kind == 'service':
            self.gate.rest(moment)
