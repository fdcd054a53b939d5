"""Whether one model is better than another, by their predictions for the same frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.evaluation.figures import mean_with_interval
from tool_recognizer.evaluation.figures import share_with_interval
from tool_recognizer.evaluation.predictions import Predictions
from tool_recognizer.training.labelled import DataError

RESAMPLES = 10_000
# Two-sided 95 % interval.
TAIL = 0.025
# Bursts of confirmed frames from which on they can show that a model is worse.
ENOUGH_BURSTS = 6


def compare(new: Predictions, old: Predictions, seed: int) -> dict[str, Any]:
    """
    Give the mean difference of the NLL per frame, new less old, with a bootstrap interval.

    Drawn are bursts, not frames: frames of one object are no independent witnesses. (Cluster
    bootstrap; Davison and Hinkley, Bootstrap methods and their application, 1997, section 3.8.)

    Parameters
    ----------
    new, old : predictions; compared are the frames that are in both
    seed : of the resampling

    Returns
    -------
    frames: how many are in both; bursts: of how many; nll, accuracy of the old model on them, with
    intervals; nll_difference in nats with the ends of its 95 % interval (the percentiles of 10,000
    resamples); better: the share of the frames on which the new model paid less; identical:
    whether both paid the same on each. A frame that both rule out counts as equal

    Raises
    ------
    DataError
        No frame is in both.

    """
    place = {example.name: i for i, example in enumerate(old.examples)}
    common = [i for i, example in enumerate(new.examples) if example.name in place]
    if not common:
        raise DataError('the two models have answered no common frame: without its picture a '
                        'frame has the answer of one model only')
    new = new.where(common)
    old = old.where([place[example.name] for example in new.examples])
    before, after = old.paid, new.paid
    difference = np.zeros(len(before))
    differs = before != after
    difference[differs] = after[differs] - before[differs]
    bursts = new.bursts
    sums, sizes = np.bincount(bursts, weights=difference), np.bincount(bursts)
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    # inf less inf is nan, and nan passes no gate.
    with np.errstate(invalid='ignore'):
        for i in range(RESAMPLES):
            drawn = rng.integers(len(sums), size=len(sums))
            means[i] = sums[drawn].sum() / sizes[drawn].sum()
        low, high = np.quantile(means, [TAIL, 1.0 - TAIL])
    return {'frames': len(common), 'bursts': len(sums),
            **mean_with_interval(
                'nll', before, bursts, cost_of_surprise(old.log_probabilities.shape[1])),
            **share_with_interval(
                'accuracy', old.log_probabilities.argmax(axis=1) == old.label, bursts),
            'nll_difference': float(difference.mean()),
            'nll_difference_low': float(low),
            'nll_difference_high': float(high),
            'better': float(np.mean(difference < 0.0)),
            'identical': not differs.any()}


def gate(against: dict[str, Any] | None, labels: Sequence[str], others: Sequence[str]
         ) -> dict[str, Any]:
    """
    Judge whether a model may take the place of another one.

    Parameters
    ----------
    against : of ``compare``; None: there was no frame to compare on
    labels : of the model
    others : labels of the other one

    Returns
    -------
    passed; words: why, in a sentence; lost, new: the labels that only the other one has, and
    those that only the model has; frames, low, high: of the difference, if there is one

    """
    lost = [label for label in others if label not in labels]
    new = [label for label in labels if label not in others]
    passed = against is not None and against['nll_difference_high'] < 0.0 and not lost
    if lost:
        words = f'gate: not passed: it does not know {", ".join(lost)}'
    elif against is None:
        words = ('gate: not passed: there is no held-out photograph of a label that both know and '
                 'that the other one was not trained on')
    else:
        words = gate_line(against)
        if new:
            words += (f', on {against["frames"]} frames of the labels that both know; '
                      f'{", ".join(new)} only it knows')
    return {'passed': passed, 'words': words, 'lost': lost, 'new': new,
            **({} if against is None else {
                'frames': against['frames'], 'low': against['nll_difference_low'],
                'high': against['nll_difference_high']})}


def gate_also(verdict: dict[str, Any], against: dict[str, Any]) -> dict[str, Any]:
    """
    Judge by confirmed frames, too: a model that is shown to be worse on them does not pass.

    Of five bursts or fewer all may be worse by chance (one time in 32), so they show nothing.

    Parameters
    ----------
    verdict : of ``gate``
    against : of ``compare``, on those frames

    Returns
    -------
    The verdict, with what the confirmed frames say: frames, low, high, worse

    """
    low, high, frames = (against[name] for name in (
        'nll_difference_low', 'nll_difference_high', 'frames'))
    is_worse = against['bursts'] >= ENOUGH_BURSTS and not low <= 0.0  # nan passes no gate
    interval = ('there is no interval, for one was ruled out' if np.isnan(low) else
                f'the interval is {low:+.4f} to {high:+.4f}')
    words = (f'gate: not passed: worse on {frames} confirmed frames: {interval}'
             if is_worse and verdict['passed'] else
             f'{verdict["words"]}; on {frames} confirmed frames {interval}')
    return {**verdict, 'passed': verdict['passed'] and not is_worse, 'words': words,
            'confirmed': {'frames': frames, 'low': low, 'high': high, 'worse': is_worse}}


def gate_line(against: dict[str, Any]) -> str:
    """
    Say what the difference shows.

    Parameters
    ----------
    against : of ``compare``

    """
    low, high = against['nll_difference_low'], against['nll_difference_high']
    if against['identical']:
        return f'gate: not passed: identical on all {against["frames"]} frames'
    if np.isnan(high):
        return 'gate: not passed: no interval, a confirmed label was ruled out'
    interval = f'the interval {low:+.4f} to {high:+.4f}'
    if high < 0.0:
        return f'gate: passed: {interval} lies below 0'
    return f'gate: not passed: {interval} reaches {"above " if high > 0.0 else ""}0'
