"""
The program ``evaluate``: measures a model on labelled examples, and compares it with another.

Left out: what is learned from examples (``train``), and recorded bags (``replay``).
"""

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
import sys

from tool_recognizer.core.passage import PassageRules
from tool_recognizer.core.view import View
from tool_recognizer.evaluation.comparison import compare
from tool_recognizer.evaluation.comparison import gate
from tool_recognizer.evaluation.few import CHOICES
from tool_recognizer.evaluation.few import curve_lines
from tool_recognizer.evaluation.few import learning_curve
from tool_recognizer.evaluation.figures import measure
from tool_recognizer.evaluation.figures import to_json
from tool_recognizer.evaluation.mistakes import mistakes
from tool_recognizer.evaluation.passages import measure_passages
from tool_recognizer.evaluation.predictions import predict
from tool_recognizer.evaluation.provenance import describe
from tool_recognizer.evaluation.provenance import identity
from tool_recognizer.evaluation.provenance import seen
from tool_recognizer.evaluation.robustness import robustness
from tool_recognizer.evaluation.table import table
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import ModelFileError
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.parameters import BY_NAME
from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import LAST_SEED
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.arguments import whole
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.programs.outputs import write_whole
from tool_recognizer.programs.plain_arguments import add_plain_arguments
from tool_recognizer.programs.plain_arguments import plain_model
from tool_recognizer.reports.evaluation import evaluation_page
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import find_examples
from tool_recognizer.training.progress import Progress
from tool_recognizer.training.views import cache_folder

SUMMARY = 'measure a model on photographs or confirmed frames, and compare two'
EXAMPLES = (
    'evaluate tools.onnx photos',
    'evaluate tools.onnx journal.db --html report.html',
    'evaluate new.onnx photos --against old.onnx --gate',
    'evaluate tools.onnx photos --annotations labels.csv',
    'evaluate tools.onnx frames --locate',
    'evaluate tools.onnx photos --passages --correlation 0.62',
    'evaluate tools.onnx photos --robust --html report.html',
    'evaluate tools.onnx photos --few 5,10,20',
    '',
    'DATA is a folder with one folder of photographs per label, or a journal of confirmed frames.',
    "A folder whose name is no label of the model (say, 'other') holds other things.",
    '--annotations: what several people said, as CSV with the columns file,annotator,label:',
    '  hammer/17.jpg,anna,hammer',
    '  hammer/17.jpg,ben,wrench')


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
    return run_program(_evaluate, _parser(), (DataError, ModelError, ModelFileError), argv)


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
    parser.add_argument('--locate', action='store_true',
                        help='find the object in each picture first, as the parameter '
                             'locate.mode: auto does')
    parser.add_argument('--passages', action='store_true',
                        help='the photographs of one object (DATA/LABEL/OBJECT/*.jpg, or a burst '
                             'in a journal) with one answer, too, as passage.gate makes it live')
    parser.add_argument('--robust', action='store_true',
                        help='the photographs turned, far away, on loud grounds, badly lit as '
                             'well; takes about 20 times as long')
    parser.add_argument('--html', type=Path, metavar='FILE', help='write a one-page report')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures as JSON')
    parser.add_argument('--few', type=_numbers, metavar='N,N,...',
                        help='instead: how well heads on the backbone of the model do that are '
                             'fitted to so many photographs of each label of DATA')
    parser.add_argument('--choices', type=_choices, default=CHOICES, metavar='N',
                        help='of the photographs, for each number of --few (default %(default)s)')
    parser.add_argument('--seed', type=whole(0, LAST_SEED), default=1,
                        help="of the interval's resampling and of --few (default %(default)s)")
    parser.add_argument('--quiet', action='store_true',
                        help='print no table; the verdict of --gate is printed all the same')
    rules = parser.add_argument_group(
        'with --passages', "the plant's parameters; what is left out is as the node has it")
    rules.add_argument('--correlation', type=in_range(0.0, 1.0), metavar='RHO',
                       help='passage.correlation: how much the photographs of one object are '
                            f'alike (default {_default("correlation")})')
    rules.add_argument('--min-probability', type=in_range(0.5, 1.0), metavar='P',
                       help='passage.min_probability: of a label that is decided for (default '
                            f'{_default("min_probability")})')
    rules.add_argument('--min-frames', type=whole(1, 1000), metavar='N',
                       help='passage.min_frames: photographs below which an object is undecided '
                            '(default 1, for photographs are few)')
    add_plain_arguments(parser)
    return parser


