"""A screen as a terminal has it, of what a program writes into a real pseudo-terminal."""

import codecs
import fcntl
import os
import re
import select
import struct
import termios
import unicodedata

_ESCAPE = re.compile(r'\x1b\[([\d;]*)([A-Za-z])')


class Screen:
    """
    The reading end of a pseudo-terminal; it folds long lines, as a terminal does.

    Attributes
    ----------
    program_end : the file descriptor for the program
    folded : lines that were folded because they were too long
    colours : the colours and looks that were asked for

    """

    def __init__(self, columns=80, lines=24):
        self._own_end, self.program_end = os.openpty()
        self._decoder = codecs.getincrementaldecoder('utf-8')('replace')
        self.folded = 0
        self.colours = set()
        self._rows, self._row, self._column = [''], 0, 0
        self.resize(columns, lines)

    def resize(self, columns, lines):
        """Change the window, which folds what is too long for it, and moves all that is below."""
        self.columns, self.lines = columns, lines
        fcntl.ioctl(self.program_end, termios.TIOCSWINSZ,
                    struct.pack('HHHH', lines, columns, 0, 0))
        rows = [row[start:start + columns] for row in self._rows
                for start in range(0, max(1, len(row)), columns)]
        self._row += len(rows) - len(self._rows)
        self._rows = rows

    def close(self):
        for end in (self._own_end, self.program_end):
            os.close(end)

    def read(self, patience=0.1):
        """
        Take in what was written, until nothing more comes for so many seconds.

        They must be fewer than pass between two tables, or it never ends.
        """
        while select.select([self._own_end], [], [], patience)[0]:
            self._take(self._decoder.decode(os.read(self._own_end, 65536)))

    @property
    def shown(self):
        """Return the lines in the window, without what is blank at their ends."""
        return [row.rstrip() for row in self._rows[-self.lines:]]

    @property
    def rows(self):
        """Return the lines in the window, after those that have left it at its top."""
        return [row.rstrip() for row in self._rows]

    def _take(self, text):
        while text:
            if match := _ESCAPE.match(text):
                self._move(match[2], match[1])
                text = text[match.end():]
                continue
            character, text = text[0], text[1:]
            if character == '\r':
                self._column = 0
            elif character == '\n':
                self._row += 1
                while len(self._rows) <= self._row:
                    self._rows.append('')
            else:
                self._put(character)

    def _put(self, character):
        width = 2 if unicodedata.east_asian_width(character) in 'FW' else 1
        if self._column + width > self.columns:
            self.folded += 1
            self._column = 0
            self._take('\n')
        row = self._rows[self._row].ljust(self._column)
        # A wide character is kept with a blank that stands for its second column.
        self._rows[self._row] = (row[:self._column] + character.ljust(width)
                                 + row[self._column + width:])
        self._column += width

    def _move(self, kind, number):
        top = max(0, len(self._rows) - self.lines)
        if kind == 'A':
            self._row = max(top, self._row - int(number or 1))
        elif kind == 'H':
            self._row, self._column = top, 0
        elif kind == 'K' and number == '2':
            self._rows[self._row] = ''
        elif kind == 'J' and number == '2':
            self._rows[top:] = [''] * (len(self._rows) - top)
        elif kind == 'J':
            del self._rows[self._row + 1:]
            self._rows[self._row] = self._rows[self._row][:self._column]
        elif kind == 'm':
            self.colours.add(number)
        else:
            raise NotImplementedError(f'{number}{kind}')
