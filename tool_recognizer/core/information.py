"""
Surprise, in nats.

Conventions, here and wherever these names appear in the project:

- K labels; N frames. The last axis of an array runs over the labels.
- p is the model's distribution p(y | x, w), always given as log-probabilities from the logits
  (``log_softmax``), never as the logarithm of rounded probabilities.
- q is the confirmed distribution p_data(y | x): one-hot for a single confirmed label.
- Everything is float64 and in nats. 0 log 0 = 0.
- Nothing is clipped: a label that the model ruled out (p = 0) and that was confirmed costs inf.

One identity carries the monitor (Cover and Thomas, Elements of Information Theory, 2nd ed.,
sections 2.1 to 2.3)::

    cross_entropy(q, p) = entropy(q) + kl_divergence(q, p)

The entropy is what a perfect model would still pay; the divergence is the model's own fault. A
one-hot q has no entropy, so both other terms are then the negative log-likelihood of the label.
"""

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

# How far a distribution may be from summing to 1, for rounding on its way through a message.
SUM_TOLERANCE = 1e-6

Array = NDArray[np.float64]


def log_softmax(logits: ArrayLike, temperature: float = 1.0) -> Array:
    """
    Log-probabilities of a softmax: z_k - log sum_j exp(z_j), with z = logits / temperature.

    The largest logit is taken out first, so that no finite logit overflows
    (Blanchard, Higham, Higham, Accurately computing the log-sum-exp and softmax functions, 2021).

    Parameters
    ----------
    logits : (..., K) finite values; -inf is allowed for a label that is ruled out
    temperature : positive; above 1 it flattens the distribution

    Returns
    -------
    (..., K) float64, nats, each row's exponentials sum to 1

    Raises
    ------
    ValueError
        No labels, a nan, +inf, a row that is all -inf, or a temperature that is not positive.

    >>> import numpy as np
    >>> np.exp(log_softmax([0.0, np.log(3.0)])).round(6).tolist()
    [0.25, 0.75]

    """
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f'logits need at least one label on the last axis, got shape {z.shape}')
    if not (np.isfinite(temperature) and temperature > 0.0):
        raise ValueError(f'temperature must be positive and finite, got {temperature}')
    z = z / temperature
    top = z.max(axis=-1, keepdims=True)
    if not np.all(np.isfinite(top)):
        raise ValueError('logits must be finite (or -inf for a label that is ruled out), '
                         f'got a row with the maximum {float(top[~np.isfinite(top)][0])}')
    z = z - top
    # log1p over the labels other than the top one: a winner at p = 1 - 1e-20 keeps its -1e-20.
    winner = z.argmax(axis=-1)[..., np.newaxis]
    rest = np.exp(z)
    np.put_along_axis(rest, winner, 0.0, axis=-1)
    return np.asarray(z - np.log1p(rest.sum(axis=-1, keepdims=True)))


def nll(log_probabilities: ArrayLike, label: ArrayLike) -> Array:
    """
    Negative log-likelihood of the true label: -log p(y | x, w).

    Parameters
    ----------
    log_probabilities : (..., K) nats
    label : (...) integers in 0..K-1, the index of the true label

    Returns
    -------
    (...) float64, nats, in [0, inf]

    Raises
    ------
    ValueError
        A label that is not an index of the distribution: it is an error, never a score.

    >>> import numpy as np
    >>> round(float(nll(np.log([0.7, 0.2, 0.1]), 0)), 4)
    0.3567

    """
    log_p = _log_probabilities(log_probabilities)
    index = np.asarray(label)
    if index.dtype.kind not in 'iu':
        raise ValueError(f'a label is given by its integer index, got dtype {index.dtype}')
    if index.shape != log_p.shape[:-1]:
        raise ValueError(f'one label per row: expected shape {log_p.shape[:-1]}, '
                         f'got {index.shape}')
    labels = log_p.shape[-1]
    if np.any((index < 0) | (index >= labels)):
        bad = index[(index < 0) | (index >= labels)].ravel()[0]
        raise ValueError(f'label index {bad} is not one of 0..{labels - 1}')
    return np.asarray(-np.take_along_axis(log_p, index[..., np.newaxis], axis=-1)[..., 0])


def entropy(distribution: ArrayLike) -> Array:
    """
    Entropy H(q) = -sum_k q_k log q_k: the nats that even the true distribution must pay.

    Parameters
    ----------
    distribution : (..., K) probabilities that sum to 1

    Returns
    -------
    (...) float64, nats, in [0, log K]

    Raises
    ------
    ValueError
        A row that is not a distribution.

    >>> round(float(entropy([0.5, 0.5])), 6)
    0.693147

    """
    q = _distribution(distribution)
    with np.errstate(divide='ignore', invalid='ignore'):
        terms = np.where(q > 0.0, q * np.log(q), 0.0)
    return np.asarray(-terms.sum(axis=-1) + 0.0)


