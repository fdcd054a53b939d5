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
    venv = tmp_path / '.venv'
    for name, path in (('VENV', venv), ('PYTHON', venv / 'bin' / 'python3'),
                       ('STAMP', venv / 'made-of'), ('LOG', venv / 'setup.log')):
        monkeypatch.setattr(module, name, path)
    # A fixed machine, whatever runs the tests.
    monkeypatch.setattr(module, 'VERSION', '3.12')
    monkeypatch.setattr(module, 'PINS', ROOT / 'requirements' / 'pins-3.12.txt')
    monkeypatch.setattr(module.sys, 'platform', 'linux')
    monkeypatch.setattr(module.platform, 'machine', lambda: 'x86_64')
    monkeypatch.setattr(module.platform, 'python_implementation', lambda: 'CPython')
    monkeypatch.setattr(module.platform, 'libc_ver', lambda: ('glibc', '2.39'))
    monkeypatch.setattr(module, 'HEADERS', tmp_path)
    (tmp_path / 'Python.h').touch()
    return module


def fails(setup_venv, capsys):
    """Run the set-up, which must fail with one line, and return that line."""
    assert setup_venv.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert not setup_venv.STAMP.exists()
    return line


def test_on_arm_it_names_the_distribution_of_ros(setup_venv, monkeypatch, capsys):
    monkeypatch.setattr(setup_venv.platform, 'machine', lambda: 'aarch64')
    line = fails(setup_venv, capsys)
    assert 'aarch64' in line
    assert "the distribution's ROS 2 Jazzy" in line


@pytest.mark.parametrize('version', ['3.9', '3.15'])
def test_an_unsupported_python_is_told_which_are_supported(
        setup_venv, monkeypatch, capsys, version):
    monkeypatch.setattr(setup_venv, 'VERSION', version)
    assert '3.10 to 3.13' in fails(setup_venv, capsys)


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
    setup_venv.PYTHON.parent.mkdir(parents=True)
    setup_venv.PYTHON.touch()
    assert not setup_venv.is_made_of('these parts'), 'stopped half-way'
    setup_venv.STAMP.write_text('these parts\n')
    assert setup_venv.is_made_of('these parts')
    assert not setup_venv.is_made_of('other parts')


def test_other_wheels_interfaces_or_place_are_other_parts(setup_venv, monkeypatch, tmp_path):
    before = setup_venv.identity()
    assert setup_venv.identity() == before
    pins = tmp_path / 'pins.txt'
    pins.write_text('numpy==1.0\n')
    for name, value in (('PINS', pins), ('INTERFACES', tmp_path), ('VENV', tmp_path / 'moved')):
        with monkeypatch.context() as changed:
            changed.setattr(setup_venv, name, value)
            assert setup_venv.identity() != before, name


@pytest.mark.parametrize('version', ['3.10', '3.11', '3.12', '3.13'])
def test_every_required_package_is_pinned_to_one_version(version):
    lines = (ROOT / 'requirements' / f'pins-{version}.txt').read_text().splitlines()
    pinned = {}
    for line in lines:
        if not line.startswith('#'):
            name, chosen = re.fullmatch(r'([\w.-]+)==([\w.+!]+)', line).groups()
            pinned[name.lower().replace('_', '-')] = chosen
    required = {
        re.match(r'[\w-]+', line).group()
        for name in ('run', 'build', 'test')
        for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
        if line and not line.startswith('#')}
    assert required <= pinned.keys()
