"""What stays of a drift alarm: a line in the log, an event in the journal, and its evidence."""

from collections.abc import Callable
from collections.abc import Mapping
from datetime import datetime
from datetime import timezone
from pathlib import Path
from threading import Thread
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from tool_recognizer import __version__
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.engine import Engine
from tool_recognizer.event_log.evidence import write_evidence


def remember_alarm(engine: Engine, moment: int, status: DiagnosticStatus,
                   parameters: Mapping[str, Any], logger: Any,
                   picture: Callable[[FrameKey], bytes | None]) -> None:
    """
    Keep an alarm.

    Parameters
    ----------
    engine : whose monitor alarms
    moment : ns
    status : what was published of it
    parameters : the node's, by name; 'evidence.path' says where the evidence goes, if anywhere
    logger : of the node
    picture : gives the JPEG of a recent frame: one that was confirmed at once was not made yet

    """
    monitor = {entry.key: entry.value for entry in status.values}
    logger.error(f'{status.message} (evidence {float(monitor["evidence"]):.4g})')
    if not parameters['evidence.path']:
        engine.record('alarm', moment, monitor)
        return
    name = datetime.fromtimestamp(moment / 1e9, timezone.utc).strftime('%Y%m%dT%H%M%S.%fZ')
    alarm = {'tool_recognizer': __version__, 'monitor': monitor, 'parameters': dict(parameters),
             'model': str(engine.model.path)}
    rows = [(prediction, confirmation, nll, kept or picture(confirmation.key))
            for prediction, confirmation, nll, kept in engine.recent]

    def write() -> None:
        try:
            kept = write_evidence(Path(parameters['evidence.path']).expanduser(), name, alarm,
                                  rows, int(parameters['evidence.budget'] * 1e6))
        except Exception as error:  # of many types; the alarm is recorded all the same
            logger.error(f'the evidence of the alarm could not be written: {error}')
        else:
            logger.info(f'evidence of the alarm: {kept}')
        # Last, for what is recorded is not kept again after a restart.
        engine.record('alarm', moment, monitor)

    # In a thread of its own: a slow disk must not hold up confirmations.
    Thread(target=write, name='evidence', daemon=True).start()
