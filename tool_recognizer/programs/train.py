"""
Fit a model for the tools of a bench: maximum likelihood on labelled photographs.

The backbone stays as it is; fitted is the softmax head on its features, with one column per label
and one for 'none of them'. Photographs of one burst or of one object stay on one side of every
split, so what is reported was measured on pictures whose like the fit has not seen.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime
from datetime import timezone
from hashlib import sha256
from itertools import pairwise
import os
from pathlib import Path
import re
import sys
import tempfile
import time
from typing import Any
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.calibration import fit_temperature
from tool_recognizer.core.decision import check_labels
from tool_recognizer.core.drift import REFERENCE_LABELS
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.quality import measure
from tool_recognizer.core.quality import Quality
from tool_recognizer.core.softmax_regression import fit_head
from tool_recognizer.core.softmax_regression import separation
from tool_recognizer.core.softmax_regression import SoftmaxHead
from tool_recognizer.model.file import enlarge
from tool_recognizer.model.file import golden_entry
from tool_recognizer.model.file import golden_pixels
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import ModelFileError
from tool_recognizer.model.file import Network
from tool_recognizer.model.file import quality_entry
from tool_recognizer.model.file import seen_entry
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.codec import PictureError
from tool_recognizer.pictures.drawing import draw_ground
from tool_recognizer.pictures.drawing import draw_tool
from tool_recognizer.pictures.drawing import OTHER
from tool_recognizer.pictures.drawing import TOOLS
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.parts import WORST
from tool_recognizer.reports.training import write_report
from tool_recognizer.training.augmentation import augment
from tool_recognizer.training.augmentation import cut_out
from tool_recognizer.training.labelled import BURST_S
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import find_examples
from tool_recognizer.training.labelled import NEGATIVES

SUMMARY = 'fit a model to labelled photographs by maximum likelihood'
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
FOLDS = 5
# Above this many numbers (rows x features x columns) a step of a fit takes seconds, and the search
# for the prior's strength is coarser.
LARGE_FIT = 2_000_000_000
COARSE_STRENGTHS, COARSE_FOLDS = (0.03, 1.0), 3
# Above this many photos each gets fewer views: they vary among themselves, and time is short.
MANY_PHOTOS = 1000
LARGEST_REFERENCE = 2000
# Parts of the photos for the learning curve.
SHARES = (0.25, 0.5, 0.75, 1.0)
GOLDEN = 4
# Covers the rounding of int8 kernels of different processors, and no damage to the weights.
GOLDEN_TOLERANCE = 0.25
# Two photographs of one object: taken within a short time (BURST_S), or with hashes that differ in
# few bits.
SAME_BITS = 6
# A soft label must be this sure of one label for its picture to be an example of it.
SURE = 0.5

EXAMPLES = (
    'python3 -m tool_recognizer train photos --output tools.onnx',
    'python3 -m tool_recognizer train photos more_photos --output tools.onnx --report report.html',
    'python3 -m tool_recognizer train photos journal.db --output tools.onnx',
    '',
    'DATA is a folder with one folder of photographs per label:',
    '  photos/hammer/*.jpg  photos/screwdriver/*.jpg  photos/other/*.jpg',
    'or a journal, of which the confirmed frames with a picture are taken.',
    "The folder 'other' is no label: it holds what the model must know as none of its tools",
    '(empty benches, hands, other tools). --other-is-a-label makes it one.')

Features = NDArray[np.float32]
Array = NDArray[np.float64]


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
        """Whether an answer to it says something about pictures that are new to the model."""
        return self.group >= 0 and not self.seen


@dataclass(frozen=True)
class Views:
    """
    The features of one photo's views.

    Attributes
    ----------
    fitted : (V, D) of the photo and of its augmented views
    held_out : (U, D) of the photo, and of gentle and strong views that no fit sees
    quality : of the photo as it is

    """

    fitted: Features
    held_out: Features
    quality: Quality


class Plan(NamedTuple):
    """
    How many views of a photo there are beside the photo itself.

    Attributes
    ----------
    fitted : augmented ones, to fit on
    gentle : held out, as a camera's ordinary variation
    hard : held out, from a camera's bad days

    """

    fitted: int
    gentle: int
    hard: int


@dataclass(frozen=True)
class Rows:
    """
    Rows of a fit.

    Attributes
    ----------
    features : (N, D)
    column : (N,) the label's column; K for none of the labels
    weight : (N,) sums to 1, and to the same for every column
    group : (N,) of the photo

    """

    features: Features
    column: NDArray[np.int64]
    weight: Array
    group: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> 'Rows':
        """Return the chosen rows, with their weights as they are."""
        return Rows(self.features[chosen], self.column[chosen], self.weight[chosen],
                    self.group[chosen])


@dataclass(frozen=True)
class HeldOut:
    """
    Answers to held-out views: each from a head that saw nothing of the photo's group.

    Attributes
    ----------
    logits : (N, K + 1), before the temperature
    column : (N,) the true label's column; K for none of the labels
    photo : (N,) number of the photo
    view : (N,) number of the view among the photo's; 0: the photo as it is
    ordinary : (N,) whether the view is one of a camera's ordinary days
    strengths : the prior's strength in each fold, chosen on the other folds
    strength : the one that is chosen on all of them
    curve : strength to mean held-out NLL, nats

    """

    logits: Array
    column: NDArray[np.int64]
    photo: NDArray[np.int64]
    view: NDArray[np.int64]
    ordinary: NDArray[np.bool_]
    strengths: list[float]
    strength: float
    curve: dict[float, float]


class Progress:
    """One line on standard error: what is being done, how far it is, how long it will take."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._last = 0.0

    def over(self, what: str, items: Iterable[Any], total: int) -> Iterator[Any]:
        """Pass the items on, and show how far they have come."""
        begin = time.monotonic()
        for number, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if not self._quiet and (now - self._last > 0.5 or number == total):
                self._last = now
                left = (now - begin) / number * (total - number)
                end = '\n' if number == total else ''
                print(f'\r{what}: {number} of {total}, {left:4.0f} s left ', end=end,
                      file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Print a line of its own."""
        if not self._quiet:
            print(line, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """
    Run the command.

    Parameters
    ----------
    argv : the arguments, default the process's

    Returns
    -------
    0 done, 2 unusable input or arguments

    """
    return run_program(_train, _parser(), (DataError, ModelFileError, ModelError), argv)


def _parser() -> Parser:
    parser = Parser('train', SUMMARY, EXAMPLES)
    parser.add_argument('data', nargs='+', type=Path, metavar='DATA',
                        help='folder of labelled photographs, or a journal')
    parser.add_argument('--output', type=Path, required=True, help='the model file to write')
    parser.add_argument('--report', type=Path, help='a one-page report to write (HTML)')
    parser.add_argument('--base', type=Path, default=DEFAULT_MODEL,
                        help='model whose backbone is used, and whose head is the mean of the '
                             'prior for the labels that it has; default: the one that ships')
    parser.add_argument('--other-is-a-label', action='store_true',
                        help="treat the folder 'other' as a label like any")
    parser.add_argument('--fit', choices=('letterbox', 'stretch', 'crop'),
                        help="how a frame is fitted to the network's input; default: as the base")
    parser.add_argument('--views', type=int,
                        help='augmented views per photo; default: 8, and 2 if there are more '
                             f'than {MANY_PHOTOS} photos')
    parser.add_argument('--drawn', type=int, default=60,
                        help='drawn pictures of tools that are none of the labels, for the '
                             'rejection (default %(default)s)')
    parser.add_argument('--drawn-tools', type=int, default=0,
                        help=f'drawn pictures per label, for labels among {list(TOOLS)} '
                             '(default %(default)s)')
    parser.add_argument('--prior-strength', type=float,
                        help='how firmly the head is held to the base model; default: the '
                             'strongest that held-out photos cannot tell from the best')
    parser.add_argument('--false-rejection-rate', type=float, default=0.05,
                        help='share of known tools that may be refused as unknown '
                             '(default %(default)s)')
    parser.add_argument('--seed', type=int, default=1, help='default %(default)s')
    parser.add_argument('--name', help="the model's name; default: the output file's")
    parser.add_argument('--licence', default='', help='licence of the model, kept in the file')
    parser.add_argument('--attribution', default='',
                        help='whom the photographs are owed to, kept in the file')
    parser.add_argument('--cache', type=Path, default=_cache_folder(),
                        help='where features are kept between runs (default %(default)s)')
    parser.add_argument('--quiet', action='store_true', help='no progress, no summary')
    return parser


def _cache_folder() -> Path:
    base = os.environ.get('XDG_CACHE_HOME') or str(Path.home() / '.cache')
    return Path(base) / 'tool_recognizer' / 'features'


def _train(arguments: argparse.Namespace) -> int:
    progress = Progress(arguments.quiet)
    if min(arguments.views or 0, arguments.drawn, arguments.drawn_tools) < 0:
        raise DataError('--views, --drawn and --drawn-tools cannot be negative')
    if not 0.0 < arguments.false_rejection_rate < 1.0:
        raise DataError('--false-rejection-rate must lie between 0 and 1, '
                        f'got {arguments.false_rejection_rate}')
    if arguments.prior_strength is not None and not 0.0 < arguments.prior_strength < np.inf:
        raise DataError(f'--prior-strength must be above 0, got {arguments.prior_strength}')
    base = ModelFile.read(arguments.base)
    spec = _spec(base, arguments.fit)
    photos = read_photos(arguments.data, progress)
    labels = _labels(photos, arguments.other_is_a_label)
    photos = mark_seen([p for p in photos if p.label in labels or p.label == NEGATIVES], base)
    photos = mark_lone(photos, labels, progress)
    photos += _drawn(labels, arguments)
    plan = view_plan(sum(p.group >= 0 for p in photos), arguments.views)
    extractor = Extractor(base, spec, plan, arguments.cache)
    views = list(progress.over('features', extractor.over(photos), len(photos)))
    columns = np.array([labels.index(p.label) if p.label in labels else len(labels)
                        for p in photos])
    prior = prior_mean(base, labels)
    overlap = separation(*_real_rows(photos, views, columns, len(labels)))
    if overlap in ('complete', 'quasi-complete'):
        progress.say('the labels can be separated by planes, so the likelihood alone has no '
                     'maximum; the prior gives it one')
    size = sum(len(v.fitted) for v in views) * prior.size
    # The photos of one label weigh 1 / K in the likelihood, so of many labels each would be bound
    # too firmly by what suits three.
    scale = min(1.0, 3 / len(labels))
    strengths = tuple(scale * s for s in (COARSE_STRENGTHS if size > LARGE_FIT else STRENGTHS))
    if arguments.prior_strength is not None:
        strengths = (arguments.prior_strength,)
    dealt = folds(photos, columns, arguments.seed,
                  COARSE_FOLDS if size > LARGE_FIT else FOLDS)
    held = cross_validate(photos, views, columns, prior, strengths, plan, dealt, progress)
    model = _assemble(arguments, base, spec, labels, photos, views, columns, prior, held, overlap,
                      plan)
    _write(arguments.output, model)
    meta = model.metadata
    reference = meta['reference']
    progress.say(f'{arguments.output}: {len(labels)} labels, held-out accuracy '
                 f'{reference["accuracy"]:.3f}, NLL {np.mean(reference["nll"]):.3f} nats, '
                 f'ECE {reference["ece"]:.3f} ({len(reference["label"])} answers to '
                 f'{reference["photographs"]} photographs), prior strength '
                 f'{meta["training"]["prior_strength"]:g}')
    if arguments.report:
        _report(arguments.report, meta, photos, views, columns, prior, held, dealt,
                arguments.seed, progress)
    return 0


def _spec(base: ModelFile, fit: str | None) -> InputSpec:
    given = base.metadata.get('input', {'height': 224, 'width': 224, 'fit': 'letterbox'})
    return InputSpec(given['height'], given['width'], fit or given['fit'])


def read_photos(sources: Sequence[Path], progress: Progress) -> list[Photo]:
    """
    Find and read the photographs of labelled folders and the confirmed pictures of journals.

    What cannot be used is said in one line each and left out: unreadable and corrupt files,
    copies, pictures that lie under two labels, and frames of which no label is sure.

    Parameters
    ----------
    sources : folders with one folder per label, and journals
    progress : for the lines

    Returns
    -------
    The photos in the order of their digests, so that the files' names decide nothing

    Raises
    ------
    DataError
        A source that is not there, or has no photographs.

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
    for example, path in progress.over('reading', pictures, len(pictures)):
        try:
            data = path.read_bytes()
            pixels = _rgb(data)
        except (OSError, PictureError) as error:
            progress.say(f'\r{path}: left out, {error}')
            continue
        digest, label = sha256(data).hexdigest(), example.label
        if digest in first and first[digest].label != label:
            progress.say(f'\r{path}: left out, the same picture lies under '
                         f'{first[digest].label!r} too ({first[digest].name})')
            conflicts.add(digest)
        elif digest not in first:
            first[digest] = Photo(label, str(path), digest, _reader(path))
            # Under a camera that stands still all frames look alike, and time tells them apart.
            marks[digest] = ((difference_hash(pixels), timestamp(path.name), label)
                             if example.seconds is None else
                             (None, example.seconds, example.burst))
    kept = [first[d] for d in sorted(first) if d not in conflicts]
    if not kept:
        raise DataError(f'no photographs that can be used in {[str(s) for s in sources]}')
    if len(kept) < len(pictures):
        progress.say(f'{len(kept)} of {len(pictures)} files used, the others are copies or '
                     'unusable')
    groups = group([marks[p.digest] for p in kept])
    return [Photo(p.label, p.name, p.digest, p.pixels, g)
            for p, g in zip(kept, groups, strict=True)]


def _reader(path: Path) -> Callable[[], Pixels]:
    return lambda: _rgb(path.read_bytes())


def _rgb(data: bytes) -> Pixels:
    """Decode, at a size that leaves the augmentation something to choose from."""
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
    progress : is told which labels these are

    """
    groups: dict[str, set[int]] = {label: set() for label in labels}
    for photo in photos:
        groups.get(photo.label, set()).add(photo.group)
    lone = [label for label, members in groups.items() if len(members) == 1]
    if lone:
        progress.say(f'the photos of {lone} look like one burst: none can be held out, so how '
                     'well they are recognised is not known; add photos of other times or objects')
    return [replace(p, seen=p.seen or p.label in lone) for p in photos]


def _labels(photos: Sequence[Photo], other_is_a_label: bool) -> list[str]:
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


def _drawn(labels: Sequence[str], arguments: argparse.Namespace) -> list[Photo]:
    """Draw pictures: of the labels that can be drawn, and of things that are none of them."""
    wanted = [(label, arguments.drawn_tools) for label in labels if label in TOOLS]
    others = [kind for kind in OTHER if kind not in labels]
    wanted += [(kind, -(-arguments.drawn // len(others))) for kind in others]
    photos = []
    for kind, number in wanted:
        for index in range(number):
            name = f'drawn {kind} {index}, seed {arguments.seed}'
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


def view_plan(photos: int, wanted: int | None) -> Plan:
    """
    Choose how many views each photo gets.

    Parameters
    ----------
    photos : how many there are
    wanted : views to fit on, or None for as many as suit

    """
    plan = Plan(8, 5, 3) if photos <= MANY_PHOTOS else Plan(2, 1, 1)
    return plan if wanted is None else plan._replace(fitted=wanted)


class Extractor:
    """The features of photos' views, computed once and kept by the content of the photo."""

    def __init__(self, base: ModelFile, spec: InputSpec, plan: Plan, cache: Path) -> None:
        self._network = Network(base)
        self._spec, self._plan = spec, plan
        backbone = base.with_head(SoftmaxHead(np.zeros((len(base.head.weight), 3)), np.zeros(3)))
        made = f'{spec} {plan}'.encode() + _code_digest()
        key = sha256(backbone.content + made).hexdigest()[:16]
        self._folder: Path | None = cache / key
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            # A cache that cannot be had only costs time.
            self._folder = None

    def over(self, photos: Sequence[Photo]) -> Iterator[Views]:
        """Give each photo's views, in order."""
        with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            yield from pool.map(self.views, photos)

    def views(self, photo: Photo) -> Views:
        """Compute one photo's features, or take them from the cache."""
        path = self._folder / f'{photo.digest}.npz' if self._folder else None
        if path and path.exists():
            try:
                with np.load(path) as kept:
                    return Views(kept['fitted'], kept['held_out'],
                                 Quality(*kept['quality'].tolist()))
            except (OSError, TypeError, ValueError, KeyError):
                pass  # damaged by an interruption: computed again
        pixels = photo.pixels()
        rng = np.random.default_rng(int(photo.digest[:16], 16))
        plain = [fit_image(pixels, self._spec)]
        apart: list[Pixels] = []
        if photo.group >= 0:
            apart = [augment(pixels, rng, gentle=True) for _ in range(self._plan.gentle)]
            apart += strong_views(pixels, rng, self._plan.hard)
        unseen = [fit_image(picture, self._spec) for picture in apart]
        strong = [fit_image(picture, self._spec)
                  for picture in strong_views(pixels, rng, self._plan.fitted)]
        features = self._network.run('features', plain + unseen + strong)
        held_out = features[:1 + len(unseen)]
        fitted = np.concatenate([features[:1], features[1 + len(unseen):]])
        quality = measure(plain[0])
        if path:
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                np.savez(file, fitted=fitted, held_out=held_out, quality=quality)
            Path(file.name).replace(path)
        return Views(fitted, held_out, quality)


def strong_views(pixels: Pixels, rng: np.random.Generator, number: int) -> Iterator[Pixels]:
    """
    Give augmented views of a photo; every other one on another ground, if it can be cut out.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB
    rng : source of the randomness
    number : how many views

    Returns
    -------
    Pictures of various sizes, uint8 RGB

    """
    mask = cut_out(pixels) if number else None
    for view in range(number):
        if mask is not None and view % 2:
            yield augment(pixels, rng, mask=mask, ground=draw_ground(rng, 224, 288))
        else:
            yield augment(pixels, rng)


def _code_digest() -> bytes:
    """Digest of the code that makes views: a change of it must not meet old features."""
    folder = Path(__file__).parent.parent
    names = ('training/augmentation.py', 'pictures/drawing.py', 'core/preprocessing.py',
             'core/quality.py')
    return sha256(b''.join((folder / name).read_bytes() for name in names)).digest()


def prior_mean(base: ModelFile, labels: Sequence[str]) -> Array:
    """
    Take what the base model's head knows of the labels, before any photo is seen.

    Parameters
    ----------
    base : its head has columns for its own labels and one for none of them
    labels : K labels

    Returns
    -------
    (D, K + 1); zero for labels that the base does not have

    """
    known = base.metadata.get('labels', [])
    weight = np.zeros((base.head.weight.shape[0], len(labels) + 1))
    for column, label in enumerate(labels):
        if label in known:
            weight[:, column] = base.head.weight[:, known.index(label)]
    weight[:, -1] = base.head.weight[:, -1]
    return weight


def _real_rows(photos: Sequence[Photo], views: Sequence[Views], columns: NDArray[np.int64],
               labels: int) -> tuple[Array, NDArray[np.int64], int]:
    """Give the known photos as they are: what the question of separation is about."""
    chosen = [i for i, p in enumerate(photos) if p.group >= 0 and columns[i] < labels]
    return (np.array([views[i].fitted[0] for i in chosen], np.float64), columns[chosen], labels)


def fit_rows(photos: Sequence[Photo], views: Sequence[Views], columns: NDArray[np.int64],
             number: int) -> Rows:
    """
    Lay the views of all photos out as the rows of a fit.

    Every column counts the same, since the frequencies at the bench are not those of the folders;
    within a column every photo counts the same, and drawn pictures half as much.

    Parameters
    ----------
    photos, views, columns : one per photo
    number : columns, K + 1

    """
    share = np.array([1.0 if p.group >= 0 else 0.5 for p in photos])
    total = np.bincount(columns, weights=share, minlength=number)
    per_photo = share / total[columns]
    counts = [len(v.fitted) for v in views]
    weight = np.repeat(per_photo / counts, counts)
    return Rows(np.concatenate([v.fitted for v in views]), np.repeat(columns, counts),
                weight / weight.sum(), np.repeat([p.group for p in photos], counts))


def folds(photos: Sequence[Photo], columns: NDArray[np.int64], seed: int,
          number: int = FOLDS) -> dict[int, int]:
    """
    Deal the groups out to the folds, so that every fold gets its share of every label.

    Parameters
    ----------
    photos : drawn and seen ones are dealt to no fold
    columns : (N,) of the photos
    seed : source of the randomness
    number : of folds

    Returns
    -------
    Group number to fold

    """
    rng = np.random.default_rng(seed)
    members: dict[int, list[int]] = {}
    for photo, column in zip(photos, columns, strict=True):
        if photo.can_be_held_out:
            members.setdefault(photo.group, []).append(int(column))
    load = np.zeros((number, int(columns.max()) + 1))
    dealt = {}
    order = sorted(rng.permutation(sorted(members)), key=lambda g: -len(members[int(g)]))
    for group_number in map(int, order):
        share = np.bincount(members[group_number], minlength=load.shape[1])
        # The fold that has least of these labels.
        fold = int(np.argmin((load * share).sum(axis=1) + 1e-6 * load.sum(axis=1)))
        load[fold] += share
        dealt[group_number] = fold
    return dealt


def cross_validate(photos: Sequence[Photo], views: Sequence[Views], columns: NDArray[np.int64],
                   prior: Array, strengths: Sequence[float], plan: Plan, dealt: dict[int, int],
                   progress: Progress) -> HeldOut:
    """
    Answer every photo with a head that was fitted without its group.

    For each fold the strength of the prior is chosen on the other folds, so neither the fit nor
    this choice has seen the answers that are kept.

    Parameters
    ----------
    photos, views, columns : one per photo
    prior : (D, K + 1) the prior's mean
    strengths : of the prior, from weak to strong, to choose from
    plan : of the views
    dealt : group to fold
    progress : for the line

    """
    number = prior.shape[1]
    fold_of = np.array([dealt.get(p.group, -1) for p in photos])
    rows = fit_rows(photos, views, columns, number)
    row_fold = np.array([dealt.get(int(g), -1) for g in rows.group])
    used = sorted(set(fold_of[fold_of >= 0]))
    if len(used) < 2:
        raise DataError('nothing can be held out: the photos look like one burst, or the base '
                        'model was made of them; add photos of other objects or times')
    answers: dict[tuple[int, float], Array] = {}
    scores = np.zeros((len(used), len(strengths)))
    tasks = [(f, s) for f in range(len(used)) for s in range(len(strengths))[::-1]]
    start: SoftmaxHead | None = None
    for f, s in progress.over('cross-validation', tasks, len(tasks)):
        if s == len(strengths) - 1:
            start = None
        part = rows.where(row_fold != used[f])
        start = fit_head(part.features, _one_hot(part.column, number), strengths[s],
                         row_weights=part.weight, prior_mean=prior, start=start, tolerance=1e-5)
        inside = np.flatnonzero(fold_of == used[f]).tolist()
        answers[f, strengths[s]] = start.logits(
            np.concatenate([views[i].held_out for i in inside]))
        truth = np.repeat(columns[inside], [len(views[i].held_out) for i in inside])
        scores[f, s] = _balanced_nll(answers[f, strengths[s]], truth, number - 1)
    logits, truths, numbers, order, chosen = [], [], [], [], []
    for f, fold in enumerate(used):
        others = [g for g in range(len(used)) if g != f]
        strength = strongest(strengths, scores[others])
        inside = np.flatnonzero(fold_of == fold).tolist()
        counts = [len(views[i].held_out) for i in inside]
        logits.append(answers[f, strength])
        truths.append(np.repeat(columns[inside], counts))
        numbers.append(np.repeat(inside, counts))
        order += [view for count in counts for view in range(count)]
        chosen.append(strength)
    view = np.array(order)
    return HeldOut(np.concatenate(logits), np.concatenate(truths), np.concatenate(numbers),
                   view, view <= plan.gentle, chosen, strongest(strengths, scores),
                   dict(zip(strengths, scores.mean(axis=0).tolist(), strict=True)))


def strongest(strengths: Sequence[float], scores: Array) -> float:
    """
    Choose the strongest prior whose held-out NLL is within one standard error of the least.

    The folds are of the same benches as the photos fitted on, and favour weak priors, which learn
    those benches by heart; among what they cannot tell apart the strong one travels better. (The
    one-standard-error rule of Breiman, Friedman, Olshen, Stone, Classification and regression
    trees, 1984.)

    Parameters
    ----------
    strengths : from weak to strong
    scores : (folds, strengths) mean held-out NLL, nats

    """
    mean = scores.mean(axis=0)
    best = int(np.argmin(mean))
    error = float(scores[:, best].std(ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else 0.0
    return strengths[int(np.flatnonzero(mean <= mean[best] + error)[-1])]


def _balanced_nll(logits: Array, column: NDArray[np.int64], labels: int) -> float:
    """Mean over the labels of each label's mean NLL, nats; what is none of them does not count."""
    known = column < labels
    values = nll(log_softmax(logits[known, :labels]), column[known])
    return float(np.mean([values[column[known] == k].mean() for k in np.unique(column[known])]))


def _one_hot(column: NDArray[np.int64], number: int) -> Array:
    return np.eye(number)[column]


def _assemble(arguments: argparse.Namespace, base: ModelFile, spec: InputSpec,
              labels: Sequence[str], photos: Sequence[Photo], views: Sequence[Views],
              columns: NDArray[np.int64], prior: Array, held: HeldOut,
              overlap: str, plan: Plan) -> ModelFile:
    number = len(labels)
    known = held.column < number
    strength = held.strength
    rows = fit_rows(photos, views, columns, number + 1)
    head = fit_head(rows.features, _one_hot(rows.column, number + 1), strength,
                    row_weights=rows.weight, prior_mean=prior)
    temperature = fit_temperature(held.logits[known, :number], held.column[known])
    head = head.sharpened(temperature)
    logits = held.logits / temperature
    novelty = logits[:, number] - np.logaddexp.reduce(logits[:, :number], axis=1)
    chosen = reference_rows(held, number, arguments.seed)
    counts = {label: sum(p.label == label and p.group >= 0 for p in photos)
              for label in [*labels, NEGATIVES]}
    tool_version = _version()
    metadata: dict[str, Any] = {
        'schema': 1,
        'name': arguments.name or arguments.output.stem,
        'version': sha256(head.weight.astype('<f4').tobytes()).hexdigest()[:12],
        'created': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'labels': list(labels),
        'input': {'height': spec.height, 'width': spec.width, 'fit': spec.fit},
        'temperature': 1.0,
        'reference': _reference(logits[chosen, :number], held.column[chosen], held.photo[chosen],
                                labels),
        'rejection': _rejection(novelty[known], novelty[~known], arguments.false_rejection_rate),
        'quality': quality_entry([v.quality for p, v in zip(photos, views, strict=True)
                                  if p.group >= 0]),
        'golden_tolerance': GOLDEN_TOLERANCE,
        'training': {
            'counts': counts,
            'drawn': {label: sum(p.label == label and p.group < 0 for p in photos)
                      for label in [*labels, NEGATIVES]},
            'groups': len({p.group for p in photos if p.group >= 0}),
            'views': plan.fitted,
            'data_digest': sha256(''.join(
                f'{p.label} {p.digest}\n' for p in photos).encode()).hexdigest(),
            'tool_version': tool_version,
            'seed': arguments.seed,
            'fitted_temperature': temperature,
            'prior_strength': strength,
            'held_out_nll_by_strength': {f'{s:g}': v for s, v in held.curve.items()},
            'separation': overlap,
            # The base's photographs are in the head, too: by the prior's mean.
            'seen': seen_entry([*(p.digest for p in photos if p.group >= 0),
                                *base.metadata.get('training', {}).get('seen', [])])},
        'backbone': base.metadata.get('backbone', {}),
        'licence': arguments.licence,
        'attribution': arguments.attribution}
    small = golden_pixels(arguments.seed, GOLDEN)
    answers = Network(base.with_head(head)).run(
        'logits', [enlarge(pixels, spec.height, spec.width) for pixels in small])
    metadata['golden'] = [golden_entry(pixels, logits.tolist())
                          for pixels, logits in zip(small, answers, strict=True)]
    return base.with_head(head, metadata)


def reference_rows(held: HeldOut, labels: int, seed: int) -> NDArray[np.int64]:
    """
    Choose the answers that drift is judged against: one to each photo, where that is enough.

    Views of one photo are nearly one and the same frame, and ranks among them promise less than
    ranks among as many photos. Where the photos are fewer than the drift test's reference must
    be, their ordinary views count too.

    Parameters
    ----------
    held : the answers
    labels : K; answers to what is none of them are left out
    seed : of the choice among more than 2,000

    Returns
    -------
    Numbers of the answers, ascending

    """
    known = held.column < labels
    chosen = np.flatnonzero(known & (held.view == 0))
    if len(chosen) < REFERENCE_LABELS:
        chosen = np.flatnonzero(known & held.ordinary)
    return np.sort(np.random.default_rng(seed).permutation(chosen)[:LARGEST_REFERENCE])


def _reference(logits: Array, column: NDArray[np.int64], photo: NDArray[np.int64],
               labels: Sequence[str]) -> dict[str, Any]:
    log_p = log_softmax(logits)
    counts = np.bincount(column, minlength=len(labels))
    return {
        'nll': np.round(nll(log_p, column), 6).tolist(),
        'logits': np.round(logits, 4).tolist(),
        'label': column.tolist(),
        'label_prior': np.round(counts / counts.sum(), 6).tolist(),
        'accuracy': round(float(np.mean(log_p.argmax(axis=1) == column)), 6),
        'ece': round(expected_calibration_error(log_p, column), 6),
        'counts': dict(zip(labels, counts.tolist(), strict=True)),
        'photographs': len(np.unique(photo))}


def _rejection(known: Array, unknown: Array, rate: float) -> dict[str, Any] | None:
    """
    Set the threshold: the smallest that refuses at most this share of the next known tools.

    It is the ceil((n + 1)(1 - rate))-th smallest of n held-out scores, which promises the share
    for exchangeable pictures (Vovk, Gammerman, Shafer, Algorithmic learning in a random world,
    2005); None if there are too few to promise anything.
    """
    rank = int(np.ceil((len(known) + 1) * (1.0 - rate)))
    if rank > len(known):
        return None
    threshold = float(np.sort(known)[rank - 1])
    return {
        'method': 'log-odds of none of the labels',
        'output': 'novelty',
        'threshold': round(threshold, 6),
        'false_rejection_rate': rate,
        'unknown_refused': (round(float(np.mean(unknown > threshold)), 6)
                            if len(unknown) else None)}


def _version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version
    try:
        return version('tool_recognizer')
    except PackageNotFoundError:
        return 'source'


def _report(path: Path, meta: dict[str, Any], photos: Sequence[Photo], views: Sequence[Views],
            columns: NDArray[np.int64], prior: Array, held: HeldOut, dealt: dict[int, int],
            seed: int, progress: Progress) -> None:
    """Write the page: the worst mistake of each photo, and what fewer photos would have given."""
    labels = meta['labels']
    known = np.flatnonzero((held.column < len(labels)) & held.ordinary)
    log_p = log_softmax(held.logits[known, :len(labels)] / meta['training']['fitted_temperature'])
    each = nll(log_p, held.column[known])
    mistakes: dict[int, Mistake] = {}
    for index in np.argsort(-each, kind='stable').tolist():
        number = int(held.photo[known[index]])
        if number not in mistakes and len(mistakes) < WORST:
            photo = photos[number]
            mistakes[number] = Mistake(photo.name, photo.label, labels[int(log_p[index].argmax())],
                                       float(each[index]), photo.pixels)
    curve = learning_curve(photos, views, columns, prior, meta['training']['prior_strength'],
                           dealt, seed, progress)
    try:
        write_report(path, meta, list(mistakes.values()), curve)
    except OSError as error:
        raise DataError(f'{path}: cannot be written ({error.strerror})') from None
    progress.say(f'{path}: the report')


def learning_curve(photos: Sequence[Photo], views: Sequence[Views], columns: NDArray[np.int64],
                   prior: Array, strength: float, dealt: dict[int, int], seed: int,
                   progress: Progress) -> list[tuple[int, float]]:
    """
    Measure what fewer photos would have given.

    Parameters
    ----------
    photos, views, columns : one per photo
    prior : (D, K + 1) the prior's mean
    strength : of the prior
    dealt : group to fold
    seed : of what fewer photos are
    progress : for the line

    Returns
    -------
    Photos fitted on, and the mean NLL that they gave on one held-out fold, nats

    """
    number = prior.shape[1]
    rows = fit_rows(photos, views, columns, number)
    inside = [i for i, p in enumerate(photos) if dealt.get(p.group) == 0]
    truth = np.repeat(columns[inside], [len(views[i].held_out) for i in inside])
    features = np.concatenate([views[i].held_out for i in inside])
    if not np.any(truth < number - 1):
        return []
    rng = np.random.default_rng(seed)
    # Of each label the same share, so that none is missing where there are few.
    first = {p.group: int(column) for p, column in zip(photos, columns, strict=True)
             if dealt.get(p.group, 0) != 0}
    by_label = [rng.permutation([g for g, c in first.items() if c == label])
                for label in sorted(set(first.values()))]
    curve = []
    for share in progress.over('learning curve', SHARES, len(SHARES)):
        taken = {int(g) for groups in by_label
                 for g in groups[:max(1, round(share * len(groups)))]}
        taken |= {p.group for p in photos if p.group not in dealt}
        part = rows.where(np.isin(rows.group, list(taken)))
        head = fit_head(part.features, _one_hot(part.column, number), strength,
                        row_weights=part.weight, prior_mean=prior, tolerance=1e-5)
        curve.append((sum(p.group >= 0 and p.group in taken for p in photos),
                      _balanced_nll(head.logits(features), truth, number - 1)))
    return curve


def _write(path: Path, model: ModelFile) -> None:
    """Check the new model as any reader would, then put it in place in one step."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            fresh = Path(folder) / path.name
            fresh.write_bytes(model.content)
            OnnxModel.load(fresh)
            fresh.replace(path)
    except OSError as error:
        raise DataError(f'{path}: cannot be written ({error.strerror})') from None


if __name__ == '__main__':
    sys.exit(main())
