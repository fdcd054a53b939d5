"""A shadow model is scored on what the model in charge is scored on, and on nothing else."""

import numpy as np
import pytest
from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.inspection import Asked
from tool_recognizer.core.monitor import EARLY_CONFIRMATIONS
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction

LABELS = ('hammer', 'screwdriver', 'wrench')
TURNED = ('wrench', 'hammer', 'screwdriver')


def predicted(stamp, labels, probabilities):
    return Prediction(FrameKey(stamp, 'camera'), labels, np.log(np.array(probabilities)),
                      np.zeros(0, np.float32), '')


def in_charge(stamp):
    return predicted(stamp, LABELS, (0.5, 0.3, 0.2))


def shadowed(stamp):
    return predicted(stamp, TURNED, (0.1, 0.8, 0.1))


def says(stamp, label='hammer'):
    return Confirmation(FrameKey(stamp, 'camera'), {label: 1.0})


def make(labels=TURNED):
    return Comparison(Monitor(labels, DriftDetector(len(labels), None)), LABELS, ('a', 'b'))


PAIR = [-np.log(0.8), -np.log(0.5)]


def pairs(comparison):
    return comparison._pairs.to_state().tolist()


@pytest.mark.parametrize('answered_first', [True, False])
def test_labels_in_another_order_are_compared_label_by_label(answered_first):
    comparison = make()
    if answered_first:
        comparison.expect(shadowed(1))
    comparison.confirm(says(1), in_charge(1), Outcome.SCORED, Asked(0.25))
    if not answered_first:
        assert pairs(comparison) == []
        comparison.expect(shadowed(1))
    assert pairs(comparison) == [pytest.approx([*PAIR, 4.0])]
    assert comparison.monitor.figures().nll == pytest.approx(PAIR[0])
    assert comparison.monitor.figures().accuracy == 1.0


@pytest.mark.parametrize('outcome', [
    Outcome.DUPLICATE, Outcome.CONFLICTING, Outcome.NOVEL, Outcome.SKIPPED, Outcome.VOLUNTEERED,
    Outcome.AMBIGUOUS])
def test_what_the_model_in_charge_is_not_scored_on_counts_for_neither(outcome):
    comparison = make()
    comparison.expect(shadowed(1))
    comparison.confirm(says(1), in_charge(1), outcome, None)
    comparison.expect(shadowed(1))
    assert pairs(comparison) == []
    assert comparison.monitor.figures().n == 0


def test_an_early_confirmation_counts_once_both_have_answered_its_frame():
    comparison = make()
    comparison.confirm(says(1), None, Outcome.UNMATCHED, None)
    comparison.settle(in_charge(1), Outcome.SCORED, None)
    comparison.expect(shadowed(1))
    comparison.confirm(says(2, 'anvil'), None, Outcome.UNMATCHED, None)
    comparison.settle(in_charge(2), Outcome.NOVEL, None)
    comparison.expect(shadowed(2))
    assert pairs(comparison) == [pytest.approx([*PAIR, 1.0])]


def test_confirmed_frames_that_the_shadow_never_answers_do_not_pile_up():
    comparison = make()
    for stamp in range(EARLY_CONFIRMATIONS + 1):
        comparison.confirm(says(stamp), in_charge(stamp), Outcome.SCORED, None)
    for stamp in (0, 1):
        comparison.expect(shadowed(stamp))
    assert len(pairs(comparison)) == 1  # the oldest left


def test_a_model_that_lacks_a_label_is_no_candidate():
    with pytest.raises(ValueError, match=r"it lacks \['wrench'\]"):
        make(('hammer', 'screwdriver', 'anvil'))


MORE = ('torx', *TURNED)


def shadowed_with_more(stamp):
    return predicted(stamp, MORE, (0.6, 0.05, 0.3, 0.05))


def test_what_a_new_label_takes_from_one_that_both_know_is_part_of_the_difference():
    comparison = make(MORE)
    comparison.expect(shadowed_with_more(1))
    comparison.confirm(says(1), in_charge(1), Outcome.SCORED, None)
    assert pairs(comparison) == [pytest.approx([-np.log(0.3), -np.log(0.5), 1.0])]
    assert comparison.own().n == 0


@pytest.mark.parametrize('answered_first', [True, False])
def test_a_label_that_the_candidate_alone_has_counts_for_it_alone(answered_first):
    comparison = make(MORE)
    if answered_first:
        comparison.expect(shadowed_with_more(1))
        comparison.confirm(says(1, 'torx'), in_charge(1), Outcome.NOVEL, None)
    else:
        comparison.confirm(says(1, 'torx'), None, Outcome.UNMATCHED, None)
        comparison.settle(in_charge(1), Outcome.NOVEL, None)
        comparison.expect(shadowed_with_more(1))
    # A second confirmation of the frame, and a label that neither has, count for nothing.
    comparison.confirm(says(1, 'torx'), in_charge(1), Outcome.NOVEL, None)
    comparison.expect(shadowed_with_more(2))
    comparison.confirm(says(2, 'anvil'), in_charge(2), Outcome.NOVEL, None)
    assert pairs(comparison) == []
    own = comparison.own()
    assert (own.n, own.accuracy, own.nll) == (1, 1.0, pytest.approx(-np.log(0.6)))
    assert own.accuracy_low < 1.0
    assert own.nll_low <= own.nll <= own.nll_high
    assert comparison.own_labels == ('torx',)
    again = Comparison.from_state(comparison.to_state())
    assert (again.own(), again.own_labels) == (own, ('torx',))
    comparison.reset()
    assert comparison.own().n == 0


def test_a_state_of_before_there_were_own_labels_goes_on():
    state = make().to_state()
    del state['own']
    assert Comparison.from_state(state).own().n == 0


def test_a_candidate_that_rules_its_own_label_out_pays_infinitely():
    comparison = make(MORE)
    with np.errstate(divide='ignore'):
        comparison.expect(predicted(1, MORE, (0.0, 0.5, 0.25, 0.25)))
    comparison.confirm(says(1, 'torx'), in_charge(1), Outcome.NOVEL, Asked(0.5))
    own = comparison.own()
    assert (own.n, own.accuracy, own.nll) == (1, 0.0, np.inf)
