"""Who did what, as the journal has it: confirmations, and what the engineer's buttons did."""

from collections import defaultdict
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
# Of what the console does itself nothing is asked for; its end says what it was done to.
OWN = ('end_logins', 'teach_delete', 'teach_relabel')


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
    Of each deed moment (s), person, action, outcome, what (exactly was asked for), why (what came
    of it), label and stamp; and the id to go on before, 0 at the end

    Raises
    ------
    JournalError
        The journal cannot be read.

    """
    deeds: list[dict[str, Any]] = []
    with JournalReader(path) as reader:
        rows = reader.latest(KINDS, before, MOST)
    ended = defaultdict[tuple[str, str], list[dict[str, Any]]](list)
    for row in rows:
        try:
            deed = _deed(row)
        except UNUSABLE:
            continue
        who = deed['person'], deed['action']
        if deed['outcome'] == 'asked':
            if ended[who]:
                ended[who].pop(0)['what'] = deed['what']
                continue
        elif row.kind == 'action' and deed['action'] not in OWN:
            ended[who].append(deed)
        if deed['outcome'] != Outcome.DUPLICATE.value:
            deeds.append(deed)
    return deeds, rows[-1].id if len(rows) == MOST else 0


def _deed(row: Row) -> dict[str, Any]:
    detail = json.loads(row.detail)
    deed = {'moment': row.moment / 1e9, 'what': '', 'why': '', 'label': '', 'stamp': ''}
    if row.kind == 'action':
        deed |= {name: str(detail[name]) for name in ('person', 'action', 'outcome', 'why')}
        if deed['outcome'] == 'asked' or deed['action'] in OWN:
            deed |= {'what': deed['why'], 'why': ''}
        return deed
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
