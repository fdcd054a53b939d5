"""
A program's output files: checked before the work, and written whole.

So a wrong name, or one that would overwrite an input, is reported at once, not after an hour.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from contextlib import suppress
from errno import EACCES
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from tempfile import TemporaryFile


class OutputError(ValueError):
    """A file that cannot be written, and why."""


def check_outputs(files: Iterable[Path | None] = (), folders: Iterable[Path | None] = (),
                  inputs: Iterable[Path | None] = (), make: bool = False) -> None:
    """
    Check before the work that its results can be written.

    Parameters
    ----------
    files : to be written; None: is not to be
    folders : to be made, and their parents with them
    inputs : what must not be overwritten
    make : whether the folders of the files are made, too, if they are not there

    Raises
    ------
    OutputError
        One cannot be written, is an input, or comes twice.

    """
    given = [(path, True) for path in files if path] + [
        (path, False) for path in folders if path]
    read = {os.path.realpath(path) for path in inputs if path}
    seen: set[str] = set()
    for path, is_file in given:
        real = os.path.realpath(path)
        if real in read:
            raise OutputError(f'{path}: is read, too, and would be overwritten; name another file')
        try:
            device = _is_device(path)
            _check(path, is_file, make or not is_file)
        except OSError as error:
            raise OutputError(f'{path}: cannot be written ({error.strerror})') from None
        if real in seen and not device:
            raise OutputError(f'{path}: is named for two outputs; give each a file of its own')
        seen.add(real)


def write_whole(files: Mapping[Path, str]) -> None:
    """
    Write files so that each appears complete, or none at all if one cannot be written.

    Raises
    ------
    OutputError
        One cannot be written.

    """
    made: list[tuple[str, Path]] = []
    try:
        for path, content in files.items():
            try:
                if _is_device(path):
                    path.write_text(content, encoding='utf-8')
                    continue
                # What a link points to, not the link.
                path = Path(os.path.realpath(path))
                with NamedTemporaryFile('w', dir=path.parent, prefix=f'.{path.name[:100]}.',
                                        encoding='utf-8', delete=False) as file:
                    made.append((file.name, path))
                    file.write(content)
                os.chmod(file.name, 0o644)
            except OSError as error:
                raise OutputError(f'{path}: cannot be written ({error.strerror})') from None
        while made:
            name, path = made[-1]
            os.replace(name, path)
            made.pop()
    finally:
        for name, _ in made:
            os.unlink(name)


def _check(path: Path, is_file: bool, make: bool) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(path)  # raises for a name that is too long
    if is_file and path.is_dir():
        raise OutputError(f'{path}: cannot be written, it is a folder; name a file')
    if _is_device(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
        return
    folder = Path(os.path.realpath(path)).parent
    while make and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f'{path}: cannot be written, {folder} is '
                          + ('no folder' if folder.exists() else
                             f'not there; mkdir -p {folder} makes it'))
    with TemporaryFile(dir=folder):
        pass


def _is_device(path: Path) -> bool:
    """Return whether it is no file to be replaced, as /dev/stdout."""
    return str(path).startswith('/dev/') or (path.exists() and not path.is_file()
                                             and not path.is_dir())
