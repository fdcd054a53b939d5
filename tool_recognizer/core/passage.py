"""
A passage: the frames of one object while it is in view, and one answer for all of them.

Their likelihoods add up. With the label prior pi that the model was trained with, Bayes' rule says
for frames x_1 .. x_n that were independent given the label

    log p(y | x_1..x_n) = log pi(y) + sum_i (log p(y | x_i) - log pi(y)) + const

Frames of one object are not: the second one shows mostly what the first one showed. So the sum is
multiplied by a = 1 / (1 + (n - 1) rho). n a is the effective sample size of n values that are
correlated by rho with each other (L. Kish, Survey Sampling, 1965, section 5.4): n for rho = 0, 1
for rho = 1, and never more than 1 / rho. rho is a parameter, and is fitted (``fit_correlation``).

The answer is given as early as it may be, as in A. Wald's test (Sequential Analysis, 1947): as
soon as one label's probability reaches the one that is wanted. Left out: when a passage begins
and ends (``gate``), and what becomes of a run's passages (``passages``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.decision import DRIFT
from tool_recognizer.core.decision import NOT_A_KNOWN_TOOL
from tool_recognizer.core.decision import refuse
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import Stamp

Array = NDArray[np.float64]

# The reserved id, as in ``decision``, of a passage that ends with no label sure enough.
UNDECIDED = 'unknown:undecided'
# What a frame is to its passage: it counts; it counts, but the model takes what it sees for none
# of its labels; it does not count, for it is unfit or too late. (A version before wrote 'drifted'
# for those under a drift alarm, and they did not count; here they still do not.)
COUNTS, UNLIKE, UNFIT = PARTS = ('counts', 'unlike', 'unfit')
# Correlations among which the likeliest is sought: closer to each other near 0, where they matter.
_CORRELATIONS = np.linspace(0.0, 1.0, 65) ** 2
# Half of the 95th percentile of chi squared with one degree of freedom.
_HELD = 1.92


class PassageRules(NamedTuple):
    """
    What a passage's decision needs; see the parameters of the same names.

    Attributes
    ----------
    min_probability : of a label that is decided for, in (0, 1]
    min_frames : that count, before anything is decided
    correlation : rho of the frames of one passage, in [0, 1]

    """

    min_probability: float = 0.99
    min_frames: int = 3
    correlation: float = 0.75


def worth(frames: int, correlation: float) -> float:
    """Return a = 1 / (1 + (n - 1) rho): what each of n frames, at least 1, is worth."""
    return 1.0 / (1.0 + (frames - 1) * correlation)


def combine(total: Array, frames: int, correlation: float, log_prior: Array | None = None
            ) -> Array:
    """
    Compute the log-probabilities of the labels given all frames; see the module.

    Parameters
    ----------
    total : (K,) sum of the frames' log-probabilities, nats
    frames : n, at least 1
    correlation : rho, in [0, 1]
    log_prior : (K,) log pi, nats; None: all labels alike, which is what ``train`` fits with

    Returns
    -------
    (K,) float64, nats. A label that one frame ruled out stays so; should that be all labels,
    the frames contradict each other, and the prior is all that is known

    """
    prior = np.full(len(total), -np.log(len(total))) if log_prior is None else log_prior
    joint = prior + worth(frames, correlation) * (total - frames * prior)
    most = joint.max()
    if not np.isfinite(most):
        return prior
    return np.asarray(joint - most - np.log(np.exp(joint - most).sum()))


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    A passage's answer.

    Attributes
    ----------
    key : the frame that decided; at the end of an undecided passage its last one
    decision : what a controller is told
    log_probabilities : (K,) of the labels, nats; None if no frame counted
    frames : how many counted

    """

    key: FrameKey
    decision: Decision
    log_probabilities: Array | None
    frames: int


class Summary(NamedTuple):
    """What there is to say of a passage; see the attributes of ``Passage``."""

    number: int
    began: int
    reason: str
    frames: int
    counted: int
    unlike: int
    unfit: int
    contradictions: int


class News(NamedTuple):
    """
    Something to tell of a passage.

    Attributes
    ----------
    kind : 'began', 'decided' or 'ended'
    moment : ns
    reason : why it began or ended; '' when it is decided
    passage : how it stands
    verdict : the answer, if it is given now; an answer that was given before is not given again

    """

    kind: str
    moment: int
    reason: str
    passage: Summary
    verdict: Verdict | None = None


