"""The set-up on machines where it cannot work, or where it has been stopped half-way."""
import importlib.util
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def setup_venv(monkeypatch, tmp_path):
    """Return the module, with an empty folder in the place of .venv."""
    spec = importlib.util.spec_from_file_location('setup_venv', ROOT / 'tools' / 'setup_venv.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ('NEWEST', 'NOBLE'):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, module.Environment(
            tmp_path / real.path.name, ROOT / 'requirements' / 'pins-3.12.txt', real.supported))
    # A fixed machine, whatever runs the tests.
    monkeypatch.setattr(module, 'VERSION', '3.12')
    monkeypatch.setattr(module.sys, 'platform', 'linux')
    monkeypatch.setattr(module.platform, 'machine', lambda: 'x86_64')
    monkeypatch.setattr(module.platform, 'python_implementation', lambda: 'CPython')
    monkeypatch.setattr(module.platform, 'libc_ver', lambda: ('glibc', '2.39'))
    monkeypatch.setattr(module, 'HEADERS', tmp_path)
    (tmp_path / 'Python.h').touch()
    return module


def fails(setup_venv, capsys, name='NEWEST'):
    """Run the set-up, which must fail with one line, and return that line."""
    venv = getattr(setup_venv, name)
    assert setup_venv.main(venv) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert not venv.stamp.exists()
    return line


def test_on_arm_it_names_the_distribution_of_ros(setup_venv, monkeypatch, capsys):
    monkeypatch.setattr(setup_venv.platform, 'machine', lambda: 'aarch64')
    line = fails(setup_venv, capsys)
    assert 'aarch64' in line
    assert "the distribution's ROS 2 Jazzy" in line


@pytest.mark.parametrize('version', ['3.9', '3.15'])
def test_an_unsupported_python_is_refused_with_the_supported_ones(
        setup_venv, monkeypatch, capsys, version):
    monkeypatch.setattr(setup_venv, 'VERSION', version)
    line = fails(setup_venv, capsys)
    assert '3.10 to 3.13' in line
    assert '`make PYTHON=' in line


def test_the_versions_of_ubuntu_have_pythons_of_their_own(setup_venv, monkeypatch, capsys):
    monkeypatch.setattr(setup_venv, 'VERSION', '3.13')
    line = fails(setup_venv, capsys, 'NOBLE')
    assert '.venv-noble is made with CPython 3.11 to 3.12' in line
    assert '`make NOBLE_PYTHON=' in line


def test_another_c_library_is_refused(setup_venv, monkeypatch, capsys):
    monkeypatch.setattr(setup_venv.platform, 'libc_ver', lambda: ('', ''))
    assert 'glibc 2.28' in fails(setup_venv, capsys)


@pytest.mark.parametrize('missing', ['C', 'C++'])
def test_without_a_compiler_it_says_what_to_install(setup_venv, monkeypatch, capsys, missing):
    monkeypatch.delenv('CC', raising=False)
    monkeypatch.delenv('CXX', raising=False)
    present = {'C': {'c++'}, 'C++': {'cc'}}[missing]
    monkeypatch.setattr(setup_venv.shutil, 'which', lambda name: name in present or None)
    line = fails(setup_venv, capsys)
    assert f'no {missing} compiler' in line
    assert 'apt install' in line


def test_without_pythons_headers_it_says_what_to_install(setup_venv, capsys):
    (setup_venv.HEADERS / 'Python.h').unlink()
    assert 'apt install python3.12-dev' in fails(setup_venv, capsys)


def test_only_a_stamp_that_names_the_same_parts_makes_it_whole(setup_venv):
    venv = setup_venv.NEWEST
    venv.python.parent.mkdir(parents=True)
    venv.python.touch()
    assert not setup_venv.is_made_of(venv, 'these parts'), 'stopped half-way'
    venv.stamp.write_text('these parts\n')
    assert setup_venv.is_made_of(venv, 'these parts')
    assert not setup_venv.is_made_of(venv, 'other parts')


def test_other_wheels_interfaces_or_place_are_other_parts(setup_venv, monkeypatch, tmp_path):
    venv = setup_venv.NEWEST
    before = setup_venv.identity(venv)
    assert setup_venv.identity(venv) == before
    pins = tmp_path / 'pins.txt'
    pins.write_text('numpy==1.0\n')
    for name, value in (('pins', pins), ('path', tmp_path / 'moved')):
        with monkeypatch.context() as changed:
            changed.setattr(venv, name, value)
            assert setup_venv.identity(venv) != before, name
    monkeypatch.setattr(setup_venv, 'INTERFACES', tmp_path)
    assert setup_venv.identity(venv) != before


def names(*files):
    """Read which packages requirement files name, as the index spells them: {name: rest}."""
    return {found.group(1).lower().replace('_', '-'): found.group(2)
            for file in files for line in (ROOT / 'requirements' / file).read_text().splitlines()
            if (found := re.match(r'([\w.-]+)(.*)', line))}


# What only `make lint` and `make test` use, which run with the newest versions.
ONLY_NEWEST = {'mypy', 'pytest-xdist', 'ruff', 'types-pyyaml'}


@pytest.mark.parametrize(('file', 'not_needed'), [
    ('pins-3.10.txt', set()), ('pins-3.11.txt', set()), ('pins-3.12.txt', set()),
    ('pins-3.13.txt', set()), ('noble.txt', ONLY_NEWEST)])
def test_every_required_package_is_pinned_to_one_version(file, not_needed):
    pinned = names(file)
    for name, version in pinned.items():
        assert re.fullmatch(r"==[\w.+!]+(; python_version (<|>=) '3\.\d+')?", version), name
    assert names('run.txt', 'build.txt', 'test.txt').keys() - not_needed <= pinned.keys()
