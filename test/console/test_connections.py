"""Limits on connections: what counts as one address, and what a process may open at all."""

import resource

import pytest
from tool_recognizer.console.connections import Limits
from tool_recognizer.console.connections import network
from tool_recognizer.console.connections import within_ulimit


@pytest.mark.parametrize(('one', 'other', 'same'), [
    ('192.0.2.1', '192.0.2.1', True), ('192.0.2.1', '192.0.2.2', False),
    ('192.0.2.1', '::ffff:192.0.2.1', True), ('2001:db8::1', '2001:db8::ffff:1', True),
    ('2001:db8::1', '2001:db8:0:1::1', False), ('fe80::1%eth0', 'fe80::2%eth0', True)])
def test_one_address_is_what_one_network_hands_out_freely(one, other, same):
    assert (network(one) == network(other)) == same


@pytest.mark.parametrize(('files', 'in_all'), [
    (1024, 512), (500, 308), (resource.RLIM_INFINITY, 512)])
def test_the_process_keeps_files_for_all_else(monkeypatch, files, in_all):
    monkeypatch.setattr(resource, 'getrlimit', lambda which: (files, files))
    assert within_ulimit(Limits(512, 64), 80) == (in_all, 64)


def test_too_few_files_are_refused_with_the_number_that_is_needed(monkeypatch):
    monkeypatch.setattr(resource, 'getrlimit', lambda which: (200, 200))
    with pytest.raises(ValueError, match='may open only 200 files, it needs 272'):
        within_ulimit(Limits(512, 64), 80)
