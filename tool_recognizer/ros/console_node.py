"""
The node ``/console``: the operator's and the engineer's pages in a browser.

Here is only wiring. ROS runs in the main thread, the web server in one of its own; what both know
is kept by ``console.state``. The node has no state that it could lose: a confirmation is on the
disk before the page calls it confirmed, and is published until the recognizer acknowledges it.
"""

from dataclasses import dataclass
import json
import os
from pathlib import Path
from threading import Event
from threading import Thread
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger
from tool_recognizer.console.access import Access
from tool_recognizer.console.access import read_token
from tool_recognizer.console.app import Application
from tool_recognizer.console.board import Board
from tool_recognizer.console.board import DAY
from tool_recognizer.console.board import Status
from tool_recognizer.console.desk import Desk
from tool_recognizer.console.history import read_points
from tool_recognizer.console.history import read_scored
from tool_recognizer.console.metrics import Metrics
from tool_recognizer.console.outbox import Outbox
from tool_recognizer.console.outbox import OutboxError
from tool_recognizer.console.pages import locales
from tool_recognizer.console.server import Server
from tool_recognizer.console.state import Console
from tool_recognizer.core.inspection import INCLUSION_PROBABILITY
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.messages import from_ros
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.accepts_unchanged import AcceptsUnchanged
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo

REQUESTS = QoSProfile(depth=10)
CONFIRMATIONS = QoSProfile(depth=1000)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# Only the newest prediction is shown, but each is counted.
RESULTS = QoSProfile(depth=10)

# Seconds between two checks of what is due; between two reads of the journal.
TICK, JOURNAL_PERIOD = 0.2, 3.0


@dataclass(frozen=True)
class Setting:
    """A parameter: its default, what it does with its unit, and its range."""

    default: bool | int | float | str
    text: str
    low: float | None = None
    high: float | None = None


SETTINGS = {
    'recognizer': Setting('tool_recognizer', "The recognizer's node name; in another namespace: "
                          'its whole name.'),
    'console.host': Setting('127.0.0.1', 'The address to listen on. Any that other machines can '
                            'reach needs console.token_file.'),
    'console.port': Setting(8080, 'The TCP port to listen on; 0: a free one.', 0, 65535),
    'console.token_file': Setting('', 'A file whose first line is the token that a browser must '
                                  'show once; empty: no token.'),
    'console.locale': Setting('auto', 'Language of the pages, for example en or de; auto: as the '
                              'browser wants it.'),
    'console.outbox': Setting('', 'The file that keeps confirmations until the recognizer has '
                              'acknowledged them; empty: tool_recognizer/NAME.outbox in $ROS_HOME '
                              'or ~/.ros.'),
    'console.undo': Setting(5.0, 'Seconds for which a confirmation can be undone.', 0.0, 60.0),
    'console.request_timeout': Setting(120.0, 'Seconds after which an inspection request '
                                       'expires.', 1.0, 86_400.0),
    'console.max_requests': Setting(30, 'Open inspection requests, at most; the oldest then '
                                    'expires.', 1, 1000),
    'journal.path': Setting('', "The recognizer's journal, read for the time before the console "
                            'was started; empty: only what came since.'),
}


