"""The verdict on two models, in one line."""

import pytest
from tool_recognizer.evaluation.comparison import gate_also
from tool_recognizer.evaluation.comparison import gate_line

NAN = float('nan')


def test_without_an_interval_no_gate_is_passed():
    assert gate_line({'identical': False, 'nll_difference_low': NAN,
                      'nll_difference_high': NAN}) == (
        'gate: not passed: no interval, a confirmed label was ruled out')


@pytest.mark.parametrize(('low', 'high', 'bursts', 'passed'), [
    (-0.3, -0.1, 20, True), (-0.1, 0.1, 20, True), (0.1, 0.3, 20, False), (NAN, NAN, 20, False),
    (0.1, 0.1, 1, True), (0.1, 0.3, 5, True)])
def test_who_is_worse_on_confirmed_frames_does_not_pass(low, high, bursts, passed):
    against = {'frames': 40, 'bursts': bursts, 'nll_difference_low': low,
               'nll_difference_high': high}
    for before in (True, False):
        verdict = gate_also({'passed': before, 'words': 'gate: as it is', 'new': []}, against)
        assert verdict['passed'] == (before and passed)
        assert '40 confirmed frames' in verdict['words']
        assert verdict['confirmed']['frames'] == 40
        assert verdict['new'] == []
