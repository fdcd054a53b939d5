"""Which line a console is for: what its pages and its metrics call it."""

from typing import NamedTuple


class Line(NamedTuple):
    """
    A line, by the recognizer that watches it.

    Attributes
    ----------
    recognizer : the whole name of its node
    domain : the ROS domain in which it is listened for
    name : what people call the line; '' if nobody has said

    """

    recognizer: str = ''
    domain: int = 0
    name: str = ''

    @property
    def title(self) -> str:
        """Return what a page calls it."""
        return self.name or self.recognizer

    def labels(self) -> dict[str, str]:
        """Return what each metric is labelled with; nothing without a recognizer's name."""
        known = {'recognizer': self.recognizer, 'line': self.name}
        return {label: value for label, value in known.items() if value}


UNNAMED = Line()
