"""
A collection: photographs of one line that somebody labels as they come, in a folder for ``train``.

Twenty different views of a tool teach more than two hundred of the same one. So a picture whose
features lie near those of one that is there already is refused, and so is one that is dark or
blurred; each refusal is counted by its reason. Under ``LABEL/`` each photograph is one file, named
after its burst and its moment, that is there whole or not at all; what is computed from it lies
under ``.features`` and can be lost. Nothing else is on disk, so that there is nothing that could
disagree with the files.

Of one burst are photographs that look much alike, if not nearly the same: they lie on one side of
every split. Other views of the same object may lie on the other side. So what is held out tells
how well new views of these objects are known, and not how well other objects are.
"""

from collections import Counter
from contextlib import suppress
import errno
from hashlib import sha256
import os
from pathlib import Path
from shutil import disk_usage
from time import time
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.decision import check_labels
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.quality import fault
from tool_recognizer.core.quality import QualityThresholds
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.sketch import alike as nearly_the_same
from tool_recognizer.core.sketch import angle
from tool_recognizer.core.sketch import BITS
from tool_recognizer.core.sketch import NO_SKETCH
from tool_recognizer.core.sketch import sketch
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import Network
from tool_recognizer.pictures.codec import encode_picture
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.pictures.folders import is_litter
from tool_recognizer.training.collected import Collected
from tool_recognizer.training.collected import features_folder
from tool_recognizer.training.collected import is_collection
from tool_recognizer.training.collected import NAME
from tool_recognizer.training.collected import photographs_in
from tool_recognizer.training.labelled import NEGATIVES
from tool_recognizer.training.photos import Photo
from tool_recognizer.training.photos import read_rgb
from tool_recognizer.training.spelling import alike
from tool_recognizer.training.spelling import tidy
from tool_recognizer.training.views import Extractor
from tool_recognizer.training.views import view_plan
from tool_recognizer.whole_file import write_whole

# What was not written whole, and the seconds after which nobody writes it any more.
PARTIAL, UNNAMED, STALE = '.partial', 'tmp*', 60.0
# Photographs of one collection, at most, and pixels of the longer side of each.
MOST, LONG_SIDE = 5000, 640
JPEG_QUALITY = 92
# Degrees between the features of two photographs up to which they are of one burst. Nearly the
# same are those below 35 (``sketch``), and of two tools those above 50.
SAME_BURST = 45.0
# Bytes of the disk that are left to what counts more.
LEFT_FREE = 1 << 26
# Why a picture is not taken, beside the reserved ids of what is wrong with it.
NEAR_DUPLICATE, DISK_FULL, FULL, NO_PICTURE = 'near_duplicate', 'disk_full', 'full', 'no_picture'


class CollectionError(ValueError):
    """What cannot be done with a collection, why, and what to do."""


class Taken(NamedTuple):
    """
    What became of a picture.

    Attributes
    ----------
    path : where it lies now; None: it was not taken
    reason : why not: ``NEAR_DUPLICATE``, ``DISK_FULL``, ``FULL``, ``NO_PICTURE`` or a reserved id
        such as 'unknown:dark'; '' if it was
    words : the same for people; '' if it was taken
    novelty : degrees to the nearest photograph of its label; inf for the first, nan if unknown

    """

    path: Path | None
    reason: str
    words: str
    novelty: float


WORDS = {
    NEAR_DUPLICATE: 'nearly the same picture is there already: turn or move the tool',
    DISK_FULL: 'the disk is full: make room',
    FULL: f'a collection holds {MOST} photographs at most: train on it, and begin another one',
    'unknown:dark': 'too dark: more light',
    'unknown:overexposed': 'overexposed: less light, or a shorter exposure',
    'unknown:blurred': 'blurred: hold still, or focus'}


