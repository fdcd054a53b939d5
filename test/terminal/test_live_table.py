"""The live table on a real pseudo-terminal, and where there is none."""

import io
import os

import pytest
from screen import Screen
from tool_recognizer.terminal.live_table import LiveTable
from tool_recognizer.terminal.live_table import PERIOD
from tool_recognizer.terminal.live_table import Row
from tool_recognizer.terminal.terminal import Terminal

UNICODE = {'TERM': 'xterm-256color', 'LANG': 'C.UTF-8'}
HEAD = ['ROS_DOMAIN_ID=7', "operator's page: http://127.0.0.1:8080/"]
ROWS = [Row('camera', 'photos/' + '扳手' * 60), Row('accuracy', '93.0% of 100', 0.93),
        Row('monitor', "drift: label hammer, since confirmed label 30, mostly in 'hammer'" * 3,
            colour='red')]


class Stage:
    """A table on a screen."""

    def __init__(self, columns=80, lines=24, environment=UNICODE, encoding='utf-8'):
        self.screen = Screen(columns, lines)
        self._stream = os.fdopen(os.dup(self.screen.program_end), 'w', encoding=encoding)
        self.now = 0.0
        self.table = LiveTable(Terminal(self._stream, environment), clock=lambda: self.now)

    def show(self, rows=ROWS, news=()):
        self.table.show(HEAD, rows, news)
        self.screen.read(0.05)
        return [line for line in self.screen.shown if line]

    def close(self):
        self._stream.close()
        self.screen.close()


@pytest.fixture
def stage():
    stages = []

    def make(*arguments, **keywords):
        stages.append(Stage(*arguments, **keywords))
        return stages[-1]
    yield make
    for made in stages:
        made.close()


@pytest.mark.parametrize('columns', [20, 41, 80, 120, 300])
def test_no_row_is_folded_at_any_width_and_the_table_is_drawn_over_itself(stage, columns):
    on = stage(columns)
    first = on.show()
    assert on.show() == on.show() == first
    assert on.screen.folded == 0
    assert [line.split()[0] for line in first[-3:]] == ['camera', 'accuracy', 'monitor']
    assert '█████' in first[-2]


def test_a_window_that_becomes_narrower_or_wider_shows_the_table_once(stage):
    on = stage(120)
    on.show()
    for columns in (70, 40, 100):
        on.screen.resize(columns, 24)
        shown = on.show()
        assert sum(line.startswith('monitor') for line in shown) == 1
        assert len(shown) <= len(HEAD) + len(ROWS)
        assert not shown[0].startswith('camera')
    assert on.screen.folded == 0


def test_a_window_with_fewer_lines_than_the_table_shows_its_beginning(stage):
    on = stage(80, 4)
    assert on.show() == on.show()
    assert [line.split()[0] for line in on.show()][-2:] == ['camera', 'accuracy']


def test_fewer_rows_leave_nothing_of_those_before(stage):
    on = stage()
    on.show()
    assert not any('monitor' in line for line in on.show(ROWS[:2]))


def test_what_a_program_says_stays_above_the_table(stage):
    on = stage()
    on.show()
    on.show(news=['[WARN] the disk is full', 'a word ' * 30])
    shown = on.show()
    assert shown[0] == '[WARN] the disk is full'
    assert ' '.join(shown[1:-4]) == ('a word ' * 30).strip()
    assert sum(line.startswith('monitor') for line in shown) == 1
    assert on.screen.folded == 0


def test_an_alarm_is_red_where_there_are_colours(stage):
    on = stage()
    on.show()
    assert '31' in on.screen.colours


@pytest.mark.parametrize('more', [{'NO_COLOR': '1'}, {'TERM': 'dumb'}, {'TERM': ''}])
def test_nobody_gets_colours_who_does_not_want_them_or_cannot_have_them(stage, more):
    on = stage(environment=UNICODE | more)
    on.show()
    assert not on.screen.colours
    assert on.screen.folded == 0


@pytest.mark.parametrize('more', [
    {'LC_ALL': 'C'}, {'LC_ALL': 'de_DE.ISO-8859-1'}, {'LANG': 'POSIX'}])
def test_a_locale_without_utf_8_gets_ascii_alone(stage, more):
    on = stage(environment=UNICODE | more)
    shown = '\n'.join(on.show())
    assert shown.isascii()
    assert '#########- 93.0%' in shown
    assert '...' in shown
    assert on.screen.folded == 0


def test_a_stream_of_another_encoding_gets_ascii_alone(stage):
    assert '\n'.join(stage(encoding='latin-1').show()).isascii()


def test_a_dumb_terminal_gets_a_table_now_and_then_that_is_cut_to_its_width(stage):
    on = stage(environment=UNICODE | {'TERM': 'dumb'})
    first = on.show()
    assert on.show() == first
    on.now += PERIOD
    assert sum(line.startswith('monitor') for line in on.show()) == 2
    assert on.screen.folded == 0


def test_a_file_gets_whole_rows_without_any_escape():
    stream = io.StringIO()
    table = LiveTable(Terminal(stream, UNICODE))
    table.show(HEAD, ROWS)
    table.show(HEAD, ROWS, ['[WARN] the disk is full'])
    written = stream.getvalue()
    assert '\x1b' not in written
    assert ROWS[2].said in written
    assert written.count('monitor') == 1
    assert written.count('[WARN] the disk is full\n') == 1
    assert ', '.join(HEAD) in written.splitlines()[0]
