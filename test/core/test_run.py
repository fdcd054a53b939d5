"""A run is a fold over events: the same events make the same state, and a state goes on."""

import numpy as np
import pytest
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampling
from tool_recognizer.core.events import FrameAnswered
from tool_recognizer.core.events import FrameAsked
from tool_recognizer.core.events import FrameConfirmed
from tool_recognizer.core.events import Noted
from tool_recognizer.core.events import RunBegan
from tool_recognizer.core.events import RunContinued
from tool_recognizer.core.events import RunReset
from tool_recognizer.core.events import SampleTaken
from tool_recognizer.core.events import ShadowAnswered
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.run import Run
from tool_recognizer.event_log.rows import decode_state
from tool_recognizer.event_log.rows import encode_state

LABELS = ('array', 'screwdriver', 'schlüssel')
SHADOW_LABELS = ('schlüssel', 'array', 'screwdriver')
CAMERA = 'Prüfstand 3 \u2013 カメラ'


def key(stamp, frame_id=CAMERA):
    return FrameKey(stamp, frame_id)


def monitor(labels=LABELS, **options):
    return Monitor(labels, DriftDetector(3, None), **{'window': 10, 'pending': 20} | options)


def make(comparison=True, **options):
    return Run('a', monitor(**options), EarlyWarning(3), Requests(100), 5, Comparison(
        monitor(SHADOW_LABELS), LABELS, ('a', 'b')) if comparison else None)


# Four pictures that come again and again.
PICTURES = np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)


