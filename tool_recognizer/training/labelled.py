"""
Frames whose true label is known: of labelled folders, annotators' tables and journals.

Left out: what is learned or measured on them (``train``, ``evaluate``).
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import csv
from dataclasses import dataclass
from dataclasses import replace
from io import StringIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.confirmation import MATCHED
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.reader import StoredConfirmation
from tool_recognizer.pictures.folders import BEFORE
from tool_recognizer.pictures.folders import Finder
from tool_recognizer.pictures.folders import photographs
from tool_recognizer.pictures.folders import PictureFolder
from tool_recognizer.pictures.folders import Reason
from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError
from tool_recognizer.training.collected import Collected
from tool_recognizer.training.collected import is_collection
from tool_recognizer.training.collected import photographs_in
from tool_recognizer.training.spelling import alike
from tool_recognizer.training.spelling import changes
from tool_recognizer.training.spelling import spelled
from tool_recognizer.training.spelling import strangers

# Photographs of one object follow each other within this time, s.
BURST_S = 20
# The folder of what is none of the labels.
NEGATIVES = 'other'
LOOSE = Reason('in no folder of a label')
# Parts into which data sets come divided, which hold folders of labels and are none.
PARTS = frozenset({'train', 'training', 'val', 'valid', 'validation', 'test', 'testing', 'eval'})
ANNOTATION_COLUMNS = ('file', 'annotator', 'label')

Say = Callable[[str], None]


class DataError(ValueError):
    """Labelled data that cannot be used, and why."""


def folder_name(label: str) -> str:
    """Return the folder of what was confirmed as a label; none leads elsewhere."""
    label = NEGATIVES if label == ANOTHER_TOOL else label
    if label.startswith('.') or any(c in '/\\\0' or not c.isprintable() for c in label):
        return quote(label, safe='').replace('.', '%2E')
    return label


@dataclass(frozen=True)
class Logged:
    """
    The prediction that a model made when the frame was live.

    Attributes
    ----------
    model_digest : SHA-256 of the model file, as hex
    labels : its K labels
    log_probabilities : (K,) nats

    """

    model_digest: str
    labels: tuple[str, ...]
    log_probabilities: NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """
    One frame and what is confirmed of it.

    Attributes
    ----------
    name : where it comes from, for people
    distribution : label to probability, sum 1; one label for what is certain
    picture : the file, or None if it was not kept
    burst : frames of the same burst show one object, most likely
    seconds : when it was taken, if the source says so; s
    logged : the live prediction, or None

    """

    name: str
    distribution: Mapping[str, float]
    picture: Path | None
    burst: str
    seconds: float | None = None
    logged: Logged | None = None

    @property
    def label(self) -> str:
        """Return the most probable label; of equals, the first by name."""
        return min(self.distribution, key=lambda label: (-self.distribution[label], label))


def find_examples(sources: Sequence[Path], say: Say, annotations: Path | None = None,
                  labels: Sequence[str] = ()) -> list[Example]:
    """
    Gather the labelled frames of folders and journals.

    Parameters
    ----------
    sources : folders with one folder of photographs per label, collections, and journal files
    say : called with a line for each thing that is left out, and why
    annotations : a table of several annotators' labels (see ``read_annotations``), which count for
        their photographs instead of the folder's name
    labels : of the model that is evaluated, whose spelling counts; what is none of them are other
        things. Without, the names of the folders are the labels, and none may be empty

    Returns
    -------
    The examples of each source, in order

    Raises
    ------
    DataError
        A source that is not there, cannot be read, or has nothing in it; a table that is no such
        table; without ``labels``, a label's folder without a photograph, or nothing but the parts
        of a divided data set.

    """
    annotated = {} if annotations is None else read_annotations(annotations)
    found: list[Example] = []
    folders: list[PictureFolder] = []
    finder, used = Finder(), set[str]()
    collected = [photo for source in sources if is_collection(source)
                 for photo in _collected(source)]
    for source in sources:
        if source.is_file():
            found += _not_collected(journal_examples(source, say), collected, source, say)
        elif is_collection(source):
            found += _collection_examples(source)
        elif source.is_dir():
            inside = finder.find(source)
            found += _folder_examples(inside, annotated, used)
            folders += inside
        else:
            raise DataError(f'{source}: no such folder or journal; a folder must hold one folder '
                            'of photographs per label')
    if not labels:
        _check_none_is_empty(folders, found)
        _check_not_divided(folders)
    for line in _labels_within(folders, labels):
        say(line)
    for line in filter(None, (folder.summary() for folder in folders)):
        say(line)
    for name in sorted(set(annotated) - used):
        say(f'{annotations}: {name} is in none of the folders')
    return _spelled(found, labels, say)


def _folder_examples(folders: Sequence[PictureFolder],
                     annotated: Mapping[str, Mapping[str, float]],
                     used: set[str]) -> list[Example]:
    """Take the photographs of a folder, given as it and the folders in it."""
    top, found = folders[0], []
    for path in [path for path in top.pictures if path.name not in annotated]:
        top.pictures.remove(path)
        top.leave_out(LOOSE, path.name)
    for folder in folders:
        for path in folder.pictures:
            name = path.relative_to(top.path).as_posix()
            used.update({name} & annotated.keys())
            found.append(Example(str(path), annotated.get(name, {folder.path.name: 1.0}),
                                 path, str(path)))
    if not found and not any(BEFORE in folder.left_out for folder in folders):
        lines = ''.join(f'; {line}' for folder in folders if (line := folder.summary()))
        raise DataError(f'{top.path}: no photographs; they belong into one folder per label, '
                        f'{top.path}/LABEL/*.jpg{lines}')
    return found


def _not_collected(examples: Sequence[Example], photos: Sequence[Collected], source: Path,
                   say: Say) -> list[Example]:
    """
    Leave out the confirmed frames whose object is in a collection, too.

    What somebody took into a collection is of the label that it has there, and not just of none.
    And within seconds of such a photograph a frame of the same label shows the same object: it
    would lie on the other side of a split.
    """
    taken = {photo.stamp / 1e9 for photo in photos}
    moments: dict[str, list[float]] = {}
    for photo in photos:
        moments.setdefault(alike(photo.label), []).append(photo.stamp / 1e9)
    ordered = {label: np.sort(times) for label, times in moments.items()}

    def is_there(example: Example) -> bool:
        if example.label == NEGATIVES and example.seconds in taken:
            return True
        times = ordered.get(alike(example.label))
        if times is None or example.seconds is None:
            return False
        place = int(np.searchsorted(times, example.seconds))
        near = times[max(0, place - 1):place + 1]
        return bool(np.any(np.abs(near - example.seconds) <= BURST_S))
    kept = [example for example in examples if not is_there(example)]
    if len(kept) < len(examples):
        say(f'{source}: left out, {len(examples) - len(kept)} confirmed frames of what a '
            'collection shows, too')
    return kept


def _collected(folder: Path) -> list[Collected]:
    try:
        return list(photographs_in(folder))
    except OSError as error:
        raise DataError(f'{folder}: cannot be read ({error.strerror})') from None


def _collection_examples(folder: Path) -> list[Example]:
    photos = _collected(folder)
    if not photos:
        raise DataError(f'{folder}: no photographs in the collection; `collect` takes some')
    # A burst is one moment, however long it took.
    began: dict[tuple[str, int], int] = {}
    for photo in photos:
        key = photo.label, photo.burst
        began[key] = min(photo.stamp, began.get(key, photo.stamp))
    return [Example(str(photo.path), {photo.label: 1.0}, photo.path,
                    f'{folder} {photo.label} {photo.burst}',
                    began[photo.label, photo.burst] / 1e9) for photo in photos]


def _check_none_is_empty(folders: Sequence[PictureFolder], found: Sequence[Example]) -> None:
    """Refuse folders that would be a label without a photograph."""
    given = {alike(label) for example in found for label in example.distribution}
    empty = [folder for folder in folders
             if not folder.is_top and alike(folder.path.name) not in given
             and (folder.left_out or folder.refused or alike(folder.path.name) != NEGATIVES)]
    if empty:
        lines = [folder.summary() or f'{folder.path}: no photographs; it is empty'
                 for folder in empty]
        raise DataError(f'{"; ".join(lines)}. A model without '
                        f'{[folder.path.name for folder in empty]} is not what was asked: '
                        'mend this, or take the folder away')


def _check_not_divided(folders: Sequence[PictureFolder]) -> None:
    """Refuse a data set whose parts (train, test, ...) would become the labels."""
    inner = [folder for folder in folders if not folder.is_top and folder.pictures
             and alike(folder.path.name) != NEGATIVES]
    if inner and all(alike(folder.path.name) in PARTS and _inner_folders(folder)
                     for folder in inner):
        raise DataError(f'{[str(folder.path) for folder in inner]} are parts of a data set, and '
                        f'the folders in them the labels: give {inner[0].path} itself')


def _labels_within(folders: Sequence[PictureFolder], labels: Sequence[str]) -> Iterator[str]:
    """Say where a folder in a label's folder has the name of another label."""
    known = {alike(label) for label in labels or [
        folder.path.name for folder in folders if not folder.is_top]}
    for folder in folders:
        counts = Counter(inner for inner in _inner_folders(folder)
                         if alike(inner) in known - {alike(folder.path.name)})
        for name, number in sorted(counts.items()):
            if not folder.is_top:
                yield (f'{folder.path}: {photographs(number)} in its folder {name!r} count as '
                       f'{folder.path.name!r}')