class Passage:
    """
    One passage, as a fold over its frames.

    Parameters
    ----------
    number : in its run, from 1
    began : ns
    reason : why it began
    labels : the model's K labels

    Attributes
    ----------
    number, began, reason : as given
    key : of its first frame, by which it is known; None before that
    last : the last frame of that one's camera
    counted : the last frame that went into the answer; None before the first
    frames, count, unlike, unfit : frames; of these those that count; of these those that the
        model takes for none of its labels; and those that do not count
    verdict : its answer, which is given once; None before
    contradictions : frames with which, after the answer, another label was as probable as an
        answer must be

    """

    def __init__(self, number: int, began: int, reason: str, labels: tuple[str, ...]) -> None:
        self.number, self.began, self.reason = number, began, reason
        self.key: FrameKey | None = None
        self.last: FrameKey | None = None
        self.counted: FrameKey | None = None
        self.frames = self.count = self.unlike = self.unfit = self.contradictions = 0
        self.verdict: Verdict | None = None
        self._labels = labels
        self._drifted = False
        self._total = np.zeros(len(labels))
        # What went into the answer; beyond it the sums above go on.
        self._answer_total, self._answer_count = self._total, 0
        self._shadow_total: Array | None = None
        self._shadow_count = 0

    @property
    def answer_total(self) -> Array:
        """Return the sum of the log-probabilities that is in the answer: (K,) nats."""
        return self._answer_total

    @property
    def answer_count(self) -> int:
        """Count the frames that are in the answer."""
        return self._answer_count

    def take(self, prediction: Prediction, part: str, rules: PassageRules, drifted: bool = False
             ) -> bool:
        """
        Take the next frame; tell whether the answer so far has changed.

        Of a camera whose stamp stands still or goes back, and of another camera, no frame counts.
        Under a drift alarm frames count as ever, so that what is confirmed is scored as ever; but
        where a label would be given, the answer is that there is none.

        Parameters
        ----------
        prediction : of the frame
        part : what the frame is to its passage, one of ``PARTS``
        rules : of the decision
        drifted : whether a drift alarm is on, and no label is wanted then

        """
        key, last = prediction.key, self.last
        self.frames += 1
        self._drifted = self._drifted or drifted
        alike = last is None or key.frame_id == last.frame_id
        follows = last is None or (alike and key.stamp > last.stamp)
        if alike:  # or else the next frame of its own camera would not follow it
            self.key, self.last = self.key or key, key
        if part not in (COUNTS, UNLIKE) or not follows:
            self.unfit += 1
            return False
        self.count += 1
        self.unlike += part == UNLIKE
        self._total = self._total + prediction.log_probabilities
        log_p = combine(self._total, self.count, rules.correlation)
        best = int(log_p.argmax())
        probability = float(np.exp(log_p[best]))
        sure = (probability >= rules.min_probability and self.count >= rules.min_frames
                and 2 * self.unlike <= self.count)
        if self.verdict is not None:
            given = self.verdict.decision.class_id
            self.contradictions += sure and given not in (DRIFT, self._labels[best])
            return False
        self.counted = key
        self._answer_total, self._answer_count = self._total, self.count
        if sure:
            decision = (refuse(DRIFT) if drifted else
                        Decision(self._labels[best], probability))
            self.verdict = Verdict(key, decision, log_p, self.count)
        return True

    @property
    def shadow_count(self) -> int:
        """Count the frames that are in the shadow model's answer."""
        return self._shadow_count

    def take_shadow(self, prediction: Prediction) -> bool:
        """Take a shadow model's answer to the frame that was taken last; tell if it counts."""
        if prediction.key != self.counted:
            return False
        before = 0.0 if self._shadow_total is None else self._shadow_total
        self._shadow_total = before + prediction.log_probabilities
        self._shadow_count += 1
        return True

    def end(self, moment: int, rules: PassageRules) -> Verdict:
        """Return the answer of a passage that has come to its end, at a moment in ns."""
        if self.verdict is None:
            refused = (DRIFT if self._drifted else
                       NOT_A_KNOWN_TOOL if 2 * self.unlike > self.count else UNDECIDED)
            log_p = (combine(self._total, self.count, rules.correlation) if self.count else None)
            self.verdict = Verdict(self.last or FrameKey(Stamp(moment), ''), refuse(refused),
                                   log_p, self.count)
        return self.verdict

    def prediction(self, rules: PassageRules, digest: str) -> Prediction:
        """Return the answer so far, as the prediction of its first frame; it has counted one."""
        assert self.key is not None
        return Prediction(self.key, self._labels, combine(
            self._answer_total, self._answer_count, rules.correlation), NO_FEATURES, digest)

    def shadow_prediction(self, rules: PassageRules, labels: tuple[str, ...], digest: str
                          ) -> Prediction:
        """Return the shadow model's answer so far, from the same frames."""
        assert self.key is not None
        assert self._shadow_total is not None
        return Prediction(self.key, labels, combine(
            self._shadow_total, self._shadow_count, rules.correlation), NO_FEATURES, digest)

    def summary(self) -> 'Summary':
        """Return what there is to say of it now."""
        return Summary(self.number, self.began, self.reason, self.frames, self.count, self.unlike,
                       self.unfit, self.contradictions)

    def to_state(self) -> dict[str, Any]:
        """Return all that it knows (see ``Run.to_state``)."""
        verdict = self.verdict
        return {
            'number': self.number, 'began': self.began, 'reason': self.reason,
            **{name: key if key is None else list(key) for name, key in (
                ('key', self.key), ('last', self.last), ('counted', self.counted))},
            'counts': [self.frames, self.count, self.unlike, self.unfit, self.contradictions],
            'drifted': self._drifted, 'total': self._total, 'answer_total': self._answer_total,
            'answer_count': self._answer_count, 'shadow_total': self._shadow_total,
            'shadow_count': self._shadow_count,
            'verdict': None if verdict is None else [
                list(verdict.key), verdict.decision.class_id, verdict.decision.score,
                verdict.log_probabilities, verdict.frames]}

    @classmethod
    def from_state(cls, state: dict[str, Any], labels: tuple[str, ...]) -> 'Passage':
        """Return the passage that ``to_state`` described."""
        self = cls(state['number'], state['began'], state['reason'], labels)
        self.key, self.last, self.counted = (
            None if key is None else FrameKey(*key)
            for key in (state['key'], state['last'], state['counted']))
        (self.frames, self.count, self.unlike, self.unfit, self.contradictions) = state['counts']
        self._drifted, self._total = state['drifted'], state['total']
        self._answer_total = state['answer_total']
        self._answer_count = state['answer_count']
        self._shadow_total, self._shadow_count = state['shadow_total'], state['shadow_count']
        if state['verdict'] is not None:
            key, class_id, score, log_p, frames = state['verdict']
            self.verdict = Verdict(FrameKey(*key), Decision(class_id, score), log_p, frames)
        return self


