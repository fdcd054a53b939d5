"""
What was said, to be looked at again: the journal's confirmations, filtered, sorted and exported.

Only the newest ``NEWEST`` are looked at. Left out: how a correction reaches the recognizer
(``state``), and pages (``review_pages``).
"""

from collections import Counter
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import io
from itertools import combinations
import json
from math import exp
from math import inf
from pathlib import Path
from typing import Any
from typing import NamedTuple
from zipfile import ZIP_STORED
from zipfile import ZipFile

from tool_recognizer.console.board import for_json
from tool_recognizer.core.agreement import cohen_kappa
from tool_recognizer.core.confirmation import MATCHED
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.interval import wilson_interval
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.csv_file import CsvWriter
from tool_recognizer.event_log.alarms import alarms
from tool_recognizer.event_log.alarms import StoredAlarm
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.reader import StoredConfirmation
from tool_recognizer.event_log.rows import Corrected
from tool_recognizer.event_log.unconfirmed import StoredRequest
from tool_recognizer.event_log.unconfirmed import unconfirmed
from tool_recognizer.training.labelled import folder_name

# Confirmations that are looked at; of one answer; pictures of one export, and their bytes.
NEWEST, SHOWN, MOST_PICTURES, MOST_BYTES = 5000, 60, 2000, 300_000_000
# Requests that are looked at for frames that nobody has confirmed; conflicts that are shown.
REQUESTS, CONFLICTS = 500, 30
# What is asked for as an outcome and is none of a confirmation.
CORRECTED, WAITING = 'corrected', 'waiting'
# Why a frame was asked for: see ``because``.
CHANCE, DOUBT, UNASKED = 'chance', 'doubt', 'unasked'
# Of an operator's own that are shown to them; operators who are compared in pairs, the busiest.
OWN, COMPARED = 20, 40
COLUMNS = ('number', 'stamp', 'frame_id', 'received', 'operator', 'outcome', 'label', 'said',
           'guess', 'probability', 'nll', 'corrected_by')


class Query(NamedTuple):
    """
    What is asked for; '' or 0.0: anything.

    Attributes
    ----------
    label, answer : what was confirmed, and what the model put first
    operator, outcome : who, and what it counts as; outcome 'corrected': what was corrected;
        'waiting': frames that were asked for, and that nobody has confirmed
    asked : why it was asked for, see ``because``
    alarm : number of an alarm: the frames among which its change began
    since, until : of the confirmation, or of the request, seconds on the recognizer's clock
    order : 'newest' or 'surprising'

    """

    label: str = ''
    answer: str = ''
    operator: str = ''
    outcome: str = ''
    asked: str = ''
    alarm: str = ''
    since: float = 0.0
    until: float = 0.0
    order: str = 'newest'

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> 'Query':
        """Read what an address line has; a number that is none counts for anything."""
        def number(name: str) -> float:
            try:
                return float(parameters.get(name) or 0.0)
            except ValueError:
                return 0.0
        texts = {name: parameters.get(name, '') for name in (
            'label', 'answer', 'operator', 'outcome', 'asked', 'alarm')}
        return cls(**texts, since=number('since'), until=number('until'),
                   order=parameters.get('order', 'newest'))

    def takes(self, found: StoredConfirmation) -> bool:
        """Return whether a confirmation is asked for; the alarm aside."""
        outcome = (self.outcome in ('', found.outcome.value)
                   or (self.outcome == CORRECTED and found.correction is not None))
        return (outcome and self.label in ('', found.label)
                and self.operator in ('', found.operator)
                and self._takes(found, found.received))

    def takes_request(self, found: StoredRequest) -> bool:
        """Return whether a frame that nobody has confirmed is asked for."""
        return (self.outcome == WAITING and not (self.label or self.operator or self.alarm)
                and self._takes(found, found.moment))

    def _takes(self, found: StoredConfirmation | StoredRequest, moment: int) -> bool:
        return (self.answer in ('', guess(found)[0])
                and self.asked in ('', because(found.asked))
                and moment >= self.since * 1e9
                and (not self.until or moment <= self.until * 1e9))


def because(asked: Asked | None) -> str:
    """Return why a frame was asked for: chiefly by chance, or for doubt; or nobody asked."""
    return UNASKED if asked is None else DOUBT if asked.for_doubt else CHANCE


def guess(found: StoredConfirmation | StoredRequest) -> tuple[str, float | None]:
    """Return what the model put first, and how sure it was; '' if no prediction is known."""
    log_p = found.log_probabilities
    if log_p is None:
        return '', None
    best = int(log_p.argmax())
    return found.labels[best], exp(float(log_p[best]))


