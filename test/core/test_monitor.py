"""What becomes of confirmations, and what the window says, against a recomputation by hand."""

from dataclasses import replace

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import InvalidConfirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.drift import Reference
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import CANNOT_SEE
from tool_recognizer.core.monitor import EARLY_CONFIRMATIONS
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.monitor import Status
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.event_log.rows import encode_state

LABELS = ('hammer', 'screwdriver', 'wrench')
SECOND = 1_000_000_000


def key(seconds, frame_id='camera'):
    return FrameKey(int(seconds * SECOND), frame_id)


def predicted(at, probabilities=(0.1, 0.2, 0.7)):
    with np.errstate(divide='ignore'):
        log_p = np.log(np.array(probabilities))
    return Prediction(at, LABELS, log_p, np.zeros(1, np.float32), 'digest')


def says(at, label='wrench'):
    return Confirmation(at, label if isinstance(label, dict) else {label: 1.0})


def reference(n=400):
    rng = np.random.default_rng(5)
    log_p = log_softmax(rng.normal(0.0, 2.0, (n, 3)))
    truth = [rng.choice(3, p=np.exp(row)) for row in log_p]
    return Reference(log_p, np.eye(3)[truth])


def make(**options):
    return Monitor(LABELS, DriftDetector(3, reference()), **options)


def test_worked_example():
    monitor = make()
    monitor.expect(predicted(key(1), (0.1, 0.2, 0.7)))
    assert monitor.confirm(says(key(1))) is Outcome.SCORED
    figures = monitor.figures()
    assert figures.n == 1
    assert figures.nll == pytest.approx(0.3567, abs=5e-5)
    assert figures.kl == pytest.approx(figures.nll)
    assert figures.entropy == 0.0
    assert figures.accuracy == 1.0


def test_a_confirmation_is_joined_to_exactly_its_frame():
    monitor = make()
    monitor.expect(predicted(key(1), (0.9, 0.05, 0.05)))
    monitor.expect(predicted(key(1, 'other camera'), (0.05, 0.05, 0.9)))
    monitor.expect(predicted(key(1 + 1e-9), (0.05, 0.9, 0.05)))
    assert monitor.confirm(says(key(1), 'hammer')) is Outcome.SCORED
    assert monitor.figures().nll == pytest.approx(-np.log(0.9))


def test_the_same_confirmation_twice_counts_once():
    monitor = make()
    monitor.expect(predicted(key(1)))
    monitor.confirm(says(key(1)))
    assert monitor.confirm(says(key(1), {'wrench': 1.0, 'hammer': 0.0})) is Outcome.DUPLICATE
    assert monitor.figures().n == 1


def test_another_confirmation_of_the_same_frame_is_a_conflict_and_the_first_stands():
    monitor = make()
    monitor.expect(predicted(key(1)))
    monitor.confirm(says(key(1), 'wrench'))
    assert monitor.confirm(says(key(1), 'hammer')) is Outcome.CONFLICTING
    assert monitor.figures().nll == pytest.approx(-np.log(0.7))


def test_a_label_that_the_model_does_not_have_is_told_apart_and_never_scored():
    monitor = make()
    monitor.expect(predicted(key(1)))
    assert monitor.confirm(says(key(1), {'wrench': 0.5, 'pliers': 0.5})) is Outcome.NOVEL
    assert monitor.figures().n == 0
    assert monitor.confirm(says(key(1), {'wrench': 0.5, 'pliers': 0.5})) is Outcome.DUPLICATE


def test_a_confirmation_sixty_seconds_later_is_late_and_scored():
    monitor = make(late_after=10 * SECOND)
    for at in range(61):
        monitor.expect(predicted(key(at)))
    assert monitor.confirm(says(key(0))) is Outcome.LATE
    assert monitor.confirm(says(key(60))) is Outcome.SCORED
    assert monitor.figures().n == 2


def test_a_confirmation_may_come_before_the_answer():
    monitor = make()
    assert monitor.confirm(says(key(1))) is Outcome.UNMATCHED
    assert monitor.confirm(says(key(1))) is Outcome.DUPLICATE
    assert monitor.confirm(says(key(1), 'hammer')) is Outcome.CONFLICTING
    assert monitor.expect(predicted(key(1))) is Outcome.SCORED
    assert monitor.counts[Outcome.UNMATCHED] == 0
    assert monitor.figures().nll == pytest.approx(-np.log(0.7))


