"""The monitor's topics: its figures with every confirmation and every second, and the drift."""

from collections.abc import Callable
from threading import Lock

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from std_msgs.msg import Bool
from std_msgs.msg import Float64
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.means import RangeFigures
from tool_recognizer.engine import Engine
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.recognizer.entities import Entities

# Ranges of time that figures are told of, ns.
RANGES = {'5min': 300_000_000_000, '1h': 3_600_000_000_000, '24h': 86_400_000_000_000}


class MonitorTopics:
    """
    See the module.

    Parameters
    ----------
    node : whose clock counts
    entities : with which the topics end
    results, latched : QoS of what passes and of what stays
    stale_after : tells the seconds without a confirmation after which the monitor is stale
    on_alarm : is called once for each alarm, with its moment in ns and what was published

    """

    def __init__(self, node: Node, entities: Entities, results: QoSProfile, latched: QoSProfile,
                 stale_after: Callable[[], float],
                 on_alarm: Callable[[Engine, int, DiagnosticStatus], None]) -> None:
        self._clock = node.get_clock()
        self._name = f'{node.get_fully_qualified_name().strip("/")}: monitor'
        self._stale_after = stale_after
        self._on_alarm = on_alarm
        self._status = entities.publisher(DiagnosticStatus, '~/monitor', latched)
        self._figures = {name: entities.publisher(Float64, f'~/monitor/{name}', results)
                         for name in ('nll', 'kl', 'evidence')}
        self._drift = entities.publisher(Bool, '~/drift', latched)
        self._ranges: dict[str, RangeFigures] = {}
        self._announced: bool | None = None
        self._lock = Lock()
        self._confirmed_at = self._clock.now()

    def begin(self, engine: Engine) -> None:
        """Tell of another model, whether it drifts or not."""
        self._announced = None
        if engine.run.confirmed_at is not None:
            self._confirmed_at = Time(nanoseconds=engine.run.confirmed_at,
                                      clock_type=self._clock.clock_type)
        self.look_back(engine)
        self.publish(engine)

    def confirmed(self, engine: Engine, outcome: Outcome) -> None:
        """Tell what a confirmation changed."""
        if outcome in (Outcome.SCORED, Outcome.LATE):
            self._confirmed_at = self._clock.now()
        self.publish(engine)

    def look_back(self, engine: Engine) -> None:
        """Look back over ranges of time: once a second, for they reach far."""
        now = self._clock.now().nanoseconds
        self._ranges = {name: engine.figures_since(now - length)
                        for name, length in RANGES.items()}

    def publish(self, engine: Engine) -> DiagnosticStatus:
        """Tell all there is, in any thread; return the status."""
        figures, detector = engine.figures(), engine.run.monitor.detector
        now = self._clock.now().nanoseconds
        status = to_ros.monitor_status(
            self._name, engine.run.monitor, self._stale(), figures,
            engine.model.digest, self._ranges)
        if engine.run.corrected is not None:
            at, since = engine.run.corrected
            status.values = [*status.values, *to_ros.status('', '', DiagnosticStatus.OK, '', {
                'corrected_at': at / 1e9,
                'figures_since': '' if since is None else since / 1e9}).values]
        alarm, evidence = detector.alarm, detector.evidence
        self._status.publish(status)
        for name, value in (('nll', figures.nll), ('kl', figures.kl), ('evidence', evidence)):
            self._figures[name].publish(Float64(data=float(value)))
        with self._lock:
            new, self._announced = alarm != self._announced, alarm
            if new:
                self._drift.publish(Bool(data=alarm))
        # A restart says it again, but keeps it once.
        if new and alarm and not engine.run.alarm_kept:
            self._on_alarm(engine, now, status)
        return status

    def _stale(self) -> bool:
        now = self._clock.now()
        if now < self._confirmed_at:  # the clock jumped back
            self._confirmed_at = now
        age = (now - self._confirmed_at).nanoseconds / 1e9
        return bool(age > self._stale_after())
