"""
The store of models, for the pages: what is in it, what runs beside, what is in charge.

The store says what is to be in charge, the recognizer what is. A change is written in the store
first and then asked of the recognizer; if that refuses, the store is as it was. Whoever is killed
in between leaves a choice that the recognizer takes at its next start, as ``models choose`` does,
and that the page shows. So does a recognizer that does not respond in time: it may load the model
all the same.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any
from typing import Protocol

from tool_recognizer.console.teaching import TeachError
from tool_recognizer.core.text import cut
from tool_recognizer.input_file import read_whole
from tool_recognizer.model.content import content_digest
from tool_recognizer.model.content import read_content
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import ModelFileError
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.store import LARGEST_REPORT
from tool_recognizer.model.store import ModelStore
from tool_recognizer.model.store import StoreError
from tool_recognizer.model.store import Version

# Versions that a page is told of: the newest; lines of advice about one.
SHOWN, MOST_ADVICE = 12, 100
SHADOW, MODEL, STORE = 'shadow_model_path', 'model_path', 'models.path'


class Recognizer(Protocol):
    """The recognizer, from any thread but ROS's; all raise TeachError if it does not respond."""

    def parameters(self) -> Mapping[str, Any]:
        """Return the values of its parameters that teaching must know."""

    def set_parameters(self, values: Mapping[str, str]) -> None:
        """Set parameters; TeachError also if it refuses one."""

    def reload(self) -> str:
        """Have models loaded; return what it says, with their digests. TeachError if refused."""


class Candidates:
    """
    See the module.

    Parameters
    ----------
    store : of the models
    recognizer : that has one of them in charge

    """

    def __init__(self, store: ModelStore, recognizer: Recognizer) -> None:
        self.store, self._recognizer = store, recognizer
        self._changing = Lock()
        # What a model's file says of its held-out photographs, by its digest.
        self._held_out: dict[str, dict[str, Any]] = {}

    def state(self) -> dict[str, Any]:
        """Return what is in the store, the newest first, for a page."""
        try:
            versions = self.store.versions() if self.store.path.is_dir() else []
            standing = self.store.standing()
            went_back = not standing and bool(self.store.choices())
        except StoreError as error:
            return {'versions': [], 'in_charge': '', 'before': None, 'went_back': False,
                    'shipped': '', 'why': str(error)}
        return {'versions': [self._shown(version) for version in versions[:-SHOWN - 1:-1]],
                'in_charge': standing[-1] if standing else '', 'before': _before(standing),
                'went_back': went_back, 'shipped': _shipped(), 'why': ''}

    def before(self) -> str | None:
        """Return the version that ``go_back`` leads to; '': what ships; None: to none."""
        try:
            return _before(self.store.standing())
        except StoreError:
            return None

    def report(self, name: str) -> bytes:
        """Return the report of a version; raises TeachError if there is none."""
        try:
            return read_whole(self.store.version(name).report, LARGEST_REPORT)
        except (StoreError, OSError) as error:
            raise TeachError('gone', str(error)) from None

    def try_beside(self, name: str) -> None:
        """
        Have a version answer beside the model in charge, as its shadow.

        Raises
        ------
        TeachError
            There is no such version, or the recognizer refuses it, or loads another model; then
            all is as it was. If it does not respond ('unsure'), this one stays chosen.

        """
        with self._alone():
            version = self._version(name)
            before = str(self._recognizer.parameters()[SHADOW])
            try:
                self._load({SHADOW: str(version.model.absolute())}, {SHADOW: before},
                           version.digest)
            except TeachError as error:
                if error.reason == 'another':
                    with suppress(TeachError):  # so that it runs beside no longer
                        self._recognizer.reload()
                raise

    def put_in_charge(self, name: str, person: str) -> str:
        """
        Have a version in charge, and none beside it; return what the recognizer says.

        Raises
        ------
        TeachError
            There is no such version, the recognizer has another store or a fixed model, or
            refuses this one; then all is as it was. If it does not respond ('unsure'), the
            choice stays.

        """
        with self._alone():
            self._check_store()
            version = self._version(name)
            before = str(self._recognizer.parameters()[SHADOW])
            was = self.store.in_charge()
            self.store.choose(version.name, person)
            try:
                return self._load({SHADOW: ''}, {SHADOW: before}, version.digest)
            except TeachError as error:
                if was != version.name and error.reason != 'unsure':
                    self.store.go_back(person)
                raise

    def go_back(self, person: str, version: str) -> None:
        """
        Have in charge again what was before.

        If the store is back at the model that ships, that is loaded: whoever went back may have
        been killed before.

        Parameters
        ----------
        person : who wants it
        version : what they want to go back to; '': to the model that ships

        Raises
        ------
        TeachError
            There is nothing to go back to, that is another version meanwhile, or the recognizer
            refuses, or loads another model; then all is as it was. If it does not respond
            ('unsure'), the store stays where it went back to.

        """
        with self._alone():
            self._check_store()
            if _before(self.store.standing()) not in (None, version):
                raise TeachError('gone_back', 'somebody else has gone back, or put another model '
                                 'in charge')
            before = str(self._recognizer.parameters()[SHADOW])
            was = self.store.in_charge()
            now: Version | None = None
            if was or not self.store.choices():
                now = self.store.go_back(person)
            try:
                # A candidate need not know all labels of what comes back.
                self._load({SHADOW: ''}, {SHADOW: before},
                           _shipped() if now is None else now.digest)
            except TeachError as error:
                if was and error.reason != 'unsure':
                    self.store.choose(was, person)
                raise

    def _load(self, wanted: Mapping[str, str], before: Mapping[str, str], digest: str) -> str:
        """
        Set parameters and have the model of a digest loaded; or set them as before.

        If nobody knows whether it was loaded ('unsure'), they stay.
        """
        try:
            self._recognizer.set_parameters(wanted)
            said = self._reloaded()
            if digest not in said:  # changed, or in another folder of the same name
                raise TeachError('another', f'{said}, which is not the one that was chosen: was '
                                 'its file changed, or are the console and the recognizer not on '
                                 'one machine?')
            return said
        except TeachError as error:
            if error.reason != 'unsure':
                with suppress(TeachError):
                    self._recognizer.set_parameters(before)
            raise

    def _reloaded(self) -> str:
        """Have the models loaded; return what the recognizer says."""
        try:
            return self._recognizer.reload()
        except TeachError as error:
            if error.reason != 'silent':
                raise
            raise TeachError('unsure', 'the recognizer has not said in time whether it has loaded '
                             'the model: see which one it has; its next start takes what was '
                             'chosen') from None

    def _version(self, name: str) -> Version:
        version = self.store.version(name)
        if version.damage:
            raise TeachError('other', version.damage)
        return version

    def _check_store(self) -> None:
        values = self._recognizer.parameters()
        if values[MODEL]:
            raise TeachError('fixed', f'the recognizer has model_path set to {values[MODEL]}: '
                             'leave it empty, so that the store says what is in charge',
                             path=str(values[MODEL]))
        its = Path(str(values[STORE])).expanduser()
        if not values[STORE] or its.resolve() != self.store.path.resolve():
            raise TeachError('store', f'the recognizer has models.path set to {its}, the console '
                             f'to {self.store.path}: they must be the same',
                             path=str(self.store.path.absolute()))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._changing.acquire(blocking=False):
            raise TeachError('changing', 'somebody else puts a model in charge at this moment')
        try:
            yield
        except StoreError as error:
            raise TeachError('other', str(error)) from None
        finally:
            self._changing.release()

    def _shown(self, version: Version) -> dict[str, Any]:
        about = version.about
        return {'version': version.name, 'damage': version.damage, 'digest': version.digest,
                **{name: about.get(name) for name in (
                    'labels', 'added', 'by', 'figures', 'gate', 'counts')},
                'held_out': self._read(version), 'report': version.report.is_file()}

    def _read(self, version: Version) -> dict[str, Any]:
        if version.damage:
            return {}
        if version.digest not in self._held_out:
            found: dict[str, Any] = {}
            with suppress(ModelFileError):
                found = _held_out(ModelFile.read(version.model).metadata)
            while len(self._held_out) >= 10 * SHOWN:
                self._held_out.pop(next(iter(self._held_out)))
            self._held_out[version.digest] = found
        return self._held_out[version.digest]


