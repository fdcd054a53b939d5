"""
Figures for Prometheus.

Counters that the recognizer keeps are passed on as it keeps them; what happens frame by frame is
counted here. All names begin with ``tool_recognizer_``; seconds and nats are the units.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from math import isnan
from math import log
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client import generate_latest
from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import InfoMetricFamily
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from tool_recognizer.console.counted import Counted
from tool_recognizer.console.counted import PREFIX
from tool_recognizer.console.counted import Values
from tool_recognizer.console.line import Line
from tool_recognizer.console.line import UNNAMED

SECONDS = (.002, .005, .01, .02, .03, .05, .075, .1, .2, .5, 1.0, 2.0, 5.0)
NATS = (.001, .01, .05, .1, .2, .3, .5, .7, 1.0, 1.5, 2.0, 3.0)
# The monitor's values that are gauges, and what each is.
GAUGES = {
    'nll': 'Mean NLL of the confirmed labels over the window, nats',
    'nll_ci_low': 'Low end of its 95 % interval, nats',
    'nll_ci_high': 'High end of its 95 % interval, nats',
    'reference_nll': "The model's NLL on its reference, nats",
    'entropy': 'Mean entropy of the confirmed distributions over the window, nats',
    'kl': 'Mean KL divergence of the predictions from them, nats',
    'marginal_kl': 'KL divergence of the mean prediction from the mean confirmed label, nats',
    'accuracy': 'Share of confirmed labels that the model put first',
    'evidence': 'Evidence for drift',
    'threshold': 'Evidence at which there is an alarm',
    'n': 'Confirmed and scored frames since the run began',
}
OUTCOMES = ('scored', 'late', 'duplicate', 'conflicting', 'unmatched', 'novel', 'skipped',
            'volunteered', 'ambiguous', 'outside', 'no_room')


class Metrics(Collector):
    """
    What is counted frame by frame, and what is asked for when somebody scrapes.

    Parameters
    ----------
    line : what all of it is labelled with

    """

    def __init__(self, line: Line = UNNAMED) -> None:
        self._labels = line.labels()
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            f'{PREFIX}_latency_seconds', "From a frame's stamp to its prediction, received here",
            buckets=SECONDS, registry=self._registry)
        self._entropy = Histogram(
            f'{PREFIX}_prediction_entropy_nats', "Entropy of the model's predictions",
            buckets=NATS, registry=self._registry)
        self._decisions: Counter[str] = Counter()
        self._acknowledged: Counter[str] = Counter()
        self._clients: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._lock = Lock()
        self._counted = Counted()
        self._kinds, self._outcomes = Values(), Values()
        self._source: Callable[[], dict[str, Any]] = dict
        # What the console's own callbacks have raised; whoever runs them counts it.
        self.callback_errors: Callable[[], int] = lambda: 0
        self._registry.register(self)

    def predicted(self, probabilities: Iterable[float], latency: float) -> None:
        """Count a prediction; a latency that only differing clocks explain is left out."""
        known = list(probabilities)
        if not any(map(isnan, known)):
            self._entropy.observe(-sum(p * log(p) for p in known if p > 0.0))
        if 0.0 <= latency < 3600.0:
            self._latency.observe(latency)

    def decided(self, decision: str) -> None:
        """Count a decision."""
        self._decisions[self._kinds.named(decision)] += 1

    def acknowledged(self, outcome: str) -> None:
        """Count an acknowledgement by its outcome."""
        self._acknowledged[self._outcomes.named(outcome)] += 1

    def refused(self, reason: str) -> None:
        """Count what was refused: a message, a request or a connection; from any thread."""
        with self._lock:
            self._refused[reason] += 1

    def client(self, view: str, change: int) -> None:
        """Count a page that was opened (1) or closed (-1)."""
        self._clients[view] += change

    def clients(self, view: str) -> int:
        """Return how many pages of a view are open."""
        return self._clients[view]

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(_Labelled(self._registry, self._labels))

    def collect_from(self, source: Callable[[], dict[str, Any]]) -> None:
        """Ask this source when somebody scrapes; see ``Console``."""
        self._source = source

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand: the reasons of drops are not known yet."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield what is asked for only now."""
        known = self._source()
        if not known:
            return
        yield _gauge('up', 'Whether the recognizer responds', known['alive'])
        yield from _health(known['health'])
        yield from self._counted.metrics(known['health'])
        if known['monitor'] is not None:
            yield from _monitor(known['monitor'])
        yield _counters('decisions', 'Decisions, by class_id', 'decision', self._decisions)
        yield _counters('console_requests', 'Inspection requests, by what became of '
                        'them', 'result', known['requests'])
        yield _counters('console_acknowledgements', 'Acknowledged confirmations, by outcome',
                        'outcome', self._acknowledged)
        yield _gauge('console_requests_open', 'Open inspection requests', known['open'])
        yield _gauge('console_answers_unacknowledged', 'Confirmations that the recognizer has '
                     'not acknowledged', known['unacknowledged'])
        yield _counters('console_refused', 'Messages, requests and connections that were refused '
                        'or ended, by reason', 'reason', dict(self._refused))
        yield CounterMetricFamily(f'{PREFIX}_console_callback_errors', 'Faults in the console '
                                  'that it has survived', value=self.callback_errors())
        pages = GaugeMetricFamily(f'{PREFIX}_console_clients', 'Open pages', labels=['view'])
        for view, n in self._clients.items():
            pages.add_metric([view], n)
        yield pages


