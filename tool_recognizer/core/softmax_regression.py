"""
Maximum likelihood for the softmax head: p(y = k | x) = softmax(x W + b)_k.

The fit minimises the average NLL plus a Gaussian prior on the weights,

    J(W, b) = sum_n s_n sum_k -q_nk log p_nk  +  (strength / 2) ||W - M||^2,    sum_n s_n = 1,

where q is the confirmed distribution (one-hot for a plain label), s the rows' weights and M the
prior's mean: what is believed before the data, zero if nothing is. The bias has no prior, so that
at the optimum the mean prediction equals the weighted label frequencies. Left out here: where the
features come from, and which strength is best (that is for held-out data to say).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.sparse import dia_array
from scipy.sparse import hstack
from tool_recognizer.core.information import log_softmax

Array = NDArray[np.float64]

# Above this many coefficients the linear programme takes minutes, and only certificates are tried.
LARGEST_PROGRAMME = 2_000_000


@dataclass(frozen=True)
class SoftmaxHead:
    """
    A fitted head.

    Attributes
    ----------
    weight : (D, K)
    bias : (K,)

    """

    weight: Array
    bias: Array

    def logits(self, features: ArrayLike) -> Array:
        """Map features of shape N x D to logits of shape N x K."""
        return np.asarray(np.asarray(features, np.float64) @ self.weight + self.bias)

    def sharpened(self, temperature: float) -> 'SoftmaxHead':
        """Return the head whose softmax is this one's softmax(logits / temperature)."""
        return SoftmaxHead(self.weight / temperature, self.bias / temperature)


def objective(parameters: Array, features: Array, targets: Array, row_weights: Array,
              strength: float, prior_mean: Array) -> tuple[float, Array]:
    """
    Give the penalised average NLL and its gradient.

    dJ/dW = X^T (s (p - q)) + strength (W - M),  dJ/db = sum_n s_n (p_n - q_n).

    Parameters
    ----------
    parameters : (D K + K,) the weights, row by row, then the biases
    features : (N, D)
    targets : (N, K) rows that sum to 1
    row_weights : (N,) sum to 1
    strength : precision of the prior, >= 0
    prior_mean : (D, K)

    Returns
    -------
    J in nats, and (D K + K,) its gradient

    """
    size, labels = prior_mean.shape
    weight, bias = parameters[:size * labels].reshape(size, labels), parameters[size * labels:]
    log_p = log_softmax(features @ weight + bias)
    away = weight - prior_mean
    # Summed where q > 0 only: 0 log 0 is 0.
    value = -float(np.sum(row_weights[:, np.newaxis] * targets
                          * np.where(targets > 0.0, log_p, 0.0)))
    residual = (np.exp(log_p) - targets) * row_weights[:, np.newaxis]
    gradient = features.T @ residual + strength * away
    return (value + 0.5 * strength * float(np.sum(away * away)),
            np.concatenate([gradient.ravel(), residual.sum(axis=0)]))


def fit_head(features: ArrayLike, targets: ArrayLike, strength: float, *,
             row_weights: ArrayLike | None = None, prior_mean: ArrayLike | None = None,
             start: SoftmaxHead | None = None, tolerance: float = 1e-7) -> SoftmaxHead:
    """
    Fit the head by penalised maximum likelihood (L-BFGS; J is convex, so the optimum is global).

    Parameters
    ----------
    features : (N, D) finite
    targets : (N, K) distributions, or (N,) label indices
    strength : precision of the prior; 0 is plain maximum likelihood, which has a maximum only if
        the labels overlap (see ``separation``)
    row_weights : (N,) how much each row counts, default equally
    prior_mean : (D, K), default zero
    start : where to begin, default at the prior's mean
    tolerance : greatest component of the gradient at the end, nats

    Returns
    -------
    SoftmaxHead

    Raises
    ------
    ValueError
        No rows, a feature that is not finite, shapes that do not fit, a negative strength, or a
        strength of 0 for data that can be separated.

    """
    x, q, s, mean = _checked(features, targets, row_weights, prior_mean)
    if not (np.isfinite(strength) and strength >= 0.0):
        raise ValueError(f'the prior strength must be >= 0 and finite, got {strength}')
    if strength == 0.0 and separation(x, q.argmax(axis=1), q.shape[1]) not in ('none', 'unknown'):
        raise ValueError('the labels can be separated by planes, so the likelihood has no maximum '
                         '(the weights would grow for ever): use a prior strength above 0')
    first = mean if start is None else start.weight
    basis = None
    if len(x) < x.shape[1]:
        # The optimum differs from the prior's mean by a combination of the rows (the gradient has
        # nothing else in it), so it is looked for in their space: N numbers a label instead of D.
        basis, triangle = np.linalg.qr(x.T)
        prior, x, mean, first = mean, triangle.T, basis.T @ mean, basis.T @ first
    # One common scale, so that the optimiser's steps suit features of any size.
    scale = float(np.sqrt(np.mean(x * x))) or 1.0
    bias = np.zeros(q.shape[1]) if start is None else start.bias
    size = first.size

    def scaled(parameters: Array) -> tuple[float, Array]:
        parameters = parameters.copy()
        parameters[:size] /= scale
        value, gradient = objective(parameters, x, q, s, strength, mean)
        gradient[:size] /= scale
        return value, gradient

    found = minimize(scaled, np.concatenate([first.ravel() * scale, bias]), jac=True,
                     method='L-BFGS-B',
                     options={'maxiter': 2000, 'maxfun': 4000, 'maxcor': 20, 'ftol': 1e-15,
                              'gtol': tolerance})
    weight = found.x[:size].reshape(mean.shape) / scale
    if basis is not None:
        weight = prior + basis @ (weight - mean)
    return SoftmaxHead(weight, found.x[size:])