def _inner_folders(folder: PictureFolder) -> list[str]:
    """Return the inner folder of each photograph that does not lie directly in the folder."""
    return [path.parent.name for path in folder.pictures if path.parent != folder.path]


def _spelled(examples: Sequence[Example], labels: Sequence[str], say: Say) -> list[Example]:
    """Give each label one spelling; say so, and what is none of the labels, if there are any."""
    counts = Counter(label for example in examples for label in example.distribution)
    chosen = spelled(counts, labels, NEGATIVES)
    found = []
    for example in examples:
        q: dict[str, float] = {}
        for label, probability in example.distribution.items():
            q[chosen[label]] = q.get(chosen[label], 0.0) + probability
        found.append(replace(example, distribution=q))
    strange = Counter(example.label for example in found
                      if not {*labels, NEGATIVES} & example.distribution.keys())
    for line in changes(counts, chosen) + (strangers(strange, labels) if labels else []):
        say(line)
    return found


def read_annotations(path: Path) -> dict[str, dict[str, float]]:
    """
    Read what several annotators said of photographs.

    Parameters
    ----------
    path : a CSV file with the columns file, annotator, label (others are ignored), one row per
        annotator and photograph; file is relative to the folder of photographs

    Returns
    -------
    File to the share of its annotators for each label: p_data(y | x) as they see it

    Raises
    ------
    DataError
        It cannot be read, a column or a value is missing, or an annotator has two rows for one
        file.

    """
    said: dict[str, dict[str, str]] = {}
    try:
        table = csv.DictReader(StringIO(read_text(path)), skipinitialspace=True)
        table.fieldnames = [name.strip() for name in table.fieldnames or ()]
        missing = [c for c in ANNOTATION_COLUMNS if c not in table.fieldnames]
        if missing:
            raise DataError(f'{path}: no column {missing}; the first line must name the '
                            f'columns {",".join(ANNOTATION_COLUMNS)}')
        for row in table:
            name, annotator, label = ((row[c] or '').strip() for c in ANNOTATION_COLUMNS)
            if not (name or annotator or label):
                continue  # spreadsheets leave such lines at the end
            if not (name and annotator and label):
                raise DataError(f'{path}, line {table.line_num}: file, annotator and label '
                                'must all be there')
            by_annotator = said.setdefault(name, {})
            if annotator in by_annotator:
                raise DataError(f'{path}, line {table.line_num}: {annotator!r} labels '
                                f'{name} twice; keep one of the two rows')
            by_annotator[annotator] = label
    except TextError as error:
        raise DataError(str(error)) from None
    except csv.Error as error:
        raise DataError(f'{path}: no CSV file ({error})') from None
    shares: dict[str, dict[str, float]] = {}
    for name, by_annotator in said.items():
        labels = list(by_annotator.values())
        shares[name] = {label: labels.count(label) / len(labels) for label in sorted(set(labels))}
    return shares