def predicted(at, probabilities, labels=LABELS, digest='a'):
    with np.errstate(divide='ignore'):
        log_p = np.log(np.array(probabilities))
    picture = PICTURES[at.stamp // 8 % 4] if at.stamp % 13 else NO_FEATURES
    return Prediction(at, labels, log_p, picture, digest).without_features()


def answered(stamp, probabilities=(0.7, 0.2, 0.1), decision='array'):
    return FrameAnswered(stamp, predicted(key(stamp), probabilities), decision)


def shadowed(stamp, probabilities=(0.1, 0.8, 0.1)):
    return ShadowAnswered(stamp, predicted(key(stamp), probabilities, SHADOW_LABELS, 'b'))


def confirmed(stamp, label='array', moment=None):
    return FrameConfirmed(stamp if moment is None else moment,
                          Confirmation(key(stamp), {label: 1.0}, 'Zoë', '1'))


def events(count=300, seed=0):
    """Events of every kind, in an order that a line could bring, with infinite NLLs."""
    rng = np.random.default_rng(seed)
    for at in range(1, count):
        if at % 11 == 0:
            yield confirmed(at, LABELS[rng.integers(3)])
        p = rng.dirichlet([1, 1, 1])
        yield answered(at, (0.0, 0.5, 0.5) if at % 17 == 0 else p, LABELS[p.argmax()])
        if at % 3:
            yield FrameAsked(at, key(at), Asked(0.25 + 0.5 * rng.random(), 0.5))
        if at % 5:
            yield shadowed(at, rng.dirichlet([1, 1, 1]))
        if at % 2:
            yield confirmed(at - int(rng.integers(3)), (*LABELS, 'anvil')[rng.integers(4)], at)
        if at % 4 == 0:
            yield SampleTaken(at, Sampling(at, at, at + 5, None if at < 9 else np.ones(
                4, np.float32) * at), None if at % 8 else np.log(rng.dirichlet([1, 1, 1])))
    yield Noted(count, 'alarm', {'why': 'Prüfung'})


def state(run):
    return encode_state(run.to_state())


def again(run):
    return Run.from_state(decode_state(state(run)))


@pytest.mark.parametrize('complete', [True, False])
def test_the_same_events_make_the_same_state_and_a_state_goes_on_anywhere(complete):
    straight, carried = make(complete=complete), make(complete=complete)
    for number, event in enumerate(events()):
        assert repr(straight.apply(event)) == repr(carried.apply(event))
        if number % 7 == 0:
            carried = again(carried)
            assert state(carried) == state(straight)
    assert state(again(carried)) == state(straight)
    assert straight.monitor.figures().n > 50
    assert straight.comparison.difference().n > 30
    assert straight.monitor.figures_since(0).nll == np.inf
    assert straight.monitor.repeated > 5
    assert straight.monitor.detector.n > 5


def test_a_state_of_the_version_before_goes_on_without_the_pictures_that_it_did_not_keep():
    """It had no sketches, no setting for them, and no last tested pictures."""
    run = make()
    for event in events(100):
        run.apply(event)
    old = run.to_state()
    for part in (old['monitor'], old['comparison']['monitor']):
        del part['repeated'], part['pending']['sketches']
        part['settings'] = part['settings'][:-1]
    run = Run.from_state(decode_state(encode_state(old)))
    assert run.monitor.repeated == 0
    for event in [*events(200)][-200:]:
        run.apply(event)
    assert run.monitor.repeated > 0


def test_nothing_in_a_state_changes_with_the_run():
    run = make()
    first, *rest = list(events())
    run.apply(first)
    for event in rest[:300]:
        taken = run.to_state()
        before = encode_state(taken)
        run.apply(event)
        assert encode_state(taken) == before


def test_a_run_does_not_begin_within_a_run():
    run = make()
    before = state(run)
    with pytest.raises(TypeError, match='RunBegan'):
        run.apply(RunBegan(1, 'start', 'a', LABELS, {}))
    assert state(run) == before


def test_a_confirmation_is_settled_with_its_prediction_and_the_decision_of_its_frame():
    run = make()
    run.apply(answered(1, decision='unknown:dark'))
    run.apply(FrameAsked(1, key(1), Asked(0.5)))
    settled = run.apply(confirmed(1, 'screwdriver', 7))
    assert (settled.outcome, settled.decision) == (Outcome.SCORED, 'unknown:dark')
    assert settled.nll == pytest.approx(-np.log(0.2))
    assert run.confirmed_at == 7
    assert run.apply(confirmed(1, 'screwdriver', 8)).nll is None
    assert run.confirmed_at == 7


def test_an_early_confirmation_is_settled_with_its_frame():
    run = make(complete=False)
    early = confirmed(3)
    assert run.apply(early).outcome is Outcome.UNMATCHED
    assert run.confirmed_at is None
    assert run.apply(answered(1)) is None
    run.apply(FrameAsked(2, key(3), Asked(0.25)))
    settled = run.apply(answered(3))
    assert settled.confirmation == early.confirmation
    assert (settled.outcome, settled.asked) == (Outcome.SCORED, Asked(0.25))
    assert settled.nll == pytest.approx(-np.log(0.7))
    assert settled.decision == 'array'
    assert run.confirmed_at == 3
    # The shadow model is scored on it as soon as it has answered the frame, too.
    assert again(run).comparison.difference().n == 0
    run = again(run)
    run.apply(shadowed(3))
    assert run.comparison._pairs.to_state().tolist() == [
        pytest.approx([-np.log(0.8), -np.log(0.7), 4.0])]


def test_where_all_is_scored_a_request_has_no_weight():
    run = make(complete=True)
    run.apply(answered(1))
    run.apply(FrameAsked(1, key(1), Asked(0.25)))
    assert run.requests.open == 1
    assert run.apply(confirmed(1)).asked is None


def test_requests_are_answered_or_expire_when_the_next_frame_comes():
    run = make()
    for stamp in (1, 2, 50):
        run.apply(answered(stamp))
        run.apply(FrameAsked(stamp, key(stamp), Asked(0.5)))
    run.apply(confirmed(2))
    run = again(run)
    run.apply(answered(110))
    requests = run.requests
    assert (requests.asked, requests.answered, requests.expired, requests.open) == (3, 1, 1, 1)


def test_a_start_with_other_settings_goes_on_with_them():
    run = make()
    nlls = []
    for stamp in range(1, 31):
        window = {11: 4, 21: 15}.get(stamp)
        if window:
            settings = run.settings
            run.apply(RunContinued(stamp, settings._replace(
                monitor=settings.monitor._replace(window=window, minimum=2), run_length=50.0,
                expire_after=9)))
            run = again(run)
        p = 0.1 + 0.025 * stamp
        run.apply(answered(stamp, (p, 1.0 - p, 0.0)))
        run.apply(confirmed(stamp))
        nlls.append(-np.log(p))
        size = stamp if stamp < 11 else 4 if stamp < 21 else min(stamp - 16, 15)
        assert run.monitor.figures().window == size
        assert run.monitor.figures().nll == pytest.approx(np.mean(nlls[-size:]))
    assert run.settings.monitor.minimum == 2
    assert (run.warning.run_length, run.requests.expire_after) == (50.0, 9)


def test_fewer_pending_predictions_forget_the_oldest():
    run = make()
    for stamp in range(1, 11):
        run.apply(answered(stamp))
    settings = run.settings
    run.apply(RunContinued(11, settings._replace(monitor=settings.monitor._replace(pending=3))))
    assert run.apply(confirmed(7)).outcome is Outcome.UNMATCHED
    assert run.apply(confirmed(8)).outcome is Outcome.SCORED


def test_a_reset_begins_figures_and_tests_anew_and_what_waits_still_waits():
    run = make()
    for event in events(60):
        run.apply(event)
    run.apply(answered(100))
    run.apply(shadowed(100))
    assert run.alarm_kept
    run.apply(RunReset(101))
    assert (run.monitor.figures().n, run.warning.n_samples, run.alarm_kept) == (0, 0, False)
    assert run.comparison.difference().n == 0
    assert run.apply(confirmed(100)).outcome is Outcome.SCORED
    assert run.comparison.difference().n == 1


def test_without_a_shadow_model_its_answers_change_nothing():
    run = make(comparison=False)
    run.apply(answered(1))
    before = state(run)
    run.apply(shadowed(1))
    assert state(run) == before
    assert again(run).comparison is None


@pytest.mark.parametrize('damage', [
    lambda s: s.pop('monitor'), lambda s: s['monitor'].pop('detector'),
    lambda s: s['monitor'].update(settings=[1, 2]),
    lambda s: s['monitor']['counts'].update(scorad=1),
    lambda s: s['monitor'].update(early=[[1, 'camera', {'array': 2.0}, '', '']]),
    lambda s: s['comparison'].update(labels=['hammer', 'anvil', 'wrench'])])
def test_a_damaged_state_is_refused(damage):
    damaged = make().to_state()
    damage(damaged)
    with pytest.raises((LookupError, TypeError, ValueError)):
        Run.from_state(decode_state(encode_state(damaged)))
