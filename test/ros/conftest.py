"""A real ROS graph for every test here; see ``peers``."""

from browsing import browser  # noqa: F401
from browsing import chromium  # noqa: F401
from browsing import console  # noqa: F401
from browsing import people  # noqa: F401
from browsing import real  # noqa: F401
from browsing import recognizer_played  # noqa: F401
from browsing import token_file  # noqa: F401
from peers import peer  # noqa: F401
from peers import recognizer  # noqa: F401
from peers import start  # noqa: F401