class Collection:
    """
    See the module; several programs may add to one collection, each in one thread.

    Parameters
    ----------
    path : the folder; it is made
    base : gives the features, and what a picture must measure
    spec : input of the network

    Attributes
    ----------
    refused : how many pictures were not taken, by reason

    Raises
    ------
    CollectionError
        The folder cannot be made or read, or holds something else.

    """

    def __init__(self, path: str | Path, base: ModelFile, spec: InputSpec) -> None:
        self.path = Path(path).expanduser()
        self.refused: Counter[str] = Counter()
        self._spec = spec
        features = base.head.weight.shape[0]
        if features < BITS:
            raise CollectionError(f'the base model gives {features} features, too few to tell '
                                  f'nearly the same pictures ({BITS} do): name another base')
        self._network = Network(base)
        self._thresholds = (QualityThresholds(**base.metadata['quality'])
                            if base.metadata.get('quality') else None)
        self._sketches: dict[Path, bytes] = {}
        try:
            if self.path.is_dir() and not is_collection(self.path) and any(self.path.iterdir()):
                raise CollectionError(f'{self.path}: is no collection, and not empty; name '
                                      'another folder')
            features_folder(self.path).mkdir(parents=True, exist_ok=True)
            for left in (*self.path.glob(f'*/*{PARTIAL}'),
                         *features_folder(self.path).glob(f'*/{UNNAMED}')):
                # A fresh one may be what another program is writing at this moment.
                with suppress(FileNotFoundError):
                    if time() - left.stat().st_mtime > STALE:
                        left.unlink()
        except OSError as error:
            raise self._cannot(error) from None
        self._extractor = Extractor(base, spec, view_plan(0, None), features_folder(self.path))

    def photographs(self) -> list[Collected]:
        """Return all photographs; raises CollectionError if the folder cannot be read."""
        try:
            return list(photographs_in(self.path))
        except OSError as error:
            raise self._cannot(error) from None

    def counts(self) -> dict[str, int]:
        """Return how many photographs each label has."""
        return dict(Counter(photo.label for photo in self.photographs()))

    def check_label(self, label: str) -> None:
        """
        Refuse a label that no model could have, or that is another spelling of one that is there.

        Raises
        ------
        CollectionError
            It is such a label.

        """
        try:
            check_labels((label, f'not {label}'[:100]))
        except ValueError as error:
            raise CollectionError(str(error)) from None
        if label != tidy(label) or '/' in label or '\\' in label or is_litter(label) or (
                len(os.fsencode(label)) > 200):
            raise CollectionError(f'label {label!r} cannot be the name of a folder: no slash, no '
                                  'dot in front, no spaces around it, 200 bytes at most')
        for other in (*self.counts(), NEGATIVES):
            if other != label and alike(other) == alike(label):
                raise CollectionError(f'label {label!r} is there as {other!r}: take that one')

    def take(self, label: str, frame: Frame) -> Taken:
        """
        Take a picture, unless it is dark, blurred or nearly the same as one that is there.

        What it takes on disk is written whole: after a crash at any moment the photograph is there
        and readable, or not there.

        Parameters
        ----------
        label : its label; 'other' for what is none of them
        frame : what the network is shown of the camera's frame (see ``look``)

        Raises
        ------
        CollectionError
            The label is none, or the folder cannot be read or written for another reason than a
            full disk.

        """
        self.check_label(label)
        photos = self.photographs()
        if len(photos) >= MOST:
            return self._refuse(FULL)
        try:
            frame = _turned(frame)
            image = fit_image(frame.pixels, self._spec, frame.order)
            jpeg = encode_picture(frame, _width(*frame.pixels.shape[:2]), JPEG_QUALITY)
        except (PictureError, ValueError) as error:
            return self._refuse(NO_PICTURE, str(error))
        wrong = fault(image, self._thresholds)
        if wrong is not None:
            return self._refuse(wrong)
        own = [photo for photo in photos if photo.label == label]
        here = sketch(self._network.run('features', [image])[0])
        near = [(angle(here, there), photo) for photo in own
                if (there := self.sketch(photo.path))]
        novelty = min((degrees for degrees, _ in near), default=float('nan'))
        if any(nearly_the_same(here, self.sketch(photo.path)) for _, photo in near):
            return self._refuse(NEAR_DUPLICATE, novelty=novelty)
        burst = next((photo.burst for degrees, photo in sorted(near, key=lambda n: n[0])
                      if degrees <= SAME_BURST), None)
        if burst is None:
            burst = max((photo.burst for photo in own), default=0) + 1
        name = f'{burst:04d}-{frame.key.stamp}.jpg'
        if not NAME.fullmatch(name):  # it would be none of the photographs, and never found again
            return self._refuse(NO_PICTURE, f'its stamp is {frame.key.stamp} ns, before 1970: '
                                "set the camera's clock")
        path = self.path / label / name
        try:
            path.parent.mkdir(exist_ok=True)
            if disk_usage(path.parent).free < len(jpeg) + LEFT_FREE:
                return self._refuse(DISK_FULL)
            if path.exists():
                return self._refuse(NEAR_DUPLICATE, novelty=0.0)
            write_whole(path, jpeg, opener=None)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return self._refuse(DISK_FULL)
            raise self._cannot(error) from None
        self._sketches[path] = here
        return Taken(path, '', '', novelty if own else float('inf'))

    def compute(self, path: Path) -> None:
        """
        Compute the features of a photograph's views and keep them, so that training is quick.

        Raises
        ------
        PictureError
            It cannot be read.

        """
        self._views(path)

    def delete(self, path: Path) -> None:
        """Remove a photograph; raises CollectionError if that fails."""
        self._check_inside(path)
        try:
            digest = sha256(path.read_bytes()).hexdigest()
            path.unlink()
            for kept in features_folder(self.path).glob(f'*/{digest}.npz'):
                kept.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot(error) from None
        self._sketches.pop(path, None)

    def relabel(self, path: Path, label: str) -> Path:
        """
        Give a photograph another label; it is a burst of its own there.

        Returns
        -------
        Where it lies now

        Raises
        ------
        CollectionError
            It is not there, or the label is none.

        """
        self._check_inside(path)
        self.check_label(label)
        taken = [photo.burst for photo in self.photographs() if photo.label == label]
        name = path.name.split('-', 1)[1]
        new = self.path / label / f'{max(taken, default=0) + 1:04d}-{name}'
        try:
            new.parent.mkdir(exist_ok=True)
            path.rename(new)
        except OSError as error:
            raise self._cannot(error) from None
        self._sketches.pop(path, None)
        return new

    def novelty(self, label: str, newest: int = MOST) -> dict[Path, float]:
        """
        Tell how far the nearest other photograph of its label is, degrees; nan without any.

        Parameters
        ----------
        label : of the photographs
        newest : of how many it is told, those that came last

        """
        own = sorted((photo for photo in self.photographs() if photo.label == label),
                     key=lambda photo: photo.stamp)
        sketches = {photo.path: self.sketch(photo.path) for photo in own}
        return {photo.path: min((
            degrees for path, there in sketches.items() if path != photo.path
            and (degrees := angle(sketches[photo.path], there)) == degrees), default=float('nan'))
            for photo in own[-newest:]}

    def _refuse(self, reason: str, words: str = '', novelty: float = float('nan')) -> Taken:
        self.refused[reason] += 1
        return Taken(None, reason, words or WORDS.get(reason, reason), novelty)

    def sketch(self, path: Path) -> bytes:
        """Sketch a photograph, once; none of one that cannot be read or was just removed."""
        if path not in self._sketches:
            try:
                features = self._network.run(
                    'features', [fit_image(read_rgb(path), self._spec)])[0]
                self._sketches[path] = sketch(features)
            except PictureError:
                return NO_SKETCH
        return self._sketches[path]

    def _views(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise PictureError(f'{path}: cannot be read ({error.strerror})') from None
        self._extractor.views(Photo(path.parent.name, str(path), sha256(data).hexdigest(),
                                    lambda: read_rgb(path), 0))

    def _check_inside(self, path: Path) -> None:
        if path.parent.parent != self.path or not NAME.fullmatch(path.name) or (
                not path.is_file()):
            raise CollectionError(f'{path}: is no photograph of {self.path}')

    def _cannot(self, error: OSError) -> CollectionError:
        return CollectionError(f'{self.path}: cannot be read or written ({error.strerror})')


def _turned(frame: Frame) -> Frame:
    """Turn a frame as the network is shown it."""
    if not frame.rotation:
        return frame
    return Frame(frame.key, np.ascontiguousarray(np.rot90(frame.pixels, -frame.rotation // 90)),
                 frame.order)


def _width(height: int, width: int) -> int:
    """Return the width in which a picture of this size is kept."""
    return max(1, round(width * min(1.0, LONG_SIDE / max(height, width))))
