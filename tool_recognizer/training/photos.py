"""
Photographs to fit on: found, read, freed of copies, and grouped by what they show.

Photographs of one burst or of one object stay in one group, so that no split separates them.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime
from datetime import timezone
from hashlib import sha256
from itertools import pairwise
import os
from pathlib import Path
import re

import cv2
import numpy as np
from tool_recognizer.core.decision import check_labels
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.input_file import read_whole
from tool_recognizer.model.file import ModelFile
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.pictures.tools import OTHER
from tool_recognizer.pictures.tools import TOOLS
from tool_recognizer.training.labelled import BURST_S
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import Example
from tool_recognizer.training.labelled import find_examples
from tool_recognizer.training.labelled import NEGATIVES
from tool_recognizer.training.progress import Progress

# Two photographs of one object: taken within a short time (BURST_S), or with hashes that differ in
# few bits.
SAME_BITS = 6
# Bytes of a photograph's file.
LARGEST = 2**29
# A soft label must be this sure of one label for its picture to be an example of it.
SURE = 0.5


@dataclass(frozen=True)
class Photo:
    """
    One training picture.

    Attributes
    ----------
    label : its label, or 'other'
    name : where it comes from, for people
    digest : SHA-256 of its bytes, as hex; it also seeds its views
    pixels : gives the decoded picture, (H, W, 3) uint8 RGB
    group : number of the burst or object that it belongs to; -1 for a drawn one
    seen : it cannot be held out: the backbone was tuned on it or on its like, or it is of the only
        group of its label

    """

    label: str
    name: str
    digest: str
    pixels: Callable[[], Pixels]
    group: int = -1
    seen: bool = False

    @property
    def can_be_held_out(self) -> bool:
        """Whether a prediction for it says something about pictures that are new to the model."""
        return self.group >= 0 and not self.seen


def read_photos(sources: Sequence[Path], progress: Progress, hold: Path | None = None
                ) -> list[Photo]:
    """
    Find and read the photographs of labelled folders and the confirmed pictures of journals.

    What cannot be used is reported in one line each and left out: unreadable and corrupt files,
    copies, pictures that lie under two labels, and frames of which no label is sure.

    Parameters
    ----------
    sources : folders with one folder per label, and journals
    progress : gets these lines
    hold : a folder on the same disk, where the files are held while they are needed, whoever
        removes them meanwhile; None: what is removed cannot be read again

    Returns
    -------
    The photos in the order of their digests, so that the files' names decide nothing

    Raises
    ------
    DataError
        A source that is not there, has no photographs, or has none that can be used of a label.

    """
    examples = find_examples(sources, progress.say)
    pictures = [(e, e.picture) for e in examples
                if e.picture is not None and e.distribution[e.label] > SURE]
    if len(pictures) < len(examples):
        bare = sum(e.picture is None for e in examples)
        unsure = len(examples) - len(pictures) - bare
        progress.say(f'left out: {bare} confirmed frames without a picture, and {unsure} of which '
                     f'no label is surer than {SURE}')
    first: dict[str, Photo] = {}
    marks: dict[str, tuple[int | None, float | None, str]] = {}
    conflicts = set()
    why: dict[str, str] = {}
    for example, path in progress.over('reading', pictures, len(pictures)):
        try:
            data = read_whole(path, LARGEST)
            pixels = _rgb(data)
        except (OSError, PictureError) as error:
            why[example.label] = f'{path}: left out, {error}'
            progress.say(why[example.label])
            continue
        digest, label = sha256(data).hexdigest(), example.label
        if digest in first and first[digest].label != label:
            why[label] = (f'{path}: left out, the same picture lies under '
                          f'{first[digest].label!r} too ({first[digest].name})')
            why[first[digest].label] = why[label]
            progress.say(why[label])
            conflicts.add(digest)
        elif digest not in first:
            first[digest] = Photo(label, str(path), digest, _reader(_held(path, digest, hold)))
            # Under a camera that stands still all frames look alike, and time tells them apart.
            marks[digest] = ((difference_hash(pixels), timestamp(path.name), label)
                             if example.seconds is None else
                             (None, example.seconds, example.burst))
    kept = [first[d] for d in sorted(first) if d not in conflicts]
    if not kept:
        raise DataError(f'no photographs that can be used in {[str(s) for s in sources]}')
    _check_none_is_lost(examples, {photo.label for photo in kept}, why, progress)
    if len(kept) < len(pictures):
        progress.say(f'{len(kept)} of {len(pictures)} files used, the others are copies or '
                     'unusable')
    groups = group([marks[p.digest] for p in kept])
    return [Photo(p.label, p.name, p.digest, p.pixels, g)
            for p, g in zip(kept, groups, strict=True)]


def _check_none_is_lost(examples: Sequence[Example], kept: set[str], why: Mapping[str, str],
                        progress: Progress) -> None:
    """Refuse to go on without the label of a folder; without one of a journal, say so."""
    for in_folder in (True, False):
        lost = sorted({e.label for e in examples if (e.seconds is None) == in_folder} - kept)
        if lost and in_folder:
            reasons = '; '.join(f'{label}: such as {why[label]}' for label in lost)
            raise DataError(f'no photograph of {lost} can be used ({reasons}); mend or replace '
                            'them, or take the folder away')
        if lost:
            progress.say(f'left out: {lost}, of which no confirmed frame can be used')


def _held(path: Path, digest: str, hold: Path | None) -> Path:
    """Return another name of a file, in a folder; its own one if it cannot have another."""
    if hold is None:
        return path
    try:
        hold.mkdir(parents=True, exist_ok=True)
        os.link(path, hold / digest)
    except FileExistsError:
        pass
    except OSError:  # of another disk, or another user
        return path
    return hold / digest


def _reader(path: Path) -> Callable[[], Pixels]:
    return lambda: read_rgb(path)


def read_rgb(path: Path) -> Pixels:
    """
    Decode a picture file at full size, (H, W, 3) uint8 RGB.

    Raises
    ------
    PictureError
        It cannot be read.

    """
    try:
        return _rgb(read_whole(path, LARGEST))
    except OSError as error:
        raise PictureError(f'{path}: cannot be read ({error.strerror})') from None


def _rgb(data: bytes) -> Pixels:
    """Decode at full size, so that the augmentation has a margin."""
    pixels, order = decode_picture(data)
    colour = cv2.COLOR_GRAY2RGB if order == 'mono' else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, colour), np.uint8)


def difference_hash(pixels: Pixels) -> int:
    """
    Hash a picture so that near-duplicates differ in few of the 64 bits.

    Each bit says whether a cell of a 9 x 8 reduction is brighter than its right neighbour.

    Parameters
    ----------
    pixels : (H, W, 3) uint8

    Returns
    -------
    64 bits

    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int(''.join('1' if b else '0' for b in bits), 2)


