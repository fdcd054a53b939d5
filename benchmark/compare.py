"""
What became slower since a stored run, judged by ratios to the floor that each run measured itself.

A ratio became slower if its logarithm grew by more than two runs of one program are apart. That
is taken from the rounds of both: Student's t times the standard error of the difference, at a
level at which a comparison of two equal programs finds anything at all once in a hundred times
(Bonferroni). What a run has in common with none of the others, as where its processes lie in
memory, the rounds do not show: no difference below 5 % counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from math import hypot
from math import log

from benchmark.figures import Ratio
from scipy.stats import t as student

LEVEL, LEAST = 0.01, 1.05


@dataclass(frozen=True)
class Change:
    """
    A ratio in a stored run and now.

    Attributes
    ----------
    name : of the case and the figure
    before, now : the ratios to the floor
    tolerance : the factor up to which they are not told apart

    """

    name: str
    before: float
    now: float
    tolerance: float

    @property
    def factor(self) -> float:
        """By what the ratio has grown."""
        return self.now / self.before

    @property
    def slower(self) -> bool:
        return self.factor > self.tolerance

    @property
    def quicker(self) -> bool:
        return self.factor < 1.0 / self.tolerance

    def __str__(self) -> str:
        said = 'SLOWER' if self.slower else 'quicker' if self.quicker else 'as before'
        return (f'{self.name:<42}{self.before:>9.3f}{self.now:>9.3f}{self.factor:>9.3f}'
                f'{self.tolerance:>11.3f}  {said}')


def compare(before: Mapping[str, Ratio], now: Mapping[str, Ratio]) -> list[Change]:
    """
    Compare the ratios that both runs have.

    Raises
    ------
    ValueError
        They have none in common.

    """
    common = [name for name in now if name in before]
    if not common:
        raise ValueError('the two runs have no figure in common')
    changes = []
    for name in common:
        old, new = before[name], now[name]
        quantile = student.ppf(1.0 - LEVEL / len(common), old.rounds + new.rounds - 2)
        changes.append(Change(name, old.value, new.value, exp(max(
            log(LEAST), float(quantile) * hypot(old.error, new.error)))))
    return changes