def selected(path: Path, query: Query) -> list[StoredConfirmation]:
    """
    Return what is asked for, in its order.

    Raises
    ------
    JournalError
        The journal cannot be read.

    """
    with JournalReader(path) as reader:
        known = [*reader.confirmations(NEWEST)]
        return _chosen(known, query, alarms(reader, known))


def _chosen(known: Iterable[StoredConfirmation], query: Query, raised: Iterable[StoredAlarm]
            ) -> list[StoredConfirmation]:
    found = [one for one in known if query.takes(one)][::-1]
    if query.alarm:
        within = {number for alarm in raised if str(alarm.number) == query.alarm
                  for number in alarm.frames}
        found = [one for one in found if one.number in within]
    if query.order == 'surprising':
        found.sort(key=lambda one: -inf if one.nll is None else one.nll, reverse=True)
    return found


def shown(found: StoredConfirmation) -> dict[str, Any]:
    """Write a confirmation for a page."""
    answer, probability = guess(found)
    newer = found.correction
    return {
        'number': found.number, 'stamp': str(found.stamp), 'frame_id': found.frame_id,
        'moment': found.received / 1e9, 'operator': found.operator, 'label': found.label,
        'said': max(found.said, key=lambda label: found.said[label]),
        'outcome': found.outcome.value, 'answer': answer, 'probability': probability,
        'nll': None if found.nll is None else for_json(found.nll),
        'asked': found.inclusion_probability, 'because': because(found.asked),
        'decision': found.decision, 'picture': found.picture is not None,
        'counts': found.outcome in (*MATCHED, Outcome.STRUCK),
        'conflicts': found.outcome is Outcome.CONFLICTING,
        'corrected_by': None if newer is None else newer.correction.operator,
        'corrected_at': None if newer is None else newer.moment / 1e9}


def shown_request(found: StoredRequest) -> dict[str, Any]:
    """Write a frame that nobody has confirmed for a page, as ``shown`` a confirmation."""
    answer, probability = guess(found)
    return {
        'number': found.number, 'stamp': str(found.key.stamp), 'frame_id': found.key.frame_id,
        'moment': found.moment / 1e9, 'operator': '', 'label': '', 'said': '',
        'outcome': WAITING, 'answer': answer, 'probability': probability, 'nll': None,
        'asked': found.asked.inclusion_probability, 'because': because(found.asked),
        'decision': found.decision, 'picture': found.picture is not None, 'counts': False,
        'conflicts': False, 'corrected_by': None, 'corrected_at': None}


def gallery(path: Path, query: Query, begin: int) -> dict[str, Any]:
    """
    Return a part of what is asked for, by what it can be filtered, and what contradicts itself.

    Parameters
    ----------
    path : the journal
    query : what is asked for
    begin : how many are left out, for they are shown already

    Raises
    ------
    JournalError
        The journal cannot be read.

    """
    with JournalReader(path) as reader:
        labels = reader.labels()
        known = [*reader.confirmations(NEWEST)]
        raised = alarms(reader, known)
        found: list[StoredConfirmation | StoredRequest] = [*_chosen(known, query, raised)]
        if query.outcome == WAITING:
            found = [*filter(query.takes_request, unconfirmed(reader, REQUESTS))]
    return {
        'frames': [shown_request(one) if isinstance(one, StoredRequest) else shown(one)
                   for one in found[begin:begin + SHOWN]],
        'n': len(found), 'more': begin + SHOWN if begin + SHOWN < len(found) else 0,
        'alarms': [{'number': alarm.number, 'moment': alarm.moment / 1e9, 'label': alarm.label}
                   for alarm in raised],
        'conflicts': [*_conflicts(known)],
        'labels': labels, 'operators': sorted({one.operator for one in known}),
        'outcomes': dict(Counter(one.outcome.value for one in known)),
        'agreement': [*_agreement(known)], 'kappas': [*_kappas(known)]}


def _conflicts(known: list[StoredConfirmation]) -> Iterator[list[dict[str, Any]]]:
    """Yield all that was said of each frame that two confirmations contradict each other on."""
    frames = defaultdict[FrameKey, list[StoredConfirmation]](list)
    for one in known:
        if one.outcome in (*MATCHED, Outcome.CONFLICTING):
            frames[one.key].append(one)
    contradicted = [said for said in frames.values()
                    if any(one.outcome is Outcome.CONFLICTING for one in said)]
    contradicted.sort(key=lambda said: -said[-1].number)
    for said in contradicted[:CONFLICTS]:
        yield [*map(shown, said)]


