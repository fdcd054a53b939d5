"""A corrected run is the run in which the right thing was said at first, to the bit."""

from concurrent.futures import Future
from contextlib import closing
import json
import sqlite3
from threading import Event
from threading import Thread

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from journal_writer import JournalWriter
from journal_writer import LABELS
import numpy as np
import pytest
from tool_recognizer import engine
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.inspection import ANOTHER_TOOL
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.event_log.file import open_readable
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.restored import restore
from tool_recognizer.event_log.rows import encode_state

SAID = (*LABELS, 'anvil', ANOTHER_TOOL, CANNOT_SEE)


def key(stamp):
    return FrameKey(Stamp(stamp), 'camera')


def number_of(journal, stamp, outcome=None):
    journal.log.flush()
    with JournalReader(journal.log.path) as reader:
        return next(found.number for found in reader.confirmations()
                    if found.stamp == stamp and outcome in (None, found.outcome))


def correct(journal, stamp, said, nonce='', number=None, operator='Zoë'):
    """Correct the confirmation of a frame; '' strikes it out; return what it counts as."""
    became, kept = journal.engine.correct(Correction(
        number or number_of(journal, stamp), key(stamp), {said: 1.0} if said else {}, operator,
        nonce), lambda: 10**9)
    if kept is not None:
        kept.result(30)
    return became


def scores(journal):
    """Return the scores as they are kept; an outcome that none has is not counted."""
    return encode_state(journal.engine.run.monitor.scores())


def restored(journal):
    """Return the run as a start would find it now, by the events alone."""
    journal.log.flush()
    with closing(open_readable(journal.log.path)) as db:
        return restore(db, 'd' * 64, LABELS, {}).run


FRAME = st.tuples(st.sampled_from(SAID), st.sampled_from((None, '', *SAID)), st.integers(0, 9))


@settings(max_examples=8, deadline=None)
@given(st.lists(FRAME, min_size=1, max_size=12), st.integers(0, 10**6), st.booleans())
def test_a_corrected_run_is_the_one_in_which_it_was_said_at_first(
        tmp_path_factory, frames, seed, learned):
    """Whatever is said first, and what then; resets, and confirmations before their frames."""
    folder, rng = tmp_path_factory.mktemp('journals'), np.random.default_rng(seed)
    answers = [rng.dirichlet(np.ones(3)) for _ in frames]
    with JournalWriter(folder / 'a.db', LABELS, window=7) as one, JournalWriter(
            folder / 'b.db', LABELS, window=7) as other:
        for stamp, ((first, then, what), p) in enumerate(zip(frames, answers, strict=True), 1):
            early, right = what == 1, first if then is None else then
            for journal, said in ((one, first), (other, right)):
                if early and said:
                    journal.confirm(stamp, said)
                journal.answer(stamp, p)
                if not early and said:
                    journal.confirm(stamp, said)
                if what == 2:
                    journal.engine.reset(5)
        for stamp in rng.permutation(len(frames)) + 1:
            first, then, _ = frames[stamp - 1]
            if then is not None:
                if learned:  # of two corrections the second one counts
                    correct(one, int(stamp), '')
                correct(one, int(stamp), then)
        wanted = other.engine.run.monitor.scores()
        found = one.engine.run.monitor.scores()
        found['counts'] = {name: n for name, n in found['counts'].items() if name != 'struck'}
        wanted['counts'], found['counts'] = (
            dict(sorted(part['counts'].items())) for part in (wanted, found))
        assert encode_state(found) == encode_state(wanted)
        assert encode_state(restored(one).to_state()) == encode_state(one.engine.run.to_state())


def line(journal, count=60, wrong=()):
    rng = np.random.default_rng(1)
    for stamp in range(1, count + 1):
        k = int(rng.integers(3))
        journal.answer(stamp, np.where(np.arange(3) == k, 0.96, 0.02), LABELS[k])
        journal.confirm(stamp, LABELS[(k + 1) % 3] if stamp in wrong else LABELS[k],
                        operator='Kim', nonce=f'nonce-{stamp}')
    return LABELS


