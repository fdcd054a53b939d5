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
from datetime import datetime
from hashlib import sha256
import json
from pathlib import Path
import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
from tool_recognizer.core.calibration import auroc
from tool_recognizer.core.calibration import brier_scores
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.calibration import false_positive_rate
from tool_recognizer.core.calibration import risk_coverage
from tool_recognizer.core.information import cross_entropy
from tool_recognizer.core.information import entropy
from tool_recognizer.core.information import kl_divergence
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.interval import burst_means
from tool_recognizer.core.interval import share_interval
from tool_recognizer.core.means import mean_nll
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.model.file import seen_photographs
from tool_recognizer.model.file import was_seen
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.programs.outputs import write_whole
from tool_recognizer.programs.plain_arguments import add_plain_arguments
from tool_recognizer.programs.plain_arguments import plain_model
from tool_recognizer.reports.evaluation import evaluation_page
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.parts import WORST
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import Example
from tool_recognizer.training.labelled import find_examples
from tool_recognizer.training.labelled import Say
from tool_recognizer.training.progress import Progress

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
Bursts = NDArray[np.int64]


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
    bursts_of_others : (M,) their bursts

    """

    log_probabilities: Array
    distribution: Array
    examples: tuple[Example, ...]
    novelty: Array
    novelty_of_others: Array
    bursts_of_others: tuple[str, ...]

    @property
    def bursts(self) -> Bursts:
        """Return the number of each example's burst."""
        return np.unique([e.burst for e in self.examples], return_inverse=True)[1].ravel()

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
                       self.novelty_of_others, self.bursts_of_others)


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
    check_outputs([arguments.json, arguments.html], inputs=[
        arguments.model, arguments.against, arguments.annotations, arguments.labels,
        *arguments.data])
    progress = Progress(quiet=False)
    plain = plain_model(arguments)
    model = _load(arguments.model, plain, progress.say)
    examples = find_examples(arguments.data, progress.say, arguments.annotations, model.labels)
    answers = answer(model, examples, progress)
    figures = {**measure(answers, model), **_identity(model),
               'data': describe(arguments.data, examples, answers),
               'seen': seen(model, examples, progress.say)}
    better = True
    if arguments.against:
        other = _load(arguments.against, plain, progress.say)
        if other.labels != model.labels:
            raise DataError(f'{arguments.against} has the labels {list(other.labels)}, '
                            f'{arguments.model} has {list(model.labels)}: only models of the '
                            'same labels can be compared')
        if other.digest != model.digest:
            seen(other, examples, progress.say)
        figures['against'] = {
            **compare(answers, answer(other, answers.examples, progress), arguments.seed),
            **_identity(other)}
        better = figures['against']['nll_difference_high'] < 0.0
    if arguments.gate:
        figures['gate'] = {'passed': better, 'words': gate_line(figures['against'])}
    if not arguments.quiet:
        print(table(figures))
    if arguments.gate:
        print(figures['gate']['words'])
    files = {}
    if arguments.json:
        files[arguments.json] = json.dumps(_finite(figures), indent=2) + '\n'
    if arguments.html:
        files[arguments.html] = evaluation_page(
            figures, answers.log_probabilities, answers.label, _mistakes(answers, model),
            f'{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}')
    write_whole(files)
    return 1 if arguments.gate and not better else 0


def _load(path: Path, plain: PlainModel | None, say: Callable[[str], None]) -> OnnxModel:
    model = OnnxModel.load(path, plain=plain)
    for hint in model.hints:
        say(f'{path}: {hint}')
    return model


def _identity(model: OnnxModel) -> dict[str, str]:
    return {'model': str(model.path), 'model_digest': model.digest,
            'model_name': str(model.metadata.get('name', '')),
            'model_version': str(model.metadata.get('version', ''))}


def describe(sources: Sequence[Path], examples: Sequence[Example], answers: Answers
             ) -> dict[str, Any]:
    """
    Tell which frames were measured on, so that another can see whether they are the same.

    Parameters
    ----------
    sources : folders and journals
    examples : what was found there
    answers : to what of it could be answered

    Returns
    -------
    sources; frames and others, how many were answered; left_out; digest, SHA-256 over what is
    confirmed of each frame and its picture, or its place in its journal, in no order

    """
    def line(example: Example) -> str:
        said = json.dumps(sorted(example.distribution.items()))
        data = b''
        if example.picture is not None:
            with suppress(OSError):  # said where it is to be answered
                data = example.picture.read_bytes()
        return f'{said} {sha256(data).hexdigest()} {"" if data else example.seconds}'

    known, others = len(answers.examples), len(answers.novelty_of_others)
    return {'sources': [str(source) for source in sources], 'frames': known, 'others': others,
            'left_out': len(examples) - known - others,
            'digest': sha256('\n'.join(sorted(map(line, examples))).encode()).hexdigest()}


