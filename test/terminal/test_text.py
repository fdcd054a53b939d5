"""Text by its columns."""

import doctest
import math

import pytest
from tool_recognizer.terminal import text


def test_the_examples_in_the_docstrings_run():
    assert doctest.testmod(text, extraglobs={'bar': text.bar, 'cut': text.cut}).failed == 0


@pytest.mark.parametrize(('said', 'columns'), [
    ('hammer', 6), ('扳手', 4), ('e\u0301', 1), ('ﾊﾝﾏｰ', 4), ('', 0), ('🔧', 2)])
def test_a_text_is_as_wide_as_a_terminal_shows_it(said, columns):
    assert text.width(said) == columns


@pytest.mark.parametrize('columns', range(12))
@pytest.mark.parametrize('said', ['screwdriver', 'a扳b手c扳手', '扳手扳手扳手'])
def test_what_is_cut_never_takes_more_columns_and_keeps_as_much_as_fits(said, columns):
    kept = text.cut(said, columns)
    assert text.width(kept) <= columns
    assert kept == said or columns - text.width(kept) <= 1


def test_what_would_move_the_cursor_is_shown_as_a_question_mark():
    assert text.visible('a\nb\x1b[2Jc\x9bd\u2028e') == 'a?b?[2Jc?d?e'


@pytest.mark.parametrize(('share', 'full'), [(0, 0), (1, 10), (7, 10), (-1, 0), (math.inf, 10),
                                             (0.5, 5), (math.nan, 0)])
def test_a_bar_has_its_length_whatever_the_share_is(share, full):
    assert text.bar(share, 10, '#', '-') == '#' * full + '-' * (10 - full)
