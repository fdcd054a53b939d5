"""
The program ``journal``: what was confirmed, for people and for training.

It only reads, and a node may go on writing the journal meanwhile. What it makes appears whole or
not at all.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from datetime import timezone
from functools import partial
import json
from math import exp
from math import isfinite
from pathlib import Path
import shutil
import sys
from tempfile import mkdtemp
from typing import Any

from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.csv_file import CsvWriter
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.reader import StoredConfirmation
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.training.labelled import folder_name
from tool_recognizer.training.labelled import NEGATIVES

SUMMARY = 'count, check and export what was answered and confirmed'
EXAMPLES = (
    'journal stats journal.db',
    'journal verify journal.db',
    'journal export journal.db --csv confirmations.csv',
    'journal export journal.db --pictures confirmed',
    'train confirmed --output new.onnx')
COLUMNS = ('number', 'run', 'stamp', 'frame_id', 'received', 'operator', 'outcome', 'position',
           'label', 'distribution', 'nll', 'inclusion_probability', 'decision', 'model_digest')
# A soft label must be this sure of one label for its picture to be an example of it.
SURE = 0.5


class ExportError(ValueError):
    """An output that cannot be made, and why."""


def main(argv: list[str] | None = None) -> int:
    """
    Run the command.

    Parameters
    ----------
    argv : the arguments, default the process's

    Returns
    -------
    0 done and good; 1 something in the journal or its pictures is damaged; 2 unusable input

    """
    parser = _parser()
    return run_program(partial(_journal, parser), parser, (JournalError, ExportError), argv)


def _parser() -> Parser:
    parser = Parser('journal', SUMMARY, EXAMPLES)
    parser.add_argument('action', choices=('export', 'verify', 'stats'),
                        help='export: write files; verify: check all of it; stats: count')
    parser.add_argument('file', type=Path, help='the journal')
    parser.add_argument('--csv', type=Path, metavar='FILE',
                        help='export: one row per confirmation')
    parser.add_argument('--pictures', type=Path, metavar='DIR',
                        help='export: the pictures of the confirmed frames as DIR/LABEL/*.jpg, '
                             'for train; DIR must be new')
    parser.add_argument('--json', type=Path, metavar='FILE', help='stats: write them as JSON')
    return parser


def _journal(parser: Parser, arguments: argparse.Namespace) -> int:
    if arguments.action != 'export' and (arguments.csv or arguments.pictures):
        parser.error(f'--csv and --pictures belong to export, not to {arguments.action}')
    if arguments.action == 'export' and not (arguments.csv or arguments.pictures):
        parser.error('export needs --csv FILE, --pictures DIR or both')
    if arguments.action != 'stats' and arguments.json:
        parser.error(f'--json belongs to stats, not to {arguments.action}')
    check_outputs([arguments.csv, arguments.json], [arguments.pictures], [arguments.file])
    try:
        with JournalReader(arguments.file) as reader:
            status = {'export': _export, 'verify': _verify, 'stats': _stats}[arguments.action](
                reader, arguments)
            for wrong in () if arguments.action == 'verify' else reader.damage:
                print(f'{reader.path}: left out, {wrong}', file=sys.stderr)
                status = 1
            return status
    except JournalError as error:
        if arguments.action == 'verify' and error.reason == 'corrupt':
            print(error)
            return 1
        raise


# -- export ------------------------------------------------------------------------------------


def _export(reader: JournalReader, arguments: argparse.Namespace) -> int:
    status = 0
    if arguments.csv:
        print(f'{_write_csv(reader, arguments.csv)} confirmations in {arguments.csv}')
    if arguments.pictures:
        status = _write_pictures(reader, arguments.pictures)
    return status


def _write_csv(reader: JournalReader, path: Path) -> int:
    labels = reader.labels()
    number = 0
    with _whole_file(path) as partial, partial.open('w', newline='') as file:
        table = CsvWriter(file)
        table.write(*COLUMNS, *(f'p({label})' for label in labels))
        for confirmation in reader.confirmations():
            table.write(*_cells(confirmation), *_probabilities(confirmation, labels))
            number += 1
    return number


def _cells(confirmation: StoredConfirmation) -> Iterator[object]:
    for column in COLUMNS:
        value = getattr(confirmation, column)
        if isinstance(value, dict):
            value = json.dumps(value)
        elif isinstance(value, Outcome):
            value = value.value
        yield '' if value is None else value


def _probabilities(confirmation: StoredConfirmation, labels: list[str]) -> Iterator[object]:
    known: dict[str, float] = {}
    if confirmation.log_probabilities is not None:
        known = dict(zip(confirmation.labels,
                         map(exp, confirmation.log_probabilities.tolist()), strict=True))
    yield from (known.get(label, '') for label in labels)


def _write_pictures(reader: JournalReader, folder: Path) -> int:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f'{folder} is there already: name a new folder')
    disputed = {(c.stamp, c.frame_id) for c in reader.confirmations()
                if c.outcome is Outcome.CONFLICTING}
    left_out = {'of which operators disagree': 0, f'surer of no label than {SURE}': 0}
    numbers: dict[str, int] = {}
    missing: list[Path] = []
    with _whole_folder(folder) as partial:
        for confirmation in reader.confirmations():
            if (confirmation.position is None or confirmation.picture is None
                    or confirmation.outcome is Outcome.SKIPPED):
                continue
            if (confirmation.stamp, confirmation.frame_id) in disputed:
                left_out['of which operators disagree'] += 1
                continue
            label = confirmation.label
            if not confirmation.distribution[label] > SURE:
                left_out[f'surer of no label than {SURE}'] += 1
                continue
            label = NEGATIVES if label == ANOTHER_TOOL else label
            place = partial / folder_name(label)
            place.mkdir(exist_ok=True)
            try:
                shutil.copyfile(confirmation.picture, place / _file_name(confirmation))
            except FileNotFoundError:
                missing.append(confirmation.picture)
            else:
                numbers[label] = numbers.get(label, 0) + 1
        if not numbers:
            raise ExportError(
                f'{reader.path} has no picture of a confirmed frame'
                + (f': {len(missing)} are not there, such as {missing[0]}' if missing else ''))
    for label, number in sorted(numbers.items()):
        print(f'{number:6d} {label}')
    for why, number in left_out.items():
        if number:
            print(f'left out: {number} pictures {why}', file=sys.stderr)
    if missing:
        print(f'left out: {len(missing)} pictures that are not there, such as {missing[0]}',
              file=sys.stderr)
    return 1 if missing else 0


def _file_name(confirmation: StoredConfirmation) -> str:
    """Return a name that sorts by time, and tells it as a camera's file names do."""
    seconds, rest = divmod(confirmation.stamp, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f'{moment:%Y%m%d_%H%M%S}_{rest:09d}_{confirmation.number}.jpg'


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Give a name to write to; what is there takes the file's place at the end, if all is well."""
    partial = path.with_name(f'.{path.name}.partial')
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise ExportError(f'{path}: cannot be written ({error.strerror})') from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill; it takes the path at the end, if all is well."""
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(mkdtemp(prefix=f'.{path.name}-', dir=path.parent))
        partial.chmod(0o755)
        yield partial
        partial.rename(path)
    except OSError as error:
        raise ExportError(f'{path}: cannot be written ({error.strerror})') from None
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


# -- verify ------------------------------------------------------------------------------------


def _verify(reader: JournalReader, arguments: argparse.Namespace) -> int:
    number = 0
    for problem in reader.problems():
        number += 1
        print(problem)
    unlisted = reader.unlisted_pictures()
    if unlisted:
        print(f'note: {len(unlisted)} files among the pictures are not in the journal, such as '
              f'{unlisted[0]}')
    if number:
        print(f'{reader.path}: {number} problems')
    lost = reader.pictures_without_folder()
    if lost:
        print(f'{reader.path}: {lost} pictures are missing: their folder {reader.pictures} is not '
              'there')
    if number or lost:
        return 1
    figures = reader.statistics()
    print(f'{reader.path}: whole; {figures["predictions"]} predictions, '
          f'{sum(figures["confirmations"].values())} confirmations, '
          f'{figures["pictures"]} pictures, since {_moment(figures["since"])}')
    return 0


# -- stats -------------------------------------------------------------------------------------


def _stats(reader: JournalReader, arguments: argparse.Namespace) -> int:
    figures = reader.statistics()
    print(_table(figures))
    if arguments.json:
        with _whole_file(arguments.json) as partial:
            partial.write_text(json.dumps(_as_json(figures), indent=2) + '\n')
    return 0


def _table(figures: dict[str, Any]) -> str:
    lines = [
        f'file           {figures["bytes"] / 1e6:.1f} MB, pictures '
        f'{figures["picture_bytes"] / 1e6:.1f} MB in {figures["pictures"]} files',
        f'since          {_moment(figures["since"])}; {figures["removed"]} events are removed',
        f'predictions    {figures["predictions"]} (verify checks them), of these '
        f'{figures["predictions_confirmed"]} confirmed, '
        f'{_moment(figures["first_stamp"])} to {_moment(figures["last_stamp"])}',
        f'asked          {figures["requests"]} frames',
        f'confirmations  {_counts(figures["confirmations"])}',
        f'labels         {_counts(figures["labels"])}',
        f'NLL            {_nats(figures["nll"])} over all that were scored',
        f'events         {_counts(figures["events"])}', '',
        f'{"run":>5}  {"began":<20}{"because of":<12}{"scored":>8}  {"NLL":>8}  model']
    lines += [f'{run["id"]:5d}  {_moment(run["started"]):<20}{run["reason"]:<12}'
              f'{run["scored"]:8d}  {_nats(run["nll"]):>8}  {run["model_digest"][:12]}'
              for run in figures['runs']]
    return '\n'.join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ', '.join(f'{number} {name}' for name, number in counts.items()) or 'none'


def _nats(value: float | None) -> str:
    return '-' if value is None else f'{value:.4f}'


def _moment(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return '-'
    return f'{datetime.fromtimestamp(nanoseconds // 1_000_000_000, timezone.utc):%F %T}'


def _as_json(value: Any) -> Any:
    """JSON has no infinity, and it must not be hidden: it goes as text."""
    if isinstance(value, dict):
        return {k: _as_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_as_json(v) for v in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


if __name__ == '__main__':
    sys.exit(main())
