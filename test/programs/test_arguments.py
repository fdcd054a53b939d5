"""Command lines as their readers type them."""

from argparse import ArgumentTypeError
from contextlib import suppress
from importlib import import_module
import shlex
import sys

import pytest
from tool_recognizer.__main__ import PROGRAMS
from tool_recognizer.programs.arguments import between
from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import starter


class Parsed(Exception):
    """Raised where a program would begin its work."""


def main(program):
    return import_module(f'tool_recognizer.programs.{program}').main


def examples(program, capsys):
    """Return the command lines under the examples of a program's help."""
    with suppress(SystemExit):
        main(program)(['--help'])
    lines = capsys.readouterr().out.partition('examples:\n')[2].splitlines()
    return [line.strip() for line in lines if line.startswith(f'  {starter()} ')]


@pytest.mark.parametrize('program', PROGRAMS)
def test_every_example_of_every_help_is_one_that_its_program_takes(program, capsys, monkeypatch):
    lines = examples(program, capsys)
    assert lines
    parse = Parser.parse_args

    def parse_only(self, arguments):
        parse(self, arguments)
        raise Parsed
    monkeypatch.setattr(Parser, 'parse_args', parse_only)
    for line in lines:
        name, *arguments = shlex.split(line.removeprefix(starter()))
        assert '-m' not in arguments
        with pytest.raises(Parsed):
            main(name)(arguments)


@pytest.mark.parametrize('program', PROGRAMS)
def test_no_option_takes_a_number_that_its_program_cannot_use(program, capsys, monkeypatch):
    parsers = []

    def keep(self, arguments):
        parsers.append(self)
        raise Parsed
    monkeypatch.setattr(Parser, 'parse_args', keep)
    with pytest.raises(Parsed):
        main(program)([])
    for option in parsers[0]._actions:
        assert option.type not in (int, float), f'{option.option_strings} has no range'
        if getattr(option.type, '__module__', '') != Parser.__module__:
            continue
        for text in ('-1e300', 'nan', 'inf', '1e300', '9' * 400, '\u0663', ''):
            with suppress(ArgumentTypeError):
                number = option.type(text)
                assert abs(number) < 1e10, (option.option_strings, text)


@pytest.mark.parametrize('text', ['0', '1', '-1', 'nan', 'inf', ''])
def test_the_ends_of_an_open_range_do_not_belong_to_it(text):
    with pytest.raises(ArgumentTypeError, match='must be a number above 0 and below 1, got'):
        between(0.0, 1.0)(text)
    assert between(0.0)('1e-9') == 1e-9


@pytest.mark.parametrize(('script', 'said'), [
    ('/opt/ws/install/tool_recognizer/lib/tool_recognizer/demo', 'ros2 run tool_recognizer'),
    ('/opt/ws/src/tool_recognizer/__main__.py', 'python3 -m tool_recognizer')])
def test_examples_start_as_the_program_was_started(script, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [script])
    monkeypatch.setattr('shutil.which', lambda name: sys.executable)
    with suppress(SystemExit):
        main('journal')(['--help'])
    assert f'\n  {said} journal stats journal.db\n' in capsys.readouterr().out


def test_a_python_that_is_not_the_usual_one_is_named(monkeypatch):
    monkeypatch.setattr('shutil.which', lambda name: '/usr/bin/python3')
    monkeypatch.setattr(sys, 'executable', '/opt/.venv/bin/python3')
    assert starter() == '/opt/.venv/bin/python3 -m tool_recognizer'


@pytest.mark.parametrize('text', ['-3', 'nan', 'inf', '1e999', 'soon', '', '1.01'])
def test_a_number_out_of_its_range_is_refused_with_the_range(text, capsys):
    parser = Parser('demo', 'a demo', ())
    parser.add_argument('--share', type=in_range(0.0, 1.0))
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([f'--share={text}'])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f'must be a number, 0 .. 1, got {text!r}' in said
    assert said.count('\n') == 1


@pytest.mark.parametrize(('text', 'number'), [('0', 0.0), ('1', 1.0), ('0.25', 0.25)])
def test_both_ends_of_a_range_belong_to_it(text, number):
    assert in_range(0.0, 1.0)(text) == number
