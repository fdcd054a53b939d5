"""What a process takes, as Linux tells it: time of the processor, memory."""

import os
from pathlib import Path
import re


def processor_time(pid: int) -> float:
    """Seconds of a core that a process has taken, user and system, in steps of 10 ms."""
    fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory(pid: int) -> float:
    """Resident memory of a process, MiB."""
    found = re.search(r'VmRSS:\s+(\d+)', Path(f'/proc/{pid}/status').read_text())
    # A process that is ending has none.
    return int(found[1]) / 1024.0 if found else 0.0
