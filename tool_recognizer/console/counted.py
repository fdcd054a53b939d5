"""
What the recognizer counts in /diagnostics, as metrics.

One table says which. A metric's name stands in it; the value of its label is in many cases the
rest of a key, so that a new reason shows up by itself. What comes from outside has a bound all the
same: each label takes the first ``MOST`` values, and all others are counted as 'other'.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric
from tool_recognizer.console.board import Status

PREFIX = 'tool_recognizer'
MOST, LONGEST, OTHER = 100, 64, 'other'


class Family(NamedTuple):
    """A metric: what it is, and the name of its label; '' for none."""

    text: str
    label: str = ''


class Place(NamedTuple):
    """
    Where a number stands in /diagnostics.

    Attributes
    ----------
    status : the last part of the status's name
    key : of its value; one that ends with ``_`` is how several begin
    family : the metric that it goes to
    value : of the label; '' for the rest of the key, or if there is no label

    """

    status: str
    key: str
    family: str
    value: str = ''


COUNTERS = {
    'frames_received': Family('Frames received'),
    'frames_answered': Family('Frames answered'),
    'frames_dropped': Family('Frames that were not answered', 'reason'),
    'frames_stamped_badly': Family('Frames with a faulty stamp', 'fault'),
    # Of all reasons together, too: a series that begins with its first count has no increase that
    # an alert could see.
    'confirmations_invalid': Family('Confirmations that could not be used'),
    'confirmations_refused': Family('Confirmations that could not be used, by what is wrong',
                                    'reason'),
    'notes_invalid': Family('Notes of what people did that could not be kept'),
    'callback_errors': Family('Faults in the recognizer that it has survived'),
    'journal_lost': Family('What the journal could not keep', 'what'),
}
GAUGES = {
    'decision_share': Family('Share of each reserved id in the last decisions', 'decision'),
    'decision_share_limit': Family('The share above which something is to be mended'),
    'decision_share_promised': Family('The most known tools that the model promises to refuse',
                                      'decision'),
    'journal_bytes': Family('Size of the journal, its pictures left out'),
    'journal_disk_free_bytes': Family("Room on the journal's disk"),
}
FAMILIES = COUNTERS | GAUGES
PLACES = (
    Place('input', 'received', 'frames_received'),
    Place('input', 'answered', 'frames_answered'),
    Place('input', 'dropped_', 'frames_dropped'),
    Place('input', 'stamps_', 'frames_stamped_badly'),
    Place('input', 'invalid_confirmations', 'confirmations_invalid'),
    Place('input', 'refused_', 'confirmations_refused'),
    Place('input', 'invalid_notes', 'notes_invalid'),
    Place('inference', 'callback_errors', 'callback_errors'),
    Place('decisions', 'share_', 'decision_share'),
    Place('decisions', 'limit', 'decision_share_limit'),
    Place('decisions', 'promised_', 'decision_share_promised'),
    Place('journal', 'dropped_predictions', 'journal_lost', 'predictions'),
    Place('journal', 'pictures_lost', 'journal_lost', 'pictures'),
    Place('journal', 'refused_events', 'journal_lost', 'events'),
    Place('journal', 'bytes', 'journal_bytes'),
    Place('journal', 'disk_free_bytes', 'journal_disk_free_bytes'),
)


class Values:
    """The values of a label that come from outside: a bounded number, each of bounded length."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def named(self, value: str) -> str:
        """Return a value, or 'other' for one too many; what was named once stays."""
        if value not in self._known:
            if len(self._known) >= MOST or len(value) > LONGEST or not value.isprintable():
                return OTHER
            self._known.add(value)
        return value


class Counted:
    """See the module; it remembers which values its labels have taken."""

    def __init__(self) -> None:
        self._values = {name: Values() for name in FAMILIES}

    def metrics(self, health: Mapping[str, Status]) -> Iterator[Metric]:
        """Yield what the newest statuses hold, by the last part of their names."""
        counts: dict[str, dict[str, float]] = {}
        for status, key, family, value in PLACES:
            for name, number in _numbers(health.get(status, Status(0, '')), key):
                label = value or name
                if FAMILIES[family].label:
                    label = self._values[family].named(label)
                found = counts.setdefault(family, {})
                found[label] = found.get(label, 0.0) + number
        for family, numbers in counts.items():
            text, label = FAMILIES[family]
            kind = CounterMetricFamily if family in COUNTERS else GaugeMetricFamily
            metric = kind(f'{PREFIX}_{family}', text, labels=[label] if label else [])
            for value, number in numbers.items():
                metric.add_metric([value] if label else [], number)
            yield metric


def _numbers(status: Status, key: str) -> Iterator[tuple[str, float]]:
    """Yield the counts under a key, or under all that begin with it, by the rest of the key."""
    for name in status.values:
        if name == key or (key.endswith('_') and name.startswith(key)):
            number = status.number(name)
            if isfinite(number) and number >= 0.0:
                yield name.removeprefix(key), number