def cross_entropy(distribution: ArrayLike, log_probabilities: ArrayLike) -> Array:
    """
    Cross-entropy H(q, p) = -sum_k q_k log p_k: the nats paid by believing p when q is true.

    Parameters
    ----------
    distribution : (..., K) the confirmed distribution q
    log_probabilities : (..., K) log p, nats

    Returns
    -------
    (...) float64, nats, in [0, inf]; inf where p rules out a label that q holds possible

    Raises
    ------
    ValueError
        q is not a distribution, log p has a nan or a positive value, or the shapes differ.

    >>> import numpy as np
    >>> round(float(cross_entropy([1.0, 0.0, 0.0], np.log([0.7, 0.2, 0.1]))), 4)
    0.3567

    """
    q, log_p = _pair(distribution, log_probabilities)
    with np.errstate(invalid='ignore'):
        terms = np.where(q > 0.0, q * log_p, 0.0)
    return np.asarray(-terms.sum(axis=-1) + 0.0)


def kl_divergence(distribution: ArrayLike, log_probabilities: ArrayLike) -> Array:
    """
    KL(q || p) = sum_k q_k (log q_k - log p_k): the nats wasted by believing p when q is true.

    Summed as q_k r(log(p_k / q_k)) with r(t) = exp(t) - 1 - t >= 0, which is the same number for
    normalised q and p and cannot come out negative by rounding.

    Parameters
    ----------
    distribution : (..., K) the confirmed distribution q
    log_probabilities : (..., K) log p, nats, normalised

    Returns
    -------
    (...) float64, nats, in [0, inf]; 0 only where q = p

    Raises
    ------
    ValueError
        As for ``cross_entropy``.

    >>> import numpy as np
    >>> float(kl_divergence([0.7, 0.2, 0.1], np.log([0.7, 0.2, 0.1])))
    0.0

    """
    q, log_p = _pair(distribution, log_probabilities)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        t = log_p - np.log(q)
        # r(t): its Taylor series near 0, where the difference would cancel; and without the
        # quotient p / q far from 0, where it could overflow.
        near = q * t**2 / 2.0 * (1.0 + t / 3.0 * (1.0 + t / 4.0 * (1.0 + t / 5.0)))
        far = np.exp(log_p) - q - q * t
        terms = np.where(np.abs(t) < 1e-3, near,
                         np.where(np.abs(t) < 1.0, q * (np.expm1(t) - t), far))
        terms = np.where(q > 0.0, terms, np.exp(log_p))
    return np.asarray(terms.sum(axis=-1))


def one_hot(label: int, labels: int) -> Array:
    """
    Return the distribution that puts all its mass on one label.

    Parameters
    ----------
    label : index in 0..labels-1
    labels : K

    Returns
    -------
    (K,) float64

    Raises
    ------
    ValueError
        A label that is not one of the K.

    >>> one_hot(1, 3).tolist()
    [0.0, 1.0, 0.0]

    """
    if not 0 <= label < labels:
        raise ValueError(f'label index {label} is not one of 0..{labels - 1}')
    q = np.zeros(labels)
    q[label] = 1.0
    return q


def is_certain(distribution: Array) -> bool:
    """
    Tell whether a distribution, (K,) float64, has one label, to the bit.

    >>> is_certain(one_hot(1, 3)), is_certain(np.array([0.0, 1.0 - 1e-9, 1e-9]))
    (True, False)

    """
    return bool(distribution.max() == 1.0 and np.count_nonzero(distribution) == 1)


def _distribution(distribution: ArrayLike) -> Array:
    q = np.asarray(distribution, dtype=np.float64)
    if q.ndim == 0 or q.shape[-1] == 0:
        raise ValueError(f'a distribution needs at least one label, got shape {q.shape}')
    if not np.all(np.isfinite(q)) or np.any(q < 0.0):
        raise ValueError(f'probabilities must be finite and not negative, got {q.tolist()}')
    total = q.sum(axis=-1)
    if np.any(np.abs(total - 1.0) > SUM_TOLERANCE):
        raise ValueError(f'probabilities must sum to 1, got {total.tolist()}')
    return q


def _log_probabilities(log_probabilities: ArrayLike) -> Array:
    log_p = np.asarray(log_probabilities, dtype=np.float64)
    if log_p.ndim == 0 or log_p.shape[-1] == 0:
        raise ValueError(f'log-probabilities need at least one label, got shape {log_p.shape}')
    if np.any(np.isnan(log_p)) or np.any(log_p > SUM_TOLERANCE):
        raise ValueError('log-probabilities must be at most 0 and not nan '
                         '(were probabilities passed instead?)')
    return log_p


def _pair(distribution: ArrayLike, log_probabilities: ArrayLike) -> tuple[Array, Array]:
    q, log_p = _distribution(distribution), _log_probabilities(log_probabilities)
    if q.shape[-1] != log_p.shape[-1]:
        raise ValueError(f'q has {q.shape[-1]} labels, p has {log_p.shape[-1]}')
    try:
        q, log_p = np.broadcast_arrays(q, log_p)
    except ValueError:
        raise ValueError(f'q of shape {q.shape} does not fit p of shape {log_p.shape}') from None
    return q, log_p
