"""True labels of recorded frames, from a CSV file."""

from collections.abc import Mapping
import csv
from decimal import Decimal
from decimal import InvalidOperation
from io import StringIO
from pathlib import Path

from tool_recognizer.core.admission import admit
from tool_recognizer.core.admission import END_OF_TIME
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.text import cut
from tool_recognizer.core.text import quoted
from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError


class LabelsError(ValueError):
    """A file of labels that cannot be used, and why."""


def read_labels_file(path: Path) -> dict[int, Mapping[str, float]]:
    """
    Read ``stamp,label[,probability[,label,probability ...]]``, one frame a line.

    Parameters
    ----------
    path : CSV; a first line without a number in it is a heading. A stamp with a decimal point is
        in seconds, one without in nanoseconds; it is the one of the frame's header

    Returns
    -------
    Stamp in ns to distribution over labels

    Raises
    ------
    LabelsError
        The file cannot be read, or a line cannot; the message names the line.

    """
    found: dict[int, Mapping[str, float]] = {}
    try:
        rows = csv.reader(StringIO(read_text(path)), skipinitialspace=True)
        for number, row in enumerate(rows, 1):
            cells = [cell.strip() for cell in row]
            if not any(cells) or (number == 1 and not _is_number(cells[0])):
                continue
            try:
                stamp, distribution = _row(cells)
            except (ValueError, OverflowError) as error:
                raise LabelsError(f'{path}, line {number}: {cut(str(error))}; a line is '
                                  'stamp,label or stamp,label,probability,..., got '
                                  f'{cut(str(row))}') from None
            if stamp in found and found[stamp] != distribution:
                raise LabelsError(f'{path}, line {number}: stamp {stamp} comes twice with '
                                  'different labels')
            found[stamp] = distribution
    except TextError as error:
        raise LabelsError(str(error)) from None
    except csv.Error as error:
        raise LabelsError(f'{path}: cannot be read: {error}') from None
    if not found:
        raise LabelsError(f'{path}: holds no label')
    return found


def _is_number(cell: str) -> bool:
    """Tell whether a cell holds a number, or begins like one and may be a mistyped one."""
    try:
        Decimal(cell)
    except InvalidOperation:
        return cell[:1].isdigit()
    return True


def _row(cells: list[str]) -> tuple[int, Mapping[str, float]]:
    if len(cells) < 2:
        raise ValueError('a label is missing')
    try:
        stamp = Decimal(cells[0]) * (1_000_000_000 if '.' in cells[0] else 1)
        inside = 0 <= stamp < END_OF_TIME  # or it may have a billion digits
    except ArithmeticError:
        inside = False
    if not inside:
        raise ValueError(f'stamp {quoted(cells[0])} is no number from 0 to below 2^31 s')
    labels, probabilities = cells[1::2], cells[2::2] or ['1']
    if len(labels) != len(probabilities) or not all(labels):
        raise ValueError('each label needs its probability')
    said = admit(FrameKey(Stamp(int(stamp)), ''),
                 zip(labels, map(float, probabilities), strict=True))
    return said.key.stamp, said.distribution
