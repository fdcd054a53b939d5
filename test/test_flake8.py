import subprocess
import sys

# In a process of its own: flake8 forks, and a fork beside the threads of other tests may hang.
PROGRAM = 'import sys; from ament_flake8.main import main; sys.exit(main([]))'


def test_the_code_passes_ament_flake8():
    checked = subprocess.run([sys.executable, '-c', PROGRAM], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout.partition('Checked files')[0] + checked.stderr
