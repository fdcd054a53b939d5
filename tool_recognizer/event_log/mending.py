"""Damaged indexes are made anew from the rows, which they only repeat; nothing else is mended."""

import sqlite3

# What there is to say of it.
MENDED = ('it was damaged: its indexes were made anew from its rows, of which none is lost; check '
          'the disk')


def mend(db: sqlite3.Connection) -> bool:
    """
    Make the indexes of a damaged file anew.

    Parameters
    ----------
    db : the file

    Returns
    -------
    Whether it is whole then; if its rows are not, nothing has changed

    Raises
    ------
    sqlite3.Error
        The file cannot be written.

    """
    made = db.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
                      ).fetchall()
    # Where their pages cannot be read they are forgotten; ``VACUUM`` leaves those pages out.
    anew = ('PRAGMA writable_schema = ON',
            "DELETE FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
            'PRAGMA writable_schema = RESET', *(statement for (statement,) in made))
    if not _makes_whole(db, 'REINDEX') and not _makes_whole(db, *anew):
        return False
    if not _is_whole(db):
        db.execute('VACUUM')
    return _is_whole(db)


def _makes_whole(db: sqlite3.Connection, *statements: str) -> bool:
    """Execute statements, if all tables and their indexes are whole then."""
    whole = False
    db.execute('BEGIN IMMEDIATE')
    try:
        for statement in statements:
            db.execute(statement)
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        whole = all(_is_whole(db, f"('{name}')") for (name,) in (*tables, ('sqlite_master',)))
    except sqlite3.OperationalError:  # such as a full disk, which is no damage
        raise
    except sqlite3.DatabaseError:
        pass
    finally:
        db.execute('COMMIT' if whole else 'ROLLBACK')
    return whole


def _is_whole(db: sqlite3.Connection, table: str = '(1)') -> bool:
    return bool(db.execute(f'PRAGMA integrity_check{table}').fetchone() == ('ok',))
