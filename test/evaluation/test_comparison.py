"""The verdict on two models, in one line."""

from tool_recognizer.evaluation.comparison import gate_line


def test_without_an_interval_no_gate_is_passed():
    nan = float('nan')
    assert gate_line({'identical': False, 'nll_difference_low': nan,
                      'nll_difference_high': nan}) == (
        'gate: not passed: no interval, a confirmed label was ruled out')
