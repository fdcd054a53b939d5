"""The demo's own node: it listens, confirms for the scripted operator, and fills the table."""

from collections import deque
from collections.abc import Callable
from collections.abc import Sequence
from time import monotonic
from typing import Any
from typing import Protocol

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from std_msgs.msg import Bool
from tool_recognizer.messages import from_ros
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.endings import Finished
from tool_recognizer.ros.scripted_operator import ScriptedOperator
from tool_recognizer.terminal.demo_rows import rows
from tool_recognizer.terminal.demo_rows import Seen
from tool_recognizer.terminal.live_table import Row
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo

RELIABLE = QoSProfile(depth=1000)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TABLE_PERIOD = 0.5
# Decisions on tools that are shown.
TOOLS = 3
# Seconds over which the frame rate is counted; predictions over which latency is, in the table and
# in the summary: those of an hour or two.
RECENT, RECENT_PREDICTIONS, PREDICTIONS = 2.0, 200, 100_000

Show = Callable[[Sequence[Row], Sequence[str]], None]


class Programs(Protocol):
    """The nodes that the demo runs with, as ``programs.children`` has them."""

    def ended(self) -> int | None:
        """Return the exit status of one that ended."""

    def said(self) -> list[str]:
        """Return what they wrote since the last call."""

    def end(self) -> None:
        """End all of them."""


