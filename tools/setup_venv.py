"""
Make .venv, whole: ROS 2 Jazzy and all else that the project needs, without an installed ROS.

The wheels are those of requirements/pins-X.Y.txt. vision_msgs is not among them, so it is built
from interfaces/. The project itself is put on the path, so that an edit is seen at once.

A stamp is written last and names all that .venv was made of. With the right stamp there is nothing
to do; with another or none, .venv is made anew, so one left half made is never used. This file is
also read by Pythons that are too old, which is why it keeps to an old syntax.
"""
import fcntl
import hashlib
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python3'
STAMP = VENV / 'made-of'
LOG = VENV / 'setup.log'
INTERFACES = ROOT / 'interfaces' / 'vision_msgs'
SUPPORTED = ('3.10', '3.11', '3.12', '3.13')
VERSION = '{}.{}'.format(*sys.version_info[:2])
PINS = ROOT / 'requirements' / 'pins-{}.txt'.format(VERSION)
# The interpreter behind the one that runs this, which may be .venv's own.
BASE_PYTHON = getattr(sys, '_base_executable', None) or sys.executable
HEADERS = pathlib.Path(sysconfig.get_config_var('INCLUDEPY') or '')

# Settings of the caller that would send pip or CMake elsewhere than to .venv.
FOREIGN = re.compile(
    r'PYTHON(PATH|HOME)|PIP_(USER|TARGET|PREFIX|ROOT|REQUIREMENT|CONSTRAINT|NO_DEPS|PYTHON)'
    r'|(AMENT|CMAKE|COLCON)_PREFIX_PATH|_ROS_WHEELS_BOOTSTRAP_COMPLETE')
NO_NETWORK = re.compile(
    r'name resolution|NewConnectionError|ConnectTimeout|Read timed out|ProxyError|unreachable')


class SetupError(Exception):
    """What is missing and how to mend it, in one line."""


