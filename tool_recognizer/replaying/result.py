"""
The result of a replay as JSON, its verdict, and a JUnit file for CI servers.

The same recording, model and parameters give the same bytes: no date, no duration, no folder is in
it. A number that is infinite is written as the text "inf" or "-inf", one that is not known as
null.
"""

from array import array
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
import json
from math import isfinite
from math import isnan
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from tool_recognizer.bags.recording import Opened
from tool_recognizer.core.confirmation import Outcome
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.drift import REFERENCE_LABELS
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.scorecard import compare
from tool_recognizer.core.scorecard import Comparison
from tool_recognizer.core.scorecard import score
from tool_recognizer.core.scorecard import Scorecard
from tool_recognizer.core.stamps import BACK
from tool_recognizer.core.stamps import STILL
from tool_recognizer.core.stamps import ZERO
from tool_recognizer.input_file import read_whole
from tool_recognizer.parameters import PARAMETERS
from tool_recognizer.parameters import Value
from tool_recognizer.replaying.run import Run

SCHEMA = 1
# Bytes of a result that is compared with: some five million confirmed frames.
LARGEST = 2**29
# Parameters of the machine: no part of the result.
MACHINE = ('model_path', 'shadow_model_path', 'intra_op_threads', 'autostart')


class BaselineError(ValueError):
    """A stored result that cannot be used, and why."""


@dataclass(frozen=True)
class Check:
    """
    One demand on the result.

    Attributes
    ----------
    name : as on the command line, without dashes
    passed : whether it is met
    words : the figure and the limit, as a sentence

    """

    name: str
    passed: bool
    words: str


@dataclass(frozen=True)
class Demands:
    """
    What the result must reach; None: not demanded.

    Attributes
    ----------
    max_nll : nats per confirmed frame
    min_accuracy : share of the confirmed frames
    no_drift : whether an alarm fails
    tolerance : nats per frame by which it may be worse than the stored result

    """

    max_nll: float | None = None
    min_accuracy: float | None = None
    no_drift: bool = False
    tolerance: float = 0.0


@dataclass(frozen=True)
class Baseline:
    """
    A stored result.

    Attributes
    ----------
    name : of its file
    costs : NLL of each confirmed frame, nats
    nll, accuracy : its means
    model_digest : of the model that it was made with

    """

    name: str
    costs: Mapping[FrameKey, float]
    nll: float
    accuracy: float
    model_digest: str


def read_baseline(path: Path) -> Baseline:
    """
    Read a result that ``to_json`` wrote.

    Raises
    ------
    BaselineError
        The file cannot be read, or is none.

    """
    none = f'{path}: is no result of replay --json'
    try:
        stored = json.loads(read_whole(path, LARGEST))  # in any of Unicode's encodings
    except OSError as error:
        raise BaselineError(f'{path}: cannot be read ({error.strerror})') from None
    except (ValueError, RecursionError):
        raise BaselineError(f'{none}: it is no JSON') from None
    if not isinstance(stored, dict) or 'schema' not in stored:
        raise BaselineError(none + _what_it_is(stored))
    if stored['schema'] != SCHEMA:
        raise BaselineError(f'{path}: has the schema {stored["schema"]!r}, this version reads '
                            f'{SCHEMA}; make it anew with replay --json')
    try:
        costs = {FrameKey(Stamp(int(frame['stamp'])), str(frame['frame_id'])): number(frame['nll'])
                 for frame in stored['confirmed_frames']}
        figures = stored['figures']
        return Baseline(path.name, costs, number(figures['nll']), number(figures['accuracy']),
                        str(stored['model']['digest']))
    except KeyError as error:
        raise BaselineError(f'{none}: it has no {error}') from None
    except (TypeError, ValueError, OverflowError):
        raise BaselineError(f'{none}: its figures or confirmed_frames have another form') from None


def _what_it_is(stored: Any) -> str:
    if not isinstance(stored, dict):
        return ': it is JSON of another form'
    if 'risk_coverage' in stored:
        return ', but of evaluate --json; evaluate compares models with --against'
    if 'findings' in stored or 'digest' in stored:
        return ', but of model --json'
    return ": it has no 'schema'"


def _quiet(detector: DriftDetector) -> str:
    """Say that there was no alarm, and whether the test could have raised one."""
    verdict = f'no drift alarm (evidence {detector.evidence:.3g} of {detector.threshold:g})'
    if detector.learning:
        verdict += (f'; the line was still being learned, {detector.reference_size} of '
                    f'{REFERENCE_LABELS} labels, so that only a model that fails outright would '
                    'have been noticed')
    return verdict


def number(stored: Any) -> float:
    """Read a number as ``to_json`` writes it."""
    return float('nan') if stored is None else float(stored)