def _held_out(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a model's file says of its held-out photographs, as far as a page can show it."""
    found: Any = metadata
    for name in ('training', 'held_out'):
        found = found.get(name) if isinstance(found, Mapping) else None
    per_label, advice = ((found.get('per_label'), found.get('advice'))
                         if isinstance(found, Mapping) else (None, None))
    shown = {}
    for label, held in per_label.items() if isinstance(per_label, Mapping) else ():
        if (figures := _figures(held)) is not None:
            shown[label] = figures
    in_all = _figures(found.get('all')) if shown else None
    return {'per_label': shown, 'advice': [
        cut(line) for line in (advice if isinstance(advice, list) else [])[:MOST_ADVICE]
        if isinstance(line, str)], **({} if in_all is None else {'all': in_all})} if shown else {}


def _figures(held: object) -> dict[str, Any] | None:
    """Take the figures of held-out photographs; without its interval none is shown."""
    if not isinstance(held, Mapping) or not _is_number(held.get('photographs')):
        return None
    share, cost = ({name: held.get(name) for name in names} for names in (
        ('recall', 'low', 'high'), ('nll', 'nll_low', 'nll_high')))
    return {'photographs': held['photographs'],
            **(share if all(map(_is_number, share.values())) else dict.fromkeys(share)),
            **(cost if all(map(_is_number, cost.values())) else {})}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and -1e300 < value < 1e300


@cache
def _shipped() -> str:
    """Return the digest of the model that ships."""
    return content_digest(read_content(DEFAULT_MODEL))


def _before(standing: Sequence[str]) -> str | None:
    return None if not standing else standing[-2] if len(standing) > 1 else ''