def _default(name: str) -> str:
    return f'{BY_NAME[f"passage.{name}"].default}'


def _evaluate(arguments: argparse.Namespace) -> int:
    rules = {name: value for name in PassageRules._fields
             if (value := getattr(arguments, name)) is not None}
    if rules and not arguments.passages:
        raise DataError(f'--{min(rules).replace("_", "-")} is about objects: add --passages')
    if arguments.few:
        return _few(arguments)
    if arguments.gate and not arguments.against:
        raise DataError('--gate needs --against OTHER: better than what?')
    check_outputs([arguments.json, arguments.html], inputs=[
        arguments.model, arguments.against, arguments.annotations, arguments.labels,
        *arguments.data])
    progress = Progress(quiet=False)
    plain = plain_model(arguments)
    model = _load(arguments.model, plain, progress.say)
    examples = find_examples(arguments.data, progress.say, arguments.annotations, model.labels)
    view = View(locate='auto' if arguments.locate else 'off')
    predictions = predict(model, examples, progress, view)
    figures = {**measure(predictions, model), **identity(model), 'locate': view.locate,
               'data': describe(arguments.data, examples, predictions),
               'seen': seen(model, examples, progress.say)}
    if arguments.robust:
        least = BY_NAME['decision.min_probability'].default
        assert isinstance(least, float)
        figures['robustness'] = robustness(model, examples, least, progress, view)
    if arguments.passages:
        figures['passages'] = measure_passages(
            predictions, PassageRules(min_frames=1)._replace(**rules))
    better = True
    if arguments.against:
        other = _load(arguments.against, plain, progress.say)
        if not set(other.labels) & set(model.labels):
            raise DataError(f'{arguments.against} has the labels {list(other.labels)}, '
                            f'{arguments.model} has {list(model.labels)}: only models that '
                            'share a label can be compared')
        if other.digest != model.digest:
            seen(other, examples, progress.say)
        figures['against'] = {
            **compare(predictions, predict(other, predictions.examples, progress, view),
                      arguments.seed),
            **identity(other)}
        if arguments.gate:
            figures['gate'] = gate(figures['against'], model.labels, other.labels)
            better = figures['gate']['passed']
    if not arguments.quiet:
        print(table(figures))
    if arguments.gate:
        print(figures['gate']['words'])
    files = {}
    if arguments.json:
        files[arguments.json] = to_json(figures)
    if arguments.html:
        files[arguments.html] = evaluation_page(
            figures, predictions.log_probabilities, predictions.label,
            mistakes(predictions, model, view),
            f'{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}')
    write_whole(files)
    return 1 if arguments.gate and not better else 0


def _few(arguments: argparse.Namespace) -> int:
    """Print the learning curve of the model's backbone, instead of the model's own figures."""
    for name in ('against', 'annotations', 'gate', 'html', 'robust', 'locate', 'passages'):
        if getattr(arguments, name):
            raise DataError(f'--few measures the backbone, and goes without --{name}')
    if arguments.seed < 0:
        raise DataError(f'--seed of --few cannot be negative, got {arguments.seed}')
    check_outputs([arguments.json], inputs=[arguments.model, *arguments.data])
    curve = learning_curve(ModelFile.read(arguments.model), arguments.data, arguments.few,
                           arguments.seed, cache_folder(), Progress(quiet=False),
                           arguments.choices)
    if not arguments.quiet:
        print('\n'.join(curve_lines(curve)))
    if arguments.json:
        write_whole({arguments.json: to_json(curve)})
    return 0


def _numbers(text: str) -> list[int]:
    try:
        numbers = sorted({int(part) for part in text.split(',')})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 2:
        raise argparse.ArgumentTypeError('must be numbers of photographs, 2 or more, such as '
                                         f'5,10,20, got {text!r}')
    return numbers


def _choices(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 2 <= number <= 1000:
        raise argparse.ArgumentTypeError(f'must be 2 to 1000, got {text!r}')
    return number


def _load(path: Path, plain: PlainModel | None, say: Callable[[str], None]) -> OnnxModel:
    model = OnnxModel.load(path, plain=plain)
    for hint in model.hints:
        say(f'{path}: {hint}')
    return model


if __name__ == '__main__':
    sys.exit(main())
