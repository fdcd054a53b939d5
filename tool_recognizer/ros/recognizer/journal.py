"""The node's event log: opened, tried again while it cannot be, and what there is to say of it."""

from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from tool_recognizer.engine import Engine
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.ros import to_ros


class Journal:
    """
    See the module; without its file recognising goes on, and the diagnostics say so.

    Parameters
    ----------
    node : whose parameters name the file, and whose log tells what happens to it

    Attributes
    ----------
    log : what an engine is started with; None if no file is named

    """

    def __init__(self, node: Node) -> None:
        def parameter(name: str) -> Any:
            return node.get_parameter(name).value

        self._clock, self._logger = node.get_clock(), node.get_logger()
        self._path, self._trouble, self._told = parameter('journal.path'), '', 0
        self.log: EventLog | None = None
        if self._path:
            self.log = EventLog(
                Path(self._path).expanduser(),
                picture_budget=int(parameter('journal.picture_budget') * 1e6),
                keep_predictions=parameter('journal.keep_predictions'),
                waiting=max(50_000, 2 * parameter('monitor.pending')))
            try:
                self.log.open()
            except JournalError as error:
                self._say(error)

    @property
    def is_missing(self) -> bool:
        """Whether what is confirmed is not kept on disk."""
        return self.log is None or not self.log.is_open

    def start(self, engine: Engine, reason: str) -> None:
        """Start an engine with the log; reason : 'start' or 'reload'."""
        try:
            engine.start(reason, self._clock.now().nanoseconds, self.log)
        except JournalError as error:
            assert self.log is not None
            self._say(error)
            self.log.release()
            engine.start(reason, self._clock.now().nanoseconds, self.log)
        self._tell(engine.notes)

    def retry(self, engine: Engine) -> None:
        """Try again to open the file, if that failed; tell what is found in it."""
        log = self.log
        if log is None:
            return
        if log.is_open:
            self._tell(log.findings[self._told:])
            self._told = len(log.findings)
            return
        try:
            engine.attach(self._clock.now().nanoseconds)
        except JournalError as error:
            self._say(error)
        else:
            self._trouble = ''
            self._logger.info('the journal can be opened now: the monitor goes on with what was '
                              'known before')
            self._tell(engine.notes)

    def status(self, name: str) -> DiagnosticStatus | None:
        """Write whether the file is written; None if none is named."""
        if self.log is None:
            return None
        trouble = self._trouble or self.log.trouble or '; '.join(self.log.findings[:1])
        return to_ros.journal_status(name, self._path, trouble,
                                     self.log.dropped if self.log.is_open else None)

    def close(self) -> None:
        """Write what waits."""
        if self.log is not None:
            self.log.close()

    def _tell(self, notes: tuple[str, ...] | list[str]) -> None:
        if self.log is not None:
            notes = [*self.log.notes, *notes]
            self.log.notes = ()
        for note in notes:
            self._logger.warning(note)

    def _say(self, error: JournalError) -> None:
        self._trouble = f'nothing is remembered: {error}'
        self._logger.error(self._trouble, throttle_duration_sec=60.0)
