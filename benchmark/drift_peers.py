"""
The detectors that ours is measured beside: (scores, size of the reference, parameter) -> alarm.

Each is fed the reference's scores first and returns the label of its first alarm after them.
river and frouros take part where they are installed.
"""

from collections.abc import Callable
import sys
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.information import Array


def first_of(flags: Array, start: int) -> int:
    hits = np.flatnonzero(flags[start:])
    return int(hits[0]) if len(hits) else len(flags) - start


def cusum(x: Array, start: int, threshold: float, slack: float) -> int:
    target, total = float(x[:start].mean()) + slack, 0.0
    for at, value in enumerate(x[start:].tolist()):
        total = max(0.0, total + value - target)
        if total >= threshold:
            return at
    return len(x) - start


def ewma(x: Array, start: int, threshold: float, rate: float) -> int:
    level = float(x[:start].mean())
    for at, value in enumerate(x[start:].tolist()):
        level += rate * (value - level)
        if level >= threshold:
            return at
    return len(x) - start


def rolling(x: Array, start: int, threshold: float, window: int) -> int:
    total = np.concatenate([[0.0], np.cumsum(x)])
    means = (total[window:] - total[:-window]) / window
    return first_of(np.concatenate([np.zeros(window - 1), means]) >= threshold, start)


def library(make: Callable[[float], Any], flag: str) -> Callable[[Array, int, float], int]:
    """Feed a library's detector; alarms within the reference do not count."""
    def first(x: Array, start: int, parameter: float) -> int:
        detector = make(parameter)
        for at, value in enumerate(x.tolist()):
            try:
                detector.update(value)
            except TypeError:
                detector.update(value=value)
            if at >= start and (detector.drift if flag == 'drift'
                                else detector.drift_detected):
                return at - start
        return len(x) - start
    return first


# p-values of KSWIN by the identity of the scores: they do not depend on its threshold.
_P_VALUES: dict[int, Array] = {}


def kswin(x: Array, start: int, parameter: float) -> int:
    """Run river's KSWIN once a stream, with nothing called drift, and compare its p-values."""
    found = _P_VALUES.get(id(x))
    if found is None:
        from river.drift import KSWIN
        detector = KSWIN(alpha=0.0, seed=1)
        values = []
        for value in x[start - detector.window_size:].tolist():
            detector.update(value)
            values.append(detector.p_value)
        found = _P_VALUES[id(x)] = np.array(values[detector.window_size:])
    return first_of(found <= 1.0 / parameter, 0)


class Peer(NamedTuple):
    """
    Another detector.

    Attributes
    ----------
    score : which scores it is fed
    first : (scores, start, parameter) -> labels to the first alarm
    low, high : of the parameter: at ``low`` it alarms too often, at ``high`` too rarely; the
        tuning halves the interval on a logarithmic scale
    share : of the streams that it is run on; less than 1 for the slow ones

    """

    score: str
    first: Callable[..., int]
    low: float
    high: float
    share: float = 1.0


def peers() -> dict[str, Peer]:
    found = {
        'CUSUM on NLL, mean + 0.1': Peer('NLL', lambda x, s, p: cusum(x, s, p, 0.1), 0.5, 500.0),
        'CUSUM on NLL, mean + 0.25': Peer('NLL', lambda x, s, p: cusum(x, s, p, 0.25), 0.5,
                                          500.0),
        'EWMA 0.01 on NLL': Peer('NLL', lambda x, s, p: ewma(x, s, p, 0.01), 0.05, 5.0),
        'rolling mean NLL, 100': Peer('NLL', lambda x, s, p: rolling(x, s, p, 100), 0.05, 5.0),
    }
    try:
        from river import drift
        from river.drift import binary
    except ImportError:
        print('river is not installed: left out', file=sys.stderr)
    else:
        river = {
            'river ADWIN (NLL)': ('NLL', lambda p: drift.ADWIN(delta=1 / p), 1.5, 1e12),
            'river ADWIN (1 - p)': ('1 - p', lambda p: drift.ADWIN(delta=1 / p), 1.5, 1e12),
            'river PageHinkley (NLL)': (
                'NLL', lambda p: drift.PageHinkley(threshold=p, mode='up'), 0.5, 500.0),
            'river PageHinkley (1 - p)': (
                '1 - p', lambda p: drift.PageHinkley(threshold=p, mode='up'), 0.5, 500.0),
            'river DDM': ('error', lambda p: binary.DDM(drift_threshold=p,
                                                        warning_threshold=0.9 * p), 1.0, 8.0),
            'river FHDDM': ('error', lambda p: binary.FHDDM(confidence_level=1 / p), 1.5, 1e12),
            'river HDDM_A': ('error', lambda p: binary.HDDM_A(
                drift_confidence=1 / p, warning_confidence=min(1.0, 1.5 / p)), 1.5, 1e12),
            'river HDDM_W': ('error', lambda p: binary.HDDM_W(
                drift_confidence=1 / p, warning_confidence=min(1.0, 1.5 / p)), 1.5, 1e12),
            'river EDDM': ('error', lambda p: binary.EDDM(
                beta=1 / p, alpha=(1.0 + 1 / p) / 2.0), 1.0001, 20.0),
        }
        found['river KSWIN (NLL)'] = Peer('NLL', kswin, 1.5, 1e15, 0.25)
        for name, (score, make, low, high) in river.items():
            found[name] = Peer(score, library(make, 'drift_detected'), low, high)
    try:
        from frouros.detectors import concept_drift
    except ImportError:
        print('frouros is not installed: left out', file=sys.stderr)
    else:
        frouros = {
            'frouros CUSUM (NLL)': ('NLL', lambda p: concept_drift.CUSUM(
                concept_drift.CUSUMConfig(lambda_=p)), 0.5, 500.0),
            'frouros STEPD': ('error', lambda p: concept_drift.STEPD(
                concept_drift.STEPDConfig(alpha_d=1 / p, alpha_w=min(1.0, 1.5 / p))), 1.5, 1e8),
            'frouros RDDM': ('error', lambda p: concept_drift.RDDM(
                concept_drift.RDDMConfig(drift_level=p, warning_level=0.9 * p)), 1.0, 20.0),
        }
        for name, (score, make, low, high) in frouros.items():
            slow = name == 'frouros STEPD'
            found[name] = Peer(score, library(make, 'drift'), low, high, 0.25 if slow else 1.0)
    return found
