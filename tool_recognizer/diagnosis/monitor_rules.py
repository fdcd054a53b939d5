"""What is wrong with what the node knows of its accuracy: journal, confirmations, alarms."""

from collections.abc import Iterator

from tool_recognizer.diagnosis.facts import ERROR
from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.facts import OK
from tool_recognizer.diagnosis.facts import Recognizer
from tool_recognizer.diagnosis.facts import STALE
from tool_recognizer.diagnosis.facts import Topic
from tool_recognizer.diagnosis.facts import WARN
from tool_recognizer.diagnosis.finding import Commands
from tool_recognizer.diagnosis.finding import Finding
from tool_recognizer.diagnosis.finding import Severity


def journal(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find a journal that cannot be written."""
    status = node.statuses.get('journal')
    if status is not None and status.level != OK:
        yield Finding(Severity.ERROR, 'journal', f'the journal: {status.message}',
                      f'see that {node.parameters.get("journal.path") or "journal.path"} can be '
                      'written and its disk has room; the node tries again by itself')


def confirmations(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find confirmations that do not come, or are of no use."""
    monitor = node.statuses.get('monitor')
    if node.state != 'active' or monitor is None:
        return
    speakers = [end.node for name in ('confirmed_label', 'confirmation')
                for end in facts.topics.get(f'{node.name}/{name}', Topic('')).publishers]
    if monitor.level == STALE or (not speakers and monitor.level == WARN):
        yield Finding(
            Severity.WARNING, 'nobody_confirms',
            f'nobody confirms what is shown, so that nothing is known of the accuracy '
            f'({monitor.message})' if not speakers else
            f'{speakers[0]} is there, but no confirmation has come for too long',
            f'{commands.prefix} console' if not speakers else
            'see that operators are asked (inspection.probability above 0) and answer')
    if int(monitor.values.get('ambiguous') or 0):
        yield Finding(
            Severity.WARNING, 'ambiguous', f'{monitor.values["ambiguous"]} confirmations could be '
            "joined to no frame, because the camera's stamps stand still or are all 0",
            'let its driver put the time of each frame into header.stamp')
    invalid = node.said('input', 'invalid_confirmations')
    if invalid not in (None, '0'):
        yield Finding(Severity.WARNING, 'invalid_confirmations',
                      f'{invalid} confirmations could not be used',
                      f'~/confirmation_ack says of each what is wrong: ros2 topic echo '
                      f'{node.name}/confirmation_ack')


def alarms(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find drift, and its early warning."""
    monitor, early = node.statuses.get('monitor'), node.statuses.get('early warning')
    if monitor is not None and monitor.level == ERROR:
        yield Finding(
            Severity.ERROR, 'drift', monitor.message.replace('drift: ', 'drift alarm: ', 1),
            "look at its frames (console, engineer's page); then mend the camera or train anew, "
            f'and {commands("call", "reset_monitor")}')
    if early is not None and early.level != OK:
        yield Finding(Severity.WARNING, 'early_warning', f'early warning: {early.message}',
                      'look at the camera and what lies before it, and confirm some frames: only '
                      'they tell whether the answers are worse')