def journal_examples(path: Path, say: Say) -> list[Example]:
    """
    Gather the confirmed frames of a journal, each once.

    A burst is a run of frames of one camera with the same label, each within 20 s of the last,
    with no other label between. It is most likely one object. If it is not, keeping it in one part
    of a split only makes held-out figures more cautious.

    Parameters
    ----------
    path : the journal
    say : called with a line for what is left out

    Raises
    ------
    DataError
        It is no journal, is damaged, or has no confirmed frame.

    """
    newest: dict[tuple[int, str], StoredConfirmation] = {}
    disputed = set()
    try:
        with JournalReader(path) as reader:
            for confirmation in reader.confirmations():
                key = confirmation.stamp, confirmation.frame_id
                if confirmation.outcome is Outcome.CONFLICTING:
                    disputed.add(key)
                elif (confirmation.outcome in MATCHED
                      and confirmation.outcome is not Outcome.SKIPPED):
                    newest[key] = confirmation
            for wrong in reader.damage:
                say(f'{path}: left out, {wrong}')
    except JournalError as error:
        raise DataError(str(error)) from None
    if disputed:
        say(f'{path}: left out, {len(disputed)} frames on which operators disagree')
    kept = [newest[key] for key in sorted(newest, key=lambda k: (k[1], k[0]))
            if key not in disputed]
    if not kept:
        raise DataError(f'{path}: no confirmed frame in it')
    found: list[Example] = []
    missing: list[Path] = []
    number, last = 0, None
    for confirmation in kept:
        if last is not None and (
                (last.frame_id, last.label) != (confirmation.frame_id, confirmation.label)
                or confirmation.stamp - last.stamp > BURST_S * 1_000_000_000):
            number += 1
        last = confirmation
        picture = confirmation.picture
        if picture is not None and not picture.is_file():
            missing.append(picture)
            picture = None
        log_p = confirmation.log_probabilities
        found.append(Example(
            f'{path}: frame {confirmation.stamp} of {confirmation.frame_id!r}',
            {NEGATIVES if label == ANOTHER_TOOL else label: p
             for label, p in confirmation.distribution.items()},
            picture, f'{path} {number}', confirmation.stamp / 1e9,
            None if log_p is None else
            Logged(confirmation.model_digest, confirmation.labels, log_p)))
    if missing:
        say(f'{path}: {len(missing)} of the pictures are not there, such as {missing[0]}')
    return found
