"""
How good a model is on labelled photographs, and whether another one is better.

Every photograph goes the way of a camera's frame: the same decoder, the same resize, the same
model. The folder 'other' is not scored as a label; it shows how well the model knows what it does
not know. Left out: what is learned from it (``train``), and recorded bags (``replay``).
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
import json
from pathlib import Path
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.calibration import auroc
from tool_recognizer.core.calibration import brier_score
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.calibration import false_positive_rate
from tool_recognizer.core.calibration import risk_coverage
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.information import entropy
from tool_recognizer.core.information import kl_divergence
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.model.file import seen_photographs
from tool_recognizer.model.file import was_seen
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.codec import PictureError
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.plain_arguments import add_plain_arguments
from tool_recognizer.programs.plain_arguments import plain_model
from tool_recognizer.reports.evaluation import evaluation_page
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.parts import WORST
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import Example
from tool_recognizer.training.labelled import find_examples

SUMMARY = 'measure a model on photographs or confirmed frames, and compare two'
EXAMPLES = (
    'evaluate tools.onnx photos',
    'evaluate tools.onnx journal.db --html report.html',
    'evaluate new.onnx photos --against old.onnx --gate',
    'evaluate tools.onnx photos --annotations words.csv',
    '',
    'DATA is a folder with one folder of photographs per label, or a journal of confirmed frames.',
    "A folder whose name is no label of the model (say, 'other') holds other things.",
    '--annotations: what several people said, as CSV with the columns file,annotator,label:',
    '  hammer/17.jpg,anna,hammer',
    '  hammer/17.jpg,ben,wrench')
BATCH = 16
RESAMPLES = 10_000
# Two-sided 95 % interval.
TAIL = 0.025
# Points of a curve that are kept.
POINTS = 100

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """
    A model's answers to examples.

    Attributes
    ----------
    log_probabilities : (N, K) nats, of the examples of its labels
    distribution : (N, K) what is confirmed of them
    examples : (N,) the examples
    novelty : (N,) log-odds of 'none of the labels'; for a model without such a score, the energy
        -log sum_k exp(logit_k) (Liu, Wang, Owens, Li, Energy-based out-of-distribution
        detection, 2020); nan for an answer from a journal without its picture
    novelty_of_others : (M,) the same, of other things

    """

    log_probabilities: Array
    distribution: Array
    examples: tuple[Example, ...]
    novelty: Array
    novelty_of_others: Array

    @property
    def label(self) -> NDArray[np.int64]:
        """Return the index of each most probable confirmed label; of equals, the first."""
        return np.asarray(self.distribution.argmax(axis=1), np.int64)

    @property
    def paid(self) -> Array:
        """Return each cross-entropy H(q, p), nats; of a certain label its NLL."""
        return cross_entropy(self.distribution, self.log_probabilities)

    def where(self, chosen: Sequence[int]) -> 'Answers':
        """Return the chosen answers."""
        return Answers(self.log_probabilities[chosen], self.distribution[chosen],
                       tuple(self.examples[i] for i in chosen), self.novelty[chosen],
                       self.novelty_of_others)


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
    return run_program(_evaluate, _parser(), (DataError, ModelError), argv)


def _parser() -> Parser:
    parser = Parser('evaluate', SUMMARY, EXAMPLES)
    parser.add_argument('model', type=Path, help='the model file')
    parser.add_argument('data', nargs='+', type=Path, metavar='DATA',
                        help='folder of labelled photographs, or a journal')
    parser.add_argument('--against', type=Path, metavar='OTHER',
                        help='another model: the paired difference of the NLL, with an interval')
    parser.add_argument('--gate', action='store_true',
                        help='exit status 1 unless the whole 95 %% interval of the difference '
                             'is on the side of the model')
    parser.add_argument('--annotations', type=Path, metavar='CSV',
                        help='what several people said of the photographs, see below')
    parser.add_argument('--html', type=Path, metavar='FILE', help='write a one-page report')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures as JSON')
    parser.add_argument('--seed', type=int, default=1,
                        help="of the interval's resampling (default %(default)s)")
    parser.add_argument('--quiet', action='store_true',
                        help='print no table; the verdict of --gate is printed all the same')
    add_plain_arguments(parser)
    return parser


def _evaluate(arguments: argparse.Namespace) -> int:
    if arguments.gate and not arguments.against:
        raise DataError('--gate needs --against OTHER: better than what?')
    plain = plain_model(arguments)
    model = OnnxModel.load(arguments.model, plain=plain)
    examples = find_examples(arguments.data, _say, arguments.annotations)
    answers = answer(model, examples)
    figures = measure(answers, model)
    figures['seen'] = seen(model, examples)
    better = True
    if arguments.against:
        other = OnnxModel.load(arguments.against, plain=plain)
        if other.labels != model.labels:
            raise DataError(f'{arguments.against} has the labels {list(other.labels)}, '
                            f'{arguments.model} has {list(model.labels)}: only models of the '
                            'same labels can be compared')
        if other.digest != model.digest:
            seen(other, examples)
        figures['against'] = compare(answers, answer(other, answers.examples), arguments.seed)
        better = figures['against']['nll_difference_high'] < 0.0
    if not arguments.quiet:
        print(table(figures))
    if arguments.gate:
        print(gate_line(figures['against']))
    if arguments.json:
        _write(arguments.json, json.dumps(_finite(figures), indent=2) + '\n')
    if arguments.html:
        _write(arguments.html, evaluation_page(figures, answers.log_probabilities, answers.label,
                                               _mistakes(answers, model)))
    return 1 if arguments.gate and not better else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding='utf-8')
    except OSError as error:
        raise DataError(f'{path}: cannot be written ({error.strerror})') from None


def answer(model: OnnxModel, examples: Iterable[Example]) -> Answers:
    """
    Let a model answer examples.

    A frame whose picture was not kept is answered as it was when it was live, if that was by this
    very model. What cannot be answered is said and left out.

    Parameters
    ----------
    model : the model
    examples : of its labels, and of other things

    Raises
    ------
    DataError
        None of the labels' examples can be answered.

    """
    known: list[Example] = []
    others: list[Example] = []
    logged: list[Example] = []
    lost = 0
    for example in examples:
        ours = sum(p for label, p in example.distribution.items() if label in model.labels)
        if 0.0 < ours < 1.0 - 1e-9:
            strange = sorted(set(example.distribution) - set(model.labels))
            _say(f'left out: {example.name}: {strange} among its labels, which the model does '
                 'not have')
        elif example.picture is not None:
            (known if ours else others).append(example)
        elif ours and example.logged and example.logged.model_digest == model.digest:
            logged.append(example)
        else:
            lost += 1
    if lost:
        _say(f'left out: {lost} frames without a picture that another model answered, or that '
             'show none of the labels')
    logits, novelty, kept = _infer(model, known)
    _, novelty_of_others, _ = _infer(model, others)
    answered = [known[i] for i in kept] + logged
    if not answered:
        raise DataError(f'no photograph of {list(model.labels)} that can be answered; folders '
                        'must be named after the labels, DATA/LABEL/*.jpg')
    # Each label's probability by name, as another program may have ordered them.
    live = [[dict(zip(e.logged.labels, e.logged.log_probabilities.tolist(), strict=True))[label]
             for label in model.labels] for e in logged if e.logged]
    log_p = np.concatenate([log_softmax(logits, model.temperature),
                            np.array(live, np.float64).reshape(-1, len(model.labels))])
    q = np.array([[e.distribution.get(label, 0.0) for label in model.labels] for e in answered])
    return Answers(log_p, q / q.sum(axis=1, keepdims=True), tuple(answered),
                   np.concatenate([novelty, np.full(len(logged), np.nan)]), novelty_of_others)


def _infer(model: OnnxModel, examples: Sequence[Example]) -> tuple[Array, Array, list[int]]:
    pictures, kept = [], []
    logits: list[Array] = []
    novelty: list[Array] = []
    for number, example in enumerate(examples):
        assert example.picture is not None
        try:
            pictures.append(_fitted(example.picture, model.input))
            kept.append(number)
        except PictureError as error:
            _say(f'left out: {error}')
        if pictures and (len(pictures) == BATCH or number == len(examples) - 1):
            answers = model.infer(np.stack(pictures))
            logits.append(answers.logits.astype(np.float64))
            novelty.append(answers.novelty.astype(np.float64))
            pictures.clear()
    if not kept:
        return np.zeros((0, len(model.labels))), np.zeros(0), []
    z, score = np.concatenate(logits), np.concatenate(novelty)
    return z, np.where(np.isnan(score), -np.logaddexp.reduce(z, axis=1), score), kept


def _fitted(path: Path, spec: InputSpec) -> Pixels:
    pixels, order = read_picture(path, spec)
    return fit_image(pixels, spec, order)


def _mistakes(answers: Answers, model: OnnxModel) -> list[Mistake]:
    """Pick the worst answers whose picture is there."""
    def reader(path: Path) -> Callable[[], Pixels]:
        return lambda: _fitted(path, model.input)

    paid, best, label = answers.paid, answers.log_probabilities.argmax(axis=1), answers.label
    found: list[Mistake] = []
    for i in np.argsort(-paid, kind='stable').tolist():
        picture = answers.examples[i].picture
        if picture is not None and len(found) < WORST:
            found.append(Mistake(answers.examples[i].name, model.labels[label[i]],
                                 model.labels[best[i]], float(paid[i]), reader(picture)))
    return found


def seen(model: OnnxModel, examples: Iterable[Example]) -> int:
    """
    Count the pictures that the model was trained on, and say so: figures on them say too much.

    Parameters
    ----------
    model : the model; its file need not know all of them
    examples : those without a picture do not count

    """
    known = seen_photographs(model.metadata)
    pictures = [e.picture for e in examples if e.picture is not None] if known else []
    count = 0
    for picture in pictures:
        with suppress(OSError):  # said where it is to be answered
            count += was_seen(picture.read_bytes(), known)
    if count:
        _say(f'{model.path}: was trained on at least {count} of these {len(pictures)} pictures; '
             'how good it is on new ones, only others can tell')
    return count


def measure(answers: Answers, model: OnnxModel) -> dict[str, Any]:
    """
    Compute the figures of a model's answers.

    Parameters
    ----------
    answers : the answers
    model : the model, for its labels and its threshold of rejection

    Returns
    -------
    accuracy (against the most probable confirmed label); nll (of a soft label its cross-entropy),
    entropy and kl, nll = entropy + kl, in nats; ece, brier, auroc, fpr_at_95_tpr; all nan where
    there is nothing to measure; counts; per_label; confusion (rows: the true label); rejection;
    risk_coverage; worst (the examples with the greatest NLL)

    """
    log_p, q, label, each = (answers.log_probabilities, answers.distribution, answers.label,
                             answers.paid)
    labels = model.labels
    best = log_p.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (label, best), 1)
    seen = ~np.isnan(answers.novelty)
    novelty = answers.novelty[seen]
    figures: dict[str, Any] = {
        'accuracy': float(np.mean(best == label)),
        'nll': float(each.mean()),
        'entropy': float(entropy(q).mean()),
        'kl': float(kl_divergence(q, log_p).mean()),
        'ece': expected_calibration_error(log_p, label),
        'brier': brier_score(log_p, q),
        # Known tools are the positives, and less novel than what is not.
        'auroc': auroc(-novelty, -answers.novelty_of_others),
        'fpr_at_95_tpr': false_positive_rate(-novelty, -answers.novelty_of_others),
        'counts': {name: int(np.sum(label == k)) for k, name in enumerate(labels)},
        'per_label': {name: _of_label(k, confusion, each[label == k])
                      for k, name in enumerate(labels)},
        'confusion': confusion.tolist(),
        'risk_coverage': {'probability': _curve(-log_p.max(axis=1), best != label),
                          'novelty': _curve(novelty, (best != label)[seen])},
        'model': str(model.path),
        'model_digest': model.digest}
    figures['counts']['other'] = len(answers.novelty_of_others)
    if model.metadata.get('rejection') and len(novelty):
        threshold = model.novelty_threshold
        kept = novelty <= threshold
        wrong = (best != label)[seen]
        figures['rejection'] = {
            'threshold': threshold,
            'coverage': float(np.mean(kept)),
            'risk': float(np.mean(wrong[kept])) if kept.any() else float('nan'),
            'others_refused': (float(np.mean(answers.novelty_of_others > threshold))
                               if len(answers.novelty_of_others) else float('nan'))}
    worst = np.argsort(-each, kind='stable')[:10]
    figures['worst'] = [{'photo': answers.examples[i].name, 'label': labels[label[i]],
                         'answer': labels[best[i]], 'nll': float(each[i])} for i in worst]
    return figures


def _curve(doubt: Array, wrong: NDArray[np.bool_]) -> list[list[float]]:
    coverage, risk = risk_coverage(doubt, wrong)
    places = np.unique(np.linspace(0, len(coverage) - 1, min(POINTS, len(coverage))).astype(int))
    return np.column_stack([coverage, risk])[places].tolist() if len(coverage) else []


def _of_label(k: int, confusion: NDArray[np.int64], each: Array) -> dict[str, float]:
    def share(part: int, whole: int) -> float:
        return part / whole if whole else float('nan')
    return {'recall': share(int(confusion[k, k]), int(confusion[k].sum())),
            'precision': share(int(confusion[k, k]), int(confusion[:, k].sum())),
            'nll': float(each.mean()) if len(each) else float('nan')}


def compare(new: Answers, old: Answers, seed: int) -> dict[str, Any]:
    """
    Give the mean difference of the NLL per frame, new less old, with a bootstrap interval.

    Drawn are bursts, not frames: frames of one object are no independent witnesses. (Cluster
    bootstrap; Davison and Hinkley, Bootstrap methods and their application, 1997, section 3.8.)

    Parameters
    ----------
    new, old : answers; compared is what both answered
    seed : of the resampling

    Returns
    -------
    frames: how many both answered; nll, accuracy of the old model on them; nll_difference in nats
    with the ends of its 95 % interval (the percentiles of 10,000 resamples); better: the share of
    the frames on which the new model paid less; identical: whether both paid the same on each. A
    frame that both rule out counts as equal

    Raises
    ------
    DataError
        Nothing was answered by both.

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
    bursts = np.unique([e.burst for e in new.examples], return_inverse=True)[1]
    sums, sizes = np.bincount(bursts, weights=difference), np.bincount(bursts)
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    # inf less inf is nan, and nan passes no gate.
    with np.errstate(invalid='ignore'):
        for i in range(RESAMPLES):
            drawn = rng.integers(len(sums), size=len(sums))
            means[i] = sums[drawn].sum() / sizes[drawn].sum()
        low, high = np.quantile(means, [TAIL, 1.0 - TAIL])
    return {'frames': len(common),
            'nll': float(before.mean()),
            'accuracy': float(np.mean(old.log_probabilities.argmax(axis=1) == old.label)),
            'nll_difference': float(difference.mean()),
            'nll_difference_low': float(low),
            'nll_difference_high': float(high),
            'better': float(np.mean(difference < 0.0)),
            'identical': not differs.any()}


