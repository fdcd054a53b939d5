"""What a replay remembers of a recording, for its result and its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.recognition import FrameKey


class Surprise(NamedTuple):
    """
    A confirmed frame that cost much.

    Attributes
    ----------
    nll : nats
    order : number of the confirmed frame, from 0
    bag : number of the bag
    moment : when it was recorded, ns
    key : the frame
    label, answer : what was confirmed, and what was answered
    probability : of the confirmed label

    """

    nll: float
    order: int
    bag: int
    moment: int
    key: FrameKey
    label: str
    answer: str
    probability: float


class Scored(NamedTuple):
    """
    A confirmed and scored frame.

    Attributes
    ----------
    key : the frame
    label, answer : what was confirmed, and what was answered
    nll : nats
    elapsed : s since the start of the recording, without the time between bags

    """

    key: FrameKey
    label: str
    answer: str
    nll: float
    elapsed: float


class Point(NamedTuple):
    """The monitor's window at one moment: s since the start; nats; the test's evidence."""

    elapsed: float
    nll: float
    nll_ci_low: float
    nll_ci_high: float
    kl: float
    evidence: float


@dataclass(frozen=True)
class Alarm:
    """
    A drift alarm.

    Attributes
    ----------
    moment : when it was raised, ns on the recording's clock
    elapsed : the same, s since the start
    scored : confirmed frames until then
    evidence, threshold : of the test
    leading : what won the most evidence
    change_at : number of the confirmed frame, from 0, with which the change began
    change_elapsed : the same, s since the start
    change_stamp : the stamp of that frame, ns
    worst_label : the label that carries most of it
    change_set : first and last confirmed frame between which it began, nine times in ten
    per_label : nats that each label gave to what won the most

    """

    moment: int
    elapsed: float
    scored: int
    evidence: float
    threshold: float
    leading: str
    change_at: int | None
    change_elapsed: float
    change_stamp: int
    worst_label: str
    change_set: tuple[int, int] | None
    per_label: Mapping[str, float]


@dataclass(frozen=True)
class Story:
    """
    What a report draws.

    Attributes
    ----------
    labels : the K labels
    duration : s
    points : the monitor's window after each confirmed frame
    alarms : of the drift test
    threshold : of its evidence
    reference_nll : of the model, nats; nan if it has none
    timeline : (C, K) sums of the probabilities over C equal stretches of time; K is 0 if there are
        too many labels to draw
    timeline_counts : (C,) frames in each stretch
    log_probabilities : (N, K) of the confirmed frames, nats
    truth : (N,) their most probable confirmed labels

    """

    labels: tuple[str, ...]
    duration: float
    points: tuple[Point, ...]
    alarms: tuple[Alarm, ...]
    threshold: float
    reference_nll: float
    timeline: NDArray[np.float64]
    timeline_counts: NDArray[np.int64]
    log_probabilities: NDArray[np.float64]
    truth: NDArray[np.int64]
