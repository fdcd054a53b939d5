"""
Observe a recognizer from outside for some seconds, and gather the facts for ``diagnosis``.

It listens to what the node publishes, to its camera, and to /clock, and reads from the graph who
publishes and listens. It changes nothing, and every wait is bounded.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
import os
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.srv import GetState
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import GetParameters
from rcl_interfaces.srv import ListParameters
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from rclpy.utilities import get_rmw_implementation_identifier
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from tool_recognizer.assembly import make_engine
from tool_recognizer.core.stamps import StampWatch
from tool_recognizer.diagnosis.facts import Clock
from tool_recognizer.diagnosis.facts import End
from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.facts import Frames
from tool_recognizer.diagnosis.facts import Place
from tool_recognizer.diagnosis.facts import Recognizer
from tool_recognizer.diagnosis.facts import Status
from tool_recognizer.diagnosis.facts import Topic
from tool_recognizer.messages import from_ros
from tool_recognizer.parameters import BY_NAME
from tool_recognizer.ros.fast_dds import profile
from tool_recognizer.ros.processes import READ_BY_ROS
from tool_recognizer.ros.processes import recognizers
from tool_recognizer.ros.versions import versions
from tool_recognizer.ros.visitor import Visitor
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo

# Seconds until an existing node is discovered, and for the response of one that runs. If the first
# announcement of a node is lost, the next one comes after 3 s.
DISCOVERY, RESPONSE = 6.0, 5.0
HEARD = QoSProfile(depth=50)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Of rcl_interfaces/Log: in some releases a number, in others a byte.
ERROR_LOG = 40
LOGS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PICTURES = QoSProfile(depth=30, reliability=ReliabilityPolicy.BEST_EFFORT)
IMAGES = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage}
# What all nodes have, so it says nothing about this one.
COMMON = ('/rosout', '/parameter_events', '/clock', '/diagnostics')
# What a model is made from.
PATHS = ('model_path', 'shadow_model_path', 'plain_model.labels_file')
# A middleware that does not count messages gives numbers from here on.
MOST_FRAMES = 2 ** 63


def observe(wanted: str, seconds: float, exactly: bool = True) -> Facts:
    """
    Observe a recognizer.

    Parameters
    ----------
    wanted : its full name
    seconds : to listen to it
    exactly : whether it must have this name; otherwise the only recognizer in the graph will do

    """
    with Visitor('doctor') as visitor:
        visitor.find(wanted, max(DISCOVERY, seconds))
        name, found = wanted, visitor.recognizers()
        if wanted not in visitor.nodes() and not exactly and len(found) == 1:
            name = found[0]
        if name not in visitor.nodes():
            return Facts(wanted, None, tuple(visitor.nodes()), tuple(found), place=_place(),
                         seconds=seconds)
        return _Listener(visitor, name).facts(wanted, seconds)


class _Listener:
    """Collects what one node publishes, while we listen."""

    def __init__(self, visitor: Visitor, name: str) -> None:
        self._visitor, self._name = visitor, name
        self._before: dict[str, Status] = {}
        self._statuses: dict[str, Status] = {}
        self._monitor: Status | None = None
        self._decisions: Counter[str] = Counter()
        self._labels: tuple[str, ...] = ()
        self._errors: list[str] = []
        self._camera = ''
        self._stamps = StampWatch(recent=None)
        self._moments: list[float] = []
        self._ages: list[float] = []
        self._numbers: list[int] = []
        self._largest = 0
        self._times: list[int] = []
        self._hear(DiagnosticArray, '/diagnostics', self._on_diagnostics, HEARD)
        self._hear(DiagnosticStatus, f'{name}/monitor', self._on_monitor, LATCHED)
        self._hear(Classification, f'{name}/decision', self._on_decision, HEARD)
        self._hear(LabelInfo, f'{name}/label_info', self._on_labels, LATCHED)
        self._hear(Log, '/rosout', self._on_log, LOGS)
        self._hear(ClockMessage, '/clock', self._on_clock, PICTURES)

    def facts(self, wanted: str, seconds: float) -> Facts:
        """Ask and listen; a node that does not respond is asked only once."""
        visitor, name = self._visitor, self._name
        begin = monotonic()
        answer = visitor.ask(GetState, f'{name}/get_state', RESPONSE, again=True)
        state = '' if answer is None else str(answer.current_state.label)
        parameters = self._parameters() if state else {}
        self._find_camera()
        visitor.wait(seconds - (monotonic() - begin))
        self._find_camera()
        if self._camera and not self._moments:  # the topic became known only now
            visitor.wait(seconds)
        names = visitor.nodes()
        statuses = dict(self._statuses)
        if self._monitor is not None:
            statuses['monitor'] = self._monitor
        return Facts(
            wanted,
            Recognizer(name, names.count(name), state, parameters, statuses, dict(self._before),
                       dict(self._decisions), self._labels, tuple(self._errors[-5:]),
                       _refusal(parameters) if state == 'unconfigured' and parameters else ''),
            tuple(names), tuple(visitor.recognizers()), self._camera,
            {topic: self._topic(topic) for topic in sorted(self._topics())}, self._frames(),
            Clock(visitor.node.count_publishers('/clock'),
                  sum(later > earlier for earlier, later in zip(
                      self._times, self._times[1:], strict=False))),
            _place(), seconds)

    # -- the graph ------------------------------------------------------------------------------

    def _parameters(self) -> dict[str, object]:
        listed = self._visitor.ask(ListParameters, f'{self._name}/list_parameters', RESPONSE,
                                   again=True)
        if listed is None:
            return {}
        names = list(listed.result.names)
        read = self._visitor.ask(GetParameters, f'{self._name}/get_parameters', RESPONSE,
                                 again=True, names=names)
        return {} if read is None else dict(zip(names, map(_plain, read.values), strict=True))

    def _own(self, look: Callable[[str, str], Any]) -> dict[str, list[str]]:
        namespace, _, base = self._name.rpartition('/')
        with suppress(Exception):  # the node may have gone a moment ago
            return dict(look(base, namespace or '/'))
        return {}

    def _find_camera(self) -> None:
        """Find out which topic the node listens to: from the graph, or from its status."""
        if self._camera:
            return
        heard = self._own(self._visitor.node.get_subscriber_names_and_types_by_node)
        found = [topic for topic, kinds in heard.items() if IMAGES.keys() & set(kinds)]
        said = self._statuses.get('input', Status()).values.get('topic', '')
        self._camera = found[0] if found else said
        if self._camera:
            kind = CompressedImage if self._camera.endswith('/compressed') else Image
            self._hear(kind, self._camera, self._on_frame, PICTURES)

    def _topics(self) -> set[str]:
        node = self._visitor.node
        own = {*self._own(node.get_subscriber_names_and_types_by_node),
               *self._own(node.get_publisher_names_and_types_by_node)} - {*COMMON}
        if self._camera:
            base = self._camera.removesuffix('/compressed')
            own |= {base, f'{base}/compressed'}
        return own

    def _topic(self, name: str) -> Topic:
        node = self._visitor.node
        return Topic(name, self._ends(node.get_publishers_info_by_topic(name)),
                     self._ends(node.get_subscriptions_info_by_topic(name)))

    def _ends(self, infos: Any) -> tuple[End, ...]:
        return tuple(
            End(f'{info.node_namespace.rstrip("/")}/{info.node_name}', info.topic_type,
                info.qos_profile.reliability == ReliabilityPolicy.RELIABLE,
                info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL)
            for info in infos if not info.node_name.startswith('_'))

    # -- what is received -----------------------------------------------------------------------

    def _hear(self, kind: Any, topic: str, hear: Callable[..., None], qos: QoSProfile) -> None:
        self._visitor.node.create_subscription(kind, topic, hear, qos)

    def _on_diagnostics(self, message: Any) -> None:
        own = f'{self._name.strip("/")}: '
        for status in message.status:
            if status.name.startswith(own):
                kept = _status(status)
                self._statuses[status.name.removeprefix(own)] = kept
                self._before.setdefault(status.name.removeprefix(own), kept)

    def _on_monitor(self, message: Any) -> None:
        self._monitor = _status(message)

    def _on_decision(self, message: Any) -> None:
        self._decisions.update(result.class_id for result in message.results)

    def _on_labels(self, message: Any) -> None:
        self._labels = tuple(entry.class_name for entry in message.class_map)

    def _on_log(self, message: Any) -> None:
        if (message.name == self._name.strip('/').replace('/', '.')
                and message.level >= ERROR_LOG):
            self._errors.append(message.msg)

    def _on_clock(self, message: Any) -> None:
        self._times.append(message.clock.sec * 1_000_000_000 + message.clock.nanosec)

    def _on_frame(self, message: Any, info: Any) -> None:
        key = from_ros.key(message.header)
        self._stamps.look(key)
        self._moments.append(monotonic())
        now = self._times[-1] if self._times and self._follows_clock() else (
            self._visitor.node.get_clock().now().nanoseconds)
        self._ages.append((now - key.stamp) / 1e9)
        self._numbers.append(int(info['publication_sequence_number'] or MOST_FRAMES))
        self._largest = max(self._largest, len(message.data))

    def _follows_clock(self) -> bool:
        return self._visitor.node.count_publishers('/clock') > 0

    def _frames(self) -> Frames:
        heard = len(self._moments)
        numbers = [*self._numbers]
        counted = heard > 0 and max(numbers) < MOST_FRAMES
        took = self._moments[-1] - self._moments[0] if heard > 1 else 0.0
        return Frames(
            heard, max(numbers) - min(numbers) + 1 if counted else 0,
            (heard - 1) / took if took > 0.0 else 0.0, self._largest, self._stamps.trouble(),
            median(self._ages) if heard else None)


def _plain(value: Any) -> object:
    read = parameter_value_to_python(value)
    return [*read] if hasattr(read, '__len__') and not isinstance(read, str) else read


def _status(message: Any) -> Status:
    return Status(int.from_bytes(message.level, 'little'), message.message,
                  {entry.key: entry.value for entry in message.values})


def _refusal(parameters: dict[str, object]) -> str:
    """Load the model that the parameters name; return why it cannot be used, or ''."""
    # The node's working directory, where a relative path starts, is not known here.
    if any(parameters.get(name) and not Path(str(parameters[name])).expanduser().is_absolute()
           for name in PATHS):
        return ''
    try:
        make_engine({name: value for name, value in parameters.items() if name in BY_NAME})
    except Exception as error:  # of many types, and each is a reason
        return f'{" ".join(str(error).split())} (tried on this machine)'
    return ''


def _place() -> Place:
    return Place({name: os.environ[name] for name in READ_BY_ROS if name in os.environ},
                 get_rmw_implementation_identifier(), versions(), profile(), recognizers())
