"""Hall's interval covers where the symmetric one does not, and is never falsely tight."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import stats
from tool_recognizer.core.calibration import auroc
from tool_recognizer.core.interval import auroc_interval
from tool_recognizer.core.interval import burst_means
from tool_recognizer.core.interval import effective_sample_size
from tool_recognizer.core.interval import hall_interval
from tool_recognizer.core.interval import share_interval
from tool_recognizer.core.interval import wilson_interval
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.means import mean_cost

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=40).filter(
    lambda x: np.std(x) > 1e-6 * (1.0 + np.max(np.abs(x))))


def skewed(rng, shape):
    """Like NLLs: most are nearly 0, a few are large; the mean is 0.15."""
    return np.where(rng.random(shape) < 0.1, rng.exponential(1.5, shape), 0.0)


def covers(ends, truth):
    return np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))


@pytest.mark.parametrize(('apart', 'm', 'n'), [(0.0, 10, 10), (1.0, 15, 60), (2.0, 40, 12),
                                               (3.0, 20, 20)])
def test_the_interval_of_an_area_covers_the_true_one(apart, m, n):
    """Normal scores: the true area is N(apart / sqrt 2)."""
    rng, truth = np.random.default_rng(4), stats.norm.cdf(apart / np.sqrt(2))
    ends = np.array([auroc_interval(auroc(rng.normal(apart, 1, m), rng.normal(0, 1, n)), m, n)
                     for _ in range(400)])
    assert covers(ends, truth) > 0.92
    assert np.all((ends[:, 0] >= 0.0) & (ends[:, 0] < ends[:, 1]) & (ends[:, 1] <= 1.0))


@pytest.mark.parametrize('count', [50, 100, 200, 400])
def test_it_covers_the_mean_of_skewed_values(count):
    x = skewed(np.random.default_rng(1), (2000, count))
    ours = covers(np.array([hall_interval(row) for row in x]), 0.15)
    half = stats.t.ppf(0.975, count - 1) * x.std(axis=1, ddof=1) / np.sqrt(count)
    symmetric = covers(np.column_stack([x.mean(axis=1) - half, x.mean(axis=1) + half]), 0.15)
    assert 0.925 <= ours <= 0.985
    assert ours > symmetric + (0.0 if count == 400 else 0.01)


@pytest.mark.parametrize('count', [50, 200, 1000])
@pytest.mark.parametrize(('draw', 'mean'), [
    (lambda rng, n: np.where(rng.random(n) < 0.001, 10.0, rng.exponential(5e-4, n)), 0.0105),
    (lambda rng, n: rng.lognormal(np.log(0.02), 2.0, n), 0.02 * np.exp(2.0)),
    (lambda rng, n: 0.1 * rng.pareto(2.5, n), 0.1 / 1.5),
], ids=['99.9 % right', 'lognormal', 'Pareto'])
def test_it_covers_the_mean_of_costs_too_rare_to_be_in_the_window(draw, mean, count):
    rng = np.random.default_rng(3)
    ends = np.array([mean_cost(draw(rng, count), np.ones(count), cost_of_surprise(3))[1:]
                     for _ in range(600)])
    # 0.94 and more; of 600 windows the share is off by 0.02 at times.
    assert covers(ends, mean) >= 0.92


def test_where_errors_were_seen_it_is_hardly_wider():
    rng = np.random.default_rng(4)
    rows = skewed(rng, (300, 400))
    width = np.median([np.subtract(*mean_cost(row, np.ones(400), cost_of_surprise(3))[:0:-1])
                       for row in rows])
    halls = np.median([high - max(low, 0.0) for low, high in map(hall_interval, rows)])
    assert halls < width < 1.15 * halls


def asked(rng, shape, unsure_chance, sure_chance):
    """Return costs and weights of confirmed frames: a sure model is seldom wrong, but dearly."""
    share = np.array([0.4 * unsure_chance, 0.6 * sure_chance])
    unsure = rng.random(shape) < share[0] / share.sum()
    wrong = rng.random(shape) < np.where(unsure, 0.2, 0.01)
    cost = np.where(unsure, 0.7 + 0.7 * rng.exponential(size=shape),
                    4.0 + rng.exponential(size=shape))
    return (np.where(wrong, cost, np.where(unsure, 0.3, 0.01)),
            1.0 / np.where(unsure, unsure_chance, sure_chance))


MEAN_OF_ASKED = 0.4 * (0.2 * 1.4 + 0.8 * 0.3) + 0.6 * (0.01 * 5.0 + 0.99 * 0.01)


@pytest.mark.parametrize('count', [50, 100, 200, 400])
@pytest.mark.parametrize('chances', [(0.6, 0.2), (0.5, 0.05)])
def test_it_covers_the_mean_of_frames_asked_with_unequal_probability(chances, count):
    x, w = asked(np.random.default_rng(2), (1500, count), *chances)
    ends = np.array([hall_interval(value, weights=weight)
                     for value, weight in zip(x, w, strict=True)])
    mean = np.average(x, axis=1, weights=w)
    error = np.sqrt(np.mean((w * (x - mean[:, np.newaxis]))**2, axis=1) / count) / w.mean(axis=1)
    symmetric = np.column_stack([mean - 1.96 * error, mean + 1.96 * error])
    assert 0.91 <= covers(ends, MEAN_OF_ASKED) <= 0.99
    assert covers(ends, MEAN_OF_ASKED) > covers(symmetric, MEAN_OF_ASKED) + 0.02
    # Nor does it cover by width: 95 % of the windows' means lie in such a range.
    assert np.mean(ends[:, 1] - ends[:, 0]) < 2.0 * np.diff(np.quantile(mean, [0.025, 0.975]))


def test_both_ends_of_a_weighted_interval_miss_equally_often():
    """Without the term for the ratio, the upper end would miss twice as often as the lower."""
    rng = np.random.default_rng(3)
    below = above = 0
    for _ in range(3000):
        x = rng.random(600)
        chance = 0.1 + 0.9 * x
        kept = rng.random(600) < chance
        low, high = hall_interval(x[kept][:200], weights=1.0 / chance[kept][:200])
        below, above = below + (high < 0.5), above + (low > 0.5)
    assert 40 <= below <= 110
    assert 40 <= above <= 110
    assert abs(below - above) <= 35


def test_a_window_that_saw_no_costly_frame_of_large_weight_allows_for_one():
    x = np.array([2.0] * 12 + [0.3] * 48 + [0.0] * 40)
    w = np.array([1.0] * 60 + [4.0] * 40)
    seen = x.copy()
    seen[-1] = 2.0
    assert hall_interval(x, weights=w)[1] > np.average(seen, weights=w) * 1.2


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


def test_with_weights_it_is_the_formula_too():
    """The frame not seen has each value with each weight: here they are all written out."""
    rng = np.random.default_rng(4)
    x, w = rng.exponential(size=50), rng.uniform(1.0, 9.0, 50)
    low, high = hall_interval(x, weights=w)
    w /= w.mean()
    n, m, z = len(x), np.average(x, weights=w), stats.t.ppf(0.975, 49)
    d = x - m
    second, third = (
        np.average([np.mean((w * d)**p), np.mean(np.outer(w, d)**p)],
                   weights=[effective_sample_size(np.abs(d)**p), 1.0]) for p in (2, 3))
    a = third / second**1.5 / np.sqrt(n)
    c = a - 3.0 * np.mean(w**2 * d) / np.sqrt(second * n)
    for end, expected in ((low, z), (high, -z)):
        t = (m - end) / np.sqrt(second / (n - 1))
        transformed = t + c * t**2 / 3.0 + c**2 * t**3 / 27.0 + a / 6.0
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
    assert hall_interval(x, weights=[weight] * len(x)) == hall_interval(x)


@given(VALUES, st.integers(0, 2**32 - 1), st.floats(0.0, 10.0), st.floats(1e-3, 1e3))
def test_the_weighted_mean_lies_inside_and_only_the_ratio_of_weights_counts(x, seed, spread,
                                                                            scale):
    w = np.exp(spread * np.random.default_rng(seed).standard_normal(len(x)))
    low, high = hall_interval(x, weights=w)
    slack = 1e-9 * np.max(np.abs(x))
    assert low - slack < np.average(x, weights=w) < high + slack
    assert hall_interval(x, weights=scale * w) == pytest.approx((low, high), rel=1e-6, abs=slack)


@given(VALUES)
def test_more_confidence_is_wider(x):
    narrow, wide = hall_interval(x, 0.8), hall_interval(x, 0.95)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@pytest.mark.parametrize('x', [[], [0.3], [0.0] * 200, [0.1] * 7, [np.inf] * 3, [0.1, np.inf]])
def test_nothing_is_claimed_where_nothing_is_known(x):
    assert hall_interval(x) == (-np.inf, np.inf)
    assert hall_interval(x, weights=np.arange(1.0, len(x) + 1.0)) == (-np.inf, np.inf)


def test_an_infinite_value_opens_the_upper_end_only():
    x = [0.0, 0.1, 0.2, 0.5, 0.1, 3.0]
    low, high = hall_interval([*x, np.inf])
    assert high == np.inf
    assert low == hall_interval([*x, 3.0])[0]
    w = [1.0, 5.0, 1.0, 1.0, 5.0, 5.0, 2.0]
    low, high = hall_interval([*x, np.inf], weights=w)
    assert high == np.inf
    assert low == hall_interval([*x, 3.0], weights=w)[0]


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


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
       st.sampled_from([0.8, 0.95, 0.99]))
def test_a_shares_interval_is_scipys_of_wilson(counts, confidence):
    k, n = counts
    theirs = stats.binomtest(k, n).proportion_ci(confidence, method='wilson')
    assert wilson_interval(k / n, n, confidence) == pytest.approx(
        (theirs.low, theirs.high), abs=1e-12)
    if confidence == 0.95:
        assert share_interval(np.arange(n) < k, np.arange(n)) == pytest.approx(
            (theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize('n', [9, 30, 100, 1000])
def test_a_shares_interval_covers_it_as_often_as_it_promises(n):
    """Exactly, by the binomial law, in the mean over accuracies from 0.5 to 0.995."""
    shares = np.linspace(0.5, 0.995, 400)
    ends = np.array([wilson_interval(k / n, n) for k in range(n + 1)])
    covered = (ends[:, :1] <= shares) & (shares <= ends[:, 1:])
    chance = stats.binom.pmf(np.arange(n + 1)[:, np.newaxis], n, shares)
    assert 0.94 <= (chance * covered).sum(axis=0).mean() <= 0.965


def test_bursts_of_like_frames_do_not_narrow_the_interval():
    rng = np.random.default_rng(2)
    ours = plain = 0
    for _ in range(600):
        sizes = rng.integers(1, 12, 40)
        bursts = np.repeat(np.arange(40), sizes)
        right = rng.random(len(bursts)) < rng.beta(2.0, 0.5, 40)[bursts]
        low, high = share_interval(right, bursts)
        ours += low <= 0.8 <= high
        low, high = wilson_interval(right.mean(), len(right))
        plain += low <= 0.8 <= high
    assert plain / 600 < 0.8
    assert 0.92 <= ours / 600 <= 0.98


def test_one_burst_that_is_right_shows_little():
    assert share_interval([True] * 50, ['a'] * 50) == wilson_interval(1.0, 1)
    assert share_interval([True, False] * 25, ['a'] * 50) == wilson_interval(0.5, 1)
    assert np.isnan(share_interval([], [])).all()


def test_bursts_of_equal_size_are_plain_values():
    x = np.random.default_rng(3).exponential(1.0, 60)
    means, sizes = burst_means(x, np.arange(60) // 3)
    assert hall_interval(means, weights=sizes) == hall_interval(x.reshape(20, 3).mean(axis=1))
