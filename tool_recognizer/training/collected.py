"""
The folder of a collection: which files in it are photographs, and what their names say.

Under ``LABEL/`` each photograph is one file, ``BURST-STAMP.jpg``. What is computed from them lies
under ``.features``, and can be lost. Left out: what is taken in (``collection``).
"""

from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import re
import unicodedata

from tool_recognizer.pictures.folders import is_litter

FEATURES = '.features'
NAME = re.compile(r'(\d{4,9})-(\d{1,19})\.jpg', re.ASCII)


@dataclass(frozen=True)
class Collected:
    """
    A photograph of a collection.

    Attributes
    ----------
    path : the file
    label : of it
    burst : number of its burst; those of different labels are different ones
    stamp : moment of the frame, ns

    """

    path: Path
    label: str
    burst: int
    stamp: int


def is_collection(folder: Path) -> bool:
    """Say whether a folder is a collection."""
    return (folder / FEATURES).is_dir()


def features_folder(folder: Path) -> Path:
    """Return where a collection keeps features."""
    return folder / FEATURES


def photographs_in(folder: Path) -> Iterator[Collected]:
    """
    Yield the photographs of a collection, by label and name; anything else is none.

    Nor is a pipe or a device, however it is named: reading one would not end.

    Raises
    ------
    OSError
        It cannot be read.

    """
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not is_litter(inner.name):
            with os.scandir(inner) as entries:
                names = sorted(entry.name for entry in entries if entry.is_file())
            for name in names:
                if found := NAME.fullmatch(name):
                    yield Collected(inner / name, unicodedata.normalize('NFC', inner.name),
                                    int(found[1]), int(found[2]))


def kept_features(sources: Sequence[Path]) -> list[Path]:
    """Return the folders of features of those sources that are collections."""
    return [features_folder(source) for source in sources if is_collection(source)]