class Fit(NamedTuple):
    """
    The likeliest correlation, given confirmed passages; nan without any.

    Attributes
    ----------
    passages : how many
    correlation : rho
    nll : mean NLL of the passages with it, nats per passage
    nll_in_use : the same with the correlation in use
    nll_of_frames : mean NLL of their frames, each alone, nats per frame
    low, high : ends of the 95 % interval of rho

    """

    passages: int = 0
    correlation: float = float('nan')
    nll: float = float('nan')
    nll_in_use: float = float('nan')
    nll_of_frames: float = float('nan')
    low: float = float('nan')
    high: float = float('nan')


def fit_correlation(distributions: Sequence[Array], totals: Sequence[Array],
                    frames: Sequence[int], in_use: float) -> Fit:
    """
    Fit rho by maximum likelihood: the least mean NLL of the confirmed labels.

    Parameters
    ----------
    distributions : P confirmed distributions, (K,) each
    totals : P sums of the frames' log-probabilities, (K,) each, nats
    frames : P numbers of frames, at least 1
    in_use : rho of now

    Returns
    -------
    rho on a grid, of equals the largest, which is the most cautious. Its interval has those whose
    log-likelihood is less than 1.92 below the greatest (S. Wilks, The large-sample distribution of
    the likelihood ratio, 1938)

    """
    if not frames:
        return Fit()
    q, total, n = np.array(distributions), np.array(totals), np.array(frames, np.float64)

    def nll(correlation: float) -> float:
        joint = total / (1.0 + (n - 1.0) * correlation)[:, np.newaxis]
        most = joint.max(axis=1, keepdims=True)
        with np.errstate(invalid='ignore'):  # all ruled out: nothing is known, as ``combine``
            log_p = joint - most - np.log(np.exp(joint - most).sum(axis=1, keepdims=True))
        log_p = np.where(np.isfinite(most), log_p, -np.log(q.shape[1]))
        return float(np.mean(cross_entropy(q, log_p)))

    scores = np.array([nll(correlation) for correlation in _CORRELATIONS])
    best = len(scores) - 1 - int(np.argmin(scores[::-1]))
    with np.errstate(invalid='ignore'):  # if a label that was confirmed was ruled out, all are inf
        held = np.flatnonzero((scores == scores[best])
                              | (len(frames) * (scores - scores[best]) <= _HELD))
    each = cross_entropy(q, total / n[:, np.newaxis])
    return Fit(len(frames), float(_CORRELATIONS[best]), float(scores[best]), nll(in_use),
               float((each * n).sum() / n.sum()),
               *(float(_CORRELATIONS[end]) for end in (held[0], held[-1])))
