"""
The node ``/console``: the operator's and the engineer's pages in a browser.

Here is only wiring. ROS runs in the main thread, the web server in one of its own; what both know
is kept by ``console.state``. The node has no state that it could lose: a confirmation is on the
disk before the page calls it confirmed, and is published until the recognizer acknowledges it.
"""

from collections.abc import Callable
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
from tool_recognizer.console import incoming
from tool_recognizer.console.access import Access
from tool_recognizer.console.access import check_private
from tool_recognizer.console.access import read_token
from tool_recognizer.console.app import Application
from tool_recognizer.console.board import Board
from tool_recognizer.console.board import DAY
from tool_recognizer.console.candidates import Candidates
from tool_recognizer.console.connections import Limits
from tool_recognizer.console.desk import Desk
from tool_recognizer.console.history import read_points
from tool_recognizer.console.history import read_scored
from tool_recognizer.console.line import Line
from tool_recognizer.console.logins import Logins
from tool_recognizer.console.metrics import Metrics
from tool_recognizer.console.outbox import Outbox
from tool_recognizer.console.outbox import OutboxError
from tool_recognizer.console.pages import locales
from tool_recognizer.console.people import People
from tool_recognizer.console.server import Server
from tool_recognizer.console.state import Console
from tool_recognizer.console.teach_pages import Teach
from tool_recognizer.console.teaching import Teaching
from tool_recognizer.console.tls import Tls
from tool_recognizer.console.trainer import Trainer
from tool_recognizer.core.text import told
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.store import ModelStore
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.accepts_unchanged import AcceptsUnchanged
from tool_recognizer.ros.actions import Actions
from tool_recognizer.ros.guard import ERRORS
from tool_recognizer.ros.teacher import Teacher
from vision_msgs.msg import Classification
from vision_msgs.msg import LabelInfo

REQUESTS = QoSProfile(depth=10)
CONFIRMATIONS = QoSProfile(depth=1000)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# Only the newest prediction is shown, but each is counted.
RESULTS = QoSProfile(depth=10)

# What the log says of connections that are refused because there are too many.
CROWDED = {
    'crowded': 'connections that waited were ended to make room for others; '
               'console.max_connections and console.max_connections_per_address limit them',
    'full': 'a connection was refused: console.max_connections is reached',
    'no_descriptor': 'a connection was refused: the process may open no more files (ulimit -n)'}
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
                            'reach needs console.token_file, and TLS.'),
    'console.port': Setting(8080, 'The TCP port to listen on; 0: a free one.', 0, 65535),
    'console.token_file': Setting('', 'A file whose first line is the token that a browser must '
                                  'show once; empty: no token. With console.users_file it is '
                                  'for programs alone, which read /metrics with it.'),
    'console.users_file': Setting('', 'A file of those who may log in, made by: console users '
                                  'add; empty: nobody is asked for a name and a password.'),
    'console.login_hours': Setting(12.0, 'Hours after which a login ends.', 0.01, 8760.0),
    'console.tls_certificate': Setting('', 'A PEM file with the certificate, and those that it is '
                                       'signed by, for https; empty: http. A renewed one is taken '
                                       'without a restart.'),
    'console.tls_key': Setting('', "A PEM file with the certificate's private key, without a "
                               'passphrase.'),
    'console.plain_http': Setting(False, 'Speak http on an address that others can reach, too, '
                                  'because a proxy before the console speaks https.'),
    'console.max_connections': Setting(512, 'Connections at once, at most; fewer if the process '
                                       'may not open so many files.', 80, 10_000),
    'console.max_connections_per_address': Setting(
        64, 'Connections of one address at once that have opened no page; the oldest is ended '
        'then. All that come through a proxy are of one address.', 8, 10_000),
    'console.locale': Setting('auto', 'Language of the pages, for example en or de; auto: as the '
                              'browser wants it.'),
    'console.outbox': Setting('', 'The file that keeps confirmations until the recognizer has '
                              'acknowledged them; empty: tool_recognizer/NAME.outbox in $ROS_HOME '
                              'or ~/.ros.'),
    'console.line': Setting('', 'What people call the line; it stands on the pages and in the '
                            "metrics. Empty: the recognizer's name stands there."),
    'console.undo': Setting(5.0, 'Seconds for which a confirmation can be undone.', 0.0, 60.0),
    'console.request_timeout': Setting(120.0, 'Seconds after which an inspection request '
                                       'expires.', 1.0, 86_400.0),
    'console.max_requests': Setting(30, 'Open inspection requests, at most; the oldest then '
                                    'expires.', 1, 1000),
    'console.collection': Setting('', 'A folder for photographs that are taken at the page Teach, '
                                  'which needs models.path, too; empty: nothing is taught there.'),
    'console.idle_training': Setting(True, 'Whether a training at the page Teach takes only the '
                                     'time that nothing else on this machine wants.'),
    'models.path': Setting('', "The recognizer's store of models, for the list of models, the way "
                           'back to one, and those that are taught at the page Teach; empty: only '
                           'what the journal knows of them.'),
    'journal.path': Setting('', "The recognizer's journal, read for the time before the console "
                            'was started; empty: only what came since.'),
}


