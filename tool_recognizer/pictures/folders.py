"""
Folders of pictures as people hand them in: which files are pictures, and why the others are not.

A folder is entered once, by its real path, and a picture counts once, whatever links lead to it.
The first bytes of a file say what it is, whatever its name. Left out: decoding (``codec``), and
what a folder's name means.
"""

from collections import deque
from dataclasses import dataclass
from dataclasses import field
import os
from pathlib import Path
from typing import NamedTuple

from tool_recognizer.pictures.header import HEAD
from tool_recognizer.pictures.header import kind_of
from tool_recognizer.pictures.heif import missing

# A file with such a name should be a picture; if it is none, decoding it says what is wrong.
SUFFIXES = frozenset({
    '.jpg', '.jpeg', '.jfif', '.jpe', '.png', '.webp', '.tif', '.tiff', '.bmp', '.dib', '.gif',
    '.ppm', '.pgm', '.pbm', '.pnm', '.jp2', '.j2k'})
# Kinds that not every machine reads, by the names of their files.
NOT_EVERYWHERE = {'.heic': 'HEIC', '.heif': 'HEIC', '.hif': 'HEIC', '.avif': 'AVIF'}
NOT_READ = frozenset({'.jxl', '.psd', '.xcf', '.exr', '.hdr'})
# Cameras' raw formats, which look like TIFF and hold a thumbnail.
RAW = frozenset({'.dng', '.cr2', '.cr3', '.crw', '.nef', '.nrw', '.arw', '.sr2', '.srw', '.orf',
                 '.rw2', '.raf', '.pef', '.raw', '.rwl', '.x3f', '.3fr', '.iiq', '.kdc'})
# Kinds that begin with two letters, as a text may.
WEAK = ('BMP', 'PPM')
# Videos that begin as a picture does.
VIDEO = frozenset({'.mjpg', '.mjpeg'})
# What systems and tools leave in folders, in lower case; and beginnings and ends of such names.
LITTER = frozenset({'thumbs.db', 'ehthumbs.db', 'desktop.ini', 'picasa.ini', 'icon\r',
                    'lost+found', 'system volume information', '#recycle', '#snapshot'})
LITTER_BEGINS, LITTER_ENDS = ('.', '__', '@', '$', '~'), ('~', '.partial', '.crdownload')
NAMED = 3


class Reason(NamedTuple):
    """
    Why something is left out.

    Attributes
    ----------
    what : the reason, as a text to follow a number
    cure : what to do about it; '' if the names of the files say more

    """

    what: str
    cure: str = ''


BEFORE = Reason('reached before by another way')
LITTERED = Reason('hidden or made by tools')
NO_PICTURE = Reason('not a picture')
NO_FILE = Reason('neither file nor folder')
NOWHERE = Reason('a link to nothing')
UNREADABLE = Reason('cannot be read')


@dataclass
class PictureFolder:
    """
    A folder, with what is in it and in all folders below.

    Attributes
    ----------
    path : the folder
    pictures : its picture files, sorted
    left_out : reason to the names of what is left out for it
    refused : why the folder itself cannot be read, or ''
    is_top : whether it is the folder that was given; then only what lies directly in it counts

    """

    path: Path
    pictures: list[Path] = field(default_factory=list)
    left_out: dict[Reason, list[str]] = field(default_factory=dict)
    refused: str = ''
    is_top: bool = False

    def leave_out(self, reason: Reason, name: str) -> None:
        """Note what is left out."""
        self.left_out.setdefault(reason, []).append(name)

    def summary(self) -> str:
        """
        Say in one line what is left out; '' if nothing is.

        >>> folder = PictureFolder(Path('hammer'), [Path('hammer/1.jpg')])
        >>> folder.leave_out(NO_PICTURE, 'notes.txt')
        >>> folder.summary()
        'hammer: 1 photograph; left out: 1 not a picture (notes.txt)'

        """
        if self.refused:
            return f'{self.path}: left out, cannot be read ({self.refused})'
        if not self.left_out:
            return ''
        reasons = [f'{len(names)} {reason.what} ({reason.cure or some_of(names)})'
                   for reason, names in sorted(self.left_out.items())]
        count = '' if self.is_top and not self.pictures else f'{photographs(len(self.pictures))}; '
        return f'{self.path}: {count}left out: {", ".join(reasons)}'


def photographs(number: int) -> str:
    """Say how many photographs."""
    return f'{number or "no"} photograph{"s" * (number != 1)}'


def some_of(names: list[str]) -> str:
    """
    Name some of many.

    >>> some_of(['a', 'b', 'c', 'd', 'e'])
    'a, b, c, ...'

    """
    shown = sorted(names)[:NAMED]
    return ', '.join(shown + ['...'] * (len(names) > len(shown)))


def is_litter(name: str) -> bool:
    """
    Tell what is hidden, or made by a tool, from what a person made, by its name.

    >>> [is_litter(name) for name in ('.ipynb_checkpoints', '__MACOSX', '@eaDir', 'hammer')]
    [True, True, True, False]

    """
    low = name.lower()
    return low in LITTER or low.startswith(LITTER_BEGINS) or low.endswith(LITTER_ENDS)


