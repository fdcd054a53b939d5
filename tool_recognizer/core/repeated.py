"""
Repeated pictures: confirmed frames that show what the drift test has just had under their label.

Labels of one object that is confirmed again and again depend on each other, and break the test's
promise. So a frame that is nearly the same picture as the last tested one of its label
(``sketch``) is kept out of the test.
"""

from typing import Any

from tool_recognizer.core.sketch import alike

# After so many in a row one is tested all the same: should all tools of a label look alike, the
# test goes on with them, more slowly.
LONGEST = 10


class RepeatedPictures:
    """
    The last tested picture of each label.

    Attributes
    ----------
    count : frames that were kept out

    """

    def __init__(self) -> None:
        self.count = 0
        # Sketch of the last tested frame of a label, and how many were kept out since.
        self._last: dict[int, tuple[bytes, int]] = {}

    def keeps_out(self, label: int, sketch: bytes) -> bool:
        """
        Take the next confirmed frame in; tell whether it is kept out of the test.

        Parameters
        ----------
        label : its true label, the most probable one of a soft label
        sketch : of its features

        """
        last, passed = self._last.get(label, (b'', 0))
        if passed < LONGEST and alike(last, sketch):
            self._last[label] = last, passed + 1
            self.count += 1
            return True
        self._last[label] = sketch, 0
        return False

    def to_state(self) -> list[Any]:
        """Return all that it knows, as JSON can hold it."""
        return [self.count, [[label, sketch.hex(), passed]
                             for label, (sketch, passed) in self._last.items()]]

    @classmethod
    def from_state(cls, state: list[Any]) -> 'RepeatedPictures':
        """Return what ``to_state`` described."""
        self = cls()
        self.count, last = state
        self._last = {label: (bytes.fromhex(sketch), passed) for label, sketch, passed in last}
        return self