def judge(run: Run, card: Scorecard, demands: Demands,
          comparison: Comparison | None) -> list[Check]:
    """
    Check a result against what is demanded.

    Parameters
    ----------
    run : the finished run
    card : its figures
    demands : what is demanded
    comparison : with the stored result, if there is one

    Returns
    -------
    One check for each demand; an unknown figure passes none

    """
    checks = []
    if demands.max_nll is not None:
        checks.append(Check('max-nll', card.nll <= demands.max_nll,
                            f'NLL {card.nll:.4f} nats over {card.n} confirmed frames, at most '
                            f'{demands.max_nll:g} is demanded'))
    if demands.min_accuracy is not None:
        checks.append(Check('min-accuracy', card.accuracy >= demands.min_accuracy,
                            f'accuracy {card.accuracy:.4f} over {card.n} confirmed frames, at '
                            f'least {demands.min_accuracy:g} is demanded'))
    if demands.no_drift:
        words = _quiet(run.engine.run.monitor.detector)
        if run.alarms:
            first = run.alarms[0]
            words = (f'drift alarm after {first.scored} confirmed frames, at '
                     f'{first.elapsed:.1f} s ({first.leading})')
        checks.append(Check('no-drift', not run.alarms, words))
    if comparison is not None:
        if not comparison.n:
            words = 'no confirmed frame is also one of the baseline, so there is no comparison'
        elif comparison.identical:
            words = f'NLL against the baseline: identical on all {comparison.n} frames'
        else:
            words = (f'NLL {comparison.difference:+.4f} nats per frame against the baseline '
                     f'(95 % interval {comparison.low:+.4f} to {comparison.high:+.4f}) on '
                     f'{comparison.n} frames, {demands.tolerance:g} worse is tolerated')
        if comparison.missing:
            words += f'; {comparison.missing} frames of the baseline were not scored now'
        checks.append(Check('baseline', comparison.n > 0 and not comparison.missing
                            and comparison.difference <= demands.tolerance, words))
    return checks


def compared(run: Run, baseline: Baseline) -> Comparison:
    """Compare a run with a stored result, frame by frame."""
    return compare({scored.key: scored.nll for scored in run.scored}, baseline.costs)


def scorecard(run: Run) -> Scorecard:
    """Take the figures over all confirmed frames of a run."""
    few = (0, len(run.labels))
    return score(run.labels, np.array(run.log_p) if run.log_p else np.zeros(few),
                 np.array(run.q) if run.q else np.zeros(few))


