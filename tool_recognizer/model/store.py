"""
A store of models: a folder with one folder for each version, and who put which in charge.

A version is never changed. It is written beside and moved to its name in one step, so that after a
crash it is there whole, or not at all. ``choices.json`` says which version a recognizer is to have
in charge, since when, and who wanted it. Which model answered a frame is not said here: that is
the journal's, which names models by the same digest.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from datetime import timezone
import errno
import fcntl
from hashlib import sha256
import json
from math import isfinite
import os
from pathlib import Path
import re
import shutil
from time import monotonic
from time import sleep
from typing import Any

from tool_recognizer.core.text import hidden
from tool_recognizer.input_file import read_whole
from tool_recognizer.model.content import content_digest
from tool_recognizer.model.content import ContentError
from tool_recognizer.model.content import read_content
from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError
from tool_recognizer.whole_file import sync_folder
from tool_recognizer.whole_file import write_whole

# Versions and choices that are kept, at most.
MOST, MOST_CHOICES = 100, 1000
# Bytes of what may be written beside a model, and characters of a person's name.
LARGEST_ABOUT, LARGEST_REPORT, LONGEST_NAME = 2**20, 64 * 2**20, 100
# Seconds to wait for another program that writes.
PATIENCE = 20.0
MODEL, REPORT, ABOUT, CHOICES = 'model.onnx', 'report.html', 'about.json', 'choices.json'
LOCK, FRESH = '.lock', '.new-'
# Decimal digits of a version's name, at least.
DIGITS = 4
_NAME = re.compile(rf'\d{{{DIGITS},9}}', re.ASCII)
# Digits of a digest by which a version may be named.
FEWEST = 6
# What is told of all photographs that were held out, and what a model file calls it.
HELD = {'accuracy': 'recall', 'accuracy_ci_low': 'low', 'accuracy_ci_high': 'high', 'nll': 'nll',
        'nll_ci_low': 'nll_low', 'nll_ci_high': 'nll_high', 'photographs': 'photographs'}


class StoreError(ValueError):
    """What cannot be done with a store, why, and what to do."""


@dataclass(frozen=True)
class Version:
    """
    A model of the store.

    Attributes
    ----------
    name : '0001' and so on, in the order of coming
    folder : where it lies
    about : what is known of it: digest (SHA-256 of the model, hex), labels, data_digest, added
        (ISO 8601), by, base, gate, figures; empty if that cannot be read
    damage : why it cannot be used, or ''

    """

    name: str
    folder: Path
    about: Mapping[str, Any]
    damage: str = ''

    @property
    def model(self) -> Path:
        """Return its model file."""
        return self.folder / MODEL

    @property
    def report(self) -> Path:
        """Return its report, which need not be there."""
        return self.folder / REPORT

    @property
    def digest(self) -> str:
        """Return the SHA-256 of its model, as hex."""
        return str(self.about.get('digest', ''))


@dataclass(frozen=True)
class Choice:
    """
    Somebody put a version in charge.

    Attributes
    ----------
    version : its name; '' for the model that comes with the package
    digest : SHA-256 of its model, hex; '' for that one
    at : when, ISO 8601 with the zone
    by : who
    back : whether they went back to it, from the one that was in charge

    """

    version: str
    digest: str
    at: str
    by: str
    back: bool = False


class ModelStore:
    """
    See the module; several programs may use one store.

    Parameters
    ----------
    path : the folder; it is made when the first version comes

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    def versions(self) -> list[Version]:
        """
        Return all versions, the oldest first; those that cannot be used, too.

        Raises
        ------
        StoreError
            There is no such folder, or it cannot be read.

        """
        try:
            names = sorted((entry.name for entry in os.scandir(self.path)
                            if _NAME.fullmatch(entry.name) and entry.is_dir()), key=int)
        except OSError as error:
            raise self._cannot('read', error) from None
        return [_read_version(self.path / name) for name in names]

    def version(self, name: str) -> Version:
        """
        Find a version by its name or by the beginning of its digest.

        Raises
        ------
        StoreError
            There is none, or several digests begin so.

        """
        versions = self.versions()
        wanted = name.zfill(DIGITS) if name.isascii() and name.isdigit() else name
        found = [v for v in versions if v.name == wanted] or [
            v for v in versions if len(name) >= FEWEST and v.digest.startswith(name.lower())]
        if len(found) == 1:
            return found[0]
        some = [v.name for v in versions[-5:]]
        raise StoreError(f'{self.path}: {"no version" if not found else "several versions are"} '
                         f'{name!r}; ' + (f'the newest are {some}' if some else 'it has none'))

    def add(self, model: Path, by: str, *, base: str = '', gate: Mapping[str, Any] | None = None,
            report: Path | None = None) -> Version:
        """
        Take a copy of a model file in as a new version; nothing is put in charge by that.

        If there are more than ``MOST`` versions then, the oldest leave, see ``prune``.

        Parameters
        ----------
        model : the file, which must keep its contract
        by : who
        base : of which model it was made, for people
        gate : its verdict, as ``evaluate --json`` writes it
        report : a page about it

        Returns
        -------
        The new version, or the one that has this very model already

        Raises
        ------
        StoreError
            It cannot be read or written; the store is as it was.
        ModelError
            The file is no model that could be used.

        """
        # Only here: whoever reads a store does not need onnxruntime.
        from tool_recognizer.model.onnx_model import OnnxModel
        _check_person(by)
        loaded = OnnxModel.load(model)
        try:
            content = read_content(model)
            page = None if report is None else read_whole(report, LARGEST_REPORT)
        except (OSError, ContentError) as error:
            raise StoreError(f'{model}: cannot be read ({error})') from None
        if content_digest(content) != loaded.digest:
            raise StoreError(f'{model}: was changed while it was read; add it again')
        said = loaded.metadata
        training, reference = (part if isinstance(part := said.get(name), dict) else {}
                               for name in ('training', 'reference'))
        nll = loaded.reference_nll
        held = training.get('held_out')
        in_all = held.get('all') if isinstance(held, dict) else None
        about = {
            'schema': 1, 'digest': loaded.digest, 'labels': list(loaded.labels),
            'name': said.get('name'), 'created': said.get('created'), 'added': _now(), 'by': by,
            'base': base or training.get('base', ''), 'data_digest': training.get('data_digest'),
            'counts': training.get('counts'), 'gate': None if gate is None else dict(gate),
            'figures': {key: reference.get(key) for key in ('accuracy', 'ece', 'photographs')}
            | {'nll': nll if isfinite(nll) else None}
            | ({name: in_all.get(key) for name, key in HELD.items()}
               if isinstance(in_all, dict) else {}),
            'report_digest': None if page is None else sha256(page).hexdigest()}
        try:
            text = json.dumps(about, indent=2, allow_nan=False).encode()
        except (ValueError, RecursionError):
            raise StoreError(f'{model}: what is to be said of it, by its own metadata or the '
                             "gate's verdict, holds a number that is none (NaN or infinity), or "
                             'is nested too deep') from None
        if len(text) > LARGEST_ABOUT:
            raise StoreError(f'{model}: what is to be said of it takes {len(text)} bytes, '
                             f'{LARGEST_ABOUT} are the most: give a smaller verdict of the gate')
        with self._alone(make=True):
            versions = self.versions()
            for version in versions:
                if version.digest == loaded.digest and not version.damage:
                    return version
            name = self._next(versions)
            fresh = self.path / f'{FRESH}{name}'
            try:
                fresh.mkdir()
                for place, data in ((MODEL, content), (REPORT, page), (ABOUT, text)):
                    if data is not None:
                        write_whole(fresh / place, data, opener=None)
                fresh.rename(self.path / name)
            except BaseException:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
            sync_folder(self.path)
            self._prune(MOST)
        return _read_version(self.path / name)

    def choices(self) -> list[Choice]:
        """
        Return who put which version in charge, the oldest first.

        Raises
        ------
        StoreError
            That cannot be read.

        """
        path = self.path / CHOICES
        if not path.exists():
            return []
        try:
            listed = json.loads(read_text(path, LARGEST_ABOUT))['choices']
            choices = [Choice(str(c['version']), str(c['digest']), str(c['at']), str(c['by']),
                              bool(c['back'])) for c in listed]
            for choice in choices:
                if choice.version and not _NAME.fullmatch(choice.version):
                    raise ValueError(f'{choice.version!a} is no name of a version')
            return choices
        except TextError as error:
            raise StoreError(str(error)) from None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise StoreError(f'{path}: is damaged ({error}); move it away, and choose the version '
                             'that is to be in charge again') from None

    def in_charge(self) -> str:
        """Return the name of what ``chosen`` returns, '' for None; raises as ``choices``."""
        stack = _stack(self.choices())
        return stack[-1].version if stack else ''

    def standing(self) -> list[str]:
        """Return the names as ``in_charge`` does: last its own, before it those before."""
        return [choice.version for choice in _stack(self.choices())]

    def chosen(self) -> Version | None:
        """
        Return the version that is to be in charge; None: the model that comes with the package.

        Raises
        ------
        StoreError
            It is not there any more, or cannot be used.

        """
        stack = _stack(self.choices())
        return self._usable(stack[-1]) if stack and stack[-1].version else None

    def choose(self, name: str, by: str) -> Version:
        """
        Say that a version is to be in charge, from the next start or reload of a recognizer on.

        Parameters
        ----------
        name : of the version, or the beginning of its digest
        by : who wants it

        Raises
        ------
        StoreError
            There is no such version, it is damaged, or this cannot be written.

        """
        _check_person(by)
        with self._alone():
            version = self.version(name)
            _check_content(version)
            choices = self.choices()
            stack = _stack(choices)
            if not stack or stack[-1].version != version.name:
                self._write([*choices, Choice(version.name, version.digest, _now(), by)])
        return version

    def go_back(self, by: str) -> Version | None:
        """
        Go back to what was in charge before; twice, to what was before that.

        Returns
        -------
        What is to be in charge now; None: the model that comes with the package

        Raises
        ------
        StoreError
            Nothing was chosen, the one before is not there any more, or this cannot be written.

        """
        _check_person(by)
        with self._alone():
            choices = self.choices()
            stack = _stack(choices)
            if not stack:
                raise StoreError(f'{self.path}: no version is in charge, so there is none to go '
                                 'back from')
            before = stack[-2] if len(stack) > 1 else Choice('', '', '', '')
            version = self._usable(before) if before.version else None
            if version is not None:
                _check_content(version)
            self._write([*choices, Choice(before.version, before.digest, _now(), by, back=True)])
        return version

    def prune(self, keep: int) -> list[str]:
        """
        Remove the oldest versions.

        The one in charge and the one before it stay, whatever their age.

        Parameters
        ----------
        keep : versions that stay

        Returns
        -------
        The names of those that are gone

        Raises
        ------
        StoreError
            One cannot be removed.

        """
        with self._alone():
            return self._prune(keep)

    def _prune(self, keep: int) -> list[str]:
        names = [version.name for version in self.versions()]
        held = {choice.version for choice in _stack(self.choices())[-2:]}
        gone = [name for name in names[:max(0, len(names) - max(keep, 1))] if name not in held]
        for name in gone:
            # Out of the list in one step; what a crash leaves of it is swept by the next writer.
            old = self.path / f'{FRESH}{name}'
            (self.path / name).rename(old)
            sync_folder(self.path)
            shutil.rmtree(old, ignore_errors=True)
        return gone

    def _next(self, versions: Sequence[Version]) -> str:
        """Return a name that was never used, also if the newest versions were removed."""
        used = [version.name for version in versions] + [c.version for c in self.choices()]
        return f'{max((int(name) for name in used if name), default=0) + 1:0{DIGITS}d}'

    def _usable(self, choice: Choice) -> Version:
        version = _read_version(self.path / choice.version)
        if version.damage or version.digest != choice.digest:
            why = version.damage or 'its folder holds another model now'
            raise StoreError(f'{self.path}: version {choice.version}, which is to be in charge, '
                             f'cannot be used: {why}; choose another one: models choose')
        return version

    def _write(self, choices: Sequence[Choice]) -> None:
        if len(choices) > MOST_CHOICES:
            # Of what is forgotten there stays what the later ones lead back to.
            half = MOST_CHOICES // 2
            choices = [*_stack(choices[:-half])[half - MOST_CHOICES:], *choices[-half:]]
        text = json.dumps({'schema': 1, 'choices': [vars(c) for c in choices]}, indent=1,
                          ensure_ascii=False)
        write_whole(self.path / CHOICES, text.encode(), opener=None)

    @contextmanager
    def _alone(self, make: bool = False) -> Iterator[None]:
        """Be the only writer; what an earlier one left half done is removed."""
        try:
            if make:
                self.path.mkdir(parents=True, exist_ok=True)
            elif not self.path.is_dir():
                raise StoreError(f'{self.path}: no version: there is no such store')
            with open(self.path / LOCK, 'a') as lock:
                end = monotonic() + PATIENCE
                while True:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if monotonic() > end:
                            raise StoreError(f'{self.path}: another program has been writing '
                                             f'there for {PATIENCE:g} s; try again') from None
                        sleep(0.02)
                for left in self.path.glob(f'{FRESH}*'):
                    shutil.rmtree(left, ignore_errors=True)
                yield
        except OSError as error:
            raise self._cannot('written', error) from None

    def _cannot(self, what: str, error: OSError) -> StoreError:
        if what == 'read':
            return StoreError(f'{self.path}: no store of models ({error.strerror}); `models add` '
                              'makes one')
        cure = ': make room, such as with `models prune`' if error.errno in (
            errno.ENOSPC, errno.EDQUOT) else ''
        return StoreError(f'{self.path}: cannot be written ({error.strerror}){cure}')