def gate_line(against: dict[str, Any]) -> str:
    """
    Say whether the gate is passed, and why.

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
    others = f', {counts["other"]} of other things' if counts['other'] else ''
    lines = [f'{known} photographs of {len(labels)} labels{others}', '',
             f'accuracy {figures["accuracy"]:.4f}   NLL {figures["nll"]:.4f} nats   '
             f'KL {figures["kl"]:.4f} nats',
             f'ECE {figures["ece"]:.4f}   Brier {figures["brier"]:.4f}']
    if not np.isnan(figures['auroc']):
        lines.append(f'known or other: AUROC {figures["auroc"]:.4f}, other accepted where 95 % of '
                     f'the known are: {figures["fpr_at_95_tpr"]:.3f}')
    if 'rejection' in figures:
        r = figures['rejection']
        lines.append(f'at the threshold {r["threshold"]:.3f}: {r["coverage"]:.3f} of the known '
                     'answered'
                     + ('' if np.isnan(r['risk']) else f', {r["risk"]:.4f} of these wrong')
                     + (f', {r["others_refused"]:.3f} of the others refused'
                        if counts['other'] else ''))
    lines += ['', f'{"":<{wide}}  photos  recall  precision     NLL']
    # Of a thousand labels only those that were there.
    for name in labels if len(labels) <= 12 else [n for n in labels if counts[n]]:
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
                  f'NLL: identical on all {a["frames"]} frames' if a['identical'] else
                  f'difference {a["nll_difference"]:+.4f} nats per photograph, 95 % interval '
                  f'{a["nll_difference_low"]:+.4f} to {a["nll_difference_high"]:+.4f}; '
                  f'better on {a["better"]:.1%}']
    return '\n'.join(lines)


def _finite(value: Any) -> Any:
    """JSON has no nan: null says that there was nothing to measure. Nor has it inf: as text."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and np.isinf(value):
        return str(value)
    return None if isinstance(value, float) and not np.isfinite(value) else value


if __name__ == '__main__':
    sys.exit(main())