def answer(model: OnnxModel, examples: Iterable[Example], progress: Progress) -> Answers:
    """
    Let a model answer examples.

    A frame whose picture was not kept is answered as it was when it was live, if that was by this
    very model. What cannot be answered is said and left out.

    Parameters
    ----------
    model : the model
    examples : of its labels, and of other things
    progress : for the lines

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
            progress.say(f'left out: {example.name}: {strange} among its labels, which the '
                         'model does not have')
        elif example.picture is not None:
            (known if ours else others).append(example)
        elif ours and example.logged and example.logged.model_digest == model.digest:
            logged.append(example)
        else:
            lost += 1
    if lost:
        progress.say(f'left out: {lost} frames without a picture that another model answered, or '
                     'that show none of the labels')
    logits, novelty, kept = _infer(model, known, progress)
    _, novelty_of_others, kept_others = _infer(model, others, progress)
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
                   np.concatenate([novelty, np.full(len(logged), np.nan)]), novelty_of_others,
                   tuple(others[i].burst for i in kept_others))


def _infer(model: OnnxModel, examples: Sequence[Example], progress: Progress
           ) -> tuple[Array, Array, list[int]]:
    pictures, kept = [], []
    logits: list[Array] = []
    novelty: list[Array] = []
    name = model.path.name
    for number, example in progress.over(name, enumerate(examples), len(examples)):
        assert example.picture is not None
        try:
            pictures.append(_fitted(example.picture, model.input))
            kept.append(number)
        except PictureError as error:
            progress.say(f'left out: {error}')
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


def seen(model: OnnxModel, examples: Iterable[Example], say: Say) -> int:
    """
    Count the pictures that the model was trained on, and say so: figures on them say too much.

    Parameters
    ----------
    model : the model; its file need not know all of them
    examples : those without a picture do not count
    say : is told

    """
    known = seen_photographs(model.metadata)
    pictures = [e.picture for e in examples if e.picture is not None] if known else []
    count = 0
    for picture in pictures:
        with suppress(OSError):  # said where it is to be answered
            count += was_seen(picture.read_bytes(), known)
    if count:
        say(f'{model.path}: was trained on at least {count} of these {len(pictures)} pictures; '
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
    risk_coverage; worst (the examples with the greatest NLL). X_ci_low and X_ci_high are the ends
    of the 95 % interval of X, for which a burst of frames is one witness

    """
    log_p, q, label, each = (answers.log_probabilities, answers.distribution, answers.label,
                             answers.paid)
    labels, bursts = model.labels, answers.bursts
    best = log_p.argmax(axis=1)
    right = best == label
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (label, best), 1)
    seen = ~np.isnan(answers.novelty)
    novelty = answers.novelty[seen]
    figures: dict[str, Any] = {
        **_share('accuracy', right, bursts),
        **_mean('nll', each, bursts),
        'entropy': float(entropy(q).mean()),
        **_mean('kl', kl_divergence(q, log_p), bursts),
        'ece': expected_calibration_error(log_p, label),
        **_mean('brier', brier_scores(log_p, q), bursts),
        # Known tools are the positives, and less novel than what is not.
        'auroc': auroc(-novelty, -answers.novelty_of_others),
        'fpr_at_95_tpr': false_positive_rate(-novelty, -answers.novelty_of_others),
        'counts': {name: int(np.sum(label == k)) for k, name in enumerate(labels)},
        'per_label': {name: {**_share('recall', right[label == k], bursts[label == k]),
                             **_share('precision', right[best == k], bursts[best == k]),
                             **_mean('nll', each[label == k], bursts[label == k])}
                      for k, name in enumerate(labels)},
        'confusion': confusion.tolist(),
        'risk_coverage': {'probability': _curve(-log_p.max(axis=1), ~right),
                          'novelty': _curve(novelty, ~right[seen])}}
    figures['counts']['other'] = len(answers.novelty_of_others)
    if model.metadata.get('rejection') and len(novelty):
        threshold = model.novelty_threshold
        kept = novelty <= threshold
        figures['rejection'] = {
            'threshold': threshold,
            **_share('coverage', kept, bursts[seen]),
            **_share('risk', ~right[seen][kept], bursts[seen][kept]),
            **_share('others_refused', answers.novelty_of_others > threshold,
                     answers.bursts_of_others)}
    worst = np.argsort(-each, kind='stable')[:10]
    figures['worst'] = [{'photo': answers.examples[i].name, 'label': labels[label[i]],
                         'answer': labels[best[i]], 'nll': float(each[i])} for i in worst]
    return figures


def _curve(doubt: Array, wrong: NDArray[np.bool_]) -> list[list[float]]:
    coverage, risk = risk_coverage(doubt, wrong)
    places = np.unique(np.linspace(0, len(coverage) - 1, min(POINTS, len(coverage))).astype(int))
    return np.column_stack([coverage, risk])[places].tolist() if len(coverage) else []