class ConsoleNode(AcceptsUnchanged, Node):
    """
    See the module; the parameters are in ``SETTINGS``.

    Raises
    ------
    ValueError
        A parameter cannot be used: the address, the token, the language or the outbox.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__('console', **options)
        setting: dict[str, Any] = {
            name: self.declare_parameter(name, known.default, to_ros.descriptor(
                known.text, known.default, known.low, known.high, read_only=True)).value
            for name, known in SETTINGS.items()}
        host, locale = setting['console.host'], setting['console.locale']
        token_file = setting['console.token_file']
        access = Access(host, read_token(token_file) if token_file else '')
        if locale not in ('auto', *locales()):
            raise ValueError(f'console.locale must be auto or one of {locales()}, got {locale!r}')
        self._metrics = Metrics()
        try:
            self._outbox = Outbox(self._outbox_path(setting['console.outbox']),
                                  setting['console.undo'], monotonic())
        except OutboxError as error:
            raise ValueError(str(error)) from None
        self._console = Console(
            Desk(setting['console.request_timeout'], setting['console.max_requests']),
            self._outbox, Board(), self._metrics, monotonic,
            lambda: float(self.get_clock().now().nanoseconds) / 1e9)
        self._ended = Event()
        self._server: Server | None = None
        self._connect(setting['recognizer'])
        if setting['journal.path']:
            Thread(target=self._follow_journal, args=(Path(setting['journal.path']).expanduser(),),
                   name='journal', daemon=True).start()
        application = Application(self._console, access, locale, setting['console.undo'])
        try:
            self._server = Server(application.asgi, host, setting['console.port'])
        except ValueError:
            self._ended.set()
            self._outbox.close()
            raise
        unsent = len(self._outbox)
        self.get_logger().info(
            f'open {self._server.address}'
            + ('' if access.is_open else ' and give the token when it is asked for')
            + (f'; {unsent} earlier confirmations are sent first' if unsent else ''))

    def _connect(self, recognizer: str) -> None:
        """Create everything that talks to the recognizer."""
        for kind, topic, callback, qos in (
                (Classification, 'inspection_request', self._on_request, REQUESTS),
                (CompressedImage, 'inspection_request/compressed', self._on_picture, REQUESTS),
                (DiagnosticStatus, 'confirmation_ack', self._on_acknowledgement, CONFIRMATIONS),
                (Classification, 'classification', self._on_prediction, RESULTS),
                (Classification, 'decision', self._on_decision, RESULTS),
                (DiagnosticStatus, 'monitor', self._on_monitor, LATCHED),
                (LabelInfo, 'label_info', self._on_labels, LATCHED)):
            self.create_subscription(kind, f'{recognizer}/{topic}', callback, qos)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, RESULTS)
        self._confirmation = self.create_publisher(
            DiagnosticStatus, f'{recognizer}/confirmation', CONFIRMATIONS)
        self._live_topic = f'{recognizer}/annotated/compressed'
        self._live: Any = None
        # How it may name itself in /diagnostics, which all namespaces share: in full or plainly.
        whole = self.resolve_topic_name(recognizer).strip('/')
        self._names = (f'{whole}: ', f'{whole.rsplit("/", 1)[-1]}: ')
        self._triggers = {name: self.create_client(Trigger, f'{recognizer}/{name}')
                          for name in ('reset_monitor', 'reload_model')}
        self.create_timer(TICK, self._on_tick)

    def destroy_node(self) -> None:
        """End the server, then what it used."""
        self._ended.set()
        if self._server is not None:
            self._server.close()
        self._outbox.close()
        super().destroy_node()

    def _outbox_path(self, given: str) -> Path:
        if given:
            return Path(given).expanduser()
        home = Path(os.environ.get('ROS_HOME') or '~/.ros').expanduser()
        name = self.get_fully_qualified_name().strip('/').replace('/', '.')
        return home / 'tool_recognizer' / f'{name}.outbox'

    # -- from the recognizer --------------------------------------------------------------------

    def _on_request(self, message: Any) -> None:
        scores = {result.class_id: float(result.score) for result in message.results}
        inclusion = scores.pop(INCLUSION_PROBABILITY, float('nan'))
        if scores:
            self._console.ask(from_ros.key(message.header), scores, inclusion)

    def _on_picture(self, message: Any) -> None:
        self._console.show(from_ros.key(message.header), bytes(message.data))

    def _on_acknowledgement(self, message: Any) -> None:
        values = {entry.key: entry.value for entry in message.values}
        try:
            self._console.acknowledged(values.get('nonce', ''), _level(message),
                                       values.get('outcome', ''), message.message)
        except OutboxError as error:  # it is acknowledged again when it is sent again
            self.get_logger().error(str(error), throttle_duration_sec=1.0)

    def _on_prediction(self, message: Any) -> None:
        self._console.predicted(from_ros.key(message.header), {
            result.class_id: float(result.score) for result in message.results})

    def _on_decision(self, message: Any) -> None:
        for result in message.results:
            self._console.decided(result.class_id, float(result.score))

    def _on_monitor(self, message: Any) -> None:
        self._console.monitored(_status(message))

    def _on_labels(self, message: Any) -> None:
        self._console.labelled(tuple(entry.class_name for entry in message.class_map))

    def _on_diagnostics(self, message: Any) -> None:
        ours = {status.name.split(': ', 1)[1]: _status(status)
                for status in message.status if status.name.startswith(self._names)}
        # The monitor has a topic of its own.
        ours.pop('monitor', None)
        if ours:
            self._console.diagnosed(ours)

    def _on_live(self, message: Any) -> None:
        self._console.set_live(from_ros.key(message.header), bytes(message.data))

    # -- to the recognizer ----------------------------------------------------------------------

    def _on_tick(self) -> None:
        self._console.tick()
        self._watch_live()
        # Without a recognizer nobody would receive it; it stays due.
        if self._confirmation.get_subscription_count():
            for confirmation in self._console.due():
                self._confirmation.publish(to_ros.status(
                    'confirmation', confirmation.operator, DiagnosticStatus.OK, '', {
                        'stamp': confirmation.key.stamp, 'frame_id': confirmation.key.frame_id,
                        'nonce': confirmation.nonce, 'operator': confirmation.operator,
                        'distribution': json.dumps({confirmation.label: 1.0})}))
        while (action := self._console.next_action()) is not None:
            self._call(*action)

    def _watch_live(self) -> None:
        """Subscribe to the live picture while a page shows it; it is made only for subscribers."""
        watched = self._metrics.clients('engineer') > 0
        if watched and self._live is None:
            self._live = self.create_subscription(
                CompressedImage, self._live_topic, self._on_live, NEWEST)
        elif not watched and self._live is not None:
            self.destroy_subscription(self._live)
            self._live = None

    def _call(self, name: str, respond: Any) -> None:
        client = self._triggers[name]
        if not client.service_is_ready():
            respond(False, f'no service {client.service_name}: is the recognizer configured?')
            return
        client.call_async(Trigger.Request()).add_done_callback(
            lambda future: respond(future.result().success, future.result().message))

    # -- the journal ----------------------------------------------------------------------------

    def _follow_journal(self, path: Path) -> None:
        """In a thread of its own: read the past from the journal, then what is new."""
        last, warned, failed = 0, '', ''
        begun = False
        while not self._ended.wait(JOURNAL_PERIOD if begun or failed else 0.0):
            try:
                since = self.get_clock().now().nanoseconds / 1e9 - DAY
                points = [] if begun else read_points(path, since)
                frames, last = read_scored(path, last, since)
                begun = True
                if points or frames:
                    self._console.remember(points, frames)
                warned = failed = ''
            except JournalError as error:
                # The recognizer may be about to make it, so only what stays wrong is logged.
                if str(error) == failed and failed != warned:
                    warned = failed
                    self.get_logger().warning(warned)
                failed = str(error)


def _level(message: Any) -> int:
    return int.from_bytes(message.level, 'little')


def _status(message: Any) -> Status:
    return Status(_level(message), message.message,
                  {entry.key: entry.value for entry in message.values})
