"""With a gate a run's unit is the passage: one answer, one label, one request for each tool."""

import numpy as np
import pytest
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.correction import Correction
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.events import ConfirmationCorrected
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import PassageBegan
from tool_recognizer.core.events import PassageEnded
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.passage import combine
from tool_recognizer.core.passage import COUNTS
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.core.passage import UNFIT
from tool_recognizer.core.passages import Passages
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.run import Run
from tool_recognizer.event_log.rows import decode
from tool_recognizer.event_log.rows import decode_state
from tool_recognizer.event_log.rows import encode
from tool_recognizer.event_log.rows import encode_state
from tool_recognizer.event_log.rows import Row

LABELS = ('hammer', 'screwdriver', 'wrench')
SHADOW_LABELS = ('wrench', 'hammer', 'screwdriver')
RULES = PassageRules(0.9, 2, 0.25)
HAMMER, DOUBT, WRENCH = (0.8, 0.1, 0.1), (0.4, 0.3, 0.3), (0.1, 0.1, 0.8)


def monitor(labels=LABELS, **options):
    return Monitor(labels, DriftDetector(3, None), **{'window': 50, 'pending': 200} | options)


def make(**options):
    return Run('a', monitor(**options), EarlyWarning(3), Requests(10**6), 5, Comparison(
        monitor(SHADOW_LABELS), LABELS, ('a', 'b')), Passages(LABELS, RULES))


def key(stamp):
    return FrameKey(stamp, 'bench')


def predicted(stamp, probabilities, labels=LABELS, digest='a'):
    return Prediction(key(stamp), labels, np.log(np.array(probabilities)), NO_FEATURES, digest)


def answered(stamp, probabilities=HAMMER, part=COUNTS):
    return FrameAnswered(stamp, predicted(stamp, probabilities), 'hammer', part)


def shadowed(stamp, probabilities=HAMMER):
    return ShadowAnswered(stamp, predicted(stamp, probabilities, SHADOW_LABELS, 'b'))


def confirmed(stamp, label='hammer', moment=None):
    return FrameConfirmed(stamp if moment is None else moment,
                          Confirmation(key(stamp), {label: 1.0}, 'Zoë'))


def passage(first, *frames, ended=True):
    """Bring a passage whose frames have stamps from ``first`` on."""
    yield PassageBegan(first, 'present')
    for stamp, frame in enumerate(frames, first):
        yield answered(stamp, *(frame if isinstance(frame[0], tuple) else (frame,)))
    if ended:
        yield PassageEnded(first + len(frames), 'absent')


def fold(run, events):
    return [run.apply(event) for event in events][-1]


def correct(run, stamp, distribution, became, was=Outcome.SCORED):
    run.apply(ConfirmationCorrected(
        stamp, Correction(1, key(stamp), distribution), was, became,
        run.monitor.scores()))  # which are made elsewhere, and make no difference here


def test_the_fit_follows_a_correction():
    run, right = make(), make()
    for number in range(6):
        first, label = 10 * number, LABELS[number % 3]
        shown = {'hammer': HAMMER, 'wrench': WRENCH, 'screwdriver': DOUBT}[label]
        for one in run, right:
            fold(one, passage(first, shown, DOUBT, shown))
        run.apply(confirmed(first + 1, 'wrench'))
        right.apply(confirmed(first + 1, label))
    assert run.passages.fit() != right.passages.fit()
    for number in range(6):
        correct(run, 10 * number + 1, {LABELS[number % 3]: 1.0}, Outcome.SCORED)
    assert run.passages.fit() == right.passages.fit()
    # One that is struck out does not count, and does again when that is corrected.
    correct(run, 1, {}, Outcome.STRUCK)
    assert run.passages.fit().passages == 5
    run = Run.from_state(decode_state(encode_state(run.to_state())))
    assert run.passages.fit().passages == 5
    correct(run, 1, {'hammer': 1.0}, Outcome.SCORED, Outcome.STRUCK)
    assert run.passages.fit() == right.passages.fit()
    # Nor did a tool that the model does not have; what it is instead does.
    for one in run, right:
        fold(one, passage(70, HAMMER, DOUBT))
    run.apply(confirmed(70, 'anvil'))
    right.apply(confirmed(70, 'hammer'))
    assert run.passages.fit().passages == 6
    correct(run, 70, {'hammer': 1.0}, Outcome.SCORED, Outcome.NOVEL)
    assert run.passages.fit() == right.passages.fit()


