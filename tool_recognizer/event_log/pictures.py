"""
The pictures beside the log: a file for each frame that was asked for or confirmed.

The most surprising ones stay, within a budget. A file is listed as litter before it is written and
until its row is there, so that a crash leaves nothing behind that no row needs.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
import re
from shutil import disk_usage
import sqlite3
from typing import Any
from typing import NamedTuple

from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.event_log.chain import seal
from tool_recognizer.whole_file import write_whole

# Bytes of the disk that are left to the events, which count more.
LEFT_FREE = 1 << 24
# Leads out of no folder, and is not too long for a file.
_PLAIN = re.compile(r'\w[\w.-]{0,99}', re.ASCII)


def picture_file(folder: Path, name: Any) -> Path:
    """Return the file of the name in a row; for a name that we never give, none that is there."""
    plain = isinstance(name, str) and _PLAIN.fullmatch(name)
    return folder / (name if plain else '.no-name-of-a-picture')


class Picture(NamedTuple):
    """A frame's picture: JPEG or None, how surprising the frame is in nats, its file's name."""

    key: FrameKey
    surprise: float
    content: bytes | None
    name: str


class Pictures:
    """
    See the module; what it writes is part of the caller's transaction where nothing else is said.

    Parameters
    ----------
    db : the log's file
    folder : of the pictures
    budget : bytes that they may take; 0: none is kept

    Attributes
    ----------
    lost : pictures that could not be written, or whose folder was removed

    """

    def __init__(self, db: sqlite3.Connection, folder: Path, budget: int) -> None:
        self._db, self._folder, self._budget = db, folder, budget
        self.lost = 0
        if budget:
            self._make_folder()
        self.sweep()

    def _make_folder(self) -> None:
        """Make the folder, its owner's alone; what was in one that is gone is lost."""
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700)
            self.lost += self._db.execute('SELECT count(*) FROM pictures').fetchone()[0]

    def write_files(self, pictures: Iterable[Picture]) -> None:
        """Write their files, in a transaction of its own, as litter until ``add``."""
        if not self._budget:
            return
        named = [p for p in pictures if p.content is not None]
        if not named:
            return
        self._db.execute('PRAGMA synchronous = NORMAL')
        self._db.execute('BEGIN IMMEDIATE')
        self._db.executemany('INSERT OR IGNORE INTO litter VALUES (?)', [(p.name,) for p in named])
        self._db.execute('COMMIT')
        for picture in named:
            assert picture.content is not None
            try:
                self._make_folder()
                if disk_usage(self._folder).free > len(picture.content) + LEFT_FREE:
                    write_whole(self._folder / picture.name, picture.content)
            except OSError:
                continue  # the confirmation counts more than its picture

    def add(self, picture: Picture) -> None:
        """List a picture whose file was written; of a frame that has one, say how surprising."""
        key, surprise, content, name = picture
        found = self._db.execute('SELECT path, bytes, digest FROM pictures WHERE stamp = ? AND '
                                 'frame_id = ?', key).fetchone()
        if found is None:
            if content is None or not self._budget:
                return
            if not (self._folder / name).exists():
                self.lost += 1
                return
            found = name, len(content), sha256(content).digest()
            self._db.execute('DELETE FROM litter WHERE path = ?', (name,))
        row = *key, *found, surprise
        self._db.execute('INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)',
                         (*row, seal(*row)))

    def evict(self) -> None:
        """Let the least surprising pictures go, the oldest of equals first, to the budget."""
        db = self._db
        excess = db.execute('SELECT coalesce(sum(bytes), 0) FROM pictures').fetchone()[0]
        excess -= self._budget
        gone = []
        if excess > 0:
            for path, size in db.execute('SELECT path, bytes FROM pictures '
                                         'ORDER BY surprise, stamp'):
                gone.append((path,))
                excess -= size
                if excess <= 0:
                    break
        db.executemany('INSERT OR IGNORE INTO litter VALUES (?)', gone)
        db.executemany('DELETE FROM pictures WHERE path = ?', gone)

    def sweep(self) -> None:
        """Remove the files that no row needs, outside of a transaction."""
        paths = self._db.execute('SELECT path FROM litter WHERE path NOT IN '
                                 '(SELECT path FROM pictures)').fetchall()
        if not paths:
            return
        for (path,) in paths:
            file = picture_file(self._folder, path)
            file.unlink(missing_ok=True)
            file.with_name(f'{file.name}.partial').unlink(missing_ok=True)
        self._db.execute('PRAGMA synchronous = NORMAL')
        self._db.executemany('DELETE FROM litter WHERE path = ?', paths)
