"""A log, read by people: its confirmations, its figures, and what is wrong with it."""

from collections import Counter
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
import json
from pathlib import Path
import sqlite3
from types import TracebackType
from typing import Any
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import MATCHED
from tool_recognizer.core.confirmation import MEASURED
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.locate import Box
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.run import Run
from tool_recognizer.core.run import surprise
from tool_recognizer.event_log.chain import check
from tool_recognizer.event_log.chain import CHECKED
from tool_recognizer.event_log.chain import describe
from tool_recognizer.event_log.chain import seal
from tool_recognizer.event_log.file import beside
from tool_recognizer.event_log.file import explain
from tool_recognizer.event_log.file import open_readable
from tool_recognizer.event_log.file import pictures_folder
from tool_recognizer.event_log.pictures import picture_file
from tool_recognizer.event_log.rows import began
from tool_recognizer.event_log.rows import box
from tool_recognizer.event_log.rows import confirmation
from tool_recognizer.event_log.rows import Corrected
from tool_recognizer.event_log.rows import corrected
from tool_recognizer.event_log.rows import decode_state
from tool_recognizer.event_log.rows import joined
from tool_recognizer.event_log.rows import log_probabilities
from tool_recognizer.event_log.rows import Row
from tool_recognizer.event_log.rows import UNUSABLE
from tool_recognizer.event_log.tables import FOR_PEOPLE
from tool_recognizer.event_log.tail import missing
from tool_recognizer.event_log.verify import problems

Read = TypeVar('Read')

# Kinds of events that statistics count elsewhere.
OF_THE_RUN = ('answered', 'asked', 'began', 'confirmed', 'continued', 'passage_began',
              'passage_ended', 'reset', 'sample', 'shadow')
# Events between an answer and the request to confirm its frame, and more.
ASKED_WITHIN = 20


@dataclass(frozen=True)
class StoredConfirmation:
    """
    One confirmation, with what is known of its frame.

    Attributes
    ----------
    number : id of its event: in the order of arrival
    began : id of the event that began the run in which it was settled
    run : number of that run; a reset begins another one
    stamp, frame_id : the frame; ns
    received : ns, on the receiver's clock
    operator : who
    outcome : what became of it
    position : id of the event that settled it: in the order of scoring; None if it was not
        joined to a prediction
    distribution : label to probability
    nll : nats, None if it was not scored; of a soft label its cross-entropy
    asked : how the frame came to be asked for, if it was
    model_digest : of the model that answered, or of the run if none is known to have
    labels : that model's K labels
    log_probabilities : (K,) nats, None if no prediction is known
    decision : what a controller was told; '' if unknown
    picture : what the model was shown of the frame, as JPEG; None if it was not kept
    correction : what superseded it, if anything did: then distribution and outcome are as they
        stand since, and ``said`` is what it was
    said : label to probability, as the operator said it
    box : where the object was found, in the frame's pixels, if it was
    was, settled : what it counted as before any correction, and the id of the event that says so

    """

    number: int
    began: int
    run: int
    stamp: int
    frame_id: str
    received: int
    operator: str
    outcome: Outcome
    position: int | None
    distribution: dict[str, float]
    nll: float | None
    asked: Asked | None
    model_digest: str
    labels: tuple[str, ...]
    log_probabilities: NDArray[np.float64] | None
    decision: str
    picture: Path | None
    said: dict[str, float]
    correction: Corrected | None = None
    box: Box | None = None
    was: Outcome = Outcome.UNMATCHED
    settled: int = 0

    @property
    def key(self) -> FrameKey:
        """Return the frame."""
        return FrameKey(self.stamp, self.frame_id)  # type: ignore[arg-type]

    @property
    def inclusion_probability(self) -> float | None:
        """Return the probability with which the frame was asked for, if it was."""
        return None if self.asked is None else self.asked.inclusion_probability

    @property
    def label(self) -> str:
        """Return the most probable confirmed label; of equals, the first."""
        return max(self.distribution, key=lambda label: self.distribution[label])


