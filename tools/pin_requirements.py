"""
Choose the version of every wheel for one Python and write requirements/pins-X.Y.txt.

Run it once with each Python that setup_venv.py supports, and test each result.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

REQUIREMENTS = pathlib.Path(__file__).resolve().parent.parent / 'requirements'


def main() -> int:
    """Resolve run.txt, build.txt and test.txt together; return the exit status."""
    wanted = [REQUIREMENTS / name for name in ('run.txt', 'build.txt', 'test.txt')]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, '-m', 'venv', folder], check=True)
        report = pathlib.Path(folder) / 'report.json'
        subprocess.run(
            [f'{folder}/bin/python3', '-m', 'pip', 'install', '--quiet', '--dry-run',
             '--ignore-installed', '--report', str(report),
             *(word for path in wanted for word in ('-r', str(path)))],
            check=True)
        chosen = json.loads(report.read_text(encoding='utf-8'))['install']
    pins = sorted('{name}=={version}'.format(**one['metadata']) for one in chosen)
    python = f'{sys.version_info.major}.{sys.version_info.minor}'
    target = REQUIREMENTS / f'pins-{python}.txt'
    target.write_text(
        f'# Every wheel for Python {python} on x86-64. Written by tools/pin_requirements.py.\n'
        + '\n'.join(pins) + '\n', encoding='utf-8')
    print(f'{target}: {len(pins)} wheels')
    return 0


if __name__ == '__main__':
    sys.exit(main())
