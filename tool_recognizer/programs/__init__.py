"""One file a command: arguments, wiring and exit status, and nothing else."""
