"""
Events that were written to files of their own before they went from the log.

A file is gzip of JSON lines: ``{"schema": 4, "before": DIGEST}``, then each event with the columns
of the log's table, the binary ones in hexadecimal, and ``{"first": ID, "last": ID, "digest":
DIGEST}`` where events were missing already. So the chain of digests can still be checked. After a
restart events may be in two files: they have the same id and digest.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import gzip
from hashlib import sha256
import json
from pathlib import Path

from tool_recognizer.event_log.chain import check
from tool_recognizer.event_log.file import SCHEMA
from tool_recognizer.event_log.rows import Row
from tool_recognizer.whole_file import write_whole


def write_archive(folder: Path, name: str, rows: Sequence[Row], before: bytes,
                  segments: Iterable[tuple[int, int, bytes]]) -> Path:
    """
    Write events to a file of their own, whole and on disk.

    Parameters
    ----------
    folder : made if it is not there
    name : of the log's file
    rows : the events
    before : digest of the event before them
    segments : of events that were removed between them: first and last id, the last one's digest

    Returns
    -------
    The file

    Raises
    ------
    OSError
        It cannot be written.

    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines: list[dict[str, object]] = [{'schema': SCHEMA, 'before': before.hex()}]
    lines += [{'first': first, 'last': last, 'digest': digest.hex()}
              for first, last, digest in segments]
    lines += [{key: value.hex() if isinstance(value, bytes) else value
               for key, value in row._asdict().items()} for row in rows]
    text = '\n'.join(map(json.dumps, lines)).encode() + b'\n'
    path = folder / (f'{name}.{rows[0].id:012d}-{rows[-1].id:012d}-'
                     f'{sha256(text).hexdigest()[:8]}.jsonl.gz')
    write_whole(path, gzip.compress(text, mtime=0))
    return path


def read_archive(path: Path) -> Iterator[tuple[Row, str]]:
    """
    Read such a file; yield each event with '' or with what is wrong with it.

    Raises
    ------
    OSError, EOFError
        It cannot be read.
    LookupError, TypeError, ValueError
        It is no such file.

    """
    with gzip.open(path, 'rt', encoding='utf-8') as file:
        header, *lines = map(json.loads, file)
    segments = {line['last']: (line['first'], bytes.fromhex(line['digest']))
                for line in lines if 'first' in line}
    rows = [Row(**{**line, 'digest': bytes.fromhex(line['digest']), 'log_probabilities':
                   line['log_probabilities'] and bytes.fromhex(line['log_probabilities'])})
            for line in lines if 'first' not in line]
    known = {rows[0].id - 1: bytes.fromhex(header['before']), **{r.id: r.digest for r in rows}}

    def before(row: Row) -> tuple[int | None, bytes]:
        """Return what ``chain.CHECKED`` selects beside a row: up to where all is there before."""
        place = row.id - 1
        if place in known:
            return place, known[place]
        first, digest = segments.get(place, (None, b''))
        return first and first - 1, digest

    yield from check(((*row, *before(row)) for row in rows), rows[0].id - 1)