def separation(features: ArrayLike, labels: ArrayLike, number: int | None = None) -> str:
    """
    Tell whether planes separate the labels; if they do, maximum likelihood has no maximum.

    The likelihood has a maximum exactly if there is overlap, that is, if no weights give every
    row's own label at least the logit of every other, and some row more (Albert and Anderson, On
    the existence of maximum likelihood estimates in logistic regression models, 1984; stated
    there for the multinomial model). That is a linear programme; the cheap sufficient conditions
    come first.

    Parameters
    ----------
    features : (N, D)
    labels : (N,) indices
    number : K, default the greatest index + 1

    Returns
    -------
    'complete' (every row can be got right, with a margin), 'quasi-complete' (none wrong, some on
    the border), 'none' (a maximum exists), or 'unknown' for data too large for the programme on
    which no certificate was found

    >>> separation([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    'complete'
    >>> separation([[0.0], [1.0], [1.0], [3.0]], [0, 0, 1, 1])
    'quasi-complete'
    >>> separation([[0.0], [2.0], [1.0], [3.0]], [0, 0, 1, 1])
    'none'

    """
    x = np.asarray(features, np.float64)
    y = np.asarray(labels)
    classes = int(y.max()) + 1 if number is None else number
    rows, size = x.shape
    if len(np.unique(y)) < classes:
        # A label that never came can be ruled out for ever better by its bias alone.
        return 'quasi-complete'
    ones = np.column_stack([x, np.ones(rows)])
    if rows <= size + 1 and np.linalg.matrix_rank(ones) == rows:
        return 'complete'
    head = _least_squares(ones, y, classes)
    logits = ones @ head
    own = logits[np.arange(rows), y]
    logits[np.arange(rows), y] = -np.inf
    if np.all(own > logits.max(axis=1)):
        return 'complete'
    if rows * (classes - 1) * (size + 1) > LARGEST_PROGRAMME:
        return 'unknown'
    return _programme(ones, y, classes)


def label_weights(labels: ArrayLike, number: int) -> Array:
    """
    Weigh the rows so that every label that occurs counts the same, and all sum to 1.

    Parameters
    ----------
    labels : (N,) indices in 0..number-1
    number : K

    Returns
    -------
    (N,) float64

    >>> label_weights([0, 0, 1], 2).tolist()
    [0.25, 0.25, 0.5]

    """
    y = np.asarray(labels)
    counts = np.bincount(y, minlength=number)
    weights = 1.0 / counts[y]
    return np.asarray(weights / weights.sum())


def _checked(features: ArrayLike, targets: ArrayLike, row_weights: ArrayLike | None,
             prior_mean: ArrayLike | None) -> tuple[Array, Array, Array, Array]:
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f'features must be N x D with at least one row, got shape {x.shape}')
    if not np.all(np.isfinite(x)):
        raise ValueError('features must be finite; '
                         f'row {int(np.argwhere(~np.isfinite(x))[0][0])} is not')
    q = np.asarray(targets)
    if q.ndim == 1:
        labels = int(q.max()) + 1 if prior_mean is None else np.shape(prior_mean)[1]
        q = np.eye(labels)[q]
    q = q.astype(np.float64)
    if len(q) != len(x):
        raise ValueError(f'one target per row: {len(x)} rows, {len(q)} targets')
    if np.any(q < 0.0) or np.any(np.abs(q.sum(axis=1) - 1.0) > 1e-9):
        raise ValueError('each target must be a distribution: not negative, sum 1')
    if q.shape[1] < 2:
        raise ValueError(f'at least 2 labels are needed, got {q.shape[1]}')
    s = np.ones(len(x)) if row_weights is None else np.asarray(row_weights, np.float64)
    if s.shape != (len(x),) or np.any(s < 0.0) or not s.sum() > 0.0:
        raise ValueError('row weights: one per row, not negative, not all 0')
    shape = (x.shape[1], q.shape[1])
    mean = np.zeros(shape) if prior_mean is None else np.asarray(prior_mean, np.float64)
    if mean.shape != shape:
        raise ValueError(f'the prior mean must be of shape {shape}, got {mean.shape}')
    return x, q, s / s.sum(), mean


def _least_squares(ones: Array, labels: NDArray[np.int64], classes: int) -> Array:
    solution = np.linalg.lstsq(ones, np.eye(classes)[labels], rcond=None)[0]
    return np.asarray(solution, dtype=np.float64)


def _programme(ones: Array, labels: NDArray[np.int64], classes: int) -> str:
    """Maximise sum m subject to (w_y - w_k) x >= m, 0 <= m <= 1, over all rows and k != y."""
    rows, size = ones.shape
    blocks = []
    for row in range(rows):
        for other in range(classes):
            if other != labels[row]:
                block = np.zeros((classes, size))
                block[labels[row]], block[other] = -ones[row], ones[row]
                blocks.append(block.ravel())
    margins = dia_array((np.ones((1, len(blocks))), 0), shape=(len(blocks), len(blocks)))
    constraints = hstack([csr_array(np.array(blocks)), margins])
    cost = np.concatenate([np.zeros(classes * size), -np.ones(len(blocks))])
    bounds = [(None, None)] * (classes * size) + [(0.0, 1.0)] * len(blocks)
    found = linprog(cost, A_ub=constraints, b_ub=np.zeros(len(blocks)), bounds=bounds)
    if found.x is None:
        return 'unknown'
    reached = found.x[classes * size:]
    if np.all(reached > 0.5):
        return 'complete'
    return 'quasi-complete' if np.any(reached > 0.5) else 'none'
