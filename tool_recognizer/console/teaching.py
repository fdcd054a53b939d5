"""
What the page ``Teach`` does with a collection: frames taken, looked through, sorted.

All of it lies in the collection, which ``training.collection`` writes; here is only who takes
frames at this moment, and what became of the last ones. One thread works on the collection, so
that its order is that of the requests.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace
from math import isfinite
from pathlib import Path
from threading import Lock
from time import sleep
from types import MappingProxyType
from typing import Any
from typing import Protocol
from typing import TypeVar

from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.input_file import read_whole
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import ModelFileError
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.training.advice import GOOD
from tool_recognizer.training.advice import START
from tool_recognizer.training.assemble import input_spec
from tool_recognizer.training.collected import Collected
from tool_recognizer.training.collected import photographs_in
from tool_recognizer.training.collection import Collection
from tool_recognizer.training.collection import CollectionError
from tool_recognizer.training.collection import SAME_BURST
from tool_recognizer.training.collection import Taken
from tool_recognizer.training.labelled import NEGATIVES
from tool_recognizer.training.photos import LARGEST
from tool_recognizer.training.spelling import alike

# Seconds between two frames that are looked at by itself; after which that ends if its page is
# not heard of; that a page waits for a frame to be taken.
PERIOD, LEASE, PATIENCE = 0.3, 8.0, 60.0
# Photographs of earlier that are looked at in one piece, so that no request waits long.
PIECE = 10
# Of the last photographs of a label it is told how new they are; photographs on one page.
LAST, SHOWN = 5, 60

Result = TypeVar('Result')


class TeachError(Exception):
    """
    What cannot be done, and why.

    Attributes
    ----------
    reason : by which a page says it in its own language
    named : what goes into that text

    """

    def __init__(self, reason: str, why: str, **named: str) -> None:
        super().__init__(why)
        self.reason, self.named = reason, named


class Camera(Protocol):
    """Where frames come from."""

    def newest(self) -> Frame:
        """
        Return the newest frame, as the recognizer is shown it; in any thread.

        Raises
        ------
        TeachError
            There is none that is fresh.

        """


@dataclass(frozen=True)
class _Auto:
    """Somebody lets frames of a label be taken by themselves, while their page is open."""

    label: str
    person: str
    page: str
    until: float


class Teaching:
    """
    See the module.

    Parameters
    ----------
    path : of the collection
    base : the model file on which is to be trained
    camera : where frames come from
    known : returns the labels of the model in charge
    steady : seconds on a clock that only goes forward

    """

    def __init__(self, path: Path, base: Path, camera: Camera,
                 known: Callable[[], Sequence[str]], steady: Callable[[], float]) -> None:
        self.path = path
        self._base, self._camera, self._known, self._steady = base, camera, known, steady
        self._worker = ThreadPoolExecutor(1, 'teach')
        self._lock = Lock()
        self._collection: Collection | None = None
        self._auto: _Auto | None = None
        # Whether the worker looks at frames by itself, or is about to.
        self._stepping = False
        self._taken, self._number = 0, 0
        self._last: dict[str, Any] | None = None
        # How new each photograph was when that was last computed, degrees.
        self._novelty: dict[Path, float] = {}

    def close(self) -> None:
        """Finish the frame in work, and take no more."""
        with self._lock:
            self._auto = None
        self._worker.shutdown(wait=True, cancel_futures=True)

    # -- taking ---------------------------------------------------------------------------------

    def collect(self, mode: str, label: str, person: str, page: str) -> dict[str, Any]:
        """
        Take a frame, or begin or end to take them as they change.

        Parameters
        ----------
        mode : 'one', 'auto' or 'stop'
        label : of what is shown
        person : who shows it
        page : which page asks, by a name of its own

        Returns
        -------
        What became of the frame, or is done

        Raises
        ------
        TeachError
            Somebody else takes frames, the label is none, or nothing can be taken.

        """
        if mode == 'stop':
            with self._lock:
                if self._auto is not None and self._auto.page == page:
                    self._auto = None
            return {}
        self._only(page)
        self._do(lambda: self._check(label))
        if mode == 'auto':
            with self._lock:
                self._only(page)  # somebody may have begun meanwhile
                self._auto = _Auto(label, person, page, self._steady() + LEASE)
                begins, self._stepping = not self._stepping, True
            if begins:
                self._worker.submit(self._step)
            return {}
        return self._do(lambda: self._take(label, self._camera.newest()))

    def renew(self, page: str) -> None:
        """Hear of a page: what it lets be taken by itself goes on."""
        with self._lock:
            if self._auto is not None and self._auto.page == page:
                self._auto = replace(self._auto, until=self._steady() + LEASE)

    def take_picture(self, label: str, key: FrameKey, jpeg: bytes) -> dict[str, Any]:
        """
        Take a picture that was kept in the journal.

        Raises
        ------
        TeachError
            It cannot be read, or the label is none.

        """
        def take() -> dict[str, Any]:
            self._check(label)
            try:
                pixels, order = decode_picture(jpeg)
            except PictureError as error:
                raise TeachError('other', str(error)) from None
            return self._take(label, Frame(key, pixels, order))
        return self._do(take)

    def _only(self, page: str) -> None:
        auto = self._auto
        if auto is not None and auto.page != page and self._steady() <= auto.until:
            raise TeachError('others', f'{auto.person or "somebody"} takes frames of '
                             f'{auto.label!r} now', person=auto.person, label=auto.label)

    def _check(self, label: str) -> None:
        for known in (*self._known(), NEGATIVES):
            if known != label and alike(known) == alike(label):
                raise TeachError('spelling', f'label {label!r} is there as {known!r}: take that '
                                 'one', label=label, known=known)
        for photo in self._photographs():
            if photo.label != label and alike(photo.label) == alike(label):
                raise TeachError('spelling', f'label {label!r} is there as {photo.label!r}: take '
                                 'that one', label=label, known=photo.label)
        self._opened().check_label(label)

    def _take(self, label: str, frame: Frame) -> dict[str, Any]:
        """In the worker: take a frame, and say what became of it."""
        taken = self._opened().take(label, frame)
        if taken.path is not None:
            self._taken += 1
            self._novelty[taken.path] = taken.novelty
            self._worker.submit(self._compute, self._opened(), taken.path)
        return self._note(label, taken)

    def _note(self, label: str, taken: Taken, named: Mapping[str, str] = MappingProxyType({})
              ) -> dict[str, Any]:
        self._number += 1
        self._last = {
            'number': self._number, 'label': label, 'reason': taken.reason, 'why': taken.words,
            'named': dict(named), 'name': '' if taken.path is None else taken.path.name,
            'novelty': _degrees(taken.novelty)}
        return self._last

    def _step(self) -> None:
        """In the worker: take a frame by itself; then again, until nobody wants it any more."""
        began = self._steady()
        with self._lock:
            auto = self._auto
            if auto is None or began > auto.until:
                self._auto, self._stepping = None, False
                return
        try:
            self._take(auto.label, self._camera.newest())
        except TeachError as error:
            self._note(auto.label, Taken(None, error.reason, str(error), float('nan')),
                       error.named)
        except Exception as error:  # whatever it is, it is said, and ends this
            self._note(auto.label, Taken(None, 'other', str(error), float('nan')))
            with self._lock:
                self._auto = None
        sleep(max(0.0, PERIOD - (self._steady() - began)))
        self._worker.submit(self._step)

    def _compute(self, collection: Collection, path: Path) -> None:
        with suppress(PictureError):  # somebody has just removed it
            collection.compute(path)

    # -- looking through ------------------------------------------------------------------------

    def photographs(self, label: str, begin: int = 0) -> dict[str, Any]:
        """Return photographs of a label for a page, the newest first, from some place on."""
        own = sorted((photo for photo in self._photographs() if photo.label == label),
                     key=lambda photo: -photo.stamp)
        end = begin + SHOWN
        return {'n': len(own), 'more': end if end < len(own) else 0, 'photographs': [
            {'name': photo.path.name, 'novelty': _degrees(self._novelty.get(photo.path))}
            for photo in own[begin:end]]}

    def has_photographs(self) -> bool:
        """Return whether anything was collected."""
        return bool(self._photographs())

    def picture(self, label: str, name: str) -> bytes:
        """Return a photograph, as JPEG; raises TeachError if it is not there."""
        try:
            return read_whole(self._find(label, name).path, LARGEST)
        except OSError as error:
            raise TeachError('gone', f'{name}: {error.strerror}') from None

    def delete(self, label: str, name: str) -> None:
        """Remove a photograph; raises TeachError if it is not there."""
        def delete() -> None:
            path = self._find(label, name).path
            self._opened().delete(path)
            self._novelty.pop(path, None)
        self._do(delete)

    def relabel(self, label: str, name: str, to: str) -> None:
        """Give a photograph another label; raises TeachError if it, or the label, is none."""
        def move() -> None:
            self._check(to)
            path = self._find(label, name).path
            self._opened().relabel(path, to)
            self._novelty.pop(path, None)
        self._do(move)

    def state(self, page: str) -> dict[str, Any]:
        """Return all that changes, for a page."""
        photos = self._photographs()
        labels = []
        by_label: dict[str, list[Collected]] = {}
        for photo in photos:
            by_label.setdefault(photo.label, []).append(photo)
        known = self._known()
        for label in [*sorted({*by_label, *known} - {NEGATIVES}), NEGATIVES]:
            own = sorted(by_label.get(label, []), key=lambda photo: photo.stamp)[-LAST:]
            new = [degrees for photo in own
                   if (degrees := _degrees(self._novelty.get(photo.path))) is not None]
            count = len(by_label.get(label, []))
            labels.append({
                'label': label, 'n': count, 'known': label in known, 'new': new,
                'missing': _missing(count, new), 'more': max(0, (
                    START if count < START else GOOD) - count)})
        auto, collection = self._auto, self._collection
        refused = Counter() if collection is None else collection.refused
        return {'labels': labels, 'taken': self._taken, 'refused': dict(refused),
                'last': self._last,
                'auto': None if auto is None else {
                    'label': auto.label, 'person': auto.person, 'own': auto.page == page}}

    def _find(self, label: str, name: str) -> Collected:
        for photo in self._photographs():
            if (photo.label, photo.path.name) == (label, name):
                return photo
        raise TeachError('gone', f'{label}: there is no photograph {name!r} any more')

    def _photographs(self) -> list[Collected]:
        try:
            return list(photographs_in(self.path))
        except FileNotFoundError:  # nothing was taken yet
            return []
        except OSError as error:
            raise TeachError('other', f'{self.path}: cannot be read ({error.strerror})') from None

    # -- the worker -----------------------------------------------------------------------------

    def _opened(self) -> Collection:
        """In the worker: return the collection; its first use loads the model."""
        if self._collection is None:
            model = ModelFile.read(self._base)
            self._collection = Collection(self.path, model, input_spec(model, None))
            for label in self._collection.counts():
                self._worker.submit(self._look_back, label, None)
        return self._collection

    def _look_back(self, label: str, left: list[Path] | None) -> None:
        """In the worker: find out how new the last photographs of earlier are, piece by piece."""
        with suppress(CollectionError):
            collection = self._opened()
            if left is None:
                left = [photo.path for photo in self._photographs() if photo.label == label]
            for path in left[:PIECE]:
                collection.sketch(path)
            if left[PIECE:]:
                self._worker.submit(self._look_back, label, left[PIECE:])
                return
            for path, degrees in collection.novelty(label, LAST).items():
                self._novelty.setdefault(path, degrees)

    def _do(self, act: Callable[[], Result]) -> Result:
        """Have something done in the worker, and wait for it."""
        try:
            done = self._worker.submit(act)
            return done.result(PATIENCE)
        except TooLate:
            done.cancel()  # it is not done later, when something else is before the camera
            raise TeachError('slow', f'not done within {PATIENCE:.0f} s') from None
        except (CollectionError, ModelFileError) as error:
            raise TeachError('other', str(error)) from None
        except RuntimeError as error:  # the console ends
            raise TeachError('other', str(error)) from None


def _missing(count: int, new: Sequence[float]) -> str:
    """Say by a code what a label still lacks, from its count and how new the last views were."""
    if count == 0:
        return 'all'
    if count < START:
        return 'start'
    if len(new) == LAST and sum(new) / LAST > SAME_BURST:
        return 'sides'
    return 'good' if count < GOOD else 'none'


def _degrees(novelty: float | None) -> float | None:
    """Return an angle for JSON: None for the first of its label, and for one not computed."""
    return None if novelty is None or not isfinite(novelty) else round(novelty, 1)
