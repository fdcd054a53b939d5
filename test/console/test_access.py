"""Who may in: on a loopback address its own names, elsewhere the token, never a foreign page."""

import pytest
from tool_recognizer.console.access import Access
from tool_recognizer.console.access import COOKIE
from tool_recognizer.console.access import Rate
from tool_recognizer.console.access import read_token
from tool_recognizer.console.access import TRIES
from tool_recognizer.console.access import WINDOW

TOKEN = 'a-token-that-is-long-enough'


@pytest.mark.parametrize('host', ['127.0.0.1', '127.0.0.1:8080', 'localhost:8080', '[::1]:8080'])
def test_a_loopback_console_knows_its_own_names(host):
    assert Access('127.0.0.1', '').knows_host(host)


@pytest.mark.parametrize('host', ['', 'evil.example', '127.0.0.1.evil.example', '[', 'localhost.'])
def test_a_loopback_console_knows_no_other_name(host):
    assert not Access('127.0.0.1', '').knows_host(host)


@pytest.mark.parametrize('host', ['0.0.0.0', '192.0.2.7', '::', 'plant.example'])
def test_an_address_that_others_can_reach_needs_a_token(host):
    with pytest.raises(ValueError, match=r'console\.token_file'):
        Access(host, '')
    Access(host, TOKEN, encrypted=True)
    with pytest.raises(ValueError, match=r'console\.plain_http'):
        Access(host, TOKEN, encrypted=False)


@pytest.mark.parametrize(('origin', 'same'), [
    (None, True), ('http://[', False), ('http://plant:8080', True), ('https://PLANT:8080', True),
    ('http://plant', False), ('http://evil.example', False), ('null', False), ('', False),
    ('http://plant:8080.evil.example', False)])
def test_only_the_consoles_own_pages_may_change_something(origin, same):
    headers = {'host': 'plant:8080'} | ({} if origin is None else {'origin': origin})
    assert Access('0.0.0.0', TOKEN).same_origin(headers) == same


def test_the_token_opens_as_bearer_and_its_cookie_opens_too_and_nothing_else_does():
    access = Access('0.0.0.0', TOKEN)
    assert access.admits({'authorization': f'Bearer {TOKEN}'}, {}, 'a', 0.0)
    assert access.admits({}, {COOKIE: access.cookie}, 'a', 0.0)
    assert TOKEN not in access.cookie
    for headers, cookies in (({}, {}), ({'authorization': TOKEN}, {}), ({}, {COOKIE: TOKEN}),
                             ({'authorization': 'Bearer '}, {}), ({}, {COOKIE: ''}),
                             ({'authorization': 'Bearer gr\xfc\xdfe'}, {})):
        assert not access.admits(headers, cookies, 'b', 0.0)


def test_who_tries_too_many_tokens_waits_even_with_the_right_one():
    access = Access('0.0.0.0', TOKEN)
    for _ in range(TRIES):
        assert not access.accepts('wrong', 'attacker', 0.0)
    assert not access.accepts(TOKEN, 'attacker', 1.0)
    assert access.accepts(TOKEN, 'another', 1.0)
    assert access.accepts(TOKEN, 'attacker', WINDOW + 0.1)


@pytest.mark.parametrize('content', ['', 'short\n', 'with a tab\tand long enough\n',
                                     'grüße-und-lang-genug-ist-es\n'])
def test_a_token_that_keeps_nobody_out_is_refused(tmp_path, content):
    (tmp_path / 'token').touch(0o600)
    (tmp_path / 'token').write_text(content, encoding='utf-8')
    with pytest.raises(ValueError, match='token'):
        read_token(str(tmp_path / 'token'))


def test_a_token_is_the_first_line_of_its_file(tmp_path):
    (tmp_path / 'token').write_text(f' {TOKEN} \nfor the press hall\n')
    assert read_token(str(tmp_path / 'token')) == TOKEN
    with pytest.raises(ValueError, match='No such file'):
        read_token(str(tmp_path / 'none'))


def test_a_client_may_speak_fast_for_a_moment_and_steadily_for_ever():
    rate = Rate(per_second=10.0, burst=5.0)
    assert [rate.allows(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert all(rate.allows(101.0 + n / 10.0) for n in range(100))