def why_not(path: Path) -> Reason | None:
    """
    Say why a file is not a picture that can be read here; None if it seems to be one.

    Parameters
    ----------
    path : the file

    Raises
    ------
    OSError
        It cannot be read.

    """
    suffix = path.suffix.lower()
    if suffix in RAW:
        return Reason(suffix, 'raw: develop it to JPEG or PNG')
    if suffix in VIDEO:
        return NO_PICTURE
    with path.open('rb') as file:
        kind = kind_of(file.read(HEAD))
    if kind in WEAK and suffix not in SUFFIXES:
        return NO_PICTURE
    kind = kind or NOT_EVERYWHERE.get(suffix)
    if kind:
        cure = missing(kind)
        return Reason(f'.{kind.lower()}', cure) if cure else None
    if suffix in NOT_READ:
        return Reason(suffix, 'not read: save as JPEG or PNG')
    return None if suffix in SUFFIXES else NO_PICTURE


class Finder:
    """Finds the pictures of folders, each folder and each picture once, for all of a program."""

    def __init__(self) -> None:
        # True places: of folders by device and number, of pictures by path.
        self._entered: set[tuple[int, int]] = set()
        self._found: set[str] = set()
        self._links: deque[tuple[PictureFolder, Path]] = deque()

    def find(self, top: Path) -> list[PictureFolder]:
        """
        Find the pictures in a folder and in all below it, behind links too.

        Parameters
        ----------
        top : where

        Returns
        -------
        The folder itself with what lies directly in it, and then each folder in it, by name

        """
        here = PictureFolder(top, is_top=True)
        inner: list[PictureFolder] = []
        if self._enter(here, top):
            inner = [PictureFolder(path) for path in self._look(here, top)]
        linked = [folder for folder in inner if folder.path.is_symlink()]
        self._links += ((folder, folder.path) for folder in linked)
        # What is truly there goes first, so that no link takes it away from its folder.
        for folder in inner:
            if folder not in linked:
                self._walk(folder, folder.path)
        while self._links:
            folder, path = self._links.popleft()
            self._follow(folder, path)
        for folder in (here, *inner):
            folder.pictures.sort()
        return [here, *inner]

    def _walk(self, folder: PictureFolder, path: Path) -> None:
        waiting = [path]
        while waiting:
            place = waiting.pop()
            if self._enter(folder, place):
                waiting += self._look(folder, place)

    def _look(self, folder: PictureFolder, place: Path) -> list[Path]:
        """Take the pictures that lie in a place, put off its links, and return its folders."""
        try:
            with os.scandir(place) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self._refuse(folder, place, error)
            return []
        true = os.path.realpath(place)
        folders = []
        for entry in entries:
            path = place / entry.name
            if is_litter(entry.name):
                folder.leave_out(LITTERED, self._name(folder, path))
            elif entry.is_symlink():
                # One in the folder that was handed in leads to a folder of its own.
                if place == folder.path and folder.is_top and os.path.isdir(path):
                    folders.append(path)
                else:
                    self._links.append((folder, path))
            elif entry.is_dir():
                folders.append(path)
            elif entry.is_file():
                self._take(folder, path, os.path.join(true, entry.name))
            else:
                folder.leave_out(NO_FILE, self._name(folder, path))
        return folders

    def _enter(self, folder: PictureFolder, path: Path) -> bool:
        """Say whether a folder is new."""
        try:
            about = path.stat()
        except OSError as error:
            self._refuse(folder, path, error)
            return False
        place = about.st_dev, about.st_ino
        if place in self._entered:
            folder.leave_out(BEFORE, self._name(folder, path))
            return False
        self._entered.add(place)
        return True

    def _follow(self, folder: PictureFolder, path: Path) -> None:
        true = os.path.realpath(path)
        if os.path.isdir(path):
            if Path(os.path.realpath(path.parent)).is_relative_to(true):
                folder.leave_out(BEFORE, self._name(folder, path))  # it leads back up
            else:
                self._walk(folder, path)
        elif os.path.isfile(path):
            self._take(folder, path, true)
        else:
            folder.leave_out(NO_FILE if os.path.exists(path) else NOWHERE,
                             self._name(folder, path))

    def _take(self, folder: PictureFolder, path: Path, true: str) -> None:
        """Take a file if it is a picture and new; ``true`` is its path without links."""
        name = self._name(folder, path)
        if true in self._found:
            folder.leave_out(BEFORE, name)
            return
        try:
            reason = why_not(path)
        except OSError as error:
            folder.leave_out(UNREADABLE, f'{name}: {error.strerror}')
            return
        if reason is None:
            self._found.add(true)
            folder.pictures.append(path)
        else:
            folder.leave_out(reason, name)

    def _refuse(self, folder: PictureFolder, path: Path, error: OSError) -> None:
        if path == folder.path:
            folder.refused = error.strerror or str(error)
        else:
            folder.leave_out(UNREADABLE, f'{self._name(folder, path)}: {error.strerror}')

    @staticmethod
    def _name(folder: PictureFolder, path: Path) -> str:
        return path.relative_to(folder.path).as_posix() if path != folder.path else path.name