@pytest.mark.parametrize('complete', [True, False])
@pytest.mark.parametrize('before', [0, 1])
def test_with_a_gate_what_is_corrected_is_scored_on_its_passage(tmp_path, complete, before):
    """Whichever frame of it is confirmed, before or after it, fit or not."""
    with JournalWriter(tmp_path / 'a.db', LABELS, passages=True, complete=complete) as one, (
            JournalWriter(tmp_path / 'b.db', LABELS, passages=True, complete=complete)) as other:
        for journal, said in ((one, 'hammer'), (other, 'wrench')):
            rng = np.random.default_rng(4)
            for first in range(100, 3300, 100):
                confirmed = int(rng.integers(4))
                unfit = int(rng.integers(3))
                journal.moment = first
                journal.engine.present(True, first)
                for place in range(4):
                    journal.moment = first + place + 1
                    if place == confirmed and before:
                        journal.confirm(journal.moment, said)
                    key = journal.answer(journal.moment, rng.dirichlet(np.ones(3)),
                                         'unknown:dark' if place < unfit else '')
                    if place == 0:
                        journal.engine.ask(key, Asked(0.5, 0.25), journal.moment)
                    if place == confirmed and not before:
                        journal.confirm(journal.moment, said)
                journal.engine.present(False, first + 6)
                journal.moment = first + 10
                journal.answer(journal.moment, [0.3, 0.3, 0.4])
        one.log.flush()
        with JournalReader(one.log.path) as reader:
            measured = [*reader.measured()]
            assert [found.nll for found in reader.confirmations()] == [
                found.nll for found in measured]
        assert len(measured) == 32
        scored = [found.nll for found in measured if found.outcome is Outcome.SCORED]
        assert np.mean(scored) == pytest.approx(one.engine.figures().nll)
        for found in measured:
            correct(one, found.stamp, 'wrench', number=found.number)
        assert scores(one) == scores(other)
        fits = [journal.engine.run.passages.fit() for journal in (one, other)]
        assert fits[0] == fits[1]
        assert fits[0].passages == 32
        assert encode_state(restored(one).to_state()) == encode_state(
            one.engine.run.to_state())


def test_nothing_but_what_is_corrected_changes(tmp_path):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal)
        before = scores(journal)
        (label,) = (found.label for found in reading(journal) if found.stamp == 30)
        assert correct(journal, 30, label) is Outcome.SCORED
        assert scores(journal) == before
        assert journal.engine.run.corrected == (10**9, None)


def reading(journal):
    journal.log.flush()
    with JournalReader(journal.log.path) as reader:
        return [*reader.confirmations()]


def test_an_alarm_of_wrong_labels_goes_with_them_and_frames_answered_meanwhile_stay(tmp_path):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 245, wrong=range(221, 246))
        monitor = journal.engine.run.monitor
        assert monitor.detector.alarm
        for stamp in range(221, 246):
            correct(journal, stamp, '')
        assert not monitor.detector.alarm
        assert monitor.figures().n == 220
        assert monitor.counts[Outcome.STRUCK] == 25


def test_who_reads_the_journal_reads_what_stands_and_what_was_said(tmp_path):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 3)
        stands = {found.stamp: found for found in reading(journal)}
        other = next(label for label in LABELS if label != stands[1].label)
        correct(journal, 1, other)
        correct(journal, 2, '')
        corrected, struck, same = reading(journal)
        assert (corrected.label, corrected.said, corrected.outcome) == (
            other, {stands[1].label: 1.0}, Outcome.SCORED)
        assert corrected.nll == pytest.approx(-np.log(0.02))
        assert corrected.correction.correction.operator == 'Zoë'
        assert (struck.outcome, struck.nll, struck.position) == (Outcome.STRUCK, None, None)
        assert (same.label, same.nll, same.correction) == (
            stands[3].label, stands[3].nll, None)
        with JournalReader(journal.log.path) as reader:
            assert [found.stamp for found in reader.measured()] == [1, 3]


def test_a_correction_that_is_delivered_again_happens_once(tmp_path):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 5)
        assert correct(journal, 2, '', 'once-0001') is Outcome.STRUCK
        before = encode_state(journal.engine.run.to_state())
        assert correct(journal, 2, '', 'once-0001') is Outcome.STRUCK
        assert encode_state(journal.engine.run.to_state()) == before
        with JournalReader(journal.log.path) as reader:
            assert len([*reader.rows("kind = 'corrected'")]) == 1


def test_a_confirmation_delivered_again_after_its_correction_is_the_old_one(tmp_path):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 5)
        (said,) = (found.label for found in reading(journal) if found.stamp == 2)
        correct(journal, 2, '')
        assert journal.confirm(2, said, operator='Kim', nonce='nonce-2') is Outcome.DUPLICATE
        assert len(reading(journal)) == 5


def test_what_cannot_be_corrected_is_refused_and_changes_nothing(tmp_path):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 3)
        journal.confirm(99, 'hammer')  # of no frame
        journal.confirm(1, 'anvil', operator='Bo')  # conflicts
        before = encode_state(journal.engine.run.to_state())
        for stamp, said, number, reason in (
                (1, 'hammer', 10**6, 'gone'), (2, 'hammer', number_of(journal, 1), 'gone'),
                (99, '', None, 'not_counted'),
                (1, 'hammer', number_of(journal, 1, Outcome.CONFLICTING), 'not_counted')):
            with pytest.raises(InvalidConfirmation) as refused:
                correct(journal, stamp, said, number=number)
            assert refused.value.reason == reason
        assert encode_state(journal.engine.run.to_state()) == before
        conflicting = number_of(journal, 1, Outcome.CONFLICTING)
        assert correct(journal, 1, '', number=conflicting) is Outcome.STRUCK
        assert encode_state(journal.engine.run.to_state()) == before
        assert [found.outcome for found in reading(journal) if found.number == conflicting] == [
            Outcome.STRUCK]