def _stack(choices: Sequence[Choice]) -> list[Choice]:
    """Return what is in charge, last, and what was before it, and before that."""
    stack: list[Choice] = []
    for choice in choices:
        if not choice.back:
            stack.append(choice)
        elif stack:
            stack.pop()
    return stack


def _read_version(folder: Path) -> Version:
    try:
        about = json.loads(read_text(folder / ABOUT, LARGEST_ABOUT))
        if not (isinstance(about, dict) and isinstance(about.get('digest'), str)
                and isinstance(about.get('labels'), list)):
            raise ValueError('it has no digest or labels')
    except (TextError, ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, TextError) else f'{folder / ABOUT}: {error}'
        return Version(folder.name, folder, {}, why)
    damage = '' if (folder / MODEL).is_file() else f'{folder / MODEL}: is not there'
    return Version(folder.name, folder, about, damage)


def _check_content(version: Version) -> None:
    """Refuse a version whose model file is not the one that came."""
    damage = version.damage
    if not damage:
        try:
            digest = content_digest(read_content(version.model))
        except (OSError, ContentError) as error:
            damage = f'{version.model}: cannot be read ({error})'
        else:
            if digest != version.digest:
                damage = f'{version.model}: has changed since it came'
    if damage:
        raise StoreError(f'version {version.name} is damaged: {damage}; choose another one')


def _check_person(by: str) -> None:
    if not by.strip() or len(by) > LONGEST_NAME or hidden(by):
        raise StoreError(f'say who did it, in at most {LONGEST_NAME} visible characters, got '
                         f'{by!a}')


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec='seconds')