def test_unmatched_confirmations_do_not_pile_up_and_push_none_out():
    monitor = make()
    for at in range(EARLY_CONFIRMATIONS):
        assert monitor.confirm(says(key(at))) is Outcome.UNMATCHED
    late = key(EARLY_CONFIRMATIONS)
    assert monitor.confirm(says(late)) is Outcome.NO_ROOM
    assert monitor.confirm(says(key(0))) is Outcome.DUPLICATE
    assert monitor.expect(predicted(key(0))) is Outcome.SCORED
    assert monitor.confirm(says(late)) is Outcome.UNMATCHED
    assert monitor.expect(predicted(late)) is Outcome.SCORED
    assert monitor.counts[Outcome.NO_ROOM] == 1


def test_unmatched_confirmations_that_the_camera_has_long_passed_make_room():
    monitor = make()
    for at in range(EARLY_CONFIRMATIONS):
        monitor.confirm(says(key(at)))
    monitor.expect(predicted(key(10_000)))
    assert monitor.confirm(says(key(10_001))) is Outcome.UNMATCHED


def test_a_frame_whose_prediction_left_the_store_is_unmatched():
    monitor = make(pending=2)
    for at in range(3):
        monitor.expect(predicted(key(at)))
    assert monitor.confirm(says(key(0))) is Outcome.UNMATCHED
    assert monitor.confirm(says(key(1))) is Outcome.SCORED


def test_a_confirmed_frame_that_the_capacity_forgets_is_scored_anew_only_if_shown_anew():
    monitor = make(pending=3)
    for at in (1, 2, 3):
        monitor.expect(predicted(key(at)))
    for at in (3, 1, 2):
        monitor.confirm(says(key(at)))
    monitor.expect(predicted(key(4)))
    monitor.confirm(says(key(4)))  # now 3 was confirmed longest ago, but not answered
    assert monitor.confirm(says(key(3))) is Outcome.DUPLICATE
    assert monitor.confirm(says(key(3), 'hammer')) is Outcome.CONFLICTING
    assert monitor.figures().n == 4
    monitor.expect(predicted(key(3)))
    assert monitor.confirm(says(key(3), 'hammer')) is Outcome.SCORED
    assert monitor.figures().n == 5


def test_a_frame_out_of_order_makes_no_confirmed_frame_countable_twice():
    monitor = make()
    for at in (1, 2, 3):
        monitor.expect(predicted(key(at)))
    monitor.confirm(says(key(3)))
    monitor.expect(predicted(key(1.5)))
    assert monitor.confirm(says(key(3))) is Outcome.DUPLICATE
    assert monitor.confirm(says(key(3), 'hammer')) is Outcome.CONFLICTING
    assert monitor.confirm(says(key(2))) is Outcome.SCORED
    monitor.expect(predicted(key(3)))
    assert monitor.confirm(says(key(3), 'hammer')) is Outcome.SCORED
    assert monitor.figures().n == 3


def test_a_recording_that_starts_again_shows_new_frames():
    monitor = make()
    for _ in range(2):
        for at in (1, 2, 3):
            monitor.expect(predicted(key(at)))
            assert monitor.confirm(says(key(at))) is Outcome.SCORED
    assert monitor.figures().n == 6
    # But a frame that only came in late is not confirmed anew.
    monitor.expect(predicted(key(2.5)))
    assert monitor.confirm(says(key(2))) is Outcome.DUPLICATE


@pytest.mark.parametrize('distribution', [
    {}, {'wrench': 0.9}, {'wrench': 1.2, 'hammer': -0.2}, {'wrench': float('nan')}])
def test_what_is_not_a_distribution_is_no_confirmation(distribution):
    with pytest.raises(InvalidConfirmation):
        Confirmation(key(1), distribution)


