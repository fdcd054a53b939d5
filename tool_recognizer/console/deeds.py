"""Who did what, as the journal has it: confirmations, and what the engineer's buttons did."""

import json
from pathlib import Path
from typing import Any

from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.rows import confirmation
from tool_recognizer.event_log.rows import corrected
from tool_recognizer.event_log.rows import Row
from tool_recognizer.event_log.rows import UNUSABLE

# Events of one answer.
MOST = 200
KINDS = ('action', 'confirmed', 'corrected')


def read_deeds(path: Path, before: int) -> tuple[list[dict[str, Any]], int]:
    """
    Read who did what, the newest first.

    What was only asked for stands there if nothing is known of its end. A confirmation that was
    delivered again is left out.

    Parameters
    ----------
    path : the journal
    before : id of the event to begin before; 0: the newest

    Returns
    -------
    Of each deed moment (s), person, action, outcome, why, label and stamp; and the id to go on
    before, 0 at the end

    Raises
    ------
    JournalError
        The journal cannot be read.

    """
    deeds: list[dict[str, Any]] = []
    with JournalReader(path) as reader:
        rows = reader.latest(KINDS, before, MOST)
    ended: set[tuple[str, str]] = set()
    for row in rows:
        try:
            deed = _deed(row)
        except UNUSABLE:
            continue
        who = deed['person'], deed['action']
        if deed['outcome'] == 'asked':
            if who in ended:
                ended.remove(who)
                continue
        elif row.kind == 'action':
            ended.add(who)
        if deed['outcome'] != Outcome.DUPLICATE.value:
            deeds.append(deed)
    return deeds, rows[-1].id if len(rows) == MOST else 0


def _deed(row: Row) -> dict[str, Any]:
    detail = json.loads(row.detail)
    deed = {'moment': row.moment / 1e9, 'why': '', 'label': '', 'stamp': ''}
    if row.kind == 'action':
        return deed | {name: str(detail[name]) for name in (
            'person', 'action', 'outcome', 'why')}
    if row.kind == 'corrected':
        stands = corrected(row).correction
        return deed | {
            'person': stands.operator, 'action': 'correct', 'outcome': detail['became'],
            'label': max(stands.distribution, key=lambda label: stands.distribution[label],
                         default=''), 'stamp': str(row.key.stamp)}
    said = confirmation(row, detail)
    label = max(said.distribution, key=lambda label: said.distribution[label])
    return deed | {'person': said.operator, 'action': 'confirm', 'outcome': row.outcome,
                   'label': label, 'stamp': str(row.key.stamp)}
