"""
The evidence of a drift alarm: a folder that shows what the alarm saw.

It holds ``alarm.json`` (the monitor's figures, the parameters, the versions), ``frames.csv`` (the
scored frames of the window, the most surprising first) and their pictures. A folder appears whole
or not at all; the oldest folders go when the budget is used up. All of it is its owner's alone.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import json
import os
from pathlib import Path
import shutil
from typing import Any

from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.csv_file import CsvWriter
from tool_recognizer.whole_file import private

# Pictures in one folder, the most surprising ones.
PICTURES = 24

Row = tuple[Prediction, Confirmation, float, bytes | None]


def write_evidence(folder: str | Path, name: str, alarm: Mapping[str, Any], rows: Iterable[Row],
                   budget: int) -> Path:
    """
    Write one folder of evidence.

    Parameters
    ----------
    folder : that holds the folders of all alarms; made if it is not there
    name : of this one; they are removed in the order of their names
    alarm : what JSON can hold
    rows : the frames: prediction, confirmation, NLL in nats, JPEG or None
    budget : bytes that all folders may take, this one always stays

    Returns
    -------
    The folder

    Raises
    ------
    OSError
        It cannot be written; nothing of it is left then.

    """
    parent = Path(folder)
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target, partial = parent / name, parent / f'.{name}.partial'
    # What a crash left half written, too.
    for left in parent.glob('.*.partial'):
        shutil.rmtree(left, ignore_errors=True)
    try:
        partial.mkdir(mode=0o700)
        ordered = sorted(rows, key=lambda row: -row[2])
        with open(partial / 'alarm.json', 'w', encoding='utf-8', opener=private) as file:
            file.write(json.dumps(alarm, indent=2, default=str) + '\n')
        _write_table(partial, ordered)
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _keep_within(parent, target, budget)
    return target


def _write_table(folder: Path, rows: Sequence[Row]) -> None:
    left = PICTURES
    with open(folder / 'frames.csv', 'w', newline='', encoding='utf-8', opener=private) as file:
        table = CsvWriter(file)
        table.write('stamp', 'frame_id', 'confirmed', 'nll', 'predicted', 'probability',
                    'picture')
        for number, (prediction, confirmation, nll, picture) in enumerate(rows, start=1):
            best, name = prediction.best, ''
            confirmed = max(confirmation.distribution,
                            key=lambda label: confirmation.distribution[label])
            if picture is not None and left:
                left -= 1
                name = f'{number:03d}_{_plain(confirmed)}.jpg'
                with open(folder / name, 'wb', opener=private) as shown:
                    shown.write(picture)
            table.write(prediction.key.stamp, prediction.key.frame_id, confirmed, nll,
                        prediction.labels[best], float(prediction.probabilities[best]), name)


def _plain(label: str) -> str:
    return ''.join(letter if letter.isalnum() or letter in '-_' else '_' for letter in label)


def _keep_within(parent: Path, newest: Path, budget: int) -> None:
    folders = sorted(entry for entry in parent.iterdir()
                     if (entry / 'alarm.json').is_file() and entry != newest)
    sizes = {entry: sum(file.stat().st_size for file in entry.iterdir())
             for entry in [*folders, newest]}
    excess = sum(sizes.values()) - budget
    for entry in folders:
        if excess <= 0:
            return
        shutil.rmtree(entry, ignore_errors=True)
        excess -= sizes[entry]
