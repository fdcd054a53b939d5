"""The laws behind the promise, on the class that ships."""

from itertools import pairwise
import json

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import stats
from tool_recognizer.core import drift
from tool_recognizer.core import rank_bets
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.drift import Reference
from tool_recognizer.core.information import kl_divergence
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.rank_bets import RankBets
from tool_recognizer.core.ranks import RankList
from tool_recognizer.core.ranks import Scored
from tool_recognizer.core.ranks import uniform
from tool_recognizer.core.recalibration import recalibrate
from tool_recognizer.core.recalibration import Recalibration


def frames(rng, count, labels=3, sharpness=1.0, spoilt=0.0):
    """Draw log p and one-hot labels of a calibrated model, or of one that is not."""
    z = 3.0 * (2.6 * np.eye(labels)[rng.integers(labels, size=count)]
               + rng.standard_normal((count, labels)))
    p = np.exp(log_softmax(z))
    truth = np.minimum((p.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1), labels - 1)
    z = z + 3.0 * spoilt * rng.standard_normal((count, labels))
    return log_softmax(sharpness * z), np.eye(labels)[truth]


def detector(rng, size=400, labels=3, **options):
    return DriftDetector(labels, Reference(*frames(rng, size, labels)), **options)


def feed(test, log_p, q):
    for row in range(len(q)):
        test.update(log_p[row], q[row])
    return test


def state(test):
    return json.dumps(test.to_state(), default=np.ndarray.tolist)


# --- the bets are fair ------------------------------------------------------------------------

@given(size=st.integers(1, 900), labels=st.integers(2, 12), label=st.integers(0, 11))
@settings(max_examples=60, deadline=None)
def test_every_bet_on_a_rank_pays_1_on_average(size, labels, label):
    bets = RankBets(tuple(range(0, labels, 2)))
    total = sum(bets.pay(label % labels, rank, size) for rank in range(size)) / size
    assert total == pytest.approx(np.ones(len(bets.names)), abs=1e-12)


def test_no_bet_can_lose_everything_and_the_weights_sum_to_1():
    bets = RankBets((0, 1, 2))
    assert min(bets.pay(0, rank, 500).min() for rank in range(500)) > 0.05
    assert bets.weights.sum() + rank_bets.SURPRISE_WEIGHT == pytest.approx(1.0)


@given(st.lists(st.floats(-30.0, 30.0), min_size=2, max_size=20), st.floats(0.3, 3.0),
       st.floats(1e-4, 0.5))
@settings(deadline=None)
def test_the_bet_on_surprise_pays_1_on_average_under_the_recalibrated_model(z, temperature, share):
    log_p, labels = log_softmax(z), len(z)
    fit = Recalibration(temperature, share)
    pays = [fit.likelihood_ratio(log_p, np.eye(labels)[k], 0.03) for k in range(labels)]
    assert fit.probabilities(log_p) @ np.array(pays) == pytest.approx(1.0, abs=1e-9)
    q = np.full(labels, 1.0 / labels)
    assert fit.likelihood_ratio(log_p, q, 0.03) == pytest.approx(np.mean(pays))


def test_fewer_surprises_than_the_recalibrated_model_allows_pay_less_than_1():
    rng = np.random.default_rng(3)
    fit = recalibrate(*frames(rng, 1000))
    log_p, q = frames(rng, 4000)
    assert np.mean([fit.likelihood_ratio(a, b, 0.03) for a, b in zip(log_p, q, strict=True)]) < 1.0


def test_recalibration_finds_temperature_and_surprises():
    rng = np.random.default_rng(4)
    log_p, q = frames(rng, 4000, sharpness=1.5)
    wrong = rng.random(4000) < 0.06
    q[wrong] = np.eye(3)[rng.integers(3, size=wrong.sum())]
    fit = recalibrate(log_p, q)
    assert fit.temperature == pytest.approx(1.5, rel=0.15)
    assert 0.04 < fit.surprise < 0.08
    assert fit.cautious.surprise == 2.0 * fit.surprise
    clean = recalibrate(*frames(rng, 4000))
    assert clean.temperature == pytest.approx(1.0, rel=0.1)
    assert clean.surprise < 0.01