def test_an_infinite_nll_shows_and_leaves_with_the_window():
    monitor = make(window=3)
    for at, probabilities in enumerate([(0.5, 0.5, 0.0), *[(0.2, 0.2, 0.6)] * 3]):
        monitor.expect(predicted(key(at), probabilities))
        monitor.confirm(says(key(at)))
        if at < 3:
            assert monitor.figures().nll == np.inf
            assert monitor.figures().kl == np.inf
            assert monitor.figures().worst_label == 'wrench'
    assert monitor.figures().nll == pytest.approx(-np.log(0.6))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.lists(st.floats(-8, 8), min_size=3, max_size=3),
                          st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(
                              lambda q: sum(q) > 0.01)),
                min_size=1, max_size=12), st.integers(2, 6))
def test_figures_are_a_recomputation_over_the_last_of_the_window(stream, window):
    monitor = make(window=window)
    log_p, q = [], []
    for at, (logits, weights) in enumerate(stream):
        row, share = log_softmax(logits), np.array(weights) / sum(weights)
        monitor.expect(Prediction(key(at), LABELS, row, np.zeros(1, np.float32), ''))
        monitor.confirm(says(key(at), dict(zip(LABELS, share, strict=True))))
        log_p.append(row)
        q.append(share)
    last_p, last_q = np.array(log_p[-window:]), np.array(q[-window:])
    with np.errstate(divide='ignore', invalid='ignore'):
        h = -np.where(last_q > 0, last_q * np.log(last_q), 0).sum(axis=1)
        mean_q = last_q.mean(axis=0)
        marginal = np.where(mean_q > 0, mean_q * np.log(mean_q / np.exp(last_p).mean(axis=0)),
                            0).sum()
    ce = -(last_q * last_p).sum(axis=1)
    figures = monitor.figures()
    assert figures.n == len(stream)
    assert figures.window == min(window, len(stream))
    assert figures.nll == pytest.approx(ce.mean(), abs=1e-12)
    assert figures.cross_entropy == figures.nll
    assert figures.entropy == pytest.approx(h.mean(), abs=1e-12)
    assert figures.kl == pytest.approx(figures.cross_entropy - figures.entropy, abs=1e-12)
    assert figures.kl_ci_low <= figures.kl <= figures.kl_ci_high
    assert figures.marginal_kl == pytest.approx(marginal, abs=1e-9)
    hit = last_q[np.arange(len(last_q)), last_p.argmax(axis=1)]
    assert figures.accuracy == pytest.approx(hit.mean())


def confirm_many(monitor, count, start=0, probabilities=(0.02, 0.03, 0.95)):
    for at in range(start, start + count):
        monitor.expect(predicted(key(at), probabilities))
        monitor.confirm(says(key(at)))


def test_nothing_is_called_in_control_before_it_is_known():
    monitor = make(minimum=5)
    assert monitor.status(stale=False) is Status.TOO_FEW_LABELS
    confirm_many(monitor, 4)
    assert monitor.status(stale=False) is Status.TOO_FEW_LABELS
    confirm_many(monitor, 1, start=4)
    assert monitor.status(stale=False) is Status.IN_CONTROL
    assert monitor.status(stale=True) is Status.STALE


def test_labels_that_the_test_did_not_get_do_not_make_it_green():
    monitor = make(minimum=5, complete=False)
    for at in range(20):
        monitor.ask(key(at), Asked(1.0, 1e-9))
    confirm_many(monitor, 20)
    assert monitor.figures().n == 20
    assert monitor.status(stale=False) is Status.TOO_FEW_LABELS


def test_without_a_reference_it_is_learning():
    monitor = Monitor(LABELS, DriftDetector(3, None), minimum=5)
    confirm_many(monitor, 10)
    assert monitor.status(stale=False) is Status.LEARNING


def test_wrong_answers_in_a_row_are_drift_and_a_reset_starts_a_new_run():
    monitor = make(minimum=5)
    confirm_many(monitor, 200, probabilities=(0.98, 0.01, 0.01))
    assert monitor.status(stale=False) is Status.DRIFT
    assert monitor.status(stale=True) is Status.DRIFT
    assert monitor.figures().worst_label == 'wrench'
    monitor.expect(predicted(key(1000)))
    monitor.reset()
    assert monitor.status(stale=False) is Status.TOO_FEW_LABELS
    assert monitor.figures().n == 0
    assert sum(monitor.counts.values()) == 0
    # What was answered before the reset can still be confirmed.
    assert monitor.confirm(says(key(1000))) is Outcome.SCORED