class ConsoleNode(AcceptsUnchanged, Node):
    """
    See the module; the parameters are in ``SETTINGS``.

    Raises
    ------
    ValueError
        A parameter cannot be used: the address, the token, the certificate, the language or the
        outbox.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__('console', **options)
        setting: dict[str, Any] = {
            name: self.declare_parameter(name, known.default, to_ros.descriptor(
                known.text, known.default, known.low, known.high, read_only=True)).value
            for name, known in SETTINGS.items()}
        host, locale = setting['console.host'], setting['console.locale']
        token_file, tls = setting['console.token_file'], self._tls(setting)
        access = Access(host, read_token(token_file) if token_file else '',
                        tls is not None or setting['console.plain_http'], self._logins(setting))
        if warning := check_private('console.token_file', token_file) if token_file else '':
            self.get_logger().warning(warning)
        if locale not in ('auto', *locales()):
            raise ValueError(f'console.locale must be auto or one of {locales()}, got {locale!r}')
        line = Line(self.resolve_topic_name(setting['recognizer']),
                    self.context.get_domain_id(), setting['console.line'].strip())
        self._metrics = Metrics(line)
        self._metrics.callback_errors = lambda: ERRORS.count
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
        self._application: Application | None = None
        self._teacher: Teacher | None = None
        candidates, teach = self._models(setting)
        self._connect(setting['recognizer'])
        journal = Path(setting['journal.path']).expanduser() if setting['journal.path'] else None
        if journal is not None:
            Thread(target=self._follow_journal, args=(journal,), name='journal',
                   daemon=True).start()
        application = self._application = Application(
            self._console, access, locale, setting['console.undo'],
            lambda error: self._warn_now_and_then(f'a fault in the console: {told(error)}'), line,
            journal, candidates, teach)
        limits = Limits(setting['console.max_connections'],
                        setting['console.max_connections_per_address'])
        try:
            self._server = Server(application.asgi, host, setting['console.port'], limits, tls,
                                  self._refused, self._warn_now_and_then)
        except ValueError:
            self._ended.set()
            self._outbox.close()
            raise
        unsent = len(self._outbox)
        self.get_logger().info(
            f'open {self._server.address}'
            + ('' if access.is_open else ' and log in' if access.logins is not None else
               ' and give the token when it is asked for')
            + (f'; {unsent} earlier confirmations are sent first' if unsent else ''))

    def _models(self, setting: dict[str, Any]) -> tuple[Candidates | None, Teach | None]:
        """Return what changes the model in charge, and what teaches new ones."""
        collection, models = setting['console.collection'], setting['models.path']
        if not models:
            if collection:
                raise ValueError('console.collection needs a models.path, too: name both')
            return None, None
        store = ModelStore(models)
        teacher = self._teacher = Teacher(self, setting['recognizer'], self._console)
        candidates = Candidates(store, teacher)
        if not collection:
            return candidates, None
        path = Path(collection).expanduser()
        return candidates, Teach(
            Teaching(path, DEFAULT_MODEL, teacher, teacher.labels, monotonic),
            Trainer(path, store, DEFAULT_MODEL, setting['console.idle_training']),
            candidates, teacher.model)

    def _logins(self, setting: dict[str, Any]) -> Logins | None:
        if not setting['console.users_file']:
            return None
        return Logins(People(setting['console.users_file'],
                             lambda line: self.get_logger().error(line)),
                      3600.0 * setting['console.login_hours'])

    def _tls(self, setting: dict[str, Any]) -> Tls | None:
        certificate, key = setting['console.tls_certificate'], setting['console.tls_key']
        if not certificate and not key:
            return None
        if not (certificate and key):
            raise ValueError('console.tls_certificate and console.tls_key go together: name both')
        return Tls(certificate, key, lambda line: self.get_logger().warning(line))

    def _refused(self, reason: str) -> None:
        """Count what the server turned away, from its thread, and tell of what can be mended."""
        self._metrics.refused(reason)
        if reason in CROWDED:
            self._warn_now_and_then(CROWDED[reason])

    def _warn_now_and_then(self, line: str) -> None:
        self.get_logger().warning(line, throttle_duration_sec=1.0)

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
            self.create_subscription(kind, f'{recognizer}/{topic}', self._checked(callback), qos)
        self.create_subscription(DiagnosticArray, '/diagnostics',
                                 self._checked(self._on_diagnostics), RESULTS)
        self._confirmation = self.create_publisher(
            DiagnosticStatus, f'{recognizer}/confirmation', CONFIRMATIONS)
        self._correction = self.create_publisher(
            DiagnosticStatus, f'{recognizer}/correction', CONFIRMATIONS)
        self._note = self.create_publisher(DiagnosticStatus, f'{recognizer}/note', CONFIRMATIONS)
        self._live_topic = f'{recognizer}/annotated/compressed'
        self._live: Any = None
        # How it may name itself in /diagnostics, which all namespaces share: in full or plainly.
        whole = self.resolve_topic_name(recognizer).strip('/')
        self._names = (f'{whole}: ', f'{whole.rsplit("/", 1)[-1]}: ')
        self._actions = Actions(self, recognizer)
        self.create_timer(TICK, self._on_tick)

    def destroy_node(self) -> None:
        """End the server, then what it used."""
        self._ended.set()
        if self._server is not None:
            self._server.close()
        if self._application is not None:
            self._application.close()
        if self._teacher is not None:
            self._teacher.close()
        self._outbox.close()
        super().destroy_node()

    def _outbox_path(self, given: str) -> Path:
        if given:
            return Path(given).expanduser()
        home = Path(os.environ.get('ROS_HOME') or '~/.ros').expanduser()
        name = self.get_fully_qualified_name().strip('/').replace('/', '.')
        return home / 'tool_recognizer' / f'{name}.outbox'

    # -- from the recognizer --------------------------------------------------------------------

    def _checked(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a callback that counts what it cannot use, and goes on."""
        def receive(message: Any) -> None:
            try:
                callback(message)
            except incoming.Unusable as error:
                self._metrics.refused('ros_message')
                self._warn_now_and_then(f'a message was refused: {error}')
        return receive

    def _on_request(self, message: Any) -> None:
        self._console.ask(*incoming.request(message))

    def _on_picture(self, message: Any) -> None:
        self._console.show(*incoming.picture(message))

    def _on_acknowledgement(self, message: Any) -> None:
        said = incoming.acknowledgement(message)
        try:
            self._console.acknowledged(said.nonce, said.level, said.outcome, said.reason)
        except OutboxError as error:  # it is acknowledged again when it is sent again
            self.get_logger().error(str(error), throttle_duration_sec=1.0)

    def _on_prediction(self, message: Any) -> None:
        self._console.predicted(incoming.key(message), incoming.probabilities(message))

    def _on_decision(self, message: Any) -> None:
        for decision, score in incoming.probabilities(message).items():
            self._console.decided(incoming.key(message), decision, score)

    def _on_monitor(self, message: Any) -> None:
        self._console.monitored(incoming.status(message))

    def _on_labels(self, message: Any) -> None:
        labels = incoming.labels(message)
        self._console.labelled(labels)
        if self._teacher is not None:
            self._teacher.hear_labels(labels)

    def _on_diagnostics(self, message: Any) -> None:
        ours = incoming.statuses(message, self._names)
        # The monitor has a topic of its own.
        ours.pop('monitor', None)
        if ours:
            self._console.diagnosed(ours)
        if self._teacher is not None:
            self._teacher.hear_statuses(ours)

    def _on_live(self, message: Any) -> None:
        self._console.set_live(*incoming.picture(message))

    # -- to the recognizer ----------------------------------------------------------------------

    def _on_tick(self) -> None:
        self._console.tick()
        self._watch_live()
        # Without a recognizer nobody would receive it; it stays due.
        if self._confirmation.get_subscription_count():
            for confirmation in self._console.due():
                distribution = {confirmation.label: 1.0} if confirmation.label else {}
                known = {
                    'stamp': confirmation.key.stamp, 'frame_id': confirmation.key.frame_id,
                    'nonce': confirmation.nonce, 'operator': confirmation.operator,
                    'distribution': json.dumps(distribution)}
                if confirmation.of:
                    self._correction.publish(to_ros.status(
                        'correction', confirmation.operator, DiagnosticStatus.OK, '',
                        known | {'of': confirmation.of}))
                else:
                    self._confirmation.publish(to_ros.status(
                        'confirmation', confirmation.operator, DiagnosticStatus.OK, '', known))
        # Before what it tells of is done: who asked is known then, whatever comes of it.
        while self._note.get_subscription_count() and (
                note := self._console.next_note()) is not None:
            self._note.publish(to_ros.status('note', note.person, DiagnosticStatus.OK, '', {
                'person': note.person, 'action': note.action, 'outcome': note.outcome,
                'why': note.why}))
        while (action := self._console.next_action()) is not None:
            self._actions.add(action)
        self._actions.check()

    def _watch_live(self) -> None:
        """Subscribe to the live picture while a page shows it; it is made only for subscribers."""
        watched = self._metrics.clients('engineer') + self._metrics.clients('teach') > 0
        if watched and self._live is None:
            self._live = self.create_subscription(
                CompressedImage, self._live_topic, self._checked(self._on_live), NEWEST)
        elif not watched and self._live is not None:
            self.destroy_subscription(self._live)
            self._live = None

    # -- the journal ----------------------------------------------------------------------------

    def _follow_journal(self, path: Path) -> None:
        """In a thread of its own: read the past from the journal, then what is new."""
        last, warned, failed = 0, '', ''
        begun = False
        while not self._ended.wait(JOURNAL_PERIOD if begun or failed else 0.0):
            try:
                since = self.get_clock().now().nanoseconds / 1e9 - DAY
                points = [] if begun else read_points(path, since)
                frames, last = read_scored(path, 0 if self._console.must_reread() else last, since)
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
            except Exception as error:  # the live figures go on without the past
                failed = told(error)
                ERRORS.note('thread journal', error)
