"""How far two who say something of the same things agree."""

from collections.abc import Hashable
from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

# Of the normal distribution, for 95 %.
Z = 1.959963984540054


class Kappa(NamedTuple):
    """Cohen's kappa, with its 95 % interval."""

    kappa: float
    low: float
    high: float


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> Kappa | None:
    """
    Return Cohen's kappa: the agreement beyond that of chance, 1 if they always agree.

    kappa = (p_o - p_e) / (1 - p_e), where p_o is the share of things of which both say the same
    and p_e the share that chance alone would give, sum_k a_k b_k (Cohen 1960). The interval is of
    the large-sample variance of Fleiss, Cohen and Everitt (1969), cut at -1 and 1.

    Parameters
    ----------
    a, b : what each said, of the same things in the same order

    Returns
    -------
    None for fewer than two things, or if both say one and the same of all: then chance alone
    explains it

    Raises
    ------
    ValueError
        They have not the same length.

    """
    if len(a) != len(b):
        raise ValueError(f'{len(a)} and {len(b)} things cannot be compared')
    names = {name: k for k, name in enumerate(dict.fromkeys([*a, *b]))}
    if len(a) < 2 or len(names) < 2:
        return None
    table = np.zeros((len(names), len(names)))
    for one, other in zip(a, b, strict=True):
        table[names[one], names[other]] += 1.0
    table /= len(a)
    row, column = table.sum(axis=1), table.sum(axis=0)
    agreed, chance = float(np.trace(table)), float(row @ column)
    if chance >= 1.0:
        return None
    kappa = (agreed - chance) / (1.0 - chance)
    both = column[:, np.newaxis] + row[np.newaxis, :]
    same = np.diag(table) * ((1.0 - chance) - (row + column) * (1.0 - agreed)) ** 2
    off = (table * both ** 2).sum() - (np.diag(table) * np.diag(both) ** 2).sum()
    variance = (same.sum() + (1.0 - agreed) ** 2 * off
                - (agreed * chance - 2.0 * chance + agreed) ** 2) / (
                    len(a) * (1.0 - chance) ** 4)
    width = Z * sqrt(max(0.0, float(variance)))
    return Kappa(kappa, max(-1.0, kappa - width), min(1.0, kappa + width))