def _share(name: str, came_true: NDArray[np.bool_], bursts: ArrayLike) -> dict[str, float]:
    low, high = share_interval(came_true, bursts)
    share = float(came_true.mean()) if len(came_true) else float('nan')
    return {name: share, f'{name}_ci_low': low, f'{name}_ci_high': high}


def _mean(name: str, costs: Array, bursts: Bursts) -> dict[str, float]:
    """Of costs that are never below 0; an interval over bursts, weighted with their sizes."""
    if not len(costs):
        return dict.fromkeys((name, f'{name}_ci_low', f'{name}_ci_high'), float('nan'))
    _, low, high = mean_nll(*burst_means(costs, bursts))
    return {name: float(costs.mean()), f'{name}_ci_low': low, f'{name}_ci_high': high}


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
    frames: how many both answered; nll, accuracy of the old model on them, with intervals;
    nll_difference in nats with the ends of its 95 % interval (the percentiles of 10,000
    resamples); better: the share of the frames on which the new model paid less; identical:
    whether both paid the same on each. A frame that both rule out counts as equal

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
    return {'frames': len(common),
            **_mean('nll', before, bursts),
            **_share('accuracy', old.log_probabilities.argmax(axis=1) == old.label, bursts),
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
    counts, data = figures['counts'], figures['data']
    labels = list(figures['per_label'])
    known = sum(counts[name] for name in labels)
    wide = max(11, *(len(name) for name in labels))
    others = f', {counts["other"]} of other things' if counts['other'] else ''
    lines = [f'{known} photographs of {len(labels)} labels{others}; data {data["digest"][:12]}',
             f'model {_name(figures)}', '',
             f'accuracy {_with_interval(figures, "accuracy", 4)}',
             f'NLL {_with_interval(figures, "nll", 4)} nats   '
             f'KL {_with_interval(figures, "kl", 4)} nats',
             f'ECE {figures["ece"]:.4f}   Brier {_with_interval(figures, "brier", 4)}']
    if not np.isnan(figures['auroc']):
        lines.append(f'known or other: AUROC {figures["auroc"]:.4f}, other accepted where 95 % of '
                     f'the known are: {figures["fpr_at_95_tpr"]:.3f}')
    if 'rejection' in figures:
        r = figures['rejection']
        lines.append(f'at the threshold {r["threshold"]:.3f}:')
        lines += [f'  {_with_interval(r, name, 3)} of {words}' for name, words in (
            ('coverage', 'the known answered'), ('risk', 'these wrong'),
            ('others_refused', 'the others refused')) if not np.isnan(r[name])]
    lines += ['in brackets: 95 % intervals', '',
              f'{"":<{wide}}  photos  {"recall":<18}  {"precision":<18}  NLL']
    # Of a thousand labels only those that were there.
    for name in labels if len(labels) <= 12 else [n for n in labels if counts[n]]:
        row = figures['per_label'][name]
        lines.append(f'{name:<{wide}}  {counts[name]:6d}  {_with_interval(row, "recall", 2):<18}  '
                     f'{_with_interval(row, "precision", 2):<18}  '
                     f'{_with_interval(row, "nll", 2)}'.rstrip())
    if len(labels) <= 12:
        lines += ['', f'{"answer:":>{wide}}  ' + '  '.join(f'{n:>{wide}}' for n in labels)]
        lines += [f'{name:<{wide}}  ' + '  '.join(f'{c:>{wide}d}' for c in row)
                  for name, row in zip(labels, figures['confusion'], strict=True)]
    lines += ['', 'worst:'] + [
        f'  {w["nll"]:7.3f} nats  {w["label"]}'
        + (', right' if w['answer'] == w['label'] else f' taken for {w["answer"]}')
        + f'  {w["photo"]}' for w in figures['worst'][:5]]
    if 'against' in figures:
        a = figures['against']
        lines += ['', f'against {_name(a)}:', f'accuracy {_with_interval(a, "accuracy", 4)}   '
                  f'NLL {_with_interval(a, "nll", 4)} nats',
                  f'NLL: identical on all {a["frames"]} frames' if a['identical'] else
                  f'difference {a["nll_difference"]:+.4f} nats per photograph, 95 % interval '
                  f'{a["nll_difference_low"]:+.4f} to {a["nll_difference_high"]:+.4f}; '
                  f'better on {a["better"]:.1%}']
    return '\n'.join(lines)


def _name(model: dict[str, Any]) -> str:
    """Tell which model it is: its file, name, version and digest."""
    said = ' '.join(filter(None, (model['model_name'], model['model_version'])))
    return f'{model["model"]}{said and f", {said}"} ({model["model_digest"][:12]})'


def _with_interval(figures: dict[str, Any], name: str, places: int) -> str:
    value, low, high = (figures[key] for key in (name, f'{name}_ci_low', f'{name}_ci_high'))
    return ('-' if np.isnan(value) else
            f'{value:.{places}f} [{low:.{places}f}, {high:.{places}f}]')


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
