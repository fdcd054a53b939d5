"""
The program ``evaluate``: measures a model on labelled examples, and compares it with another.

Left out: what is learned from examples (``train``), and recorded bags (``replay``).
"""

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
import sys

from tool_recognizer.evaluation.comparison import compare
from tool_recognizer.evaluation.comparison import gate_line
from tool_recognizer.evaluation.figures import measure
from tool_recognizer.evaluation.figures import to_json
from tool_recognizer.evaluation.mistakes import mistakes
from tool_recognizer.evaluation.predictions import predict
from tool_recognizer.evaluation.provenance import describe
from tool_recognizer.evaluation.provenance import identity
from tool_recognizer.evaluation.provenance import seen
from tool_recognizer.evaluation.table import table
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.programs.outputs import write_whole
from tool_recognizer.programs.plain_arguments import add_plain_arguments
from tool_recognizer.programs.plain_arguments import plain_model
from tool_recognizer.reports.evaluation import evaluation_page
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import find_examples
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
    predictions = predict(model, examples, progress)
    figures = {**measure(predictions, model), **identity(model),
               'data': describe(arguments.data, examples, predictions),
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
            **compare(predictions, predict(other, predictions.examples, progress), arguments.seed),
            **identity(other)}
        better = figures['against']['nll_difference_high'] < 0.0
    if arguments.gate:
        figures['gate'] = {'passed': better, 'words': gate_line(figures['against'])}
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
            mistakes(predictions, model),
            f'{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}')
    write_whole(files)
    return 1 if arguments.gate and not better else 0


def _load(path: Path, plain: PlainModel | None, say: Callable[[str], None]) -> OnnxModel:
    model = OnnxModel.load(path, plain=plain)
    for hint in model.hints:
        say(f'{path}: {hint}')
    return model


if __name__ == '__main__':
    sys.exit(main())
