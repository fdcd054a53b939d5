"""What is written as CSV runs nothing where it is opened, and its numbers stay numbers."""

import csv

import pytest
from tool_recognizer.csv_file import CsvWriter


@pytest.mark.parametrize('text', [
    '=HYPERLINK("http://evil.example";"open")', '+1+1', '-1+cmd', '@SUM(A1)', '\t=1', '\r=1',
    '\n=1', '\uff1d1+1', '=1', '-', '+kim'])
def test_text_that_a_spreadsheet_would_run_is_written_as_text(tmp_path, text):
    with (tmp_path / 'table.csv').open('w', newline='') as file:
        CsvWriter(file).write(text, 'kim')
    with (tmp_path / 'table.csv').open(newline='') as file:
        assert next(csv.reader(file)) == [f"'{text}", 'kim']


@pytest.mark.parametrize('value', [-0.5, 17, '-0.5', '+3', '-1e-05', '-inf', 'wrench', '', None])
def test_numbers_and_other_text_are_written_as_they_are(tmp_path, value):
    with (tmp_path / 'table.csv').open('w', newline='') as file:
        CsvWriter(file).write(value, 1)
    with (tmp_path / 'table.csv').open(newline='') as file:
        assert next(csv.reader(file)) == ['' if value is None else str(value), '1']