class _Labelled:
    """A registry's metrics, with the same labels at each."""

    def __init__(self, registry: CollectorRegistry, labels: dict[str, str]) -> None:
        self._registry, self._labels = registry, labels

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample._replace(labels={**sample.labels, **self._labels})
                              for sample in metric.samples]
            yield metric


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f'{PREFIX}_{name}', text, value=float(value))


def _counters(name: str, text: str, label: str, values: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f'{PREFIX}_{name}', text, labels=[label])
    for key, value in dict(values).items():  # ROS's thread may count meanwhile
        family.add_metric([key], value)
    return family


def _health(health: dict[str, Any]) -> Iterator[Metric]:
    if 'input' in health:
        yield _gauge('input_level', '0 answering, 1 paused or not active, 2 no frames',
                     health['input'].level)
    if 'inference' in health:
        status = health['inference']
        latency = GaugeMetricFamily(
            f'{PREFIX}_inference_latency_seconds', "From a frame's arrival to its prediction, "
            'over the last predictions', labels=['percentile'])
        for name in ('p50', 'p95', 'p99'):
            if not isnan(value := status.number(f'latency_{name}_ms')):
                latency.add_metric([name], value / 1e3)
        yield latency
        yield InfoMetricFamily(f'{PREFIX}_model', 'The model', value={
            'digest': status.values.get('model_digest', ''),
            'provider': status.values.get('provider', '')})
    if 'decisions' in health:
        yield _gauge('decisions_level', '0 labels are given, 1 a reserved id comes too often',
                     health['decisions'].level)
    if 'journal' in health:
        yield _gauge('journal_level', '0 writing, 2 in trouble', health['journal'].level)


def _monitor(status: Any) -> Iterator[Metric]:
    yield _gauge('monitor_level', '0 in control, 1 not enough labels, 2 drift, 3 stale',
                 status.level)
    yield _gauge('drift', 'Whether a drift alarm is on', status.level == 2)
    for name, text in GAUGES.items():
        if not isnan(value := status.number(name)):
            yield _gauge(f'monitor_{name}', text, value)
    yield _counters('confirmations', 'Confirmations since the run began', 'outcome', {
        outcome: n for outcome in OUTCOMES if (n := status.count(outcome)) is not None})
