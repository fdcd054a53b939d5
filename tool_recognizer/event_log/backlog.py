"""What waits for a disk that fails: it is all in memory, so there is a bound to it."""

from collections.abc import Iterable

from tool_recognizer.core.events import ConfirmationCorrected
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.event_log.entry import Entry

# Confirmations and other rare events that may wait, and labels of confirmations, each of which may
# have a thousand. Beyond either the log gives up: better none at all than one with holes.
MOST_EVENTS, MOST_LABELS = 100_000, 1_000_000
# Bytes of pictures that may wait, beyond which a confirmation is kept without its own.
MOST_PICTURE_BYTES = 256_000_000


class Backlog:
    """
    Counts of what waits, but for predictions and samples.

    Attributes
    ----------
    events : confirmations and other rare ones

    """

    def __init__(self) -> None:
        self.events = self._labels = self._picture_bytes = 0

    def add(self, entry: Entry) -> None:
        """Count what waits from now on."""
        self._count(entry, 1)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Count what waits no more."""
        for entry in entries:
            self._count(entry, -1)

    @property
    def is_full(self) -> bool:
        """Whether no more events may wait."""
        return self.events >= MOST_EVENTS or self._labels >= MOST_LABELS

    def has_room(self, picture: bytes | None) -> bool:
        """Return whether a picture may wait, too; none always may."""
        return not picture or self._picture_bytes + len(picture) <= MOST_PICTURE_BYTES

    def _count(self, entry: Entry, times: int) -> None:
        event, picture = entry.event, entry.picture
        self.events += times * entry.rare
        if isinstance(event, FrameConfirmed):
            self._labels += times * len(event.confirmation.distribution)
        elif isinstance(event, ConfirmationCorrected):
            self._labels += times * len(event.correction.distribution)
        if picture is not None:
            self._picture_bytes += times * len(picture.content or b'')
