"""
Fit a model for the tools of a bench: maximum likelihood on labelled photographs.

The backbone stays as it is; fitted is the softmax head on its features, with one column per label
and one for 'none of them'. Photographs of one burst or of one object stay on one side of every
split, so all reported figures come from pictures of groups that the fit has not seen.
"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
import os
from pathlib import Path
import sys
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.drift import REFERENCE_LABELS
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.softmax_regression import separation
from tool_recognizer.evaluation.comparison import gate_also
from tool_recognizer.evaluation.figures import to_json
from tool_recognizer.evaluation.held_out import compare_on
from tool_recognizer.evaluation.held_out import held_out_gate
from tool_recognizer.model.content import content_digest
from tool_recognizer.model.content import read_content
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import ModelFileError
from tool_recognizer.model.file import Network
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.pictures.tools import TOOLS
from tool_recognizer.programs.arguments import between
from tool_recognizer.programs.arguments import LAST_SEED
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.arguments import whole
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.programs.outputs import write_whole
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.parts import WORST
from tool_recognizer.reports.training import report_page
from tool_recognizer.training.assemble import Apart
from tool_recognizer.training.assemble import assemble
from tool_recognizer.training.assemble import input_spec
from tool_recognizer.training.assemble import reference_rows
from tool_recognizer.training.assemble import Terms
from tool_recognizer.training.assemble import write_model
from tool_recognizer.training.collected import is_collection
from tool_recognizer.training.collected import kept_features
from tool_recognizer.training.collected import photographs_in
from tool_recognizer.training.fit import cross_validate
from tool_recognizer.training.fit import folds
from tool_recognizer.training.fit import HeldOut
from tool_recognizer.training.fit import learning_curve
from tool_recognizer.training.fit import prior_mean
from tool_recognizer.training.fit import real_rows
from tool_recognizer.training.fit import search
from tool_recognizer.training.labelled import BURST_S
from tool_recognizer.training.labelled import DataError
from tool_recognizer.training.labelled import find_examples
from tool_recognizer.training.labelled import NEGATIVES
from tool_recognizer.training.photos import drawn
from tool_recognizer.training.photos import labels_of
from tool_recognizer.training.photos import mark_lone
from tool_recognizer.training.photos import mark_seen
from tool_recognizer.training.photos import Photo
from tool_recognizer.training.photos import read_photos
from tool_recognizer.training.progress import Progress
from tool_recognizer.training.views import cache_folder
from tool_recognizer.training.views import Extractor
from tool_recognizer.training.views import MANY_PHOTOS
from tool_recognizer.training.views import view_plan
from tool_recognizer.training.views import Views

SUMMARY = 'fit a model to labelled photographs by maximum likelihood'
EXAMPLES = (
    'train photos --output tools.onnx',
    'train photos more_photos --output tools.onnx --report report.html',
    'train photos journal.db --output tools.onnx',
    'train collection --output tools.onnx --idle',
    '',
    'DATA is a folder with one folder of photographs per label:',
    '  photos/hammer/*.jpg  photos/screwdriver/*.jpg  photos/other/*.jpg',
    'or a collection of `collect`, or a journal, of which the confirmed frames with a picture are',
    'taken.',
    "The folder 'other' is no label: it holds what the model must know as none of its tools",
    '(empty benches, hands, other tools). --other-is-a-label makes it one.')

Array = NDArray[np.float64]
# The niceness of --idle: the most.
IDLE = 19
# Drawn pictures of a kind, at most.
MOST_DRAWN = 100_000


def main(argv: list[str] | None = None) -> int:
    """
    Run the command.

    Parameters
    ----------
    argv : the arguments, default the process's

    Returns
    -------
    0 done, 2 unusable input or arguments

    """
    return run_program(_train, _parser(), (DataError, ModelFileError, ModelError, PictureError),
                       argv)


def _parser() -> Parser:
    parser = Parser('train', SUMMARY, EXAMPLES)
    parser.add_argument('data', nargs='+', type=Path, metavar='DATA',
                        help='folder of labelled photographs, a collection, or a journal')
    parser.add_argument('--output', type=Path, required=True, help='the model file to write')
    parser.add_argument('--report', type=Path, help='a one-page report to write (HTML)')
    parser.add_argument('--base', type=Path, default=DEFAULT_MODEL,
                        help='model whose backbone is used, and whose head is the mean of the '
                             'prior for the labels that it has; default: the one that ships')
    parser.add_argument('--other-is-a-label', action='store_true',
                        help="treat the folder 'other' as a label like any")
    parser.add_argument('--fit', choices=('letterbox', 'stretch', 'crop'),
                        help="how a frame is fitted to the network's input; default: as the base")
    parser.add_argument('--views', type=whole(0, 1000),
                        help='augmented views per photo; default: 8, and 2 if there are more '
                             f'than {MANY_PHOTOS} photos')
    parser.add_argument('--drawn', type=whole(0, MOST_DRAWN), default=60,
                        help='drawn pictures of tools that are none of the labels, for the '
                             'rejection (default %(default)s)')
    parser.add_argument('--drawn-tools', type=whole(0, MOST_DRAWN), default=0,
                        help=f'drawn pictures per label, for labels among {list(TOOLS)} '
                             '(default %(default)s)')
    parser.add_argument('--prior-strength', type=between(0.0),
                        help='how firmly the head is held to the base model; default: the '
                             'strongest that held-out photos do not show to be worse')
    parser.add_argument('--false-rejection-rate', type=between(0.0, 1.0), default=0.05,
                        help='share of known tools that may be refused as unknown '
                             '(default %(default)s)')
    parser.add_argument('--threshold-photos', type=Path, nargs='+', default=[], metavar='DATA',
                        help='photographs from elsewhere that set the threshold of rejection, '
                             f'and are the reference if {REFERENCE_LABELS} of them are of the '
                             'labels; default: what was held out')
    parser.add_argument('--seed', type=whole(0, LAST_SEED), default=1, help='default %(default)s')
    parser.add_argument('--name', help="the model's name; default: the output file's")
    parser.add_argument('--licence', default='', help='licence of the model, kept in the file')
    parser.add_argument('--attribution', default='',
                        help='the sources of the photographs, kept in the file')
    parser.add_argument('--cache', type=Path, default=cache_folder(),
                        help='where features are kept between runs (default %(default)s)')
    parser.add_argument('--idle', action='store_true',
                        help='take only the time that nothing else on this machine wants, such '
                             'as a recognizer')
    parser.add_argument('--against', type=Path, metavar='OTHER',
                        help='compare what was held out with the predictions of another model, on '
                             'the labels that both have')
    parser.add_argument('--prove-on', type=Path, metavar='DATA',
                        help='compare on these, too: labelled photographs, or a journal with its '
                             'confirmed frames, as far as neither model was trained on them')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='write the figures of --against and the verdict of its gate as JSON')
    parser.add_argument('--hold', type=Path, metavar='FOLDER',
                        help='a new folder on the disk of the photographs, to hold them in while '
                             'it trains: what is removed meanwhile is still trained on')
    parser.add_argument('--progress', action='store_true',
                        help='say how far it is in lines, for a program that reads them')
    parser.add_argument('--tied', action='store_true',
                        help='end when the standard input does, with the program that holds its '
                             'other end')
    parser.add_argument('--quiet', action='store_true', help='no progress, no summary')
    return parser


def _give_way() -> None:
    """Take only the time that nothing else wants: all threads that there are, and will be."""
    # A recognizer that wakes up waits for no thread of this class, for one that is only nice it
    # does, some milliseconds (man 7 sched).
    for thread in map(int, os.listdir('/proc/self/task')):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, IDLE)
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def _end_with_input() -> None:
    """In a thread of its own: end at once, as if killed, when the standard input ends."""
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    os._exit(1)


def _train(arguments: argparse.Namespace) -> int:
    progress = Progress(arguments.quiet, arguments.progress)
    if arguments.idle:
        _give_way()
    if arguments.tied:
        if sys.stdin is None or sys.stdin.isatty():
            raise DataError('--tied needs a pipe as the standard input')
        Thread(target=_end_with_input, name='tied', daemon=True).start()
    for option in ('json', 'prove_on'):
        if getattr(arguments, option) and not arguments.against:
            raise DataError(f'--{option.replace("_", "-")} needs --against OTHER')
    if arguments.prove_on and not arguments.prove_on.exists():
        raise DataError(f'{arguments.prove_on}: there is no such file or folder')
    check_outputs([arguments.output, arguments.report, arguments.json], inputs=[
        *arguments.data, *arguments.threshold_photos, arguments.base, arguments.against,
        arguments.prove_on], make=True)
    base = ModelFile.read(arguments.base)
    other = OnnxModel.load(arguments.against) if arguments.against else None
    spec = input_spec(base, arguments.fit)
    photos = read_photos(arguments.data, progress, arguments.hold)
    labels = labels_of(photos, arguments.other_is_a_label)
    photos = mark_seen([p for p in photos if p.label in labels or p.label == NEGATIVES], base)
    photos = mark_lone(photos, labels, progress)
    photos += drawn(labels, arguments.drawn_tools, arguments.drawn, arguments.seed)
    plan = view_plan(sum(p.group >= 0 for p in photos), arguments.views)
    extractor = Extractor(base, spec, plan, arguments.cache, kept_features(arguments.data))
    views = list(progress.over('features', extractor.over(photos), len(photos)))
    columns = np.array([labels.index(p.label) if p.label in labels else len(labels)
                        for p in photos])
    prior = prior_mean(base, labels)
    overlap = separation(*real_rows(photos, views, columns, len(labels)))
    if overlap in ('complete', 'quasi-complete'):
        progress.say('the labels can be separated by planes, so the likelihood alone has no '
                     'maximum; the prior gives it one')
    size = sum(len(v.fitted) for v in views) * prior.size
    strengths, number = search(size, len(labels))
    if arguments.prior_strength is not None:
        strengths = (arguments.prior_strength,)
    dealt = folds(photos, columns, arguments.seed, number)
    held = cross_validate(photos, views, columns, prior, strengths, plan, dealt, progress)
    terms = Terms(arguments.name or arguments.output.stem, arguments.seed,
                  arguments.false_rejection_rate, arguments.licence, arguments.attribution)
    model = assemble(terms, base, spec, labels, photos, views, columns, prior, held, overlap,
                     plan, _apart(arguments.threshold_photos, labels, base, spec, progress))
    write_model(arguments.output, model)
    meta = model.metadata
    reference = meta['reference']
    progress.say(f'{arguments.output}: {len(labels)} labels, held-out accuracy '
                 f'{reference["accuracy"]:.3f}, NLL {np.mean(reference["nll"]):.3f} nats, '
                 f'ECE {reference["ece"]:.3f} ({len(reference["label"])} predictions for '
                 f'{reference["photographs"]} photographs), prior strength '
                 f'{meta["training"]["prior_strength"]:g}')
    for line in meta['training']['held_out']['advice']:
        progress.say(line)
    if other is not None:
        _compare(arguments, held, meta, photos, other, progress)
    if arguments.report:
        _report(arguments.report, meta, content_digest(read_content(arguments.output)), photos,
                views, columns, prior, held, dealt, arguments.seed, progress)
    return 0


def _compare(arguments: argparse.Namespace, held: HeldOut, meta: dict[str, Any],
             photos: Sequence[Photo], other: OnnxModel, progress: Progress) -> None:
    """Compare what was held out with another model, and say the verdict."""
    figures = held_out_gate(held, meta['training']['fitted_temperature'], photos, meta['labels'],
                            other, arguments.seed, progress)
    if figures['trained_on']:
        progress.say(f'{other.path} was trained on {figures["trained_on"]} of the held-out '
                     'photographs, which do not count')
    if arguments.prove_on:
        _prove(arguments, figures, other, progress)
    progress.say(figures['gate']['words'])
    if arguments.json:
        write_whole({arguments.json: to_json(figures)})


def _prove(arguments: argparse.Namespace, figures: dict[str, Any], other: OnnxModel,
           progress: Progress) -> None:
    """Let confirmed frames have a say in the verdict."""
    # What was collected within seconds of a frame shows the same object.
    collected = np.array([photo.stamp / 1e9 for source in arguments.data
                          if is_collection(source) for photo in photographs_in(source)])
    try:
        examples = [example for example in find_examples([arguments.prove_on], progress.say)
                    if example.seconds is None
                    or not np.any(np.abs(collected - example.seconds) <= BURST_S)]
        against = compare_on(examples, OnnxModel.load(arguments.output), other, arguments.seed,
                             progress)
    except DataError as error:  # the model is made, whatever else there is
        progress.say(f'{arguments.prove_on}: {error}')
    else:
        figures['proof'] = against
        figures['gate'] = gate_also(figures['gate'], against)


def _apart(sources: Sequence[Path], labels: Sequence[str], base: ModelFile, spec: InputSpec,
           progress: Progress) -> Apart | None:
    """Read the photographs that set the threshold; None without any."""
    if not sources:
        return None
    photos = [p for p in read_photos(sources, progress) if p.label in [*labels, NEGATIVES]]
    if not photos:
        raise DataError(f'--threshold-photos: no photograph is of {list(labels)}')
    pictures = [fit_image(p.pixels(), spec) for p in photos]
    columns = [labels.index(p.label) if p.label in labels else len(labels) for p in photos]
    return Apart(Network(base).run('features', pictures), np.array(columns, np.int64))


def _report(path: Path, meta: dict[str, Any], digest: str, photos: Sequence[Photo],
            views: Sequence[Views], columns: NDArray[np.int64], prior: Array, held: HeldOut,
            dealt: dict[int, int], seed: int, progress: Progress) -> None:
    """Write the report: the worst mistake of each photo, and the learning curve."""
    labels = meta['labels']
    known = np.flatnonzero((held.column < len(labels)) & held.ordinary)
    log_p = log_softmax(held.logits[known, :len(labels)] / meta['training']['fitted_temperature'])
    each = nll(log_p, held.column[known])
    mistakes: dict[int, Mistake] = {}
    for index in np.argsort(-each, kind='stable').tolist():
        number = int(held.photo[known[index]])
        if number not in mistakes and len(mistakes) < WORST:
            photo = photos[number]
            mistakes[number] = Mistake(photo.name, photo.label, labels[int(log_p[index].argmax())],
                                       float(each[index]), photo.pixels)
    curve = learning_curve(photos, views, columns, prior, meta['training']['prior_strength'],
                           dealt, seed, progress)
    with suppress(OSError):  # reported by the next line
        path.parent.mkdir(parents=True, exist_ok=True)
    rows = reference_rows(held, len(labels), seed)
    bursts = np.array([photos[number].group for number in held.photo[rows]])
    if held.column[rows].tolist() != meta['reference']['label']:
        bursts = np.arange(len(meta['reference']['label']))  # those of --threshold-photos
    write_whole({path: report_page(meta, digest, list(mistakes.values()), curve, bursts)})
    progress.say(f'{path}: the report')


if __name__ == '__main__':
    sys.exit(main())
