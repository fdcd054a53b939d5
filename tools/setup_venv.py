"""
Make .venv, whole: ROS 2 Jazzy and all else that the project needs, without an installed ROS.

The wheels are those of requirements/pins-X.Y.txt. vision_msgs is not among them, so it is built
from interfaces/. The project itself is put on the path, so that an edit is seen at once. With the
argument ``noble`` it makes .venv-noble in the same way, of the versions that Ubuntu 24.04 has.

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
INTERFACES = ROOT / 'interfaces' / 'vision_msgs'
VERSION = '{}.{}'.format(*sys.version_info[:2])
# The interpreter behind the one that runs this, which may be .venv's own.
BASE_PYTHON = getattr(sys, '_base_executable', None) or sys.executable
HEADERS = pathlib.Path(sysconfig.get_config_var('INCLUDEPY') or '')

# Settings of the caller that would send pip or CMake elsewhere than to the environment.
FOREIGN = re.compile(
    r'PYTHON(PATH|HOME)|PIP_(USER|TARGET|PREFIX|ROOT|REQUIREMENT|CONSTRAINT|NO_DEPS|PYTHON)'
    r'|(AMENT|CMAKE|COLCON)_PREFIX_PATH|_ROS_WHEELS_BOOTSTRAP_COMPLETE')
NO_NETWORK = re.compile(
    r'name resolution|NewConnectionError|ConnectTimeout|Read timed out|ProxyError|unreachable')


class SetupError(Exception):
    """What is missing and how to mend it, in one line."""


class Environment:
    """One environment: its folder, its pins, and the Pythons that have wheels for these."""

    def __init__(self, path, pins, supported):
        self.path = path
        self.pins = pins
        self.supported = supported
        self.python = path / 'bin' / 'python3'
        self.stamp = path / 'made-of'
        self.log = path / 'setup.log'


NEWEST = Environment(ROOT / '.venv', ROOT / 'requirements' / 'pins-{}.txt'.format(VERSION),
                     ('3.10', '3.11', '3.12', '3.13'))
NOBLE = Environment(ROOT / '.venv-noble', ROOT / 'requirements' / 'noble.txt', ('3.11', '3.12'))


def main(venv=NEWEST):
    """Make the environment if it is not there or not up to date; return the exit status."""
    try:
        check_machine(venv)
        made_of = identity(venv)
        if is_made_of(venv, made_of):
            return 0
        # Children inherit the lock: what a killed set-up left running ends before the next begins.
        with open(str(venv.path) + '.lock', 'w', encoding='utf-8') as lock:
            take(lock, venv)
            if not is_made_of(venv, made_of):
                make(venv, made_of, lock.fileno())
    except SetupError as error:
        print('error: {}'.format(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nstopped; the next run makes {} anew'.format(venv.path.name), file=sys.stderr)
        return 130
    return 0


def check_machine(venv):
    """Raise SetupError where the wheels cannot work or the interfaces cannot be built."""
    if sys.platform != 'linux' or platform.machine() != 'x86_64':
        raise SetupError(
            'there are ROS 2 wheels for Linux on x86-64 only, and this is {} on {}: use the '
            "distribution's ROS 2 Jazzy and colcon (see README.md)".format(
                platform.system(), platform.machine()))
    if VERSION not in venv.supported or platform.python_implementation() != 'CPython':
        raise SetupError(
            '{} is made with CPython {} to {}, and {} is {} {}: name another, for example '
            '`make {}=python3.12 ...`'.format(
                venv.path.name, venv.supported[0], venv.supported[-1], BASE_PYTHON,
                platform.python_implementation(), platform.python_version(),
                'NOBLE_PYTHON' if venv is NOBLE else 'PYTHON'))
    libc, release = platform.libc_ver()
    if libc != 'glibc' or [int(part) for part in release.split('.')[:2]] < [2, 28]:
        raise SetupError(
            'the ROS 2 wheels need glibc 2.28 or newer, and this machine has {}'.format(
                ' '.join((libc, release)).strip() or 'another C library'))


def check_tools():
    """Raise SetupError when something that only the making needs is missing."""
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


def identity(venv):
    """Return the digest of all that it is made of; its place counts, for scripts name it."""
    digest = hashlib.sha256()
    for part in (venv.path, sys.version, BASE_PYTHON, HEADERS):
        digest.update('{}\0'.format(part).encode())
    for path in [pathlib.Path(__file__), venv.pins] + sorted(INTERFACES.rglob('*')):
        if path.is_file():
            digest.update('{}\0'.format(path.name).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def is_made_of(venv, made_of):
    """Return whether it is whole and made of what `made_of` names."""
    return (venv.python.exists() and venv.stamp.exists()
            and venv.stamp.read_text(encoding='utf-8').strip() == made_of)


def take(lock, venv):
    """Wait until no other set-up holds the lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print('waiting for another set-up of {} to end'.format(venv.path.name), flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def make(venv, made_of, lock):
    """Make the environment from nothing, and stamp it."""
    check_tools()
    started = time.monotonic()
    print('making {} with Python {}; the first time this takes a few minutes'.format(
        venv.path.name, platform.python_version()), flush=True)
    if venv.stamp.exists():
        venv.stamp.unlink()
    shutil.rmtree(str(venv.path), ignore_errors=True)
    venv.path.mkdir(exist_ok=True)

    pins = [line for line in venv.pins.read_text(encoding='utf-8').split('\n')
            if re.match(r'[\w.-]+==', line)]

    def step(*words):
        run_step(venv, lock, *words)

    step(1, 'an empty environment', [BASE_PYTHON, '-m', 'venv', '--clear', venv.path])
    # The pins are complete, so nothing is left to resolve. Some of them, such as empy, have no
    # wheel, and are built with our setuptools, so that too is of a known version.
    pip = [venv.python, '-m', 'pip', 'install', '--no-input', '--no-deps', '--progress-bar', 'off',
           '--disable-pip-version-check']
    step(2, 'setuptools', pip + [
        pin for pin in pins if pin.startswith(('setuptools==', 'wheel=='))])
    step(3, '{} packages of {}'.format(len(pins), venv.pins.relative_to(ROOT)),
         pip + ['--no-build-isolation', '--use-pep517', '-r', venv.pins])
    mend_cmake_files(venv)
    build = venv.path / 'build'
    cmake = venv.path / 'bin' / 'cmake'
    step(4, 'configuring vision_msgs', [
        cmake, '-S', INTERFACES, '-B', build, '-G', 'Ninja', '-DBUILD_TESTING=OFF',
        '-DCMAKE_BUILD_TYPE=Release', '-DCMAKE_PREFIX_PATH={}'.format(venv.path),
        '-DCMAKE_INSTALL_PREFIX={}'.format(venv.path),
        '-DPython3_EXECUTABLE={}'.format(venv.python)])
    step(5, 'building vision_msgs', [cmake, '--build', build, '--target', 'install'])
    shutil.rmtree(str(build))

    site_packages = pathlib.Path(sysconfig.get_path(
        'purelib', 'posix_prefix', {'base': str(venv.path), 'platbase': str(venv.path)}))
    (site_packages / 'tool_recognizer.pth').write_text('{}\n'.format(ROOT), encoding='utf-8')
    fresh = venv.stamp.with_suffix('.new')
    fresh.write_text(made_of + '\n', encoding='utf-8')
    fresh.replace(venv.stamp)
    print('{} is ready ({:.0f} s)'.format(venv.path.name, time.monotonic() - started), flush=True)


def mend_cmake_files(venv):
    """Put this machine's paths into the CMake files, where the wheels carry their builder's."""
    find_numpy = [venv.python, '-c', 'import numpy; print(numpy.get_include())']
    numpy = subprocess.run(
        [str(word) for word in find_numpy], env=environment(venv), check=True,
        stdout=subprocess.PIPE).stdout.decode().strip()
    builder = r'/opt/python/cp\d+-cp\d+'
    mends = (
        (builder + r'/include/python3\.\d+', str(HEADERS)),
        (builder + r'/lib/python3\.\d+/site-packages/numpy/_core/include', numpy),
        (builder, str(venv.path)),
    )
    for path in (venv.path / 'share').rglob('*.cmake'):
        text = mended = path.read_text(encoding='utf-8')
        for pattern, ours in mends:
            mended = re.sub(pattern, lambda _, ours=ours: ours, mended)
        if mended != text:
            path.write_text(mended, encoding='utf-8')


def environment(venv):
    """Return the caller's environment without what would lead a child out of ours."""
    own = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
    own['PATH'] = os.pathsep.join((str(venv.path / 'bin'), own.get('PATH', os.defpath)))
    own['AMENT_PREFIX_PATH'] = str(venv.path)
    own['PIP_USER'] = '0'
    return own


def run_step(venv, lock, number, what, command):
    """Run one command, show that it lives, and keep what it prints in the log."""
    print('[{}/5] {}'.format(number, what), flush=True)
    with venv.log.open('a+', encoding='utf-8', errors='replace') as log:
        begin = log.tell()
        child = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, env=environment(venv), pass_fds=(lock,), cwd=str(ROOT))
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
                '{})'.format(venv.log))
        raise SetupError('{} failed: {} (the rest: {})'.format(
            what, last_line(log, begin), venv.log))


def last_line(log, begin):
    """Return the last line that tells something of what a step has printed so far."""
    log.seek(begin)
    lines = [line.strip() for line in log.read().split('\n')]
    return next((line for line in reversed(lines) if line), 'nothing yet')[:120]


if __name__ == '__main__':
    sys.exit(main(NOBLE if sys.argv[1:] == ['noble'] else NEWEST))