def test_recalibration_bears_labels_that_were_ruled_out():
    log_p = np.log([[0.5, 0.5, 1e-300]] * 30)
    log_p[:, 2] = -np.inf
    q = np.eye(3)[[2, *([0] * 15), *([1] * 14)]]
    fit = recalibrate(log_p, q)
    assert 0.0 < fit.surprise < 0.5
    assert np.isfinite(fit.likelihood_ratio(log_p[0], q[0], 0.03))


# --- the ranks are uniform and independent ----------------------------------------------------

@pytest.mark.parametrize('distribution', ['heavy tail', 'many ties', 'mostly infinite'])
def test_ranks_are_uniform_and_independent_whatever_the_scores(distribution):
    """Over many short runs, so that the reference varies as well."""
    u, pairs = [], []
    for run in range(400):
        rng = np.random.default_rng([1, run])
        x = {'heavy tail': rng.pareto(0.5, 60), 'many ties': rng.integers(0, 3, 60) * 1.0,
             'mostly infinite': np.where(rng.random(60) < 0.7, np.inf, rng.random(60)),
             }[distribution]
        values = [Scored(float(s), uniform(run, i)) for i, s in enumerate(x)]
        ranked = RankList(values[:30], 40)
        ranks = []
        for i, value in enumerate(values[30:]):
            rank = ranked.insert(value)
            ranks.append((rank + rng.random()) / len(ranked))
            ranked.forget(uniform(run, i, 1))
        u += ranks
        pairs += list(pairwise(ranks))
    assert stats.kstest(u, 'uniform').pvalue > 1e-3
    table, *_ = np.histogram2d(*np.array(pairs).T, bins=4)
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_random_numbers_are_uniform_and_belong_to_their_counters():
    u = np.array([uniform(9, i, 0) for i in range(20000)])
    assert stats.kstest(u, 'uniform').pvalue > 1e-3
    v = np.array([uniform(9, i, 1) for i in range(20000)])
    assert abs(np.corrcoef(u, v)[0, 1]) < 0.03
    assert u.min() >= 0.0
    assert u.max() < 1.0
    # Neighbouring seeds have nothing in common.
    w = np.array([uniform(8, i, 0) for i in range(20000)])
    assert not np.isin(u, w).any()


@pytest.mark.parametrize('rounded', [False, True])
def test_the_evidence_of_the_ranks_grows_by_1_a_label_on_average(rounded):
    """
    R - t is a martingale: a few labels after the start the mean of each R is t.

    Rounded scores are tied by the dozen; labels confirmed at random change nothing.
    """
    final = []
    for run in range(800):
        rng = np.random.default_rng([3, run])
        log_p, q = frames(rng, 208)
        if rounded:
            log_p = log_softmax(np.round(log_p, 0))
        test = DriftDetector(3, Reference(log_p[:200], q[:200]), seed=run)
        feed(test, log_p[200:], q[200:])
        final.append(test.to_state()['ranks'])
    final = np.array(final)
    error = final.std(axis=0) / np.sqrt(len(final))
    assert np.all(np.abs(final.mean(axis=0) - 8.0) < 4.0 * error)
    assert np.all(error < 2.0)


def test_false_alarms_are_as_rare_as_promised():
    """P(alarm within n labels) <= n / A, here A = 100 and n = 50, over references and streams."""
    alarms = 0
    for run in range(250):
        rng = np.random.default_rng([4, run])
        test = detector(rng, size=200, threshold=100.0, seed=run)
        alarms += feed(test, *frames(rng, 50)).alarm
    # 125 would be the promise broken exactly in the mean; 4.5 standard deviations above it.
    assert alarms <= 125
    assert alarms > 0


# --- the statistic is what it says ------------------------------------------------------------