def test_a_confirmation_before_its_frame_and_a_reset_is_still_unmatched_until_its_answer_comes():
    monitor = make()
    monitor.confirm(says(key(1)))
    monitor.reset()
    assert monitor.counts[Outcome.UNMATCHED] == 1
    assert monitor.expect(predicted(key(1))) is Outcome.SCORED
    assert monitor.counts[Outcome.UNMATCHED] == 0


def test_a_monitor_of_a_state_is_what_it_was_and_goes_on_as_it_would_have():
    rng = np.random.default_rng(2)
    first = make(window=20, pending=30, complete=False)
    for at in range(50):
        if at % 3:
            first.ask(key(at), Asked(0.5, 0.5))
        first.confirm(says(key(at + 2, 'early'), LABELS[rng.integers(3)]))
        first.expect(predicted(key(at), rng.dirichlet([1, 1, 1])))
        first.confirm(says(key(at - at % 2), LABELS[rng.integers(3)]))
    second = Monitor.from_state(first.to_state(), 'digest')
    assert second.figures() == first.figures()
    for monitor in (first, second):
        monitor.expect(predicted(key(2, 'early')))
        assert monitor.confirm(says(key(48), 'wrench')) in (
            Outcome.DUPLICATE, Outcome.CONFLICTING)
        confirm_many(monitor, 30, start=60)
    assert repr(second.to_state()) == repr(first.to_state())


def test_a_state_does_not_change_with_its_monitor():
    monitor = make(window=3)
    confirm_many(monitor, 2)
    state = monitor.to_state()
    before = repr(state)
    confirm_many(monitor, 5, start=2, probabilities=(0.5, 0.2, 0.3))
    monitor.expect(predicted(key(99)))
    assert repr(state) == before


@pytest.mark.parametrize('window', [5, 15])
def test_another_window_keeps_what_fits_and_fills_up_with_what_comes(window):
    costs = 0.1 + 0.8 * np.random.default_rng(4).random(30)
    monitor = make(window=10)
    for at, p in enumerate(costs):
        if at == 23:
            monitor.adopt(monitor.settings._replace(window=window))
        monitor.expect(predicted(key(at), (0.0, 1.0 - p, p)))
        monitor.confirm(says(key(at)))
        kept = 10 if at < 23 else window if window == 5 else 10 + at - 22
        last = costs[:at + 1][-min(kept, window if at >= 23 else 10):]
        assert monitor.figures().window == len(last)
        assert monitor.figures().nll == pytest.approx(-np.log(last).mean())


def test_asked_frames_count_with_the_inverse_of_their_probability():
    monitor = make(complete=False)
    costs = {1: 0.9, 2: 0.5, 3: 0.1}
    for at, (p, share) in enumerate(((0.9, 0.1), (0.5, 0.4), (0.1, 0.8)), start=1):
        monitor.ask(key(at), Asked(share))
        monitor.expect(predicted(key(at), (0.0, 1.0 - p, p)))
        assert monitor.confirm(says(key(at))) is Outcome.SCORED
    weights, nlls = np.array([10.0, 2.5, 1.25]), -np.log(list(costs.values()))
    figures = monitor.figures()
    assert figures.nll == pytest.approx(np.average(nlls, weights=weights))
    assert figures.kl == pytest.approx(figures.cross_entropy - figures.entropy, abs=1e-12)
    assert figures.effective_n == pytest.approx(weights.sum() ** 2 / (weights ** 2).sum())
    assert figures.accuracy == pytest.approx(10.0 / 13.75)  # of equals, the first


def test_equal_weights_change_nothing():
    rng = np.random.default_rng(3)
    plain, asked = make(window=40), make(window=40, complete=False)
    for at in range(60):
        probabilities, word = rng.dirichlet([1, 1, 1]), says(key(at), LABELS[rng.integers(3)])
        for monitor in (plain, asked):
            if monitor is asked:
                monitor.ask(key(at), Asked(0.25))
            monitor.expect(predicted(key(at), probabilities))
            monitor.confirm(word)
    assert asked.figures() == plain.figures()
    assert encode_state(asked.detector.to_state()) == encode_state(plain.detector.to_state())


