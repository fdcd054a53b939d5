"""
Confidence intervals: for the mean of skewed values, such as a window of NLLs, and for a share.

Most frames cost nearly nothing and a few cost a lot, so that the sample mean is skewed and
correlated with the sample's spread: a lucky window has both too small a mean and too small a
spread, and the symmetric interval then ends below the truth. Hall's transformation takes the
skewness out of the studentised mean first (P. Hall, On the removal of skewness by transformation,
Journal of the Royal Statistical Society B 54, 1992, pages 221-228). It has a closed form, in
three moments.

A weighted mean is a ratio, of which both parts are drawn, and its skewness has a term more. And
a costly frame of large weight is rare: many a window holds none, and would take its spread and
skewness from those of small weight alone. So these moments are drawn a little towards what they
would be if weights and values went together by chance.

A share, such as the accuracy, has Wilson's interval. It says something true of 9 frames of 9 that
are right, too, where the textbook's p +- 1.96 sqrt(p (1 - p) / n) is a point.

Frames of one burst show one object, and are no independent witnesses: the mean of each burst is
one value, weighted with its size (``burst_means``), and a share counts for as many frames as its
bursts are worth (``share_interval``). Not here: other dependence between the values.
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from tool_recognizer.core.information import Array

# Below this the skewness is too small to tell the transformation from the identity.
_NO_SKEWNESS = 1e-6


def hall_interval(values: ArrayLike, confidence: float = 0.95,
                  weights: ArrayLike | None = None) -> tuple[float, float]:
    """
    Confidence interval for a mean, corrected for skewness after Hall (1992).

    With n values of mean m, standard deviation s, skewness k, and a = k / sqrt(n)::

        low, high = m - s / sqrt(n) f(+z), m - s / sqrt(n) f(-z)
        f(z) = (3 / c) (cbrt(1 + c (z - a / 6)) - 1)

    where c = a, and z is the Student quantile of n - 1 degrees of freedom. With weights w, scaled
    to mean 1, m is sum(w x) / sum(w), s and k are those of the terms u = w (x - m), and

        c = a - 3 r / sqrt(n),  r = mean((w - 1) u) / s

    because the studentised ratio t has P(t <= z) = N(z) + (a / 6 + c z^2 / 3) N'(z) to first
    order, N being the normal distribution (by the method of P. Hall, The Bootstrap and Edgeworth
    Expansion, 1992, chapter 2).

    With unequal weights, few frames say how large the weights of the costly ones can be: with
    d = x - m, moment p is carried by v = sum(|d|^p)^2 / sum(|d|^2p) frames (Kish's formula, see
    ``effective_sample_size``). So to these v, as they were seen, comes one that was not, in which
    any value goes with any weight (a prior worth one observation, as R. E. Kass, L. Wasserman,
    Journal of the American Statistical Association 90, 1995, have it, centred at independence)::

        moment p of u = (v mean(u^p) + mean(w^p) mean(d^p)) / (v + 1),  p = 2, 3

    and |a| is at most 1, as in any sample. This widens the interval where no costly frame had a
    large weight, narrows it where a single such frame is all there is, and vanishes as n grows.

    The interval promises what it can know:

    - fewer than 2 values, or all of them equal: nothing is known of their spread, and the
      interval is (-inf, inf), never a point;
    - an infinite value: the upper end is inf; the lower end is the one that the window would
      have if the infinite values were as large as its largest finite one;
    - no end is nearer to the mean than the symmetric one on the side of the long tail, so a
      window that happens to hold no large value is not trusted below its own spread.

    Parameters
    ----------
    values : (n,) not nan and not -inf; nats for NLLs
    confidence : the share of windows whose interval covers the true mean, in (0, 1)
    weights : (n,) positive, 1 / (the probability with which each frame was asked for). Equal
        weights change nothing.

    Returns
    -------
    (low, high), in the unit of the values

    Raises
    ------
    ValueError
        A nan, -inf, a confidence outside (0, 1), or weights that are not positive, finite and
        as many as the values.

    >>> low, high = hall_interval([0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 4.0])
    >>> round(low, 2), round(high, 2)
    (-0.07, 4.29)
    >>> hall_interval([0.1, 0.1, 0.1])
    (-inf, inf)

    """
    x = np.asarray(values, dtype=np.float64).ravel()
    if not 0.0 < confidence < 1.0:
        raise ValueError(f'confidence must be between 0 and 1, got {confidence}')
    if np.any(np.isnan(x)) or np.any(x == -np.inf):
        raise ValueError('values must not be nan or -inf')
    w = np.ones(len(x)) if weights is None else _weights(weights, len(x))
    finite = x < np.inf
    if not np.any(finite):
        return -np.inf, np.inf
    high_is_open = not np.all(finite)
    x = np.where(finite, x, x[finite].max())
    n = len(x)
    if n < 2 or np.all(x == x[0]):
        return -np.inf, np.inf
    w = w / w.max()  # first, so that equal weights are exactly 1
    w = w / w.mean()
    mean = float((w * x).sum() / w.sum())
    d = x - mean
    size = np.abs(d) / np.abs(d).max()

    def moment(power: int) -> float:
        weight, deviation = w**power, d**power
        seen = float((weight * deviation).mean())
        by_chance = float(weight.mean() * deviation.mean())
        return seen + (by_chance - seen) / (1.0 + _kish(size**power))

    second = moment(2)
    if not second > 0.0:
        return -np.inf, np.inf
    error = float(np.sqrt(second / (n - 1)))
    z = _student(1.0 - (1.0 - confidence) / 2.0, n - 1)
    # No sample's own a reaches 1.
    a = min(max(moment(3) / second**1.5 / np.sqrt(n), -1.0), 1.0)
    c = a - 3.0 * float(((w - 1.0) * w * d).mean()) / np.sqrt(n * second)
    upper, lower = _hall(z, a, c), _hall(-z, a, c)
    # The long tail's end is at least as far as the symmetric one.
    if c > 0.0:
        lower = min(lower, -z)
    elif c < 0.0:
        upper = max(upper, z)
    return mean - error * upper, (np.inf if high_is_open else mean - error * lower)


def wilson_interval(share: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """
    Confidence interval for a probability, of the share of n trials that came true.

    The probabilities p that a normal test does not reject, |share - p| <= z sqrt(p (1 - p) / n)
    (E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of
    the American Statistical Association 22, 1927, pages 209-212; why this one: L. D. Brown, T. T.
    Cai, A. DasGupta, Interval estimation for a binomial proportion, Statistical Science 16, 2001,
    pages 101-133)

    Parameters
    ----------
    share : in [0, 1]
    n : trials, above 0; need not be whole, see ``share_interval``
    confidence : in (0, 1)

    Returns
    -------
    (low, high) in [0, 1]

    >>> low, high = wilson_interval(1.0, 9)
    >>> round(low, 3), high
    (0.701, 1.0)

    """
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2.0)**2
    middle = share + z2 / (2.0 * n)
    half = float(np.sqrt(z2 * (share * (1.0 - share) + z2 / (4.0 * n)) / n))
    whole = 1.0 + z2 / n
    # At the ends the exact value, which rounding would miss.
    return (0.0 if share == 0.0 else (middle - half) / whole,
            1.0 if share == 1.0 else (middle + half) / whole)


def share_interval(came_true: ArrayLike, bursts: ArrayLike) -> tuple[float, float]:
    """
    95 % interval for a share of frames that come in bursts.

    Wilson's, for as many independent frames as these are worth: n over the design effect, which is
    the variance of the share between bursts by that between as many single frames (L. Kish, Survey
    Sampling, 1965; into Wilson's interval: E. L. Korn, B. I. Graubard, Confidence intervals for
    proportions with small expected number of positive counts estimated from survey data, Survey
    Methodology 24, 1998). Bursts of one frame are worth their number exactly. Where all frames
    agree there is no variance to tell, and a burst is worth one frame.

    Parameters
    ----------
    came_true : (n,) true or false, or the probability that it is; what varies less than true and
        false do has a narrower interval than this one
    bursts : (n,) the burst of each, by any name

    Returns
    -------
    (low, high); (nan, nan) without frames

    >>> share_interval([True] * 90, [0] * 30 + [1] * 30 + [2] * 30) == wilson_interval(1.0, 3)
    True

    """
    x = np.asarray(came_true, dtype=np.float64)
    n = len(x)
    if n == 0:
        return float('nan'), float('nan')
    share, (means, sizes) = float(x.mean()), burst_means(x, bursts)
    k = len(sizes)
    worth = float(n)
    if share in (0.0, 1.0) or k == 1:
        worth = float(k)
    elif k < n:
        between = k / (k - 1) * float(np.sum((sizes * (means - share))**2)) / n**2
        single = share * (1.0 - share) / (n - 1)
        worth = n / max(between / single, 1.0)
    return wilson_interval(share, worth)


def auroc_interval(area: float, positives: float, negatives: float, confidence: float = 0.95
                   ) -> tuple[float, float]:
    """
    Confidence interval for an area under the ROC curve.

    Its ends A are those at which the measured area is z standard deviations away::

        var(A) = A (1 - A) / (m n) (1 + (N - 1) ((1 - A) / (2 - A) + A / (1 + A))), N = (m + n) / 2

    The variance is that of J. A. Hanley, B. J. McNeil (Radiology 143, 1982), with one N for both
    sides; that it is taken at the ends, as Wilson does, is method 5 of R. G. Newcombe (Statistics
    in Medicine 25, 2006, pages 559-573), which covers small samples and areas of 1 as well.

    Parameters
    ----------
    area : in [0, 1]
    positives, negatives : m and n, independent scores of each kind, above 0
    confidence : in (0, 1)

    Returns
    -------
    (low, high) in [0, 1]

    >>> low, high = auroc_interval(1.0, 20, 20)
    >>> round(low, 3), high
    (0.899, 1.0)

    """
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2.0)**2
    pairs, mean = positives * negatives, (positives + negatives) / 2.0

    def is_near(end: float) -> bool:
        variance = end * (1.0 - end) / pairs * (
            1.0 + (mean - 1.0) * ((1.0 - end) / (2.0 - end) + end / (1.0 + end)))
        return (area - end)**2 <= z2 * variance

    def reach(end: float) -> float:
        near, far = area, end
        for _ in range(60):
            middle = (near + far) / 2.0
            near, far = (middle, far) if is_near(middle) else (near, middle)
        return near
    return (0.0 if area == 0.0 else reach(0.0)), (1.0 if area == 1.0 else reach(1.0))


def burst_means(values: ArrayLike, bursts: ArrayLike) -> tuple[Array, Array]:
    """
    Return each burst's mean and its size, in the order of the bursts' names.

    >>> burst_means([1.0, 2.0, 6.0], ['a', 'a', 'b'])
    (array([1.5, 6. ]), array([2., 1.]))

    """
    place = np.unique(np.asarray(bursts), return_inverse=True)[1].ravel()
    sizes = np.bincount(place).astype(np.float64)
    return np.bincount(place, weights=np.asarray(values, np.float64)) / sizes, sizes


def effective_sample_size(weights: ArrayLike) -> float:
    """
    Return (sum w)^2 / sum w^2: how many equally weighted values the weighted ones are worth.

    L. Kish, Survey Sampling, 1965.

    Parameters
    ----------
    weights : (n,) positive and finite

    Returns
    -------
    in [1, n]; n for equal weights, 0.0 for none

    >>> effective_sample_size([1.0, 1.0, 1.0]), effective_sample_size([2.0, 2.0, 2.0])
    (3.0, 3.0)

    """
    w = _weights(weights, None)
    return 0.0 if w.size == 0 else _kish(w / w.max())


def _kish(w: Array) -> float:
    return float(w.sum()**2 / np.sum(w**2))


def _hall(z: float, a: float, c: float) -> float:
    """Return the inverse of t + c t^2 / 3 + c^2 t^3 / 27 + a / 6 at z."""
    if abs(a) >= _NO_SKEWNESS:
        z -= a / 6.0
    if abs(c) < _NO_SKEWNESS:
        return z
    return float(3.0 / c * (np.cbrt(1.0 + c * z) - 1.0))


def _student(probability: float, degrees: int) -> float:
    """
    Quantile of Student's t: exact for 1 and 2 degrees of freedom, within 0.2 % above.

    Cornish-Fisher expansion in 1 / degrees (M. Abramowitz, I. Stegun, Handbook of Mathematical
    Functions, 26.7.5).
    """
    if degrees == 1:
        return float(np.tan(np.pi * (probability - 0.5)))
    if degrees == 2:
        c = 2.0 * probability - 1.0
        return float(c * np.sqrt(2.0 / (1.0 - c**2)))
    z = NormalDist().inv_cdf(probability)
    terms = (z,
             (z**3 + z) / 4.0,
             (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0,
             (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / 384.0,
             (79.0 * z**9 + 776.0 * z**7 + 1482.0 * z**5 - 1920.0 * z**3 - 945.0 * z) / 92160.0)
    return float(sum(term / degrees**power for power, term in enumerate(terms)))


def _weights(weights: ArrayLike, count: int | None) -> Array:
    w = np.asarray(weights, dtype=np.float64).ravel()
    if count is not None and len(w) != count:
        raise ValueError(f'as many weights as values are needed: {count}, got {len(w)}')
    if not np.all(np.isfinite(w)) or np.any(w <= 0.0):
        raise ValueError('weights must be positive and finite')
    return w
