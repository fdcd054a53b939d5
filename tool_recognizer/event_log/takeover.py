"""Files of schema 1 to 3, taken over into the table of events, once and with nothing lost."""

import sqlite3


def rename_old_tables(db: sqlite3.Connection) -> None:
    """Put the old tables aside, within the caller's transaction."""
    raise NotImplementedError


def take_over(db: sqlite3.Connection, version: int) -> None:
    """Write the old tables' rows as events, and drop them, within the caller's transaction."""
    raise NotImplementedError