def test_what_is_volunteered_is_kept_apart_where_frames_are_asked_for():
    monitor = make(complete=False)
    monitor.expect(predicted(key(1)))
    assert monitor.confirm(says(key(1))) is Outcome.VOLUNTEERED
    assert monitor.confirm(says(key(1))) is Outcome.DUPLICATE
    assert monitor.figures().n == 0
    assert monitor.counts[Outcome.VOLUNTEERED] == 1


def test_a_frame_that_is_asked_for_again_is_not_the_first_to_be_forgotten():
    monitor = make(complete=False, pending=2)
    for at in (1, 2, 1, 3):
        monitor.ask(key(at), Asked(0.5))
        monitor.expect(predicted(key(at)))
    assert monitor.confirm(says(key(1))) is Outcome.SCORED


def test_doubted_frames_that_are_asked_more_often_do_not_feed_the_test_more_often():
    monitor = make(complete=False)
    fed = []
    monitor.detector.update = lambda log_p, q, number: fed.append(log_p)
    for at in range(2000):
        monitor.ask(key(at), Asked(0.5, 0.1))
        monitor.expect(predicted(key(at)))
        monitor.confirm(says(key(at)))
    assert monitor.figures().n == 2000
    assert 150 < len(fed) < 250


def test_what_an_operator_cannot_see_is_skipped():
    monitor = make()
    monitor.expect(predicted(key(1)))
    assert monitor.confirm(says(key(1), CANNOT_SEE)) is Outcome.SKIPPED
    assert monitor.confirm(says(key(1), 'wrench')) is Outcome.CONFLICTING
    assert monitor.figures().n == 0


def test_ranges_of_time():
    monitor = make(window=5)
    for at in range(20):
        p = 0.9 if at < 10 else 0.5
        monitor.expect(predicted(key(at), (0.0, 1.0 - p, p)))
        monitor.confirm(says(key(at), {'wrench': 0.9, 'screwdriver': 0.1}))
    late = monitor.figures_since(10 * SECOND)
    assert late.n == 10
    assert late.nll == pytest.approx(-np.log(0.5))
    assert late.kl == pytest.approx(late.cross_entropy - late.entropy, abs=1e-12)
    assert monitor.figures_since(0).n == 20  # further back than the window
    assert monitor.figures_since(0).nll < late.nll
    assert monitor.figures_since(99 * SECOND).n == 0
    monitor.reset()
    assert monitor.figures_since(0).n == 0


def test_coverage_of_the_answer_sets():
    monitor = make(set_threshold=-np.log(0.15))
    for at, label in enumerate(('wrench', 'screwdriver', 'hammer', 'wrench')):
        monitor.expect(predicted(key(at), (0.1, 0.2, 0.7)))
        monitor.confirm(says(key(at), label))
    assert monitor.figures().coverage == 0.75
    assert monitor.figures().set_size == 2.0
    assert np.isnan(make().figures().coverage)


def test_an_empty_window_has_no_figures():
    figures = make().figures()
    assert (figures.n, figures.window) == (0, 0)
    assert np.isnan([figures.nll, figures.kl, figures.marginal_kl, figures.accuracy]).all()


def test_stamps_of_0_are_joined_to_no_frame_and_conflict_with_nothing():
    monitor = make()
    monitor.expect(predicted(key(0)))
    for label in ('wrench', 'hammer', 'wrench', 'hammer'):
        assert monitor.expect(predicted(key(0))) is None
        assert monitor.pending(key(0)) is None
        assert monitor.confirm(says(key(0), label)) is Outcome.AMBIGUOUS
    assert monitor.figures().n == 0
    assert monitor.counts == {Outcome.AMBIGUOUS: 4}


def test_a_stamp_that_stands_still_names_none_of_its_frames():
    monitor = make()
    for probabilities in ((0.9, 0.05, 0.05), (0.05, 0.05, 0.9), (0.9, 0.05, 0.05)):
        monitor.expect(predicted(key(5), probabilities))
    for label in ('hammer', 'wrench', 'hammer'):
        assert monitor.confirm(says(key(5), label)) is Outcome.AMBIGUOUS
    # When the clock goes on, so do the confirmations.
    monitor.expect(predicted(key(6)))
    assert monitor.confirm(says(key(6))) is Outcome.SCORED
    assert monitor.figures().n == 1


