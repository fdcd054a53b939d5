"""
Inspection requests: the frames that operators are asked for, in the order of asking.

A request is shown when its picture is there. It leaves when its frame is confirmed, when its time
is over, or when too many are open. Each case is counted.
"""

from collections import Counter
from collections import OrderedDict
from dataclasses import dataclass
from dataclasses import replace
from typing import TypeVar

from tool_recognizer.core.recognition import FrameKey

Value = TypeVar('Value')

# Pictures that came before their request, and confirmed requests that an undo may bring back.
KEPT = 50
# Bytes of pictures on the desk, at most.
MOST_BYTES = 64_000_000

ASKED, ANSWERED, SKIPPED, EXPIRED, UNDONE = 'asked', 'answered', 'skipped', 'expired', 'undone'


@dataclass(frozen=True)
class Request:
    """
    A frame that the recognizer asks an operator for.

    Attributes
    ----------
    key : the frame
    probabilities : label to the model's probability, in the model's order; nan if it is missing
    inclusion_probability : with which the frame was asked for
    asked_at : seconds on a steady clock
    picture : the frame as JPEG; None until it has come

    """

    key: FrameKey
    probabilities: dict[str, float]
    inclusion_probability: float
    asked_at: float
    picture: bytes | None = None

    @property
    def guess(self) -> str:
        """Return the label that the model takes for the most probable; of equals, the first."""
        # What is missing is greater than nothing.
        return max(self.probabilities, key=lambda label: max(-1.0, self.probabilities[label]))


class Desk:
    """
    Open requests.

    Parameters
    ----------
    patience : seconds after which a request expires
    limit : open requests at most; the oldest expires, also when pictures take too much memory

    Attributes
    ----------
    counts : since the start: 'asked', then 'answered', 'skipped' or 'expired'; a confirmation that
        was taken back stays counted, and is counted as 'undone', too

    """

    def __init__(self, patience: float, limit: int) -> None:
        self._patience = patience
        self._limit = limit
        self.counts: Counter[str] = Counter(
            dict.fromkeys((ASKED, ANSWERED, SKIPPED, EXPIRED, UNDONE), 0))
        self._open: OrderedDict[FrameKey, Request] = OrderedDict()
        self._pictures: OrderedDict[FrameKey, bytes] = OrderedDict()
        self._confirmed: OrderedDict[FrameKey, Request] = OrderedDict()

    def __len__(self) -> int:
        """Count the open requests that can be shown."""
        return sum(request.picture is not None for request in self._open.values())

    def ask(self, request: Request) -> None:
        """Put a request on the desk; one that is there already stays as it is."""
        if request.key in self._open:
            return
        self.counts[ASKED] += 1
        picture = self._pictures.pop(request.key, request.picture)
        self._open[request.key] = replace(request, picture=picture)
        if len(self._open) > self._limit:
            self._open.popitem(last=False)
            self.counts[EXPIRED] += 1
        self._make_room()

    def show(self, key: FrameKey, picture: bytes) -> None:
        """Give a request its picture, which may come first."""
        if key in self._open:
            self._open[key] = replace(self._open[key], picture=picture)
        else:
            _keep(self._pictures, key, picture)
        self._make_room()

    def _make_room(self) -> None:
        """Let the oldest go, what is not shown first, until the pictures take what they may."""
        pictures = [*self._pictures.values(), *(request.picture or b'' for store in (
            self._confirmed, self._open) for request in store.values())]
        excess = sum(map(len, pictures)) - MOST_BYTES
        while excess > 0:
            if self._pictures:
                excess -= len(self._pictures.popitem(last=False)[1])
            elif self._confirmed:
                excess -= len(self._confirmed.popitem(last=False)[1].picture or b'')
            else:
                excess -= len(self._open.popitem(last=False)[1].picture or b'')
                self.counts[EXPIRED] += 1

    def head(self) -> Request | None:
        """Return the request to be shown now: the oldest that has its picture."""
        return next((r for r in self._open.values() if r.picture is not None), None)

    def find(self, key: FrameKey) -> Request | None:
        """Return an open request, or one that was recently confirmed."""
        return self._open.get(key) or self._confirmed.get(key)

    def confirm(self, key: FrameKey, skipped: bool) -> None:
        """Take a confirmed request off the desk; an unknown one changes nothing."""
        request = self._open.pop(key, None)
        if request is not None:
            self.counts[SKIPPED if skipped else ANSWERED] += 1
            _keep(self._confirmed, key, request)

    def undo(self, key: FrameKey, now: float) -> None:
        """Put a request whose confirmation was taken back on top again, with all its time."""
        request = self._confirmed.pop(key, None)
        if request is None:
            return
        self.counts[UNDONE] += 1
        self._open[key] = replace(request, asked_at=now)
        self._open.move_to_end(key, last=False)

    def expire(self, now: float) -> int:
        """Remove the requests whose time is over; return how many there were."""
        over = [key for key, request in self._open.items()
                if now - request.asked_at > self._patience]
        for key in over:
            del self._open[key]
        self.counts[EXPIRED] += len(over)
        return len(over)


def _keep(store: OrderedDict[FrameKey, Value], key: FrameKey, value: Value) -> None:
    store[key] = value
    store.move_to_end(key)
    if len(store) > KEPT:
        store.popitem(last=False)
