"""A real ROS graph for every test here; see ``peers``."""

from peers import peer  # noqa: F401
from peers import recognizer  # noqa: F401
from peers import start  # noqa: F401
