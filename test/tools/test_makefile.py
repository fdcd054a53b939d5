"""The variables of make's command line."""

import os
from pathlib import Path
import re
import shutil
import subprocess

import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.skipif(shutil.which('make') is None, reason='make is not installed')


def make(*arguments):
    # This may run under make itself, whose variables are not this one's.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES')}
    return subprocess.run(['make', '-n', *arguments], cwd=ROOT, env=environment,
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize(('slip', 'meant'), [
    ('CAMRA', 'CAMERA'), ('camera', 'CAMERA'), ('SECOND', 'SECONDS'), ('HEADLES', 'HEADLESS'),
    ('ARG', 'ARGS'), ('DRIFTS', 'DRIFT')])
def test_a_misspelt_variable_is_reported_with_the_nearest_name(slip, meant):
    made = make('demo', f'{slip}=1')
    assert made.returncode == 2
    assert f'{slip} is no variable of this Makefile; did you mean {meant}?' in made.stderr
    assert made.stderr.count('\n') == 1
    assert not made.stdout


def test_any_other_variable_is_said_to_go_to_the_environment_only():
    made = make('demo', 'PIP_INDEX_URL=http://a b', 'CONFIRM=0.5')
    assert made.returncode == 0
    line = made.stdout.splitlines()[0]
    assert 'only in the environment' in line
    assert 'PIP_INDEX_URL' in line
    assert 'CONFIRM' in line


def test_the_variables_of_the_help_are_known_and_reach_the_demo():
    names = re.findall(r'^ +([A-Z]+)=', subprocess.run(
        ['make', 'help'], cwd=ROOT, capture_output=True, text=True, check=False).stdout, re.M)
    assert {'CAMERA', 'SECONDS', 'DRIFT', 'ARGS'} <= set(names)
    made = make('demo', *(f'{name}=7' for name in names))
    assert made.returncode == 0, made.stderr
    for option in ('--camera', '--seconds', '--drift', '--record', '--console'):
        assert f"{option} '7'" in made.stdout
    assert '--headless' in made.stdout


def test_the_length_of_a_soak_is_given_in_hours_or_seconds():
    for name, option in (('HOURS', '--hours'), ('SECONDS', '--seconds')):
        made = make('soak', f'{name}=0.5')
        assert made.returncode == 0, made.stderr
        assert f"{option} '0.5'" in made.stdout