def test_a_confirmation_of_an_earlier_model_is_corrected_and_no_figure_changes(tmp_path):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 3)
        journal.log.flush()
        journal.reload('e' * 64)
        journal.answer(9, [0.2, 0.2, 0.6])
        journal.confirm(9, 'wrench')
        before = scores(journal)
        assert correct(journal, 1, 'anvil') is Outcome.NOVEL
        assert scores(journal) == before
        assert journal.engine.run.corrected is None
        assert next(found.label for found in reading(journal)) == 'anvil'


def test_where_older_confirmations_are_gone_the_figures_say_since_when(tmp_path):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 40)
        journal.moment = 77
        journal.log.flush()
        with closing(sqlite3.connect(journal.log.path)) as db:  # as retention leaves it
            (upto,) = db.execute("SELECT id FROM events WHERE stamp = 20 AND kind = 'confirmed'"
                                 ).fetchone()
            digest = db.execute('SELECT digest FROM events WHERE id = ?', (upto,)).fetchone()[0]
            db.execute("DELETE FROM events WHERE id <= ? AND kind <> 'began'", (upto,))
            db.execute('INSERT INTO pruned VALUES (2, ?, ?)', (upto, digest))
            db.execute('DELETE FROM snapshots')
            db.commit()
        correct(journal, 30, '')
        assert journal.engine.run.monitor.figures().n == 19
        assert journal.engine.run.corrected == (10**9, 0)


def test_what_is_confirmed_while_a_correction_is_computed_is_in_it(tmp_path, monkeypatch):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal, JournalWriter(
            tmp_path / 'b.db', LABELS) as other:
        for one in (journal, other):
            line(one, 20)
            for stamp in (50, 51, 52):
                one.answer(stamp, [0.2, 0.2, 0.6])
        number = number_of(journal, 3)

        def meanwhile(where, *rest):
            journal.confirm(50, 'wrench')
            journal.log.flush()  # it can be read, too, and counts once
            plan = journal_planned(where, *rest)
            journal.confirm(51, 'hammer')
            return plan
        journal_planned = engine.planned
        monkeypatch.setattr(engine, 'planned', meanwhile)
        correct(journal, 3, '', number=number)
        monkeypatch.undo()
        correct(other, 3, '')
        other.confirm(50, 'wrench')
        other.confirm(51, 'hammer')
        assert scores(journal) == scores(other)
        assert json.loads(scores(journal))['n'] == 21


def test_a_confirmation_that_comes_at_the_end_of_a_correction_is_kept(tmp_path, monkeypatch):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        journal.answer(1, (0.9, 0.05, 0.05))
        begun, ends = Event(), Event()

        def refuse(*arguments):
            begun.set()
            assert ends.wait(90)
            raise InvalidConfirmation('gone', 'there is no such confirmation')
        monkeypatch.setattr(engine, 'planned', refuse)

        def correct_one():
            with pytest.raises(InvalidConfirmation):
                correct(journal, 1, 'wrench', number=17)
        thread = Thread(target=correct_one)

        class Ending(tuple):
            """It ends between two looks at what is to be told to it."""

            __slots__ = ()

            def __contains__(self, outcome):
                ends.set()
                thread.join(1.0)
                return super().__contains__(outcome)
        monkeypatch.setattr(engine, 'SCORED', Ending(engine.SCORED))
        thread.start()
        assert begun.wait(90)
        assert journal.confirm(1, 'hammer') is Outcome.SCORED
        thread.join(90)
        assert number_of(journal, 1, Outcome.SCORED)


def test_frames_do_not_wait_for_the_disk_with_a_correction(tmp_path, monkeypatch):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 3)
        number, written, slow = number_of(journal, 2), journal.log.written(), Future()
        monkeypatch.setattr(journal.log, 'written', lambda: waited.set() or slow)
        waited = Event()
        thread = Thread(target=correct, args=(journal, 2, ''), kwargs={'number': number})
        thread.start()
        assert waited.wait(120)
        assert journal.engine.lock.acquire(timeout=120)
        journal.engine.lock.release()
        slow.set_result(written.result(120))
        thread.join(120)
        assert journal.engine.run.monitor.figures().n == 2


def test_what_a_correction_made_is_not_changed_by_what_follows(tmp_path, monkeypatch):
    """The log may write it later."""
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 30)
        appended, append = [], journal.log.append
        monkeypatch.setattr(journal.log, 'append', lambda run, event, *rest: (
            appended.append(event), append(run, event, *rest))[1])
        correct(journal, 3, '')
        made = appended[-1].anew
        kept = encode_state(made)
        for stamp in range(31, 60):
            journal.answer(stamp, [0.1, 0.1, 0.8])
            journal.confirm(stamp, 'hammer')
        assert encode_state(made) == kept


def test_a_struck_out_confirmation_is_no_example(tmp_path):
    with JournalWriter(tmp_path / 'a.db', LABELS) as journal:
        line(journal, 3)
        correct(journal, 1, '')
        counted = [found for found in reading(journal) if found.position is not None]
        assert [found.stamp for found in counted] == [2, 3]