def test_what_was_scored_before_the_stamp_stood_still_stays_scored_once():
    monitor = make()
    monitor.expect(predicted(key(5)))
    assert monitor.confirm(says(key(5))) is Outcome.SCORED
    monitor.expect(predicted(key(5), (0.9, 0.05, 0.05)))
    assert monitor.confirm(says(key(5), 'hammer')) is Outcome.AMBIGUOUS
    assert monitor.figures().nll == pytest.approx(-np.log(0.7))
    # Two cameras whose stamps are the same are told apart by their frame_id.
    monitor.expect(predicted(key(5, 'other camera')))
    assert monitor.confirm(says(key(5, 'other camera'))) is Outcome.SCORED


def test_stamps_that_go_back_every_other_frame_are_each_joined_to_their_own_frame():
    monitor = make()
    for at in range(100, 140):
        for stamp, probabilities in ((at, (0.05, 0.05, 0.9)), (at - 50.5, (0.9, 0.05, 0.05))):
            monitor.expect(predicted(key(stamp), probabilities))
        assert monitor.confirm(says(key(at))) is Outcome.SCORED
        assert monitor.confirm(says(key(at - 50.5), 'hammer')) in (Outcome.SCORED, Outcome.LATE)
    assert monitor.figures().n == 80
    assert monitor.figures().nll == pytest.approx(-np.log(0.9))


# -- repeated pictures ---------------------------------------------------------------------------

def seen(monitor, at, picture, label='wrench', noise=0.3):
    """Show a picture, as a camera does, and confirm it."""
    features = np.random.default_rng(picture).standard_normal(512)
    features += noise * np.random.default_rng((picture, at)).standard_normal(512)
    monitor.expect(replace(predicted(key(at)), features=features.astype(np.float32)))
    return monitor.confirm(says(key(at), label))


def test_a_repeated_picture_is_scored_and_counted_but_not_tested():
    monitor = make()
    for at in range(1, 7):
        assert seen(monitor, at, picture=1) is Outcome.SCORED
    assert (monitor.figures().n, monitor.detector.n, monitor.repeated) == (6, 1, 5)
    seen(monitor, 7, picture=2)
    seen(monitor, 8, picture=1)
    assert (monitor.figures().n, monitor.detector.n, monitor.repeated) == (8, 3, 5)
    monitor.reset()
    seen(monitor, 9, picture=1)
    assert (monitor.figures().n, monitor.detector.n, monitor.repeated) == (1, 1, 0)


def test_a_picture_is_repeated_only_under_its_own_label():
    monitor = make()
    for at, label in enumerate(('wrench', 'hammer', 'hammer', 'wrench'), 1):
        seen(monitor, at, picture=1, label=label)
    assert (monitor.detector.n, monitor.repeated) == (2, 2)


def test_where_all_pictures_look_alike_the_test_goes_on_more_slowly():
    monitor = make()
    for at in range(1, 111):
        seen(monitor, at, picture=1)
    assert (monitor.detector.n, monitor.repeated) == (10, 100)


def test_an_alarm_tells_its_moment_in_confirmed_frames_also_of_those_that_were_not_tested():
    monitor = make()
    rng = np.random.default_rng(3)
    for at in range(500):
        if at % 2 == 0:  # each picture comes twice
            p = np.exp(log_softmax(rng.normal(0.0, 2.0, (1, 3)))[0])
            true = int(p.argmin()) if at >= 400 else int(rng.choice(3, p=p))
            features = rng.standard_normal(512).astype(np.float32)
        monitor.expect(replace(predicted(key(at + 1), p), features=features))
        monitor.confirm(says(key(at + 1), LABELS[true]))
        if monitor.detector.alarm:
            break
    assert monitor.repeated > 100
    assert monitor.detector.change_at == pytest.approx(400, abs=20)
    # It says the same after a restart.
    assert Monitor.from_state(monitor.to_state(), 'digest').detector.change_at == (
        monitor.detector.change_at)


def test_repeated_pictures_are_tested_if_that_is_wanted_or_nothing_is_known_of_pictures():
    wanted, blind = make(skip_repeated=False), make()
    for at in range(1, 7):
        seen(wanted, at, picture=1)
        blind.expect(predicted(key(at)))
        blind.confirm(says(key(at)))
    assert wanted.detector.n == blind.detector.n == 6
    assert wanted.repeated == blind.repeated == 0
