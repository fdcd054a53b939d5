"""Who may log in, and how: a file that keeps its secrets, logins that end, rights by role."""

from concurrent.futures import ThreadPoolExecutor
import json
import os
import sys

import pytest
from tool_recognizer.console.access import Access
from tool_recognizer.console.access import TRIES
from tool_recognizer.console.access import WINDOW
from tool_recognizer.console.logins import Logins
from tool_recognizer.console.logins import MOST
from tool_recognizer.console.logins import MOST_EACH
from tool_recognizer.console.people import changing
from tool_recognizer.console.people import hashed
from tool_recognizer.console.people import People
from tool_recognizer.console.people import PeopleError
from tool_recognizer.console.people import Person
from tool_recognizer.console.people import read_people
from tool_recognizer.console.people import write_people
from tool_recognizer.console.rights import of_message
from tool_recognizer.console.rights import of_path
from tool_recognizer.console.rights import of_view
from tool_recognizer.console.rights import Visitor
from tool_recognizer.programs import console_users

SECRET = 'a password'
HASH = hashed(SECRET)
HOST = {'host': 'plant:8080'}
HOUR = 3600.0


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'people.json'
    write_people(path, {name: Person(name, role, HASH) for name, role in (
        ('anna', 'engineer'), ('Jürgen Größ', 'operator'))})
    return path


def test_a_file_is_read_as_it_was_written_and_is_for_its_owner_alone(file):
    assert read_people(file) == {'anna': Person('anna', 'engineer', HASH),
                                 'Jürgen Größ': Person('Jürgen Größ', 'operator', HASH)}
    assert file.stat().st_mode & 0o777 == 0o600
    assert SECRET not in file.read_text()


def test_who_owns_the_file_owns_it_after_a_change_by_root(file, monkeypatch):
    given, about = [], file.stat()
    monkeypatch.setattr(os, 'fchown', lambda handle, *owner: given.append(owner))
    with changing(file) as people:
        del people['anna']
    assert given == [(about.st_uid, about.st_gid)]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize('mode', [0o640, 0o604, 0o620, 0o606])
def test_a_file_that_others_may_read_or_change_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(PeopleError, match='chmod 600'):
        read_people(file)


@pytest.mark.parametrize(('content', 'words'), [
    ('', 'no JSON'), ('[]', 'NAME'), ('{"people": []}', 'NAME'), ('[' * 9000, 'no JSON'),
    ('{"people": {"a": {"role": "king", "password": "HASH"}}}', "role.*'king'"),
    ('{"people": {"a": {"role": "operator", "password": "secret"}}}', 'argon2'),
    ('{"people": {"a": {"role": "operator"}}}', 'argon2'),
    ('{"people": {"a": null}}', 'argon2'),
    ('{"people": {" a": {"role": "operator", "password": "HASH"}}}', 'spaces'),
    ('{"people": {"a\\u202e": {"role": "operator", "password": "HASH"}}}', 'visible'),
    ('{"people": {"a": {"role": "operator", "password": "DEAR"}}}', 'more than a login'),
    (b'\xff\xfe\xff', 'cannot be read')])
def test_a_file_that_makes_no_sense_is_refused_with_the_reason(file, content, words):
    if isinstance(content, str):
        content = content.replace('HASH', HASH).replace(
            'DEAR', HASH.replace('m=65536', 'm=99999999')).encode()
    file.write_bytes(content)
    with pytest.raises(PeopleError, match=words):
        read_people(file)


def test_two_who_change_the_file_at_once_lose_nothing(file):
    def add(number):
        with changing(file) as people:
            people[f'p{number}'] = Person(f'p{number}', 'operator', HASH)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert len(read_people(file)) == 42


def test_a_change_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(file):
    before = file.read_text()

    def fail():
        with changing(file) as people:
            people.clear()
            raise RuntimeError
    with pytest.raises(RuntimeError):
        fail()
    assert file.read_text() == before
    assert os.listdir(file.parent) == [file.name]


def test_only_the_right_password_of_a_known_name_logs_in(file):
    logins = Logins(People(file), HOUR)
    for name, password in (('anna', 'another one'), ('anna', ''), ('nobody', SECRET), ('', SECRET),
                           ('Anna', SECRET), ('nobody', 'nobody has this password')):
        assert logins.begin(name, password, 0.0) is None
    visitor, kept = logins.begin(' anna ', SECRET, 0.0)
    assert (visitor.name, visitor.role) == ('anna', 'engineer')
    assert logins.find(kept, 1.0) == visitor
    assert kept not in (visitor.login, SECRET)