def result(run: Run, bags: Sequence[Opened], losses: Mapping[int, Sequence[str]],
           parameters: Mapping[str, Value], version: str, card: Scorecard,
           checks: Sequence[Check], baseline: tuple[Baseline, Comparison] | None
           ) -> dict[str, Any]:
    """
    Put a finished run into the form of its JSON.

    Parameters
    ----------
    run : the run
    bags : the bags
    losses : what could not be read of each bag, by its number
    parameters : all of the recognizer's
    version : of the program
    card : the figures
    checks : the verdict
    baseline : the stored result, and the comparison with it

    """
    engine, plan = run.engine, run.plan
    warning = engine.run.warning
    counts = engine.run.monitor.counts
    answered = max(1, run.answered)
    drift = engine.run.monitor.detector
    figures = {k: v for k, v in asdict(card).items() if k not in ('per_label', 'confusion')}
    document: dict[str, Any] = {
        'schema': SCHEMA,
        'tool_version': version,
        'verdict': {'passed': all(check.passed for check in checks),
                    'checks': [asdict(check) for check in checks]},
        'model': {'digest': engine.model.digest, 'labels': list(engine.model.labels),
                  'name': engine.model.metadata.get('name', ''),
                  'version': engine.model.metadata.get('version', ''),
                  'reference_nll': engine.run.monitor.reference_nll},
        'parameters': {p.name: parameters[p.name] for p in PARAMETERS
                       if parameters[p.name] != p.default and p.name not in MACHINE},
        'bags': [{'name': bag.path.name, 'start': bag.start, 'end': bag.end,
                  'frames': run.frames_per_bag[number], 'losses': list(losses.get(number, ()))}
                 for number, bag in enumerate(bags)],
        'input': {
            'topic': plan.frames, 'compressed': plan.compressed,
            'confirmed_topics': list(plan.confirmed), 'shown_topic': plan.shown,
            'notes': list(plan.notes), 'duration_s': run.clock.duration,
            'frames': run.received, 'answered': run.answered,
            'dropped': dict(sorted(run.dropped.items())),
            'unreadable_messages': dict(sorted(run.bad_messages.items())),
            'examples': dict(sorted(run.examples.items())),
            'frames_per_frame_id': dict(sorted(run.cameras.items())),
            'stamps_zero': run.stamps.counts[ZERO], 'stamps_repeated': run.stamps.counts[STILL],
            'stamps_backwards': run.stamps.counts[BACK], 'stamps_trouble': run.stamps.trouble(),
            'gaps_beyond_deadline': run.gaps, 'longest_gap_s': run.longest_gap},
        'figures': figures,
        'per_label': {label: asdict(part) for label, part in card.per_label.items()},
        'confusion': card.confusion.tolist(),
        'confirmations': {**{outcome.value: counts[outcome] for outcome in Outcome
                             if outcome is not Outcome.STRUCK},  # nobody corrects a recording
                          'invalid': run.invalid},
        'decisions': dict(sorted(run.decisions.items())),
        'unknown_rates': {reason: count / answered for reason, count
                          in sorted(run.decisions.items()) if ':' in reason},
        'latency_ms': {'stamp_to_recorded': _percentiles(run.arrival),
                       'stamp_to_live_answer': _percentiles(run.live_latency)},
        'live_answers': {'compared': run.live,
                         'greatest_difference': run.live_difference if run.live else None},
        'drift': {'alarm': bool(run.alarms), 'evidence': drift.evidence,
                  'threshold': drift.threshold, 'learning': drift.learning,
                  'quiet': '' if run.alarms else _quiet(drift),
                  'alarms': [asdict(alarm) for alarm in run.alarms]},
        'early_warning': {'warning': warning.warning, 'reason': warning.reason,
                          'elapsed': run.warned, 'samples': warning.n_samples,
                          'evidence': warning.evidence,
                          'threshold': warning.run_length},
        'window': asdict(run.figures)}
    passages = engine.run.passages
    if passages is not None:
        frames = np.array(run.object_frames)
        document['passages'] = {
            'topic': plan.present, 'number': passages.number, 'decided': passages.decided,
            'undecided': passages.undecided, 'empty': passages.empty,
            'contradicted': passages.contradicted, 'ends': dict(sorted(passages.ends.items())),
            'decisions': dict(sorted(run.object_decisions.items())),
            'mean_frames': float(frames.mean()) if frames.size else float('nan'),
            'correlation': passages.rules.correlation, 'fit': passages.fit()._asdict()}
    if baseline is not None:
        stored, comparison = baseline
        document['baseline'] = {'name': stored.name, 'nll': stored.nll,
                                'accuracy': stored.accuracy, 'model_digest': stored.model_digest,
                                **asdict(comparison)}
    document['confirmed_frames'] = [
        {'stamp': scored.key.stamp, 'frame_id': scored.key.frame_id, 'label': scored.label,
         'answer': scored.answer, 'nll': scored.nll} for scored in run.scored]
    return document


def to_json(document: Mapping[str, Any]) -> str:
    """Write a result; see the module for numbers that JSON does not have."""
    return json.dumps(_plain(document), indent=1, allow_nan=False) + '\n'


def to_junit(checks: Sequence[Check], document: Mapping[str, Any]) -> str:
    """
    Write the verdict as JUnit XML, one test for each demand, and one for the reading.

    Parameters
    ----------
    checks : the verdict
    document : the result

    """
    name = ', '.join(bag['name'] for bag in document['bags'])
    suite = ElementTree.Element('testsuite', {
        'name': f'replay of {name}', 'tests': str(len(checks) + 1),
        'failures': str(sum(not check.passed for check in checks)), 'errors': '0'})
    about = document['input']
    read = ElementTree.SubElement(suite, 'testcase', {'classname': 'replay', 'name': 'read'})
    losses = [loss for bag in document['bags'] for loss in bag['losses']]
    ElementTree.SubElement(read, 'system-out').text = '\n'.join(
        [f'{about["answered"]} of {about["frames"]} frames answered', *losses])
    for check in checks:
        case = ElementTree.SubElement(suite, 'testcase',
                                      {'classname': 'replay', 'name': check.name})
        if check.passed:
            ElementTree.SubElement(case, 'system-out').text = check.words
        else:
            ElementTree.SubElement(case, 'failure', {'message': check.words})
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding='unicode', xml_declaration=True) + '\n'


def _percentiles(milliseconds: 'array[float]') -> dict[str, float]:
    if not milliseconds:
        return {'p50': float('nan'), 'p95': float('nan'), 'p99': float('nan')}
    p50, p95, p99 = np.percentile(milliseconds, [50.0, 95.0, 99.0]).tolist()
    return {'p50': p50, 'p95': p95, 'p99': p99}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not isfinite(value):
        return None if isnan(value) else str(value)
    return value
