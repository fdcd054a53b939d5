"""The rows of the demo's table, from what the topics say; a missing figure is named as such."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
import math
from statistics import quantiles

from tool_recognizer.terminal.live_table import Row

# By the level of a diagnostic_msgs/DiagnosticStatus: OK, WARN, ERROR, STALE.
LEVEL_COLOURS = ('green', 'yellow', 'red', 'yellow')


@dataclass
class Light:
    """
    The light of the drawn line, which is dimmed once.

    Attributes
    ----------
    level : to which it is dimmed, 1 is as drawn
    after : seconds from the start until then
    dimmed_at : when it was, seconds on the table's clock; None before
    alarm_at : when the first alarm after that was heard; None before

    """

    level: float
    after: float
    dimmed_at: float | None = None
    alarm_at: float | None = None

    @property
    def alarm_after(self) -> float | None:
        """Seconds from the dimming to the alarm; None without one."""
        if self.dimmed_at is None or self.alarm_at is None:
            return None
        return self.alarm_at - self.dimmed_at


@dataclass
class Seen:
    """
    The values that the table shows.

    Attributes
    ----------
    camera : the source of the frames
    started : when, seconds on the table's clock
    light : how it is dimmed; None if it is not
    rate : frames answered per second, recently
    latencies : from the camera's stamp to the prediction, recently, ms
    decision : its id
    probability : of a decision for a label; 0 for a reserved id
    scored, right : frames whose label the demo knows, and those of them that are predicted so
    state : the monitor's sentence
    level : its level; None before it was heard
    values : its figures by name
    input : the figures of the camera's topic by name
    passage : what the recognizer said last of the passage under way; None without a gate
    tools : the last decisions on tools, the newest first

    """

    camera: str
    started: float = 0.0
    light: Light | None = None
    rate: float = 0.0
    latencies: list[float] = field(default_factory=list)
    decision: str = ''
    probability: float = 0.0
    right: int = 0
    scored: int = 0
    state: str = ''
    level: int | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    input: Mapping[str, str] = field(default_factory=dict)  # noqa: A003
    passage: str | None = None
    tools: list[str] = field(default_factory=list)


def rows(seen: Seen, now: float) -> list[Row]:
    """
    Write the rows.

    Parameters
    ----------
    seen : so far
    now : seconds on its clock

    """
    accuracy = seen.right / seen.scored if seen.scored else None
    return [
        Row('camera', seen.camera),
        *([] if seen.light is None else [_light(seen.light, now - seen.started, now)]),
        Row('frame rate', f'{seen.rate:.1f} Hz answered, '
                          f'{seen.input.get("dropped_busy", 0)} dropped as busy'),
        Row('latency', _latency(seen.latencies)),
        _decision(seen),
        *([] if seen.passage is None else [
            Row('passage', seen.passage or 'none yet'),
            Row('tools', ', '.join(seen.tools) or 'none decided yet')]),
        Row('accuracy', 'no frame with a known label yet') if accuracy is None else
        Row('accuracy', f'{accuracy:.1%} of {seen.scored} frames with a known label', accuracy),
        Row('NLL', _nll(seen.values)),
        Row('KL', _kl(seen.values)),
        *_monitor(seen)]


def _light(light: Light, passed: float, now: float) -> Row:
    if light.dimmed_at is None:
        return Row('light', f'as drawn; dimmed in {max(0.0, light.after - passed):.0f} s')
    dimmed = f'dimmed to {light.level:.0%}'
    if light.alarm_after is None:
        return Row('light', f'{dimmed} {now - light.dimmed_at:.0f} s ago; no alarm yet',
                   colour='yellow')
    return Row('light', f'{dimmed}; the alarm came {light.alarm_after:.0f} s later', colour='red')


def _latency(latencies: list[float]) -> str:
    if not latencies:
        return 'no prediction yet'
    cuts = quantiles(latencies, n=20, method='inclusive') if len(latencies) > 1 else latencies * 19
    return (f"p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms, from the camera's stamp to the "
            'prediction')


def _decision(seen: Seen) -> Row:
    if not seen.decision:
        return Row('decision', 'none yet')
    if seen.probability:
        return Row('decision', f'{seen.decision} {seen.probability:.1%}')
    return Row('decision', seen.decision, colour='yellow')


def _nll(values: Mapping[str, str]) -> str:
    nll, low, high, reference = (
        _number(values, name) for name in ('nll', 'nll_ci_low', 'nll_ci_high', 'reference_nll'))
    if math.isnan(nll):
        return 'no confirmed label yet'
    interval = ('no interval yet' if not (math.isfinite(low) and math.isfinite(high)) else
                f'95 % in {low:.3f} .. {high:.3f}')
    held = 'no reference' if math.isnan(reference) else f'reference {reference:.3f}'
    return f'{nll:.3f} nats, {interval}, {held}'


def _kl(values: Mapping[str, str]) -> str:
    kl, mix = _number(values, 'kl'), _number(values, 'marginal_kl')
    if math.isnan(kl):
        return 'no confirmed label yet'
    return f'{kl:.3f} nats' + ('' if math.isnan(mix) else f', label mix {mix:.3f}')


def _monitor(seen: Seen) -> list[Row]:
    """Write the state; that of an alarm is long and takes two rows."""
    if seen.level is None:
        return [Row('monitor', 'starting')]
    state, since, change = seen.state.partition(', since ')
    colour = LEVEL_COLOURS[seen.level]
    evidence, threshold = _number(seen.values, 'evidence'), _number(seen.values, 'threshold')
    weight = math.log1p(evidence) / math.log1p(threshold)
    confirmed = seen.values.get('n', '0')
    return [
        Row('monitor', state, colour=colour),
        *([Row('', since.removeprefix(', ') + change, colour=colour)] if since else []),
        Row('evidence', 'not known' if math.isnan(weight) else
            f'{_short(evidence)} of {_short(threshold)}, '
            f'{"frames" if seen.passage is None else "tools"} confirmed: {confirmed}',
            None if math.isnan(weight) else weight, colour if seen.level == 2 else '')]


def _short(number: float) -> str:
    return f'{number:.0f}' if 1000.0 <= number < 1e9 else f'{number:.4g}'


def _number(values: Mapping[str, str], name: str) -> float:
    return float(values.get(name) or 'nan')