def test_a_state_of_a_version_that_kept_no_keys_is_taken_over():
    run = make()
    for first in 10, 20:
        fold(run, passage(first, HAMMER, HAMMER))
        run.apply(confirmed(first, 'hammer'))
    state = run.to_state()
    for name in 'confirmed_stamps', 'confirmed_cameras', 'confirmed_frame_ids':
        del state['passages'][name]
    before = run.passages.fit()
    run = Run.from_state(state)
    assert run.passages.fit() == before
    assert Run.from_state(run.to_state()).passages.fit() == before


def test_any_frame_confirms_its_passage_and_a_passage_counts_once():
    run = make()
    fold(run, passage(10, HAMMER, HAMMER, DOUBT))
    settled = run.apply(confirmed(12))
    assert settled.outcome is Outcome.SCORED
    assert settled.confirmation.key == key(12)
    assert settled.prediction.key == key(10)
    assert settled.decision == 'hammer'
    # On the answer: two frames decided, the third came too late for it.
    answer = combine(2 * np.log(np.array(HAMMER)), 2, RULES.correlation)
    assert settled.nll == -answer[0]
    assert run.apply(confirmed(10)).outcome is Outcome.DUPLICATE
    assert run.apply(confirmed(11, 'wrench')).outcome is Outcome.CONFLICTING
    assert run.monitor.figures().n == 1
    assert run.passages.fit().passages == 1


def test_what_is_said_before_the_decision_is_scored_on_the_answer_so_far():
    run = make()
    fold(run, passage(10, DOUBT, ended=False))
    settled = run.apply(confirmed(10))
    assert (settled.outcome, settled.decision) == (Outcome.SCORED, '')
    assert settled.nll == pytest.approx(-np.log(0.4))
    run.apply(answered(11))
    assert run.apply(confirmed(11)).outcome is Outcome.DUPLICATE
    assert run.monitor.figures().n == 1


@pytest.mark.parametrize('part', [COUNTS, UNFIT])
@pytest.mark.parametrize('stamp', [10, 11])
def test_a_confirmation_that_comes_before_its_frame_waits_for_its_passage(stamp, part):
    run = make()
    assert run.apply(confirmed(stamp)).outcome is Outcome.UNMATCHED
    settled = [run.apply(event) for event in passage(
        10, (DOUBT, part) if stamp == 10 else DOUBT,
        (DOUBT, part) if stamp == 11 else DOUBT, DOUBT)]
    outcomes = [one.outcome for one in settled if one is not None]
    assert outcomes == [Outcome.SCORED]
    assert run.monitor.figures().n == 1
    assert run.monitor.counts[Outcome.UNMATCHED] == 0


def test_a_frame_between_two_passages_confirms_neither():
    run = make()
    fold(run, passage(10, HAMMER, HAMMER))
    fold(run, [answered(12, part='')])
    fold(run, passage(13, WRENCH, WRENCH))
    settled = run.apply(confirmed(12))
    assert (settled.outcome, settled.prediction) == (Outcome.OUTSIDE, None)
    assert run.monitor.figures().n == 0
    assert run.apply(confirmed(10)).nll == pytest.approx(run.apply(
        confirmed(14, 'wrench')).nll)


def test_one_that_came_before_a_frame_between_two_passages_confirms_neither():
    run = make()
    run.apply(confirmed(12))
    fold(run, passage(10, HAMMER, HAMMER))
    settled = run.apply(answered(12, part=''))
    assert settled.outcome is Outcome.OUTSIDE
    assert run.monitor.counts[Outcome.UNMATCHED] == 0


def test_frames_that_share_their_stamp_with_those_of_another_passage_confirm_none():
    run = make()
    for _ in range(2):
        fold(run, [PassageBegan(1, 'present'), answered(0), answered(0),
                   PassageEnded(3, 'absent')])
    assert run.passages.decided == 0  # nor is anything decided by a stamp that stands still
    assert run.apply(confirmed(0)).outcome is Outcome.AMBIGUOUS


def test_a_recording_that_starts_again_is_confirmed_anew():
    run = make()
    for _ in range(2):
        fold(run, passage(10, HAMMER, HAMMER))
        assert run.apply(confirmed(11)).outcome is Outcome.SCORED
    assert run.monitor.figures().n == 2


def test_a_frame_that_is_asked_for_asks_for_its_passage():
    run = make(complete=False)
    fold(run, passage(10, HAMMER, HAMMER, HAMMER))
    run.apply(FrameAsked(12, key(11), Asked(0.25)))
    settled = run.apply(confirmed(12))
    assert (settled.outcome, settled.asked) == (Outcome.SCORED, Asked(0.25))
    assert run.requests.answered == 1
    fold(run, passage(20, HAMMER, HAMMER))
    assert run.apply(confirmed(20)).outcome is Outcome.VOLUNTEERED