def _agreement(known: list[StoredConfirmation]) -> Iterator[dict[str, Any]]:
    """Yield of each operator how often the model's answer was confirmed."""
    scored = [one for one in known if one.nll is not None]
    right = Counter(one.operator for one in scored if guess(one)[0] == one.label)
    for operator, n in sorted(Counter(one.operator for one in scored).items()):
        low, high = wilson_interval(right[operator] / n, n)
        yield {'operator': operator, 'n': n, 'right': right[operator], 'low': low, 'high': high}


def _kappas(known: list[StoredConfirmation]) -> Iterator[dict[str, Any]]:
    """Yield Cohen's kappa of each two of the busiest who confirmed the same frames, as said."""
    said: dict[str, dict[FrameKey, str]] = {}
    most = Counter(one.operator for one in known if one.operator).most_common(COMPARED)
    compared = {operator for operator, _ in most}
    for one in known:
        if one.operator in compared:
            said.setdefault(one.operator, {})[one.key] = max(
                one.said, key=lambda label: one.said[label])
    for a, b in combinations(sorted(said), 2):
        both = sorted(said[a].keys() & said[b].keys())
        found = cohen_kappa([said[a][key] for key in both], [said[b][key] for key in both])
        if found is not None:
            yield {'a': a, 'b': b, 'n': len(both), 'kappa': found.kappa, 'low': found.low,
                   'high': found.high}


def answers(path: Path, operator: str) -> dict[str, Any]:
    """
    Return an operator's own last confirmations, and the labels that they could have had.

    What somebody else has corrected counts as it is: it is not the operator's to change any more.

    Raises
    ------
    JournalError
        The journal cannot be read.

    """
    with JournalReader(path) as reader:
        theirs = [one for one in reader.confirmations(NEWEST)
                  if one.operator == operator and one.outcome is not Outcome.DUPLICATE]
        frames = [(shown(one), one.correction) for one in theirs[:-OWN - 1:-1]]
        return {'labels': reader.labels(), 'frames': [
            frame | {'counts': frame['counts'] and _is_theirs(newer, operator)}
            for frame, newer in frames]}


def is_of(path: Path, number: int, operator: str) -> bool:
    """Return whether a confirmation is an operator's to correct; JournalError as ``answers``."""
    with JournalReader(path) as reader:
        own = any(json.loads(row.detail)['operator'] == operator
                  for row in reader.rows(f"kind = 'confirmed' AND id = {number}"))
        return own and _is_theirs(reader.corrections().get(number), operator)


def _is_theirs(newer: Corrected | None, operator: str) -> bool:
    """Return whether an operator's own confirmation was corrected by nobody else."""
    return newer is None or newer.correction.operator == operator


def picture(path: Path, key: FrameKey) -> bytes | None:
    """Return the JPEG of a confirmed frame, if the journal has it."""
    with JournalReader(path) as reader:
        file = reader.picture(key)
    try:
        return None if file is None else file.read_bytes()
    except OSError:  # the journal has let it go
        return None


def as_csv(found: list[StoredConfirmation]) -> str:
    """Write confirmations as a table; a spreadsheet runs none of its cells."""
    file = io.StringIO(newline='')
    table = CsvWriter(file)
    table.write(*COLUMNS)
    for one in found:
        answer, probability = guess(one)
        newer = one.correction
        table.write(one.number, one.stamp, one.frame_id, one.received, one.operator,
                    one.outcome.value, one.label,
                    max(one.said, key=lambda label: one.said[label]), answer,
                    '' if probability is None else probability,
                    '' if one.nll is None else one.nll,
                    '' if newer is None else newer.correction.operator)
    return file.getvalue()


class _Pipe:
    """What was written and not taken yet."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b''.join(parts)


def as_zip(found: list[StoredConfirmation], read: Callable[[Path], bytes] = Path.read_bytes
           ) -> Iterator[bytes]:
    """
    Pack the pictures of confirmations that count into folders for `train`, and the table.

    It is yielded piece by piece, for all of it at once may be more than the memory.
    """
    packed: Any = _Pipe()
    size = number = 0
    with ZipFile(packed, 'w', ZIP_STORED) as archive:
        archive.writestr('confirmations.csv', as_csv(found))
        for one in found:
            if one.picture is None or one.position is None or one.outcome is Outcome.SKIPPED:
                continue
            try:
                content = read(one.picture)
            except OSError:  # the journal has let it go
                continue
            size, number = size + len(content), number + 1
            if size > MOST_BYTES or number > MOST_PICTURES:
                break
            archive.writestr(f'{folder_name(one.label)}/{one.stamp}_{one.number}.jpg', content)
            yield packed.take()
    yield packed.take()
