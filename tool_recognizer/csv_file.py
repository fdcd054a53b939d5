"""The CSV files that the package writes: their text stays text, whoever opens them."""

import csv
import re
from typing import IO

# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA = re.compile(r'[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]')
_NUMBER = re.compile(r'[+-]?(\d+(\.\d*)?|\.\d+|inf)(e[+-]?\d+)?', re.IGNORECASE)


class CsvWriter:
    """
    Write the rows of a CSV file.

    Parameters
    ----------
    file : open for text, with newline=''

    """

    def __init__(self, file: IO[str]) -> None:
        self._writer = csv.writer(file)

    def write(self, *cells: object) -> None:
        """Write a row; text that a spreadsheet would run gets an apostrophe before it."""
        self._writer.writerow([harmless(cell) for cell in cells])


def harmless(cell: object) -> object:
    """
    Return a cell that no spreadsheet runs; numbers stay numbers.

    >>> [harmless(cell) for cell in ('=1+1', '-0.5', -0.5, 'wrench')]
    ["'=1+1", '-0.5', -0.5, 'wrench']

    """
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
