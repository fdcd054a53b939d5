"""
What a camera's stamps are good for.

A frame is known by its stamp and frame_id. A stamp of 0 is one that nobody set, and one that
stands still is given to several frames: what is said of such a frame can be joined to none.
Stamps that run backwards once are a recording that starts again; again and again, they come from
two clocks in one topic, as frames by turns with one and another frame_id come from two cameras.
"""

from collections import Counter
from collections import deque

from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.text import Said

ZERO, STILL, BACK, MIXED = FAULTS = ('zero', 'still', 'back', 'mixed')
# Frames that are judged together, and how many of them, and which share, make a trouble.
RECENT = 100
FEWEST, SHARE = 3, 0.2
# Frame ids whose newest stamp is kept, those that came last.
CAMERAS = 100

DRIVER = ('confirmations cannot be joined to its frames; let its driver put the time of each '
          'frame into header.stamp')
WORDS = {
    ZERO: f"the camera's stamps are 0 in {{n}} of the last {{of}} frames: {DRIVER}",
    STILL: f"the camera's stamps stand still in {{n}} of the last {{of}} frames: {DRIVER}",
    BACK: "the camera's stamps go back in {n} of the last {of} frames: two cameras, or a camera "
          'and a recording, are in one topic, or the clock of its machine jumps; leave one of '
          'them',
    MIXED: 'frames of several cameras are in one topic, by turns in {n} of the last {of} frames: '
           'they are answered as one; leave one of them, or start a recognizer for each'}


class StampWatch:
    """
    Look at the stamps of frames, in the order in which they come.

    Parameters
    ----------
    recent : the last frames that ``trouble`` speaks of; None: all

    Attributes
    ----------
    counts : frames with a stamp of 0 ('zero'), with that of the frame before ('still'), with an
        older one ('back'), of the same frame_id; and with another frame_id than the one before
        ('mixed')

    """

    def __init__(self, recent: int | None = RECENT) -> None:
        self.counts: Counter[str] = Counter()
        self._newest: dict[str, Stamp] = {}
        self._frame_id: str | None = None
        self._recent: deque[str] = deque(maxlen=recent)

    def look(self, key: FrameKey) -> str:
        """Return what is wrong with a frame: 'zero', 'still', 'back', 'mixed', or ''."""
        newest = self._newest.pop(key.frame_id, None)
        self._newest[key.frame_id] = key.stamp
        if len(self._newest) > CAMERAS:
            del self._newest[next(iter(self._newest))]
        faults = [fault for fault, found in (
            (ZERO, key.stamp == 0), (STILL, key.stamp == newest),
            (BACK, newest is not None and key.stamp < newest),
            (MIXED, self._frame_id not in (None, key.frame_id))) if found]
        self._frame_id = key.frame_id
        self.counts.update(faults)
        self._recent.append(faults[0] if faults else '')
        return self._recent[-1]

    def trouble(self) -> Said:
        """Say what is wrong with the last frames' stamps, and what mends it; '' if nothing is."""
        recent = Counter(self._recent.copy())
        for fault in FAULTS:
            if recent[fault] >= FEWEST and recent[fault] > SHARE * recent.total():
                return Said(WORDS[fault].format(n=recent[fault], of=recent.total()),
                            f'stamps_{fault}')
        return Said()