def test_a_login_ends_after_its_time_by_signing_out_and_when_its_person_changes(file):
    logins = Logins(People(file), HOUR)
    _, kept = logins.begin('anna', SECRET, 0.0)
    assert logins.find(kept, HOUR - 1.0)
    assert logins.find(kept, HOUR) is None
    now = 2.0 * HOUR
    visitor, kept = logins.begin('anna', SECRET, now)
    logins.end(visitor.login)
    assert logins.find(kept, now) is None
    _, of_anna = logins.begin('anna', SECRET, now)
    _, of_another = logins.begin('Jürgen Größ', SECRET, now)
    with changing(file) as people:
        people['anna'] = people['anna']._replace(role='operator')
    assert logins.find(of_anna, now + 10.0) is None
    assert logins.find(of_another, now + 10.0)
    with changing(file) as people:
        del people['Jürgen Größ']
    assert logins.find(of_another, now + 20.0) is None
    assert logins.names(now + 20.0) == []


def test_a_changed_file_that_cannot_be_used_is_told_of_and_leaves_those_who_were_in_it(file):
    told = []
    people = People(file, told.append)
    file.chmod(0o644)
    assert people.find('anna', 100.0)
    assert people.find('anna', 200.0)
    assert len(told) == 1
    assert 'chmod 600' in told[0]
    file.chmod(0o600)
    with changing(file) as known:
        del known['anna']
    assert people.find('anna', 300.0) is None


def test_a_file_in_which_nobody_is_keeps_the_console_from_starting(file):
    write_people(file, {})
    with pytest.raises(PeopleError, match='nobody is in it'):
        People(file)


def test_of_very_many_logins_the_oldest_of_that_person_ends_and_nobody_elses(file, monkeypatch):
    with changing(file) as known:
        known['zoe'] = Person('zoe', 'admin', HASH)
    people = People(file)
    monkeypatch.setattr(people, 'check', lambda name, *rest: people.find(name, 0.0))
    logins = Logins(people, HOUR)
    admin = logins.begin('zoe', SECRET, 0.0)[1]
    kept = [logins.begin('anna', SECRET, 0.0)[1] for _ in range(MOST + 1)]
    assert logins.find(admin, 1.0).name == 'zoe'
    assert [bool(logins.find(one, 1.0)) for one in kept] == [
        *[False] * (MOST + 1 - MOST_EACH), *[True] * MOST_EACH]


def test_an_unknown_name_takes_a_hash_too(file, monkeypatch):
    people, verified = People(file), []

    class Hasher:

        def verify(self, known, password):
            verified.append(known)
            raise ValueError
    monkeypatch.setattr('tool_recognizer.console.people._hasher', Hasher)
    for name in ('anna', 'nobody'):
        assert people.check(name, SECRET, 0.0) is None
    assert verified[0] == HASH
    assert verified[1].split('$')[:4] == HASH.split('$')[:4]


@pytest.fixture
def access(file):
    return Access('0.0.0.0', 'a-token-that-is-long-enough', logins=Logins(People(file), HOUR))


def test_where_people_log_in_the_token_is_for_programs_alone(access):
    bearer = {'authorization': 'Bearer a-token-that-is-long-enough', **HOST}
    visitor = access.admits(bearer, {}, 'a', 0.0)
    assert visitor.may(of_path('/metrics'))
    assert not visitor.may(of_path('/'))
    assert access.enters({'token': 'a-token-that-is-long-enough'}, 'a', 0.0) is None
    assert access.admits(HOST, {access.cookie_name(HOST): access.cookie}, 'a', 0.0) is None


def test_a_login_opens_with_its_cookie_on_its_own_port_alone(access):
    entry = access.enters({'name': 'anna', 'password': SECRET}, 'a', 0.0)
    cookies = {access.cookie_name(HOST): entry.cookie}
    assert access.admits(HOST, cookies, 'a', 1.0).name == 'anna'
    assert access.admits({'host': 'plant:8081'}, cookies, 'a', 1.0) is None


