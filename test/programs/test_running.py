"""Nodes that are run from the command line, and how they end."""

import subprocess
import sys

NOTED_LATE = """
import sys
from threading import Timer
import rclpy
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros import endings

def make():
    Timer(1.0, endings._noted.append, [15]).start()
    return rclpy.create_node('idle')

sys.exit(run_node(make, Parser('idle', 'do nothing', ()), []))
"""


def test_an_end_that_is_noted_only_after_the_node_spins_ends_it_too():
    done = subprocess.run([sys.executable, '-c', NOTED_LATE], capture_output=True, text=True,
                          timeout=60, check=False)
    # Other processes may have left shared memory behind, which the node removes, and says so.
    said = [line for line in done.stderr.splitlines() if not line.startswith('[INFO]')]
    assert (done.returncode, said) == (0, [])