def recomputed(test):
    """Return all the statistics from the history alone: R_t = sum_j prod_{i=j..t} e_i."""
    bets, before = test._bets, {k: [] for k in range(3)}
    for _, label, ratio in test._reference:
        before[label].append(ratio)
    pays = []
    for o in test._history:
        seen = before[o.label]
        seen.append(o.surprise)
        pays.append([*bets.pay(o.label, o.rank, o.size), seen[-1] / np.mean(seen)])
    return np.cumprod(pays[::-1], axis=0).sum(axis=0)


def test_the_recursion_equals_the_sum_over_all_starts():
    rng = np.random.default_rng(5)
    test = feed(detector(rng), *frames(rng, 150))
    expected = recomputed(test)
    assert test._ranks == pytest.approx(expected[:-1], rel=1e-9)
    assert test._surprise == pytest.approx(expected[-1], rel=1e-9)
    assert test.evidence == pytest.approx(max(test._bets.weights @ expected[:-1],
                                              rank_bets.SURPRISE_WEIGHT * expected[-1]))


def test_the_evidence_of_surprise_grows_by_1_a_label_whatever_the_model_is():
    """The mean of R is t, for a model that is biased and a label with a heavy tail, too."""
    final = []
    for run in range(800):
        rng = np.random.default_rng([41, run])
        log_p, q = frames(rng, 230, spoilt=1.0)
        log_p = log_softmax(2.0 * log_p + [3.0, 0.0, 0.0])
        test = DriftDetector(3, Reference(log_p[:200], q[:200]), seed=run)
        final.append(feed(test, log_p[200:], q[200:]).to_state()['surprise'])
    error = np.std(final) / np.sqrt(len(final))
    assert abs(np.mean(final) - 30.0) < 4.0 * error
    assert error < 3.0


def test_the_score_of_a_soft_label_is_its_divergence():
    rng = np.random.default_rng(6)
    test = detector(rng)
    log_p, q = log_softmax([1.0, 0.0, -1.0]), np.array([0.5, 0.3, 0.2])
    value, label = test._scored(log_p, q)
    assert value.score == float(kl_divergence(q, log_p))
    assert label == 0


def test_a_label_that_was_ruled_out_is_the_highest_rank():
    rng = np.random.default_rng(7)
    test = detector(rng)
    log_p = np.array([-np.inf, -np.inf, 0.0])
    for _ in range(3):
        test.update(log_p, np.eye(3)[0])
    assert all(seen.rank <= 2 for seen in test._history)
    assert np.isfinite(test.evidence)
    assert state(DriftDetector.from_state(json.loads(state(test)))) == state(test)


@pytest.mark.parametrize(('log_p', 'q'), [
    ([-1.0, -1.0], [1.0, 0.0]),
    ([np.nan, -1.0, -1.0], [1.0, 0.0, 0.0]),
    ([-1.0, np.nan, -1.0], [1.0, 0.0, 0.0]),
    ([0.7, 0.2, 0.1], [1.0, 0.0, 0.0]),
    ([-1.0, -1.0, -1.0], [0.5, 0.0, 0.0]),
    ([-1.0, -1.0, -1.0], [np.nan, 0.0, 1.0]),
])
def test_what_cannot_be_scored_changes_nothing(log_p, q):
    test = detector(np.random.default_rng(8))
    before = state(test)
    with pytest.raises(ValueError, match=r'.'):
        test.update(np.array(log_p), np.array(q))
    assert state(test) == before


@pytest.mark.parametrize(('arguments', 'message'), [
    ({'labels': 3, 'threshold': 1.0}, 'threshold'),
    ({'labels': 3, 'threshold': float('nan')}, 'threshold'),
    ({'labels': 1}, 'at least 2 labels'),
    ({'labels': 3, 'reference': Reference(np.zeros((5, 2)), np.zeros((5, 2)))}, r'\(n, 3\)'),
])
def test_what_makes_no_test_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DriftDetector(**arguments)


# --- restart, reset, learning -----------------------------------------------------------------

