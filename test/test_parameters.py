"""The parameters' table, and the file that shows it to the integrator."""

from pathlib import Path

import pytest
from tool_recognizer.parameters import BY_NAME
from tool_recognizer.parameters import PARAMETERS
import yaml

CONFIG = Path(__file__).parent.parent / 'config' / 'recognizer.yaml'


def flat(tree, prefix=''):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value


def test_the_file_shows_every_parameter_at_its_default_in_order():
    shown = list(flat(yaml.safe_load(CONFIG.read_text())['/**']['ros__parameters']))
    assert shown == [(p.name, p.default) for p in PARAMETERS]
    assert [type(value) for _, value in shown] == [type(p.default) for p in PARAMETERS]


@pytest.mark.parametrize('parameter', PARAMETERS, ids=lambda p: p.name)
def test_every_default_is_allowed(parameter):
    assert parameter.check(parameter.default) == ''


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('decision.deadline', 0.0, 'decision.deadline must be in 0.01 .. 60, got 0.0'),
    ('decision.min_probability', float('nan'), 'must be finite'),
    ('monitor.window', 1, 'must be in 2'),
    ('image_transport', 'zip', "must be one of ['raw', 'compressed'], got 'zip'")])
def test_a_refusal_says_what_is_allowed(name, value, words):
    assert words in BY_NAME[name].check(value)