def test_a_shadow_model_is_compared_on_the_passage_too():
    run = make()
    run.apply(PassageBegan(1, 'present'))
    for stamp, part in ((1, COUNTS), (2, UNFIT), (3, COUNTS), (4, COUNTS)):
        run.apply(answered(stamp, HAMMER, part))
        run.apply(shadowed(stamp, (0.2, 0.6, 0.2)))
    run.apply(PassageEnded(5, 'absent'))
    settled = run.apply(confirmed(4))
    shadow = combine(2 * np.log(np.array((0.2, 0.6, 0.2))), 2, RULES.correlation)
    assert run.comparison.difference().n == 1
    assert run.comparison._pairs.to_state().tolist() == [
        pytest.approx([-shadow[1], settled.nll, 1.0])]


def test_the_shadow_model_answers_the_frame_that_ends_a_passage_too():
    run = make()
    run.apply(PassageBegan(1, 'present'))
    run.apply(answered(1, DOUBT))
    run.apply(shadowed(1, (0.2, 0.6, 0.2)))
    run.apply(answered(2, HAMMER))
    run.apply(PassageEnded(2, 'answered'))
    run.apply(shadowed(2, (0.2, 0.6, 0.2)))
    run.apply(confirmed(1))
    shadow = combine(2 * np.log(np.array((0.2, 0.6, 0.2))), 2, RULES.correlation)
    assert run.comparison._pairs.to_state()[0][0] == pytest.approx(-shadow[1])


def test_a_passage_without_a_frame_that_counts_has_no_answer_to_score():
    run = make()
    fold(run, passage(10, (HAMMER, UNFIT)))
    assert run.apply(confirmed(10)).outcome is Outcome.UNMATCHED
    assert (run.passages.undecided, run.passages.empty) == (1, 1)


def line(count=900, seed=3):
    """Bring passages and what can happen between, out of step with each other."""
    rng = np.random.default_rng(seed)
    for stamp in range(1, count):
        if rng.random() < 0.06:
            yield PassageBegan(stamp, 'present')
        if rng.random() < 0.06:
            yield PassageEnded(stamp, 'absent')
        at = stamp - int(rng.integers(1, 60)) if rng.random() < 0.02 else stamp
        yield answered(at, tuple(rng.dirichlet([0.3] * 3)),
                       ('', COUNTS, COUNTS, UNFIT)[rng.integers(4)])
        if rng.random() < 0.7:
            yield shadowed(at, tuple(rng.dirichlet([0.5] * 3)))
        if rng.random() < 0.1:
            yield FrameAsked(stamp, key(at), Asked(0.5, 0.5))
        if rng.random() < 0.4:
            yield confirmed(stamp - int(rng.integers(-1, 5)), LABELS[rng.integers(3)], stamp)


def test_the_same_events_make_the_same_state_and_a_state_or_a_row_goes_on_anywhere():
    straight, carried = make(), make()
    for number, event in enumerate(line(), 1):
        settled = straight.apply(event)
        row = Row._make((number, 1, *encode(event, settled), b''))
        assert repr(carried.apply(decode(row, carried))) == repr(settled)
        if number % 7 == 0:
            before = encode_state(carried.to_state())
            assert before == encode_state(straight.to_state())
            carried = Run.from_state(decode_state(before))
    assert encode_state(carried.to_state()) == encode_state(straight.to_state())
    assert carried.passages.fit() == straight.passages.fit()
    assert straight.monitor.figures().n > 30
    assert straight.comparison.difference().n > 10
    assert straight.passages.decided > 5
    assert straight.passages.contradicted > 0


def test_why_passages_ended_is_counted_and_kept():
    run = make()
    fold(run, passage(10, HAMMER, HAMMER))
    fold(run, [PassageBegan(20, 'present'), PassageEnded(30, 'too_long')])
    fold(run, passage(40, WRENCH))
    state = run.to_state()
    assert Run.from_state(state).passages.ends == {'absent': 2, 'too_long': 1}
    del state['passages']['ends']  # a version before did not count them
    assert not Run.from_state(state).passages.ends


def test_what_is_kept_of_passages_is_bounded():
    run = make(pending=20)
    sizes = set()
    for number in range(60):
        fold(run, passage(10 * number, HAMMER, HAMMER, HAMMER))
        run.apply(confirmed(10 * number))
        if number >= 40:
            state = run.to_state()['passages']
            sizes.add((len(state['frame_numbers']), len(state['seen'])))
    assert sizes == {(20, 20)}


def test_a_run_without_a_gate_has_no_passages():
    run = Run('a', monitor(), EarlyWarning(3), Requests(100), 5)
    assert 'passages' not in run.to_state()
    with pytest.raises(ValueError, match='without a gate'):
        run.apply(PassageBegan(1, 'present'))
