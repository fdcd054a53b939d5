"""Files of earlier schemas: what they knew is there afterwards, and the last run goes on."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
import gzip
import json
import math
from operator import itemgetter
from pathlib import Path
import shutil
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
from tool_recognizer import assembly
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import values_from_state
from tool_recognizer.event_log import takeover
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.log import EventLog
from tool_recognizer.event_log.reader import JournalReader

HERE = Path(__file__).parent
SCHEMAS = (1, 2, 3)


def plain(value):
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def expected(schema):
    return json.loads((HERE / f'schema_{schema}' / 'expected.json').read_text('utf-8'))


def unpacked(folder, schema, *statements):
    """Lay a journal of an earlier schema into a folder; change it with SQL first."""
    source, path = HERE / f'schema_{schema}', folder / 'journal.db'
    path.write_bytes(gzip.decompress((source / 'journal.db.gz').read_bytes()))
    path.chmod(0o600)
    if schema == 3:
        shutil.copytree(source / 'journal.db.pictures', folder / 'journal.db.pictures')
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            assert db.execute(statement).rowcount
    return path


def opened(path):
    """Open a log and close it again; return what there was to say."""
    log = EventLog(path)
    log.open()
    log.release()
    return [note.removeprefix(f'journal {path}: ') for note in log.notes]


def content(path):
    with closing(sqlite3.connect(path)) as db:
        return [*db.iterdump()]


def confirmations(path):
    """
    Return what is known of each confirmation but for the numbers, in the order of arrival.

    One that came before its frame is now where it was settled: before was overwritten.
    """
    with JournalReader(path) as reader:
        found = [(c.stamp, c.frame_id, c.received, c.operator, c.outcome.value, c.distribution,
                  plain(c.nll), c.inclusion_probability, c.model_digest, list(c.labels),
                  None if c.log_probabilities is None else [
                      plain(x) for x in c.log_probabilities.tolist()],
                  c.decision, c.picture and c.picture.name) for c in reader.confirmations()]
    return sorted(found, key=itemgetter(2))


def known_confirmations(schema):
    known = expected(schema)['confirmations']
    found = []
    for values in known['rows']:
        row = dict(zip(known['columns'], values, strict=True))
        model = known['models'][row['model']]
        found.append((*(row[name] for name in (
            'stamp', 'frame_id', 'received', 'operator', 'outcome', 'distribution', 'nll',
            'inclusion_probability')), model['model_digest'], model['labels'],
            row['log_probabilities'], row['decision'], row['picture']))
    return sorted(found, key=itemgetter(2))


@pytest.fixture
def started(monkeypatch):
    """Start an engine as a node would, with the models that the journal knows."""
    def start(path):
        want = expected(3)
        models = [SimpleNamespace(path='', reference=None, metadata={},
                                  digest=model['model_digest'],
                                  labels=tuple(model['labels']),
                                  reference_nll=model['reference_nll'])
                  for model in (want['in_charge'], want['shadow_model'])]
        monkeypatch.setattr(assembly, '_load', lambda value, path: models.pop(0))
        engine = assembly.make_engine(want['parameters'] | {
            'shadow_model_path': 'x', 'early_warning.mix': True}, want['seed'])
        with EventLog(path) as log:
            log.open()
            engine.start('start', 0, log)
        return engine
    return start


def what_it_is(monitor):
    """
    Return the part of a monitor that the file of schema 3 was asked about.

    Left out are the upper end of the interval, which allows for more now, that of the KL, which
    nobody was told then, and the evidence, for surprise is another bet now.
    """
    state = monitor.to_state()
    spent = values_from_state(state['pending'], 'settled')
    return {
        'figures': {name: plain(value) for name, value in asdict(monitor.figures()).items()
                    if name not in ('nll_ci_high', 'kl_ci_low', 'kl_ci_high')},
        'counts': {outcome.value: n for outcome, n in monitor.counts.items() if n},
        'drift': {name: getattr(monitor.detector, name) for name in (
            'n', 'alarm', 'learning', 'reference_size', 'threshold', 'change_at', 'leading',
            'change_set')} | {'per_label': monitor.detector.per_label.tolist()},
        'answers': len(state['pending']['pending_stamps']),
        'not_spent': len(state['pending']['pending_stamps']) - len(spent),
        'confirmed': len(values_from_state(state, 'confirmed')),
        'spent': [[*key, q] for key, q in spent],
        'shared': [list(key) for key in state['pending']['shared']],
        'held': [early[:3] for early in state['early']]}


def wanted(known):
    """Return the same of ``expected.json``, as far as it is there."""
    found = {name: known[name] for name in ('figures', 'counts', 'drift', 'held') if name in known}
    for part, name in (('figures', 'nll_ci_high'), ('drift', 'evidence')):
        if part in found:
            found[part] = {key: value for key, value in found[part].items() if key != name}
    return found | {name: value for name, value in known['pending'].items()
                    if name not in ('first', 'last')}


def rounded(value):
    """Leave out the last digits of floats: other versions of numpy sum in another order."""
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one) for one in value]
    return f'{value:.11g}' if isinstance(value, float) else value


def assert_agrees(found, known: Mapping):
    assert {name: repr(rounded(found[name])) for name in known} == {
        name: repr(rounded(value)) for name, value in known.items()}


def test_the_last_run_of_schema_3_goes_on_exactly_where_it_was(tmp_path, started):
    engine, known = started(unpacked(tmp_path, 3)), expected(3)['restart']
    run, shadow = engine.run, known['shadow']
    assert engine.notes == ()
    found = what_it_is(run.monitor)
    assert_agrees(found | {'counts': dict(sorted(found['counts'].items()))},
                  wanted(known) | {'counts': dict(sorted(known['counts'].items()))})
    since = known['figures_since']
    assert_agrees(asdict(engine.figures_since(since['stamp'])), {
        name: value for name, value in since['figures'].items() if name != 'nll_ci_high'})
    assert_agrees(vars(run), {name: known[name] for name in ('alarm_kept', 'confirmed_at')})
    assert run.monitor.complete == known['complete']
    assert_agrees({name: getattr(run.warning, name) for name in known['early_warning']},
                  known['early_warning'])
    assert run.sampling[:3] == tuple(known['sampler'].values())
    assert_agrees(run.comparison.difference()._asdict(), shadow['difference'])
    assert_agrees(what_it_is(run.comparison.monitor), wanted(shadow))


def test_further_labels_give_the_evidence_that_they_would_have_given(tmp_path, started):
    run, known = started(unpacked(tmp_path, 3)).run, expected(3)
    labels, goes_on = run.monitor.labels, known['restart']['goes_on']
    for number, p in enumerate(goes_on['probabilities']):
        key = FrameKey(known['statistics']['last_stamp'] + 10**9 * (number + 1), 'bench')
        log_p = np.log(p)
        run.warning.update(log_p)
        run.apply(FrameAnswered(0, Prediction(key, labels, log_p, NO_FEATURES, ''), ''))
        run.apply(FrameAsked(0, key, Asked(1.0)))
        run.apply(FrameConfirmed(0, Confirmation(
            key, dict(zip(labels, goes_on['distributions'][number], strict=True)))))
        assert run.warning.evidence == pytest.approx(
            goes_on['early_warning_evidence'][number], rel=1e-9)
        # Surprise is another bet now, so only the size of the evidence is what it would have been.
        assert run.monitor.detector.evidence == pytest.approx(goes_on['evidence'][number], rel=0.5)


def test_its_events_alone_give_the_last_run_too(tmp_path, started):
    path = unpacked(tmp_path, 3)
    opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute('DELETE FROM snapshots WHERE event = (SELECT max(event) FROM snapshots)')
    known = expected(3)['restart']
    run = started(path).run
    # Repeated deliveries had no row of their own.
    found, want = what_it_is(run.monitor), wanted(known)
    assert_agrees(found, {name: want[name] for name in want if name != 'counts'})
    assert run.warning.evidence == pytest.approx(known['early_warning']['evidence'], rel=1e-9)
    assert_agrees(run.comparison.difference()._asdict(), known['shadow']['difference'])


def test_a_shadow_that_began_within_the_run_is_compared_from_then_on(tmp_path, started):
    path = unpacked(tmp_path, 3, 'UPDATE tests SET after_reset = 0 WHERE id = 9')
    run, shadow = started(path).run, expected(3)['restart']['shadow']
    assert_agrees(run.comparison.difference()._asdict(), shadow['difference'])
    assert run.comparison.monitor.figures().nll == pytest.approx(
        shadow['figures']['nll'], rel=1e-9)
    assert len(run.comparison.monitor.to_state()['pending']['pending_stamps']) == 303


@pytest.mark.parametrize('schema', SCHEMAS)
def test_every_confirmation_reads_as_it_did(schema, tmp_path):
    path = unpacked(tmp_path, schema)
    opened(path)
    assert confirmations(path) == known_confirmations(schema)


def test_what_is_counted_is_what_was_counted(tmp_path):
    path = unpacked(tmp_path, 3)
    opened(path)
    with JournalReader(path) as reader:
        found, known = reader.statistics(), expected(3)['statistics']
    # A frame that a recording repeats counts once now, and so does only what was joined.
    for name in ('bytes', 'predictions_confirmed'):
        del found[name], known[name]
    assert (found.pop('removed'), found.pop('since') > 0) == (0, True)
    for statistics in (found, known):
        for part in (statistics, *statistics['runs']):
            part['nll'] = None if part['nll'] is None else pytest.approx(float(part['nll']))
    assert found == known


@pytest.mark.parametrize('schema', SCHEMAS)
def test_the_file_is_whole_and_the_one_before_is_kept(schema, tmp_path):
    path = unpacked(tmp_path, schema)
    before = content(path)
    (note,) = opened(path)
    backup = path.with_name(f'journal.db.schema-{schema}-1')
    assert note == f'brought from schema {schema} to 4; the old one is kept as {backup}'
    assert content(backup) == before
    with JournalReader(path) as reader:
        assert [*reader.problems(), *reader.unlisted_pictures()] == []


def test_it_is_done_once(tmp_path):
    path = unpacked(tmp_path, 3)
    opened(path)
    once = content(path)
    assert opened(path) == []
    assert content(path) == once
    assert len([*tmp_path.glob('*.schema-*')]) == 1


@pytest.mark.parametrize(('damage', 'row', 'confirmed'), [
    ("UPDATE predictions SET log_probabilities = x'00' WHERE id = 2", 'row 2 of predictions', 350),
    ('UPDATE predictions SET run = 77 WHERE id = 2', 'row 2 of predictions', 350),
    ("UPDATE confirmations SET distribution = '[1]' WHERE id = 9", 'row 9 of confirmations', 349),
    ("UPDATE confirmations SET outcome = 'scare' WHERE id = 9", 'row 9 of confirmations', 349),
    ("UPDATE confirmations SET stamp = 'x', newest_prediction = 'y' WHERE id = 9",
     'row 9 of confirmations', 349),
    ('UPDATE requests SET inclusion_probability = 7 WHERE id = 3', 'row 3 of requests', 350),
    ("UPDATE events SET detail = '{' WHERE id = 1", 'row 1 of events', 350),
    ("UPDATE shadow_predictions SET log_probabilities = 'x' WHERE id = 3",
     'row 3 of shadow_predictions', 350),
    ("UPDATE samples SET log_probabilities = x'00' WHERE id = 3", 'row 3 of samples', 350),
    ("UPDATE pictures SET digest = 'x' WHERE prediction = 11", 'row 11 of pictures', 350),
    ("UPDATE tests SET state = '{' WHERE id = 9", 'row 9 of tests', 350),
    ("UPDATE tallies SET outcome = 'scare' WHERE outcome = 'late'", 'row 5 of tallies', 350),
])
def test_a_damaged_row_is_named_and_costs_only_itself(damage, row, confirmed, tmp_path):
    path = unpacked(tmp_path, 3, damage)
    _, note = opened(path)
    assert note.startswith(f'{row} is damaged and left out (')
    assert len(confirmations(path)) == confirmed
    with JournalReader(path) as reader:
        assert [*reader.problems()] == []
        assert reader.damage == []


def test_damage_beyond_a_handful_is_counted(tmp_path):
    path = unpacked(tmp_path, 3, "UPDATE confirmations SET distribution = '{' WHERE id < 12")
    _, *notes, count = opened(path)
    assert len(notes) == takeover.NAMED
    assert count == '6 more rows are damaged and left out'


def test_a_run_whose_state_is_damaged_is_kept_but_not_gone_on_with(tmp_path, started):
    path = unpacked(tmp_path, 3, "UPDATE runs SET state = '{' WHERE id IN (4, 5)")
    engine = started(path)
    assert 'a new one begins' in engine.notes[-1]
    assert engine.run.monitor.figures().n == 0
    assert confirmations(path) == known_confirmations(3)


def test_a_confirmation_that_waits_again_still_does(tmp_path, started):
    """Of a recording that is played again, the row says what became of it the first time."""
    path = unpacked(tmp_path, 3, 'UPDATE confirmations SET held = 1400 WHERE id = 9')
    engine = started(path)
    (again,) = set(map(str, confirmations(path))) - set(map(str, known_confirmations(3)))
    assert "'unmatched'" in again
    key = FrameKey(1790000002123456789, 'bench')
    assert engine.run.monitor.early(key).distribution == {'wrench': 1.0}


def test_an_answer_that_was_only_written_with_its_confirmation_is_scored(tmp_path, started):
    """The disk had been too slow for it; its number is then above that of the confirmation."""
    path = unpacked(
        tmp_path, 3,
        'UPDATE predictions SET id = (SELECT newest_prediction + 1 FROM confirmations '
        'WHERE id = 338) WHERE id = (SELECT prediction FROM confirmations WHERE id = 338)',
        'UPDATE confirmations SET prediction = newest_prediction + 1 WHERE id = 338')
    run, known = started(path).run, expected(3)['restart']
    assert run.monitor.detector.n == known['drift']['n']
    assert run.monitor.figures().n == known['figures']['n']
    assert confirmations(path) == known_confirmations(3)


def test_a_run_that_scored_volunteered_labels_later_on_has_them(tmp_path, started):
    path = unpacked(tmp_path, 3, 'UPDATE confirmations SET inclusion_probability = NULL '
                    "WHERE id > 320 AND outcome = 'scored'")
    run = started(path).run
    assert run.monitor.figures().n == expected(3)['restart']['figures']['n']
    assert set(run.monitor.to_state()['weight'].tolist()) > {1.0}
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM events WHERE kind = 'continued'"
                          ).fetchone() == (2,)


def test_a_failure_in_the_middle_leaves_the_old_file_as_it_was(tmp_path, monkeypatch):
    path = unpacked(tmp_path, 3)
    before = content(path)
    with monkeypatch.context() as patch:
        def fail(self):
            raise sqlite3.OperationalError('database or disk is full')
        patch.setattr(takeover._Taking, 'pictures', fail)
        with pytest.raises(JournalError, match='the disk is full'):
            opened(path)
    assert content(path) == before
    opened(path)
    assert confirmations(path) == known_confirmations(3)
