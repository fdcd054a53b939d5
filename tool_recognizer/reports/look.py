"""The style sheet that the reports share with the console's pages: colours, type, tables."""

from functools import cache
from pathlib import Path

NAME = 'look.css'


@cache
def look() -> str:
    """Return it."""
    return Path(__file__).with_name(NAME).read_text(encoding='utf-8')