class JournalReader:
    """
    A log to read; a node may be writing it meanwhile.

    Parameters
    ----------
    path : the file

    Attributes
    ----------
    path : as given
    pictures : the folder of its pictures
    damage : events that were left out because they are damaged, one line each

    Raises
    ------
    JournalError
        It is not there, or is no log of this version; from each verb, too, if the file turns out
        to be unreadable.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._db = open_readable(self.path)
        self.pictures = pictures_folder(self.path)
        self.damage: list[str] = []

    def __enter__(self) -> 'JournalReader':
        """Return the reader itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self._db.close()

    def runs(self) -> dict[int, RunBegan]:
        """Return the events that began runs, by their ids."""
        return {row.id: event for row, event in self._read("kind = 'began'", began)}

    def labels(self) -> list[str]:
        """Return every label that a model of the log had, the first model's first."""
        return list(dict.fromkeys(
            label for event in self.runs().values() for label in event.labels))

    def confirmations(self, newest: int = 0) -> Iterator[StoredConfirmation]:
        """
        Yield every confirmation, in the order of arrival.

        What was delivered again is there once; what came before its frame is there with what
        became of it when the frame was answered.

        Parameters
        ----------
        newest : only so many, the newest; 0: all

        """
        first = 0
        if newest:
            first = next(self._rows(
                "SELECT coalesce(min(id), 0) FROM (SELECT id FROM events WHERE kind = 'confirmed' "
                f'AND {FOR_PEOPLE} ORDER BY id DESC LIMIT {newest})'))[0]
        settled, again = self._settled(first)
        stored = self._storing()
        for row, said in self._read(f"kind = 'confirmed' AND id >= {first}", _said):
            if row.id not in again:
                yield from stored(row, said, settled.get(row.id, row))

    def measured(self, after: int = 0) -> Iterator[StoredConfirmation]:
        """Yield those whose NLL is known, in the order of scoring, after the event ``after``."""
        stored = self._storing()
        outcomes = ', '.join(repr(outcome.value) for outcome in MATCHED)

        def counts(found: StoredConfirmation) -> bool:
            return found.outcome in MEASURED  # a correction may have changed it

        for by, said in self._read(f'id > {after} AND outcome IN ({outcomes})', _said):
            if said is not None:
                yield from filter(counts, stored(by, said, by))
                continue
            # It came before the answer that settled it.
            key = joined(by).confirmed
            early = [*self._read(f"kind = 'confirmed' AND id < {by.id} AND stamp = {key.stamp} "
                                 f'AND run = {by.run}', _said)]
            for row, confirmed in early[-1:]:
                if row.key == key:
                    yield from filter(counts, stored(row, confirmed, by))

    def latest(self, kinds: Collection[str], before: int, most: int) -> list[Row]:
        """Return the newest events of some kinds, the newest first; ``before`` an id, if not 0."""
        wanted = f"kind IN ({', '.join(map(repr, kinds))})"
        if before:
            wanted += f' AND id < {before}'
        first = next(self._rows(f'SELECT min(id) FROM (SELECT id FROM events WHERE {wanted} AND '
                                f'{FOR_PEOPLE} ORDER BY id DESC LIMIT {most})'))[0]
        if first is None:
            return []
        return [*self.rows(f'{wanted} AND id >= {first}')][::-1]

    def rows(self, condition: str) -> Iterator[Row]:
        """Yield the events that are whole and fulfil a condition in SQL, in their order."""
        return (row for row, _ in self._read(f'({condition})', lambda row: row))

    def answer(self, asked: Row) -> Row | None:
        """Return the answer to the frame that an event asks for, which came just before it."""
        nearby = f"id BETWEEN {asked.id - ASKED_WITHIN} AND {asked.id} AND kind = 'answered'"
        found = [row for row, _ in self._read(nearby, lambda row: row, people=False)
                 if row.key == asked.key]
        return found[-1] if found else None

    def corrections(self) -> dict[int, Corrected]:
        """Return what stands of the confirmations that were corrected, by their numbers."""
        return {said.correction.of: said for _, said in self._read(
            "kind = 'corrected'", corrected)}

    def first_state(self, run: int) -> Run | None:
        """Return a run as it began, by the id of that event; None if that is not known."""
        for state, kept, digest in self._rows(
                'SELECT s.state, s.seal, e.digest FROM snapshots AS s '
                'JOIN events AS e ON e.id = s.event WHERE s.event = ?', (run,)):
            with suppress(*UNUSABLE):
                return (Run.from_state(decode_state(state)) if seal(digest, run, state) == kept
                        else None)
        return None

    def _storing(self) -> Callable[[Row, Confirmation | None, Row], Iterator[StoredConfirmation]]:
        """Gather what belongs to a confirmation."""
        runs, numbered = self.runs(), self._numbered()
        corrections = self.corrections()

        def stored(row: Row, said: Confirmation | None, by: Row) -> Iterator[StoredConfirmation]:
            if by.run not in runs or said is None:
                return
            event, outcome, detail = runs[by.run], Outcome(by.outcome), json.loads(by.detail)
            to = joined(by)
            log_p = None if to.blob is None else log_probabilities(to.blob)
            nll, stands, newer = None, said.distribution, corrections.get(row.id)
            if newer is not None:
                outcome = newer.became
                stands = newer.correction.distribution or stands
            if log_p is not None and outcome in MEASURED:
                nll = surprise(event.labels, log_p, stands)
            yield StoredConfirmation(
                row.id, by.run, max(number for number, place, run, *_ in numbered
                                    if run == by.run and place <= by.id),
                *row.key, row.moment, said.operator, outcome,
                by.id if outcome in MATCHED else None, dict(stands), nll,
                Asked(*detail['asked']) if 'asked' in detail else None,
                event.model_digest, event.labels, log_p, to.detail.get('decision', ''),
                self.picture(row.key), dict(said.distribution), newer, box(to.detail),
                Outcome(by.outcome), by.id)

        return stored

    def picture(self, key: FrameKey) -> Path | None:
        """Find a frame's picture: one, for whoever follows a log reads a few of many."""
        paths = self._rows('SELECT path FROM pictures WHERE stamp = ? AND frame_id = ?', key)
        return next((picture_file(self.pictures, path) for (path,) in paths), None)

    def _settled(self, first: int = 0) -> tuple[dict[int, Row], set[int]]:
        """
        Find what became of confirmations later, and which only repeat others, by their ids.

        A confirmation that matched no frame is settled by the answer to its frame, or by the same
        one that is delivered again.
        """
        settled: dict[int, Row] = {}
        again: set[int] = set()
        early: dict[FrameKey, int] = {}
        known: dict[bytes, tuple[int, str]] = {}
        for row, digest in self._read(
                f"id >= {first} AND (kind = 'confirmed' OR outcome IS NOT NULL)", _digest):
            if row.kind == 'answered':
                key = joined(row).confirmed
                # In a passage without an answer yet it goes on waiting.
                if key in early and row.outcome != Outcome.UNMATCHED.value:
                    settled[early.pop(key)] = row
                continue
            number, before = known.get(digest, (0, ''))
            outcome = Outcome(row.outcome)
            if number and (outcome is Outcome.DUPLICATE or (
                    outcome.value == before and outcome not in MATCHED)):
                again.add(row.id)
            elif before in (Outcome.UNMATCHED.value, Outcome.NO_ROOM.value) and (
                    number not in settled):
                settled[number] = row
                again.add(row.id)
                known[digest] = number, outcome.value
                if outcome is Outcome.UNMATCHED:
                    early[row.key] = number
            else:
                known[digest] = row.id, outcome.value
                if outcome is Outcome.UNMATCHED:
                    early[row.key] = row.id
        return settled, again

    def _numbered(self) -> list[tuple[int, int, int, int, str]]:
        """Return each begin and reset: number, id, the run's event, moment in ns, kind."""
        return [(number, *row) for number, row in enumerate(self._rows(
            "SELECT id, run, moment, kind FROM events WHERE kind IN ('began', 'reset') "
            f'AND {FOR_PEOPLE} ORDER BY id'), 1)]

    def statistics(self) -> dict[str, Any]:
        """
        Count what is in the log.

        Returns
        -------
        bytes, picture_bytes; since: moment of the oldest event that is left, but for those that
        began runs, ns, None without any; removed: how many events are not left; pictures,
        requests, predictions, predictions_confirmed; first_stamp
        and last_stamp of the predictions, ns, None without any; confirmations by outcome (what
        was delivered twice is one); labels: confirmed and joined, by label; nll: mean over all
        that were scored, nats, None without any; events by kind; runs: id, reason, started (ns),
        model_digest, scored, nll

        """
        labels, outcomes, confirmed = Counter[str](), Counter[str](), set[FrameKey]()
        scored = defaultdict[int, list[float]](list)
        for stored in self.confirmations():
            outcomes[stored.outcome.value] += 1
            if stored.position is not None:
                labels[stored.label] += 1
                confirmed.add(stored.key)
            if stored.outcome in SCORED and stored.nll is not None:
                scored[stored.run].append(stored.nll)
        began_by = self.runs()
        runs = [{'id': number, 'reason': 'reset' if kind == 'reset' else began_by[run].reason,
                 'started': moment, 'model_digest': began_by[run].model_digest,
                 'scored': len(scored[number]), 'nll': _mean(scored[number])}
                for number, _, run, moment, kind in self._numbered() if run in began_by]
        ((first, last, predictions),) = self._rows(
            "SELECT min(stamp), max(stamp), count(*) FROM events WHERE kind = 'answered'")
        ((pictures, picture_bytes),) = self._rows(
            'SELECT count(*), coalesce(sum(bytes), 0) FROM pictures')
        ((removed,),) = self._rows('SELECT coalesce(sum(last - first + 1), 0) FROM pruned')
        since = next(self._rows("SELECT moment FROM events WHERE kind <> 'began' ORDER BY id "
                                'LIMIT 1'), None)
        kinds = Counter(row.kind for row, _ in self._read('TRUE', lambda row: row))
        files = [self.path, beside(self.path, '-wal')]
        return {
            'bytes': sum(file.stat().st_size for file in files if file.exists()),
            'since': since[0] if since else None, 'removed': removed,
            'picture_bytes': picture_bytes, 'pictures': pictures,
            'requests': kinds['asked'], 'predictions': predictions,
            'predictions_confirmed': len(confirmed), 'first_stamp': first, 'last_stamp': last,
            'confirmations': dict(outcomes), 'labels': dict(sorted(labels.items())),
            'nll': _mean([nll for nlls in scored.values() for nll in nlls]),
            'events': {kind: n for kind, n in sorted(kinds.items()) if kind not in OF_THE_RUN},
            'runs': runs}

    def problems(self) -> Iterator[str]:
        """
        Yield what is wrong with the log, a line each; nothing if all is well.

        Left out: ``pictures_without_folder``, of which one line says as much as one for each.
        """
        # Not beside a writer in its own process, whose locks this would end.
        with self.path.open('rb') as file:
            if file.read(19)[-1] > 2:
                yield 'the file is damaged: its header does not let it be written'
        try:
            lost = missing(self.path, self._db)
            if lost:
                yield lost
            yield from problems(self._db)
        except sqlite3.Error as error:
            raise explain(self.path, error) from None
        if self.pictures_without_folder():
            return
        for stamp, frame_id, path, size, digest in self._rows(
                'SELECT stamp, frame_id, path, bytes, digest FROM pictures ORDER BY stamp'):
            wrong = _problem_of_picture(picture_file(self.pictures, path), size, digest)
            # A node that writes meanwhile may have let it go for the budget.
            if wrong and list(self._rows('SELECT 1 FROM pictures WHERE stamp = ? AND frame_id = ? '
                                         'AND path = ?', (stamp, frame_id, path))):
                yield wrong

    def pictures_without_folder(self) -> int:
        """Return how many pictures the journal has whose folder is not there at all."""
        ((pictures,),) = self._rows('SELECT count(*) FROM pictures')
        return 0 if self.pictures.is_dir() else int(pictures)

    def unlisted_pictures(self) -> list[Path]:
        """Return the picture files that the journal does not know."""
        known = {path for table in ('pictures', 'litter')
                 for (path,) in self._rows(f'SELECT path FROM {table}')}
        try:
            return sorted(file for file in self.pictures.iterdir()
                          if file.name.removesuffix('.partial') not in known)
        except OSError:
            return []

    def _read(self, condition: str, read: Callable[[Row], Read], people: bool = True
              ) -> Iterator[tuple[Row, Read]]:
        """Yield events with what they say, in their order; leave out what is damaged."""
        for row, why in check(self._rows(
                f'{CHECKED} {condition} AND {FOR_PEOPLE if people else "TRUE"} ORDER BY id')):
            try:
                if why:
                    raise ValueError(why)
                said = read(row)
            except UNUSABLE as error:
                wrong = f'{describe(row)}: {error}'
                if wrong not in self.damage:
                    self.damage.append(wrong)
            else:
                yield row, said

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise explain(self.path, error) from None


def _said(row: Row) -> Confirmation | None:
    """Read what was confirmed; None for the answer that settled an earlier confirmation."""
    return None if row.kind == 'answered' else confirmation(row, json.loads(row.detail))


def _digest(row: Row) -> bytes:
    """Tell one confirmation from another, whenever it was delivered."""
    said = _said(row)
    if said is None:
        return b''
    return seal(*said.key, sorted(said.distribution.items()), said.operator, said.nonce)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _problem_of_picture(path: Path, size: int, digest: bytes) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        return f'picture {path}: {error.strerror}'
    if len(content) != size:
        return f'picture {path}: {len(content)} bytes, {size} were written'
    if sha256(content).digest() != digest:
        return f'picture {path}: its content has changed since it was written'
    return ''
