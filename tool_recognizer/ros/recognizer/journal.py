"""
The node's event log: opened, tried again while it cannot be, and what there is to say of it.

A file that will never do (``LASTING``) is refused when the node is configured. Whatever else keeps
the log from being opened may pass: the node answers, keeps the events in memory, and tries again.
"""

from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import shutil
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from tool_recognizer.core.text import Said
from tool_recognizer.engine import Engine
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.file import LASTING
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

    Raises
    ------
    ValueError
        The file is none that could ever be used.

    """

    def __init__(self, node: Node) -> None:
        def parameter(name: str) -> Any:
            return node.get_parameter(name).value

        self._clock, self._logger = node.get_clock(), node.get_logger()
        self._path, self._trouble, self._told = parameter('journal.path'), Said(), 0
        self.log: EventLog | None = None
        # Opening takes seconds where the file is large; frames are answered meanwhile.
        self._opener = ThreadPoolExecutor(1, 'journal')
        self._opening: Future[None] | None = None
        archive = parameter('journal.archive')
        if self._path:
            self.log = EventLog(
                Path(self._path).expanduser(),
                picture_budget=int(parameter('journal.picture_budget') * 1e6),
                keep_predictions=parameter('journal.keep_predictions'),
                keep_days=parameter('journal.keep_days'),
                max_bytes=int(parameter('journal.max_megabytes') * 1e6),
                archive=Path(archive).expanduser() if archive else None,
                waiting=max(50_000, 2 * parameter('monitor.pending')))
            try:
                self.log.open()
            except JournalError as error:
                if error.reason in LASTING:
                    raise ValueError(str(error)) from None
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
            found = log.findings[self._told:]
            self._tell(found)
            self._told += len(found)
            for finding in found:  # so that the next start does not say it again
                engine.record('damaged', self._clock.now().nanoseconds, {'why': finding})
            return
        if self._opening is None:
            self._opening = self._opener.submit(log.prepare)
        if not self._opening.done():
            return
        opening, self._opening = self._opening, None
        try:
            opening.result()
            engine.attach(self._clock.now().nanoseconds)
        except JournalError as error:
            self._say(error)
            self._opening = self._opener.submit(log.prepare)
        else:
            self._trouble = Said()
            self._logger.info('the journal can be opened now: the monitor goes on with what was '
                              'known before')
            self._tell(engine.notes)

    def status(self, name: str) -> DiagnosticStatus | None:
        """Write whether the file is written; None if none is named."""
        log = self.log
        if log is None:
            return None
        store, trouble = log.store, self._trouble or log.trouble
        if store is None:
            return to_ros.journal_status(name, self._path, trouble, {'dropped_predictions': ''})
        trouble = (trouble or Said(store.missing, 'missing')
                   or Said('; '.join(log.findings[:1]), 'damaged')
                   or Said(store.archive_trouble, 'archive'))
        return to_ros.journal_status(name, self._path, trouble, {
            'dropped_predictions': log.dropped,
            'pictures_lost': log.pictures_lost + store.pictures_lost,
            'refused_events': log.refused, 'disk_free_bytes': _free(log.path.parent),
            'rows': store.last - store.removed, 'bytes': store.size, 'removed': store.removed,
            'since': '' if store.since is None else f'{store.since / 1e9:.3f}'})

    def close(self) -> None:
        """Write what waits, after the end of an opening that is under way."""
        self._opener.shutdown()
        if self.log is not None:
            self.log.close()

    def _tell(self, notes: tuple[str, ...] | list[str]) -> None:
        if self.log is not None:
            notes = [*self.log.take_notes(), *notes]
        for note in notes:
            self._logger.warning(note)

    def _say(self, error: JournalError) -> None:
        self._trouble = Said(f'nothing is remembered: {error}', error.reason)
        self._logger.error(self._trouble, throttle_duration_sec=60.0)


def _free(folder: Path) -> int | str:
    """Return the bytes that are free on a folder's disk; '' if the folder cannot be looked at."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return ''
