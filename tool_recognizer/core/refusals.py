"""
How often no label could be given lately, for which reason, and what mends it.

A reserved id now and then is how a recognizer should be; when most decisions are one, a camera or
a model needs somebody. Left out: what is decided on one frame (``decision``).
"""

from collections import Counter
from collections import deque

from tool_recognizer.core.decision import BLURRED
from tool_recognizer.core.decision import DARK
from tool_recognizer.core.decision import DRIFT
from tool_recognizer.core.decision import FROZEN
from tool_recognizer.core.decision import LOW_CONFIDENCE
from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.decision import NOT_A_KNOWN_TOOL
from tool_recognizer.core.decision import OVEREXPOSED
from tool_recognizer.core.decision import SEVERAL_TOOLS
from tool_recognizer.core.text import Said

# Decisions that are looked at together, the last ones; and how many there must be to speak of.
RECENT, FEWEST = 200, 20
# What is told stays told until it has less than this part of the share from which it is told:
# near the limit it would come and go with every decision.
RELEASE = 0.8
CURES = {
    LOW_CONFIDENCE: 'the model is sure of no label: look at the picture, and at the figures of '
                    'confirmed frames; train it with frames of this line, or lower '
                    'decision.min_probability',
    NOT_A_KNOWN_TOOL: 'what is seen is none of the tools that the model knows, or nothing is in '
                      'view: look at the picture; train the model with frames of this line, or '
                      'set decision.reject_unknown to false',
    DARK: 'see to the light, and to the exposure time of the camera',
    OVEREXPOSED: 'shorten the exposure time, or screen the light off',
    BLURRED: 'focus and clean the lens, and shorten the exposure time',
    SEVERAL_TOOLS: 'show one tool at a time, or set region to the place where it lies; without '
                   'locate.single the most probable one is answered',
    FROZEN: 'the camera delivers its last picture again and again: start its driver anew',
    NO_FRAME: 'no fresh frame is answered in time: see the input; a camera that is slower than '
              'decision.deadline needs a longer one',
    DRIFT: 'the monitor has found drift: see its status, mend the cause, then reset it'}


class RecentDecisions:
    """The last decisions, as shares."""

    def __init__(self) -> None:
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._told: frozenset[str] = frozenset()
        self._limit = 1.0  # at which they were told

    def note(self, class_id: str) -> None:
        """Take in a decision, in any thread."""
        self._recent.append(class_id)

    def shares(self) -> dict[str, float]:
        """Return the share of each reserved id in the last decisions; 0.0 of those without one."""
        recent = Counter(self._recent.copy())
        return {reason: recent[reason] / max(1, recent.total()) for reason in CURES}

    def troubles(self, limit: float) -> list[Said]:
        """
        Say which reserved ids have more than a share of the last decisions, and what mends that.

        Parameters
        ----------
        limit : the share, 0 to 1

        Returns
        -------
        The most frequent first, each with its reserved id as the code; none while there are fewer
        than ``FEWEST`` decisions. What was told the last time is told again until its share is
        below ``RELEASE`` of the limit.

        """
        recent = Counter(self._recent.copy())
        total = recent.total()
        if limit != self._limit:
            self._told, self._limit = frozenset(), limit
        found = {reason: n for reason, n in recent.most_common()
                 if reason in CURES and total >= FEWEST
                 and n > limit * total * (RELEASE if reason in self._told else 1)}
        self._told = frozenset(found)
        return [Said(f'{reason} in {n} of the last {total} decisions: {CURES[reason]}', reason)
                for reason, n in found.items()]
