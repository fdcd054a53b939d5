"""
How good a model is on labelled photographs, and whether another one is better.

Every photograph goes the way of a camera's frame: the same decoder, the same resize, the same
model. The folder 'other' is not scored as a label; it shows how well the model knows what it does
not know. Left out: what is learned from it (``train``), and recorded bags (``replay``).
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
import json
from pathlib import Path
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.adapters.onnx_model import ModelError
from tool_recognizer.adapters.onnx_model import OnnxModel
from tool_recognizer.adapters.pictures import PictureError
from tool_recognizer.adapters.pictures import read_picture
from tool_recognizer.adapters.pictures import SUFFIXES
from tool_recognizer.arguments import Parser
from tool_recognizer.arguments import refuse
from tool_recognizer.core.calibration import auroc
from tool_recognizer.core.calibration import brier_score
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.calibration import false_positive_rate
from tool_recognizer.core.information import kl_divergence
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.preprocessing import fit_image

SUMMARY = 'measure a model on labelled photographs, and compare two'
EXAMPLES = (
    'python3 -m tool_recognizer evaluate tools.onnx photos',
    'python3 -m tool_recognizer evaluate new.onnx photos --against old.onnx --gate',
    'python3 -m tool_recognizer evaluate tools.onnx photos --json figures.json')
BATCH = 16
RESAMPLES = 10_000
# Two-sided 95 % interval.
TAIL = 0.025

Array = NDArray[np.float64]


class DataError(ValueError):
    """Photographs that cannot be used, and why."""


@dataclass(frozen=True)
class Answers:
    """
    A model's answers to labelled photographs.

    Attributes
    ----------
    log_probabilities : (N, K) nats, of the photographs of its labels
    label : (N,) the true label's index
    names : (N,) the photographs
    novelty : (N,) log-odds of 'none of the labels'; for a model without such a score, the energy
        -log sum_k exp(logit_k) (Liu, Wang, Owens, Li, Energy-based out-of-distribution
        detection, 2020)
    novelty_of_others : (M,) the same, of the photographs of other things

    """

    log_probabilities: Array
    label: NDArray[np.int64]
    names: tuple[str, ...]
    novelty: Array
    novelty_of_others: Array


def main(argv: list[str] | None = None) -> int:
    """
    Run the command.

    Parameters
    ----------
    argv : the arguments, default the process's

    Returns
    -------
    0 done; 1 with --gate, and the model is not better than the other; 2 unusable input

    """
    arguments = _parser().parse_args(argv)
    try:
        return _evaluate(arguments)
    except (DataError, ModelError) as error:
        return refuse('evaluate', error)


def _parser() -> argparse.ArgumentParser:
    parser = Parser('evaluate', SUMMARY, EXAMPLES)
    parser.add_argument('model', type=Path, help='the model file')
    parser.add_argument('data', nargs='+', type=Path,
                        help="folder with one folder of photographs per label; 'other' holds "
                             'things that are none of them')
    parser.add_argument('--against', type=Path, metavar='OTHER',
                        help='another model: the paired difference of the NLL, with an interval')
    parser.add_argument('--gate', action='store_true',
                        help='exit status 1 unless the model is better than OTHER with 95 %% '
                             'confidence')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures as JSON')
    parser.add_argument('--seed', type=int, default=1,
                        help="of the interval's resampling (default %(default)s)")
    parser.add_argument('--quiet', action='store_true', help='print no table')
    return parser


def _evaluate(arguments: argparse.Namespace) -> int:
    if arguments.gate and not arguments.against:
        raise DataError('--gate needs --against OTHER: better than what?')
    model = OnnxModel.load(arguments.model)
    photos, others = find_photos(arguments.data, model.labels)
    answers = answer(model, photos, others)
    figures = measure(answers, model)
    better = True
    if arguments.against:
        other = OnnxModel.load(arguments.against)
        if other.labels != model.labels:
            raise DataError(f'{arguments.against} has the labels {list(other.labels)}, '
                            f'{arguments.model} has {list(model.labels)}: only models of the '
                            'same labels can be compared')
        figures['against'] = compare(answers, answer(other, photos, []), arguments.seed)
        better = figures['against']['nll_difference_high'] < 0.0
    if not arguments.quiet:
        print(table(figures))
    if arguments.json:
        try:
            arguments.json.write_text(json.dumps(_without_nan(figures), indent=2) + '\n')
        except OSError as error:
            raise DataError(f'{arguments.json}: cannot be written ({error.strerror})') from None
    return 1 if arguments.gate and not better else 0


def find_photos(folders: Sequence[Path], labels: Sequence[str]
                ) -> tuple[list[tuple[Path, str]], list[Path]]:
    """
    Find the photographs of labelled folders.

    Parameters
    ----------
    folders : each with one folder per label
    labels : the model's; photographs in any other folder are of other things

    Returns
    -------
    The photographs of the labels, each with its label; and those of other things

    Raises
    ------
    DataError
        A folder that is not there, or no photograph of any label.

    """
    known: list[tuple[Path, str]] = []
    others: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f'{folder}: no such folder; it must hold one folder per label')
        for path in sorted(folder.glob('*/**/*')):
            if path.suffix.lower() not in SUFFIXES or not path.is_file():
                continue
            label = path.relative_to(folder).parts[0]
            if label in labels:
                known.append((path, label))
            else:
                others.append(path)
    if not known:
        raise DataError(f'no photograph of {list(labels)} in {[str(f) for f in folders]}; '
                        'they belong into one folder per label, DATA/LABEL/*.jpg')
    return known, others


def answer(model: OnnxModel, photos: Sequence[tuple[Path, str]],
           others: Sequence[Path]) -> Answers:
    """
    Let a model answer photographs; those that cannot be read are said and left out.

    Parameters
    ----------
    model : the model
    photos : with their labels
    others : of things that are none of the labels

    """
    logits, novelty, kept = _infer(model, [path for path, _ in photos])
    _, novelty_of_others, _ = _infer(model, others)
    label = np.array([model.labels.index(photos[i][1]) for i in kept], np.int64)
    if not len(label):
        raise DataError('none of the photographs can be read')
    return Answers(log_softmax(logits, model.temperature), label,
                   tuple(str(photos[i][0]) for i in kept),
                   novelty, novelty_of_others)


def _infer(model: OnnxModel, paths: Sequence[Path]) -> tuple[Array, Array, list[int]]:
    pictures, kept = [], []
    logits: list[Array] = []
    novelty: list[Array] = []
    for number, path in enumerate(paths):
        try:
            pixels, order = read_picture(path, model.input)
        except PictureError as error:
            print(f'left out: {error}', file=sys.stderr)
        else:
            pictures.append(fit_image(pixels, model.input, order))
            kept.append(number)
        if pictures and (len(pictures) == BATCH or number == len(paths) - 1):
            answers = model.infer(np.stack(pictures))
            logits.append(answers.logits.astype(np.float64))
            novelty.append(answers.novelty.astype(np.float64))
            pictures.clear()
    if not kept:
        return np.zeros((0, len(model.labels))), np.zeros(0), []
    z, score = np.concatenate(logits), np.concatenate(novelty)
    return z, np.where(np.isnan(score), -np.logaddexp.reduce(z, axis=1), score), kept


def measure(answers: Answers, model: OnnxModel) -> dict[str, Any]:
    """
    Compute the figures of a model's answers.

    Parameters
    ----------
    answers : the answers
    model : the model, for its labels and its threshold of rejection

    Returns
    -------
    accuracy; nll, kl in nats; ece, brier, auroc, fpr_at_95_tpr, all nan where there is nothing to
    measure; counts; per_label; confusion (rows: the true label); rejection; worst (the photographs
    with the greatest NLL)

    """
    log_p, label = answers.log_probabilities, answers.label
    labels = model.labels
    q = np.eye(len(labels))[label]
    each = nll(log_p, label)
    best = log_p.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (label, best), 1)
    figures: dict[str, Any] = {
        'accuracy': float(np.mean(best == label)),
        'nll': float(each.mean()),
        'kl': float(kl_divergence(q, log_p).mean()),
        'ece': expected_calibration_error(log_p, label),
        'brier': brier_score(log_p, label),
        # Known tools are the positives, and less novel than what is not.
        'auroc': auroc(-answers.novelty, -answers.novelty_of_others),
        'fpr_at_95_tpr': false_positive_rate(-answers.novelty, -answers.novelty_of_others),
        'counts': {name: int(np.sum(label == k)) for k, name in enumerate(labels)},
        'per_label': {name: _of_label(k, confusion, each[label == k])
                      for k, name in enumerate(labels)},
        'confusion': confusion.tolist(),
        'model_digest': model.digest}
    figures['counts']['other'] = len(answers.novelty_of_others)
    rejection = model.metadata.get('rejection')
    if rejection:
        kept = answers.novelty <= rejection['threshold']
        figures['rejection'] = {
            'threshold': rejection['threshold'],
            'coverage': float(np.mean(kept)),
            'risk': float(np.mean(best[kept] != label[kept])) if kept.any() else float('nan'),
            'others_refused': (float(np.mean(answers.novelty_of_others > rejection['threshold']))
                               if len(answers.novelty_of_others) else float('nan'))}
    worst = np.argsort(-each, kind='stable')[:10]
    figures['worst'] = [{'photo': answers.names[i], 'label': labels[label[i]],
                         'answer': labels[best[i]], 'nll': float(each[i])} for i in worst]
    return figures


def _of_label(k: int, confusion: NDArray[np.int64], each: Array) -> dict[str, float]:
    def share(part: int, whole: int) -> float:
        return part / whole if whole else float('nan')
    return {'recall': share(int(confusion[k, k]), int(confusion[k].sum())),
            'precision': share(int(confusion[k, k]), int(confusion[:, k].sum())),
            'nll': float(each.mean()) if len(each) else float('nan')}


def compare(new: Answers, old: Answers, seed: int) -> dict[str, Any]:
    """
    Give the mean difference of the NLL per photograph, new less old, with a bootstrap interval.

    Parameters
    ----------
    new, old : answers to the same photographs
    seed : of the resampling

    Returns
    -------
    nll, accuracy of the old model; nll_difference in nats with the ends of its 95 % interval (the
    percentiles of 10,000 resamples of the photographs); better: the share of the photographs on
    which the new model paid less

    """
    difference = nll(new.log_probabilities, new.label) - nll(old.log_probabilities, old.label)
    rng = np.random.default_rng(seed)
    means = np.array([difference[rng.integers(len(difference), size=len(difference))].mean()
                      for _ in range(RESAMPLES)])
    low, high = np.quantile(means, [TAIL, 1.0 - TAIL])
    return {'nll': float(nll(old.log_probabilities, old.label).mean()),
            'accuracy': float(np.mean(old.log_probabilities.argmax(axis=1) == old.label)),
            'nll_difference': float(difference.mean()),
            'nll_difference_low': float(low),
            'nll_difference_high': float(high),
            'better': float(np.mean(difference < 0.0))}


def table(figures: dict[str, Any]) -> str:
    """
    Lay the figures out for people.

    Parameters
    ----------
    figures : of ``measure``

    """
    counts = figures['counts']
    labels = list(figures['per_label'])
    known = sum(counts[name] for name in labels)
    wide = max(11, *(len(name) for name in labels))
    lines = [f'{known} photographs of {len(labels)} labels, {counts["other"]} of other things',
             '',
             f'accuracy {figures["accuracy"]:.4f}   NLL {figures["nll"]:.4f} nats   '
             f'KL {figures["kl"]:.4f} nats',
             f'ECE {figures["ece"]:.4f}   Brier {figures["brier"]:.4f}',
             f'known or other: AUROC {figures["auroc"]:.4f}, other accepted where 95 % of the '
             f'known are: {figures["fpr_at_95_tpr"]:.3f}']
    if 'rejection' in figures:
        r = figures['rejection']
        lines.append(f'at the threshold {r["threshold"]:.3f}: {r["coverage"]:.3f} of the known '
                     f'answered, {r["risk"]:.4f} of these wrong, {r["others_refused"]:.3f} of the '
                     'others refused')
    lines += ['', f'{"":<{wide}}  photos  recall  precision     NLL']
    for name in labels:
        row = figures['per_label'][name]
        lines.append(f'{name:<{wide}}  {counts[name]:6d}  {row["recall"]:6.3f}  '
                     f'{row["precision"]:9.3f}  {row["nll"]:6.3f}')
    if len(labels) <= 12:
        lines += ['', f'{"answer:":>{wide}}  ' + '  '.join(f'{n:>{wide}}' for n in labels)]
        lines += [f'{name:<{wide}}  ' + '  '.join(f'{c:>{wide}d}' for c in row)
                  for name, row in zip(labels, figures['confusion'], strict=True)]
    lines += ['', 'worst:'] + [
        f'  {w["nll"]:7.3f} nats  {w["label"]} taken for {w["answer"]}  {w["photo"]}'
        for w in figures['worst'][:5]]
    if 'against' in figures:
        a = figures['against']
        lines += ['', f'against: accuracy {a["accuracy"]:.4f}, NLL {a["nll"]:.4f} nats',
                  f'difference {a["nll_difference"]:+.4f} nats per photograph, 95 % interval '
                  f'{a["nll_difference_low"]:+.4f} to {a["nll_difference_high"]:+.4f}; '
                  f'better on {a["better"]:.1%}']
    return '\n'.join(lines)


def _without_nan(value: Any) -> Any:
    """JSON has no nan: null says that there was nothing to measure."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


if __name__ == '__main__':
    sys.exit(main())