@pytest.mark.parametrize(('vary', 'fixed'), [('address', 'name'), ('name', 'address')])
def test_tries_are_limited_per_address_and_per_name_even_with_the_right_password(
        access, monkeypatch, vary, fixed):
    """Each is limited whatever the other one is; what is right is not counted."""
    monkeypatch.setattr(access.logins._people, 'check', lambda name, password, now: (
        access.logins._people.find(name, now) if password == SECRET else None))

    def enter(number, password, now):
        who = {'address': 'a', 'name': 'anna'} | ({} if number is None else {
            vary: f'{vary} {number}'})
        return access.enters({'name': who['name'], 'password': password}, who['address'], now)
    for _ in range(2 * TRIES):
        assert enter(None, SECRET, 0.0)
    for number in range(TRIES):
        assert enter(number, 'wrong', 0.0) is None
    assert enter(None, SECRET, 1.0) is None
    assert enter(None, SECRET, WINDOW + 0.1)


def test_with_people_no_token_is_needed_but_tls_is(file):
    logins = Logins(People(file), HOUR)
    Access('0.0.0.0', '', True, logins)
    with pytest.raises(ValueError, match='TLS'):
        Access('0.0.0.0', '', False, logins)
    assert not Access('127.0.0.1', '', True, logins).is_open


@pytest.mark.parametrize(('role', 'path', 'allowed'), [
    ('operator', '/', True), ('operator', '/picture', True), ('operator', '/static/x.js', True),
    ('operator', '/engineer', False), ('operator', '/who', False), ('operator', '/deeds', False),
    ('operator', '/teach', False), ('operator', '/teach/collect', False),
    ('engineer', '/teach/charge', True),
    ('operator', '/end', False), ('engineer', '/end', False), ('admin', '/end', True),
    ('engineer', '/who', True), ('operator', '/forgotten', False), ('program', '/', False)])
def test_what_is_not_an_operators_needs_an_engineer(role, path, allowed):
    assert Visitor('x', role).may(of_path(path)) == allowed


def test_what_is_forgotten_needs_an_engineer():
    assert {of_message('action'), of_message('new'), of_view('new')} == {'engineer'}
    assert {of_message('answer'), of_message('undo'), of_view('operator')} == {'operator'}


def run(monkeypatch, *arguments, password=''):
    class Stdin:

        def isatty(self):
            return False

        def readline(self):
            return password + '\n'
    monkeypatch.setattr(sys, 'stdin', Stdin())
    return console_users.main(list(arguments))


def test_people_are_added_listed_replaced_and_removed(monkeypatch, tmp_path, capsys):
    path = tmp_path / 'new.json'
    file = '--file', str(path)
    assert run(monkeypatch, 'add', 'anna', *file, password=SECRET) == 0
    assert run(monkeypatch, 'add', 'bo', '--role', 'admin', *file, password=SECRET) == 0
    assert run(monkeypatch, 'list', *file) == 0
    assert capsys.readouterr().out == 'operator  anna\nadmin     bo\n'
    assert run(monkeypatch, 'add', 'anna', *file, password=SECRET) == 2
    assert '--replace' in capsys.readouterr().err
    assert run(monkeypatch, 'add', 'Anna', *file, password=SECRET) == 2
    assert run(monkeypatch, 'add', 'anna', '--role', 'engineer', '--replace', *file,
               password='another password') == 0
    assert read_people(path)['anna'].role == 'engineer'
    assert Logins(People(path), HOUR).begin('anna', 'another password', 0.0)
    assert run(monkeypatch, 'remove', 'anna', *file) == 0
    assert run(monkeypatch, 'remove', 'anna', *file) == 2
    assert set(json.loads(path.read_text())['people']) == {'bo'}


@pytest.mark.parametrize(('arguments', 'password', 'words'), [
    (('add', 'anna'), 'short', '8 to 256 characters'), (('add', ''), SECRET, 'a name has'),
    (('add', 'anna'), 'a password \udcff', 'UTF-8'),
    (('add', 'a\u202eb'), SECRET, 'visible'), (('list',), '', 'makes it')])
def test_what_cannot_be_used_is_refused_in_one_line(
        monkeypatch, tmp_path, capsys, arguments, password, words):
    assert run(monkeypatch, *arguments, '--file', str(tmp_path / 'x.json'),
               password=password) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count('\n') == 1


def test_who_gives_no_password_at_the_terminal_is_told_so(monkeypatch, tmp_path, capsys):
    def ctrl_d(prompt):
        raise EOFError
    monkeypatch.setattr(console_users, 'getpass', ctrl_d)
    monkeypatch.setattr(sys, 'stdin', type('Terminal', (), {'isatty': lambda self: True})())
    assert console_users.main(['add', 'anna', '--file', str(tmp_path / 'x.json')]) == 2
    assert capsys.readouterr().err == 'console users: no password was given\n'