def main():
    """Make .venv if it is not there or not up to date; return the exit status."""
    try:
        check_machine()
        made_of = identity()
        if is_made_of(made_of):
            return 0
        # Children inherit the lock: what a killed set-up left running ends before the next begins.
        with open(str(VENV) + '.lock', 'w', encoding='utf-8') as lock:
            take(lock)
            if not is_made_of(made_of):
                make(made_of, lock.fileno())
    except SetupError as error:
        print('error: {}'.format(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nstopped; the next run makes .venv anew', file=sys.stderr)
        return 130
    return 0


def check_machine():
    """Raise SetupError where the wheels cannot work or the interfaces cannot be built."""
    if sys.platform != 'linux' or platform.machine() != 'x86_64':
        raise SetupError(
            'there are ROS 2 wheels for Linux on x86-64 only, and this is {} on {}: use the '
            "distribution's ROS 2 Jazzy and colcon (see README.md)".format(
                platform.system(), platform.machine()))
    if VERSION not in SUPPORTED or platform.python_implementation() != 'CPython':
        raise SetupError(
            'CPython {} to {} is supported, and {} is {} {}: name another, for example '
            '`make PYTHON=python3.12 ...`'.format(
                SUPPORTED[0], SUPPORTED[-1], BASE_PYTHON, platform.python_implementation(),
                platform.python_version()))
    libc, release = platform.libc_ver()
    if libc != 'glibc' or [int(part) for part in release.split('.')[:2]] < [2, 28]:
        raise SetupError(
            'the ROS 2 wheels need glibc 2.28 or newer, and this machine has {}'.format(
                ' '.join((libc, release)).strip() or 'another C library'))


def check_tools():
    """Raise SetupError when something that only making .venv needs is missing."""
    for variable, names in (('CC', ('cc', 'gcc', 'clang')), ('CXX', ('c++', 'g++', 'clang++'))):
        asked = shlex.split(os.environ.get(variable, ''))[:1]
        if not any(shutil.which(name) for name in asked or names):
            raise SetupError(
                'no {} compiler ({}): install one (Debian, Ubuntu: apt install g++)'.format(
                    'C' if variable == 'CC' else 'C++', ', '.join(asked or names)))
    if not (HEADERS / 'Python.h').is_file():
        raise SetupError(
            "Python's headers are missing ({}): install them (Debian, Ubuntu: apt install "
            'python{}-dev)'.format(HEADERS / 'Python.h', VERSION))
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        raise SetupError(
            'this Python cannot make a virtual environment: install its venv module (Debian, '
            'Ubuntu: apt install python{}-venv)'.format(VERSION))


def identity():
    """Return the digest of all that .venv is made of; its place counts, for scripts name it."""
    digest = hashlib.sha256()
    for part in (VENV, sys.version, BASE_PYTHON, HEADERS):
        digest.update('{}\0'.format(part).encode())
    for path in [pathlib.Path(__file__), PINS] + sorted(INTERFACES.rglob('*')):
        if path.is_file():
            digest.update('{}\0'.format(path.name).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def is_made_of(made_of):
    """Return whether .venv is whole and made of what `made_of` names."""
    return (PYTHON.exists() and STAMP.exists()
            and STAMP.read_text(encoding='utf-8').strip() == made_of)


def take(lock):
    """Wait until no other set-up holds the lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print('waiting for another set-up of .venv to end', flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def make(made_of, lock):
    """Make .venv from nothing, and stamp it."""
    check_tools()
    started = time.monotonic()
    print('making .venv with Python {}; the first time this takes a few minutes'.format(
        platform.python_version()), flush=True)
    if STAMP.exists():
        STAMP.unlink()
    shutil.rmtree(str(VENV), ignore_errors=True)
    VENV.mkdir(exist_ok=True)

    pins = PINS.read_text(encoding='utf-8').split('\n')
    step(1, 'an empty environment', [BASE_PYTHON, '-m', 'venv', '--clear', VENV], lock)
    # The pins are complete, so nothing is left to resolve. One of them, empy, has no wheel, and
    # it is built with our setuptools, so that too is of a known version.
    pip = [PYTHON, '-m', 'pip', 'install', '--no-input', '--no-deps', '--progress-bar', 'off',
           '--disable-pip-version-check']
    step(2, 'setuptools', pip + [pin for pin in pins if pin.startswith('setuptools==')], lock)
    step(3, '{} packages of {}'.format(
        sum('==' in pin for pin in pins), PINS.relative_to(ROOT)),
        pip + ['--no-build-isolation', '--use-pep517', '-r', PINS], lock)
    mend_cmake_files()
    build = VENV / 'build'
    cmake = VENV / 'bin' / 'cmake'
    step(4, 'configuring vision_msgs', [
        cmake, '-S', INTERFACES, '-B', build, '-G', 'Ninja', '-DBUILD_TESTING=OFF',
        '-DCMAKE_BUILD_TYPE=Release', '-DCMAKE_PREFIX_PATH={}'.format(VENV),
        '-DCMAKE_INSTALL_PREFIX={}'.format(VENV), '-DPython3_EXECUTABLE={}'.format(PYTHON)], lock)
    step(5, 'building vision_msgs', [cmake, '--build', build, '--target', 'install'], lock)
    shutil.rmtree(str(build))

    site_packages = pathlib.Path(sysconfig.get_path(
        'purelib', 'posix_prefix', {'base': str(VENV), 'platbase': str(VENV)}))
    (site_packages / 'tool_recognizer.pth').write_text('{}\n'.format(ROOT), encoding='utf-8')
    fresh = STAMP.with_suffix('.new')
    fresh.write_text(made_of + '\n', encoding='utf-8')
    fresh.replace(STAMP)
    print('.venv is ready ({:.0f} s)'.format(time.monotonic() - started), flush=True)


def mend_cmake_files():
    """Put this machine's paths into the CMake files, where the wheels carry their builder's."""
    find_numpy = [PYTHON, '-c', 'import numpy; print(numpy.get_include())']
    numpy = subprocess.run(
        [str(word) for word in find_numpy], env=environment(), check=True,
        stdout=subprocess.PIPE).stdout.decode().strip()
    builder = r'/opt/python/cp\d+-cp\d+'
    mends = (
        (builder + r'/include/python3\.\d+', str(HEADERS)),
        (builder + r'/lib/python3\.\d+/site-packages/numpy/_core/include', numpy),
        (builder, str(VENV)),
    )
    for path in (VENV / 'share').rglob('*.cmake'):
        text = mended = path.read_text(encoding='utf-8')
        for pattern, ours in mends:
            mended = re.sub(pattern, lambda _, ours=ours: ours, mended)
        if mended != text:
            path.write_text(mended, encoding='utf-8')


def environment():
    """Return the caller's environment without what would lead a child out of .venv."""
    own = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
    own['PATH'] = os.pathsep.join((str(VENV / 'bin'), own.get('PATH', os.defpath)))
    own['AMENT_PREFIX_PATH'] = str(VENV)
    own['PIP_USER'] = '0'
    return own


def step(number, what, command, lock):
    """Run one command, show that it lives, and keep what it prints in the log."""
    print('[{}/5] {}'.format(number, what), flush=True)
    with LOG.open('a+', encoding='utf-8', errors='replace') as log:
        begin = log.tell()
        child = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, env=environment(), pass_fds=(lock,), cwd=str(ROOT))
        quiet = 0
        while True:
            try:
                status = child.wait(timeout=10)
                break
            except subprocess.TimeoutExpired:
                quiet += 10
                print('      {} s: {}'.format(quiet, last_line(log, begin)), flush=True)
        if status == 0:
            return
        log.seek(begin)
        if NO_NETWORK.search(log.read()):
            raise SetupError(
                'no package index answers, and the wheels must be downloaded once: connect this '
                "machine, or name an index that it reaches in pip's settings (all of pip's words: "
                '{})'.format(LOG))
        raise SetupError('{} failed: {} (the rest: {})'.format(what, last_line(log, begin), LOG))


def last_line(log, begin):
    """Return the last line that tells something of what a step has printed so far."""
    log.seek(begin)
    lines = [line.strip() for line in log.read().split('\n')]
    return next((line for line in reversed(lines) if line), 'nothing yet')[:120]


if __name__ == '__main__':
    sys.exit(main())
