"""``console users``: who may log in to the console, added, removed and listed in its file."""

import argparse
from getpass import getpass
from pathlib import Path
import sys

from tool_recognizer.console.people import changing
from tool_recognizer.console.people import check_name
from tool_recognizer.console.people import hashed
from tool_recognizer.console.people import HUMAN
from tool_recognizer.console.people import PeopleError
from tool_recognizer.console.people import Person
from tool_recognizer.console.people import read_people
from tool_recognizer.core.text import quoted
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program

SUMMARY = 'who may log in to the console: add, remove or list people in a file'


def main(argv: list[str] | None = None) -> int:
    """
    Run the command.

    Parameters
    ----------
    argv : the arguments after ``console users``

    Returns
    -------
    0 done; 2 unusable input

    """
    parser = Parser('console users', SUMMARY, (
        'console users add anna --role engineer --file people.json',
        'console users list --file people.json',
        'console users remove anna --file people.json', '',
        'The password is asked for twice; without a terminal it is the first line of stdin.',
        'An operator confirms; an engineer also resets, reloads, promotes, and sees who did what;',
        'an admin also ends the logins of others. A console with console.users_file:=people.json',
        'notices a change within a second.'))
    parser.add_argument('action', choices=('add', 'list', 'remove'))
    parser.add_argument('name', nargs='?', default='', help='whom to add or remove')
    parser.add_argument('--role', choices=HUMAN, default=HUMAN[0],
                        help='add: what the person may do (default: %(default)s)')
    parser.add_argument('--replace', action='store_true',
                        help='add: a new password and role for somebody who is in the file')
    parser.add_argument('--file', type=Path, required=True, help='the file of people')
    return run_program(_users, parser, (PeopleError, ), argv)


def _users(arguments: argparse.Namespace) -> int:
    if arguments.action == 'list':
        for person in sorted(read_people(arguments.file).values()):
            print(f'{person.role:<10}{person.name}')
        return 0
    name = check_name(arguments.name)
    if arguments.action == 'remove':
        with changing(arguments.file) as people:
            if people.pop(name, None) is None:
                raise PeopleError(f'{arguments.file}: {quoted(name)} is not in it')
        return 0
    known = read_people(arguments.file) if arguments.file.expanduser().exists() else {}
    _check_new(name, known, arguments)
    person = Person(name, arguments.role, hashed(_password()))
    with changing(arguments.file) as people:
        _check_new(name, people, arguments)
        people[name] = person
    return 0


def _check_new(name: str, people: dict[str, Person], arguments: argparse.Namespace) -> None:
    alike = next((other for other in people if other.casefold() == name.casefold()), None)
    if alike is not None and not (arguments.replace and alike == name):
        raise PeopleError(f'{arguments.file}: {quoted(alike)} is in it already'
                          + (': --replace gives a new password and role' if alike == name else
                             '; a name that differs in small and large letters alone would be '
                             'taken for it'))


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip('\r\n')
    try:
        password = getpass('password: ')
        if getpass('once more: ') != password:
            raise PeopleError('the two passwords differ')
    except EOFError:
        raise PeopleError('no password was given') from None
    return password