@given(cut=st.integers(0, 260), size=st.sampled_from([0, 120, 300]), reset=st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_restart_at_any_point_changes_nothing(cut, size, reset):
    rng = np.random.default_rng(9)
    reference = Reference(*frames(rng, size)) if size else None
    log_p, q = frames(rng, 260, spoilt=0.6)
    straight = DriftDetector(3, reference, threshold=50.0)
    restarted = DriftDetector(3, reference, threshold=50.0)
    for at in range(260):
        if at == cut:
            restarted = DriftDetector.from_state(json.loads(state(restarted)))
        if reset and at == 200:
            straight.reset()
            restarted.reset()
        straight.update(log_p[at], q[at])
        restarted.update(log_p[at], q[at])
        assert straight.evidence == restarted.evidence
    assert state(straight) == state(restarted)


def test_the_same_labels_give_the_same_evidence():
    one, two = (feed(detector(np.random.default_rng(10)), *frames(np.random.default_rng(11), 99))
                for _ in range(2))
    assert state(one) == state(two)


def test_a_reset_keeps_the_reference_and_nothing_else():
    rng = np.random.default_rng(12)
    test = detector(rng, threshold=50.0)
    fresh = json.loads(state(test))
    feed(test, *frames(rng, 120, spoilt=2.0))
    assert test.alarm
    test.reset()
    assert (test.alarm, test.evidence, test.change_at, test.change_set, test.leading) \
        == (False, 0.0, None, None, '')
    assert not test.per_label.any()
    assert json.loads(state(test)) | {'serial': 0} == fresh | {'serial': 0}


@pytest.mark.parametrize('size', [0, 50, 199])
def test_a_small_reference_is_filled_up_with_the_first_labels(size):
    rng = np.random.default_rng(13)
    test = DriftDetector(3, Reference(*frames(rng, size)) if size else None)
    missing = drift.REFERENCE_LABELS - size
    log_p, q = frames(rng, missing)
    for at in range(missing):
        assert test.learning
        assert test.evidence == 0.0
        test.update(log_p[at], q[at])
    assert not test.learning
    test.reset()
    assert not test.learning
    feed(test, *frames(rng, 10))
    assert test.evidence > 0.0


def test_a_change_after_learning_is_dated_from_the_first_label():
    rng = np.random.default_rng(14)
    test = feed(DriftDetector(3), *frames(rng, 500))
    feed(test, *frames(rng, 200, spoilt=2.0))
    assert test.alarm
    assert 470 <= test.change_at <= 530


def easier(rng, count, **options):
    """Frames that the model is far surer of than of the reference's, and as often right."""
    log_p, q = frames(rng, count, **options)
    return log_softmax(np.where(q == 1.0, 2.0, 0.5) + 1.5 * log_p), q


def test_a_line_that_differs_from_the_photographs_raises_no_alarm_while_it_stays_as_it_is():
    alarms, against_photographs = 0, 0
    for run in range(15):
        rng = np.random.default_rng([30, run])
        reference = Reference(*frames(rng, 300))
        line = easier(rng, 700)
        alarms += feed(DriftDetector(3, reference, learn=True), *line).alarm
        against_photographs += feed(DriftDetector(3, reference), *line).alarm
    assert against_photographs > 10
    assert alarms <= 3


def test_a_line_is_learned_from_its_own_labels_only_however_few_photographs_there_are():
    rng = np.random.default_rng(39)
    alarms = 0
    for run in range(40):
        test = DriftDetector(3, Reference(*frames(rng, 150)), learn=True, seed=run)
        assert test.reference_size == 0
        alarms += feed(test, *easier(rng, 700)).alarm
    # The promise is a quarter, for the 500 labels after the first 200.
    assert alarms <= 10


def test_what_changes_on_such_a_line_is_found_and_dated():
    found = []
    for run in range(10):
        rng = np.random.default_rng([31, run])
        test = DriftDetector(3, Reference(*frames(rng, 300)), learn=True)
        feed(test, *easier(rng, 400))
        if not test.alarm:
            feed(test, *frames(rng, 100, spoilt=1.0))
            found.append(test.change_at)
            assert test.alarm
    assert len(found) >= 8
    assert np.median([abs(at - 400) for at in found]) <= 10


def test_while_the_line_is_learned_a_model_that_fails_is_found_all_the_same():
    rng = np.random.default_rng(32)
    test = DriftDetector(3, Reference(*frames(rng, 300)), learn=True)
    log_p, _ = frames(rng, 60)
    wrong = np.eye(3)[(log_p.argmax(axis=1) + 1) % 3]
    feed(test, log_p, wrong)
    assert test.learning
    assert test.alarm
    assert test.leading == 'surprise'
    date = test.change_at
    feed(test, *frames(rng, 300))
    assert not test.learning
    assert test.alarm
    assert test.change_at == date


@pytest.mark.parametrize('count', [0, 50, 199, 200, 201, 350])
def test_a_restart_changes_nothing_whether_the_line_is_learned_or_not(count):
    rng = np.random.default_rng(33)
    test = DriftDetector(3, Reference(*frames(rng, 300)), learn=True)
    log_p, q = frames(rng, 450)
    feed(test, log_p[:count], q[:count])
    again = DriftDetector.from_state(test.to_state())
    for one in (test, again):
        feed(one, log_p[count:], q[count:])
    assert state(again) == state(test)
    assert again.learning == test.learning


def test_a_strong_change_is_dated_to_a_few_labels_by_whatever_bet_finds_it():
    errors = []
    for run in range(60):
        rng = np.random.default_rng([34, run])
        test = feed(detector(rng, size=600), *frames(rng, 300))
        if not test.alarm:
            feed(test, *frames(rng, 60, spoilt=4.0))
            errors.append(abs(test.change_at - 300))
    assert len(errors) >= 50
    assert np.mean(np.array(errors) <= 30) >= 0.9


# --- what an alarm says -----------------------------------------------------------------------

def test_a_change_is_found_and_dated():
    found = []
    for run in range(20):
        rng = np.random.default_rng([15, run])
        test = detector(rng, size=1000)
        feed(test, *frames(rng, 300))
        if not test.alarm:
            feed(test, *frames(rng, 150, spoilt=1.2))
            found.append((test.alarm, test.change_at, test.change_set))
    assert len(found) >= 15
    assert all(alarm for alarm, _, _ in found)
    assert np.median([abs(at - 300) for _, at, _ in found]) <= 30
    assert np.mean([low <= 300 <= high for _, _, (low, high) in found]) >= 0.9
    assert all(low <= at <= high for _, at, (low, high) in found)


def test_the_set_covers_nine_in_ten_changes_and_is_narrow_where_the_change_is_plain():
    for change, width in (({'spoilt': 1.0}, 350), ({'spoilt': 2.5}, 160), ({'spoilt': 4.0}, 160),
                          ({'sharpness': 2.0}, 40)):
        sets = []
        for run in range(40):
            rng = np.random.default_rng([35, run])
            test = feed(detector(rng, size=600), *frames(rng, 300))
            if not test.alarm:
                feed(test, *frames(rng, 250, **change))
                sets.append(test.change_set)
        assert len(sets) >= 30
        assert np.mean([low <= 300 <= high for low, high in sets]) >= 0.9
        assert np.median([high - low for low, high in sets]) < width


def test_another_mix_of_tools_that_look_as_before_is_no_drift():
    alarms = 0
    for run in range(20):
        rng = np.random.default_rng([36, run])
        test = detector(rng, size=600, seed=run)
        log_p, q = frames(rng, 4000)
        few = rng.random(4000) < np.array([1.0, 0.1, 0.1])[q.argmax(axis=1)]
        alarms += feed(test, log_p[few][:600], q[few][:600]).alarm
    # The promise is 6 in 20 at most, on average.
    assert alarms <= 4


def test_over_confidence_is_called_so():
    rng = np.random.default_rng(16)
    test = detector(rng, size=1000)
    feed(test, *frames(rng, 100, sharpness=2.0))
    assert test.alarm
    assert test.leading == 'overconfident'


def test_the_label_that_changes_is_named():
    rng = np.random.default_rng(17)
    test = detector(rng, size=1000)
    log_p, q = frames(rng, 600)
    changed = (q[:, 1] == 1.0) & (rng.random(600) < 0.5)
    log_p[changed] = log_softmax(log_p[changed] - 6.0 * np.eye(3)[1])
    for at in range(600):
        test.update(log_p[at], q[at])
        if test.alarm:
            break
    assert test.alarm
    assert test.leading == 'label:1'
    assert test.per_label.argmax() == 1


def test_an_alarm_stays_and_its_date_with_it():
    rng = np.random.default_rng(18)
    test = feed(detector(rng), *frames(rng, 150, spoilt=2.0))
    assert test.alarm
    date = test.change_at, test.change_set, test.leading
    feed(test, *frames(rng, 300))
    assert test.alarm
    assert (test.change_at, test.change_set, test.leading) == date


def test_evidence_stays_finite_in_a_drift_that_nobody_ends():
    test = detector(np.random.default_rng(19))
    for _ in range(3000):
        test.update(np.log([0.98, 0.01, 0.01]), np.eye(3)[2])
    assert np.isfinite(test.evidence)
    json.dumps(test.to_state(), allow_nan=False, default=np.ndarray.tolist)


@pytest.mark.parametrize('labels', [2, 40, 1000])
def test_any_number_of_labels(labels):
    rng = np.random.default_rng(20)
    test = detector(rng, size=300, labels=labels)
    feed(test, *frames(rng, 60, labels))
    assert test.per_label.shape == (labels,)
    assert not test.alarm
    feed(test, *frames(rng, 200, labels, spoilt=3.0))
    assert test.alarm


def test_the_lists_stop_growing():
    rng = np.random.default_rng(21)
    values = [Scored(float(x), float(x)) for x in rng.random(500)]
    ranked = RankList(values[:100], 150)
    for i, value in enumerate(values[100:]):
        ranked.insert(value)
        ranked.forget(uniform(0, i))
        assert len(ranked) <= 150
    assert ranked.values == sorted(ranked.values)


def test_tools_that_come_in_batches_after_the_line_was_learned_are_no_drift():
    """The line is learned from one tool; the others come later, an easy one and a hard one."""
    alarms = 0
    for run in range(15):
        rng = np.random.default_rng([38, run])
        test = DriftDetector(3, Reference(*frames(rng, 300)), learn=True, seed=run)
        log_p, q = frames(rng, 4000)
        sure = log_p.max(axis=1) > np.log(0.999)
        for label, kind in ((0, True), (1, sure), (2, ~sure)):
            chosen = kind & (q[:, label] == 1.0)
            feed(test, log_p[chosen][:250], q[chosen][:250])
        alarms += test.alarm
    assert alarms <= 3


def test_a_state_of_the_version_before_goes_on_with_its_evidence():
    rng = np.random.default_rng(43)
    test = feed(detector(rng), *frames(rng, 80))
    known = json.loads(state(test))  # lists instead of arrays
    old = {k: v for k, v in known.items() if k != 'surprises'} | {
        'version': 3, 'ranks': known['ranks'][:1] + known['ranks'][2:],
        'reference': [row[:3] for row in known['reference']]}
    again = DriftDetector.from_state(old)
    assert again.n == 80
    assert again.to_state()['ranks'][0] == known['ranks'][0]
    assert again.to_state()['surprise'] == known['surprise']
    feed(again, *frames(rng, 60))
    assert not again.alarm
    feed(again, *frames(rng, 200, spoilt=2.0))
    assert again.alarm
    again.reset()
    assert not again.learning
    feed(again, *frames(rng, 20))


def test_a_state_of_another_version_of_the_test_is_refused():
    known = detector(np.random.default_rng(37)).to_state()
    with pytest.raises(ValueError, match='of version 1'):
        DriftDetector.from_state(known | {'version': 1})