def timestamp(name: str) -> float | None:
    """
    Read the time from a camera's file name, s; None if it has none.

    >>> timestamp('IMG_20260619_212037.jpg') - timestamp('2026-06-19 21-20-33.png')
    4.0

    """
    found = re.search(r'(?<!\d)(20\d\d)\D?(\d\d)\D?(\d\d)\D?(\d\d)\D?(\d\d)\D?(\d\d)(?!\d)',
                      Path(name).name)
    if found is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, found.groups())
        return datetime(year, month, day, hour, minute, second,
                        tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


def group(marks: Sequence[tuple[int | None, float | None, str]]) -> list[int]:
    """
    Find the bursts: what looks alike or was taken within seconds of each other, transitively.

    Parameters
    ----------
    marks : for each photo its hash or None, its time in s or None, and its label; None is like
        nothing

    Returns
    -------
    The number of each photo's group, from 0

    """
    parent = list(range(len(marks)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    hashed = [i for i, m in enumerate(marks) if m[0] is not None]
    hashes = np.array([marks[i][0] for i in hashed], np.uint64)
    for place, index in enumerate(hashed):
        differing = np.bitwise_xor(hashes[:place], hashes[place])
        bits = np.unpackbits(differing.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1)
        for near in np.flatnonzero(bits <= SAME_BITS):
            parent[root(index)] = root(hashed[near])
    timed = sorted((m[2], m[1], i) for i, m in enumerate(marks) if m[1] is not None)
    for (label, earlier, one), (next_label, later, other) in pairwise(timed):
        if label == next_label and later - earlier <= BURST_S:
            parent[root(one)] = root(other)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(marks))]


def mark_seen(photos: Sequence[Photo], base: ModelFile) -> list[Photo]:
    """
    Mark the photos, with all of their group, on which the base's backbone was tuned.

    Parameters
    ----------
    photos : the photos
    base : a model that says what its backbone has seen

    """
    digests = set(base.metadata.get('backbone', {}).get('seen', []))
    groups = {p.group for p in photos if p.digest in digests}
    return [replace(p, seen=p.group in groups) for p in photos]


def mark_lone(photos: Sequence[Photo], labels: Sequence[str], progress: Progress) -> list[Photo]:
    """
    Mark the photos of labels that have one group only: a fit without it would not know the label.

    Parameters
    ----------
    photos, labels : all of them
    progress : gets a line that names these labels

    """
    groups: dict[str, set[int]] = {label: set() for label in labels}
    for photo in photos:
        groups.get(photo.label, set()).add(photo.group)
    lone = [label for label, members in groups.items() if len(members) == 1]
    if lone:
        progress.say(f'the photos of {lone} look like one burst: none can be held out, so how '
                     'well they are recognised is not known; add photos of other times or objects')
    return [replace(p, seen=p.seen or p.label in lone) for p in photos]


def labels_of(photos: Sequence[Photo], other_is_a_label: bool) -> list[str]:
    """
    Return the labels of the photos, sorted.

    Parameters
    ----------
    photos : all of them
    other_is_a_label : whether 'other' is a label like any

    Raises
    ------
    DataError
        Labels that a model cannot have, too many, or one with a single photo.

    """
    counts: dict[str, int] = {}
    for photo in photos:
        counts[photo.label] = counts.get(photo.label, 0) + 1
    labels = sorted(c for c in counts if c != NEGATIVES or other_is_a_label)
    try:
        check_labels(tuple(labels))
    except ValueError as error:
        raise DataError(f'labels are the names of the folders: {error}') from None
    single = [label for label in labels if counts[label] < 2]
    if single:
        raise DataError(f'one photo only for {single}: a label needs at least 2, better 20 or '
                        'more, so that some can be held out')
    if len(labels) > 1000:
        raise DataError(f'{len(labels)} labels; at most 1,000 are supported')
    return labels


def drawn(labels: Sequence[str], tools: int, others: int, seed: int) -> list[Photo]:
    """
    Draw pictures: of the labels that can be drawn, and of things that are none of them.

    Parameters
    ----------
    labels : of the model
    tools : pictures for each label that can be drawn
    others : pictures, in all, of things that are none of the labels
    seed : names the pictures, and so decides what they show

    """
    wanted = [(label, tools) for label in labels if label in TOOLS]
    kinds = [kind for kind in OTHER if kind not in labels]
    wanted += [(kind, -(-others // len(kinds))) for kind in kinds]
    photos = []
    for kind, number in wanted:
        for index in range(number):
            name = f'drawn {kind} {index}, seed {seed}'
            digest = sha256(name.encode()).hexdigest()
            photos.append(Photo(kind if kind in labels else NEGATIVES, name, digest,
                                _drawer(kind, digest)))
    return photos


def _drawer(kind: str, digest: str) -> Callable[[], Pixels]:
    def draw() -> Pixels:
        rng = np.random.default_rng(int(digest[:16], 16))
        height, width = ((240, 320), (320, 240), (288, 288))[rng.integers(3)]
        return draw_tool(kind, rng, height, width)
    return draw
