"""Hall's interval covers where the symmetric one does not, and is never falsely tight."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import stats
from tool_recognizer.core.interval import effective_sample_size
from tool_recognizer.core.interval import hall_interval

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=40).filter(
    lambda x: np.std(x) > 1e-6 * (1.0 + np.max(np.abs(x))))


def skewed(rng, shape):
    """Like NLLs: most are nearly 0, a few are large; the mean is 0.15."""
    return np.where(rng.random(shape) < 0.1, rng.exponential(1.5, shape), 0.0)


def covers(ends, truth):
    return np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))


@pytest.mark.parametrize('count', [50, 100, 200, 400])
def test_it_covers_the_mean_of_skewed_values(count):
    x = skewed(np.random.default_rng(1), (2000, count))
    ours = covers(np.array([hall_interval(row) for row in x]), 0.15)
    half = stats.t.ppf(0.975, count - 1) * x.std(axis=1, ddof=1) / np.sqrt(count)
    symmetric = covers(np.column_stack([x.mean(axis=1) - half, x.mean(axis=1) + half]), 0.15)
    assert 0.925 <= ours <= 0.985
    assert ours > symmetric + (0.0 if count == 400 else 0.01)


def test_it_covers_the_mean_of_frames_asked_with_unequal_probability():
    rng = np.random.default_rng(2)
    ends = []
    for _ in range(1000):
        x = skewed(rng, 2000)
        chance = np.where(x > 0.0, 0.3, 0.1)
        asked = rng.random(2000) < chance
        ends.append(hall_interval(x[asked], weights=1.0 / chance[asked]))
    assert covers(np.array(ends), 0.15) >= 0.925


def test_it_is_the_formula():
    """Against the forward transformation: each end, studentised, is carried to -z or +z."""
    x = np.random.default_rng(3).exponential(size=60)
    low, high = hall_interval(x)
    n, m, z = len(x), x.mean(), stats.t.ppf(0.975, 59)
    a = stats.skew(x) / np.sqrt(n)
    for end, expected in ((low, z), (high, -z)):
        t = (m - end) / (x.std(ddof=1) / np.sqrt(n))
        transformed = t + a * t**2 / 3.0 + a**2 * t**3 / 27.0 + a / 6.0
        assert transformed == pytest.approx(expected, rel=1e-4)


def test_values_without_skewness_have_students_interval():
    x = np.concatenate([np.linspace(-1.0, 1.0, 9)])
    low, high = hall_interval(x, 0.9)
    expected = stats.t.interval(0.9, 8, 0.0, stats.sem(x))
    assert (low, high) == pytest.approx(expected, rel=1e-3)


@given(VALUES)
def test_the_mean_lies_inside_and_the_long_tail_is_the_longer_side(x):
    low, high = hall_interval(x)
    mean = np.mean(x)
    assert low < mean < high
    skewness = stats.skew(x)
    if abs(skewness) > 0.1:
        assert (high - mean > mean - low) == (skewness > 0.0)


@given(VALUES, st.floats(0.1, 10.0), st.floats(-5.0, 5.0))
def test_it_moves_and_scales_with_the_values(x, scale, shift):
    low, high = hall_interval(x)
    moved = hall_interval(np.array(x) * scale + shift)
    assert moved == pytest.approx((low * scale + shift, high * scale + shift), rel=1e-4, abs=1e-4)


@given(VALUES, st.floats(1e-3, 1e3))
def test_equal_weights_change_nothing(x, weight):
    assert hall_interval(x, weights=[weight] * len(x)) == pytest.approx(hall_interval(x))


@given(VALUES)
def test_more_confidence_is_wider(x):
    narrow, wide = hall_interval(x, 0.8), hall_interval(x, 0.95)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@pytest.mark.parametrize('x', [[], [0.3], [0.0] * 200, [0.1] * 7, [np.inf] * 3, [0.1, np.inf]])
def test_nothing_is_claimed_where_nothing_is_known(x):
    assert hall_interval(x) == (-np.inf, np.inf)


def test_an_infinite_value_opens_the_upper_end_only():
    x = [0.0, 0.1, 0.2, 0.5, 0.1, 3.0]
    low, high = hall_interval([*x, np.inf])
    assert high == np.inf
    assert low == hall_interval([*x, 3.0])[0]


@pytest.mark.parametrize(('arguments', 'message'), [
    (([0.1, np.nan],), 'nan'),
    (([0.1, -np.inf],), 'nan or -inf'),
    (([0.1, 0.2], 1.0), 'confidence'),
    (([0.1, 0.2], 0.95, [1.0]), 'as many weights'),
    (([0.1, 0.2], 0.95, [1.0, 0.0]), 'positive'),
])
def test_what_has_no_interval_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        hall_interval(*arguments)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30))
def test_weights_are_worth_between_one_value_and_all(weights):
    size = effective_sample_size(weights)
    assert 1.0 - 1e-9 <= size <= len(weights) + 1e-9
    assert effective_sample_size(np.full(len(weights), 3.0)) == pytest.approx(len(weights))
    assert effective_sample_size(np.array(weights) * 7.0) == pytest.approx(size)
