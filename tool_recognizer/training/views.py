"""Views of a photograph, as a camera might see it, and their features from the backbone."""

from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
import os
from pathlib import Path
import tempfile
from typing import Any
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.quality import measure
from tool_recognizer.core.quality import Quality
from tool_recognizer.core.softmax_regression import SoftmaxHead
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import Network
from tool_recognizer.pictures.grounds import any_ground
from tool_recognizer.training.augmentation import augment
from tool_recognizer.training.augmentation import cut_out
from tool_recognizer.training.photos import Photo

# Above this many photos each gets fewer views: the photos vary enough, and it saves time.
MANY_PHOTOS = 1000

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Views:
    """
    The features of one photo's views.

    Attributes
    ----------
    fitted : (V, D) of the photo, of it turned and mirrored, and of its augmented views
    held_out : (U, D) of the photo, and of gentle and strong views that no fit sees
    quality : of the photo as it is
    turned : how many of ``fitted``, after the first, are the photo turned and mirrored

    """

    fitted: Features
    held_out: Features
    quality: Quality
    turned: int = 0


class Plan(NamedTuple):
    """
    How many views of a photo there are beside the photo itself.

    Attributes
    ----------
    fitted : augmented ones, to fit on
    gentle : held out, as a camera's ordinary variation
    hard : held out, strongly changed
    turned : whether the photo is shown turned by right angles and mirrored, too, to fit on

    """

    fitted: int
    gentle: int
    hard: int
    turned: bool = False


def view_plan(photos: int, wanted: int | None) -> Plan:
    """
    Choose how many views each photo gets.

    Parameters
    ----------
    photos : how many there are
    wanted : augmented views to fit on, alone; or None for what suits

    """
    plan = Plan(8, 5, 3, turned=True) if photos <= MANY_PHOTOS else Plan(2, 1, 1)
    return plan if wanted is None else plan._replace(fitted=wanted, turned=False)


def cache_folder() -> Path:
    """Return where features are kept between runs, if nothing else is said."""
    base = os.environ.get('XDG_CACHE_HOME') or str(Path.home() / '.cache')
    return Path(base) / 'tool_recognizer' / 'features'


class Extractor:
    """
    The features of photos' views, computed once and kept by the content of the photo.

    Parameters
    ----------
    base : gives the backbone
    spec : input of the network
    plan : of the views
    cache : where they are kept, in a folder that is named after all of these
    others : where they may be kept, too, such as by a collection

    """

    def __init__(self, base: ModelFile, spec: InputSpec, plan: Plan, cache: Path,
                 others: Sequence[Path] = ()) -> None:
        self._network = Network(base)
        self._spec, self._plan = spec, plan
        backbone = base.with_head(SoftmaxHead(np.zeros((len(base.head.weight), 3)), np.zeros(3)))
        made = f'{spec} {plan}'.encode() + _code_digest()
        key = sha256(backbone.content + made).hexdigest()[:16]
        self._others = [folder / key for folder in others]
        self._folder: Path | None = cache / key
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            # Without a cache it only takes longer.
            self._folder = None

    def over(self, photos: Sequence[Photo]) -> Iterator[Views]:
        """Yield each photo's views, in order."""
        with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            yield from pool.map(self.views, photos)

    def views(self, photo: Photo) -> Views:
        """Compute one photo's features, or take them from the cache."""
        name = f'{photo.digest}.npz'
        path = self._folder / name if self._folder else None
        for place in (*([path] if path else []), *(folder / name for folder in self._others)):
            try:
                with np.load(place) as kept:
                    return Views(kept['fitted'], kept['held_out'],
                                 Quality(*kept['quality'].tolist()), int(kept['turned']))
            except (OSError, TypeError, ValueError, KeyError, BadZipFile):
                pass  # not there, or damaged by an interruption: computed
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
        turned = turned_views(plain[0]) if self._plan.turned and photo.group >= 0 else []
        features = self._network.run('features', plain + unseen + turned + strong)
        held_out = features[:1 + len(unseen)]
        fitted = np.concatenate([features[:1], features[1 + len(unseen):]])
        quality = measure(plain[0])
        if path:
            self._keep(path, fitted=fitted, held_out=held_out, quality=quality,
                       turned=len(turned))
        return Views(fitted, held_out, quality, len(turned))

    def _keep(self, path: Path, **arrays: Any) -> None:
        """Keep features for the next time; if there is no room for them, they are not kept."""
        name = None
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                name = Path(file.name)
                np.savez(file, **arrays)
            name.replace(path)
        except OSError:
            if name is not None:
                name.unlink(missing_ok=True)


def turned_views(picture: Pixels) -> list[Pixels]:
    """
    Turn and mirror a picture: the seven other ways in which the tool could lie.

    Parameters
    ----------
    picture : (H, W, 3) uint8, as ``fit_image`` gives it

    Returns
    -------
    Pictures of the same size; three if the picture is no square

    """
    square = picture.shape[0] == picture.shape[1]
    ways = [(mirrored, turns) for mirrored in (False, True) for turns in range(4)
            if (mirrored or turns) and (square or turns % 2 == 0)]
    return [np.ascontiguousarray(np.rot90(picture[:, ::-1] if mirrored else picture, turns))
            for mirrored, turns in ways]


def strong_views(pixels: Pixels, rng: np.random.Generator, number: int) -> Iterator[Pixels]:
    """
    Yield augmented views of a photo; every other one on another ground, if it can be cut out.

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
            yield augment(pixels, rng, mask=mask, ground=any_ground(rng, 224, 288))
        else:
            yield augment(pixels, rng)


def _code_digest() -> bytes:
    """Digest of the code that makes views: after a change, old features must not be used."""
    folder = Path(__file__).parent.parent
    names = ('training/augmentation.py', 'pictures/grounds.py', 'pictures/scene.py',
             'pictures/sprite.py', 'pictures/tools.py', 'core/preprocessing.py', 'core/quality.py')
    return sha256(b''.join((folder / name).read_bytes() for name in names)).digest()