class DemoNode(Node):
    """
    See the module.

    Parameters
    ----------
    seen : what the table is made of; filled in
    operator : the scripted one
    programs : that end with it, and with one of which it ends
    show : draws the rows, with lines that the programs wrote; None: nothing is drawn
    seconds : after which it ends; 0: never

    """

    def __init__(self, seen: Seen, operator: ScriptedOperator, programs: Programs,
                 show: Show | None, seconds: float, **options: Any) -> None:
        super().__init__('operator', **options)
        self._seen, self._operator, self._programs = seen, operator, programs
        self._show, self._seconds = show, seconds
        self._labels: tuple[str, ...] = ()
        self._latencies: deque[float] = deque(maxlen=PREDICTIONS)
        self._recent: list[float] = []
        self._dimming: Any = None
        self.drift = False
        self._confirmed_label = self.create_publisher(
            Classification, '/tool_recognizer/confirmed_label', RELIABLE)
        self._light = self.create_client(SetParameters, '/camera/set_parameters')
        for kind, topic, callback, qos in (
                (Classification, '/camera/true_label', self._on_truth, RELIABLE),
                (Classification, '/tool_recognizer/classification', self._on_prediction, RELIABLE),
                (Classification, '/tool_recognizer/decision', self._on_decision, RELIABLE),
                (Classification, '/tool_recognizer/object_decision', self._on_tool, RELIABLE),
                (DiagnosticStatus, '/tool_recognizer/passage', self._on_passage, RELIABLE),
                (Classification, '/tool_recognizer/inspection_request', self._on_request,
                 RELIABLE),
                (LabelInfo, '/tool_recognizer/label_info', self._on_labels, LATCHED),
                (DiagnosticStatus, '/tool_recognizer/monitor', self._on_monitor, LATCHED),
                (Bool, '/tool_recognizer/drift', self._on_drift, LATCHED),
                (DiagnosticArray, '/diagnostics', self._on_diagnostics, RELIABLE)):
            self.create_subscription(kind, topic, callback, qos)
        self._seen.started = monotonic()
        self.create_timer(TABLE_PERIOD, self._on_time)

    def destroy_node(self) -> None:
        """End the programs, too."""
        self._programs.end()
        super().destroy_node()

    # -- from the other nodes -------------------------------------------------------------------

    def _on_labels(self, message: Any) -> None:
        self._labels = tuple(entry.class_name for entry in message.class_map)

    def _on_drift(self, message: Any) -> None:
        self.drift = message.data
        light = self._seen.light
        if self.drift and light is not None and light.dimmed_at is not None:
            light.alarm_at = light.alarm_at or monotonic()

    def _on_decision(self, message: Any) -> None:
        result = message.results[0]
        self._seen.decision, self._seen.probability = result.class_id, result.score

    def _on_tool(self, message: Any) -> None:
        result = message.results[0]
        said = f'{result.class_id} {result.score:.1%}' if result.score else result.class_id
        self._seen.tools = [said, *self._seen.tools][:TOOLS]

    def _on_passage(self, message: Any) -> None:
        self._seen.passage = message.message

    def _on_monitor(self, message: Any) -> None:
        self._seen.state = message.message
        self._seen.level = int.from_bytes(message.level, 'little')
        self._seen.values = {entry.key: entry.value for entry in message.values}

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name == 'tool_recognizer: input':
                self._seen.input = {entry.key: entry.value for entry in status.values}

    def _on_truth(self, message: Any) -> None:
        label = message.results[0].class_id if message.results else ''
        self._operator.show(from_ros.key(message.header), label, self._labels, monotonic())

    def _on_prediction(self, message: Any) -> None:
        key = from_ros.key(message.header)
        self._latencies.append((self.get_clock().now().nanoseconds - key.stamp) / 1e6)
        self._recent.append(monotonic())
        # While nobody would receive a confirmation, no frame is chosen for one.
        if self._confirmed_label.get_subscription_count() > 0:
            best = max(message.results, key=lambda result: result.score)
            self._operator.predict(key, best.class_id, self._labels, monotonic())

    def _on_request(self, message: Any) -> None:
        self._operator.ask(from_ros.key(message.header))

    # -- from time to time ----------------------------------------------------------------------

    def _on_time(self) -> None:
        now = monotonic()
        for key, label in self._operator.confirmations(now):
            self._confirmed_label.publish(to_ros.distribution(key, {label: 1.0}))
        self._dim(now)
        self._recent = [moment for moment in self._recent if now - moment < RECENT]
        if self._show is not None:
            self._seen.rate = len(self._recent) / RECENT
            self._seen.latencies = [*self._latencies][-RECENT_PREDICTIONS:]
            self._seen.right, self._seen.scored = self._operator.right, self._operator.scored
            self._show(rows(self._seen, now), self._programs.said())
        status = self._programs.ended()
        if status is not None:
            raise Finished(status)
        if self._seconds and now - self._seen.started >= self._seconds:
            raise Finished

    def _dim(self, now: float) -> None:
        """Set the light of the line when it is time, as soon as the camera is there."""
        light = self._seen.light
        if light is None or light.dimmed_at is not None or now - self._seen.started < light.after:
            return
        if self._dimming is None:
            if self._light.service_is_ready():
                self._dimming = self._light.call_async(SetParameters.Request(
                    parameters=[Parameter('light', value=light.level).to_parameter_msg()]))
        elif self._dimming.done():
            light.dimmed_at = now

    def summary(self) -> dict[str, Any]:
        """Return the figures of the whole run; an unknown one is None, for JSON has no nan."""
        seen, operator = self._seen, self._operator
        p50, p95 = (np.percentile(self._latencies, [50, 95]) if self._latencies
                    else (float('nan'), float('nan')))
        dropped = sum(int(value) for name, value in seen.input.items()
                      if name.startswith('dropped_'))
        figures = {
            'frames': int(seen.input.get('received', 0)),
            'answered': int(seen.input.get('answered', 0)),
            'dropped': dropped,
            'accuracy': _number(operator.right / operator.scored if operator.scored
                                else float('nan')),
            'nll': _number(seen.values.get('nll', 'nan')),
            'kl': _number(seen.values.get('kl', 'nan')),
            'p50_ms': _number(p50), 'p95_ms': _number(p95), 'drift': self.drift,
            'scored': operator.scored, 'confirmed': int(seen.values.get('n', 0))}
        if seen.light is not None:
            figures['alarm_after_s'] = _number(seen.light.alarm_after or 'nan')
        return figures


def _number(value: Any) -> float | None:
    number = float(value)
    return round(number, 6) if np.isfinite(number) else None
