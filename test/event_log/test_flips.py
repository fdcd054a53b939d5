"""A bit that flips on the disk is harmless, or it is named; no figure changes without a word."""

from collections import Counter
import json
import os
import random
import shutil

import journal_under_kill as under_kill
import pytest
from tool_recognizer.core.answer import Recognized
from tool_recognizer.core.answer import Rules
from tool_recognizer.core.inspection import Asked
from tool_recognizer.event_log import log as event_log
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.reader import JournalReader

# More of them find rarer cases, in a second each ten.
FLIPS = int(os.environ.get('TOOL_RECOGNIZER_FLIPS', '50'))
FRAMES, PER_CONFIRMATION = 1000, 15
# So many unconfirmed predictions are kept that the others must go.
KEPT = 300
# Generous: it only bounds how long a failing test takes, s.
PATIENCE = 120.0


def opened(path, kept=KEPT):
    log = EventLog(path, keep_predictions=kept, picture_budget=100_000)
    log.open()
    return log


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """Write a log with one of everything, and close it."""
    path = tmp_path_factory.mktemp('written') / 'journal.db'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_log, 'SNAPSHOT_EVERY', 400)
        with opened(path) as log:
            engine = under_kill.engine()
            engine.start('start', 0, log)
            for stamp in range(1, FRAMES + 1):
                frame = under_kill.frame(stamp)
                prediction = under_kill.prediction(stamp)
                engine.answer(Recognized(prediction, None, stamp), Rules(), stamp)
                if stamp % 10 == 0:
                    engine.ask(prediction.key, Asked(0.5, 0.5), stamp)
                    engine.keep_picture(prediction, under_kill.PICTURE)
                engine.follow(frame, stamp)
                if stamp % PER_CONFIRMATION == 0:
                    # One of six comes before its frame, another is delivered twice.
                    early = stamp % (6 * PER_CONFIRMATION) == 0
                    confirmation = under_kill.confirmation(stamp + 2 if early else stamp)
                    for _ in range(2 if stamp % (4 * PER_CONFIRMATION) == 0 else 1):
                        engine.confirm(confirmation, stamp, under_kill.PICTURE)
                if stamp == FRAMES // 2:
                    engine.reset(stamp)
                    engine.record('alarm', stamp, {'change_at': 3})
                if stamp % 100 == 0:
                    log.flush()
    with JournalReader(path) as reader:
        assert [*reader.problems()] == []
        assert reader.statistics()['confirmations']['scored'] > 60
        assert [*reader._rows('SELECT count(*) FROM pruned')] > [(20,)]
        assert [*reader._rows('SELECT count(*) FROM snapshots')] > [(2,)]
    return path


def copy(written, folder):
    """Copy the file; its pictures, which are not what flips here, are linked."""
    folder.mkdir()
    path = folder / written.name
    shutil.copy(written, path)
    shutil.copytree(f'{written}.pictures', f'{path}.pictures', copy_function=os.link)
    return path


def verified(path):
    """Return what ``journal verify`` finds."""
    try:
        with JournalReader(path) as reader:
            return [*reader.problems()]
    except JournalError as error:
        return [str(error)]


def start(path):
    """Start once more; return what is said, and every figure."""
    figures, said = [], []
    try:
        log = opened(path, kept=FRAMES)  # how much a short start removes depends on its length
    except JournalError as error:
        return [str(error)], figures
    engine = under_kill.engine()
    try:
        engine.start('start', 2 * FRAMES, log)
        log.check.wait(PATIENCE)
    except JournalError as error:
        said.append(str(error))
    finally:
        if log.is_started:
            log.close()
        else:
            log.release()
    said += [*log.notes, *engine.notes, *log.findings]
    figures.append(json.dumps(engine.run.to_state(), sort_keys=True,
                              default=lambda array: array.tolist()))
    try:
        with JournalReader(path) as reader:
            figures += [repr({**vars(stored), 'picture': stored.picture and stored.picture.name})
                        for stored in reader.confirmations()]
            figures.append(repr({**reader.statistics(), 'bytes': 0}))
            said += reader.damage
    except JournalError as error:
        said.append(str(error))
    return said, figures


def test_a_flipped_bit_is_harmless_or_named(written, tmp_path):
    size, rng = written.stat().st_size, random.Random(7)
    nothing_said, expected = start(copy(written, tmp_path / 'whole'))
    assert nothing_said == []
    counts, silent = Counter(), []
    for number in range(FLIPS):
        place, bit = rng.randrange(size), rng.randrange(8)
        path = copy(written, tmp_path / str(number))
        with path.open('r+b') as file:
            file.seek(place)
            (byte,) = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ 1 << bit]))
        problems = verified(path)
        said, figures = start(path)
        if problems and said:
            counts['named'] += 1
        elif figures == expected and not problems and not said:
            counts['harmless'] += 1
        else:
            silent.append((place, bit, problems[:3], said[:3], figures == expected))
        shutil.rmtree(tmp_path / str(number))
    print(f'{dict(counts)} of {FLIPS} flips in {size} bytes')
    assert not silent, '\n'.join(map(str, silent))
    assert counts['named'] > FLIPS / 3
